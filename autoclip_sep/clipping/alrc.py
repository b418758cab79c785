"""ALRC: adaptive learning rate clipping caps outlying losses before the backward pass.

Ede, Beanland: "Adaptive learning rate clipping stabilizes learning", Machine Learning: Science and
Technology 1 (2020) 015011, arXiv:1906.09060, Algorithm 1. Of a batch the moments take in the mean
loss and the mean square. Two additions: start values taken from the first batch, and a form for
losses that change sign, where the paper's ratio means nothing. One deliberate difference: without
`signed` a loss of exactly 0 (a margin kept, a padded example) isn't taken in. It has no gradient
to clip, and where nine in ten are 0 the threshold would fall below all others and then towards 0.
"""

import math
from typing import Unpack

import torch
import torch.distributed as dist
from torch import Tensor

from autoclip_sep.clipping._arguments import boolean, number
from autoclip_sep.clipping.base import Clipper, Options, State
from autoclip_sep.clipping.gradients import Gradients
from autoclip_sep.clipping.history import unpack
from autoclip_sep.clipping.norms import wide
from autoclip_sep.clipping.result import Clip, NegativeLoss
from autoclip_sep.clipping.settings import label_of


class ALRC(Clipper):
    """Caps each loss at `num_stddev` standard deviations above the running mean.

    A loss L above the threshold h = mean + num_stddev * sigma becomes h, and its gradient is
    multiplied by h / L. With `signed` the loss is measured from the running mean instead, which
    leaves ALRC indifferent to a constant added to the loss: the factor is
    (h - mean) / (L - mean). The moments then take in the capped losses.

    Works alone as ``loss = alrc(losses).mean()``. Training losses only: every call is remembered.
    Where torch.distributed is initialised every call adds one all-reduce of a few numbers, so that
    all processes share one threshold and one checkpoint serves them all.

    num_stddev: n of the paper, 3 there; above 0.
    decay: of both running moments, in [0, 1); the paper's beta_1 and beta_2, 0.999.
    signed: whether losses may be negative, as a negative SNR is.
    mean, mean_square: start values; both or neither, mean_square > mean**2. They should be too
        large rather than too small. The paper's are 25 and 30**2. None takes 3 times the first
        batch's mean magnitude for the mean, and the paper's ratio between the two.
    epsilon: added to the variance. The published 1e-8 assumes losses well above 1e-4.

    Raises ValueError for other settings.
    """

    clips_loss = True

    def __init__(
        self,
        num_stddev: float = 3.0,
        *,
        decay: float = 0.999,
        signed: bool = False,
        mean: float | None = None,
        mean_square: float | None = None,
        epsilon: float = 1e-8,
        **options: Unpack[Options],
    ) -> None:
        super().__init__(**options)
        self.num_stddev = number("num_stddev", num_stddev, 0, math.inf, "()")
        self.decay = number("decay", decay, 0, 1, "[)")
        self.signed = boolean("signed", signed)
        self.mean, self.mean_square = mean, mean_square
        self.epsilon = number("epsilon", epsilon, 0, math.inf, "[)")
        self._moments = _start_values(mean, mean_square)  # (2,) float64: mean, mean square
        self._capped: bool | Tensor = False
        self._negative: bool | Tensor = False

    @property
    def label(self) -> str:
        # `signed` follows from the loss, which a run's directory names beside the clipper.
        return label_of(self, "alrc_n{num_stddev}", "signed")

    def clip_loss(self, loss: Tensor) -> Tensor:
        """Losses, one per example and of any shape, capped; a non-finite loss stays as it is.

        Raises NegativeLoss for one below zero unless `signed`: at once on the CPU, elsewhere in
        `clip_gradients`, which waits for the device anyway.
        """
        values = loss.detach().to(wide(loss.device))
        if self._moments is None:
            self._moments = self._first_moments(values)
        if self._moments is None:
            return loss
        moments = self._moments.to(values.device, values.dtype)
        mean, square = moments.unbind()
        sigma = ((square - mean * mean).clamp(min=0) + self.epsilon).sqrt()
        base = mean if self.signed else torch.zeros_like(mean)
        room = mean + self.num_stddev * sigma - base
        above = (values - base > room) & torch.isfinite(values)
        factor = torch.where(above, room / (values - base), 1.0).to(loss.dtype)
        base = base.to(loss.dtype)
        capped = torch.where(above, base + (loss - base) * factor, loss)
        self._update(moments, capped.detach().to(values.dtype), above, values < 0)
        if not self.signed and loss.device.type == "cpu":
            self._refuse_negative()
        return capped

    __call__ = clip_loss

    def _first_moments(self, values: Tensor) -> Tensor | None:
        """Start values from the first finite batch that isn't all zero."""
        total, _, count, nonfinite = self._sums(values.abs()).tolist()
        if nonfinite or not total:
            return None
        mean = 3 * total / count
        return _on_host(mean, (30 / 25 * mean) ** 2)

    def _update(self, moments: Tensor, capped: Tensor, above: Tensor, negative: Tensor) -> None:
        """Takes in a batch of capped losses; a non-finite one leaves the moments alone."""
        total, squares, count, nonfinite, *flags = self._sums(capped, above, negative).unbind()
        moved = self.decay * moments + (1 - self.decay) * torch.stack((total, squares)) / count
        self._moments = torch.where((nonfinite > 0) | (count == 0), moments, moved)
        self._capped = self._capped | (flags[0] > 0)
        if not self.signed:
            self._negative = self._negative | (flags[1] > 0)

    def _sums(self, values: Tensor, *flags: Tensor) -> Tensor:
        """Sum and sum of squares of what is taken in, how many that is, how many are non-finite.

        And how many have each flag: (4 + number of flags,) over all processes.
        """
        finite = torch.isfinite(values)
        taken = finite if self.signed else finite & (values != 0)
        kept = torch.where(finite, values, 0.0)
        counts = [flag.to(values.dtype).sum() for flag in (taken, ~finite, *flags)]
        sums = torch.stack((kept.sum(), kept.square().sum(), *counts))
        if dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1:
            dist.all_reduce(sums)
        return sums

    def _clip(self, gradients: Gradients, norm: float, norms: list[float]) -> Clip:
        self._refuse_negative()
        capped, self._capped = self._capped, False
        return Clip(clipped=capped)

    def _count_skipped(self) -> None:
        self._capped = False
        super()._count_skipped()

    def _refuse_negative(self) -> None:
        if bool(self._negative):
            self._negative = False
            raise NegativeLoss("ALRC met a negative loss: losses that change sign need signed=True")

    def _state(self) -> State:
        """moments: mean and mean square; empty before the first batch."""
        return {"moments": [] if self._moments is None else self._moments.tolist()}

    def _load(self, state: State) -> None:
        moments = unpack("ALRC's moments", state["moments"])
        if len(moments) not in (0, 2) or not all(map(math.isfinite, moments)):
            raise ValueError("ALRC's moments must be two finite numbers, or none yet")
        self._moments = _on_host(*moments) if moments else None


def _start_values(mean: float | None, mean_square: float | None) -> Tensor | None:
    if (mean is None) != (mean_square is None):
        raise ValueError("give both mean and mean_square, or neither")
    if mean is None:
        return None
    first = number("mean", mean, -math.inf, math.inf, "()")
    second = number("mean_square", mean_square, 0, math.inf, "[)")
    if second <= first * first:
        raise ValueError(f"mean_square must exceed mean**2 = {first * first}, not {second}")
    return _on_host(first, second)


def _on_host(mean: float, mean_square: float) -> Tensor:
    return torch.tensor([mean, mean_square], dtype=torch.float64, device="cpu")
