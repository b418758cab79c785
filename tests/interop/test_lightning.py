"""The callback under the real Trainer takes the steps that the protocol takes by hand."""

import os
import runpy
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import lightning
import pytest
import pytorch_lightning
import torch
from lightning.pytorch.callbacks import LearningRateFinder, ModelCheckpoint
from lightning.pytorch.loggers import CSVLogger
from lightning.pytorch.plugins import MixedPrecision
from torch.amp import GradScaler
from torch.utils.data import DataLoader

from autoclip_sep.cli import recorded_norms
from autoclip_sep.clipping import ALRC, AutoClip, Combined, NonFiniteGradients, NormClipping
from autoclip_sep.errors import InputError
from autoclip_sep.interop import lightning as adapter
from autoclip_sep.interop.lightning import GradientClipping
from autoclip_sep.runs import records

# What Lightning says about itself and about loaders without workers.
pytestmark = pytest.mark.filterwarnings("ignore")

SCRIPT = Path(__file__).with_name("lightning_ddp.py")


@pytest.fixture
def make(plain, tmp_path):
    """A module of the package given, and a Trainer that is quiet and writes below tmp_path."""

    def module(package=lightning, optimizer="adamw"):
        class Module(package.LightningModule):
            def __init__(self):
                super().__init__()
                self.net = plain.network()
                self.lr = 0.01

            def training_step(self, batch, number):
                return plain.loss_of(self.net, batch)

            def configure_optimizers(self):
                return plain.optimizers[optimizer](self.net.named_parameters())

        return Module()

    def trainer(*callbacks, package=lightning, **settings):
        return package.Trainer(
            **{
                "accelerator": "cpu",
                "devices": 1,
                "max_epochs": 2,
                "logger": False,
                "enable_checkpointing": any(isinstance(c, ModelCheckpoint) for c in callbacks),
                "enable_progress_bar": False,
                "enable_model_summary": False,
                "default_root_dir": tmp_path,
                "callbacks": list(callbacks),
                **settings,
            }
        )

    module.trainer = trainer
    return module


@pytest.fixture
def loader(plain):
    return lambda bad_batch=None: DataLoader(plain.examples(bad_batch), plain.batch_size)


def assert_same_run(plain, module, clipper, expected, assert_same):
    assert_same(clipper.state_dict(), expected.clipper.state_dict())
    assert torch.equal(plain.weights(module.net), expected.weights)


@pytest.mark.parametrize("optimizer", ["adamw", "adamw-fused", "sgd"])
def test_a_fit_equals_the_plain_loop(make, loader, plain, assert_same, optimizer):
    module, clipper = make(optimizer=optimizer), AutoClip(percentile=50)
    trainer = make.trainer(GradientClipping(clipper))
    trainer.fit(module, loader())
    assert len(plain.history(clipper)) == 2 * plain.batches
    assert 0 < clipper.clipped < clipper.steps
    assert_same_run(
        plain, module, clipper, plain.run(AutoClip(percentile=50), optimizer), assert_same
    )


def test_the_trainer_of_pytorch_lightning_takes_the_same_callback(make, loader, plain, assert_same):
    module, clipper = make(pytorch_lightning), AutoClip(percentile=50)
    make.trainer(GradientClipping(clipper), package=pytorch_lightning).fit(module, loader())
    assert_same_run(plain, module, clipper, plain.run(AutoClip(percentile=50)), assert_same)


def test_accumulated_batches_are_one_step(make, loader, plain, assert_same):
    module, clipper = make(), AutoClip(percentile=50)
    make.trainer(GradientClipping(clipper), accumulate_grad_batches=3).fit(module, loader())
    assert clipper.steps == 2 * plain.batches // 3
    expected = plain.run(AutoClip(percentile=50), accumulate=3)
    assert_same_run(plain, module, clipper, expected, assert_same)


