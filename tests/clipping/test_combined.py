"""A clipper of losses and one of gradients work together."""

import pytest
import torch
from torch import nn

from autoclip_sep.clipping import ALRC, AutoClip, Combined, NoClipping


def step(clipper, weight, loss):
    weight.grad = None
    clipper.clip_loss(weight * loss).sum().backward()
    return clipper.clip_gradients([weight])


def combined():
    return Combined(ALRC(3, mean=2.0, mean_square=5.0, epsilon=0), AutoClip(0, warmup=2))


def test_the_loss_is_capped_first_and_the_history_sees_the_capped_gradient():
    clipper, weight = combined(), nn.Parameter(torch.ones(1))
    assert not step(clipper, weight, 2.0).clipped
    result = step(clipper, weight, 50.0)
    assert result.clipped  # by ALRC; AutoClip is still warming up
    assert result.scale == 1
    history = clipper.gradients.history.tolist()
    assert history == pytest.approx([2, 5], rel=1e-3)
    result = step(clipper, weight, 3.0)
    assert result.clipped
    assert (result.threshold, weight.grad) == (2, torch.tensor([2.0]))
    assert clipper.clipped == 2
    assert (clipper.loss.clipped, clipper.gradients.clipped) == (1, 1)


def test_a_skipped_step_is_skipped_in_both():
    clipper, weight = combined(), nn.Parameter(torch.ones(1))
    assert not step(clipper, weight, float("nan")).finite
    for part in (clipper, clipper.loss, clipper.gradients):
        assert (part.steps, part.skipped) == (1, 1)


def test_a_bad_state_changes_neither():
    clipper = combined()
    good, other = clipper.state_dict(), combined()
    step(other, nn.Parameter(torch.ones(1)), 50.0)
    bad = {**other.state_dict(), "gradients.history": torch.ones(2)}
    with pytest.raises(ValueError, match="history"):
        clipper.load_state_dict(bad)
    assert clipper.state_dict()["loss.moments"] == good["loss.moments"]


@pytest.mark.parametrize("parts", [(AutoClip(), ALRC()), (ALRC(), ALRC()), (NoClipping(),) * 2])
def test_the_two_cant_be_swapped(parts):
    with pytest.raises(ValueError, match="a clipper of losses and then one of gradients"):
        Combined(*parts)
