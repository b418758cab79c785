"""Look at a corpus before hours are spent on it: ``python scripts/check_data.py``.

    python scripts/check_data.py data=wsj0_2mix data.root=wsj0-mix/2speakers/wav8k/min
    python scripts/check_data.py run=runs/...          the corpus of a run; data.root= if it moved

The arguments are those of train.py, --config-dir=FOLDER among them; others than data's change
nothing here. A run whose corpus is code of your own needs trust=PACKAGE beside it. Prints what was
looked for, found and expected, and for each split mixtures, lengths, peak, and how far mixtures are
from the sum of their signals; then all that is silent, clipped, repeated, shared by two splits, or
has a DC offset, the first ten files of each kind, or every one with all=true. The corpus is decoded
into its store first where it isn't yet, which refuses broken files, other rates, unequal lengths,
mixtures that aren't the sum of their signals, and mixtures in two splits.

silent: below -60 dB of full scale. clipped: three equal samples or more in a row at full scale.
shared: the same samples, but for silence around them, under any name; or the same utterance by the
mixtures' names, where these are of the kind that WSJ0-mix, WHAM! and LibriMix give. A recording at
another level that no name tells is not found.
Exit code 0: fine; 1: training or its scores would suffer (training and test share sources, a
silent mixture, a silent source where sources are alike, a sound that is two sources of a mixture);
2: the corpus can't be used, or the command is wrong.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from autoclip_sep.building import build
from autoclip_sep.cli import arguments, command, compose, corpus
from autoclip_sep.data.checks.report import Report
from autoclip_sep.data.corpora.base import Corpus
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.runs import run_directory

SHOWN = 10  # places of each kind of fault


def main() -> None:
    """The command."""
    command.script("check_data", run, __doc__)


def run(words: Sequence[str]) -> int:
    """Check the corpus that the arguments name; gives the exit code."""
    of_run = any(word.startswith("run=") for word in words)
    words = command.with_config_dirs(words, refuse=of_run)
    for word in words:
        if word.startswith("-"):
            meant = arguments.near(word.lstrip("-"), ["all"], "=true")
            raise InputError(
                f"unknown flag {word}{meant}: there are --help and --config-dir=FOLDER"
            )
    own = [word for word in words if word.startswith("all=")]
    everything = arguments.flag(arguments.read(own, {"all": "false"}), "all")
    config = read([word for word in words if word not in own], of_run)
    return int(check_data(config, None if everything else SHOWN))


def check_data(config: Mapping[str, Any], most: int | None) -> bool:
    """Print all there is to say of the corpus, and return whether training would suffer."""
    found = corpus.corpus_of(config)
    store = corpus.store_of(found, config)
    report = corpus.look_at(config, found, store)
    for line in heading(config, found, report, store.place):
        print(shown(line))
    print(f"\n{report.table()}\n\n{report.places(most) or 'nothing wrong found'}")
    return report.serious


def read(words: Sequence[str], of_run: bool) -> Mapping[str, Any]:
    """The config of a train command, or that of a run."""
    settings = compose.plain(compose.compose("check_data" if of_run else "train", words))
    if not of_run:
        return settings
    build.trust(settings["trust"])
    return corpus.moved(run_directory.read_config(Path(settings["run"])), settings["data"])


def heading(config: Mapping[str, Any], found: Corpus, report: Report, store: str) -> list[str]:
    """What was looked for, found and expected, in lines."""
    names = " / ".join(report.splits.index)
    counts = " / ".join(map("{:,}".format, report.splits["mixtures"]))
    numbers = [found.expected.get(split) for split in report.splits.index]
    expected = " / ".join("any number" if number is None else f"{number:,}" for number in numbers)
    noise = f" and {report.noise} of noise" if report.noise else ""
    root = config["data"].get("root")
    return [
        f"data={config['data']['name']}" + (f"  data.root={root}" if root else ""),
        f"looked for  {found.layout()}",
        f"found       {counts} mixtures ({names}) of {report.sources} sources{noise},"
        f" {report.sample_rate:,} Hz, {report.layout}, decoded in {store}",
        f"expected    {expected}",
    ]
