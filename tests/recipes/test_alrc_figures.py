"""Learning curves and table of the supersampling experiment, from records whose means are known."""

import math

import numpy as np
import pytest
from matplotlib.figure import Figure

from autoclip_sep.errors import InputError
from autoclip_sep.figures import boxcar, stability_table, supersampling
from autoclip_sep.figures.supersampling import Course
from autoclip_sep.runs import run_directory


def course(means=(1.0,) * 10, **changed):
    settings = {
        "images": "photographs", "error": "quartic", "batch_size": 1, "optimizer": "adam",
        "rate": "high", "lr": 0.01, "clipping": "none", "seed": 0, "changed": "",
        "wanted": 100 * len(means), "iterations": 100 * len(means), "clipped_share": 0.25,
        "test_squared_error": 0.05, "commit": "abc", "device": "a processor", "date": "2026-01-01",
        "fingerprint": "0123456789",
    }  # fmt: skip
    return Course(**{**settings, **changed}, means=tuple(means))


def make_run(root, errors, clipping="none", seed="seed0", optimizer="adam_high", wanted=None):
    directory = root / "supersampling/photographs/quartic/batch4" / optimizer / clipping / seed
    directory.mkdir(parents=True)
    run_directory.write_config(directory, {
        "images": "photographs", "error": "quartic", "batch_size": 4, "seed": 0,
        "iterations": wanted or len(errors), "optimizer": {"lr": 0.01},
    })  # fmt: skip
    lines = [f"{number},{error!r}\n" for number, error in enumerate(errors, start=1)]
    run_directory.write_text(directory / "records.csv", "iteration,error\n" + "".join(lines))
    run_directory.write_state(
        directory, status="finished", iterations=len(errors), clipped_share=0.5,
        test_squared_error=0.1,
    )  # fmt: skip
    return directory


def test_the_curve_is_the_mean_of_500_iterations_at_every_100th(tmp_path):
    errors = [float(number) for number in range(1, 731)]
    make_run(tmp_path, errors)
    (one,) = supersampling.find(tmp_path)
    assert one.iteration.tolist() == [500, 600, 700]  # the last 30 are no whole hundred
    assert one.curve.tolist() == [250.5, 350.5, 450.5]
    assert one.final == 450.5
    assert (one.optimizer, one.rate, one.clipping, one.changed) == ("adam", "high", "none", "")
    assert (one.iterations, one.wanted, one.diverged) == (730, 730, False)


def test_a_run_that_diverged_has_no_final_error(tmp_path):
    make_run(tmp_path, [1.0] * 650 + [1e20] * 40 + [math.inf] * 10, wanted=5000)
    (one,) = supersampling.find(tmp_path)
    assert one.diverged
    assert one.final == math.inf
    assert one.curve.tolist() == [1.0, 1.0, math.inf]


def test_a_run_shorter_than_a_boxcar_has_no_curve(tmp_path):
    make_run(tmp_path, [1.0] * 76, wanted=5000)
    (one,) = supersampling.find(tmp_path)
    assert len(one.curve) == len(one.iteration) == one.spikes == 0


def test_unfinished_runs_are_passed_over_and_none_is_an_error(tmp_path):
    with pytest.raises(InputError, match="alrc_stability makes them"):
        supersampling.find(tmp_path)
    run_directory.write_state(make_run(tmp_path, [1.0] * 500), status="running")
    with pytest.raises(InputError, match="no finished"):
        supersampling.find(tmp_path)


def test_runs_with_other_settings_are_told_apart(tmp_path):
    make_run(tmp_path, [1.0] * 500)
    make_run(tmp_path, [1.0] * 500, seed="seed0-abc123")
    assert [one.changed for one in supersampling.find(tmp_path)] == ["", "abc123"]


@pytest.mark.parametrize(
    ("means", "spikes"),
    [
        ([1] * 20, 0),
        ([4] * 5 + [1] * 15, 0),  # it falls and stays
        ([1] * 10 + [7] + [1] * 10, 1),  # 2.2 times the lowest, for five points
        ([1] * 10 + [5] + [1] * 10, 0),  # 1.8 times
        ([1] * 10 + [9] + [1] * 9 + [9] + [1] * 9, 2),
        ([1] * 10 + [9, 1, 1, 9] + [1] * 9, 1),  # the second begins before the first is over
    ],
)
def test_a_spike_is_a_rise_above_twice_the_lowest_so_far(means, spikes):
    assert course(means).spikes == spikes


def test_kept_rows_come_back_to_the_digit(tmp_path):
    both = [course([0.00012345, 1e20, math.inf]), course(changed="abc123", rate="lr0.5", seed=3)]
    supersampling.write(both, tmp_path / "images" / "courses.csv")
    first, second = supersampling.find(tmp_path)
    assert first.means == (0.0001234, 1e20, math.inf)
    assert second == both[1]


def test_a_kept_row_that_is_not_whole_is_named(tmp_path):
    path = tmp_path / "courses.csv"
    supersampling.write([course()], path)
    path.write_text(path.read_text().replace("0.25", "a quarter"))
    with pytest.raises(InputError, match=r"courses.csv, line 2: could not convert"):
        supersampling.find(tmp_path)


