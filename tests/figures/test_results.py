import json
import math

from autoclip_sep.figures.runs import frame
from autoclip_sep.figures.scores import results

SIZES = [0.5, 1.5] * 10


def test_the_table_groups_seeds_with_mean_and_spread(add_run, tmp_path):
    found = [add_run(seed=seed, gain=gain, step_norm=SIZES)
             for seed, gain in enumerate((4.0, 5.0, 6.0))]  # fmt: skip
    found.append(add_run("none", gain=3.0, step_norm=[]))  # too short for records
    found.append(add_run("autoclip_p100", gain=9.0))  # the same to the paper: a seed counts once
    found.append(add_run("norm_1"))  # not evaluated
    lines = results.table(frame(found))
    assert list(lines.index.get_level_values("clipping")) == ["AutoClip, p = 10", "No clipping"]
    assert lines["seeds"].tolist() == [3, 1]
    assert lines["si_sdr"].tolist() == [5, 3]
    assert lines["sd"].iloc[0] == 1
    assert math.isnan(lines["step_variation"].iloc[1])
    (line,) = results.draw_all(frame(found), tmp_path / "out")
    assert line == f"{tmp_path / 'out' / 'results.md'}  2 lines"
    text = (tmp_path / "out" / "results.md").read_text()
    beginning = "| demo | mask_inference | blstm_demo |"
    assert f"{beginning} AutoClip, p = 10 | 3 | 5.00 | 6.00 ± 1.00 | 0.50 |\n" in text
    assert f"{beginning} No clipping | 1 | 3.00 | 4.00 | nan |\n" in text


def test_without_an_evaluated_run_there_is_no_table(add_run, tmp_path):
    (line,) = results.draw_all(frame([add_run()]), tmp_path / "out")
    assert line.startswith("not drawn: ")
    assert not (tmp_path / "out").exists()


def add_bound(run, name, si_sdr, improvement):
    folder = run.directory / "evaluation" / "bounds" / name
    folder.mkdir(parents=True)
    summary = {"si_sdr_mean": si_sdr, "si_sdr_improvement_mean": improvement}
    note = {"provenance": {"window_length": 256, "hop_length": 128}, "summary": summary}
    (folder / "test.json").write_text(json.dumps(note))


def test_bounds_are_lines_that_runs_share_and_runs_have_a_gap_to_the_best(add_run, tmp_path):
    found = [add_run(seed=seed, gain=gain) for seed, gain in enumerate((4.0, 6.0))]
    without = add_run(seed=0, gain=1.0, loss="snr")  # evaluated without bounds
    for run in found:
        add_bound(run, "truncated_phase_sensitive_mask", 14.0, 13.0)
        add_bound(run, "mixture", 1.0, 0.0)
    (line,) = results.draw_all(frame([*found, without]), tmp_path / "out")
    assert line.endswith("4 lines")
    *_, masks, snr, mixture, best, end = (tmp_path / "out" / "results.md").read_text().split("\n")
    assert masks.startswith("| demo | mask_inference | blstm_demo | AutoClip, p = 10 | 2 | 5.00 |")
    assert masks.endswith(" | 9.00 |")
    assert snr.endswith(" | 0.00 |  |")
    assert mixture == "| demo |  |  | mixture |  | 1.00 | 0.00 |  |  |"
    assert best.startswith(
        "| demo |  | STFT 256 / 128 | truncated phase-sensitive mask |  | 14.00 |"
    )
    assert end == ""
