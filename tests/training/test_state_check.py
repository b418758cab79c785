"""Only a state that the run itself can have saved is loaded; anything else is one line."""

import copy
import math
import re
import subprocess
import sys
from collections import OrderedDict
from functools import partial

import pytest
import torch

from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.runs.saved_state import validated
from autoclip_sep.training import state_check
from tests.commands import ENVIRONMENT
from tests.training.small_runs import trainer


@pytest.fixture(scope="module")
def run(tmp_path_factory, tiny_store):
    directory = tmp_path_factory.mktemp("resume") / "run"
    trainer(directory, tiny_store, epochs=1, probe_points=0).fit()
    return directory


def places(value, path=()):
    """Paths to all leaves and containers of a state, and to the first element of each sequence."""
    yield path
    if isinstance(value, dict):
        for key in value:
            yield from places(value[key], (*path, key))
    elif isinstance(value, list | tuple) and value:
        yield from places(value[0], (*path, 0))


def put(state, path, new):
    """A copy of the state with a new value at the path; REMOVED deletes the entry."""
    if not path:
        return new
    key, *rest = path
    new = put(state[key], rest, new)
    kind, changed = type(state), dict(state) if isinstance(state, dict) else list(state)
    if new is REMOVED:
        del changed[key]
    else:
        changed[key] = new
    return kind(changed)


REMOVED, UNCHANGED = object(), object()


def of_floats(change):
    return lambda t: change(t) if t.is_floating_point() else UNCHANGED


ANY = {
    "removed": lambda _: REMOVED,
    "text": lambda _: "x" * 100,
    "nested list": lambda _: [[]],
    "other tensor": lambda _: torch.zeros(7, 7, 7),
    "complex": lambda _: torch.zeros(2, dtype=torch.complex64),
}
TENSORS = {
    "none": lambda _: None,
    "number": lambda _: 1.0,
    "parameter": lambda t: torch.nn.Parameter(t, requires_grad=False),
    "one more axis": lambda t: t.new_zeros((*t.shape, 2)),
    "other dtype": lambda t: t.to(torch.int16 if t.is_floating_point() else torch.float16),
    "other float": of_floats(lambda t: t.float() if t.dtype == torch.float64 else t.double()),
    "expanded": lambda t: t.new_zeros(1).expand(t.shape if t.numel() > 1 else (1000,)),
    "huge view": lambda t: t.new_zeros(1).expand(2**40),
    "sparse": lambda t: t.reshape(-1).to_sparse(),
    "nan": of_floats(lambda t: torch.full_like(t, math.nan) if t.numel() else UNCHANGED),
    "inf": of_floats(lambda t: torch.full_like(t, math.inf) if t.numel() else UNCHANGED),
    "negative": of_floats(lambda t: -t.abs() - 1 if t.numel() else UNCHANGED),
    "transposed": lambda t: t.T.contiguous().T if t.squeeze().ndim == 2 else UNCHANGED,
}
NUMBERS = {
    "none": lambda _: None,
    "nan": lambda _: math.nan,
    "minus inf": lambda _: -math.inf,
    "negative": lambda _: -5,
    "beyond 64 bits": lambda _: 2**64,
    "beyond float": lambda _: 10**400,
    "tensor": lambda v: torch.tensor(float(v)),
    "in a list": lambda v: [v],
}


def over_its_methods(mapping):
    mapping = OrderedDict(mapping)
    mapping.keys = mapping.items = mapping.get = None  # attributes, which a pickle keeps
    return mapping


DICTS = {
    "none": lambda _: None,
    "more": lambda d: {**d, 99: {}},
    "empty": lambda _: {},
    "attributes": over_its_methods,
}
ROWS = {"none": lambda _: None, "more": lambda r: type(r)([*r, 1]), "empty": lambda r: type(r)()}


def may_be_right(path, name):
    """Whether it may have been saved by a run, or is harmless."""
    if path[:1] == ("environment",) or path[-1:] == ("cuda",):
        return name in ("removed", "more", "empty", "text", "negative", "beyond 64 bits", "nan")
    if name == "negative":
        signed = path[:1] == ("model",) or path[-1:] in {("exp_avg",), ("best",), ("loss",)}
        return signed and path[-1:] != ("running_var",)
    if path[:2] in {("clipper", "history"), ("spikes", "norms")}:  # others may have come in
        return (
            name in ("more", "empty") if path[2:] == () else name in ("removed", "beyond 64 bits")
        )
    unused = path[:2] == ("optimizer", "state")  # a parameter without a gradient has no entry
    group = ("optimizer", "param_groups", 0)
    as_built = path[:3] == group and len(path) == 4
    return (
        name == "removed" and (path == ("spikes",) or as_built or (unused and len(path) == 3))
    ) or (name == "empty" and path in (("optimizer", "state"), group))


