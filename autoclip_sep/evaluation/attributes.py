"""What is known of each mixture that is scored: `<run>/evaluation/<split>_items.csv`.

Lengths, levels and overlap are measured from the sources; speakers and genders are those that the
corpus' names and tables tell.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from autoclip_sep.data.corpora.base import KnowsSpeakers
from autoclip_sep.data.store.reading import Split
from autoclip_sep.files import write_whole
from autoclip_sep.runs import records, run_directory
from autoclip_sep.runs.scores import JOINED

FRAME = 0.032  # seconds
ACTIVE = 1e-4  # of the power of a source's loudest frame: 40 dB below it
BLOCK = 2**12  # frames in memory at a time

Row = dict[str, Any]


def write(
    path: Path, split: Split, sample_rate: int, names: Sequence[str], corpus: object,
    provenance: Mapping[str, Any], *, progress: bool = True,
) -> None:  # fmt: skip
    """Write a row for each item, unless the table of this provenance is there.

    provenance: what the table depends on, kept in the .json beside it. names: of the sources.

    seconds. overlap: of the frames of 32 ms in which some source is active, the share in which two
    or more are, where active is within 40 dB of a source's loudest frame; NaN where all are silent.
    level_difference: of the loudest and the quietest source [dB]. <source>_level: over all else in
    the mixture [dB]. snr: of all sources over what isn't to be estimated [dB], where a corpus has
    such. speakers, genders: of the sources in their order, f or m, joined by " + ", where the
    corpus tells; empty for a mixture that it doesn't know.
    """
    note = path.with_suffix(".json")
    if path.is_file() and run_directory.read_json(note).get("provenance") == provenance:
        return
    bar = tqdm(split.items, desc=path.stem, unit="item", disable=None if progress else True)
    rows = [{"item": item} | measured(split, i, sample_rate, names) for i, item in enumerate(bar)]
    if isinstance(corpus, KnowsSpeakers):
        add_speakers(rows, corpus, len(names))
    lines = [list(rows[0]), *(list(row.values()) for row in rows)]
    text = "".join(map(records.csv_line, lines))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode("utf-8", "surrogateescape"))
    run_directory.write_json(note, {"provenance": provenance})


def measured(split: Split, i: int, sample_rate: int, names: Sequence[str]) -> Row:
    """The numbers of mixture i: see `write`."""
    frame = round(FRAME * sample_rate)
    length = int(split.lengths[i])
    of_frames, rest = [], np.zeros(len(names))
    together = noise = 0.0
    for start in range(0, length, BLOCK * frame):
        loaded = split.load(i, start, min(BLOCK * frame, length - start))
        mixture, sources = (signal.astype(np.float64) for signal in loaded)  # (C, T), (S, C, T)
        of_frames.append(_energies(sources, frame))
        rest += ((mixture - sources) ** 2).sum(axis=(1, 2))
        together += float((sources.sum(axis=0) ** 2).sum())
        noise += float(((mixture - sources.sum(axis=0)) ** 2).sum())
    energies = np.concatenate(of_frames, axis=1)  # (S, frames)
    powers = energies.sum(axis=1)
    row: Row = {
        "seconds": length / sample_rate,
        "overlap": overlap(energies),
        "level_difference": decibels(powers.max(), powers.min()),
    }
    if not split.targets.all():
        row["snr"] = decibels(together, noise)
    levels = zip(names, powers, rest, strict=True)
    return row | {f"{name}_level": decibels(power, other) for name, power, other in levels}


def overlap(energies: NDArray[np.float64]) -> float:
    """The share of overlapped speech, of the sources' energies in frames (S, frames); see `write`.

    NaN where all are silent.
    """
    loudest = energies.max(axis=1, keepdims=True)
    active = ((energies > ACTIVE * loudest) & (loudest > 0)).sum(axis=0)
    return float((active >= 2).sum() / (active >= 1).sum()) if active.any() else math.nan


def decibels(power: float, over: float) -> float:
    """The ratio of two powers; NaN where one is zero."""
    return float(10 * np.log10(power / over)) if power > 0 and over > 0 else math.nan


def add_speakers(rows: Sequence[Row], corpus: KnowsSpeakers, sources: int) -> None:
    """Columns speakers and genders, where the corpus knows those of any mixture."""
    speakers = [corpus.speakers_of(row["item"]) for row in rows]
    speakers = [known if len(known) == sources else () for known in speakers]
    if not any(speakers):
        return
    together = [JOINED.join(known) for known in speakers]
    theirs = genders_of(together, corpus.genders())
    for n, row in enumerate(rows):
        row["speakers"] = together[n]
        if any(theirs):
            row["genders"] = theirs[n]


def genders_of(speakers: Sequence[str], genders: Mapping[str, str]) -> list[str]:
    """The column genders of that of the speakers; empty for a mixture that isn't known whole.

    genders: f or m by speaker, in lower case.
    """
    found = [[genders.get(name.lower(), "") for name in of.split(JOINED)] for of in speakers]
    return [JOINED.join(each) if all(each) else "" for each in found]


def _energies(sources: NDArray[np.float64], frame: int) -> NDArray[np.float64]:
    """Of (S, C, T) in frames, the last one perhaps short: (S, frames)."""
    squares = (sources**2).sum(axis=1)
    return np.add.reduceat(squares, np.arange(0, squares.shape[1], frame), axis=1)
