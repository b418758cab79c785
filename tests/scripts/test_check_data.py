"""The check of a corpus as a user types it."""

import os
import shutil
from functools import partial
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from autoclip_sep import parallel
from autoclip_sep.audio import soundfiles
from autoclip_sep.cli import compose
from autoclip_sep.runs import run_directory
from tests.commands import command

SCRIPT = "scripts/check_data.py"
MIXTURES = {"tr": 14, "cv": 2, "tt": 2}


@pytest.fixture
def check(monkeypatch, here):
    """Run the command in a folder, with one process at work."""
    monkeypatch.setattr(parallel, "cores", lambda: 1)

    def run(place, *arguments, code=0):
        done = here(place, "check-data", *arguments, check=code)
        return SimpleNamespace(out=done.stdout, err=done.stderr)

    return run


def test_it_runs_by_itself(good):
    done = command(good, SCRIPT, "data=tree", "data.root=a, b=${c}")
    assert done.stdout.endswith("nothing wrong found\n")


def write_mixture(root, split, n, sounds, rate=8000):
    for kind, sound in (*sounds.items(), ("mix", sum(sounds.values()))):
        soundfiles.write(root / f"{split}/{kind}/{split}{n}.wav", sound.astype(np.int16), rate)


def sounds(seed=0):
    one, two = np.random.default_rng(seed).integers(-9000, 9000, (2, 12000)).astype(np.int32)
    return {"s1": one, "s2": two}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """18 mixtures like WSJ0-2mix's, in a folder whose name has to be taken as text."""
    folder = tmp_path_factory.mktemp("place")
    for number, (split, mixtures) in enumerate(MIXTURES.items()):
        for n in range(mixtures):
            write_mixture(folder / "a, b=${c}", split, n, sounds(100 * number + n))
    return folder


@pytest.fixture
def place(good, tmp_path):
    """A copy of the good corpus to spoil."""
    shutil.copytree(good / "a, b=${c}", tmp_path / "tree")
    return tmp_path


TREE = ["data=tree", "data.root=tree"]


def test_a_good_corpus_says_what_was_looked_for_found_and_expected(check, good):
    given = ["data=tree", "data.root=a, b=${c}", "data.corpus.expected={train: 14, test: 2}"]
    said = check(good, *given).out.splitlines()
    assert said[0] == "data=tree  data.root=a, b=${c}"
    assert said[1] == (
        "looked for  {split}/mix/{item}.wav, {split}/s1/{item}.wav, {split}/s2/{item}.wav where"
        " split is tr, cv, tt"
    )
    assert said[2].startswith(
        "found       14 / 2 / 2 mixtures (train / valid / test) of 2 sources, 8,000 Hz, mono,"
        " decoded in store/tree-"
    )
    assert said[3] == "expected    14 / any number / 2"
    assert said[5].split()[:3] == ["mixtures", "hours", "shortest"]
    assert [line.split()[:2] for line in said[6:9]] == [["train", "14"], ["valid", "2"],
                                                       ["test", "2"]]  # fmt: skip
    assert said[10:] == ["nothing wrong found"]


def test_what_is_wrong_is_listed_by_file_and_the_exit_code_tells(check, place):
    silent = {"s1": 0 * sounds()["s1"], "s2": sounds(1)["s2"]}
    for n in range(12):
        write_mixture(place / "tree", "tr", n, {**silent, "s2": sounds(n)["s2"]})
    loud = sounds(50)
    loud["s1"][20:30] = 32767
    loud["s2"][20:30] = 0
    write_mixture(place / "tree", "cv", 1, loud)
    shared = soundfiles.read(place / "tree/tr/s2/tr3.wav", dtype=np.int16)[0][0].astype(np.int32)
    write_mixture(place / "tree", "tt", 0, {"s1": shared, "s2": sounds(51)["s2"]})
    said = check(place, *TREE, code=1).out.split("\n\n")[2].splitlines()
    assert said[:2] == [
        "1 source shared by train and test:", "  tree/tt/s1/tt0.wav = tree/tr/s2/tr3.wav",
    ]  # fmt: skip
    assert said[2] == "12 silent sources:"
    assert said[3] == "  tree/tr/s1/tr0.wav: nothing but zeros"
    assert said[13] == "  and 2 more"
    assert said[14:] == [
        "1 clipped source, which need not be a fault:",
        "  tree/cv/s1/cv1.wav: 10 samples at full scale",
        "1 clipped mixture, which need not be a fault:",
        "  tree/cv/mix/cv1.wav: 10 samples at full scale",
    ]
    everything = check(place, *TREE, "all=true", code=1).out
    assert "tree/tr/s1/tr9.wav: nothing but zeros" in everything
    assert "more" not in everything.split("12 silent sources")[1].split("clipped")[0]


