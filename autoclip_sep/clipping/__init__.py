"""Adaptive gradient clipping for any PyTorch loop. Needs torch and nothing else.

::

    clipper = AutoClip(percentile=10)
    loss.backward()
    if clipper.clip_gradients(model.named_parameters()).finite:
        optimizer.step()

In a loop that one doesn't own, ``clipper.attach(optimizer)`` once does the same in every step. With
a fused optimizer ``clipper.step(optimizer)`` does it without the host ever waiting for the device.
Losses are clipped by ``loss = alrc(losses).mean()``, and by ``Combined(ALRC(), AutoClip())`` before
gradients are. Every clipper has ``state_dict`` and ``load_state_dict``: keep them in checkpoints.
"""

from autoclip_sep.clipping.adagc import AdaGC
from autoclip_sep.clipping.agc import AGC
from autoclip_sep.clipping.alrc import ALRC
from autoclip_sep.clipping.autoclip import AutoClip
from autoclip_sep.clipping.base import Clipper
from autoclip_sep.clipping.combined import Combined
from autoclip_sep.clipping.handle import Handle
from autoclip_sep.clipping.local_norm import LocalNormClipping
from autoclip_sep.clipping.none import NoClipping
from autoclip_sep.clipping.norm import NormClipping
from autoclip_sep.clipping.quantile import QuantileClipping
from autoclip_sep.clipping.result import Clip, ClipResult, NegativeLoss, NonFiniteGradients
from autoclip_sep.clipping.value import ValueClipping
from autoclip_sep.clipping.zclip import ZClip

__all__ = [
    "AGC",
    "ALRC",
    "AdaGC",
    "AutoClip",
    "Clip",
    "ClipResult",
    "Clipper",
    "Combined",
    "Handle",
    "LocalNormClipping",
    "NegativeLoss",
    "NoClipping",
    "NonFiniteGradients",
    "NormClipping",
    "QuantileClipping",
    "ValueClipping",
    "ZClip",
]
