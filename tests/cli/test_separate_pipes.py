"""separate.py on standard input and output: real pipes, what comes when, and what ends it."""

import os
import select
import shutil
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import numpy as np
import pytest
import torch

from autoclip_sep.audio import pipes, soundfiles
from autoclip_sep.cli import separating, trained
from autoclip_sep.cli.commands.separate import main as command_main
from autoclip_sep.cli.commands.separate import separate
from autoclip_sep.cli.commands.train import train
from autoclip_sep.errors import InputError
from tests.cli.test_separate import noise, untrained
from tests.commands import ENVIRONMENT, ROOT, start
from tests.golden.make import TRAIN, only_run, write_corpus
from tests.long_files import peak_memory

HEADER = len(pipes.wav_header(8000, 2))
WINDOW = 1024  # of the networks of `untrained`


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("runs") / "causal", "model=lstm_causal_demo")


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("runs") / "whole")


class Piped:
    """The command with our ends of its pipes."""

    def __init__(self, place: Path, *arguments: str) -> None:
        theirs, self.input = os.pipe()
        self.output, its = os.pipe()
        self.process = start(
            place, "separate.py", "input=-", "output=-", *arguments, stdin=theirs, stdout=its
        )
        os.close(theirs)
        os.close(its)

    def give(self, content: bytes) -> None:
        while content:
            content = content[os.write(self.input, content) :]

    def take(self, size: int) -> bytes:
        """As many bytes, which must come although the input stays open."""
        content = b""
        while len(content) < size:
            assert select.select([self.output], [], [], 60)[0], f"{len(content)} of {size} bytes"
            more = os.read(self.output, size - len(content))
            assert more, f"ended after {len(content)} of {size} bytes"
            content += more
        return content

    def end(self) -> tuple[bytes, str, int]:
        """Close the input; the rest of the output, standard error, and the exit code."""
        os.close(self.input)
        with open(self.output, "rb") as file:
            rest = file.read()
        _, said = self.process.communicate(60)
        return rest, said, self.process.wait()


def at_once(run: Path, samples: np.ndarray) -> np.ndarray:
    """The sources (S, T) of a mono sound at the network's rate."""
    separation = trained.load(str(run), "best", torch.device("cpu")).separation
    return np.concatenate(
        [part.numpy() for part in separation.stream([torch.from_numpy(samples)])], axis=-1
    )[:, 0]


RAW = ("format=f32le", "sample_rate=8000", "channels=1")


@pytest.mark.parametrize("sizes", [[1, 3000, 999, 5000], [9000]])
def test_a_causal_network_is_late_by_a_window(causal: Path, tmp_path: Path, sizes: list[int]):
    samples = noise(1, sum(sizes))
    job, content, given = Piped(tmp_path, f"run={causal}", *RAW), b"", 0
    for block in np.split(samples[0], np.cumsum(sizes)[:-1]):
        job.give(block.tobytes())
        given += len(block)
        content += job.take(8 * max(0, given - WINDOW) - len(content))
    rest, said, code = job.end()
    assert code == 0
    found = np.frombuffer(content + rest, "<f4").reshape(-1, 2).T
    np.testing.assert_allclose(found, at_once(causal, samples), atol=1e-5)
    assert "latency 1024 samples (128.0 ms at 8000 Hz)\n" in said


def test_other_networks_are_late_by_a_chunk(whole: Path, tmp_path: Path):
    samples = noise(1, 30_000)
    job = Piped(tmp_path, f"run={whole}", "chunk=1", *RAW)
    job.give(samples[0, :8001].tobytes())
    content = job.take(8 * (8000 - 666))  # all but the overlap of a twelfth
    job.give(samples[0, 8001:].tobytes())
    rest, said, code = job.end()
    assert (code, len(content + rest)) == (0, 8 * 30_000)
    assert "latency 8000 samples (1.0 s at 8000 Hz): a chunk" in said


