"""The callback under Hugging Face's Trainer takes the steps that the protocol takes by hand."""

import runpy
import shutil
import sys

import pytest
import torch
from torch import nn
from torch.amp import GradScaler
from torch.utils.data import SequentialSampler
from transformers import Trainer, TrainerCallback, TrainingArguments

from autoclip_sep.clipping import ALRC, AutoClip, NonFiniteGradients
from autoclip_sep.errors import InputError
from autoclip_sep.interop import transformers as adapter
from autoclip_sep.interop.transformers import GradientClipping


class InOrder(Trainer):
    def _get_train_sampler(self, train_dataset=None):
        return SequentialSampler(self.train_dataset)


@pytest.fixture
def make(plain, tmp_path):
    """A quiet Trainer on the CPU that takes the plain loop's batches, and its model's weights."""

    class Model(nn.Module):
        def __init__(self):
            super().__init__()
            self.net = plain.network()

        def forward(self, inputs):
            return {"loss": plain.loss_of(self.net, inputs)}

    def trainer(*callbacks, optimizer="adamw", bad_batch=None, **settings):
        model = Model()
        arguments = {
            "output_dir": str(tmp_path / "run"),
            "num_train_epochs": 2,
            "per_device_train_batch_size": plain.batch_size,
            "max_grad_norm": 0,
            "lr_scheduler_type": "constant",
            "use_cpu": True,
            "report_to": "none",
            "disable_tqdm": True,
            "save_strategy": "no",
            "logging_strategy": "no",
            **settings,
        }
        return InOrder(
            model,
            TrainingArguments(**arguments),
            train_dataset=[{"inputs": row} for row in plain.examples(bad_batch)],
            callbacks=list(callbacks),
            optimizers=(plain.optimizers[optimizer](model.net.named_parameters()), None),
        )

    return trainer


def assert_same_run(plain, trainer, clipper, expected, assert_same):
    assert_same(clipper.state_dict(), expected.clipper.state_dict())
    assert torch.equal(plain.weights(trainer.model), expected.weights)


@pytest.mark.parametrize("optimizer", ["adamw", "adamw-fused", "sgd"])
def test_a_run_equals_the_plain_loop(make, plain, assert_same, optimizer):
    clipper = AutoClip(percentile=50)
    trainer = make(GradientClipping(clipper), optimizer=optimizer)
    trainer.train()
    assert len(plain.history(clipper)) == 2 * plain.batches
    assert 0 < clipper.clipped < clipper.steps
    expected = plain.run(AutoClip(percentile=50), optimizer)
    assert_same_run(plain, trainer, clipper, expected, assert_same)


def test_the_optimizer_that_the_trainer_makes_is_clipped(make, plain):
    clipper = AutoClip()
    trainer = make(GradientClipping(clipper))
    trainer.optimizer = None
    trainer.train()
    assert clipper.steps == 2 * plain.batches


def test_accumulated_batches_are_one_step(make, plain, assert_same):
    clipper = AutoClip(percentile=50)
    trainer = make(GradientClipping(clipper), gradient_accumulation_steps=3)
    trainer.train()
    assert clipper.steps == 2 * plain.batches // 3
    expected = plain.run(AutoClip(percentile=50), accumulate=3)
    assert_same_run(plain, trainer, clipper, expected, assert_same)


def test_bfloat16(make, plain):
    clipper = AutoClip(percentile=50)
    trainer = make(GradientClipping(clipper), bf16=True)
    trainer.train()
    expected = plain.run(AutoClip(percentile=50), precision=torch.bfloat16)
    wanted = plain.history(expected.clipper)
    torch.testing.assert_close(plain.history(clipper), wanted, rtol=1e-6, atol=0)
    torch.testing.assert_close(plain.weights(trainer.model), expected.weights)


@pytest.mark.parametrize("optimizer", ["adamw", "adamw-fused"])
@pytest.mark.parametrize("init_scale", [2.0**10, 2.0**30])
def test_float16_with_a_scaler(make, plain, assert_same, optimizer, init_scale):
    """What Accelerate does by itself on an accelerator only, it is told to do on the CPU."""

    def scaler():
        return GradScaler("cpu", init_scale=init_scale)

    clipper = AutoClip(percentile=50)
    trainer = make(GradientClipping(clipper), optimizer=optimizer, fp16=True, num_train_epochs=4)
    trainer.accelerator.native_amp, trainer.accelerator.scaler = True, scaler()
    trainer.train()
    assert plain.history(clipper).max() < 1000  # not multiplied by the scale
    assert clipper.skipped == 0
    overflown = init_scale > 2.0**20  # each overflow halves the scale, until steps come through
    assert (clipper.steps < 4 * plain.batches) == overflown
    expected = plain.run(
        AutoClip(percentile=50), optimizer, epochs=4, precision=torch.float16, scaler=scaler()
    )
    wanted = plain.history(expected.clipper)
    torch.testing.assert_close(plain.history(clipper), wanted, rtol=1e-6, atol=0)
    torch.testing.assert_close(plain.weights(trainer.model), expected.weights)


