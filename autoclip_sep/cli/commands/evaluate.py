"""``python evaluate.py``: a trained run's scores on its corpus."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from autoclip_sep.cli import command, corpus, metrics, trained
from autoclip_sep.cli.settings import read
from autoclip_sep.data.store.reading import Store
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation import attributes, bounds
from autoclip_sep.evaluation.metric import Metric
from autoclip_sep.evaluation.metrics.si_sdr import SiSdr
from autoclip_sep.evaluation.score import score
from autoclip_sep.evaluation.tables import of_corpus, summarise_all
from autoclip_sep.files import sweep
from autoclip_sep.names import shown
from autoclip_sep.parallel import cores
from autoclip_sep.runs import run_directory, sources

USAGE = """
python evaluate.py run=runs/... [split=test] [checkpoint=best] [metrics=NAME] [data.root=FOLDER]

Scores every mixture of the split by SI-SDR, under the best permutation where sources have no names.
Rows go to <run>/evaluation/<split>.csv, the summary to the .json beside it and to the screen. Music
is also scored by BSS Eval v4, into <split>_bss_eval.csv; bss_eval=true or false decides otherwise.
metrics=NAME or metrics=[NAME,NAME] takes others: si_sdr, snr, sdr, bss_eval, stoi, estoi, pesq_nb,
pesq_wb, squim. Your own is metrics=PACKAGE.MODULE.CLASS, or a .yaml file with such a _target_, with
trust=PACKAGE, which lets the run name your own code, too; it is imported from the working folder as
well. The mixture and ideal masks are scored by SI-SDR, too, into <run>/evaluation/bounds/, and the
run's gap to each mask is printed; bounds=all does so by every metric, bounds=false leaves it out.
checkpoint=last and, of a run with trainer.ema_decay, checkpoint=ema take other weights than those
with the lowest validation loss. What was scored before isn't scored again. data.root= says where
the corpus lies now if it moved; another corpus than the run's is refused, unless force=true.
masks=soft is for networks that cluster embeddings; its scores lie in <run>/evaluation/soft_masks.
"""


def main() -> None:
    """The command."""
    command.main("evaluate", evaluate, USAGE)


def evaluate(arguments: Sequence[str]) -> None:
    """Score the run that the arguments name."""
    settings = read("evaluate", arguments)
    torch.backends.cudnn.allow_tf32 = False  # three digits: scores would depend on the batch
    run = trained.load(settings["run"], settings["checkpoint"], settings["device"])
    run = trained.adapted(run, {"masks": settings["masks"]})
    chosen = choose(settings, run.config["data"])
    config = corpus.moved(run.config, settings["data"])
    places = [one for one in arguments if one.startswith(("data.", "trust="))]
    store = corpus.ready(config, [f"run={settings['run']}", *places], force=settings["force"])
    corpus.check_unchanged(run.directory, store, force=settings["force"])
    folder = run.directory / "evaluation"
    if settings["masks"] == "soft":  # beside the scores that figures and tables take
        folder /= "soft_masks"
    with run_directory.lock(folder):
        sweep(folder)
        _score(run, chosen, settings, config, store, folder)


def _score(
    run: trained.Trained,
    chosen: Sequence[Metric],
    settings: Mapping[str, Any],
    config: Mapping[str, Any],
    store: Store,
    folder: Path,
) -> None:
    """Score the run and the bounds of its corpus, and write down what is known of the items."""
    name, device = settings["split"], run.separation.device
    split = store.split(name)
    corpus_scored = of_corpus(config["data"]["name"], store)
    provenance = {"checkpoint": run.checkpoint, "sha256": run.sha256, **corpus_scored}
    if settings["masks"] == "soft":
        provenance["masks"] = "soft"
    names, progress = sources.names(run.config), settings["progress"]
    how = {
        "sample_rate": store.sample_rate,
        "names": names,
        "progress": progress,
        "batch_size": settings["batch_size"],
        "workers": workers(settings["workers"], chosen, device),
    }
    tables = {folder / metric.file_name(name): metric for metric in chosen}
    score(tables, run.separation, split, provenance, **how)
    heading = shown(f"{run.directory}  {name}  ({run.epochs} epochs)")
    summaries, undefined = summarise_all(tables)
    for metric, summary in summaries.items():
        path = folder / metric.file_name(name)
        print(f"{heading}\n{metric.as_text(summary)}\n{shown(str(path))}")
        heading = ""
    attributes.write(
        folder / f"{name}_items.csv", split, store.sample_rate, names, corpus.corpus_of(config),
        corpus_scored, progress=progress,
    )  # fmt: skip
    by, stft = settings["bounds"], run.separation.stft
    wanted = [one for one in summaries if by == "all" or (by and isinstance(one, SiSdr))]
    found = bounds.score_all(
        wanted, split, name, folder / "bounds", corpus_scored, stft, device, **how
    )
    for metric, rows in found.items():
        print(f"\n{bounds.as_text(metric, rows, stft, summaries[metric])}")
    if undefined:
        raise InputError(undefined[0])


def choose(settings: Mapping[str, Any], data: Mapping[str, Any]) -> list[Metric]:
    """The metrics asked for, or those that the corpus is scored by.

    Raises InputError for one that there isn't, or that can't score this corpus.
    """
    asked = settings["metrics"]
    if not asked:
        music = data.get("bss_eval") if settings["bss_eval"] is None else settings["bss_eval"]
        asked = ["si_sdr", "bss_eval"] if music else ["si_sdr"]
    return metrics.named(asked, data["sample_rate"])


def workers(asked: int | None, chosen: Sequence[Metric], device: torch.device) -> int:
    """How many processes score beside this one: as asked, or one for each core but this one's."""
    if asked is None:
        return cores() - 1 if any(metric.in_workers(device) for metric in chosen) else 0
    return asked
