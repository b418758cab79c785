"""The network in bfloat16 or float16: autocast, and the scale that float16's gradients need.

Losses and weights stay in float32. Source: Micikevicius et al., "Mixed precision training" (ICLR
2018), in torch's GradScaler: after an overflow the step is left out and the scale halved.
"""

import torch
from torch import Tensor, nn
from torch.amp.grad_scaler import GradScaler

from autoclip_sep.clipping import Clipper, ClipResult
from autoclip_sep.errors import InputError
from autoclip_sep.training import distributed

HALVES = {"bf16": torch.bfloat16, "fp16": torch.float16}
HALVINGS = 16  # from torch's first scale to 1


def autocast_dtype(precision: str, device: torch.device) -> torch.dtype | None:
    """bfloat16 or float16, for ``auto`` the former where the device has it; None for float32."""
    if precision in HALVES:
        return HALVES[precision]
    if precision == "auto":
        has_it = (
            torch.cuda.is_bf16_supported(including_emulation=False)
            if device.type == "cuda"
            else torch.cpu._is_avx512_bf16_supported()
        )
        return torch.bfloat16 if has_it else None
    return None


def scaler_for(precision: str, device: torch.device, clipper: Clipper) -> GradScaler:
    """The scaler of a run, which does nothing unless in float16.

    The clipper, which ends a run after so many non-finite gradients in a row, is made to wait until
    the scale is found.
    """
    scaler = GradScaler(device.type, enabled=precision == "fp16")
    if scaler.is_enabled():
        clipper.max_nonfinite += HALVINGS
    return scaler


def require_fp16(model: nn.Module, device: torch.device) -> None:
    """Raises InputError where torch can't run the network's recurrent layers in float16.

    On a CPU oneDNN does, on those with AVX512-FP16 only.
    """
    for layer in model.modules():
        if isinstance(layer, nn.RNNBase):
            try:
                with torch.autocast(device.type, torch.float16):
                    layer(torch.zeros(1, 1, layer.input_size, device=device))
            except RuntimeError as error:
                raise InputError(
                    f"trainer.precision=fp16: this {device.type} has no {type(layer).__name__} in "
                    "float16; choose bf16 or fp32"
                ) from error
            return


def overflowed(scaler: GradScaler, clip: ClipResult, losses: Tensor) -> bool:
    """Whether a gradient is non-finite because of the scale alone: every loss is finite.

    losses: this process' part of the batch; all processes get the same answer.
    """
    if not scaler.is_enabled() or clip.finite:
        return False
    return not distributed.any_process(not bool(losses.isfinite().all()))
