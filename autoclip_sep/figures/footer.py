"""Where the numbers of several runs come from."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from autoclip_sep.figures import style
from autoclip_sep.figures.runs import STAND_INS, RunFound

MOST_NAMED = 4  # commits, devices: more are counted


@dataclass(frozen=True)
class Origin:
    """Corpus, scale, commit, device and date, as text."""

    corpus: str
    fingerprint: str
    model: str  # with six hex digits for the settings that differ from the defaults
    name: str  # the model without them, which say nothing to a reader
    mixtures: str  # of a training epoch; empty where the config doesn't tell
    network: str  # layers × units, or its class
    batch: str
    iterations: str
    seeds: str
    commit: str
    device: str
    date: str

    @property
    def corpus_title(self) -> str:
        """The corpus, and what it stands in for where it does."""
        notes = filter(None, [STAND_INS.get(self.corpus, ""), self.fingerprint])
        return f"{self.corpus} ({', '.join(notes)})"

    @property
    def of_mixtures(self) -> str:
        """How much there was to train on."""
        return f" of {self.mixtures} mixtures" if self.mixtures else ""

    def line(self) -> str:
        """A footer."""
        return style.BETWEEN.join([
            f"corpus {self.corpus_title}",
            f"{self.name} ({self.network}, batches of {self.batch}{self.of_mixtures})",
            f"{self.iterations} iterations", self.seeds, f"commit {self.commit}", self.device,
            self.date,
        ])  # fmt: skip


def origin(found: Sequence[RunFound]) -> Origin:
    """Of runs of one corpus, at least one."""
    return Origin(
        found[0].group[0],
        _named(_came(run, "fingerprint", "unknown")[:8] for run in found),
        _named(run.group[2] for run in found),
        _named(run.model for run in found),
        _named(filter(None, map(mixtures, found))),
        _named(network(run) for run in found),
        _named(str(run.config["trainer"]["batch_size"]) for run in found),
        iterations(found),
        seeds(found),
        _named(_came(run, "commit", "unknown") for run in found),
        _named(_came(run, "device", "unknown device") for run in found),
        _ends(sorted({_came(run, "date", "unknown date") for run in found})),
    )


def network(run: RunFound) -> str:
    """Layers × units where the network has them, as the BLSTM does; else the name of its class."""
    model = run.config["model"]
    if model.keys() >= {"layers", "hidden"}:
        return f"{model['layers']} × {model['hidden']}"
    return str(model["_target_"]).rpartition(".")[2]


def mixtures(run: RunFound) -> str:
    """Of the training set, where it is the config that says how many."""
    number = run.config.get("data", {}).get("corpus", {}).get("train")
    return f"{number:,}" if isinstance(number, int) else ""


def iterations(found: Iterable[RunFound]) -> str:
    """How long the runs were: one number, or the least and the most."""
    lengths = sorted({run.iterations for run in found})
    return _ends([f"{steps:,}" for steps in lengths])


def seeds(found: Iterable[RunFound]) -> str:
    """Which seeds there are."""
    numbers = sorted({int(run.config["seed"]) for run in found})
    if len(numbers) > 2 * MOST_NAMED:
        return f"{len(numbers)} seeds"
    return f"seed{'s' * (len(numbers) > 1)} {', '.join(map(str, numbers))}"


def _came(run: RunFound, key: str, unknown: str) -> str:
    return str(run.provenance.get(key, unknown))


def _named(values: Iterable[str]) -> str:
    different = sorted(set(values))
    more = len(different) - MOST_NAMED
    return ", ".join(different[:MOST_NAMED]) + (f" and {more} more" if more > 0 else "")


def _ends(rising: Sequence[str]) -> str:
    return rising[0] if len(rising) == 1 else f"{rising[0]} to {rising[-1]}"
