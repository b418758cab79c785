import errno
from pathlib import Path

import pytest

from autoclip_sep.files import Sink, whole_file


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
