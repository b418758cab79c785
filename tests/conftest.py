"""For every test: one thread, a fixed seed, and fixtures for stores and real recordings."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autoclip_sep.audio import soundfiles
from autoclip_sep.cli.main import COMMANDS
from autoclip_sep.cli.main import run as run_command
from autoclip_sep.data.store.conversion import prepare
from autoclip_sep.data.store.reading import Item, Signal, Store
from autoclip_sep.parallel import STOPPING

ROOT = Path(__file__).resolve().parent.parent

# Tests run in parallel, in which case more threads are slower.
torch.set_num_threads(1)

# A background job of a shell ignores Ctrl-C, and so would the processes that tests stop by it.
signal.signal(signal.SIGINT, signal.default_int_handler)


def can_mount() -> bool:
    """Whether a file system can be mounted for a command of its own, without being root."""
    if shutil.which("unshare") is None or shutil.which("mount") is None:
        return False
    return subprocess.run(["unshare", "-Urm", "true"], check=False).returncode == 0


@pytest.fixture(autouse=True)
def _seed() -> None:
    """Each test draws the same random numbers, alone or after others."""
    torch.manual_seed(0)


@pytest.fixture
def here(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> Iterator[Callable[..., subprocess.CompletedProcess[str]]]:
    """Runs a command, by the name that `autoclip-sep` gives it, in a folder and in this process.

    check: the exit code that it must have.
    """
    before = {number: signal.getsignal(number) for number in STOPPING}

    def run(
        place: Path, name: str, *arguments: str, check: int = 0
    ) -> subprocess.CompletedProcess[str]:
        monkeypatch.chdir(place)
        monkeypatch.setattr(sys, "argv", [COMMANDS[name][0], *arguments])
        code: Any = 0
        try:
            run_command(name)
        except SystemExit as end:
            code = end.code
        said = capfd.readouterr()
        assert code == check, said.out + said.err
        return subprocess.CompletedProcess(sys.argv, code, said.out, said.err)

    yield run
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.fixture(scope="session")
def fsdd() -> Path:
    """The folder of the Free Spoken Digit Dataset's recordings; skips where there is none."""
    folder = os.environ.get("AUTOCLIP_SEP_FSDD", ROOT.parent / "shared" / "data" / "fsdd")
    folder = Path(folder).expanduser()
    if not (folder / "0_george_0.wav").is_file():
        pytest.skip(f"no Free Spoken Digit Dataset in {folder}: set AUTOCLIP_SEP_FSDD")
    return folder


@pytest.fixture(scope="session")
def tiny_store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A corpus that a small network separates in seconds: low noise and high noise, 8 kHz."""
    folder = tmp_path_factory.mktemp("tiny")
    rng = np.random.default_rng(0)
    items = []
    for split, number in (("train", 12), ("valid", 4), ("test", 5)):
        for n in range(number):
            noise = rng.standard_normal((2, int(rng.integers(3000, 5000))))
            low = np.cumsum(noise[0]) - np.convolve(np.cumsum(noise[0]), np.ones(50) / 50, "same")
            pair = np.stack([low / np.abs(low).max(), np.diff(noise[1], prepend=0) / 8]) * 0.4
            paths = [folder / split / f"s{s + 1}" / f"{n}.wav" for s in range(2)]
            for path, sound in zip(paths, pair, strict=True):
                soundfiles.write(path, sound.clip(-0.5, 0.5), 8000)
            items.append(Item(f"{split}{n}", split, tuple(Signal(path) for path in paths)))
    return prepare(folder / "store", 8000, items, progress=False, jobs=1)


def _write_stems(
    path: Path, stems: Sequence[np.ndarray], rate: int = 44100, codec: str = "aac"
) -> None:
    """Stereo signals (2, T) as the streams of one .stem.mp4."""
    av = pytest.importorskip("av")
    path.parent.mkdir(parents=True, exist_ok=True)
    with av.open(str(path), "w", format="mp4") as container:
        streams = [container.add_stream(codec, rate=rate) for _ in stems]
        for stream in streams:
            stream.layout = "stereo"
            if codec == "aac":
                stream.bit_rate = 256_000
        for stream, signal in zip(streams, stems, strict=True):
            for start in range(0, signal.shape[1], 1024):
                block = signal[:, start : start + 1024].astype(np.float32)
                if codec == "alac":
                    block = (block * 2**15).astype(np.int16)
                layout = {"format": "fltp" if codec == "aac" else "s16p", "layout": "stereo"}
                frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(block), **layout)
                frame.sample_rate, frame.pts, frame.time_base = rate, start, Fraction(1, rate)
                container.mux(stream.encode(frame))
            container.mux(stream.encode(None))


@pytest.fixture(scope="session")
def write_stems() -> Callable[..., None]:
    """Writes stereo signals (2, T) into one .stem.mp4; skips where PyAV is missing."""
    return _write_stems


def _assert_same(one: object, other: object) -> None:
    assert type(one) is type(other)
    if isinstance(one, dict):
        assert one.keys() == other.keys()
        for key in one:
            _assert_same(one[key], other[key])
    elif isinstance(one, list | tuple):
        assert len(one) == len(other)
        for left, right in zip(one, other, strict=True):
            _assert_same(left, right)
    elif isinstance(one, torch.Tensor):
        assert torch.equal(one, other)
    else:
        assert one == other


@pytest.fixture(scope="session")
def assert_same() -> Callable[[object, object], None]:
    """Equality to the bit of tensors in nested containers."""
    return _assert_same
