import math

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.store import conversion
from autoclip_sep.data.store.reading import Item, Signal
from autoclip_sep.evaluation import attributes
from autoclip_sep.runs import scores

RATE, FRAME = 1000, 32  # samples


class Speech:
    """Names of the form speaker-speaker; b's gender isn't known."""

    def speakers_of(self, item):
        return tuple(item.split("-")) if "-" in item else ()

    def genders(self):
        return {"a": "f", "c": "m"}


def store(tmp_path, mixtures, noise=False):
    """A store of mixtures {name: signals}, the last one noise."""
    items = []
    for name, signals in mixtures.items():
        paths = [tmp_path / f"{name}{n}.wav" for n in range(len(signals))]
        for path, signal in zip(paths, signals, strict=True):
            soundfiles.write(path, np.asarray(signal), RATE)
        last = len(paths) - noise
        parts = tuple(Signal(path, n < last) for n, path in enumerate(paths))
        items.append(Item(name, "test", parts))
    return conversion.prepare(tmp_path / "store", RATE, items, progress=False).split("test")


def tone(*loudness):
    """A tone in frames of these amplitudes."""
    t = np.arange(FRAME * len(loudness))
    return np.repeat(loudness, FRAME) * np.sin(2 * np.pi * t / 8)


def table(tmp_path, split, corpus=None, names=("1", "2")):
    path = tmp_path / "test_items.csv"
    attributes.write(path, split, RATE, names, corpus, {"fingerprint": "f"}, progress=False)
    return scores.read_items(path)


def test_levels_and_overlap_are_measured_from_the_sources(tmp_path):
    first = tone(0.2, 0.2, 0.2, 0, 0, 0, 0.0001, 0)
    second = np.roll(tone(0.1, 0.1, 0.1, 0.1, 0, 0, 0, 0), 2 * FRAME)
    split = store(tmp_path, {"one": [first, second], "silent": [0 * first, second]})
    items = table(tmp_path, split)
    one = items.loc["one"]
    assert one["seconds"] == pytest.approx(8 * FRAME / RATE)
    assert one["overlap"] == pytest.approx(1 / 6)  # frames 0 to 2 and 2 to 5; -66 dB is silence
    ratio = 10 * math.log10(0.2**2 * 3 / (0.1**2 * 4))
    assert one["level_difference"] == pytest.approx(ratio, abs=1e-2)
    assert (one["1_level"], one["2_level"]) == pytest.approx((ratio, -ratio), abs=1e-2)
    silent = items.loc["silent"]
    assert silent["overlap"] == 0
    assert silent[["level_difference", "1_level", "2_level"]].isna().all()
    assert "snr" not in items
    assert "speakers" not in items


def test_noise_is_no_source(tmp_path):
    signals = [tone(0.2, 0), tone(0, 0.2), tone(0.02, 0.02)]
    (one,) = table(tmp_path, store(tmp_path, {"x": signals}, noise=True)).to_dict("records")
    assert one["snr"] == pytest.approx(20, abs=0.05)
    assert one["level_difference"] == pytest.approx(0, abs=1e-3)
    rest = 0.02**2 + (0.2 + 0.02) ** 2  # the noise is in phase with the other source
    assert one["1_level"] == pytest.approx(10 * math.log10(0.2**2 / rest), abs=1e-2)


def test_blocks_change_nothing(tmp_path, monkeypatch):
    rng = np.random.default_rng(0)
    split = store(tmp_path, {"x": [rng.normal(0, 0.1, 1000), rng.normal(0, 0.1, 1000)]})
    whole = attributes.measured(split, 0, RATE, ("1", "2"))
    monkeypatch.setattr(attributes, "BLOCK", 3)
    assert attributes.measured(split, 0, RATE, ("1", "2")) == pytest.approx(whole)


def test_speakers_and_genders_where_the_corpus_tells(tmp_path):
    pair = [tone(0.1), tone(0.1)]
    split = store(tmp_path, {"a-c": pair, "a-b": pair, "nobody": pair, "a-b-c": pair})
    items = table(tmp_path, split, Speech())
    assert items["speakers"].tolist() == ["a + c", "a + b", "", ""]
    assert items["genders"].tolist() == ["f + m", "", "", ""]


def test_the_table_is_written_once_for_a_corpus(tmp_path):
    split = store(tmp_path, {"x": [tone(0.1), tone(0.1)]})
    table(tmp_path, split)
    path = tmp_path / "test_items.csv"
    path.write_text("kept\n")
    attributes.write(path, split, RATE, "12", None, {"fingerprint": "f"}, progress=False)
    assert path.read_text() == "kept\n"
    attributes.write(path, split, RATE, "12", None, {"fingerprint": "g"}, progress=False)
    assert scores.read_items(path).index.tolist() == ["x"]
