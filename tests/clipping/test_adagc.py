"""AdaGC clips each tensor relative to its own past."""

import math

import numpy as np
import pytest
import torch
from torch import nn

from autoclip_sep.clipping import AdaGC
from autoclip_sep.clipping.history import unpack


def step(clipper, *norms):
    parameters = []
    for norm in norms:
        parameters.append(nn.Parameter(torch.zeros(2, dtype=torch.float64)))
        if norm is not None:
            parameters[-1].grad = torch.tensor([0.6, 0.8], dtype=torch.float64) * norm
    result = clipper.clip_gradients(parameters)
    return result, [None if p.grad is None else p.grad.norm().item() for p in parameters]


def means(clipper):
    return unpack("means", clipper.state_dict()["means"]).tolist()


def test_the_warmup_clips_the_global_norm_and_keeps_the_least():
    clipper = AdaGC(absolute=5.0, warmup=2)
    result, after = step(clipper, 6.0, 8.0)  # global norm 10
    assert after == pytest.approx([3, 4])
    assert result.threshold == 5
    assert means(clipper) == pytest.approx([3, 4])
    step(clipper, 2.0, 4.5)
    assert means(clipper) == pytest.approx([2, 4])


def test_then_each_tensor_is_clipped_by_its_own_mean():
    clipper = AdaGC(1.5, absolute=100.0, decay=0.9, warmup=1)
    step(clipper, 2.0, 4.0)
    result, after = step(clipper, 10.0, 5.0)
    assert after == pytest.approx([3, 5])  # 1.5 * 2; 5 is below 1.5 * 4
    assert result.threshold == math.inf
    assert result.scale.item() == pytest.approx(math.sqrt(34 / 125))
    assert means(clipper) == pytest.approx([0.9 * 2 + 0.1 * 3, 0.9 * 4 + 0.1 * 5])


def test_a_zero_norm_in_the_warmup_doesnt_hold_a_tensor_at_zero():
    clipper = AdaGC(absolute=100.0, warmup=2)
    step(clipper, 0.0, 1.0)
    step(clipper, 2.0, 1.0)
    assert means(clipper)[0] == 2
    assert step(clipper, 2.0, 1.0)[1] == [2, 1]


def test_a_tensor_first_seen_after_the_warmup_starts_with_its_own_norm():
    clipper = AdaGC(1.5, warmup=1)
    step(clipper, None, 0.5)
    assert math.isnan(means(clipper)[0])
    assert step(clipper, 7.0, 0.5)[1] == pytest.approx([7, 0.5])
    restored = AdaGC(1.5, warmup=1)
    restored.load_state_dict(clipper.state_dict())
    assert step(restored, 70.0, 0.5)[1] == pytest.approx([10.5, 0.5])


def published(norms, relative=1.05, absolute=1.0, beta=0.98, warmup=100):
    """Each tensor's norms after clipping, by Algorithm 1 as it stands and its settings."""
    after, means = [], None
    for number, row in enumerate(norms, start=1):
        if number <= warmup:
            kept = row * min(absolute / np.linalg.norm(row), 1)
            means = kept if means is None else np.minimum(means, kept)
        else:
            kept = row * np.minimum(relative * means / row, 1)
            means = beta * means + (1 - beta) * kept
        after.append(kept)
    return np.array(after)


def test_the_defaults_are_the_paper():
    norms = np.random.default_rng(0).lognormal(size=(300, 3))
    clipper = AdaGC()
    found = [step(clipper, *row)[1] for row in norms]
    np.testing.assert_allclose(found, published(norms), rtol=1e-9)
    assert clipper.clipped > 200


def test_means_that_arent_positive_are_refused():
    clipper = AdaGC()
    with pytest.raises(ValueError, match="means"):
        clipper.load_state_dict({**clipper.state_dict(), "means": torch.zeros(2).double()})
