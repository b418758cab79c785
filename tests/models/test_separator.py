"""The network: shapes for each set of heads, ranges, precision, silence."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from autoclip_sep.errors import InputError
from autoclip_sep.models.separator import Separator, log_magnitude
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch

STFT_64 = STFT(64, 16)
CONFIGS = Path(__file__).parents[2] / "autoclip_sep" / "configs"
LOSSES = sorted(path.stem for path in (CONFIGS / "loss").glob("*.yaml"))


def mixture(batch: int = 2, channels: int = 1, length: int = 400) -> Batch:
    generator = torch.Generator().manual_seed(0)
    sources = 0.1 * torch.randn(batch, 2, channels, length, generator=generator)
    lengths = torch.full((batch,), length)
    return Batch(sources.sum(dim=1), sources, lengths, ("x",) * batch)


def separator(heads: list[str], **settings: Any) -> Separator:
    torch.manual_seed(0)
    defaults = {"hidden": 8, "layers": 2, "embedding_size": 4}
    return Separator(STFT_64, heads, **{**defaults, **settings})


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sources", [2, 3])
def test_heads_of_each_loss(loss: str, channels: int, sources: int) -> None:
    heads = yaml.safe_load((CONFIGS / "loss" / f"{loss}.yaml").read_text())["heads"]
    estimate = separator(heads, sources=sources)(mixture(2, channels))
    points = (2, channels, 33, 26)  # B, C, F, N
    assert estimate.mixture_stft.shape == points
    assert (estimate.embedding is not None) == ("embedding" in heads)
    assert (estimate.waveforms is not None) == ("waveforms" in heads)
    if estimate.embedding is not None:
        assert estimate.embedding.shape == (2, channels, 33 * 26, 4)
        norms = estimate.embedding.norm(dim=-1)
        torch.testing.assert_close(norms, torch.ones_like(norms))
        assert estimate.embedding.min() >= 0
    if {"masks", "waveforms"} & set(heads):
        assert estimate.masks is not None
        assert estimate.masks.shape == (2, sources, channels, 33, 26)
        assert estimate.masks.min() >= 0
        assert estimate.masks.max() <= 1
    if estimate.waveforms is not None:
        assert estimate.waveforms.shape == (2, sources, channels, 400)


def test_waveforms_are_the_masked_mixture() -> None:
    batch = mixture(2, channels=2)
    estimate = separator(["waveforms"])(batch)
    assert estimate.masks is not None
    assert estimate.waveforms is not None
    masked = estimate.masks[1, 0, 1] * STFT_64.transform(batch.mixture[1, 1])
    torch.testing.assert_close(estimate.waveforms[1, 0, 1], STFT_64.inverse(masked, 400))


def test_embedding_and_masks_are_laid_out_by_frame_and_bin() -> None:
    """The point of bin f in frame n comes from the linear layer's outputs for f, at frame n."""
    model = separator(["masks", "embedding"]).eval()
    assert model.embedding_head is not None
    assert model.mask_head is not None
    features = torch.randn(2, 26, 16)
    points = model.embedding_head(features)
    logits = model.embedding_head.linear(features)[1, 5].reshape(33, 4)[7]
    torch.testing.assert_close(
        points[1, 5 * 33 + 7], logits.sigmoid() / logits.sigmoid().norm(), rtol=1e-5, atol=1e-6
    )
    logit = model.mask_head.linear(features)[1, 5].reshape(2, 33)[1, 7]
    torch.testing.assert_close(model.mask_head(features)[1, 1, 7, 5], logit.sigmoid())


def test_channels_are_separated_one_by_one() -> None:
    model = separator(["masks", "embedding"]).eval()
    both = mixture(2, channels=2)
    estimate = model(both)
    for c in range(2):
        one = model(Batch(both.mixture[:, [c]], both.sources[:, :, [c]], both.lengths, both.items))
        torch.testing.assert_close(estimate.masks[:, :, c], one.masks[:, :, 0])
        torch.testing.assert_close(estimate.embedding[:, c], one.embedding[:, 0])


@pytest.mark.parametrize("heads", [["masks"], ["waveforms"], ["masks", "embedding"]])
def test_only_the_recurrent_part_runs_in_bfloat16(heads: list[str]) -> None:
    batch = mixture()
    model = separator(heads).eval()
    plain = model(batch)
    with torch.autocast("cpu", torch.bfloat16):
        under = model(batch)
    assert torch.equal(under.mixture_stft, plain.mixture_stft)
    for name in ("masks", "embedding", "waveforms"):
        value = getattr(under, name)
        if value is not None:
            assert value.dtype == torch.float32
            assert not torch.equal(value, getattr(plain, name))  # the LSTM did run in bfloat16
            torch.testing.assert_close(value, getattr(plain, name), rtol=0.05, atol=0.02)


def test_silence_and_short_signals_come_out_finite() -> None:
    model = separator(["waveforms", "embedding"])
    silent = Batch(torch.zeros(2, 1, 7), torch.zeros(2, 2, 1, 7), torch.tensor([7, 7]), ("a", "b"))
    estimate = model(silent)
    assert estimate.waveforms is not None
    assert torch.equal(estimate.waveforms, torch.zeros(2, 2, 1, 7))
    assert estimate.embedding is not None
    assert estimate.embedding.isfinite().all()


def test_log_magnitude_has_a_floor() -> None:
    spectrum = torch.tensor([0, 1e-9, 1, 3 + 4j], dtype=torch.complex64)
    expected = torch.tensor([1e-8, 1e-8, 1.0, 5.0]).log()
    torch.testing.assert_close(log_magnitude(spectrum), expected)


def test_state_holds_weights_only() -> None:
    names = {name.split(".")[0] for name in separator(["masks"]).state_dict()}
    assert names == {"norm", "blstm", "mask_head"}
    plain = separator(["embedding"], batch_norm=False)
    assert {name.split(".")[0] for name in plain.state_dict()} == {"blstm", "embedding_head"}


@pytest.mark.parametrize(
    ("heads", "bidirectional", "streams"),
    [(["masks"], False, True), (["waveforms"], False, True), (["masks", "embedding"], False, True),
     (["embedding"], False, False), (["masks"], True, False)],
)  # fmt: skip
def test_causal_networks_with_masks_stream(heads: Any, bidirectional: bool, streams: bool) -> None:
    assert separator(heads, bidirectional=bidirectional).streams == streams


def test_size_of_the_papers_network() -> None:
    """4 x 600 with embeddings of 20 dimensions: 32.6 million weights."""
    with torch.device("meta"):
        model = Separator(STFT(256, 64), ["embedding"], hidden=600, layers=4, embedding_size=20)
    assert sum(p.numel() for p in model.parameters()) / 1e6 == pytest.approx(32.6, abs=0.05)


@pytest.mark.parametrize("heads", [[], ["mask"], ["masks", "tails"], "tails"])
def test_unknown_heads_are_refused(heads: Any) -> None:
    with pytest.raises(InputError, match="masks, embedding, waveforms"):
        separator(heads)
