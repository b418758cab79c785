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


@pytest.mark.parametrize(
    ("clipper", "gradients", "clipped", "threshold"),
    [
        (NormClipping(1.0), [[3.0, 0.0], [4.0]], [[0.6, 0.0], [0.8]], 1),
        (NormClipping(5.0), [[3.0], [4.0]], None, 5),
        (LocalNormClipping(1.0), [[3.0, 4.0], [0.5]], [[0.6, 0.8], [0.5]], math.inf),
        (LocalNormClipping(1.000001), [[0.6, 0.8], [0.5]], None, math.inf),
        (ValueClipping(1.0), [[3.0, -4.0], [0.5]], [[1.0, -1.0], [0.5]], math.inf),
        (ValueClipping(1.0), [[1.0, -1.0]], None, math.inf),
        (NoClipping(), [[3e3], [4e3]], None, math.inf),
    ],
)
def test_by_hand(clipper, gradients, clipped, threshold):
    """clipped: None where all stay as they are, to the bit."""
    made, wanted = parameters(*gradients), parameters(*(clipped or gradients))
    before, after = (torch.cat([p.grad for p in each]).norm().item() for each in (made, wanted))
    result = clipper.clip_gradients(made)
    assert result.norm.item() == pytest.approx(before)
    assert result.threshold == threshold
    assert result.scale.item() == pytest.approx(after / before)
    assert bool(result.clipped) == (clipped is not None)
    exact = {} if clipped else {"rtol": 0, "atol": 0}
    torch.testing.assert_close([p.grad for p in made], [p.grad for p in wanted], **exact)


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


def test_one_outlier_clamped_among_many_counts_as_clipped():
    made = parameters([1.0001, *[1.0] * 100_000])  # the norm hardly moves, a component did
    assert ValueClipping(1.0).clip_gradients(made).clipped
