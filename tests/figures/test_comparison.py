"""Comparisons whose every number follows from how the records were made."""

import math

import numpy as np
import pytest

from autoclip_sep.errors import InputError
from autoclip_sep.figures.comparison import curves as comparison
from autoclip_sep.figures.comparison import picture as comparison_picture
from autoclip_sep.figures.comparison import report as comparison_text

ROWS = 48  # a running median of 3, and 6 in a row outside
STEPS = 20.0 * np.arange(1, ROWS + 1)
DISTANCE = 0.02  # between references, more than the floor for step sizes
WIDTH = 7 * math.sqrt(4 / 3) * DISTANCE


def records(level=0.0, column="step_norm", steps=STEPS):
    """A run with one series, given as log10."""
    return {"dynamics.csv": {"step": steps, column: 10 ** (level + np.zeros(len(steps)))}}


@pytest.fixture
def references():
    return [records(distance) for distance in (-DISTANCE, 0.0, DISTANCE)]


def only(run, references):
    (course,) = comparison.compare(run, references)
    return course


@pytest.mark.parametrize("side", [-1, 1])
def test_the_band_is_as_wide_as_the_references_ask_for(references, side):
    assert only(records(side * (WIDTH - 1e-6)), references).left is None
    course = only(records(side * (WIDTH + 1e-6)), references)
    assert (course.left, course.back) == (0, None)
    assert math.isclose(course.away, side * (WIDTH + 1e-6))


def test_the_step_of_leaving_is_the_first_outside(references):
    level = np.where(STEPS >= 500, math.log10(4), 0.0)
    course = only(records(level), references)
    assert course.steps[course.left] == 500
    assert math.isclose(10**course.away, 4)
    line, leaves = comparison_text.verdict([course], 3, so_far=False)
    assert leaves
    assert line == (
        "follows the 3 references up to step 500; from there the step size is "
        "4 times the reference's"
    )


@pytest.mark.parametrize(("length", "left"), [(1, None), (5, None), (6, 20)])
def test_a_spike_is_no_leaving(references, length, left):
    level = np.zeros(ROWS)
    level[20 : 20 + length] = 1.0
    course = only(records(level), references)
    assert course.left == left
    assert course.back == (None if left is None else 26)


def test_a_reference_alone_is_given_what_is_usual_between_seeds():
    usual = next(kind.usual for kind in comparison.KINDS if kind.column == "step_norm")
    width = 5 * math.sqrt(2) * usual
    assert only(records(width - 1e-6), [records()]).left is None
    assert only(records(width + 1e-6), [records()]).left == 0


def test_only_shared_steps_are_compared(references):
    for n, reference in enumerate(references):
        thinned = {key: values[1::2] for key, values in reference["dynamics.csv"].items()}
        references[n] = {"dynamics.csv": thinned}
    level = np.where(np.arange(ROWS) % 2 == 0, 3.0, 0.0)  # far away where no reference is
    course = only(records(level), references)
    assert course.steps.tolist() == STEPS[1::2].tolist()
    assert course.left is None


def test_a_run_that_has_just_begun_is_not_judged(references):
    course = only(records(3.0, steps=STEPS[:5]), references)
    assert not course.judged
    assert comparison_text.verdict([course], 3, so_far=True) == (
        "too early to tell, with 5 of 6 records", False,
    )  # fmt: skip
    assert only(records(3.0, steps=STEPS[:6]), references).left == 0


def test_the_window_is_that_of_the_whole_run_from_the_beginning():
    steps = 20.0 * np.arange(1, 337)
    assert only(records(steps=steps[:100]), [records(steps=steps)]).hold == 30


def test_a_loss_that_is_no_number_leaves():
    run = records(column="loss")
    run["dynamics.csv"]["loss"][30:] = math.nan
    course = only(run, [records(column="loss")])
    assert course.left == 30
    assert comparison_text.row(course)[1:4] == ("620", "not finite", "not finite")


def test_a_smoothness_that_was_not_measured_doesnt():
    run = records(column="smoothness")
    run["dynamics.csv"]["smoothness"][30:] = math.nan
    assert only(run, [records(column="smoothness")]).left is None


def test_a_loss_below_zero_is_one_in_decibels():
    run, reference = records(column="loss"), records(column="loss")
    run["dynamics.csv"]["loss"] = np.full(ROWS, -2.0)
    reference["dynamics.csv"]["loss"] = np.full(ROWS, -5.0)
    course = only(run, [reference])
    assert (course.kind.ratio, course.kind.unit) == (False, " dB")
    assert course.left == 0
    assert comparison_text.away(course) == "3.00 dB above it"


def test_no_threshold_is_nothing_to_compare():
    run = records(math.inf, "threshold")
    assert comparison.compare(run, [records(column="threshold")]) == []


def test_epochs_are_compared_with_epochs_and_told_as_steps():
    def history(steps_per_epoch, score):
        epoch = np.arange(1.0, 13.0)
        return {"history.csv": {"epoch": epoch, "step": steps_per_epoch * epoch,
                                "valid_si_sdr": np.full(12, score)}}  # fmt: skip

    course = only(history(10, 3.5), [history(40, 9.8)])
    assert course.steps[course.left] == 10
    assert comparison_text.away(course) == "6.30 dB below it"


def test_the_earliest_series_makes_the_verdict():
    late, early = records(np.where(STEPS >= 800, 1.0, 0.0)), records(column="grad_norm")
    early["dynamics.csv"]["grad_norm"][10:] = 100.0
    run = {"dynamics.csv": early["dynamics.csv"] | late["dynamics.csv"]}
    plain = {
        "dynamics.csv": records(column="grad_norm")["dynamics.csv"] | records()["dynamics.csv"]
    }
    line, _ = comparison_text.verdict(comparison.compare(run, [plain]), 1, so_far=False)
    assert line == (
        "follows the reference up to step 220; from there the gradient norm is 100 times the "
        "reference's; also step size (800)"
    )


def test_one_bit_is_a_difference():
    run, reference = records(), records()
    assert comparison.first_difference(run, reference) is None
    run["dynamics.csv"]["step_norm"][7] = np.nextafter(1.0, 2.0)
    assert comparison.first_difference(run, reference) == 160
    assert comparison.first_difference(run, reference, digits=6) is None
    run["dynamics.csv"]["step_norm"][9] = 1.00001
    assert comparison.first_difference(run, reference, digits=6) == 200


def test_what_both_dont_know_is_no_difference():
    run, reference = records(math.nan), records(math.nan)
    assert comparison.first_difference(run, reference) is None


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("step,loss\n20,one\n", "could not convert"),
        ("step,loss\n40,1\n20,1\n", "not in the order of step"),
        ("epoch,loss\n1,1\n", "no column step"),
        ("step,loss\n20\n", "line 2 is damaged"),
    ],
)
def test_what_is_no_record_file_is_refused(tmp_path, text, message):
    (tmp_path / "dynamics.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        comparison.read(tmp_path)


def test_the_picture_is_drawn(tmp_path, references):
    courses = comparison.compare(records(np.where(STEPS >= 500, 1.0, 0.0)), references)
    comparison_picture.draw(courses, "title", "footer", tmp_path / "new" / "picture")
    names = sorted(path.name for path in (tmp_path / "new").iterdir())
    assert names == ["picture.pdf", "picture.png"]
