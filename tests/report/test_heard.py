"""What a page plays: the active part, in the references' order, with levels that compare."""

import numpy as np
import pytest
import soundfile
import torch

from autoclip_sep.audio.flac import flac
from autoclip_sep.errors import InputError
from autoclip_sep.report import heard, spectrograms
from autoclip_sep.report.heard import Heard, fitted, hear, scaled
from autoclip_sep.stft import STFT
from tests.report.conftest import Swapping

RATE = 8000


def made(sources, channels=1):
    """An item of some sources (S, T), whose estimate is twice as loud."""
    references = torch.as_tensor(sources, dtype=torch.float32)[:, None].expand(-1, channels, -1)
    mixture = references.sum(dim=0)
    length = mixture.shape[-1]
    masks = torch.rand(len(references), 129, 1 + length // 64)
    return Heard("item", RATE, mixture, references, [2 * references], [masks], STFT(), 0, length)


def test_estimates_come_in_the_order_of_the_references(tiny_store):
    split = tiny_store.split("test")
    one = hear(split, split.items[2], RATE, [Swapping()])
    torch.testing.assert_close(one.estimates[0], 0.5 * one.references)
    assert one.masks == [None]
    assert one.seconds == one.whole / RATE == split.lengths[2] / RATE
    with pytest.raises(InputError, match="has no item"):
        hear(split, "nowhere", RATE, [])


def test_the_part_is_cut_where_both_sources_are_active():
    sources = np.random.default_rng(0).standard_normal((2, 30 * RATE)) * 1e-3
    sources[0, 2 * RATE : 20 * RATE] *= 300  # alone it would be loudest from 2 s on
    sources[1, 11 * RATE : 19 * RATE] *= 100
    (cut,) = fitted([made(sources)])
    assert cut.seconds == heard.LONGEST
    assert cut.start / RATE == pytest.approx(11, abs=0.11)
    assert torch.equal(cut.mixture, made(sources).mixture[:, cut.start : cut.start + 8 * RATE])
    assert cut.masks[0].shape[-1] == cut.stft.transform(cut.mixture).shape[-1]


def test_many_sounds_are_cut_and_mixed_down_until_they_have_room(monkeypatch):
    noise = 0.1 * np.random.default_rng(0).standard_normal((4, 9 * RATE))
    items = [made(noise, channels=2) for _ in range(2)]
    full = sum(map(len, (flac(signal, RATE) for item in fitted(items) for signal in item.signals)))
    for share, channels in ((0.6, 2), (0.2, 1)):
        monkeypatch.setattr(heard, "ROOM", full * share)
        cut = fitted(items)
        sizes = [len(flac(s.numpy(), RATE)) for item in map(scaled, cut) for s in item.signals]
        assert 0.7 * full * share < sum(sizes) <= full * share
        assert {len(item.mixture) for item in cut} == {channels}
        assert 1 < cut[0].seconds < 8


def test_one_gain_for_all_sounds_of_an_item():
    sources = np.random.default_rng(0).standard_normal((2, RATE))
    before = made(sources)
    after = scaled(before)
    assert max(float(signal.abs().max()) for signal in after.signals) == pytest.approx(heard.PEAK)
    ratios = [
        float(a.norm() / b.norm()) for a, b in zip(after.signals, before.signals, strict=True)
    ]
    assert ratios == pytest.approx([ratios[0]] * len(ratios))
    silent = scaled(made(np.zeros((2, 800))))
    assert not any(signal.any() for signal in silent.signals)


def test_flac_keeps_16_bits_exactly(tmp_path):
    samples = np.random.default_rng(0).integers(-(2**15), 2**15, (2, 1000)) / 2**15
    (tmp_path / "a.flac").write_bytes(flac(samples, 44100))
    read, rate = soundfile.read(tmp_path / "a.flac")
    assert rate == 44100
    assert np.array_equal(read.T, samples)


def test_pictures_are_small_and_say_what_they_show():
    time = torch.arange(10 * 44100) / 44100
    tone = torch.sin(2 * np.pi * 46 / 2048 * 44100 * time)[None]
    grid = spectrograms.levels(tone, STFT(2048, 512))
    assert grid.max() == pytest.approx(20 * np.log10(0.5), abs=0.1)  # see stft.py
    picture = spectrograms.spectrogram(grid, float(grid.max()), 44100, 10.0, "the tone")
    assert picture.answer == "Spectrogram of the tone: half of its energy is below 991 Hz."
    assert picture.top == "8 kHz"
    assert len(picture.uri) < 30_000
    silence = spectrograms.levels(torch.zeros(1, 800), STFT())
    assert "silent" in spectrograms.spectrogram(silence, 0.0, RATE, 0.1, "nothing").answer
    assert "50 %" in spectrograms.mask(np.full((129, 20), 0.5), RATE, 1.0, "a source").answer
