"""The sliced form against sigmoid and normalize, and its derivatives against numerical ones."""

import pytest
import torch
from torch.nn import functional

from autoclip_sep.models import _unit_sigmoid
from autoclip_sep.models._unit_sigmoid import unit_sigmoid


def plain(logits):
    return functional.normalize(logits.sigmoid(), dim=-1)


@pytest.fixture(params=[7, 2**13])
def logits(request, monkeypatch):
    """(2, 20, 5); in slices of 7 points, the last of 5, and all at once."""
    monkeypatch.setitem(_unit_sigmoid.POINTS_AT_ONCE, "cpu", request.param)
    generator = torch.Generator().manual_seed(0)
    return 3 * torch.randn(2, 20, 5, generator=generator)


def test_the_value_is_the_plain_forms(logits):
    expected = plain(logits)
    torch.testing.assert_close(unit_sigmoid(logits.requires_grad_()), expected)
    across = logits.detach().transpose(0, 1).requires_grad_()
    torch.testing.assert_close(unit_sigmoid(across), expected.transpose(0, 1))


def test_evaluation_and_training_have_the_same_bits():
    logits = torch.randn(3, 2**12, 20)  # a slice and a half
    assert unit_sigmoid(logits.clone().requires_grad_()).equal(unit_sigmoid(logits))


def test_the_gradient_is_the_plain_forms(logits):
    logits.requires_grad_()
    given = torch.randn(logits.shape, generator=torch.Generator().manual_seed(1))
    (expected,) = torch.autograd.grad(plain(logits), logits, given)
    for gradient in (given, given.transpose(0, 1).contiguous().transpose(0, 1)):
        (found,) = torch.autograd.grad(unit_sigmoid(logits), logits, gradient)
        torch.testing.assert_close(found, expected)


def test_derivatives_of_both_orders_are_the_numerical_ones(logits):
    precise = logits[:, :8].double().requires_grad_()
    assert torch.autograd.gradcheck(unit_sigmoid, precise)
    assert torch.autograd.gradgradcheck(unit_sigmoid, precise)


@pytest.mark.parametrize("value", [-200.0, -50.0, 50.0, 200.0])
def test_saturated_logits_have_finite_gradients(value):
    logits = torch.full((1, 3, 4), value, requires_grad=True)
    (unit_sigmoid(logits) * torch.arange(4.0)).sum().backward()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()


def test_not_a_number_stays_one_at_its_point():
    logits = torch.zeros(1, 3, 4)
    logits[0, 1, 2] = torch.nan
    unit = unit_sigmoid(logits.requires_grad_())
    assert unit.isnan().any(dim=-1).tolist() == [[False, True, False]]
    unit.sum().backward()
    assert logits.grad is not None
    assert logits.grad.isnan().any(dim=-1).tolist() == [[False, True, False]]


def test_no_points_give_none():
    logits = torch.zeros(1, 0, 4, requires_grad=True)
    unit_sigmoid(logits).sum().backward()
    assert logits.grad is not None
    assert logits.grad.shape == (1, 0, 4)
