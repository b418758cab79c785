"""SI-SDR of runs in a table, mean and standard deviation over seeds, and the bounds beside them.

Bounds are what the mixtures and ideal masks score on a run's corpus, where it was evaluated with
them. A run's gap is that to the best ideal mask of the kind that it separates by; a network that
gives waveforms has none.
"""

import math
from collections.abc import Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

import pandas as pd
from pandas import DataFrame

from autoclip_sep.figures import markdown
from autoclip_sep.figures.over_seeds import mean, sd
from autoclip_sep.files import write_whole
from autoclip_sep.runs import sources

COLUMNS = ["corpus", "loss", "variant", "clipping"]  # what the runs of a line share
GAP = "gap to its bound [dB]"


def table(runs: DataFrame) -> DataFrame:
    """A line for every group of evaluated runs, by corpus, loss, model, then clipping; dB.

    Of runs that are the same to the paper (no clipping, and p = 100) each seed counts once. gap:
    NaN where no run of the line has a bound.
    """
    once = runs[runs["scored"]].drop_duplicates([*COLUMNS, "seed"])
    best = [
        run.bounds().get(sources.bound(run.config) or "", {}).get("si_sdr_mean", math.nan)
        for run in once["run"]
    ]
    return once.assign(gap=best - once["si_sdr"]).groupby(COLUMNS).agg(
        seeds=("seed", "size"),
        si_sdr=("si_sdr", fmean),
        improvement=("si_sdr_improvement", fmean),
        sd=("si_sdr_improvement", sd),
        step_variation=("step_variation", fmean),
        gap=("gap", mean),
    )  # fmt: skip


def bounds(runs: DataFrame) -> DataFrame:
    """A line for every bound of a corpus, by rising SI-SDR; those that runs have in common once.

    The columns and index of `table`: model is the STFT of the masks, clipping the bound.
    """
    found = [
        {
            "corpus": corpus, "loss": "", "variant": _stft(name, row),
            "clipping": sources.bound_title(name),
            "si_sdr": row["si_sdr_mean"], "improvement": row["si_sdr_improvement_mean"],
        }
        for corpus, run in zip(runs["corpus"], runs["run"], strict=True)
        for name, row in run.bounds().items()
    ]  # fmt: skip
    numbers = {"si_sdr": float, "improvement": float}
    lines = DataFrame(found, columns=[*COLUMNS, *numbers]).astype(numbers)
    once = lines.drop_duplicates([*COLUMNS, "si_sdr"]).sort_values(["corpus", "si_sdr"])
    return once.set_index(COLUMNS)


def _stft(name: str, row: Mapping[str, Any]) -> str:
    return "" if name == "mixture" else f"STFT {row['window_length']} / {row['hop_length']}"


def as_markdown(lines: DataFrame) -> str:
    """The table for a README; what a line doesn't have is left empty."""
    spread = [f" ± {value:.2f}" if math.isfinite(value) else "" for value in lines["sd"]]
    cells = lines.reset_index().drop(columns="sd").rename(columns={
        "variant": "model", "si_sdr": "SI-SDR [dB]", "improvement": "SI-SDR improvement [dB]",
        "step_variation": "step size, std / mean, 2nd half", "gap": GAP,
    })  # fmt: skip
    if cells[GAP].isna().all():
        cells = cells.drop(columns=GAP)
    runs = cells["seeds"].notna()
    numbers = cells.select_dtypes(float).map("{:.2f}".format)
    numbers["SI-SDR improvement [dB]"] += spread
    numbers["seeds"] = [f"{value:.0f}" for value in cells["seeds"]]
    for column in ("seeds", "step size, std / mean, 2nd half"):
        numbers[column] = numbers[column].where(runs, "")
    if GAP in cells:
        numbers[GAP] = numbers[GAP].where(cells[GAP].notna(), "")
    return markdown.table(cells.assign(**numbers))


def draw_all(runs: DataFrame, output: Path) -> list[str]:
    """Write results.md, the table of all evaluated runs; returns a line about it."""
    lines = table(runs)
    if lines.empty:
        return ["not drawn: no run is evaluated: the table of results"]
    rows = pd.concat([lines, bounds(runs)])
    output.mkdir(parents=True, exist_ok=True)
    write_whole(output / "results.md", as_markdown(rows).encode())
    return [f"{output / 'results.md'}  {len(rows)} lines"]
