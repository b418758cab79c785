import errno
import os
import struct
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest
import soundfile

from autoclip_sep.audio import soundfiles
from autoclip_sep.audio.resampling import resample
from autoclip_sep.errors import InputError
from tests.encoded import encode, hum

ROOT = Path(__file__).resolve().parents[2]
RATE = 8000
RAMP = np.linspace(-0.5, 0.5, 400)


@pytest.fixture
def good(tmp_path):
    path = tmp_path / "good.wav"
    soundfiles.write(path, RAMP, RATE)
    return path


def refused(path, *words):
    """Both readers refuse the file in one line that names it and has the words."""
    for read in (soundfiles.read, lambda path: list(soundfiles.blocks(path))):
        with pytest.raises(InputError) as caught:
            read(path)
        message = str(caught.value)
        assert "\n" not in message
        for word in (str(path), *words):
            assert word in message


def test_written_samples_come_back_to_half_a_bit(good):
    samples, rate = soundfiles.read(good, dtype=np.float64)
    assert samples.shape == (1, 400)
    assert rate == RATE
    assert np.abs(samples[0] - RAMP).max() <= 2.0**-16


def test_int16_is_stored_as_it_is(tmp_path):
    values = np.array([[-32768, -1, 0, 1, 32767], [5, 4, 3, 2, 1]], dtype=np.int16)
    soundfiles.write(tmp_path / "a.wav", values, RATE)
    assert np.array_equal(soundfiles.read(tmp_path / "a.wav", dtype=np.int16)[0], values)
    assert np.array_equal(soundfiles.read(tmp_path / "a.wav")[0], values / np.float32(32768))


def test_quantise_rounds_halves_away_from_zero_and_saturates():
    values = np.array([0.5, -0.5, 1.5, 2.5, -2.5, 0.49]) / 2**15
    assert soundfiles.quantise(values).tolist() == [1, -1, 2, 3, -3, 0]
    assert soundfiles.quantise([1.0, -1.0, 7.0, -7.0]).tolist() == [32767, -32768, 32767, -32768]
    many = np.random.default_rng(0).uniform(-1.1, 1.1, 100_000)
    expected = np.copysign(np.floor(np.abs(many * 2**15) + 0.5), many).clip(-(2**15), 2**15 - 1)
    assert np.array_equal(soundfiles.quantise(many), expected)


def test_a_part_is_the_slice_of_the_whole(good):
    whole, _ = soundfiles.read(good)
    part, _ = soundfiles.read(good, start=100, frames=50)
    assert np.array_equal(part, whole[:, 100:150])
    tail, _ = soundfiles.read(good, start=390)
    assert np.array_equal(tail, whole[:, 390:])


@pytest.mark.parametrize(("start", "frames"), [(399, 2), (401, 0), (-1, 5), (0, -1), (500, None)])
def test_a_part_outside_the_file_is_refused(good, start, frames):
    with pytest.raises(InputError, match="it has 400"):
        soundfiles.read(good, start=start, frames=frames)


@pytest.mark.parametrize(
    ("subtype", "tolerance"),
    [("PCM_U8", 2.0**-7), ("PCM_16", 2.0**-15), ("PCM_24", 2.0**-22), ("DOUBLE", 1e-15)],
)
def test_other_sample_formats_give_the_same_result(tmp_path, subtype, tolerance):
    soundfile.write(tmp_path / "a.wav", RAMP, RATE, subtype=subtype)
    samples, _ = soundfiles.read(tmp_path / "a.wav", dtype=np.float64)
    assert np.abs(samples[0] - RAMP).max() <= tolerance


@pytest.mark.parametrize(
    "name", ["FLOAT.wav", "DOUBLE.wav", "FLOAT.aiff", "VORBIS.ogg", "OPUS.ogg"]
)
def test_floats_are_rounded_and_clipped_where_sixteen_bits_are_wanted(tmp_path, name):
    """libsndfile's own conversion gives zeros for floats and wraps round for loud Vorbis."""
    loud = 1.5 * np.sin(np.linspace(0, 300, 20_000))
    soundfile.write(tmp_path / name, loud, 48000, subtype=name.partition(".")[0])
    floats, _ = soundfiles.read(tmp_path / name)
    assert np.abs(floats).max() > 1.2
    expected = np.rint(floats * 2.0**15).clip(-(2**15), 2**15 - 1)
    assert np.array_equal(soundfiles.read(tmp_path / name, dtype=np.int16)[0], expected)
    blocks = list(soundfiles.blocks(tmp_path / name, 3000, dtype=np.int16))
    assert {block.dtype for block in blocks} == {np.dtype(np.int16)}
    assert np.array_equal(np.concatenate(blocks, axis=1), expected)


