import itertools
import math

import numpy as np
import pytest
from PIL import Image

from autoclip_sep.figures.figure1 import animation, training_dynamics
from autoclip_sep.figures.runs import frame

ROWS = np.arange(40)


@pytest.fixture
def pair(add_run, monkeypatch):
    """Two runs of 40 rows, every 20 steps, whose smoothness follows their norm."""
    monkeypatch.setattr(animation, "FRAMES", 5)
    rng, found = np.random.default_rng(0), []
    for label in ("autoclip_p100", "autoclip_p10"):
        norm, noise = np.exp(rng.standard_normal((2, len(ROWS))))
        found.append(add_run(
            label, grad_norm=norm, smoothness=norm * noise, threshold=0.01 * (ROWS + 1),
            step_norm=0.5 + ROWS % 2, loss_=np.exp(-ROWS / 10),
        ))  # fmt: skip
    return frame(found)


@pytest.fixture
def stage(pair):
    return training_dynamics.of_pair(pair)


@pytest.fixture
def frames(pair, tmp_path):
    """The pictures of the file, and how long each stays."""
    (line,) = animation.draw_all(pair, tmp_path)
    stem = tmp_path / "training_dynamics_demo_mask_inference_blstm_demo"
    assert line == f"{stem}.gif  5 frames to iteration 800"
    pictures, durations = [], []
    with Image.open(f"{stem}.gif") as gif:
        assert (gif.n_frames, gif.width, gif.info["loop"]) == (5, 900, 0)  # for ever
        for n in range(gif.n_frames):
            gif.seek(n)
            durations.append(gif.info["duration"])
            pictures.append(np.asarray(gif.convert("RGB")))
    return pictures, durations


def test_what_stands_still_stays_the_rest_moves_and_the_last_frame_rests(frames):
    pictures, durations = frames
    assert durations == [animation.FRAME] * 4 + [animation.LAST_FRAME]
    height = len(pictures[0])
    for one in pictures:
        assert (one[:5, :5] == 255).all()  # the ground is white
        assert np.array_equal(one[: height // 12], pictures[0][: height // 12])  # the title
        assert np.array_equal(one[-height // 20 :], pictures[0][-height // 20 :])  # the footer
    for one, following in itertools.pairwise(pictures):
        assert (one != following).any()
    late = [one[height // 8 : height * 2 // 5, 300:400].astype(int) for one in pictures]
    curve = [(part[..., 2] - part[..., 0] > 60).sum() for part in late]  # of the step sizes
    assert curve[0] == 0 < curve[-1]


def test_a_frame_bears_no_traces_of_those_before(pair):
    def last(*steps):
        return np.asarray(animation.pictures(training_dynamics.of_pair(pair), steps)[-1])

    assert np.array_equal(last(800, 400), last(400))


def test_axes_colours_and_hexagons_are_the_same_from_the_first_frame_to_the_last(stage):
    seen, places = set(), []
    for step in (0, 20, 400, 800):
        stage.show(step)
        seen.add(str([
            *((axes.get_xlim(), axes.get_ylim()) for axes in stage.figure.axes),
            *(hexagons.get_clim() for hexagons in stage.hexagons),
        ]))  # fmt: skip
        places.append({tuple(place) for place in stage.hexagons[0].get_offsets()})
    assert len(seen) == 1
    assert set() == places[0] < places[1] < places[2] < places[3]


def test_frames_show_what_was_known_at_their_iteration(stage, pair):
    stage.show(0)
    assert math.isnan(stage.thresholds[1].get_xdata()[0])
    assert [text.get_text() for text in (*stage.notes, *stage.values)] == [""] * 4
    stage.show(400)
    assert [thin.get_xdata().max() for thin, _ in stage.sizes] == [400, 400]
    for note, run in zip(stage.notes, pair["run"], strict=True):
        x, y = (np.log(run.dynamics[key][:20]) for key in ("grad_norm", "smoothness"))
        r = f"r = {np.corrcoef(x, y)[0, 1]:.2f}"
        assert note.get_text() == r.replace("-", "\N{MINUS SIGN}")
    assert math.isclose(stage.thresholds[1].get_xdata()[0], math.log10(0.2))
    assert [value.get_text() for value in stage.values] == ["", "threshold\n0.2"]
    stage.show()
    assert stage.values[1].get_text() == "threshold at the end\n0.4"


def test_the_same_records_give_the_same_bytes(pair, tmp_path):
    animation.draw(pair, tmp_path / "one")
    animation.draw(pair, tmp_path / "other")
    assert (tmp_path / "one.gif").read_bytes() == (tmp_path / "other.gif").read_bytes()


def test_one_run_may_be_shorter_than_the_other(pair, tmp_path):
    short = pair["run"].iloc[1]
    for name, values in short.dynamics.items():
        short.dynamics[name] = values[:20]
    assert animation.draw(pair, tmp_path / "along").endswith("5 frames to iteration 800")
    stage = training_dynamics.of_pair(pair)
    stage.show(800)
    assert [thin.get_xdata().max() for thin, _ in stage.sizes] == [800, 400]


def test_without_a_pair_one_line_says_so(pair, tmp_path):
    (line,) = animation.draw_all(pair[:1], tmp_path)
    assert line.startswith("not drawn: ")
