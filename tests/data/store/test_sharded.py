"""A store in shards gives the batches of the plain one, whatever its server does."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
import time

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.cli.commands import shard_store
from autoclip_sep.data.loading.augmentation import RandomTracks
from autoclip_sep.data.loading.loaders import TrainingLoader, evaluation_batches, fixed_segments
from autoclip_sep.data.store import cache, remote
from autoclip_sep.data.store.conversion import prepare
from autoclip_sep.data.store.reading import Item, Signal, Store
from autoclip_sep.data.store.sharded import PIECE, open_store
from autoclip_sep.errors import InputError
from autoclip_sep.locks import held
from tests.conftest import ROOT, can_mount
from tests.data.loading.batches import training_batches
from tests.data.store import s3

GB = 10**9
FEW = 3 * PIECE  # bytes of a cache that is far too small
SIZE = {"batch_size": 4, "seed": 3}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    """A store of 3.4 MB whose mixtures lie across borders of pieces; one mixture is stored."""
    folder = tmp_path_factory.mktemp("plain")
    rng = np.random.default_rng(0)
    items = []
    for n in range(12):
        split = "train" if n < 8 else "valid" if n < 10 else "test"
        length = int(rng.integers(50_000, 90_000))
        sounds = [(8000 * rng.standard_normal(length)).clip(-16000, 16000) for _ in range(2)]
        sounds = [sound.astype(np.int16) for sound in sounds]
        paths = [folder / "corpus" / f"{n}-{s}.wav" for s in range(2)]
        for path, sound in zip(paths, sounds, strict=True):
            soundfiles.write(path, sound, 8000)
        mixture = folder / "corpus" / f"{n}-mix.wav"
        total = (sounds[0].astype(np.int32) + sounds[1]).astype(np.int16)
        soundfiles.write(mixture, total // 2 if n == 10 else total, 8000)
        items.append(Item(f"{split}-{n}", split, tuple(map(Signal, paths)), mixture))
    return prepare(folder / "store", 8000, items, progress=False, jobs=1)


@pytest.fixture(scope="module")
def server():
    with s3.corpora() as proxy:
        yield proxy


@pytest.fixture
def proxy(server):
    server.delay, server.cut, server.down = 0.0, 0, False
    server.gets.clear()
    yield server
    server.delay, server.cut, server.down = 0.0, 0, False


def upload(plain, output, *more):
    shard_store.run([f"store={plain.folder}", f"output={output}", "shard=1", *more])


@pytest.fixture(scope="module")
def uploaded(server, plain):
    upload(plain, "s3://corpora/two")
    return "s3://corpora/two"


@pytest.fixture
def files():
    import s3fs

    return s3fs.S3FileSystem(use_listings_cache=False, skip_instance_cache=True)


@pytest.fixture
def impatient(monkeypatch):
    monkeypatch.setattr(remote.Remote.__init__, "__defaults__", (3.0,))


def bits(batch):
    waveforms = (batch.mixture, batch.sources, batch.lengths)
    return [part.numpy().tobytes() for part in waveforms] + [batch.items]


def all_batches(store, workers=0):
    """What training, validation and evaluation read."""
    train, valid, test = (store.split(name) for name in ("train", "valid", "test"))
    tracks = RandomTracks(examples_per_track=2)
    found = []
    for epoch in (0, 1):
        found += training_batches(train, **SIZE, segment=30_000, epoch=epoch, workers=workers)
    found += training_batches(train, **SIZE, segment=None, epoch=0, workers=workers)
    for rank in range(2):
        found += training_batches(train, **SIZE, segment=20_000, epoch=5, rank=rank, world=2)
    found += TrainingLoader(train, **SIZE, segment=9000, augmentation=tracks).epoch(1)
    found += fixed_segments(valid, 2, 25_000, each=3)
    found += evaluation_batches(test, 2)
    return [bits(batch) for batch in found]


def used(folder):
    return sum(p.stat().st_size for p in folder.rglob("pieces/*/*"))


@pytest.mark.parametrize("kind", ["folder", "file", "memory", "s3"])
@pytest.mark.parametrize("workers", [0, 2])
def test_every_batch_has_the_bits_of_the_plain_store(plain, tmp_path, request, kind, workers):
    place = {"folder": str(tmp_path / "a b"), "file": f"file://{tmp_path}/far"}.get(kind)
    if kind == "memory":
        place = f"memory://{tmp_path.name}"
    if kind == "s3":
        place = request.getfixturevalue("uploaded")
    else:
        upload(plain, place)
    store = open_store(place, tmp_path / "cache", GB)
    assert (store.fingerprint, store.place) == (plain.fingerprint, place)
    assert all_batches(store, workers) == all_batches(plain)
    assert (used(tmp_path) > 0) == (kind != "folder")


def test_a_second_process_reads_from_the_cache_and_asks_for_the_list_only(
    proxy, plain, uploaded, tmp_path
):
    expected = all_batches(open_store(uploaded, tmp_path, GB))
    proxy.gets.clear()
    assert all_batches(open_store(uploaded, tmp_path, GB)) == expected
    assert [path.rpartition("/")[2] for path in proxy.gets] == ["shards.json"]


def test_each_piece_travels_once_although_several_workers_want_it(proxy, uploaded, tmp_path):
    split = open_store(uploaded, tmp_path, GB).split("train")
    proxy.gets.clear()
    list(training_batches(split, **SIZE, segment=30_000, epoch=0, workers=2))
    time.sleep(0.5)  # what is fetched ahead
    pieces = [path for path in proxy.gets if "/shards/" in path]
    kept = [path for path in tmp_path.rglob("pieces/*/*") if not path.name.endswith(".tmp")]
    assert len(pieces) == len(kept) > 0


def test_pieces_are_fetched_side_by_side(tmp_path):
    """Two of the same shard rarely wait for the same lock."""
    kept = cache.PieceCache(tmp_path, cache.LEAST)
    for number in range(300):
        with kept.fetching(f"000000-{'0' * 32}.bin/{number:06d}"):
            pass
    assert len(list((tmp_path / "locks").iterdir())) > 0.9 * cache.STRIPES


def test_a_cache_that_is_too_small_stays_small_and_changes_no_bit(
    plain, uploaded, tmp_path, monkeypatch
):
    monkeypatch.setattr(cache, "LEAST", FEW)
    store, most, done = open_store(uploaded, tmp_path, FEW), [0], threading.Event()

    def watch():
        while not done.is_set():
            with held(tmp_path / "bytes", lambda: None):  # pieces come and go under this lock
                most.append(used(tmp_path))
            time.sleep(0.001)

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        assert all_batches(store) == all_batches(plain)
    finally:
        done.set()
        watcher.join()
    assert PIECE <= max(most) <= FEW


def test_a_limit_that_makes_no_sense_is_refused(uploaded, tmp_path):
    with pytest.raises(InputError, match=r"data\.cache_size=0\.001: must be at least"):
        open_store(uploaded, tmp_path, 10**6)


def test_a_slow_server_and_answers_that_end_early_change_no_bit(proxy, plain, uploaded, tmp_path):
    proxy.delay, proxy.cut = 0.05, 12
    assert all_batches(open_store(uploaded, tmp_path, GB)) == all_batches(plain)
    assert proxy.cut == 0


def test_a_server_that_is_gone_for_a_while_changes_no_bit(proxy, plain, uploaded, tmp_path):
    store = open_store(uploaded, tmp_path, GB)
    proxy.down = True
    begun = time.monotonic()
    threading.Timer(6, setattr, (proxy, "down", False)).start()
    assert all_batches(store) == all_batches(plain)
    assert time.monotonic() - begun > 5.9  # nothing was in the cache


def test_a_server_that_stays_away_is_one_line(proxy, uploaded, tmp_path, impatient):
    store = open_store(uploaded, tmp_path, GB)
    proxy.down = True
    begun = time.monotonic()
    with pytest.raises(InputError, match=r"s3://corpora/two/shards/.* can't be reached for 3 s"):
        list(evaluation_batches(store.split("test"), 1))
    assert time.monotonic() - begun < 60
    with pytest.raises(InputError, match=r"s3://corpora/two/shards\.json: can't be reached"):
        open_store(uploaded, tmp_path / "other", GB)


def test_no_credentials_are_told_at_once(server, tmp_path, monkeypatch):
    for name in s3.environment(server):
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.url)
    s3.forget_clients()
    begun = time.monotonic()
    try:
        with pytest.raises(InputError, match=r"s3://unknown/x/shards\.json: .*credentials"):
            open_store("s3://unknown/x", tmp_path / "cache", 10**6)
    finally:
        s3.forget_clients()
    assert time.monotonic() - begun < 60  # of the 120 s for a server that is gone


@pytest.mark.parametrize("place", ["folder", "s3"])
def test_missing_and_changed_shards_are_named(plain, proxy, files, tmp_path, place):
    output = str(tmp_path / "far") if place == "folder" else "s3://corpora/bad"
    upload(plain, output)
    split = open_store(output, tmp_path / "cache", GB).split("train")
    name = json.loads(remote.Remote(output).read("shards.json"))["shards"][0]
    far = remote.Remote(output)
    content = bytearray(far.read(f"shards/{name}"))
    content[100_000] ^= 1
    far.write(f"shards/{name}", bytes(content))
    with pytest.raises(InputError, match=rf"shards/{name}: (changed|damaged) .* byte 65536 on"):
        split.load(0)
    upload(plain, output, "verify=true")  # which mends it
    split.load(0)

    if place == "s3":
        files.rm(f"corpora/bad/shards/{name}")
    else:
        os.unlink(tmp_path / "far/shards" / name)
    split = open_store(output, tmp_path / "new", GB).split("train")
    with pytest.raises(InputError, match=rf"shards/{name}: isn't there; make the"):
        split.load(0)
    upload(plain, output)
    assert np.array_equal(split.load(0)[1], plain.split("train").load(0)[1])


def test_a_damaged_cache_is_fetched_again(plain, uploaded, tmp_path):
    all_batches(open_store(uploaded, tmp_path, GB))
    for path in tmp_path.rglob("pieces/*/*"):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(bytes(content))
    assert all_batches(open_store(uploaded, tmp_path, GB)) == all_batches(plain)


SCRIPT = """
import pickle, sys
from autoclip_sep.data.store.sharded import open_store
from tests.data.store.test_sharded import all_batches
if __name__ == "__main__":
    place, cache, limit, out = sys.argv[1:]
    with open(out, "wb") as file:
        pickle.dump(all_batches(open_store(place, cache, int(limit)), 1), file)
