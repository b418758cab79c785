"""SI-SDR of every source, and its improvement over the mixture."""

from collections.abc import Iterator, Mapping
from statistics import fmean, median
from typing import Any, ClassVar

import torch
from pandas import DataFrame

from autoclip_sep.evaluation.metric import Metric, Separated
from autoclip_sep.metrics.si_sdr import si_sdr, si_sdr_permuted


class SiSdr(Metric):
    """Under the best permutation where estimates come in any order.

    The channels of a mixture are scored as one long signal.
    """

    name = "si_sdr"
    columns: ClassVar = {
        "estimate": str,  # the one assigned to the source
        "si_sdr": float,  # dB; NaN where reference or estimate is silent
        "si_sdr_mixture": float,  # dB, the unprocessed mixture against the same reference
        "silent": int,  # 1 where the score is undefined because of silence
    }

    def file_name(self, split: str) -> str:
        """The split alone."""
        return f"{split}.csv"

    def score(self, separated: Separated) -> Iterator[dict[str, Any]]:
        """One row for each source."""
        estimate = separated.estimate.flatten(2)
        reference = separated.batch.sources.flatten(2)  # (1, S, C * T)
        mixture = separated.batch.mixture.flatten(1)
        if separated.permute:
            scores, order = si_sdr_permuted(estimate, reference)
            assigned = [str(e + 1) for e in order[0].tolist()]
        else:
            # One by one: all sources of a song at once in float64 would take gigabytes.
            pairs = zip(estimate.unbind(1), reference.unbind(1), strict=True)
            scores = torch.stack([si_sdr(*pair) for pair in pairs], dim=1)
            assigned = list(separated.names)
        for s, score in enumerate(scores[0].tolist()):
            before = float(si_sdr(mixture, reference[:, s]))
            yield {
                "estimate": assigned[s], "si_sdr": score, "si_sdr_mixture": before,
                "silent": int(score != score),
            }  # fmt: skip

    def summarise(self, table: DataFrame) -> dict[str, Any]:
        """Means and medians of SI-SDR and of its improvement [dB], and their counts.

        Silent sources are counted, never averaged. Named sources are also averaged one by one.
        """
        summary = _averages(table)
        if not summary:
            return {}
        summary["mixtures"] = table["item"].nunique()
        summary["silent"] = int(table["silent"].sum())
        named = table[~table["source"].str.isdecimal()].groupby("source", sort=False)
        if len(named):
            summary["sources"] = {str(name): _averages(rows) for name, rows in named}
        return summary

    def as_text(self, summary: Mapping[str, Any]) -> str:
        """Two lines, one for each named source, and the counts."""
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


def _averages(table: DataFrame) -> dict[str, Any]:
    """Means and medians of the defined scores; empty where there are none."""
    scores = table[["si_sdr"]].assign(si_sdr_improvement=table["si_sdr"] - table["si_sdr_mixture"])
    scores = scores.dropna()
    if scores.empty:
        return {}
    averages: dict[str, Any] = {}
    for name in scores:
        # fmean sums exactly, unlike pandas: the last digits don't depend on the order of rows.
        averages[f"{name}_mean"] = fmean(scores[name])
        averages[f"{name}_median"] = median(scores[name])
    return {**averages, "scored": len(scores)}
