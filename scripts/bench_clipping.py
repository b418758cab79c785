"""Clippers, torch's clip_grad_norm_ and other packages: ``python scripts/bench_clipping.py``.

    python scripts/bench_clipping.py [threads=N] [quick=true] [output=FILE]

threads: torch's own choice without it. quick: everything tiny, only to see it run. output gets the
tables too.

Gradients lie ready; only the clip is timed. In a round every clipper takes the same gradients once,
in an order drawn anew, and what counts is the ratio to clip_grad_norm_ in that round: the machine's
speed cancels. What has taken a second leaves the run to the others. A run is the median of its
rounds; the tables show the median of the runs and their range.
The gradient's norm is 1 in every step, and so is the median of the history; its 10th percentile is
about 0.53. So all clip in every step, as clip_grad_norm_ always does, but for those that say they
don't.
"""

import copy
import os
import random
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from tqdm import tqdm

from autoclip_sep.cli import arguments, command
from autoclip_sep.clipping import AutoClip, Clipper, NormClipping
from autoclip_sep.errors import InputError
from autoclip_sep.models.separator import Separator
from autoclip_sep.optional import require
from autoclip_sep.runs import provenance
from autoclip_sep.stft import STFT

PERCENTILE = 10.0
UNIT = "torch `clip_grad_norm_`"
NETWORKS = ((2, 75, "masks"), (4, 600, "embedding"))  # layers, hidden, head
LENGTHS = (100, 10_000, 100_000, 1_000_000)
LONGEST = 1.0  # seconds for one work in one run
Work = Callable[[], object]
Works = dict[str, Work]


@dataclass(frozen=True)
class Settings:
    """lengths: of the histories."""

    threads: int
    quick: bool
    runs: int
    rounds: int
    lengths: Sequence[int]


class Subject:
    """A network with gradients of norm 1, which can be had again after they were clipped."""

    def __init__(self, layers: int, hidden: int, head: str) -> None:
        torch.manual_seed(0)
        self.model = Separator(STFT(), [head], hidden=hidden, layers=layers)
        parameters = list(self.model.parameters())
        size = sum(parameter.numel() for parameter in parameters)
        self.name = f"{layers} × {hidden} BLSTM, {size / 1e6:.1f} M parameters"
        self.kept = [torch.randn_like(parameter) / size**0.5 for parameter in parameters]
        self.gradients = [gradient.clone() for gradient in self.kept]
        for parameter, gradient in zip(parameters, self.gradients, strict=True):
            parameter.grad = gradient

    def restore(self) -> None:
        """Undo what a clipper did to the gradients."""
        torch._foreach_copy_(self.gradients, self.kept)


@cache
def norms(length: int) -> Tensor:
    """A history: (length,) log-normal float64 numbers of median 1."""
    return torch.from_numpy(np.random.default_rng(0).lognormal(sigma=0.5, size=length))


def ours(length: int, percentile: float = PERCENTILE, window: int | None = None) -> AutoClip:
    """AutoClip with a history, as from a checkpoint."""
    clipper = AutoClip(percentile, window=window)
    clipper.load_state_dict({**clipper.state_dict(), "history": norms(length)})
    return clipper


def plain(model: nn.Module, history: list[float]) -> None:
    """AutoClip in the plainest way: a host read for each parameter, a list, np.percentile."""
    squares = (p.grad.norm(2).item() ** 2 for p in model.parameters() if p.grad is not None)
    history.append(sum(squares) ** 0.5)
    clip_grad_norm_(model.parameters(), float(np.percentile(history, PERCENTILE)))


def quantile_clip(model: nn.Module, length: int) -> Work:
    """The package autoclip: one threshold for all parameters, of the whole history."""
    package = require("autoclip.torch", "the comparison")
    options = {"quantile": PERCENTILE / 100, "history_length": 2 * max(LENGTHS)}
    clipper = package.QuantileClip(model.parameters(), global_threshold=True, **options)
    state = clipper.state_dict()
    state["state"]["global_history"] = norms(length).float()
    clipper.load_state_dict(state)
    return lambda: clipper.step()


@cache
def observed(length: int, exact: bool) -> Any:
    """The package smartclip: as it comes, or with the percentile of a window that holds it all."""
    options = {"mode": "percentile", "percentile": PERCENTILE, "history": "window"}
    options["window_size"] = 2 * max(LENGTHS)
    clipper = require("smartclip", "the comparison").AutoClip(**(options if exact else {}))
    for norm in norms(length).tolist():
        clipper.observe(norm)
    return clipper


