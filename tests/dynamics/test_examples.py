"""In somebody else's loop: the docstrings' examples, and the recorder with an attached clipper."""

import inspect
import math
import textwrap

import pytest
import torch
from torch import nn

from autoclip_sep import dynamics
from autoclip_sep.clipping import AutoClip, NormClipping
from autoclip_sep.dynamics import COLUMNS, Recorder, Spikes
from autoclip_sep.runs import records
from autoclip_sep.runs.records import Records


@pytest.fixture
def run(tmp_path, monkeypatch):
    """The example of a docstring, up to the words that follow it, in a folder of its own."""
    monkeypatch.chdir(tmp_path)

    def run_example(documented, until):
        example = inspect.getdoc(documented).split("::\n", 1)[1].split(f"\n{until}", 1)[0]
        known = vars(dynamics) | {"torch": torch, "nn": nn, "AutoClip": AutoClip}
        exec(textwrap.dedent(example), {**known, "Records": Records})

    return run_example


def test_the_recorders_example_records(run):
    run(Recorder, until="With a clipper")
    rows = records.read("dynamics.csv")
    assert [int(row["step"]) for row in rows] == [20, 40, 60, 80, 100]
    for row in rows:  # plain SGD: a step is the learning rate times the gradient
        expected = 0.1 * float(row["grad_norm"])
        assert math.isclose(float(row["step_norm"]), expected, rel_tol=1e-3)
        assert float(row["smoothness"]) > 0
        assert math.isnan(float(row["threshold"]))
    assert float(rows[-1]["loss"]) < float(rows[0]["loss"])


def test_the_example_of_spikes_names_the_loud_recording(run):
    run(Spikes, until="A norm is one")
    rows = records.read("spikes.csv")
    assert [row["item"] for row in rows] == [f"250.{n}" for n in range(16)]
    assert {int(row["step"]) for row in rows} == {250}
    assert max(rows, key=lambda row: float(row["loss"]))["item"] == "250.3"
    assert float(rows[0]["grad_norm"]) > 1e4 * float(rows[0]["median_norm"])


@pytest.mark.parametrize("scaled", [False, True])
def test_an_attached_clipper_hands_its_result_over_after_the_step(tmp_path, scaled):
    model = nn.Linear(3, 1, bias=False)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    scaler = torch.amp.GradScaler("cpu", init_scale=64.0, enabled=scaled)
    handle = NormClipping(0.125).attach(optimizer, scaler)
    recorder = Recorder(model, optimizer, Records(tmp_path / "d.csv", COLUMNS), every=1)
    for _ in range(4):
        x = torch.randn(5, 3)

        def loss_of(x=x):
            return (3 * model(x) - 7).square().mean()

        with recorder.step(closure=loss_of) as probe:
            loss = loss_of()
            scaler.scale(loss).backward()
            scaler.unscale_(optimizer)
            norm = float(model.weight.grad.norm())
            probe.observe(loss)
            scaler.step(optimizer)
            scaler.update()
            probe.clip = handle.last
        optimizer.zero_grad()
        row = recorder.last
        assert norm > 1
        assert math.isclose(row["grad_norm"], norm, rel_tol=1e-5)
        assert row["threshold"] == 0.125
        assert math.isclose(row["scale"], 0.125 / norm, rel_tol=1e-5)
        assert math.isclose(row["step_norm"], 0.5 * 0.125, rel_tol=1e-5)
        # a quadratic's gradient changes by its curvature along the step
        steepest = torch.linalg.eigvalsh(18 * x.T @ x / 5)[-1]
        assert 0 < row["smoothness"] <= float(steepest) * (1 + 1e-4)
