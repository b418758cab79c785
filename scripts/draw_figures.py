"""Redraw every figure and table from records, without training: ``python scripts/draw_figures.py``.

    python scripts/draw_figures.py [runs=FOLDER] [output=figures/reference]

runs: a folder of runs, or of what was kept of them, as in recipes/training_dynamics/results, which
is the default. Figure 1 is drawn for every corpus, loss and
model that has a run without clipping (p = 100) and one with p = 10, of the lowest seed.
"""

import sys
from pathlib import Path

from autoclip_sep.cli import command
from autoclip_sep.errors import InputError
from autoclip_sep.figures import results, training_dynamics
from autoclip_sep.figures.runs_found import RunFound, find

ROOT = Path(__file__).resolve().parents[1]

KEPT = ROOT / "recipes" / "training_dynamics" / "results"


def main() -> None:
    """The command."""
    if {"-h", "--help"} & set(sys.argv[1:]):
        print(__doc__)
        return
    with command.exit_codes("draw_figures"):
        settings = {"runs": str(KEPT), "output": "figures/reference"}
        for argument in sys.argv[1:]:
            key, _, value = argument.partition("=")
            if key not in settings or not value:
                raise InputError(f"{argument}: runs=... and output=... are known")
            settings[key] = value
        draw(Path(settings["runs"]), Path(settings["output"]))


def draw(runs: Path, output: Path) -> None:
    """Every figure and table that the runs below a folder allow."""
    found = find(runs)
    output.mkdir(parents=True, exist_ok=True)
    pairs = _pairs(found)
    for (corpus, loss, model), (without, with_autoclip) in pairs.items():
        stem = output / f"training_dynamics_{corpus}_{loss}_{model}"
        try:
            left, right = training_dynamics.draw(without, with_autoclip, stem)
        except InputError as error:
            print(f"not drawn: {error}")
            continue
        print(f"{stem}.png  r = {left.r:.2f} without clipping, {right.r:.2f} with AutoClip")
    if not pairs:
        print("no pair of runs with p=10 and p=100 (or clipping=none): Figure 1 is not drawn")
    lines = results.table(found)
    if lines:
        table = results.as_markdown(lines)
        (output / "results.md").write_text(table, encoding="utf-8")
        print(f"\n{table}\n{output / 'results.md'}")


def _pairs(found: list[RunFound]) -> dict[tuple[str, str, str], tuple[RunFound, RunFound]]:
    """For each corpus, loss and model the runs of Figure 1, of the lowest seed that has both."""
    pairs: dict[tuple[str, str, str], tuple[RunFound, RunFound]] = {}
    for run in sorted(found, key=lambda run: run.config["seed"]):
        same = [other for other in found if other.group == run.group
                and other.config["seed"] == run.config["seed"]]  # fmt: skip
        without = [other for other in same if other.percentile == 100]
        if run.percentile == 10 and without and run.group not in pairs:
            pairs[run.group] = (without[0], run)
    return pairs


if __name__ == "__main__":
    main()
