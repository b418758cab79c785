"""Processes killed at any moment: nothing is lost but what follows the last checkpoint."""

import random
import signal
import time

import pytest

from autoclip_sep.runs import checkpoint
from faults import forked
from faults.operations import kill, watch
from faults.trained import SHORT, assert_same_runs
from tests.golden.make import only_run

PARTS = 4  # of a test, side by side
KILLS = 200 // PARTS
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)


def read_all(folder):
    """How many checkpoints there are; each is whole."""
    found = sorted(folder.rglob("checkpoints/*.pt"))
    for path in found:
        checkpoint.load(path)
    return len(found)


@pytest.mark.parametrize("part", range(PARTS))
def test_sigkill_at_spread_times(place, measured, part):
    """A run is killed, goes on, is killed again, until it is done; then another begins."""
    longer = ("trainer.epochs=12",)
    straight, seconds = place.whole("long", *longer)
    kills = finished = read = 0
    code = -signal.SIGKILL
    while kills < KILLS or code:
        name = f"killed{finished}"
        process = forked.begin(place.folder, "train", *place.arguments(name, *longer))
        if kills < KILLS:
            time.sleep(seconds * ((kills + part / PARTS) * 0.618 % 1))
            process.send(signal.SIGKILL)
        code = process.wait().code
        assert code in (-signal.SIGKILL, 0)
        kills += code != 0
        read += read_all(place.folder / name)
        if code == 0:
            assert_same_runs(straight, only_run(place.folder / name))
            finished += 1
    measured(
        f"{kills} SIGKILLs at spread times of {finished} runs: all went on to equal records and "
        f"states; 0 of {read} checkpoints unreadable"
    )


@pytest.mark.parametrize("part", range(PARTS))
def test_sigkill_at_each_operation(place, measured, part):
    straight, _ = place.whole("short", *SHORT)
    kills = range(1 + part, 1 + place.operations("counted", *SHORT), PARTS)
    for at in kills:
        folder = place.folder / f"operation{at}"
        ended = place.train(folder.name, *SHORT, before=lambda f=folder, n=at: watch(f, kill(n)))
        assert ended.code == -signal.SIGKILL, (at, ended)
        read_all(folder)
        assert place.train(folder.name, *SHORT).code == 0, at
        assert_same_runs(straight, only_run(folder))
        place.remove(folder.name)
    measured(f"SIGKILL at {len(kills)} file operations of a run: all went on to equal records")


@pytest.mark.parametrize("part", range(PARTS))
def test_sigkill_at_each_operation_of_going_on(place, measured, part):
    """The second process is killed too, while it drops what follows the checkpoint, and later."""
    straight, _ = place.whole("short", *SHORT)
    first = place.folder / "half"
    place.remove(first.name)  # of another part
    place.train(first.name, *SHORT, before=lambda: watch(first, kill(110)))
    half = only_run(first)
    place.copy(half, "counted")
    kills = range(1 + part, 1 + place.operations("counted", *SHORT), PARTS)
    for at in kills:
        run = place.copy(half, f"again{at}")
        root = place.folder / f"again{at}"
        ended = place.train(root.name, *SHORT, before=lambda f=root, n=at: watch(f, kill(n)))
        assert ended.code == -signal.SIGKILL, (at, ended)
        assert place.train(root.name, *SHORT).code == 0, at
        assert_same_runs(straight, run)
        place.remove(root.name)
    measured(f"a second SIGKILL at {len(kills)} file operations of going on: the same")


@pytest.mark.parametrize("number", SIGNALS)
def test_a_signal_at_any_moment(place, measured, number):
    """From the start, and from the first checkpoint: before it the process may just end."""
    longer, moments = ("trainer.epochs=12",), 20
    straight, seconds = place.whole("long", *longer)
    times = random.Random(int(number))
    saved = early = late = 0
    for moment in range(moments):
        name = f"signal{moment}"
        process = forked.begin(place.folder, "train", *place.arguments(name, *longer))
        while moment % 2 and not list((place.folder / name).rglob("last-*.pt")):
            time.sleep(0.002)
        time.sleep(times.uniform(0, seconds / 2))
        process.send(number)
        ended = process.wait()
        assert "Traceback" not in ended.errors, ended
        if ended.code == 128 + number and "saved" in ended.errors:
            saved += 1
        elif ended.code == 0 or "finished" in ended.errors:
            late += 1
        else:
            assert ended.code in (-number, 128 + number, 130), ended
            assert "epoch   1" not in ended.out, ended
            early += 1
        assert place.train(name, *longer).code == 0
        assert_same_runs(straight, only_run(place.folder / name))
        place.remove(name)
    assert saved
    measured(
        f"{moments} {number.name} at random moments: {saved} saved in one line, {early} before "
        f"there was anything to save, {late} after the end; all went on to equal records"
    )