def test_bfloat16(make, loader, plain, assert_same):
    module, clipper = make(), AutoClip(percentile=50)
    make.trainer(GradientClipping(clipper), precision="bf16-mixed").fit(module, loader())
    expected = plain.run(AutoClip(percentile=50), precision=torch.bfloat16)
    assert_same_run(plain, module, clipper, expected, assert_same)


@pytest.mark.parametrize("optimizer", ["adamw", "adamw-fused"])
@pytest.mark.parametrize("init_scale", [2.0**10, 2.0**40])
def test_float16_with_a_scaler(make, loader, plain, assert_same, optimizer, init_scale):
    """Lightning has precision="16-mixed" on a CPU only by way of the plugin that it stands for."""

    def scaler():
        return GradScaler("cpu", init_scale=init_scale)

    module, clipper = make(optimizer=optimizer), AutoClip(percentile=50)
    plugin = MixedPrecision("16-mixed", "cpu", scaler())
    make.trainer(GradientClipping(clipper), plugins=[plugin], max_epochs=4).fit(module, loader())
    expected = plain.run(
        AutoClip(percentile=50), optimizer, epochs=4, precision=torch.float16, scaler=scaler()
    )
    assert plain.history(clipper).max() < 1000  # not multiplied by the scale
    assert clipper.skipped == 0
    overflown = init_scale > 2.0**20  # each overflow halves the scale, until steps come through
    assert (clipper.steps < 4 * plain.batches) == overflown
    assert_same_run(plain, module, clipper, expected, assert_same)


def test_a_step_that_isnt_finite_is_skipped(make, loader, plain, assert_same):
    seen = []

    class Watch(lightning.Callback):
        def on_train_batch_end(self, trainer, module, *rest):
            (optimizer,) = trainer.optimizers
            counts = {float(state["step"]) for state in optimizer.state.values()}
            seen.append((plain.weights(module.net), counts))

    module, clipper = make(), AutoClip(percentile=50)
    make.trainer(GradientClipping(clipper), Watch(), max_epochs=1).fit(module, loader(bad_batch=5))
    assert torch.equal(seen[4][0], seen[5][0])
    assert seen[4][1] == seen[5][1] == {5.0}
    assert not torch.equal(seen[5][0], seen[6][0])
    assert (clipper.steps, clipper.skipped) == (plain.batches, 1)
    assert len(plain.history(clipper)) == plain.batches - 1
    expected = plain.run(AutoClip(percentile=50), epochs=1, bad_batch=5)
    assert_same_run(plain, module, clipper, expected, assert_same)


def test_too_many_bad_steps_end_the_fit_and_leave_no_hook(make, loader):
    module, clipper = make(), AutoClip(max_nonfinite=1)
    trainer = make.trainer(GradientClipping(clipper))
    with pytest.raises(NonFiniteGradients, match=r"not finite in 0\.weight"):
        trainer.fit(module, loader(bad_batch=5))
    assert not trainer.optimizers[0]._optimizer_step_pre_hooks


def test_nothing_is_left_on_the_optimizer_and_a_second_fit_goes_on(make, loader, plain):
    module, clipper = make(), AutoClip()
    trainer = make.trainer(GradientClipping(clipper), max_epochs=1)
    trainer.fit(module, loader())
    assert not trainer.optimizers[0]._optimizer_step_pre_hooks
    trainer.fit_loop.max_epochs = 2
    trainer.fit(module, loader())
    assert clipper.steps == 2 * plain.batches


def test_a_fit_of_a_new_trainer_at_step_0_begins_anew(make, loader, plain, assert_same):
    """With what the clipper knew before the first fit, which may be more than nothing."""
    clipper = AutoClip(percentile=50)
    clipper.load_state_dict(plain.run(AutoClip(percentile=50), epochs=1).clipper.state_dict())
    known = clipper.state_dict()
    callback = GradientClipping(clipper)
    for _ in range(2):
        make.trainer(callback, max_epochs=1).fit(make(), loader())
        assert clipper.steps == known["steps"] + plain.batches
        assert clipper.state_dict()["history"][: plain.batches] == known["history"]


