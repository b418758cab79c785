import random
import sys

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles, sphere
from autoclip_sep.errors import InputError
from tests.shorten import header, shorten, write_sphere


def speech(length, channels=1):
    """Samples with loud, quiet and silent parts, up to full scale."""
    rng = np.random.default_rng(length)
    smooth = np.convolve(rng.standard_normal(length + 8), np.hanning(9), "valid")[:length]
    loudness = np.repeat(rng.choice([0.0, 3.0, 300.0, 9000.0], length // 100 + 1), 100)[:length]
    values = np.stack([smooth * loudness] * channels) * np.arange(1, channels + 1)[:, None]
    return values.clip(-32768, 32767).astype(np.int16)


def refused(path, *words):
    with pytest.raises(InputError) as caught:
        soundfiles.read(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    for word in words:
        assert word in message


@pytest.mark.parametrize("version", [1, 2, None])
@pytest.mark.parametrize("length", [1, 2, 255, 256, 257, 5000])
@pytest.mark.parametrize("channels", [1, 2])
def test_samples_come_back(tmp_path, version, length, channels):
    """Version 1 is what WSJ0's discs hold, version 2 what later ones do, None plain samples."""
    samples = speech(length, channels)
    path = write_sphere(tmp_path / "a.wv1", samples, version=version)
    assert np.array_equal(soundfiles.read(path, dtype=np.int16)[0], samples)
    read, rate = soundfiles.read(path)
    assert (read.dtype, rate) == (np.float32, 16000)
    assert np.array_equal(read, samples / np.float32(2**15))
    assert np.array_equal(soundfiles.read(path, dtype=np.float64)[0], samples / 2.0**15)


def test_extremes_and_silence_come_back(tmp_path):
    samples = np.zeros(700, dtype=np.int16)
    samples[300:302] = -32768, 32767
    path = write_sphere(tmp_path / "a.wv1", samples)
    assert np.array_equal(soundfiles.read(path, dtype=np.int16)[0][0], samples)


def test_a_stream_by_hand(tmp_path):
    """Two samples, 5 and 3, bit by bit as the report describes them."""
    numbers = {5: "111 1101", 1: "101 11", 2: "110 110", 0: "100 1"}  # a width, then the value
    start = " ".join(numbers[value] for value in (5, 1, 2, 0, 0, 0))
    block = "100 1010 01010 1110"  # order 0, 2 + 1 low bits, then 5 as 10 and 3 as 6
    bits = f"{start} {block} 0100".replace(" ", "")  # which says that the stream ends
    bits += "0" * (-len(bits) % 8)
    body = b"ajkg\2" + int(bits, 2).to_bytes(len(bits) // 8, "big")
    said = header("pcm,embedded-shorten-v2.00", sample_count=2)
    (tmp_path / "a.sph").write_bytes(said + body)
    assert soundfiles.read(tmp_path / "a.sph", dtype=np.int16)[0].tolist() == [[5, 3]]


def test_info_says_what_the_header_says(tmp_path):
    path = write_sphere(tmp_path / "a.wv1", speech(300, 2), 8000)
    assert soundfiles.info(path) == soundfiles.AudioInfo(300, 8000, 2, "NIST", "PCM_16")
    plain = write_sphere(tmp_path / "b.sph", speech(300, 2), 8000, version=None)
    assert soundfiles.info(plain).frames == 300
    assert soundfiles.info(plain).subtype == "PCM_16"


def test_a_part_is_the_slice_of_the_whole(tmp_path):
    path = write_sphere(tmp_path / "a.wv1", speech(2000))
    whole = soundfiles.read(path)[0]
    assert np.array_equal(soundfiles.read(path, start=700, frames=600)[0], whole[:, 700:1300])
    assert np.array_equal(soundfiles.read(path, start=1990)[0], whole[:, 1990:])
    with pytest.raises(InputError, match="it has 2000"):
        soundfiles.read(path, start=1990, frames=11)


def test_the_other_byte_order_and_a_long_header(tmp_path):
    samples = speech(900)
    said = header(sample_count=900, sample_byte_format="10")
    (tmp_path / "a.sph").write_bytes(said + samples.astype(">i2").tobytes())
    assert np.array_equal(soundfiles.read(tmp_path / "a.sph", dtype=np.int16)[0], samples)
    said = header("pcm,embedded-shorten-v1.09", size=2048, sample_count=900)
    (tmp_path / "b.sph").write_bytes(said + shorten(samples, 1))
    assert np.array_equal(soundfiles.read(tmp_path / "b.sph", dtype=np.int16)[0], samples)


@pytest.mark.parametrize("version", [1, 2])
@pytest.mark.parametrize("kept", [1024, 1027, 1030, 1050, 3000])
def test_a_stream_that_ends_early_is_refused(tmp_path, version, kept):
    path = write_sphere(tmp_path / "a.wv1", speech(5000), version=version)
    path.write_bytes(path.read_bytes()[:kept])
    refused(path, "truncated")


def test_plain_samples_that_end_early_are_refused(tmp_path):
    """libsndfile reads the half without a word."""
    path = write_sphere(tmp_path / "a.sph", speech(5000), version=None)
    path.write_bytes(path.read_bytes()[:-300])
    refused(path, "truncated", "300 bytes")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (header(sample_count=5)[:500], ["truncated"]),
        (b"NIST_1A\n   1024\nsample_count -i 5\n", ["truncated"]),
        (b"NIST_1A\n", ["its size is"]),
        (b"NIST_1A\n  -1024\n", ["its size is"]),
        (b"NIST_1A\n9999999\n" + bytes(5000), ["its size is"]),
        (b"NIST_1A\n     10\n" + bytes(5000), ["its size is"]),
        (header("pcm,embedded-shorten-v1.09"), ["sample_count is missing"]),
        (header("pcm,embedded-shorten-v1.09", sample_count="many"), ["sample_count is many"]),
        (header("pcm,embedded-shorten-v1.09", sample_count=0), ["no samples"]),
        (header("pcm,embedded-shorten-v1.09", sample_count=9) + bytes(50), ["unknown coding"]),
        (header("pcm,wavpack", sample_count=9) + bytes(50), ["unknown coding", "wavpack"]),
        (header(sample_count=0), []),
        (header(), []),
    ],
)
def test_a_broken_header_is_one_line(tmp_path, content, words):
    (tmp_path / "a.wv1").write_bytes(content)
    refused(tmp_path / "a.wv1", *words)


def test_flipped_bits_are_found_by_the_checksum(tmp_path):
    """Most flips leave a stream that can be decoded, to something else."""
    samples = speech(3000)
    path = write_sphere(tmp_path / "a.wv1", samples)
    whole, refusals, rng = path.read_bytes(), [], random.Random(0)
    for _ in range(60):
        damaged = bytearray(whole)
        damaged[rng.randrange(1024, len(whole) - 4)] ^= 1 << rng.randrange(8)
        path.write_bytes(damaged)
        try:
            assert np.array_equal(soundfiles.read(path, dtype=np.int16)[0][0], samples[0])
        except InputError as error:
            refusals.append(str(error))
    assert len(refusals) >= 58
    assert len([refusal for refusal in refusals if "add up to" in refusal]) > 30


def test_the_checksum_may_be_missing_or_of_the_other_byte_order(tmp_path):
    samples = speech(1000)
    swapped = int(samples.byteswap().sum(dtype=np.int64)) & 0xFFFF
    for checksum in (None, swapped, "unknown"):
        path = write_sphere(tmp_path / "a.wv1", samples, sample_checksum=checksum)
        assert np.array_equal(soundfiles.read(path, dtype=np.int16)[0], samples)
    refused(write_sphere(tmp_path / "a.wv1", samples, sample_checksum=swapped ^ 1), "add up to")


@pytest.mark.parametrize("said", [{"maxnlpc": 2}, {"nmean": 4}])
def test_version_1_is_read_only_where_it_means_version_2(tmp_path, said):
    content = header("pcm,embedded-shorten-v1.09", sample_count=300)
    (tmp_path / "a.wv1").write_bytes(content + shorten(speech(300), 1, **said))
    refused(tmp_path / "a.wv1", "sph2pipe")


def test_without_desphere_the_package_is_named(tmp_path, monkeypatch):
    path = write_sphere(tmp_path / "a.wv1", speech(300))
    plain = write_sphere(tmp_path / "b.wv1", speech(300), version=None)
    monkeypatch.setitem(sys.modules, "desphere", None)
    refused(path, "pip install desphere")
    assert soundfiles.info(path).frames == 300
    assert soundfiles.read(plain)[0].shape == (1, 300)


def test_other_files_have_no_sphere_header(tmp_path):
    for content in (b"", b"RIFF", b"NIST_1B\n   1024\n"):
        (tmp_path / "a").write_bytes(content)
        assert sphere.read_header(tmp_path / "a") is None


def test_a_stream_too_long_for_memory_is_refused(tmp_path, monkeypatch):
    path = write_sphere(tmp_path / "a.wv1", speech(300, 2))
    monkeypatch.setattr(sphere, "LONGEST", 600)
    assert soundfiles.read(path)[0].shape == (2, 300)
    monkeypatch.setattr(sphere, "LONGEST", 599)
    refused(path, "600 samples", "up to 599", "sph2pipe")
    plain = write_sphere(tmp_path / "b.wv1", speech(300, 2), version=None)
    assert soundfiles.read(plain)[0].shape == (2, 300)


@pytest.mark.parametrize("version", [1, None])
@pytest.mark.parametrize("size", [1, 300, 1999, 2000, 5000])
def test_blocks_are_the_whole(tmp_path, version, size):
    path = write_sphere(tmp_path / "a.wv1", speech(2000, 2), version=version)
    parts = list(soundfiles.blocks(path, size, dtype=np.int16))
    assert [part.shape[1] for part in parts[:-1]] == [size] * (len(parts) - 1)
    assert np.array_equal(np.concatenate(parts, axis=1), speech(2000, 2))
