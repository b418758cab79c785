"""Figures of any loop's records: the CSV files of a Recorder or Spikes, whatever trained."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from autoclip_sep.errors import InputError
from autoclip_sep.figures import spikes, style
from autoclip_sep.figures.record_files import Columns, columns
from autoclip_sep.figures.runs import RunFound
from autoclip_sep.runs import records

MOST = len(style.SERIES)
# What the figures show against the step: a file without any of it holds something else.
DRAWN = {"loss", "grad_norm", "threshold", "scale", "step_norm", "smoothness"}


@dataclass(frozen=True)
class RecordFile(RunFound):
    """A Recorder's file, `directory` its path; its settings are unknown."""

    clipping: str = ""  # the file's name stands for it
    percentile = math.nan

    @cached_property
    def dynamics(self) -> Columns:
        """The file by column."""
        return columns(self.directory)

    @property
    def clipped_share(self) -> float:
        """Of the recorded steps, those that were clipped, in [0, 1]."""
        return float(np.mean(self.dynamics["scale"] < 1))


Drawer = Callable[[Sequence[RecordFile], str, Path], str]  # of runs, a footer and a folder


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
    runs = [RecordFile(path, name) for path, name in _names(recorded).items()]
    footer = style.BETWEEN.join(map(str, recorded))
    lines = [_line(drawer, runs, footer, output) for drawer in drawers if runs]
    for path, name in _names(of_spikes).items():
        name = name.replace("/", "_")
        stem = output / ("spikes" if name == "spikes" else f"spikes_{name}")
        lines.append(_line(spikes.draw, path, str(path), stem))
    return lines


def _line(draw: Callable[..., str], *arguments: object) -> str:
    try:
        return draw(*arguments)
    except InputError as error:
        return f"not drawn: {error}"


def _holds_spikes(path: Path) -> bool:
    """Whether a file is of Spikes, by its columns, and not of a Recorder."""
    found = records.header(path)
    if "item" in found:
        return True
    if "step" not in found or not DRAWN & set(found):
        columns_there = ", ".join(found)[:200]
        raise InputError(f"{path} is no file of a Recorder or Spikes: it has {columns_there}")
    return False


def _names(paths: Sequence[Path]) -> dict[Path, str]:
    """Each file's name without its suffix, and the folders that distinguish it from the others."""
    parts = {path: path.with_suffix("").parts for path in paths}
    if len(parts) > 1 and len({path.name for path in paths}) == 1:  # seed0/dynamics, say
        parts = {path: folders[:-1] or folders for path, folders in parts.items()}
    names: dict[Path, str] = {}
    for depth in range(1, max(map(len, parts.values()), default=0) + 1):
        names = {path: "/".join(folders[-depth:]) for path, folders in parts.items()}
        if len(set(names.values())) == len(parts):
            break
    return names
