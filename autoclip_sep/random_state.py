"""The state of torch's random number generators, for exact resume and repeatable probes."""

from typing import Any

import torch

RandomState = dict[str, Any]


def capture() -> RandomState:
    """The state of the CPU generator and of every CUDA device's, as tensors."""
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_available() else []
    return {"cpu": torch.get_rng_state(), "cuda": cuda}


def restore(state: RandomState) -> None:
    """Set a captured state; devices that are not here are skipped."""
    torch.set_rng_state(state["cpu"])
    if torch.cuda.is_available():
        for device, device_state in enumerate(state["cuda"][: torch.cuda.device_count()]):
            torch.cuda.set_rng_state(device_state, device)
