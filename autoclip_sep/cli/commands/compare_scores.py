"""Which of two systems scores higher, and how sure that is: ``python scripts/compare_scores.py``.

    python scripts/compare_scores.py a=RUNS b=RUNS [metric=si_sdr_improvement] [split=test]
        [common=true] [output=FILE.md|FILE.csv]

a, b: a run that was evaluated, what was kept of one, or a table of scores (.csv); or a group of
runs that differ in their seed: their folder, or a pattern in quotes, "runs/.../seed?".
Where both groups have the same seeds, each is compared with the same one.

Scores are paired by item. Printed are the mean difference a - b with an interval of 95 % by a
bootstrap over items and seeds, in how many items a scores higher, P(a > b) over items and pairs of
seeds, Wilcoxon's signed-rank test of the items, and how many seeds would be needed to tell a from b
4 times in 5. Sources with names get a line each.

metric: a column of the scores, such as si_sdr, or one of another metric, such as bss_eval.sdr;
higher is better. Scores that are undefined in one run are left out of all, and counted. Runs on
different items or corpora are refused; common=true compares the items that have the same name.
"""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pandas import DataFrame

from autoclip_sep.cli import arguments, command
from autoclip_sep.errors import InputError
from autoclip_sep.figures import markdown
from autoclip_sep.figures.scores.differences import cells, notes
from autoclip_sep.files import write_whole
from autoclip_sep.names import check_name, shown
from autoclip_sep.runs.score_groups import Group, alike, find, gather
from autoclip_sep.statistics.paired import Paired, paired

DEFAULTS = {
    "a": None, "b": None, "metric": "si_sdr_improvement", "split": "test", "common": "false",
    "output": "",
}  # fmt: skip


def main() -> None:
    """The command."""
    command.script("compare_scores", compare, __doc__)


def compare(words: Sequence[str]) -> None:
    """Compare what the arguments name."""
    given = arguments.read(words, DEFAULTS)
    metric, split = given["metric"], check_name(given["split"], "split")
    common = arguments.flag(given, "common")
    output = Path(given["output"])
    if given["output"] and output.suffix not in WRITERS:
        raise InputError(f"output={output}: must end in .md or .csv")
    a, b = (gather(find(given[key]), metric, split, common=common) for key in "ab")
    found = by_source(*alike(a, b, common=common))
    heading = [*(f"{key}  {_named(group)}" for key, group in zip("ab", (a, b), strict=True)),
               f"{metric} of {split}"]  # fmt: skip
    rows = DataFrame({name: cells(one) for name, one in found.items()}).T
    print(*map(shown, heading), "", rows.to_string(), "", sep="\n")
    print(*notes(found[ALL]), sep="\n")
    if given["output"]:
        output.parent.mkdir(parents=True, exist_ok=True)
        write_whole(output, WRITERS[output.suffix](heading, found).encode(errors="replace"))
        print(shown(str(output)))


ALL = "all"


def by_source(a: DataFrame, b: DataFrame) -> dict[str, Paired]:
    """The comparison over all sources, and over each by itself where sources have names."""
    found = {ALL: paired(a, b)}
    sources = a.index.get_level_values("source")
    if len(names := dict.fromkeys(sources)) > 1 and not any(map(str.isdecimal, names)):
        for name in names:
            rows = sources == name
            found[shown(name)] = paired(a.loc[rows], b.loc[rows])
    return found


def as_markdown(heading: Sequence[str], found: dict[str, Paired]) -> str:
    """The table, what was compared, and the notes."""
    lines = [f"- {shown(line)}" for line in [*heading, *notes(found[ALL])]]
    rows = DataFrame([{"sources": name} | cells(one) for name, one in found.items()])
    return "\n".join([markdown.table(rows), *lines, ""])


def as_csv(heading: Sequence[str], found: dict[str, Paired]) -> str:
    """All numbers, as in `Paired`."""
    rows = DataFrame([{"sources": name} | asdict(one) for name, one in found.items()])
    return rows.astype({"seeds_needed": "Int64"}).to_csv(index=False)


WRITERS = {".md": as_markdown, ".csv": as_csv}


def _named(group: Group) -> str:
    first, *others = group.places
    seeds = ", ".join(map(str, group.table))
    return f"{first.parent}: seeds {seeds}" if others else str(first)
