"""What AutoClip would have done with a recorded sequence of gradient norms, for any percentile.

Algorithm 1 and Eqs. (2), (3) of the AutoClip paper (see `clipping/autoclip.py`), on numbers alone:
the same history is filled once and asked for every percentile at every step, so the thresholds are
those of `AutoClip`, to the bit.

Norms recorded without clipping belong to the path that training takes without clipping. With it
the weights would have gone elsewhere and met other norms: a replay shows how often a percentile
would have acted and how hard, not how training would have ended.
"""

import math
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Real
from typing import Any

import torch
from torch import Tensor

from autoclip_sep.clipping import AutoClip
from autoclip_sep.clipping.history import History


@dataclass(frozen=True)
class Replay:
    """What `AutoClip` with one percentile would have returned at every step.

    finite: (steps,) bool, which norms were finite; the others are skipped, as in training.
    zero: (steps,) bool, which norms were 0; they enter no history and are never clipped.
    thresholds: (steps,) float64, inf at skipped steps, at zeros and during the warm-up.
    clipped: (steps,) bool, whether the norm was above the threshold.
    scales: (steps,) float64, norm after clipping / before; exactly 1 where nothing was clipped.
    """

    percentile: float
    finite: Tensor
    zero: Tensor
    thresholds: Tensor
    clipped: Tensor
    scales: Tensor

    @property
    def share(self) -> float:
        """Clipped steps / steps that were not skipped."""
        return int(self.clipped.sum()) / int(self.finite.sum())

    @property
    def mean_scale(self) -> float:
        """Mean scale of the clipped steps, NaN where there are none."""
        return float(self.scales[self.clipped].mean())

    @property
    def min_scale(self) -> float:
        """Smallest scale of any step, 1 where none was clipped."""
        return float(self.scales.min())

    @property
    def last_threshold(self) -> float:
        """The threshold at the last step whose norm was finite and not 0."""
        return float(self.thresholds[self.finite & ~self.zero][-1])

    @property
    def late_range(self) -> tuple[float, float]:
        """Smallest and largest threshold of the second half of the steps with a norm."""
        taken = self.thresholds[self.finite & ~self.zero]
        late = taken[len(taken) // 2 :]
        return float(late.min()), float(late.max())


def replay(
    norms: Tensor | Sequence[float],
    percentiles: Iterable[float],
    *,
    window: int | None = None,
    warmup: int = 0,
) -> list[Replay]:
    """One `Replay` for every percentile, in the order given.

    norms: (steps,) global L2 norms before clipping, oldest first. Those of a run that was recorded
        with ``AutoClip(None)`` are ``clipper.history``.
    window, warmup: as in `AutoClip`, counted in norms that are finite and not 0.

    Raises ValueError for a norm below 0, where none is finite and above 0, and for impossible
    settings.
    """
    AutoClip(window=window, warmup=warmup)  # refuses impossible ones
    checked = list(map(_percentile, percentiles))
    row = torch.as_tensor(norms, dtype=torch.float64, device="cpu")
    if row.ndim != 1 or not bool((torch.isfinite(row) & (row != 0)).any()):
        raise ValueError(
            "norms must be one row of numbers, at least one of them finite and above 0"
        )
    if bool((row < 0).any()):
        raise ValueError(f"a norm is never below 0, unlike {float(row[row < 0][0]):g}")
    thresholds = _thresholds(row, checked, window, warmup)
    return [_replay(p, row, each) for p, each in zip(checked, thresholds, strict=True)]


def _percentile(value: Any) -> float:
    """As AutoClip checks it, without its advice on those below 1."""
    plain = isinstance(value, Real) and type(value) is not bool
    if not plain or not 0 <= value <= 100:
        raise ValueError(f"percentile must be a finite number in [0, 100], not {value!r}")
    return float(value)


def _thresholds(
    norms: Tensor, percentiles: Sequence[float], window: int | None, warmup: int
) -> list[Tensor]:
    """For every percentile its thresholds, (steps,) float64."""
    history, recorded = History(window), 0
    rows = [array("d") for _ in percentiles]
    for norm in norms.tolist():
        if not math.isfinite(norm) or norm == 0:
            for row in rows:
                row.append(math.inf)
            continue
        history.append(norm)  # Algorithm 1: before the percentile is taken
        recorded += 1
        for percentile, row in zip(percentiles, rows, strict=True):
            row.append(math.inf if recorded <= warmup else history.percentile(percentile))
    return [torch.frombuffer(row, dtype=torch.float64) for row in rows]


def _replay(percentile: float, norms: Tensor, thresholds: Tensor) -> Replay:
    finite = torch.isfinite(norms)
    clipped = finite & (norms > thresholds)
    scales = torch.where(clipped, thresholds / norms, 1.0)  # Eq. (3)
    return Replay(percentile, finite, norms == 0, thresholds, clipped, scales)
