"""Ends this process in seconds where another one of its run is lost, and says so in one line.

gloo and NCCL notice a killed process at once, one behind a cut cable or on a machine without power
only after their timeouts. So the first process holds a connection to each other one, and the
kernels at both ends ask over it whether the other is still there: no busy or stopped process is
taken for lost, as it would be by messages that it had to send itself. A process that hangs is left
to the timeouts.
"""

import os
import secrets
import selectors
import socket
import sys
import threading
import time
from contextlib import suppress
from datetime import timedelta
from typing import NoReturn

from torch import distributed

from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.training.ranks import Place

# A peer is lost after IDLE + INTERVAL * COUNT = 14 s without an answer of its kernel.
IDLE, INTERVAL, COUNT = 4, 2, 5
GRACE = 2.0  # seconds in which a process may end for a reason of its own, which says more
LOST = 1  # exit code, below that of whoever knows the reason: srun returns the highest
BYE = b"."
_ending = threading.Lock()


class Peers:
    """The other processes of a run, as the first one sees them, or the first one, seen by another.

    store: of this group of processes alone. Raises OSError where a connection isn't made.
    """

    def __init__(self, place: Place, store: "distributed.Store", timeout: timedelta) -> None:
        self._rank, self._world, self._store = place.rank, place.world, store
        self._left, self._goodbye = threading.Event(), threading.Event()
        self._waits = 0
        seconds = timeout.total_seconds()
        self._links = self._accept(place, seconds) if place.rank == 0 else self._connect(seconds)
        for link in self._links:
            _ask_whether_alive(link)
        # A worker that reads data would hold the links of a process that was killed.
        os.register_at_fork(after_in_child=self._close_links)
        threading.Thread(target=self._watch, daemon=True).start()

    def wait_for_all(self) -> None:
        """Return when all processes have called this, however long that takes."""
        self._waits += 1
        keys = [f"wait{self._waits}/{rank}" for rank in range(self._world)]
        self._store.set(keys[self._rank], "")
        while not self._store.check(keys):
            time.sleep(0.05)

    def leave(self) -> None:
        """End the watch: the first process leaves first, as a launcher may end all after one."""
        if self._rank == 0:
            for link in self._links:
                with suppress(OSError):  # it is noticed by the launcher
                    link.sendall(BYE)
        else:
            self._goodbye.wait()
        self.close()

    def close(self) -> None:
        """End the watch, so that the others notice."""
        self._left.set()
        self._close_links()

    def _close_links(self) -> None:
        for link in self._links:
            link.close()

    def lost_contact(self, error: Exception) -> NoReturn:
        """End this process because of an error of gloo's or NCCL's; the watch may know more."""
        time.sleep(2 * GRACE)
        reason = str(error).strip().split("\n")[0]
        self._end(f"no contact with the other processes: {reason}")

    def _accept(self, place: Place, seconds: float) -> dict[socket.socket, str]:
        """A link to each other process, by its name."""
        token = secrets.token_hex(16)
        both = socket.has_dualstack_ipv6()
        family = socket.AF_INET6 if both else socket.AF_INET
        links: dict[socket.socket, str] = {}
        with socket.create_server(
            ("", 0), family=family, backlog=place.world, dualstack_ipv6=both
        ) as server:
            port = server.getsockname()[1]
            self._store.set("first", f"{_own_address(place)} {port} {token} {_hostname()}")
            server.settimeout(seconds)
            while len(links) < place.world - 1:
                link, _ = server.accept()
                link.settimeout(seconds)
                word, _, name = link.makefile().readline().strip().partition(" ")
                if word == token:
                    links[link] = name
                else:  # a stranger
                    link.close()
        return links

    def _connect(self, seconds: float) -> dict[socket.socket, str]:
        address, port, token, host = self._store.get("first").decode().split(" ")
        link = socket.create_connection((address, int(port)), timeout=seconds)
        link.sendall(f"{token} {_name(self._rank, _hostname())}\n".encode())
        return {link: _name(0, host)}

    def _watch(self) -> None:
        """Wait for a word, or for the end of a link."""
        with selectors.DefaultSelector() as selector:
            for link in self._links:
                selector.register(link, selectors.EVENT_READ)
            while not self._left.is_set():
                for key, _ in selector.select(timeout=1):
                    self._listen(key.fileobj)  # type: ignore[arg-type]
                    selector.unregister(key.fileobj)

    def _listen(self, link: socket.socket) -> None:
        try:
            word, how = link.recv(1), "has ended"
        except OSError as error:
            word, how = b"", f"is gone ({error.strerror})"
        if word == BYE:
            self._goodbye.set()
        elif not self._left.wait(GRACE):
            self._end(f"{self._links[link]} {how}")

    def _end(self, reason: str) -> NoReturn:
        """One line and the end: no thread that waits for the others can be made to go on."""
        with _ending:
            line = f"rank {self._rank}: {reason}; the same command resumes from the last checkpoint"
            print(shown(line), file=sys.stderr, flush=True)
            os._exit(LOST)


def _ask_whether_alive(link: socket.socket) -> None:
    """Let the kernel ask; a link without an answer ends with an error."""
    link.settimeout(None)
    link.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for names, value in (
        (("TCP_KEEPIDLE", "TCP_KEEPALIVE"), IDLE),  # Linux's name, macOS'
        (("TCP_KEEPINTVL",), INTERVAL),
        (("TCP_KEEPCNT",), COUNT),
    ):
        for name in names:
            if hasattr(socket, name):
                link.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
                break


def _own_address(place: Place) -> str:
    """Where the others reach this process: torchrun's meeting point may be another machine."""
    assert place.address is not None
    try:
        kind, *how, _, target = socket.getaddrinfo(
            place.address, place.port, type=socket.SOCK_DGRAM
        )[0]
    except socket.gaierror as error:
        raise InputError(f"MASTER_ADDR={place.address}: {error.strerror}") from error
    with socket.socket(kind, *how) as probe:
        probe.connect(target)  # sends nothing
        own = str(probe.getsockname()[0])
    return place.address if own == "::1" or own.startswith("127.") else own


def _hostname() -> str:
    return socket.gethostname().partition(".")[0]


def _name(rank: int, host: str) -> str:
    return f"rank {rank} on {host}"
