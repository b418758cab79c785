"""What a job does with its corpus before it begins: one line, or a refusal."""

import os
import shutil
import subprocess
import sys

import numpy as np
import pytest

from autoclip_sep import parallel
from autoclip_sep.audio import soundfiles
from autoclip_sep.building import config_files
from autoclip_sep.cli import compose, corpus
from autoclip_sep.cli.commands import evaluate, train
from autoclip_sep.cli.plan import plan
from autoclip_sep.data.checks import statistics
from autoclip_sep.errors import InputError
from autoclip_sep.runs import records
from tests.commands import ENVIRONMENT, ROOT
from tests.conftest import can_mount

TINY = [
    "model.hidden=4", "model.layers=1", "trainer.epochs=1", "trainer.batch_size=2",
    "trainer.segment=2048", "trainer.progress=false",
]  # fmt: skip
DATA = ["data=wsj0_2mix", "data.root=tree"]
OTHER_CORPUS = "the corpus is not the one that .* began with"
CORPORA = sorted(path.stem for path in (config_files.CONFIGS / "data").glob("*.yaml"))


def config(*arguments):
    return compose.plain(compose.compose("train", arguments))


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "cores", lambda: 1)
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def tree(tmp_path):
    """A small tree like WSJ0-2mix; gives the sounds by (split, number, kind)."""
    rng = np.random.default_rng(0)
    sounds = {}
    for split, number in (("tr", 4), ("cv", 2), ("tt", 2)):
        for n in range(number):
            one, two = rng.integers(-9000, 9000, (2, 2500)).astype(np.int16)
            for kind, sound in (("s1", one), ("s2", two), ("mix", one + two)):
                sounds[split, n, kind] = sound
                write(split, n, kind, sound)
    return sounds


def write(split, n, kind, sound):
    soundfiles.write(f"tree/{split}/{kind}/{split}{n}.wav", sound, 8000)


def leak(tree):
    """A test mixture of a training sound with another partner."""
    one = tree["tr", 1, "s2"]
    write("tt", 0, "s1", one)
    write("tt", 0, "mix", one + tree["tt", 0, "s2"])


@pytest.mark.parametrize("name", CORPORA)
def test_every_corpus_says_what_it_looks_for_and_how_much_it_expects(name):
    found = corpus.corpus_of(config(f"data={name}"))
    assert len(found.layout()) > 10
    assert "\n" not in found.layout()
    assert set(found.expected) <= {"train", "valid", "test"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data.sources=3", "data.corpus.count=2"], "data.sources=3: .* has 2"),
        (["data.sources=1", "data.corpus.count=2"], "data.sources=1: .* has 2"),
        (["data.channels=2", "data.corpus.channels=1"], "data.channels=2: .* has 1"),
        (["data.sample_rate=16000", "data.corpus.sample_rate=8000"], "data.sample_rate=1.* has 8"),
    ],
)
def test_what_a_corpus_is_not_told_must_be_true_of_it(tree, arguments, message):
    with pytest.raises(InputError, match=message):
        train.train([*DATA, *TINY, *arguments])
    with pytest.raises(InputError, match=message):
        corpus.prepare(config(*DATA, *arguments))


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["data=wsj0_2mix"], [20000, 5000, 3000]),
        (["data=wsj0_3mix"], [20000, 5000, 3000]),
        (["data=wham"], [20000, 5000, 3000]),
        (["data=libri2mix"], [13900, 3000, 3000]),
        (["data=libri2mix", "data.corpus.splits.train=train-360"], [50800, 3000, 3000]),
        (["data=libri2mix", "data.sources=3"], [9300, 3000, 3000]),
        (["data=libri2mix", "data.corpus.splits.train=mine"], [None, 3000, 3000]),
        (["data=musdb18"], [86, 14, 50]),
        (["data=demo", "data.corpus.train=7"], [7, 200, 200]),
        (["data=tree"], [None, None, None]),
        (["data=tree", "data.corpus.expected.valid=9"], [None, 9, None]),
    ],
)
def test_published_numbers_are_known(arguments, expected):
    found = corpus.corpus_of(config(*arguments)).expected
    assert [found[split] for split in ("train", "valid", "test")] == expected


