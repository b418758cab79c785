"""Who speaks in a mixture, by its name, and the genders of speakers, by the tables of corpora."""

import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from autoclip_sep.errors import InputError
from autoclip_sep.text import read_text

UTTERANCE, LEVEL = re.compile(r"[0-9a-z]{8}"), re.compile(r"-?[0-9.]+(e-?[0-9]+)?")
LIBRISPEECH = re.compile(r"(\d+)-\d+-\d+")
TABLES = (  # of LibriSpeech, of WSJ0, of anybody; below a corpus' root or above it
    "SPEAKERS.TXT", "LibriSpeech/SPEAKERS.TXT", "spkrinfo.txt", "doc/spkrinfo.txt",
    "wsj0/doc/spkrinfo.txt", "speakers.csv",
)  # fmt: skip
HIGHEST = 3  # levels above the root: it is wav8k/min in that of LibriMix


def of_wsj0_mix(name: str) -> tuple[str, ...]:
    """The speakers of `40ec0029_1.844_40bc0020_-1.844`, which also states their levels in dB.

    Empty for a name of another form.
    """
    parts = name.rpartition("/")[2].split("_")
    utterances, levels = parts[::2], parts[1::2]
    known = all(map(UTTERANCE.fullmatch, utterances)) and all(map(LEVEL.fullmatch, levels))
    return tuple(u[:3] for u in utterances) if known and len(levels) == len(utterances) else ()


def of_librimix(name: str) -> tuple[str, ...]:
    """The speakers of `4077-13754-0001_5142-33396-0065`; empty for a name of another form."""
    found = [LIBRISPEECH.fullmatch(part) for part in name.split("_")]
    return tuple(match[1] for match in found if match) if all(found) else ()


def genders(table: Path) -> dict[str, str]:
    """f or m by speaker, from the first two fields of each line.

    That is so in LibriSpeech's SPEAKERS.TXT, WSJ0's spkrinfo.txt and LibriMix's tables of
    LibriSpeech; comments begin with ; there. Speakers of other genders are left out. Raises
    InputError for a file that can't be read, or names no gender.
    """
    found = {}
    for line in read_text(table).splitlines():
        fields = [field for field in re.split(r"[|,;\s]+", line.partition(";")[0]) if field]
        if len(fields) > 1 and fields[1].lower() in ("f", "m", "female", "male"):
            found[fields[0].lower()] = fields[1][0].lower()
    if not found:
        raise InputError(f"{table}: no line begins with a speaker and f or m")
    return found


def found_genders(root: str | Path | None) -> Mapping[str, str]:
    """The genders of the first table with some, at a corpus' root or above it; empty without."""
    if not root:
        return {}
    here = Path(root).resolve()
    for folder in [here, *list(here.parents)[:HIGHEST]]:
        for name in TABLES:
            with suppress(InputError):
                return genders(folder / name)
    return {}
