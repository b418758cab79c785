"""Where a system scores low: ``python scripts/breakdown.py``.

    python scripts/breakdown.py run=runs/... [metric=si_sdr_improvement] [split=test]
        [speakers=FILE] [items=FILE.csv] [output=FOLDER] [data.root=FOLDER] [trust=PACKAGE]

run: a run that was evaluated, or a group of runs that differ in their seed: their folder, or a
pattern in quotes, "runs/.../seed?"; or a table of scores (.csv), with items=.

Writes breakdown.md, .csv and .png into <run>/evaluation, or into output=: the mean score with its
interval by length, overlap, levels, and by genders, speakers and sources where the corpus tells;
numbers are cut at their quartiles; and the ten items that score lowest.

What is known of the items is in <run>/evaluation/<split>_items.csv, which evaluate.py writes; where
it isn't there, it is made from the corpus, which data.root= (data.store=, data.corpora=) says the
place of if it moved. items= takes it from another run of the same corpus. speakers: a table of
speakers and their genders, such as WSJ0's spkrinfo.txt or LibriSpeech's SPEAKERS.TXT; one that lies
at data.root or above it is found.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from pandas import DataFrame

from autoclip_sep.building import build
from autoclip_sep.cli import arguments, command, corpus
from autoclip_sep.data.speakers import genders
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation import attributes
from autoclip_sep.evaluation.tables import of_corpus
from autoclip_sep.figures.scores import breakdown_picture
from autoclip_sep.figures.scores.breakdown import as_markdown, break_down
from autoclip_sep.files import write_whole
from autoclip_sep.names import check_name, shown, some
from autoclip_sep.runs import run_directory, scores, sources
from autoclip_sep.runs.score_groups import find, gather

PLACES = ("root", "store", "corpora", "cache")
DEFAULTS = {
    "run": None, "metric": "si_sdr_improvement", "split": "test", "speakers": "", "items": "",
    "output": "", **{f"data.{place}": "" for place in PLACES}, "trust": "",
}  # fmt: skip


def main() -> None:
    """The command."""
    command.script("breakdown", run, __doc__)


def run(words: Sequence[str]) -> None:
    """Break down what the arguments name."""
    given = arguments.read(words, DEFAULTS)
    split, metric = check_name(given["split"], "split"), given["metric"]
    group = gather(find(given["run"]), metric, split)
    first = group.places[0]
    if not given["output"] and (len(group.places) > 1 or first.is_file()):
        raise InputError("output is missing: several runs, or a table, have no folder of their own")
    output = Path(given["output"] or first / "evaluation")
    table = items_of(first, split, given)
    items = scores.read_items(table)
    measured = scores.corpus(table)
    if measured and group.corpora - {measured}:
        raise InputError(f"{table} is of another corpus than the scores: evaluate the run again")
    if given["speakers"]:
        items = with_genders(items, Path(given["speakers"]))
    found, label = break_down(group.table, items), scores.with_unit(metric)
    stem = output / ("breakdown" if split == "test" else f"breakdown_{split}")
    output.mkdir(parents=True, exist_ok=True)
    name = shown(str(first if len(group.places) == 1 else first.parent))
    text = f"# {name}, {split}\n\n{as_markdown(found, label)}"
    write_whole(stem.with_suffix(".md"), text.encode(errors="replace"))
    content = found.groups.to_csv(index=False)
    write_whole(stem.with_suffix(".csv"), content.encode(errors="replace"))
    notes = [name, f"{len(set(items.index)):,} items of {split}; small numbers: items of a group"]
    print(text)
    try:
        picture = breakdown_picture.draw(found, label, f"{label} by group", notes, stem)
        print(shown(f"{stem}.md, .csv and {picture.name}"))
    except InputError as error:  # of few items, say
        print(shown(f"{stem}.md and .csv; not drawn: {error}"))


def items_of(place: Path, split: str, given: Mapping[str, str]) -> Path:
    """The table of what is known of the items: that which is named, the run's own, or a new one."""
    if given["items"]:
        return Path(given["items"])
    path = place / "evaluation" / f"{split}_items.csv"
    if not path.is_file():
        if not (place / "config.yaml").is_file():
            raise InputError(f"{place} is no run: add items=FILE.csv, a run's {split}_items.csv")
        measure(place, split, path, given)
    return path


def with_genders(items: DataFrame, table: Path) -> DataFrame:
    """The items with the genders that a table of speakers names."""
    if "speakers" not in items:
        raise InputError(f"speakers={table}: the items' names don't say who speaks")
    found = attributes.genders_of([*items["speakers"]], genders(table))
    if not any(found):
        raise InputError(
            f"speakers={table}: has none of the speakers: {some([*items['speakers']])}"
        )
    return items.assign(genders=found)


def measure(run: Path, split: str, path: Path, given: Mapping[str, str]) -> None:
    """Make the table of items from the run's corpus, which must be the one that it began with."""
    build.trust([given["trust"]] if given["trust"] else [])
    places = {place: given[f"data.{place}"] or None for place in PLACES}
    config = corpus.moved(run_directory.read_config(run), places)
    store = corpus.prepare(config)
    corpus.check_unchanged(run, store, force=False)
    attributes.write(
        path, store.split(split), store.sample_rate, sources.names(config),
        corpus.corpus_of(config), of_corpus(config["data"]["name"], store),
    )  # fmt: skip
