"""TensorBoard."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from autoclip_sep.optional import require
from autoclip_sep.training.loggers.base import Logger


class TensorBoardLogger(Logger):
    """Event files in the run's folder `tensorboard`: every number as a scalar over the run's steps.

    `tensorboard --logdir runs` then shows all runs. A resumed run adds a file.

    Raises InputError where the package is missing.
    """

    def __init__(self) -> None:
        require("tensorboard", "logger=tensorboard")
        self._writer: Any = None

    def start(self, directory: Path, config: Mapping[str, Any]) -> None:
        """Open a new file; the run's settings are its text `config`."""
        module = require("torch.utils.tensorboard", "logger=tensorboard")
        self._writer = module.SummaryWriter(str(directory / "tensorboard"))
        text = yaml.safe_dump(dict(config), sort_keys=False)
        self._writer.add_text("config", f"```\n{text}```")

    def log(self, prefix: str, row: Mapping[str, Any]) -> None:
        """Write one row; a killed process loses none."""
        for key, value in row.items():
            if key != "step":
                self._writer.add_scalar(f"{prefix}/{key}", float(value), row["step"])
        self._writer.flush()

    def finish(self) -> None:
        """Close the file."""
        self._writer.close()
