"""Runs as figures see them: one table with a row for each, and the records of every one."""

import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from numbers import Real
from pathlib import Path
from typing import Any

import numpy as np
from pandas import Categorical, DataFrame

from autoclip_sep.errors import InputError
from autoclip_sep.figures import clipping_methods
from autoclip_sep.figures.record_files import Columns, Series, columns
from autoclip_sep.runs import run_directory, scores
from autoclip_sep.runs.config import Config

RUNS = "*/*/*/*/seed*/dynamics.csv"  # below the folder of all runs

# The paper's AutoClip: the whole history, the global norm, from the first step on.
PAPERS = {"window": None, "scope": "global", "warmup": 0}

NUMBERS = Mapping[str, Real | Mapping[str, Any]]  # of a summary of scores; NaN is one

GROUP = ["corpus", "loss", "variant"]  # what runs must share to be compared
TASK = ["corpus", "variant"]


@dataclass(frozen=True)
class RunFound:
    """A run directory, or what was kept of one: config.yaml and records.

    Numbers from records raise InputError where the records are absent, damaged or lack a column.
    """

    directory: Path

    def __getstate__(self) -> dict[str, Any]:
        """Without what was read: another process reads the files it needs."""
        return {field.name: getattr(self, field.name) for field in fields(self)}

    @cached_property
    def config(self) -> dict[str, Any]:
        """The run's settings."""
        return run_directory.read_config(self.directory)

    @cached_property
    def provenance(self) -> dict[str, Any]:
        """Commit, device, corpus fingerprint, date; empty where none were kept."""
        return run_directory.read_provenance(self.directory)

    @cached_property
    def dynamics(self) -> Columns:
        """dynamics.csv by column."""
        return columns(self.directory / "dynamics.csv")

    @cached_property
    def history(self) -> Columns:
        """history.csv by column."""
        return columns(self.directory / "history.csv")

    @property
    def percentile(self) -> float:
        """p of the paper's AutoClip; 100 for a run without clipping; NaN for all other clippers."""
        clipping = self.config["clipping"]
        kind = str(clipping["_target_"]).rpartition(".")[2]
        if kind == "NoClipping":
            return 100.0
        others = {"_target_", "percentile", "max_nonfinite"}
        varied = any(clipping[key] != PAPERS.get(key) for key in clipping.keys() - others)
        if kind != "AutoClip" or varied or clipping.get("percentile") is None:
            return math.nan
        return float(clipping["percentile"])

    @property
    def clipping(self) -> str:
        """The clipping as a table names it."""
        if self.percentile == 100:
            return "No clipping"
        if math.isfinite(self.percentile):
            return f"AutoClip, p = {self.percentile:g}"
        return self.directory.parent.name

    @property
    def group(self) -> tuple[str, str, str]:
        """Corpus, loss and variant of the model: what runs must share to be compared."""
        corpus, loss, model = self.directory.parts[-5:-2]
        return corpus, loss, f"{model}-{self.changed}" if self.changed else model

    @property
    def changed(self) -> str:
        """Six hex digits for the settings that differ from the defaults; empty where none do."""
        return self.directory.name.partition("-")[2]

    @property
    def clipped_share(self) -> float:
        """Of all steps, those that were clipped, in [0, 1]; NaN where no epoch has a share."""
        steps, shares = np.diff(self.history["step"], prepend=0), self.history["clipped_share"]
        known = np.isfinite(shares) & (steps > 0)
        return float(np.average(shares[known], weights=steps[known])) if known.any() else math.nan

    @property
    def step_variation(self) -> float:
        """Standard deviation / mean of the step size in the second half of training.

        The first half is left out: there the step size shrinks, which is no instability.
        """
        sizes = second_half(self.dynamics["step"], self.dynamics["step_norm"])
        return float(sizes.std() / sizes.mean())

    def score(self, split: str = "test") -> dict[str, Any]:
        """The summary of an evaluation; empty where there is none."""
        path = self.directory / "evaluation" / f"{split}.json"
        return Config(run_directory.read_json(path, summary=NUMBERS).get("summary", {}), str(path))

    def bounds(self, split: str = "test") -> dict[str, dict[str, Any]]:
        """The summaries of the mixtures' and ideal masks' scores, with the STFT of the masks.

        By their folders' names: mixture, ideal_binary_mask, ...; empty where there are none. Those
        of another corpus than the run's scores are left out.
        """
        corpus = scores.corpus(self.directory / "evaluation" / f"{split}.csv")
        found: dict[str, dict[str, Any]] = {}
        for path in sorted((self.directory / "evaluation" / "bounds").glob(f"*/{split}.json")):
            note = run_directory.read_json(path, summary=NUMBERS, provenance=Mapping[str, Any])
            made_by = dict(note.get("provenance", {}))
            summary = note.get("summary")
            if summary and (not corpus or made_by.get("fingerprint", corpus) == corpus):
                stft = {key: made_by.get(key) for key in ("window_length", "hop_length")}
                found[path.parent.name] = Config({**summary, **stft}, str(path))
        return found


def second_half(step: Series, values: Series) -> Series:
    """The values of the second half of training. step, values: (rows,)."""
    return values[step > step[-1] / 2]


def find(root: Path) -> list[RunFound]:
    """Every run with records below a folder, in the order of their paths.

    Raises InputError where there is none, naming a folder above or below that has some.
    """
    found = sorted(path.parent for path in root.glob(RUNS))
    if not found:
        meant = _meant(root)
        advice = f"did you mean runs={meant}?" if meant else "`make demo` makes two"
        raise InputError(
            f"no runs below {root}: expected <data>/<loss>/<model>/<clipping>/seed<n>; {advice}"
        )
    return [RunFound(path) for path in found]


