"""Operations that fail, and disks that are full: one line, and the same command resumes later."""

import json
import os
import resource
import subprocess
import sys
from functools import partial

import pytest

from faults.operations import ERRORS, fail, watch
from faults.trained import SHORT, assert_one_line, assert_same_runs, rests
from tests.commands import ENVIRONMENT
from tests.conftest import can_mount
from tests.golden.make import only_run

PARTS = 4  # of a test, side by side
PAGES = range(2, 61, 2)  # of 4096 bytes, that a disk has
LIMITS = (0, 64, 512, 1024, 2048, 4096, 7000, 8192, 16384, 20000)  # bytes of a file


@pytest.mark.parametrize("part", range(PARTS))
def test_an_error_at_each_operation(place, measured, part):
    straight, _ = place.whole("short", *SHORT)
    numbers = range(1 + part, 1 + place.operations("counted", *SHORT), PARTS)
    refused = 0
    for at in numbers:
        folder, error = place.folder / f"error{at}", ERRORS[at // PARTS % len(ERRORS)]
        before = partial(inject, folder, at, error)
        ended = place.train(folder.name, *SHORT, before=before)
        if ended.code:
            assert_one_line(ended)
            refused += 1
        assert not rests(folder)
        assert place.train(folder.name, *SHORT).code == 0
        assert_same_runs(straight, only_run(folder))
        place.remove(folder.name)
    assert refused
    names = "/".join(os.strerror(error) for error in ERRORS)
    measured(
        f"one of {names} at {len(numbers)} file operations: {refused} ended in one line, the rest "
        "needed it not; all went on to equal records"
    )


def test_an_error_at_each_file_that_is_read(place, measured):
    name, longer = "read", "trainer.epochs=5"
    place.copy(place.straight, name)
    number = place.operations(name, longer, reading=True)
    refused = 0
    for at in range(1, number + 1):
        place.copy(place.straight, name)
        before = partial(inject, place.folder / name, at, ERRORS[at % len(ERRORS)], True)
        ended = place.train(name, longer, before=before)
        if ended.code:
            assert_one_line(ended)
            refused += 1
    assert refused
    measured(
        f"an error at {number} readings of a run: {refused} ended in one line, the rest went on"
    )


def inject(folder, at, error, reading=False):
    watch(folder, fail(at, error), reading)


def test_files_that_may_have_some_bytes_only(place, measured):
    straight, _ = place.whole("short", *SHORT)
    for limit in LIMITS:
        name = f"limit{limit}"
        ended = place.train(name, *SHORT, before=partial(limit_files, limit))
        assert_one_line(ended)
        assert not rests(place.folder / name)
        assert place.train(name, *SHORT).code == 0
        assert_same_runs(straight, only_run(place.folder / name))
    measured(f"{len(LIMITS)} sizes that files may have: all ended in one line and went on")


def limit_files(size):
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_full_disks(place, measured):
    """A file system of each size, mounted in a name space of its own."""
    if not can_mount():
        pytest.skip("no file system can be mounted here")
    call = [sys.executable, "-m", "faults.full_disks", str(place.folder), *map(str, PAGES)]
    done = subprocess.run(
        ["unshare", "-Urm", *call], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    sizes = json.loads(done.stdout)
    assert len(sizes) == len(PAGES)
    full = sum(code == 2 for code in sizes.values())
    assert full >= 15
    measured(
        f"disks of {len(sizes)} sizes from {PAGES[0] * 4} to {PAGES[-1] * 4} kB: {full} full, each "
        "in one line with a whole checkpoint left if there was one; all went on to equal records"
    )
