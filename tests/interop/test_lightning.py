"""The callback under Lightning's Trainer, beside the steps that test_contract.py compares."""

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
from lightning.pytorch.callbacks import LearningRateFinder
from lightning.pytorch.loggers import CSVLogger

from autoclip_sep.cli import recorded_norms
from autoclip_sep.clipping import ALRC, AutoClip, Combined, NonFiniteGradients, NormClipping
from autoclip_sep.errors import InputError
from autoclip_sep.interop import lightning as adapter
from autoclip_sep.interop.lightning import GradientClipping
from autoclip_sep.runs import records
from tests.interop import plain
from tests.interop.frameworks import Resumable, lightning_module, lightning_trainer

# What Lightning says about itself and about loaders without workers.
pytestmark = pytest.mark.filterwarnings("ignore")

SCRIPT = Path(__file__).with_name("lightning_ddp.py")


@pytest.fixture
def fit(tmp_path):
    """Fits a module, with clippers' callback if any; returns the Trainer and the module."""

    def fit(*clippers, bad_batch=None, module=None, ckpt_path=None, also=(), log=True, **settings):
        callbacks = [GradientClipping(*clippers, log=log)] if clippers else []
        trainer = lightning_trainer(*callbacks, *also, default_root_dir=tmp_path, **settings)
        module = module or lightning_module()
        trainer.fit(module, Resumable(bad_batch), ckpt_path=ckpt_path)
        return trainer, module

    return fit


def test_the_trainer_of_pytorch_lightning_takes_the_same_callback(fit, assert_same):
    clipper, module = AutoClip(percentile=50), lightning_module(pytorch_lightning)
    fit(clipper, module=module, package=pytorch_lightning)
    expected = plain.run(AutoClip(percentile=50))
    assert_same(clipper.state_dict(), expected.clipper.state_dict())
    assert torch.equal(plain.weights(module.net), expected.weights)


class Ending(GradientClipping):
    """As a subclass of somebody's own: with the signatures of Lightning's hooks."""

    ended = 0

    def on_train_end(self, trainer, pl_module):
        super().on_train_end(trainer, pl_module)
        self.ended += 1


def test_too_many_bad_steps_end_the_fit_and_leave_no_hook(tmp_path):
    callback = Ending(AutoClip(max_nonfinite=1))
    trainer = lightning_trainer(callback, default_root_dir=tmp_path)
    with pytest.raises(NonFiniteGradients, match=r"not finite in 0\.weight"):
        trainer.fit(lightning_module(), Resumable(bad_batch=5))
    assert callback.ended == 1
    assert not trainer.optimizers[0]._optimizer_step_pre_hooks


def test_nothing_is_left_on_the_optimizer_and_a_second_fit_goes_on(fit):
    clipper = AutoClip()
    trainer, module = fit(clipper, max_epochs=1)
    assert not trainer.optimizers[0]._optimizer_step_pre_hooks
    trainer.fit_loop.max_epochs = 2
    trainer.fit(module, Resumable())
    assert clipper.steps == 2 * plain.BATCHES


def test_a_fit_of_a_new_trainer_at_step_0_begins_anew(fit):
    """With what the clipper knew before the first fit, which may be more than nothing."""
    clipper = plain.run(AutoClip(percentile=50), epochs=1).clipper
    known = clipper.state_dict()
    callback = GradientClipping(clipper)
    for _ in range(2):
        fit(also=[callback], max_epochs=1)
        assert clipper.steps == known["steps"] + plain.BATCHES
        assert clipper.state_dict()["history"][: plain.BATCHES] == known["history"]


def test_a_checkpoint_without_clippers_is_resumed_with_a_warning(fit, tmp_path, caplog):
    fit(max_epochs=1)[0].save_checkpoint(tmp_path / "without.ckpt")
    clipper = AutoClip(percentile=50)
    fit(clipper, ckpt_path=tmp_path / "without.ckpt")
    assert len(clipper.history) == plain.BATCHES
    assert "they start anew" in caplog.text


def test_replay_reads_the_checkpoint_of_a_fit(fit, tmp_path):
    clipper = AutoClip(percentile=None)
    fit(clipper, max_epochs=1)[0].save_checkpoint(tmp_path / "last.ckpt")
    found = recorded_norms.read(str(tmp_path / "last.ckpt"))
    assert found.norms == clipper.history.tolist()
    assert found.which == "of every step"


def test_a_checkpoint_of_another_number_of_clippers_is_refused():
    state = GradientClipping(AutoClip(), NormClipping()).state_dict()
    with pytest.raises(InputError, match="the state of 2 clippers, and GradientClipping has 1"):
        GradientClipping(AutoClip()).load_state_dict(state)


