import math

import pytest

from autoclip_sep.statistics.seeds_needed import sd_bounds, seeds_needed


@pytest.mark.parametrize(
    ("effect", "paired", "expected"),
    [
        # Cohen (1988) and G*Power: two-sided, 5 %, power 0.8.
        (0.2, True, 199), (0.5, True, 34), (0.8, True, 15), (1.0, True, 10),
        (0.2, False, 394), (0.5, False, 64), (0.8, False, 26), (1.0, False, 17),
        # By simulation: 2 seeds find 7.78 in 61 % and 15 in 90 % of cases.
        (7.78, True, 3), (15.0, True, 2), (1e6, True, 2), (math.inf, True, 2),
    ],
)  # fmt: skip
def test_the_published_numbers(effect, paired, expected):
    sd = 0.0 if math.isinf(effect) else 1 / effect
    assert seeds_needed(1.0, sd, paired=paired) == expected
    assert seeds_needed(-1.0, sd, paired=paired) == expected


@pytest.mark.parametrize(("mean", "sd"), [(0.0, 1.0), (1.0, math.nan), (1e-6, 1.0), (math.nan, 1)])
def test_where_no_number_can_be_said(mean, sd):
    assert seeds_needed(mean, sd) is None


def test_three_seeds_know_the_spread_coarsely():
    """Tables of chi-squared: 0.0506 and 7.378 at 2 degrees of freedom, 3.247 and 20.483 at 10."""
    assert sd_bounds(2.0, 2) == pytest.approx(
        (2 * (2 / 7.378) ** 0.5, 2 * (2 / 0.0506) ** 0.5), 1e-3
    )
    assert sd_bounds(1.0, 10) == pytest.approx(((10 / 20.483) ** 0.5, (10 / 3.247) ** 0.5), 1e-3)
