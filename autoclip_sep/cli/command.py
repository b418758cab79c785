"""What the commands share: flags, one-line errors, exit codes."""

import faulthandler
import io
import os
import signal
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

import torch
import yaml

from autoclip_sep.cli import compose, launch, system_errors, terminal
from autoclip_sep.cli.main import as_called, called
from autoclip_sep.clipping import NegativeLoss, NonFiniteGradients
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.parallel import STOPPING
from autoclip_sep.training.preemption import Interrupted

# What a person can cause and mend: wrong input, a full disk, a learning rate that is far too high.
EXPECTED = (InputError, NegativeLoss, NonFiniteGradients, OSError)
LONGEST = 2000  # characters of an error: whatever is listed in it, it is read on a screen
Job = Callable[[Sequence[str]], Any]


def main(
    name: str, job: Job, usage: str, check: Job | None = None,
    finished: Callable[[Any], bool] = lambda checked: False,
) -> None:  # fmt: skip
    """Run a command: ``job(arguments)``, once, or with ``-m`` once for each combination.

    check: what raises where a combination can't be meant, called for all before the first one runs.
    finished: whether nothing is left to do, of what `check` returned: no launcher is asked for it.

    Exit codes: 0 done, 1 some jobs of a sweep failed, 2 wrong input, 128 + n stopped by signal n.
    """
    _stop_as_by_ctrl_c()
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # repeatable cuBLAS, for resume
    with exit_codes(name):
        given = with_config_dirs(sys.argv[1:], refuse=name != "train")
        flags = [argument for argument in given if argument.startswith("-")]
        arguments = [argument for argument in given if not argument.startswith("-")]
        if {"-h", "--help"} & set(flags):
            print(as_called(usage.strip()))
        elif flags == ["--cfg"] and "job" in arguments:
            arguments.remove("job")
            print(yaml.safe_dump(_compose(name, arguments), sort_keys=False).strip())
        elif flags in (["-m"], ["--multirun"]):
            _multirun(name, job, check or partial(_compose, name), finished, arguments)
        elif flags:
            own = ", --config-dir=FOLDER" if name == "train" else ""
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
        compose.add_folder(Path(folder))
    return rest


def script(name: str, job: Callable[[list[str]], int | None], usage: str) -> None:
    """Run a command that takes no sweeps, or print its usage where --help is asked for.

    Exit codes are those of `main`, and what the job returns.
    """
    _stop_as_by_ctrl_c()
    code = None
    with exit_codes(name):
        if {"-h", "--help"} & set(sys.argv[1:]):
            print(as_called(usage))
        else:
            code = job(sys.argv[1:])
    if code:
        sys.exit(code)


def _stop_as_by_ctrl_c() -> None:
    """Let other signals that ask to stop end the processes, too, that were begun here.

    They leave signals to this one: by its sudden end they would be left, deaf to all but SIGKILL.
    """
    for number in STOPPING:
        if signal.getsignal(number) == signal.SIG_DFL:  # nohup has one ignored
            signal.signal(number, signal.default_int_handler)


@contextmanager
def continued(out: Path) -> Iterator[None]:
    """Say that the same command goes on from here, where it is stopped or the disk is full.

    out: what to name where the system doesn't say which file had no room.
    """
    try:
        yield
    except KeyboardInterrupt as stop:
        said = "stopped; the same command goes on from here"
        raise Interrupted(signal.SIGINT, said) from stop
    except OSError as error:
        if not system_errors.is_full(error):
            raise
        raise InputError(
            f"{error.filename or out}: the disk is full; make room, and the same command goes on"
            " from here"
        ) from error


@contextmanager
def exit_codes(name: str) -> Iterator[None]:
    """Turn what stops a command into one line on standard error and an exit code.

    What it says meanwhile is seen line by line, in a file or a pipe too.
    """
    name = called(name)
    _open_streams()
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL:  # as while scripts import
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _take_signals_elsewhere()
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:  # whoever read our output, `| head` perhaps, has seen enough
        _end("", 128 + signal.SIGPIPE)
    except Interrupted as stop:
        _end(f"{name}: {stop}", stop.exit_code)
    except KeyboardInterrupt:
        _end(f"{name}: stopped", 130)
    except Exception as error:
        if (said := explained(error)) is None:
            raise
        _end(f"{name}: {said}", 2)


