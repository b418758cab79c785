import math

import numpy as np
import pytest

from autoclip_sep.errors import InputError
from autoclip_sep.figures.figure1 import training_dynamics
from autoclip_sep.figures.figure1.stage import Stage, _short
from autoclip_sep.figures.run_dynamics import dynamics
from autoclip_sep.figures.runs import find, frame


@pytest.fixture
def moving(add_run):
    """A function that adds a run whose log smoothness is `slope` times its log norm, plus noise.

    It has no smoothness in the fourth row.
    """

    def add(label="autoclip_p10", *, rows=60, slope=1.0, noise=0.0, offset=0.0, seed=0, **settings):
        rng, steps = np.random.default_rng(seed), np.arange(rows)
        logs = rng.standard_normal(rows)
        smoothness = np.exp(slope * logs + noise * rng.standard_normal(rows))
        smoothness[3:4] = math.nan
        return add_run(
            label, seed, grad_norm=np.exp(logs), smoothness=smoothness, step_norm=0.5 + steps % 2,
            loss_=np.exp(-steps / max(rows, 1)) + offset,
            threshold=0.01 * (steps + 1) if label != "none" else [math.inf] * rows, **settings,
        )  # fmt: skip

    return add


def stage_of(*found, loss="mask_inference"):
    stage = Stage([dynamics(run) for run in found], loss, "where from", "title")
    stage.show()
    return stage


def test_the_numbers_of_a_run(moving):
    found = dynamics(moving())
    assert found.label == "AutoClip, p = 10"
    assert math.isclose(found.r, 1.0, abs_tol=1e-12)
    assert math.isclose(found.threshold, math.log10(0.6), rel_tol=1e-12)
    assert len(found.probed) == 59  # the row without a smoothness has no place in the density
    assert np.allclose(np.log(found.rows["loss"]), -np.arange(60) / 60)
    assert found.rows["step"].iloc[-1] == 1200


@pytest.mark.parametrize("label", ["none", "autoclip_p100"])
def test_without_clipping_there_is_no_threshold(moving, label):
    assert dynamics(moving(label)).threshold == math.inf


def test_a_run_until_a_step_knows_nothing_of_later_ones(moving):
    run = moving(noise=1.0)
    early = dynamics(run).until(210)
    assert early.rows["step"].tolist() == list(range(20, 201, 20))
    assert early.probed["step"].tolist() == [20, 40, 60, *range(100, 201, 20)]
    x, y = (np.log(np.delete(run.dynamics[key][:10], 3)) for key in ("grad_norm", "smoothness"))
    assert math.isclose(early.r, np.corrcoef(x, y)[0, 1], rel_tol=1e-9)
    assert math.isclose(early.threshold, math.log10(0.1), rel_tol=1e-12)
    none = dynamics(run).until(19)
    assert (len(none.rows), len(none.probed), none.threshold) == (0, 0, math.inf)
    assert math.isnan(none.r)
    assert math.isnan(dynamics(run).until(40).r)  # of two points


def test_too_few_rows_are_an_error(moving):
    with pytest.raises(InputError, match="train longer"):
        dynamics(moving(rows=2))


def test_every_recorded_step_is_drawn_spikes_and_all(moving):
    run = moving("none")
    run.dynamics["step_norm"][30] = 40.0
    stage = stage_of(run, moving())
    thin, thick = stage.sizes[0]
    assert thin.get_xdata().tolist() == run.dynamics["step"].tolist()
    assert thin.get_ydata().tolist() == run.dynamics["step_norm"].tolist()
    assert thin.axes.get_ylim()[0] == 0
    assert thin.axes.get_ylim()[1] > 40
    assert thick.get_ydata().max() <= 1.5  # the running median has no spikes


def test_losses_above_0_are_drawn_as_their_natural_log(moving):
    thin, _ = stage_of(moving("none"), moving()).losses[0]
    assert np.allclose(thin.get_ydata(), -np.arange(60) / 60)
    assert thin.axes.get_ylabel() == r"ln $L_\mathrm{MI}$"
    assert thin.axes.get_title() == "Training loss"


def test_where_one_run_has_a_negative_loss_both_are_linear_and_the_title_says_so(moving):
    found = moving("none"), moving(offset=-0.9)
    stage = stage_of(*found, loss="snr")
    for (thin, _), run in zip(stage.losses, found, strict=True):
        assert thin.get_ydata().tolist() == run.dynamics["loss"].tolist()
    assert thin.axes.get_ylabel() == r"$L_\mathrm{SNR}$ [dB]"
    assert "linear" in thin.axes.get_title()
    assert r"signal-to-noise ratio, $L_\mathrm{SNR}$" in stage.figure.get_suptitle()


def test_the_densities_share_axes_and_colours_and_one_shows_the_threshold(moving):
    stage = stage_of(moving("none", noise=1.0, rows=90), moving())
    left, right = (hexagons.axes for hexagons in stage.hexagons)
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    assert (left.get_title(), right.get_title()) == ("No clipping", "AutoClip, p = 10")
    counts = [hexagons.get_array() for hexagons in stage.hexagons]
    assert [one.sum() for one in counts] == [89, 59]
    for hexagons in stage.hexagons:
        assert hexagons.get_clim() == (1, max(one.max() for one in counts))
    assert math.isnan(stage.thresholds[0].get_xdata()[0])  # nothing is clipped
    assert list(right.lines) == [stage.thresholds[1]]
    assert stage.thresholds[1].get_xdata() == pytest.approx([math.log10(0.6)] * 2)
    assert stage.values[1].get_text() == "threshold at the end\n0.6"
    r = stage.runs[0].r
    assert [note.get_text() for note in stage.notes] == [f"r = {r:.2f}", "r = 1.00"]


def test_numbers_are_short_and_negative_ones_have_a_minus_sign(moving):
    assert [_short(value) for value in (0.00024, 0.0024, 21.6)] == [
        r"$2.4 \times 10^{-4}$", "0.0024", "22",
    ]  # fmt: skip
    stage = stage_of(moving("none"), moving(slope=-1.0))
    assert stage.notes[1].get_text() == "r = \N{MINUS SIGN}1.00"


def test_every_pair_is_drawn_to_the_same_bytes_and_what_can_not_be_is_named(moving, tmp_path):
    for loss, rows in (("whitened_kmeans", 60), ("mask_inference", 2)):
        for label in ("autoclip_p100", "autoclip_p10"):
            moving(label, loss=loss, rows=rows)
    runs = frame(find(tmp_path))
    short, drawn = training_dynamics.draw_all(runs, tmp_path / "out")
    assert short.startswith("not drawn: ")
    assert "at least 3 are needed" in short
    stem = "training_dynamics_demo_whitened_kmeans_blstm_demo"
    assert drawn == f"{tmp_path / 'out' / stem}.png  r = 1.00 without clipping, 1.00 with AutoClip"
    training_dynamics.draw_all(runs, tmp_path / "again")
    for suffix, start in ((".pdf", b"%PDF"), (".png", b"\x89PNG")):
        one, other = (tmp_path / name / (stem + suffix) for name in ("out", "again"))
        assert one.read_bytes().startswith(start)
        assert one.read_bytes() == other.read_bytes()
    assert len(list((tmp_path / "out").iterdir())) == 2


def test_without_a_pair_one_line_says_what_was_expected(moving, tmp_path):
    (line,) = training_dynamics.draw_all(frame([moving()]), tmp_path / "out")
    assert line.startswith("not drawn: training_dynamics, no two runs")
    assert not (tmp_path / "out").exists()