class Batches:
    """A loader that knows where it is, which Lightning needs to go on within an epoch."""

    def __init__(self, batches):
        self.batches = batches
        self.start = self.given = 0

    def __len__(self):
        return len(self.batches)

    def __iter__(self):
        start, self.start = self.start, 0
        for place in range(start, len(self)):
            self.given = place + 1
            yield self.batches[place]

    def state_dict(self):
        return {"given": self.given}

    def load_state_dict(self, state):
        self.start = state["given"] % len(self)


@pytest.mark.parametrize("after", [12, 17], ids=["epoch's end", "mid-epoch"])
def test_resume_is_exact(make, plain, tmp_path, assert_same, after):
    def batches():
        return Batches(plain.examples().split(plain.batch_size))

    saving = ModelCheckpoint(tmp_path, filename="half", every_n_train_steps=after)
    make.trainer(GradientClipping(AutoClip(percentile=50)), saving, max_steps=after).fit(
        make(), batches()
    )

    module, clipper = make(), AutoClip(percentile=50)
    trainer = make.trainer(GradientClipping(clipper))
    trainer.fit(module, batches(), ckpt_path=tmp_path / "half.ckpt", weights_only=True)

    expected = plain.run(AutoClip(percentile=50))
    assert_same_run(plain, module, clipper, expected, assert_same)
    assert_same(trainer.optimizers[0].state_dict()["state"], expected.optimizer["state"])


def test_a_checkpoint_without_clippers_is_gone_on_from_with_a_warning(
    make, loader, plain, tmp_path, caplog
):
    trainer = make.trainer(max_epochs=1)
    trainer.fit(make(), loader())
    trainer.save_checkpoint(tmp_path / "without.ckpt")
    clipper = AutoClip(percentile=50)
    make.trainer(GradientClipping(clipper)).fit(
        make(), loader(), ckpt_path=tmp_path / "without.ckpt"
    )
    assert len(plain.history(clipper)) == plain.batches
    assert "they start anew" in caplog.text


def test_replay_reads_the_checkpoint_of_a_fit(make, loader, plain, tmp_path):
    clipper = AutoClip(percentile=None)
    trainer = make.trainer(GradientClipping(clipper), max_epochs=1)
    trainer.fit(make(), loader())
    trainer.save_checkpoint(tmp_path / "last.ckpt")
    found = recorded_norms.read(str(tmp_path / "last.ckpt"))
    assert found.norms == plain.history(clipper).tolist()
    assert found.which == "of every step"


def test_a_checkpoint_of_another_number_of_clippers_is_refused():
    state = GradientClipping(AutoClip(), NormClipping()).state_dict()
    with pytest.raises(InputError, match="the state of 2 clippers, and GradientClipping has 1"):
        GradientClipping(AutoClip()).load_state_dict(state)


def logged(folder):
    header, *rows = (folder / "metrics.csv").read_text().splitlines()
    rows = [dict(zip(header.split(","), row.split(","), strict=True)) for row in rows]
    return {key: [float(row[key]) for row in rows if row[key]] for key in header.split(",")}


def test_norm_threshold_and_share_are_logged(make, loader, plain, tmp_path):
    clipper, csv = AutoClip(percentile=50), CSVLogger(tmp_path, "", "logs")
    settings = {"logger": csv, "log_every_n_steps": 1, "accumulate_grad_batches": 3}
    make.trainer(GradientClipping(clipper), **settings).fit(make(), loader())
    found = logged(tmp_path / "logs")
    assert found["clipping/norm"] == pytest.approx(plain.history(clipper).tolist())
    assert len(found["clipping/threshold"]) == 8
    assert found["clipping/threshold"][0] == found["clipping/norm"][0]
    assert len(found["clipping/clipped"]) == 2  # one share an epoch
    assert sum(found["clipping/clipped"]) / 2 == pytest.approx(clipper.clipped / 8)


