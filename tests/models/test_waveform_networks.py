"""Conv-TasNet and Hybrid Demucs: shapes, channels, lengths, precision, the papers' sizes."""

from typing import Any

import pytest
import torch
from torch import nn

from autoclip_sep.building.build import build
from autoclip_sep.cli import compose
from autoclip_sep.errors import InputError
from autoclip_sep.models.conv_tasnet import ConvTasNet
from autoclip_sep.models.hdemucs import HDemucs
from autoclip_sep.types import Batch


def conv_tasnet(sources: int = 2, **settings: Any) -> nn.Module:
    small = {"filters": 16, "bottleneck": 8, "hidden": 8, "layers": 2, "stacks": 1}
    return ConvTasNet(sources, **{**small, **settings})


def hdemucs(sources: int = 2, channels: int = 1) -> nn.Module:
    return HDemucs(sources, channels, width=4, n_fft=1024)


def batch_of(channels: int, length: int, batch: int = 2) -> Batch:
    mixture = torch.randn(batch, channels, length)
    return Batch(mixture, mixture[:, None, :, :0], torch.full((batch,), length), ("a",) * batch)


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("sources", [2, 4])
@pytest.mark.parametrize("length", [1, 17, 4001])
def test_waveforms_are_as_long_as_the_mixture(channels: int, sources: int, length: int) -> None:
    batch = batch_of(channels, length)
    for model in (conv_tasnet(sources), hdemucs(sources, channels)):
        estimate = model.eval()(batch)
        assert estimate.waveforms.shape == (2, sources, channels, length)
        assert estimate.waveforms.isfinite().all()
        assert estimate.masks is estimate.embedding is estimate.mixture_stft is None


def test_conv_tasnet_separates_each_channel_alone() -> None:
    batch = batch_of(2, 500)
    model = conv_tasnet().eval()
    both = model(batch).waveforms
    one = model(Batch(batch.mixture[:, :1], batch.sources, batch.lengths, batch.items)).waveforms
    torch.testing.assert_close(both[:, :, :1], one)


@pytest.mark.parametrize("make", [conv_tasnet, hdemucs])
def test_waveforms_are_float32_under_autocast(make: Any) -> None:
    with torch.autocast("cpu", torch.bfloat16):
        assert make()(batch_of(1, 2000)).waveforms.dtype == torch.float32


@pytest.mark.parametrize(
    ("choices", "millions"),
    [
        (["model=conv_tasnet"], 5.0),  # Luo and Mesgarani (2019), table II: 5.1M
        (["model=conv_tasnet_small"], 0.33),
        (["model=hdemucs", "data=musdb_demo"], 83.6),  # torchaudio's hdemucs_high: 83.6M
        (["model=hdemucs_small", "data=musdb_demo"], 2.2),
    ],
)
def test_the_configs_have_the_papers_sizes(choices: list[str], millions: float) -> None:
    config = compose.plain(compose.compose("train", ["loss=si_sdr", *choices]))
    with torch.device("meta"):
        model = build(config["model"], "model")
    weights = sum(parameter.numel() for parameter in model.parameters())
    assert weights / 1e6 == pytest.approx(millions, rel=0.02)


def test_a_spectrum_that_doesnt_fold_down_to_one_bin_is_refused() -> None:
    with pytest.raises(InputError, match="n_fft=512: must be one of 1024, 2048, 4096"):
        HDemucs(n_fft=512)
