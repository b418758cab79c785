"""A stream through a causal network has the samples of the whole, and is late by a window."""

from collections.abc import Iterator

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from autoclip_sep.evaluation.separation import Separation
from autoclip_sep.models.separator import Separator
from autoclip_sep.separation.streaming import latency, separate_frames
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch


def network(window: int = 64, hop: int = 24, **more: object) -> Separator:
    torch.manual_seed(0)
    return Separator(STFT(window, hop), ["masks"], hidden=6, bidirectional=False, **more).eval()


def noise(length: int, channels: int = 2) -> Tensor:
    return torch.randn(channels, length, generator=torch.Generator().manual_seed(1))


def at_once(model: Separator, mixture: Tensor) -> Tensor:
    batch = Batch(mixture[None], mixture[None, None], torch.tensor([mixture.shape[1]]), ("",))
    return Separation(model, model.stft, 2, torch.device("cpu"))(batch)[0]


def streamed(model: Separator, blocks: list[Tensor]) -> Tensor:
    with torch.no_grad():
        return torch.cat(list(separate_frames(model, blocks)), dim=-1)


@settings(max_examples=60, deadline=None)
@given(
    sizes=st.lists(st.integers(0, 150), min_size=1, max_size=12).filter(any),
    window=st.integers(2, 80),
    data=st.data(),
)
def test_any_blocks_give_the_samples_of_the_whole(
    sizes: list[int], window: int, data: st.DataObject
) -> None:
    model = network(window, data.draw(st.integers(1, window // 2)))
    mixture = noise(sum(sizes))
    found = streamed(model, list(mixture.split(sizes, dim=-1)))
    torch.testing.assert_close(found, at_once(model, mixture), rtol=0, atol=1e-5)


def test_thousands_of_frames_carry_no_error_along() -> None:
    model, mixture = network(16, 8), noise(40_000, 1)
    found = streamed(model, list(mixture.split(1000, dim=-1)))
    torch.testing.assert_close(found, at_once(model, mixture), rtol=0, atol=1e-5)


@pytest.mark.parametrize(("window", "hop"), [(64, 16), (64, 32), (64, 1), (33, 10)])
def test_a_sample_leaves_a_window_after_it_came_and_not_before_it_must(
    window: int, hop: int
) -> None:
    model, mixture = network(window, hop), noise(400, 1)
    came, left, latest = 0, 0, 0

    def sample_by_sample() -> Iterator[Tensor]:
        nonlocal came, latest
        for sample in mixture.split(1, dim=-1):
            latest = max(latest, came - left)  # had nothing more been coming
            came += 1
            yield sample

    with torch.no_grad():
        for part in separate_frames(model, sample_by_sample()):
            left += part.shape[-1]
    assert left == 400
    assert latency(model.stft) - hop <= latest <= latency(model.stft) == window
    # What comes later than the window does change nothing.
    changed = mixture.clone()
    changed[:, 300 + window :] = 5.0
    before, after = (streamed(model, [x])[..., :300] for x in (mixture, changed))
    torch.testing.assert_close(before, after, rtol=0, atol=1e-6)


def test_an_empty_stream_gives_nothing() -> None:
    assert list(separate_frames(network(), [])) == []
    assert list(separate_frames(network(), [torch.zeros(1, 0)])) == []


def test_a_separation_takes_the_stream_where_it_can() -> None:
    """Beyond a chunk, too: a causal network has no seams."""
    model, mixture = network(batch_norm=False), noise(3000)
    one = Separation(model, model.stft, 2, torch.device("cpu"), chunk=1000, overlap=100)
    batch = Batch(mixture[None], mixture[None, None], torch.tensor([3000]), ("",))
    assert (one.streams, one.latency) == (True, 64)
    torch.testing.assert_close(one.whole(batch)[0], at_once(model, mixture), rtol=0, atol=1e-5)
    scaled = Separation(model, model.stft, 2, torch.device("cpu"), chunk=1000, scaled=False)
    assert (scaled.streams, scaled.latency) == (False, 1000)
    both = Separator(STFT(64, 24), ["masks"], hidden=6)
    assert not Separation(both, both.stft, 2, torch.device("cpu")).streams
