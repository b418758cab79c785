"""Where a run's numbers come from: provenance.json beside its records."""

import json
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from autoclip_sep import __version__
from autoclip_sep.runs import run_directory

CHECKOUT = Path(__file__).resolve().parents[2]  # what is installed from a wheel has none


def read(directory: Path) -> dict[str, Any]:
    """What was noted when the run began; empty for a new run."""
    return run_directory.read_provenance(directory)


def write(directory: Path, fingerprint: str, device: torch.device) -> None:
    """Note commit, versions, device, date and corpus once; a resumed run keeps its first note."""
    if read(directory).get("fingerprint") == fingerprint:
        return
    note = {
        "commit": commit(),
        "version": __version__,
        "torch": str(torch.__version__),
        "python": platform.python_version(),
        "device": device_name(device),
        "threads": torch.get_num_threads(),
        "date": datetime.now(UTC).date().isoformat(),
        "fingerprint": fingerprint,
    }
    run_directory.write_text(
        directory / run_directory.PROVENANCE, json.dumps(note, indent=1) + "\n"
    )


def commit() -> str:
    """The checkout's commit, with a + where tracked files differ from it; "unknown" without git.

    Of a package that is installed somewhere in another project's checkout, too.
    """
    if not (CHECKOUT / ".git").exists():
        return "unknown"
    try:
        described = subprocess.run(
            ["git", "describe", "--always", "--abbrev=10", "--exclude=*", "--dirty=+"],
            cwd=CHECKOUT, capture_output=True, text=True, check=True, timeout=10,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError):
        return "unknown"
    return described.stdout.strip()


def device_name(device: torch.device) -> str:
    """The GPU's name, or the processor's."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
