"""Starts the project's commands as a user does, and loads its scripts as modules."""

import importlib.util
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.forked import ROOT, Forked

# One thread for each process, as tests run side by side.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def command(
    place: Path, script: str | Path, *arguments: str, check: int = 0, before: Sequence[str] = (),
    given: str = "", timeout: float = 600,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run a script in a folder to its end.

    check: the exit code that it must have. before: the words of a command that is to start it, in
    a fresh Python then. given: what it reads from standard input.
    """
    call = [str(ROOT / script), *arguments]
    if before:
        done = subprocess.run(
            [*before, sys.executable, *call],
            cwd=place, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout,
        )  # fmt: skip
    else:
        with tempfile.TemporaryFile("w+") as stdin:
            stdin.write(given)
            stdin.seek(0)
            process = Forked(call, place, ENVIRONMENT, stdin=stdin)
            said = process.communicate(timeout)
        done = subprocess.CompletedProcess(call, process.wait(), *said)
    said = done.stdout + done.stderr
    assert done.returncode == check, f"exit code {done.returncode}, not {check}: {said}"
    return done


def start(place: Path, script: str | Path, *arguments: str, **how: Any) -> Forked:
    """Start a script in a folder; its output goes into pipes, or where `how` says."""
    return Forked([str(ROOT / script), *arguments], place, ENVIRONMENT, **how)


def load(script: str) -> ModuleType:
    """A script as a module that is named by its path."""
    name = script.removesuffix(".py").replace("/", ".")
    spec = importlib.util.spec_from_file_location(name, ROOT / script)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # where its dataclasses are looked up
    spec.loader.exec_module(module)
    return module
