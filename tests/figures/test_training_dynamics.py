import json
import math

import numpy as np
import pytest

from autoclip_sep.dynamics import COLUMNS
from autoclip_sep.errors import InputError
from autoclip_sep.figures.figure1 import training_dynamics
from autoclip_sep.figures.run_dynamics import panel
from autoclip_sep.figures.runs import RunFound, find
from autoclip_sep.figures.scores import results
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.records import Records

CLIPPERS = {
    "none": {"_target_": "autoclip_sep.clipping.NoClipping"},
    "autoclip_p10": {"_target_": "autoclip_sep.clipping.AutoClip", "percentile": 10},
    "autoclip_p100": {"_target_": "autoclip_sep.clipping.AutoClip", "percentile": 100},
    "autoclip_p10_window100": {
        "_target_": "autoclip_sep.clipping.AutoClip",
        "percentile": 10,
        "window": 100,
    },
    "norm_1": {"_target_": "autoclip_sep.clipping.NormClipping", "threshold": 1},
}


def make_run(
    root, clipping="autoclip_p10", seed=0, rows=60, slope=1.0, noise=0.0, gain=None,
    loss="mask_inference", offset=0.0,
):  # fmt: skip
    """A run whose log smoothness is `slope` times its log norm, plus noise."""
    directory = root / "demo" / loss / "blstm_demo" / clipping / f"seed{seed}"
    directory.mkdir(parents=True)
    run_directory.write_config(directory, {
        "seed": seed, "clipping": CLIPPERS[clipping], "model": {"layers": 2, "hidden": 8},
        "trainer": {"batch_size": 4},
    })  # fmt: skip
    (directory / "history.csv").write_text(f"epoch,step\n1,{20 * rows}\n")
    rng = np.random.default_rng(seed)
    file = Records(directory / "dynamics.csv", COLUMNS)
    for n in range(rows):
        norm = float(np.exp(rng.standard_normal()))
        file.append({
            "step": 20 * (n + 1), "epoch": 1, "loss": math.exp(-n / rows) + offset,
            "grad_norm": norm,
            "threshold": math.inf if clipping == "none" else 0.01 * (n + 1), "scale": 1.0,
            "step_norm": 0.5 + n % 2, "lr": 1e-3, "skipped": 0,
            "smoothness": math.nan if n == 3 else
            norm**slope * math.exp(noise * rng.standard_normal()),
        })  # fmt: skip
    if gain is not None:
        (directory / "evaluation").mkdir()
        summary = {"si_sdr_mean": gain + 1, "si_sdr_improvement_mean": gain}
        (directory / "evaluation" / "test.json").write_text(json.dumps({"summary": summary}))
    return RunFound(directory)


def stage_of(*panels, loss="mask_inference"):
    stage = training_dynamics.Stage(panels, loss, "where from")
    stage.show(panels)
    return stage


def test_the_numbers_of_a_panel(tmp_path):
    found = panel(make_run(tmp_path))
    assert found.label == "AutoClip, p = 10"
    assert math.isclose(found.r, 1.0, abs_tol=1e-12)
    assert math.isclose(found.threshold, math.log10(0.6), rel_tol=1e-12)
    assert len(found.norm) == 59  # the row without a smoothness has no place in the density
    assert np.allclose(np.log(found.loss), -np.arange(60) / 60)
    assert found.step[-1] == 1200


def test_r_is_pearsons_correlation_of_the_logs(tmp_path):
    run = make_run(tmp_path, "none", noise=1.0, rows=400)
    found = panel(run)
    assert found.label == "No clipping"
    keep = np.isfinite(run.dynamics["smoothness"])
    x, y = np.log(run.dynamics["grad_norm"][keep]), np.log(run.dynamics["smoothness"][keep])
    expected = np.mean((x - x.mean()) * (y - y.mean())) / (x.std() * y.std())
    assert math.isclose(found.r, expected, rel_tol=1e-9)
    assert 0.5 < found.r < 0.9


@pytest.mark.parametrize("clipping", ["none", "autoclip_p100"])
def test_without_clipping_there_is_no_threshold(tmp_path, clipping):
    assert panel(make_run(tmp_path, clipping)).threshold == math.inf