def _meant(root: Path) -> Path | None:
    """The folder that was meant, where the given one lies inside it or holds it."""
    levels = RUNS.split("/")
    for above in range(1, len(levels)):
        if any(root.glob("/".join(levels[above:]))):
            return Path(os.path.normpath(root / "/".join([".."] * above)))
    return min((run.parents[len(levels) - 1] for run in root.glob(f"*/{RUNS}")), default=None)


def frame(found: Sequence[RunFound]) -> DataFrame:
    """A row for each run: its settings, where it comes from, and what its records come to.

    run: the RunFound itself. variant: the model with the digits of its changed settings.
    percentile, clipping: as in RunFound. family, setting, tuned: its clipping method, see
    clipping_methods; strategy: both in a name, in the order of tables. mixtures: of a training
    epoch, NaN where the config doesn't say. epochs: done, 0 without records; epochs_wanted: by its
    config; ended_early: whether early stopping ended it. iterations: to the end of its last epoch,
    or in its first one so far. train_loss: the mean over the last epoch; valid_loss: the lowest, as
    it chooses the weights that are scored. clipped_share, step_variation: as in RunFound. scored:
    whether evaluated on the test set.
    si_sdr, si_sdr_improvement: in dB. Numbers are NaN where a run's files don't hold them.
    """
    methods = [
        clipping_methods.method(run.config["clipping"], run.percentile, run.directory.parent.name)
        for run in found
    ]
    table = DataFrame([_settings(run) | _records(run) for run in found])
    names = [one.name for one in sorted(methods, key=clipping_methods.order)]
    return table.assign(
        family=[one.family for one in methods],
        setting=[one.setting for one in methods],
        tuned=[one.values[0] if one.values else math.nan for one in methods],
        strategy=Categorical([one.name for one in methods], list(dict.fromkeys(names)), True),
    )


def _settings(run: RunFound) -> dict[str, Any]:
    config, provenance, (corpus, loss, variant) = run.config, run.provenance, run.group
    network, trainer = config["model"], config["trainer"]
    mixtures = config.get("data", {}).get("corpus", {}).get("train")
    return {
        "run": run,
        "corpus": corpus,
        "loss": loss,
        "model": run.directory.parts[-3],
        "changed": run.changed,
        "variant": variant,
        "seed": int(config["seed"]),
        "percentile": run.percentile,
        "clipping": run.clipping,
        "network": f"{network['layers']} × {network['hidden']}"
        if network.keys() >= {"layers", "hidden"} else str(network["_target_"]).rpartition(".")[2],
        "batch_size": trainer["batch_size"],
        "probe_points": trainer.get("probe_points"),
        "mixtures": mixtures if isinstance(mixtures, int) else math.nan,
        "epochs_wanted": int(trainer["epochs"]),
        "commit": provenance.get("commit", "unknown"),
        "device": provenance.get("device", "unknown device"),
        "date": provenance.get("date", "unknown date"),
        "fingerprint": provenance.get("fingerprint", "unknown"),
    }  # fmt: skip


def _records(run: RunFound) -> dict[str, Any]:
    def known(number: Callable[[], float]) -> float:
        try:
            return number()
        except InputError:  # too short for any, or only what was kept of the run
            return math.nan

    score = run.score()
    begun = known(lambda: run.history["epoch"][-1])
    state = _state(run)
    ended = min(begun, state.get("epochs", begun))  # the last row may be within an epoch
    steps = known(lambda: run.history["step"][-1])
    return {
        "epochs": 0 if math.isnan(begun) else int(ended),
        "ended_early": state.get("status") == "finished" and "reason" in state,
        "iterations": known(lambda: run.dynamics["step"][-1]) if math.isnan(steps) else steps,
        "train_loss": known(lambda: run.history["train_loss"][-1]),
        "valid_loss": known(lambda: run.history["valid_loss"].min()),
        "clipped_share": known(lambda: run.clipped_share),
        "step_variation": known(lambda: run.step_variation),
        "scored": bool(score),
        "si_sdr": score["si_sdr_mean"] if score else math.nan,
        "si_sdr_improvement": score["si_sdr_improvement_mean"] if score else math.nan,
    }


def _state(run: RunFound) -> dict[str, Any]:
    """The run's state.json; empty where it wasn't kept or is damaged."""
    try:
        return run_directory.read_state(run.directory)
    except InputError:
        return {}


def grouped(runs: DataFrame, by: list[str]) -> dict[tuple[str, ...], DataFrame]:
    """The runs that share the values of these columns, by those values."""
    return {tuple(map(str, key)): members for key, members in runs.groupby(by)}


def comparable(runs: DataFrame) -> tuple[DataFrame, list[str]]:
    """The finished runs, and a line for each run that is left out.

    A directory's name doesn't give the length of its run: of one corpus, loss and model only the
    runs of the commonest number of epochs are kept, of the larger one where two are as common. One
    that early stopping ended counts as one of the epochs that it could have had.
    """
    length = runs["epochs"].where(~runs["ended_early"], runs["epochs_wanted"])
    finished = length >= runs["epochs_wanted"]
    lines = [
        f"left out: {one['run'].directory}: {one['epochs']} of {one['epochs_wanted']} epochs"
        for one in runs[~finished].to_dict("records")
    ]
    kept = runs[finished].assign(length=length[finished])
    usual = kept.groupby(GROUP)["length"].transform(lambda epochs: epochs.mode().max())
    others = kept["length"] != usual
    lines += [
        f"left out: {one['run'].directory}: {one['epochs']} epochs, others {one['usual']}"
        for one in kept.assign(usual=usual)[others].to_dict("records")
    ]
    return kept[~others].drop(columns="length"), lines