def test_a_scaler_and_an_optimizer_that_isnt_torchs(make, plain):
    """Its step can't do without gradients, and would have to where the Trainer holds it."""

    class Foreign(torch.optim.SGD):
        def step(self, closure=None):
            assert all(p.grad is not None for group in self.param_groups for p in group["params"])
            return super().step(closure)

    clipper = AutoClip()
    trainer = make(GradientClipping(clipper), fp16=True, bad_batch=3)
    trainer.optimizer = Foreign(trainer.model.parameters(), lr=0.01)
    trainer.accelerator.native_amp = True
    trainer.accelerator.scaler = GradScaler("cpu", enabled=False)  # which lets a NaN through
    trainer.train()
    assert (clipper.steps, clipper.skipped) == (2 * plain.batches, 2)
    assert torch.isfinite(plain.weights(trainer.model)).all()


def test_a_step_that_isnt_finite_is_skipped(make, plain, assert_same):
    seen = []

    class Watch(TrainerCallback):
        def on_step_end(self, args, state, control, optimizer, model, **kwargs):
            counts = {float(entry["step"]) for entry in optimizer.state.values()}
            seen.append((plain.weights(model), counts))

    clipper = AutoClip(percentile=50)
    trainer = make(GradientClipping(clipper), Watch(), bad_batch=5, num_train_epochs=1)
    trainer.train()
    assert torch.equal(seen[4][0], seen[5][0])
    assert seen[4][1] == seen[5][1] == {5.0}
    assert not torch.equal(seen[5][0], seen[6][0])
    assert clipper.skipped == 1
    assert len(plain.history(clipper)) == plain.batches - 1
    expected = plain.run(AutoClip(percentile=50), epochs=1, bad_batch=5)
    assert_same_run(plain, trainer, clipper, expected, assert_same)


def test_training_again_after_an_error_clips_once(make, plain):
    clipper = AutoClip(max_nonfinite=1)
    trainer = make(GradientClipping(clipper), bad_batch=5)
    with pytest.raises(NonFiniteGradients):
        trainer.train()
    trainer.train_dataset = [{"inputs": row} for row in plain.examples()]
    trainer.train()
    assert clipper.steps == 2 * plain.batches
    assert not trainer.optimizer.optimizer._optimizer_step_pre_hooks


def test_training_again_from_step_0_begins_anew(make, plain, assert_same):
    clipper = AutoClip(percentile=50)
    trainer = make(GradientClipping(clipper))
    trainer.train()
    state = clipper.state_dict()
    trainer.train()
    assert clipper.steps == state["steps"] == 2 * plain.batches
    assert clipper.state_dict()["history"] != state["history"]  # of weights further on


@pytest.mark.parametrize("after", [12, 17], ids=["epoch's end", "mid-epoch"])
def test_resume_is_exact(make, plain, assert_same, after):
    saving = {"save_strategy": "steps", "save_steps": after}
    make(GradientClipping(AutoClip(percentile=50)), max_steps=after, **saving).train()

    clipper = AutoClip(percentile=50)
    trainer = make(GradientClipping(clipper), **saving)
    trainer.train(resume_from_checkpoint=True)

    expected = plain.run(AutoClip(percentile=50))
    assert_same_run(plain, trainer, clipper, expected, assert_same)
    assert_same(trainer.optimizer.state_dict()["state"], expected.optimizer["state"])


def test_a_checkpoint_from_elsewhere_needs_its_state_loaded(make, plain, tmp_path, caplog):
    saving = {"save_strategy": "steps", "save_steps": 12}
    make(GradientClipping(AutoClip(percentile=50)), max_steps=12, **saving).train()
    elsewhere = tmp_path / "elsewhere"
    shutil.move(tmp_path / "run" / "checkpoint-12", elsewhere)

    forgetful = AutoClip(percentile=50)
    make(GradientClipping(forgetful)).train(resume_from_checkpoint=str(elsewhere))
    assert len(plain.history(forgetful)) == plain.batches
    assert "load_state_dict(torch.load(" in caplog.text

    caplog.clear()
    clipper = AutoClip(percentile=50)
    clipper.load_state_dict(torch.load(elsewhere / "clipping.pt", weights_only=True))
    make(GradientClipping(clipper)).train(resume_from_checkpoint=str(elsewhere))
    expected = plain.run(AutoClip(percentile=50)).clipper
    assert torch.equal(plain.history(clipper), plain.history(expected))
    assert not caplog.text


def test_the_trainers_own_clipping_is_refused(make):
    with pytest.raises(InputError, match=r"set TrainingArguments\(max_grad_norm=0\)"):
        make(GradientClipping(AutoClip()), max_grad_norm=1.0).train()
    assert TrainingArguments("nowhere").max_grad_norm == 1.0  # the default, which is on


def test_a_hyperparameter_search_is_refused(make):
    trainer = make(GradientClipping(AutoClip()))
    trainer.state.is_hyper_param_search = True
    with pytest.raises(InputError, match="needs a new one for every trial"):
        trainer.callback_handler.on_train_begin(trainer.args, trainer.state, trainer.control)


def test_what_limits_losses_or_isnt_a_clipper_is_refused():
    with pytest.raises(InputError, match="ALRC clips losses, which no callback sees"):
        GradientClipping(ALRC())
    with pytest.raises(InputError, match="not 1"):
        GradientClipping(1)


def test_transformers_isnt_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"clipping in a Trainer needs .* pip install transformer"):
        runpy.run_path(adapter.__file__)
