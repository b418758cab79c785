"""Which examples were in the batches whose gradients stood out."""

import math
from collections.abc import Callable, Sequence
from typing import Any

from torch import Tensor

from autoclip_sep.clipping.history import History
from autoclip_sep.runs.records import Records

SPIKE_COLUMNS = (
    "step",
    "epoch",
    "grad_norm",  # what was watched: global L2 norm of the batch's gradient before clipping
    "median_norm",  # of the norms before it, NaN where there were none
    "item",  # an example of the batch
    "loss",  # its own, before the clipper clipped it
)
Example = tuple[str, float]
TIMES, WINDOW, FIRST = 5.0, 1000, 100


class Spikes:
    """A row of `SPIKE_COLUMNS` for each example of a batch whose gradient norm is a spike::

        model = nn.Linear(8, 1)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        clipper = AutoClip(percentile=10)
        spikes = Spikes(Records("spikes.csv", SPIKE_COLUMNS))
        for step in range(1, 301):
            names = [f"{step}.{n}" for n in range(16)]
            batch = torch.randn(16, 8)
            batch[3] *= 1e4 if step == 250 else 1
            losses = (model(batch) - batch[:, :1]).square().mean(1)
            losses.mean().backward()
            clip = clipper.clip_gradients(model.parameters())
            spikes.watch(clip.norm, losses, names, step=step)
            optimizer.step()
            optimizer.zero_grad()

    A norm is one if it is non-finite, or above `times` the median of the latest `window` finite
    norms, as soon as there are `first` of them. Norms of exactly 0 are not among them.

    With a clipper that clips losses the norm is that of the clipped ones' gradient: what it caught
    is no spike.

    records: where rows go; None writes nothing but still counts.
    gather: gives a list of every process' value where there are several. The norm must be the same
        in all of them.

    Raises ValueError unless times > 1 and 1 <= first <= window.
    """

    def __init__(
        self,
        records: Records | None,
        *,
        times: float = TIMES,
        window: int = WINDOW,
        first: int = FIRST,
        gather: Callable[[Any], list[Any]] | None = None,
    ) -> None:
        if not times > 1 or not 1 <= first <= window:
            raise ValueError(
                "times must be above 1 and first from 1 to window, not"
                f" {times!r}, {first!r} and {window!r}"
            )
        self.records, self.gather = records, gather
        self.times, self.window, self.first = times, window, first
        self.count = 0
        self._norms = History(window)

    def watch(
        self,
        norm: Tensor | float,
        losses: Tensor,
        items: Sequence[str],
        *,
        step: int,
        epoch: int = 1,
    ) -> None:
        """Takes in one batch. Reads the norm, and in a spike the losses, from the device.

        Right behind `Clipper.clip_gradients` that waits for little; behind an optimizer's step,
        for all of the step.

        norm: of the whole batch's gradient, before clipping. losses: (B,), or one value, of this
        process' part of the batch; items: its B examples' names.

        Raises ValueError for another number of losses.
        """
        if losses.ndim and losses.shape != (len(items),):
            raise ValueError(
                f"losses of shape {tuple(losses.shape)} for {len(items)} items: give one for each"
                " item, or one for all"
            )
        norm = float(norm)
        median = self._norms.percentile(50) if len(self._norms) else math.nan
        if math.isfinite(norm):
            known = len(self._norms) >= self.first
            self._norms.append(norm)
            if not known or norm <= self.times * median:
                return
        self.count += 1
        for item, loss in self._everyones(losses, items):
            if self.records is not None:
                self.records.append({
                    "step": step, "epoch": epoch, "grad_norm": norm, "median_norm": median,
                    "item": item, "loss": loss,
                })  # fmt: skip

    def _everyones(self, losses: Tensor, items: Sequence[str]) -> list[Example]:
        """Names and losses of the whole batch."""
        own = losses.detach().cpu().double().expand(len(items)).tolist()
        examples: list[Example] = list(zip(items, own, strict=True))
        if self.gather is None:
            return examples
        return [example for part in self.gather(examples) for example in part]

    def state_dict(self) -> dict[str, Any]:
        """Count and norms, for exact resume: numbers and a list of numbers."""
        return {"count": self.count, "norms": self._norms.entries().tolist()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restores a saved state."""
        self.count = state["count"]
        self._norms = History.unpacked(state["norms"], self.window)
