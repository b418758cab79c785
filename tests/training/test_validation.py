import pytest
import torch
from torch import nn

from autoclip_sep.data.loading.loaders import fixed_segments
from autoclip_sep.stft import STFT
from autoclip_sep.training.validation import validate
from autoclip_sep.types import Estimate


class Swapped(nn.Module):
    """Returns the sources with a little noise, in the other order; records its items."""

    def __init__(self):
        super().__init__()
        self.items = []

    def forward(self, batch):
        self.items += batch.items
        noise = 0.0005 * torch.randn(batch.sources.shape)
        return Estimate(torch.zeros(1), waveforms=batch.sources.flip(1) + noise)


def valid(store, each=1, **more):
    model = Swapped()
    loss, score = validate(
        model, lambda estimate, batch: batch.mixture.abs().mean(dim=(1, 2)),
        fixed_segments(store.split("valid"), 3, 1000, each), STFT(), device=torch.device("cpu"),
        **more,
    )  # fmt: skip
    return model.items, loss, score


def test_named_sources_may_not_change_places(tiny_store):
    assert valid(tiny_store)[2] > 15
    assert valid(tiny_store, permute=False)[2] < 0


@pytest.mark.parametrize("each", [1, 3])
def test_several_segments_of_every_mixture_count(tiny_store, each):
    items, loss, score = valid(tiny_store, each=each)
    assert items == [name for name in tiny_store.split("valid").items for _ in range(each)]
    assert loss > 0
    assert score > 15
