"""Invented speakers: espeak-ng voice variants that differ as people do.

At the same text espeak-ng's stock variants of one voice sound much alike, so the speakers here are
drawn instead: vocal tract length and the single formants (which distinguish talkers of one pitch),
pitch and its range, tempo, spectral tilt, breath, roughness, glottal source, and the accent of one
of espeak-ng's languages, which reads the English sentences by its own rules.
"""

from dataclasses import dataclass

import numpy as np

ENGLISH = (
    "en en-029 en-GB-scotland en-GB-x-gbclan en-GB-x-gbcwmd en-GB-x-rp en-US en-US-nyc".split()
)
FOREIGN = (
    "af nl de sv da nb is fr es es-419 it pt pt-BR ro pl cs sk hr hu fi et lv tr id sw cy eo eu om"
).split()
ENGLISH_SHARE = 0.6
KLATT_SHARE = 0.2  # of speakers with espeak-ng's second synthesizer, another glottal source
KLATT = (3, 4)  # 1 and 2 drown the vowels in their consonants
FORMANTS = 9


@dataclass(frozen=True)
class Speaker:
    """One speaker. pitch in Hz, rate in words per minute, voice: text of a voice file."""

    name: str
    sex: str
    language: str
    pitch: int
    rate: int
    voice: str


def invent(name: str, sex: str, rng: np.random.Generator) -> Speaker:
    """A speaker drawn from rng; sex is "m" or "f"."""
    pool = ENGLISH if rng.random() < ENGLISH_SHARE else FOREIGN
    language = pool[rng.integers(len(pool))]
    # Uniform on a log scale. What comes out is about 1.2 times as high, and the sexes meet.
    low, high = (70.0, 140.0) if sex == "m" else (130.0, 215.0)
    pitch = round(low * (high / low) ** rng.random())
    tract = rng.uniform(0.86, 1.06) if sex == "m" else rng.uniform(1.04, 1.26)
    lines = [
        "language variant",
        f"name {name}",
        f"gender {'male' if sex == 'm' else 'female'}",
        f"pitch {pitch} {round(pitch * rng.uniform(1.12, 1.55))}",
        f"flutter {rng.integers(0, 8)}",
        f"roughness {rng.integers(0, 4)}",
        f"voicing {rng.integers(70, 121)}",
        f"consonants {rng.integers(70, 131)} {rng.integers(70, 131)}",
        _tone(rng),
    ]
    lines += [_formant(number, tract, rng) for number in range(FORMANTS)]
    if rng.random() < 0.5:
        lines.append("breath " + " ".join(str(rng.integers(0, 6)) for _ in range(8)))
    if rng.random() < KLATT_SHARE:
        lines.append(f"klatt {rng.choice(KLATT)}")
    return Speaker(name, sex, language, pitch, int(rng.integers(135, 206)), "\n".join(lines) + "\n")


def _formant(number: int, tract: float, rng: np.random.Generator) -> str:
    """`formant number frequency height width`, in percent of espeak-ng's own."""
    own = tract * rng.uniform(0.93, 1.07) if number else rng.uniform(0.95, 1.05)
    return f"formant {number} {round(100 * own)} {rng.integers(75, 121)} {rng.integers(75, 131)}"


def _tone(rng: np.random.Generator) -> str:
    """`tone frequency level ...`: the spectral tilt, Hz and 0 to 255."""
    tilt = rng.uniform(0.45, 1.0)  # what is left of the level after each step upwards
    levels = [round(255 * tilt**step) for step in range(4)]
    points = zip((600, 1200, 2000, 3200), levels, strict=True)
    return "tone " + " ".join(f"{frequency} {level}" for frequency, level in points)
