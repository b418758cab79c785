"""Raw samples and WAV as they come through pipes."""

import io
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import soundfile

from autoclip_sep.audio import pipes, soundfiles
from autoclip_sep.errors import InputError

SUBTYPES = {
    "u8": "PCM_U8", "s16le": "PCM_16", "s24le": "PCM_24", "s32le": "PCM_32", "f32le": "FLOAT",
    "f64le": "DOUBLE",
}  # fmt: skip


class Dribble(io.RawIOBase):
    """A pipe through which few bytes come at a time."""

    def __init__(self, content: bytes, most: int = 7) -> None:
        self.content, self.most = io.BytesIO(content), most

    def read(self, size: int = -1) -> bytes:
        return self.content.read(min(size, self.most))


def noise(channels: int = 2, length: int = 50) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1, 1, (channels, length)).astype(np.float32)


def wav(path: Path, kind: str, encoding: str, channels: int = 2) -> bytes:
    soundfile.write(path, noise(channels).T, 8000, subtype=SUBTYPES[encoding], format=kind)
    return path.read_bytes()


def read(content: bytes, most: int = 7) -> tuple[pipes.Form, np.ndarray]:
    file = Dribble(content, most)
    form = pipes.read_wav_header(file, "it")
    return form, np.concatenate(list(pipes.blocks(file, form, "it")), axis=1)


@pytest.mark.parametrize("most", [1, 7, 10**6])
@pytest.mark.parametrize("encoding", SUBTYPES)
@pytest.mark.parametrize("kind", ["WAV", "WAVEX", "RF64"])
def test_wav_is_read_as_libsndfile_does(
    tmp_path: Path, kind: str, encoding: str, most: int
) -> None:
    content = wav(tmp_path / "a.wav", kind, encoding)
    form, found = read(content, most)
    assert (form.encoding, form.sample_rate, form.channels) == (encoding, 8000, 2)
    expected, _ = soundfile.read(tmp_path / "a.wav", dtype="float32", always_2d=True)
    assert found.dtype == np.float32
    assert np.array_equal(found, expected.T)


@pytest.mark.parametrize("length", [0, 0xFFFFFFFF, 0x7FFFF000, 0x80000000])
def test_an_unknown_length_is_all_that_comes(tmp_path: Path, length: int) -> None:
    content = wav(tmp_path / "a.wav", "WAV", "s16le")
    place = content.index(b"data") + 4
    form, found = read(content[:place] + struct.pack("<I", length) + content[place + 4 :])
    assert form.length is None
    assert found.shape == (2, 50)


def test_chunks_before_and_behind_the_samples_are_no_samples(tmp_path: Path) -> None:
    content = wav(tmp_path / "a.wav", "WAV", "s16le")
    place = content.index(b"fmt ")
    extra = b"LIST" + struct.pack("<I", 70_001) + bytes(70_002)
    form, found = read(content[:place] + extra + content[place:] + extra)
    assert form.length == 200
    assert np.array_equal(found, read(content)[1])


@pytest.mark.parametrize("encoding", SUBTYPES)
def test_what_is_encoded_is_decoded(encoding: str) -> None:
    samples = 0.99 * noise(1, 1000)[0]
    content = pipes.encode(samples, encoding)
    assert len(content) == 1000 * pipes.BITS[encoding] // 8
    step = 0 if encoding.startswith("f") else 2.0 ** (1 - pipes.BITS[encoding])
    assert np.abs(pipes.decode(content, encoding) - samples).max() <= max(step / 2, 6e-8)
    beyond = pipes.decode(pipes.encode(np.float32([-3, 3]), encoding), encoding)
    expected = [-3, 3] if encoding.startswith("f") else [-1, 1 - step]
    np.testing.assert_allclose(beyond, expected, atol=6e-8)


@pytest.mark.parametrize("channels", [1, 2, 8])
def test_other_programs_read_what_is_written(tmp_path: Path, channels: int) -> None:
    samples = 3 * noise(channels)
    header = pipes.wav_header(44100, channels)
    (tmp_path / "a.wav").write_bytes(header + pipes.encode(samples.T, "f32le"))
    found, rate = soundfiles.read(tmp_path / "a.wav")
    assert rate == 44100
    assert np.array_equal(found, samples)
    form, again = read(header + pipes.encode(samples.T, "f32le"))
    assert form == pipes.Form("f32le", 44100, channels)
    assert np.array_equal(again, samples)


def promising_more(content: bytes) -> bytes:
    return content[:-6]


def of_another_format(content: bytes) -> bytes:
    return content[:20] + struct.pack("<H", 17) + content[22:]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda _: b"", "it: no samples"),
        (lambda _: b"fLaC" + bytes(100), "it: not WAV; raw samples need format="),
        (lambda content: content[:30], "a WAV header without samples"),
        (lambda content: content[:12] + content[36:], "a WAV header without samples"),
        (lambda content: content[:44], "truncated, its header promises 200 bytes more"),
        (promising_more, "truncated, its header promises 6 bytes more"),
        (of_another_format, "WAV of format 17 with 16 bits isn't read from a pipe"),
        (lambda content: content[:22] + b"\0\0" + content[24:], "no usable WAV header"),
    ],
)
def test_what_is_no_wav_is_one_line(tmp_path: Path, change: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        read(change(wav(tmp_path / "a.wav", "WAV", "s16le")))


def raw(content: bytes, encoding: str, channels: int) -> Iterator[np.ndarray]:
    return pipes.blocks(Dribble(content), pipes.Form(encoding, 8000, channels), "it")


def test_raw_samples_that_do_not_fit_come_before_the_error() -> None:
    found: list[int] = []
    blocks = raw(pipes.encode(noise(1, 9)[0], "s16le") + b"\0", "s16le", 2)
    with pytest.raises(InputError, match=r"within a sample \(3 of 4 bytes\): are 2 channels"):
        found.extend(block.shape[1] for block in blocks)
    assert sum(found) == 4
    with pytest.raises(InputError, match="no samples"):
        list(raw(b"", "s16le", 2))
    with pytest.raises(InputError, match="it: sample 2 is nan"):
        list(raw(np.float32([0, 1, np.nan]).tobytes(), "f32le", 1))