@pytest.mark.parametrize("signal", [np.full(50, 0.25), np.full(50, 1e-40), np.zeros(50)])
def test_dc_denormals_and_silence_are_read_as_they_are(tmp_path, signal):
    soundfiles.write(tmp_path / "a.wav", signal, RATE, subtype="FLOAT")
    assert np.array_equal(soundfiles.read(tmp_path / "a.wav")[0][0], signal.astype(np.float32))


def test_one_sample_is_enough(tmp_path):
    soundfiles.write(tmp_path / "a.wav", [0.5], RATE)
    assert soundfiles.read(tmp_path / "a.wav")[0].tolist() == [[0.5]]


@pytest.mark.parametrize(
    "name",
    ["a.wav", "a.raw", "a", "a.aac", "a.flac", "a.m4a", "a.mp3", "a.ogg", "a.webm", "a.wma"],
)
@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "0 bytes"), (bytes(5000), "zeros"), (b"<html>" * 900, "web page"),
        (b"\n<!DOCTYPE html>404", "web page"), (b"just words " * 900, "not audio"),
    ],
    ids=["empty", "zeros", "html", "short html", "text"],
)  # fmt: skip
def test_what_is_no_audio_is_refused_under_any_name(tmp_path, name, content, word):
    (tmp_path / name).write_bytes(content)
    refused(tmp_path / name, "not audio", word)
    assert not soundfiles.is_audio(tmp_path / name)


def test_a_header_without_samples_is_refused(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE)
    refused(tmp_path / "a.wav", "no samples")
    with pytest.raises(InputError, match="no samples"):
        soundfiles.info(tmp_path / "a.wav")


@pytest.mark.parametrize("kind", ["wav", "aiff", "au", "w64"])
@pytest.mark.parametrize("lost", [1, 400, 790])
def test_a_wav_or_relative_that_ends_early_is_refused(tmp_path, kind, lost):
    path = tmp_path / f"a.{kind}"
    soundfiles.write(path, RAMP, RATE)
    assert soundfiles.read(path)[0].shape == (1, 400)
    path.write_bytes(path.read_bytes()[:-lost])
    refused(path, "truncated", f"{lost} bytes")


@pytest.mark.parametrize("rate", [2**31 - 1, 2**20 + 1])
def test_a_rate_that_no_recording_has_is_refused(good, rate):
    content = bytearray(good.read_bytes())
    content[24:28] = struct.pack("<I", rate)
    good.write_bytes(content)
    refused(good, f"{rate} Hz")


def test_bytes_after_the_samples_are_no_harm(good):
    before = soundfiles.read(good)[0]
    good.write_bytes(good.read_bytes() + b"note" + struct.pack("<I", 4) + b"abcd")
    assert np.array_equal(soundfiles.read(good)[0], before)


@pytest.mark.parametrize(
    ("kind", "lengths"),
    [
        *(("wav", {4: struct.pack("<I", min(n + 36, 2**32 - 1)), 40: struct.pack("<I", n)})
          for n in (0xFFFFFFFF, 0x7FFFF000, 0x80000000)),
        ("au", {8: b"\xff" * 4}),
        ("w64", {16: b"\xff" * 8}),
    ],
)  # fmt: skip
def test_a_streamed_wav_or_relative_is_accepted(tmp_path, kind, lengths):
    path = tmp_path / f"a.{kind}"
    soundfiles.write(path, RAMP, RATE)
    before, content = soundfiles.read(path)[0], bytearray(path.read_bytes())
    for place, length in lengths.items():
        content[place : place + len(length)] = length
    path.write_bytes(content)
    assert np.array_equal(soundfiles.read(path)[0], before)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 1e30])
