"""Signals that ask a run to stop only set a flag; the loop saves at the end of its step."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGHUP, signal.SIGINT)


class Interrupted(Exception):
    """A run stopped because it was asked to; everything it had done is saved."""

    def __init__(self, signal_number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + signal_number


class Preemption:
    """Whether a signal came, and which."""

    def __init__(self) -> None:
        self.signal: int | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        """Note the signal; a second Ctrl-C stops at once, unsaved."""
        if number == signal.SIGINT and self.signal == signal.SIGINT:
            raise KeyboardInterrupt
        self.signal = number


@contextmanager
def watch() -> Iterator[Preemption]:
    """Note SIGTERM, SIGUSR1, SIGUSR2, SIGHUP and Ctrl-C instead of dying of them.

    Under nohup, which has SIGHUP ignored, the end of the terminal stops nothing.
    """
    preemption = Preemption()
    ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    heard = [number for number in SIGNALS if not (ignored and number == signal.SIGHUP)]
    before = {number: signal.signal(number, preemption.handle) for number in heard}
    try:
        yield preemption
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
