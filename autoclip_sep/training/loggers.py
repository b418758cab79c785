"""Mirrors of the run's own records. The files are the truth; a mirror may fail, the run goes on."""

import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from autoclip_sep.optional import require

LAST_UPLOAD = 300  # seconds; W&B would try for hours where the server left, with the run all done


@runtime_checkable
class Logger(Protocol):
    """Is told every row that the run records."""

    def start(self, directory: Path, config: Mapping[str, Any]) -> None:
        """A run begins, or goes on."""

    def log(self, prefix: str, row: Mapping[str, Any]) -> None:
        """One row of dynamics.csv (prefix "dynamics") or history.csv (prefix "history")."""

    def finish(self) -> None:
        """The run ends."""


class NoLogger:
    """Nothing beside the run's own files."""

    def start(self, directory: Path, config: Mapping[str, Any]) -> None:
        """Nothing to open."""

    def log(self, prefix: str, row: Mapping[str, Any]) -> None:
        """Nothing to send."""

    def finish(self) -> None:
        """Nothing to close."""


class WandbLogger:
    """Weights & Biases, online or offline, with the run's own step as every chart's axis.

    Whatever goes wrong there is said once and the mirror is given up; the run is not hurt. It never
    asks anything: without an API key the run goes on with its own files alone.
    mode: online, offline or disabled, as wandb names them. timeout: seconds to wait for the server
    when a run starts.
    """

    def __init__(
        self, project: str = "autoclip_sep", mode: str = "online", timeout: int = 30
    ) -> None:
        if mode not in ("online", "offline", "disabled"):
            raise ValueError(f"mode must be online, offline or disabled, not {mode!r}")
        self.project, self.mode, self.timeout = project, mode, timeout
        self._run: Any = None

    def start(self, directory: Path, config: Mapping[str, Any]) -> None:
        """Open the W&B run that belongs to this directory, the same one after a resume."""

        def begin() -> None:
            # In the environment, since wandb before 2026 refuses a setting that it doesn't know.
            os.environ.setdefault("WANDB_FINISH_TIMEOUT", str(LAST_UPLOAD))
            wandb = require("wandb", "logger=wandb")
            name = directory.as_posix().replace("/", "-")[-120:]
            with _nobody_to_ask():
                self._run = wandb.init(
                    project=self.project, mode=self.mode, dir=str(directory), config=dict(config),
                    name=name, id=name, resume="allow",
                    settings=wandb.Settings(init_timeout=self.timeout),
                )  # fmt: skip
            self._run.define_metric("step")
            self._run.define_metric("*", step_metric="step")

        self._try("start", begin)

    def log(self, prefix: str, row: Mapping[str, Any]) -> None:
        """Send one row."""
        if self._run is not None:
            values = {f"{prefix}/{key}": value for key, value in row.items() if key != "step"}
            self._try("log", lambda: self._run.log({"step": row["step"], **values}))

    def finish(self) -> None:
        """Close the W&B run; what isn't sent by then stays in its folder, for ``wandb sync``."""
        if self._run is not None:
            self._try("finish", self._run.finish)

    def _try(self, what: str, action: Callable[[], object]) -> None:
        try:
            action()
        except Exception as error:  # whatever W&B raises, local records go on
            reason = str(error).strip().split("\n")[0]
            print(f"W&B: cannot {what} ({reason}); the run goes on without it", file=sys.stderr)
            self._run = None


@contextmanager
def _nobody_to_ask() -> Iterator[None]:
    """No terminal to read from: without a key W&B would ask for one there, and wait for ever."""
    before = sys.stdin
    with open(os.devnull, encoding="utf-8") as sys.stdin:
        try:
            yield
        finally:
            sys.stdin = before
