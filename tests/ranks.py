"""Starts a script as the processes of one group and gathers what each of them saved."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import torch

from tests.commands import ENVIRONMENT


def gathered(script: Path, mode: str, world: int, folder: Path) -> list[Any]:
    """What every rank left as `<mode>-<rank>.pt` in a folder.

    The script is given mode, rank, number of processes and folder.
    """
    ranks = [
        subprocess.Popen(
            [sys.executable, str(script), mode, str(rank), str(world), str(folder)],
            env={**ENVIRONMENT, "GLOO_SOCKET_IFNAME": "lo"},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for rank in range(world)
    ]
    try:
        for rank in ranks:
            output, _ = rank.communicate(timeout=120)
            assert rank.returncode == 0, output
    finally:
        for rank in ranks:
            rank.kill()
    return [torch.load(folder / f"{mode}-{rank}.pt") for rank in range(world)]
