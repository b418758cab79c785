"""A clipper attached before or after `prepare`; that its steps are right is in test_contract.py."""

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from torch.amp import GradScaler

from autoclip_sep.clipping import AutoClip
from tests.interop import plain
from tests.interop.frameworks import give_scaler


@pytest.fixture
def accelerator():
    """Accelerate keeps the precision of the first Accelerator for the whole process."""
    AcceleratorState._reset_state(reset_partial_state=True)
    yield Accelerator(cpu=True)
    AcceleratorState._reset_state(reset_partial_state=True)


def test_the_wrapped_optimizer_is_refused_and_the_one_inside_taken(accelerator):
    model, clipper = plain.network(), AutoClip()
    optimizer = accelerator.prepare(torch.optim.SGD(model.parameters(), lr=0.1))
    with pytest.raises(TypeError, match=r"AcceleratedOptimizer only wraps .* as its \.optimizer"):
        clipper.attach(optimizer)
    clipper.attach(optimizer.optimizer)
    plain.loss_of(model, plain.examples()[:4]).backward()
    optimizer.step()
    assert clipper.steps == 1


class Foreign(torch.optim.SGD):
    """Whose step might do anything without gradients."""

    def step(self, closure=None):
        return super().step(closure)


@pytest.mark.parametrize("kind", [torch.optim.SGD, Foreign])
def test_attached_after_prepare_has_taken_hold_of_the_step(accelerator, kind):
    """For its scaler it does: such a step can't be skipped, and torch's needn't be."""
    give_scaler(accelerator, GradScaler("cpu", init_scale=64.0))
    model, clipper = plain.network(), AutoClip()
    optimizer = accelerator.prepare(kind(model.parameters(), lr=0.1, momentum=0.9))
    handle = clipper.attach(optimizer.optimizer, accelerator.scaler)
    for number, batch in enumerate(plain.batches()[:4]):
        accelerator.backward(plain.loss_of(model, batch))
        if number == 2:
            model[0].weight.grad[0, 0] = torch.inf
        before = plain.weights(model)
        if kind is Foreign:
            with pytest.raises(RuntimeError, match=r"wrapped before .* attach first"):
                optimizer.step()
            return
        optimizer.step()
        optimizer.zero_grad()
        assert torch.equal(plain.weights(model), before) == (number == 2)
        assert bool(handle.last.finite) == (number != 2)
        assert optimizer.step_was_skipped == (number == 2)
    assert (clipper.steps, clipper.skipped) == (3, 0)
