"""Invented songs: who plays what, and when. How it sounds is `instruments`' business.

Four-four time, one chord to a bar from a common progression; a melody that wanders over the scale
and rests now and then; a bass on the roots; chords or broken chords; a drum pattern with fills.
"""

from dataclasses import dataclass

import numpy as np

SCALES = {"major": (0, 2, 4, 5, 7, 9, 11), "minor": (0, 2, 3, 5, 7, 8, 10)}
PROGRESSIONS = {  # degrees of the scale, from 0
    "major": ((0, 4, 5, 3), (0, 5, 3, 4), (0, 3, 0, 4), (5, 3, 0, 4), (0, 2, 3, 4)),
    "minor": ((0, 5, 2, 6), (0, 3, 4, 0), (0, 6, 5, 6), (0, 3, 6, 2), (0, 5, 3, 4)),
}
RHYTHMS = (  # of the melody, beats that add up to a bar; negative ones are rests
    (1, 1, 1, 1),
    (0.5, 0.5, 1, 0.5, 0.5, 1),
    (1.5, 0.5, 2),
    (-0.5, 0.5, 0.5, 0.5, 1, -1),
    (2, 1, 1),
    (0.75, 0.75, 0.5, 1, -1),
    (3, -1),
)
BASS_LINES = (  # beat, length in beats, degrees above the root
    tuple((n / 2, 0.5, 4 if n == 7 else 0) for n in range(8)),
    ((0, 1.5, 0), (1.5, 0.5, 0), (2, 1, 4), (3, 1, 2)),
    ((0, 2, 0), (2, 2, 4)),
    ((0, 0.75, 0), (0.75, 0.75, 0), (1.5, 1, 7), (2.5, 0.5, 4), (3, 1, 0)),
    ((0, 4, 0),),
)
KICKS = ((0, 2), (0, 1.5, 2), (0, 0.75, 2, 2.75), (0, 1, 2, 3), (0, 2.5))
HATS = (0.5, 0.25, 1.0)  # beats from one to the next
SILENT_BAR = 0.25  # the probability that the singer rests for a bar
FILL = 0.25  # the probability that a bar ends in a roll of the snare drum


@dataclass(frozen=True)
class Note:
    """start and length in seconds, pitch as a MIDI number, level from 0 to 1."""

    start: float
    length: float
    pitch: float
    level: float


@dataclass(frozen=True)
class Hit:
    """A stroke on a drum: kick, snare, hat, open or crash; start in seconds."""

    drum: str
    start: float
    level: float


@dataclass(frozen=True)
class Song:
    """What the four parts play. seconds: how long it lasts."""

    seconds: float
    vocals: tuple[Note, ...]
    bass: tuple[Note, ...]
    other: tuple[Note, ...]
    drums: tuple[Hit, ...]


def compose(seconds: float, rng: np.random.Generator) -> Song:
    """A song of whole bars, about `seconds` long, drawn from rng."""
    beat = 60.0 / rng.uniform(80.0, 150.0)
    bars = max(2, round(seconds / (4 * beat)))
    mode = ("major", "minor")[rng.integers(2)]
    key = int(rng.integers(12))
    progression = PROGRESSIONS[mode][rng.integers(len(PROGRESSIONS[mode]))]
    chords = [progression[bar % len(progression)] for bar in range(bars)]
    writer = _Writer(rng, beat, key, SCALES[mode], chords)
    return Song(4 * beat * bars, writer.melody(), writer.bass(), writer.chords(), writer.drums())


