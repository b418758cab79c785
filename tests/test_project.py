"""The frame: pins that are complete, and a set-up that is redone when it is stale or half made."""

import math
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]

GB = 10**9

# What nussl asks for and doesn't import without need, so that it is left out.
NOT_FOR_NUSSL = {"ffmpy", "soxbindings"}


def pins() -> dict[str, Requirement]:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    found = [Requirement(line) for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(pin.name): pin for pin in found}


def needed(requirement: Requirement, seen: set[str]) -> Iterator[tuple[str, Requirement]]:
    """A requirement and all that follows from it here, as (who asks, what)."""
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
    """They are installed without resolving: whatever they ask for must be among them."""
    pinned, seen = pins(), set[str]()
    extras = PROJECT["optional-dependencies"].values()
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
    """As in a shell of its own: make test hands its own settings (PYTHON=python3.13) on to us."""
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
    """Our Makefile, a disk of $FREE KiB, and a Python that only notes what it is asked."""
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    python = tmp_path / "python3"
    python.write_text(
        """#!/bin/sh
echo "$@" >> "$CHECKOUT/calls"
case "$*" in
    "-V") echo "Python $VERSION" ;;
    "-m venv"*) rm -rf .venv; mkdir -p .venv/bin; cp "$0" .venv/bin/python ;;
    "-m pip"*) exit "${PIP_STATUS:-0}" ;;
esac
"""
    )
    python.chmod(0o755)
    disk = tmp_path / "df"
    disk.write_text("#!/bin/sh\necho Disk 1024-blocks Used Free; echo $DEVICE $FREE 9% /\n")
    disk.chmod(0o755)
    return tmp_path


def installing(
    checkout: Path,
    *arguments: str,
    version: str = "3.11.7",
    pip_status: int = 0,
    free: int = 10 * GB,
    device: str = "/dev/sda1 9 9",
) -> subprocess.CompletedProcess[str]:
    return make(
        checkout,
        "install",
        *arguments,
        PATH=f"{checkout}:{os.environ['PATH']}",
        CHECKOUT=str(checkout),
        VERSION=version,
        PIP_STATUS=str(pip_status),
        FREE=str(math.ceil(free / 1024)),
        DEVICE=device,
    )


def install(checkout: Path, *arguments: str, **settings: Any) -> tuple[int, str]:
    """Status of `make install` and what it asked of Python."""
    calls = checkout / "calls"
    calls.unlink(missing_ok=True)
    result = installing(checkout, *arguments, **settings)
    return result.returncode, calls.read_text() if calls.exists() else ""


def touch(path: Path) -> None:
    later = time.time() + 10
    os.utime(path, (later, later))


def test_install_once(checkout: Path) -> None:
    status, calls = install(checkout)
    assert status == 0
    assert "-m venv" in calls
    assert "--requirement constraints.txt" in calls
    assert install(checkout) == (0, "")


@pytest.mark.parametrize("changed", ["pyproject.toml", "constraints.txt"])
def test_a_stale_environment_is_brought_up_to_date_in_place(checkout: Path, changed: str) -> None:
    install(checkout)
    touch(checkout / changed)
    status, calls = install(checkout)
    assert status == 0
    assert "-m pip" in calls
    assert "-m venv" not in calls


def test_a_half_made_environment_does_not_count_and_is_made_anew(checkout: Path) -> None:
    status, _ = install(checkout, pip_status=1)
    assert status != 0
    status, calls = install(checkout)
    assert status == 0
    assert "-m venv --clear" in calls


@pytest.mark.parametrize(("asked", "anew"), [((), False), (("PYTHON=python3",), True)])
def test_the_environment_keeps_its_python_unless_another_is_named(
    checkout: Path, asked: tuple[str, ...], anew: bool
) -> None:
    install(checkout)
    inside = checkout / ".venv" / "bin" / "python"
    inside.write_text(inside.read_text().replace("$VERSION", "3.13.0"))
    touch(checkout / "constraints.txt")
    status, calls = install(checkout, *asked)
    assert status == 0
    assert ("-m venv --clear" in calls) == anew


def test_an_old_python_is_one_line(checkout: Path) -> None:
    (checkout / "old").write_text('#!/bin/sh\ntest "$1" = -V && echo Python 3.10.13\n')
    (checkout / "old").chmod(0o755)
    result = make(checkout, "install", f"PYTHON={checkout / 'old'}")
    assert result.returncode == 2
    first, second = result.stderr.splitlines()
    assert "needs Python 3.11" in first
    assert "Python 3.10.13" in first
    assert second.startswith("make: ***")
    assert not (checkout / ".venv").exists()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere no CUDA packages come along")
@pytest.mark.parametrize("device", ["/dev/sda1 9 9", "//nas/My Share 9 9"])
def test_a_disk_without_room_is_one_line_before_anything_is_fetched(
    checkout: Path, device: str
) -> None:
    result = installing(checkout, free=9 * GB - GB // 5, device=device)
    assert result.returncode == 2
    first, second = result.stderr.splitlines()
    assert "takes 9 GB of disk while it is made" in first
    assert "8.8 GB are free" in first
    assert second.startswith("make: ***")
    assert "-m" not in (checkout / "calls").read_text()
    status, calls = install(checkout, free=9 * GB, device=device)
    assert status == 0
    assert "-m venv --clear" in calls


def test_what_an_old_environment_gives_back_counts_as_room(checkout: Path) -> None:
    install(checkout)
    (checkout / ".venv" / "large").write_bytes(bytes(5_000_000))
    (checkout / ".venv" / ".installing").touch()
    touch(checkout / "constraints.txt")
    status, calls = install(checkout, free=9 * GB - 4_000_000)
    assert status == 0
    assert "-m venv --clear" in calls


@pytest.mark.parametrize("device", ["-", "", "none - -", "/dev/sda1 99999999999999"])
def test_a_disk_that_says_nothing_of_its_room_is_no_hindrance(checkout: Path, device: str) -> None:
    assert install(checkout, free=2**64, device=device)[0] == 0
    (checkout / "df").write_text(f"#!/bin/sh\necho {device}; exit 1\n")
    (checkout / ".venv" / ".installing").touch()
    touch(checkout / "constraints.txt")
    assert install(checkout)[0] == 0


def test_an_environment_that_is_there_is_brought_up_to_date_on_a_full_disk(checkout: Path) -> None:
    install(checkout)
    touch(checkout / "constraints.txt")
    assert install(checkout, free=0)[0] == 0


def test_evaluate_without_a_run_is_one_line(checkout: Path) -> None:
    result = make(checkout, "evaluate")
    assert result.returncode == 2
    assert result.stderr.splitlines()[0] == "which run? make evaluate RUN=runs/..."
    assert not (checkout / ".venv").exists()


def test_help_is_the_default_and_names_every_target() -> None:
    shown = make(ROOT).stdout
    phony = re.search(r"^\.PHONY: (.+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert phony is not None
    for target in set(phony[1].split()) - {"run-given"}:
        assert f"  make {target} " in shown
