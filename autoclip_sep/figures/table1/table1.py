"""Table 1 of the AutoClip paper beside ours: SI-SDR for every loss and percentile.

What is compared is the pattern, not the dB: the best p, and how far p = 10 lies above p = 100. Ours
are of another corpus and scale in general, and the table itself names them.
"""

from pathlib import Path

from pandas import DataFrame

from autoclip_sep.figures import paper
from autoclip_sep.figures.runs import TASK, comparable, grouped
from autoclip_sep.figures.table1 import picture, text
from autoclip_sep.figures.table1.cells import Table


def draw(runs: DataFrame, stem: Path) -> Table:
    """Write <stem>.md, .tex, .csv and .png and return the numbers."""
    table = Table(runs)
    text.write(table, stem)
    picture.draw(table, stem)
    return table


def draw_all(runs: DataFrame, output: Path) -> list[str]:
    """A table for each corpus and model that has two percentiles of one loss.

    The one with the most cells is table1, the others are table1_<corpus>_<model>. Returns a line to
    print for each, and one for each run left out of it.
    """
    kept, lines = comparable(runs)
    kept = kept[kept["loss"].isin(paper.TABLE_1) & (kept["percentile"] >= 0) & kept["scored"]]
    tasks = grouped(kept, TASK)
    cells = {
        task: members.groupby("loss")["percentile"].nunique() for task, members in tasks.items()
    }
    enough = [task for task in tasks if cells[task].max() > 1]
    if not enough:
        return [*lines, "not drawn: Table 1: no loss has evaluated runs of two percentiles"]
    largest = max(enough, key=lambda task: (cells[task].sum(), len(tasks[task])))
    for task in enough:
        stem = output / ("table1" if task == largest else "_".join(["table1", *task]))
        lines.append(f"{stem}.md  {draw(tasks[task], stem).in_short()}")
    return lines
