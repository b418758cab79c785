"""The callback under Hugging Face's Trainer, beside the steps that test_contract.py compares."""

import runpy
import shutil
import sys

import pytest
import torch
from torch.amp import GradScaler
from transformers import TrainingArguments

from autoclip_sep.clipping import ALRC, AutoClip, NonFiniteGradients
from autoclip_sep.errors import InputError
from autoclip_sep.interop import transformers as adapter
from autoclip_sep.interop.transformers import GradientClipping
from tests.interop import plain
from tests.interop.frameworks import (
    dataset,
    give_scaler,
    hugging_face_trainer,
    in_transformers,
    train,
)


@pytest.fixture
def make(tmp_path):
    def make(clipper, **settings):
        return hugging_face_trainer(tmp_path, GradientClipping(clipper), **settings)

    return make


def test_the_optimizer_that_the_trainer_makes_is_clipped(make):
    clipper = AutoClip()
    trainer = make(clipper, num_train_epochs=1)
    trainer.optimizer = None
    trainer.train()
    assert clipper.steps == plain.BATCHES


def test_a_scaler_and_an_optimizer_that_isnt_torchs(make):
    """Its step can't do without gradients, and would have to where the Trainer holds it."""

    class Foreign(torch.optim.SGD):
        def step(self, closure=None):
            assert all(p.grad is not None for group in self.param_groups for p in group["params"])
            return super().step(closure)

    clipper = AutoClip()
    trainer = make(clipper, fp16=True, bad_batch=3)
    trainer.optimizer = Foreign(trainer.model.parameters(), lr=0.01)
    give_scaler(trainer.accelerator, GradScaler("cpu", enabled=False))  # which lets a NaN through
    trainer.train()
    assert (clipper.steps, clipper.skipped) == (2 * plain.BATCHES, 2)
    assert torch.isfinite(plain.weights(trainer.model)).all()


def test_training_again_after_an_error_clips_once(make):
    clipper = AutoClip(max_nonfinite=1)
    trainer = make(clipper, bad_batch=5)
    with pytest.raises(NonFiniteGradients):
        trainer.train()
    trainer.train_dataset = dataset()
    trainer.train()
    assert clipper.steps == 2 * plain.BATCHES
    assert not trainer.optimizer.optimizer._optimizer_step_pre_hooks


def test_training_again_from_step_0_begins_anew(make):
    clipper = AutoClip(percentile=50)
    trainer = make(clipper)
    trainer.train()
    state = clipper.state_dict()
    trainer.train()
    assert clipper.steps == state["steps"] == 2 * plain.BATCHES
    assert clipper.state_dict()["history"] != state["history"]  # of weights further on


def test_a_checkpoint_from_elsewhere_needs_its_state_loaded(make, tmp_path, caplog):
    train(in_transformers, AutoClip(percentile=50), tmp_path, until=12)
    elsewhere = tmp_path / "elsewhere"
    shutil.move(tmp_path / "run" / "checkpoint-12", elsewhere)

    forgetful = AutoClip(percentile=50)
    make(forgetful).train(resume_from_checkpoint=str(elsewhere))
    assert len(forgetful.history) == plain.BATCHES
    assert "load_state_dict(torch.load(" in caplog.text

    caplog.clear()
    clipper = AutoClip(percentile=50)
    clipper.load_state_dict(torch.load(elsewhere / "clipping.pt", weights_only=True))
    make(clipper).train(resume_from_checkpoint=str(elsewhere))
    assert torch.equal(clipper.history, plain.run(AutoClip(percentile=50)).clipper.history)
    assert not caplog.text


def test_the_trainers_own_clipping_is_refused(make):
    with pytest.raises(InputError, match=r"set TrainingArguments\(max_grad_norm=0\)"):
        make(AutoClip(), max_grad_norm=1.0).train()
    assert TrainingArguments("nowhere").max_grad_norm == 1.0  # the default, which is on


def test_a_hyperparameter_search_is_refused(make):
    trainer = make(AutoClip())
    trainer.state.is_hyper_param_search = True
    with pytest.raises(InputError, match="needs a new one for every trial"):
        trainer.callback_handler.on_train_begin(trainer.args, trainer.state, trainer.control)


def test_what_clips_losses_or_isnt_a_clipper_is_refused():
    with pytest.raises(InputError, match="ALRC clips losses, which no callback sees"):
        GradientClipping(ALRC())
    with pytest.raises(InputError, match="not 1"):
        GradientClipping(1)


def test_transformers_isnt_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "transformers", None)
    with pytest.raises(ValueError, match=r"clipping in a Trainer needs .* pip install transformer"):
        runpy.run_path(adapter.__file__)