@pytest.mark.parametrize("wrong", ["train=-1", "train=many", "train=true", "train=1.5"])
def test_an_expectation_that_is_no_number_is_refused(wrong):
    with pytest.raises(InputError, match=r"data\.corpus\.expected="):
        corpus.corpus_of(config("data=tree", f"data.corpus.expected.{wrong}"))


def test_an_expectation_makes_no_other_store_and_no_other_run(tree):
    other = [*DATA, "data.corpus.expected.train=4"]
    assert corpus.prepare(config(*DATA)).folder == corpus.prepare(config(*other)).folder
    assert plan(DATA).directory == plan(other).directory


def test_a_job_begins_with_a_line_about_its_corpus(tree, capsys):
    train.train([*DATA, *TINY])
    said = capsys.readouterr().out.splitlines()
    assert said[0] == (
        "data: 4 / 2 / 2 mixtures, 8,000 Hz, mono, 0.3-0.3 s; 3 splits with more or fewer mixtures"
        " than expected: python scripts/check_data.py data=wsj0_2mix data.root=tree"
    )
    run = str(plan([*DATA, *TINY]).directory)
    evaluate.evaluate([f"run={run}", "progress=false"])
    said = capsys.readouterr().out.splitlines()
    assert said[0].startswith("data: 4 / 2 / 2 mixtures")
    assert said[0].endswith(f"check_data.py run={run}")


def test_a_job_after_the_first_reads_no_samples_for_it(tree, monkeypatch):
    corpus.ready(config(*DATA), DATA, force=False)
    monkeypatch.setattr(statistics, "describe", None)
    corpus.ready(config(*DATA), DATA, force=False)


def test_a_store_from_before_the_check_is_looked_at_as_it_is(tree, capsys):
    store = corpus.ready(config(*DATA), DATA, force=False)
    made = (store.folder / "samples.bin").stat().st_mtime_ns
    (store.folder / "check.npy").unlink()
    first = capsys.readouterr().out
    corpus.ready(config(*DATA), DATA, force=False)
    assert capsys.readouterr().out == first
    assert (store.folder / "samples.bin").stat().st_mtime_ns == made


def test_training_doesnt_begin_where_the_test_was_heard_in_it(tree, tmp_path):
    leak(tree)
    with pytest.raises(InputError) as caught:
        train.train([*DATA, *TINY])
    assert str(caught.value) == (
        "1 source shared by train and test, such as tree/tt/s1/tt0.wav = tree/tr/s2/tr1.wav: leave"
        " them in one of the two, or add force=true"
    )
    assert not (tmp_path / "runs").exists()


def test_forced_it_trains_and_scores_all_the_same(tree, tmp_path):
    leak(tree)
    train.train([*DATA, *TINY, "force=true"])
    run = plan([*DATA, *TINY]).directory
    with pytest.raises(InputError, match="1 source shared by train and test"):
        evaluate.evaluate([f"run={run}", "progress=false"])
    assert not (run / "evaluation").exists()
    evaluate.evaluate([f"run={run}", "progress=false", "force=true"])
    assert len(records.read(run / "evaluation/test.csv")) == 4


@pytest.mark.parametrize("permute", [True, False])
def test_only_named_sources_may_be_silent(tree, permute):
    write("tr", 2, "s1", 0 * tree["tr", 2, "s1"])
    write("tr", 2, "mix", tree["tr", 2, "s2"])
    settings = config(*DATA, f"data.permute={permute}")
    report = corpus.look_at(settings, corpus.corpus_of(settings), corpus.prepare(settings))
    assert "1 silent source" in report.line()
    assert report.serious == permute


def test_what_changed_is_looked_at_anew(tree, tmp_path):
    corpus.ready(config(*DATA), DATA, force=False)
    leak(tree)
    with pytest.raises(InputError, match="shared by train and test"):
        corpus.ready(config(*DATA), DATA, force=False)
    shutil.rmtree(tmp_path / "tree/tt")
    for (split, n, kind), sound in tree.items():
        write(split, n, kind, sound)
    corpus.ready(config(*DATA), DATA, force=False)