@dataclass(frozen=True)
class _Writer:
    """One song's choices. beat in seconds; harmony: each bar's chord as a degree of the scale."""

    rng: np.random.Generator
    beat: float
    key: int
    scale: tuple[int, ...]
    harmony: list[int]

    def melody(self) -> tuple[Note, ...]:
        """Steps along the scale, drawn to the chord on the first beat of a bar; bars of silence."""
        rng, notes = self.rng, []
        lowest = int(rng.choice((45, 52, 57)))  # a low, a middle or a high voice
        degree = int(rng.integers(4, 8))
        sung = rng.random(len(self.harmony)) >= SILENT_BAR
        sung[rng.integers(len(sung))] = True
        for bar in np.flatnonzero(sung):
            chord = self.harmony[bar]
            degree = min((chord + 2 * n for n in range(-2, 5)), key=lambda d: abs(d - degree))
            position = 4.0 * bar
            for beats in RHYTHMS[rng.integers(len(RHYTHMS))]:
                if beats > 0:
                    pitch = self._pitch(degree, lowest)
                    notes.append(self._note(position, beats * 0.95, pitch, (0.6, 1.0)))
                    degree = int(np.clip(degree + rng.integers(-2, 3), 0, 11))
                position += abs(beats)
        return tuple(notes)

    def bass(self) -> tuple[Note, ...]:
        """One line for the whole song, on the root of each bar's chord."""
        line = BASS_LINES[self.rng.integers(len(BASS_LINES))]
        return tuple(
            self._note(4 * bar + start, length * 0.9, self._pitch(chord % 7 + step, 28), (0.8, 1.0))
            for bar, chord in enumerate(self.harmony)
            for start, length, step in line
        )

    def chords(self) -> tuple[Note, ...]:
        """Held, struck on every beat, or broken into eighths; all the song in one manner."""
        rng, notes = self.rng, []
        manner = rng.integers(3)
        for bar, chord in enumerate(self.harmony):
            pitches = [self._pitch(chord % 7 + step, 52) for step in (0, 2, 4)]
            pitches.append(pitches[0] + 12)
            if manner == 2:
                order = rng.permutation(8) % 4
                notes += [
                    self._note(4 * bar + 0.5 * n, 0.9, pitches[which], (0.6, 1.0))
                    for n, which in enumerate(order)
                ]
                continue
            beats, length = ((0,), 3.9) if manner == 0 else ((0, 1, 2, 3), 0.8)
            for start in beats:
                notes += [self._note(4 * bar + start, length, p, (0.7, 1.0)) for p in pitches]
        return tuple(notes)

    def drums(self) -> tuple[Hit, ...]:
        """Kick, snare on two and four, hats; a crash to begin with, rolls at some bars' ends."""
        rng = self.rng
        kicks, grid = KICKS[rng.integers(len(KICKS))], HATS[rng.integers(len(HATS))]
        hits = [Hit("crash", 0.0, 0.8)]
        for bar in range(len(self.harmony)):
            fill = rng.random() < FILL
            strokes = [("kick", beat) for beat in kicks] + [("snare", 1.0)]
            strokes += [("snare", 3.0 + 0.25 * n) for n in range(4 if fill else 1)]
            strokes += [("hat", grid * n) for n in range(round((3.0 if fill else 4.0) / grid))]
            strokes += [("open", 3.5)] if not fill and rng.random() < 0.4 else []
            for drum, beat in strokes:
                loud = rng.uniform(0.35, 0.8) if drum == "hat" else rng.uniform(0.8, 1.0)
                hits.append(Hit(drum, self.beat * (4 * bar + beat), loud))
        return tuple(hits)

    def _pitch(self, degree: int, lowest: int) -> float:
        """A degree of the scale as a MIDI number; degree 0 is the first of the key from lowest."""
        octave, step = divmod(degree, 7)
        return float(lowest + (self.key - lowest) % 12 + 12 * octave + self.scale[step])

    def _note(self, start: float, beats: float, pitch: float, levels: tuple[float, float]) -> Note:
        """A note at a beat, early or late by some milliseconds, as people play."""
        late = self.rng.normal(0.0, 0.006)
        begins = max(0.0, self.beat * start + late)
        return Note(begins, self.beat * beats, pitch, self.rng.uniform(*levels))
