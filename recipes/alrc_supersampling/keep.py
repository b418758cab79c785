"""Keep what the figures need of finished runs, in one small table.

    python recipes/alrc_supersampling/keep.py runs=runs output=recipes/alrc_supersampling/results

The table has a row for each run: its settings, where it came from, and the mean training error of
every hundred iterations. draw.py draws from it what it draws from the runs.
"""

from collections.abc import Sequence
from pathlib import Path

import runs

from autoclip_sep.cli import arguments, command


def keep(given: Sequence[str]) -> None:
    """Write <output>/courses.csv of the runs below a folder."""
    settings = arguments.read(given, {"runs": "runs", "output": None})
    found = runs.find(Path(settings["runs"]))
    path = Path(settings["output"]) / runs.KEPT
    runs.write(found, path)
    print(f"{path}: {len(found)} runs, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    command.script("keep", keep, str(__doc__).strip())
