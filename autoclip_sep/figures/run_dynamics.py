"""A run's training dynamics, as far as it has come: what Figure 1 of the AutoClip paper shows."""

import math
from dataclasses import dataclass

import numpy as np
from pandas import DataFrame

from autoclip_sep.errors import InputError
from autoclip_sep.figures.runs import RunFound

FEWEST_ROWS = 3


@dataclass(frozen=True)
class RunDynamics:
    """What one run contributes to Figure 1.

    rows: step, step_norm, loss, and threshold as log10, inf without clipping.
    probed: step, norm and smoothness of the rows that have both, as log10.
    """

    label: str
    rows: DataFrame
    probed: DataFrame

    @property
    def r(self) -> float:
        """Pearson's correlation of the two logs; NaN for too few rows or without spread."""
        return correlation(self.probed)

    @property
    def threshold(self) -> float:
        """log10 of the last clipping threshold, inf where there is none."""
        return float(self.rows["threshold"].iloc[-1]) if len(self.rows) else math.inf

    def until(self, step: float) -> "RunDynamics":
        """The same run when it had come to this step."""
        rows, probed = (table[table["step"] <= step] for table in (self.rows, self.probed))
        return RunDynamics(self.label, rows, probed)


def correlation(probed: DataFrame) -> float:
    """Pearson's r of norm and smoothness; NaN for too few rows or without spread."""
    if len(probed) < FEWEST_ROWS:
        return math.nan
    with np.errstate(invalid="ignore", divide="ignore"):
        return float(np.corrcoef(probed["norm"], probed["smoothness"])[0, 1])


def dynamics(run: RunFound) -> RunDynamics:
    """The numbers of a run.

    Raises InputError where too few rows have a smoothness.
    """
    names = ("step", "step_norm", "loss", "threshold", "grad_norm", "smoothness")
    rows = DataFrame({name: run.dynamics[name] for name in names})
    both = rows[["grad_norm", "smoothness"]]
    probed = rows[((both > 0) & (both < math.inf)).all(axis=1)]
    if len(probed) < FEWEST_ROWS:
        raise InputError(
            f"{run.directory}: {len(probed)} rows with a smoothness, at least {FEWEST_ROWS} are "
            "needed: train longer, with trainer.probe_points >= 1"
        )
    with np.errstate(divide="ignore"):
        thresholds = np.log10(rows["threshold"]) if run.percentile != 100 else math.inf
    return RunDynamics(
        run.clipping,
        rows[["step", "step_norm", "loss"]].assign(threshold=thresholds),
        DataFrame({
            "step": probed["step"],
            "norm": np.log10(probed["grad_norm"]),
            "smoothness": np.log10(probed["smoothness"]),
        }),
    )  # fmt: skip
