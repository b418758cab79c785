"""Scores by metrics other than SI-SDR, whatever the runs were scored by."""

from collections.abc import Mapping

import numpy as np
from pandas import DataFrame

from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.report.plots import with_interval
from autoclip_sep.report.section import Section, Table
from autoclip_sep.report.sides import Reported, Side
from autoclip_sep.runs import scores
from autoclip_sep.statistics.interval import of_items

NAMES = {
    "bss_eval": "BSS Eval v4",
    "stoi": "STOI",
    "estoi": "ESTOI",
    "pesq_nb": "PESQ (narrow band)",
    "pesq_wb": "PESQ (wide band)",
    "squim": "SQUIM",
    "snr": "SNR",
    "sdr": "SDR",
}


def section(reported: Reported) -> Section:
    """A table for each metric: a row for each side, and for each source that has a name.

    Raises InputError where there is no other metric's table.
    """
    found = {(name, side.name): table for side in reported.sides
             for name, table in _tables(side).items()}  # fmt: skip
    metrics = list(dict.fromkeys(name for name, _ in found))
    if not metrics:
        raise InputError("no scores by any but SI-SDR")
    parts = []
    for metric in metrics:
        own = {side: table for (name, side), table in found.items() if name == metric}
        parts.append(_table(metric, own))
    return Section("Other metrics", f"Scored by {', '.join(map(_name, metrics))} as well.", parts)


def _name(metric: str) -> str:
    return NAMES.get(metric, shown(metric.replace("_", " ")))


def _tables(side: Side) -> dict[str, DataFrame]:
    """Scores by item and source of the side's first run, by metric."""
    found = {}
    for metric, path in scores.tables(side.first.directory, side.split).items():
        table = scores.read(path)
        columns = [name for name in table if not str(name).endswith(scores.BEFORE)]
        table = table[columns].dropna(axis=1, how="all")
        if metric != "si_sdr" and len(table.columns):
            found[metric] = table
    return found


def _table(metric: str, tables: Mapping[str, DataFrame]) -> Table:
    """tables: by the names of sides."""
    columns = list(dict.fromkeys(str(name) for table in tables.values() for name in table))
    rows = []
    for side, table in tables.items():
        for source, own in _by_source(table):
            name = f"{shown(source)}, {side}" if source else side
            rows.append([name, *(_cell(own, column) for column in columns)])
    heads = [_head(shown(column)) for column in columns]
    return Table(
        f"{_name(metric)}: means over sources, with 95 % intervals over mixtures",
        ["", *heads],
        rows,
    )


def _head(column: str) -> str:
    """SDRi [dB]."""
    name, bracket, unit = scores.with_unit(column).partition(" [")
    return name.upper().replace(scores.GAIN.upper(), "i") + bracket + unit


def _by_source(table: DataFrame) -> list[tuple[str, DataFrame]]:
    """All sources together, and each by itself where they have names."""
    named = table.groupby(level="source", sort=False)
    own = [(str(name), rows) for name, rows in named if not str(name).isdecimal()]
    return [("", table), *own]


def _cell(table: DataFrame, column: str) -> str:
    if column not in table:
        return "–"
    known = table.loc[np.isfinite(table[column]), [column]]
    digits = 3 if known[column].abs().max() <= 1 else 2  # STOI
    return with_interval(of_items(known), digits) if len(known) else "–"
