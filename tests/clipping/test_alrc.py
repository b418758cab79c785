"""ALRC caps outlying losses and their gradients alike."""

import math

import pytest
import torch

from autoclip_sep.clipping import ALRC
from autoclip_sep.clipping.history import unpack


def alrc(**options):
    return ALRC(**{"mean": 2.0, "mean_square": 5.0, "epsilon": 0.0, **options})  # sigma = 1


def moments(clipper):
    return unpack("moments", clipper.state_dict()["moments"]).tolist()


def test_an_outlier_gets_the_threshold_and_its_gradient_the_same_factor():
    losses = torch.tensor([1.0, 2.0, 20.0, 5.0], requires_grad=True)
    capped = alrc()(losses)  # threshold 2 + 3 * 1
    assert capped.tolist() == pytest.approx([1, 2, 5, 5])
    capped.sum().backward()
    assert losses.grad.tolist() == pytest.approx([1, 1, 0.25, 1])


def test_moments_take_in_the_capped_losses():
    clipper = alrc(decay=0.9)
    clipper.clip_loss(torch.tensor([1.0, 100.0]))
    assert moments(clipper) == pytest.approx([0.9 * 2 + 0.1 * 3, 0.9 * 5 + 0.1 * 13])


def test_losses_of_zero_stay_out_of_the_moments():
    """Of 5 % that aren't zero, 3 deviations above the mean of all are 0.7: a spiral down to 0."""
    losses = torch.zeros(40)
    losses[:2] = 1.0
    clipper = ALRC(decay=0.9)
    for _ in range(300):
        assert torch.equal(clipper.clip_loss(losses), losses)
    assert moments(clipper) == pytest.approx([1, 1])
    before = moments(clipper)
    clipper.clip_loss(torch.zeros(4))
    assert moments(clipper) == before


def test_zero_is_a_number_like_others_where_losses_change_sign():
    clipper = ALRC(signed=True, decay=0.5)
    for _ in range(60):
        clipper.clip_loss(torch.tensor([0.0, 1.0]))
    assert moments(clipper) == pytest.approx([0.5, 0.5])


def published(losses, n=3, beta=0.999, mean=25.0, square=30.0**2):
    """Losses after clipping, one a step, by Algorithm 1 as it stands and its settings."""
    after = []
    for loss in losses:
        threshold = mean + n * math.sqrt(square - mean**2)
        after.append(min(loss, threshold))
        mean = beta * mean + (1 - beta) * after[-1]
        square = beta * square + (1 - beta) * after[-1] ** 2
    return after


def test_the_defaults_are_the_paper():
    generator = torch.Generator().manual_seed(0)
    losses = torch.randn(6000, generator=generator, dtype=torch.float64).exp() * 5
    clipper = ALRC(mean=25, mean_square=30**2)
    found = [clipper(loss).item() for loss in losses]
    assert found == pytest.approx(published(losses.tolist()), rel=1e-9)
    assert sum(new < old for new, old in zip(found, losses.tolist(), strict=True)) > 20


def test_signed_losses_are_measured_from_the_mean():
    losses = torch.tensor([-30.0, 2.0, 14.0], requires_grad=True)
    capped = alrc(signed=True)(losses)
    assert capped.tolist() == pytest.approx([-30, 2, 5])
    capped.sum().backward()
    assert losses.grad.tolist() == pytest.approx([1, 1, 3 / 12])


def test_a_constant_changes_nothing_for_signed_losses():
    generator = torch.Generator().manual_seed(0)
    here = ALRC(1, signed=True, mean=1.0, mean_square=2.0, epsilon=0)
    there = ALRC(1, signed=True, mean=-9.0, mean_square=82.0, epsilon=0)
    for _ in range(50):
        losses = 3 * torch.randn(8, generator=generator, dtype=torch.float64)
        one, other = losses.clone().requires_grad_(), (losses - 10).requires_grad_()
        here(one).sum().backward()
        there(other).sum().backward()
        torch.testing.assert_close(one.grad, other.grad)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (2, 3), (2, 1, 5)])
