import json

import numpy as np
import pytest
from pandas import read_csv

from autoclip_sep.figures.runs import frame
from autoclip_sep.figures.scores import differences


@pytest.fixture
def scored(add_run):
    """A function that adds an evaluated run with scores of 30 items, `gain` above chance."""

    def add(label, seed, gain, **how):
        run = add_run(label, seed, gain=gain, **how)
        chance = np.random.default_rng(0).normal(0, 2, 30)
        own = np.random.default_rng(seed).normal(0, 0.1, 30)
        rows = "".join(f"i{n},1,{chance[n] + own[n] + gain},0.0\n" for n in range(30))
        folder = run.directory / "evaluation"
        (folder / "test.csv").write_text(f"item,source,si_sdr,si_sdr_mixture\n{rows}")
        note = json.loads((folder / "test.json").read_text())
        note["provenance"] = {"fingerprint": "f"}
        (folder / "test.json").write_text(json.dumps(note))
        return run

    return add


def test_every_clipping_is_compared_with_none_over_the_seeds_of_both(scored, add_run, tmp_path):
    runs = [scored("none", seed, 1.0) for seed in (0, 1, 2)]
    runs += [scored("autoclip_p100", 0, 8.0)]  # the same to the paper: a seed counts once
    runs += [scored("autoclip_p10", seed, 1.5 + 0.1 * seed) for seed in (0, 1, 3)]
    runs += [scored("norm_1", 7, 2.0), add_run("autoclip_p1", 0, gain=3.0)]
    lines = differences.draw_all(frame(runs), tmp_path / "out")
    assert lines[-1] == f"{tmp_path / 'out' / 'differences.md'}  1 lines"
    assert any("norm_1: no seed was run without clipping" in line for line in lines)
    assert "not compared: 1 runs were kept without scores of single items" in lines
    (row,) = read_csv(tmp_path / "out" / "differences.csv").to_dict("records")
    assert row["clipping"] == "AutoClip, p = 10"
    assert row["mean"] == pytest.approx(0.55)
    assert (row["seeds_a"], row["seeds_b"], row["by_seed"]) == (2, 2, True)
    assert row["seeds_needed"] == 3
    text = (tmp_path / "out" / "differences.md").read_text()
    assert "| AutoClip, p = 10 | 1.30 | 0.75 | +0.55 | " in text


def test_without_scores_of_items_there_is_no_table(add_run, tmp_path):
    runs = [add_run("none", gain=1.0), add_run(gain=2.0), add_run(seed=1)]
    lines = differences.draw_all(frame(runs), tmp_path / "out")
    assert lines[-1].startswith("not drawn: ")
    assert not (tmp_path / "out").exists()
