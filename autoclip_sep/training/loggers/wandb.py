"""Weights & Biases."""

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from autoclip_sep.optional import require
from autoclip_sep.training.loggers.base import Logger

LAST_UPLOAD = 300  # seconds; W&B would retry for hours after the end of a run


class WandbLogger(Logger):
    """Weights & Biases, online or offline, with the run's step as the axis of every chart.

    It never prompts: without an API key `start` raises wandb's error. Raises InputError where the
    package is missing.
    mode: online, offline or disabled, as in wandb. timeout: seconds to wait for the server at the
    start.
    """

    def __init__(
        self, project: str = "autoclip_sep", mode: str = "online", timeout: int = 30
    ) -> None:
        if mode not in ("online", "offline", "disabled"):
            raise ValueError(f"mode must be online, offline or disabled, not {mode!r}")
        require("wandb", "logger=wandb")
        self.project, self.mode, self.timeout = project, mode, timeout
        self._run: Any = None

    def start(self, directory: Path, config: Mapping[str, Any]) -> None:
        """Open the W&B run of this directory, the same one after a resume."""
        # In the environment: wandb before 2026 rejects unknown settings.
        os.environ.setdefault("WANDB_FINISH_TIMEOUT", str(LAST_UPLOAD))
        wandb = require("wandb", "logger=wandb")
        name = directory.as_posix().replace("/", "-")[-120:]
        with _no_terminal():
            self._run = wandb.init(
                project=self.project, mode=self.mode, dir=str(directory), config=dict(config),
                name=name, id=name, resume="allow",
                settings=wandb.Settings(init_timeout=self.timeout),
            )  # fmt: skip
        self._run.define_metric("step")
        self._run.define_metric("*", step_metric="step")

    def log(self, prefix: str, row: Mapping[str, Any]) -> None:
        """Send one row."""
        values = {f"{prefix}/{key}": value for key, value in row.items() if key != "step"}
        self._run.log({"step": row["step"], **values})

    def finish(self) -> None:
        """Close the W&B run; unsent rows stay in its folder, for ``wandb sync``."""
        self._run.finish()


@contextmanager
def _no_terminal() -> Iterator[None]:
    """Standard input is empty: at a terminal W&B would prompt for a missing key, and wait."""
    before = sys.stdin
    with open(os.devnull, encoding="utf-8") as sys.stdin:
        try:
            yield
        finally:
            sys.stdin = before
