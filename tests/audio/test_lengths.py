"""What counts is what decodes: headers that estimate, lie, or were never filled in."""

import struct
from contextlib import nullcontext

import numpy as np
import pytest
import soundfile

from autoclip_sep.audio import soundfiles
from autoclip_sep.errors import InputError
from tests.encoded import encode, hum
from tests.long_files import peak_memory

RATE = 44100
SOUND = hum(100_000)
# What to write, and what soundfile is told where it writes it.
KINDS = {
    "a.wav": {}, "a.aiff": {}, "a.au": {}, "a.w64": {}, "a.caf": {}, "a.flac": {},
    "a.ogg": {"subtype": "VORBIS"}, "opus.ogg": {"subtype": "OPUS"},
    "a.mp3": {}, "rf64.wav": {"format": "RF64"},
}  # fmt: skip
CODECS = {
    "bare.mp3": "libmp3lame", "a.m4a": "aac", "a.webm": "libopus", "a.wma": "wmav2",
    "a.oga": "flac", "a.avi": "pcm_s16le", "mp3.wav": "libmp3lame", "mp3.avi": "libmp3lame",
}  # fmt: skip


def make(path, sound=SOUND):
    if path.name in CODECS:
        xing = {"write_xing": "0"} if path.name == "bare.mp3" else {}
        rate = 48000 if path.suffix == ".webm" else RATE
        return encode(path, sound, rate, CODECS[path.name], **xing)
    rate = 48000 if path.name == "opus.ogg" else RATE
    soundfile.write(path, sound.T, rate, **KINDS[path.name])
    return path


