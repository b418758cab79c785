"""The recording callbacks under the real Trainers write what a Recorder writes in a plain loop."""

import math

import lightning
import pytest
import torch
import torchmetrics
from lightning.pytorch.callbacks import ModelCheckpoint
from lightning.pytorch.plugins import MixedPrecision
from torch import nn
from torch.amp import GradScaler
from torch.utils.data import DataLoader
from transformers import Trainer

from autoclip_sep.clipping import AutoClip
from autoclip_sep.dynamics import COLUMNS, Recorder
from autoclip_sep.errors import InputError
from autoclip_sep.interop import lightning as clipping_in_lightning
from autoclip_sep.interop import transformers as clipping_in_transformers
from autoclip_sep.interop.lightning_recording import Recording as LightningRecording
from autoclip_sep.interop.transformers_recording import Recording as TrainerRecording
from autoclip_sep.runs import records
from tests.interop import plain
from tests.interop.frameworks import Model, dataset, hugging_face_trainer, lightning_trainer

pytestmark = pytest.mark.filterwarnings("ignore")
EVERY = 2


def network():
    """With what betrays a probe: dropout and BatchNorm's buffers."""
    torch.manual_seed(3)
    return nn.Sequential(nn.Linear(5, 8), nn.BatchNorm1d(8), nn.Dropout(0.3), nn.Linear(8, 2))


def hand_written(clipper, accumulate=1, epochs=2, precision=None, scaler=None, bad=None):
    """Rows, weights and buffers of the loop that docs/dynamics.md shows."""
    model = network()
    optimizer = plain.OPTIMIZERS["adamw"](model.named_parameters())
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
    recorder = Recorder(model, optimizer, None, every=EVERY, scaler=scaler)
    scaler = scaler or GradScaler("cpu", enabled=False)
    batches, rows = plain.batches(bad), []

    def loss_of(batch):
        with torch.autocast("cpu", precision, enabled=bool(precision), cache_enabled=False):
            return plain.loss_of(model, batch)

    torch.manual_seed(11)
    for epoch in range(epochs):
        recorder.epoch = epoch + 1
        for first in range(0, len(batches), accumulate):
            step = batches[first : first + accumulate]
            with recorder.step(lambda step=step: (loss_of(b) / len(step) for b in step)) as probe:
                for batch in step:
                    loss = loss_of(batch)
                    scaler.scale(loss / len(step)).backward()
                    probe.observe(loss)
                scaler.unscale_(optimizer)
                probe.clip = clipper.clip_gradients(model.named_parameters())
                if probe.clip.finite:
                    scaler.step(optimizer)
                scaler.update()
            schedule.step()
            optimizer.zero_grad()
            if recorder.steps % EVERY == 0:
                rows.append(recorder.last)
    return rows, model.state_dict()


def assert_rows(folder, wanted, rel=1e-5):
    rows = records.read(folder / "dynamics.csv")
    assert len(rows) == len(wanted)
    for row, expected in zip(rows, wanted, strict=True):
        for name in COLUMNS:
            value = float(row[name])
            assert value == pytest.approx(expected[name], rel=rel, nan_ok=True), name


def assert_state(state, wanted):
    for one, other in zip(state.values(), wanted.values(), strict=True):
        assert torch.equal(one, other)


class Module(lightning.LightningModule):
    def __init__(self):
        super().__init__()
        self.net = network()
        self.mean = torchmetrics.MeanMetric()

    def on_train_start(self):
        torch.manual_seed(11)

    def training_step(self, batch):
        loss = plain.loss_of(self.net, batch)
        self.mean.update(loss)
        self.log("loss", loss)
        return {"loss": loss}

    def configure_optimizers(self):
        optimizer = plain.OPTIMIZERS["adamw"](self.net.named_parameters())
        schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.9)
        return [optimizer], [{"scheduler": schedule, "interval": "step"}]


def loader(examples):
    """With a generator of its own: others draw from torch's when an epoch begins."""
    return DataLoader(examples, plain.BATCH_SIZE, generator=torch.Generator())


