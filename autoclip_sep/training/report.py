"""A run's output during training: its CSV files, the logger that mirrors them, the terminal."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tqdm import tqdm

from autoclip_sep.dynamics import COLUMNS, SPIKE_COLUMNS, Recorder, Spikes
from autoclip_sep.errors import InputError
from autoclip_sep.files import sweep
from autoclip_sep.runs.records import Records
from autoclip_sep.training import distributed
from autoclip_sep.training.epoch import EpochSums
from autoclip_sep.training.loggers.base import Logger

HISTORY = (
    "epoch", "step", "train_loss", "valid_loss", "valid_si_sdr", "lr", "clipped_share", "skipped",
)  # fmt: skip
AVERAGE = ("epoch", "step", "valid_loss", "valid_si_sdr")  # of the averaged weights
TIMING = ("epoch", "step", "seconds", "mixtures_per_second", "data_wait", "valid_seconds")
FILES = {
    "dynamics": COLUMNS, "spikes": SPIKE_COLUMNS, "history": HISTORY, "timing": TIMING,
    "ema": AVERAGE,
}  # fmt: skip


class Report:
    """The output of the first process; the others write nothing.

    averaged: whether averaged weights are validated, too.
    """

    def __init__(self, directory: Path, logger: Logger, averaged: bool = False) -> None:
        self.directory, self.logger = directory, logger
        self.columns = {key: FILES[key] for key in FILES if averaged or key != "ema"}
        self.first = distributed.rank() == 0
        self.files: dict[str, Records] = {}

    def open(self, recorder: Recorder, spikes: Spikes) -> None:
        """Open the files; recorder and spikes write to theirs."""
        if self.first:
            sweep(self.directory)
            for name, columns in self.columns.items():
                self.files[name] = Records(self.directory / f"{name}.csv", columns)
            recorder.records, spikes.records = self.files["dynamics"], self.files["spikes"]

    def require_new(self) -> None:
        """Raises InputError where a new run would overwrite the records of several epochs."""
        if self.first and len(self.files["history"].rows()) > 1:
            raise InputError(
                f"{self.directory} has records of several epochs but no checkpoint to resume from: "
                "move it away, or put its checkpoints/ back"
            )

    def forget_later(self, step: int, validation_due: bool) -> None:
        """Drop rows of later steps, which will be written again.

        validation_due: whether this step's validation will be.
        """
        if self.first:
            for name in ("dynamics", "spikes"):
                self.files[name].keep(lambda row: int(row["step"]) <= step)
            for name in self.files.keys() - {"dynamics", "spikes"}:
                self.files[name].keep(lambda row: int(row["step"]) + validation_due <= step)

    def progress_bar(self, total: int, initial: int, epoch: int, shown: bool) -> tqdm:
        """A progress bar over the steps of all epochs, drawn in a terminal only."""
        self.bar = tqdm(
            total=total,
            initial=initial,
            unit="step",
            desc=f"epoch {epoch}",
            disable=None if shown and self.first else True,
            dynamic_ncols=True,
        )
        return self.bar

    def step(self, row: Mapping[str, Any], sums: EpochSums) -> None:
        """Log a row of dynamics.csv, and show it on the bar."""
        if self.first:
            self.logger.log("dynamics", row)
            self.bar.set_postfix(
                loss=f"{row['loss']:.4g}",
                norm=f"{row['grad_norm']:.3g}",
                clipped=f"{sums.clipped_share():.0%}",
            )

    def validation(
        self, row: Mapping[str, Any], timing: Mapping[str, float], spikes: int,
        averaged: tuple[float, float] | None = None,
    ) -> None:  # fmt: skip
        """Write and log a validation's row of history.csv; write that of timing.csv.

        averaged: loss and SI-SDR [dB] of the averaged weights, for ema.csv.
        """
        if not self.first:
            return
        where = {"epoch": row["epoch"], "step": row["step"]}
        self.files["history"].append(row)
        self.files["timing"].append({**where, **timing})
        self.logger.log("history", row)
        line = (
            f"epoch {row['epoch']:3d}  step {row['step']:6d}  train loss {row['train_loss']:.5g}  "
            f"valid loss {row['valid_loss']:.5g}  valid SI-SDR {row['valid_si_sdr']:.2f} dB  "
            f"clipped {row['clipped_share']:.0%}  skipped {row['skipped']}  "
            f"spikes {spikes}"
        )
        if averaged is not None:
            loss, si_sdr = averaged
            own = {**where, "valid_loss": loss, "valid_si_sdr": si_sdr}
            self.files["ema"].append(own)
            self.logger.log("ema", own)
            line += f"  averaged weights {loss:.5g}, {si_sdr:.2f} dB"
        tqdm.write(line)

    def sync(self) -> None:
        """Wait until all rows are on the disk.

        Raises InputError where a file was deleted meanwhile.
        """
        for file in self.files.values():
            file.sync()
