"""SI-SDR of runs in a table, mean and standard deviation over seeds."""

import math
from pathlib import Path
from statistics import fmean

from pandas import DataFrame

from autoclip_sep.figures import markdown
from autoclip_sep.figures.over_seeds import sd
from autoclip_sep.files import write_whole

COLUMNS = ["corpus", "loss", "variant", "clipping"]  # what the runs of a line share


def table(runs: DataFrame) -> DataFrame:
    """A line for every group of evaluated runs, by corpus, loss, model, then clipping; dB.

    Of runs that are the same to the paper (no clipping, and p = 100) each seed counts once.
    """
    once = runs[runs["scored"]].drop_duplicates([*COLUMNS, "seed"])
    return once.groupby(COLUMNS).agg(
        seeds=("seed", "size"),
        si_sdr=("si_sdr", fmean),
        improvement=("si_sdr_improvement", fmean),
        sd=("si_sdr_improvement", sd),
        step_variation=("step_variation", fmean),
    )


def as_markdown(lines: DataFrame) -> str:
    """The table for a README."""
    spread = [f" ± {value:.2f}" if math.isfinite(value) else "" for value in lines["sd"]]
    cells = lines.reset_index().drop(columns="sd").rename(columns={
        "variant": "model", "si_sdr": "SI-SDR [dB]", "improvement": "SI-SDR improvement [dB]",
        "step_variation": "step size, std / mean, 2nd half",
    })  # fmt: skip
    numbers = cells.select_dtypes(float).map("{:.2f}".format)
    numbers["SI-SDR improvement [dB]"] += spread
    return markdown.table(cells.assign(**numbers))


def draw_all(runs: DataFrame, output: Path) -> list[str]:
    """Write results.md, the table of all evaluated runs; returns a line about it."""
    lines = table(runs)
    if lines.empty:
        return ["not drawn: no run is evaluated: the table of results"]
    output.mkdir(parents=True, exist_ok=True)
    write_whole(output / "results.md", as_markdown(lines).encode())
    return [f"{output / 'results.md'}  {len(lines)} lines"]