"""


def reading(place, folder, limit, out, before=()):
    call = [*before, sys.executable, "-c", SCRIPT, place, str(folder), str(limit), str(out)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.Popen(call, env=environment, stderr=subprocess.PIPE, text=True)


def test_two_processes_share_a_small_cache(plain, uploaded, tmp_path):
    limit = cache.LEAST
    outs = [tmp_path / "one", tmp_path / "two"]
    started = [reading(uploaded, tmp_path / "cache", limit, out) for out in outs]
    for process in started:
        assert process.communicate(timeout=200)[1] == ""
        assert process.returncode == 0
    expected = all_batches(plain)
    assert all(pickle.loads(out.read_bytes()) == expected for out in outs)
    assert used(tmp_path / "cache") <= limit


@pytest.mark.skipif(not can_mount(), reason="no file system can be mounted here")
def test_a_full_disk_under_the_cache_is_one_line_and_changes_no_bit(plain, uploaded, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mount = f"mount -t tmpfs -o size=900k tmpfs '{small}' && exec \"$@\""
    before = ["unshare", "-Urm", "sh", "-c", mount, "sh"]
    process = reading(uploaded, small, GB, tmp_path / "out", before)
    said = process.communicate(timeout=200)[1]
    assert process.returncode == 0, said
    lines = said.splitlines()
    assert lines
    assert set(lines) == {
        f"data.cache: {small}: No space left on device; reading goes on without it"
    }
    assert pickle.loads((tmp_path / "out").read_bytes()) == all_batches(plain)


def test_a_store_that_is_not_there_is_told(tmp_path):
    with pytest.raises(InputError, match=r"store=\S+nowhere: no such folder"):
        shard_store.run([f"store={tmp_path / 'nowhere'}", f"output={tmp_path / 'far'}"])
    assert not (tmp_path / "far").exists()


def test_an_interrupted_upload_is_continued(plain, proxy, files, tmp_path, impatient, capsys):
    output = "s3://corpora/interrupted"
    begin = threading.Timer(0.0, setattr, (proxy, "down", True))

    class Stop(threading.Thread):
        def run(self):
            while not files.exists("corpora/interrupted/shards"):
                time.sleep(0.01)
            begin.start()

    proxy.delay = 0.2
    Stop(daemon=True).start()
    with pytest.raises(InputError, match=r"s3://corpora/interrupted/\S+: can't be reached"):
        upload(plain, output)
    proxy.down, proxy.delay = False, 0.0
    there = len(files.ls("corpora/interrupted/shards"))
    assert there > 0
    assert not files.exists("corpora/interrupted/shards.json")  # nobody takes it for whole
    with pytest.raises(InputError, match=r"shards\.json: isn't there"):
        open_store(output, tmp_path, GB)
    upload(plain, output, "verify=true")
    assert f"{there} already there, all verified" in capsys.readouterr().out
    assert all_batches(open_store(output, tmp_path, GB)) == all_batches(plain)


def test_another_store_is_not_written_over(plain, tmp_path, make_items, convert):
    upload(plain, tmp_path / "far")
    other = convert(make_items(), "other")
    with pytest.raises(InputError, match="another store is there"):
        upload(other, tmp_path / "far")
    upload(other, tmp_path / "far", "force=true")
    assert open_store(str(tmp_path / "far"), "", GB).fingerprint == other.fingerprint


def test_a_store_of_before_there_were_checksums_gets_some(plain, tmp_path):
    older = tmp_path / "older"
    shutil.copytree(plain.folder, older)
    meta = json.loads((older / "meta.json").read_text())
    del meta["chunk"], meta["crc32"]
    (older / "meta.json").write_text(json.dumps(meta))
    (older / "crc32.npy").unlink()
    upload(Store(older), tmp_path / "far")
    assert all_batches(open_store(str(tmp_path / "far"), "", GB)) == all_batches(plain)


def test_a_damaged_store_is_not_uploaded(plain, tmp_path):
    shutil.copytree(plain.folder, tmp_path / "bad")
    with open(tmp_path / "bad/samples.bin", "r+b") as file:
        file.seek(1_200_000)
        old = file.read(1)
        file.seek(1_200_000)
        file.write(bytes([old[0] ^ 1]))
    with pytest.raises(InputError, match=r"samples\.bin is damaged"):
        upload(Store(tmp_path / "bad"), tmp_path / "far")


@pytest.mark.parametrize("place", ["nothing://x/y", "gs://x/y"])
def test_urls_of_unknown_kinds_are_one_line(place, tmp_path):
    with pytest.raises(InputError, match=place):
        open_store(place, tmp_path, GB)
