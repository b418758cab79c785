"""Imports on a bare machine: with an empty PATH neither ffmpeg nor SoX is there."""

import subprocess
import sys
from pathlib import Path

import pytest

from autoclip_sep import optional
from autoclip_sep.errors import InputError

ROOT = Path(__file__).resolve().parent.parent
STANDARD = ("torch", "torchaudio", "hydra", "wandb", "pytest", "av", "soundfile", "safetensors")


def run_without_path(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        env={"PATH": ""},
        capture_output=True,
        text=True,
        timeout=300,
    )


def test_the_standard_set_up_imports() -> None:
    result = run_without_path(f"import {', '.join(STANDARD)}")
    assert result.returncode == 0, result.stderr


def test_museval_imports_and_scores() -> None:
    result = run_without_path(
        """
import sys
import numpy as np
from autoclip_sep.optional import import_museval

museval = import_museval()
assert "musdb" not in sys.modules
random = np.random.default_rng(0)
reference = random.standard_normal((2, 4000, 1))
estimate = reference + 0.1 * random.standard_normal((2, 4000, 1))
sdr, isr, sir, sar = museval.evaluate(reference, estimate, win=4000, hop=4000)
assert sdr.shape == (2, 1) and (np.abs(sdr - 20) < 2).all(), sdr
print("scored")
"""
    )
    assert result.stdout == "scored\n", result.stderr


def test_nussl_imports_quietly_and_leaves_no_trace() -> None:
    result = run_without_path(
        """
import sys
import scipy.signal
from autoclip_sep.optional import import_nussl

before = set(vars(scipy.signal))
nussl = import_nussl()
assert nussl.AudioSignal and nussl.__version__ == "1.1.9"
assert set(vars(scipy.signal)) == before
assert "musdb" not in sys.modules and "soxbindings" not in sys.modules
print("imported")
"""
    )
    assert result.stdout == "imported\n", result.stderr
    assert "SoX" not in result.stderr


def test_a_missing_package_is_one_line_with_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "hydra", None)
    with pytest.raises(InputError) as caught:
        optional.require("hydra", "the command line")
    message = str(caught.value)
    assert message.startswith("the command line needs the package hydra")
    assert "pip install hydra-core" in message
    assert "\n" not in message


def test_a_package_that_raises_at_import_is_named_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_at_import.py").write_text("raise RuntimeError('no\\nffmpeg')\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"reading stems needs .*broken_at_import.*\(no ffmpeg\)"):
        optional.require("broken_at_import", "reading stems")


def test_no_stand_in_where_the_commands_are(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for command in ("ffmpeg", "ffprobe"):
        (tmp_path / command).write_text("#!/bin/sh\n")
        (tmp_path / command).chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    with optional._stand_in("imaginary_package", unless=("ffmpeg", "ffprobe")):
        assert "imaginary_package" not in sys.modules
    (tmp_path / "ffprobe").unlink()
    with optional._stand_in("imaginary_package", unless=("ffmpeg", "ffprobe")):
        assert "imaginary_package" in sys.modules
    assert "imaginary_package" not in sys.modules
