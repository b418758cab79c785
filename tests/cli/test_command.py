"""What the scripts share: help, signals, exit codes, and jobs that are continued."""

import errno
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch

from autoclip_sep.audio import soundfiles
from autoclip_sep.cli import command
from autoclip_sep.errors import InputError
from autoclip_sep.parallel import STOPPING
from tests.commands import ENVIRONMENT, ROOT, start
from tests.commands import command as give
from tests.pretrained.runs import untrained

USAGE = "Does it.\n\n    python scripts/it.py a=b"


@pytest.fixture(autouse=True)
def _own_handler():
    before = {number: signal.getsignal(number) for number in STOPPING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


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

    said = "it: stopped; the same command resumes\n"
    assert script(job) == (130, "", said)


@pytest.mark.parametrize("named", ["file.wav", None])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT])
def test_a_full_disk_names_the_file_or_the_folder(number, named):
    with pytest.raises(InputError) as caught, command.continued(Path("out")):
        raise OSError(number, "no room", named)
    assert str(caught.value) == (
        f"{named or 'out'}: the disk is full; make room, and the same command resumes"
    )


def test_other_faults_of_the_system_pass():
    with pytest.raises(PermissionError), command.continued(Path("out")):
        raise PermissionError(errno.EACCES, "denied", "file.wav")


def test_a_line_is_seen_in_a_pipe_while_the_job_goes_on(tmp_path):
    (tmp_path / "it.py").write_text(
        "import sys\n"
        "from autoclip_sep.cli import command\n"
        "with command.exit_codes('it'):\n"
        "    print('done: one')\n"
        "    sys.stdin.read()\n"
    )
    given, (said, output) = os.pipe(), os.pipe()
    process = start(tmp_path, tmp_path / "it.py", stdin=given[0], stdout=output)
    os.close(output)
    with open(said) as lines:
        assert lines.readline() == "done: one\n"  # waits for ever where it is held back
        os.close(given[1])
        assert process.wait() == 0


