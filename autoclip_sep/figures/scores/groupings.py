"""By what scores are broken down: a value for each scored source, from the table of items."""

from pandas import DataFrame, MultiIndex, Series

from autoclip_sep.runs.scores import JOINED

LEVEL = "_level"
CALLED = {
    "seconds": "length [s]",
    "overlap": "overlap [%]",
    "level_difference": "level difference of the sources [dB]",
    "snr": "sources over noise [dB]",
}


def named(items: DataFrame) -> DataFrame:
    """The table of items for readers: its columns by names with units."""
    sources = [str(name).removesuffix(LEVEL) for name in items if str(name).endswith(LEVEL)]
    called = {f"{source}{LEVEL}": f"level of {source} over the rest [dB]" for source in sources}
    shares = {"overlap": 100 * items["overlap"]} if "overlap" in items else {}
    return items.assign(**shares).rename(columns=CALLED | called)


def of_sources(scored: MultiIndex, items: DataFrame) -> DataFrame:
    """A row for each scored source (item, source), a column for each attribute that is known.

    items: indexed by item, see evaluation/attributes.py. Numbers are NaN and names None where
    unknown.
    """
    names = scored.get_level_values("source")
    rows = items.loc[scored.get_level_values("item")].set_axis(scored)
    known = named(rows)
    order = [str(column).removesuffix(LEVEL) for column in items if str(column).endswith(LEVEL)]
    places = [order.index(name) if name in order else None for name in names]
    found: dict[str, Series | None] = {
        **{name: known.get(name) for name in CALLED.values()},
        "level of the source over the rest [dB]": _levels(rows, order, places),
    }
    for column, (together, alone) in {
        "genders": ("genders", "gender of the source"), "speakers": ("speakers", "speaker"),
    }.items():  # fmt: skip
        if column in rows:
            each = [text.split(JOINED) if text else [] for text in rows[column]]
            label = alike if column == "genders" else join
            found[together] = _text([label(one) if len(one) > 1 else None for one in each], rows)
            own = zip(each, places, strict=True)
            found[alone] = _text(
                [one[n] if n is not None and one else None for one, n in own], rows
            )
    if not all(map(str.isdecimal, names)):
        found["source"] = _text([*names], rows)
        found["track"] = _text([*scored.get_level_values("item")], rows)
    return DataFrame({name: values for name, values in found.items() if values is not None}, scored)


def alike(genders: list[str]) -> str:
    """Same or different, and which."""
    return f"{'same' if len(set(genders)) == 1 else 'different'} ({join(genders)})"


def join(names: list[str]) -> str:
    """Names whose order doesn't matter."""
    return JOINED.join(sorted(names))


def _levels(rows: DataFrame, order: list[str], places: list[int | None]) -> Series | None:
    if not order:
        return None
    values = rows[[f"{name}{LEVEL}" for name in order]].to_numpy(float)
    own = [row[n] if n is not None else float("nan") for row, n in zip(values, places, strict=True)]
    return Series(own, rows.index)


def _text(values: list[str | None], rows: DataFrame) -> Series | None:
    return Series(values, rows.index, dtype=object) if any(values) else None
