"""MLflow, by its client alone: the package mlflow-skinny."""

import logging
import os
import time
from collections.abc import Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from autoclip_sep.errors import InputError
from autoclip_sep.locks import exclusive
from autoclip_sep.optional import require
from autoclip_sep.runs import run_directory
from autoclip_sep.text import read_text
from autoclip_sep.training.loggers.base import Logger

RUN_ID = "mlflow_run_id"  # the file of a run's directory that names its MLflow run
PARAMETERS, LONGEST = 100, 6000  # in one call; characters of a value: MLflow's limits
ENDED = {"finished": "FINISHED", "interrupted": "KILLED"}  # by the status in state.json


class MlflowLogger(Logger):
    """An MLflow run for each run directory, the same one after a resume; settings are parameters.

    experiment: its name. tracking_uri: a server's address or a database; None is
    MLFLOW_TRACKING_URI, and without that the file mlflow.db in the folder of all runs. timeout:
    seconds to wait for an answer of the server. Raises InputError where the package is missing.
    """

    def __init__(
        self, experiment: str = "autoclip_sep", tracking_uri: str | None = None, timeout: int = 10
    ) -> None:
        if timeout < 1:
            raise ValueError(f"timeout must be at least 1 second, not {timeout}")
        # MLflow's own are seven retries of up to two minutes each.
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
        os.environ.setdefault("MLFLOW_HTTP_REQUEST_TIMEOUT", str(timeout))
        os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")
        require("mlflow", "logger=mlflow")
        self.experiment, self.tracking_uri = experiment, tracking_uri
        self._client: Any = None
        self._run = ""
        self._directory = Path()

    def start(self, directory: Path, config: Mapping[str, Any]) -> None:
        """Open the MLflow run of this directory, or a new one."""
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        mlflow = require("mlflow.tracking", "logger=mlflow")
        database = Path(config["runs"], "mlflow.db").resolve()
        uri = self.tracking_uri or os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{database}"
        self._directory = directory
        # Runs that start together would create the tables of a database twice.
        with exclusive(database) if uri.startswith("sqlite") else nullcontext():
            self._client = mlflow.MlflowClient(uri)
            found = self._client.get_experiment_by_name(self.experiment)
            number = (
                found.experiment_id if found else self._client.create_experiment(self.experiment)
            )
        self._run = self._known() or self._new(number, config)
        self._client.update_run(self._run, status="RUNNING")

    def log(self, prefix: str, row: Mapping[str, Any]) -> None:
        """Send one row, and wait until it is stored."""
        entities = require("mlflow.entities", "logger=mlflow")
        now, step = int(1000 * time.time()), row["step"]
        metrics = [
            entities.Metric(f"{prefix}/{key}", float(value), now, step)
            for key, value in row.items()
            if key != "step"
        ]
        self._client.log_batch(self._run, metrics=metrics)

    def finish(self) -> None:
        """End the MLflow run with the state that the run has."""
        status = run_directory.read_state(self._directory).get("status")
        self._client.set_terminated(self._run, ENDED.get(str(status), "FAILED"))

    def _known(self) -> str | None:
        """The MLflow run that this directory has there already."""
        try:
            run = read_text(self._directory / RUN_ID).strip()
        except InputError:
            return None
        exceptions = require("mlflow.exceptions", "logger=mlflow")
        try:
            self._client.get_run(run)
        except exceptions.MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":  # in another store
                return None
            raise
        return run

    def _new(self, experiment: str, config: Mapping[str, Any]) -> str:
        entities = require("mlflow.entities", "logger=mlflow")
        name = "/".join(self._directory.parts[-5:])
        run: str = self._client.create_run(experiment, run_name=name).info.run_id
        settings = run_directory.flatten(config).items()
        parameters = [entities.Param(key, str(value)[:LONGEST]) for key, value in settings]
        for first in range(0, len(parameters), PARAMETERS):
            self._client.log_batch(run, params=parameters[first : first + PARAMETERS])
        run_directory.write_text(self._directory / RUN_ID, f"{run}\n")
        return run
