"""How many seeds would tell two methods apart: the power of a t-test over seeds."""

import math

from scipy import stats

from autoclip_sep.statistics.interval import LEVEL

POWER = 0.8
MOST = 10**6
FARTHEST = 1e4  # of what scipy is asked for; nobody misses an effect that is so large


def seeds_needed(mean: float, sd: float, *, paired: bool = True) -> int | None:
    """The least number of seeds at which a t interval of 95 % excludes zero 4 times in 5.

    mean, sd: of the differences between seeds of the same number; or, not paired, of the two
    groups, sd that of the seeds within a group, and the number is of each. The true values are
    taken to be these, which a few seeds tell coarsely. None for more than a million, for no
    difference, and where sd is unknown (NaN: one seed). Cohen, "Statistical power
    analysis for the behavioral sciences" (1988), two-sided.
    """
    if not (math.isfinite(mean) and math.isfinite(sd)) or mean == 0:
        return None
    low, high = 2, MOST
    if sd == 0 or _power(low, abs(mean) / sd, paired) >= POWER:
        return low
    if _power(high, abs(mean) / sd, paired) < POWER:
        return None
    while high - low > 1:  # the power of `low` is too small, that of `high` is enough
        middle = (low + high) // 2
        enough = _power(middle, abs(mean) / sd, paired) >= POWER
        low, high = (low, middle) if enough else (middle, high)
    return high


def sd_bounds(sd: float, freedom: int) -> tuple[float, float]:
    """Between which bounds the true standard deviation lies with 95 %: chi-squared, normal values.

    freedom: seeds - 1. With 3 seeds they are 0.5 and 6.3 times sd: coarse, and so is all that
    follows from it.
    """
    tail = (1 - LEVEL) / 2
    low, high = (sd * math.sqrt(freedom / stats.chi2.ppf(q, freedom)) for q in (1 - tail, tail))
    return low, high


def _power(seeds: int, effect: float, paired: bool) -> float:
    """How often a t-test of so many seeds (a group) finds an effect of so many sd.

    t squared is noncentral F, which scipy has where its noncentral t gives NaN.
    """
    freedom = seeds - 1 if paired else 2 * (seeds - 1)
    shift = effect**2 * (seeds if paired else seeds / 2)
    critical = stats.f.ppf(LEVEL, 1, freedom)
    return float(stats.ncf.sf(critical, 1, freedom, min(shift, FARTHEST)))
