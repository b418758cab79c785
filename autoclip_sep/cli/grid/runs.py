"""The runs of a scale or an experiment: understood before the first one begins."""

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from autoclip_sep.cli import compose
from autoclip_sep.cli.arguments import check_choice
from autoclip_sep.cli.corpus import prepare
from autoclip_sep.cli.plan import Plan, plan
from autoclip_sep.data.store.reading import Store
from autoclip_sep.errors import InputError
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder, digest

SCALES = Path(__file__).parents[1] / "scales"
SHARED = ("runs", "seed")  # settings that the commands other than train.py get, too


@dataclass(frozen=True)
class Grid:
    """The sweeps of train.py, each as its arguments, those of other scripts, and what draws these.

    others, drawings: a script of the checkout and its arguments.
    """

    sweeps: list[list[str]]
    others: list[list[str]]
    drawings: list[list[str]]


def read_grid(given: Sequence[str]) -> Grid:
    """What the arguments ask for, by scale or by experiment."""
    scales = [one.partition("=")[2] for one in given if one.startswith("scale=")]
    rest = [one for one in given if not one.startswith("scale=")]
    experiments = [one for one in rest if one.startswith("experiment=")]
    if len(scales) + len(experiments) != 1:
        raise InputError("which runs? one of scale=demo, scale=full, scale=paper, experiment=...")
    if experiments:
        return Grid([rest], [], [])
    known = sorted(path.stem for path in SCALES.glob("*.yaml"))
    check_choice({"scale": scales[0]}, "scale", *known)
    file = yaml.safe_load((SCALES / f"{scales[0]}.yaml").read_text(encoding="utf-8"))
    own_corpus = any(one.startswith("data=") for one in rest)
    corpus = [] if own_corpus else shlex.split(file["corpus"])
    common = [*corpus, *shlex.split(file["settings"]), *rest]
    shared = [one for one in rest if one.partition("=")[0] in SHARED]
    return Grid(
        [[*shlex.split(sweep), *common] for sweep in file["sweeps"]],
        [[*shlex.split(other), *shared] for other in file.get("others", [])],
        [shlex.split(drawing) for drawing in file.get("drawings", [])],
    )


def plan_all(grid: Grid) -> list[tuple[list[str], Plan]]:
    """Every run once, understood and checked before the first one begins."""
    jobs = [words for sweep in grid.sweeps for words in compose.sweep("train", sweep)]
    runs_by_place = {run.directory: (words, run) for words, run in ((w, plan(w)) for w in jobs)}
    return list(runs_by_place.values())


def is_done(planned: Plan) -> bool:
    """Whether it is trained, and its best checkpoint scored."""
    best = CheckpointFolder(planned.directory / "checkpoints").paths("best")
    tables = ["test", *(["test_bss_eval"] if planned.config["data"].get("bss_eval") else [])]
    folder = planned.directory / "evaluation"
    notes = [
        run_directory.read_json(folder / f"{name}.json", provenance=Mapping) for name in tables
    ]
    return planned.finished() and bool(best) and all(
        "summary" in note and note["provenance"].get("sha256") == digest(best[-1]) for note in notes
    )  # fmt: skip


def prepare_all(planned: Sequence[Plan]) -> dict[str, Store]:
    """Make the corpora, once each, before the runs want them all at the same time.

    Returns their stores, each by its settings as text.
    """
    configs = {str(run.config["data"]): run.config for run in planned}
    return {data: prepare(config) for data, config in configs.items()}
