"""What every test stands on: one thread, the same seed, and where real recordings may lie."""

import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).resolve().parent.parent

# Tests run side by side, and threads that wait for each other are slower than none.
torch.set_num_threads(1)


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Each test draws the same numbers, alone or after others."""
    torch.manual_seed(0)


@pytest.fixture(scope="session")
def fsdd() -> Path:
    """The folder of the Free Spoken Digit Dataset's recordings; skips where there is none."""
    folder = os.environ.get("AUTOCLIP_SEP_FSDD", ROOT.parent / "shared" / "data" / "fsdd")
    folder = Path(folder).expanduser()
    if not (folder / "0_george_0.wav").is_file():
        pytest.skip(f"no Free Spoken Digit Dataset in {folder}: set AUTOCLIP_SEP_FSDD")
    return folder
