"""SI-SDR of every utterance and source of a split: one row each, resumable."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from autoclip_sep.data.loading.loaders import evaluation_batches
from autoclip_sep.data.store.reading import Split
from autoclip_sep.evaluation.separation import Separation
from autoclip_sep.evaluation.tables import open_table
from autoclip_sep.metrics.si_sdr import si_sdr, si_sdr_permuted
from autoclip_sep.types import Batch

COLUMNS = (
    "item",  # the mixture's name in its corpus
    "source",  # which reference, by name, or from 1 where sources have none
    "estimate",  # which estimate was given to it
    "si_sdr",  # dB, NaN where reference or estimate is silent
    "si_sdr_mixture",  # dB, the unprocessed mixture against the same reference
    "silent",  # 1 where there is no score because something is silent
)


def score_split(
    separation: Separation,
    split: Split,
    path: Path,
    provenance: dict[str, Any],
    *,
    names: Sequence[str] = (),
    progress: bool = True,
) -> None:
    """Write a row for every source of every mixture to `path`, passing over what it holds already.

    provenance: as in `open_table`. names: the sources', in the corpus' order; none for numbers.
    """
    rows, done = open_table(path, COLUMNS, provenance, separation.sources)
    bar = tqdm(total=len(split), initial=len(done), unit="mixture", desc=path.stem,
               disable=None if progress else True)  # fmt: skip
    with bar:
        for batch in evaluation_batches(split, batch_size=1, without=done):
            for row in _score(separation, batch, names):
                rows.append(row)
            bar.update()
    rows.close()


def _score(separation: Separation, batch: Batch, names: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows of a mixture (B = 1); its channels are scored as one long signal."""
    estimate = separation.whole(batch).flatten(2)
    reference = batch.sources.flatten(2)  # (1, S, C * T)
    mixture = batch.mixture.flatten(1)
    numbers = [str(s + 1) for s in range(reference.shape[1])]
    names = names or numbers
    if separation.permute:
        scores, order = si_sdr_permuted(estimate, reference)
        given = [numbers[e] for e in order[0].tolist()]
    else:
        # One by one: of a song, all sources at once in float64 would be gigabytes.
        pairs = zip(estimate.unbind(1), reference.unbind(1), strict=True)
        scores = torch.stack([si_sdr(*pair) for pair in pairs], dim=1)
        given = list(names)
    for s, score in enumerate(scores[0].tolist()):
        before = float(si_sdr(mixture, reference[:, s]))
        yield {
            "item": batch.items[0], "source": names[s], "estimate": given[s],
            "si_sdr": score, "si_sdr_mixture": before, "silent": int(score != score),
        }  # fmt: skip
