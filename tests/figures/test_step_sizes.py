import numpy as np
import pytest

from autoclip_sep.figures.clippers import step_sizes
from autoclip_sep.figures.runs import frame

SPIKY = np.full(80, 2.0)
SPIKY[[10, 60, 79]] = 3.0, 6.0, 2.51
SPIKY[[30, 50]] = 2.5, 1.0  # exactly SPIKE running medians is none, nor is a small step
EVEN = np.full(80, 2.0)


def test_spikes_are_steps_above_so_many_running_medians(add_run):
    found = step_sizes.sizes(add_run("none", step_norm=SPIKY))
    assert found["step"].tolist() == list(range(20, 1601, 20))
    assert found["size"].tolist() == SPIKY.tolist()
    assert found["median"].tolist() == [2.0] * 80
    assert np.flatnonzero(found["spike"]).tolist() == [10, 60, 79]


def test_a_slow_change_of_the_step_size_is_no_spike(add_run):
    found = step_sizes.sizes(add_run("none", step_norm=np.geomspace(1, 100, 400)))
    assert not found["spike"].any()


def test_every_step_is_drawn_from_its_median_and_every_spike_marked(add_run, saved, tmp_path):
    pair = [add_run("none", step_norm=SPIKY), add_run("autoclip_p10", step_norm=EVEN)]
    assert step_sizes.draw([pair], ["a loss"], "title", "where from", tmp_path) == [3, 0]
    _, left, right = saved[0].axes
    marks = [path.vertices[:, 1].tolist() for path in left.collections[0].get_paths()]
    assert marks == [[2.0, size] for size in SPIKY]
    assert left.lines[1].get_ydata().tolist() == [3.0, 6.0, 2.51]
    assert left.get_ylim() == right.get_ylim() == (0, step_sizes.HEADROOM * 6)
    assert left.get_xlim() == right.get_xlim()
    assert [left.get_title(loc) for loc in ("left", "right")] == ["a loss", "No clipping"]
    assert right.get_title("right") == "AutoClip, p = 10"
    variation = SPIKY[40:].std() / SPIKY[40:].mean()
    assert [axes.texts[0].get_text() for axes in (left, right)] == [
        f"3 spikes of 80  ·  2nd half: std/mean {variation:.2f}, max/median 3.00",
        "0 spikes of 80  ·  2nd half: std/mean 0.00, max/median 1.00",
    ]


@pytest.fixture
def pair_of(add_run):
    """A function that adds a run without clipping and one with, of the same settings."""

    def add(without=SPIKY, clipped=EVEN, **settings):
        return [add_run("none", step_norm=without, **settings),
                add_run("autoclip_p10", step_norm=clipped, **settings)]  # fmt: skip

    return add


def test_one_figure_has_all_losses_in_the_papers_order(pair_of, tmp_path):
    found = [
        *pair_of(loss="snr"), *pair_of(loss="deep_clustering", changed="abcdef"),
        *pair_of(loss="mask_inference"), *pair_of(model="blstm", clipped=SPIKY),
    ]  # fmt: skip
    stem = tmp_path / "out" / "step_sizes_demo_blstm"
    assert step_sizes.draw_all(frame(found), tmp_path / "out") == [
        f"{stem}.png  3 spikes without clipping, 3 with AutoClip",
        f"{stem}_demo.png  9 spikes without clipping, 0 with AutoClip",
    ]
    assert (tmp_path / "out" / "step_sizes_demo_blstm.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "step_sizes_demo_blstm_demo.pdf").read_bytes().startswith(b"%PDF")


def test_rows_are_named_by_loss_and_by_settings_where_they_differ(pair_of, saved, tmp_path):
    found = [*pair_of(loss="snr"), *pair_of(changed="abcdef"), *pair_of(), *pair_of(loss="other_")]
    step_sizes.draw_all(frame(found), tmp_path)
    assert [axes.get_title("left") for axes in saved[0].axes[1::2]] == [
        r"mask inference, $L_\mathrm{MI}$ (defaults)", r"mask inference, $L_\mathrm{MI}$ (abcdef)",
        r"signal-to-noise ratio, $L_\mathrm{SNR}$", "other ",
    ]  # fmt: skip


def test_a_run_without_records_is_named_and_the_others_are_drawn(pair_of, saved, tmp_path):
    runs = frame([*pair_of([], [], loss="snr"), *pair_of()])
    refused, drawn = step_sizes.draw_all(runs, tmp_path)
    assert refused.startswith("not drawn: ")
    assert "holds no rows yet" in refused
    assert drawn.endswith("3 spikes without clipping, 0 with AutoClip")
    assert step_sizes.draw_all(runs[:2], tmp_path) == [refused]


def test_without_a_pair_one_line_says_what_was_expected(add_run, tmp_path):
    (line,) = step_sizes.draw_all(frame([add_run("none")]), tmp_path)
    assert line.startswith("not drawn: step sizes, no two runs")
