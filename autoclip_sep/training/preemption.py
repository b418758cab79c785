"""Signals that stop a run only set a flag; the loop saves at the end of its step."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGINT)


class Interrupted(Exception):
    """A run stopped by a signal, with everything saved."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class Preemption:
    """The signal that has arrived, or None."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Record the signal; a second Ctrl-C stops at once, without saving."""
        if number == signal.SIGINT and self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number


@contextmanager
def watch() -> Iterator[Preemption]:
    """Record SIGTERM, SIGUSR1, SIGUSR2, SIGHUP and Ctrl-C instead of ending the process.

    Under nohup, which ignores SIGHUP, the run outlives its terminal.
    """
    preemption = Preemption()
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    caught = [number for number in SIGNALS if not (ignored and number == signal.SIGHUP)]
    before = {number: signal.signal(number, preemption.handle) for number in caught}
    try:
        yield preemption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