def mutations(state):
    """A description of each change, and the changed state."""
    for path in places(state):
        if path[:1] == ("model",) and path[-1].startswith("blstm.layers."):
            continue  # weights like others
        value = state
        for key in path:
            value = value[key]
        kinds = {torch.Tensor: TENSORS, bool: {}, int: NUMBERS, float: NUMBERS, dict: DICTS,
                 list: ROWS, tuple: ROWS}  # fmt: skip
        changes = next((kinds[kind] for kind in kinds if isinstance(value, kind)), {})
        for name, change in {**ANY, **changes}.items():
            if may_be_right(path, name) or (not path and name == "removed"):
                continue
            new = change(value)
            if new is not UNCHANGED:
                yield f"{'.'.join(map(str, path))}: {name}", put(state, path, new)


def test_every_misshapen_state_is_refused_before_anything_is_loaded(run, tiny_store, assert_same):
    saved, _ = CheckpointFolder(run / "checkpoints").newest("last")
    own = trainer(run, tiny_store, epochs=1)
    parts = own.parts
    like = own.saved.state([])
    objects = (parts.model, parts.optimizer, parts.clipper)
    state_check.check(saved, like, *objects)
    before = copy.deepcopy(like)
    tried, accepted, odd = 0, [], []
    for what, state in mutations(saved):
        tried += 1
        try:
            state_check.check(state, like, *objects)
        except ValueError as error:
            odd += [f"{what}: {error}"] if len(str(error)) > 300 else []
        except Exception as error:
            odd.append(f"{what}: {error!r}")
        else:
            accepted.append(what)
    assert (accepted, odd) == ([], [])
    assert tried > 600
    assert_same(like, before)


def test_a_state_repeated_many_times_is_refused(run):
    saved, _ = CheckpointFolder(run / "checkpoints").newest("last")
    (state,) = saved["random"]
    state_check._random(
        [{**state, "cuda": [torch.zeros(16, dtype=torch.uint8)]}, copy.deepcopy(state)]
    )
    one = torch.zeros(2**20, dtype=torch.uint8)
    for many in (
        [state] * 10_000,
        [{"cpu": state["cpu"][:], "cuda": []} for _ in range(10_000)],
        [{**state, "cuda": [one] * 10_000}],
        [{**state, "cuda": [one[n:] for n in range(10_000)]}],
    ):
        with pytest.raises(ValueError, match="one state several times"):
            state_check._random(many)


SCHEDULES = {
    "plateau": lambda o: torch.optim.lr_scheduler.ReduceLROnPlateau(o, factor=0.5, patience=0),
    "cosine": lambda o: torch.optim.lr_scheduler.CosineAnnealingLR(o, 5),
    "restarts": lambda o: torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(o, 2),
    "steps": lambda o: torch.optim.lr_scheduler.StepLR(o, 2),
    "milestones": lambda o: torch.optim.lr_scheduler.MultiStepLR(o, [1, 3]),
    "exponential": lambda o: torch.optim.lr_scheduler.ExponentialLR(o, 0.9),
    "linear": lambda o: torch.optim.lr_scheduler.LinearLR(o, 0.1),
    "constant": lambda o: torch.optim.lr_scheduler.ConstantLR(o, 1.0, 0),
    "polynomial": lambda o: torch.optim.lr_scheduler.PolynomialLR(o, 5),
    "one cycle": lambda o: torch.optim.lr_scheduler.OneCycleLR(o, 0.5, 9, cycle_momentum=False),
    "in a row": lambda o: torch.optim.lr_scheduler.SequentialLR(
        o, [SCHEDULES[kind](o) for kind in ("linear", "cosine")], [2]
    ),
    "chained": lambda o: torch.optim.lr_scheduler.ChainedScheduler(
        [SCHEDULES[kind](o) for kind in ("linear", "cosine")], o
    ),
}


