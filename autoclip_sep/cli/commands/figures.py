"""Draw every figure and table from records, without training: ``python scripts/draw_figures.py``.

    python scripts/draw_figures.py [runs=FOLDER] [output=figures/reference]
    python scripts/draw_figures.py a.csv [b.csv ...] [output=figures]

runs: a folder of runs, or of what was kept of them; without it, in a checkout, those behind the
README, recipes/training_dynamics/results. Everything that the runs allow is drawn; for anything
else the reason is printed. Nothing is drawn again while the records stay the same. The recipe of
ALRC's supersampling experiment draws that experiment's runs by a command of its own.

Files are what a Recorder or Spikes wrote in any loop, yours included: training dynamics (Figure 1),
thresholds and step sizes of up to four runs beside each other, and the spikes of each.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from functools import partial
from operator import call
from pathlib import Path

from pandas import DataFrame

from autoclip_sep import figures
from autoclip_sep.cli import arguments, command
from autoclip_sep.errors import InputError
from autoclip_sep.figures import branches, index, own_records, spikes
from autoclip_sep.figures.clippers import (
    clipped_shares,
    percentiles,
    step_sizes,
    strategies,
    thresholds,
)
from autoclip_sep.figures.figure1 import animation, training_dynamics
from autoclip_sep.figures.run_pairs import pairs
from autoclip_sep.figures.runs import find, frame
from autoclip_sep.figures.scores import correlations, differences, results
from autoclip_sep.figures.table1 import table1
from autoclip_sep.names import shown
from autoclip_sep.parallel import in_parallel
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.provenance import CHECKOUT

RECIPES = CHECKOUT / "recipes"  # beside the package in a checkout, nowhere else
KEPT = RECIPES / "training_dynamics" / "results"
DRAWN = ".drawn.json"  # what was drawn of which records
READ = (".csv", ".gz", ".json", ".yaml")

Task = Callable[[], list[str]]
Drawer = Callable[[DataFrame, Path], list[str]]
OF_ALL_RUNS: tuple[Drawer, ...] = (
    step_sizes.draw_all,
    table1.draw_all,
    percentiles.draw_all,
    thresholds.draw_all,
    clipped_shares.draw_all,
    strategies.draw_all,
    correlations.draw_all,
    results.draw_all,
    differences.draw_all,
    branches.draw_all,
)
OF_RECORDS = (
    training_dynamics.draw_records,
    thresholds.draw_records,
    step_sizes.draw_records,
)
OF_A_PAIR: tuple[Drawer, ...] = (training_dynamics.draw_all, animation.draw_all, spikes.draw_all)


def main() -> None:
    """The command."""
    command.script("draw_figures", run, __doc__)


def run(words: Sequence[str]) -> None:
    """Draw what the arguments name."""
    files = [Path(word) for word in words if "=" not in word and word.endswith(".csv")]
    rest = [word for word in words if Path(word) not in files]
    for word in rest:
        if "=" not in word and not word.startswith("-"):
            raise InputError(f"{word}: records end in .csv; a folder of runs is runs=FOLDER")
    if files:
        output = arguments.read(rest, {"output": "figures"})["output"]
        for line in own_records.draw_all(files, Path(output), OF_RECORDS):
            print(shown(line))
        index.write(Path(output))
        return
    given = arguments.read(words, {"runs": "", "output": "figures/reference"})
    if not given["runs"] and not RECIPES.is_dir():
        raise InputError("runs is missing: add runs=FOLDER (the README's are in a checkout only)")
    for line in draw(Path(given["runs"] or KEPT), Path(given["output"])):
        print(shown(line))


def draw(folder: Path, output: Path) -> list[str]:
    """Everything that the runs below a folder allow; a line for each picture and table.

    Raises InputError where it holds no runs.
    """
    found = find(folder)
    state = _state(folder)
    before = run_directory.read_json(output / DRAWN, files=Sequence[str], lines=Sequence[str])
    if before.get("of") == state and all((output / name).exists() for name in before["files"]):
        return [*before["lines"], "nothing new to draw"]
    tasks = _tasks(frame(found), output)
    lines = [line for some in in_parallel(call, tasks, label="drawing") for line in some]
    if page := index.write(output):
        lines.append(f"{page}  all of them on a page")
    files = sorted(path.name for path in output.iterdir() if not path.name.startswith("."))
    content = json.dumps({"of": state, "lines": lines, "files": files})
    run_directory.write_text(output / DRAWN, content)
    return lines


def _tasks(runs: DataFrame, output: Path) -> list[Task]:
    """All there is to draw of the runs, in pieces that go side by side."""
    alone = pairs(runs) or [runs]  # a drawer of pairs then reports that there is none
    return [
        *(partial(drawer, runs, output) for drawer in OF_ALL_RUNS),
        *(partial(drawer, pair, output) for drawer in OF_A_PAIR for pair in alone),
    ]


def _state(folder: Path) -> str:
    """A digest of the records and of the code that draws them."""
    sources = sorted(Path(figures.__file__).parent.rglob("*.py"))
    records = sorted(
        path for path in folder.rglob("*") if path.suffix in READ and path.name != "timing.csv"
    )
    digest = hashlib.sha256()
    for path in [*sources, *records]:
        digest.update(f"{path}\0".encode())
        digest.update(path.read_bytes())
    return digest.hexdigest()
