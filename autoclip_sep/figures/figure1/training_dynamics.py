"""Figure 1 of the AutoClip paper: training dynamics without and with AutoClip.

Step size and training loss against iterations, and the density of log smoothness against log
gradient norm, one panel for each run on the same axes, with their correlation r. Runs of any loop
can be drawn: one, or several beside each other.
"""

from collections.abc import Sequence
from pathlib import Path

from pandas import DataFrame

from autoclip_sep.figures import footer, style
from autoclip_sep.figures.figure1.stage import Stage
from autoclip_sep.figures.run_dynamics import dynamics
from autoclip_sep.figures.run_pairs import draw_each
from autoclip_sep.figures.runs import RunFound

TITLE = "Training dynamics without and with AutoClip"


def draw(pair: DataFrame, stem: Path) -> str:
    """Draw Figure 1 to <stem>.png and <stem>.pdf; a line of it.

    pair: the run with p = 100 or no clipping, and the run to compare with it.
    """
    stage = of_pair(pair)
    stage.show()
    style.save(stage.figure, stem)
    left, right = stage.runs
    return f"{stem}.png  r = {left.r:.2f} without clipping, {right.r:.2f} with AutoClip"


def of_pair(pair: DataFrame) -> Stage:
    """Figure 1 of a pair, before anything moves."""
    runs = [dynamics(run) for run in pair["run"]]
    return Stage(runs, pair["loss"].iloc[0], footer.line(pair), TITLE)


def draw_all(runs: DataFrame, output: Path) -> list[str]:
    """Figure 1 of every pair of runs. Returns a line for each: what was drawn, or why not."""
    return draw_each(runs, draw, output / "training_dynamics")


def draw_records(files: Sequence[RunFound], text: str, output: Path) -> str:
    """Figure 1 of any loop's records beside each other, as <output>/figure1; a line of it."""
    stage = Stage([dynamics(file) for file in files], "", text, "Training dynamics")
    stage.show()
    style.save(stage.figure, output / "figure1")
    rs = ", ".join(f"{one.r:.2f} in {one.label}" for one in stage.runs)
    return f"{output / 'figure1'}.png  r = {rs}"
