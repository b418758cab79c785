"""Two machines of one network, as two network namespaces of this one.

    with machines.two() as (one, other):
        process = one.start(["python", "train.py", ...], cwd=folder)
        other.unplug()

Each has a name of its own, which both can look up, and no other network. Needs root and Debian's
iproute2; `missing()` says what isn't there.
"""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.commands import ENVIRONMENT

PROGRAMS = ("ip", "unshare", "hostname")
NAMES = ("machine1", "machine2")
SETTINGS = Path("/etc/netns")  # where `ip netns exec` looks for a namespace's /etc/hosts


def missing() -> str:
    """Why there can't be two machines here, or nothing."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"{', '.join(absent)} not on PATH: apt-get install iproute2"
    if os.geteuid() != 0:
        return "only root can add a network namespace"
    tried = subprocess.run(["ip", "netns", "add", _own("try")], capture_output=True, text=True)
    subprocess.run(["ip", "netns", "delete", _own("try")], capture_output=True)
    return "" if tried.returncode == 0 else f"no network namespaces here: {tried.stderr.strip()}"


@dataclass(frozen=True)
class Machine:
    """One of the two. device: its end of the cable between them."""

    name: str
    address: str
    space: str
    device: str = "cable"

    def start(
        self, words: Sequence[str], environment: dict[str, str] | None = None, **how: Any
    ) -> "subprocess.Popen[str]":
        """Start a program on it, in a session of its own; it is that program's process."""
        named = ["unshare", "--uts", "sh", "-c", f'hostname {self.name} && exec "$@"', "sh"]
        return subprocess.Popen(
            ["ip", "netns", "exec", self.space, *named, *words], text=True, start_new_session=True,
            env={**ENVIRONMENT, **(environment or {})}, **how,
        )  # fmt: skip

    def unplug(self) -> None:
        """Cut the cable: what is sent is lost, and nobody is told."""
        _ip("-n", self.space, "link", "set", self.device, "down")


@contextmanager
def two() -> Iterator[tuple[Machine, Machine]]:
    """Both, until the end of the `with`."""
    both = [
        Machine(name, f"10.77.0.{number}", _own(name)) for number, name in enumerate(NAMES, start=1)
    ]
    hosts = "127.0.0.1 localhost\n" + "".join(f"{one.address} {one.name}\n" for one in both)
    try:
        for one in both:
            _ip("netns", "add", one.space)
            (SETTINGS / one.space).mkdir(parents=True)
            (SETTINGS / one.space / "hosts").write_text(hosts)
        first, second = both
        _ip("link", "add", first.device, "netns", first.space, "type", "veth",
            "peer", "name", second.device, "netns", second.space)  # fmt: skip
        for one in both:
            _ip("-n", one.space, "address", "add", f"{one.address}/24", "dev", one.device)
            for device in ("lo", one.device):
                _ip("-n", one.space, "link", "set", device, "up")
        yield first, second
    finally:
        for one in both:
            subprocess.run(["ip", "netns", "delete", one.space], capture_output=True)
            shutil.rmtree(SETTINGS / one.space, ignore_errors=True)


def _own(name: str) -> str:
    """Tests of several processes may run at a time."""
    return f"autoclip-{os.getpid()}-{name}"


def _ip(*words: str) -> None:
    done = subprocess.run(["ip", *words], capture_output=True, text=True)
    assert done.returncode == 0, f"ip {' '.join(words)}: {done.stderr}"
