"""ALRC: adaptive learning rate clipping clips outlying losses before the backward pass.

Ede, Beanland: "Adaptive learning rate clipping stabilizes learning", Machine Learning: Science and
Technology 1 (2020) 015011, arXiv:1906.09060, Algorithm 1. Of a batch the moments take in the mean
loss and the mean square. Two additions: start values taken from the first batch, and a form for
losses that change sign, where the paper's ratio means nothing. One deliberate difference: without
`signed` a loss of exactly 0 (a margin kept, a padded example) isn't taken in. It has no gradient
to limit, and where nine in ten are 0 the threshold would fall below all others and then towards 0.
"""

import math
from typing import Unpack

import torch
from torch import Tensor

from autoclip_sep.clipping._arguments import flag, number
from autoclip_sep.clipping._moments import RunningMoments
from autoclip_sep.clipping.base import Clipper, Options, State
from autoclip_sep.clipping.gradients import Gradients
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

    num_stddev: n of the paper, 3 there; above 0.
    decay: of both running moments, in [0, 1); the paper's beta_1 and beta_2, 0.999.
    signed: whether losses may be negative, as a negative SNR is.
    mean, mean_square: start values; both or neither, mean_square > mean**2. They should be too
        large rather than too small. The paper's are 25 and 30**2. None takes 3 times the first
        batch's mean magnitude for the mean, and the paper's ratio between the two.
    epsilon: added to the variance. The published 1e-8 assumes losses well above 1e-4.
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
        self.signed = flag("signed", signed)
        self.decay, self.epsilon, self.mean, self.mean_square = decay, epsilon, mean, mean_square
        self._moments = RunningMoments(decay, epsilon, mean, mean_square, signed)
        self._capped: bool | Tensor = False
        self._negative: bool | Tensor = False

    @property
    def label(self) -> str:
        # `signed` follows from the loss, which a run's directory names beside the clipper.
        return label_of(self, "alrc_n{num_stddev}", "signed")

    def clip_loss(self, loss: Tensor) -> Tensor:
        """Losses, one per example and of any shape, capped; a loss that isn't finite stays.

        Raises NegativeLoss for one below zero unless `signed`: at once on the CPU, elsewhere in
        `clip_gradients`, which waits for the device anyway.
        """
        values = loss.detach().to(wide(loss.device))
        if not self._moments.ready(values):
            return loss
        mean, sigma = self._moments.mean_and_deviation(loss.device)
        base = mean if self.signed else torch.zeros_like(mean)
        room = mean + self.num_stddev * sigma - base
        above = (values - base > room) & torch.isfinite(values)
        factor = torch.where(above, room / (values - base), 1.0).to(loss.dtype)
        base = base.to(loss.dtype)
        limited = torch.where(above, base + (loss - base) * factor, loss)
        taken = limited.detach().to(values.dtype)
        capped, negative = self._moments.update(taken, above, values < 0)
        self._capped = self._capped | capped
        if not self.signed:
            self._negative = self._negative | negative
            if loss.device.type == "cpu":
                self._refuse_negative()
        return limited

    __call__ = clip_loss

    def _clip(self, gradients: Gradients, norm: float, norms: list[float]) -> Clip:
        self._refuse_negative()
        capped, self._capped = self._capped, False
        return Clip(clipped=capped)

    def _skip(self) -> None:
        self._capped = False
        super()._skip()

    def _refuse_negative(self) -> None:
        if bool(self._negative):
            self._negative = False
            raise NegativeLoss("ALRC met a negative loss: losses that change sign need signed=True")

    def _state(self) -> State:
        return {"moments": self._moments.packed()}

    def _load(self, state: State) -> None:
        self._moments.load(state["moments"])
