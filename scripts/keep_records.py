"""Copy what is worth committing of finished runs: ``python scripts/keep_records.py``.

    python scripts/keep_records.py runs=runs output=recipes/training_dynamics/results

Config, provenance, records and scores, without checkpoints, logs and timing. `make figures` draws
from them. Runs that aren't finished or not evaluated are named and left out.
"""

import shutil
import sys
from pathlib import Path

from autoclip_sep import runs
from autoclip_sep.cli import command
from autoclip_sep.errors import InputError
from autoclip_sep.figures.runs_found import find

KEPT = (
    "config.yaml",
    "provenance.json",
    "dynamics.csv",
    "history.csv",
    "evaluation/*.csv",
    "evaluation/*.json",
)


def main() -> None:
    """The command."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    with command.exit_codes("keep_records"):
        given = dict(argument.partition("=")[::2] for argument in sys.argv[1:])
        if set(given) != {"runs", "output"}:
            raise InputError("runs=... and output=... are wanted, see --help")
        keep(Path(given["runs"]), Path(given["output"]))


def keep(source: Path, output: Path) -> None:
    """Copy the records of every finished and evaluated run below `source`."""
    for run in find(source):
        name = run.directory.relative_to(source)
        if runs.read_state(run.directory).get("status") != "finished" or not run.score():
            print(f"left out, not finished or not evaluated: {name}")
            continue
        for pattern in KEPT:
            for path in run.directory.glob(pattern):
                target = output / path.relative_to(source)
                target.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(path, target)
        print(f"kept: {output / name}")


if __name__ == "__main__":
    main()