def logged(folder):
    header, *rows = (folder / "metrics.csv").read_text().splitlines()
    rows = [dict(zip(header.split(","), row.split(","), strict=True)) for row in rows]
    return {key: [float(row[key]) for row in rows if row[key]] for key in header.split(",")}


def test_norm_threshold_and_share_are_logged(fit, tmp_path):
    clipper, csv = AutoClip(percentile=50), CSVLogger(tmp_path, "", "logs")
    fit(clipper, logger=csv, log_every_n_steps=1, accumulate_grad_batches=3)
    found = logged(tmp_path / "logs")
    assert found["clipping/norm"] == pytest.approx(clipper.history.tolist())
    assert len(found["clipping/threshold"]) == 8
    assert found["clipping/threshold"][0] == found["clipping/norm"][0]
    assert len(found["clipping/clipped"]) == 2  # one share an epoch
    assert sum(found["clipping/clipped"]) / 2 == pytest.approx(clipper.clipped / 8)


def test_nothing_is_logged_where_that_is_turned_off(fit):
    assert not fit(AutoClip(), log=False)[0].logged_metrics


class TwoOptimizers(lightning.LightningModule):
    """Accumulates by hand for the second one."""

    def __init__(self):
        super().__init__()
        self.automatic_optimization = False
        self.first, self.second = plain.network(), plain.network()

    def training_step(self, batch, number):
        first, second = self.optimizers()
        self.manual_backward(plain.loss_of(self.first, batch))
        first.step()
        first.zero_grad()
        self.manual_backward(plain.loss_of(self.second, batch) / 2)
        if number % 2:
            second.step()
            second.zero_grad()

    def configure_optimizers(self):
        return [plain.OPTIMIZERS["adamw"](net.parameters()) for net in (self.first, self.second)]


def test_several_optimizers_have_a_clipper_each(fit, assert_same):
    clippers = AutoClip(percentile=50), AutoClip(percentile=20)
    trainer, module = fit(*clippers, module=TwoOptimizers())
    wanted = plain.run(AutoClip(percentile=50)), plain.run(AutoClip(percentile=20), accumulate=2)
    for clipper, net, one in zip(clippers, (module.first, module.second), wanted, strict=True):
        assert_same(clipper.state_dict(), one.clipper.state_dict())
        assert torch.equal(plain.weights(net), one.weights)
    assert {"clipping/0/norm", "clipping/1/norm"} < set(trainer.logged_metrics)


def test_one_clipper_for_two_optimizers_is_refused(fit):
    with pytest.raises(InputError, match="clippers for 1 optimizers, and there are 2: give it one"):
        fit(AutoClip(), module=TwoOptimizers())


def test_a_learning_rate_finder_is_left_alone(fit):
    norms = []

    class Watched(AutoClip):
        def _clip(self, gradients, norm, each):
            norms.append(norm)
            return super()._clip(gradients, norm, each)

    clipper = Watched()
    fit(clipper, also=[LearningRateFinder(num_training_steps=10, attr_name="lr")])
    assert len(norms) == clipper.steps == 2 * plain.BATCHES


def test_the_trainers_own_clipping_is_refused(fit):
    with pytest.raises(InputError, match=r"remove Trainer\(gradient_clip_val=0\.5\)"):
        fit(AutoClip(), gradient_clip_val=0.5)


@pytest.mark.parametrize("clipper", [ALRC(), Combined(ALRC(), AutoClip())])
def test_clippers_of_losses_are_refused_with_what_to_do(clipper):
    with pytest.raises(InputError, match="clips losses, which no callback sees: call its clip_"):
        GradientClipping(clipper)


def test_what_isnt_a_clipper_is_refused():
    same = AutoClip()
    for given, message in [
        ((0.5,), r"such as AutoClip\(percentile=10\), not 0\.5"),
        ((AutoClip,), "not <class"),
        ((), "one clipper of its own for each optimizer"),
        ((same, same), "one clipper of its own for each optimizer"),
    ]:
        with pytest.raises(InputError, match=message):
            GradientClipping(*given)


def test_fabric_needs_no_callback(tmp_path, assert_same):
    def train(epochs, resume=None):
        fabric = lightning.Fabric(accelerator="cpu", devices=1)
        model, clipper = plain.network(), AutoClip(percentile=50)
        optimizer = plain.OPTIMIZERS["adamw"](model.named_parameters())
        clipper.attach(optimizer)
        model, optimizer = fabric.setup(model, optimizer)
        state = {"model": model, "optimizer": optimizer, "clipper": clipper}
        if resume:
            fabric.load(resume, state)
        for _ in range(epochs):
            for batch in plain.batches():
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
    assert 3 < one["clipper"]["clipped"] < len(one["clipper"]["history"]) == 22
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
