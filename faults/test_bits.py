"""Single bits flipped in what a run left: refused and named, or of no consequence."""

import random

import pytest

from faults import forked
from faults.trained import assert_one_line, assert_same_runs
from tests.golden.make import SEPARATE

PARTS = 2
BITS = 50 // PARTS
LONGER = "trainer.epochs=5"
SIDECARS = (
    "config.yaml", "state.json", "provenance.json", "dynamics.csv", "spikes.csv", "history.csv",
    "timing.csv",
)  # fmt: skip


def flip(path, chance):
    """One bit of a file, anywhere."""
    content = bytearray(path.read_bytes())
    content[chance.randrange(len(content))] ^= 1 << chance.randrange(8)
    path.write_bytes(content)


def newest(run, kind):
    """The newest checkpoint of a kind, and the one before."""
    return sorted((run / "checkpoints").glob(f"{kind}-*.pt"))[-1:-3:-1]


@pytest.mark.parametrize("part", range(PARTS))
def test_bits_of_the_checkpoint_to_go_on_from(place, measured, part):
    straight, _ = place.whole("longer", LONGER)
    chance = random.Random(part)
    for _ in range(BITS):
        run = place.copy(place.straight, "flipped")
        last, before = newest(run, "last")
        flip(last, chance)
        ended = place.train("flipped", LONGER)
        assert ended.code == 0, ended
        assert f"{last.name} is damaged" in ended.out, ended
        assert f"resuming from step {int(before.stem.split('-')[1])} " in ended.out, ended
        assert_same_runs(straight, run)
    measured(
        f"{BITS} of {BITS} flipped bits of a checkpoint refused and named; all went on from the "
        "one before to equal records"
    )


def test_bits_of_the_checkpoint_to_use(place, measured):
    chance, number = random.Random(2), 20
    for n in range(number):
        run = place.copy(place.straight, "flipped")
        best, before = newest(run, "best")
        flip(best, chance)
        name, more = [("evaluate", []), ("separate", SEPARATE)][n % 2]
        ended = forked.run(place.folder, name, f"run={run}", *more)
        assert ended.code == 0, ended
        assert f"{best.name} is damaged" in ended.out, ended
        before.unlink()
        before.with_name(before.name + ".sha256").unlink()
        assert_one_line(forked.run(place.folder, name, f"run={run}", *more))
    measured(
        f"{number} of {number} flipped bits of the best checkpoint refused, the one before used"
    )


def test_bits_of_a_digest(place, measured):
    chance, number = random.Random(3), 20
    straight, _ = place.whole("longer", LONGER)
    passed = 0
    for _ in range(number):
        run = place.copy(place.straight, "flipped")
        last, _ = newest(run, "last")
        flip(last.with_name(last.name + ".sha256"), chance)  # the name in it isn't read
        ended = place.train("flipped", LONGER)
        assert ended.code == 0, ended
        passed += last.name not in ended.out
        assert_same_runs(straight, run)
    measured(f"{number} flipped bits of a .sha256: {number - passed} refused, the rest in its name")


@pytest.mark.parametrize("name", SIDECARS)
def test_bits_of_the_files_beside(place, measured, name):
    """They have no digest: what can be read is taken as it is, what can't is one line."""
    chance, number, refused = random.Random(name), 12, 0
    for n in range(number):
        run = place.copy(place.straight, "flipped")
        flip(run / name, chance)
        if n % 2:
            ended = place.train("flipped", LONGER)
        else:
            ended = forked.run(place.folder, "evaluate", f"run={run}")
        assert "Traceback" not in ended.errors, ended
        if ended.code:
            assert_one_line(ended)
            refused += 1
    measured(
        f"{number} flipped bits of {name}: {refused} in one line, the rest without a traceback"
    )
