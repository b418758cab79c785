import errno
import os
import pickle
import shutil
import subprocess
import sys
import time
from dataclasses import replace
from signal import SIGKILL

import numpy as np
import pytest

from autoclip_sep import parallel
from autoclip_sep.audio import soundfiles
from autoclip_sep.data.store import conversion, fingerprints
from autoclip_sep.data.store.reading import Item, Signal
from autoclip_sep.errors import InputError
from tests.commands import ENVIRONMENT
from tests.data.conftest import LENGTHS, contents


def test_processes_make_no_difference(make_items, convert, tmp_path):
    items = make_items()
    for jobs in (1, 2):
        convert(items, name=f"store{jobs}", jobs=jobs)
    assert contents(tmp_path / "store1") == contents(tmp_path / "store2")


CONVERT = """
import pickle, sys
from autoclip_sep.data.store.conversion import prepare
with open(sys.argv[2], "rb") as file:
    items = pickle.load(file)
prepare(sys.argv[1], 8000, items, progress=False, jobs=1)
"""


def test_kills_make_no_difference(make_items, convert, tmp_path):
    """SIGKILL at five moments of the writing, each time the next process begins where that left."""
    few = make_items()
    items = [replace(item, name=f"{item.name}-{n}") for n in range(40) for item in few]
    convert(items, name="undisturbed")
    (tmp_path / "items").write_bytes(pickle.dumps(items))
    command = [sys.executable, "-c", CONVERT, str(tmp_path / "store"), str(tmp_path / "items")]
    partial = tmp_path / ".store.partial"
    killed = 0
    for moment in (0.0, 0.05, 0.1, 0.2, 0.3):
        shutil.rmtree(partial, ignore_errors=True)  # only to see when the next one begins
        process = subprocess.Popen(command, env=ENVIRONMENT)
        while not partial.exists() and process.poll() is None:
            time.sleep(0.001)
        time.sleep(moment)
        process.kill()
        process.wait()
        killed += process.returncode == -SIGKILL
        if (tmp_path / "store").exists():  # a fast machine
            break
        assert partial.exists()
    assert killed >= 2
    convert(items)
    assert contents(tmp_path / "store") == contents(tmp_path / "undisturbed")
    assert not partial.exists()


def test_an_unchanged_corpus_is_not_read_again(make_items, convert, monkeypatch):
    items = make_items()
    first = convert(items)
    monkeypatch.setattr(soundfiles, "blocks", None)
    monkeypatch.setattr(fingerprints, "digest", None)
    again = convert(items)
    assert again.fingerprint == first.fingerprint


def test_touched_files_are_compared_by_content(make_items, convert, tmp_path):
    items = make_items()
    convert(items)
    made = (tmp_path / "store/samples.bin").stat().st_mtime_ns
    os.utime(items[0].signals[0].path, ns=(1, 1))
    for _ in range(2):
        convert(items)
        assert (tmp_path / "store/samples.bin").stat().st_mtime_ns == made


@pytest.mark.parametrize("keep_time", [False, True])
def test_a_changed_file_makes_a_new_store(make_items, convert, keep_time):
    items = make_items(mixtures=False)
    first = convert(items)
    path = items[0].signals[0].path
    state = path.stat()
    length = soundfiles.info(path).frames
    soundfiles.write(path, np.full(length if not keep_time else length + 1, 0.25), 8000)
    soundfiles.write(items[0].signals[1].path, np.zeros(length + keep_time), 8000)
    if keep_time:  # the time alone doesn't tell, the size does
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    second = convert(items)
    assert second.fingerprint != first.fingerprint
    assert np.all(second.split("train").load(0)[1][0] == 0.25)


def test_a_store_that_is_there_is_used_without_a_lock(make_items, convert, tmp_path):
    items = make_items()
    convert(items)
    (tmp_path / "store.lock").unlink()
    convert(items)
    assert not (tmp_path / "store.lock").exists()


def test_other_items_make_a_new_store(make_items, convert):
    items = make_items()
    first = convert(items)
    second = convert(items[1:])
    assert len(second.split("train")) == len(first.split("train")) - 1
    assert second.fingerprint != first.fingerprint


def test_the_fingerprint_follows_the_content_not_the_place(make_items, convert, tmp_path):
    items = make_items()
    first = convert(items, name="store1")
    shutil.move(tmp_path / "corpus", tmp_path / "elsewhere")
    moved = make_items(folder="elsewhere")
    second = convert(moved, name="store2")
    assert second.fingerprint == first.fingerprint
    renamed = [replace(moved[0], name="other"), *moved[1:]]
    assert convert(renamed, name="store3").fingerprint != first.fingerprint


