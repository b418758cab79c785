"""Scores to hold a system's beside: the mixture as it is, and masks made of the sources themselves.

An ideal mask multiplies the mixture's STFT, whose phase it keeps; no network that does the same
gets further. Which mask is the bound depends on what a network's masks may be: 0 or 1 (clusters),
within [0, 1] (a sigmoid), or any real number.

Sources: ideal binary mask: Wang, "On ideal binary mask as the computational goal of auditory scene
analysis" (2005); ideal ratio mask, of magnitudes: Huang et al. (2014); phase-sensitive mask, its
truncation included: Erdogan et al. (2015).
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from autoclip_sep import masks
from autoclip_sep.data.store.reading import Split
from autoclip_sep.evaluation.metric import Metric
from autoclip_sep.evaluation.per_source import PerSource
from autoclip_sep.evaluation.score import score, summarise
from autoclip_sep.evaluation.system import System
from autoclip_sep.files import sweep
from autoclip_sep.runs.sources import bound_title
from autoclip_sep.separation.separate import apply_masks
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch

CHUNK = 2**20  # samples of all items of a batch together that are masked at a time

# The STFTs of a mixture (B, C, F, N) and of what it is made of (B, S, C, F, N) to (B, S, C, F, N).
Mask = Callable[[Tensor, Tensor], Tensor]

MASKS: dict[str, Mask] = {
    "ideal_binary_mask": lambda mixture, sources: masks.ideal_binary_mask(sources),
    "ideal_ratio_mask": lambda mixture, sources: masks.ideal_ratio_mask(sources),
    "truncated_phase_sensitive_mask": masks.truncated_phase_sensitive_mask,
    "phase_sensitive_mask": masks.phase_sensitive_mask,
}


@dataclass(frozen=True)
class Unprocessed:
    """The mixture as the estimate of every source."""

    sources: int
    device: torch.device
    permute: bool = False

    def whole(self, batch: Batch) -> Tensor:
        """(B, S, C, T), each source the same."""
        return batch.mixture.unsqueeze(1).expand(-1, self.sources, -1, -1)


@dataclass(frozen=True)
class IdealMask:
    """A mask made of a mixture's sources, applied to the mixture, each channel by itself.

    What is in a mixture beside its sources has a mask as well, which isn't returned: noise, or the
    accompaniment where only vocals are estimated.
    """

    mask: Mask
    stft: STFT
    sources: int
    device: torch.device
    permute: bool = False

    def whole(self, batch: Batch) -> Tensor:
        """(B, S, C, T) on the CPU, for mixtures of any length: they are masked in chunks.

        Chunks overlap by all frames that reach across their edges: the waveforms are the same as
        at once.
        """
        hop, length = self.stft.hop_length, batch.mixture.shape[-1]
        reach = -(-self.stft.window_length // hop) * hop
        step = max(1, CHUNK // len(batch.items) // hop) * hop
        parts = []
        for start in range(0, length, step):
            first = max(0, start - reach)
            part = slice(first, start + step + reach)
            masked = self._masked(batch.mixture[..., part], batch.sources[..., part])
            parts.append(masked[..., start - first :][..., :step])
        return torch.cat(parts, dim=-1)

    def _masked(self, mixture: Tensor, sources: Tensor) -> Tensor:
        """(B, C, T) and (B, S, C, T) to (B, S, C, T) on the CPU."""
        mixture, sources = mixture.to(self.device), sources.to(self.device)
        rest = mixture - sources.sum(dim=1)
        mixture_stft = self.stft.transform(mixture)
        parts_stft = self.stft.transform(torch.cat([sources, rest.unsqueeze(1)], dim=1))
        found = self.mask(mixture_stft, parts_stft)[:, : self.sources]
        return apply_masks(found, mixture_stft, self.stft, mixture.shape[-1]).cpu()


def bounds(sources: int, stft: STFT, device: torch.device) -> dict[str, System]:
    """The mixture, then the ideal masks, by the names of their folders of scores."""
    ideal = {name: IdealMask(mask, stft, sources, device) for name, mask in MASKS.items()}
    return {"mixture": Unprocessed(sources, device), **ideal}


def score_all(
    metrics: Sequence[Metric],
    split: Split,
    split_name: str,
    folder: Path,
    provenance: Mapping[str, Any],
    stft: STFT,
    device: torch.device,
    **how: Any,
) -> dict[Metric, dict[str, dict[str, Any]]]:
    """Score every bound into <folder>/<bound>/; the summaries by metric and bound.

    provenance: of the corpus, to which the STFT is added. how: as of `score`.
    """
    systems = bounds(split.sources, stft, device)
    made_by = {"window_length": stft.window_length, "hop_length": stft.hop_length}
    tables = {
        (metric, name): folder / name / metric.file_name(split_name)
        for metric in metrics
        for name in systems
    }
    for name, system in systems.items():
        sweep(folder / name)
        own = {tables[metric, name]: metric for metric in metrics}
        if own:
            score(own, system, split, {"bound": name, **made_by, **provenance}, **how)
    return {
        metric: {name: summarise(metric, tables[metric, name]) for name in systems}
        for metric in metrics
    }


def as_text(
    metric: Metric,
    summaries: Mapping[str, Mapping[str, Any]],
    stft: STFT,
    run: Mapping[str, Any] | None = None,
) -> str:
    """A metric's summaries by bound, for a terminal; a line each where it has one score in dB.

    run: its summary. gap: by how much a mask is better than the run.
    """
    rows = {bound_title(name): summary for name, summary in summaries.items()}
    made = f"masks of an STFT with windows of {stft.window_length} samples, hop {stft.hop_length}"
    if not (isinstance(metric, PerSource) and metric.improves and len(metric.scores) == 1):
        return "\n".join([*(f"{name}:\n{metric.as_text(row)}" for name, row in rows.items()), made])
    ((score, title),) = metric.scores.items()
    head = f"{f'means in{metric.unit}':31}{title:>9}{'improvement':>13}"
    lines = [head + ("     gap" if run else "")]
    if run is not None:
        rows = {"mixture": rows.pop("mixture"), "this run": run, **rows}
    for name, row in rows.items():
        mean, improvement = row[f"{score}_mean"], row.get(f"{score}_improvement_mean", math.nan)
        gap = ""
        if run is not None and name not in ("mixture", "this run"):
            gap = f"{mean - run[f'{score}_mean']:8.2f}"
        left_out = row[metric.undefined]
        note = f"  ({left_out} {metric.undefined})" if left_out else ""
        lines.append(f"{name:31}{mean:9.2f}{improvement:13.2f}{gap}{note}")
    return "\n".join([*lines, made])
