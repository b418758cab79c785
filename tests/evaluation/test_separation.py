import pytest
import torch
from torch import nn

from autoclip_sep.evaluation.separation import Separation
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch, Estimate


class Halves(nn.Module):
    """0.25 and 0.75 of the mixture; if `moody`, swapped in every other call."""

    def __init__(self, moody=False):
        super().__init__()
        self.moody, self.lengths = moody, []

    def forward(self, batch):
        assert not self.training
        self.lengths.append(batch.mixture.shape[-1])
        parts = torch.stack([0.25 * batch.mixture, 0.75 * batch.mixture], dim=1)
        if self.moody and len(self.lengths) % 2 == 0:
            parts = parts.flip(1)
        return Estimate(torch.zeros(1), waveforms=parts)


def separation(**more):
    model = Halves(more.pop("moody", False))
    return Separation(model, STFT(), 2, torch.device("cpu"), chunk=1000, overlap=100, **more)


def batch_of(length):
    mixture = torch.randn(1, 2, length)
    return Batch(mixture, torch.zeros(1, 2, 2, length), torch.tensor([length]), ("a",))


@pytest.mark.parametrize("length", [1, 999, 1000])
def test_short_mixtures_go_through_in_one_piece(length):
    one, batch = separation(), batch_of(length)
    assert torch.equal(one.whole(batch), one(batch))
    assert one.model.lengths == [length, length]


@pytest.mark.parametrize("permute", [True, False])
def test_long_mixtures_go_through_in_chunks(permute):
    one, batch = separation(permute=permute, moody=permute), batch_of(4321)
    expected = torch.stack([0.25 * batch.mixture, 0.75 * batch.mixture], dim=1)
    torch.testing.assert_close(one.whole(batch), expected)
    assert max(one.model.lengths) == 1000
    assert len(one.model.lengths) == 5


def test_a_stream_needs_no_sources():
    one, batch = separation(), batch_of(2500)
    parts = list(one.stream(batch.mixture[0].split(700, dim=-1)))
    assert torch.equal(torch.cat(parts, dim=-1), separation().whole(batch)[0])
    assert next(one.stream([batch.mixture[0, :, :50]])).shape == (2, 2, 50)
