"""What the callbacks for training frameworks share: a clipper on an optimizer, or why not."""

from torch import nn
from torch.amp.grad_scaler import GradScaler
from torch.optim import Optimizer

from autoclip_sep.clipping import Clipper, Handle
from autoclip_sep.clipping.gradients import refuse_fsdp1
from autoclip_sep.errors import InputError


def require_gradient_clipper(clipper: object) -> None:
    """Raises InputError for what isn't a clipper, and for one that clips losses."""
    if not isinstance(clipper, Clipper):
        raise InputError(
            f"GradientClipping takes a clipper such as AutoClip(percentile=10), not {clipper!r}"
        )
    if clipper.clips_loss:
        raise InputError(
            f"{type(clipper).__name__} clips losses, which no callback sees: call its clip_loss "
            "where the loss is computed, and give GradientClipping only what clips gradients"
        )


def require_supported(callback: str, optimizer: object, model: nn.Module) -> None:
    """Refuses what would give a callback of that name wrong norms, or none.

    Raises InputError for an optimizer that isn't torch's (DeepSpeed brings its own), and for a
    model wrapped in FSDP1, where every process sees the gradients of its own shard only.
    """
    if not isinstance(optimizer, Optimizer):
        raise InputError(
            f"{callback} can't see the steps of {type(optimizer).__name__}, which is no "
            "torch.optim.Optimizer: use what the library that it comes from offers"
        )
    try:
        refuse_fsdp1(model.parameters())
    except ValueError as error:
        raise InputError(
            f"{callback} would see the gradients of one shard only in a model wrapped in "
            "FullyShardedDataParallel: use FSDP2 (fully_shard)"
        ) from error


def attach(
    clipper: Clipper, optimizer: object, model: nn.Module, scaler: GradScaler | None = None
) -> Handle:
    """`clipper.attach(optimizer, scaler)`; raises InputError as `require_supported` does."""
    require_supported("GradientClipping", optimizer, model)
    assert isinstance(optimizer, Optimizer)
    return clipper.attach(optimizer, scaler)
