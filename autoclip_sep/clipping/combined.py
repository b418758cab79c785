"""A clipper of losses and a clipper of gradients in one, such as ALRC before AutoClip."""

from typing import Unpack

from torch import Tensor

from autoclip_sep.clipping.base import Clipper, Options, State
from autoclip_sep.clipping.gradients import Gradients
from autoclip_sep.clipping.result import Clip


class Combined(Clipper):
    """Clips losses by one clipper and then gradients by another.

    The norm is taken once, and `max_nonfinite` is this clipper's. The result describes the
    gradients; `clipped` is true where either of the two did something.

    loss: a clipper with `clips_loss`. gradients: one without.

    Raises ValueError for any other pair.
    """

    clips_loss = True
    label_start = "{loss.label}_{gradients.label}"

    def __init__(self, loss: Clipper, gradients: Clipper, **options: Unpack[Options]) -> None:
        super().__init__(**options)
        if not loss.clips_loss or gradients.clips_loss:
            raise ValueError(
                "Combined takes a clipper of losses and then one of gradients, "
                f"not {loss.label} and {gradients.label}"
            )
        self.loss = loss
        self.gradients = gradients

    def clip_loss(self, loss: Tensor) -> Tensor:
        return self.loss.clip_loss(loss)

    def _clip(self, gradients: Gradients, norm: float, norms: list[float]) -> Clip:
        losses = self.loss._clip_finite(gradients, norm, norms)
        clip = self.gradients._clip_finite(gradients, norm, norms)
        return clip._replace(clipped=losses.clipped | clip.clipped)

    def _count_skipped(self) -> None:
        self.loss._count_skipped()
        self.gradients._count_skipped()
        super()._count_skipped()

    def _state(self) -> State:
        return {
            f"{name}.{key}": value
            for name, part in (("loss", self.loss), ("gradients", self.gradients))
            for key, value in part.state_dict().items()
        }

    def _load(self, state: State) -> None:
        before = self.loss.state_dict()
        self.loss.load_state_dict(_part(state, "loss."))
        try:
            self.gradients.load_state_dict(_part(state, "gradients."))
        except ValueError:
            self.loss.load_state_dict(before)
            raise


def _part(state: State, prefix: str) -> State:
    return {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