def test_a_conversion_that_stops_leaves_no_store(make_items, convert, tmp_path, monkeypatch):
    items = make_items()

    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(conversion, "_index", stop)  # almost at the end
    with pytest.raises(KeyboardInterrupt):
        convert(items)
    assert not (tmp_path / "store").exists()
    monkeypatch.undo()
    convert(items)
    undisturbed = convert(items, name="other")
    assert contents(tmp_path / "store") == contents(undisturbed.folder)
    assert not (tmp_path / ".store.partial").exists()


def full(*_):
    raise OSError(errno.ENOSPC, "No space left on device")


def test_a_full_disk_is_one_line_and_leaves_nothing(make_items, convert, tmp_path, monkeypatch):
    items = make_items()
    monkeypatch.setattr(os, "posix_fallocate", full)
    size = 2 * 2 * sum(sum(lengths) for lengths in LENGTHS.values())
    with pytest.raises(InputError, match=rf"store.*no room for {size} bytes \(No space left"):
        convert(items)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "store.lock"]


def test_a_disk_that_fills_up_at_the_end_is_named_by_the_store(
    make_items, convert, tmp_path, monkeypatch
):
    """The system doesn't say which file it was that had no room."""
    items = make_items()
    monkeypatch.setattr(conversion, "write_whole", full)
    with pytest.raises(OSError, match="No space left") as caught:
        convert(items)
    assert caught.value.filename == str(tmp_path / "store")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus", "store.lock"]


def test_unequal_lengths_are_listed(make_items, convert, tmp_path):
    items = make_items()
    soundfiles.write(items[4].signals[1].path, np.zeros(77), 8000)
    with pytest.raises(InputError, match=r"train-4: .*s1/4\.wav 1000 x 1, s2/4\.wav 77 x 1, mix/4"):
        convert(items)
    assert not (tmp_path / "store").exists()


def test_another_rate_is_refused(make_items, convert):
    with pytest.raises(InputError, match=r"s1/0.wav: 8000 Hz, the corpus has 16000 Hz"):
        convert(make_items(), sample_rate=16000)


def test_a_missing_file_is_named(make_items, convert):
    items = make_items()
    items[2].signals[0].path.unlink()
    with pytest.raises(InputError, match=r"s1/2\.wav"):
        convert(items)


@pytest.mark.parametrize("bad", [np.nan, -np.inf, 1e30])
def test_an_impossible_sample_never_gets_into_a_store(make_items, convert, tmp_path, bad):
    items = make_items(subtype="FLOAT")
    samples, rate = soundfiles.read(items[4].signals[1].path)
    samples[0, 321] = bad
    soundfiles.write(items[4].signals[1].path, samples, rate, "FLOAT")
    with pytest.raises(InputError, match=r"s2/4\.wav: sample 321 is "):
        convert(items)
    assert not (tmp_path / "store").exists()


@pytest.mark.parametrize("jobs", [1, 2])
def test_all_broken_files_are_listed_at_once(make_items, convert, tmp_path, jobs):
    """Those that the headers tell of first, then those that only their samples do."""
    items = make_items(subtype="FLOAT", mixtures=False)
    report = tmp_path / "store.refused.txt"
    for n in range(2, 7):
        path = items[n].signals[0].path
        samples, rate = soundfiles.read(path)
        samples[0, 10 * n] = np.nan
        soundfiles.write(path, samples, rate, "FLOAT")
    whole = {n: items[n].signals[1].path.read_bytes() for n in (1, 8)}
    for n, content in whole.items():
        items[n].signals[1].path.write_bytes(content[:-10])
    with pytest.raises(InputError) as caught:
        convert(items, jobs=jobs)
    assert str(caught.value).startswith("2 of 13 mixtures can't be used: ")
    assert [f"s2/{n}.wav: truncated" in str(caught.value) for n in (1, 8)] == [True, True]
    assert not report.exists()
    for n, content in whole.items():
        items[n].signals[1].path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        convert(items, jobs=jobs)
    assert str(caught.value).startswith("5 of 13 mixtures can't be used: ")
    assert str(caught.value).endswith(f"s1/4.wav: sample 40 is nan, not a usable amplitude; all 5"
                                      f" in {report}")  # fmt: skip
    assert [line.count(f"s1/{n}.wav: sample {10 * n} is nan") for n, line in
            enumerate(report.read_text().splitlines(), 2)] == [1] * 5  # fmt: skip
    convert(items[7:], jobs=jobs)
    assert not report.exists()


