"""A clipper attached under Ignite takes the steps that the protocol takes by hand.

There is no adapter: `attach`, and the clipper among what Ignite's Checkpoint is to save.
"""

from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Events, create_supervised_trainer
from ignite.handlers import Checkpoint, DiskSaver
from torch.amp import GradScaler

from autoclip_sep.clipping import AutoClip


@pytest.fixture
def setting(plain):
    """A network with its optimizer, its clipper attached, and Ignite's trainer for them."""

    def setting(optimizer="adamw", **settings):
        model, clipper = plain.network(), AutoClip(percentile=50)
        opt = plain.optimizers[optimizer](model.named_parameters())
        trainer = create_supervised_trainer(
            model,
            opt,
            lambda estimate, target: (estimate - target).square().mean(),
            **settings,
        )
        clipper.attach(opt)
        return SimpleNamespace(model=model, optimizer=opt, clipper=clipper, trainer=trainer)

    return setting


@pytest.fixture
def batches(plain):
    def batches(bad_batch=None):
        inputs = plain.examples(bad_batch).split(plain.batch_size)
        return [(batch, torch.tensor(3.0)) for batch in inputs]

    return batches


def assert_same_run(plain, found, expected, assert_same):
    assert_same(found.clipper.state_dict(), expected.clipper.state_dict())
    assert torch.equal(plain.weights(found.model), expected.weights)


@pytest.mark.parametrize("optimizer", ["adamw", "adamw-fused", "sgd"])
def test_a_run_equals_the_plain_loop(setting, batches, plain, assert_same, optimizer):
    found = setting(optimizer)
    found.trainer.run(batches(), max_epochs=2)
    assert 0 < found.clipper.clipped < found.clipper.steps == 2 * plain.batches
    assert_same_run(plain, found, plain.run(AutoClip(percentile=50), optimizer), assert_same)


def test_accumulated_batches_are_one_step(setting, batches, plain, assert_same):
    found = setting(gradient_accumulation_steps=3)
    found.trainer.run(batches(), max_epochs=2)
    assert found.clipper.steps == 2 * plain.batches // 3
    assert_same_run(plain, found, plain.run(AutoClip(percentile=50), accumulate=3), assert_same)


# Ignite casts on a GPU only; the scaler works everywhere.
@pytest.mark.filterwarnings("ignore:CUDA is not available")
@pytest.mark.parametrize("optimizer", ["adamw", "adamw-fused"])
def test_with_a_scaler(setting, batches, plain, assert_same, optimizer):
    def scaler():
        return GradScaler("cpu", init_scale=2.0**127)  # overflows until it has been halved

    found = setting(optimizer, amp_mode="amp", scaler=scaler())
    found.trainer.run(batches(), max_epochs=2)
    assert 1 < found.clipper.steps < 2 * plain.batches
    assert found.clipper.skipped == 0
    expected = plain.run(AutoClip(percentile=50), optimizer, scaler=scaler())
    assert_same_run(plain, found, expected, assert_same)


def test_a_step_that_isnt_finite_is_skipped(setting, batches, plain, assert_same):
    found = setting()
    found.trainer.run(batches(bad_batch=5), max_epochs=2)
    assert found.clipper.skipped == 2
    expected = plain.run(AutoClip(percentile=50), bad_batch=5)
    assert_same_run(plain, found, expected, assert_same)
    assert torch.isfinite(plain.weights(found.model)).all()


def test_resume_is_exact(setting, batches, plain, tmp_path, assert_same):
    def to_save(one):
        return vars(one)  # model, optimizer, clipper, trainer

    first = setting()
    first.trainer.add_event_handler(
        Events.EPOCH_COMPLETED(once=1),
        Checkpoint(to_save(first), DiskSaver(tmp_path), filename_pattern="half.pt"),
    )
    first.trainer.run(batches(), max_epochs=2)

    second = setting()
    checkpoint = torch.load(tmp_path / "half.pt", weights_only=True)
    Checkpoint.load_objects(to_save(second), checkpoint)
    second.trainer.run(batches(), max_epochs=2)

    expected = plain.run(AutoClip(percentile=50))
    assert_same_run(plain, second, expected, assert_same)
    assert_same(second.optimizer.state_dict()["state"], expected.optimizer["state"])
