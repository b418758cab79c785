"""The training loop; the order of its steps is in `Trainer.train_steps`."""

import time
from collections.abc import Iterator, Sequence
from functools import partial
from itertools import islice
from pathlib import Path

import torch
from torch import Tensor, nn

from autoclip_sep.clipping import ClipResult
from autoclip_sep.dynamics import Recorder, Spikes
from autoclip_sep.errors import InputError
from autoclip_sep.training import batches, distributed, micro_batches, preemption
from autoclip_sep.training.averaging import WeightAverage
from autoclip_sep.training.epoch import EpochSums, EpochTimer
from autoclip_sep.training.half_precision import autocast_dtype, overflowed, scaler_for
from autoclip_sep.training.parts import Parts
from autoclip_sep.training.profiling import StepProfile
from autoclip_sep.training.report import Report
from autoclip_sep.training.resume import Progress, SavedRun
from autoclip_sep.training.settings import Settings
from autoclip_sep.training.validation import validate
from autoclip_sep.training.validations import Validations
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
        self.parts, self.settings, self.device, self.seed = parts, settings, device, seed
        self.dtype = autocast_dtype(settings.precision, device)
        self.scaler = scaler_for(settings.precision, device, parts.clipper)
        self.recorder = Recorder(
            parts.model, parts.optimizer,
            records=None,  # opened by fit; until then nothing is on disk
            every=settings.record_every, points=settings.probe_points,
            raw_gradients=not parts.clipper.clips_loss,
            average=distributed.average, scaler=self.scaler,
        )  # fmt: skip
        self.spikes = Spikes(records=None, gather=distributed.gather)
        self.sums = EpochSums(device)
        self.progress = Progress()
        self.validations = Validations(settings.validate_every, settings.patience)
        decay = settings.ema_decay
        self.average = WeightAverage(parts.model, decay) if decay else None
        self.saved = SavedRun(
            directory,
            self.progress,
            {
                "model": parts.model, "optimizer": parts.optimizer, "scheduler": parts.scheduler,
                "clipper": parts.clipper, "recorder": self.recorder, "spikes": self.spikes,
                "tally": self.sums, "average": self.average,
                "scaler": self.scaler if self.scaler.is_enabled() else None,
                "validations": self.validations if self.validations.in_use else None,
            },
            device, kind, settings.keeps,
        )  # fmt: skip
        self.report = Report(directory, parts.logger, averaged=self.average is not None)
        self.loader = batches.training(parts, settings, seed, device)
        self.profile = StepProfile(directory, device, settings.profile and distributed.rank() == 0)
        torch.manual_seed(seed * 1_000_003 + distributed.rank())

    def fit(self, until: int | None = None) -> None:
        """Train for `settings.epochs` epochs; return with everything saved.

        until: stop after this step, and after the validation where one is due there.

        Raises Interrupted after a signal, with everything saved. During the last validation the
        run finishes first; the exception then keeps a sweep from starting its next run.
        """
        self._restore()
        epochs, done = self.settings.epochs, self.recorder.steps
        bar = self.report.progress_bar(
            epochs * self.loader.steps, done, self.progress.epoch, self.settings.progress
        )
        with preemption.watch() as self.preemption, bar:
            while not self._is_over(until):
                self.train_steps(until)
                if self._must_validate():
                    self._validate()
                else:
                    self._save()
            self.report.sync()  # raises where a file was deleted: such a run isn't finished
            if until is None:
                self.saved.write_status("finished", self.validations.stopped)
            if self._asked_to_stop():
                where = "this run is finished" if until is None else "the same command resumes"
                raise self._interrupted(f"stopped; {where}")

    def _is_over(self, until: int | None) -> bool:
        """Whether nothing is left to train or, behind step `until`, to validate."""
        if self.validations.stopped or self.progress.epoch > self.settings.epochs:
            return True
        return until is not None and self.recorder.steps >= until and not self._must_validate()

    def _must_validate(self) -> bool:
        """Whether a validation comes before the next step."""
        due = self.validations.due(self.recorder.steps)
        return due or self.progress.batch == self.loader.steps

    def train_steps(self, until: int | None = None) -> None:
        """The steps up to the next validation, or as far as step `until`."""
        model, recorder = self.parts.model.train(), self.recorder
        clipper, optimizer = self.parts.clipper, self.parts.optimizer
        recorder.epoch = self.progress.epoch
        self.timer = EpochTimer()
        epoch = self.loader.epoch(recorder.epoch, self.progress.batch)
        rest = self.loader.steps - self.progress.batch
        left = self.validations.steps_left(recorder.steps, rest, until)
        for host_batch in self.profile.over(self.timer.timed(islice(epoch, left))):
            batch = host_batch.to(self.device)
            parts = micro_batches.split(batch, self.settings.accumulate)
            with recorder.step(closure=partial(self.shares, parts)) as probe:
                losses = micro_batches.backward(self.losses, parts, clipper, self.scaler, model)
                distributed.average_gradients(model)
                self.scaler.unscale_(optimizer)
                probe.observe(losses)
                probe.clip = clip = clipper.clip_gradients(model.named_parameters())
                self._watch(clip, losses, batch)
                if clip.finite:
                    optimizer.step()
                    self.sums.add(losses, clip)
            self.scaler.update()
            optimizer.zero_grad(set_to_none=True)
            self.parts.scheduler.after_step()
            distributed.share(model.buffers())
            if self.average is not None and clip.finite:
                self.average.update(model)
            self.progress.batch += 1
            self._after_step()

    def losses(self, batch: Batch) -> Tensor:
        """The loss of each example, (B,): in full precision, the network in the run's precision."""
        with torch.autocast(self.device.type, self.dtype, enabled=self.dtype is not None):
            estimate = self.parts.model(batch)
        return self.parts.objective(estimate, batch)

    def shares(self, parts: Sequence[Batch]) -> Iterator[Tensor]:
        """What each micro-batch adds to the mean loss before any clipping; 0-dim tensors."""
        for part in parts:
            yield self.losses(part).mean() / len(parts)

    def _watch(self, clip: ClipResult, losses: Tensor, batch: Batch) -> None:
        """Look for a spike before the optimizer's step, for which a later read would wait."""
        if overflowed(self.scaler, clip, losses):  # which is no spike
            return
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
        if self.settings.save_after(step) and not self._must_validate():
            self._save()

    def _asked_to_stop(self) -> bool:
        """Whether any process got a signal or lost a worker; all get the same answer."""
        stop = self.preemption.signal is not None or self.loader.lost is not None
        return distributed.any_process(stop)

    def _interrupted(self, message: str) -> preemption.Interrupted:
        return preemption.Interrupted(self.preemption.signal or preemption.SIGNALS[0], message)

    def _validate(self) -> None:
        """Validate, report, step the schedule, save; an epoch's end begins the next one."""
        self.saved.check_finite()
        progress, step, began = self.progress, self.recorder.steps, time.perf_counter()
        valid_loss, valid_si_sdr = self._scores(self.parts.model)
        row = {
            "epoch": progress.epoch, "step": step,
            "train_loss": self.sums.mean_loss(),
            "valid_loss": valid_loss, "valid_si_sdr": valid_si_sdr,
            "lr": float(self.parts.optimizer.param_groups[0]["lr"]),
            "clipped_share": self.sums.clipped_share(), "skipped": self.recorder.skipped,
        }  # fmt: skip
        ends_epoch = progress.batch == self.loader.steps
        if ends_epoch:
            progress.epoch, progress.batch = progress.epoch + 1, 0
        averaged = self._validate_average()
        timing = self.timer.row(self.settings.batch_size)
        timing["valid_seconds"] = time.perf_counter() - began
        self.report.validation(row, timing, self.spikes.count, averaged)
        self.parts.scheduler.after_validation(row, ends_epoch=ends_epoch)
        better = valid_loss < progress.best  # false for NaN
        if better:
            progress.best = valid_loss
            self.saved.save_network("best", self.parts.model)
        self.validations.done(step, better)
        self.sums.reset()
        self.report.bar.set_description(f"epoch {min(progress.epoch, self.settings.epochs)}")
        self._save()

    def _validate_average(self) -> tuple[float, float] | None:
        """The scores of the averaged weights, which have a best checkpoint of their own."""
        if self.average is None:
            return None
        scores = self._scores(self.average.model)
        if scores[0] < self.average.best:
            self.average.best = scores[0]
            self.saved.save_network("ema", self.average.model)
        return scores

    def _scores(self, model: nn.Module) -> tuple[float, float]:
        """Mean loss and mean SI-SDR [dB] in a validation."""
        parts = self.parts
        validated = batches.validation(parts, self.settings, self.seed)
        return validate(
            model, parts.objective, validated, parts.stft, device=self.device, permute=parts.permute
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
            # The same machines have them alike; other processors may differ in the last bits.
            distributed.share([*self.parts.model.parameters(), *self.parts.model.buffers()])
        self.report.forget_later(self.recorder.steps, self._must_validate())
        self.saved.forget_later()
