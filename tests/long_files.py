"""Long recordings that take no room, and the most memory that a process had."""

import struct
import subprocess
import sys
from pathlib import Path

import pytest

from tests.commands import ENVIRONMENT

PEAK = """
with open("/proc/self/status") as status:
    print("peak", next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""


def silence(path: Path, seconds: int, rate: int) -> Path:
    """A 16-bit WAV file of zeros with one channel, as a file with a hole."""
    size = 2 * seconds * rate
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, rate, 2 * rate, 2, 16)
    head = struct.pack("<4sI4s", b"RIFF", size + 36, b"WAVE") + form
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        file.write(head + struct.pack("<4sI", b"data", size))
        file.truncate(44 + size)
    return path


def peak_memory(code: str, *arguments: object) -> float:
    """Run Python code in a process of its own; the most memory it ever had, in MB.

    Not by getrusage: its figure counts what the process was before it began to run Python, a copy
    of this one.
    """
    if not Path("/proc/self/status").is_file():
        pytest.skip("the most memory a process had is read from Linux' /proc/self/status")
    command = [sys.executable, "-c", code + PEAK, *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split("peak")[-1]) / 1024
