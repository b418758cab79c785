"""What each clipping gains over none, item by item, with intervals over seeds and items."""

import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

from pandas import DataFrame

from autoclip_sep.errors import InputError
from autoclip_sep.figures import markdown
from autoclip_sep.figures.runs import GROUP, comparable
from autoclip_sep.files import write_whole
from autoclip_sep.runs.score_groups import alike, gather
from autoclip_sep.runs.scores import tables
from autoclip_sep.statistics.paired import Paired, paired
from autoclip_sep.statistics.seeds_needed import sd_bounds

METRIC = "si_sdr_improvement"
NONE = "No clipping"
LINE = ["corpus", "loss", "model", "clipping"]  # what a line is named by
FINE = 3  # decimals of scores below 1, such as STOI; others have 2


def cells(found: Paired, a: str = "a", b: str = "b", each: str = "seed") -> dict[str, str]:
    """A comparison as a table's line. a, b: what the columns of their means are called.

    each: what scored the items several times, a seed or somebody's table.
    """
    places = FINE if max(abs(found.mean_a), abs(found.mean_b)) < 1 else 2
    of_a, of_b = (_number(value, places) for value in (found.mean_a, found.mean_b))
    mean, low, high = (_number(value, places, "+") for value in (found.mean, found.low, found.high))
    return {
        a: of_a,
        b: of_b,
        "difference": mean,
        "95 % interval": f"{low} .. {high}" if math.isfinite(found.low) else "",
        "higher in": f"{100 * found.better_share:.0f} % of {found.items}",
        "P(higher)": f"{found.probability_of_improvement:.2f}",
        "Wilcoxon p": f"{found.p_value:.1g}" if math.isfinite(found.p_value) else "",
        f"{each}s": _seeds(found),
        f"{each}s needed": str(found.seeds_needed or ""),
    }


def notes(found: Paired, each: str = "seed") -> list[str]:
    """What one must know to read a comparison, a line for each; each: as of `cells`."""
    lines = []
    if found.dropped:
        lines.append(f"{found.dropped} sources are left out: some run has no finite score there")
    fewest = min(found.seeds_a, found.seeds_b)
    if fewest == 1:
        these, others = ("networks", "seeds") if each == "seed" else ("estimates", "trainings")
        lines.append(
            f"one {each}: the interval holds for these very {these}, not for other {others}"
        )
    else:
        of = (
            f"differences between {each}s"
            if found.by_seed
            else f"scores over {each}s, which aren't the same in both"
        )
        freedom = fewest - 1 if found.by_seed else found.seeds_a + found.seeds_b - 2
        low, high = sd_bounds(found.seed_sd, freedom)
        lines.append(
            f"standard deviation of {of}: {found.seed_sd:.2g}; from so few {each}s it"
            f" may be {low:.2g} .. {high:.2g}, and the {each}s needed are as uncertain"
        )
    lines.append(f"Wilcoxon's p is of the items' means over these {each}s, and holds for no others")
    return lines


def table(runs: DataFrame) -> tuple[dict[tuple[str, ...], Paired], list[str]]:
    """Each clipping less none, by corpus, loss, model and clipping; a line for what can't be told.

    Of runs that are the same to the paper (no clipping, and p = 100) each seed counts once.
    """
    found: dict[tuple[str, ...], Paired] = {}
    lines = []
    scored = runs[runs["scored"]].drop_duplicates([*GROUP, "clipping", "seed"])
    known = scored["run"].map(lambda run: "si_sdr" in tables(run.directory)).astype(bool)
    if not known.all():
        lines.append(
            f"not compared: {(~known).sum()} runs were kept without scores of single items"
        )
    scored = scored[known]
    for names, members in scored.groupby(GROUP):
        without = members[members["clipping"] == NONE]
        for clipping, clipped in members.drop(without.index).groupby("clipping"):
            name = (*map(str, names), str(clipping))
            try:
                found[name] = _compare(clipped, without)
            except InputError as error:
                lines.append(f"not compared: {', '.join(name)}: {error}")
    return found, lines


def _compare(clipped: DataFrame, without: DataFrame) -> Paired:
    """With clipping less without, over the seeds that both have."""
    both = set(clipped["seed"]) & set(without["seed"])
    if not both:
        raise InputError("no seed was run without clipping as well")
    sides = [side[side["seed"].isin(both)]["run"] for side in (clipped, without)]
    return paired(*alike(*(gather([run.directory for run in side], METRIC) for side in sides)))


def as_markdown(found: Mapping[tuple[str, ...], Paired]) -> str:
    """The table for a README."""
    rows = [
        dict(zip(LINE, name, strict=True)) | cells(one, "SI-SDR improvement [dB]", "without")
        for name, one in found.items()
    ]
    return markdown.table(DataFrame(rows))


def as_csv(found: Mapping[tuple[str, ...], Paired]) -> str:
    """All numbers, as in `Paired`."""
    rows = [dict(zip(LINE, name, strict=True)) | asdict(one) for name, one in found.items()]
    return DataFrame(rows).astype({"seeds_needed": "Int64"}).to_csv(index=False)


def draw_all(runs: DataFrame, output: Path) -> list[str]:
    """Write differences.md and differences.csv; returns a line about them, and what is left out."""
    found, lines = table(comparable(runs)[0])
    if not found:
        return [*lines, "not drawn: no runs with and without clipping were scored: differences"]
    output.mkdir(parents=True, exist_ok=True)
    write_whole(output / "differences.md", as_markdown(found).encode())
    write_whole(output / "differences.csv", as_csv(found).encode())
    return [*lines, f"{output / 'differences.md'}  {len(found)} lines"]


def _number(value: float, places: int, sign: str = "") -> str:
    return f"{value:{sign}.{places}f}".replace("-", "−")


def _seeds(found: Paired) -> str:
    return str(found.seeds_a) if found.by_seed else f"{found.seeds_a} and {found.seeds_b}"
