"""Which runs another one is compared with: those in a folder, or kept ones of its settings."""

from collections.abc import Sequence
from pathlib import Path

from autoclip_sep.errors import InputError
from autoclip_sep.runs.run_directory import seedless


def find(run: Path, reference: str, kept: Sequence[Path]) -> list[Path]:
    """The run directories in the folder `reference`, or in `kept` where it is "", without `run`.

    Where runs there may differ in more than their seed, only those with the run's settings are
    taken. Raises InputError where there is none.
    """
    folders = [Path(reference)] if reference else kept
    configs = [path for folder in folders for path in sorted(folder.rglob("seed*/config.yaml"))]
    found = [path.parent for path in configs]
    if reference and (folders[0] / "config.yaml").is_file():
        found = [*folders]  # not W&B's files/config.yaml inside it
    if reference and not found:
        raise InputError(f"reference={reference}: no run there; name a run or a folder of seeds")
    names = sorted({seedless(path) for path in found})
    if len(names) > 1 or not reference:
        found = [path for path in found if seedless(path) == seedless(run)]
        if not found:
            raise InputError(
                f"no reference {seedless(run)} below {reference or 'recipes/*/results'}: name one "
                f"with reference=...; there are {', '.join(names) or 'none'}"
            )
    others = [path for path in found if path.resolve() != run.resolve()]
    if not others:
        raise InputError(f"{run} is the only reference there is: name another with reference=...")
    return others
