"""What each clipping gains on one task, and what it costs to tune: picture, Markdown and CSV."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from autoclip_sep.figures.clippers import strategies_picture
from autoclip_sep.figures.clippers.strategies_numbers import Family, Setting, Strategies, strategies
from autoclip_sep.figures.clipping_methods import NO_CLIPPING
from autoclip_sep.figures.comparable import by_group, comparable, with_spread
from autoclip_sep.figures.runs import RunFound
from autoclip_sep.files import write_whole

CSV_COLUMNS = (
    "family", "setting", "si_sdr_improvement", "spread", "seeds", "over_no_clipping",
    "over_no_clipping_spread", "clipped_share", "loss", "corpus", "fingerprint", "model",
    "network", "batch", "iterations", "commit", "device", "date",
)  # fmt: skip


def draw(found: Sequence[RunFound], stem: Path) -> Strategies:
    """Write <stem>.png, .pdf, .md and .csv of one task's evaluated runs; return the numbers."""
    numbers = strategies(found)
    strategies_picture.draw(numbers, stem)
    for suffix, text in ((".md", as_markdown), (".csv", as_csv)):
        write_whole(stem.with_name(stem.name + suffix), text(numbers).encode())
    return numbers


def as_markdown(numbers: Strategies) -> str:
    """Two tables: what a family costs to tune, and what each setting gains."""
    families = [family for family in numbers.families if family.name != NO_CLIPPING]
    none = with_spread(numbers.none) or "not run"
    return "\n".join([
        f"Loss: {numbers.loss}. SI-SDR improvement in dB on the test set, mean ± standard "
        f"deviation over seeds. No clipping: {none}. Best − worst is the most that a choice among "
        "the settings tried can lose, a guess their mean: both depend on which were tried.",
        "",
        "| strategy | settings tried | runs | best | improvement | worst | improvement "
        "| best − worst | a guess | worse than no clipping |",
        "|---|--:|--:|---|--:|---|--:|--:|--:|--:|",
        *(_family_line(family, bool(numbers.none.values)) for family in families),
        "",
        "| strategy | setting | seeds | improvement | over no clipping | share clipped |",
        "|---|---|--:|--:|--:|--:|",
        *map(_setting_line, numbers.settings),
        "",
        f"<sub>{numbers.origin.line()}</sub>",
        "",
    ])  # fmt: skip


def _family_line(family: Family, compared: bool) -> str:
    worst = family.worst if len(family.settings) > 1 else None
    cells = [
        family.name, _tried(family), str(family.runs), family.best.clipping.setting,
        with_spread(family.best.gain), worst.clipping.setting if worst else "",
        with_spread(worst.gain) if worst else "", with_spread(family.cost),
        f"{family.guess:.2f}", f"{family.below_none} of {len(family.settings)}" * compared,
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def _tried(family: Family) -> str:
    """How many settings, and from which to which."""
    ends = [one.clipping.values[0] for one in family.settings if one.clipping.values]
    span = " to ".join(f"{value:g}" for value in dict.fromkeys([*ends[:1], *ends[-1:]]))
    return f"{len(family.settings)}" + (f" ({span})" if span else "")


def _setting_line(one: Setting) -> str:
    compared = one.over_none if one.clipping.family != NO_CLIPPING else None
    cells = [
        one.clipping.family, one.clipping.setting, str(len(one.gain.values)),
        with_spread(one.gain), with_spread(compared, "+") if compared else "",
        f"{one.share.mean:.1%}" if one.share.values else "",
    ]  # fmt: skip
    return f"| {' | '.join(cells)} |"


def as_csv(numbers: Strategies) -> str:
    """A line for each setting; gains in dB, the share in [0, 1]."""
    text = io.StringIO()
    writer = csv.DictWriter(text, CSV_COLUMNS, lineterminator="\n", extrasaction="ignore")
    writer.writeheader()
    about = {**asdict(numbers.origin), "loss": numbers.loss}
    about["iterations"] = numbers.origin.iterations.replace(",", "")
    for one in numbers.settings:
        values = {
            "family": one.clipping.family, "setting": one.clipping.setting,
            "seeds": len(one.gain.values), "si_sdr_improvement": one.gain.mean,
            "spread": one.gain.spread, "over_no_clipping": one.over_none.mean,
            "over_no_clipping_spread": one.over_none.spread, "clipped_share": one.share.mean,
        }  # fmt: skip
        writer.writerow({**about, **{key: _known(value) for key, value in values.items()}})
    return text.getvalue()


def _known(value: object) -> object:
    return "" if isinstance(value, float) and not math.isfinite(value) else value


def draw_all(found: Sequence[RunFound], output: Path) -> list[str]:
    """strategies_<corpus>_<loss>_<model> for each that has two families besides no clipping."""
    kept, _ = comparable(found)
    lines = []
    for group, members in by_group([run for run in kept if run.score()]).items():
        tried = [one for one in strategies(members).families if one.name != NO_CLIPPING]
        if len(tried) > 1:
            stem = output / "_".join(["strategies", *group])
            families = [one for one in draw(members, stem).families if one.cost.values]
            costs = [f"{one.name} {one.cost.mean:.2f}" for one in families]
            lines.append(f"{stem}.png  best minus worst [dB]: {', '.join(costs) or 'not known'}")
    return lines or ["not drawn: strategies on one task: no task has two ways of clipping"]
