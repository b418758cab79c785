"""BSS Eval v4 of every track and source of a split: one row each, resumable.

As the field reports it (Stöter et al., 2018): windows of one second; a track's score is the median
of its windows, a source's the median of its tracks.
"""

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from tqdm import tqdm

from autoclip_sep.data.loading.loaders import evaluation_batches
from autoclip_sep.data.store.reading import Split
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.separation import Separation
from autoclip_sep.evaluation.tables import open_table, write_summary
from autoclip_sep.metrics.bss_eval import bss_eval
from autoclip_sep.metrics.si_sdr import si_sdr_permuted
from autoclip_sep.permutation import reorder
from autoclip_sep.runs import records
from autoclip_sep.types import Batch

SCORES = ("sdr", "isr", "sir", "sar")
COLUMNS = (
    "item",  # the track's name in its corpus
    "source",  # by name, or from 1 where sources have none
    *SCORES,  # dB, medians over windows; NaN where there is none
    "frames",  # windows that have scores
    "silent",  # windows that have none, because some source or estimate is silent in them
)


def score_tracks(
    separation: Separation,
    split: Split,
    path: Path,
    provenance: dict[str, Any],
    *,
    sample_rate: int,
    names: Sequence[str] = (),
    progress: bool = True,
) -> None:
    """Write a row for every source of every track to `path`, passing over what it holds already.

    provenance: as in `open_table`. names: the sources', in the corpus' order; none for numbers.
    """
    names = names or [str(s + 1) for s in range(separation.sources)]
    rows, done = open_table(path, COLUMNS, provenance, separation.sources)
    bar = tqdm(total=len(split), initial=len(done), unit="track", desc=path.stem,
               disable=None if progress else True)  # fmt: skip
    with bar:
        for batch in evaluation_batches(split, batch_size=1, without=done):
            for row in _score(separation, batch, sample_rate, names):
                rows.append(row)
            bar.update()
    rows.close()


def summarise(path: Path) -> dict[str, Any]:
    """Medians over tracks for each source, and the mean of these [dB].

    What has no score is counted. The summary is also written into the .json beside the table.

    Raises InputError where nothing was scored.
    """
    rows = records.read(path)
    sources: dict[str, dict[str, Any]] = {}
    for source in dict.fromkeys(row["source"] for row in rows):
        own = [row for row in rows if row["source"] == source and int(row["frames"])]
        if own:
            scores = {key: median(float(row[key]) for row in own) for key in SCORES}
            sources[source] = {**scores, "tracks": len(own)}
    if not sources:
        raise InputError(f"{path}: something is silent in every window, nothing was scored")
    summary = {
        "sources": sources,
        "mean": {key: fmean(source[key] for source in sources.values()) for key in SCORES},
        "tracks": len({row["item"] for row in rows}),
        "unscored": sum(int(row["frames"]) == 0 for row in rows),
    }
    write_summary(path, summary)
    return summary


def as_text(summary: dict[str, Any]) -> str:
    """The summary for a terminal."""
    lines = ["BSS Eval v4 [dB]" + "".join(f"{key.upper():>8}" for key in SCORES) + "  tracks"]
    for name, scores in {**summary["sources"], "mean": summary["mean"]}.items():
        numbers = "".join(f"{scores[key]:8.2f}" for key in SCORES)
        lines.append(f"{name:16}{numbers}{scores.get('tracks', ''):>8}".rstrip())
    unscored = f", {summary['unscored']} without a score" if summary["unscored"] else ""
    lines.append(f"medians of 1 s windows, then of {summary['tracks']} tracks{unscored}")
    return "\n".join(lines)


def _score(
    separation: Separation, batch: Batch, sample_rate: int, names: Sequence[str]
) -> Iterator[dict[str, Any]]:
    """The rows of a track (B = 1); estimates without names are given to sources by their SI-SDR."""
    estimate = separation.whole(batch)
    if separation.permute:
        _, order = si_sdr_permuted(estimate.flatten(2), batch.sources.flatten(2))
        estimate = reorder(estimate, order)
    device = separation.device
    scores = bss_eval(estimate[0].to(device), batch.sources[0].to(device), sample_rate)
    for s, name in enumerate(names):
        windows = [score[s].tolist() for score in scores]
        defined = [not math.isnan(value) for value in windows[0]]
        row: dict[str, Any] = {"item": batch.items[0], "source": name}
        for key, values in zip(SCORES, windows, strict=True):
            kept = [value for value, there in zip(values, defined, strict=True) if there]
            row[key] = median(kept) if kept else math.nan
        yield {**row, "frames": sum(defined), "silent": len(defined) - sum(defined)}
