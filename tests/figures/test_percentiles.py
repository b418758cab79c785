import math
import warnings

import numpy as np
import pytest

from autoclip_sep.figures.clippers import percentiles
from autoclip_sep.figures.runs import find


@pytest.fixture
def found(add_run, tmp_path):
    """Mask inference: p = 10 and 100 with two seeds, p = 25 not evaluated; SNR: p = 0 and 100."""
    for seed in (0, 1):
        add_run("autoclip_p10", seed, 6.0 + seed, losses=[3.0, 2.0 + seed])
        add_run("none", seed, 5.0 + 3 * seed, losses=[1.0, 4.0])
    add_run("autoclip_p25", 0)
    add_run("autoclip_p0", 0, 2.0, loss="snr", losses=[-1.0, -2.0])
    add_run("autoclip_p100", 1, 2.0, loss="snr")
    return find(tmp_path)


def drawn(found, stem):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return percentiles.draw(found, stem)


def test_the_numbers_of_a_loss(found):
    row = percentiles.row("mask_inference", [run for run in found if run.group[1] != "snr"])
    assert list(row.train) == [10, 25, 100]
    assert row.train[10].values == {0: 2.0, 1: 3.0}  # of the last epoch
    assert row.train[100].mean == 4
    assert row.valid[100].mean == 2  # the lowest
    assert row.si_sdr[10].values == {0: 6.0, 1: 7.0}
    assert row.si_sdr[25].values == {}
    assert row.gain[10].values == {0: 1.0, 1: -1.0}  # seed by seed
    assert row.gain[100].values == {0: 0.0, 1: 0.0}
    assert math.isclose(row.papers_gain[10], 1.7)
    assert row.papers_gain[100] == 0


def test_without_a_common_seed_there_is_no_gain(found):
    row = percentiles.row("snr", [run for run in found if run.group[1] == "snr"])
    assert row.gain[0].values == {}
    assert row.train[0].values == {0: -2.0}


def test_rows_are_in_the_papers_order_and_files_are_written(found, tmp_path):
    rows = drawn(found, tmp_path / "out" / "percentiles")
    assert [row.loss for row in rows] == ["mask_inference", "snr"]
    assert (tmp_path / "out" / "percentiles.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "percentiles.pdf").read_bytes().startswith(b"%PDF")


def test_curves_are_drawn_where_they_are_and_broken_where_nothing_was_run(found):
    from matplotlib.figure import Figure

    row = percentiles.row("mask_inference", [run for run in found if run.group[1] != "snr"])
    places = {p: n for n, p in enumerate((0, 1, 10, 25, 50, 90, 100))}
    axes = Figure().subplots()
    percentiles._curve(axes, row.si_sdr, places)
    line = axes.lines[0]
    assert line.get_xdata().tolist() == [0, 1, 2, 3, 4, 5, 6]
    nan = math.nan
    expected = [nan, nan, 6.5, nan, nan, nan, 6.5]
    assert np.allclose(line.get_ydata(), expected, equal_nan=True)
    bars = [container.lines for container in axes.containers]
    assert [marker.get_ydata().tolist() for marker, _, _ in bars] == [[6.5], [6.5]]
    spread = bars[1][2][0].get_segments()[0][:, 1]
    assert np.allclose(spread, [6.5 - 3 / math.sqrt(2), 6.5 + 3 / math.sqrt(2)])


def test_a_picture_for_each_corpus_and_model(found, add_run, tmp_path):
    add_run("autoclip_p10", 0, 1.0, corpus="digits")
    add_run("autoclip_p1", 0, 1.5, corpus="digits")
    add_run("none", 0, 2.0, corpus="digits")
    add_run("none", 0, 2.0, corpus="digits", loss="chimera")
    lines = percentiles.draw_all(find(tmp_path), tmp_path / "out")
    out = tmp_path / "out"
    assert lines == [
        f"{out / 'percentiles_demo_blstm_demo.png'}  mask_inference best at p = 10",
        f"{out / 'percentiles_digits_blstm_demo.png'}  mask_inference best at p = 100",
    ]


def test_what_cannot_be_drawn_is_told(add_run, tmp_path):
    add_run("autoclip_p10", 0, 1.0)
    add_run("norm_1", 0, 1.0)
    (line,) = percentiles.draw_all(find(tmp_path), tmp_path / "out")
    assert line.startswith("not drawn: ")
