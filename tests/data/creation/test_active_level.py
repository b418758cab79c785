import numpy as np
import pytest
from scipy import signal as dsp

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.creation.active_level import (
    _band_filters,
    _held_maximum,
    active_speech_level,
)

RATE = 8000


def decibels(power):
    return 10 * np.log10(power)


def gated_noise(duty, seconds=20.0, period=4.0):
    """Noise of power 1, band-limited to 300-3400 Hz, on for `duty` of each period."""
    time = np.arange(int(seconds * RATE)) / RATE
    noise = np.random.default_rng(0).standard_normal(len(time))
    noise = dsp.sosfilt(dsp.butter(6, (300, 3400), "band", fs=RATE, output="sos"), noise)
    noise /= np.sqrt(np.mean(noise**2))
    return noise * (time % period < duty * period)


def spoken(fsdd, speaker, seed, digits=8):
    """Digits said by one person, equally loud, with pauses between them."""
    rng = np.random.default_rng(seed)
    parts = []
    for _ in range(digits):
        file = fsdd / f"{rng.integers(10)}_{speaker}_{rng.integers(50)}.wav"
        samples = soundfiles.read(file, dtype=np.float64)[0][0]
        pause = np.zeros(int(rng.uniform(0.05, 0.6) * RATE))
        parts += [0.3 * samples / np.abs(samples).max(), pause]
    return np.concatenate(parts)


def literal_meter(signal, step):
    """The level in dB by P.56's own recipe, sample by sample, for thresholds `step` dB apart."""
    samples = np.concatenate([signal, np.zeros(int(np.ceil(0.35 * RATE)))])
    for numerator, denominator in _band_filters(RATE):
        samples = dsp.lfilter(numerator, denominator, samples)
    g = np.exp(-1 / (0.03 * RATE))
    p = q = 0.0
    envelope = np.zeros(len(samples))
    for n, x in enumerate(np.abs(samples)):
        p = g * p + (1 - g) * x
        q = g * q + (1 - g) * p
        envelope[n] = q
    energy, before = float(np.sum(samples**2)), (0.0, 0.0)
    for threshold in np.arange(decibels(envelope.max() ** 2), -90, -step):
        above = np.flatnonzero(envelope >= 10 ** (threshold / 20))
        if len(above) == 0:
            continue
        # A sample counts until 0.2 s after the envelope was last above the threshold.
        gaps = np.diff(np.append(above, len(samples)))
        level = decibels(energy / np.minimum(gaps, int(np.ceil(0.2 * RATE)) + 1).sum())
        excess = level - threshold - 15.9
        if before[0] < 0.0 <= excess:
            return before[1] + (level - before[1]) * before[0] / (before[0] - excess)
        before = (excess, level)
    raise AssertionError("the level was never 15.9 dB above the threshold")


@pytest.mark.parametrize("silence", [np.zeros(0), np.zeros(1), np.zeros(8000)])
def test_silence_has_no_level(silence):
    assert active_speech_level(silence, RATE) == 0.0


def test_a_long_tone_is_active_throughout():
    """The level is that of the tone, less what the hangover and the last bin add in time."""
    for seconds in (5, 20, 80):
        tone = np.sqrt(2) * np.sin(2 * np.pi * 1000 * np.arange(seconds * RATE) / RATE)
        # At most the appended 0.35 s of zeros counts as active beside the tone itself.
        least = decibels(seconds / (seconds + 0.35))
        assert least - 1e-3 <= decibels(active_speech_level(tone, RATE)) <= 1e-3


@pytest.mark.parametrize("duty", [0.25, 0.5, 0.75, 1.0])
def test_pauses_dont_count(duty):
    """Gated noise has the level of its active part, not its mean (6 dB less at a quarter).

    Each burst is held for 0.2 s and decays for some tenths more, which counts as active.
    """
    noise = gated_noise(duty)
    level = decibels(active_speech_level(noise, RATE))
    on = duty * 4.0
    assert decibels(on / min(4.0, on + 0.5)) - 0.15 < level < 0.1
    if duty < 1:
        assert level > decibels(float(np.mean(noise**2))) + 0.5


@pytest.mark.parametrize("duty", [0.1, 0.25, 0.5, 0.75, 1.0])
def test_gated_noise_is_measured_as_a_literal_meter_does(duty):
    noise = gated_noise(duty, seconds=8.0)
    level = decibels(active_speech_level(noise, RATE))
    assert level == pytest.approx(literal_meter(noise, step=0.05), abs=0.01)


