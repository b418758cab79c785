"""Pins are complete, and `make` sets up the environment again when it is stale or half made."""

import os
import re
import subprocess
import time
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

# Requirements of nussl that it doesn't import here.
NOT_FOR_NUSSL = {"ffmpy", "soxbindings"}


def pins() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in found}


def needed(requirement: Requirement, seen: set[str]) -> Iterator[tuple[str, Requirement]]:
    """A requirement's own requirements here, recursively, as (package, requirement)."""
    name = canonicalize_name(requirement.name)
    key = f"{name}[{','.join(sorted(requirement.extras))}]"
    if key in seen:
        return
    seen.add(key)
    for text in requires(name) or []:
        inner = Requirement(text)
        extras = requirement.extras or {""}
        if inner.marker is None or any(inner.marker.evaluate({"extra": e}) for e in extras):
            yield name, inner
            if canonicalize_name(inner.name) not in NOT_FOR_NUSSL:
                yield from needed(inner, seen)


def test_every_pin_is_exact_and_from_the_registry() -> None:
    for name, pin in pins().items():
        assert re.fullmatch(r"==[\w.]+", str(pin.specifier)), name
        assert pin.url is None, name


def test_torch_and_torchaudio_go_together() -> None:
    assert str(pins()["torch"].specifier) == str(pins()["torchaudio"].specifier) == "==2.11.0"


def test_the_pins_are_complete_and_agree() -> None:
    """They are installed without resolving, so all requirements must be among them."""
    pinned, seen = pins(), set[str]()
    extras = [
        extra for name, extra in PROJECT["optional-dependencies"].items() if name != "pesq"
    ]  # compiled, so installed by itself
    asked = [("autoclip_sep", Requirement(text)) for extra in extras for text in extra]
    asked += [("autoclip_sep", Requirement(text)) for text in PROJECT["dependencies"]]
    asked += [("autoclip_sep", Requirement("nussl==1.1.9"))]
    try:
        asked += [pair for _, requirement in asked for pair in needed(requirement, seen)]
    except PackageNotFoundError as error:
        pytest.fail(f"{error.name} is not installed: make install")
    for who, requirement in asked:
        name = canonicalize_name(requirement.name)
        if who == "nussl" and name in NOT_FOR_NUSSL:
            continue
        assert name in pinned, f"{who} needs {requirement}, and constraints.txt has no {name}"
        version = str(pinned[name].specifier).removeprefix("==")
        assert requirement.specifier.contains(version, prereleases=True), f"{who}: {requirement}"


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Without the settings (PYTHON=python3.13) that `make test` passes on to the tests."""
    ours = ("MAKE", "PYTHON", "RUN", "SCALE", "ARGS", "WORKERS")
    clean = {key: value for key, value in os.environ.items() if not key.startswith(ours)}
    return subprocess.run(
        ["make", *arguments],
        cwd=folder,
        env=clean | environment,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Our Makefile, and a Python that only records how it is called."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    python = tmp_path / "python3"
    python.write_text(
        """#!/bin/sh
echo "$@" >> "$CHECKOUT/calls"
case "$*" in
    "-V") echo "Python ${VERSION:-3.11.7}" ;;
    "-m venv"*) rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    "-m pip"*) exit "${PIP_STATUS:-0}" ;;
esac
"""
    )
    (tmp_path / "df").write_text("#!/bin/sh\nexit 1\n")  # whatever room there is here
    for program in (python, tmp_path / "df"):
        program.chmod(0o755)
    return tmp_path


def install(checkout: Path, *arguments: str, **environment: str) -> tuple[int, str]:
    """The exit code of `make install`, and its calls of Python."""
    calls = checkout / "calls"
    calls.unlink(missing_ok=True)
    path = f"{checkout}:{os.environ['PATH']}"
    environment = {"PATH": path, "CHECKOUT": str(checkout), **environment}
    result = make(checkout, "install", *arguments, **environment)
    return result.returncode, calls.read_text() if calls.exists() else ""


def touch(path: Path) -> None:
    later = time.time() + 10
    os.utime(path, (later, later))


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_an_environment_is_made_once_and_brought_up_to_date_in_place(
    checkout: Path, changed: str
) -> None:
    status, calls = install(checkout)
    assert status == 0
    assert "-m venv --clear" in calls
    assert "--requirement constraints.txt" in calls
    assert install(checkout) == (0, "")
    touch(checkout / changed)
    status, calls = install(checkout)
    assert status == 0
    assert "-m pip" in calls
    assert "-m venv" not in calls


def test_a_half_made_environment_does_not_count_and_is_made_anew(checkout: Path) -> None:
    status, _ = install(checkout, PIP_STATUS="1")
    assert status != 0
    status, calls = install(checkout)
    assert status == 0
    assert "-m venv --clear" in calls


@pytest.mark.parametrize(("arguments", "anew"), [((), False), (("PYTHON=python3",), True)])
def test_the_environment_keeps_its_python_unless_another_is_named(
    checkout: Path, arguments: tuple[str, ...], anew: bool
) -> None:
    install(checkout)
    inside = checkout / ".venv" / "bin" / "python"
    inside.write_text(inside.read_text().replace("${VERSION:-3.11.7}", "3.13.0"))
    touch(checkout / "constraints.txt")
    status, calls = install(checkout, *arguments)
    assert status == 0
    assert ("-m venv --clear" in calls) == anew


def test_evaluate_without_a_run_is_one_line(checkout: Path) -> None:
    result = make(checkout, "evaluate")
    assert result.returncode == 2
    assert result.stderr.splitlines()[0] == "which run? make evaluate RUN=runs/..."
    assert not (checkout / ".venv").exists()


def test_help_is_the_default_and_names_every_target() -> None:
    output = make(ROOT).stdout
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    for target in set(phony[1].split()) - {"run-given"}:
        assert f"  make {target} " in output
