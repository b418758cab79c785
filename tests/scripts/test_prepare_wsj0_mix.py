"""The command from the LDC's discs to WSJ0-mix: typed, killed, and typed again."""

import os
import resource
import signal
import time
from pathlib import Path

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.creation.mixing_lists import Recipe, write_list
from tests import commands
from tests.shorten import write_sphere

SCRIPT = str(commands.ROOT / "scripts" / "prepare_wsj0_mix.py")
GIVEN = ["wsj0=csr_1", "lists=lists", "partial=true"]
SPLITS = {"tr": 150, "cv": 20, "tt": 10}
TREE = "2speakers/wav8k/min"


def start(place, *arguments):
    return commands.start(place, SCRIPT, *arguments, start_new_session=True)


def prepare(place, *arguments):
    done = commands.command(place, SCRIPT, *arguments)
    return done.stdout, done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Discs with 16 utterances of a second, and lists of 180 mixtures of them."""
    folder = tmp_path_factory.mktemp("ä [b], c=${x}")
    rng = np.random.default_rng(0)
    names = []
    for number in range(16):
        speaker, disc = f"0{number // 4}t", f"11-{number % 3 + 1}.1"
        name = f"wsj0/si_tr_s/{speaker}/{speaker}o03{number:02d}"
        samples = 900 * np.convolve(rng.standard_normal(14000 + 300 * number), np.hanning(9))
        write_sphere(folder / "csr_1" / disc / f"{name}.wv1", samples.clip(-9999, 9999))
        names.append(f"{name}.wav")
    (folder / "lists").mkdir()
    for split, count in SPLITS.items():
        recipes = []
        while len(recipes) < count:
            pair = tuple(names[n] for n in rng.choice(16, 2, replace=False))
            gain = f"{rng.uniform(0, 2.5):.5g}"
            recipes.append(Recipe(pair, (gain, f"-{gain}")))
        write_list(folder / f"lists/mix_2_spk_{split}.txt", recipes)
    return folder


@pytest.fixture(scope="module")
def made(place):
    """The tree, made without a break."""
    said, errors = prepare(place, *GIVEN, "out=out", "jobs=1")
    assert said.splitlines() == [f"out/{TREE}/{s}: {n} mixtures" for s, n in SPLITS.items()]
    assert errors == ""
    return place / "out"


def contents(folder):
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_nothing_is_left_beside_the_corpus(made):
    names = {path for path in contents(made) if not path.endswith(".wav")}
    assert names == {".making.lock", f"{TREE}/manifest.json"}
    assert len(contents(made)) == 2 + 3 * 180


def test_a_reader_finds_its_way(made):
    samples, rate = soundfiles.read(next((made / TREE / "tt/mix").iterdir()))
    assert rate == 8000
    assert 0.1 < np.abs(samples).max() <= 0.9001


def count(folder, kind):
    """Files of a kind so far; unlike glob, walk doesn't mind folders that vanish under it."""
    paths = (Path(base, name) for base, _, names in os.walk(folder) for name in names)
    return sum(path.match(kind) for path in paths)


# When to kill: so many files of a kind are there.
KILLS = [(".begun.json", 1), ("*.f64", 8), ("s1/*.wav", 1), ("mix/*.wav", 110), ("cv/mix/*.wav", 5)]


