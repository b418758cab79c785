import math

import numpy as np
import pytest

from autoclip_sep.figures.clippers import thresholds
from autoclip_sep.figures.runs import find, frame

NORMS = (4.0, 1.0, 2.0, 3.0)


@pytest.fixture
def add(add_run):
    """A function that adds a run with a threshold of 2, of 2.5 at the end."""

    def add(label="autoclip_p10", seed=0, norms=NORMS, last=2.5, **settings):
        return add_run(label, seed, grad_norm=norms,
                       threshold=[2.0] * (len(norms) - 1) + [last], **settings)  # fmt: skip

    return add


def test_cloud_and_thresholds_are_drawn_where_they_are(add, saved, tmp_path):
    add(seed=3, last=1.0, shares=[0.0, 0.0])
    add(norms=(*NORMS, 0.0, math.nan, 3.0), shares=[0.2, 0.6])
    thresholds.draw_all(frame(find(tmp_path)), tmp_path / "out")
    (axes,) = saved[0].axes
    left_alone, clipped, other, halo, line = axes.lines
    assert left_alone.get_ydata().tolist() == [1, 2]
    assert clipped.get_ydata().tolist() == [4, 3, 3]
    assert clipped.get_xdata().tolist() == [20, 80, 140]  # a norm of 0 and NaN can't be shown
    assert other.get_ydata().tolist() == [2, 2, 2, 1]
    assert line.get_ydata().tolist() == halo.get_ydata().tolist() == [2, 2, 2, 2, 2.5]
    assert axes.get_yscale() == "log"
    assert axes.get_title() == "p = 10, 20.0% clipped"


@pytest.mark.filterwarnings("error")
def test_a_panel_for_each_percentile_rising(add, add_run, tmp_path):
    for label in ("autoclip_p50", "autoclip_p1"):
        add(label)
    add_run("none")
    (line,) = thresholds.draw_all(frame(find(tmp_path)), tmp_path / "out")
    assert line.endswith("clipped 50.0% at p = 1, 50.0% at p = 50, 50.0% at p = 100")
    stem = tmp_path / "out" / "thresholds_demo_mask_inference_blstm_demo"
    assert stem.with_suffix(".png").read_bytes().startswith(b"\x89PNG")
    assert stem.with_suffix(".pdf").read_bytes().startswith(b"%PDF")


def test_without_clipping_there_is_no_threshold(add_run, saved, tmp_path):
    runs = [add_run("none")]
    assert thresholds.draw({"p = 100": runs}, "title", [], tmp_path) == {"p = 100": 0.5}
    *_, line = saved[0].axes[0].lines
    assert np.isnan(line.get_ydata()).all()


def test_norms_of_nothing_but_zeros_are_reported(add, tmp_path):
    run = add(norms=(0.0, 0.0))
    (line,) = thresholds.draw_all(frame([run]), tmp_path / "out")
    assert line == f"not drawn: {run.directory}: no gradient norm above 0 to draw"


def test_a_picture_for_each_loss_with_a_percentile_below_100(add, add_run, saved, tmp_path):
    add_run("none")
    (line,) = thresholds.draw_all(frame(find(tmp_path)), tmp_path)
    assert line.startswith("not drawn: thresholds over training")
    add()
    add(loss="snr", shares=[1.0, 1.0])
    stem = tmp_path / "thresholds_demo"
    assert thresholds.draw_all(frame(find(tmp_path)), tmp_path) == [
        f"{stem}_mask_inference_blstm_demo.png  clipped 50.0% at p = 10, 50.0% at p = 100",
        f"{stem}_snr_blstm_demo.png  clipped 100.0% at p = 10",
    ]


def test_a_run_that_goes_on_is_drawn_as_far_as_it_is(add, saved, tmp_path):
    add(epochs=9, done=0)
    (line,) = thresholds.draw_all(frame(find(tmp_path)), tmp_path)
    assert line.startswith("not drawn: thresholds over training")
    add(seed=1, epochs=9, done=2)
    (line,) = thresholds.draw_all(frame(find(tmp_path)), tmp_path)
    assert line.endswith("clipped 50.0% at p = 10")
