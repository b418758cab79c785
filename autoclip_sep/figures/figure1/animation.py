"""Figure 1 of the AutoClip paper along training: curves grow, densities fill, the threshold moves.

Axes, colours and limits are those of the whole runs, from the first frame to the last.
"""

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from PIL import Image

from autoclip_sep.figures import style
from autoclip_sep.figures.figure1.training_dynamics import Stage
from autoclip_sep.figures.footer import origin
from autoclip_sep.figures.run_dynamics import Panel, panel
from autoclip_sep.figures.run_pairs import draw_each
from autoclip_sep.figures.runs import RunFound
from autoclip_sep.files import write_whole

FRAMES = 60
FRAME, LAST_FRAME = 100, 4000  # ms
WIDTH = 900  # pixels
ALMOST_WHITE = 246
COLOURS = 200  # one more is needed, for pixels that stay as they were


@dataclass(frozen=True)
class Frame:
    """An iteration, and the runs without and with AutoClip as far as they had come by then."""

    step: float
    panels: tuple[Panel, Panel]


def draw(without: RunFound, with_autoclip: RunFound, stem: Path) -> list[Frame]:
    """Draw <stem>.gif and return what was drawn: FRAMES frames, evenly spaced to the end.

    without: the run with p = 100 or no clipping. with_autoclip: the run to compare with it.
    """
    whole = panel(without), panel(with_autoclip)
    stage = Stage(whole, with_autoclip.group[1], origin([without, with_autoclip]).line())
    end = max(one.step[-1] for one in whole)
    frames = [
        Frame(step, (whole[0].until(step), whole[1].until(step)))
        for step in np.linspace(end / FRAMES, end, FRAMES)
    ]
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_whole(stem.with_name(stem.name + ".gif"), _gif(_pictures(stage, frames)))
    return frames


def _pictures(stage: Stage, frames: Sequence[Frame]) -> list[Image.Image]:
    """What stands still is drawn once, what moves once in each picture."""
    canvas = FigureCanvasAgg(stage.figure)
    style.settle(stage.figure, WIDTH / stage.figure.get_figwidth())
    for artist in stage.moving:
        artist.set_animated(True)  # left out by draw
    canvas.draw()
    still = canvas.copy_from_bbox(stage.figure.bbox)
    pictures = []
    for frame in frames:
        canvas.restore_region(still)
        stage.show(frame.panels)
        stage.clock.set_text(f"iteration {frame.step:,.0f}")
        for artist in stage.moving:
            stage.figure.draw_artist(artist)
        pictures.append(Image.fromarray(np.array(canvas.buffer_rgba())[..., :3]))
    return pictures


def _gif(pictures: Sequence[Image.Image]) -> bytes:
    """An animation that begins again at its end, in the last picture's colours."""
    palette = pictures[-1].quantize(COLOURS, Image.Quantize.MEDIANCUT)
    colours = np.array(palette.getpalette()).reshape(-1, 3)
    colours[(colours >= ALMOST_WHITE).all(axis=1)] = 255  # the ground stays white
    palette.putpalette(colours.ravel().tolist())
    frames = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in pictures]
    drawn = io.BytesIO()
    durations = [FRAME] * (len(frames) - 1) + [LAST_FRAME]
    frames[0].save(drawn, format="GIF", save_all=True, append_images=frames[1:],
                   duration=durations, loop=0, optimize=True)  # fmt: skip
    return drawn.getvalue()


def draw_all(found: Sequence[RunFound], output: Path) -> list[str]:
    """An animation of every pair of runs. Returns a line for each: what was drawn, or why not."""

    def line(without: RunFound, with_autoclip: RunFound, stem: Path) -> str:
        frames = draw(without, with_autoclip, stem)
        return f"{stem}.gif  {len(frames)} frames to iteration {frames[-1].step:,.0f}"

    return draw_each(found, line, output / "training_dynamics")
