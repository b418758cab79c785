"""W&B logging with the real package, without a network."""

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from autoclip_sep.training.loggers.base import FailSafe, NoLogger
from autoclip_sep.training.loggers.wandb import WandbLogger
from tests.commands import ENVIRONMENT, command, start
from tests.golden.make import TRAIN, only_run, write_corpus

PROGRAM = """
import sys
from pathlib import Path
from autoclip_sep.training.loggers.base import FailSafe
from autoclip_sep.training.loggers.wandb import WandbLogger

wandb = WandbLogger(mode=sys.argv[1], timeout=2)
logger = FailSafe(wandb)
logger.start(Path("run"), {"seed": 0, "loss": {"name": "snr"}})
print("open" if logger.running else "given up")
if logger.running:
    print(wandb._run.settings.finish_timeout)
for step in (20, 40):
    logger.log("dynamics", {"step": step, "loss": 1.0 / step, "smoothness": float("nan")})
logger.log("history", {"step": 40, "epoch": 1, "valid_loss": 0.5})
logger.finish()
"""


def run(place, mode, **environment):
    (place / "run").mkdir()
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, mode], cwd=place, capture_output=True, text=True,
        check=False, timeout=120, env={**ENVIRONMENT, "WANDB_SILENT": "true", **environment},
    )  # fmt: skip


def test_offline_rows_are_written_beside_the_run(tmp_path):
    done = run(tmp_path, "offline")
    assert done.returncode == 0, done.stderr
    opened, seconds = done.stdout.split()
    assert opened == "open"
    assert 0 < float(seconds) <= 300  # W&B's default would wait for a lost server for hours
    (file,) = (tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")
    content = file.read_bytes()
    assert b"dynamics/loss" in content
    assert b"history/valid_loss" in content


def test_a_server_that_is_not_there_is_said_once_and_hurts_nothing(tmp_path):
    done = run(
        tmp_path, "online", WANDB_BASE_URL="http://127.0.0.1:9", WANDB_API_KEY="0" * 40,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "given up" in done.stdout
    assert done.stderr.count("the run continues without it") == 1


@pytest.fixture
def keyless(tmp_path):
    """The environment of a process in `tmp_path` that finds no API key and no server."""
    (tmp_path / "run").mkdir()
    rest = {name: value for name, value in ENVIRONMENT.items() if not name.startswith("WANDB_")}
    return {**rest, "HOME": str(tmp_path), "WANDB_BASE_URL": "http://127.0.0.1:9"}


def test_without_a_key_nothing_is_asked_at_a_terminal(tmp_path, keyless):
    child, terminal = pty.fork()
    if child == 0:
        os.chdir(tmp_path)
        os.execve(sys.executable, [sys.executable, "-c", PROGRAM, "online"], keyless)
    output = b""
    with contextlib.suppress(OSError):  # which is how a terminal ends
        while select.select([terminal], [], [], 60)[0]:
            output += os.read(terminal, 4096)
    os.kill(child, signal.SIGKILL)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0, output.decode()
    assert b"given up" in output
    assert output.count(b"the run continues without it") == 1
    assert b"wandb login" in output


def test_without_a_key_and_an_input_to_ask_the_run_goes_on(tmp_path, keyless):
    call = ["sh", "-c", 'exec "$0" -c "$1" online <&-', sys.executable, PROGRAM]
    done = subprocess.run(
        call, cwd=tmp_path, env=keyless, capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "given up" in done.stdout
    assert done.stderr.count("the run continues without it") == 1


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """A folder with a corpus and a run without a logger."""
    place = tmp_path_factory.mktemp("alone")
    write_corpus(place / "corpus")
    command(place, "train.py", *TRAIN, "trainer.epochs=20", "runs=alone")
    return place


@pytest.mark.parametrize("gone", ["from the start", "in the middle"])
def test_a_run_whose_mirror_is_gone_ends_well_with_all_its_rows(alone, monkeypatch, gone):
    """W&B logs through a service process of its own, and there is no server."""
    if gone == "from the start":
        monkeypatch.setitem(ENVIRONMENT, "WANDB_BASE_URL", "http://127.0.0.1:9")
        monkeypatch.setitem(ENVIRONMENT, "WANDB_API_KEY", "0" * 40)
        how = ["logger=wandb", "logger.wandb.timeout=2"]
    else:
        how = ["logger=wandb", "logger.wandb.mode=offline"]
    runs = alone / gone
    process = start(alone, "train.py", *TRAIN, "trainer.epochs=20", *how, f"runs={runs}")
    if gone == "in the middle":
        while not list(runs.rglob("last-*.pt")):
            assert process.poll() is None, process.communicate()
            time.sleep(0.01)
        services = [number for number in descendants(process.pid) if "wandb" in name_of(number)]
        assert services
        for number in services:
            os.kill(number, signal.SIGKILL)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert errors.count("the run continues without it") == 1, errors
    for name in ("dynamics.csv", "history.csv", "spikes.csv"):
        one, other = (only_run(folder) / name for folder in (alone / "alone", runs))
        assert one.read_bytes() == other.read_bytes()


def descendants(process):
    """The ids of its child processes, and of theirs."""
    children = []
    for status in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            if status.read_text().rpartition(")")[2].split()[1] == str(process):
                children.append(int(status.parent.name))
    return children + [one for child in children for one in descendants(child)]


def name_of(process):
    with contextlib.suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes().decode()
    return ""


class Broken(NoLogger):
    """One of somebody's own, that fails at one of its methods."""

    def __init__(self, action):
        def fail(*given):
            self.calls += 1
            raise ConnectionError("the server left\nand more")

        self.calls = 0
        setattr(self, action, fail)


@pytest.mark.parametrize("action", ["start", "log", "finish"])
def test_a_logger_that_fails_is_reported_once_and_left_alone(tmp_path, capsys, action):
    broken = Broken(action)
    logger = FailSafe(broken)
    logger.start(tmp_path, {})
    for step in (20, 40):
        logger.log("dynamics", {"step": step, "loss": 1.0})
    logger.finish()
    assert capsys.readouterr().err == (
        f"Broken: cannot {action} (the server left); the run continues without it\n"
    )
    assert broken.calls == 1


def test_an_unknown_mode_is_refused():
    with pytest.raises(ValueError, match="online, offline or disabled"):
        WandbLogger(mode="of")


def test_no_logger_takes_everything(tmp_path):
    logger = NoLogger()
    logger.start(tmp_path, {})
    logger.log("history", {"step": 1})
    logger.finish()
    assert not list(tmp_path.iterdir())
