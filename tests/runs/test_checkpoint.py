import hashlib
import itertools
import os
import pickle
import resource
import tracemalloc
from collections import Counter, OrderedDict

import pytest
import torch

from autoclip_sep.errors import InputError
from autoclip_sep.runs import checkpoint
from autoclip_sep.runs.checkpoint import CheckpointFolder
from tests.small_files import Asks, compressed

STATE = {"weights": torch.arange(1000.0), "step": 3, "best": float("inf"), "rng": [torch.ones(2)]}


def test_round_trip(tmp_path):
    checkpoint.save(tmp_path / "a" / "x.pt", STATE)
    loaded = checkpoint.load(tmp_path / "a" / "x.pt")
    assert torch.equal(loaded["weights"], STATE["weights"])
    assert loaded["step"] == 3
    assert loaded["best"] == float("inf")


@pytest.mark.parametrize("place", [0.02, 0.3, 0.6, 0.98])
def test_one_flipped_bit_is_noticed(tmp_path, place):
    path = tmp_path / "x.pt"
    checkpoint.save(path, STATE)
    content = bytearray(path.read_bytes())
    content[int(place * len(content))] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load(path)


@pytest.mark.parametrize("keep", [0, 10, -1])
def test_a_short_file_is_noticed(tmp_path, keep):
    path = tmp_path / "x.pt"
    checkpoint.save(path, STATE)
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match="damaged"):
        checkpoint.load(path)


@pytest.mark.parametrize("content", [b"", b"\xe5" + b"0" * 63, b"0" * 64])
def test_a_damaged_digest_is_noticed(tmp_path, content):
    folder = CheckpointFolder(tmp_path)
    for step in (10, 20):
        path = folder.save("last", step, 0, {"step": step})
    checkpoint._digest_path(path).write_bytes(content)
    state, (error,) = folder.newest("last")
    assert state == {"step": 10}
    assert path.name in error


class Hostile:
    def __reduce__(self):
        return os.mkdir, ("was_here",)


def test_a_hostile_pickle_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "x.pt"
    torch.save({"weights": Hostile()}, path)
    checkpoint._digest_path(path).write_text(
        hashlib.sha256(path.read_bytes()).hexdigest() + "  x.pt\n"
    )
    with pytest.raises(InputError, match="not a checkpoint"):
        checkpoint.load(path)
    (tmp_path / "y.pt").write_bytes(pickle.dumps(Hostile()))
    with pytest.raises(InputError):
        checkpoint.load(tmp_path / "y.pt")
    assert not (tmp_path / "was_here").exists()


@pytest.mark.parametrize(
    "what", ["bytes", "storage", "tensor", "sparse", "compressed", "parameter"]
)
def test_a_small_file_asks_for_no_more_memory_than_it_has_bytes(tmp_path, what):
    state = {
        "bytes": Asks(bytearray, 2**33),
        "storage": Asks(torch.UntypedStorage, 2**33),
        "tensor": Asks(torch.Tensor, 2**31),
        "sparse": torch.sparse_coo_tensor(torch.zeros(2, 1), torch.ones(1), (2**20, 2**20)),
        "compressed": torch.zeros(2**22),
        "parameter": torch.nn.Parameter(torch.ones(2)),
    }[what]
    path = tmp_path / "x.pt"
    torch.save({"weights": state}, path)
    if what == "compressed":
        compressed(path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    checkpoint._digest_path(path).write_text(f"{digest}  x.pt\n")
    tracemalloc.start()
    try:
        with pytest.raises(InputError, match=r"not a checkpoint of tensors and numbers: (it|some)"):
            checkpoint.load(path)
        assert tracemalloc.get_traced_memory()[1] < 2**20 + 3 * path.stat().st_size
    finally:
        tracemalloc.stop()


def test_all_kinds_of_plain_tensors_load(tmp_path):
    kinds = [torch.float32, torch.float64, torch.bfloat16, torch.float16, torch.int64, torch.int32,
             torch.uint8, torch.bool, torch.complex64]  # fmt: skip
    state = {
        "tensors": [torch.ones(3, 2, dtype=kind).T for kind in kinds],
        "shape": torch.Size([2]),
        "kinds": kinds,
        "counts": Counter("aab"),
        "more": OrderedDict(a=(1, None, True)),
    }
    checkpoint.save(tmp_path / "x.pt", state)
    loaded = checkpoint.load(tmp_path / "x.pt")
    assert [tensor.dtype for tensor in loaded["tensors"]] == kinds
    assert all(bool((tensor == 1).all()) for tensor in loaded["tensors"])
    assert {key: loaded[key] for key in ("shape", "kinds", "counts", "more")} == {
        key: state[key] for key in ("shape", "kinds", "counts", "more")
    }


def test_the_newest_whole_one_is_found_and_the_damaged_one_named(tmp_path):
    folder = CheckpointFolder(tmp_path)
    for step in (10, 20):
        folder.save("last", step, 0, {"step": step})
    newest = folder.paths("last")[-1]
    newest.write_bytes(newest.read_bytes()[:-1])
    state, (error,) = folder.newest("last")
    assert state == {"step": 10}
    assert newest.name in error


def test_nothing_whole_is_an_error_and_nothing_at_all_is_none(tmp_path):
    folder = CheckpointFolder(tmp_path)
    assert folder.newest("last") == (None, [])
    folder.save("last", 10, 0, {"step": 10}).write_bytes(b"")
    with pytest.raises(InputError, match="no whole 'last'"):
        folder.newest("last")


def test_only_the_newest_are_kept(tmp_path):
    folder = CheckpointFolder(tmp_path)
    for step in (10, 20, 30):
        folder.save("last", step, 0, {"step": step})
    folder.save("best", 5, 0, {"step": 5})
    assert [path.name for path in folder.paths("last")] == [
        "last-000000020-00000.pt",
        "last-000000030-00000.pt",
    ]
    assert len(list(tmp_path.iterdir())) == 6  # each with its digest
    folder.discard_after("last", 20)
    assert [path.name for path in folder.paths("last")] == ["last-000000020-00000.pt"]


@pytest.mark.parametrize(
    ("failing", "at"),  # fsync of file and folder, of the digest and of the state
    [("replace", 1), ("fsync", 1), ("fsync", 2), ("fsync", 3), ("fsync", 4)],
)
def test_a_full_disk_leaves_the_old_one_and_no_rest(tmp_path, monkeypatch, failing, at):
    folder = CheckpointFolder(tmp_path)
    folder.save("last", 10, 0, {"step": 10})
    calls, real = itertools.count(1), getattr(os, failing)

    def full(*given):
        if next(calls) == at:
            raise OSError(28, "No space left on device")
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(os, failing, full)
        with pytest.raises(InputError, match=r"last-000000020-00000.*bytes needed.*No space left"):
            folder.save("last", 20, 0, {"step": 20})
    assert len(list(tmp_path.iterdir())) == 2
    assert folder.newest("last") == ({"step": 10}, [])


def test_a_disk_with_room_for_the_digest_only_keeps_neither(tmp_path):
    folder = CheckpointFolder(tmp_path)
    folder.save("last", 10, 0, {"step": 10})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
    try:
        with pytest.raises(InputError, match=r"last-000000020-00000\.pt .*bytes needed"):
            folder.save("last", 20, 0, STATE)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert len(list(tmp_path.iterdir())) == 2
