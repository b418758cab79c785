"""The experiment's runs as a frame with a row for each, whole or as keep.py kept them.

A learning curve is a boxcar average over 500 iterations, as in Ede, Beanland (2020): of every
hundredth, as the mean of five means of a hundred iterations. These means are all that is kept.
"""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from autoclip_sep.errors import InputError
from autoclip_sep.figures.record_files import columns
from autoclip_sep.files import write_whole
from autoclip_sep.runs import records, run_directory

BOXCAR, BLOCK = 500, 100  # iterations
WIDTH = BOXCAR // BLOCK  # blocks of a boxcar
SPIKE = 2.0  # times the lowest point of the learning curve so far
RUNS = "supersampling/*/*/batch*/*/*/seed*/records.csv"
KEPT = "courses.csv"
WITHOUT, WITH = "none", "alrc_n3"  # the labels of the clippers that figures compare

# Of courses.csv. rate: stable, high, or one that a command gave: lr0.003. changed: six hex digits
# for other settings that differ from their defaults, or nothing. wanted, iterations: a run that
# diverged made fewer than wanted. clipped_share: of its iterations. means: mean training error,
# before clipping, of every hundred iterations.
COLUMNS: dict[str, type] = {
    "images": str, "error": str, "batch_size": int, "optimizer": str, "rate": str, "lr": float,
    "clipping": str, "seed": int, "changed": str, "wanted": int, "iterations": int,
    "clipped_share": float, "test_squared_error": float, "commit": str, "device": str, "date": str,
    "fingerprint": str, "means": str,
}  # fmt: skip
ORDER = ["images", "changed", "error", "optimizer", "rate", "batch_size", "clipping", "seed"]


def find(root: Path) -> pd.DataFrame:
    """Every finished run below a folder, or those kept in tables there, ordered by their settings.

    COLUMNS, and what follows from `means`: curve (see the function), final and highest, its last
    point and the highest after the first, and spikes. Where a run diverged, ending early because
    its gradients weren't finite any more, diverged is true and final and highest are inf; they are
    NaN where a curve is too short for them.
    Raises InputError where there is no run, or a table is damaged.
    """
    finished = [
        path.parent
        for path in root.glob(RUNS)
        if run_directory.read_state(path.parent).get("status") == "finished"
    ]
    if finished:
        runs = _frame(map(_row, finished), root)
    elif tables := sorted(root.rglob(KEPT)):
        runs = pd.concat([_frame(records.read(path), path) for path in tables])
    else:
        raise InputError(
            f"no finished supersampling runs below {root}: python "
            "recipes/alrc_supersampling/train.py -m experiment=alrc_stability makes them"
        )
    return runs.sort_values(ORDER, key=lambda values: values.astype(str), ignore_index=True)


def write(runs: pd.DataFrame, path: Path) -> None:
    """Keep what figures need of some runs: a table with a row for each."""
    text = runs[[*COLUMNS]].to_csv(index=False, lineterminator="\n", na_rep="nan")
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, text.encode())


def curve(means: NDArray[np.float64]) -> NDArray[np.float64]:
    """(N,) the boxcar averages, the first after 500 iterations; inf for those that aren't finite.

    means: (N + 4,) of every hundred iterations; fewer than five give no curve.
    """
    if len(means) < WIDTH:
        return np.empty(0)
    with np.errstate(over="ignore", invalid="ignore"):
        averages = sliding_window_view(means, WIDTH).mean(axis=1)
    return np.where(np.isfinite(averages), averages, math.inf)


def spikes(curve: NDArray[np.float64]) -> int:
    """How often a curve rises above twice its lowest point so far, having been below."""
    above = curve > SPIKE * np.minimum.accumulate(curve)
    return int(np.sum(above[1:] & ~above[:-1]))  # the first point is its own lowest


def _row(directory: Path) -> dict[str, Any]:
    """What courses.csv keeps of a run."""
    config, state = run_directory.read_config(directory), run_directory.read_state(directory)
    provenance = run_directory.read_json(directory / run_directory.PROVENANCE)
    optimizer, _, rate = directory.parts[-3].rpartition("_")
    errors = columns(directory / "records.csv")["error"]
    blocks = errors[: len(errors) // BLOCK * BLOCK].reshape(-1, BLOCK)
    with np.errstate(over="ignore", invalid="ignore"):
        means = blocks.mean(axis=1)
    return {
        **{key: config[key] for key in ("images", "error", "batch_size", "seed")},
        "optimizer": optimizer, "rate": rate, "lr": config["optimizer"]["lr"],
        "clipping": directory.parts[-2], "changed": directory.name.partition("-")[2],
        "wanted": config["iterations"], "iterations": len(errors),
        **{key: state[key] for key in ("clipped_share", "test_squared_error")},
        **{key: provenance.get(key, "unknown")
           for key in ("commit", "device", "date", "fingerprint")},
        "means": " ".join(f"{mean:.4g}" for mean in means),
    }  # fmt: skip


def _frame(rows: Iterable[Mapping[str, Any]], where: Path) -> pd.DataFrame:
    """The columns of `find`, of rows with those of COLUMNS; where: the source, for messages."""
    try:
        runs = pd.DataFrame(list(rows))[[*COLUMNS]].astype(COLUMNS)
        curves = [curve(np.array(means.split(), dtype=float)) for means in runs["means"]]
    except (KeyError, TypeError, ValueError) as error:
        raise InputError(f"{where}: {error}") from error
    diverged = runs["iterations"] < runs["wanted"]
    final = pd.Series([one[-1] if len(one) else math.nan for one in curves])
    highest = pd.Series([one[1:].max() if len(one) > 1 else math.nan for one in curves])
    return runs.assign(
        curve=pd.Series(curves, dtype=object),
        diverged=diverged,
        final=final.mask(diverged, math.inf),
        highest=highest.mask(diverged, math.inf),
        spikes=list(map(spikes, curves)),
    )