@pytest.fixture
def trained(tree, tmp_path):
    """A finished run; gives its directory, and a function that says what is in its files."""
    train.train([*DATA, *TINY])
    run = plan([*DATA, *TINY]).directory

    def contents(*without):
        files = (path for path in run.rglob("*") if path.is_file() and path.name not in without)
        return {str(path): path.read_bytes() for path in files}

    return run, contents


def test_a_corpus_that_changed_is_not_gone_on_with_unless_forced(trained, tree):
    write("cv", 0, "s1", 0 * tree["cv", 0, "s1"])
    write("cv", 0, "mix", tree["cv", 0, "s2"])
    more = [*DATA, *TINY, "trainer.epochs=2"]
    with pytest.raises(InputError, match=OTHER_CORPUS):
        train.train(more)
    train.train([*more, "force=true"])
    assert len(records.read(plan(more).directory / "history.csv")) == 2


def move(tmp_path):
    shutil.move(tmp_path / "tree", tmp_path / "moved")
    return ["data=wsj0_2mix", "data.root=moved", *TINY]


def other_corpus(tree, tmp_path):
    """The same names and lengths at another place, and another sound."""
    move(tmp_path)
    write("cv", 0, "s1", 0 * tree["cv", 0, "s1"])
    for (split, n, kind), sound in tree.items():
        silent = (split, n, kind) == ("cv", 0, "s1")
        alone = (split, n, kind) == ("cv", 0, "mix")
        write(split, n, kind, tree["cv", 0, "s2"] if alone else sound * (not silent))
    shutil.move(tmp_path / "tree", tmp_path / "another")
    return ["data=wsj0_2mix", "data.root=another", *TINY]


def test_a_finished_run_is_found_where_its_corpus_moved(trained, tmp_path, capsys):
    run, contents = trained
    before = contents("config.yaml", "state.json")
    command = move(tmp_path)
    assert plan(command).directory == run
    train.train(command)
    assert contents("config.yaml", "state.json") == before
    capsys.readouterr()
    train.train(command)  # it knows the place now, and doesn't look again
    assert "is finished: nothing to do" in capsys.readouterr().out


def test_a_finished_run_is_not_passed_off_as_one_of_another_corpus(trained, tree, tmp_path):
    _, contents = trained
    before = contents()
    for command in (other_corpus(tree, tmp_path), ["data=wsj0_2mix", "data.root=no/where", *TINY]):
        assert not plan(command).finished()
        with pytest.raises(InputError, match=rf"{OTHER_CORPUS}|no such folder"):
            train.train(command)
        assert plan([*command, "force=true"]).finished()
        train.train([*command, "force=true"])
        assert contents() == before


def test_a_run_whose_corpus_moved_is_scored(trained, tree, tmp_path):
    """As is a run that moved itself."""
    run, _ = trained
    evaluate.evaluate([f"run={run}", "progress=false"])
    before = records.read(run / "evaluation/test.csv")
    shutil.rmtree(run / "evaluation")
    move(tmp_path)
    shutil.move(run, tmp_path / "mine")
    given = ["run=mine", "progress=false"]
    with pytest.raises(InputError, match="no such folder"):
        evaluate.evaluate(given)
    evaluate.evaluate([*given, "data.root=moved", "data.store=elsewhere"])
    assert records.read(tmp_path / "mine/evaluation/test.csv") == before


def test_a_run_isnt_scored_on_another_corpus_unless_forced(trained, tree, tmp_path):
    run, _ = trained
    other_corpus(tree, tmp_path)
    given = [f"run={run}", "progress=false", "data.root=another"]
    with pytest.raises(InputError, match=OTHER_CORPUS):
        evaluate.evaluate(given)
    assert not (run / "evaluation/test.csv").exists()
    evaluate.evaluate([*given, "force=true"])
    assert len(records.read(run / "evaluation/test.csv")) == 4


def test_a_corpus_that_changed_under_a_run_isnt_what_it_is_scored_on(trained, tree):
    run, _ = trained
    write("tt", 0, "s1", 0 * tree["tt", 0, "s1"])
    write("tt", 0, "mix", tree["tt", 0, "s2"])
    with pytest.raises(InputError, match=OTHER_CORPUS):
        evaluate.evaluate([f"run={run}", "progress=false"])


