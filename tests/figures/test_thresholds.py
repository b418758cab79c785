import math
import warnings

import numpy as np
import pytest

from autoclip_sep.errors import InputError
from autoclip_sep.figures.clippers import clipped_shares, thresholds
from autoclip_sep.figures.clipping_methods import NO_CLIPPING, by_clipping, clipping
from autoclip_sep.figures.runs import find


def drawn(module, found, stem):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return module.draw(found, stem)


def test_the_numbers_of_a_percentile(add_run):
    first = add_run(seed=0, norms=(4.0, 0.0, math.nan, 3.0), thresholds=(2.0, 2.0, 2.0, 3.0),
                    shares=[0.2, 0.6])  # fmt: skip
    other = add_run(seed=3, thresholds=(1.0, 1.0, 1.0, 2.5), shares=[0.0, 0.0])
    found = thresholds.panel("p = 10", {3: other, 0: first})
    assert found.step.tolist() == [5, 20]  # a norm of 0 and NaN can't be shown
    assert found.norm.tolist() == [4, 3]
    assert found.threshold.tolist() == [2, 3]
    assert found.clipped.tolist() == [True, False]
    ((steps, values),) = found.others
    assert steps.tolist() == [5, 10, 15, 20]
    assert values.tolist() == [1, 1, 1, 2.5]
    assert found.share.values == {0: 0.4, 3: 0.0}


