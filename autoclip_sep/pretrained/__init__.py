"""Trained networks to load and to carry away, without Hydra."""

from autoclip_sep.pretrained.find import from_pretrained
from autoclip_sep.pretrained.folder import save_pretrained
from autoclip_sep.pretrained.model import Model

__all__ = ["Model", "from_pretrained", "save_pretrained"]
