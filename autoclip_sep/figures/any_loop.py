"""Figures of any loop's records: the CSV files of a Recorder or Spikes, whatever trained."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from autoclip_sep.errors import InputError
from autoclip_sep.figures import drawing, spikes, step_sizes, thresholds, training_dynamics
from autoclip_sep.figures.panel import panel
from autoclip_sep.figures.runs_found import Columns, RunFound, columns
from autoclip_sep.runs import records

MOST = len(drawing.SERIES)
# What the figures are of, against the step: a file without any of it holds something else.
DRAWN = {"loss", "grad_norm", "threshold", "scale", "step_norm", "smoothness"}


@dataclass(frozen=True)
class Recorded(RunFound):
    """A Recorder's file, `directory` its path; nobody knows of its settings."""

    name: str = ""

    @cached_property
    def dynamics(self) -> Columns:
        """The file by column."""
        return columns(self.directory)

    @property
    def clipping(self) -> str:
        """The file's name stands for it."""
        return self.name

    @property
    def percentile(self) -> float:
        """Not known."""
        return math.nan


def draw_all(paths: Sequence[Path], output: Path) -> list[str]:
    """Every figure that the files allow; a line for each: what was drawn, or why not.

    paths: up to four files of a Recorder, drawn beside each other, and any number of Spikes'.
    Raises InputError for a file that is neither, and for too many.
    """
    paths = list(dict.fromkeys(paths))
    of_spikes = [path for path in paths if _holds_spikes(path)]
    recorded = [path for path in paths if path not in of_spikes]
    if len(recorded) > MOST:
        raise InputError(f"{len(recorded)} files: at most {MOST} are drawn beside each other")
    names = _names(recorded) | _names(of_spikes)
    runs = [Recorded(path, names[path]) for path in recorded]
    lines = []
    if runs:
        footer = drawing.BETWEEN.join(str(path) for path in recorded)
        for figure in (_dynamics, _thresholds, _sizes):
            lines.append(_drawn(figure, runs, footer, output))
    for path in of_spikes:
        name = names[path].replace("/", "_")
        stem = output / ("spikes" if name == "spikes" else f"spikes_{name}")
        lines.append(_spikes(path, stem))
    return lines


def _holds_spikes(path: Path) -> bool:
    """Whether a file is of Spikes, by its columns, and not of a Recorder."""
    found = records.header(path)
    if "item" in found:
        return True
    if "step" not in found or not DRAWN & set(found):
        columns_there = ", ".join(found)[:200]
        raise InputError(f"{path} is no file of a Recorder or Spikes: it has {columns_there}")
    return False


def _drawn(
    figure: Callable[[Sequence[Recorded], str, Path], str],
    runs: Sequence[Recorded], footer: str, output: Path,
) -> str:  # fmt: skip
    try:
        return figure(runs, footer, output)
    except InputError as error:
        return f"not drawn: {error}"


def _dynamics(runs: Sequence[Recorded], footer: str, output: Path) -> str:
    panels = [panel(run) for run in runs]
    stage = training_dynamics.Stage(panels, "", footer, "Training dynamics")
    stage.show(panels)
    drawing.save(stage.figure, output / "figure1")
    rs = ", ".join(f"{one.r:.2f} in {one.label}" for one in panels)
    return f"{output / 'figure1'}.png  r = {rs}"


def _thresholds(runs: Sequence[Recorded], footer: str, output: Path) -> str:
    panels = [thresholds.panel(run.name, {0: run}, _share_of_rows) for run in runs]
    notes = ["Shares: of the recorded steps", footer]
    thresholds.draw_panels(panels, "Thresholds over training", notes, output / "thresholds")
    return f"{output / 'thresholds'}.png"


def _share_of_rows(run: RunFound) -> float:
    """Of the recorded steps, those that were clipped, in [0, 1]."""
    return float(np.mean(run.dynamics["scale"] < 1))


def _sizes(runs: Sequence[Recorded], footer: str, output: Path) -> str:
    rows = [step_sizes.sizes(run) for run in runs]
    step_sizes.draw_rows([[row] for row in rows], ["" for _ in rows], "Step sizes", footer,
                         output / "step_sizes")  # fmt: skip
    return f"{output / 'step_sizes'}.png"


def _spikes(path: Path, stem: Path) -> str:
    try:
        found = spikes.read(path)
    except InputError as error:
        return f"not drawn: {error}"
    spikes.draw(found, str(path), stem)
    return f"{stem}.png  {drawing.spikes(len(found.step))}"


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Each file's name without its suffix, with as many folders as tell it from the others."""
    parts = {path: path.with_suffix("").parts for path in paths}
    if len(parts) > 1 and len({path.name for path in paths}) == 1:  # seed0/dynamics, say
        parts = {path: folders[:-1] or folders for path, folders in parts.items()}
    names: dict[Path, str] = {}
    for depth in range(1, max(map(len, parts.values()), default=0) + 1):
        names = {path: "/".join(folders[-depth:]) for path, folders in parts.items()}
        if len(set(names.values())) == len(parts):
            break
    return names
