"""Where the numbers come from: settings, corpus, versions, machine."""

from collections.abc import Mapping
from typing import Any

from autoclip_sep.names import shown
from autoclip_sep.report.section import Section, Table
from autoclip_sep.report.sides import Reported, Side
from autoclip_sep.runs import run_directory

FACTS = {
    "commit": "Commit", "version": "Version", "torch": "PyTorch", "python": "Python",
    "device": "Device", "threads": "Threads", "date": "Date", "fingerprint": "Corpus fingerprint",
}  # fmt: skip

MOST = 24  # letters of a fact: a fingerprint is told by its first


def section(reported: Reported) -> Section:
    """What differs between two sides first, then everything."""
    runs = [(side, run) for side in reported.sides for run in side.runs]
    columns = [_named(side, run.directory.name) for side, run in runs]
    origin = [
        ["Directory", *(shown(_place(run.directory.parts)) for _, run in runs)],
        *(
            [name, *(shown(str(run.provenance.get(key, "unknown")))[:MOST] for _, run in runs)]
            for key, name in FACTS.items()
            if any(key in run.provenance for _, run in runs)
        ),
    ]
    parts = [Table("Origin", ["", *columns], origin, words=range(1, 99))]
    configs = {side.name: run_directory.flatten(side.first.config) for side in reported.sides}
    settings = dict.fromkeys(key for config in configs.values() for key in config)
    rows = [[shown(key), *(_value(config, key) for config in configs.values())] for key in settings]
    answer = "Settings, corpus, versions and machine."
    if reported.compared:
        different = [row for row in rows if len(set(row[1:])) > 1]
        parts.append(Table("Settings that differ", ["", *configs], different, words=(1, 2)))
        names = ", ".join(row[0] for row in different[:4])
        more = f" and {len(different) - 4} more" if len(different) > 4 else ""
        answer = f"The two differ in {names}{more}." if names else "The two have the same settings."
    parts.append(
        Table(f"All {len(rows)} settings", ["", *configs], rows, folded=True, words=(1, 2))
    )
    return Section("Origin and settings", answer, parts)


def _named(side: Side, name: str) -> str:
    return side.name if len(side.runs) == 1 else f"{side.name}, {shown(name)}"


def _place(parts: tuple[str, ...]) -> str:
    """The run's own folders; those above them are the machine's."""
    return "/".join(parts[-5:])


def _value(config: Mapping[str, Any], key: str) -> str:
    return shown(str(config[key])) if key in config else "–"