@pytest.mark.parametrize("speaker", ["george", "jackson", "lucas", "nicolas", "theo", "yweweler"])
def test_speech_is_measured_as_a_literal_meter_does(fsdd, speaker):
    for seed in range(2):
        speech = spoken(fsdd, speaker, seed)
        level = decibels(active_speech_level(speech, RATE))
        assert level == pytest.approx(literal_meter(speech, step=0.05), abs=0.05)


@pytest.mark.parametrize("speaker", ["george", "jackson", "theo"])
def test_speech_at_other_gains_has_a_level_that_differs_by_the_gain(fsdd, speaker):
    speech = spoken(fsdd, speaker, seed=3)
    before = decibels(active_speech_level(speech, RATE))
    from_full_scale = []
    for gain_db in np.arange(-40.0, 20.5, 1.25):
        louder = speech * 10 ** (gain_db / 20)
        level = decibels(active_speech_level(louder, RATE))
        assert level - before == pytest.approx(gain_db, abs=0.01)
        counted = decibels(active_speech_level(louder, RATE, full_scale=1.0))
        from_full_scale.append(counted - before - gain_db)
    # As activlev counts, the level wanders, by a little.
    assert 0.0 < np.abs(from_full_scale).max() < 0.2


def test_a_power_of_two_is_a_step_of_the_bins_from_full_scale():
    noise = gated_noise(0.4, seconds=4.0)
    level = active_speech_level(noise, RATE, full_scale=1.0)
    assert active_speech_level(noise * 2.0**-3, RATE, full_scale=1.0) == pytest.approx(level / 64)
    power = float(np.mean(dsp.lfilter(*_band_filters(RATE)[0], np.pad(noise, (0, 2800))) ** 2))
    own = active_speech_level(noise, RATE)
    assert active_speech_level(noise, RATE, full_scale=power) == pytest.approx(own, rel=1e-12)


@pytest.mark.parametrize("gain_db", [-70.0, -33.3, -6.0, 0.5, 12.0, 55.5])
@pytest.mark.parametrize("duty", [0.3, 1.0])
def test_a_gain_changes_the_level_by_itself(gain_db, duty):
    noise = gated_noise(duty, seconds=6.0)
    before = decibels(active_speech_level(noise, RATE))
    after = decibels(active_speech_level(noise * 10 ** (gain_db / 20), RATE))
    assert after - before == pytest.approx(gain_db, abs=0.01)


def test_leading_and_trailing_silence_hardly_matter():
    noise = gated_noise(1.0, seconds=10.0)
    padded = np.concatenate([np.zeros(3 * RATE), noise, np.zeros(5 * RATE)])
    alone = decibels(active_speech_level(noise, RATE))
    assert decibels(active_speech_level(padded, RATE)) == pytest.approx(alone, abs=0.1)


def test_a_constant_offset_is_not_speech():
    noise = gated_noise(1.0, seconds=10.0)
    level = decibels(active_speech_level(noise + 1.0, RATE))
    assert level == pytest.approx(decibels(active_speech_level(noise, RATE)), abs=0.1)


def test_a_click_is_a_level_and_no_error():
    click = np.zeros(RATE)
    click[4000] = 1.0
    assert 0.0 < active_speech_level(click, RATE) < 1.0


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 48000])
def test_the_band_filters_have_the_stated_response(rate):
    """-0.25 dB at 200 Hz, 50 dB stop band, gain 1 where they pass; the low-pass from 12.1 kHz."""
    filters = _band_filters(rate)
    assert len(filters) == (1 if rate < 12100 else 2)

    def response(which, frequency):
        _, h = dsp.freqz(*filters[which], [frequency], fs=rate)
        return float(20 * np.log10(np.abs(h[0]) + 1e-30))

    assert response(0, 200.0) == pytest.approx(-0.25, abs=1e-3)
    assert response(0, 1000.0) == pytest.approx(0.0, abs=1e-3)
    assert max(response(0, f) for f in np.linspace(1, 75, 50)) < -49.9
    if rate >= 12100:
        assert response(1, 5500.0) == pytest.approx(-0.25, abs=1e-3)
        assert response(1, 500.0) == pytest.approx(0.0, abs=1e-3)
        stop = rate / np.pi * np.arctan(2.6 * np.tan(np.pi * 5500 / rate))
        assert max(response(1, f) for f in np.linspace(stop, rate / 2, 50)) < -49.9


@pytest.mark.parametrize("length", [1, 2, 5, 6, 100])
def test_the_maximum_is_held_backwards_only(length):
    values = np.random.default_rng(0).random(50)
    held = _held_maximum(values, length)
    expected = [values[max(0, n - length + 1) : n + 1].max() for n in range(50)]
    assert held.tolist() == expected
