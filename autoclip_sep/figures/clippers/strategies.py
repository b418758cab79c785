"""What each clipping gains on one task, and what it costs to tune: picture, Markdown and CSV."""

from pathlib import Path

from pandas import DataFrame

from autoclip_sep.figures import footer, markdown
from autoclip_sep.figures.clippers import strategies_picture
from autoclip_sep.figures.clippers.strategies_numbers import Strategies
from autoclip_sep.figures.clipping_methods import NO_CLIPPING
from autoclip_sep.figures.over_seeds import as_text, with_sd
from autoclip_sep.figures.runs import GROUP, comparable, grouped
from autoclip_sep.files import write_whole

FAMILY_COLUMNS = ["strategy", "settings tried", "runs", "best", "improvement", "worst",
                  "improvement", "best − worst", "a guess", "worse than no clipping"]  # fmt: skip


def as_markdown(numbers: Strategies) -> str:
    """Two tables: what a family costs to tune, and what each setting gains."""
    none = as_text(numbers.none) or "not run"
    return "\n".join([
        f"Loss: {numbers.loss}. SI-SDR improvement in dB on the test set, mean ± standard "
        f"deviation over seeds. No clipping: {none}. Best − worst is the most that a choice among "
        "the settings tried can lose, a guess their mean: both depend on which were tried.",
        "",
        _families_table(numbers),
        _settings_table(numbers),
        f"<sub>{footer.line(numbers.runs)}</sub>",
        "",
    ])  # fmt: skip


def _families_table(numbers: Strategies) -> str:
    settings, compared = numbers.settings["setting"], numbers.none.notna().any()
    gains = {strategy: as_text(values) for strategy, values in numbers.gains.items()}
    lines = []
    for one in numbers.families.reset_index(names="family").to_dict("records"):
        tried, span = one["settings"], " to ".join(f"{value:g}" for value in one["tuned"])
        lines.append([
            one["family"], f"{tried} ({span})" if span else tried, one["runs"],
            settings[one["best"]], gains[one["best"]],
            settings[one["worst"]] if tried > 1 else "", gains[one["worst"]] if tried > 1 else "",
            with_sd(one["cost"], one["cost_sd"]), f"{one['guess']:.2f}",
            f"{one['below_none']} of {tried}" if compared else "",
        ])  # fmt: skip
    cells = DataFrame(lines, columns=FAMILY_COLUMNS)
    return markdown.table(cells, right=set(cells) - {"strategy", "best", "worst"})


def _settings_table(numbers: Strategies) -> str:
    cells = DataFrame({
        "strategy": numbers.settings["family"],
        "setting": numbers.settings["setting"],
        "seeds": numbers.settings["seeds"],
        "improvement": numbers.gains.agg(as_text),
        "over no clipping": numbers.over_none.agg(as_text, sign="+"),
        "share clipped": numbers.settings["clipped_share"].map("{:.1%}".format).replace("nan%", ""),
    })  # fmt: skip
    cells.loc[cells["strategy"] == NO_CLIPPING, "over no clipping"] = ""
    return markdown.table(cells, right=set(cells) - {"strategy", "setting"})


def as_csv(numbers: Strategies) -> str:
    """A line for each setting; gains in dB, the share in [0, 1]."""
    about = {"loss": numbers.loss, **footer.provenance(numbers.runs)}
    about["iterations"] = about["iterations"].replace(",", "")
    return str(numbers.settings.drop(columns="tuned").assign(**about).to_csv(index=False))


def draw(numbers: Strategies, stem: Path) -> None:
    """Write <stem>.png, .pdf, .md and .csv of one task."""
    strategies_picture.draw(numbers, stem)
    for suffix, text in ((".md", as_markdown), (".csv", as_csv)):
        write_whole(stem.with_name(stem.name + suffix), text(numbers).encode())


def draw_all(runs: DataFrame, output: Path) -> list[str]:
    """strategies_<corpus>_<loss>_<model> for each that has two families besides no clipping."""
    kept, _ = comparable(runs)
    lines = []
    for group, members in grouped(kept[kept["scored"]], GROUP).items():
        numbers = Strategies(members)
        if len(numbers.families) > 1:
            stem = output / "_".join(["strategies", *group])
            draw(numbers, stem)
            costs = numbers.families["cost"].dropna()
            text = ", ".join(f"{family} {cost:.2f}" for family, cost in costs.items())
            lines.append(f"{stem}.png  best minus worst [dB]: {text or 'not known'}")
    return lines or ["not drawn: strategies on one task: no task has two ways of clipping"]