def test_only_audio_reaches_standard_output(causal: Path, tmp_path: Path):
    """Although there is something to print: another rate, two channels, a damaged checkpoint."""
    samples = 2 * noise(2, 20_000)
    soundfiles.write(tmp_path / "a.wav", samples, 16000, "FLOAT")
    run = Path(shutil.copytree(causal, tmp_path / "run"))
    (run / "checkpoints" / "best-9-9.pt").write_bytes(b"damaged")
    job = Piped(tmp_path, f"run={run}", "downmix=true")
    job.give((tmp_path / "a.wav").read_bytes())
    content, said, code = job.end()
    assert (code, len(content)) == (0, HEADER + 8 * 20_000)
    assert "resampled from 16000 to 8000 Hz and back" in said
    (tmp_path / "sources.wav").write_bytes(content)
    found, rate = soundfiles.read(tmp_path / "sources.wav")
    separate([f"run={run}", f"input={tmp_path / 'a.wav'}", f"output={tmp_path}", "downmix=true"])
    for number, source in enumerate(found, 1):
        expected, its = soundfiles.read(tmp_path / f"a/s{number}.wav")
        assert its == rate == 16000
        np.testing.assert_allclose(source, expected[0], atol=2**-15)


@pytest.mark.parametrize("rate", [8000, 11025, 16000, 44100])
@pytest.mark.parametrize("network", ["causal", "whole"])
def test_the_latency_that_is_said_holds(network: str, rate: int, request: pytest.FixtureRequest):
    run = trained.load(str(request.getfixturevalue(network)), "best", torch.device("cpu"))
    run = trained.adapted(run, {"masks": "hard", "chunk": 1})
    length, came, left, latest = 3 * rate, 0, 0, 0

    def blocks():
        nonlocal came, latest
        for _ in range(length // 25):
            latest = max(latest, came - left)
            came += 25
            yield np.zeros((1, 25), np.float32)

    sound = separating.Sound("it", rate, 1, blocks())
    for block in separating.separated(run, sound, downmix=False):
        left += block.shape[-1]
    assert left == length
    promised = separating.latency(run, rate)
    assert 0.6 * promised < latest <= promised + 25


@pytest.mark.parametrize("network", ["causal", "whole"])
def test_nobody_listening_ends_it_without_a_word(
    network: str, tmp_path: Path, request: pytest.FixtureRequest
):
    job = Piped(tmp_path, f"run={request.getfixturevalue(network)}", "chunk=1", *RAW)
    job.give(noise(1, 12_000).tobytes())
    job.take(100)
    os.close(job.output)  # as `head -c 100` does
    for _ in range(100):
        try:
            job.give(noise(1, 12_000).tobytes())
        except BrokenPipeError:
            break
    _, said = job.process.communicate(60)
    os.close(job.input)
    assert job.process.wait() == 128 + signal.SIGPIPE
    assert all(line.startswith("separate: ") for line in said.splitlines())
    assert len(said.splitlines()) == 2


def test_ctrl_c_ends_it(causal: Path, tmp_path: Path):
    job = Piped(tmp_path, f"run={causal}", *RAW)
    job.give(noise(1, 5000).tobytes())
    job.take(100)
    job.process.send_signal(signal.SIGINT)
    _, said, code = job.end()
    assert code == 130
    assert said.splitlines()[-1] == "separate: stopped"


@pytest.mark.parametrize(
    ("content", "arguments", "message"),
    [
        (b"", [], "input=-: no samples"),
        (b"fLaC" + bytes(99), [], "input=-: not WAV"),
        (b"", [*RAW], "input=-: no samples"),
        (bytes(4001), [*RAW], "ends within a sample"),
        (pipes.wav_header(8000, 1), [*RAW], "input=- is WAV, not raw"),
        (bytes(99), ["format=s16le", "channels=1"], "raw samples need sample_rate=... too"),
        (bytes(99), ["channels=1"], "sample_rate= and channels= are for raw samples"),
        (bytes(99), ["format=mp3"], "format=mp3: must be one of wav, u8"),
        (bytes(99), [*RAW[:2], "channels=2"], "has 2 channels, the network takes one"),
        (bytes(99), [*RAW, "sources=3"], "sources=3: only a network that clusters"),
        (np.float32([np.nan]).tobytes(), [*RAW], "sample 0 is nan"),
    ],
)
def test_what_cannot_be_separated_is_one_line(
    causal: Path, tmp_path: Path, content: bytes, arguments: list[str], message: str
):
    job = Piped(tmp_path, f"run={causal}", *arguments)
    with suppress(BrokenPipeError):
        job.give(content)
    _, said, code = job.end()
    assert code == 2
    last = said.splitlines()[-1]
    assert last.startswith("separate: ")
    assert message in last


def test_a_pipe_into_a_folder_and_a_file_into_a_pipe(
    causal: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary
):
    samples = noise(1, 3000)
    soundfiles.write(tmp_path / "a.wav", samples, 8000, "FLOAT")
    given = [f"run={causal}", f"output={tmp_path / 'out'}"]
    separate([*given, f"input={tmp_path / 'a.wav'}"])
    before = os.dup(0)
    try:
        with open(tmp_path / "a.wav", "rb") as file:
            os.dup2(file.fileno(), 0)
            separate([*given, "input=-"])
    finally:
        os.dup2(before, 0)
        os.close(before)
    for name in ("s1.wav", "s2.wav"):
        assert (tmp_path / "out/stdin" / name).read_bytes() == (
            tmp_path / "out/a" / name
        ).read_bytes()
    capfdbinary.readouterr()
    separate([f"run={causal}", f"input={tmp_path / 'a.wav'}", "output=-", "format=s16le"])
    content = np.frombuffer(capfdbinary.readouterr().out, "<i2").reshape(-1, 2).T
    first, _ = soundfiles.read(tmp_path / "out/a/s1.wav", dtype=np.int16)
    assert np.array_equal(content[0], first[0])
    with pytest.raises(InputError, match="a folder can't go into one stream"):
        separate([f"run={causal}", f"input={tmp_path}", "output=-"])
    monkeypatch.setattr(sys, "argv", ["separate.py", "-m", f"run={causal},x", "input=-"])
    with pytest.raises(SystemExit):
        command_main()
    assert b"input=-: can't be shared by the jobs of -m" in capfdbinary.readouterr().err


TOOLS: dict[str, tuple[str, str]] = {
    "ffmpeg": (
        "ffmpeg -loglevel error -i a.flac -f wav -",
        "ffmpeg -loglevel error -i - -c:a pcm_f32le b.wav",
    ),
    "sox": ("sox a.flac -t wav -", "sox -t wav - -e float -b 32 b.wav"),
}


@pytest.mark.parametrize("tool", TOOLS)
def test_other_programs_read_and_write_the_pipe(causal: Path, tmp_path: Path, tool: str):
    if shutil.which(tool) is None:
        pytest.skip(f"{tool} is not installed")
    samples = noise(1, 12_345)
    soundfiles.write(tmp_path / "a.flac", samples, 8000)
    before, behind = TOOLS[tool]
    line = (
        f"{before} | {sys.executable} {ROOT}/separate.py run={causal} input=- output=- | {behind}"
    )
    subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=tmp_path, env=ENVIRONMENT, check=True, capture_output=True,
    )  # fmt: skip
    found, _ = soundfiles.read(tmp_path / "b.wav")
    heard, _ = soundfiles.read(tmp_path / "a.flac")
    np.testing.assert_allclose(found, at_once(causal, heard), atol=1e-5)


