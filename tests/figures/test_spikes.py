"""Spikes: steps whose norm stands out, with the examples in them."""

import math

import pytest

from autoclip_sep.dynamics import SPIKE_COLUMNS
from autoclip_sep.errors import InputError
from autoclip_sep.figures import spikes
from autoclip_sep.figures.runs import frame
from autoclip_sep.runs.records import Records

ROWS = [(7, 10.0, "a", 1.0), (7, 10.0, "b + c", 1.0), (9, math.nan, "a", 1.0), (12, 40.0, "a", 1.0)]


def write(folder, rows):
    """A spikes.csv of steps, norms, items and losses; the median norm is 2."""
    file = Records(folder / "spikes.csv", SPIKE_COLUMNS)
    for step, norm, item, loss in rows:
        file.append({"step": step, "epoch": 1, "grad_norm": norm, "median_norm": 2.0, "item": item,
                     "loss": loss})  # fmt: skip
    return folder / "spikes.csv"


def test_spikes_are_steps_with_the_examples_in_them(tmp_path):
    table = spikes.read(write(tmp_path, ROWS))
    assert spikes.ratios(table).to_dict() == {7: 5, 9: math.inf, 12: 20}
    assert spikes.examples(table).to_dict() == {"a": 3, "b": 1, "c": 1}
    assert spikes.draw(tmp_path / "spikes.csv", "", tmp_path / "x") == f"{tmp_path}/x.png  3 spikes"
    assert (tmp_path / "x.pdf").read_bytes().startswith(b"%PDF")


def test_of_examples_in_as_many_spikes_the_largest_loss_comes_first(tmp_path):
    losses = {"a": 1.0, "b": 9.0, "c": math.nan, "d": 2.0}
    path = write(tmp_path, [(1, 9.0, item, loss) for item, loss in losses.items()])
    assert list(spikes.examples(spikes.read(path)).index) == ["c", "b", "d", "a"]


def test_names_of_examples_may_be_anything_and_stay_short(tmp_path):
    names = ["$x_1", "y" * 100, "a\nb", "\udcff.wav"]  # no mathematics; no UTF-8
    path = write(tmp_path, [(1, 9.0, name, 1.0) for name in names])
    assert set(spikes.examples(spikes.read(path)).index) == set(names)
    spikes.draw(path, "", tmp_path / "spikes")
    assert spikes._short("y" * 100) == f"...{'y' * 37}"
    assert "\n" not in spikes._short("a\nb")


@pytest.mark.parametrize(
    "content",
    ["step,item\n1,a\n", "step,grad_norm,median_norm,item,loss\n1,x,2,a,1\n",
     "step,grad_norm,median_norm,item,loss\n1,2,0,a,1\n"],
)  # fmt: skip
def test_what_is_no_file_of_spikes_is_one_line(tmp_path, content):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(InputError, match=r"a\.csv: .*: not the spikes of a run"):
        spikes.read(tmp_path / "a.csv")


def test_runs_that_have_spikes_are_drawn(add_run, saved, tmp_path):
    runs = frame([add_run(), add_run("none")])
    assert spikes.draw_all(runs, tmp_path) == []
    write(runs["run"].iloc[1].directory, ROWS)
    stem = tmp_path / "spikes_demo_mask_inference_blstm_demo_none_seed0"
    assert spikes.draw_all(runs, tmp_path) == [f"{stem}.png  3 spikes"]
    assert saved[0].get_supxlabel().startswith("No clipping  ·  corpus demo")