def test_nothing_is_logged_where_that_is_turned_off(make, loader):
    trainer = make.trainer(GradientClipping(AutoClip(), log=False))
    trainer.fit(make(), loader())
    assert not trainer.logged_metrics


@pytest.fixture
def two_optimizers(plain):
    class Module(lightning.LightningModule):
        def __init__(self):
            super().__init__()
            self.automatic_optimization = False
            self.first, self.second = plain.network(), plain.network()

        def training_step(self, batch, number):
            first, second = self.optimizers()
            self.manual_backward(plain.loss_of(self.first, batch))
            first.step()
            first.zero_grad()
            if number % 2:  # accumulates by hand
                self.manual_backward(plain.loss_of(self.second, batch) / 2)
                second.step()
                second.zero_grad()
            else:
                self.manual_backward(plain.loss_of(self.second, batch) / 2)

        def configure_optimizers(self):
            return [
                plain.optimizers["adamw"](net.parameters()) for net in (self.first, self.second)
            ]

    return Module()


def test_several_optimizers_have_a_clipper_each(make, loader, plain, two_optimizers, assert_same):
    clippers = AutoClip(percentile=50), AutoClip(percentile=20)
    trainer = make.trainer(GradientClipping(*clippers))
    trainer.fit(two_optimizers, loader())
    wanted = plain.run(AutoClip(percentile=50)), plain.run(AutoClip(percentile=20), accumulate=2)
    for clipper, net, one in zip(
        clippers, (two_optimizers.first, two_optimizers.second), wanted, strict=True
    ):
        assert_same(clipper.state_dict(), one.clipper.state_dict())
        assert torch.equal(plain.weights(net), one.weights)
    assert {"clipping/0/norm", "clipping/1/norm"} < set(trainer.logged_metrics)


def test_one_clipper_for_two_optimizers_is_refused(make, loader, two_optimizers):
    with pytest.raises(InputError, match="clippers for 1 optimizers, and there are 2: give it one"):
        make.trainer(GradientClipping(AutoClip())).fit(two_optimizers, loader())


def test_a_learning_rate_finder_is_left_alone(make, loader, plain):
    norms = []

    class Watched(AutoClip):
        def _clip(self, gradients, norm, each):
            norms.append(norm)
            return super()._clip(gradients, norm, each)

    clipper = Watched()
    finder = LearningRateFinder(num_training_steps=10, attr_name="lr")
    make.trainer(GradientClipping(clipper), finder).fit(make(), loader())
    assert len(norms) == clipper.steps == 2 * plain.batches


def test_the_trainers_own_clipping_is_refused(make, loader):
    trainer = make.trainer(GradientClipping(AutoClip()), gradient_clip_val=0.5)
    with pytest.raises(InputError, match=r"remove Trainer\(gradient_clip_val=0\.5\)"):
        trainer.fit(make(), loader())


@pytest.mark.parametrize("clipper", [ALRC(), Combined(ALRC(), AutoClip())])
def test_limiters_of_losses_are_refused_with_what_to_do(clipper):
    with pytest.raises(InputError, match="clips losses, which no callback sees: call its clip_"):
        GradientClipping(clipper)


def test_what_isnt_a_clipper_is_refused():
    with pytest.raises(InputError, match=r"such as AutoClip\(percentile=10\), not 0\.5"):
        GradientClipping(0.5)
    with pytest.raises(InputError, match="not <class"):
        GradientClipping(AutoClip)
    with pytest.raises(InputError, match="one clipper of its own for each optimizer"):
        GradientClipping()
    same = AutoClip()
    with pytest.raises(InputError, match="one clipper of its own for each optimizer"):
        GradientClipping(same, same)