@pytest.fixture
def fit(tmp_path):
    """Fits a module of Lightning, with a Recording or without."""

    def fit(
        recording=None, clipper=None, bad=None, ckpt_path=None, module=None, also=(), **settings
    ):
        clip = [] if clipper is None else [clipping_in_lightning.GradientClipping(clipper)]
        callbacks = [*clip, *([recording] if recording else []), *also]
        trainer = lightning_trainer(*callbacks, default_root_dir=tmp_path, **settings)
        module = module or Module()
        trainer.fit(module, loader(plain.examples(bad)), ckpt_path=ckpt_path)
        return module, trainer

    return fit


@pytest.mark.parametrize("accumulate", [1, 3])
def test_lightning_records_as_a_plain_loop(fit, tmp_path, accumulate, caplog):
    recording = LightningRecording(tmp_path / "r", every=EVERY)
    module, _ = fit(recording, AutoClip(50), accumulate_grad_batches=accumulate)
    rows, state = hand_written(AutoClip(50), accumulate)
    assert all(row["smoothness"] > 0 for row in rows)
    assert_rows(tmp_path / "r", rows)
    assert_state(module.net.state_dict(), state)
    assert not [r for r in caplog.records if r.name.startswith("autoclip_sep")]


def test_lightnings_logs_and_metrics_are_not_counted_twice(fit, tmp_path):
    with_it, trainer = fit(LightningRecording(tmp_path / "r", every=1))
    without, other = fit()
    assert with_it.mean.compute() == without.mean.compute()
    assert with_it.mean._update_count == without.mean._update_count
    assert trainer.logged_metrics == other.logged_metrics
    assert "log" not in vars(with_it)


@pytest.mark.parametrize("init_scale", [2.0**10, 2.0**30])
def test_lightning_with_a_scaler(fit, tmp_path, init_scale):
    """The second scale overflows at first: these steps have no length."""

    def scaler():
        return GradScaler("cpu", init_scale=init_scale)

    plugin = MixedPrecision("16-mixed", "cpu", scaler())
    fit(LightningRecording(tmp_path / "r", every=1), plugins=[plugin])
    rows = records.read(tmp_path / "r" / "dynamics.csv")
    skipped = [float(row["step_norm"]) == 0 for row in rows]
    assert skipped == sorted(skipped, reverse=True)
    assert any(skipped) == (init_scale > 2.0**20)
    for row in rows[sum(skipped) :]:
        assert 0 < float(row["grad_norm"]) < 1000  # not multiplied by the scale
        assert float(row["smoothness"]) > 0
        assert 0 < float(row["loss"]) < 1000


def test_lightning_resumes_and_begins_anew(fit, tmp_path):
    """From a checkpoint after the first epoch; then a fit at step 0 with the same callbacks."""
    folder = tmp_path / "r"
    rows, _ = hand_written(AutoClip(50), bad=5)
    saving = ModelCheckpoint(tmp_path, filename="at", every_n_train_steps=12)
    first = LightningRecording(folder, every=EVERY, times=1.5, first=4)
    fit(first, AutoClip(50), bad=5, max_epochs=1, also=[saving])
    assert rows[5]["skipped"] == 1
    count = first.run.spikes.count
    assert count > 0

    second = LightningRecording(folder, every=EVERY, times=1.5, first=4)
    clipper = AutoClip(50)
    fit(second, clipper, bad=5, ckpt_path=tmp_path / "at.ckpt", max_epochs=2)
    found = records.read(folder / "dynamics.csv")
    assert [int(row["step"]) for row in found] == list(range(2, 25, 2))
    assert [int(row["skipped"]) for row in found] == [row["skipped"] for row in rows]
    assert second.run.spikes.count > count
    steps = [int(row["step"]) for row in records.read(folder / "spikes.csv")]
    assert len(set(steps)) == second.run.spikes.count
    assert steps == sorted(steps)
    assert (clipper.steps, clipper.skipped) == (24, 2)

    fit(second, clipper, max_epochs=1)
    found = records.read(folder / "dynamics.csv")
    assert [int(row["step"]) for row in found] == [2, 4, 6, 8, 10, 12]
    assert len(second.state_dict()["spikes"]["norms"]) == plain.BATCHES
    assert second.state_dict()["recorder"] == {"steps": 12, "skipped": 0}


