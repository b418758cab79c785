"""This process' place among those that ``torchrun`` or Slurm's ``srun`` started.

Only a step of several tasks is one run: ``python train.py`` in a batch script, or in a step of one
task, as submitit starts it, is a run of one process, however large the allocation.
"""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

from autoclip_sep.errors import InputError

# Below the ports that Linux gives to outgoing connections, above those of most services.
PORTS = range(12_000, 32_000)


@dataclass(frozen=True)
class Place:
    """One process among all.

    rank: from 0, of all processes. world: how many they are. local: the number of its GPU among
    those that it sees, as of the process on its machine. address, port: where they meet, None where
    the environment must say.
    """

    rank: int = 0
    world: int = 1
    local: int = 0
    address: str | None = None
    port: int | None = None


def place() -> Place:
    """What the environment says; raises InputError where that is invalid or contradictory."""
    if os.environ.get("TORCHELASTIC_RUN_ID") is None and _number("SLURM_STEP_NUM_TASKS", "1") > 1:
        return _of_srun()
    world = _number("WORLD_SIZE", "1")
    if world > 1 and "RANK" not in os.environ:
        raise InputError(
            f"WORLD_SIZE={world} without RANK in the environment: torchrun sets both; unset it for"
            " one process"
        )
    rank = _checked("RANK", _number("RANK", "0"), "WORLD_SIZE", world)
    address, port = os.environ.get("MASTER_ADDR"), os.environ.get("MASTER_PORT")
    number = _number("MASTER_PORT", "0") if world > 1 and port is not None else None
    return Place(rank, world, _number("LOCAL_RANK", "0"), address, number)


def _of_srun() -> Place:
    """A task of a step of several tasks."""
    tasks = _number("SLURM_STEP_NUM_TASKS")
    rank = _checked("SLURM_PROCID", _number("SLURM_PROCID"), "SLURM_STEP_NUM_TASKS", tasks)
    for name, value in {"RANK": rank, "WORLD_SIZE": tasks}.items():
        if _number(name, str(value)) != value:
            raise InputError(
                f"{name}={os.environ[name]} in the environment, but this is task {rank} of {tasks}"
                f" of a step of Slurm's: unset {name}, srun's own variables are enough"
            )
    job, step = _number("SLURM_JOB_ID"), _number("SLURM_STEP_ID", "0")
    port = PORTS[(job + 1009 * step) % len(PORTS)]  # two steps of a job may run side by side
    alone = os.environ.get("CUDA_VISIBLE_DEVICES", ",").isdecimal()  # --gpus-per-task=1
    return Place(
        rank, tasks, 0 if alone else _number("SLURM_LOCALID"),
        os.environ.get("MASTER_ADDR") or _first_node(os.environ),
        _number("MASTER_PORT", str(port)),
    )  # fmt: skip


def _first_node(environment: Mapping[str, str]) -> str:
    """The first node of a step, on which its first task runs.

    A list such as "gpu[007-010,12],login1" begins with gpu007; brackets may occur more than once.
    """
    nodes = environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST", "")
    first = re.match(r"((?:[^,\[]|\[[^\]]*\])+)(?:,|$)", nodes)
    name = re.sub(r"\[(\w+)[^\]]*\]", r"\1", first[1] if first else "")
    if not re.fullmatch(r"[\w.-]+", name):
        raise InputError(
            f"SLURM_STEP_NODELIST={nodes[:40]!r} in the environment names no node: export"
            " MASTER_ADDR, the name of the first node"
        )
    return name


def _checked(name: str, number: int, of: str, size: int) -> int:
    if not number < size:
        raise InputError(
            f"{name}={number} of {of}={size} in the environment: torchrun and srun set both; unset"
            " them for one process"
        )
    return number


def _number(name: str, default: str | None = None) -> int:
    """A variable of the environment; raises InputError for anything else than an integer."""
    value = os.environ.get(name, default)
    if value is None:
        raise InputError(f"{name} is missing in the environment of a step of Slurm's, with others")
    if not re.fullmatch(r"[0-9]{1,10}", value):
        raise InputError(
            f"{name}={value[:40]!r} in the environment: torchrun and srun set an integer; unset it"
            " for one process"
        )
    return int(value)