def test_a_panel_until_a_step_knows_nothing_of_later_ones(tmp_path):
    run = make_run(tmp_path, noise=1.0)
    early = panel(run).until(210)
    assert early.step.tolist() == list(range(20, 201, 20))
    assert early.probed.tolist() == [20, 40, 60, *range(100, 201, 20)]
    x, y = (np.log(np.delete(run.dynamics[key][:10], 3)) for key in ("grad_norm", "smoothness"))
    assert math.isclose(early.r, np.corrcoef(x, y)[0, 1], rel_tol=1e-9)
    assert math.isclose(early.threshold, math.log10(0.1), rel_tol=1e-12)


def test_before_the_first_record_nothing_is_known(tmp_path):
    early = panel(make_run(tmp_path)).until(19)
    assert (len(early.step), len(early.norm), early.threshold) == (0, 0, math.inf)
    assert math.isnan(early.r)
    assert math.isnan(panel(make_run(tmp_path, seed=1)).until(40).r)  # of two points


def test_both_files_are_drawn_and_the_same_records_give_the_same_bytes(tmp_path):
    runs_of_a_pair = make_run(tmp_path, "autoclip_p100", noise=1.0), make_run(tmp_path)
    drawn = training_dynamics.draw(*runs_of_a_pair, tmp_path / "out" / "one")
    training_dynamics.draw(*runs_of_a_pair, tmp_path / "out" / "other")
    assert [one.label for one in drawn] == ["No clipping", "AutoClip, p = 10"]
    for suffix, start in ((".png", b"\x89PNG"), (".pdf", b"%PDF")):
        one, other = (
            (tmp_path / "out" / (name + suffix)).read_bytes() for name in ("one", "other")
        )
        assert one.startswith(start)
        assert one == other


def test_every_recorded_step_is_drawn_spikes_and_all(tmp_path):
    panels = panel(make_run(tmp_path, "none")), panel(make_run(tmp_path))
    panels[0].step_norm[30] = 40.0
    stage = stage_of(*panels)
    for curve, one in zip(stage.sizes, panels, strict=True):
        assert curve.thin.get_xdata().tolist() == one.step.tolist()
        assert curve.thin.get_ydata().tolist() == one.step_norm.tolist()
    axes = stage.sizes[0].thin.axes
    assert axes.get_ylim()[0] == 0
    assert axes.get_ylim()[1] > 40
    assert stage.sizes[0].thick.get_ydata().max() <= 1.5  # the running median has no spikes


def test_losses_above_0_are_drawn_as_their_natural_log(tmp_path):
    stage = stage_of(panel(make_run(tmp_path, "none")), panel(make_run(tmp_path)))
    assert np.allclose(stage.losses[0].thin.get_ydata(), -np.arange(60) / 60)
    axes = stage.losses[0].thin.axes
    assert axes.get_ylabel() == r"ln $L_\mathrm{MI}$"
    assert axes.get_title() == "Training loss"


def test_where_one_run_has_a_negative_loss_both_are_linear_and_the_title_says_so(tmp_path):
    panels = panel(make_run(tmp_path, "none")), panel(make_run(tmp_path, offset=-0.9))
    stage = stage_of(*panels, loss="snr")
    for curve, one in zip(stage.losses, panels, strict=True):
        assert curve.thin.get_ydata().tolist() == one.loss.tolist()
    axes = stage.losses[0].thin.axes
    assert axes.get_ylabel() == r"$L_\mathrm{SNR}$ [dB]"
    assert "linear" in axes.get_title()
    assert r"signal-to-noise ratio, $L_\mathrm{SNR}$" in stage.figure.get_suptitle()


def test_the_densities_share_axes_and_colours_and_one_shows_the_threshold(tmp_path):
    panels = panel(make_run(tmp_path, "none", noise=1.0, rows=90)), panel(make_run(tmp_path))
    stage = stage_of(*panels)
    left, right = (cells.cells.axes for cells in stage.hexagons)
    assert left.get_xlim() == right.get_xlim()
    assert left.get_ylim() == right.get_ylim()
    assert (left.get_title(), right.get_title()) == ("No clipping", "AutoClip, p = 10")
    counts = [cells.cells.get_array() for cells in stage.hexagons]
    assert [one.sum() for one in counts] == [89, 59]
    for cells in stage.hexagons:
        assert cells.cells.get_clim() == (1, max(one.max() for one in counts))
    assert math.isnan(stage.thresholds[0].line.get_xdata()[0])  # nothing is clipped
    assert list(right.lines) == [stage.thresholds[1].line]
    assert list(stage.thresholds[1].line.get_xdata()) == [panels[1].threshold] * 2
    assert stage.thresholds[1].value.get_text() == "threshold at the end\n0.6"
    assert [note.get_text() for note in stage.notes] == [f"r = {panels[0].r:.2f}", "r = 1.00"]


