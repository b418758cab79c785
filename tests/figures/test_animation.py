import itertools
import math

import numpy as np
import pytest
from PIL import Image

from autoclip_sep.dynamics import COLUMNS
from autoclip_sep.figures.figure1 import animation
from autoclip_sep.figures.figure1.training_dynamics import Stage
from autoclip_sep.figures.run_dynamics import panel
from autoclip_sep.runs.records import Records

ROWS = 40


@pytest.fixture(autouse=True)
def _few_frames(monkeypatch):
    monkeypatch.setattr(animation, "FRAMES", 5)


@pytest.fixture
def pair(add_run):
    """Two runs of 40 rows, every 20 steps, whose smoothness follows their norm."""
    rng = np.random.default_rng(0)
    found = []
    for label in ("autoclip_p100", "autoclip_p10"):
        run = add_run(label)
        (run.directory / "dynamics.csv").unlink()
        file = Records(run.directory / "dynamics.csv", COLUMNS)
        for n in range(ROWS):
            norm = math.exp(rng.standard_normal())
            file.append({
                "step": 20 * (n + 1), "epoch": 1, "loss": math.exp(-n / 10), "grad_norm": norm,
                "threshold": 0.01 * (n + 1), "scale": 1.0, "step_norm": 0.5 + n % 2,
                "smoothness": norm * math.exp(rng.standard_normal()), "lr": 1e-3, "skipped": 0,
            })  # fmt: skip
        found.append(run)
    return found


def colours(picture, frame):
    picture.seek(frame)
    return np.asarray(picture.convert("RGB"))


def test_frames_show_what_was_known_at_their_iteration(pair, tmp_path):
    frames = animation.draw(*pair, tmp_path / "out" / "along")
    assert [frame.step for frame in frames] == [160, 320, 480, 640, 800]
    for frame in frames:
        for shown, run in zip(frame.panels, pair, strict=True):
            assert shown.step[-1] == frame.step
            rows = int(frame.step) // 20
            x, y = (np.log(run.dynamics[key][:rows]) for key in ("grad_norm", "smoothness"))
            assert math.isclose(shown.r, np.corrcoef(x, y)[0, 1], rel_tol=1e-9)
        assert frame.panels[0].threshold == math.inf
        assert math.isclose(10 ** frame.panels[1].threshold, frame.step / 2000)


def test_the_file_plays_for_ever_and_rests_on_its_last_frame(pair, tmp_path):
    animation.draw(*pair, tmp_path / "along")
    with Image.open(tmp_path / "along.gif") as picture:
        assert picture.n_frames == 5
        assert picture.width == 900
        assert picture.info["loop"] == 0
        durations = []
        for n in range(5):
            picture.seek(n)
            durations.append(picture.info["duration"])
    assert durations == [animation.FRAME] * 4 + [animation.LAST_FRAME]


def test_what_stands_still_stays_and_the_rest_moves(pair, tmp_path):
    animation.draw(*pair, tmp_path / "along")
    with Image.open(tmp_path / "along.gif") as picture:
        frames = [colours(picture, n) for n in range(5)]
    height = len(frames[0])
    for frame in frames:
        assert (frame[:5, :5] == 255).all()  # the ground is white
        assert np.array_equal(frame[: height // 12], frames[0][: height // 12])  # the title
        assert np.array_equal(frame[-height // 20 :], frames[0][-height // 20 :])  # the footer
    for one, following in itertools.pairwise(frames):
        assert (one != following).any()
    late = [frame[height // 8 : height * 2 // 5, 300:400].astype(int) for frame in frames]
    curve = [(part[..., 2] - part[..., 0] > 60).sum() for part in late]  # of the step sizes
    assert curve[0] == 0 < curve[-1]


def test_a_frame_bears_no_traces_of_those_before(pair):
    panels = [panel(run) for run in pair]
    frames = [animation.Frame(step, [one.until(step) for one in panels]) for step in (800, 400)]

    def last(shown):
        stage = Stage(panels, "mask_inference", "where from")
        return np.asarray(animation._pictures(stage, shown)[-1])

    assert np.array_equal(last(frames), last(frames[1:]))


def test_axes_and_colours_are_the_same_from_the_first_frame_to_the_last(pair):
    panels = [panel(run) for run in pair]
    stage = Stage(panels, "mask_inference", "where from")
    seen = set()
    for step in (0, 20, 400, 800):
        stage.show([one.until(step) for one in panels])
        seen.add(str([
            *((axes.get_xlim(), axes.get_ylim()) for axes in stage.figure.axes),
            *(cells.cells.get_clim() for cells in stage.hexagons),
        ]))  # fmt: skip
    assert len(seen) == 1


def test_the_threshold_moves_and_is_the_last_one_at_the_end_only(pair):
    panels = [panel(run) for run in pair]
    stage = Stage(panels, "mask_inference", "where from")
    stage.show([one.until(0) for one in panels])
    assert math.isnan(stage.thresholds[1].line.get_xdata()[0])
    assert stage.thresholds[1].value.get_text() == ""
    assert [note.get_text() for note in stage.notes] == ["", ""]
    stage.show([one.until(400) for one in panels])
    assert math.isclose(stage.thresholds[1].line.get_xdata()[0], math.log10(0.2))
    assert stage.thresholds[1].value.get_text() == "threshold\n0.2"
    stage.show(panels)
    assert stage.thresholds[1].value.get_text() == "threshold at the end\n0.4"


def test_the_same_records_give_the_same_bytes(pair, tmp_path):
    animation.draw(*pair, tmp_path / "one")
    animation.draw(*pair, tmp_path / "other")
    assert (tmp_path / "one.gif").read_bytes() == (tmp_path / "other.gif").read_bytes()


def test_one_run_may_be_shorter_than_the_other(pair, tmp_path):
    lines = (pair[1].directory / "dynamics.csv").read_text().splitlines()[: 1 + ROWS // 2]
    (pair[1].directory / "dynamics.csv").write_text("\n".join(lines) + "\n")
    frames = animation.draw(*pair, tmp_path / "along")
    assert [frame.panels[0].step[-1] for frame in frames] == [160, 320, 480, 640, 800]
    assert [frame.panels[1].step[-1] for frame in frames] == [160, 320, 400, 400, 400]


def test_all_pairs_are_drawn(pair, tmp_path):
    (line,) = animation.draw_all(pair, tmp_path)
    stem = tmp_path / "training_dynamics_demo_mask_inference_blstm_demo"
    assert line == f"{stem}.gif  5 frames to iteration 800"
    assert stem.with_name(stem.name + ".gif").is_file()
    (line,) = animation.draw_all(pair[:1], tmp_path)
    assert line.startswith("not drawn: ")
