"""One norm for gradients of every kind."""

from types import SimpleNamespace

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from autoclip_sep.clipping import ALRC, AutoClip, NoClipping, NormClipping, norms
from autoclip_sep.clipping.gradients import Gradients
from autoclip_sep.clipping.norms import anywhere, global_norm, tensor_norms


def with_gradient(gradient):
    parameter = nn.Parameter(torch.zeros(gradient.shape, dtype=gradient.dtype))
    parameter.grad = gradient
    return parameter


def test_half_precision_is_accumulated_in_float32():
    small = with_gradient(torch.full((100,), 3e4, dtype=torch.float16))
    large = with_gradient(torch.full((100,), 1e18, dtype=torch.bfloat16))
    small, large = tensor_norms(Gradients([small, large]))
    assert small.dtype == torch.float32
    assert small.item() == pytest.approx(3e5, rel=1e-4)  # above 65504, the end of float16
    assert large.item() == pytest.approx(1e19, rel=1e-2)


def test_mixed_types_keep_their_order_and_the_widest_precision():
    kinds = [torch.float32, torch.float64, torch.bfloat16, torch.float32, torch.float16]
    gradients = Gradients(
        [with_gradient(torch.full((1,), i + 1.0, dtype=d)) for i, d in enumerate(kinds)]
    )
    norms = tensor_norms(gradients)
    assert norms.dtype == torch.float64
    assert norms.tolist() == [1, 2, 3, 4, 5]


class WithoutFloat64(TorchDispatchMode):
    """Raises where an operation makes a float64 tensor on the device that has none."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        outcome = operation(*args, **(kwargs or {}))
        for leaf in tree_leaves(outcome):
            if isinstance(leaf, torch.Tensor) and leaf.device.type == "cuda":
                assert leaf.dtype != torch.float64, operation
        return outcome


@pytest.mark.parametrize(
    "make", [NoClipping, AutoClip, lambda: NormClipping(0.5), lambda: AutoClip(30, window=4)]
)
def test_no_float64_where_there_is_none(make, monkeypatch):
    """On a device that is only pretended: types and places are followed, numbers aren't there."""
    monkeypatch.setattr(norms, "WITHOUT_FLOAT64", ("cuda",))  # as Apple's is
    with FakeTensorMode(allow_non_fake_inputs=True):
        weight, clipper = nn.Parameter(torch.empty(3, device="cuda")), make()
        optimizer = torch.optim.Adam([weight], fused=True)
        clipper._nonfinite_on_device = SimpleNamespace(send=lambda count: None, latest=lambda: 0)
        for _ in range(5):
            weight.grad = torch.empty_like(weight)
            with WithoutFloat64():
                clipper.step(optimizer)
        alrc = ALRC(mean=2.0, mean_square=5.0, signed=True)
        with WithoutFloat64():
            alrc.clip_loss(torch.empty(4, device="cuda"))
            norms.norms_of([weight], norms.wide(weight.device))  # total_norm reads numbers
            with pytest.raises(AssertionError):
                weight.double()


def test_float64_keeps_its_digits():
    values = [torch.tensor([1.0, 1e-5], dtype=torch.float64), torch.tensor([12.0])]
    norms = tensor_norms(Gradients(map(with_gradient, values)))
    assert norms.tolist() == [(1 + 1e-10) ** 0.5, 12]  # 1 in float32
    assert global_norm(norms).item() == pytest.approx(145**0.5)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_and_small_ones_keep_their_order(dtype):
    torch.manual_seed(0)
    shapes = [(500, 300), (3,), (2, 2), (500, 301), (1,), (7, 100_000)]
    parameters = [with_gradient(torch.randn(shape, dtype=dtype)) for shape in shapes]
    parameters[3].grad = torch.randn(301, 500, dtype=dtype).T  # large, but not contiguous
    norms = tensor_norms(Gradients(parameters))
    wanted = [p.grad.double().norm().item() for p in parameters]
    assert norms.tolist() == pytest.approx(wanted, rel=1e-5)
    assert norms.dtype == dtype


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
@pytest.mark.parametrize("left_over", [0, 1, 15])
def test_nothing_is_left_out_of_a_large_gradient(dtype, left_over):
    gradient = torch.full((1_600_000 + left_over,), 0.125, dtype=dtype)
    gradient[-1] = 1000  # most of the norm is in the last element
    norms = tensor_norms(Gradients([with_gradient(gradient), with_gradient(gradient[-3:])]))
    wanted = [gradient.double().norm().item(), gradient[-3:].double().norm().item()]
    assert norms.tolist() == pytest.approx(wanted, rel=1e-5)


