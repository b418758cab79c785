"""SI-SDR of every utterance and source of a split: one row each, resumable."""

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from autoclip_sep import records, runs
from autoclip_sep.data.loaders import evaluation_batches
from autoclip_sep.data.store import Split
from autoclip_sep.metrics.si_sdr import si_sdr, si_sdr_permuted
from autoclip_sep.separation.separate import separate
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch

COLUMNS = (
    "item",  # the mixture's name in its corpus
    "source",  # which reference, from 1
    "estimate",  # which estimate was given to it, from 1
    "si_sdr",  # dB, NaN where reference or estimate is silent
    "si_sdr_mixture",  # dB, the unprocessed mixture against the same reference
    "silent",  # 1 where there is no score because something is silent
)


@dataclass(frozen=True)
class Separation:
    """A trained network and what hearing it takes."""

    model: nn.Module
    stft: STFT
    sources: int
    device: torch.device

    @torch.no_grad()
    def __call__(self, batch: Batch) -> Tensor:
        """One waveform per source, in float32, dropout off: (B, S, C, T)."""
        self.model.eval()
        return separate(self.model(batch), batch, self.stft, self.sources)


def score_split(
    separation: Separation,
    split: Split,
    path: Path,
    provenance: dict[str, Any],
    *,
    permute: bool = True,
    progress: bool = True,
) -> None:
    """Write a row for every source of every mixture to `path`, passing over what it holds already.

    provenance: what the scores depend on (checkpoint, corpus, ...). Scores of another provenance
        are thrown away first.
    """
    _start_over_if_changed(path, provenance)
    rows = records.Records(path, COLUMNS)
    done = _whole_items(rows, separation.sources)
    bar = tqdm(total=len(split), initial=len(done), unit="mixture", desc=path.stem,
               disable=None if progress else True)  # fmt: skip
    with bar:
        for host_batch in evaluation_batches(split, batch_size=1, without=done):
            batch = host_batch.to(separation.device)
            for row in _score(separation(batch), batch, permute):
                rows.append(row)
            bar.update()
    rows.close()


def _score(waveforms: Tensor, batch: Batch, permute: bool) -> Iterator[dict[str, Any]]:
    """The rows of a batch; an utterance's channels are scored as one long signal."""
    reference = batch.sources.flatten(2)  # (B, S, C*T)
    estimate = waveforms.flatten(2)
    mixture = batch.mixture.flatten(1).unsqueeze(1).expand_as(reference)
    before = si_sdr(mixture, reference)
    if permute:
        scores, order = si_sdr_permuted(estimate, reference)
    else:
        scores = si_sdr(estimate, reference)
        order = torch.arange(scores.shape[1]).expand_as(scores)
    for b, item in enumerate(batch.items):
        for s in range(reference.shape[1]):
            score = float(scores[b, s])
            yield {
                "item": item, "source": s + 1, "estimate": int(order[b, s]) + 1,
                "si_sdr": score, "si_sdr_mixture": float(before[b, s]),
                "silent": int(score != score),
            }  # fmt: skip


def _start_over_if_changed(path: Path, provenance: dict[str, Any]) -> None:
    note = path.with_suffix(".json")
    if runs.read_json(note).get("provenance") != provenance:
        path.unlink(missing_ok=True)
        path.parent.mkdir(parents=True, exist_ok=True)
        runs.write_text(note, json.dumps({"provenance": provenance}, indent=1) + "\n")


def _whole_items(rows: records.Records, sources: int) -> set[str]:
    """Items with all their rows; the rows of one that was cut short are dropped."""
    count = Counter(row["item"] for row in rows.rows())
    if any(number != sources for number in count.values()):
        rows.keep(lambda row: count[row["item"]] == sources)
    return {item for item, number in count.items() if number == sources}
