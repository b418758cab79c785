"""Faults that the system really reports, as a person reads them."""

import errno
import os
import resource
from pathlib import Path

import pytest

from autoclip_sep.cli import command, system_errors


def long_file(path):
    """Written where files may have 10 bytes only."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10, before[1]))
    try:
        path.write_bytes(bytes(20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (
            lambda: Path("file/a/report.txt").write_text(""),
            "file: a file in the place of a folder (Not a directory); choose another folder",
        ),
        (
            lambda: Path("file").mkdir(exist_ok=True),
            "file: a file in the place of a folder (File exists); choose another folder",
        ),
        (
            lambda: Path("folder").write_text(""),
            "folder: a folder in the place of a file (Is a directory); choose another name",
        ),
        (
            lambda: Path("no\nwhere").read_text(),
            r"no\nwhere: not there (No such file or directory); look for a mistake in the path",
        ),
        (
            lambda: Path("a" * 300).write_text(""),
            f"{'a' * 300}: too long a name (File name too long); choose a shorter one",
        ),
        pytest.param(
            lambda: Path("/dev/full").write_text("it"),
            "the disk is full (No space left on device); make room and give the same command again",
            marks=pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full"),
        ),
        (
            lambda: long_file(Path("file")),
            "larger than files may be (File too large); choose another disk, or look at ulimit -f",
        ),
        (lambda: os.close(10**6), "Bad file descriptor"),
        (lambda: os.rmdir("folder"), "folder: Directory not empty"),
    ],
)
def test_a_fault_says_where_what_and_what_to_do(tmp_path, monkeypatch, fault, said):
    monkeypatch.chdir(tmp_path)
    Path("file").touch()
    Path("folder/inner").mkdir(parents=True)
    with pytest.raises(OSError) as caught:
        fault()
    assert command.one_line(caught.value) == said


@pytest.mark.parametrize("number", system_errors.SAID)
def test_what_is_known_says_what_to_do(number):
    said = system_errors.line(OSError(number, os.strerror(number), b"a/b.wav"))
    assert said.startswith("a/b.wav: ")
    assert f"({os.strerror(number)}); " in said


def test_what_is_no_file_is_said_as_it_is():
    assert system_errors.line(OSError("cannot connect")) == "cannot connect"
    assert system_errors.line(OSError(errno.ECONNREFUSED, "refused", 3)) == "refused"
