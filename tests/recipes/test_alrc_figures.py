"""Learning curves and table of the supersampling experiment, from records whose means are known."""

import math

import numpy as np
import pandas as pd
import pytest

from autoclip_sep.cli.commands import reproduce
from autoclip_sep.errors import InputError
from autoclip_sep.runs import run_directory


def row(means=(1.0,) * 10, **changed):
    """A run as courses.csv has it."""
    return {
        "images": "photographs", "error": "quartic", "batch_size": 1, "optimizer": "adam",
        "rate": "high", "lr": 0.01, "clipping": "none", "seed": 0, "changed": "",
        "wanted": 100 * len(means), "iterations": 100 * len(means), "clipped_share": 0.25,
        "test_squared_error": 0.05, "commit": "abc", "device": "a processor", "date": "2026-01-01",
        "fingerprint": "0123456789", "means": " ".join(map(str, means)), **changed,
    }  # fmt: skip


@pytest.fixture
def kept(alrc, tmp_path):
    """A function that keeps rows in a table below tmp_path and finds them there."""

    def keep(*rows):
        pd.DataFrame(rows).to_csv(tmp_path / "courses.csv", index=False)
        return alrc.runs.find(tmp_path)

    return keep


@pytest.fixture
def made(alrc, tmp_path):
    """A function that makes the directory of a run below tmp_path and finds all that are there."""

    def make(errors, wanted=None, seed="seed0", status="finished"):
        directory = tmp_path / "supersampling/photographs/quartic/batch4/adam_high/none" / seed
        directory.mkdir(parents=True)
        run_directory.write_config(directory, {
            "images": "photographs", "error": "quartic", "batch_size": 4, "seed": 0,
            "iterations": wanted or len(errors), "optimizer": {"lr": 0.01},
        })  # fmt: skip
        lines = [f"{number},{error!r}\n" for number, error in enumerate(errors, start=1)]
        run_directory.write_text(directory / "records.csv", "iteration,error\n" + "".join(lines))
        run_directory.write_state(
            directory, status=status, clipped_share=0.5, test_squared_error=0.1
        )
        return alrc.runs.find(tmp_path)

    return make


def test_the_curve_is_the_mean_of_500_iterations_at_every_100th(made):
    run = made([float(number) for number in range(1, 731)]).loc[0]
    assert run["curve"].tolist() == [250.5, 350.5, 450.5]  # the last 30 are no whole hundred
    assert (run["final"], run["highest"], run["diverged"]) == (450.5, 450.5, False)
    assert [run[key] for key in ("optimizer", "rate", "clipping", "changed", "iterations")] == [
        "adam", "high", "none", "", 730,
    ]  # fmt: skip


def test_a_run_that_diverged_has_no_final_error(made):
    run = made([1.0] * 650 + [1e20] * 40 + [math.inf] * 10, wanted=5000).loc[0]
    assert run["diverged"]
    assert (run["final"], run["highest"]) == (math.inf, math.inf)
    assert run["curve"].tolist() == [1.0, 1.0, math.inf]


@pytest.mark.parametrize(("wanted", "final"), [(5000, math.inf), (76, math.nan)])
def test_a_run_shorter_than_a_boxcar_has_no_curve(made, wanted, final):
    run = made([1.0] * 76, wanted).loc[0]
    assert len(run["curve"]) == run["spikes"] == 0
    assert np.array_equal([run["final"], run["highest"]], [final, final], equal_nan=True)


def test_unfinished_runs_are_skipped_and_none_is_an_error(alrc, made, tmp_path):
    with pytest.raises(InputError, match="alrc_stability makes them"):
        alrc.draw.run([f"runs={tmp_path}", f"output={tmp_path / 'figures'}"])
    assert not list(tmp_path.iterdir())
    with pytest.raises(InputError, match="no finished"):
        made([1.0] * 500, status="running")


def test_runs_with_other_settings_are_told_apart(made):
    made([1.0] * 500)
    assert made([1.0] * 500, seed="seed0-123456")["changed"].tolist() == ["", "123456"]


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
def test_a_spike_is_a_rise_above_twice_the_lowest_so_far(kept, means, spikes):
    assert kept(row(means))["spikes"].tolist() == [spikes]


def test_kept_rows_come_back_to_the_digit(alrc, kept, tmp_path):
    found = kept(
        row([0.0001234, 1e20, math.inf], test_squared_error="nan"),
        row(changed="123456", rate="lr0.5", seed=3),
    )
    path = tmp_path / "again" / "images" / "courses.csv"
    alrc.runs.write(found, path)
    pd.testing.assert_frame_equal(alrc.runs.find(tmp_path / "again"), found)
    assert found["changed"].tolist() == ["", "123456"]
    assert math.isnan(found["test_squared_error"][0])


@pytest.mark.parametrize(
    ("damage", "named"),
    [
        ({"clipped_share": "a quarter"}, "a quarter"),
        ({"means": ["1.0", "one"]}, "one"),
        ({"seed": "0.5"}, "0.5"),
    ],
)
def test_a_kept_row_that_is_not_whole_is_named(kept, damage, named):
    with pytest.raises(InputError, match=rf"courses.csv: .*'{named}'"):
        kept(row(), row(**damage))


def test_a_kept_table_without_a_column_is_refused(kept):
    without = row()
    del without["rate"]
    with pytest.raises(InputError, match=r"courses.csv: .*rate"):
        kept(without)


