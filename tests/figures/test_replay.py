import math

import numpy as np
import pytest
from matplotlib.colors import to_rgba

from autoclip_sep.errors import InputError
from autoclip_sep.figures.clippers import replay
from autoclip_sep.figures.clippers.replay import Curve, apart

STEPS = np.arange(1.0, 9.0) * 20
NORMS = np.array([3.0, 1.0, 0.0, math.nan, 5.0, 2.0, 4.0, 6.0])
LOW = np.array([3.0, 1.0, 0.5, math.inf, 0.6, 0.7, 0.8, 0.9])

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture
def draw(saved, tmp_path):
    """A function that draws curves over norms: the figure's two axes."""

    def draw(*curves, norms=NORMS, steps=STEPS):
        return replay.draw(steps, norms, curves, "from here", tmp_path).axes

    return draw


def test_norms_and_thresholds_are_drawn_where_they_are(draw):
    left, right = draw(Curve(50, 2 * LOW, 0.25), Curve(10, LOW, 0.75))
    dots, *lines = left.lines
    assert dots.get_xdata().tolist() == [20, 40, 100, 120, 140, 160]  # neither 0 nor NaN
    assert dots.get_ydata().tolist() == [3, 1, 5, 2, 4, 6]
    assert left.get_yscale() == "log"
    for factor, halo, curve in zip((1, 2), lines[::2], lines[1::2], strict=True):
        assert curve.get_xdata().tolist() == [20, 40, 60, 100, 120, 140, 160]
        assert np.array_equal(curve.get_ydata(), factor * LOW[np.isfinite(LOW)])
        assert np.array_equal(curve.get_ydata(), halo.get_ydata())
    assert [text.get_text() for text in left.texts] == ["p = 10", "p = 50"]
    assert [bar.get_width() for bar in right.patches] == [0.75, 0.25]
    assert [text.get_text() for text in right.texts] == ["75.0%", "25.0%"]
    assert [label.get_text() for label in right.get_yticklabels()] == ["p = 10", "p = 50"]
    for curve, bar in zip(lines[1::2], right.patches, strict=True):
        assert to_rgba(curve.get_color()) == to_rgba(bar.get_facecolor())
    assert left.figure.get_supxlabel() == "from here"


def test_both_files_are_written(tmp_path):
    replay.draw(STEPS, NORMS, [Curve(10, LOW, 0.75)], "", tmp_path / "out" / "replay")
    assert (tmp_path / "out" / "replay.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "replay.pdf").read_bytes().startswith(b"%PDF")


def test_names_stand_at_the_ends_of_their_curves(draw):
    left, _ = draw(Curve(10, LOW, 0.75), Curve(90, 5 * LOW, 0.1))
    low, high = np.log10(left.get_ylim())
    for text, end in zip(left.texts, (0.9, 4.5), strict=True):
        assert math.isclose(text.xy[1], (math.log10(end) - low) / (high - low))


def test_a_long_curve_is_thinned_but_keeps_its_ends(draw):
    count = 3 * replay.MOST_POINTS + 3
    steps = np.arange(1.0, count + 1)
    dots, _, curve = draw(Curve(10, steps / 7, 0.5), norms=np.ones(count), steps=steps)[0].lines
    assert len(dots.get_xdata()) == count
    assert len(curve.get_xdata()) <= replay.MOST_POINTS + 2
    assert curve.get_xdata()[[0, -1]].tolist() == [1, count]
    assert np.array_equal(curve.get_ydata(), curve.get_xdata() / 7)


@pytest.mark.parametrize("threshold", [math.inf, 0.0])
def test_a_threshold_that_a_log_axis_cannot_show_has_no_name(draw, threshold):
    left, right = draw(Curve(0, np.full(8, threshold), 0.0), Curve(90, LOW, 0.1))
    assert [text.get_text() for text in left.texts] == ["p = 90"]
    assert len(right.patches) == 2


def test_a_single_norm_is_drawn_and_none_above_0_is_an_error(draw):
    one = np.ones(1)
    assert draw(Curve(10, one, 0.0), norms=one, steps=one)[0].lines[0].get_ydata().tolist() == [1]
    with pytest.raises(InputError, match="every norm is 0"):
        draw(Curve(10, LOW, 0.5), norms=np.zeros(8))


@pytest.mark.parametrize(
    ("heights", "expected"),
    [
        ([], []),
        ([0.1, 0.5], [0.1, 0.5]),
        ([0.5, 0.5], [0.45, 0.55]),
        ([0.5, 0.5, 0.5], [0.4, 0.5, 0.6]),
        ([0.41, 0.5, 0.5], [0.37, 0.47, 0.57]),  # the pair meets the first: all three move
        ([0.1, 0.5, 0.5, 0.9], [0.1, 0.45, 0.55, 0.9]),
    ],
)
def test_names_are_moved_apart_and_no_further(heights, expected):
    assert np.allclose(apart(heights, 0.1), expected)
