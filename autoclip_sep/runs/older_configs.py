"""The names that configs of older runs have for targets and settings."""

from collections.abc import Callable, Mapping
from typing import Any

Node = dict[str, Any]

# Each former target, and its replacement with the settings that it implied. Names of directories
# are still derived from the former ones, so that older runs keep theirs.
OPTIMIZERS, SCHEDULES = "autoclip_sep.training.optimizers", "autoclip_sep.training.schedulers"
DATA = "autoclip_sep.data"
LOGGERS = "autoclip_sep.training.loggers"
LOGGER = {"NoLogger": "base.NoLogger", "WandbLogger": "wandb.WandbLogger"}
MOVED = {
    "augmentation.RandomTracks": "loading.augmentation.RandomTracks",
    "demo.Demo": "corpora.demo.Demo",
    "digits.Digits": "corpora.digits.Digits",
    "librimix.LibriMix": "corpora.librimix.LibriMix",
    "mixture_tree.MixtureTree": "corpora.tree.MixtureTree",
    "musdb.Musdb": "corpora.musdb.Musdb",
    "musdb_demo.MusdbDemo": "corpora.musdb_demo.MusdbDemo",
}
RENAMED: dict[str, Node] = {
    **{f"{DATA}.{old}": {"_target_": f"{DATA}.{new}"} for old, new in MOVED.items()},
    **{f"{LOGGERS}.{old}": {"_target_": f"{LOGGERS}.{new}"} for old, new in LOGGER.items()},
    f"{OPTIMIZERS}.adam": {"_target_": "torch.optim.Adam", "fused": True},
    f"{OPTIMIZERS}.adamw": {"_target_": "torch.optim.AdamW", "fused": True},
    f"{OPTIMIZERS}.sgd": {"_target_": "torch.optim.SGD", "fused": True},
    f"{OPTIMIZERS}.rmsprop": {"_target_": "torch.optim.RMSprop"},
    f"{SCHEDULES}.Constant": {
        "_target_": "torch.optim.lr_scheduler.ConstantLR",
        "interval": "epoch", "monitor": None, "factor": 1.0, "total_iters": 0,
    },
    f"{SCHEDULES}.plateau": {
        "_target_": "torch.optim.lr_scheduler.ReduceLROnPlateau",
        "interval": "epoch", "monitor": "valid_loss", "mode": "min",
    },
}  # fmt: skip

# Former and present names of settings, by their target; "" is a group without one.
SETTINGS = {
    "autoclip_sep.clipping.ALRC": ("deviations", "num_stddev"),
    "autoclip_sep.clipping.ZClip": ("deviations", "z_threshold"),
    "autoclip_sep.training.settings.Settings": ("excerpt", "segment"),
    "": ("valid_excerpts", "valid_segments"),
}


# Settings that older runs don't have, and what these did, by their target.
ADDED: dict[str, Node] = {
    "autoclip_sep.training.settings.Settings": {
        "accumulate": 1, "validate_every": 0, "patience": 0, "ema_decay": 0.0, "overfit_batches": 0,
        "compile": False,
    },
}  # fmt: skip


def upgraded(config: Mapping[str, Any]) -> Node:
    """The config with present names, and with the settings that were added since."""

    def upgrade(node: Node) -> Node:
        target = str(node.get("_target_", ""))
        old, new = SETTINGS.get(target, ("", ""))
        added = ADDED.get(target, {})
        return _with_name({**added, **node, **RENAMED.get(target, {})}, old, new)

    return _each(config, upgrade)


def downgraded(config: Mapping[str, Any]) -> Node:
    """The config with former names, wherever these can express it."""

    def downgrade(node: Node) -> Node:
        old, new = SETTINGS.get(str(node.get("_target_", "")), ("", ""))
        node = _with_name(node, new, old)
        for target, meaning in RENAMED.items():
            if all(key in node and node[key] == value for key, value in meaning.items()):
                rest = {key: value for key, value in node.items() if key not in meaning}
                return {"_target_": target, **rest}
        return node

    return _each(config, downgrade)


def _with_name(node: Node, old: str, new: str) -> Node:
    """The node with one setting renamed, in the same place."""
    return {new if key == old else key: value for key, value in node.items()}


def _each(config: Mapping[str, Any], change: Callable[[Node], Node]) -> Node:
    """The config with `change` applied to every mapping, outer ones first."""
    return {
        key: _each(value, change) if isinstance(value, Mapping) else value
        for key, value in change(dict(config)).items()
    }
