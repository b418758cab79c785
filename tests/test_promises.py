"""Promises of docs/reliability.md that belong to no single file."""

import ast
import socket
import subprocess
import sys
import time

import pytest
import torch

from autoclip_sep.cli.commands.train import train
from autoclip_sep.errors import InputError
from autoclip_sep.runs import checkpoint, run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder
from tests.commands import ENVIRONMENT, ROOT
from tests.golden.make import TRAIN, only_run, write_corpus

FETCHES = {"ftplib", "http", "requests", "socket", "tarfile", "torch.hub", "urllib", "zipfile"}
HANGS = """
import sys, time, torch
from datetime import timedelta
from autoclip_sep.training import distributed
distributed.TIMEOUT = timedelta(seconds=3)
with distributed.process_group(torch.device("cpu")):
    distributed.average([torch.zeros(1)])
    if distributed.rank() == 1:
        time.sleep(120)
    distributed.average([torch.zeros(1)])
"""


@pytest.fixture
def run(tmp_path, monkeypatch):
    """A run of one epoch, in the folder where commands are given."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path / "corpus")
    train([*TRAIN, "runs=runs", "trainer.epochs=1"])
    return only_run(tmp_path / "runs")


def test_another_machine_is_said(run, capsys):
    path = CheckpointFolder(run / "checkpoints").paths("last")[-1]
    state = checkpoint.load(path)
    state["environment"] |= {"torch": "2.0", "threads": 7}
    path.unlink()
    checkpoint.save(path, state)
    train([*TRAIN, "runs=runs", "trainer.epochs=2"])
    output = capsys.readouterr().out
    assert f"torch was 2.0, is {torch.__version__}" in output
    assert f"threads was 7, is {torch.get_num_threads()}" in output
    train([*TRAIN, "runs=runs", "trainer.epochs=3"])
    assert "warning" not in capsys.readouterr().out


def test_a_second_run_in_a_directory_is_refused(run):
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    with run_directory.lock(run), pytest.raises(InputError, match="in use"):
        train([*TRAIN, "runs=runs", "trainer.epochs=2"])
    assert before == {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}


def test_a_process_that_hangs_is_given_up():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", HANGS], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            env={**ENVIRONMENT, **meeting, "RANK": str(rank), "GLOO_SOCKET_IFNAME": "lo"},
        )
        for rank in range(2)
    ]  # fmt: skip
    try:
        began = time.monotonic()
        assert both[0].wait(timeout=100) != 0
        assert time.monotonic() - began < 100
        assert both[1].poll() is None  # it is the other that gave up
    finally:
        for process in both:
            process.kill()
            process.wait()


def imported(path):
    """The modules that a file imports, and the modules these are in."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom) and not node.level:
            names = [str(node.module), *(f"{node.module}.{alias.name}" for alias in node.names)]
        for name in names:
            yield name
            yield name.partition(".")[0]


def test_nothing_is_downloaded_or_unpacked():
    ours = ("*.py", "scripts/*.py", "autoclip_sep/**/*.py")
    files = [path for pattern in ours for path in ROOT.glob(pattern)]
    assert len(files) > 100
    found = {path.name: FETCHES & set(imported(path)) for path in files}
    # A checkpoint is looked into before torch reads it; nothing of it is written anywhere.
    assert {name: modules for name, modules in found.items() if modules} == {
        "checkpoint.py": {"zipfile"},
        "peers.py": {"socket"},  # between the processes of a run
        "index.py": {"urllib"},  # its quotation of names in links
        "deb.py": {"tarfile"},  # packages are read member by member; nothing is extracted
    }
    assert "extract" not in (ROOT / "autoclip_sep/runs/checkpoint.py").read_text(encoding="utf-8")
