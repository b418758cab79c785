"""The Slurm of these tests: its nodes are several, and it leaves nothing behind."""

import pytest

from tests.slurm import cluster


def test_two_nodes_share_a_job(slurm):
    said = slurm.run("srun", "-N2", "sh", "-c", "echo $SLURMD_NODENAME $SLURM_PROCID")
    assert sorted(said.split("\n")) == ["", "node1 0", "node2 1"]


def test_a_node_that_is_down_takes_no_jobs_until_it_is_up_again(slurm):
    slurm.down("node1")
    assert slurm.run("srun", "sh", "-c", "echo $SLURMD_NODENAME") == "node2\n"
    slurm.resume("node1")
    assert "node1" in slurm.run("srun", "-w", "node1", "sh", "-c", "echo $SLURMD_NODENAME")


def test_nothing_is_left_behind():
    if why := cluster.missing():
        pytest.skip(why)
    with cluster.start() as running:
        running.run("sbatch", "--wrap=sleep 1000", "--output=/dev/null")
        running.wait(lambda: "RUNNING" in running.jobs().values())
        # Three daemons, and of the job slurmstepd, its shell, sleep.
        running.wait(lambda: len(running.processes()) >= 5)
    assert not running.processes()
    assert not running.folder.exists()