def test_what_a_killed_scoring_left_is_swept(trained, tmp_path):
    run, _ = trained
    (run / "evaluation").mkdir(exist_ok=True)
    rest = run / "evaluation" / ".test.json.1234.tmp"
    rest.touch()
    evaluate.evaluate([f"run={run}", "progress=false"])
    assert not rest.exists()


def test_a_run_that_lost_its_note_of_the_corpus_says_so(trained, tmp_path, capsys):
    note = next(tmp_path.glob("runs/*/*/*/*/seed0*/provenance.json"))
    note.write_text("{")
    evaluate.evaluate([f"run={note.parent}", "progress=false"])
    assert f"{note.relative_to(tmp_path)} names no corpus" in capsys.readouterr().out.replace(
        f"{tmp_path}/", ""
    )


def test_a_folder_that_a_corpus_hasnt_cant_have_moved(trained):
    with pytest.raises(InputError, match=r"data\.corpora=x: data=wsj0_2mix has no such folder"):
        evaluate.evaluate([f"run={trained[0]}", "data.corpora=x"])


def test_the_same_root_by_another_path_is_the_same_and_is_not_read(trained, tmp_path, capsys):
    (tmp_path / "link").symlink_to("tree")
    shutil.move(tmp_path / "store", tmp_path / "gone")
    for same in ("tree", "./tree/", tmp_path / "tree", "link"):
        capsys.readouterr()
        train.train(["data=wsj0_2mix", f"data.root={same}", *TINY])
        assert "is finished: nothing to do" in capsys.readouterr().out
    assert not (tmp_path / "store").exists()


def test_a_run_that_is_to_grow_may_find_its_corpus_elsewhere(trained, tmp_path):
    more = [*move(tmp_path), "trainer.epochs=2"]
    train.train(more)
    assert len(records.read(plan(more).directory / "history.csv")) == 2


@pytest.fixture
def on_read_only(tmp_path):
    """Look at the corpus with a copy of the store on a read-only disk; gives exit code and text.

    The disk is a real one, for that command alone: mode bits don't stop the super-user.
    """
    if not can_mount():
        pytest.skip("no file system can be mounted here")
    mount = "mount -t tmpfs tmpfs disk && cp -a store disk && mount -o remount,ro disk && exec $@"
    (tmp_path / "disk").mkdir()

    def look():
        done = subprocess.run(
            ["unshare", "-Urm", "sh", "-c", mount, "sh", sys.executable,
             str(ROOT / "scripts" / "check_data.py"), "data=tree", "data.root=tree",
             "data.store=disk/store"],
            capture_output=True, text=True, check=False, timeout=120, env=ENVIRONMENT,
        )  # fmt: skip
        return done.returncode, done.stdout, done.stderr

    return look


def test_a_store_on_a_read_only_disk_is_used(tree, tmp_path, on_read_only):
    """As it is, without what the check kept, and with files that were touched or copied."""
    store = corpus.ready(config("data=tree", "data.root=tree"), [], force=False)
    (tmp_path / "store" / f"{store.folder.name}.lock").unlink()
    said = on_read_only()
    assert (said[0], said[2]) == (0, "")
    (store.folder / "check.npy").unlink()
    os.utime("tree/tr/s1/tr0.wav", (1, 1))
    assert on_read_only() == said


def test_a_store_on_a_read_only_disk_cant_be_made_anew(tree, on_read_only):
    folder = corpus.prepare(config("data=tree", "data.root=tree")).folder.name
    write("tr", 0, "s1", 0 * tree["tr", 0, "s1"])
    write("tr", 0, "mix", tree["tr", 0, "s2"])
    assert on_read_only() == (
        2, "",
        f"check_data: disk/store/{folder}: not made of the files as they are now, and nothing can"
        " be written there (Read-only file system): choose another folder with data.store=...\n",
    )  # fmt: skip


def test_the_arguments_that_say_which_corpus_it_is():
    given = ["loss=snr", "data=demo", "data.corpus.train=5", "experiment=smoke", "dataset=x"]
    assert corpus.of_data(given) == ["data=demo", "data.corpus.train=5", "experiment=smoke"]
