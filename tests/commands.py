"""Starts the project's commands as a user does, and loads its scripts as modules."""

import importlib.util
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
# One thread for each process, as tests run side by side.
ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def command(
    place: Path, script: str, *arguments: str, check: int = 0, before: Sequence[str] = (),
    given: str | None = None, timeout: float = 600,
) -> subprocess.CompletedProcess[str]:  # fmt: skip
    """Run a script in a folder to its end.

    check: the exit code that it must have. before: the words of a command that is to start it.
    given: what it reads from standard input.
    """
    done = subprocess.run(
        [*before, sys.executable, str(ROOT / script), *arguments], input=given,
        cwd=place, env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=timeout,
    )  # fmt: skip
    output = done.stdout + done.stderr
    assert done.returncode == check, f"exit code {done.returncode}, not {check}: {output}"
    return done


def start(place: Path, script: str, *arguments: str, **how: Any) -> subprocess.Popen[str]:
    """Start a script in a folder; its output goes into pipes, or where `how` directs it."""
    how = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **how}
    call = [sys.executable, str(ROOT / script), *arguments]
    return subprocess.Popen(call, cwd=place, env=ENVIRONMENT, text=True, **how)


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