@pytest.mark.parametrize("kind", SCHEDULES)
def test_schedules_go_on_from_their_own_state(kind):
    def built():
        optimizer = torch.optim.SGD([torch.nn.Parameter(torch.ones(3))], lr=0.1)
        return SCHEDULES[kind](optimizer)

    schedule = built()
    for loss in (1.0, 2.0, 3.0):
        schedule.optimizer.step()
        schedule.step(*[loss][: kind == "plateau"])
    saved, own = schedule.state_dict(), built().state_dict()
    assert validated(saved, own, "scheduler", moving=state_check.MOVING) == saved


OPTIMIZERS = {
    "adam": partial(torch.optim.Adam, lr=0.1, fused=True),
    "adamw": partial(torch.optim.AdamW, lr=0.1, fused=True),
    "sgd": partial(torch.optim.SGD, lr=0.1, fused=True),
    "momentum": partial(torch.optim.SGD, lr=0.1, momentum=0.9, fused=True),
    "rmsprop": partial(torch.optim.RMSprop, lr=0.1),
    "amsgrad": lambda p: torch.optim.Adam(p, lr=0.1, amsgrad=True),
    "capturable": lambda p: torch.optim.Adam(p, lr=torch.tensor(0.1), foreach=False),
    "centered": lambda p: torch.optim.RMSprop(p, lr=0.1, centered=True, momentum=0.9),
    **{
        name: partial(getattr(torch.optim, name), lr=0.1)
        for name in "Adadelta Adafactor Adagrad Adamax ASGD NAdam RAdam Rprop".split()
    },
}


@pytest.mark.parametrize("kind", OPTIMIZERS)
def test_optimizers_go_on_from_their_own_state(kind, assert_same):
    def built():
        torch.manual_seed(1)
        layers = torch.nn.Linear(3, 4), torch.nn.Linear(4, 2)
        return layers, OPTIMIZERS[kind]([p for layer in layers for p in layer.parameters()])

    (first, second), optimizer = built()
    for n in range(3):
        hidden = first(torch.randn(5, 3))
        # The second layer joins late, which torch's fused momentum doesn't support.
        late = n < 2 and kind != "momentum"
        (hidden if late else second(hidden)).square().mean().backward()
        optimizer.step()
        optimizer.zero_grad()
        saved = optimizer.state_dict()
        copied = state_check._optimizer(saved, built()[1])
        assert_same(copied, {key: saved[key] for key in copied})
    for place, entries in copied["state"].items():
        for name, value in entries.items():
            if torch.is_tensor(value):
                assert value.data_ptr() != saved["state"][place][name].data_ptr()


SHARED_MOMENTS = """
import pathlib, shutil, sys, torch
from autoclip_sep.data.store.reading import Store
from autoclip_sep.errors import InputError
from autoclip_sep.runs.checkpoint import CheckpointFolder
from tests.training.small_runs import trainer

run, place, store = *map(pathlib.Path, sys.argv[1:3]), Store(sys.argv[3])
for number, change in enumerate(sys.argv[4:]):
    folder = shutil.copytree(run, place / str(number))
    checkpoints = CheckpointFolder(folder / "checkpoints")
    state, _ = checkpoints.newest("last")
    entries = next(iter(state["optimizer"]["state"].values()))
    entries["exp_avg"] = eval(change)
    checkpoints.save("last", 4, 1, state)
    try:
        trainer(folder, store, epochs=3, probe_points=0).fit()
        print("# trained")
    except InputError as error:
        print("#", "refused" if "exp_avg has shape" in str(error) else error)
"""
EXPECTED = {
    "torch.zeros(())": "# refused",
    "torch.zeros(1)": "# refused",
    "torch.zeros(1).expand(entries['exp_avg'].shape)": "# refused",
    "entries['exp_avg_sq']": "# trained",  # of the right form; the copies share no memory
}


def test_moments_without_memory_of_their_own_reach_no_kernel(run, tiny_store, tmp_path):
    """At worst fused Adam writes past their end, which kills a process without a message."""
    call = [sys.executable, "-c", SHARED_MOMENTS, run, tmp_path, tiny_store.folder, *EXPECTED]
    done = subprocess.run(
        call, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stderr
    assert re.findall("^# .*", done.stdout, re.MULTILINE) == [*EXPECTED.values()]
