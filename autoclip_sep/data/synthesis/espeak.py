"""Speech from espeak-ng through `espeakng-loader`, the same samples for the same job every time."""

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from autoclip_sep.errors import InputError

_PROGRAM = Path(__file__).with_name("_espeak_process.py")


@dataclass(frozen=True)
class Utterance:
    """Text and how it is spoken: rate in words per minute, pitch and range 0 to 100 (50: as is)."""

    text: str
    rate: int
    pitch: int
    range: int


def locate() -> tuple[str, str]:
    """Paths of the library and of its data. Raises InputError with what to install."""
    try:
        import espeakng_loader
    except ImportError as error:
        raise InputError(
            "the built-in corpus needs espeak-ng, which isn't installed: pip install"
            " espeakng-loader"
        ) from error
    try:
        library, data = espeakng_loader.get_library_path(), espeakng_loader.get_data_path()
    except (RuntimeError, OSError) as error:
        raise InputError(_broken(str(error))) from error
    if not Path(library).exists():
        raise InputError(_broken(f"{library} is missing"))
    return library, data


def speak(
    voice: str, language: str, utterances: list[Utterance], seed: int
) -> tuple[list[NDArray[np.int16]], int]:
    """Samples (T,) of each utterance and their rate in Hz.

    voice: text of an espeak-ng voice file (a variant). Raises InputError if espeak-ng fails, gives
    no samples for an utterance, or isn't installed.
    """
    library, data = locate()
    job = {
        "library": library,
        "data": data,
        "voice": voice,
        "language": language,
        "seed": seed,
        "utterances": [asdict(utterance) for utterance in utterances],
    }
    # -I: neither the user's site nor PYTHON variables may change what this process does.
    result = subprocess.run(
        [sys.executable, "-I", str(_PROGRAM)], input=json.dumps(job).encode(), capture_output=True
    )
    if result.returncode != 0:
        lines = result.stderr.decode(errors="replace").strip().splitlines()
        reason = lines[-1] if lines else f"it ended with code {result.returncode}"
        raise InputError(_broken(reason))
    return _split(result.stdout, len(utterances))


def _split(output: bytes, number: int) -> tuple[list[NDArray[np.int16]], int]:
    rate, position, signals = int(np.frombuffer(output, "<i4", 1)[0]), 4, []
    for _ in range(number):
        length = int(np.frombuffer(output, "<i4", 1, position)[0])
        if length == 0:
            raise InputError(_broken("it gave no samples for a sentence"))
        signals.append(np.frombuffer(output, "<i2", length, position + 4).astype(np.int16))
        position += 4 + 2 * length
    return signals, rate


def _broken(reason: str) -> str:
    return f"espeak-ng fails ({reason}): pip install --force-reinstall espeakng-loader"
