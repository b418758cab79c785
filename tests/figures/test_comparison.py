"""Comparisons whose every number follows from how the records were made."""

import math
from types import SimpleNamespace

import numpy as np
import pytest
from pandas import DataFrame

from autoclip_sep.errors import InputError
from autoclip_sep.figures.comparison.curves import QUANTITIES, compare
from autoclip_sep.figures.comparison.records import RecordedRun, first_difference

ROWS = 48  # a running median of 3, and 6 in a row outside
STEPS = 20.0 * np.arange(1, ROWS + 1)
DISTANCE = 0.02  # between references, more than the floor for step sizes
WIDTH = 7 * math.sqrt(4 / 3) * DISTANCE
USUAL = {quantity.column: quantity.usual_std for quantity in QUANTITIES}


def recorded(level=0.0, column="step_norm", steps=STEPS, digits=None):
    """A run with one column, given as log10."""
    table = DataFrame({"step": steps, column: 10 ** (level + np.zeros(len(steps)))}, index=steps)
    return SimpleNamespace(tables={"dynamics.csv": table}, digits=digits)


@pytest.fixture
def references():
    return [recorded(level) for level in (-DISTANCE, 0.0, DISTANCE)]


def only(run, references):
    (curve,) = compare(run, references)
    return curve


@pytest.mark.parametrize("side", [-1, 1])
def test_the_range_is_as_wide_as_the_references_ask_for(references, side):
    assert only(recorded(side * (WIDTH - 1e-6)), references).left == math.inf
    curve = only(recorded(side * (WIDTH + 1e-6)), references)
    assert (curve.left, curve.back) == (20, math.inf)
    assert math.isclose(math.log10(curve.away), side * (WIDTH + 1e-6))


@pytest.mark.parametrize(("count", "factor"), [(1, 5), (2, 8), (3, 7), (4, 6)])
def test_references_that_agree_get_a_third_of_what_is_usual_and_one_alone_all(count, factor):
    share = 1 if count == 1 else 1 / 3
    width = factor * math.sqrt(1 + 1 / count) * share * USUAL["step_norm"]
    table = only(recorded(), [recorded()] * count).table
    assert np.allclose(np.log10(table["high"]), width)
    assert np.allclose(np.log10(table["low"]), -width)


def test_the_range_is_wider_where_references_differ_more_and_never_narrower_than_mostly():
    spread = np.r_[np.ones(60), 3 * np.ones(40), np.zeros(40)]
    steps = np.arange(1.0, 141)
    references = [recorded(side * DISTANCE * spread, steps=steps) for side in (-1, 0, 1)]
    width = np.log10(only(recorded(steps=steps), references).table["high"])
    assert np.allclose(width[:45], WIDTH)
    assert np.allclose(width[75:85], 3 * WIDTH)
    assert np.allclose(width[-10:], WIDTH)


@pytest.mark.parametrize(
    ("length", "left", "back"), [(1, None, None), (5, None, None), (6, 420, 540)]
)
def test_a_spike_is_no_leaving(references, length, left, back):
    level = np.zeros(ROWS)
    level[20 : 20 + length] = math.log10(4)
    level[40:44], level[44:] = -1.0, 1.0  # four records on either side
    curve = only(recorded(level), references)
    assert (curve.left, curve.back) == (left or math.inf, back or math.inf)
    if left:
        assert math.isclose(curve.away, 4)


def test_only_shared_steps_are_compared(references):
    for one in references:
        one.tables["dynamics.csv"] = one.tables["dynamics.csv"][1::2]
    level = np.where(np.arange(ROWS) % 2 == 0, 3.0, 0.0)  # far away where no reference is
    curve = only(recorded(level), references)
    assert curve.table.index.tolist() == STEPS[1::2].tolist()
    assert curve.left == math.inf


def test_a_run_that_has_just_begun_is_not_judged(references):
    assert only(recorded(3.0, steps=STEPS[:5]), references).left == math.inf
    assert only(recorded(3.0, steps=STEPS[:6]), references).left == 20


def test_the_window_is_that_of_the_whole_run_from_the_beginning():
    steps = 20.0 * np.arange(1, 337)
    assert only(recorded(steps=steps[:100]), [recorded(steps=steps)]).hold == 30


@pytest.mark.parametrize(("column", "left"), [("loss", 620), ("smoothness", math.inf)])
def test_a_loss_that_is_no_number_leaves_and_what_was_not_measured_does_not(column, left):
    run = recorded(column=column)
    run.tables["dynamics.csv"].iloc[30:, 1] = math.nan
    curve = only(run, [recorded(column=column)])
    assert curve.left == left
    assert left == math.inf or curve.away == math.inf


def test_a_loss_below_zero_is_one_in_decibels():
    run, reference = recorded(column="loss"), recorded(column="loss")
    run.tables["dynamics.csv"]["loss"] = -2.0
    reference.tables["dynamics.csv"]["loss"] = -5.0
    curve = only(run, [reference])
    assert (curve.left, curve.away, curve.quantity.unit) == (20, 3, " dB")


def test_no_threshold_is_nothing_to_compare():
    assert compare(recorded(math.inf, "threshold"), [recorded(column="threshold")]) == []


def test_epochs_are_compared_with_epochs_and_reported_as_steps():
    def history(steps_per_epoch, score):
        epoch = np.arange(1.0, 13.0)
        table = DataFrame({"step": steps_per_epoch * epoch, "valid_si_sdr": score}, index=epoch)
        return SimpleNamespace(tables={"history.csv": table})

    curve = only(history(10, 3.5), [history(40, 9.8)])
    assert curve.left == 10
    assert math.isclose(curve.away, -6.3)


def test_one_bit_is_a_difference():
    run, reference, kept = recorded(), recorded(), recorded(digits=6)
    for one in (run, reference):
        one.tables["dynamics.csv"].iloc[3, 1] = math.nan  # known to neither
    assert first_difference(run, reference) is None
    run.tables["dynamics.csv"].iloc[7, 1] = np.nextafter(1.0, 2.0)
    assert first_difference(run, reference) == 160
    kept.tables["dynamics.csv"].iloc[3, 1] = math.nan
    assert first_difference(run, kept) is None
    run.tables["dynamics.csv"].iloc[9, 1] = 1.00001
    assert first_difference(run, kept) == 200


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step,loss\n20,one\n", "could not convert"),
        ("step,loss\n40,1\n20,1\n", "not in the order of step"),
        ("step,loss\n20,1\n20,1\n", "not in the order of step"),
        ("epoch,loss\n1,1\n", "no column step"),
        ("step,loss\n20\n", "line 2 is damaged"),
    ],
)
def test_what_is_no_record_file_is_refused(tmp_path, text, message):
    (tmp_path / "dynamics.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        _ = RecordedRun(tmp_path).tables
