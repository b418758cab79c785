import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from autoclip_sep.figures.clippers import percentiles
from autoclip_sep.figures.runs import find, frame

nan = math.nan


@pytest.fixture
def runs(add_run, tmp_path):
    """Mask inference: p = 10 and 100 with two seeds, p = 25 not evaluated; SNR: p = 0 and 100."""
    for seed in (0, 1):
        add_run("autoclip_p10", seed, 6.0 + seed, losses=[3.0, 2.0 + seed])
        add_run("none", seed, 5.0 + 3 * seed, losses=[1.0, 4.0])
    add_run("autoclip_p25", 0)
    add_run("autoclip_p0", 0, 2.0, loss="snr", losses=[-1.0, -2.0])
    add_run("autoclip_p100", 1, 2.0, loss="snr")
    return frame(find(tmp_path))


def test_the_numbers_of_a_loss(runs):
    found = percentiles.numbers(runs[runs["loss"] == "mask_inference"])
    expected = {
        "train_loss": {10: [2, 3], 25: [2, nan], 100: [4, 4]},  # of the last epoch
        "valid_loss": {10: [3, 4], 25: [3, nan], 100: [2, 2]},  # the lowest
        "si_sdr": {10: [6, 7], 25: [nan, nan], 100: [5, 8]},
        "gain": {10: [1, -1], 25: [nan, nan], 100: [0, 0]},  # seed by seed
    }
    for name, columns in expected.items():
        assert list(found[name]) == list(columns), name
        assert np.allclose(found[name], np.transpose(list(columns.values())), equal_nan=True), name


def test_without_a_common_seed_there_is_no_gain(runs):
    found = percentiles.numbers(runs[runs["loss"] == "snr"])
    assert found["gain"][0].isna().all()
    assert found["train_loss"][0].to_dict() == pytest.approx({0: -2.0, 1: nan}, nan_ok=True)


def test_curves_are_drawn_where_they_are_and_broken_where_nothing_was_run(runs):
    found = percentiles.numbers(runs[runs["loss"] == "mask_inference"])
    places = {p: n for n, p in enumerate((0, 1, 10, 25, 50, 90, 100))}
    axes = Figure().subplots()
    percentiles._curve(axes, found["si_sdr"], places)
    assert axes.lines[0].get_xdata().tolist() == [0, 1, 2, 3, 4, 5, 6]
    expected = [nan, nan, 6.5, nan, nan, nan, 6.5]
    assert np.allclose(axes.lines[0].get_ydata(), expected, equal_nan=True)
    bars = [container.lines for container in axes.containers]
    assert [marker.get_ydata().tolist() for marker, _, _ in bars] == [[6.5], [6.5]]
    spread = bars[1][2][0].get_segments()[0][:, 1]
    assert np.allclose(spread, [6.5 - 3 / math.sqrt(2), 6.5 + 3 / math.sqrt(2)])


@pytest.mark.filterwarnings("error")
def test_a_picture_for_each_corpus_and_model_with_losses_in_the_papers_order(
    runs, add_run, tmp_path
):
    add_run("autoclip_p25", 0, loss="snr")
    add_run("autoclip_p10", 0, 1.0, corpus="digits")
    add_run("autoclip_p1", 0, 1.5, corpus="digits")
    add_run("none", 0, 2.0, corpus="digits")
    add_run("none", 0, 2.0, corpus="digits", loss="chimera")
    out = tmp_path / "out"
    assert percentiles.draw_all(frame(find(tmp_path)), out) == [
        f"{out / 'percentiles_demo_blstm_demo.png'}  mask_inference best at p = 10, "
        "snr best at p = 0",
        f"{out / 'percentiles_digits_blstm_demo.png'}  mask_inference best at p = 100",
    ]
    assert (out / "percentiles_demo_blstm_demo.png").read_bytes().startswith(b"\x89PNG")
    assert (out / "percentiles_demo_blstm_demo.pdf").read_bytes().startswith(b"%PDF")


def test_two_percentiles_make_no_curve(add_run, tmp_path):
    runs = frame([add_run("autoclip_p10", 0, 1.0), add_run("none"), add_run("norm_1", 0, 1.0)])
    (line,) = percentiles.draw_all(runs, tmp_path / "out")
    assert line.startswith("not drawn: ")
