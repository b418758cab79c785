"""A trace of a few steps, as torch's profiler sees them, and its summary on one screen."""

import os
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import torch
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

Item = TypeVar("Item")
WARM, STEPS = 5, 5  # steps before the trace, and in it
ROWS = 15
TRACE = "trace.json"


class StepProfile:
    """Profiles the steps after the first `WARM` ones, once; where asked for.

    It ends before a validation, so that all that is in it is steps.
    """

    def __init__(self, directory: Path, device: torch.device, wanted: bool) -> None:
        self.path, self.device, self.wanted = directory / TRACE, device, wanted
        self._warm = 0

    def over(self, batches: Iterable[Item]) -> Iterator[Item]:
        """The same batches; a step is from one to the next."""
        iterator = iter(batches)
        while self.wanted and self._warm < WARM and (batch := next(iterator, None)) is not None:
            self._warm += 1
            yield batch
        if self.wanted and self._warm == WARM:
            yield from self._profiled(iterator)
        yield from iterator

    def _profiled(self, batches: Iterator[Item]) -> Iterator[Item]:
        activities = [ProfilerActivity.CPU]
        if self.device.type == "cuda":
            activities.append(ProfilerActivity.CUDA)
        else:  # otherwise it complains that there is no GPU
            os.environ.setdefault("KINETO_LOG_LEVEL", "5")
        steps = 0
        with profile(activities=activities, acc_events=True) as profiler:
            while steps < STEPS and (batch := next(batches, None)) is not None:
                yield batch
                steps += 1
                profiler.step()
        if steps:
            self.wanted = False
            self._write(profiler, steps)

    def _write(self, profiler: profile, steps: int) -> None:
        temporary = self.path.with_name(f".{self.path.name}.{os.getpid()}.tmp")
        profiler.export_chrome_trace(str(temporary))
        os.replace(temporary, self.path)
        tqdm.write(f"{summary(profiler, steps, self.device.type)}\n{self.path}")


def summary(profiler: profile, steps: int, kind: str) -> str:
    """The operations that take most time, per step: a table of at most `ROWS` of them.

    kind: of device whose time counts, cpu or cuda. Times are those spent in an operation itself.
    """

    def own(event: object) -> float:
        return float(getattr(event, f"self_{'device' if kind == 'cuda' else 'cpu'}_time_total"))

    events = [one for one in profiler.key_averages() if not one.key.startswith("ProfilerStep")]
    events.sort(key=own, reverse=True)
    total = sum(map(own, events)) or 1.0
    lines = [f"{steps} steps profiled, {kind} time {total / steps / 1000:.1f} ms each, of which:"]
    for event in events[:ROWS]:
        lines.append(
            f"  {own(event) / total:6.1%} {own(event) / steps / 1000:10.2f} ms "
            f"{event.count / steps:8.0f} ×  {event.key[:60]}"
        )
    rest = sum(map(own, events[ROWS:]))
    lines.append(f"  {rest / total:6.1%} {rest / steps / 1000:10.2f} ms            others")
    return "\n".join(lines)
