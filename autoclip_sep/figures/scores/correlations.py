"""How closely smoothness follows the gradient norm, and how much of it is the common trend.

The paper's Figure 1 gives one r a run, over all of training. Two series that both rise or fall with
training correlate for that alone, so r is also taken over each half, and inside short stretches
where neither has moved far.
"""

import math
from pathlib import Path
from statistics import fmean
from typing import Any

from pandas import DataFrame

from autoclip_sep.errors import InputError
from autoclip_sep.figures import markdown
from autoclip_sep.figures.over_seeds import mean, sd, with_sd
from autoclip_sep.figures.run_dynamics import correlation, dynamics
from autoclip_sep.figures.runs import RunFound, comparable
from autoclip_sep.files import write_whole

STRETCH = 1000  # iterations
FEWEST_IN_A_STRETCH = 10  # recorded steps; an r of fewer means nothing

COLUMNS = ["corpus", "variant", "loss", "clipping"]  # what the runs of a line share
PARTS = {
    "r": "r", "r_first_half": "r, 1st half", "r_second_half": "r, 2nd half",
    "r_inside": f"r inside {STRETCH:,} iterations",
}  # fmt: skip


def parts(run: RunFound) -> dict[str, float]:
    """Pearson's r of log smoothness and log gradient norm; NaN where nothing was probed.

    r: over all of training. r_first_half, r_second_half: of the iterations. r_inside: the mean of r
    over the stretches of `STRETCH` iterations that hold enough recorded steps.
    """
    try:
        one = dynamics(run)
    except InputError:
        return dict.fromkeys(PARTS, math.nan)
    step, early = one.probed["step"], one.probed["step"] <= one.rows["step"].iloc[-1] / 2
    stretches = [rows for _, rows in one.probed.groupby((step - 1) // STRETCH)]
    inside = [correlation(rows) for rows in stretches if len(rows) >= FEWEST_IN_A_STRETCH]
    return {
        "r": one.r,
        "r_first_half": correlation(one.probed[early]),
        "r_second_half": correlation(one.probed[~early]),
        "r_inside": fmean(inside) if inside else math.nan,
    }


def table(runs: DataFrame) -> DataFrame:
    """A line for every corpus, model, loss and clipping; p = 100 is no clipping.

    probe_points: between two weights, where smoothness is measured. seeds: those with an r.
    <part>_mean, <part>_sd: over seeds. Lines without any r are left out.
    """
    once = runs.drop_duplicates([*COLUMNS, "seed"])
    values = DataFrame([parts(run) for run in once["run"]], once.index, [*PARTS])
    groups = once.join(values).groupby(COLUMNS)
    numbers: dict[str, Any] = {"probe_points": ("probe_points", "first"), "seeds": ("r", "count")}
    for part in PARTS:
        numbers |= {f"{part}_mean": (part, mean), f"{part}_sd": (part, sd)}
    lines = groups.agg(**numbers)
    return lines[lines["seeds"] > 0].rename_axis(index={"variant": "model"})


def as_markdown(lines: DataFrame) -> str:
    """The table for a README."""
    cells = lines[["probe_points", "seeds"]].rename(columns={"probe_points": "probe points"})
    for part, name in PARTS.items():
        cells[name] = [*map(with_sd, lines[f"{part}_mean"], lines[f"{part}_sd"])]
    return markdown.table(cells.reset_index())


def draw_all(runs: DataFrame, output: Path) -> list[str]:
    """Write correlations.md and correlations.csv; returns what was written."""
    kept, left_out = comparable(runs)
    lines = table(kept)
    if lines.empty:
        return [*left_out, "not drawn: no run has a smoothness: correlations"]
    output.mkdir(parents=True, exist_ok=True)
    write_whole(output / "correlations.md", as_markdown(lines).encode())
    write_whole(output / "correlations.csv", lines.to_csv(na_rep="nan").encode())
    return [f"{output / 'correlations.md'}  {len(lines)} lines"]
