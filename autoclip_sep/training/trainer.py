"""The training loop: what the paper is about stands in `Trainer.train_epoch`."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm

from autoclip_sep import random_state
from autoclip_sep.clipping import Clipper, ClipResult
from autoclip_sep.data.loading.augmentation import RandomTracks
from autoclip_sep.data.loading.loaders import TrainingLoader
from autoclip_sep.data.store.reading import Split
from autoclip_sep.dynamics import COLUMNS, SPIKE_COLUMNS, Recorder, Spikes
from autoclip_sep.errors import InputError
from autoclip_sep.files import sweep
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder, State
from autoclip_sep.runs.records import Records
from autoclip_sep.runs.saved_state import not_finite
from autoclip_sep.stft import STFT
from autoclip_sep.training import distributed, preemption, state_check
from autoclip_sep.training.epoch_sums import EpochSums
from autoclip_sep.training.loggers import Logger
from autoclip_sep.training.schedulers import Schedule
from autoclip_sep.training.settings import Settings, autocast_dtype
from autoclip_sep.training.validation import Objective, validate
from autoclip_sep.types import Batch

HISTORY = (
    "epoch", "step", "train_loss", "valid_loss", "valid_si_sdr", "lr", "clipped_share", "skipped",
)  # fmt: skip
TIMING = ("epoch", "step", "seconds", "mixtures_per_second", "data_wait", "valid_seconds")
RECORDS = {"dynamics": COLUMNS, "spikes": SPIKE_COLUMNS, "history": HISTORY, "timing": TIMING}


@dataclass
class Parts:
    """The built objects of a run; cli puts them together.

    permute: whether estimates come in any order. augmentation: None trains on the corpus' own
    mixtures. valid_excerpts: of each mixture in a validation.
    """

    model: nn.Module
    objective: Objective
    clipper: Clipper
    optimizer: Optimizer
    scheduler: Schedule
    stft: STFT
    train: Split
    valid: Split
    logger: Logger
    permute: bool = True
    augmentation: RandomTracks | None = None
    valid_excerpts: int = 1


class Trainer:
    """Trains one run in its directory, from the start or from its newest checkpoint.

    Raises InputError for settings that don't fit the corpus, before anything is on disk.

    device: where the model is; seed: of the data order and, with the process' number, of dropout.
    """

    def __init__(
        self, parts: Parts, settings: Settings, directory: Path, seed: int, device: torch.device
    ) -> None:
        self.parts, self.settings, self.directory = parts, settings, directory
        self.seed, self.device = seed, device
        self.first = distributed.rank() == 0
        self.checkpoints = CheckpointFolder(directory / "checkpoints")
        self.records: dict[str, Records] = {}
        self.recorder = Recorder(
            parts.model,
            parts.optimizer,
            records=None,  # opened by fit: until then nothing is on disk
            every=settings.record_every,
            points=settings.probe_points,
            raw_gradients=not parts.clipper.limits_loss,
            average=distributed.average,
        )
        self.spikes = Spikes(records=None, gather=distributed.gather)
        self.dtype = autocast_dtype(settings.precision, device)
        self.epoch, self.batch = 1, 0  # the epoch in progress, how many of its batches are done
        self.tally = EpochSums(device)
        self.best = float("inf")
        self.loader = TrainingLoader(
            parts.train,
            batch_size=settings.batch_size,
            excerpt=settings.excerpt,
            seed=seed,
            rank=distributed.rank(),
            world=distributed.world(),
            workers=settings.workers,
            pin_memory=device.type == "cuda",
            augmentation=parts.augmentation,
        )
        torch.manual_seed(seed * 1_000_003 + distributed.rank())

    def fit(self) -> None:
        """Train until `settings.epochs` are done; return with everything saved.

        Raises Interrupted after a signal, with everything saved; during the last validation it
        comes too late for this run, but a sweep must not begin the next one.
        """
        self._open_records()
        self._restore()
        self._bar = tqdm(
            total=self.settings.epochs * self.loader.steps,
            initial=self.recorder.steps,
            unit="step",
            desc=f"epoch {self.epoch}",
            disable=None if self.settings.progress and self.first else True,
            dynamic_ncols=True,
        )
        with preemption.watch() as self.preemption, self._bar:
            while self.epoch <= self.settings.epochs:
                self.train_epoch()
                self._finish_epoch()
            self._sync()  # so that nothing that was deleted meanwhile is called finished
            self._write_state("finished")
            if self._asked_to_stop():
                raise self._interrupted("stopped; this run is finished")

    def train_epoch(self) -> None:
        """Steps of one epoch, from wherever the run is in it."""
        model, recorder = self.parts.model.train(), self.recorder
        clipper, optimizer = self.parts.clipper, self.parts.optimizer
        recorder.epoch = self.epoch
        started, waited, first_batch = time.perf_counter(), 0.0, self.batch
        asked = started
        for host_batch in self.loader.epoch(self.epoch, self.batch):
            waited += time.perf_counter() - asked
            batch = host_batch.to(self.device)
            with recorder.step(closure=partial(self.mean_loss, batch)) as probe:
                losses = self.losses(batch)
                clipper.limit_loss(losses).mean().backward()
                distributed.average_gradients(model)
                probe.observe(losses)
                probe.clip = clip = clipper.limit_gradients(model.named_parameters())
                self._watch(clip, losses, batch)
                if clip.finite:
                    optimizer.step()
                    self.tally.add(self._everyones_mean(losses), clip)
            optimizer.zero_grad(set_to_none=True)
            self.parts.scheduler.after_step()
            distributed.share_buffers(model)
            self.batch += 1
            self._after_step()
            asked = time.perf_counter()
        self._seconds = time.perf_counter() - started
        self._waited = waited
        self._done = self.batch - first_batch

    def _watch(self, clip: ClipResult, losses: Tensor, batch: Batch) -> None:
        """Look for a spike: before the optimizer's step, for which reading the norm would wait."""
        step, epoch = self.recorder.steps, self.epoch
        self.spikes.watch(clip.norm, losses, batch.items, step=step, epoch=epoch)

    def losses(self, batch: Batch) -> Tensor:
        """One value for each example, (B,): the network in the run's precision, the loss never."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            estimate = self.parts.model(batch)
        return self.parts.objective(estimate, batch)

    def _everyones_mean(self, losses: Tensor) -> Tensor:
        mean = losses.detach().double().mean()
        distributed.average([mean])
        return mean

    def mean_loss(self, batch: Batch) -> Tensor:
        """What is minimised, before any clipper limits it; a 0-dim tensor."""
        return self.losses(batch).mean()

    def _open_records(self) -> None:
        if not self.first:
            return
        self.checkpoints.open()
        sweep(self.directory)
        for name, columns in RECORDS.items():
            self.records[name] = Records(self.directory / f"{name}.csv", columns)
        self.recorder.records = self.records["dynamics"]
        self.spikes.records = self.records["spikes"]

    def _after_step(self) -> None:
        step = self.recorder.steps
        self._bar.update()
        if step % self.settings.record_every == 0 and self.first:
            row = self.recorder.last
            self.parts.logger.log("dynamics", row)
            self._bar.set_postfix(
                loss=f"{row['loss']:.4g}",
                norm=f"{row['grad_norm']:.3g}",
                clipped=f"{self.tally.clipped_share():.0%}",
            )
        if self._asked_to_stop():
            self._save()
            self._write_state("interrupted")
            if self.loader.lost is not None:
                raise InputError(
                    f"{self.loader.lost}; saved at step {step}, the same command goes on from "
                    "there; if memory or /dev/shm ran out, trainer.workers=0 needs the least"
                )
            raise self._interrupted(
                f"interrupted at step {step}, saved; the same command goes on from there"
            )
        if step % self.settings.checkpoint_every == 0 and self.batch < self.loader.steps:
            self._save()

    def _asked_to_stop(self) -> bool:
        """Whether a signal came to any process, or one lost a worker; all get the same answer."""
        stop = self.preemption.signal is not None or self.loader.lost is not None
        return distributed.any_process(stop)

    def _interrupted(self, message: str) -> preemption.Interrupted:
        return preemption.Interrupted(self.preemption.signal or preemption.SIGNALS[0], message)

    def _finish_epoch(self) -> None:
        """Validation, learning rate, records, checkpoints."""
        parts = self.parts
        self._check_finite()
        began = time.perf_counter()
        valid_loss, valid_si_sdr = validate(
            parts.model,
            parts.objective,
            parts.valid,
            parts.stft,
            batch_size=self.settings.batch_size,
            excerpt=self.settings.excerpt,
            device=self.device,
            each=parts.valid_excerpts,
            permute=parts.permute,
        )
        lr = float(parts.optimizer.param_groups[0]["lr"])
        step = self.recorder.steps
        row = {
            "epoch": self.epoch, "step": step, "train_loss": self.tally.mean_loss(),
            "valid_loss": valid_loss, "valid_si_sdr": valid_si_sdr, "lr": lr,
            "clipped_share": self.tally.clipped_share(), "skipped": self.recorder.skipped,
        }  # fmt: skip
        if self.first:
            self._record_epoch(row, time.perf_counter() - began)
        parts.scheduler.after_epoch(row)
        better = valid_loss < self.best  # a NaN never is
        if better:
            self.best = valid_loss
            if self.first:
                model = parts.model.state_dict()
                state = {"model": model, "epoch": self.epoch}
                self.checkpoints.save("best", step, self.epoch, state)
        self.epoch, self.batch, self.tally = self.epoch + 1, 0, EpochSums(self.device)
        self._save()

    def _record_epoch(self, row: dict[str, Any], valid_seconds: float) -> None:
        self.records["history"].append(row)
        seconds = max(self._seconds, 1e-9)
        self.records["timing"].append({
            "epoch": row["epoch"], "step": row["step"], "seconds": seconds,
            "mixtures_per_second": self._done * self.settings.batch_size / seconds,
            "data_wait": self._waited / seconds, "valid_seconds": valid_seconds,
        })  # fmt: skip
        self.parts.logger.log("history", row)
        self._bar.set_description(f"epoch {min(self.epoch + 1, self.settings.epochs)}")
        tqdm.write(
            f"epoch {row['epoch']:3d}  step {row['step']:6d}  train loss {row['train_loss']:.5g}  "
            f"valid loss {row['valid_loss']:.5g}  valid SI-SDR {row['valid_si_sdr']:.2f} dB  "
            f"clipped {row['clipped_share']:.0%}  skipped {row['skipped']}  "
            f"spikes {self.spikes.count}"
        )

    def _check_finite(self) -> None:
        """Refuse to save, or to call finished, what no step will mend."""
        parts = self.parts
        place = not_finite(parts.model.state_dict(), "model")
        place = place or not_finite(parts.optimizer.state_dict()["state"], "optimizer")
        if place:
            raise InputError(
                f"{place} is not finite at step {self.recorder.steps}: not saved, the checkpoint "
                "before is whole; a lower optimizer.lr or percentile may help, in a run of its own"
            )

    def _save(self) -> None:
        self._check_finite()
        random_states = distributed.gather(random_state.capture())
        if not self.first:
            return
        self._sync()
        self.checkpoints.save(
            "last", self.recorder.steps, self.epoch - 1, self._state(random_states)
        )
        self._write_state("running")

    def _sync(self) -> None:
        for records in self.records.values():
            records.sync()

    def _state(self, random_states: list[random_state.RandomState]) -> State:
        """All that going on from here depends on."""
        parts = self.parts
        return {
            "epoch": self.epoch, "batch": self.batch, "best": self.best,
            "model": parts.model.state_dict(), "optimizer": parts.optimizer.state_dict(),
            "scheduler": parts.scheduler.state_dict(), "clipper": parts.clipper.state_dict(),
            "recorder": self.recorder.state_dict(), "spikes": self.spikes.state_dict(),
            "tally": self.tally.state_dict(),
            "random": random_states, "environment": self._environment(),
        }  # fmt: skip

    def _environment(self) -> dict[str, Any]:
        """What the last bits of a run depend on beside its config."""
        return {
            "torch": str(torch.__version__), "threads": torch.get_num_threads(),
            "world": distributed.world(), "device": self.device.type,
        }  # fmt: skip

    def _restore(self) -> None:
        state, complaints = self.checkpoints.newest("last")
        if self.first:
            for complaint in complaints:
                tqdm.write(f"{complaint}; going on from the one before")
            self.checkpoints.set_aside("last", len(complaints))
        if state is None:
            self._check_nothing_is_lost()
            self._forget_what_follows()
            return
        parts, own = self.parts, self._state([])
        try:
            state = state_check.check(state, own, parts.model, parts.optimizer, parts.clipper)
        except ValueError as error:
            reason = str(error).strip().split("\n")[0]
            raise InputError(
                f"the checkpoint in {self.checkpoints.folder} is not of this run: {reason}"
            ) from error
        parts.model.load_state_dict(state["model"])
        parts.optimizer.load_state_dict(state["optimizer"])
        parts.scheduler.load_state_dict(state["scheduler"])
        parts.clipper.load_state_dict(state["clipper"])
        self.recorder.load_state_dict(state["recorder"])
        self.tally.load_state_dict(state["tally"])
        if "spikes" in state:  # not in a run that began before they were looked for
            self.spikes.load_state_dict(state["spikes"])
        self.epoch, self.batch, self.best = state["epoch"], state["batch"], state["best"]
        self._warn_of_changes(state["environment"])
        mine = min(distributed.rank(), len(state["random"]) - 1)
        random_state.restore(state["random"][mine])
        self._forget_what_follows()
        if self.first:
            tqdm.write(f"going on from step {self.recorder.steps} (epoch {self.epoch})")

    def _check_nothing_is_lost(self) -> None:
        """Without a checkpoint a run starts anew; not over the records of one that got far."""
        if self.first and len(self.records["history"].rows()) > 1:
            raise InputError(
                f"{self.directory} has records of several epochs but no checkpoint to go on from: "
                "move it away, or put its checkpoints/ back"
            )

    def _warn_of_changes(self, saved: Mapping[str, Any]) -> None:
        now = self._environment()
        changed = [f"{k} was {saved[k]}, is {now[k]}" for k in now if saved.get(k) != now[k]]
        if changed and self.first:
            tqdm.write(f"warning: {'; '.join(changed)}: the last bits will differ")

    def _forget_what_follows(self) -> None:
        """Drop what was recorded after the checkpoint: it will be recorded again."""
        steps = self.recorder.steps
        if not self.first:
            return
        for name in ("dynamics", "spikes"):
            self.records[name].keep(lambda row: int(row["step"]) <= steps)
        for name in ("history", "timing"):
            self.records[name].keep(lambda row: int(row["epoch"]) < self.epoch)
        self.checkpoints.discard_after("best", steps)

    def _write_state(self, status: str) -> None:
        if self.first:
            run_directory.write_state(
                self.directory, status=status, step=self.recorder.steps, epochs=self.epoch - 1
            )