def _open_streams() -> None:
    """Line by line, what is said is seen at once; a stream that is closed leads nowhere.

    Left closed, the next file to be opened would take its place, and what torch says go into it.
    """
    for stream, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, stream) is None:
            setattr(sys, stream, open(os.devnull, mode, encoding="utf-8"))  # noqa: SIM115
        elif stream != "stdin" and getattr(sys, stream).isatty():
            setattr(sys, stream, terminal.that_may_close(getattr(sys, stream)))
    if isinstance(sys.stdout, io.TextIOWrapper):
        # Names of files may be bytes that no text holds.
        sys.stdout.reconfigure(line_buffering=True, errors="backslashreplace")


def _end(line: str, code: int) -> NoReturn:
    """Say the last line, if there is one, and exit; whoever was to hear it may be gone."""
    with suppress(OSError):
        print(*([line] if line else []), file=sys.stderr, end="\n" if line else "")
    try:
        sys.stdout.flush()
    except OSError:  # or it would be tried again at the end, with a complaint
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    sys.exit(code)


def _take_signals_elsewhere() -> None:
    """Give this thread a stack of its own for signals, which faulthandler brings along.

    On some processors oneDNN's LSTM overwrites the heap, or has it overwritten, where a signal is
    taken on the usual stack while it computes gradients: of 25 training runs that SIGTERM stopped,
    7 ended in "corrupted size vs. prev_size" and the like instead of a checkpoint.
    """
    if sys.__stderr__ is not None and not faulthandler.is_enabled():
        faulthandler.enable(sys.__stderr__)


def explained(error: Exception) -> str | None:
    """One line for what a person can cause and mend; None for a fault of ours."""
    return one_line(error) if isinstance(error, EXPECTED) else system_errors.of_sizes(error)


def one_line(error: Exception) -> str:
    """The error's message as one line of bounded length, in characters that can be seen.

    Where the system gives a number only, it says what to do.
    """
    message = system_errors.line(error) if isinstance(error, OSError) else str(error)
    line = shown(message.strip())
    if len(line) > LONGEST:
        line = f"{line[: LONGEST // 2]} ... {line[-LONGEST // 2 :]}"
    return line


def set_threads(threads: int) -> None:
    """torch's threads; 0 leaves torch's own choice."""
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
    failures: list[str] = []
    if launcher is None:
        for number, one in enumerate(jobs, start=1):
            print(f"[{number}/{len(jobs)}] {' '.join(one)}", flush=True)
            if said := attempt(one):
                failures.append(f"{' '.join(one)}: {said}")
    else:
        left = [one for one, found in zip(jobs, checked, strict=True) if not finished(found)]
        if len(left) < len(jobs):
            print(f"{len(jobs) - len(left)} of {len(jobs)} jobs are finished: nothing to do there")
        outcomes = launch.run(launcher, left, attempt) if left else []
        for one, (status, said) in zip(left, outcomes, strict=True):
            if status != "done":
                failures.append(f"{' '.join(one)}: {said}")
    if failures:
        print(f"{len(jobs) - len(failures)} ok, {len(failures)} failed:", file=sys.stderr)
        print("\n".join(failures), file=sys.stderr)
        sys.exit(1)


def _attempt(name: str, job: Job, arguments: Sequence[str]) -> str:
    """Run one job of a sweep; what was wrong with it, in one line, or nothing."""
    _take_signals_elsewhere()
    try:
        job(arguments)
    except (Interrupted, BrokenPipeError):
        raise
    except Exception as error:
        if (said := explained(error)) is None:
            raise
        print(f"{name}: {said}", file=sys.stderr)
        return said
    return ""
