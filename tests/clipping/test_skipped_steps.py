"""A skipped step leaves weights and the optimizer's state as they were, to the bit."""

import importlib
import math
import weakref

import pytest
import torch
from torch import nn

from autoclip_sep.clipping import AutoClip
from tests.clipping import loops
from tests.clipping.loops import assert_same, backward, memory

TORCH = {
    "Adadelta": {},
    "Adafactor": {},
    "Adagrad": {},
    "Adam": {"amsgrad": True},
    "AdamW": {"capturable": False, "foreach": True},
    "Adamax": {},
    "ASGD": {},
    "Muon": {},
    "NAdam": {},
    "RAdam": {},
    "RMSprop": {"momentum": 0.9, "centered": True},
    "Rprop": {},
    "SGD": {"momentum": 0.9, "nesterov": True},
}
OTHERS = {
    "dadaptation.DAdaptAdaGrad": {},
    "dadaptation.DAdaptAdam": {},
    "dadaptation.DAdaptAdan": {},
    "dadaptation.DAdaptLion": {},
    "dadaptation.DAdaptSGD": {"momentum": 0.9},
    "prodigyopt.Prodigy": {},
    "schedulefree.AdamWScheduleFree": {"warmup_steps": 3},
    "schedulefree.RAdamScheduleFree": {},
    "schedulefree.SGDScheduleFree": {"lr": 0.1},
    "pytorch_optimizer.ADOPT": {},
    "pytorch_optimizer.Lion": {},
    "pytorch_optimizer.Prodigy": {},
    "pytorch_optimizer.Ranger21": {"num_iterations": 20},
    "pytorch_optimizer.SOAP": {},
    "pytorch_optimizer.ScheduleFreeAdamW": {},
}
KINDS = {f"torch.optim.{name}": settings for name, settings in TORCH.items()} | OTHERS


def network():
    """Of matrices alone, since Muon takes nothing else."""
    return loops.network(bias=False)


def make(name, parameters):
    package, _, kind = name.rpartition(".")
    if not package.startswith("torch."):
        pytest.importorskip(package)
    optimizer = getattr(importlib.import_module(package), kind)(parameters, **KINDS[name])
    if hasattr(optimizer, "train"):  # schedule-free
        optimizer.train()
    return optimizer


@pytest.mark.parametrize("bad", [0, 4], ids=["the first step", "a later step"])
@pytest.mark.parametrize("by", ["step()", "step(closure)"])
@pytest.mark.parametrize("name", KINDS)
def test_nothing_changes(name, by, bad):
    model, other, clipper = network(), network(), AutoClip(100)
    optimizer, twin = make(name, model.parameters()), make(name, other.parameters())
    handle, seen = clipper.attach(optimizer), []
    for step in range(6):

        def closure(model=model, optimizer=optimizer, step=step):
            optimizer.zero_grad()
            with torch.enable_grad():
                loss = backward(model, step, bad=step == bad and model is not other)
            seen.append(loss)
            return loss

        before = memory(model, optimizer)
        if by == "step()":
            closure()
            optimizer.step()
        else:
            assert optimizer.step(closure) is seen[-1]
        assert bool(handle.last.finite) == (step != bad)
        if step == bad:
            assert_same(memory(model, optimizer), before)
        else:  # the twin never had the bad batch
            closure(other, twin)
            twin.step()
    assert_same(memory(model, optimizer), memory(other, twin))
    assert (clipper.steps, clipper.skipped) == (6, 1)
    assert len(clipper.state_dict()["history"]) == 5


def test_every_optimizer_of_torch_is_among_them_or_refused():
    kinds = {
        name
        for name, kind in vars(torch.optim).items()
        if isinstance(kind, type) and issubclass(kind, torch.optim.Optimizer)
    }
    assert kinds - {"Optimizer", "LBFGS", "SparseAdam"} <= TORCH.keys()


