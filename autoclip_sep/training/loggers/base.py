"""What a logger is. It mirrors a run's record files; where it fails, the run continues."""

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from autoclip_sep.errors import InputError
from autoclip_sep.runs import records

MIRRORED = ("dynamics", "history", "ema")


@runtime_checkable
class Logger(Protocol):
    """Receives every row that the run records."""

    def start(self, directory: Path, config: Mapping[str, Any]) -> None:
        """A run starts or is resumed."""

    def log(self, prefix: str, row: Mapping[str, Any]) -> None:
        """One row of dynamics.csv, history.csv or ema.csv; prefix: the file's name."""

    def finish(self) -> None:
        """The run ends."""


class NoLogger(Logger):
    """No logger; the run's own files only."""

    def start(self, directory: Path, config: Mapping[str, Any]) -> None:
        """Nothing."""

    def log(self, prefix: str, row: Mapping[str, Any]) -> None:
        """Nothing."""

    def finish(self) -> None:
        """Nothing."""


class Several(Logger):
    """Loggers side by side."""

    def __init__(self, loggers: Sequence[Logger]) -> None:
        self.loggers = loggers

    def start(self, directory: Path, config: Mapping[str, Any]) -> None:
        """A run starts or is resumed."""
        for logger in self.loggers:
            logger.start(directory, config)

    def log(self, prefix: str, row: Mapping[str, Any]) -> None:
        """One row."""
        for logger in self.loggers:
            logger.log(prefix, row)

    def finish(self) -> None:
        """The run ends."""
        for logger in self.loggers:
            logger.finish()


class FailSafe(Logger):
    """Any logger: its first error is printed and ends the logging, not the run.

    A resumed run computes the steps after its newest checkpoint again, to the same rows. Those that
    its files had at the start were logged before, and aren't logged twice.

    running: whether it hasn't failed so far.
    """

    def __init__(self, logger: Logger) -> None:
        self._logger, self.running = logger, True
        self._logged: dict[str, int] = {}

    def start(self, directory: Path, config: Mapping[str, Any]) -> None:
        """A run starts or is resumed."""
        self._logged = {name: _last_step(directory / f"{name}.csv") for name in MIRRORED}
        self._try("start", directory, config)

    def log(self, prefix: str, row: Mapping[str, Any]) -> None:
        """One row, unless it was logged before."""
        if row["step"] > self._logged.get(prefix, -1):
            self._try("log", prefix, row)

    def finish(self) -> None:
        """The run ends."""
        self._try("finish")

    def _try(self, action: str, *given: Any) -> None:
        if not self.running:
            return
        try:
            getattr(self._logger, action)(*given)
        except Exception as error:  # of any type: the run's own files continue
            name = type(self._logger).__name__
            reason = str(error).strip().split("\n")[0] or type(error).__name__
            print(f"{name}: cannot {action} ({reason}); the run continues without it",
                  file=sys.stderr)  # fmt: skip
            self.running = False


def _last_step(path: Path) -> int:
    """Of a record file, -1 where it has no rows."""
    try:
        return max(int(row["step"]) for row in records.read(path))
    except (InputError, KeyError, ValueError):
        return -1