def test_signals_leave_a_network_whole_whose_gradients_are_being_computed(tmp_path):
    (tmp_path / "it.py").write_text(
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
    assert give(tmp_path, tmp_path / "it.py").stderr == ""


@pytest.fixture
def sweep(monkeypatch, capsys):
    """Run a job for seed=1 and seed=2; its exit code and what it said on standard error."""

    def run(job):
        monkeypatch.setattr(sys, "argv", ["it.py", "-m", "seed=1,2"])
        with pytest.raises(SystemExit) as end:
            command.main("train", job, USAGE, check=lambda _: None)
        return end.value.code, capsys.readouterr().err

    return run


TOO_LARGE = {
    "Python's": lambda: bytearray(2**60), "torch's": lambda: torch.empty(2**57),
    "torch's sizes": lambda: torch.empty(2**62), "torch's numbers": lambda: torch.empty(2**70),
    "numpy's": lambda: np.zeros(2**57), "numpy's sizes": lambda: np.zeros((2**62, 4)),
}  # fmt: skip


@pytest.mark.parametrize("allocate", TOO_LARGE.values(), ids=TOO_LARGE)
def test_too_little_memory_is_one_line_and_a_sweep_goes_on(script, sweep, allocate):
    code, _, said = script(lambda _: allocate())
    assert code == 2
    assert said.startswith("it: not enough memory (")
    assert said.count("\n") == 1
    ran = []

    def job(words):
        ran.append(words)
        if words == ["seed=1"]:
            allocate()

    code, said = sweep(job)
    assert (code, ran) == (1, [["seed=1"], ["seed=2"]])
    assert "1 ok, 1 failed:\nseed=1: not enough memory" in said


def test_every_failure_of_a_sweep_is_told_at_the_end(sweep):
    def job(words):
        raise InputError(f"no {words[0]}")

    code, said = sweep(job)
    assert code == 1
    assert said.endswith("0 ok, 2 failed:\nseed=1: no seed=1\nseed=2: no seed=2\n")


@pytest.mark.parametrize("fault", [RuntimeError("shapes differ"), TypeError("not a tensor")])
def test_a_fault_of_ours_keeps_its_traceback(script, fault):
    def job(_):
        raise fault

    with pytest.raises(type(fault)):
        script(job)


NO_BF16 = """
import torch
from autoclip_sep.audio import soundfiles
from autoclip_sep.cli import command
with command.exit_codes("it"):
    network = torch.nn.LSTM(8, 8)
    with torch.autocast("cpu", torch.bfloat16):
        network(torch.ones(2, 5, 8))
    print("this processor has it")
"""


def test_what_a_processor_cannot_compute_is_one_line(tmp_path, monkeypatch):
    monkeypatch.setitem(ENVIRONMENT, "ONEDNN_MAX_CPU_ISA", "SSE41")
    (tmp_path / "it.py").write_text(NO_BF16)
    process = start(tmp_path, tmp_path / "it.py")
    printed, errors = process.communicate()
    if printed:
        pytest.skip("oneDNN computes LSTMs in bfloat16 here whatever it is told")
    assert process.returncode == 2
    assert "trainer.precision=fp32 always works" in errors
    assert len(errors.splitlines()) == 1


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-", ">/dev/full"])
def test_streams_that_are_closed_or_full_change_no_file(tmp_path, closed):
    code = (
        "import os, sys\n"
        "from autoclip_sep.cli import command\n"
        "with command.exit_codes('it'):\n"
        "    with open('file', 'w') as file:\n"
        "        print('said'); os.write(1, b'said'); print('said', file=sys.stderr)\n"
        "        file.write('written')\n"
    )
    call = ["sh", "-c", f'exec "$0" -c "$1" {closed}', sys.executable, code]
    done = subprocess.run(
        call, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    full = closed == ">/dev/full"
    assert done.returncode == (2 if full else 0), done.stderr
    assert "Traceback" not in done.stderr
    assert "Exception ignored" not in done.stderr
    if full:
        assert "the disk is full" in done.stderr
    else:
        assert (tmp_path / "file").read_text() == "written"


@pytest.mark.parametrize(
    ("call", "said"),
    [
        ("separate.py run=r input=a.wav output=- >&-", "output=-: standard output is closed"),
        ("separate.py run=r input=- output=x <&-", "input=-: standard input is closed"),
        ("scripts/compare_scores.py a=a.csv b=a.csv >&-", "standard output is closed"),
        ("scripts/compare_scores.py a=a.csv b=a.csv >/dev/full", "the disk is full"),
        ("train.py --cfg job >&-", "standard output is closed"),
        ("train.py --cfg job >/dev/full", "the disk is full"),
        ("evaluate.py --help >&-", "standard output is closed"),
        ("evaluate.py --help >/dev/full", "the disk is full"),
    ],
)
def test_a_result_that_nobody_gets_is_a_failure(tmp_path, call, said):
    """Where files are the result, a closed stream changes nothing: see above."""
    if "/dev/full" in call and not Path("/dev/full").exists():
        pytest.skip("no /dev/full")
    untrained(tmp_path / "r")
    soundfiles.write(tmp_path / "a.wav", np.zeros(8000), 8000)
    scores = "".join(f"{item},1,{score}\n" for score, item in enumerate("abc"))
    (tmp_path / "a.csv").write_text(f"item,source,si_sdr_improvement\n{scores}")
    done = subprocess.run(
        ["sh", "-c", f'exec "$0" {ROOT}/{call}', sys.executable],
        cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert said in line


def test_what_is_not_printed_is_escaped(script):
    def job(_):
        raise InputError("no song \x1b[2J\udce9\u202e.wav")

    assert script(job)[2] == "it: no song \\x1b[2J\\xe9\\u202e.wav\n"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("script", ["train.py", "scripts/replay.py", "scripts/keep_records.py"])
def test_a_signal_while_a_command_is_imported_leaves_no_traceback(tmp_path, script, number):
    # In the place of torch, so that the signal comes during its import, on a slow machine, too.
    (tmp_path / "torch.py").write_text(
        "import os, time\nprint('importing', flush=True)\ntime.sleep(60)\n"
    )
    path = {**ENVIRONMENT, "PYTHONPATH": f"{tmp_path}:{ENVIRONMENT['PYTHONPATH']}"}
    with subprocess.Popen(
        [sys.executable, str(ROOT / script), "--help"], env=path, text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    ) as process:  # fmt: skip
        assert process.stdout.readline() == "importing\n"
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (-number, "")  # which a shell gives as 128 + number


def test_a_launcher_gets_what_is_left_of_a_sweep(monkeypatch, capsys):
    launched = []

    def run(launcher, jobs, attempt):
        launched.append(jobs)
        return ["", "no room"]

    monkeypatch.setattr(command.launch, "choose", lambda *_: "a launcher's config")
    monkeypatch.setattr(command.launch, "run", run)
    sweep = partial(command._multirun, "train", None, lambda words: words)
    with pytest.raises(SystemExit):
        sweep(lambda words: words == ["percentile=10"], ["percentile=1,10,25"])
    assert launched == [[["percentile=1"], ["percentile=25"]]]
    assert capsys.readouterr() == (
        "1 of 3 jobs are finished: nothing to do there\n",
        "2 ok, 1 failed:\npercentile=25: no room\n",
    )
    sweep(lambda words: True, ["percentile=1,10"])
    assert len(launched) == 1


WAITING = """
import os, sys, time
from autoclip_sep.audio import soundfiles
from autoclip_sep.cli import command
from autoclip_sep.parallel import in_parallel

def wait(place):
    open(f"{place}/{os.getpid()}", "w").close()
    time.sleep(60)

def job(words):
    in_parallel(wait, words, label="it", jobs=2)

command.script("it", job, "")
"""


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP])
def test_a_signal_leaves_none_of_the_processes_at_work(tmp_path, number):
    """They don't hear it themselves: train.py, stopped as it made a store, left them for ever."""
    (tmp_path / "it.py").write_text(WAITING)
    begun = tmp_path / "begun"
    begun.mkdir()
    process = start(tmp_path, tmp_path / "it.py", str(begun), str(begun))
    while len(list(begun.iterdir())) < 2:
        assert process.poll() is None
        time.sleep(0.02)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "it: stopped" in errors.splitlines()  # a resource tracker may have words after it
    deadline = time.monotonic() + 20
    while any(is_running(path.name) for path in begun.iterdir()):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def is_running(process):
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    try:
        with open(f"/proc/{process}/stat", encoding="ascii") as file:
            return (
                file.read().rpartition(")")[2].split()[0] != "Z"
            )  # dead, perhaps with nobody to ask
    except OSError:
        return False


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
