import pytest
import torch

from autoclip_sep.separation.scale import to_mixture


def test_estimates_of_any_scale_and_sign_add_up_to_the_mixture() -> None:
    sources = torch.randn(2, 3, 2, 400)
    gains = torch.tensor([1e-4, -30.0, 7.0])[:, None, None]
    scaled = to_mixture(gains * sources, sources.sum(dim=1))
    torch.testing.assert_close(scaled, sources, rtol=0, atol=2e-3)


def test_silence_stays_silent_and_alike_estimates_stay_small() -> None:
    mixture = torch.randn(1, 1, 400)
    silent = torch.zeros(1, 2, 1, 400)
    assert not to_mixture(silent, mixture).any()
    alike = torch.cat([mixture, mixture * (1 + 1e-6)])[None]
    scaled = to_mixture(alike, mixture)
    assert scaled.abs().max() <= mixture.abs().max()
    assert (scaled.sum(dim=1) - mixture).abs().max() == pytest.approx(0, abs=1e-3)
