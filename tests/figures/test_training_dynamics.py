import json
import math

import numpy as np
import pytest

from autoclip_sep import runs
from autoclip_sep.dynamics import COLUMNS
from autoclip_sep.errors import InputError
from autoclip_sep.figures import results, training_dynamics
from autoclip_sep.figures.runs_found import RunFound, find
from autoclip_sep.records import Records

CLIPPERS = {
    "none": {"_target_": "autoclip_sep.clipping.NoClipping"},
    "autoclip_p10": {"_target_": "autoclip_sep.clipping.AutoClip", "percentile": 10},
    "autoclip_p100": {"_target_": "autoclip_sep.clipping.AutoClip", "percentile": 100},
    "autoclip_p10_window100": {
        "_target_": "autoclip_sep.clipping.AutoClip",
        "percentile": 10,
        "window": 100,
    },
    "norm_1": {"_target_": "autoclip_sep.clipping.NormClipping", "threshold": 1},
}


def make_run(root, clipping="autoclip_p10", seed=0, rows=60, slope=1.0, noise=0.0, gain=None):
    """A run whose log smoothness is `slope` times its log norm, plus noise."""
    directory = root / "demo" / "mask_inference" / "blstm_demo" / clipping / f"seed{seed}"
    directory.mkdir(parents=True)
    runs.write_config(directory, {"seed": seed, "clipping": CLIPPERS[clipping]})
    rng = np.random.default_rng(seed)
    file = Records(directory / "dynamics.csv", COLUMNS)
    for n in range(rows):
        norm = float(np.exp(rng.standard_normal()))
        file.append({
            "step": 20 * (n + 1), "epoch": 1, "loss": math.exp(-n / rows), "grad_norm": norm,
            "threshold": math.inf if clipping == "none" else 0.01 * (n + 1), "scale": 1.0,
            "step_norm": 0.5 + n % 2, "lr": 1e-3, "skipped": 0,
            "smoothness": math.nan if n == 3 else
            norm**slope * math.exp(noise * rng.standard_normal()),
        })  # fmt: skip
    if gain is not None:
        (directory / "evaluation").mkdir()
        summary = {"si_sdr_mean": gain + 1, "si_sdr_improvement_mean": gain}
        (directory / "evaluation" / "test.json").write_text(json.dumps({"summary": summary}))
    return RunFound(directory)


def test_the_numbers_of_a_panel(tmp_path):
    found = training_dynamics.panel(make_run(tmp_path))
    assert found.label == "AutoClip, p = 10"
    assert math.isclose(found.r, 1.0, abs_tol=1e-12)
    assert math.isclose(found.threshold, math.log10(0.6), rel_tol=1e-12)
    assert len(found.norm) == 59  # the row without a smoothness is not drawn
    assert np.allclose(found.log_loss, -np.arange(60) / 60)
    assert found.step[-1] == 1200


def test_r_is_pearsons_correlation_of_the_logs(tmp_path):
    run = make_run(tmp_path, "none", noise=1.0, rows=400)
    found = training_dynamics.panel(run)
    assert found.label == "No clipping"
    assert found.threshold == math.inf
    keep = np.isfinite(run.dynamics["smoothness"])
    x, y = np.log(run.dynamics["grad_norm"][keep]), np.log(run.dynamics["smoothness"][keep])
    expected = np.mean((x - x.mean()) * (y - y.mean())) / (x.std() * y.std())
    assert math.isclose(found.r, expected, rel_tol=1e-9)
    assert 0.5 < found.r < 0.9


def test_both_files_are_drawn(tmp_path):
    without = make_run(tmp_path, "autoclip_p100", noise=1.0)
    drawn = training_dynamics.draw(without, make_run(tmp_path), tmp_path / "out" / "figure1")
    assert [one.label for one in drawn] == ["No clipping", "AutoClip, p = 10"]
    assert (tmp_path / "out" / "figure1.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "figure1.pdf").read_bytes().startswith(b"%PDF")


def test_the_panels_share_their_axes_and_show_the_threshold(tmp_path):
    from matplotlib.figure import Figure

    one = training_dynamics.panel(make_run(tmp_path, "none", noise=1.0))
    other = training_dynamics.panel(make_run(tmp_path))
    figure = Figure()
    left, right = figure.subplots(1, 2)
    training_dynamics._densities(figure, left, right, (one, other))
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    assert not left.lines
    assert right.lines[0].get_xdata()[0] == other.threshold
    assert [text.get_text() for text in right.texts] == ["r = 1.00"]


def test_too_few_rows_are_an_error(tmp_path):
    with pytest.raises(InputError, match="train longer"):
        training_dynamics.panel(make_run(tmp_path, rows=2))


def test_the_table_groups_seeds_with_mean_and_spread(tmp_path):
    for seed, gain in enumerate((4.0, 5.0, 6.0)):
        make_run(tmp_path, seed=seed, gain=gain)
    make_run(tmp_path, "none", gain=3.0)
    make_run(tmp_path, "norm_1")  # not evaluated: not in the table
    lines = results.table(find(tmp_path))
    assert [(line.clipping, line.seeds) for line in lines] == [
        ("AutoClip, p = 10", 3), ("No clipping", 1),
    ]  # fmt: skip
    assert math.isclose(lines[0].improvement, 5.0)
    assert math.isclose(lines[0].si_sdr, 6.0)
    assert math.isclose(lines[0].spread, 1.0)
    assert math.isnan(lines[1].spread)
    assert math.isclose(lines[0].step_variation, 0.5)
    text = results.as_markdown(lines)
    assert "| AutoClip, p = 10 | 3 | 6.00 | 5.00 ± 1.00 | 0.50 |" in text
    assert "| No clipping | 1 | 4.00 | 3.00 | 0.50 |" in text


def test_other_clippers_are_not_taken_for_the_papers(tmp_path):
    assert math.isnan(make_run(tmp_path, "autoclip_p10_window100").percentile)
    assert make_run(tmp_path, "norm_1").clipping == "norm_1"


def test_no_clipping_and_p_100_are_one_line_and_a_seed_counts_once(tmp_path):
    make_run(tmp_path, "none", gain=3.0)
    make_run(tmp_path, "autoclip_p100", gain=3.0)
    (line,) = results.table(find(tmp_path))
    assert (line.clipping, line.seeds) == ("No clipping", 1)


def test_a_run_too_short_for_records_does_not_spoil_the_table(tmp_path):
    make_run(tmp_path, "none", gain=3.0, rows=0)
    (line,) = results.table(find(tmp_path))
    assert math.isnan(line.step_variation)


def test_no_runs_is_an_error_that_says_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match="no runs below"):
        find(tmp_path)
