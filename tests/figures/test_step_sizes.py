import math
from pathlib import Path

import numpy as np
import pytest

from autoclip_sep.dynamics import COLUMNS
from autoclip_sep.figures.clippers import step_sizes
from autoclip_sep.figures.runs import RunFound
from autoclip_sep.figures.scores import results
from autoclip_sep.runs.records import Records


@pytest.fixture
def stepping(add_run):
    """A function that adds a run with these step sizes, recorded every 20 steps."""

    def add(label, sizes, **settings):
        run = add_run(label, **settings)
        (run.directory / "dynamics.csv").unlink()
        file = Records(run.directory / "dynamics.csv", COLUMNS)
        for n, size in enumerate(sizes):
            file.append({
                "step": 20 * (n + 1), "epoch": 1, "loss": 1.0, "grad_norm": 1.0, "scale": 1.0,
                "threshold": 1.0, "step_norm": float(size), "smoothness": 1.0, "lr": 1e-3,
                "skipped": 0,
            })  # fmt: skip
        return run

    return add


def spiky():
    """80 steps of size 2, but for five; the spikes are the 11th, 61st and 80th."""
    sizes = np.full(80, 2.0)
    sizes[[10, 60, 79]] = 3.0, 6.0, 2.51
    sizes[[30, 50]] = 2.5, 1.0  # exactly SPIKE running medians is none, nor is a small step
    return sizes


def test_spikes_are_steps_above_so_many_running_medians(stepping):
    found = step_sizes.sizes(stepping("none", spiky()))
    assert found.label == "No clipping"
    assert found.step.tolist() == list(range(20, 1601, 20))
    assert found.size.tolist() == spiky().tolist()
    assert found.median.tolist() == [2.0] * 80
    assert np.flatnonzero(found.spikes).tolist() == [10, 60, 79]


def test_a_slow_change_of_the_step_size_is_no_spike(stepping):
    found = step_sizes.sizes(stepping("none", np.geomspace(1, 100, 400)))
    assert not found.spikes.any()


def test_variation_and_peak_are_of_the_second_half(stepping):
    run = stepping("none", [9.0, 9.0, 9.0, 9.0, 1.0, 1.0, 3.0, 3.0])
    found = step_sizes.sizes(run)
    assert math.isclose(found.variation, 0.5)
    assert math.isclose(found.peak, 1.5)
    assert found.variation == results.step_variation(run)  # as in the table


def drawn_by(monkeypatch, *arguments):
    """The figure that step_sizes.draw saves."""
    saved = []
    monkeypatch.setattr(step_sizes.style, "save", lambda figure, stem: saved.append(figure))
    step_sizes.draw(*arguments)
    return saved[0]


def test_every_step_is_drawn_from_its_median_and_every_spike_marked(
    stepping, monkeypatch, tmp_path
):
    pair = stepping("none", spiky()), stepping("autoclip_p10", np.full(80, 2.0))
    figure = drawn_by(monkeypatch, [("a loss", pair)], tmp_path / "sizes")
    _, left, right = figure.axes
    marks = [path.vertices[:, 1].tolist() for path in left.collections[0].get_paths()]
    assert marks == [[2.0, size] for size in spiky()]
    _, spikes = left.lines
    assert spikes.get_ydata().tolist() == [3.0, 6.0, 2.51]
    assert left.get_ylim() == right.get_ylim() == (0, step_sizes.HEADROOM * 6)
    assert left.get_xlim() == right.get_xlim()
    assert [left.get_title(loc) for loc in ("left", "right")] == ["a loss", "No clipping"]
    assert right.get_title("right") == "AutoClip, p = 10"
    assert [text.get_text() for text in right.texts] == [
        "0 spikes of 80  ·  2nd half: std/mean 0.00, max/median 1.00"
    ]
    numbers = step_sizes.sizes(pair[0])
    assert left.texts[0].get_text() == (
        f"3 spikes of 80  ·  2nd half: std/mean {numbers.variation:.2f}, max/median 3.00"
    )


def test_one_figure_has_all_losses_in_the_papers_order(stepping, tmp_path):
    found = []
    for loss, changed in (("snr", ""), ("deep_clustering", "abcdef"), ("mask_inference", "")):
        found.append(stepping("none", spiky(), loss=loss, changed=changed))
        found.append(stepping("autoclip_p10", np.ones(80), loss=loss, changed=changed))
    found += [
        stepping("none", spiky(), model="blstm"),
        stepping("autoclip_p10", spiky(), model="blstm"),
    ]
    lines = step_sizes.draw_all(found, tmp_path / "out")
    stem = tmp_path / "out" / "step_sizes_demo_blstm"
    assert lines == [
        f"{stem}_demo.png  9 spikes without clipping, 0 with AutoClip",
        f"{stem}.png  3 spikes without clipping, 3 with AutoClip",
    ]
    assert (tmp_path / "out" / "step_sizes_demo_blstm.png").read_bytes().startswith(b"\x89PNG")
    assert (tmp_path / "out" / "step_sizes_demo_blstm_demo.pdf").read_bytes().startswith(b"%PDF")


def test_rows_are_named_by_loss_and_by_settings_where_they_differ():
    runs = [RunFound(Path("runs/demo", loss, "blstm", "none", seed)) for loss, seed in (
        ("snr", "seed0"), ("mask_inference", "seed0-abcdef"), ("mask_inference", "seed0"),
        ("some_loss", "seed0"),
    )]  # fmt: skip
    rows = {run.group: (run, run) for run in runs}
    assert [step_sizes._name(group, rows) for group in sorted(rows, key=step_sizes._order)] == [
        r"mask inference, $L_\mathrm{MI}$ (defaults)", r"mask inference, $L_\mathrm{MI}$ (abcdef)",
        r"signal-to-noise ratio, $L_\mathrm{SNR}$", "some loss",
    ]  # fmt: skip


def test_the_small_print_names_a_model_once_without_digits(stepping, monkeypatch, tmp_path):
    said = []
    monkeypatch.setattr(step_sizes.style, "footer", lambda figure, text: said.append(text))
    found = [stepping(clipping, spiky(), loss=loss, changed=changed)
             for clipping in ("none", "autoclip_p10")
             for loss, changed in (("snr", ""), ("deep_clustering", "abcdef"))]  # fmt: skip
    step_sizes.draw_all(found, tmp_path / "out")
    (line,) = said
    assert "  blstm_demo (2 × 128, batches of 4)" in line


def test_a_run_without_records_is_named_and_the_others_are_drawn(stepping, tmp_path):
    found = [stepping(label, [], loss="snr") for label in ("none", "autoclip_p10")]
    (line,) = step_sizes.draw_all(found, tmp_path / "out")
    assert line.startswith("not drawn: ")
    assert "holds no rows yet" in line
    found += [stepping(label, spiky()) for label in ("none", "autoclip_p10")]
    refused, drawn = step_sizes.draw_all(found, tmp_path / "out")
    assert refused == line
    assert drawn.endswith("3 spikes without clipping, 3 with AutoClip")


def test_without_a_pair_one_line_says_what_was_looked_for(stepping, tmp_path):
    (line,) = step_sizes.draw_all([stepping("none", spiky())], tmp_path)
    assert line.startswith("not drawn: step sizes, no two runs")
