"""What the scripts share: help, signals, exit codes, and jobs that are continued."""

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from autoclip_sep.cli import command
from autoclip_sep.errors import InputError
from tests.commands import ENVIRONMENT

USAGE = "Does it.\n\n    python scripts/it.py a=b\n"


@pytest.fixture(autouse=True)
def _own_handler():
    before = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, before)


@pytest.fixture
def script(monkeypatch, capsys):
    """Run a job as a script with arguments; its exit code and what it said."""

    def run(job, *arguments):
        monkeypatch.setattr(sys, "argv", ["it.py", *arguments])
        code = 0
        try:
            command.script("it", job, USAGE)
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_is_all_that_is_done(script, flag):
    assert script(lambda _: 1 / 0, "a=b", flag) == (0, USAGE + "\n", "")


@pytest.mark.parametrize("code", [None, 0, 1])
def test_a_job_gets_the_arguments_and_gives_the_exit_code(script, code):
    given = []

    def job(arguments):
        given.extend(arguments)
        return code

    assert script(job, "a=b", "--all") == (code or 0, "", "")
    assert given == ["a=b", "--all"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_it_in_one_line(script, number):
    assert script(lambda _: os.kill(os.getpid(), number)) == (130, "", "it: stopped\n")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_job_that_can_be_continued_says_so(script, number, tmp_path):
    def job(_):
        with command.continued(tmp_path):
            os.kill(os.getpid(), number)

    said = "it: stopped; the same command goes on from here\n"
    assert script(job) == (130, "", said)


@pytest.mark.parametrize("named", ["file.wav", None])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_names_the_file_or_the_folder(number, named):
    with pytest.raises(InputError) as caught, command.continued(Path("out")):
        raise OSError(number, "no room", named)
    assert str(caught.value) == (
        f"{named or 'out'}: the disk is full; make room, and the same command goes on from here"
    )


def test_other_faults_of_the_system_pass():
    with pytest.raises(PermissionError), command.continued(Path("out")):
        raise PermissionError(errno.EACCES, "denied", "file.wav")


def test_a_line_is_seen_in_a_pipe_while_the_job_goes_on():
    code = (
        "import sys\n"
        "from autoclip_sep.cli import command\n"
        "with command.exit_codes('it'):\n"
        "    print('done: one')\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout.readline() == "done: one\n"  # waits for ever where it is held back
        process.stdin.close()
    assert process.returncode == 0


def test_signals_leave_a_network_whole_whose_gradients_are_being_computed():
    code = (
        "import signal, torch\n"
        "from autoclip_sep.cli import command\n"
        "torch.manual_seed(0)\n"
        "lstm = torch.nn.LSTM(129, 128, bidirectional=True, batch_first=True)\n"
        "heard = []\n"
        "signal.signal(signal.SIGALRM, lambda number, frame: heard.append(number))\n"
        "with command.exit_codes('it'):\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0.001, 0.001)\n"
        "    while len(heard) < 100:\n"
        "        lstm(torch.ones(16, 100, 129))[0].mean().backward()\n"
        "    signal.setitimer(signal.ITIMER_REAL, 0)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_an_error_is_one_line_of_bounded_length_whatever_is_listed_in_it(script):
    """The backstop: 20,000 missing files were a line of 1.37 MB."""

    def job(_):
        name = os.fsdecode(b"\x1b[31m caf\xe9\n")
        raise InputError(f"{name}: " + "name.wav, " * 20_000)

    code, _, said = script(job)
    assert code == 2
    assert said.startswith(r"it: \x1b[31m caf\xe9\n: name.wav, ")
    assert said.endswith("name.wav,\n")
    assert said.count("\n") == 1
    assert len(said) < 2100