def test_sparse_adam():
    table, clipper = nn.Embedding(9, 3, sparse=True), AutoClip()
    optimizer = torch.optim.SparseAdam(table.parameters())
    clipper.attach(optimizer)
    for step in range(4):
        table(torch.tensor([1, step, step])).square().sum().backward()
        before = memory(table, optimizer)
        if step == 2:
            table.weight.grad._values()[0] = math.inf
        optimizer.step()
        if step == 2:
            assert_same(memory(table, optimizer), before)
        optimizer.zero_grad()
    assert (clipper.steps, clipper.skipped) == (4, 1)


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("torch.optim.LBFGS", {}),
        ("schedulefree.AdamWScheduleFreeClosure", {}),
        ("pytorch_optimizer.BSAM", {"num_data": 6}),
    ],
)
def test_an_optimizer_that_moves_before_its_closure_is_refused(name, settings, monkeypatch):
    monkeypatch.setitem(KINDS, name, settings)
    model, clipper = network(), AutoClip()
    optimizer = make(name, model.parameters())
    clipper.attach(optimizer)

    def closure():
        optimizer.zero_grad()
        with torch.enable_grad():
            return backward(model)

    closure()  # BSAM wants gradients to begin with
    with pytest.raises(ValueError, match=r"moves the weights before it calls its closure"):
        optimizer.step(closure)


def test_a_closure_is_called_once_in_a_step():
    class Twice(torch.optim.SGD):
        def step(self, closure=None):
            closure()
            return super().step(closure)

    model = network()
    optimizer = Twice(model.parameters(), lr=0.1)
    AutoClip().attach(optimizer)
    with pytest.raises(ValueError, match="or calls it twice"):
        optimizer.step(lambda: backward(model))


@pytest.mark.parametrize("scheduler_first", [True, False])
def test_a_scheduler_may_come_before_or_after(scheduler_first, recwarn):
    model, clipper = network(), AutoClip()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    if scheduler_first:
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    before = vars(optimizer).copy()
    handle = clipper.attach(optimizer)
    if not scheduler_first:
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
    for step in range(4):
        backward(model, step, bad=step == 2)
        optimizer.step()
        schedule.step()
        optimizer.zero_grad()
    assert (clipper.steps, clipper.skipped) == (4, 1)
    handle.remove()
    backward(model, 4)
    optimizer.step()
    assert clipper.steps == 4
    if scheduler_first:  # as it was, to the last attribute
        assert vars(optimizer).keys() - before.keys() <= {"_opt_called"}
    clipper.attach(optimizer)
    optimizer.step()
    assert clipper.steps == 5
    assert not recwarn.list


def test_a_subclass_whose_step_calls_that_of_its_base():
    class Adam(torch.optim.Adam):
        def step(self, closure=None):
            return super().step(closure)

    torch.optim.Adam(network().parameters())  # from here on torch calls the hooks in both
    model, clipper = network(), AutoClip()
    optimizer = Adam(model.parameters())
    clipper.attach(optimizer)
    backward(model)
    optimizer.step()
    assert clipper.steps == 1


def test_a_compiled_step():
    model, other, clipper = network(), network(), AutoClip()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    twin = torch.optim.Adam(other.parameters(), lr=0.01)
    handle = clipper.attach(optimizer)
    step = torch.compile(optimizer.step, backend="eager")
    alone = AutoClip()
    for number in range(5):
        backward(model, number, bad=number == 3)
        backward(other, number)
        if number != 3:
            alone.clip_gradients(other.parameters())
            twin.step()
        step()
        assert bool(handle.last.finite) == (number != 3)
        optimizer.zero_grad()
        twin.zero_grad()
    assert (clipper.steps, clipper.skipped) == (5, 1)
    for one, counterpart in zip(model.parameters(), other.parameters(), strict=True):
        torch.testing.assert_close(one, counterpart)


@pytest.mark.parametrize("attach", [True, False])
def test_an_optimizer_goes_as_soon_as_nobody_holds_it(attach):
    optimizer = torch.optim.SGD(network().parameters(), lr=0.1)
    handle = AutoClip().attach(optimizer) if attach else None
    gone = weakref.ref(optimizer)
    del optimizer
    assert gone() is None
    del handle