def test_a_small_threshold_is_told_with_a_power_of_ten():
    assert training_dynamics._short(0.00024) == r"$2.4 \times 10^{-4}$"
    assert training_dynamics._short(0.0024) == "0.0024"
    assert training_dynamics._short(21.6) == "22"


def test_a_negative_correlation_has_a_minus_sign(tmp_path):
    stage = stage_of(panel(make_run(tmp_path, "none")), panel(make_run(tmp_path, slope=-1.0)))
    assert stage.notes[1].get_text() == "r = \N{MINUS SIGN}1.00"


def test_too_few_rows_are_an_error(tmp_path):
    with pytest.raises(InputError, match="train longer"):
        panel(make_run(tmp_path, rows=2))


def test_every_pair_is_drawn_and_what_can_not_be_is_named(tmp_path):
    for loss, rows in (("whitened_kmeans", 60), ("mask_inference", 2)):
        for clipping in ("autoclip_p100", "autoclip_p10"):
            make_run(tmp_path, clipping, loss=loss, rows=rows)
    short, drawn = training_dynamics.draw_all(find(tmp_path), tmp_path / "out")
    assert short.startswith("not drawn: ")
    assert "at least 3 are needed" in short
    stem = tmp_path / "out" / "training_dynamics_demo_whitened_kmeans_blstm_demo"
    assert drawn == f"{stem}.png  r = 1.00 without clipping, 1.00 with AutoClip"
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == [
        stem.name + ".pdf", stem.name + ".png",
    ]  # fmt: skip


def test_without_a_pair_one_line_says_what_was_looked_for(tmp_path):
    make_run(tmp_path)
    (line,) = training_dynamics.draw_all(find(tmp_path), tmp_path / "out")
    assert line.startswith("not drawn: training_dynamics, no two runs")
    assert not (tmp_path / "out").exists()


def test_the_table_groups_seeds_with_mean_and_spread(tmp_path):
    for seed, gain in enumerate((4.0, 5.0, 6.0)):
        make_run(tmp_path, seed=seed, gain=gain)
    make_run(tmp_path, "none", gain=3.0)
    make_run(tmp_path, "norm_1")  # not evaluated: not in the table
    lines = results.table(find(tmp_path))
    assert [(line.clipping, line.seeds) for line in lines] == [
        ("AutoClip, p = 10", 3), ("No clipping", 1),
    ]  # fmt: skip
    assert math.isclose(lines[0].improvement, 5.0)
    assert math.isclose(lines[0].si_sdr, 6.0)
    assert math.isclose(lines[0].spread, 1.0)
    assert math.isnan(lines[1].spread)
    assert math.isclose(lines[0].step_variation, 0.5)
    text = results.as_markdown(lines)
    assert "| AutoClip, p = 10 | 3 | 6.00 | 5.00 ± 1.00 | 0.50 |" in text
    assert "| No clipping | 1 | 4.00 | 3.00 | 0.50 |" in text


def test_other_clippers_are_not_taken_for_the_papers(tmp_path):
    assert math.isnan(make_run(tmp_path, "autoclip_p10_window100").percentile)
    assert make_run(tmp_path, "norm_1").clipping == "norm_1"


def test_no_clipping_and_p_100_are_one_line_and_a_seed_counts_once(tmp_path):
    make_run(tmp_path, "none", gain=3.0)
    make_run(tmp_path, "autoclip_p100", gain=3.0)
    (line,) = results.table(find(tmp_path))
    assert (line.clipping, line.seeds) == ("No clipping", 1)


def test_a_run_too_short_for_records_does_not_spoil_the_table(tmp_path):
    make_run(tmp_path, "none", gain=3.0, rows=0)
    (line,) = results.table(find(tmp_path))
    assert math.isnan(line.step_variation)


def test_no_runs_is_an_error_that_says_what_was_looked_for(tmp_path):
    with pytest.raises(InputError, match="no runs below"):
        find(tmp_path)