def test_the_table_sets_seeds_without_and_with_alrc_side_by_side():
    finals = {"none": (3.0, 5.0, 4.0), "alrc_n3": (2.0, 2.0, 1.0)}
    found = [
        course([8.0] * 5 + [final] * 5, clipping=clipping, seed=seed)
        for clipping, values in finals.items()
        for seed, final in enumerate(values)
    ]
    found.append(course(batch_size=16))  # without a run to compare it with
    (line,) = stability_table.lines(found)
    assert (line.without.seeds, line.with_alrc.seeds) == (3, 3)
    assert line.without.final == stability_table.Spread(4.0, 3.0, 5.0)
    assert line.with_alrc.final == stability_table.Spread(2.0, 1.0, 2.0)
    assert line.with_alrc.worst.most == pytest.approx((4 * 8 + 2) / 5)
    assert "| quartic | Adam | high, 0.01 | 1 | 4 (3 to 5) | 2 (1 to 2) |" in (
        stability_table.markdown([line])
    )


def test_diverged_runs_are_counted_and_sorted_last():
    gone = {"wanted": 5000, "clipping": "none"}
    found = [course(**gone), course(seed=1, **gone), course(seed=2), course(clipping="alrc_n3")]
    (line,) = stability_table.lines(found)
    assert line.without.diverged == 2
    assert line.without.final == stability_table.Spread(math.inf, 1.0, math.inf)
    assert "| diverged (1 to diverged) | 1 |" in stability_table.markdown([line])
    all_gone = [course(**gone), course(clipping="alrc_n3")]
    assert "| all diverged | 1 |" in stability_table.markdown(stability_table.lines(all_gone))


def test_the_grid_has_a_row_for_each_batch_and_a_column_for_each_rate():
    found = [
        course(batch_size=batch, optimizer=optimizer, rate=rate, clipping=clipping)
        for batch in (16, 1, 4)
        for optimizer in ("rmsprop", "adam")
        for rate in ("high", "stable")
        for clipping in ("none", "alrc_n3")
    ]
    grid = boxcar.panels(found)
    assert [[(p.optimizer, p.rate) for p in row] for row in grid] == [
        [("adam", "stable"), ("adam", "high"), ("rmsprop", "stable"), ("rmsprop", "high")]
    ] * 3
    assert [row[0].batch_size for row in grid] == [1, 4, 16]
    assert all(len(panel.courses) == 2 for row in grid for panel in row)


def test_a_panel_draws_each_seed_and_marks_where_a_run_diverged():
    means = [2.0] * 5 + [1.0] * 5
    panel = boxcar.Panel(1, "adam", "high", (
        course(means), course(means, clipping="alrc_n3"), course(means, seed=1, wanted=5000),
    ))  # fmt: skip
    axes = Figure().subplots()
    boxcar._draw_panel(axes, panel, 1.0)
    curves = [line for line in axes.lines if line.get_marker() == "None"]
    crosses = [line for line in axes.lines if line.get_marker() == "x"]
    assert len(curves) == 3
    assert all(np.allclose(line.get_ydata(), [2, 1.8, 1.6, 1.4, 1.2, 1]) for line in curves)
    assert [line.get_xdata()[0] for line in crosses] == [1000]


def test_everything_is_drawn_and_said(tmp_path):
    found = [course(error=error, clipping=clipping, seed=seed) for error in ("squared", "quartic")
             for clipping in ("none", "alrc_n3") for seed in (0, 1)]  # fmt: skip
    supersampling.write([*found, course(changed="abc123", rate="lr1")], tmp_path / "courses.csv")
    out = tmp_path / "figures"
    said = boxcar.draw_all(tmp_path, out)
    assert [line.split("  ")[-1] for line in said] == [
        "4 runs", "4 runs", "2 settings",
        f"{out}/supersampling_photographs-abc123_quartic not drawn: no runs at the rates stable "
        "and high, without clipping or with ALRC",
    ]  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == [
        "supersampling_photographs.md",
        *(f"supersampling_photographs_{error}.{suffix}" for error in ("quartic", "squared")
          for suffix in ("pdf", "png")),
    ]  # fmt: skip
    picture = out / "supersampling_photographs_quartic.png"
    before = picture.read_bytes()
    boxcar.draw_all(tmp_path, out)
    assert picture.read_bytes() == before


def test_runs_that_are_too_short_are_said_not_drawn(tmp_path):
    supersampling.write([course([1.0] * 4)], tmp_path / "courses.csv")
    (said,) = boxcar.draw_all(tmp_path, tmp_path)
    assert said.endswith("quartic not drawn: no run is as long as the boxcar, 500 iterations")


def test_settings_that_were_not_run_are_empty_panels(tmp_path):
    found = [course(batch_size=4), course(optimizer="rmsprop", lr=0.005)]
    grid = boxcar.draw(found, tmp_path / "picture")
    assert [[len(panel.courses) for panel in row] for row in grid] == [[0, 1], [1, 0]]
    assert [boxcar._title(column) for column in zip(*grid, strict=True)] == [
        "Adam\nhigh rate, 0.01", "RMSProp\nhigh rate, 0.005",
    ]  # fmt: skip
