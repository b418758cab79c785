"""What a run tells while it trains: its CSV files, the logger that mirrors them, the terminal."""

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
from autoclip_sep.training.loggers import Logger
from autoclip_sep.training.timing import TIMING

HISTORY = (
    "epoch", "step", "train_loss", "valid_loss", "valid_si_sdr", "lr", "clipped_share", "skipped",
)  # fmt: skip
FILES = {"dynamics": COLUMNS, "spikes": SPIKE_COLUMNS, "history": HISTORY, "timing": TIMING}


class Report:
    """Reports of the first process; those of the others are silent."""

    def __init__(self, directory: Path, logger: Logger) -> None:
        self.directory, self.logger = directory, logger
        self.first = distributed.rank() == 0
        self.files: dict[str, Records] = {}

    def open(self, recorder: Recorder, spikes: Spikes) -> None:
        """Open the files, two of which recorder and spikes write to themselves."""
        if self.first:
            sweep(self.directory)
            for name, columns in FILES.items():
                self.files[name] = Records(self.directory / f"{name}.csv", columns)
            recorder.records, spikes.records = self.files["dynamics"], self.files["spikes"]

    def require_new(self) -> None:
        """Raises InputError where a run that starts anew would overwrite one that got far."""
        if self.first and len(self.files["history"].rows()) > 1:
            raise InputError(
                f"{self.directory} has records of several epochs but no checkpoint to go on from: "
                "move it away, or put its checkpoints/ back"
            )

    def forget_later(self, step: int, epoch: int) -> None:
        """Drop what was recorded after this step, in or after this epoch: it will be again."""
        if self.first:
            for name in ("dynamics", "spikes"):
                self.files[name].keep(lambda row: int(row["step"]) <= step)
            for name in ("history", "timing"):
                self.files[name].keep(lambda row: int(row["epoch"]) < epoch)

    def progress_bar(self, total: int, initial: int, epoch: int, shown: bool) -> tqdm:
        """The bar to train under: steps of all epochs, drawn where there is a terminal."""
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
        """Mirror a row of dynamics.csv, and show it on the bar."""
        if self.first:
            self.logger.log("dynamics", row)
            self.bar.set_postfix(
                loss=f"{row['loss']:.4g}",
                norm=f"{row['grad_norm']:.3g}",
                clipped=f"{sums.clipped_share():.0%}",
            )

    def epoch(self, row: Mapping[str, Any], timing: Mapping[str, float], spikes: int) -> None:
        """Write and mirror an epoch's row of history.csv, and write that of timing.csv."""
        if not self.first:
            return
        self.files["history"].append(row)
        self.files["timing"].append({"epoch": row["epoch"], "step": row["step"], **timing})
        self.logger.log("history", row)
        tqdm.write(
            f"epoch {row['epoch']:3d}  step {row['step']:6d}  train loss {row['train_loss']:.5g}  "
            f"valid loss {row['valid_loss']:.5g}  valid SI-SDR {row['valid_si_sdr']:.2f} dB  "
            f"clipped {row['clipped_share']:.0%}  skipped {row['skipped']}  "
            f"spikes {spikes}"
        )

    def sync(self) -> None:
        """Wait until all rows are on the disk.

        Raises InputError where a file was deleted meanwhile.
        """
        for file in self.files.values():
            file.sync()
