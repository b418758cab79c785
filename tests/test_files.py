import errno
import mmap
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from autoclip_sep import files
from autoclip_sep.data.store.reading import Store
from autoclip_sep.files import Sink, mapped, whole_file, write_whole
from autoclip_sep.runs.records import Records
from tests.commands import ENVIRONMENT
from tests.conftest import can_mount


def write_after_the_end(path: Path) -> None:
    with whole_file(path) as sink:
        sink.write(b"new")
        sink.close()
        sink.write(b"er")


def test_an_error_that_nobody_asked_for_is_raised_at_the_end(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(ValueError, match="closed file"):
        write_after_the_end(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_whole_file_takes_the_place_of_the_old_one(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    with whole_file(tmp_path / "a") as sink:
        assert sink.write(b"new") == 3
        sink.check()
        assert (tmp_path / "a").read_bytes() == b"old"
    assert (tmp_path / "a").read_bytes() == b"new"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full, a disk that is full")
def test_the_first_error_waits_for_whoever_asks() -> None:
    with Sink("/dev/full", "w") as sink:
        assert sink.write(b"content") == 7
        assert sink.write(b"more") == 4
        for _ in range(2):
            with pytest.raises(OSError, match="No space left") as caught:
                sink.check()
            assert caught.value.errno == errno.ENOSPC


def test_a_link_in_a_temporarys_place_is_not_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If its name were foreseen: in a shared folder somebody else's file could be emptied."""
    monkeypatch.setattr(files, "_MACHINE", 0)
    (tmp_path / "precious").write_bytes(b"mine")
    (tmp_path / f".a.{os.getpid() << 48}.tmp").symlink_to("precious")
    write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "precious").read_bytes() == b"mine"
    assert (tmp_path / "a").read_bytes() == b"new"


def refuse_sync(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    def refuse(file: int) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", refuse)


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
def test_where_fsync_is_unknown_files_are_written_all_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    refuse_sync(monkeypatch, number)
    write_whole(tmp_path / "a", b"new")
    assert (tmp_path / "a").read_bytes() == b"new"
    rows = Records(tmp_path / "rows.csv", ("step",))
    rows.append({"step": 1})
    rows.sync()
    rows.close()
    assert (tmp_path / "rows.csv").read_text() == "step\n1\n"


def test_a_disk_that_fails_at_fsync_is_named_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a").write_bytes(b"old")
    refuse_sync(monkeypatch, errno.EIO)
    with pytest.raises(OSError, match="error") as caught:
        write_whole(tmp_path / "a", b"new")
    assert caught.value.filename == str(tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_a_file_that_cannot_be_written_is_named_not_its_temporary(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "b").touch()
    for path in (tmp_path / "a", tmp_path / "none" / "a"):
        with pytest.raises(OSError, match="directory") as caught:
            write_whole(path, b"new")
        assert caught.value.filename == str(path)


class Unshared(mmap.mmap):
    """A map on a file system that knows no shared ones."""

    def __new__(cls, file: int, length: int, **how: int) -> Any:
        if how.get("flags", mmap.MAP_SHARED) & mmap.MAP_SHARED:
            raise OSError(errno.ENODEV, "No such device")
        return super().__new__(cls, file, length, **how)


@pytest.mark.skipif(not hasattr(mmap, "MAP_PRIVATE"), reason="one kind of maps only")
def test_a_store_is_read_where_no_map_can_be_shared(
    tiny_store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on FUSE's where each read goes to the server."""
    expected = tiny_store.split("test").load(2)
    monkeypatch.setattr(mmap, "mmap", Unshared)
    for one, other in zip(tiny_store.split("test").load(2), expected, strict=True):
        assert np.array_equal(one, other)


def test_a_file_that_no_map_can_be_made_of_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: int, **__: int) -> None:
        raise OSError(errno.ENODEV, "No such device")

    (tmp_path / "a").write_bytes(b"a")
    monkeypatch.setattr(mmap, "mmap", refuse)
    with pytest.raises(OSError, match="No such device") as caught:
        mapped(tmp_path / "a")
    assert caught.value.filename == str(tmp_path / "a")


ON_RAMFS = """
import sys
from pathlib import Path
import numpy as np
from autoclip_sep.audio import soundfiles
from autoclip_sep.data.store.conversion import prepare
from autoclip_sep.data.store.reading import Item, Signal
from autoclip_sep.runs import run_directory
place = Path(sys.argv[1])
rng = np.random.default_rng(0)
items = []
for n, split in enumerate(("train", "valid")):
    paths = [place / f"{split}{s}.wav" for s in range(2)]
    for path in paths:
        soundfiles.write(path, rng.uniform(-0.2, 0.2, (1, 900)), 8000)
    mixture = place / f"{split}.wav"  # not the sum, so that it is stored behind all the signals
    soundfiles.write(mixture, rng.uniform(-0.2, 0.2, (1, 900)), 8000)
    items.append(Item(f"m{n}", split, tuple(map(Signal, paths)), mixture))
with run_directory.lock(place):
    store = prepare(place / "store" / "a", 8000, items, progress=False, jobs=1)
for n, split in enumerate(("train", "valid")):
    mixture, sources = store.split(split).load(0)
    assert np.array_equal(mixture, soundfiles.read(items[n].mixture)[0])
    assert np.array_equal(sources[1], soundfiles.read(items[n].signals[1].path)[0])
"""


def test_a_store_is_made_where_no_room_can_be_reserved(tmp_path: Path) -> None:
    """A file system without fallocate, a real one: ramfs, for that command alone."""
    if not can_mount():
        pytest.skip("no file system can be mounted here")
    mount = 'mount -t ramfs ramfs "$0" && exec "$@"'
    done = subprocess.run(
        ["unshare", "-Urm", "sh", "-c", mount, str(tmp_path), sys.executable, "-c", ON_RAMFS,
         str(tmp_path)],
        env=ENVIRONMENT, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