def test_an_impossible_sample_is_named(tmp_path, bad):
    signal = np.zeros((2, 300))
    signal[1, 123] = signal[0, 200] = bad
    soundfiles.write(tmp_path / "a.wav", signal, RATE, subtype="FLOAT")
    refused(tmp_path / "a.wav", "sample 123 ")
    with pytest.raises(InputError, match="sample 123 "):
        soundfiles.read(tmp_path / "a.wav", start=100, frames=50)
    with pytest.raises(InputError, match="sample 123 "):
        soundfiles.read(tmp_path / "a.wav", dtype=np.int16)
    assert soundfiles.read(tmp_path / "a.wav", frames=100)[0].shape == (2, 100)


def test_blocks_name_the_same_sample(tmp_path):
    signal = np.zeros(300)
    signal[210] = np.nan
    soundfiles.write(tmp_path / "a.wav", signal, RATE, subtype="FLOAT")
    found = soundfiles.blocks(tmp_path / "a.wav", 100)
    assert next(found).shape == next(found).shape == (1, 100)
    with pytest.raises(InputError, match=r"a\.wav: sample 210 is nan, not a usable amplitude"):
        next(found)


def test_values_beyond_one_are_kept(tmp_path):
    soundfiles.write(tmp_path / "a.wav", [3.0, -40.0], RATE, subtype="FLOAT")
    assert soundfiles.read(tmp_path / "a.wav")[0].tolist() == [[3.0, -40.0]]


@pytest.mark.parametrize(
    ("put", "words"),
    [
        (lambda path: None, ["No such file"]),
        (os.mkdir, ["a folder"]),
        (os.mkfifo, ["not a plain file"]),
        (lambda path: path.symlink_to("/dev/zero"), ["not a plain file"]),
        (lambda path: path.symlink_to("gone.wav"), ["a link to", "gone.wav"]),
    ],
    ids=["nothing", "folder", "pipe", "device", "dangling link"],
)
def test_what_is_no_file_is_named_without_waiting(tmp_path, put, words):
    put(tmp_path / "a.wav")
    refused(tmp_path / "a.wav", *words)


def test_a_name_is_text_whatever_it_holds(tmp_path):
    for name in ("a=b,(c)[d]'${x}.wav", "null.wav", "1e5.wav", "Grüße 音.wav"):
        soundfiles.write(tmp_path / name, RAMP, RATE)
        assert soundfiles.read(tmp_path / name)[0].shape == (1, 400)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(good):
    before = good.read_bytes()
    with pytest.raises((ValueError, RuntimeError)):
        soundfiles.write(good, RAMP, RATE, subtype="NO_SUCH_TYPE")
    assert good.read_bytes() == before
    assert os.listdir(good.parent) == ["good.wav"]


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
def test_a_file_written_in_blocks_is_the_file_written_at_once(tmp_path, subtype):
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, (2, 1000)).astype(np.float32)
    soundfiles.write(tmp_path / "once.wav", samples, RATE, subtype)
    with soundfiles.writing(tmp_path / "a/b.wav", RATE, 2, 1000, subtype) as add:
        for start in range(0, 1000, 300):
            add(samples[:, start : start + 300])
        assert not (tmp_path / "a/b.wav").exists()
    assert soundfiles.info(tmp_path / "a/b.wav") == soundfiles.info(tmp_path / "once.wav")
    one, other = (soundfiles.read(tmp_path / name)[0] for name in ("once.wav", "a/b.wav"))
    assert np.array_equal(one, other)
    if subtype == "PCM_16":  # a float file carries the time
        assert (tmp_path / "a/b.wav").read_bytes() == (tmp_path / "once.wav").read_bytes()
    assert sorted(path.name for path in tmp_path.rglob("*.*")) == ["b.wav", "once.wav"]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ValueError, SystemExit])
def test_writing_that_is_stopped_leaves_the_old_file(good, stop):
    def write_half():
        with soundfiles.writing(good, RATE, 1, 800) as add:
            add(np.zeros((1, 400)))
            raise stop

    before = good.read_bytes()
    with pytest.raises(stop):
        write_half()
    assert good.read_bytes() == before
    assert os.listdir(good.parent) == ["good.wav"]


