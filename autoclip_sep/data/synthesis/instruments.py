"""How an invented song sounds: a voice, drums, a bass, and keys or strings, each drawn anew.

Pitched sounds read a band-limited wave of one period, made of the harmonics' amplitudes. The voice
is a glottal wave behind formants that follow the vowels, with vibrato, glides and consonants.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.data.synthesis.songs import Hit, Note

Signal = NDArray[np.float64]

RATE = 44100  # Hz
PERIOD = 4096  # samples of a wave's table
VOWELS = (  # centres of the first three formants, Hz
    (780, 1250, 2600),
    (520, 1850, 2550),
    (300, 2250, 2950),
    (480, 880, 2500),
    (330, 760, 2350),
    (600, 1500, 2450),
)
WIDTHS = (90.0, 120.0, 170.0)  # of the formants, Hz
VIBRATO_AFTER = 0.18  # seconds into a note


def sing(notes: tuple[Note, ...], length: int, rng: np.random.Generator) -> Signal:
    """A voice, (length,)."""
    tract = rng.uniform(0.9, 1.18)  # of the formants: a long or a short vocal tract
    tilt = rng.uniform(1.1, 1.7)
    speed, depth = rng.uniform(4.8, 6.3), rng.uniform(0.1, 0.45)  # vibrato, Hz and semitones
    breath = rng.uniform(0.003, 0.015)
    track = np.zeros(length)
    phase = _phase(_intonation(notes, length, speed, depth))
    for note in notes:
        first, last = _bounds(note, length)
        frequency = _hertz(note.pitch)
        formants = [tract * f for f in VOWELS[rng.integers(len(VOWELS))]]
        harmonics = np.arange(1, int(9000 / frequency) + 1)
        gains = _formants(harmonics * frequency, formants) / harmonics**tilt
        wave = _read(phase[first:last], gains)
        wave += breath * rng.standard_normal(last - first)
        track[first:last] += note.level * wave * _swell(last - first, 0.04, 0.07)
        if rng.random() < 0.5:
            _add(track, first - RATE // 25, note.level * _consonant(rng))
    return track


def play_bass(notes: tuple[Note, ...], length: int, rng: np.random.Generator) -> Signal:
    """A plucked or a held bass, (length,)."""
    corner, tilt = rng.uniform(300, 1400), rng.uniform(0.8, 1.3)
    decay = rng.choice((0.25, 0.6, 3.0))

    def gains(frequencies: Signal, harmonics: Signal) -> Signal:
        return harmonics**-tilt / (1 + (frequencies / corner) ** 2)

    return _play(notes, length, gains, attack=0.006, decay=float(decay))


def play_chords(notes: tuple[Note, ...], length: int, rng: np.random.Generator) -> Signal:
    """Keys or strings in two voices slightly out of tune, one to a side, (2, length)."""
    odd, tilt = rng.uniform(0.1, 1.0), rng.uniform(0.9, 1.8)
    corner = rng.uniform(1500, 6000)
    attack, decay = ((0.004, 0.35), (0.01, 1.2), (0.09, 4.0))[rng.integers(3)]
    detune = rng.uniform(0.02, 0.12)  # semitones

    def gains(frequencies: Signal, harmonics: Signal) -> Signal:
        even = np.where(harmonics % 2 == 0, odd, 1.0)
        return even * harmonics**-tilt / (1 + (frequencies / corner) ** 2)

    return np.stack([
        _play(notes, length, gains, attack=attack, decay=decay, shift=side * detune)
        for side in (-1, 1)
    ])  # fmt: skip


def drum(hits: tuple[Hit, ...], length: int, rng: np.random.Generator) -> Signal:
    """A drum kit of its own tuning, each drum at its place from left to right, (2, length)."""
    size = rng.uniform(0.8, 1.25)
    kit: dict[str, Signal] = {
        "kick": _membrane(size * 52, size * 130, 0.16, rng),
        "snare": 0.5 * _membrane(size * 185, size * 60, 0.07, rng)
        + 0.45 * _noise(0.35, 0.085 * size, 1, rng),
        "hat": 0.35 * _noise(0.35, 0.028 * size, 2, rng),
        "open": 0.3 * _noise(0.6, 0.16 * size, 2, rng),
        "crash": 0.35 * _noise(2.2, 0.55 * size, 1, rng),
    }
    places = {name: 0.0 if name == "kick" else rng.uniform(-0.5, 0.5) for name in kit}
    track = np.zeros((2, length))
    for hit in hits:
        for channel, gain in zip(track, pan(places[hit.drum]), strict=True):
            _add(channel, round(hit.start * RATE), gain * hit.level * kit[hit.drum])
    return track


def pan(place: float) -> tuple[float, float]:
    """Gains of left and right for a place from -1 to 1, of constant power."""
    angle = (place + 1) * np.pi / 4
    return float(np.cos(angle)), float(np.sin(angle))


def room(track: Signal, share: float, rng: np.random.Generator) -> Signal:
    """A track (2, T) with the sound of a room, each side its own: `share` of its loudness."""
    from scipy.signal import oaconvolve

    seconds = rng.uniform(0.12, 0.4)
    time = np.arange(round(seconds * RATE)) / RATE
    tails = rng.standard_normal((2, len(time))) * np.exp(-6.0 * time / seconds)
    tails[:, : RATE // 100] = 0.0  # ten milliseconds to the nearest wall
    tails *= share / np.sqrt((tails**2).sum(axis=1, keepdims=True))
    wet: Signal = oaconvolve(track, tails, axes=-1)[:, : track.shape[1]]
    return track + wet


def _play(
    notes: tuple[Note, ...],
    length: int,
    gains: Callable[[Signal, Signal], Signal],
    *,
    attack: float,
    decay: float,
    shift: float = 0.0,
) -> Signal:
    """Notes whose harmonics have the gains, dying away in `decay` seconds, (length,)."""
    track = np.zeros(length)
    for note in notes:
        first, last = _bounds(note, length)
        frequency = _hertz(note.pitch + shift)
        harmonics = np.arange(1.0, max(2, int(12000 / frequency)))
        time = np.arange(last - first) / RATE
        wave = _read(frequency * time, gains(harmonics * frequency, harmonics))
        wave *= np.exp(-time / decay) * _swell(last - first, attack, 0.03)
        track[first:last] += note.level * wave
    return track


def _read(phase: Signal, gains: Signal) -> Signal:
    """A wave of these harmonics at phases in periods, scaled to a peak of 1."""
    spectrum = np.zeros(PERIOD // 2 + 1, dtype=complex)
    spectrum[1 : len(gains) + 1] = -1j * gains
    table = np.fft.irfft(spectrum)
    table = np.append(table, table[0]) / np.abs(table).max()
    position = (phase % 1.0) * PERIOD
    index = position.astype(np.int64)
    between = position - index
    read: Signal = table[index] * (1 - between) + table[index + 1] * between
    return read


def _intonation(notes: tuple[Note, ...], length: int, speed: float, depth: float) -> Signal:
    """The voice's frequency over time [Hz], (length,): glides, and vibrato on long notes."""
    from scipy.signal import lfilter

    pitch = np.full(length, notes[0].pitch)
    wobble = np.zeros(length)
    for note in notes:
        first, last = _bounds(note, length)
        pitch[first:] = note.pitch
        time = np.arange(last - first) / RATE - VIBRATO_AFTER
        wobble[first:last] = np.clip(4 * time, 0, 1) * np.sin(2 * np.pi * speed * time)
    pole = np.exp(-1 / (0.025 * RATE))
    glide, _ = lfilter([1 - pole], [1, -pole], pitch, zi=[pole * pitch[0]])
    return _hertz(glide + depth * wobble)


