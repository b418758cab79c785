"""``autoclip-sep score``: anybody's estimates, beside references, in folders."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from textwrap import indent
from typing import Any

from autoclip_sep.cli import command, metrics
from autoclip_sep.cli.commands.evaluate import workers
from autoclip_sep.cli.settings import read
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.estimates import layouts
from autoclip_sep.evaluation.estimates.files import Estimates, References
from autoclip_sep.evaluation.estimates.matching import Matched, match
from autoclip_sep.evaluation.score import score as score_files
from autoclip_sep.evaluation.tables import summarise_all
from autoclip_sep.files import sweep, write_whole
from autoclip_sep.names import shown
from autoclip_sep.runs import run_directory

USAGE = """
python scripts/score.py estimates=FOLDER references=FOLDER [mixtures=FOLDER] [metrics=NAME]
    [output=scores/NAME] [tolerance=SAMPLES] [names=[NAME,NAME]]

Scores files of estimates, whatever made them, beside files of references. Both folders may be laid
out as s1/a.wav s2/a.wav (WSJ0-mix, LibriMix), a/vocals.wav (MUSDB18-HQ, open-unmix, demucs), or
a_source1.wav (speechbrain); estimates may lie beside references as s1_estimate.wav or
a_source1hat.wav (asteroid, speechbrain). Items belong together by name; sources by name, or in the
order with the highest SI-SDR where they are numbered. names= says what sources are called, where
neither vocals, drums, ... nor numbers. What has no counterpart is named and left out.

Mixtures are those of mixtures=, or lie beside the references (mix/a.wav, a/mixture.wav), or are
taken to be the sum of the references, and the screen says so. Estimates of another sample rate,
other channels, or another length than their references are refused; tolerance=N cuts or pads up to
N samples at their end. Tables, summaries and results.md go to the output; what was scored before
isn't scored again while the files stay the same.
"""

RESULTS = "results.md"
SPLIT = "test"  # in the tables' names, as of a run


def main() -> None:
    """The command."""
    command.main("score", score, USAGE)


def score(arguments: Sequence[str]) -> None:
    """Score the folders that the arguments name."""
    settings = read("score", arguments)
    device = settings["device"]
    chosen = metrics.named(settings["metrics"] or "si_sdr")
    matched = _matched(settings)
    references = References(matched, settings["tolerance"], settings["progress"])
    for metric in chosen:
        metric.check(references.sample_rate)
    roots = {key: str(Path(settings[key]).resolve()) for key in ("estimates", "references")}
    provenance = {**roots, "files": references.digest()}
    folder = Path(settings["output"] or Path("scores", Path(roots["estimates"]).name))
    tables = {folder / metric.file_name(SPLIT): metric for metric in chosen}
    for path in tables:
        _check_same(path, roots)
    notes = [f"{word:12}{line}" for word, line in (*matched.notes, *references.notes)]
    print("\n".join(notes))
    with run_directory.lock(folder):
        sweep(folder)
        score_files(
            tables, Estimates(matched, device), references, provenance,
            sample_rate=references.sample_rate, names=matched.sources,
            progress=settings["progress"], workers=workers(settings["workers"], chosen, device),
        )  # fmt: skip
        summaries, undefined = summarise_all(tables)
        said = [metric.as_text(summary) for metric, summary in summaries.items()]
        for metric, text in zip(summaries, said, strict=True):
            print(f"\n{text}\n{shown(str(folder / metric.file_name(SPLIT)))}")
        # Indented text is shown as it is, whatever names hold.
        text = indent("\n\n".join(["\n".join(notes), *said, *map(shown, undefined)]), "    ")
        write_whole(folder / RESULTS, f"# Scores\n\n{text}\n".encode())
    print(shown(str(folder / RESULTS)))
    if undefined:
        raise InputError(undefined[0])


def _matched(settings: Mapping[str, Any]) -> Matched:
    """What the settings' folders have in common."""
    called, mixtures = settings["names"], settings["mixtures"]
    names = [called] if isinstance(called, str) else [str(name) for name in called]
    return match(
        layouts.read(Path(settings["estimates"]), names, "estimate"),
        layouts.read(Path(settings["references"]), names, "source"),
        layouts.read(Path(mixtures), names, "mixture") if mixtures else None,
    )


def _check_same(table: Path, roots: Mapping[str, str]) -> None:
    """Refuse a table of other folders, which would be lost."""
    before = run_directory.read_json(table.with_suffix(".json"), provenance=Mapping[str, Any])
    for key, root in roots.items():
        was = before.get("provenance", {}).get(key, root)
        if was != root:
            raise InputError(
                f"{table} has scores of {key}={was}: choose another folder with output=..."
            )
