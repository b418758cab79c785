import pytest
import torch

from autoclip_sep.separation.chunks import separate_long


class Splitter:
    """Separates by sign, perfectly; every other chunk comes with its sources exchanged."""

    def __init__(self, exchange=True):
        self.lengths = []
        self.exchange = exchange

    def __call__(self, mixture):
        self.lengths.append(mixture.shape[-1])
        sources = torch.stack([mixture.clamp_min(0), mixture.clamp_max(0)], dim=1)
        return sources.flip(1) if self.exchange and len(self.lengths) % 2 == 0 else sources


@pytest.mark.parametrize("length", [1, 50, 99, 100, 101, 120, 180, 181, 260, 1003])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_length_comes_out_whole_and_in_order(length, channels):
    mixture = torch.randn(channels, length, dtype=torch.float64)
    splitter = Splitter()
    sources = separate_long(splitter, mixture, chunk=100, overlap=20)
    assert sources.shape == (2, channels, length)
    assert torch.allclose(sources[0], mixture.clamp_min(0), atol=1e-12)
    assert torch.allclose(sources[1], mixture.clamp_max(0), atol=1e-12)
    assert max(splitter.lengths) <= 100


def test_one_chunk_goes_through_in_one_piece():
    splitter = Splitter()
    separate_long(splitter, torch.randn(1, 100), chunk=100, overlap=50)
    assert splitter.lengths == [100]


def test_named_sources_are_not_exchanged():
    mixture = torch.randn(1, 250)
    sources = separate_long(Splitter(exchange=False), mixture, 100, 20, permute=False)
    assert torch.allclose(sources[0], mixture.clamp_min(0), atol=1e-6)
    swapped = separate_long(Splitter(), mixture, 100, 20, permute=False)
    assert not torch.allclose(swapped[0], mixture.clamp_min(0), atol=1e-3)


@pytest.mark.parametrize("overlap", [0, -1, 51])
def test_an_overlap_that_does_not_fit_is_refused(overlap):
    with pytest.raises(ValueError, match="overlap"):
        separate_long(Splitter(), torch.randn(1, 300), 100, overlap)
