"""Makes the states and runs beside it, from which every later commit must be able to continue.

    python -m tests.golden.make FOLDER

The corpus isn't kept: it is written again, to the byte, wherever a run needs it.
"""

import json
import shutil
import sys
import wave
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import nn

from autoclip_sep.clipping import Clipper
from autoclip_sep.runs import records
from tests.clipping.conftest import CLIPPERS
from tests.commands import command

STEPS = 24  # of a clipper, before its state is kept and after that
# Of a run: hidden=2 and 17 bins, so that a checkpoint takes some kilobytes.
TRAIN = [
    "data=tree", "data.root=corpus", "data.store=store", "data.window_length=32",
    "data.hop_length=16", "stft.hop_length=16", "model.hidden=2", "model.layers=1",
    "trainer.batch_size=2", "trainer.segment=320", "trainer.epochs=4", "trainer.record_every=1",
    "trainer.checkpoint_every=1", "scheduler.patience=0", "optimizer.lr=0.01", "percentile=25",
]  # fmt: skip
SEPARATE = ["input=corpus/tt/mix/t0.wav", "output=separated"]


def write_corpus(root: Path) -> None:
    """Mixtures of a sawtooth and noise, in integer arithmetic: the same bytes everywhere."""
    for split, letter, number in (("tr", "r", 8), ("cv", "v", 2), ("tt", "t", 2)):
        for n in range(number):
            length = 700 + 60 * n
            time = np.arange(length, dtype=np.int64)
            seed = 1000 * ord(letter) + n
            tone = (time * (37 + n) + seed) % 256 * 40 - 5000
            noise = (time * time * 7919 + time * seed + 104729 * (time >> 3)) % 8191 - 4095
            for name, signal in (("s1", tone), ("s2", noise), ("mix", tone + noise)):
                path = root / split / name / f"{letter}{n}.wav"
                path.parent.mkdir(parents=True, exist_ok=True)
                with wave.open(str(path), "wb") as file:
                    file.setparams((1, 2, 8000, 0, "NONE", "not compressed"))
                    file.writeframes(signal.astype("<i2").tobytes())


def go_on(clipper: Clipper, steps: range) -> Iterator[list[float]]:
    """Give a clipper losses and gradients that depend on the step alone.

    Yields for each step: the sum of the clipped losses, norm, threshold, scale, a clipped value.
    """
    weights = [nn.Parameter(torch.ones(shape)) for shape in ((4, 3), (4,), (2, 4))]
    for step in steps:
        size = (1 + step * 7 % 11) * (20 if step % 9 == 8 else 1)
        losses = torch.tensor([1.0 + step % 3, 2.0, 0.5 * size], requires_grad=True)
        clipped = clipper.clip_loss(losses).sum().item()
        for n, weight in enumerate(weights):
            places = torch.arange(weight.numel()).reshape(weight.shape)
            weight.grad = size * ((places * (n + 3) + step) % 7 - 2.5) / 10
            if step == 5:
                weight.grad.fill_(torch.nan)
        result = clipper.clip_gradients(weights)
        first = weights[0].grad.flatten()[0].item()
        yield [clipped, *(float(value) for value in result[:3]), first]


def keep_clippers(folder: Path) -> None:
    """The state of every clipper after some steps, and its results in as many more."""
    folder.mkdir()
    followed = {}
    for label, make in CLIPPERS.items():
        clipper = make()
        for _ in go_on(clipper, range(STEPS)):
            pass
        torch.save(clipper.state_dict(), folder / f"{label}.pt")
        followed[label] = list(go_on(clipper, range(STEPS, 2 * STEPS)))
    write_json(folder / "followed.json", followed)


def write_json(path: Path, content: dict[str, Any]) -> None:
    """One line for each entry."""
    lines = [f" {json.dumps(key)}: {json.dumps(value)}" for key, value in content.items()]
    path.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def only_run(folder: Path) -> Path:
    """The one run below a folder."""
    (found,) = folder.glob("*/*/*/*/seed*")
    return found


def keep_runs(folder: Path, place: Path) -> None:
    """A finished run, one stopped in mid-epoch, and the results of the commands on them."""
    write_corpus(place / "corpus")
    command(place, "train.py", *TRAIN, "runs=finished")
    shutil.copytree(place / "finished", folder / "finished")
    run = only_run(place / "finished").relative_to(place)
    command(place, "evaluate.py", f"run={run}")
    command(place, "separate.py", f"run={run}", *SEPARATE)
    followed: dict[str, Any] = {"scores": records.read(place / run / "evaluation" / "test.csv")}
    for path in sorted((place / "separated").glob("*/*.wav")):
        with wave.open(str(path)) as file:
            sound = np.frombuffer(file.readframes(file.getnframes()), "<i2")
        followed[path.name] = sound[::10].tolist()
    for name in ("history", "dynamics"):
        followed[name] = records.read(place / run / f"{name}.csv")
    write_json(folder / "followed.json", followed)
    interrupt(place)
    shutil.copytree(place / "interrupted", folder / "interrupted")
    for kept in ("finished", "interrupted"):
        checkpoints = sorted((folder / kept).rglob("last-*.pt"))
        for path in checkpoints[:-1]:
            path.unlink()
            path.with_name(path.name + ".sha256").unlink()
        for path in (folder / kept).rglob(".lock"):
            path.unlink()


def interrupt(place: Path) -> None:
    """Stop a run by SIGTERM in its sixth step, in the middle of its second epoch."""
    program = (
        "import os, signal\n"
        "from autoclip_sep.cli.commands import train\n"
        "from autoclip_sep.losses.mask_inference import MaskInference\n"
        "calls, loss = [], MaskInference.__call__\n"
        "def stop(self, *given):\n"
        "    import torch\n"
        "    calls.extend([0] * torch.is_grad_enabled())\n"
        "    if len(calls) == 11:\n"  # two calls a step: the second is the recorder's
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "    return loss(self, *given)\n"
        "MaskInference.__call__ = stop\n"
        "train.main()\n"
    )
    (place / "stopped.py").write_text(program)
    command(place, str(place / "stopped.py"), *TRAIN, "runs=interrupted", check=128 + 15)


if __name__ == "__main__":
    made = Path(sys.argv[1]).resolve()
    made.mkdir(parents=True, exist_ok=True)
    keep_clippers(made / "clippers")
    with TemporaryDirectory() as place:
        keep_runs(made / "runs", Path(place))
