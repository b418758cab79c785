import math

from autoclip_sep.figures.comparable import (
    OverSeeds,
    by_percentile,
    by_task,
    comparable,
    over_seeds,
)
from autoclip_sep.figures.footer import origin
from autoclip_sep.figures.runs import find


def test_mean_and_spread_over_seeds():
    found = OverSeeds({0: 1.0, 1: 2.0, 5: 6.0})
    assert found.mean == 3
    assert math.isclose(found.spread, math.sqrt((4 + 1 + 9) / 2))
    assert math.isnan(OverSeeds({0: 1.0}).spread)
    assert math.isnan(OverSeeds({}).mean)


def test_a_difference_is_taken_seed_by_seed():
    difference = OverSeeds({0: 1.0, 1: 5.0, 2: 7.0}).minus(OverSeeds({2: 4.0, 1: 3.0, 9: 0.0}))
    assert difference.values == {1: 2.0, 2: 3.0}


def test_numbers_that_are_not_finite_are_left_out(add_run):
    members = {seed: add_run(seed=seed, gain=gain) for seed, gain in ((0, math.nan), (1, 2.0))}
    assert over_seeds(members, lambda run: run.score()["si_sdr_mean"]).values == {1: 2.0}


def test_unfinished_runs_and_runs_of_another_length_are_left_out_and_told(add_run, tmp_path):
    kept = [add_run(seed=seed, epochs=3) for seed in (0, 1)]
    kept.append(add_run("none", seed=0, epochs=2, done=3))  # went on; its config says less
    kept.append(add_run(loss="snr", epochs=7))  # of another loss: its own length
    short = add_run(seed=2, epochs=4, done=1)
    other = add_run(seed=3, epochs=5)
    empty = add_run(seed=4, epochs=5, done=0)
    found, left_out = comparable(find(tmp_path))
    assert set(found) == set(kept)
    assert sorted(left_out) == sorted([
        f"left out: {short.directory}: 1 of 4 epochs",
        f"left out: {other.directory}: 5 epochs, others 3",
        f"left out: {empty.directory}: 0 of 5 epochs",
    ])  # fmt: skip


def test_of_two_lengths_that_are_as_common_the_longer_one_is_kept(add_run, tmp_path):
    add_run(seed=0, epochs=2)
    longer = add_run(seed=1, epochs=3)
    assert comparable(find(tmp_path))[0] == [longer]


def test_tasks_are_told_apart_by_corpus_model_and_settings(add_run, tmp_path):
    add_run()
    add_run(loss="snr")
    add_run(changed="23aa62")
    add_run(corpus="digits")
    tasks = by_task(find(tmp_path))
    assert {task: len(members) for task, members in tasks.items()} == {
        ("demo", "blstm_demo"): 2, ("demo", "blstm_demo-23aa62"): 1, ("digits", "blstm_demo"): 1,
    }  # fmt: skip


def test_no_clipping_is_p_100_and_a_seed_counts_once(add_run, tmp_path):
    add_run("none", 0)
    add_run("autoclip_p100", 0)
    add_run("autoclip_p100", 1)
    add_run("autoclip_p1", 0)
    add_run("norm_1", 0)
    cells = by_percentile(find(tmp_path))
    assert {percentile: sorted(seeds) for percentile, seeds in cells.items()} == {
        1.0: [0], 100.0: [0, 1],
    }  # fmt: skip
    assert list(cells) == [1.0, 100.0]


def test_the_origin_names_corpus_scale_commits_and_device(add_run):
    found = [add_run(seed=0), add_run(seed=2, loss="snr", epochs=150, commit="def")]
    assert origin(found).line() == (
        "corpus demo (synthetic speech, a stand-in for WSJ0-2mix, ffffffff)  ·  "
        "blstm_demo (2 × 128, batches of 4)  ·  20 to 1,500 iterations  ·  seeds 0, 2  ·  "
        "commit abc1234567, def  ·  a CPU  ·  2026-01-02"
    )


def test_many_commits_and_seeds_are_counted(add_run):
    found = [add_run(seed=seed, commit=f"c{seed}") for seed in range(9)]
    assert origin(found).commit == "c0, c1, c2, c3 and 5 more"
    assert origin(found).seeds == "9 seeds"


def test_a_network_without_layers_and_units_is_named_by_its_class(add_run):
    found = [add_run(network={"_target_": "torchaudio.models.ConvTasNet", "num_sources": 2})]
    assert "(ConvTasNet, batches of 4)" in origin(found).line()


def test_a_model_of_ones_own_may_have_a_hyphen(add_run):
    run = add_run(model="dual-path", changed="23aa62")
    assert (run.model, run.changed, run.group[2]) == ("dual-path", "23aa62", "dual-path-23aa62")
    assert "  dual-path (2 × 128, " in origin([run]).line()


def test_an_unknown_origin_is_told(add_run):
    run = add_run(corpus="digits")
    (run.directory / "provenance.json").unlink()
    assert origin([run]).line().startswith("corpus digits (unknown)")
    assert "commit unknown  ·  unknown device  ·  unknown date" in origin([run]).line()
