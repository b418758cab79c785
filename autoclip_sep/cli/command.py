"""What the commands share: flags, one-line errors, exit codes."""

import faulthandler
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import torch
import yaml

from autoclip_sep.building import config_files
from autoclip_sep.cli import compose, launch, system_errors, terminal
from autoclip_sep.cli.main import called, help_as_called
from autoclip_sep.clipping import NegativeLoss, NonFiniteGradients
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.parallel import STOPPING
from autoclip_sep.runs.config import check as check_type
from autoclip_sep.training.preemption import Interrupted
from autoclip_sep.training.settings import MOST

# What a person can cause and mend: wrong input, a full disk, a learning rate that is far too high.
EXPECTED = (InputError, NegativeLoss, NonFiniteGradients, OSError)
OF_CORPORA = ("train", "bounds")  # commands that make objects of the user's own configs
LONGEST = 2000  # characters of an error: whatever is listed in it, it is read on a screen
Job = Callable[[Sequence[str]], Any]


def main(
    name: str, job: Job, usage: str, check: Job | None = None,
    finished: Callable[[Any], bool] = lambda checked: False, config: Job | None = None,
) -> None:  # fmt: skip
    """Run a command with Hydra's flags: with ``-m``, once for each combination of the values.

    check: what raises where a combination can't be meant, called for all before the first one runs.
    finished: whether nothing is left to do, of what `check` returned: no launcher is asked for it.
    config: the config that the arguments ask for; by default that of configs/<name>.yaml.
    """
    config = config or partial(_compose, name)
    script(name, partial(_with_flags, name, job, check or config, finished, config), usage)


def script(name: str, job: Callable[[list[str]], int | None], usage: str) -> None:
    """Run a command, ``job(arguments)``, or print its usage where --help is asked for.

    Exit codes: 0 done, 1 some jobs of a sweep failed, 2 wrong input, 128 + n stopped by signal n;
    and what the job returns.
    """
    # Processes that are begun here leave signals to this one: by its sudden end they would be left,
    # deaf to all but SIGKILL. So other signals that ask to stop end it as Ctrl-C does.
    for number in STOPPING:
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup has one ignored
            signal.signal(number, signal.default_int_handler)
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # repeatable cuBLAS, for resume
    code = None
    with exit_codes(name):
        if {"-h", "--help"} & set(sys.argv[1:]):
            terminal.check_open()
            print(help_as_called(usage))
        else:
            code = job(sys.argv[1:])
    if code:
        sys.exit(code)


def _with_flags(
    name: str, job: Job, check: Job, finished: Callable[[Any], bool], config: Job, given: list[str]
) -> None:
    """Do what Hydra's own flags ask for."""
    given = with_config_dirs(given, refuse=name not in OF_CORPORA)
    flags = [argument for argument in given if argument.startswith("-")]
    arguments = [argument for argument in given if not argument.startswith("-")]
    if flags == ["--cfg"] and "job" in arguments:
        arguments.remove("job")
        terminal.check_open()
        print(yaml.safe_dump(config(arguments), sort_keys=False).strip())
    elif flags in (["-m"], ["--multirun"]):
        _multirun(name, job, check, finished, arguments)
    elif flags:
        own = ", --config-dir=FOLDER" if name in OF_CORPORA else ""
        raise InputError(f"unknown flag {flags[0]}: there are --help, --cfg job{own} and -m")
    else:
        job(arguments)


def with_config_dirs(given: Sequence[str], *, refuse: bool = False) -> list[str]:
    """The arguments left when each --config-dir, with the folder it names, is added to configs/.

    refuse: where runs are read, code that lies in an added folder would be trusted, and a run may
    lie there as well.
    """
    rest: list[str] = []
    words = iter(given)
    for word in words:
        flag, equals, folder = word.partition("=")
        if flag not in ("--config-dir", "-cd"):
            rest.append(word)
            continue
        if refuse:
            raise InputError(f"{flag} is train's; trust=PACKAGE lets a run name your own code")
        folder = folder if equals else next(words, "")
        if not folder:
            raise InputError(f"{flag} names no folder: write --config-dir=FOLDER")
        config_files.add_folder(Path(folder))
    return rest


