"""Table 1 of the AutoClip paper beside ours: SI-SDR for every loss and percentile.

What is compared is the pattern, not the dB: the best p, and how far p = 10 lies above p = 100. Ours
are of another corpus and scale in general, and the table itself says of which.
"""

from collections.abc import Sequence
from pathlib import Path

from autoclip_sep.figures import paper
from autoclip_sep.figures.comparable import (
    Task,
    by_loss,
    by_percentile,
    by_task,
    comparable,
    over_percentiles,
)
from autoclip_sep.figures.footer import iterations, origin
from autoclip_sep.figures.runs import RunFound
from autoclip_sep.figures.table1 import picture, text
from autoclip_sep.figures.table1.columns import Column, Table


def table(found: Sequence[RunFound]) -> Table:
    """The numbers of evaluated runs of one corpus and model, at least one of a loss of the paper's.

    A cell that wasn't run is missing.
    """
    losses = by_loss(found)
    columns = {loss: _column(loss, losses.get(loss, [])) for loss in paper.TABLE_1}
    return Table(origin(found), columns)


def _column(loss: str, members: Sequence[RunFound]) -> Column:
    cells = over_percentiles(members, lambda run: run.score()["si_sdr_mean"])
    return Column(loss, cells, iterations(members) if members else "")


def draw(found: Sequence[RunFound], stem: Path) -> Table:
    """Write <stem>.md, .tex, .csv and .png and return the numbers."""
    numbers = table(found)
    text.write(numbers, stem)
    picture.draw(numbers, stem)
    return numbers


def draw_all(found: Sequence[RunFound], output: Path) -> list[str]:
    """A table for each corpus and model that has two percentiles of one loss.

    The one with the most cells is table1, the others are table1_<corpus>_<model>. Returns a line to
    print for each, and one for each run left out of it.
    """
    kept, lines = comparable(found)
    tasks = by_task(run for run in kept if _in_table(run))
    enough = {task: runs for task, runs in tasks.items() if _cells_of_a_loss(runs) > 1}
    if not enough:
        return [*lines, "not drawn: Table 1: no loss has evaluated runs of two percentiles"]
    largest = max(enough, key=lambda task: (_cells(enough[task]), len(enough[task])))
    for task, runs in enough.items():
        stem = output / name(task, largest)
        numbers = draw(runs, stem)
        lines.append(f"{stem}.md  {numbers.in_short()}")
    return lines


def name(task: Task, largest: Task) -> str:
    """The file name of a table, without its ending."""
    return "table1" if task == largest else "_".join(["table1", *task])


def _in_table(run: RunFound) -> bool:
    return run.group[1] in paper.TABLE_1 and run.percentile >= 0 and bool(run.score())


def _cells(found: Sequence[RunFound]) -> int:
    return sum(len(by_percentile(members)) for members in by_loss(found).values())


def _cells_of_a_loss(found: Sequence[RunFound]) -> int:
    return max(len(by_percentile(members)) for members in by_loss(found).values())
