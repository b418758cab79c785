"""``python evaluate.py``: a trained run's SI-SDR on its corpus."""

from collections.abc import Sequence

from autoclip_sep import runs
from autoclip_sep.cli import command, compose, trained
from autoclip_sep.cli.build import build, call
from autoclip_sep.cli.checks import check_choice, check_flag, check_threads
from autoclip_sep.evaluation.score import score_split
from autoclip_sep.evaluation.summary import as_text, summarise
from autoclip_sep.training.settings import find_device

USAGE = """
python evaluate.py run=runs/... [split=test] [checkpoint=best]

Scores every mixture of the split by SI-SDR under the best permutation. Rows go to
<run>/evaluation/<split>.csv, the summary to the .json beside it and to the screen. What was scored
before isn't scored again.
"""


def main() -> None:
    """The command."""
    command.main("evaluate", evaluate, USAGE)


def evaluate(arguments: Sequence[str]) -> None:
    """Score the run that the arguments name."""
    settings = compose.plain(compose.compose("evaluate", arguments))
    check_choice(settings, "split", "train", "valid", "test")
    check_choice(settings, "checkpoint", "best", "last")
    check_flag(settings, "progress")
    check_threads(settings)
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
                "checkpoint": run.checkpoint,
                "sha256": run.sha256,
                "corpus": run.config["data"]["name"],
                "fingerprint": store.fingerprint,
            },
            permute=run.config["data"]["permute"],
            progress=settings["progress"],
        )
        summary = summarise(path)
    print(
        f"{run.directory}  {settings['split']}  ({run.epochs} epochs)\n{as_text(summary)}\n{path}"
    )
