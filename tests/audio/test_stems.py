"""Files are written with PyAV's own encoder and read back."""

import os

import numpy as np
import pytest

from autoclip_sep.audio import stems
from autoclip_sep.errors import InputError
from tests import encoded

RATE = 44100


def hum(number=5, length=50_000):
    """Stereo signals (2, length)."""
    return [encoded.hum(length, 2, seed) for seed in range(number)]


def whole(path, stream, **more):
    return np.concatenate(list(stems.blocks(path, stream, **more)), axis=1)


@pytest.fixture
def track(tmp_path, write_stems):
    path = tmp_path / "a - b.stem.mp4"
    write_stems(path, hum())
    return path


def test_every_stream_is_its_signal_at_its_place(track):
    header = stems.info(track, range(5))
    assert (header.sample_rate, header.channels, header.subtype) == (RATE, 2, "AAC")
    assert 50_000 <= header.frames < 50_000 + 2048  # whole blocks
    for number, signal in enumerate(hum()):
        samples = whole(track, number, frames=header.frames)
        assert samples.shape == (2, header.frames)
        assert samples.dtype == np.float32
        # A few samples out of place would be an error as large as the signal.
        error = samples[:, :50_000] - signal
        assert (error**2).mean() < 0.01 * (signal**2).mean()


def test_lossless_streams_come_back_to_the_bit(tmp_path, write_stems):
    signals = [np.round(signal * 2**14) / 2**15 for signal in hum(2)]
    write_stems(tmp_path / "a.stem.mp4", signals, codec="alac")
    header = stems.info(tmp_path / "a.stem.mp4", [0, 1])
    assert header.frames == 50_000
    for number, signal in enumerate(signals):
        samples = whole(tmp_path / "a.stem.mp4", number, frames=50_000, dtype=np.float64)
        assert np.array_equal(samples, signal)


@pytest.mark.parametrize("size", [1, 1024, 5000, 49_999, 50_000, 50_001])
def test_blocks_make_no_difference(track, size):
    parts = list(stems.blocks(track, 3, frames=50_000, size=size))
    assert np.array_equal(np.concatenate(parts, axis=1), whole(track, 3, frames=50_000))
    assert all(size <= part.shape[1] < size + 1024 for part in parts[:-1])
    assert 0 < parts[-1].shape[1] < size + 1024


def test_streams_end_with_the_shortest(tmp_path, write_stems):
    path = tmp_path / "a.stem.mp4"
    write_stems(path, [hum(1)[0], hum(1, 48_500)[0]])
    both, long, short = (stems.info(path, which).frames for which in ([0, 1], [0], [1]))
    assert both == short < long
    samples = whole(path, 0, frames=both)
    assert samples.shape == (2, both)


def test_streams_that_differ_too_much_are_refused(tmp_path, write_stems):
    path = tmp_path / "a.stem.mp4"
    write_stems(path, [hum(1)[0], hum(1, 40_000)[0]])
    with pytest.raises(InputError, match=r"a\.stem\.mp4: its streams, .* differ: 4\d+ to 5\d+"):
        stems.info(path, [0, 1])


def test_a_stream_that_isnt_there_is_named(track):
    with pytest.raises(InputError, match="5 audio streams, no number 5"):
        stems.info(track, [0, 5])
    with pytest.raises(InputError, match="5 audio streams, no number 7"):
        whole(track, 7, frames=10)
    with pytest.raises(InputError, match=r"stream 0 has \d+ samples, not 99999"):
        whole(track, 0, frames=99_999)


@pytest.mark.parametrize("kind", ["half", "web page", "folder", "pipe"])
def test_what_is_no_stem_file_is_one_line(track, kind):
    content = track.read_bytes()
    track.unlink()
    if kind in ("folder", "pipe"):
        (os.mkdir if kind == "folder" else os.mkfifo)(track)
    else:
        track.write_bytes(content[: len(content) // 2] if kind == "half" else b"<html>" * 50)
    for read in (lambda: stems.info(track, range(5)), lambda: whole(track, 0, frames=1)):
        with pytest.raises(InputError, match=r"a - b\.stem\.mp4: ") as error:
            read()
        assert "\n" not in str(error.value)