def test_a_panel_for_each_percentile_rising(add_run, tmp_path):
    for label in ("autoclip_p50", "none", "autoclip_p1"):
        add_run(label, thresholds=[math.inf if label == "none" else 2.0] * 4)
    panels = drawn(thresholds, find(tmp_path), tmp_path / "out" / "thresholds")
    assert [one.name for one in panels] == ["p = 1", "p = 50", "p = 100"]
    assert np.isnan(panels[2].threshold).all()
    assert not panels[2].clipped.any()
    assert (tmp_path / "out" / "thresholds.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "thresholds.pdf").read_bytes().startswith(b"%PDF")


def test_cloud_and_threshold_are_drawn_where_they_are(add_run):
    from matplotlib.figure import Figure

    axes = Figure().subplots()
    thresholds._panel(
        axes, thresholds.panel("p = 10", {0: add_run(thresholds=(2.0, 2.0, 2.0, 2.5))})
    )
    left_alone, clipped, halo, line = axes.lines
    assert left_alone.get_ydata().tolist() == [1, 2]
    assert clipped.get_ydata().tolist() == [4, 3]
    assert line.get_ydata().tolist() == halo.get_ydata().tolist() == [2, 2, 2, 2.5]
    assert axes.get_yscale() == "log"
    assert axes.get_title() == "p = 10, 50.0% clipped"


def test_norms_of_nothing_but_zeros_are_told(add_run, tmp_path):
    run = add_run(norms=(0.0, 0.0))
    with pytest.raises(InputError, match="no gradient norm above 0"):
        thresholds.panel("p = 10", {0: run})
    (line,) = thresholds.draw_all(find(tmp_path), tmp_path / "out")
    assert line.startswith(f"not drawn: {run.directory}")


def test_a_picture_for_each_loss_with_a_percentile_below_100(add_run, tmp_path):
    add_run("none")
    (line,) = thresholds.draw_all(find(tmp_path), tmp_path / "out")
    assert line.startswith("not drawn: thresholds over training")
    add_run("autoclip_p10", thresholds=[2.0] * 4)
    add_run("autoclip_p10", loss="snr", thresholds=[2.0] * 4, shares=[1.0, 1.0])
    lines = thresholds.draw_all(find(tmp_path), tmp_path / "out")
    stem = tmp_path / "out" / "thresholds_demo"
    assert lines == [
        f"{stem}_mask_inference_blstm_demo.png  clipped 50.0% at p = 10, 50.0% at p = 100",
        f"{stem}_snr_blstm_demo.png  clipped 100.0% at p = 10",
    ]


def test_a_run_that_goes_on_is_drawn_as_far_as_it_is(add_run, tmp_path):
    add_run("autoclip_p10", epochs=9, done=0, thresholds=[2.0] * 4)
    (line,) = thresholds.draw_all(find(tmp_path), tmp_path / "out")
    assert line.startswith("not drawn: thresholds over training")
    add_run("autoclip_p10", seed=1, epochs=9, done=2, thresholds=[2.0] * 4)
    (line,) = thresholds.draw_all(find(tmp_path), tmp_path / "out")
    assert line.endswith("clipped 50.0% at p = 10")


def test_a_share_is_weighted_by_steps_and_passes_over_epochs_without_one(add_run):
    run = add_run(epochs=3, shares=[0.1, math.nan, 0.4])
    run.history["step"][:] = (10, 20, 50)
    assert math.isclose(clipped_shares.share(run), (10 * 0.1 + 30 * 0.4) / 40)
    assert math.isnan(clipped_shares.share(add_run(seed=1, shares=[math.nan, math.nan])))


def test_courses_over_seeds(add_run, tmp_path):
    add_run("none")
    add_run("norm_0.1", seed=0, shares=[0.2, 0.4])
    add_run("norm_0.1", seed=1, shares=[0.6, 0.4])
    add_run("autoclip_p10", shares=[1.0, 0.9])
    first, second = drawn(clipped_shares, find(tmp_path), tmp_path / "out" / "clipped")
    assert (first.clipping.name, second.clipping.name) == (
        "AutoClip, p = 10", "Global norm, threshold = 0.1",
    )  # fmt: skip
    assert np.allclose(second.mean, [0.4, 0.4])
    assert np.allclose(second.least, [0.2, 0.4])
    assert np.allclose(second.most, [0.6, 0.4])
    assert np.allclose(list(second.total.values.values()), [0.3, 0.5])
    assert (tmp_path / "out" / "clipped.pdf").read_bytes().startswith(b"%PDF")


def test_shares_are_drawn_where_two_clippings_are(add_run, tmp_path):
    add_run("none")
    add_run("autoclip_p10")
    (line,) = clipped_shares.draw_all(find(tmp_path), tmp_path / "out")
    assert line.startswith("not drawn: ")
    add_run("alrc_n3", shares=[0.0, 0.25])
    (line,) = clipped_shares.draw_all(find(tmp_path), tmp_path / "out")
    stem = tmp_path / "out" / "clipped_demo_mask_inference_blstm_demo"
    assert line == f"{stem}.png  AutoClip, p = 10 50.0%; ALRC, n = 3 12.5%"


def test_clippings_are_told_apart_by_family_and_setting(add_run, tmp_path):
    names = {
        "none": NO_CLIPPING, "autoclip_p100": NO_CLIPPING, "shadow": NO_CLIPPING,
        "autoclip_p0.5": "AutoClip, p = 0.5", "norm_10": "Global norm, threshold = 10",
        "norm_2": "Global norm, threshold = 2", "alrc_n3": "ALRC, n = 3",
    }  # fmt: skip
    for label, expected in names.items():
        assert clipping(add_run(label)).name == expected
    found = by_clipping(find(tmp_path))
    assert [one.name for one in found] == [
        NO_CLIPPING, "AutoClip, p = 0.5", "ALRC, n = 3", "Global norm, threshold = 2",
        "Global norm, threshold = 10",
    ]  # fmt: skip


def test_every_clipper_has_a_name(add_run):
    run = add_run()
    run.config["clipping"] = {
        "_target_": "autoclip_sep.clipping.Combined",
        "loss": {"_target_": "autoclip_sep.clipping.ALRC", "num_stddev": 3, "signed": False},
        "gradients": {"_target_": "autoclip_sep.clipping.AutoClip", "percentile": 10},
    }
    assert clipping(run).name == "ALRC and AutoClip, p = 10, n = 3"
    run.config["clipping"] = {"_target_": "autoclip_sep.clipping.AGC", "ratio": 0.01}
    assert clipping(run).name == "AGC, ratio = 0.01"
