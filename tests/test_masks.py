"""Ideal masks on points whose answer is known, and the order of points."""

import torch

from autoclip_sep.masks import (
    frame_major,
    from_frame_major,
    ideal_binary_mask,
    ideal_ratio_mask,
    magnitude_weight,
    phase_sensitive_mask,
    truncated_phase_sensitive_mask,
)


def points(*values: complex) -> torch.Tensor:
    """One frame: (1, S, 1, 1) of S sources."""
    return torch.tensor(values, dtype=torch.complex128).reshape(1, -1, 1, 1)


def random_stft(*shape: int, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(*shape, dtype=torch.complex128, generator=generator)


def test_binary_mask_goes_to_the_loudest_and_is_one_hot_on_ties_and_silence() -> None:
    assert ideal_binary_mask(points(1j, -2, 0)).flatten().tolist() == [0, 1, 0]
    assert ideal_binary_mask(points(2, 2j)).flatten().tolist() == [1, 0]
    assert ideal_binary_mask(points(0, 0)).flatten().tolist() == [1, 0]
    mask = ideal_binary_mask(random_stft(2, 3, 5, 7))
    assert mask.shape == (2, 3, 5, 7)
    assert mask.dtype == torch.float64
    assert torch.equal(mask.sum(dim=1), torch.ones(2, 5, 7, dtype=torch.float64))


def test_ratio_mask_is_the_share_of_the_magnitudes() -> None:
    torch.testing.assert_close(
        ideal_ratio_mask(points(3, -1j)).flatten(), torch.tensor([0.75, 0.25]).double()
    )
    assert ideal_ratio_mask(points(0, 0)).flatten().tolist() == [0.5, 0.5]


def test_phase_sensitive_mask_is_the_projection_on_the_mixture() -> None:
    mixture = torch.tensor([[[2 + 0j]]], dtype=torch.complex128)
    mask = phase_sensitive_mask(mixture, points(1 + 1j, 1 - 1j, -4, 1j)).flatten()
    torch.testing.assert_close(mask, torch.tensor([0.5, 0.5, -2.0, 0.0]).double())
    truncated = truncated_phase_sensitive_mask(mixture, points(1 + 1j, 5, -4, 1j)).flatten()
    torch.testing.assert_close(truncated, torch.tensor([0.5, 1.0, 0.0, 0.0]).double())
    assert phase_sensitive_mask(mixture * 0, points(1, 0)).flatten().tolist() == [0, 0]


def test_phase_sensitive_masks_of_the_parts_sum_to_one() -> None:
    sources = random_stft(2, 3, 5, 7)
    total = phase_sensitive_mask(sources.sum(dim=1), sources).sum(dim=1)
    torch.testing.assert_close(total, torch.ones_like(total))


def test_frame_major_order_and_back() -> None:
    bins, frames = 3, 4
    values = torch.randn(2, 5, bins, frames, generator=torch.Generator().manual_seed(0))
    flat = frame_major(values)
    assert flat.shape == (2, frames * bins, 5)
    for n in range(frames):
        for f in range(bins):
            assert torch.equal(flat[:, n * bins + f], values[:, :, f, n])
    assert torch.equal(frame_major(values[:, 0]), flat[..., 0])
    assert torch.equal(from_frame_major(flat, bins), values)
    assert torch.equal(from_frame_major(flat[..., 0], bins), values[:, 0])


def test_weight_is_the_share_of_the_magnitude_and_zero_on_silence() -> None:
    mixture = random_stft(2, 3, 4)
    mixture[1] = 0
    weight = magnitude_weight(mixture)
    torch.testing.assert_close(weight[0], frame_major(mixture.abs())[0] / mixture[0].abs().sum())
    assert torch.equal(weight[1], torch.zeros(12, dtype=torch.float64))
