"""What the package is meant to reach, and how far it is from that."""

from collections.abc import Iterator
from dataclasses import dataclass

from pandas import DataFrame

PLAIN_ADAM = "torch `clip_grad_norm_`, `Adam()`"
SIZE = "2 × 300, 25 × 400 frames"


@dataclass(frozen=True)
class Goal:
    """One side's time, at most so many times another's; or at most so many seconds.

    job: how the row's begins. by, beside: how the sides' names begin; beside is empty for seconds.
    """

    job: str
    by: str
    beside: str
    most: float

    def __str__(self) -> str:
        if not self.beside:
            return f"{self.job}: at most {self.most:g} s"
        return f"{self.job}: at most {self.most:g} × {self.beside}"


STEPS = (
    Goal(f"mask inference, {SIZE}", "ours", "LSTMs alone", 1.05),
    Goal(f"deep clustering, {SIZE}", "ours", "LSTMs and the head's", 1.15),
)
LOSSES = tuple(
    Goal(f"{loss}, forward + backward", "ours", "nussl", 0.1)
    for loss in ("deep clustering", "whitened k-means")
)
CLIPPING = (
    Goal("clip, 4 × 600", "ours, `AutoClip(10)`", "torch", 1.0),
    Goal(
        "clip + Adam, 4 × 600",
        "ours, `AutoClip(10).step",
        "torch `clip_grad_norm_`, `Adam()`",
        0.17,
    ),
)
EVALUATION = (
    Goal("SI-SDR in the better order, 2 × 5.0 s, one", "ours", "nussl", 0.035),
    Goal("BSS Eval v4", "ours", "museval", 0.1),
    Goal("separate and score", "ours, 8", "nussl", 0.41),
)
DATA = (
    Goal("segments of", "ours, from the memory map", "soundfile", 0.15),
    Goal("spectra and masks", "ours", "nussl, from its zarr cache", 0.52),
)
COMMANDS = (
    Goal("python train.py --help", "ours", "`import torch`", 1.5),
    Goal("make figures", "ours", "", 30.0),
)
GOALS = (*STEPS, *LOSSES, *CLIPPING, *EVALUATION, *DATA, *COMMANDS)


def reached(records: DataFrame) -> Iterator[tuple[Goal, float, float]]:
    """Each goal that can be told from these records, its figure and the floor's, or nan.

    Of several lengths of the history the worst figure counts.
    """
    for goal in GOALS:
        job = records[records["job"].str.startswith(goal.job)]
        found = []
        for _, rows in job.groupby("case"):
            own, floor = _of(rows, goal.by), _of(rows, "floor")
            other = _of(rows, goal.beside) if goal.beside else 1.0
            if own == own and other == other:
                found.append((own / other, floor / other))
        if found:
            yield goal, *max(found)


def _of(rows: DataFrame, begin: str) -> float:
    """The median seconds of the first side so called; nan where it wasn't measured."""
    seconds = rows.loc[rows["by"].str.startswith(begin), "seconds"].dropna()
    return float(seconds.iloc[0]) if len(seconds) else float("nan")
