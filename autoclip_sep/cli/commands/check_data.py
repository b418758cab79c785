"""Look at a corpus before hours are spent on it: ``python scripts/check_data.py``.

    python scripts/check_data.py data=wsj0_2mix data.root=wsj0-mix/2speakers/wav8k/min
    python scripts/check_data.py run=runs/...          the corpus of a run; data.root= if it moved

The arguments are those of train.py, --config-dir=FOLDER among them; others than data's change
nothing here. A run whose corpus is code of your own needs trust=PACKAGE beside it. Tells what was
looked for, found and expected, and for each split mixtures, lengths, peak, and how far mixtures are
from the sum of their signals; then all that is silent, clipped, repeated, shared by two splits, or
has a DC offset, the first ten files of each kind (--all: all of them). The corpus is decoded into
its store first where it isn't yet, which refuses broken files, other rates, unequal lengths,
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

from autoclip_sep.cli import build, command, compose, corpus
from autoclip_sep.cli.arguments import read as read_settings
from autoclip_sep.data.checks.report import Report
from autoclip_sep.data.corpora.base import Corpus
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.runs import run_directory

SHOWN = 10  # places of each kind of fault


def main() -> None:
    """The command."""
    command.script("check_data", run, __doc__)


def run(arguments: Sequence[str]) -> int:
    """The exit code."""
    of_run = any(argument.startswith("run=") for argument in arguments)
    given = [argument for argument in arguments if argument != "--all"]
    settings = command.with_config_dirs(given, refuse=of_run)
    flags = [argument for argument in settings if argument.startswith("-")]
    if flags:
        raise InputError(
            f"unknown flag {flags[0]}: there are --help, --all and --config-dir=FOLDER"
        )
    return int(check_data(settings, None if "--all" in arguments else SHOWN))


def check_data(arguments: Sequence[str], most: int | None) -> bool:
    """Print all there is to say of the corpus, and return whether training would suffer."""
    config = read(arguments)
    found = corpus.corpus_of(config)
    store = found.prepare()
    report = corpus.look_at(config, found, store)
    for line in heading(config, found, report, store.folder):
        print(shown(line))
    print(f"\n{report.table()}\n\n{report.places(most) or 'nothing wrong found'}")
    return report.serious


def read(arguments: Sequence[str]) -> Mapping[str, Any]:
    """The config of the command, or of the run that it names."""
    named = [argument for argument in arguments if argument.startswith("run=")]
    if not named:
        return compose.plain(compose.compose("train", arguments))
    words = [argument for argument in arguments if argument != named[0]]
    for word in [word for word in words if word.startswith("trust=")]:
        build.trust(word.removeprefix("trust=").strip("[]").split(","))
        words.remove(word)
    places = {f"data.{key}": key for key in corpus.PLACES}
    if any(word.partition("=")[0] not in places for word in words):
        raise InputError(
            f"{named[0]} says it all: only {', '.join(places)} can be set beside it, where the"
            " corpus moved"
        )
    given = read_settings(words, dict.fromkeys(places, ""))
    config = run_directory.read_config(Path(named[0].removeprefix("run=")))
    return corpus.moved(config, {places[key]: place or None for key, place in given.items()})


def heading(config: Mapping[str, Any], found: Corpus, report: Report, store: Path) -> list[str]:
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
