"""A clipper attached under Accelerate takes the steps that the protocol takes by hand.

There is no adapter: `attach` before `prepare`, and `register_for_checkpointing`.
"""

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch.amp import GradScaler
from torch.utils.data import DataLoader

from autoclip_sep.clipping import AutoClip


@pytest.fixture(autouse=True)
def _fresh_state():
    """Accelerate keeps the precision of the first Accelerator for the whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def train(plain):
    """Trains the plain loop's network as Accelerate's documentation has it; returns its weights."""

    def train(
        clipper,
        optimizer="adamw",
        *,
        epochs=2,
        accumulate=1,
        bad_batch=None,
        precision="no",
        scaler=None,
        resume=None,
        save=None,
    ):
        accelerator = Accelerator(
            cpu=True, mixed_precision=precision, gradient_accumulation_steps=accumulate
        )
        if scaler is not None:  # Accelerate does this by itself, but not on a CPU
            accelerator.native_amp, accelerator.scaler = True, scaler
        model = plain.network()
        opt = plain.optimizers[optimizer](model.named_parameters())
        handle = clipper.attach(opt)
        loader = DataLoader(plain.examples(bad_batch), plain.batch_size)
        model, opt, loader = accelerator.prepare(model, opt, loader)
        accelerator.register_for_checkpointing(clipper)
        if resume:
            accelerator.load_state(resume)
        for _ in range(epochs):
            for batch in loader:
                with accelerator.accumulate(model):
                    accelerator.backward(plain.loss_of(model, batch))
                    opt.step()
                    opt.zero_grad()
        if save:
            accelerator.save_state(save)
        assert handle.last is not None
        return plain.weights(model)

    return train


@pytest.mark.parametrize("optimizer", ["adamw", "adamw-fused", "sgd"])
def test_a_run_equals_the_plain_loop(train, plain, assert_same, optimizer):
    clipper = AutoClip(percentile=50)
    weights = train(clipper, optimizer)
    expected = plain.run(AutoClip(percentile=50), optimizer)
    assert 0 < clipper.clipped < clipper.steps == 2 * plain.batches
    assert_same(clipper.state_dict(), expected.clipper.state_dict())
    assert torch.equal(weights, expected.weights)


def test_accumulated_batches_are_one_step(train, plain, assert_same):
    clipper = AutoClip(percentile=50)
    weights = train(clipper, accumulate=3)
    expected = plain.run(AutoClip(percentile=50), accumulate=3)
    assert clipper.steps == 2 * plain.batches // 3
    assert_same(clipper.state_dict(), expected.clipper.state_dict())
    assert torch.equal(weights, expected.weights)


def test_bfloat16(train, plain):
    clipper = AutoClip(percentile=50)
    weights = train(clipper, precision="bf16")
    expected = plain.run(AutoClip(percentile=50), precision=torch.bfloat16)
    wanted = plain.history(expected.clipper)
    torch.testing.assert_close(plain.history(clipper), wanted, rtol=1e-6, atol=0)
    torch.testing.assert_close(weights, expected.weights)


@pytest.mark.parametrize("optimizer", ["adamw", "adamw-fused"])
@pytest.mark.parametrize("init_scale", [2.0**10, 2.0**30])
def test_float16_with_a_scaler(train, plain, optimizer, init_scale):
    def scaler():
        return GradScaler("cpu", init_scale=init_scale)

    clipper = AutoClip(percentile=50)
    weights = train(clipper, optimizer, epochs=4, precision="fp16", scaler=scaler())
    expected = plain.run(
        AutoClip(percentile=50), optimizer, epochs=4, precision=torch.float16, scaler=scaler()
    )
    assert clipper.skipped == 0
    overflown = init_scale > 2.0**20  # each overflow halves the scale, until steps come through
    assert (clipper.steps < 4 * plain.batches) == overflown
    wanted = plain.history(expected.clipper)
    torch.testing.assert_close(plain.history(clipper), wanted, rtol=1e-6, atol=0)
    torch.testing.assert_close(weights, expected.weights)


def test_a_step_that_isnt_finite_is_skipped(train, plain, assert_same):
    clipper = AutoClip(percentile=50)
    weights = train(clipper, bad_batch=5)
    expected = plain.run(AutoClip(percentile=50), bad_batch=5)
    assert clipper.skipped == 2
    assert len(plain.history(clipper)) == 2 * plain.batches - 2
    assert_same(clipper.state_dict(), expected.clipper.state_dict())
    assert torch.equal(weights, expected.weights)
    assert torch.isfinite(weights).all()


def test_resume_is_exact(train, plain, tmp_path, assert_same):
    train(AutoClip(percentile=50), epochs=1, save=tmp_path / "half")
    clipper = AutoClip(percentile=50)
    weights = train(clipper, epochs=1, resume=tmp_path / "half")
    expected = plain.run(AutoClip(percentile=50))
    assert_same(clipper.state_dict(), expected.clipper.state_dict())
    assert torch.equal(weights, expected.weights)


def test_the_wrapped_optimizer_is_refused_and_the_one_inside_taken(plain):
    accelerator = Accelerator(cpu=True)
    model = plain.network()
    optimizer = accelerator.prepare(torch.optim.SGD(model.parameters(), lr=0.1))
    clipper = AutoClip()
    with pytest.raises(TypeError, match=r"AcceleratedOptimizer only wraps .* as its \.optimizer"):
        clipper.attach(optimizer)
    clipper.attach(optimizer.optimizer)
    plain.loss_of(model, plain.examples()[:4]).backward()
    optimizer.step()
    assert clipper.steps == 1


@pytest.mark.parametrize("foreign", [False, True])
def test_attached_after_prepare_has_taken_hold_of_the_step(plain, foreign):
    """For its scaler it does: such a step can't be left out, and torch's needn't be."""

    class Foreign(torch.optim.SGD):
        """Whose step might do anything without gradients."""

        def step(self, closure=None):
            return super().step(closure)

    accelerator = Accelerator(cpu=True)
    accelerator.native_amp, accelerator.scaler = True, GradScaler("cpu", init_scale=64.0)
    model, clipper = plain.network(), AutoClip()
    kind = Foreign if foreign else torch.optim.SGD
    optimizer = accelerator.prepare(kind(model.parameters(), lr=0.1, momentum=0.9))
    handle = clipper.attach(optimizer.optimizer, accelerator.scaler)
    for batch in range(4):
        accelerator.backward(plain.loss_of(model, plain.examples()[4 * batch : 4 * batch + 4]))
        if batch == 2:
            model[0].weight.grad[0, 0] = torch.inf
        before = plain.weights(model)
        if foreign:
            with pytest.raises(RuntimeError, match=r"wrapped before .* attach first"):
                optimizer.step()
            return
        optimizer.step()
        optimizer.zero_grad()
        assert torch.equal(plain.weights(model), before) == (batch == 2)
        assert bool(handle.last.finite) == (batch != 2)
        assert optimizer.step_was_skipped == (batch == 2)
    assert (clipper.steps, clipper.skipped) == (3, 0)
