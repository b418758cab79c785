"""Time the package's jobs beside others that do the same: ``python -m benchmarks``.

    python -m benchmarks                                 everything, into build/benchmarks
    python -m benchmarks rows=losses,training.step       some subjects, or single functions of them
    python -m benchmarks device=cuda threads=8
    python -m benchmarks quick=true                      everything tiny, to see it run: a minute

A row is one job and those who do it: this package, others, plain PyTorch. Each does it once, and
their results are compared; then they are timed in turn, seconds=1 each or three calls. Packages
that aren't installed are named and left out. output= gets benchmarks.md, whose section of this kind
of device is replaced, and benchmarks/cpu.json and cpu.png (or cuda). `make bench` writes into docs.

Rows: {subjects}.
"""

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import torch

from autoclip_sep.cli import arguments, command
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown
from autoclip_sep.training.settings import find_device
from benchmarks import clipping, commands, data, evaluation, harness, losses, scaling, training
from benchmarks.harness import SUBJECTS, Settings
from benchmarks.results import Results, write

ORDER = (losses, training, clipping, evaluation, data, commands, scaling)
NAMES = [module.__name__.rpartition(".")[2] for module in ORDER]


def main() -> None:
    """The command."""
    command.script("benchmarks", run, (__doc__ or "").format(subjects=", ".join(NAMES)))


def run(words: Sequence[str]) -> int:
    """Measure what the arguments name; 1 where a row failed."""
    known = {
        "rows": ",".join(NAMES), "device": "auto", "threads": "1", "quick": "false",
        "seconds": "1", "output": "build/benchmarks",
    }  # fmt: skip
    given = arguments.read(words, known)
    single = [f"{name}.{row}" for name in NAMES for row in SUBJECTS[name]]
    wanted = arguments.several(given, "rows", *NAMES, *single)
    threads = arguments.count(given, "threads")
    quick = arguments.flag(given, "quick")
    try:
        device = find_device(given["device"])
    except ValueError as error:
        raise InputError(str(error)) from error
    seconds = 0.0 if quick else float(arguments.count(given, "seconds"))
    output = Path(given["output"])
    if quick and output == Path("docs"):
        raise InputError("output=docs: not with quick=true, whose figures mean nothing")
    torch.set_num_threads(threads)
    with tempfile.TemporaryDirectory() as folder:
        at = Settings(device, threads, quick, Path(folder), seconds)
        measured = harness.run(at, NAMES, wanted, partial(print, flush=True))
    asked = " ".join(word for word in words if not word.startswith("output="))
    results = Results.of(at, *measured, command=f"python -m benchmarks {asked}".strip())
    print(*results.failures, sep="\n")
    print(shown(f"written: {write(results, output)}"))
    return int(bool(results.failures))


if __name__ == "__main__":
    main()