@contextmanager
def continued(out: Path) -> Iterator[None]:
    """Report that the same command resumes, where this one is stopped or the disk is full.

    out: what to name where the system doesn't say which file had no room.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        message = "stopped; the same command resumes"
        raise Interrupted(signal.SIGINT, message) from stop
    except OSError as error:
        if not system_errors.is_full(error):
            raise
        raise InputError(
            f"{error.filename or out}: the disk is full; make room, and the same command resumes"
        ) from error


@contextmanager
def exit_codes(name: str) -> Iterator[None]:
    """Turn what stops a command into one line on standard error and an exit code.

    Its output is flushed line by line, into a file or a pipe too.
    """
    name = called(name)
    terminal.open_streams()
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # as while scripts import
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _take_signals_elsewhere()
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output, `| head` perhaps, has seen enough
        terminal.end("", 128 + signal.SIGPIPE)
    except Interrupted as stop:
        terminal.end(f"{name}: {stop}", stop.exit_code)
    except KeyboardInterrupt:
        terminal.end(f"{name}: stopped", 130)
    except Exception as error:
        if (line := explained(error)) is None:
            raise
        terminal.end(f"{name}: {line}", 2)


def _take_signals_elsewhere() -> None:
    """Give this thread a stack of its own for signals, which faulthandler brings along.

    On some processors oneDNN's LSTM overwrites the heap, or has it overwritten, where a signal is
    taken on the usual stack while it computes gradients: of 25 training runs that SIGTERM stopped,
    7 ended in errors like "corrupted size vs. prev_size" instead of a checkpoint.
    """
    if sys.__stderr__ is not None and not faulthandler.is_enabled():
        faulthandler.enable(sys.__stderr__)


def explained(error: Exception) -> str | None:
    """One line for what a person can cause and mend; None for a fault of ours."""
    return one_line(error) if isinstance(error, EXPECTED) else system_errors.of_sizes(error)


def one_line(error: Exception) -> str:
    """The error's message as one printable line of bounded length.

    To an error of the operating system it adds what to do.
    """
    message = system_errors.line(error) if isinstance(error, OSError) else str(error)
    line = shown(message.strip())
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
    return line


def set_threads(threads: int) -> None:
    """Set torch's threads; 0 leaves torch's own choice. Raises InputError for too many."""
    check_type(threads, Annotated[int, range(MOST + 1)], "threads")
    if threads:
        torch.set_num_threads(threads)


def _compose(name: str, arguments: Sequence[str]) -> dict[str, Any]:
    """The config that the arguments ask for; InputError where there is none."""
    return compose.plain(compose.compose(name, arguments))


def _multirun(
    name: str, job: Job, check: Job, finished: Callable[[Any], bool], arguments: list[str]
) -> None:
    """Every combination is checked before the first one runs; a failure doesn't stop the rest."""
    settings, arguments = launch.set_settings_aside(arguments)
    jobs = compose.sweep(name, arguments)
    checked = [check(one) for one in jobs]
    launcher = launch.choose(name, settings, jobs[0])
    attempt = partial(_attempt, name, job)
    if launcher is None:
        left, reasons = jobs, []
        for number, one in enumerate(jobs, start=1):
            print(shown(f"[{number}/{len(jobs)}] {' '.join(one)}"), flush=True)
            reasons.append(attempt(one))
    else:
        left = [one for one, found in zip(jobs, checked, strict=True) if not finished(found)]
        if len(left) < len(jobs):
            print(f"{len(jobs) - len(left)} of {len(jobs)} jobs are finished: nothing to do there")
        reasons = launch.run(launcher, left, attempt) if left else []
    failures = [f"{' '.join(one)}: {why}" for one, why in zip(left, reasons, strict=True) if why]
    if failures:
        print(f"{len(jobs) - len(failures)} ok, {len(failures)} failed:", file=sys.stderr)
        for line in failures:
            print(shown(line), file=sys.stderr)
        sys.exit(1)


def _attempt(name: str, job: Job, arguments: Sequence[str]) -> str:
    """Run one job of a sweep; what was wrong with it, in one line, or nothing."""
    _take_signals_elsewhere()
    try:
        job(arguments)
    except (Interrupted, BrokenPipeError):
        raise
    except Exception as error:
        if (line := explained(error)) is None:
            raise
        print(f"{name}: {line}", file=sys.stderr)
        return line
    return ""