def test_kills_make_no_difference(place, made):
    """Killed with all its processes at spread moments, the command ends up with the same bytes."""
    out, killed = place / "killed", 0
    for kind, number in KILLS:
        process = start(place, *GIVEN, "out=killed", "jobs=2")
        while process.poll() is None and count(out, kind) < number:
            time.sleep(0.002)
        killed += process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
        process.communicate()
        assert not (out / TREE / "manifest.json").exists() or process.returncode == 0
    assert killed >= 3
    prepare(place, *GIVEN, "out=killed", "jobs=2")
    assert contents(out) == contents(made)
    assert not list(out.glob(".levelled-*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_call_says_how_to_go_on(place, made, number):
    out = place / f"stopped{number}"
    process = start(place, *GIVEN, f"out={out.name}", "jobs=2")
    while process.poll() is None and count(out, "s1/*.wav") < 5:
        time.sleep(0.002)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "prepare_wsj0_mix: stopped; the same command resumes\n"
    assert not list(out.glob(".levelled-*"))
    prepare(place, *GIVEN, f"out={out.name}", "jobs=1")
    assert contents(out) == contents(made)


def test_a_second_call_says_that_all_is_there(place, made):
    before = contents(made)
    said, _ = prepare(place, *GIVEN, "out=out", "verify=true")
    assert said.count("mixtures, already there\n") == 3
    assert said.endswith("540 files are what the manifests say\n")
    assert contents(made) == before


def test_two_at_a_time_are_one_after_the_other(place, made):
    both = [start(place, *GIVEN, "out=both", "jobs=1") for _ in range(2)]
    said = [process.communicate(timeout=120) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert contents(place / "both") == contents(made)


def test_shards_beside_each_other_make_the_same(place, made):
    """One of them is killed, and comes again when the others have ended."""
    given = [*GIVEN, "out=shards", "jobs=1"]
    shards = [start(place, *given, f"shard={number}/3") for number in (1, 2, 3)]
    while shards[1].poll() is None and count(place / "shards", "s1/*.wav") < 10:
        time.sleep(0.002)
    os.killpg(shards[1].pid, signal.SIGKILL)
    said = [shard.communicate(timeout=120)[0] for shard in shards]
    assert said[0] == (
        "shard 1of3 is done; others have still to make theirs, and the last one finishes the corpus"
        "\n"
    )
    assert not list((place / "shards").rglob("manifest.json"))
    prepare(place, *given, "shard=2/3")
    assert contents(place / "shards") == contents(made)


def test_a_full_disk_is_one_line(place, small_disk):
    folder, mounted = small_disk
    done = commands.command(
        place, SCRIPT, *GIVEN, f"out={folder / 'out'}", "jobs=1",
        before=mounted, check=2, timeout=60,
    )  # fmt: skip
    assert len(done.stderr.splitlines()) == 1
    assert done.stderr.endswith("the disk is full; make room, and the same command resumes\n")


def test_files_that_cant_be_written_are_one_line(place, tmp_path, here):
    """A limit on the size of files stands in for whatever the file system refuses."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20000, before[1]))
    try:
        done = here(
            place, "prepare-wsj0-mix", *GIVEN, f"out={tmp_path / 'full'}", "jobs=1", check=2
        )
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(done.stderr.splitlines()) == 1
    assert "File too large" in done.stderr
    assert not list((tmp_path / "full").glob(".levelled-*"))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "missing: wsj0=... lists=... out=..."),
        ([*GIVEN, "out=new", "speaker=2"], "did you mean speakers=...?"),
        ([*GIVEN, "out=new", "speakers=4"], "speakers=4: must be one of 2, 3"),
        ([*GIVEN, "out=new", "sample_rate=8000,44100"], "sample_rate=44100: must be one of"),
        ([*GIVEN, "out=new", "mode=mid"], "mode=mid: must be one of min, max"),
        ([*GIVEN, "out=new", "splits=tr,dev"], "splits=dev: must be one of tr, cv, tt"),
        ([*GIVEN, "out=new", "shard=4/3"], "shard=4/3: must be N/M, such as 3/16"),
        ([*GIVEN, "out=new", "shard=slurm"], "shard=slurm: only in a job array"),
        ([*GIVEN, "out=new", "jobs=0"], "jobs=0: must be an integer"),
        ([*GIVEN[:2], "out=new", "partial=yes"], "partial=yes: must be one of true, false"),
        ([*GIVEN[:2], "out=new"], "150 mixtures, the published list has 20000"),
        ([*GIVEN, "out=new", "speakers=2,3"], "mix_3_spk_tr.txt: not there"),
        (["wsj0=csr_2", *GIVEN[1:], "out=new"], "wsj0=csr_2: no such folder"),
        (["wsj0=lists", *GIVEN[1:], "out=new"], "16 of 16 utterances of the lists"),
    ],
)
def test_mistakes_are_one_line(place, here, arguments, message):
    done = here(place, "prepare-wsj0-mix", *arguments, check=2)
    assert message in done.stderr
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert not list((place / "new").rglob("*.wav"))
