"""Draw the learning curves and the table of ALRC's supersampling experiment, without training.

    python recipes/alrc_supersampling/draw.py [runs=FOLDER] [output=figures/reference]

runs: a folder of runs, or of the table that keep.py made of them; without it, what is kept in
recipes/alrc_supersampling/results. A picture for each error, and a table of all settings.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import learning_curves
import pandas as pd
import runs
import table

from autoclip_sep.cli import arguments, command
from autoclip_sep.errors import InputError
from autoclip_sep.figures import index
from autoclip_sep.files import write_whole
from autoclip_sep.names import shown

RESULTS = Path(__file__).parent / "results"


def run(words: Sequence[str]) -> None:
    """Draw what the arguments name."""
    given = arguments.read(words, {"runs": str(RESULTS), "output": "figures/reference"})
    output = Path(given["output"])
    for line in draw_all(runs.find(Path(given["runs"])), output):
        print(shown(line))
    index.write(output)


def draw_all(found: pd.DataFrame, output: Path) -> Iterator[str]:
    """Draw whatever the runs allow; a line for each picture and table."""
    output.mkdir(parents=True, exist_ok=True)
    for (images, changed), group in found.groupby(["images", "changed"]):
        name = f"supersampling_{images}{'-' * bool(changed)}{changed}"
        for error, of_error in group.groupby("error"):
            stem = output / f"{name}_{error}"
            drawn = learning_curves.drawable(of_error)
            try:
                learning_curves.draw(drawn, stem)
                yield f"{stem}.png, .pdf  {len(drawn)} runs"
            except InputError as reason:
                yield f"{stem} not drawn: {reason}"
        if rows := table.rows(group):
            write_whole(output / f"{name}.md", table.markdown(rows).encode())
            yield f"{output / name}.md  {len(rows)} settings"


if __name__ == "__main__":
    command.script("draw", run, __doc__)
