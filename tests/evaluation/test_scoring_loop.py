"""Scores depend neither on batches, nor on workers, order or interruptions."""

import numpy as np
import pytest
import torch

from autoclip_sep.audio import soundfiles
from autoclip_sep.cli.metrics import named
from autoclip_sep.data.store.conversion import prepare
from autoclip_sep.data.store.reading import Item, Signal
from autoclip_sep.evaluation.score import score
from autoclip_sep.evaluation.separation import Separation
from autoclip_sep.models.separator import Separator
from autoclip_sep.runs import records
from autoclip_sep.stft import STFT

METRICS = ["si_sdr", "snr", "bss_eval", "stoi", "estoi", "sdr"]
RATE = 8000


@pytest.fixture(scope="module")
def sounds(tmp_path_factory):
    """Seven mixtures of two lengths."""
    folder = tmp_path_factory.mktemp("sounds")
    rng = np.random.default_rng(0)
    items = []
    for n, length in enumerate([RATE, RATE, 9000, RATE, 9000, RATE, RATE]):
        pair = 0.1 * rng.standard_normal((2, 1, length))
        pair[1] = np.cumsum(pair[1], axis=-1) - np.cumsum(np.roll(pair[1], 20), axis=-1)
        for s, sound in enumerate(pair):
            soundfiles.write(folder / f"{n}-{s}.wav", (0.2 * sound).clip(-0.9, 0.9), RATE)
        signals = tuple(Signal(folder / f"{n}-{s}.wav") for s in range(2))
        items.append(Item(f"mixture {n}", "test", signals))
    return items


def split(folder, items):
    return prepare(folder, RATE, items, progress=False, jobs=1).split("test")


def network(heads=("masks",)):
    torch.manual_seed(1)
    stft = STFT()
    model = Separator(stft, heads, hidden=16, layers=2)
    return Separation(model, stft, 2, torch.device("cpu"))


def metrics():
    for package in ("pystoi", "fast_bss_eval"):
        pytest.importorskip(package)
    return named(METRICS)


def scored(folder, split, system=None, **how):
    """The tables, as dictionaries by item and source, and as text."""
    tables = {folder / metric.file_name("test"): metric for metric in metrics()}
    score(tables, system or network(), split, {}, sample_rate=RATE, progress=False, **how)
    rows = [(path.name, row) for path in tables for row in records.read(path)]
    return {
        (name, row["item"], row["source"], key): value
        for name, row in rows
        for key, value in row.items()
    }, "".join(path.read_text() for path in tables)


def assert_close(found, expected):
    assert found.keys() == expected.keys()
    for key, value in expected.items():
        if key[-1] in ("item", "source", "estimate"):
            assert found[key] == value
        else:
            assert float(found[key]) == pytest.approx(float(value), abs=1e-6, nan_ok=True), key


@pytest.fixture(scope="module")
def given(tmp_path_factory, sounds):
    """The split, and its tables by this process alone, one mixture at a time."""
    found = split(tmp_path_factory.mktemp("given") / "store", sounds)
    return found, *scored(tmp_path_factory.mktemp("tables"), found)


def test_scores_depend_neither_on_batches_nor_on_workers_nor_on_order(tmp_path, sounds, given):
    one, expected, _ = given
    assert len(expected) > len(METRICS) * len(one)
    assert_close(scored(tmp_path / "batches", one, batch_size=4, workers=1)[0], expected)
    turned = split(tmp_path / "turned", sounds[::-1])
    assert_close(scored(tmp_path / "turned", turned, batch_size=3)[0], expected)


def test_k_means_gets_one_mixture_at_a_time(tmp_path, given):
    """It would make tenths of a decibel of the last bit that a batch changes."""
    (one, *_), clusters = given, network(["embedding"])
    sizes = []
    clusters.model.register_forward_pre_hook(lambda _, batch: sizes.append(len(batch[0].items)))
    tables = {tmp_path / "si_sdr.csv": named("si_sdr")[0]}
    score(tables, clusters, one, {}, sample_rate=RATE, progress=False, batch_size=4)
    assert sizes == [1] * 7


def test_mixtures_are_separated_once_and_equal_lengths_together(tmp_path, given):
    (one, *_), counted = given, network()
    sizes = []
    counted.model.register_forward_pre_hook(lambda _, batch: sizes.append(len(batch[0].items)))
    scored(tmp_path, one, counted, batch_size=4)
    assert sizes == [4, 1, 2]
    (tmp_path / "test_snr.csv").unlink()  # one metric lacks all items, the others none
    scored(tmp_path, one, counted, batch_size=8)
    assert sizes == [4, 1, 2, 5, 2]


def test_a_stopped_evaluation_resumes_to_the_same_tables(tmp_path, given):
    (one, _, text), stopped = given, network()

    def stop(_, batch):
        if batch[0].items[0] == "mixture 5":
            raise KeyboardInterrupt

    stopped.model.register_forward_pre_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        scored(tmp_path, one, stopped, workers=1)
    assert (tmp_path / "test.csv").read_text().count("\n") < 1 + 2 * len(one)
    assert scored(tmp_path, one, workers=1)[1] == text


def test_settings_of_a_metric_belong_to_its_scores(tmp_path, given):
    (one, *_), (snr,) = given, named("snr")
    for settings, rows in (({"a": 1}, 14), ({"a": 2}, 14)):
        snr.settings = settings
        score({tmp_path / "t.csv": snr}, network(), one, {}, sample_rate=RATE, progress=False)
        assert len(records.read(tmp_path / "t.csv")) == rows
        assert f'"a": {settings["a"]}' in (tmp_path / "t.json").read_text()
