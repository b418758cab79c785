"""What a table of scores says in a few numbers."""

import json
import math
from pathlib import Path
from statistics import fmean, median
from typing import Any

from autoclip_sep import records, runs
from autoclip_sep.errors import InputError


def summarise(path: Path) -> dict[str, Any]:
    """Mean and median of SI-SDR and of its improvement over the mixture [dB], and their counts.

    Silent sources have no score: they are counted, never averaged. The summary is also written
    into the .json beside the table.

    Raises InputError where nothing was scored.
    """
    rows = records.read(path)
    scored = [(float(row["si_sdr"]), float(row["si_sdr_mixture"])) for row in rows]
    scored = [(score, before) for score, before in scored if math.isfinite(score - before)]
    if not scored:
        raise InputError(f"{path}: all of its {len(rows)} sources are silent, nothing was scored")
    scores = [score for score, _ in scored]
    gains = [score - before for score, before in scored]
    summary = {
        "si_sdr_mean": fmean(scores), "si_sdr_median": median(scores),
        "si_sdr_improvement_mean": fmean(gains), "si_sdr_improvement_median": median(gains),
        "mixtures": len({row["item"] for row in rows}), "scored": len(scored),
        "silent": sum(int(row["silent"]) for row in rows),
    }  # fmt: skip
    note = path.with_suffix(".json")
    content = runs.read_json(note)
    runs.write_text(note, json.dumps({**content, "summary": summary}, indent=1) + "\n")
    return summary


def as_text(summary: dict[str, Any]) -> str:
    """The summary for a terminal."""
    return (
        f"SI-SDR              mean {summary['si_sdr_mean']:6.2f} dB   "
        f"median {summary['si_sdr_median']:6.2f} dB\n"
        f"SI-SDR improvement  mean {summary['si_sdr_improvement_mean']:6.2f} dB   "
        f"median {summary['si_sdr_improvement_median']:6.2f} dB\n"
        f"{summary['scored']} sources of {summary['mixtures']} mixtures scored, "
        f"{summary['silent']} silent"
    )
