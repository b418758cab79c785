import pytest
import torch

from autoclip_sep.separation.chunks import separate_long


class Splitter:
    """Separates by sign, perfectly; the sources of every other chunk are exchanged."""

    def __init__(self, exchange=True):
        self.lengths = []
        self.exchange = exchange

    def __call__(self, mixture):
        self.lengths.append(mixture.shape[-1])
        sources = torch.stack([mixture.clamp_min(0), mixture.clamp_max(0)], dim=1)
        return sources.flip(1) if self.exchange and len(self.lengths) % 2 == 0 else sources


def whole(splitter, mixture, *settings, block=10**6, **more):
    """The sources of a mixture that is read in blocks, concatenated."""
    return torch.cat(list(separate_long(splitter, mixture.split(block, -1), *settings, **more)), -1)


@pytest.mark.parametrize("block", [7, 100, 101, 250, 10**6])
@pytest.mark.parametrize("length", [1, 50, 99, 100, 101, 120, 180, 181, 260, 1003])
@pytest.mark.parametrize("channels", [1, 2])
def test_any_length_comes_out_whole_and_in_order(length, channels, block):
    mixture = torch.randn(channels, length, dtype=torch.float64)
    splitter = Splitter()
    sources = whole(splitter, mixture, chunk=100, overlap=20, block=block)
    assert sources.shape == (2, channels, length)
    assert torch.allclose(sources[0], mixture.clamp_min(0), atol=1e-12)
    assert torch.allclose(sources[1], mixture.clamp_max(0), atol=1e-12)
    assert max(splitter.lengths) <= 100
    assert length > 100 or splitter.lengths == [length]
    assert torch.equal(sources, whole(Splitter(), mixture, chunk=100, overlap=20))


def test_nothing_is_separated_before_it_is_asked_for():
    """One chunk at a time is in memory, and one block of the mixture."""
    splitter, read = Splitter(), []
    blocks = (read.append(n) or torch.randn(1, 60) for n in range(50))
    parts = separate_long(splitter, blocks, 100, 20)
    for number in range(1, 10):
        assert next(parts).shape == (2, 1, 80)
        assert splitter.lengths == [100] * number
        assert 60 * len(read) <= 80 * number + 20 + 60


def test_named_sources_are_not_exchanged():
    mixture = torch.randn(1, 250)
    sources = whole(Splitter(exchange=False), mixture, 100, 20, permute=False)
    assert torch.allclose(sources[0], mixture.clamp_min(0), atol=1e-6)
    swapped = whole(Splitter(), mixture, 100, 20, permute=False)
    assert not torch.allclose(swapped[0], mixture.clamp_min(0), atol=1e-3)


@pytest.mark.parametrize("overlap", [0, -1, 51])
def test_an_overlap_that_does_not_fit_is_refused(overlap):
    with pytest.raises(ValueError, match="overlap"):
        whole(Splitter(), torch.randn(1, 300), 100, overlap)
