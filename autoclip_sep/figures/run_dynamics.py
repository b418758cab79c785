"""A run's training dynamics, as far as it has come: what Figure 1 of the AutoClip paper shows."""

import math
from dataclasses import dataclass

import numpy as np

from autoclip_sep.errors import InputError
from autoclip_sep.figures.runs import RunFound, Series

FEWEST_ROWS = 3


@dataclass(frozen=True)
class Panel:
    """What one run contributes: the numbers drawn, for captions and tests.

    step, step_norm, loss, thresholds: (rows,), the thresholds log10, inf without clipping.
    probed, norm, smoothness: (probed rows,), the steps that have both, and log10 of both.
    """

    label: str
    step: Series
    step_norm: Series
    loss: Series
    thresholds: Series
    probed: Series
    norm: Series
    smoothness: Series

    @property
    def r(self) -> float:
        """Pearson's correlation of the two logs; NaN for too few rows or without spread."""
        if len(self.norm) < FEWEST_ROWS:
            return math.nan
        with np.errstate(invalid="ignore", divide="ignore"):
            return float(np.corrcoef(self.norm, self.smoothness)[0, 1])

    @property
    def threshold(self) -> float:
        """log10 of the last clipping threshold, inf where there is none."""
        return float(self.thresholds[-1]) if len(self.thresholds) else math.inf

    def until(self, step: float) -> "Panel":
        """The same run when it had come to this step."""
        rows, points = self.step <= step, self.probed <= step
        return Panel(
            self.label, self.step[rows], self.step_norm[rows], self.loss[rows],
            self.thresholds[rows], self.probed[points], self.norm[points], self.smoothness[points],
        )  # fmt: skip


def panel(run: RunFound) -> Panel:
    """The numbers of a run.

    Raises InputError where too few rows have a smoothness.
    """
    rows = run.dynamics
    usable = (rows["smoothness"] > 0) & (rows["grad_norm"] > 0)
    usable &= np.isfinite(rows["smoothness"]) & np.isfinite(rows["grad_norm"])
    if usable.sum() < FEWEST_ROWS:
        raise InputError(
            f"{run.directory}: {usable.sum()} rows with a smoothness, at least {FEWEST_ROWS} are "
            "needed: train longer, with trainer.probe_points >= 1"
        )
    with np.errstate(divide="ignore"):
        thresholds = np.log10(rows["threshold"])
    return Panel(
        run.clipping, rows["step"], rows["step_norm"], rows["loss"],
        np.full_like(thresholds, math.inf) if run.percentile == 100 else thresholds,
        rows["step"][usable], np.log10(rows["grad_norm"][usable]),
        np.log10(rows["smoothness"][usable]),
    )  # fmt: skip
