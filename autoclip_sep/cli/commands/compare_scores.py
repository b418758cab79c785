"""Which of two systems scores higher, and how sure that is: ``python scripts/compare_scores.py``.

    python scripts/compare_scores.py a=RUNS b=RUNS [metric=si_sdr_improvement] [split=test]
        [common=true] [output=FILE.md|FILE.csv]

a, b: a run that was evaluated, what was kept of one, or a table of scores (.csv); or a group of
runs that differ in their seed: their folder, or a pattern in quotes, "runs/.../seed?".
Where both groups have the same seeds, each is compared with the same one. Of several tables in a
group, "theirs/*.csv", each is taken for another training of the same system.

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

from autoclip_sep.cli import arguments, command, terminal
from autoclip_sep.errors import InputError
from autoclip_sep.figures import markdown
from autoclip_sep.figures.scores.differences import cells, notes
from autoclip_sep.files import write_whole
from autoclip_sep.names import check_name, shown
from autoclip_sep.runs.score_groups import Group, alike, find, gather
from autoclip_sep.runs.scores import with_unit
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
    if given["output"] and output.suffix not in (".md", ".csv"):
        raise InputError(f"output={output}: must end in .md or .csv")
    if not given["output"]:
        terminal.check_open()
    a, b = (gather(find(given[key]), metric, split, common=common) for key in "ab")
    found = by_source(*alike(a, b, common=common))
    heading = [*(f"{key}  {_named(group)}" for key, group in zip("ab", (a, b), strict=True)),
               f"{with_unit(metric)} of {split}"]  # fmt: skip
    each = a.each if a.each == b.each else "table"
    rows = DataFrame({name: cells(one, each=each) for name, one in found.items()}).T
    said = [*heading, *notes(found[ALL], each)]
    print(*map(shown, heading), "", rows.to_string(), "", *said[len(heading) :], sep="\n")
    if given["output"]:
        output.parent.mkdir(parents=True, exist_ok=True)
        content = as_csv(found) if output.suffix == ".csv" else as_markdown(rows, said)
        write_whole(output, content.encode(errors="replace"))
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


def as_markdown(rows: DataFrame, said: Sequence[str]) -> str:
    """The table, what was compared, and the notes."""
    table = markdown.table(rows.rename_axis("sources").reset_index())
    return "\n".join([table, *(f"- {shown(line)}" for line in said), ""])


def as_csv(found: dict[str, Paired]) -> str:
    """All numbers, as in `Paired`."""
    rows = DataFrame([{"sources": name} | asdict(one) for name, one in found.items()])
    return rows.astype({"seeds_needed": "Int64"}).to_csv(index=False)


def _named(group: Group) -> str:
    first, *others = group.places
    columns = [str(one) if group.each == "seed" else Path(str(one)).name for one in group.table]
    return f"{first.parent}: {group.each}s {', '.join(columns)}" if others else str(first)