def _formants(frequencies: Signal, centres: list[float]) -> Signal:
    """Gains at the frequencies: one resonance to a formant, higher ones weaker."""
    gains = np.full(len(frequencies), 0.04)
    for weight, centre, width in zip((1.0, 0.6, 0.35), centres, WIDTHS, strict=True):
        gains += weight / (1 + ((frequencies - centre) / width) ** 2)
    return gains


def _consonant(rng: np.random.Generator) -> Signal:
    """A burst of hissing or popping noise of some hundredths of a second."""
    return rng.uniform(0.05, 0.25) * _noise(0.09, rng.uniform(0.01, 0.03), 1, rng)


def _membrane(frequency: float, bend: float, decay: float, rng: np.random.Generator) -> Signal:
    """A struck skin: a sine that falls to `frequency` from `bend` above it, and a click."""
    time = np.arange(round(5 * decay * RATE)) / RATE
    falling = frequency + bend * np.exp(-time / 0.03)
    sound: Signal = np.sin(2 * np.pi * np.cumsum(falling) / RATE) * np.exp(-time / decay)
    click = 0.2 * rng.standard_normal(RATE // 300)
    sound[: len(click)] += click
    return sound


def _noise(seconds: float, decay: float, order: int, rng: np.random.Generator) -> Signal:
    """Noise that dies away, with the lows taken out by `order` differences."""
    time = np.arange(round(seconds * RATE)) / RATE
    noise = np.diff(rng.standard_normal(len(time) + order), n=order)
    shaped: Signal = noise / noise.std() * np.exp(-time / decay)
    return shaped


def _hertz(pitch: Signal | float) -> Signal:
    return np.asarray(440.0 * 2.0 ** ((np.asarray(pitch) - 69.0) / 12.0))


def _phase(frequency: Signal) -> Signal:
    return np.cumsum(frequency) / RATE


def _swell(length: int, attack: float, release: float) -> Signal:
    """An envelope that rises and falls in so many seconds, (length,)."""
    time = np.arange(length)
    rise, fall = time / (attack * RATE), (length - time) / (release * RATE)
    return np.minimum(1.0, np.minimum(rise, fall))


def _bounds(note: Note, length: int) -> tuple[int, int]:
    first = min(round(note.start * RATE), length - 1)
    return first, min(length, first + max(1, round(note.length * RATE)))


def _add(track: Signal, start: int, sound: Signal) -> None:
    """Lay a sound over a track (T,) from `start` on; what doesn't fit is cut off."""
    start = max(start, 0)
    part = sound[: max(0, len(track) - start)]
    track[start : start + len(part)] += part
