"""Where the numbers of several runs come from: the small print of figures and tables."""

from collections.abc import Iterable, Sequence

from pandas import DataFrame

from autoclip_sep.figures import style

MOST_NAMED = 4  # commits, devices: more are counted

# Corpora that stand in for others; every picture made from one says so.
STAND_INS = {"demo": "synthetic speech, a stand-in for WSJ0-2mix"}


def provenance(runs: DataFrame) -> dict[str, str]:
    """Corpus, scale, commit, device and date of runs of one corpus, at least one, as text.

    model: with six hex digits for the settings that differ from the defaults. network: layers ×
    units, or its class.
    """
    return {
        "corpus": runs["corpus"].iloc[0],
        "fingerprint": _named(runs["fingerprint"].str[:8]),
        "model": _named(runs["variant"]),
        "network": _named(runs["network"]),
        "batch": _named(map(str, runs["batch_size"])),
        "iterations": iterations(runs),
        "commit": _named(runs["commit"]),
        "device": _named(runs["device"]),
        "date": _ends(sorted(set(runs["date"]))),
    }


def line(runs: DataFrame) -> str:
    """A footer of runs of one corpus, at least one."""
    texts = provenance(runs)
    stand_in = f"{STAND_INS[texts['corpus']]}, " if texts["corpus"] in STAND_INS else ""
    mixtures = _named(f"{number:,.0f}" for number in runs["mixtures"].dropna())
    of_mixtures = f" of {mixtures} mixtures" if mixtures else ""
    return style.BETWEEN.join([
        f"corpus {texts['corpus']} ({stand_in}{texts['fingerprint']})",
        f"{_named(runs['model'])} ({texts['network']}, batches of {texts['batch']}{of_mixtures})",
        f"{texts['iterations'] or 'unknown'} iterations", seeds(runs), f"commit {texts['commit']}",
        texts["device"], texts["date"],
    ])  # fmt: skip


def iterations(runs: DataFrame) -> str:
    """How long the runs were: one number, or the least and the most."""
    return _ends([f"{steps:,.0f}" for steps in sorted(set(runs["iterations"].dropna()))])


def seeds(runs: DataFrame) -> str:
    """Which seeds there are."""
    numbers = sorted(set(runs["seed"]))
    if len(numbers) > 2 * MOST_NAMED:
        return f"{len(numbers)} seeds"
    return f"seed{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def _named(values: Iterable[str]) -> str:
    different = sorted(set(values))
    more = len(different) - MOST_NAMED
    return ", ".join(different[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _ends(rising: Sequence[str]) -> str:
    return " to ".join(dict.fromkeys([*rising[:1], *rising[-1:]]))
