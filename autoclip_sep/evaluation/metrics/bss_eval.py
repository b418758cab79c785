"""BSS Eval v4 of every source, for music.

As the field reports it (Stöter et al., 2018): windows of one second; a track's score is the median
of its windows, a source's the median of its tracks.
"""

from collections.abc import Iterator, Mapping
from statistics import fmean
from typing import Any, ClassVar

import numpy as np
import torch
from pandas import DataFrame

from autoclip_sep.evaluation.metric import Metric, Separated
from autoclip_sep.metrics.bss_eval import bss_eval

SCORES = ["sdr", "isr", "sir", "sar"]


class BssEval(Metric):
    """Estimates that come in any order are assigned to sources by SI-SDR."""

    name = "bss_eval"
    columns: ClassVar = {
        **dict.fromkeys(SCORES, float),  # dB, medians over windows; NaN where undefined
        "frames": int,  # windows with scores
        "silent": int,  # windows without: a source or an estimate is silent in them
    }

    def in_workers(self, device: torch.device) -> bool:
        """On a CPU: an accelerator is faster than they are."""
        return device.type == "cpu"

    def score(self, separated: Separated) -> Iterator[dict[str, Any]]:
        """One row for each source."""
        estimate = separated.in_order()[0].to(separated.device)
        reference = separated.batch.sources[0].to(separated.device)
        scores = bss_eval(estimate, reference, separated.sample_rate)
        for windows in torch.stack(scores, dim=1).cpu().numpy():  # (4, windows)
            kept = windows[:, ~np.isnan(windows[0])]
            frames = kept.shape[1]
            medians = np.median(kept, axis=1) if frames else np.full(len(SCORES), np.nan)
            row = dict(zip(SCORES, medians.tolist(), strict=True))
            yield {**row, "frames": frames, "silent": windows.shape[1] - frames}

    def summarise(self, table: DataFrame) -> dict[str, Any]:
        """Medians over tracks for each source, and their mean [dB]; counts undefined ones."""
        scored = table["frames"] > 0
        medians = table.groupby("source", sort=False)[SCORES].median().dropna()
        if medians.empty:
            return {}
        sources = medians.assign(tracks=scored.groupby(table["source"]).sum())
        return {
            "sources": sources.to_dict("index"),
            "mean": {key: fmean(medians[key]) for key in SCORES},
            "tracks": table["item"].nunique(),
            "unscored": int((~scored).sum()),
        }

    def as_text(self, summary: Mapping[str, Any]) -> str:
        """A line for each source, one for their mean, and the counts."""
        lines = ["BSS Eval v4 [dB]" + "".join(f"{key.upper():>8}" for key in SCORES) + "  tracks"]
        for name, scores in {**summary["sources"], "mean": summary["mean"]}.items():
            numbers = "".join(f"{scores[key]:8.2f}" for key in SCORES)
            lines.append(f"{name:16}{numbers}{scores.get('tracks', ''):>8}".rstrip())
        unscored = f", {summary['unscored']} without a score" if summary["unscored"] else ""
        lines.append(f"medians of 1 s windows, then of {summary['tracks']} tracks{unscored}")
        return "\n".join(lines)
