"""Long sparse recordings, and the peak memory of a process."""

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
    """Run Python code in a process of its own; its peak memory in MB.

    Not by getrusage, whose value includes the time before exec, when it was a copy of this process.
    """
    if not Path("/proc/self/status").is_file():
        pytest.skip("peak memory is read from Linux' /proc/self/status")
    command = [sys.executable, "-c", code + PEAK, *map(str, arguments)]
    done = subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return int(done.stdout.split("peak")[-1]) / 1024
