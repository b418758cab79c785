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