def test_fabric_needs_no_callback(plain, tmp_path, assert_same):
    def train(epochs, resume=None):
        fabric = lightning.Fabric(accelerator="cpu", devices=1)
        model, clipper = plain.network(), AutoClip(percentile=50)
        optimizer = plain.optimizers["adamw"](model.named_parameters())
        clipper.attach(optimizer)
        model, optimizer = fabric.setup(model, optimizer)
        state = {"model": model, "optimizer": optimizer, "clipper": clipper}
        if resume:
            fabric.load(resume, state)
        for _ in range(epochs):
            for batch in plain.examples().split(plain.batch_size):
                fabric.backward(plain.loss_of(model, batch))
                optimizer.step()
                optimizer.zero_grad()
        fabric.save(tmp_path / "fabric.ckpt", state)
        return model, clipper

    train(1)
    model, clipper = train(1, resume=tmp_path / "fabric.ckpt")
    expected = plain.run(AutoClip(percentile=50))
    assert_same(clipper.state_dict(), expected.clipper.state_dict())
    assert torch.equal(plain.weights(model), expected.weights)


def test_only_pytorch_lightning_is_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "lightning", None)
    names = runpy.run_path(adapter.__file__)
    assert issubclass(names["GradientClipping"], pytorch_lightning.Callback)


def test_neither_is_installed(monkeypatch):
    for name in ("lightning", "lightning.pytorch", "pytorch_lightning"):
        monkeypatch.setitem(sys.modules, name, None)
    with pytest.raises(ValueError, match=r"clipping in Lightning needs .* pip install lightning"):
        runpy.run_path(adapter.__file__)


def fit_in_two_processes(folder):
    """What each rank saved; Lightning starts the second process itself."""
    with subprocess.Popen(
        [sys.executable, str(SCRIPT), "2", str(folder)],
        env={**os.environ, "GLOO_SOCKET_IFNAME": "lo", "PYTHONPATH": str(SCRIPT.parents[2])},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, _ = process.communicate(timeout=180)
        finally:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)  # the second process too
    assert process.returncode == 0, output
    return [torch.load(folder / f"2-{rank}.pt") for rank in range(2)]


@pytest.mark.skipif(not torch.distributed.is_available(), reason="this torch has no distributed")
def test_two_processes_equal_one(tmp_path):
    runpy.run_path(str(SCRIPT))["fit"](1, tmp_path)
    one = torch.load(tmp_path / "1-0.pt")
    assert one["clipper"]["skipped"] == 2  # once an epoch there is a NaN, on one rank only
    assert 5 < one["clipper"]["clipped"] < len(one["clipper"]["history"]) == 22
    ranks = fit_in_two_processes(tmp_path)
    for rank in ranks:
        for key, value in one["clipper"].items():
            torch.testing.assert_close(rank["clipper"][key], value, rtol=1e-10, atol=0)
        torch.testing.assert_close(rank["weights"], one["weights"], rtol=1e-10, atol=1e-12)
        assert rank["share"] == pytest.approx(one["share"])
    assert ranks[0]["clipper"]["history"] == ranks[1]["clipper"]["history"]
    assert torch.equal(ranks[0]["weights"], ranks[1]["weights"])
    assert_same_records(tmp_path / "records-1", tmp_path / "records-2")


def assert_same_records(one, two):
    """Written by the first process only, of the whole batch."""
    rows, found = (records.read(folder / "dynamics.csv") for folder in (one, two))
    assert len(rows) == len(found) == 12
    assert sum(float(row["smoothness"]) > 0 for row in rows) == 10  # and two skipped steps
    for wanted, row in zip(rows, found, strict=True):
        for name, value in wanted.items():
            expected = pytest.approx(float(value), rel=1e-8, nan_ok=True)
            assert float(row[name]) == expected, name
    rows, found = (records.read(folder / "spikes.csv") for folder in (one, two))
    assert [(row["step"], row["item"]) for row in rows] == [
        (row["step"], row["item"]) for row in found
    ]
    assert {"6", "18"} < {row["step"] for row in rows}  # where the NaN is
