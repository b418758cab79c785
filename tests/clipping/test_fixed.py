"""Clipping at fixed thresholds: by norm, by each tensor's norm, by value."""

import math

import pytest
import torch
from torch import nn

from autoclip_sep.clipping import LocalNormClipping, NoClipping, NormClipping, ValueClipping


def parameters(*gradients):
    made = []
    for gradient in gradients:
        made.append(nn.Parameter(torch.zeros(len(gradient))))
        made[-1].grad = torch.tensor(gradient)
    return made


def gradients(made):
    return [p.grad.tolist() for p in made]


def test_norm_scales_everything_together():
    made = parameters([3.0, 0.0], [4.0])
    result = NormClipping(1.0).clip_gradients(made)
    assert gradients(made) == [pytest.approx([0.6, 0]), pytest.approx([0.8])]
    assert (result.norm, result.threshold) == (5, 1)
    assert result.scale.item() == pytest.approx(0.2)


def test_norm_at_the_threshold_stays():
    made = parameters([3.0], [4.0])
    assert not NormClipping(5.0).clip_gradients(made).clipped
    assert gradients(made) == [[3], [4]]


def test_norm_agrees_with_torch_but_for_its_epsilon():
    torch.manual_seed(0)
    ours, theirs = (nn.Linear(30, 20).double() for _ in range(2))
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        mine.grad = torch.randn_like(mine)
        other.grad = mine.grad.clone()
    NormClipping(0.5).clip_gradients(ours.parameters())
    norm = nn.utils.clip_grad_norm_(theirs.parameters(), 0.5)
    for mine, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(mine.grad, other.grad * (norm + 1e-6) / norm, rtol=1e-12, atol=0)


def test_local_norm_scales_each_tensor_by_its_own():
    made = parameters([3.0, 4.0], [0.5])
    result = LocalNormClipping(1.0).clip_gradients(made)
    assert gradients(made) == [pytest.approx([0.6, 0.8]), [0.5]]
    assert result.threshold == math.inf
    assert result.scale.item() == pytest.approx(math.sqrt(1.25 / 25.25))
    assert result.clipped


def test_local_norm_leaves_small_ones_alone():
    made = parameters([0.6, 0.8], [0.5])
    result = LocalNormClipping(1.0 + 1e-6).clip_gradients(made)
    assert result.scale == 1
    assert not result.clipped


def test_value_clamps_each_component():
    made = parameters([3.0, -4.0], [0.5])
    result = ValueClipping(1.0).clip_gradients(made)
    assert gradients(made) == [[1, -1], [0.5]]
    assert result.threshold == math.inf
    assert result.scale.item() == pytest.approx(math.sqrt(2.25 / 25.25))
    assert result.clipped


def test_one_outlier_clamped_among_many_counts_as_clipped():
    made = parameters([1.0001, *[1.0] * 100_000])  # the norm hardly moves, a component did
    assert ValueClipping(1.0).clip_gradients(made).clipped


def test_value_at_the_threshold_stays():
    made = parameters([1.0, -1.0])
    result = ValueClipping(1.0).clip_gradients(made)
    assert result.scale == 1
    assert not result.clipped


def test_none_measures_only():
    made = parameters([3e3], [4e3])
    result = NoClipping().clip_gradients(made)
    assert gradients(made) == [[3e3], [4e3]]
    assert (result.norm, result.threshold, result.scale) == (5e3, math.inf, 1)
