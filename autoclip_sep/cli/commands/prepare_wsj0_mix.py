"""Make WSJ0-2mix and -3mix from the LDC's discs: ``python scripts/prepare_wsj0_mix.py``.

    python scripts/prepare_wsj0_mix.py wsj0=csr_1 lists=create-speaker-mixtures out=wsj0-mix
        [speakers=2,3] [sample_rate=8000] [mode=min] [splits=tr,cv,tt] [jobs=4]
        [partial=true] [verify=true] [shard=3/16]

wsj0: the discs as they are or merged (LDC93S6A), SPHERE or converted to WAV, in upper or lower
case. lists: the folder of the lists published with the corpus. sample_rate: 8000, 16000 or both;
mode: min, max or both. partial: make what the lists hold, though they aren't as long as published.
verify: read all files again and compare them with the manifest. shard: make the third of 16 parts,
beside other calls that make theirs; the last one to end writes the manifest. shard=slurm: that of a
job in an array.

What is missing is reported before the first file is written. An interrupted call is continued by
the same call. Then:

    python train.py data=wsj0_2mix data.root=wsj0-mix/2speakers/wav8k/min model=blstm \\
        trainer=paper
"""

from collections.abc import Sequence
from pathlib import Path

from autoclip_sep.cli import arguments, command
from autoclip_sep.cli.arguments import several
from autoclip_sep.data.creation import wsj0_mix
from autoclip_sep.data.creation.wsj0_mix import Order
from autoclip_sep.names import shown

DEFAULTS = {
    "wsj0": None,
    "lists": None,
    "out": None,
    "speakers": "2",
    "sample_rate": "8000",
    "mode": "min",
    "splits": "tr,cv,tt",
    "jobs": "",
    "shard": "",
    "partial": "false",
    "verify": "false",
}


def main() -> None:
    """The command."""
    command.script("prepare_wsj0_mix", run, __doc__)


def run(words: Sequence[str]) -> None:
    """Make what the arguments describe where it isn't there yet, and report what there is."""
    settings = arguments.read(words, DEFAULTS)
    verify = arguments.flag(settings, "verify")
    order = Order(
        Path(settings["wsj0"]),
        Path(settings["lists"]),
        Path(settings["out"]),
        speakers=[int(number) for number in several(settings, "speakers", "2", "3")],
        rates=[int(rate) for rate in several(settings, "sample_rate", "8000", "16000")],
        modes=["min" if m == "min" else "max" for m in several(settings, "mode", "min", "max")],
        splits=several(settings, "splits", *wsj0_mix.COUNTS),
        partial=arguments.flag(settings, "partial"),
        jobs=arguments.processes(settings),
        shard=arguments.shard(settings),
    )
    with command.continued(order.out):
        parts, made = wsj0_mix.prepare(order)
        for part in parts:
            kept = "" if made else ", already there"
            print(shown(f"{part.folder}: {len(part.recipes)} mixtures{kept}"))
        if not parts:
            print(arguments.STILL.format(order.shard))
        elif verify:
            print(f"{wsj0_mix.verify(order, parts)} files are what the manifests say")
