"""A run beside its references, series by series: where it leaves their band, and how far it gets.

The criterion is that of band.py. Losses, norms, step sizes and rates are compared as ratios, in
log10; scores in dB and shares as differences. A loss that isn't positive is one in dB.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.errors import InputError
from autoclip_sep.figures.comparison import reference_range as band
from autoclip_sep.figures.runs_found import Columns, Series, columns
from autoclip_sep.figures.smoothing import running_median

Places = NDArray[np.intp]
DECIBELS = 0.3  # what is usual between seeds for a loss in dB


@dataclass(frozen=True)
class Kind:
    """A recorded series.

    usual: the standard deviation between seeds, in log10 (or in `unit`), as it was in small runs
    with and without clipping, with room for others. ends: whether NaN and inf are a failure.
    """

    file: str
    column: str
    name: str
    usual: float
    unit: str = ""
    ratio: bool = True
    ends: bool = False


KINDS = (
    Kind("dynamics.csv", "loss", "loss of a batch", 0.03, ends=True),
    Kind("dynamics.csv", "grad_norm", "gradient norm", 0.08, ends=True),
    Kind("dynamics.csv", "threshold", "threshold", 0.12),
    Kind("dynamics.csv", "step_norm", "step size", 0.045),
    Kind("dynamics.csv", "smoothness", "smoothness", 0.15),
    Kind("history.csv", "train_loss", "training loss", 0.015, ends=True),
    Kind("history.csv", "valid_loss", "validation loss", 0.02, ends=True),
    Kind("history.csv", "valid_si_sdr", "validation SI-SDR", 0.4, unit=" dB", ratio=False),
    Kind("history.csv", "lr", "learning rate", 0.04),
    Kind("history.csv", "clipped_share", "clipped share", 0.03, ratio=False),
)


@dataclass(frozen=True)
class Course:
    """One series of a run and its references, in the scale compared: log10 where kind.ratio.

    steps, recorded, run, centre, half_width: (n,); run and centre are running medians, the latter
    of all references. hold: records in a row outside the band that count as leaving.
    left: where the run leaves, None where it doesn't. back: where it is inside again for as long.
    """

    kind: Kind
    steps: Series
    recorded: Series
    run: Series
    centre: Series
    half_width: Series
    hold: int
    left: int | None
    back: int | None

    @property
    def judged(self) -> bool:
        """Whether there are enough records to tell."""
        return len(self.steps) >= self.hold

    @property
    def away(self) -> float:
        """How far the run is from the references' mean while it is outside; NaN if never."""
        if self.left is None:
            return math.nan
        return float(np.nanmedian((self.run - self.centre)[self.left : self.back]))


def read(directory: Path) -> dict[str, Columns]:
    """Both record files of a run; one that has no rows yet is left out.

    Raises InputError where neither has any.
    """
    found, complaint = {}, None
    for name, key in (("dynamics.csv", "step"), ("history.csv", "epoch")):
        try:
            read_in = columns(directory / name)
        except InputError as error:
            complaint = complaint or error
            continue
        if not {key, "step"} <= read_in.keys():
            raise InputError(f"{directory / name} has no column {key}: not the records of a run")
        if (np.diff(read_in[key]) <= 0).any():
            raise InputError(f"{directory / name}: its rows are not in the order of {key}")
        found[name] = read_in
    if not found and complaint:
        raise complaint
    return found


def compare(run: dict[str, Columns], references: Sequence[dict[str, Columns]]) -> list[Course]:
    """Every series that the run and all references have, over the records they share."""
    courses = []
    for kind in KINDS:
        files = [one.get(kind.file, {}) for one in (run, *references)]
        if all(kind.column in file for file in files):
            course = _course(kind, files[0], files[1:])
            if course is not None:
                courses.append(course)
    return courses


def first_difference(
    run: dict[str, Columns], reference: dict[str, Columns], digits: int | None = None
) -> float | None:
    """The first step whose records differ in a bit, or None: the same as far as both go.

    digits: of dynamics.csv, where one of them was kept in so many.
    """
    steps = []
    for file in run.keys() & reference.keys():
        one, other = run[file], reference[file]
        _, here, (there,) = _shared(file, one, [other])
        places = digits if file == "dynamics.csv" else None
        same = [_equal(one[key][here], other[key][there], places)
                for key in one.keys() & other.keys()]  # fmt: skip
        unlike = np.flatnonzero(~np.all(same, axis=0))
        steps += list(one["step"][here][unlike[:1]])
    return min(steps, default=None)


def _equal(one: Series, other: Series, digits: int | None) -> NDArray[np.bool_]:
    if digits is not None:
        one, other = (np.array([float(f"{x:.{digits}g}") for x in xs]) for xs in (one, other))
    return (one == other) | (np.isnan(one) & np.isnan(other))


def _shared(
    file: str, run: Columns, references: Sequence[Columns]
) -> tuple[float, Places, list[Places]]:
    """How many records a whole run would share, and where the shared ones lie in each."""
    key = "epoch" if file == "history.csv" else "step"
    whole = reduce(np.intersect1d, [one[key] for one in references])
    shared = np.intersect1d(whole, run[key])
    covered = (whole <= run[key][-1]).sum() / len(whole) if len(whole) else 1
    places = [np.flatnonzero(np.isin(one[key], shared)) for one in (run, *references)]
    return len(shared) / covered if covered else 0, places[0], places[1:]


def _course(kind: Kind, run: Columns, references: Sequence[Columns]) -> Course | None:
    planned, here, there = _shared(kind.file, run, references)
    if not len(here):
        return None
    found = run[kind.column][here]
    known = np.array(
        [one[kind.column][place] for one, place in zip(references, there, strict=True)]
    )
    finite = np.isfinite(known).all(axis=0)
    if not finite.any() or not (kind.ends or np.isfinite(found).any()):
        return None
    every = np.append(known, found)
    if kind.column.endswith("loss") and every[np.isfinite(every)].min() <= 0:
        kind = replace(kind, ratio=False, unit=" dB", usual=DECIBELS)
    recorded, levels = _scaled(found, kind), _scaled(known, kind)
    if kind.ends:
        recorded[finite & ~np.isfinite(found)] = math.inf
    window = band.window_for(round(planned))
    medians, course = running_median(levels, window), running_median(recorded, window)
    centre, width = medians.mean(axis=0), band.half_width(medians, window, kind.usual)
    sides, hold = band.outside(course, centre, width), band.HOLD * window
    left = band.leaves(sides, hold)
    back = None
    if left is not None:
        inside = band.leaves((sides[left:] == 0).astype(float), hold)
        back = None if inside is None else left + inside
    return Course(kind, run["step"][here], recorded, course, centre, width, hold, left, back)


def _scaled(values: Series, kind: Kind) -> Series:
    """What is compared; NaN where there is nothing to compare."""
    with np.errstate(invalid="ignore", divide="ignore"):
        scaled = np.log10(values) if kind.ratio else values
    return np.where(np.isfinite(scaled), scaled, math.nan)