def test_losses_of_any_shape(shape):
    losses = torch.full(shape, 10.0, dtype=torch.float64, requires_grad=True)
    capped = alrc()(losses)
    assert capped.shape == shape
    assert capped.detach().flatten().tolist() == pytest.approx([5] * losses.numel())


def test_losses_below_the_threshold_stay_bit_for_bit():
    losses = torch.rand(1000, requires_grad=True)
    capped = alrc()(losses)
    assert torch.equal(capped, losses)
    capped.sum().backward()
    assert torch.equal(losses.grad, torch.ones(1000))


def test_half_precision_losses_keep_their_type():
    capped = alrc()(torch.tensor([1.0, 100.0], dtype=torch.float16))
    assert capped.dtype == torch.float16
    assert capped.tolist() == pytest.approx([1, 5], rel=1e-2)


def test_start_values_come_from_the_first_batch():
    clipper = ALRC(decay=0.0)
    silent = torch.zeros(3)
    assert torch.equal(clipper(silent), silent)
    assert moments(clipper) == []  # nothing to learn from
    first = torch.tensor([1.0, 2.0, 3.0])
    assert torch.equal(clipper(first), first)  # the start overestimates
    assert moments(clipper) == pytest.approx([2, 14 / 3])


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_loss_that_is_not_finite_passes_through_and_teaches_nothing(bad):
    clipper = alrc()
    before = moments(clipper)
    capped = clipper(torch.tensor([1.0, bad, 20.0]))
    assert capped[0] == 1
    assert capped[2].item() == pytest.approx(5)
    assert str(capped[1].item()) == str(bad)
    assert moments(clipper) == before


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_bad_first_batch_starts_nothing(bad):
    clipper = ALRC()
    clipper(torch.tensor([1.0, bad]))
    assert moments(clipper) == []


def test_an_empty_batch_teaches_nothing():
    clipper = alrc()
    before = moments(clipper)
    assert clipper(torch.zeros(0)).shape == (0,)
    assert moments(clipper) == before


def test_a_negative_loss_needs_signed():
    with pytest.raises(ValueError, match="signed=True"):
        alrc()(torch.tensor([1.0, -1.0]))


def test_a_capped_loss_makes_the_step_a_clipped_one():
    clipper, weight = alrc(), torch.nn.Parameter(torch.ones(1))
    for loss, expected in [(1.0, False), (50.0, True), (1.0, False)]:
        weight.grad = None
        clipper.clip_loss(weight * loss).sum().backward()
        result = clipper.clip_gradients([weight])
        assert bool(result.clipped) is expected
        assert result.scale == 1  # `clip_gradients` itself changed nothing
    assert clipper.clipped == 1


def test_a_skipped_step_is_not_a_clipped_one():
    clipper, weight = alrc(), torch.nn.Parameter(torch.ones(1))
    clipper.clip_loss(torch.tensor([50.0, math.nan]))
    weight.grad = torch.tensor([math.nan])
    assert not clipper.clip_gradients([weight]).finite
    weight.grad = torch.tensor([1.0])
    assert not clipper.clip_gradients([weight]).clipped


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"mean": 1.0}, "both mean and mean_square"),
        ({"mean": 2.0, "mean_square": 4.0}, "must exceed"),
        ({"mean": math.nan, "mean_square": 4.0}, "mean must be"),
    ],
)
def test_start_values_are_checked(options, message):
    with pytest.raises(ValueError, match=message):
        ALRC(**options)


@pytest.mark.parametrize(
    "wrong",
    [torch.ones(3).double(), torch.ones(2), torch.tensor([1, math.nan]).double(), ["1", 2.0]],
)
def test_foreign_moments_are_refused(wrong):
    clipper = alrc()
    with pytest.raises(ValueError, match="moments"):
        clipper.load_state_dict({**clipper.state_dict(), "moments": wrong})
    assert moments(clipper) == [2, 5]
