import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from autoclip_sep.data.synthesis import espeak
from autoclip_sep.data.synthesis.espeak import Utterance, speak
from autoclip_sep.errors import InputError

VOICE = "language variant\nname speaker\ngender female\npitch 150 220\nbreath 0 3 3 3\nflutter 5\n"
SAID = [
    Utterance("The seventh judge found a yellow boat.", 160, 50, 50),
    Utterance("Who?", 160, 50, 50),
]


def test_the_same_job_gives_the_same_samples():
    one, rate = speak(VOICE, "en", SAID, seed=1)
    other, _ = speak(VOICE, "en", SAID, seed=1)
    assert rate >= 16000
    assert [signal.dtype for signal in one] == [np.int16, np.int16]
    assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
    assert 1.0 < len(one[0]) / rate < 5.0
    assert len(one[1]) < len(one[0])
    assert all(np.abs(signal).max() > 1000 for signal in one)


def test_seed_voice_language_and_style_are_heard():
    def first(voice, language, said, seed):
        return speak(voice, language, [said], seed)[0][0]

    base = first(VOICE, "en", SAID[0], 1)
    assert not np.array_equal(base, first(VOICE, "en", SAID[0], 2))
    assert not np.array_equal(base, first(VOICE + "formant 1 130\n", "en", SAID[0], 1))
    assert not np.array_equal(base, first(VOICE, "de", SAID[0], 1))
    faster = first(VOICE, "en", Utterance(SAID[0].text, 260, 50, 50), 1)
    assert len(faster) < 0.8 * len(base)


def test_an_unknown_language_is_named():
    with pytest.raises(InputError, match="no voice for the language xx-none"):
        speak(VOICE, "xx-none", SAID, seed=1)


def test_a_missing_library_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(InputError, match="pip install espeakng-loader"):
        espeak.locate()


@pytest.mark.parametrize("content", [None, b"not a library"])
def test_a_broken_library_is_one_line(monkeypatch, tmp_path, content):
    library = tmp_path / "libespeak-ng.so"
    if content is not None:
        library.write_bytes(content)
    (tmp_path / "data").mkdir()
    loader = SimpleNamespace(
        get_library_path=lambda: str(library), get_data_path=lambda: str(tmp_path / "data")
    )
    monkeypatch.setitem(sys.modules, "espeakng_loader", loader)
    with pytest.raises(InputError, match="pip install --force-reinstall") as caught:
        speak(VOICE, "en", SAID, seed=1)
    assert "\n" not in str(caught.value)


def test_a_crash_is_an_error_and_no_end(monkeypatch):
    """The library lives in a process of its own: if that dies, this one reports it."""
    died = subprocess.CompletedProcess([], -11, b"", b"")
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: died)
    with pytest.raises(InputError, match="it ended with code -11"):
        speak(VOICE, "en", SAID, seed=1)


def test_the_library_is_never_loaded_here():
    """It is GPL: only the separate program loads it."""
    maps = Path("/proc/self/maps")
    if not maps.exists():
        pytest.skip("this system doesn't list a process's libraries in /proc")
    speak(VOICE, "en", SAID, seed=1)
    assert "espeak" not in maps.read_text()
