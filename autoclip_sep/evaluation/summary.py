"""What a table of SI-SDR says in a few numbers."""

import math
from collections.abc import Sequence
from pathlib import Path
from statistics import fmean, median
from typing import Any

from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.tables import write_summary
from autoclip_sep.runs import records


def summarise(path: Path) -> dict[str, Any]:
    """Mean and median of SI-SDR and of its improvement over the mixture [dB], and their counts.

    Silent sources have no score: they are counted, never averaged. Sources that have names are also
    averaged one by one. The summary is also written into the .json beside the table.

    Raises InputError where nothing was scored.
    """
    rows = records.read(path)
    summary: dict[str, Any] = _averages(rows)
    if not summary:
        raise InputError(f"{path}: all of its {len(rows)} sources are silent, nothing was scored")
    summary["mixtures"] = len({row["item"] for row in rows})
    summary["silent"] = sum(int(row["silent"]) for row in rows)
    names = [name for name in dict.fromkeys(row["source"] for row in rows) if not name.isdecimal()]
    if names:
        summary["sources"] = {
            name: _averages([row for row in rows if row["source"] == name]) for name in names
        }
    write_summary(path, summary)
    return summary


def as_text(summary: dict[str, Any]) -> str:
    """The summary for a terminal."""
    lines = [
        f"SI-SDR              mean {summary['si_sdr_mean']:6.2f} dB   "
        f"median {summary['si_sdr_median']:6.2f} dB",
        f"SI-SDR improvement  mean {summary['si_sdr_improvement_mean']:6.2f} dB   "
        f"median {summary['si_sdr_improvement_median']:6.2f} dB",
    ]
    for name, own in summary.get("sources", {}).items():
        if own:
            lines.append(
                f"  {name:17} mean {own['si_sdr_mean']:6.2f} dB   "
                f"median {own['si_sdr_median']:6.2f} dB   "
                f"improvement {own['si_sdr_improvement_mean']:6.2f} dB"
            )
    lines.append(
        f"{summary['scored']} sources of {summary['mixtures']} mixtures scored, "
        f"{summary['silent']} silent"
    )
    return "\n".join(lines)


def _averages(rows: Sequence[records.Row]) -> dict[str, Any]:
    """Means and medians of the rows that have a score; nothing where none has."""
    scored = [(float(row["si_sdr"]), float(row["si_sdr_mixture"])) for row in rows]
    scored = [(score, before) for score, before in scored if math.isfinite(score - before)]
    if not scored:
        return {}
    scores = [score for score, _ in scored]
    gains = [score - before for score, before in scored]
    return {
        "si_sdr_mean": fmean(scores), "si_sdr_median": median(scores),
        "si_sdr_improvement_mean": fmean(gains), "si_sdr_improvement_median": median(gains),
        "scored": len(scored),
    }  # fmt: skip
