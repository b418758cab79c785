"""``python evaluate.py``: a trained run's SI-SDR on its corpus."""

from collections.abc import Sequence

from autoclip_sep import runs
from autoclip_sep.cli import command, compose, trained
from autoclip_sep.cli.build import build, call
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.score import score_split
from autoclip_sep.evaluation.summary import as_text, summarise
from autoclip_sep.training.settings import find_device

USAGE = """
python evaluate.py run=runs/... [split=test] [checkpoint=best]

Scores every mixture of the split by SI-SDR under the best permutation. Rows go to
<run>/evaluation/<split>.csv, the summary to the .json beside it and to the screen. What was scored
before isn't scored again.
"""

SPLITS = ("train", "valid", "test")


def main() -> None:
    """The command."""
    command.main("evaluate", evaluate, USAGE)


def evaluate(arguments: Sequence[str]) -> None:
    """Score the run that the arguments name."""
    settings = compose.plain(compose.compose("evaluate", arguments))
    if settings["split"] not in SPLITS:
        raise InputError(f"split={settings['split']}: one of {', '.join(SPLITS)} is wanted")
    command.set_threads(settings["threads"])
    device = call(find_device, "device", settings["device"])
    run = trained.load(settings["run"], settings["checkpoint"], device)
    store = build(run.config["data"]["corpus"], "data.corpus").prepare(progress=True)
    path = run.directory / "evaluation" / f"{settings['split']}.csv"
    with runs.lock(path.parent):
        score_split(
            run.separation,
            store.split(settings["split"]),
            path,
            {
                "run": run.directory.as_posix(),
                "checkpoint": settings["checkpoint"],
                "epoch": run.epoch,
                "corpus": run.config["data"]["name"],
                "fingerprint": store.fingerprint,
            },
            permute=run.config["data"]["permute"],
            progress=settings["progress"],
        )
        summary = summarise(path)
    print(f"{run.directory}  {settings['split']}  (epoch {run.epoch})\n{as_text(summary)}\n{path}")
