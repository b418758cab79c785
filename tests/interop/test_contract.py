"""A clipper in each framework takes the steps that the protocol takes by hand."""

import pytest
import torch
from torch.amp import GradScaler

from autoclip_sep.clipping import AutoClip
from tests.interop import plain
from tests.interop.frameworks import in_accelerate, in_ignite, in_lightning, in_transformers, train

# What frameworks say about themselves, about CPUs and about loaders without workers.
pytestmark = pytest.mark.filterwarnings("ignore")

CASTING = [in_accelerate, in_lightning, in_transformers]  # Ignite casts on a GPU only
CLOSE_IN_HALF_PRECISION = [in_accelerate, in_transformers]  # which cache the casts of weights
EACH_FRAMEWORK = pytest.mark.parametrize("framework", [*CASTING, in_ignite])


@pytest.fixture
def compare(tmp_path, assert_same):
    """Trains in a framework and by hand; returns the framework's outcome."""

    def compare(framework, make_scaler=lambda: None, **settings):
        scaler = make_scaler()
        found = train(framework, AutoClip(50), tmp_path, scaler=scaler, **settings)
        wanted = plain.run(AutoClip(50), scaler=make_scaler(), **settings)
        if settings.get("precision") and framework in CLOSE_IN_HALF_PRECISION:
            ours, theirs = found.clipper.history, wanted.clipper.history
            torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=0)
            torch.testing.assert_close(found.weights, wanted.weights)
        else:
            assert_same(found.clipper.state_dict(), wanted.clipper.state_dict())
            assert torch.equal(found.weights, wanted.weights)
            assert_same(found.optimizer, wanted.optimizer)
        return found

    return compare


@EACH_FRAMEWORK
@pytest.mark.parametrize("optimizer", ["adamw", "adamw-fused", "sgd"])
def test_a_run_equals_the_plain_loop(compare, framework, optimizer):
    clipper = compare(framework, optimizer=optimizer).clipper
    assert 0 < clipper.clipped < clipper.steps == 2 * plain.BATCHES


@EACH_FRAMEWORK
def test_accumulated_batches_are_one_step(compare, framework):
    assert compare(framework, accumulate=3).clipper.steps == 2 * plain.BATCHES // 3


@pytest.mark.parametrize("framework", CASTING)
def test_bfloat16(compare, framework):
    compare(framework, precision=torch.bfloat16)


@EACH_FRAMEWORK
@pytest.mark.parametrize(
    ("optimizer", "overflows"), [("adamw", True), ("adamw-fused", True), ("adamw-fused", False)]
)
def test_a_scaler(compare, framework, optimizer, overflows):
    """Each overflow halves the scale, until steps come through."""
    precision = torch.float16 if framework in CASTING else None
    overflowing = 2.0**30 if precision else 2.0**127
    found = compare(
        framework,
        lambda: GradScaler("cpu", init_scale=overflowing if overflows else 2.0**10),
        optimizer=optimizer,
        epochs=3,
        precision=precision,
    )
    clipper = found.clipper
    assert clipper.history.max() < 1000  # not multiplied by the scale
    assert clipper.skipped == 0
    assert clipper.steps > 1
    assert (clipper.steps < 3 * plain.BATCHES) == overflows


@EACH_FRAMEWORK
def test_a_step_with_a_non_finite_norm_is_skipped(compare, framework):
    found = compare(framework, bad_batch=5)
    assert found.clipper.skipped == 2
    assert torch.isfinite(found.weights).all()


@pytest.mark.parametrize(
    ("framework", "until"),
    [
        (in_accelerate, 12),
        (in_ignite, 12),
        *[
            (framework, until)
            for framework in (in_lightning, in_transformers)
            for until in (12, 17)
        ],
    ],
)
def test_resume_is_exact(framework, until, tmp_path, assert_same):
    """At an epoch's end and, where the framework knows how, within one."""
    train(framework, AutoClip(50), tmp_path, until=until)
    found = train(framework, AutoClip(50), tmp_path, resume=True)
    wanted = plain.run(AutoClip(50))
    assert_same(found.clipper.state_dict(), wanted.clipper.state_dict())
    assert torch.equal(found.weights, wanted.weights)
    assert_same(found.optimizer, wanted.optimizer)
