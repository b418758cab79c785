"""The training loop; the order of its steps is in `Trainer.train_epoch`."""

import time
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor

from autoclip_sep.clipping import ClipResult
from autoclip_sep.data.loading.loaders import TrainingLoader
from autoclip_sep.dynamics import Recorder, Spikes
from autoclip_sep.errors import InputError
from autoclip_sep.training import distributed, preemption
from autoclip_sep.training.epoch import EpochSums, EpochTimer
from autoclip_sep.training.parts import Parts
from autoclip_sep.training.report import Report
from autoclip_sep.training.resume import Progress, SavedRun
from autoclip_sep.training.settings import Settings, autocast_dtype
from autoclip_sep.training.validation import validate
from autoclip_sep.types import Batch


class Trainer:
    """Trains one run in its directory, from the start or from its newest checkpoint.

    device: that of the model. seed: of the data order and, with the rank, of dropout. kind: of the
    checkpoints that it resumes from and saves.

    Raises InputError for settings that don't fit the corpus, before anything is on disk.
    """

    def __init__(
        self, parts: Parts, settings: Settings, directory: Path, seed: int, device: torch.device,
        kind: str = "last",
    ) -> None:  # fmt: skip
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
            device, kind, settings.keeps,
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
            device=device if settings.store_on_device else None,
        )
        torch.manual_seed(seed * 1_000_003 + distributed.rank())

    def fit(self, until: int | None = None) -> None:
        """Train for `settings.epochs` epochs; return with everything saved.

        until: stop after this step, and after the validation where it is an epoch's last one.

        Raises Interrupted after a signal, with everything saved. During the last validation the
        run finishes first; the exception then keeps a sweep from starting its next run.
        """
        self._restore()
        epochs, done = self.settings.epochs, self.recorder.steps
        bar = self.report.progress_bar(
            epochs * self.loader.steps, done, self.progress.epoch, self.settings.progress
        )
        with preemption.watch() as self.preemption, bar:
            while self.progress.epoch <= epochs and not self._has_come_to(until):
                self.train_epoch(until)
                if self._has_come_to(until):
                    self._save()
                else:
                    self._finish_epoch()
            self.report.sync()  # raises where a file was deleted: such a run isn't finished
            if until is None:
                self.saved.write_status("finished")
            if self._asked_to_stop():
                where = "this run is finished" if until is None else "the same command resumes"
                raise self._interrupted(f"stopped; {where}")

    def _has_come_to(self, step: int | None) -> bool:
        """Whether that many steps are done, with the validation of an epoch that ends there."""
        validated = self.progress.batch < self.loader.steps
        return step is not None and self.recorder.steps >= step and validated

    def train_epoch(self, until: int | None = None) -> None:
        """The steps of one epoch, from the run's position in it, or as far as step `until`."""
        model, recorder = self.parts.model.train(), self.recorder
        clipper, optimizer = self.parts.clipper, self.parts.optimizer
        recorder.epoch = self.progress.epoch
        self.timer = EpochTimer()
        batches = self.loader.epoch(recorder.epoch, self.progress.batch)
        left = None if until is None else max(0, until - recorder.steps)
        for host_batch in self.timer.timed(islice(batches, left)):
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
        """Report; save and stop after a signal; save where a checkpoint is due."""
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
        if self.settings.save_after(step) and self.progress.batch < self.loader.steps:
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
        self.saved.forget_later()
