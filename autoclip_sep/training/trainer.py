"""The training loop; the order of its steps is in `Trainer.train_epoch`."""

import time
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from autoclip_sep.clipping import Clipper, ClipResult
from autoclip_sep.data.loading.augmentation import RandomTracks
from autoclip_sep.data.loading.loaders import TrainingLoader
from autoclip_sep.data.store.reading import Split
from autoclip_sep.dynamics import Recorder, Spikes
from autoclip_sep.errors import InputError
from autoclip_sep.stft import STFT
from autoclip_sep.training import distributed, preemption
from autoclip_sep.training.epoch import EpochSums, EpochTimer
from autoclip_sep.training.loggers import Logger
from autoclip_sep.training.report import Report
from autoclip_sep.training.resume import Progress, SavedRun
from autoclip_sep.training.schedulers import Schedule
from autoclip_sep.training.settings import Settings, autocast_dtype
from autoclip_sep.training.validation import Objective, validate
from autoclip_sep.types import Batch


@dataclass
class Parts:
    """The objects of a run, built by cli.

    permute: whether estimates come in any order. augmentation: None trains on the corpus' own
    mixtures. valid_segments: segments of each mixture in a validation.
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
    valid_segments: int = 1


class Trainer:
    """Trains one run in its directory, from the start or from its newest checkpoint.

    device: that of the model. seed: of the data order and, with the rank, of dropout.

    Raises InputError for settings that don't fit the corpus, before anything is on disk.
    """

    def __init__(
        self, parts: Parts, settings: Settings, directory: Path, seed: int, device: torch.device
    ) -> None:
        self.parts, self.settings, self.device = parts, settings, device
        self.dtype = autocast_dtype(settings.precision, device)
        self.recorder = Recorder(
            parts.model,
            parts.optimizer,
            records=None,  # opened by fit; until then nothing is on disk
            every=settings.record_every,
            points=settings.probe_points,
            raw_gradients=not parts.clipper.clips_loss,
            average=distributed.average,
        )
        self.spikes = Spikes(records=None, gather=distributed.gather)
        self.sums = EpochSums(device)
        self.progress = Progress()
        self.saved = SavedRun(
            directory,
            self.progress,
            {
                "model": parts.model, "optimizer": parts.optimizer, "scheduler": parts.scheduler,
                "clipper": parts.clipper, "recorder": self.recorder, "spikes": self.spikes,
                "tally": self.sums,
            },
            device,
        )  # fmt: skip
        self.report = Report(directory, parts.logger)
        self.loader = TrainingLoader(
            parts.train,
            batch_size=settings.batch_size,
            segment=settings.segment,
            seed=seed,
            rank=distributed.rank(),
            world=distributed.world(),
            workers=settings.workers,
            pin_memory=device.type == "cuda",
            augmentation=parts.augmentation,
        )
        torch.manual_seed(seed * 1_000_003 + distributed.rank())

    def fit(self) -> None:
        """Train for `settings.epochs` epochs; return with everything saved.

        Raises Interrupted after a signal, with everything saved. During the last validation the
        run finishes first; the exception then keeps a sweep from starting its next run.
        """
        self._restore()
        epochs, done = self.settings.epochs, self.recorder.steps
        bar = self.report.progress_bar(
            epochs * self.loader.steps, done, self.progress.epoch, self.settings.progress
        )
        with preemption.watch() as self.preemption, bar:
            while self.progress.epoch <= epochs:
                self.train_epoch()
                self._finish_epoch()
            self.report.sync()  # raises where a file was deleted: such a run isn't finished
            self.saved.write_status("finished")
            if self._asked_to_stop():
                raise self._interrupted("stopped; this run is finished")

    def train_epoch(self) -> None:
        """The steps of one epoch, from the run's position in it."""
        model, recorder = self.parts.model.train(), self.recorder
        clipper, optimizer = self.parts.clipper, self.parts.optimizer
        recorder.epoch = self.progress.epoch
        self.timer = EpochTimer()
        for host_batch in self.timer.timed(self.loader.epoch(recorder.epoch, self.progress.batch)):
            batch = host_batch.to(self.device)
            with recorder.step(closure=partial(self.mean_loss, batch)) as probe:
                losses = self.losses(batch)
                clipper.clip_loss(losses).mean().backward()
                distributed.average_gradients(model)
                probe.observe(losses)
                probe.clip = clip = clipper.clip_gradients(model.named_parameters())
                self._watch(clip, losses, batch)
                if clip.finite:
                    optimizer.step()
                    self.sums.add(self._global_mean(losses), clip)
            optimizer.zero_grad(set_to_none=True)
            self.parts.scheduler.after_step()
            distributed.share_buffers(model)
            self.progress.batch += 1
            self._after_step()

    def losses(self, batch: Batch) -> Tensor:
        """The loss of each example, (B,): in full precision, the network in the run's precision."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            estimate = self.parts.model(batch)
        return self.parts.objective(estimate, batch)

    def mean_loss(self, batch: Batch) -> Tensor:
        """The mean loss before any clipping; a 0-dim tensor."""
        return self.losses(batch).mean()

    def _global_mean(self, losses: Tensor) -> Tensor:
        """Over the batches of all processes."""
        mean = losses.detach().double().mean()
        distributed.average([mean])
        return mean

    def _watch(self, clip: ClipResult, losses: Tensor, batch: Batch) -> None:
        """Look for a spike before the optimizer's step, for which a later read would wait."""
        step, epoch = self.recorder.steps, self.progress.epoch
        self.spikes.watch(clip.norm, losses, batch.items, step=step, epoch=epoch)

    def _after_step(self) -> None:
        """Report; save and stop after a signal; save every `checkpoint_every` steps."""
        step = self.recorder.steps
        self.report.bar.update()
        if step % self.settings.record_every == 0:
            self.report.step(self.recorder.last, self.sums)
        if self._asked_to_stop():
            self._save()
            self.saved.write_status("interrupted")
            if self.loader.lost is not None:
                raise InputError(
                    f"{self.loader.lost}; saved at step {step}, the same command resumes there; if "
                    "memory or /dev/shm ran out, trainer.workers=0 needs the least"
                )
            raise self._interrupted(
                f"interrupted at step {step}, saved; the same command resumes there"
            )
        if step % self.settings.checkpoint_every == 0 and self.progress.batch < self.loader.steps:
            self._save()

    def _asked_to_stop(self) -> bool:
        """Whether any process got a signal or lost a worker; all get the same answer."""
        stop = self.preemption.signal is not None or self.loader.lost is not None
        return distributed.any_process(stop)

    def _interrupted(self, message: str) -> preemption.Interrupted:
        return preemption.Interrupted(self.preemption.signal or preemption.SIGNALS[0], message)

    def _finish_epoch(self) -> None:
        """Validate, report, step the schedule, save."""
        self.saved.check_finite()
        progress, began = self.progress, time.perf_counter()
        valid_loss, valid_si_sdr = self._validate()
        row = {
            "epoch": progress.epoch, "step": self.recorder.steps,
            "train_loss": self.sums.mean_loss(),
            "valid_loss": valid_loss, "valid_si_sdr": valid_si_sdr,
            "lr": float(self.parts.optimizer.param_groups[0]["lr"]),
            "clipped_share": self.sums.clipped_share(), "skipped": self.recorder.skipped,
        }  # fmt: skip
        timing = self.timer.row(self.settings.batch_size)
        timing["valid_seconds"] = time.perf_counter() - began
        self.report.epoch(row, timing, self.spikes.count)
        self.parts.scheduler.after_epoch(row)
        if valid_loss < progress.best:  # false for NaN
            progress.best = valid_loss
            self.saved.save_best()
        progress.epoch, progress.batch = progress.epoch + 1, 0
        self.sums.reset()
        self.report.bar.set_description(f"epoch {min(progress.epoch, self.settings.epochs)}")
        self._save()

    def _validate(self) -> tuple[float, float]:
        """Mean loss and mean SI-SDR [dB]."""
        parts = self.parts
        return validate(
            parts.model,
            parts.objective,
            parts.valid,
            parts.stft,
            batch_size=self.settings.batch_size,
            segment=self.settings.segment,
            device=self.device,
            each=parts.valid_segments,
            permute=parts.permute,
        )

    def _save(self) -> None:
        self.report.sync()  # records first: a checkpoint's records are on the disk before it
        self.saved.save()

    def _restore(self) -> None:
        """Open the run's files and load its newest checkpoint, if there is one."""
        self.saved.open()
        self.report.open(self.recorder, self.spikes)
        if not self.saved.restore():
            self.report.require_new()
        self.report.forget_later(self.recorder.steps, self.progress.epoch)
        self.saved.forget_later_best()
