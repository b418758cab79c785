"""BSS Eval v4 against museval: ``python scripts/bench_bss_eval.py``.

    python scripts/bench_bss_eval.py [seconds=30]

Four stereo sources at 44.1 kHz, each way once in one process with one thread. What counts are the
ratio and the largest difference; museval's memory is the reason not to ask for a whole song here
(7 GB for four minutes).
"""

import os
import time

os.environ.setdefault("OMP_NUM_THREADS", "1")  # before numpy is imported: both get one thread

import numpy as np
import torch

from autoclip_sep.cli import arguments, command
from autoclip_sep.metrics.bss_eval import bss_eval
from autoclip_sep.optional import import_museval

RATE = 44100


def main() -> None:
    """The command."""
    command.script("bench_bss_eval", run, __doc__)


def run(given: list[str]) -> None:
    """Do what the arguments say."""
    bench(arguments.count(arguments.read(given, {"seconds": "30"}), "seconds"))


def bench(seconds: int) -> None:
    """Print the seconds of both, their ratio, and how far the scores are apart."""
    torch.set_num_threads(1)
    museval = import_museval()
    generator = torch.Generator().manual_seed(0)
    reference = 0.1 * torch.randn(4, 2, seconds * RATE, generator=generator)
    estimate = reference + 0.2 * reference.roll(1, dims=0) + 0.3 * reference.roll(3, dims=-1)

    began = time.perf_counter()
    ours = torch.stack(list(bss_eval(estimate, reference, RATE))).numpy()
    own = time.perf_counter() - began

    pair = [signal.transpose(1, 2).double().numpy() for signal in (reference, estimate)]
    began = time.perf_counter()
    theirs = np.stack(museval.evaluate(*pair, win=RATE, hop=RATE))
    other = time.perf_counter() - began

    print(f"museval {other:6.1f} s   ours {own:6.1f} s   ratio {own / other:.3f}")
    print(f"largest difference {np.abs(ours - theirs).max():.1e} dB")


if __name__ == "__main__":
    main()