SEPARATE = """
import os, sys
from autoclip_sep.cli.commands.separate import separate
*arguments, given = sys.argv[1:]
os.dup2(os.open(given, os.O_RDONLY), 0)
kept = os.dup(1)
os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
separate(arguments)
os.dup2(kept, 1)
"""


@pytest.mark.parametrize("network", ["causal", "whole"])
def test_memory_does_not_grow_with_the_stream(
    network: str, tmp_path: Path, request: pytest.FixtureRequest
):
    run, peaks = request.getfixturevalue(network), []
    for seconds in (10, 600):
        with open(tmp_path / "zeros", "wb") as file:
            file.truncate(4 * 8000 * seconds)
        given = [f"run={run}", "input=-", "output=-", "chunk=5", *RAW, tmp_path / "zeros"]
        peaks.append(peak_memory(SEPARATE, *given))
    assert peaks[1] - peaks[0] < 15  # MB; the stream has 19


def test_a_trained_causal_network_goes_through_all_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary
):
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path / "corpus")
    train([*TRAIN, "model=lstm_causal", "runs=runs", "trainer.epochs=1"])
    run = only_run(Path("runs"))
    assert run.parts[3] == "lstm_causal"
    job = Piped(tmp_path, f"run={run}")
    mixture = tmp_path / "corpus/tt/mix/t0.wav"
    job.give(mixture.read_bytes())
    content, said, code = job.end()
    assert code == 0
    assert "latency 32 samples (4.0 ms at 8000 Hz)" in said
    found = np.frombuffer(content[HEADER:], "<f4").reshape(-1, 2).T
    samples, _ = soundfiles.read(mixture)
    np.testing.assert_allclose(found, at_once(run, samples), atol=1e-5)