def test_long_runs_lose_no_digits():
    gradient = torch.full((3_000_000,), 0.1)
    norm = tensor_norms(Gradients([with_gradient(gradient)])).item()
    assert norm == pytest.approx(gradient.double().norm().item(), rel=1e-4)
    half = torch.full((3_000_000,), 0.125, dtype=torch.bfloat16)
    norm = tensor_norms(Gradients([with_gradient(half)])).item()
    assert norm == pytest.approx(0.125 * 3_000_000**0.5, rel=1e-4)


def test_the_number_of_threads_changes_nothing():
    gradient = torch.randn(1_000_003)
    before, found = torch.get_num_threads(), set()
    try:
        for threads in (1, 2, 3):
            torch.set_num_threads(threads)
            found.add(tensor_norms(Gradients([with_gradient(gradient)])).item())
    finally:
        torch.set_num_threads(before)
    assert len(found) == 1


def test_rows_that_occur_twice_in_a_sparse_gradient_are_summed_first():
    table = nn.Embedding(10, 3, sparse=True)
    table(torch.tensor([1, 1, 2])).sum().backward()
    assert not table.weight.grad.is_coalesced()
    gradients = Gradients(table.parameters())
    assert tensor_norms(gradients).item() == pytest.approx((3 * 4 + 3) ** 0.5)
    gradients.scale(0.5)
    dense = table.weight.grad.to_dense()
    assert dense[1].tolist() == [1, 1, 1]
    assert dense[2].tolist() == [0.5, 0.5, 0.5]


def test_complex_gradients_count_both_parts():
    parameter = with_gradient(torch.tensor([3 + 4j, 12j]))
    gradients = Gradients([parameter])
    assert tensor_norms(gradients).item() == 13
    gradients.scale(0.5)
    assert parameter.grad.tolist() == [1.5 + 2j, 6j]


def test_empty_gradients_are_skipped():
    assert len(Gradients([with_gradient(torch.zeros(0, 3))])) == 0


def test_each_gradient_can_have_its_own_factor():
    parameters = [with_gradient(torch.ones(2, dtype=d)) for d in (torch.float32, torch.float64)]
    parameters.append(with_gradient(torch.ones(3)))
    Gradients(parameters).scale_each([0.5, 0.25, 1.0])
    assert [p.grad[0].item() for p in parameters] == [0.5, 0.25, 1]


@pytest.mark.parametrize(
    "dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str
)
def test_factors_are_not_rounded_to_the_precision_of_the_gradients(dtype):
    raw, factor = torch.linspace(0.1, 3, 1000).to(dtype), 0.12345678901234567
    wanted = (raw.to(torch.promote_types(dtype, torch.float32)) * factor).to(dtype)
    together, apart = with_gradient(raw.clone()), with_gradient(raw.clone())
    Gradients([together]).scale(factor)
    Gradients([apart]).scale_each([factor])
    assert torch.equal(together.grad, wanted)
    assert torch.equal(apart.grad, wanted)


def test_a_flag_anywhere_is_found():
    gradients = Gradients([with_gradient(torch.ones(2)), with_gradient(torch.ones(3))])
    flags = [torch.tensor(False), torch.tensor(True)]
    assert anywhere(flags, gradients)
    assert not anywhere(flags[:1], gradients)
    assert not anywhere([], gradients)
