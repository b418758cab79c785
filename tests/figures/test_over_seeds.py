import math

import pandas as pd
import pytest

from autoclip_sep.figures.over_seeds import as_text, by_seed, mean, sd
from autoclip_sep.figures.runs import frame


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({0: 1.0, 1: 2.0, 5: 6.0}, (3, math.sqrt((4 + 1 + 9) / 2), "3.00 ± 2.65")),
        ({0: -0.456, 1: math.nan}, (-0.456, math.nan, "−0.46")),
        ({}, (math.nan, math.nan, "")),
    ],
)
def test_mean_and_spread_over_seeds(values, expected):
    values = pd.Series(values, dtype=float)
    found = mean(values), sd(values), as_text(values)
    assert found == pytest.approx(expected, nan_ok=True)
    assert as_text(pd.Series([1.0, 2.0]), "+") == "+1.50 ± 0.71"


def test_no_clipping_is_p_100_and_a_seed_counts_once(add_run):
    labels = [("none", 0, 1.0), ("autoclip_p100", 0, 9.0), ("autoclip_p100", 1, 2.0),
              ("autoclip_p1", 0, math.inf), ("norm_1", 0, 4.0)]  # fmt: skip
    runs = frame([add_run(*label) for label in labels])
    table = by_seed(runs, "percentile", "si_sdr")
    assert list(table) == [1.0, 100.0]
    assert table[100.0].to_dict() == {0: 1.0, 1: 2.0}
    assert table[1.0].isna().all()  # run, but not finite
    strategies = by_seed(runs[runs["family"] != "AutoClip"], "strategy", "si_sdr")
    assert list(strategies) == ["No clipping", "Global norm, threshold = 1"]


def test_an_infinite_score_has_no_spread():
    assert math.isnan(sd(pd.Series([math.inf, 1.0])))
