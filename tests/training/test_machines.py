"""Two machines train as one process does, with every clipper."""

import sys
from functools import cache
from pathlib import Path

import pytest
import torch

from tests import machines
from tests.training.two_machines import CLIPPERS, run

UNCLIPPED = ("none", "shadow", "autoclip_p100", "autoclip_p10_warmup7", "alrc_n0.5")  # in six steps
SCRIPT = Path(__file__).with_name("two_machines.py")


@pytest.fixture(scope="module")
def ranks(tmp_path_factory, tiny_store):
    """What each of two processes on two machines has found, with srun's variables."""
    if why := machines.missing():
        pytest.skip(why)
    folder = tmp_path_factory.mktemp("ranks")
    step = {"SLURM_JOB_ID": "1", "SLURM_STEP_NODELIST": "machine[1-2]", "SLURM_LOCALID": "0"}
    with machines.two() as both:
        processes = [
            machine.start(
                [sys.executable, str(SCRIPT), str(folder), str(tiny_store.folder)],
                {**step, "SLURM_STEP_NUM_TASKS": "2", "SLURM_PROCID": str(number)},
            )
            for number, machine in enumerate(both)
        ]
        try:
            assert [process.wait(timeout=300) for process in processes] == [0, 0]
        finally:
            for process in processes:
                process.kill()
    return [torch.load(folder / f"{number}.pt") for number in range(2)]


@pytest.fixture(scope="module")
def single(tmp_path_factory, tiny_store):
    """The same of one process."""
    folder = tmp_path_factory.mktemp("single")
    return cache(lambda label: run(label, folder / label, tiny_store))


@pytest.mark.parametrize("label", CLIPPERS)
def test_two_machines_train_as_one_process(ranks, single, label):
    first, second = (rank[label] for rank in ranks)
    assert torch.equal(first["weights"], second["weights"])  # to the bit
    wanted = single(label)
    assert first.keys() == wanted.keys()
    for name, value in wanted.items():
        close = {"rtol": 1e-4, "atol": 1e-6, "equal_nan": True}
        torch.testing.assert_close(first[name], value, **close, msg=f"{name}: {{}}".format)


@pytest.mark.parametrize("label", [label for label in CLIPPERS if label not in UNCLIPPED])
def test_the_comparison_is_of_runs_that_clip(single, label):
    assert not torch.equal(single(label)["weights"], single("none")["weights"])
