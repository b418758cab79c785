"""Figure 1 of the AutoClip paper along training: curves grow, densities fill, the threshold moves.

Axes, colours and limits are those of the whole runs, from the first frame to the last.
"""

import io
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from pandas import DataFrame
from PIL import Image

from autoclip_sep.figures import style
from autoclip_sep.figures.figure1 import training_dynamics
from autoclip_sep.figures.figure1.stage import Stage
from autoclip_sep.figures.run_pairs import draw_each
from autoclip_sep.files import write_whole

FRAMES = 60
FRAME, LAST_FRAME = 100, 4000  # ms
WIDTH = 900  # pixels
ALMOST_WHITE = 246
COLOURS = 200  # one more is needed, for pixels that stay as they were


def draw(pair: DataFrame, stem: Path) -> str:
    """Draw <stem>.gif, FRAMES frames evenly spaced to the end; a line of it.

    pair: the run with p = 100 or no clipping, and the run to compare with it.
    """
    stage = training_dynamics.of_pair(pair)
    end = max(one.rows["step"].iloc[-1] for one in stage.runs)
    steps = np.linspace(end / FRAMES, end, FRAMES)
    stem.parent.mkdir(parents=True, exist_ok=True)
    write_whole(stem.with_name(stem.name + ".gif"), _gif(pictures(stage, steps)))
    return f"{stem}.gif  {len(steps)} frames to iteration {end:,.0f}"


def pictures(stage: Stage, steps: Iterable[float]) -> list[Image.Image]:
    """The runs as far as they had come by each step.

    What stands still is drawn once, what moves once in each picture.
    """
    canvas = FigureCanvasAgg(stage.figure)
    style.settle(stage.figure, WIDTH / stage.figure.get_figwidth())
    for artist in stage.moving:
        artist.set_animated(True)  # left out by draw
    canvas.draw()
    still = canvas.copy_from_bbox(stage.figure.bbox)
    drawn = []
    for step in steps:
        canvas.restore_region(still)
        stage.show(step)
        stage.clock.set_text(f"iteration {step:,.0f}")
        for artist in stage.moving:
            stage.figure.draw_artist(artist)
        drawn.append(Image.fromarray(np.array(canvas.buffer_rgba())[..., :3]))
    return drawn


def _gif(drawn: Sequence[Image.Image]) -> bytes:
    """An animation that begins again at its end, in the last picture's colours."""
    palette = drawn[-1].quantize(COLOURS, Image.Quantize.MEDIANCUT)
    colours = np.array(palette.getpalette()).reshape(-1, 3)
    colours[(colours >= ALMOST_WHITE).all(axis=1)] = 255  # the ground stays white
    palette.putpalette(colours.ravel().tolist())
    frames = [one.quantize(palette=palette, dither=Image.Dither.NONE) for one in drawn]
    content = io.BytesIO()
    durations = [FRAME] * (len(frames) - 1) + [LAST_FRAME]
    frames[0].save(content, format="GIF", save_all=True, append_images=frames[1:],
                   duration=durations, loop=0, optimize=True)  # fmt: skip
    return content.getvalue()


def draw_all(runs: DataFrame, output: Path) -> list[str]:
    """An animation of every pair of runs. Returns a line for each: what was drawn, or why not."""
    return draw_each(runs, draw, output / "training_dynamics")
