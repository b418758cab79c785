"""Figures of any loop's records: the CSV files of a Recorder or Spikes, whatever trained."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from autoclip_sep.errors import InputError
from autoclip_sep.figures import spikes, style
from autoclip_sep.figures.runs import Columns, RunFound, columns
from autoclip_sep.runs import records

MOST = len(style.SERIES)
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


Drawer = Callable[[Sequence[Recorded], str, Path], str]  # of runs, a footer and a folder


def draw_all(paths: Sequence[Path], output: Path, drawers: Sequence[Drawer]) -> list[str]:
    """Every figure that the files allow; a line for each: what was drawn, or why not.

    paths: up to four files of a Recorder, drawn beside each other, and any number of Spikes'.
    drawers: the figures of a Recorder's files.
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
        footer = style.BETWEEN.join(str(path) for path in recorded)
        lines += [_drawn(drawer, runs, footer, output) for drawer in drawers]
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


def _drawn(drawer: Drawer, runs: Sequence[Recorded], footer: str, output: Path) -> str:
    try:
        return drawer(runs, footer, output)
    except InputError as error:
        return f"not drawn: {error}"


def _spikes(path: Path, stem: Path) -> str:
    try:
        found = spikes.read(path)
    except InputError as error:
        return f"not drawn: {error}"
    spikes.draw(found, str(path), stem)
    return f"{stem}.png  {style.spikes(len(found.step))}"


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
