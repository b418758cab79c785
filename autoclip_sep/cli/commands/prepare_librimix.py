"""Make LibriMix's clean mixtures from LibriSpeech: ``python scripts/prepare_librimix.py``.

    python scripts/prepare_librimix.py librispeech=LibriSpeech metadata=LibriMix out=corpora
        [speakers=2] [sample_rate=8000] [mode=min] [subsets=train-100,dev,test] [jobs=4]
        [shard=3/16]

librispeech: the folder of train-clean-100, dev-clean, test-clean and so on. metadata: a clone of
github.com/JorisCos/LibriMix, or its folder metadata/Libri2Mix. subsets: all that the metadata has,
unless some are named. The mixtures are the published ones, bit for bit; neither SoX nor WHAM!'s
noise is needed. Every utterance is decoded before the first file is written, and broken ones are
all listed. An interrupted call is continued by the same call. shard: make the third of 16 parts,
beside other calls that make theirs; the last one to end writes the tables. shard=slurm: that of a
job in an array. Then:

    python train.py data=libri2mix data.root=corpora/Libri2Mix/wav8k/min
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from autoclip_sep.cli import arguments, command
from autoclip_sep.data.creation import librimix as creation
from autoclip_sep.data.creation.librimix_metadata import find_metadata, read_metadata
from autoclip_sep.names import shown

DEFAULTS = {
    "librispeech": None,
    "metadata": None,
    "out": None,
    "speakers": "2",
    "sample_rate": "8000",
    "mode": "min",
    "subsets": "",
    "jobs": "",
    "shard": "",
}


def main() -> None:
    """The command."""
    command.script("prepare_librimix", run, __doc__)


def run(words: Sequence[str]) -> None:
    """Make the tree that the arguments describe."""
    settings = arguments.read(words, DEFAULTS)
    arguments.check_choice(settings, "speakers", "2", "3")
    arguments.check_choice(settings, "sample_rate", "8000", "16000")
    arguments.check_choice(settings, "mode", "min", "max")
    jobs, shard = arguments.processes(settings), arguments.shard(settings)
    speakers, out = int(settings["speakers"]), Path(settings["out"])
    mode: Literal["min", "max"] = "min" if settings["mode"] == "min" else "max"
    with command.continued(out):
        tables = find_metadata(Path(settings["metadata"]), speakers)
        chosen = arguments.several(settings, "subsets", *tables) if settings["subsets"] else tables
        metadata = {subset: read_metadata(tables[subset], speakers) for subset in chosen}
        folder = creation.create(
            metadata,
            Path(settings["librispeech"]),
            out,
            sample_rate=int(settings["sample_rate"]),
            mode=mode,
            jobs=jobs,
            shard=shard,
        )
    if folder is None:
        print(arguments.STILL.format(shard))
        return
    made = ", ".join(f"{subset} {len(recipes)}" for subset, recipes in metadata.items())
    print(shown(f"{folder}: {made} mixtures"))
