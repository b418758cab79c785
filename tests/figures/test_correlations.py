"""r over parts of training, from records whose correlation is known."""

import csv
import io
import math

import numpy as np
import pytest

from autoclip_sep.dynamics import COLUMNS
from autoclip_sep.figures.runs import RunFound
from autoclip_sep.figures.scores import correlations
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.records import Records

ROWS = 200  # of 20 iterations each: four stretches of 1,000


def make_run(root, smooth, seed=0, percentile=10, points=1):
    """A run whose log10 norm and log10 smoothness of every row are given by `smooth(row)`."""
    place = root / "demo" / "snr" / "blstm_demo" / f"autoclip_p{percentile}" / f"seed{seed}"
    place.mkdir(parents=True)
    clipping = {"_target_": "autoclip_sep.clipping.AutoClip", "percentile": percentile}
    trainer = {"epochs": 1, "probe_points": points, "batch_size": 4}
    run_directory.write_config(place, {"seed": seed, "clipping": clipping, "trainer": trainer})
    table = Records(place / "dynamics.csv", COLUMNS)
    for row in range(ROWS):
        norm, smoothness = (10.0**value for value in smooth(row))
        table.append({
            "step": 20 * (row + 1), "epoch": 1, "loss": 1.0, "grad_norm": norm, "threshold": 1.0,
            "scale": 1.0, "step_norm": 1.0, "smoothness": smoothness, "lr": 1e-3, "skipped": 0,
        })  # fmt: skip
    history = Records(place / "history.csv", ("epoch", "step"))
    history.append({"epoch": 1, "step": 20 * ROWS})
    return RunFound(place)


def zigzag(row):
    """+1, -1, +1, ..."""
    return (-1.0) ** row


def test_r_of_a_line_is_one_everywhere(tmp_path):
    run = make_run(tmp_path, lambda row: (row / 50 + zigzag(row), 2 * (row / 50 + zigzag(row))))
    for part in ("whole", "first_half", "second_half", "inside"):
        assert math.isclose(getattr(correlations, part)(run), 1.0, rel_tol=1e-9)


def test_a_common_trend_is_told_from_what_happens_inside_a_stretch(tmp_path):
    """Both rise with training, while from step to step one goes up where the other goes down."""
    run = make_run(tmp_path, lambda row: (row + 5 * zigzag(row), row - 5 * zigzag(row)))
    assert correlations.whole(run) > 0.97
    rows = np.arange(50)
    up = np.array([zigzag(row) for row in rows])
    expected = np.corrcoef(rows + 5 * up, rows - 5 * up)[0, 1]
    assert math.isclose(correlations.inside(run), expected, rel_tol=1e-9)


def test_the_halves_are_halves_of_the_iterations(tmp_path):
    run = make_run(tmp_path, lambda row: (zigzag(row), (1 if row < ROWS / 2 else -1) * zigzag(row)))
    assert math.isclose(correlations.first_half(run), 1.0, rel_tol=1e-9)
    assert math.isclose(correlations.second_half(run), -1.0, rel_tol=1e-9)
    assert math.isclose(correlations.whole(run), 0.0, abs_tol=1e-9)


def test_the_table_has_a_line_a_clipping_with_mean_and_spread_over_seeds(tmp_path):
    signs = (1, 1, -1)
    found = [make_run(tmp_path, lambda row, sign=sign: (zigzag(row), sign * zigzag(row)), seed)
             for seed, sign in enumerate(signs)]  # fmt: skip
    found.append(make_run(tmp_path, lambda row: (zigzag(row), zigzag(row)), percentile=100))
    said = correlations.draw_all(found, tmp_path / "out")
    assert said == [f"{tmp_path / 'out' / 'correlations.md'}  2 lines"]
    text = (tmp_path / "out" / "correlations.md").read_text()
    assert "| AutoClip, p = 10 | 1 | 3 | 0.33 ± 1.15 |" in text
    assert "| No clipping | 1 | 1 | 1.00 | 1.00 | 1.00 | 1.00 |" in text
    (first, _) = csv.DictReader(io.StringIO((tmp_path / "out" / "correlations.csv").read_text()))
    assert math.isclose(float(first["r_mean"]), 1 / 3, rel_tol=1e-6)
    assert math.isclose(float(first["r_sd"]), np.std(signs, ddof=1), rel_tol=1e-6)


def test_unprobed_runs_are_not_drawn(tmp_path):
    run = make_run(tmp_path, lambda row: (0.0, math.nan))
    (said,) = correlations.draw_all([run], tmp_path / "out")
    assert said.startswith("not drawn")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("rows", [9, 10])
def test_stretches_of_few_rows_are_left_out(tmp_path, rows, monkeypatch):
    monkeypatch.setattr(f"{__name__}.ROWS", rows)
    run = make_run(tmp_path, lambda row: (zigzag(row), zigzag(row)))
    assert math.isnan(correlations.inside(run)) == (rows < correlations.FEWEST_IN_A_STRETCH)
