import errno
import subprocess
import sys

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.errors import InputError
from autoclip_sep.separation.source_files import write_sources
from tests.commands import ENVIRONMENT


def in_blocks(samples, size=300):
    return (samples[..., start : start + size] for start in range(0, samples.shape[-1], size))


def tree(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("place", [0, 299, 300, 999])
def test_a_source_beyond_one_is_kept_in_floats(tmp_path, channels, place):
    samples = np.random.default_rng(0).uniform(-0.9, 0.9, (3, channels, 1000)).astype(np.float32)
    samples[0, -1, place] = -1.5
    samples[1, -1, place] = 1.0
    paths = [tmp_path / "new/folder" / f"{name}.wav" for name in "abc"]
    write_sources(in_blocks(samples), paths, 8000)
    assert [soundfiles.info(path).subtype for path in paths] == ["FLOAT", "PCM_16", "PCM_16"]
    assert np.array_equal(soundfiles.read(paths[0])[0], samples[0])
    for path, source in zip(paths[1:], samples[1:], strict=True):
        assert np.array_equal(soundfiles.read(path, dtype=np.int16)[0], soundfiles.quantise(source))
    assert tree(tmp_path) == ["new", "new/folder", *(f"new/folder/{n}.wav" for n in "abc")]


@pytest.mark.parametrize("stop", [KeyboardInterrupt, InputError])
def test_what_stops_in_the_middle_leaves_nothing(tmp_path, stop):
    def half():
        yield np.zeros((2, 1, 500), np.float32)
        raise stop

    with pytest.raises(stop):
        write_sources(half(), [tmp_path / "a/s1.wav", tmp_path / "a/s2.wav"], 8000)
    assert tree(tmp_path) == []


def test_old_files_stay_where_the_last_source_fails(tmp_path):
    soundfiles.write(tmp_path / "s1.wav", [0.5], 8000)
    before = (tmp_path / "s1.wav").read_bytes()
    (tmp_path / "s2.wav").mkdir()
    (tmp_path / "s2.wav" / "x").touch()
    with pytest.raises(OSError, match=r"s2\.wav"):
        write_sources([np.zeros((2, 1, 5))], [tmp_path / "s1.wav", tmp_path / "s2.wav"], 8000)
    assert (tmp_path / "s1.wav").read_bytes() == before
    assert tree(tmp_path) == ["s1.wav", "s2.wav", "s2.wav/x"]


def test_a_file_in_the_folders_place_is_named_before_any_work(tmp_path):
    def work():
        raise AssertionError("a block was asked for")
        yield

    (tmp_path / "out").touch()
    with pytest.raises(NotADirectoryError, match=f"'{tmp_path / 'out'}'"):
        write_sources(work(), [tmp_path / "out/song/s1.wav"], 8000)
    assert tree(tmp_path) == ["out"]


@pytest.mark.parametrize("limit", [50_000, 8_000])
def test_a_full_disk_is_an_error_with_a_name(tmp_path, limit):
    """A limit on the size of files stands in for the disk."""
    code = """
import resource, sys
from pathlib import Path
import numpy as np
from autoclip_sep.separation.source_files import write_sources
resource.setrlimit(resource.RLIMIT_FSIZE, (int(sys.argv[2]),) * 2)
try:
    write_sources([np.zeros((1, 1, 5000), np.float32)] * 10, [Path(sys.argv[1], "s1.wav")], 8000)
except OSError as error:
    print(error.filename, error.errno)
"""
    command = [sys.executable, "-c", code, str(tmp_path), str(limit)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=ENVIRONMENT)
    assert done.stdout.split() == [str(tmp_path), str(errno.EFBIG)]
    assert done.stderr == ""
    assert tree(tmp_path) == []
