"""Records of runs as tables, and where those of two runs begin to differ."""

from functools import cached_property
from typing import Annotated

from pandas import DataFrame

from autoclip_sep.errors import InputError
from autoclip_sep.figures.record_files import columns
from autoclip_sep.figures.runs import RunFound
from autoclip_sep.runs import run_directory

INDEX = {"dynamics.csv": "step", "history.csv": "epoch"}


class RecordedRun(RunFound):
    """A run, finished or not, or what was kept of one."""

    @cached_property
    def tables(self) -> dict[str, DataFrame]:
        """dynamics.csv by step and history.csv by epoch; a file without rows is left out.

        Raises InputError where neither has rows, and for what isn't the records of a run.
        """
        tables: dict[str, DataFrame] = {}
        unread: list[InputError] = []
        for file, key in INDEX.items():
            try:
                content = columns(self.directory / file)
            except InputError as error:
                unread.append(error)
                continue
            table = DataFrame(content).set_index([content[key]]).assign(step=content["step"])
            if not table.index.is_monotonic_increasing or not table.index.is_unique:
                raise InputError(f"{self.directory / file}: rows are not in the order of {key}")
            tables[file] = table
        if not tables:
            raise unread[0]
        return tables

    @property
    def last_step(self) -> int:
        """The last step with a record."""
        return int(max(table["step"].iloc[-1] for table in self.tables.values()))

    @property
    def digits(self) -> int | None:
        """How many digits of each value dynamics.csv was kept in; None for all of them."""
        whole = Annotated[int, range(1, 100)] | None
        return run_directory.read_json(self.directory / "kept.json", digits=whole).get("digits")


def first_difference(run: RecordedRun, reference: RecordedRun) -> float | None:
    """The first step whose records differ in a bit; None where all shared records are the same.

    Where dynamics.csv of one of them was kept in fewer digits, it is compared in those.
    """
    digits = min((one.digits for one in (run, reference) if one.digits), default=None)
    steps: list[float] = []
    for file in run.tables.keys() & reference.tables.keys():
        one, other = run.tables[file].align(reference.tables[file], join="inner")
        if digits and file == "dynamics.csv":
            one, other = (table.map(lambda x: float(f"{x:.{digits}g}")) for table in (one, other))
        differing = one.compare(other).index
        steps += run.tables[file].loc[differing[:1], "step"].tolist()
    return min(steps, default=None)
