"""``python evaluate.py``: a trained run's scores on its corpus."""

from collections.abc import Sequence

from autoclip_sep.cli import command, compose, corpus, sources, trained
from autoclip_sep.cli.build import call, trust
from autoclip_sep.cli.checks import check_choice, check_threads
from autoclip_sep.evaluation import bss_eval, summary
from autoclip_sep.evaluation.score import score_split
from autoclip_sep.names import shown
from autoclip_sep.runs import run_directory
from autoclip_sep.training.settings import find_device

USAGE = """
python evaluate.py run=runs/... [split=test] [checkpoint=best] [bss_eval=true] [data.root=FOLDER]

Scores every mixture of the split by SI-SDR, under the best permutation where sources have no names.
Rows go to <run>/evaluation/<split>.csv, the summary to the .json beside it and to the screen. Music
is also scored by BSS Eval v4, into <split>_bss_eval.csv; bss_eval=true or false decides otherwise.
What was scored before isn't scored again. data.root= says where the corpus lies now if it moved;
another corpus than the run's is refused, unless force=true. trust=PACKAGE lets the run name your
own code, which is imported from the working folder too.
"""


def main() -> None:
    """The command."""
    command.main("evaluate", evaluate, USAGE)


def evaluate(arguments: Sequence[str]) -> None:
    """Score the run that the arguments name."""
    settings = compose.plain(compose.compose("evaluate", arguments))
    check_choice(settings, "split", "train", "valid", "test")
    check_choice(settings, "checkpoint", "best", "last")
    check_threads(settings)
    command.set_threads(settings["threads"])
    device = call(find_device, "device", settings["device"])
    trust(settings["trust"])
    run = trained.load(settings["run"], settings["checkpoint"], device)
    config = corpus.moved(run.config, settings["data"])
    data = config["data"]
    places = [one for one in arguments if one.startswith(("data.", "trust="))]
    store = corpus.ready(config, [f"run={settings['run']}", *places], force=settings["force"])
    corpus.check_unchanged(run.directory, store, force=settings["force"])
    split = store.split(settings["split"])
    provenance = {
        "checkpoint": run.checkpoint,
        "sha256": run.sha256,
        "corpus": data["name"],
        "fingerprint": store.fingerprint,
    }
    path = run.directory / "evaluation" / f"{settings['split']}.csv"
    how = {"names": sources.names(run.config), "progress": settings["progress"]}
    with run_directory.lock(path.parent):
        score_split(run.separation, split, path, provenance, **how)
        found = summary.as_text(summary.summarise(path))
        print(shown(f"{run.directory}  {settings['split']}  ({run.epochs} epochs)"))
        print(f"{found}\n{shown(str(path))}")
        if not (data.get("bss_eval") if settings["bss_eval"] is None else settings["bss_eval"]):
            return
        path = path.with_stem(f"{settings['split']}_bss_eval")
        rate = store.sample_rate
        bss_eval.score_tracks(run.separation, split, path, provenance, sample_rate=rate, **how)
        print(f"\n{bss_eval.as_text(bss_eval.summarise(path))}\n{shown(str(path))}")