def test_the_table_sets_seeds_without_and_with_alrc_side_by_side(alrc, kept):
    finals = {"none": (3.0, 5.0, 4.0), "alrc_n3": (2.0, 2.0, 1.0)}
    found = kept(
        *(
            row([8.0] * 5 + [final] * 5, clipping=clipping, seed=seed)
            for clipping, values in finals.items()
            for seed, final in enumerate(values)
        ),
        row(batch_size=16),  # without a run to compare it with
    )
    assert alrc.table.markdown(alrc.table.rows(found)).splitlines()[2:] == [
        "| quartic | Adam | high, 0.01 | 1 | 4 (3 to 5) | 2 (1 to 2) | 7.2 | 6.8 | 0.0 | 0.0 "
        "| 25.0% |"
    ]


def test_squared_errors_and_stable_rates_come_first_and_each_rate_alone(alrc, kept):
    settings = [
        {"error": error, "rate": rate, "lr": lr, "clipping": clipping}
        for error in ("quartic", "squared")
        for rate, lr in (("lr0.5", 0.5), ("high", 0.1), ("stable", 0.01))
        for clipping in ("none", "alrc_n3")
    ]
    rows = alrc.table.rows(kept(*(row(**one) for one in settings)))
    assert [(one["error"], one["learning rate"]) for one in rows] == [
        (error, rate)
        for error in ("squared", "quartic")
        for rate in ("stable, 0.01", "lr0.5, 0.5", "high, 0.1")
    ]


@pytest.mark.parametrize(
    ("whole", "final", "highest"),
    [(1, "diverged (1 to diverged)", "diverged"), (0, "all diverged", "diverged"),
     (2, "1 (1 to diverged)", "1")],
)  # fmt: skip
def test_diverged_runs_are_counted_and_sorted_last(alrc, kept, whole, final, highest):
    seeds = [row(seed=seed, wanted=1000 if seed < whole else 5000) for seed in range(3)]
    (found,) = alrc.table.rows(kept(*seeds, row(clipping="alrc_n3")))
    assert (found["final error, none"], found["highest, none"]) == (final, highest)
    assert found["final error, ALRC"] == "1"


def test_the_grid_has_a_row_for_each_batch_and_a_column_for_each_rate(alrc, kept, tmp_path):
    found = kept(
        row([2.0] * 5 + [1.0] * 5), row(clipping="alrc_n3"), row(seed=1, wanted=5000),
        row(rate="stable", batch_size=16), row(optimizer="rmsprop", lr=0.005, batch_size=4),
    )  # fmt: skip
    axes = np.reshape(alrc.learning_curves.draw(found, tmp_path / "picture").axes, (3, 3))
    assert [ax.get_ylabel() for ax in axes[:, 0]] == ["batch 1", "batch 4", "batch 16"]
    assert [ax.get_title() for ax in axes[0]] == [
        "Adam\nstable rate, 0.01", "Adam\nhigh rate, 0.01", "RMSProp\nhigh rate, 0.005",
    ]  # fmt: skip
    assert [[len(ax.lines) for ax in line] for line in axes] == [[0, 4, 0], [0, 0, 1], [1, 0, 0]]
    first, cross = axes[0, 1].lines[0], axes[0, 1].lines[2]
    assert np.allclose(first.get_xdata(), [500, 600, 700, 800, 900, 1000])
    assert np.allclose(first.get_ydata(), [2, 1.8, 1.6, 1.4, 1.2, 1])
    assert (cross.get_marker(), cross.get_xdata()[0]) == ("x", 1000)


def test_everything_is_drawn_and_said(alrc, kept, tmp_path, capsys):
    kept(
        *(row(error=error, clipping=clipping, seed=seed) for error in ("squared", "quartic")
          for clipping in ("none", "alrc_n3") for seed in (0, 1)),
        row(changed="abc123", rate="lr1"), row(changed="def456", means=[1.0] * 4),
    )  # fmt: skip
    out = tmp_path / "figures"
    alrc.draw.run([f"runs={tmp_path}", f"output={out}"])
    said = capsys.readouterr().out.splitlines()
    assert [line.split("  ")[-1] for line in said] == [
        "4 runs", "4 runs", "2 settings",
        f"{out}/supersampling_photographs-abc123_quartic not drawn: no runs at the rates stable "
        "and high, without clipping or with ALRC",
        f"{out}/supersampling_photographs-def456_quartic not drawn: no run is as long as the "
        "boxcar, 500 iterations",
    ]  # fmt: skip
    names = [
        "supersampling_photographs.md",
        *(f"supersampling_photographs_{error}.{suffix}" for error in ("quartic", "squared")
          for suffix in ("pdf", "png")),
    ]  # fmt: skip
    assert sorted(path.name for path in out.iterdir()) == ["index.html", *names]
    assert all(name in (out / "index.html").read_text() for name in names)
    before = {name: (out / name).read_bytes() for name in names}
    alrc.draw.run([f"runs={tmp_path}", f"output={out}"])
    assert {name: (out / name).read_bytes() for name in names} == before


def test_reproduce_draws_them_beside_those_of_train(kept, tmp_path, capfd, monkeypatch):
    """Whether or not there are any of these."""
    monkeypatch.chdir(tmp_path)
    kept(row(), row(clipping="alrc_n3"))
    drawings = reproduce.read_grid(["scale=demo"]).drawings
    (error,) = reproduce._draw(drawings, tmp_path)
    assert "no runs below" in error
    assert capfd.readouterr().out.count("\n") == 2
    assert (tmp_path / "figures" / "supersampling_photographs_quartic.png").is_file()
