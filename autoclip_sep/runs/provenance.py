"""The provenance of a run's numbers: provenance.json beside its records."""

import platform
import subprocess
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch

from autoclip_sep import __version__
from autoclip_sep.runs import run_directory

CHECKOUT = Path(__file__).resolve().parents[2]  # not one where a wheel is installed


def write(
    directory: Path, fingerprint: str, device: torch.device, start: Mapping[str, Any] | None = None
) -> None:
    """Record commit, versions, device, date and corpus; a resumed run keeps its first record.

    start: of a run that starts from another one, which checkpoint that was, with its sha256.
    """
    before = run_directory.read_provenance(directory)
    start = start or before.get("start")
    if before.get("fingerprint") == fingerprint and before.get("start") == start:
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
        **({"start": start} if start else {}),
    }
    run_directory.write_json(directory / run_directory.PROVENANCE, note)


def commit() -> str:
    """The checkout's commit, with a + where tracked files differ from it.

    "unknown" without git, and for a package installed inside another project's checkout.
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
    """The GPU's name, or the CPU's."""
    if device.type == "cuda":
        return str(torch.cuda.get_device_name(device))
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