def test_where_everything_is_wrong_the_rest_is_not_looked_at(make_items, convert, monkeypatch):
    for module in (conversion, parallel):
        monkeypatch.setattr(module, "MANY", 4)
    with pytest.raises(InputError, match=r"^4 of 13 mixtures .*, the rest was not checked: "):
        convert(make_items(), sample_rate=16000)


@pytest.mark.parametrize(("off", "refused"), [(2, False), (3, True)])
def test_a_mixture_may_differ_from_the_sum_by_what_the_corpus_allows(
    make_items, convert, tmp_path, off, refused
):
    items = make_items()
    parts = [soundfiles.read(s.path, dtype=np.int16)[0].astype(int) for s in items[4].signals]
    total = sum(parts)
    total[0, 17] += off
    soundfiles.write(items[4].mixture, total.astype(np.int16), 8000)
    if refused:
        words = r"mix/4\.wav: not the sum of .*s1/4\.wav, .*s2/4\.wav: off by up to 9\.16e-05 "
        with pytest.raises(InputError, match=words + r"\(sample 17\), 6\.1e-05 is allowed"):
            convert(items, tolerance=2 / 2**15)
        assert not (tmp_path / "store").exists()
    else:
        convert(items, tolerance=2 / 2**15)
    convert(items, name="any")


def test_clipped_samples_of_a_mixture_are_no_difference(make_items, convert):
    items = make_items()
    length = soundfiles.info(items[0].mixture).frames
    for signal in items[0].signals:
        soundfiles.write(signal.path, np.full(length, 0.7), 8000)
    soundfiles.write(items[0].mixture, np.full(length, 1.4), 8000)
    store = convert(items, name="s", tolerance=2 / 2**15)
    assert store.split("train").load(0)[0].max() < 1.0  # the corpus' own mixture, kept


def test_the_same_mixture_in_two_splits_is_refused(make_items, convert):
    items = make_items()
    for one, other in zip(items[2].streams, items[-1].streams, strict=True):
        shutil.copy(one, other)
    words = r"same mixture in train and test: .*train/mix/2\.wav and .*test/mix/2\.wav"
    with pytest.raises(InputError, match=words):
        convert(items)
    twice = [*items[:-1], replace(items[0], name="again")]
    convert(twice)  # in one split it does no harm


def test_items_of_different_make_are_refused(make_items, convert):
    items = make_items()
    fewer = replace(items[3], signals=items[3].signals[:1])
    with pytest.raises(InputError, match="train-3: other signals than train-0"):
        convert([*items[:3], fewer])
    first, second = items[3].signals
    noise = replace(items[3], signals=(first, replace(second, target=False)))
    with pytest.raises(InputError, match="train-3: other signals than train-0"):
        convert([*items[:3], noise])
    with pytest.raises(InputError, match="empty"):
        convert([])


def test_items_are_kept_by_split(make_items, convert):
    items = make_items()
    shuffled = [items[0], items[-1], *items[1:-1]]
    store = convert(shuffled)
    assert store.splits == ("train", "test")
    assert store.split("test").items == ["test-2", "test-0", "test-1"]
    expected = soundfiles.read(items[-1].signals[0].path)[0]
    assert np.array_equal(store.split("test").load(0)[1][0], expected)


def test_a_store_behind_a_link_is_made_anew_there(convert, tmp_path):
    """As where it was moved to a larger disk."""
    for value in (0.1, 0.2):
        for name in "ab":
            soundfiles.write(tmp_path / f"{name}.wav", np.full((1, 900), value), 8000)
        signals = tuple(Signal(str(tmp_path / f"{name}.wav")) for name in "ab")
        convert([Item("i", "train", signals)])
        if not (tmp_path / "store").is_symlink():
            (tmp_path / "store").rename(tmp_path / "moved")
            (tmp_path / "store").symlink_to("moved")
            before = (tmp_path / "moved/samples.bin").read_bytes()
    assert (tmp_path / "store").is_symlink()
    assert (tmp_path / "moved/samples.bin").read_bytes() != before
    assert not list(tmp_path.glob("*.partial"))
    assert not list(tmp_path.glob(".*.partial"))
