"""How often the host waits for the device in a step: once when clipping, never in a fused step."""

import math
import warnings
from contextlib import nullcontext

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from autoclip_sep.clipping import AutoClip, Clip, NormClipping, ValueClipping
from autoclip_sep.clipping.result import describe
from tests.clipping.loops import backward, network

FOLDED = {
    "norm": lambda: NormClipping(0.5),
    "autoclip": AutoClip,
    "shadow": lambda: AutoClip(None),
    "window": lambda: AutoClip(30, window=4, warmup=6),
}
STEPS = 70  # past the first doubling of the history
WAITS = ("_local_scalar_dense", "nonzero", "masked_select")
READS = {"tolist", "item", "cpu", "numpy", "nonzero", "equal", "allclose", "masked_select"}
READS |= {f"__{kind}__" for kind in ("bool", "int", "float", "index", "complex")}
NEEDS_CUDA = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")


class Reads(TorchFunctionMode):
    """Counts what is asked of tensors that a device would have to finish its work for."""

    count = 0

    def __torch_function__(self, function, types, args=(), kwargs=None):
        self.count += getattr(function, "__name__", "") in READS
        return function(*args, **(kwargs or {}))


class NoReads(TorchDispatchMode):
    """Raises where an operation would have the host wait for the device."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        if any(name in str(operation) for name in WAITS):
            raise AssertionError(f"{operation} waits for the device")
        return operation(*args, **(kwargs or {}))


class AllOnDevice(TorchDispatchMode):
    """Raises where an operation takes or gives a tensor that isn't on the device."""

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        outcome = operation(*args, **(kwargs or {}))
        for leaf in tree_leaves((args, kwargs, outcome)):
            if isinstance(leaf, torch.Tensor) and leaf.device.type != "cuda":
                raise AssertionError(f"{operation} of a tensor on {leaf.device}")
        return outcome


class SilentWatch:
    """The count that arrives on the host later never does."""

    def send(self, count):
        pass

    def latest(self):
        return 0


def reads_of_clipping(clipper):
    """The number of reads in each of thirty steps, the tenth of which isn't finite."""
    model, counts = network(), []
    for step in range(30):
        model.zero_grad()
        backward(model, step, bad=step == 10, clip_loss=clipper.clip_loss)
        with Reads() as reads:
            clipper.clip_gradients(model.named_parameters())
        counts.append(reads.count)
    return counts


def test_clipping_gradients_reads_once(make_gradient_clipper):
    assert reads_of_clipping(make_gradient_clipper()) == [1] * 30


def test_a_clipper_of_losses_reads_their_sign_too(make_loss_clipper):
    assert max(reads_of_clipping(make_loss_clipper())) <= 2


def test_the_count_above_sees_every_read():
    value = torch.tensor([2.0])
    with Reads() as reads:
        value.tolist(), value.item(), value.cpu(), value.numpy(), value.nonzero(), math.sqrt(value)
        bool(value), int(value), float(value), torch.equal(value, value)
        _ = value + 1
    assert reads.count == 10


@pytest.mark.parametrize("finite", [True, False])
def test_whether_a_clipped_step_was_finite_is_known_on_the_host(finite):
    result = describe(torch.empty((), device="meta"), Clip(), finite=finite)
    assert bool(result.finite) is finite
    assert all(value.device.type == "meta" for value in result[:4])


@pytest.mark.parametrize("name", FOLDED)
def test_a_fused_step_reads_nothing(name):
    model, clipper = network(), FOLDED[name]()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    for step in range(STEPS):
        backward(model, step, bad=step == 30)
        with NoReads():
            clipper.step(optimizer)
        optimizer.zero_grad()
    assert clipper.skipped == 1


@pytest.mark.parametrize("name", FOLDED)
def test_nothing_in_a_fused_step_leaves_the_device_or_comes_to_it(name):
    """On a device that is only pretended: shapes and places are followed, numbers aren't there."""
    with FakeTensorMode():
        model = nn.Linear(5, 8, device="cuda")
        optimizer, clipper = torch.optim.Adam(model.parameters(), fused=True), FOLDED[name]()
        clipper._nonfinite_on_device = SilentWatch()
        for step in range(STEPS):
            for parameter in model.parameters():
                parameter.grad = torch.empty_like(parameter)
            with AllOnDevice() if step > 0 else nullcontext():  # the first step sets things up
                clipper.step(optimizer)


def test_the_guards_above_see_what_they_look_for():
    with NoReads(), pytest.raises(AssertionError, match="waits for the device"):
        bool(torch.tensor(True))
    with FakeTensorMode():
        there, here = torch.ones(2, device="cuda"), torch.ones(2)
        for move in (there.cpu, here.cuda, there.tolist, there.sum().item, there.nonzero):
            with AllOnDevice(), pytest.raises((AssertionError, RuntimeError)):
                move()
        model = nn.Linear(5, 8, device="cuda")
        for parameter in model.parameters():
            parameter.grad = torch.empty_like(parameter)
        with AllOnDevice(), pytest.raises(DataDependentOutputException):
            AutoClip().clip_gradients(model.parameters())


@NEEDS_CUDA
@pytest.mark.parametrize("name", FOLDED)
def test_cuda_never_synchronises_in_a_fused_step(name):
    model, clipper = network().cuda(), FOLDED[name]()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01, fused=True)
    for step in range(STEPS):
        backward(model, step, bad=step == 30)
        if step > 0:  # the first step sets things up
            torch.cuda.set_sync_debug_mode("error")
        try:
            clipper.step(optimizer)
        finally:
            torch.cuda.set_sync_debug_mode("default")
        optimizer.zero_grad()
    assert clipper.skipped == 1


@NEEDS_CUDA
@pytest.mark.parametrize("make", [AutoClip, NormClipping, ValueClipping])
def test_cuda_synchronises_once_when_clipping(make):
    model, clipper = network().cuda(), make()
    for step in range(10):
        model.zero_grad()
        backward(model, step)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            torch.cuda.set_sync_debug_mode("warn")
            try:
                finite = bool(clipper.clip_gradients(model.parameters()).finite)
            finally:
                torch.cuda.set_sync_debug_mode("default")
        assert finite
        assert len([w for w in caught if "synchronizing" in str(w.message)]) == 1
