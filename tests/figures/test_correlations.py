"""r over parts of training, from records whose correlation is known."""

import math

import numpy as np
import pandas as pd
import pytest

from autoclip_sep.figures.runs import frame
from autoclip_sep.figures.scores import correlations

ROWS = np.arange(200)  # of 20 iterations each: four stretches of 1,000
ZIGZAG = (-1.0) ** ROWS


@pytest.fixture
def probed(add_run):
    """A function that adds a run with these log10 norms and log10 smoothnesses."""

    def add(norm, smoothness, label="autoclip_p10", seed=0):
        return add_run(label, seed, grad_norm=10.0**norm, smoothness=10.0**smoothness)

    return add


def test_r_of_a_line_is_one_everywhere(probed):
    values = ROWS / 50 + ZIGZAG
    parts = correlations.parts(probed(values, 2 * values))
    assert parts == pytest.approx(dict.fromkeys(correlations.PARTS, 1.0))


def test_a_common_trend_is_told_from_what_happens_inside_a_stretch(probed):
    """Both rise with training, while from step to step one goes up where the other goes down."""
    norm, smoothness = ROWS + 5 * ZIGZAG, ROWS - 5 * ZIGZAG
    parts = correlations.parts(probed(norm, smoothness))
    assert parts["r"] > 0.97
    assert math.isclose(parts["r_inside"], np.corrcoef(norm[:50], smoothness[:50])[0, 1])


def test_the_halves_are_halves_of_the_iterations(probed):
    parts = correlations.parts(probed(ZIGZAG, np.where(ROWS < 100, 1, -1) * ZIGZAG))
    halves = [parts[name] for name in ("r", "r_first_half", "r_second_half")]
    assert halves == pytest.approx([0, 1, -1], abs=1e-9)


def test_the_table_has_a_line_a_clipping_with_mean_and_spread_over_seeds(probed, tmp_path):
    signs = (1, 1, -1)
    found = [probed(ZIGZAG, sign * ZIGZAG, seed=seed) for seed, sign in enumerate(signs)]
    found.append(probed(ZIGZAG, ZIGZAG, "autoclip_p100"))
    out = tmp_path / "out"
    (line,) = correlations.draw_all(frame(found), out)
    assert line == f"{out / 'correlations.md'}  2 lines"
    text = (out / "correlations.md").read_text()
    assert "| AutoClip, p = 10 | 1 | 3 | 0.33 ± 1.15 |" in text
    assert "| No clipping | 1 | 1 | 1.00 | 1.00 | 1.00 | 1.00 |" in text
    first = pd.read_csv(out / "correlations.csv").iloc[0]
    assert math.isclose(first["r_mean"], 1 / 3, rel_tol=1e-6)
    assert math.isclose(first["r_sd"], np.std(signs, ddof=1), rel_tol=1e-6)


def test_unprobed_runs_are_not_drawn(probed, tmp_path):
    run = probed(0.0 * ROWS, math.nan * ROWS)
    (line,) = correlations.draw_all(frame([run]), tmp_path / "out")
    assert line.startswith("not drawn")
    assert not (tmp_path / "out").exists()


def test_without_any_finished_run_nothing_is_drawn(add_run, tmp_path):
    left_out, line = correlations.draw_all(frame([add_run(done=1)]), tmp_path / "out")
    assert left_out.endswith("1 of 2 epochs")
    assert line.startswith("not drawn")


@pytest.mark.parametrize("rows", [9, 10])
def test_stretches_of_few_rows_are_left_out(probed, rows):
    inside = correlations.parts(probed(ZIGZAG[:rows], ZIGZAG[:rows]))["r_inside"]
    assert math.isnan(inside) == (rows < correlations.FEWEST_IN_A_STRETCH)
