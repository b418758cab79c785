"""Conversion in blocks against whole reading, to the byte, for whatever can be read."""

import numpy as np
import pytest
import soundfile

from autoclip_sep.audio import soundfiles, stems
from autoclip_sep.data.store import decoding
from autoclip_sep.data.store.decoding import Layout, decode, decode_mixture
from autoclip_sep.data.store.reading import Item, Signal
from autoclip_sep.errors import InputError
from tests.long_files import peak_memory, silence
from tests.shorten import write_sphere

LENGTH = 9001
RATE = 48000  # which Opus knows, too
KINDS = {
    "s16.wav": "PCM_16", "s24.wav": "PCM_24", "float.wav": "FLOAT", "u8.wav": "PCM_U8",
    "a.flac": "PCM_16", "b.flac": "PCM_24", "a.aiff": "PCM_16", "vorbis.ogg": "VORBIS",
    "opus.ogg": "OPUS", "a.mp3": "MPEG_LAYER_III", "adpcm.wav": "IMA_ADPCM",
    "shorten.wv1": "", "plain.sph": "",
}  # fmt: skip


def noise(seed, channels=2):
    """Stereo (T, 2) with the lowest frequencies loudest, as coders expect it."""
    steps = np.random.default_rng(seed).standard_normal((LENGTH, channels))
    walk = np.cumsum(steps, axis=0)
    return 0.4 * walk / np.abs(walk).max() + 0.01 * steps.clip(-3, 3)


def make(path, seed):
    if KINDS[path.name]:
        soundfile.write(path, noise(seed), RATE, subtype=KINDS[path.name])
        return path
    samples = soundfiles.quantise(noise(seed).T)
    return write_sphere(path, samples, RATE, version=1 if path.name == "shorten.wv1" else None)


def item_of(folder, name):
    """Two signals of one kind and a mixture of the same kind that isn't their sum."""
    paths = [folder / part / name for part in ("s1", "s2", "mix")]
    for seed, path in enumerate(paths):
        path.parent.mkdir()
        make(path, seed)
    return Item("x", "train", (Signal(paths[0]), Signal(paths[1])), paths[2])


def converted(folder, item, dtype, block):
    """samples.bin with the item's signals and its mixture, behind five samples of others'."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decoding, "BLOCK", block)
        old = decoding.measure(item, RATE if item.mixture_stream is None else 44100)
        layout = Layout(item, old.length, old.channels, old.sixteen_bits, 5)
        path = folder / f"{block}.bin"
        path.write_bytes(bytes((5 + 3 * layout.size) * np.dtype(dtype).itemsize))
        _, differs = decode(path, dtype, None, layout)
        assert differs
        decode_mixture(path, dtype, (layout, 5 + 2 * layout.size))
    return path.read_bytes()


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("dtype", ["int16", "float32"])
def test_blocks_give_the_bytes_of_whole_reading(tmp_path, name, dtype):
    item = item_of(tmp_path, name)
    paths = [*(signal.path for signal in item.signals), item.mixture]
    whole = [soundfiles.read(path, dtype=dtype)[0].T for path in paths if path]
    expected = bytes(5 * np.dtype(dtype).itemsize) + b"".join(part.tobytes() for part in whole)
    for block in (100, 1000, 3000, LENGTH, 2 * LENGTH):
        assert converted(tmp_path, item, dtype, block) == expected


@pytest.mark.parametrize("codec", ["aac", "alac"])
def test_so_do_blocks_of_stems(tmp_path, write_stems, codec):
    path = tmp_path / "a.stem.mp4"
    write_stems(path, [noise(seed).T for seed in range(3)], codec=codec)
    signals = (Signal(path, True, 1), Signal(path, True, 2))
    item = Item("x", "train", signals, path, 0)
    frames = stems.info(path, range(3)).frames
    whole = [next(stems.blocks(path, n, frames=frames, size=10 * LENGTH)) for n in (1, 2, 0)]
    assert [part.shape for part in whole] == [(2, frames)] * 3
    expected = bytes(20) + b"".join(np.ascontiguousarray(part.T).tobytes() for part in whole)
    for block in (1, 3000, LENGTH, 2 * LENGTH):
        assert converted(tmp_path, item, "float32", block) == expected


@pytest.mark.parametrize("block", [1, 7, 100, 128, 500, 10**6])
@pytest.mark.parametrize("where", [(0,), (99,), (100,), (127, 128), (41, 311), (499,)])
def test_the_largest_distance_is_that_of_the_whole_file(tmp_path, monkeypatch, block, where):
    """Where two are as large, the first is named; what is clipped in the mixture doesn't count."""
    monkeypatch.setattr(decoding, "BLOCK", block)
    signals = np.random.default_rng(0).integers(-9000, 9000, (2, 500)).astype(np.int16)
    mixture = signals.sum(axis=0, dtype=np.int16)
    mixture[250] += 3
    mixture[list(where)] -= 5
    mixture[[30, 450]] = 32767, -32768
    paths = [tmp_path / name for name in ("s1.wav", "s2.wav", "mix.wav")]
    for path, samples in zip(paths, (*signals, mixture), strict=True):
        soundfiles.write(path, samples, 8000)
    item = Item("x", "train", (Signal(paths[0]), Signal(paths[1])), paths[2])
    layout, samples_bin = decoding.measure(item, 8000), tmp_path / "samples.bin"
    samples_bin.write_bytes(bytes(4 * 500))
    message = rf"off by up to {5 / 2**15:.3g} \(sample {where[0]}\), 0\.00015 is allowed"
    with pytest.raises(InputError, match=message):
        decode(samples_bin, "int16", 4.9 / 2**15, layout)
    assert decode(samples_bin, "int16", 5.1 / 2**15, layout)[1]
    assert decode(samples_bin, "int16", None, layout)[1]


@pytest.mark.parametrize("off", [-1, 1])
def test_a_file_that_changed_meanwhile_never_writes_over_the_next(tmp_path, off):
    soundfiles.write(tmp_path / "a.wav", np.full(300, 0.5), 8000)
    layout = Layout(Item("x", "train", (Signal(tmp_path / "a.wav"),)), 300 + off, 1, True)
    samples = tmp_path / "samples.bin"
    samples.write_bytes(bytes(2 * 400))
    with pytest.raises(InputError, match=r"a\.wav: changed while it was read"):
        decode(samples, "int16", None, layout)
    assert samples.read_bytes()[2 * layout.size :] == bytes(2 * (400 - layout.size))


CONVERT = """
import sys
from pathlib import Path
from autoclip_sep.data.store.conversion import prepare
from autoclip_sep.data.store.reading import Item, Signal
folder = Path(sys.argv[1])
s1, s2, mix = (folder / f"{name}.wav" for name in ("s1", "s2", "mix"))
item = Item("long", "train", (Signal(s1), Signal(s2)), mix)
prepare(folder / "store", 8000, [item], tolerance=1e-4, progress=False, jobs=1)
"""


def test_an_hour_takes_the_memory_of_two_minutes(tmp_path):
    """Read at once, an hour's mixture alone would be 230 MB of floats."""
    peaks = []
    for seconds in (120, 3600):
        folder = tmp_path / str(seconds)
        for name in ("s1", "s2", "mix"):
            silence(folder / f"{name}.wav", seconds, 8000)
        peaks.append(peak_memory(CONVERT, folder))
        assert (folder / "store/samples.bin").stat().st_size == 2 * 2 * 8000 * seconds
    assert peaks[1] - peaks[0] < 20