def test_faults_that_need_not_be_any_are_no_failure(check, place):
    write_mixture(place / "tree", "tr", 0, {k: v + 2000 for k, v in sounds().items()})
    said = check(place, *TREE, "data.corpus.expected.train=15").out
    assert "2 sources with a DC offset, which need not be a fault:" in said
    assert "train: 14 mixtures, 15 expected" in said


def half(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def change(path, rate=8000, step=1):
    soundfiles.write(path, soundfiles.read(path)[0][:, ::step], rate)


def pipe(path):
    path.unlink()
    os.mkfifo(path)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (half, "truncated, its header promises 12022 bytes more than it has"),
        (partial(change, rate=16000), "16000 Hz, the corpus has 8000 Hz"),
        (partial(change, step=2), "s2/tr5.wav 6000 x 1"),
        (partial(change, step=-1), "not the sum of "),
        (pipe, "not a plain file (a pipe, socket or device)"),
        (Path.unlink, "1 of 14 files tr/mix/{item}.wav have no counterpart tr/s2/{item}.wav"),
    ],
)
def test_what_cant_be_used_is_one_line_with_the_file(check, place, spoil, message):
    """All that a file can be instead of sound: tests/audio/test_soundfiles.py."""
    spoil(place / "tree/tr/s2/tr5.wav")
    done = check(place, *TREE, code=2)
    *told, said = done.err.splitlines()
    assert all(line.startswith("data: store/") for line in told)
    assert said.startswith("check_data: ")
    assert message in said
    assert "tr5" in said
    assert not list(place.glob("store/*/"))


def test_all_that_cant_be_used_is_in_a_file(check, place):
    for n in range(2, 9):
        half(place / f"tree/tr/s1/tr{n}.wav")
    said = check(place, *TREE, code=2).err
    assert "check_data: 7 of 18 mixtures can't be used: tree/tr/s1/tr2.wav: truncated" in said
    (report,) = (place / "store").glob("*.txt")
    assert said.strip().endswith(f"all 7 in store/{report.name}")
    assert [line.partition(":")[0] for line in report.read_text().splitlines()] == [
        f"tree/tr/s1/tr{n}.wav" for n in range(2, 9)
    ]


def test_the_corpus_of_a_run_may_have_moved(check, place):
    config = compose.plain(compose.compose("train", TREE))
    (place / "run").mkdir()
    run_directory.write_config(place / "run", config)
    said = check(place, "run=run").out
    (place / "tree").rename(place / "a, moved")
    check(place, "run=run", code=2)
    moved = check(place, "run=run", "data.root=a, moved", "data.store=other").out
    assert moved.splitlines()[4:] == said.splitlines()[4:]
    assert moved.splitlines()[0] == "data=tree  data.root=a, moved"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data=tree"], "data=tree needs data.root=FOLDER with {split}/mix/{item}.wav"),
        (["data=tree", "data.root=no"], "found: no such folder"),
        (["data=tree", "data.rot=a"], "did you mean data.root?"),
        (["data=tre"], "did you mean tree?"),
        (["tree"], "'tree' is no setting: write key=value"),
        (["--every"], "unknown flag --every: there are --help and --config-dir=FOLDER"),
        (["--all"], "unknown flag --all (did you mean all=true?)"),
        (["data=tree", "all=yes"], "all=yes: must be one of true, false"),
        (["run=no/where"], "no/where is not a run directory"),
        (["run=a", "data=tree"], "data: check_data has no such setting; there are run, data.root"),
        (["run=a", "data.rot=b"], "did you mean data.root?"),
        (["run=a", "data.root=b"], "a is not a run directory"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(check, tmp_path, arguments, message):
    done = check(tmp_path, *arguments, code=2)
    assert message in done.err
    assert len(done.err.splitlines()) == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("full", "message"),
    [
        ("root", ".wav: the disk is full (No space left on device); make room and give the same"
         " command again"),
        ("store", "samples.bin: no room for 8772384 bytes (No space left on device); make room, or"
         " choose another folder with data.store=..."),
    ],
)  # fmt: skip
def test_a_full_disk_says_where_and_what_to_do(tmp_path, small_disk, full, message):
    """Of music that is composed: while it is written, or when its store is made."""
    small, mounted = small_disk
    tracks = [f"data.corpus.{split}=1" for split in ("train", "valid", "test")]
    done = command(
        tmp_path, SCRIPT, "data=musdb_demo", *tracks, "data.corpus.seconds=2",
        f"data.{full}={small}", before=mounted, check=2, timeout=120,
    )  # fmt: skip
    *told, said = done.stderr.splitlines()
    assert all(line.startswith("data: ") for line in told)
    assert said.startswith(f"check_data: {small}/")
    assert said.endswith(message)


def test_a_store_that_is_a_file_is_one_line(tmp_path, check):
    (tmp_path / "file").touch()
    said = check(tmp_path, "data=musdb_demo", "data.root=file/corpora", code=2).err
    assert said == (
        "check_data: file: a file in the place of a folder (Not a directory); choose another"
        " folder\n"
    )
