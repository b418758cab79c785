import math

import pytest
import torch
from torch import nn

from autoclip_sep.clipping import ALRC, AutoClip, NoClipping, NormClipping
from autoclip_sep.dynamics import COLUMNS, Recorder
from autoclip_sep.runs import records
from autoclip_sep.runs.records import Records


def network():
    """With everything that could betray a probe: dropout, BatchNorm, two layers."""
    torch.manual_seed(7)
    return nn.Sequential(
        nn.Linear(6, 16), nn.BatchNorm1d(16), nn.Dropout(0.4), nn.Tanh(), nn.Linear(16, 3)
    )


def train(tmp_path, clipper, *, steps=23, every=5, points=1, lr=0.05, recording=True, bad=()):
    """A real loop; returns the model and the recorded rows."""
    model = network()
    optimizer = torch.optim.Adam(model.parameters(), lr)
    path = tmp_path / "dynamics.csv"
    path.unlink(missing_ok=True)
    recorder = Recorder(
        model, optimizer, Records(path, COLUMNS) if recording else None,
        every=every, points=points, raw_gradients=not clipper.clips_loss,
    )  # fmt: skip
    data = torch.Generator().manual_seed(1)
    norms = []
    for step in range(1, steps + 1):
        x, y = torch.randn(8, 6, generator=data), torch.randn(8, 3, generator=data)
        if step in bad:
            x[0, 0] = math.nan

        def losses(x=x, y=y):
            return (model(x) - y).square().mean(dim=1)

        with recorder.step(closure=lambda losses=losses: losses().mean()) as probe:
            loss = losses()
            clipper.clip_loss(loss).mean().backward()
            probe.observe(loss)
            norms.append(float(nn.utils.get_total_norm([p.grad for p in model.parameters()])))
            probe.clip = clipper.clip_gradients(model.parameters())
            if probe.clip.finite:
                optimizer.step()
        optimizer.zero_grad()
    return model, (records.read(path) if recording else []), norms, recorder


@pytest.mark.parametrize("clipper", [NoClipping, lambda: AutoClip(30), ALRC])
def test_a_recorded_run_ends_with_the_same_bits(tmp_path, clipper):
    plain, *_ = train(tmp_path, clipper(), every=1000, recording=False)
    probed, rows, *_ = train(tmp_path, clipper(), every=1, points=3)
    assert len(rows) == 23
    for one, other in zip(plain.state_dict().values(), probed.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_rows_hold_what_happened(tmp_path):
    _, rows, norms, _ = train(tmp_path, AutoClip(30))
    assert [int(row["step"]) for row in rows] == [5, 10, 15, 20]
    for row in rows:
        step = int(row["step"])
        assert math.isclose(float(row["grad_norm"]), norms[step - 1], rel_tol=1e-5)
        threshold = float(torch.tensor(norms[:step], dtype=torch.float64).quantile(0.3))
        assert math.isclose(float(row["threshold"]), threshold, rel_tol=1e-5)
        scale = min(threshold / norms[step - 1], 1.0)
        assert math.isclose(float(row["scale"]), scale, rel_tol=1e-5)
        assert float(row["smoothness"]) > 0
        assert 0 < float(row["step_norm"]) < 1
        assert float(row["lr"]) == 0.05


def test_smoothness_is_taken_on_the_raw_gradient(tmp_path):
    """At a tiny learning rate it doesn't depend on the clipper, and dropout masks are the same."""
    rows = [
        train(tmp_path, clipper, lr=1e-7, steps=5, every=5)[1][0]
        for clipper in (NoClipping(), NormClipping(0.01), ALRC())
    ]
    assert float(rows[1]["scale"]) < 0.1
    free, clipped, limited = (float(row["grad_norm"]) for row in rows)
    assert math.isclose(free, clipped, rel_tol=1e-3)
    assert math.isclose(free, limited, rel_tol=1e-3)


def test_smoothness_without_observe_is_evaluated_by_the_closure(tmp_path):
    x = nn.Parameter(torch.tensor([2.0], dtype=torch.float64))
    model = nn.ParameterList([x])
    optimizer = torch.optim.SGD([x], lr=0.1)
    recorder = Recorder(model, optimizer, Records(tmp_path / "d.csv", COLUMNS), every=1)
    with recorder.step(closure=lambda: (3 * x**2).sum()):
        (3 * x**2).sum().backward()
        optimizer.step()
    assert math.isclose(recorder.last["smoothness"], 6.0, rel_tol=1e-12)
    assert math.isclose(recorder.last["step_norm"], 1.2, rel_tol=1e-12)
    assert math.isclose(recorder.last["grad_norm"], 12.0, rel_tol=1e-12)


def test_skipped_steps_are_counted_and_have_no_step(tmp_path):
    _, rows, _, recorder = train(tmp_path, AutoClip(30), bad=(3, 10))
    assert [int(row["skipped"]) for row in rows] == [1, 2, 2, 2]
    assert float(rows[1]["step_norm"]) == 0.0
    assert math.isnan(float(rows[1]["smoothness"]))
    assert recorder.state_dict() == {"steps": 23, "skipped": 2}


def test_no_points_no_smoothness(tmp_path):
    _, rows, *_ = train(tmp_path, NoClipping(), points=0)
    assert all(math.isnan(float(row["smoothness"])) for row in rows)
    assert all(float(row["step_norm"]) > 0 for row in rows)


@pytest.mark.parametrize("arguments", [{"every": 0}, {"points": -1}])
def test_impossible_settings_are_refused(arguments):
    model = network()
    with pytest.raises(ValueError, match="every must be"):
        Recorder(model, torch.optim.SGD(model.parameters()), None, **arguments)
