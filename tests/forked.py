"""Scripts in processes of their own, forked off one that has imported torch and the commands.

A start takes milliseconds then, and not the seconds that the imports take. The process is one like
any other otherwise: it runs the script's file as ``__main__``, and it can be signalled and killed.

The server is this file, run by itself. Each start sends it a message with the descriptors of the
three streams and of a pipe of its own, into which a helper, the script's parent, writes the
script's process number and, at its end, its status.
"""

import atexit
import gc
import json
import os
import random
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
SIZE = 1_000_000  # bytes that a message has at most


class Forked:
    """A script that has been started, with what tests use of `subprocess.Popen`.

    stdin, stdout, stderr: as there; pipes are read by `communicate` only.
    """

    def __init__(
        self, call: list[str], cwd: Path, env: Mapping[str, str], stdin: Any = None,
        stdout: Any = subprocess.PIPE, stderr: Any = subprocess.PIPE,
        start_new_session: bool = False,
    ) -> None:  # fmt: skip
        self.returncode: int | None = None
        self._files = [
            tempfile.TemporaryFile() if how == subprocess.PIPE else None  # noqa: SIM115
            for how in (stdout, stderr)
        ]
        message = {"call": call, "cwd": str(cwd), "env": dict(env), "session": start_new_session}
        self._status, status = os.pipe()
        with open(os.devnull, "r+b") as null:
            given = null if stdin is None else stdin
            out = self._files[0] or (null if stdout == subprocess.DEVNULL else stdout)
            error = self._files[1] or (out if stderr == subprocess.STDOUT else stderr)
            streams = [one if isinstance(one, int) else one.fileno() for one in (given, out, error)]
            socket.send_fds(_server(), [json.dumps(message).encode()], [*streams, status])
        os.close(status)
        self.pid = int(self._line())

    def poll(self) -> int | None:
        """The exit code, -n after signal n; None while the script runs."""
        if self.returncode is None and select.select([self._status], [], [], 0)[0]:
            self.returncode = int(self._line())
            os.close(self._status)
        return self.returncode

    def wait(self, timeout: float = 600) -> int:
        """The exit code, once there is one."""
        until = time.monotonic() + timeout
        while self.poll() is None:
            select.select([self._status], [], [], max(until - time.monotonic(), 0))
            if time.monotonic() > until:
                raise subprocess.TimeoutExpired("the script", timeout)
        assert self.returncode is not None
        return self.returncode

    def communicate(self, timeout: float = 600) -> tuple[str, str]:
        """What it printed on both streams, once it has ended."""
        self.wait(timeout)
        read = []
        for file in self._files:
            if file is not None:
                file.seek(0)
            read.append("" if file is None else file.read().decode("utf-8", "backslashreplace"))
        return read[0], read[1]

    def send_signal(self, number: int) -> None:
        """Send it a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        """Ask it to end."""
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """End it."""
        self.send_signal(signal.SIGKILL)

    def _line(self) -> bytes:
        line = b""
        while not line.endswith(b"\n"):
            byte = os.read(self._status, 1)
            assert byte, "the server of forked scripts has ended"
            line += byte
        return line


@cache
def _server() -> socket.socket:
    """A connection to the server, which ends when this process does."""
    ours, its = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SIZE)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    subprocess.Popen(
        [sys.executable, __file__, str(its.fileno())], cwd=ROOT, env=environment,
        pass_fds=[its.fileno()],
    )  # fmt: skip
    its.close()
    return ours


def serve(connection: socket.socket) -> None:
    """Fork a helper for each message, until nobody is there to send one."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # of a terminal: the tests' process ends it all
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)  # nobody waits for the helpers
    while True:
        content, descriptors, _, _ = socket.recv_fds(connection, SIZE, 4)
        if not content:
            return
        if os.fork() == 0:
            connection.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            status = descriptors.pop()
            process = os.fork()
            if process == 0:
                os.close(status)
                become(json.loads(content), descriptors)
            for descriptor in descriptors:
                os.close(descriptor)
            os.write(status, f"{process}\n".encode())
            _, ended = os.waitpid(process, 0)
            os.write(status, f"{os.waitstatus_to_exitcode(ended)}\n".encode())
            os._exit(0)
        for descriptor in descriptors:
            os.close(descriptor)


def become(message: Mapping[str, Any], streams: list[int]) -> None:
    """Be the process of a script from its start to its end."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # which nohup ignores
    if message["session"]:
        os.setsid()
    for number, descriptor in enumerate(streams):
        os.dup2(descriptor, number)
        os.close(descriptor)
    sys.stdin = sys.__stdin__ = open(0, closefd=False)  # noqa: SIM115
    sys.stdout = sys.__stdout__ = open(1, "w", closefd=False)  # noqa: SIM115
    sys.stderr = sys.__stderr__ = open(2, "w", 1, errors="backslashreplace", closefd=False)  # noqa: SIM115
    os.environ.clear()
    os.environ.update(message["env"])
    os.chdir(message["cwd"])
    random.seed()
    script = message["call"][0]
    sys.argv, sys.path[0] = message["call"], str(Path(script).parent)
    code: Any = 1
    try:
        runpy.run_path(script, run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code or 0
        if not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
    try:
        threading._shutdown()  # type: ignore[attr-defined]
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    finally:
        os._exit(code)


def load() -> None:
    """Import what commands import, torch's optimizers included, which come with the first one."""
    import importlib

    import matplotlib.pyplot  # noqa: F401
    import torch

    from autoclip_sep.cli import compose
    from autoclip_sep.cli.main import COMMANDS

    torch.set_num_threads(1)
    torch.optim.Adam([torch.zeros(1)])
    for name in COMMANDS:
        importlib.import_module(f"autoclip_sep.cli.commands.{name.replace('-', '_')}")
    compose.compose("train", [])


if __name__ == "__main__":
    load()
    gc.freeze()
    serve(socket.socket(fileno=int(sys.argv[1])))
