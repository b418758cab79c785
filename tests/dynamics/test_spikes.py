"""Which batches count as spikes, and what is said of their examples."""

import math

import numpy as np
import pytest
import torch

from autoclip_sep.dynamics import SPIKE_COLUMNS, Spikes
from autoclip_sep.runs import records
from autoclip_sep.runs.records import Records

LOSSES = torch.tensor([1.0, 7.0])


def watch(spikes, norms, items=("a", "b")):
    for step, norm in enumerate(norms, start=1):
        spikes.watch(norm, LOSSES, items, step=step)


def rows_of(tmp_path, norms, **settings):
    file = Records(tmp_path / "spikes.csv", SPIKE_COLUMNS)
    watch(Spikes(file, **settings), norms)
    return file.rows()


def test_a_row_for_each_example_with_norm_median_and_its_own_loss(tmp_path):
    first, second = rows_of(tmp_path, [1.0, 2.0, 4.0, 21.0], first=3)
    assert (first["step"], first["epoch"], first["grad_norm"]) == ("4", "1", "21.0")
    assert first["median_norm"] == "2.0"
    assert (first["item"], first["loss"]) == ("a", "1.0")
    assert (second["item"], second["loss"]) == ("b", "7.0")


@pytest.mark.parametrize(("norm", "spike"), [(9.9, False), (10.0, False), (10.1, True)])
def test_above_five_times_the_median_before_it(tmp_path, norm, spike):
    assert bool(rows_of(tmp_path, [1.0, 2.0, 3.0, norm], first=3)) == spike


def test_norms_are_held_against_the_latest_only_and_no_sooner_than_asked(tmp_path):
    norms = 1.0 + np.random.default_rng(0).exponential(1.0, 400).cumsum() * np.tile([1, 3], 200)
    found = [int(row["step"]) for row in rows_of(tmp_path, norms, times=1.5, window=7, first=4)]
    wanted = [
        n + 1 for n in range(4, 400) if norms[n] > 1.5 * np.median(norms[max(0, n - 7) : n])
    ]  # fmt: skip
    assert found[::2] == wanted
    assert 50 < len(wanted) < 350


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_norm_that_is_not_finite_is_one_at_once_and_no_part_of_the_median(tmp_path, bad):
    rows = rows_of(tmp_path, [bad, 1.0, 3.0, bad, bad, 2.0, 11.0], first=3)
    assert [int(row["step"]) for row in rows[::2]] == [1, 4, 5, 7]
    assert [row["median_norm"] for row in rows[::2]] == ["nan", "2.0", "2.0", "2.0"]


def test_norms_of_zero_are_no_part_of_the_median(tmp_path):
    """With 60 % zeros the median was 0 and every other step a spike."""
    norms = [0.0, 1.0, 0.0, 2.0, 0.0] * 100 + [11.0]
    spikes = Spikes(Records(tmp_path / "spikes.csv", SPIKE_COLUMNS), first=100)
    watch(spikes, norms)
    assert spikes.count == 1
    assert spikes.records.rows()[0]["median_norm"] == "1.5"


def test_one_loss_of_the_whole_batch_stands_in_every_row(tmp_path):
    path = tmp_path / "spikes.csv"
    loss = torch.tensor(3.0, requires_grad=True)
    Spikes(Records(path, SPIKE_COLUMNS)).watch(torch.tensor(math.inf), loss, ["a", "b"], step=1)
    assert [row["loss"] for row in records.read(path)] == ["3.0", "3.0"]


@pytest.mark.parametrize("shape", [(3,), (2, 1), (1,)])
def test_another_number_of_losses_is_refused_at_the_first_batch(shape):
    with pytest.raises(ValueError, match="for 2 items: give one for each item"):
        Spikes(None).watch(1.0, torch.zeros(shape), ["a", "b"], step=1)


def test_the_examples_of_all_processes_are_listed(tmp_path):
    path = tmp_path / "spikes.csv"
    spikes = Spikes(Records(path, SPIKE_COLUMNS), gather=lambda own: [own, [("c", 5.0)]])
    spikes.watch(math.nan, LOSSES, ["a", "b"], step=1, epoch=2)
    assert [(row["item"], row["loss"]) for row in records.read(path)] == [
        ("a", "1.0"), ("b", "7.0"), ("c", "5.0"),
    ]  # fmt: skip


def test_a_saved_state_goes_on_alike(tmp_path):
    norms = np.random.default_rng(1).exponential(1.0, 60).tolist()
    straight, halves = Spikes(None, times=2, first=5, window=9), tmp_path / "state.pt"
    watch(straight, norms)
    first = Spikes(None, times=2, first=5, window=9)
    watch(first, norms[:30])
    torch.save(first.state_dict(), halves)
    second = Spikes(None, times=2, first=5, window=9)
    second.load_state_dict(torch.load(halves, weights_only=True))
    watch(second, norms[30:])
    assert second.count == straight.count > first.count > 0
    assert second.state_dict()["norms"] == straight.state_dict()["norms"]


@pytest.mark.parametrize(
    "settings", [{"times": 1}, {"times": math.nan}, {"first": 0}, {"first": 11, "window": 10}]
)
def test_impossible_settings_are_refused(settings):
    with pytest.raises(ValueError, match="times must be above 1 and first from 1 to window"):
        Spikes(None, **settings)