def clips(subject: Subject, length: int) -> Works:
    """What is compared, by name: each a call that clips the gradients once."""
    model, smartclip = subject.model, require("smartclip", "the comparison")
    threshold = float(np.percentile(norms(length), PERCENTILE))

    def limit(clipper: Clipper) -> Work:
        return lambda: clipper.clip_gradients(model.parameters())

    def apply(exact: bool) -> Work:
        return partial(smartclip.apply, model, copy.deepcopy(observed(length, exact)))

    return {
        UNIT: lambda: clip_grad_norm_(model.parameters(), threshold),
        "**ours, `AutoClip(10)`**": limit(ours(length)),
        "ours, `AutoClip(10, window=1000)`": limit(ours(length, window=1000)),
        "ours, `AutoClip(100)`: never clips": limit(ours(length, percentile=100)),
        "ours, `NormClipping`": limit(NormClipping(threshold)),
        "plain AutoClip: `.item()` per parameter, `np.percentile`": partial(
            plain, model, norms(length).tolist()
        ),
        "autoclip, `QuantileClip(0.1, global_threshold=True)`": quantile_clip(model, length),
        "smartclip, `AutoClip()`: median + 3 std, doesn't clip here": apply(exact=False),
        'smartclip, `AutoClip(mode="percentile", history="window")`': apply(exact=True),
    }


def steps(subject: Subject, length: int) -> Works:
    """What is compared with the optimizer's step."""
    model, threshold = subject.model, float(np.percentile(norms(length), PERCENTILE))
    adam = torch.optim.Adam(model.parameters(), lr=1e-6, fused=True)
    apart, folded = ours(length), ours(length)

    def unit() -> None:
        clip_grad_norm_(model.parameters(), threshold)
        adam.step()

    def limited() -> None:
        if apart.clip_gradients(model.parameters()).finite:
            adam.step()

    return {
        f"{UNIT}, `adam.step()`": unit,
        "ours, `AutoClip(10).clip_gradients`, `adam.step()`": limited,
        "**ours, `AutoClip(10).step(adam)`**": lambda: folded.step(adam),
    }


def one_run(subject: Subject, works: Works, rounds: int) -> tuple[float, dict[str, float]]:
    """Seconds of the first of the works, and each one's ratio to it: medians over the rounds."""
    names = list(works)
    times: dict[str, list[float]] = {name: [] for name in names}
    for turn in range(rounds + 1):
        for name in random.Random(turn).sample(names, len(names)):
            if sum(times[name][1:]) < LONGEST or name == names[0]:
                subject.restore()
                start = time.perf_counter()
                works[name]()
                times[name].append(time.perf_counter() - start)
    unit = times[names[0]][1:]  # the first round warms up
    ratios = {
        name: statistics.median(own / other for own, other in zip(its[1:], unit, strict=False))
        for name, its in times.items()
    }
    return statistics.median(unit), ratios


def table(make: Callable[[Subject, int], Works], subject: Subject, given: Settings) -> str:
    """Markdown: a row for each work, a column for each length of the history."""
    found: dict[str, dict[int, list[float]]] = {}
    seconds = []
    jobs = list(given.lengths) * given.runs
    for length in tqdm(jobs, subject.name, disable=None, leave=False):
        unit, ratios = one_run(subject, make(subject, length), given.rounds)
        seconds.append(unit)
        for name, ratio in ratios.items():
            found.setdefault(name, {}).setdefault(length, []).append(ratio)
    head = f"{subject.name}, {1e3 * statistics.median(seconds):.2f} ms = 1"
    rows = [[head, *(f"history {length:,}" for length in given.lengths)]]
    rows.append(["---"] + ["---:"] * len(given.lengths))
    rows += [[name, *map(cell, ratios.values())] for name, ratios in found.items()]
    return "\n".join(f"| {' | '.join(row)} |" for row in rows)


def cell(ratios: list[float]) -> str:
    """The median of the runs, and their range."""
    return f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})"


def conditions(given: Settings) -> str:
    """What the numbers depend on, and the command that made them, in Markdown."""
    words = [f" threads={given.threads}"] * bool(given.threads) + [" quick=true"] * given.quick
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "autoclip", "smartclip"))
    device, today = provenance.device_name(torch.device("cpu")), time.strftime("%Y-%m-%d")
    return (
        f"`python scripts/bench_clipping.py{''.join(words)}`: {today}, commit "
        f"{provenance.commit()}, {device}, {os.cpu_count()} cores, threads: "
        f"{torch.get_num_threads()}, {packages}. {given.runs} runs of {given.rounds} rounds: "
        "median (lowest–highest)."
    )


def main() -> None:
    """The command."""
    command.script("bench_clipping", run, str(__doc__))


def run(words: list[str]) -> None:
    """Print the tables, and write them where an output is named."""
    known = arguments.read(words, {"threads": "0", "quick": "false", "output": ""})
    output = Path(known["output"])
    if known["output"] and (output.is_dir() or not output.absolute().parent.is_dir()):
        raise InputError(f"output={output}: must be a file, in a folder that exists")
    threads, quick = arguments.count(known, "threads", least=0), arguments.flag(known, "quick")
    given = Settings(threads, quick, *((2, 2, (5, 50)) if quick else (5, 20, LENGTHS)))
    command.set_threads(threads)
    parts = [conditions(given)]
    for layers, hidden, head in NETWORKS:
        subject = Subject(layers, hidden // (25 if quick else 1), head)
        parts += [table(make, subject, given) for make in (clips, steps)]
    text = "\n\n".join(parts)
    print(text)
    if known["output"]:
        output.write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
