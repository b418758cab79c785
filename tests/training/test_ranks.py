"""Rank, size and meeting point, from the variables of torchrun and of srun."""

import os

import pytest

from autoclip_sep.errors import InputError
from autoclip_sep.training.ranks import PORTS, Place, place
from autoclip_sep.training.settings import find_device

TORCHRUN = {
    "TORCHELASTIC_RUN_ID": "none", "RANK": "3", "WORLD_SIZE": "4", "LOCAL_RANK": "1",
    "MASTER_ADDR": "node1", "MASTER_PORT": "29500",
}  # fmt: skip
# As Slurm 22.05 sets them in a step of two tasks on each of two nodes.
SRUN = {
    "SLURM_JOB_ID": "1", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NTASKS": "4",
    "SLURM_STEP_ID": "0", "SLURM_STEP_NODELIST": "node[1-2]", "SLURM_STEP_NUM_TASKS": "4",
    "SLURM_PROCID": "3", "SLURM_LOCALID": "1",
}  # fmt: skip
# And in the batch script of such an allocation.
SBATCH = {
    "SLURM_JOB_ID": "1", "SLURM_JOB_NODELIST": "node[1-2]", "SLURM_NTASKS": "4",
    "SLURM_PROCID": "0", "SLURM_LOCALID": "0",
}  # fmt: skip


@pytest.fixture
def environment(monkeypatch):
    """Sets variables of a launcher, and no others."""
    names = {*TORCHRUN, "CUDA_VISIBLE_DEVICES"}
    for name in os.environ:
        if name in names or name.startswith("SLURM_"):
            monkeypatch.delenv(name)

    def set_all(variables):
        for name, value in variables.items():
            monkeypatch.setenv(name, value)

    return set_all


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, Place()),
        ({"WORLD_SIZE": "1"}, Place()),
        (SBATCH, Place()),
        ({**SBATCH, "SLURM_STEP_ID": "0", "SLURM_STEP_NUM_TASKS": "1"}, Place()),  # submitit's
        (TORCHRUN, Place(3, 4, 1, "node1", 29500)),
        ({**SRUN, **TORCHRUN}, Place(3, 4, 1, "node1", 29500)),  # srun torchrun
        (SRUN, Place(3, 4, 1, "node1", PORTS[1])),
        ({**SRUN, "SLURM_STEP_ID": "1"}, Place(3, 4, 1, "node1", PORTS[1010])),
        ({**SRUN, "CUDA_VISIBLE_DEVICES": "1"}, Place(3, 4, 0, "node1", PORTS[1])),
        ({**SRUN, "CUDA_VISIBLE_DEVICES": "0,1"}, Place(3, 4, 1, "node1", PORTS[1])),
        (
            {**SRUN, "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "5000", "WORLD_SIZE": "4"},
            Place(3, 4, 1, "10.0.0.1", 5000),
        ),
    ],
)  # fmt: skip
def test_the_place_of_a_process(environment, variables, found):
    environment(variables)
    assert place() == found


@pytest.mark.parametrize(
    ("nodes", "first"),
    [
        ("gpu07", "gpu07"),
        ("gpu07,gpu03", "gpu07"),
        ("gpu[007-010,12]", "gpu007"),
        ("gpu[3,5-7],login1", "gpu3"),
        ("rack[1-2]-gpu[01-04].site", "rack1-gpu01.site"),
    ],
)
def test_the_first_node_is_where_all_meet(environment, nodes, first):
    environment({**SRUN, "SLURM_STEP_NODELIST": nodes})
    assert place().address == first


@pytest.mark.parametrize(
    ("variables", "message"),
    [
        ({"RANK": "first"}, "RANK='first'"),
        ({"RANK": ""}, "RANK=''"),
        ({"RANK": "-1", "WORLD_SIZE": "2"}, "RANK='-1'"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, "RANK=2 of WORLD_SIZE=2"),
        ({"WORLD_SIZE": "0"}, "WORLD_SIZE=0"),
        ({"WORLD_SIZE": "2.0"}, "WORLD_SIZE='2.0'"),
        ({"WORLD_SIZE": "\u0662"}, "WORLD_SIZE="),
        ({"WORLD_SIZE": "2"}, "without RANK"),
        ({**TORCHRUN, "MASTER_PORT": "x"}, "MASTER_PORT='x'"),
        ({**TORCHRUN, "LOCAL_RANK": "first"}, "LOCAL_RANK='first'"),
        ({**SRUN, "SLURM_PROCID": "4"}, "SLURM_PROCID=4 of SLURM_STEP_NUM_TASKS=4"),
        ({**SRUN, "SLURM_STEP_NUM_TASKS": "many"}, "SLURM_STEP_NUM_TASKS='many'"),
        ({**SRUN, "SLURM_STEP_NODELIST": "node[1-"}, "names no node: export MASTER_ADDR"),
        ({**SRUN, "WORLD_SIZE": "2"}, "WORLD_SIZE=2 .* task 3 of 4"),
        ({**SRUN, "RANK": "0"}, "RANK=0 .* unset RANK"),
    ],
)
def test_nonsense_and_contradictions_are_one_line(environment, variables, message):
    environment(variables)
    with pytest.raises(InputError, match=message) as refused:
        place()
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("missing", ["SLURM_PROCID", "SLURM_LOCALID", "SLURM_JOB_ID"])
def test_a_variable_of_srun_that_is_missing_is_named(environment, missing):
    environment({name: value for name, value in SRUN.items() if name != missing})
    with pytest.raises(InputError, match=f"{missing} is missing"):
        place()


def test_the_gpu_of_a_local_rank_of_nonsense_is_refused(environment):
    environment({"LOCAL_RANK": "first"})
    with pytest.raises(ValueError, match="LOCAL_RANK='first'"):
        find_device("cuda")
