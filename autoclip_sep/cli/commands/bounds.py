"""``autoclip-sep bounds``: what the mixture and ideal masks score on a corpus, without a run."""

from collections.abc import Sequence
from pathlib import Path

from autoclip_sep.building.build import build
from autoclip_sep.cli import command, corpus, metrics
from autoclip_sep.cli.commands.evaluate import workers
from autoclip_sep.cli.settings import read
from autoclip_sep.evaluation import bounds
from autoclip_sep.evaluation.tables import of_corpus
from autoclip_sep.names import shown
from autoclip_sep.runs import run_directory, sources

USAGE = """
python scripts/bounds.py [data=demo] [data.root=FOLDER] [split=test] [metrics=NAME] [output=bounds]

Scores the mixtures themselves and what ideal masks make of them: the binary mask, the ratio mask,
and the phase-sensitive mask, as it is and truncated to [0, 1]. data= and --config-dir= choose the
corpus as in train.py; masks are those of its STFT, unless stft.window_length= and stft.hop_length=
say otherwise. Tables go to <output>/<corpus>/<bound>/; what was scored before isn't scored again.
evaluate.py does the same for the corpus of a run, beside the run.
"""


def main() -> None:
    """The command."""
    command.main("bounds", score_bounds, USAGE)


def score_bounds(arguments: Sequence[str]) -> None:
    """Score the corpus that the arguments name."""
    settings = read("bounds", arguments)
    device = settings["device"]
    chosen = metrics.named(settings["metrics"] or "si_sdr", settings["data"]["sample_rate"])
    stft = build(settings["stft"], "stft").to(device)
    store = corpus.ready(settings, corpus.of_data(arguments), force=True)
    folder = Path(settings["output"]) / settings["data"]["name"]
    with run_directory.lock(folder):
        found = bounds.score_all(
            chosen,
            store.split(settings["split"]),
            settings["split"],
            folder,
            of_corpus(settings["data"]["name"], store),
            stft,
            device,
            sample_rate=store.sample_rate,
            names=sources.names(settings),
            progress=settings["progress"],
            batch_size=settings["batch_size"],
            workers=workers(settings["workers"], chosen, device),
        )
    for metric, rows in found.items():
        print(f"{bounds.as_text(metric, rows, stft)}\n")
    print(shown(str(folder)))