def check(path, sound, start=0, slack=0):
    """All of the sound is there, from `start` on, in blocks and in parts as at once."""
    samples, _ = soundfiles.read(path)
    frames = soundfiles.info(path).frames
    assert samples.shape[1] == frames
    assert 0 <= frames - start - sound.shape[1] <= slack
    found = samples[:, start : start + sound.shape[1]]
    assert ((found - sound) ** 2).mean() < 0.02 * (sound**2).mean()
    parts = list(soundfiles.blocks(path, 7000))
    assert [part.shape[1] for part in parts] == [7000] * (frames // 7000) + [frames % 7000]
    assert np.array_equal(np.concatenate(parts, axis=1), samples)
    part, _ = soundfiles.read(path, start=frames - 5000, frames=3000)
    assert np.array_equal(part, samples[:, -5000:-2000]) or path.suffix in (".mp3", ".ogg")
    exact, whole = soundfiles.read(path, dtype=np.int16)[0], samples * 2.0**15
    assert exact.dtype == np.int16
    assert np.abs(exact - whole).max() <= 1


@pytest.mark.parametrize("name", [*KINDS, *CODECS])
def test_whole_files_are_read_to_their_end(tmp_path, name):
    sound = SOUND[:, 2048:] if name == "a.wma" else SOUND  # its coder swallows the first block
    # Nothing says how much of their beginning is padding.
    delay = 1105 if name in ("bare.mp3", "mp3.wav", "mp3.avi") else 0
    check(make(tmp_path / name), sound, delay, slack=3000 if name in CODECS else 0)
    if name in KINDS:  # libsndfile stays what reads them
        expected, _ = soundfile.read(tmp_path / name, dtype="float32", always_2d=True)
        assert np.array_equal(soundfiles.read(tmp_path / name)[0], expected.T)


@pytest.mark.parametrize("name", [*KINDS, *CODECS])
@pytest.mark.parametrize("share", [0.6, 0.85])
def test_files_that_end_early_are_refused(tmp_path, name, share):
    path = make(tmp_path / name)
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(InputError, match=str(path)) as error:
        list(soundfiles.blocks(path))
    assert "\n" not in str(error.value)


def test_an_mp3_of_varying_rate_without_a_count_is_read_to_its_end(tmp_path):
    """Frames of 256 kbit/s, then of 32, and the other way: the estimate was a tenth, or ten times.

    One reads as long as both, and so does the other.
    """
    parts = [
        encode(tmp_path / f"{rate}.mp3", SOUND, RATE, "libmp3lame", rate * 1000, write_xing="0")
        for rate in (256, 32)
    ]
    lengths = [soundfiles.info(part).frames for part in parts]
    for n, order in enumerate((parts, parts[::-1])):
        path = tmp_path / f"both{n}.mp3"
        path.write_bytes(b"".join(part.read_bytes() for part in order))
        check(path, SOUND, 1105, slack=lengths[0] + 2304)
        assert abs(soundfiles.info(path).frames - sum(lengths)) <= 1152


@pytest.mark.parametrize("name", ["a.mp3", "a.flac", "a.ogg", "opus.ogg"])
def test_two_files_joined_are_as_long_as_both(tmp_path, name):
    second = hum(60_000, seed=1)
    (tmp_path / "1").mkdir()
    content = make(tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(content + make(tmp_path / "1" / name, second).read_bytes())
    samples, _ = soundfiles.read(tmp_path / name)
    assert 0 <= samples.shape[1] - 160_000 < 4000
    assert np.corrcoef(samples[0, :99_000], SOUND[0, :99_000])[0, 1] > 0.99
    correlation = np.correlate(samples[0, 100_000:], second[0, :5000])
    assert correlation.argmax() < 4000
    assert correlation.max() > 0.9 * (second[0, :5000] ** 2).sum()


def test_joined_mp3s_of_other_rates_are_refused(tmp_path):
    parts = [encode(tmp_path / f"{rate}.mp3", SOUND, rate, "libmp3lame") for rate in (44100, 22050)]
    (tmp_path / "a.mp3").write_bytes(b"".join(part.read_bytes() for part in parts))
    with pytest.raises(InputError, match=r"a\.mp3: .*22050 Hz x 1, 44100 Hz x 1"):
        soundfiles.info(tmp_path / "a.mp3")


@pytest.mark.parametrize("total", [0, 20_000, 99_999])
def test_a_flac_whose_header_says_less_is_read_to_its_end(tmp_path, total):
    path = make(tmp_path / "a.flac")
    before = soundfiles.read(path)[0]
    content = bytearray(path.read_bytes())
    content[22:26] = struct.pack(">I", total)
    path.write_bytes(content)
    check(path, SOUND)
    assert np.array_equal(soundfiles.read(path)[0], before)


def patched(path, **fields):
    """Other lengths in the header of a WAV file; returns what was in the file before."""
    samples = soundfiles.read(path)[0]
    content = bytearray(path.read_bytes())
    for name, value in fields.items():
        place = {"riff": 4, "data": 40}[name]
        content[place : place + 4] = struct.pack("<I", value)
    path.write_bytes(content)
    return samples


@pytest.mark.parametrize(
    "fields",
    [
        {"riff": 0}, {"riff": 36}, {"riff": 1000}, {"riff": 10**7}, {"riff": 200_037},
        {"riff": 36, "data": 0}, {"riff": 0, "data": 0}, {"data": 0},
        {"riff": 0xFFFFFFFF, "data": 0}, {"riff": 0, "data": 0xFFFFFFFF}, {"data": 200_100},
    ],
)  # fmt: skip
def test_stale_lengths_of_a_wav_whose_samples_are_there_do_no_harm(tmp_path, fields):
    before = patched(make(tmp_path / "a.wav"), **fields)
    assert np.array_equal(soundfiles.read(tmp_path / "a.wav")[0], before)
    parts = list(soundfiles.blocks(tmp_path / "a.wav", 30_000, dtype=np.int16))
    assert np.array_equal(np.concatenate(parts, axis=1) / np.float32(2**15), before)


def test_a_pad_byte_that_is_missing_does_no_harm(tmp_path):
    path = tmp_path / "a.wav"
    soundfile.write(path, SOUND[0, :999], RATE, subtype="PCM_U8")
    whole, content = soundfiles.read(path)[0], path.read_bytes()
    assert content[-1] == 0
    path.write_bytes(content[:-1])
    assert np.array_equal(soundfiles.read(path)[0], whole)
    path.write_bytes(content[:-2])
    with pytest.raises(InputError, match="truncated"):
        soundfiles.read(path)


@pytest.mark.parametrize("name", ["a.ogg", "opus.ogg", "a.oga"])
def test_an_ogg_that_lacks_a_page_is_refused(tmp_path, name):
    path = make(tmp_path / name, hum(300_000))
    pages = path.read_bytes().split(b"OggS")
    del pages[len(pages) // 2]
    path.write_bytes(b"OggS".join(pages))
    with pytest.raises(InputError, match=r"damaged, Ogg page \d+ is missing"):
        soundfiles.info(path)


@pytest.mark.parametrize("name", ["a.wav", "a.aiff", "a.au", "a.w64", "a.caf"])
def test_a_second_file_behind_the_first_is_no_silent_loss(tmp_path, name):
    path = make(tmp_path / name)
    path.write_bytes(path.read_bytes() * 2)
    with pytest.raises(InputError, match=r"bytes follow its samples .* files were joined"):
        soundfiles.info(path)


def test_samples_that_look_like_a_chunk_are_no_silent_loss(tmp_path):
    for tail in (b"data" + struct.pack("<I", 9000) + bytes(9000), b"AAAA" * 3000):
        content = make(tmp_path / "a.wav").read_bytes() + tail
        (tmp_path / "a.wav").write_bytes(content)
        with pytest.raises(InputError, match=f"{len(tail)} bytes follow its samples"):
            soundfiles.info(tmp_path / "a.wav")


def test_a_length_of_zero_that_pyav_believes_is_told(tmp_path):
    content = bytearray(make(tmp_path / "a.au").read_bytes())
    content[8:12] = bytes(4)
    (tmp_path / "a.au").write_bytes(content)
    with pytest.raises(InputError, match="200000 bytes follow its samples"):
        soundfiles.info(tmp_path / "a.au")


def test_half_a_bw64_is_refused(tmp_path):
    """As an RF64 is, which libsndfile knows; PyAV reads both and believes half of one."""
    content = b"BW64" + make(tmp_path / "rf64.wav").read_bytes()[4:]
    (tmp_path / "a.wav").write_bytes(content)
    assert soundfiles.info(tmp_path / "a.wav").frames == 100_000
    (tmp_path / "a.wav").write_bytes(content[:100_000])
    with pytest.raises(InputError, match="truncated"):
        soundfiles.info(tmp_path / "a.wav")


def test_an_empty_recording_with_a_note_behind_it_has_no_samples(tmp_path):
    make(tmp_path / "a.wav", SOUND[:, :0])
    with open(tmp_path / "a.wav", "ab") as file:
        file.write(b"LIST" + struct.pack("<I", 400) + b"INFO" + b"x" * 396)
    with pytest.raises(InputError, match="no samples"):
        soundfiles.info(tmp_path / "a.wav")


def test_a_length_that_leaves_most_of_a_wav_out_is_no_silent_loss(tmp_path):
    """As where 4 GiB of samples are counted in 32 bits. Tags and padding are no samples."""
    before = patched(make(tmp_path / "a.wav"), riff=100_036, data=100_000)
    assert before.shape == (1, 100_000)
    with pytest.raises(InputError, match="100000 bytes follow its samples"):
        soundfiles.read(tmp_path / "a.wav")
    whole = make(tmp_path / "a.wav").read_bytes()
    for tail in (bytes(2048), ID3V1, b"id3 " + struct.pack("<I", 9000) + bytes(9000)):
        (tmp_path / "b.wav").write_bytes(whole + tail)
        assert soundfiles.info(tmp_path / "b.wav").frames == 100_000


def id3(content):
    return b"ID3\3\0\0" + bytes(len(content) >> shift & 127 for shift in (21, 14, 7, 0)) + content


NOISE = np.random.default_rng(0).integers(0, 256, 30_000).astype(np.uint8).tobytes()
ID3V1 = b"TAG" + b"x" * 125


def test_tags_around_an_mp3_count_for_nothing(tmp_path):
    content = make(tmp_path / "a.mp3").read_bytes()
    before = soundfiles.read(tmp_path / "a.mp3")[0]
    for head in (b"", id3(b"APIC" + bytes(range(256)) * 200)):
        for tail in (b"", ID3V1):
            (tmp_path / "b.mp3").write_bytes(head + content + tail)
            assert np.array_equal(soundfiles.read(tmp_path / "b.mp3")[0], before)


@pytest.mark.parametrize("name", ["a.mp3", "bare.mp3"])
@pytest.mark.parametrize("last", [b"", ID3V1], ids=["plain", "with ID3v1"])
def test_tags_between_joined_mp3s_are_no_sound(tmp_path, name, last):
    """As `cat *.mp3` joins them: text in UTF-16 and JPEGs hold what looks like a frame."""
    bare = make(tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(bare * 2)
    plain = soundfiles.read(tmp_path / name)[0]
    for content in ("Grüße".encode("utf-16"), b"\xff\xd8\xff\xe2" + NOISE):
        (tmp_path / name).write_bytes((id3(content) + bare + last) * 2)
        assert np.array_equal(soundfiles.read(tmp_path / name)[0], plain)


@pytest.mark.parametrize(
    "tag",
    [
        b"ID3\3\0\0" + b"\x7f" * 4,
        b"APETAGEX" + struct.pack("<IIII8x", 2000, 2**32 - 1, 1, 0xA0000000),
        b"APETAGEX" + struct.pack("<IIII8x", 2000, 2**32 - 1, 1, 0x80000000),
    ],
)
def test_a_tag_longer_than_the_file_takes_no_sound_with_it(tmp_path, tag):
    bare = make(tmp_path / "bare.mp3").read_bytes()
    (tmp_path / "bare.mp3").write_bytes(bare + tag + bare)
    refused = pytest.raises(InputError, match="can't be decoded")
    with refused if tag[:3] == b"APE" else nullcontext():
        assert soundfiles.info(tmp_path / "bare.mp3").frames > 200_000


@pytest.mark.parametrize("name", ["a.mp3", "bare.mp3"])
@pytest.mark.parametrize("header", [True, False])
def test_a_picture_behind_an_mp3_is_no_sound(tmp_path, name, header):
    bare = make(tmp_path / name).read_bytes()
    before = soundfiles.read(tmp_path / name)[0]
    item = struct.pack("<II", len(NOISE), 2) + b"Cover Art (Front)\0" + NOISE
    ends = [
        b"APETAGEX" + struct.pack("<IIII8x", 2000, len(item) + 32, 1, flags)
        for flags in (0xA0000000, 0x80000000)
    ]
    (tmp_path / name).write_bytes(bare + ends[0] * header + item + ends[1])
    assert np.array_equal(soundfiles.read(tmp_path / name)[0], before)
    (tmp_path / name).write_bytes(bare[:-50] + ends[0] * header + item + ends[1])
    with pytest.raises(InputError, match="its last MP3 frame has"):
        soundfiles.read(tmp_path / name)


def test_a_video_is_as_long_as_its_sound(tmp_path):
    """The picture goes on for longer than the sound, which isn't cut off for that."""
    av = pytest.importorskip("av")
    with av.open(str(tmp_path / "a.mkv"), "w") as container:
        sound = container.add_stream("pcm_s16le", rate=RATE, layout="mono")
        video = container.add_stream("mpeg4", rate=10)
        video.width = video.height = 32
        for start in range(0, RATE, 4410):
            frame = av.AudioFrame.from_ndarray(np.zeros((1, 4410), np.int16), "s16", "mono")
            frame.sample_rate, frame.pts = RATE, start
            container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
        for _ in range(30):
            picture = av.VideoFrame.from_ndarray(np.zeros((32, 32, 3), np.uint8), "rgb24")
            container.mux(video.encode(picture))
        container.mux(video.encode(None))
    assert soundfiles.info(tmp_path / "a.mkv").frames == RATE
    content = (tmp_path / "a.mkv").read_bytes()
    (tmp_path / "a.mkv").write_bytes(content[: int(0.6 * len(content))])
    with pytest.raises(InputError, match="truncated"):
        soundfiles.info(tmp_path / "a.mkv")


BLOCKS = """
import sys
from autoclip_sep.audio import soundfiles
print(sum(block.shape[1] for block in soundfiles.blocks(sys.argv[1])))
"""


def test_a_quarter_of_an_hour_of_mp3_takes_the_memory_of_a_minute(tmp_path):
    """Counted once, decoded once more; at once, the longer one would be 160 MB of floats."""
    content = make(tmp_path / "bare.mp3").read_bytes()
    peaks = []
    for number in (30, 400):
        (tmp_path / "a.mp3").write_bytes(content * number)
        peaks.append(peak_memory(BLOCKS, tmp_path / "a.mp3"))
    assert peaks[1] - peaks[0] < 20
