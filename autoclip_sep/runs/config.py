"""Configs that may come from strangers: of bounded size, of the right types, nothing missing.

Arguments of constructors are checked by their annotations where they are built; here are the types
of all other settings.
"""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml

from autoclip_sep.errors import InputError
from autoclip_sep.runs.annotations import check
from autoclip_sep.text import read_text

MOST_BYTES = 1_000_000  # of a file
MOST_NODES = 10_000  # of a file, its aliases expanded

Group = Mapping[str, Any]
Seed = Annotated[int, range(2**31)]
Count = Annotated[int, range(1, 1_000_001)]  # more of anything counted here is a mistake
Seconds = Annotated[int, range(1, 3601)]
Threads = Annotated[int, range(10_001)]
Samples = Annotated[int, range(1_000_001)]
TYPES: dict[str, Any] = {
    "seed": Seed, "runs": str, "force": bool, "percentile": float | None, "threads": Threads,
    "run": str | None, "input": str, "output": str, "split": str, "checkpoint": str, "device": str,
    "formats": str | Sequence[str],
    "downmix": bool, "bss_eval": bool | None, "metrics": str | Sequence[str] | None,
    "progress": bool, "masks": Literal["hard", "soft"], "chunk": Seconds | None, "format": str,
    "sources": Count | None, "sample_rate": Count | None, "channels": Count | None,
    "batch_size": Count, "workers": Threads | None,
    "bounds": bool | Literal["all"], "estimates": str, "references": str,
    "mixtures": str | None, "names": str | Sequence[str | int], "tolerance": Samples,
    "data": Group, "loss": Group, "model": Group | str | None, "clipping": Group,
    "optimizer": Group, "scheduler": Group, "logger": Group, "trainer": Group, "stft": Group,
    "data.name": str, "data.sample_rate": Count, "data.sources": Count, "data.channels": Count,
    "data.source_names": Sequence[str | int] | None, "data.permute": bool, "data.hq": bool | None,
    "data.window_length": Count, "data.hop_length": Count, "data.valid_segments": Count,
    "data.bss_eval": bool | None, "data.root": str | None, "data.store": str | None,
    "data.cache": str | None, "data.cache_size": float | None,
    "data.corpora": str | None, "data.licence": str | None, "data.content": str | None,
    "data.corpus": Group, "data.augmentation": Group | None,
    "loss.name": str, "loss.heads": Sequence[str], "loss.signed": bool,
    "loss.scale_invariant": bool, "loss.objective": Group, "trust": str | Sequence[str],
    "clipping._target_": str, "clipping.percentile": float | None, "trainer.epochs": int,
    "trainer.batch_size": int, "trainer.probe_points": int,
    "stft.window_length": Count, "stft.hop_length": Count, "model.stft": Group,
    "model.stft.window_length": Count, "model.stft.hop_length": Count,
    "training": Group, "scores": Sequence[Group],
    "init_from": str | None, "init_strict": bool, "freeze": str | Sequence[str] | None,
    "branch_from": str | None, "step": Annotated[int, range(1, 2**63)] | None,
    "rates": Mapping[str, Mapping[str, Mapping[str, float]]],
}  # fmt: skip


class Config(dict[str, Any]):
    """A config in which a missing key is an InputError that names it."""

    def __init__(self, content: Mapping[str, Any], where: str = "", key: str = "") -> None:
        super().__init__({
            name: Config(value, where, f"{key}{name}.") if isinstance(value, Mapping) else value
            for name, value in content.items()
        })  # fmt: skip
        self._where = f"{where}: {key}" if where else key

    def __missing__(self, key: str) -> Any:
        raise InputError(f"{self._where}{key} is missing")


yaml.SafeDumper.add_representer(Config, yaml.SafeDumper.represent_dict)


def checked(content: Mapping[str, Any], where: str = "") -> Config:
    """The config, with its types checked; raises InputError for the first that is wrong.

    where: its file, for messages.
    """
    for key, hint in TYPES.items():
        node: Any = content
        for part in key.split("."):
            if not isinstance(node, Mapping) or part not in node:
                break
            node = node[part]
        else:
            check(node, hint, f"{where}: {key}" if where else key)
    return Config(content, where)


def read_yaml(path: Path) -> Any:
    """The content of a small YAML file.

    Raises InputError where it isn't YAML, or is too large, with its aliases expanded, too: a few
    hundred bytes can stand for more than any memory holds.
    """
    if path.stat().st_size > MOST_BYTES:
        raise InputError(f"{path} is too large for a config: more than {MOST_BYTES:,} bytes")
    try:
        loader = yaml.SafeLoader(read_text(path))
        node = loader.get_single_node()
        if _size(node, {}) > MOST_NODES:
            raise InputError(f"{path} is too large for a config: more than {MOST_NODES:,} values")
        return None if node is None else loader.construct_document(node)
    except InputError:
        raise
    except RecursionError as error:
        raise InputError(f"cannot read {path}: it is nested too deeply") from error
    except (yaml.YAMLError, ValueError, TypeError) as error:  # the last two: invalid dates, keys
        raise InputError(f"cannot read {path}: {str(error).splitlines()[0]}") from error


def _size(node: Any, sizes: dict[int, float]) -> float:
    """How many values a node has with its aliases expanded; infinite in a cycle."""
    if id(node) not in sizes:
        sizes[id(node)] = math.inf  # until it is known
        inner = node.value if isinstance(node, yaml.CollectionNode) else []
        parts = [part for one in inner for part in (one if isinstance(one, tuple) else [one])]
        sizes[id(node)] = 1 + sum(_size(part, sizes) for part in parts)
    return sizes[id(node)]