def test_more_samples_than_a_wav_can_count_are_an_rf64(tmp_path, monkeypatch):
    samples = np.random.default_rng(0).integers(-99, 99, (2, 500)).astype(np.int16)
    monkeypatch.setattr(soundfiles, "LARGEST_WAV", 2000)
    soundfiles.write(tmp_path / "a.wav", samples, RATE)
    soundfiles.write(tmp_path / "b.wav", samples.astype(float), RATE, "FLOAT")
    soundfiles.write(tmp_path / "c.flac", samples, RATE)
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RIFF"
    assert (tmp_path / "b.wav").read_bytes()[:4] == b"RF64"
    assert np.array_equal(soundfiles.read(tmp_path / "b.wav")[0], samples)
    monkeypatch.setattr(soundfiles, "LARGEST_WAV", 1999)
    soundfiles.write(tmp_path / "a.wav", samples, RATE)
    assert (tmp_path / "a.wav").read_bytes()[:4] == b"RF64"
    assert np.array_equal(soundfiles.read(tmp_path / "a.wav", dtype=np.int16)[0], samples)


def test_a_full_disk_is_an_error_that_names_the_file(tmp_path):
    """A limit on the size of files stands in for the disk."""
    code = """
import resource, sys
from autoclip_sep.audio import soundfiles
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    soundfiles.write(sys.argv[1], [0.1] * 5000, 8000)
except OSError as error:
    print(error.filename, error.errno)
"""
    target = tmp_path / "a.wav"
    command = [sys.executable, "-c", code, str(target)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.split() == [str(target), str(errno.EFBIG)]
    assert list(tmp_path.iterdir()) == []


def test_resampling_keeps_a_tone():
    time = np.arange(16000) / 16000
    tone = np.sin(2 * np.pi * 440 * time)
    half = resample(tone, 16000, 8000)
    assert half.shape == (8000,)
    expected = np.sin(2 * np.pi * 440 * np.arange(8000) / 8000)
    assert np.abs(half - expected)[200:-200].max() < 2e-3
    assert resample(tone, 8000, 8000) is tone


def test_info_says_what_the_header_says(good):
    header = soundfiles.info(good)
    assert (header.frames, header.sample_rate, header.channels) == (400, RATE, 1)
    assert (header.format, header.subtype) == ("WAV", "PCM_16")


@pytest.mark.parametrize("raw", [b"caf\xe9.wav", b"two\nlines.wav", b"...wav"])
def test_a_file_name_may_be_any_bytes(tmp_path, raw):
    path = tmp_path / os.fsdecode(raw)
    samples = np.full((1, 900), 0.25, np.float32)
    soundfiles.write(path, samples, 8000)
    assert soundfiles.info(path).frames == 900
    assert np.array_equal(soundfiles.read(path)[0], samples)
    assert np.array_equal(np.concatenate(list(soundfiles.blocks(path)), axis=1), samples)


@pytest.mark.parametrize(
    "name", ["-", "pipe:0", "Live:2001.m4a", "concat:a|b", "subfile,,start,0,end,9,,:a"]
)
def test_a_name_is_no_address_and_not_standard_input(tmp_path, monkeypatch, name):
    """Given below the working folder, without another one before it."""
    monkeypatch.chdir(tmp_path)
    encode(tmp_path / "a.m4a", hum(9000), RATE, "aac").rename(name)
    assert soundfiles.is_audio(name)
    assert soundfiles.info(name).format == "MOV"
    assert soundfiles.read(name)[0].shape[1] >= 9000
    soundfiles.write(tmp_path / "a.wav", RAMP, RATE)
    os.replace("a.wav", name)
    assert soundfiles.info(name).format == "WAV"
    assert soundfiles.read(name)[0].shape == (1, 400)
    assert sum(block.shape[1] for block in soundfiles.blocks(name)) == 400


@pytest.mark.parametrize(
    ("suffix", "codec"),
    [("mkv", "aac"), ("m4a", "aac"), ("webm", "libopus"), ("mp3", "libmp3lame"), ("flac", "flac")],
)
def test_tags_may_be_in_any_encoding(tmp_path, suffix, codec):
    """Here the one that names ffmpeg."""
    path = encode(tmp_path / f"a.{suffix}", hum(9600), 48000, codec)
    expected = soundfiles.read(path)[0]
    content = path.read_bytes()
    assert b"Lavf" in content
    path.write_bytes(content.replace(b"Lavf", b"L\xe4vf"))
    assert soundfiles.is_audio(path)
    assert np.array_equal(soundfiles.read(path)[0], expected)