def test_lightning_names_the_examples_of_a_spike(fit, tmp_path):
    def items(batch):
        return [f"{row[0].item():.4f}" for row in batch]

    fit(LightningRecording(tmp_path / "r", items=items, times=1.05, first=4), max_epochs=1)
    rows = records.read(tmp_path / "r" / "spikes.csv")
    step = int(rows[0]["step"])
    assert [row["item"] for row in rows[: plain.BATCH_SIZE]] == items(plain.batches()[step - 1])
    assert float(rows[0]["grad_norm"]) > 1.05 * float(rows[0]["median_norm"])


def test_manual_optimization_is_refused(fit, tmp_path):
    module = Module()
    module.automatic_optimization = False
    with pytest.raises(InputError, match="manual optimization"):
        fit(LightningRecording(tmp_path / "r"), module=module)


class InOrder(Trainer):
    def get_train_dataloader(self):
        return loader(self.train_dataset)

    def training_step(self, *args):
        if not self.state.global_step and not vars(self).get("seeded"):
            torch.manual_seed(11)
            self.seeded = True
        return super().training_step(*args)


@pytest.fixture
def make(tmp_path):
    """A Trainer of Hugging Face with a Recording."""

    def make(clipper=None, bad=None, recording=None, **settings):
        clip = [] if clipper is None else [clipping_in_transformers.GradientClipping(clipper)]
        trainer = hugging_face_trainer(
            tmp_path, *clip, bad_batch=bad, model=Model(network()), kind=InOrder,
            schedule=lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9), **settings,
        )  # fmt: skip
        options = {"every": EVERY, **(recording or {})}
        trainer.recording = TrainerRecording(trainer, tmp_path / "r", **options)
        trainer.add_callback(trainer.recording)
        return trainer

    return make


@pytest.mark.parametrize("accumulate", [1, 3])
def test_the_trainer_records_as_a_plain_loop(make, tmp_path, accumulate, caplog):
    trainer = make(AutoClip(50), gradient_accumulation_steps=accumulate)
    trainer.train()
    rows, state = hand_written(AutoClip(50), accumulate)
    assert_rows(tmp_path / "r", rows)
    assert_state(trainer.model.net.state_dict(), state)
    assert not [r for r in caplog.records if r.name.startswith("autoclip_sep")]
    assert "training_step" not in vars(trainer)


def test_the_trainers_own_clipping_is_behind_what_is_recorded(make, tmp_path):
    make(max_grad_norm=0.01).train()
    rows = records.read(tmp_path / "r" / "dynamics.csv")
    assert float(rows[0]["grad_norm"]) > 0.1
    assert float(rows[0]["smoothness"]) > 0
    assert math.isnan(float(rows[0]["threshold"]))


def test_the_trainer_resumes_and_begins_anew(make, tmp_path):
    saving = {"save_strategy": "steps", "save_steps": 12}
    spikes = {"times": 1.5, "first": 4}
    make(AutoClip(50), bad=5, max_steps=14, recording=spikes, **saving).train()
    clipper = AutoClip(50)
    trainer = make(clipper, bad=5, recording=spikes, **saving)
    trainer.train(resume_from_checkpoint=str(tmp_path / "run" / "checkpoint-12"))
    found = records.read(tmp_path / "r" / "dynamics.csv")
    assert [int(row["step"]) for row in found] == list(range(2, 25, 2))
    assert int(found[-1]["skipped"]) == clipper.skipped == 2
    assert trainer.recording.run.state_dict()["recorder"] == {"steps": 24, "skipped": 2}
    assert trainer.recording.run.state_dict()["spikes"]["count"] >= 2

    trainer.train_dataset = dataset()
    trainer.train()
    assert len(records.read(tmp_path / "r" / "dynamics.csv")) == 12
    assert trainer.recording.run.state_dict()["recorder"] == {"steps": 24, "skipped": 0}
    assert len(trainer.recording.run.state_dict()["spikes"]["norms"]) == 24


@pytest.mark.parametrize("settings", [{"times": 1}, {"first": 0}])
def test_impossible_settings_are_refused_at_once(tmp_path, settings):
    with pytest.raises(ValueError, match="times must be above 1"):
        LightningRecording(tmp_path, **settings)
