"""Batches cut on the device are those of the store, to the bit; "on the device" is the CPU here."""

import numpy as np
import pytest
import torch

from autoclip_sep.data.loading.augmentation import RandomTracks
from autoclip_sep.data.loading.loaders import TrainingLoader
from autoclip_sep.data.loading.on_device import DeviceSegments
from autoclip_sep.errors import InputError

CPU = torch.device("cpu")
SETTINGS = {"batch_size": 4, "segment": 650, "seed": 4}  # some items are shorter, some longer
KINDS = {
    "mono": {},
    "stereo, noise that is no target": {
        "signals": 3, "channels": 2, "targets": (True, False, True), "mixtures": False,
    },
    "float32": {"subtype": "FLOAT"},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("rank", "world"), [(0, 1), (1, 2)])
def test_batches_are_those_of_the_store(make_items, convert, kind, rank, world):
    split = convert(make_items(**KINDS[kind])).split("train")
    share = {**SETTINGS, "rank": rank, "world": world}
    usual, here = TrainingLoader(split, **share), TrainingLoader(split, **share, device=CPU)
    for epoch, start in ((0, 0), (3, 1), (1, 0), (0, 1)):
        pairs = list(zip(usual.epoch(epoch, start), here.epoch(epoch, start), strict=True))
        assert len(pairs) == 2 - start
        for expected, found in pairs:
            assert found.items == expected.items
            for name in ("mixture", "sources", "lengths"):
                one, other = getattr(found, name), getattr(expected, name)
                assert one.dtype == other.dtype
                assert torch.equal(one, other)


def test_nothing_is_read_from_the_store_in_a_step(store, monkeypatch):
    split = store.split("train")
    loader = TrainingLoader(split, **SETTINGS, workers=2, device=CPU)
    monkeypatch.setattr(type(split), "signals", None)
    assert len(list(loader.epoch(0))) == 2


def test_samples_that_arent_finite_are_refused_at_once(make_items, convert, monkeypatch):
    split = convert(make_items(subtype="FLOAT")).split("train")
    read = type(split).signals

    def damaged(self, i, *part):
        return read(self, i, *part) * np.float32("nan") if i == 5 else read(self, i, *part)

    monkeypatch.setattr(type(split), "signals", damaged)
    with pytest.raises(InputError, match=f"samples of {split.items[5]} are non-finite"):
        TrainingLoader(split, **SETTINGS, device=CPU)


def test_what_doesnt_fit_is_one_line(store, monkeypatch):
    def full(*_):
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(torch.Tensor, "to", full)
    with pytest.raises(InputError, match=r"store_on_device: 0\.0 GB of samples don't fit on cpu"):
        DeviceSegments(store.split("train"), CPU, **SETTINGS)


def test_random_mixtures_are_refused(store):
    with pytest.raises(InputError, match=r"store_on_device: not with data\.augmentation"):
        TrainingLoader(store.split("train"), **SETTINGS, device=CPU, augmentation=RandomTracks())
