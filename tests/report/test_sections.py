"""What the sections say of runs whose numbers are known."""

import math
import shutil

import numpy as np
import pytest
import torch
from pandas import Series

from autoclip_sep.dynamics import SPIKE_COLUMNS, Spikes
from autoclip_sep.errors import InputError
from autoclip_sep.figures.runs import RunFound
from autoclip_sep.report import (
    breakdown,
    curves,
    examples,
    histograms,
    metrics,
    plots,
    results,
    spikes,
)
from autoclip_sep.report.report import write
from autoclip_sep.report.section import Table
from autoclip_sep.report.sides import reported
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.records import Records
from tests.figures.conftest import write_dynamics
from tests.report.conftest import Swapping

SI_SDR = ("item", "source", "estimate", "si_sdr", "si_sdr_mixture", "silent")


@pytest.fixture(name="add")
def _add(tmp_path):
    """Writes a run with scores; gains: improvement by item and source, NaN for silence."""

    def add(gains, label="autoclip_p10", seed=0, names=("1", "2"), items=None):
        run = tmp_path / "demo" / "mask_inference" / "blstm_demo" / label / f"seed{seed}"
        run_directory.write_config(run_made(run), {
            "seed": seed, "clipping": {
                "_target_": "autoclip_sep.clipping.AutoClip", "percentile": float(label[10:]),
            }, "data": {"name": "demo"}, "loss": {"name": "mask_inference", "heads": ["masks"]},
            "model": {"name": "blstm_demo"}, "trainer": {"epochs": 2, "batch_size": 4},
        })  # fmt: skip
        table = Records(run / "evaluation" / "test.csv", SI_SDR)
        for n, of_item in enumerate(gains):
            for name, gain in zip(names, of_item, strict=True):
                item = items[n] if items else f"item{n}"
                table.append({"item": item, "source": name, "estimate": name, "si_sdr": gain + 1.0,
                              "si_sdr_mixture": 1.0, "silent": int(math.isnan(gain))})  # fmt: skip
        table.close()
        return run

    def run_made(run):
        run.mkdir(parents=True)
        return run

    return add


def test_a_constant_gain_is_told_with_its_interval(add):
    gains = np.random.default_rng(0).normal(5, 1, (20, 2)).tolist()
    section = results.section(reported([[add(gains)]]))
    mean = np.mean(gains)
    assert section.figure == f"+{mean:.2f} dB"
    assert "over 20 mixtures" in section.answer
    first = section.parts[0].rows[0]
    assert first[1].startswith(f"{mean:.2f} (")
    assert first[2].startswith(f"{mean + 1:.2f} (")


def test_a_difference_that_is_the_same_everywhere_is_certain(add):
    gains = np.random.default_rng(0).normal(5, 3, (20, 2))
    a, b = add((gains + 0.5).tolist()), add(gains.tolist(), "autoclip_p100")
    both = reported([[a], [b]])
    assert both.title == "AutoClip p = 10 against no clipping"
    section = results.section(both)
    assert section.figure == "+0.50 dB"
    assert section.answer.startswith(
        "AutoClip p = 10 separates better: 95 % interval +0.50 to +0.50"
    )
    assert "AutoClip p = 10 is better on 100 % of 20 mixtures" in section.answer
    assert "other seeds may differ" in section.answer
    swapped = results.section(reported([[b], [a]]))
    assert swapped.figure == "−0.50 dB"
    assert swapped.answer.startswith("AutoClip p = 10 separates better")
    noise = np.random.default_rng(1).normal(0, 1, (20, 2))
    other = add((gains + noise - noise.mean()).tolist(), "autoclip_p50")
    assert results.section(reported([[a.parent.parent / other.parent.name / "seed0"], [b]]))
    unsure = results.section(reported([[other], [b]]))
    assert unsure.answer.startswith("No clear winner")


def test_silent_sources_are_left_out_and_counted(add):
    run = add([[4.0, math.nan], [6.0, 6.0], [5.0, 5.0]])
    section = results.section(reported([[run]]))
    assert section.figure == "+5.20 dB"  # of five sources, as evaluate.py's mean
    table = next(part for part in section.parts if isinstance(part, Table))
    assert table.caption == "Means over sources, with 95 % intervals over mixtures"
    assert "Left out without a finite score: 1 of 6 sources." in section.answer


def test_the_difference_of_two_is_that_of_their_means_where_sources_are_silent(add):
    gains = [[4.0, math.nan], [6.0, 7.0], [1.0, 2.0]]
    a, b = add(gains), add([[1.0, math.nan], [3.0, 3.0], [3.0, 3.0]], "autoclip_p100")
    section = results.section(reported([[a], [b]]))
    table = next(part for part in section.parts if isinstance(part, Table))
    assert [row[1].partition(" ")[0] for row in table.rows] == ["4.00", "2.60"]
    assert section.figure == "+1.40 dB"


def test_one_mixture_has_no_interval(add):
    section = results.section(reported([[add([[4.0, 6.0]])]]))
    assert section.figure == "+5.00 dB"
    assert "too few for an interval" in section.answer
    histograms.section(reported([[add([[4.0, 6.0]], seed=1)]]))


def test_other_mixtures_are_not_compared(add):
    a, b = add([[1.0, 2.0]] * 3), add([[1.0, 2.0]] * 3, "autoclip_p100", items=["x", "y", "z"])
    both = reported([[a], [b]])
    for section in (results.section, histograms.section):
        with pytest.raises(InputError, match="scores that the other hasn't"):
            section(both)


def test_sides_that_are_called_the_same_are_told_apart(add):
    run = add([[1.0, 2.0]] * 3)
    sides = reported([[run], [run]]).sides
    assert [side.name for side in sides] == ["AutoClip p = 10 (A)", "AutoClip p = 10 (B)"]


def test_bounds_and_other_metrics_are_rows(add):
    run = add([[4.0, 6.0], [5.0, 5.0]], names=("vocals", "drums"))
    bounds = run / "evaluation" / "bounds" / "truncated_phase_sensitive_mask"
    table = Records(bounds / "test.csv", SI_SDR)
    for item in ("item0", "item1"):
        for source in ("vocals", "drums"):
            table.append({"item": item, "source": source, "estimate": source, "si_sdr": 13.0,
                          "si_sdr_mixture": 1.0, "silent": 0})  # fmt: skip
    table.close()
    other = Records(run / "evaluation" / "test_bss_eval.csv", ("item", "source", "sdr", "silent"))
    for item, sdr in (("item0", 3.0), ("item1", 5.0)):
        for source in ("vocals", "drums"):
            other.append({"item": item, "source": source, "sdr": sdr, "silent": 0})
    other.close()
    one = reported([[run]])
    section = results.section(one)
    assert "Its bound, the truncated phase-sensitive mask, is 7.00 dB higher." in section.answer
    plot, table, by_source = section.parts
    assert "Truncated phase-sensitive mask +12.00 dB" in plot.answer
    assert [row[0] for row in table.rows] == ["AutoClip p = 10", "Truncated phase-sensitive mask"]
    assert [row[0] for row in by_source.rows] == ["vocals", "drums"]
    (found,) = metrics.section(one).parts
    assert found.columns == ["", "SDR [dB]"]
    assert found.rows[0][1].startswith("4.00 (")


def test_bounds_of_another_corpus_are_no_bounds(add):
    """As where the run was evaluated again, on another corpus by force and without bounds."""
    run = add([[4.0, 6.0], [5.0, 5.0]])
    folder = run / "evaluation" / "bounds" / "truncated_phase_sensitive_mask"
    folder.mkdir(parents=True)
    shutil.copy(run / "evaluation" / "test.csv", folder)
    for place, fingerprint in ((run / "evaluation", "a"), (folder, "b")):
        run_directory.write_json(
            place / "test.json", {"provenance": {"fingerprint": fingerprint}, "summary": {"x": 1.0}}
        )
    assert not reported([[run]]).sides[0].bounds()
    assert not RunFound(run).bounds()
    run_directory.write_json(
        folder / "test.json", {"provenance": {"fingerprint": "a"}, "summary": {"x": 1.0}}
    )
    assert reported([[run]]).sides[0].bounds()
    assert RunFound(run).bounds()


def test_a_breakdown_names_what_sets_mixtures_apart(add):
    gains = [[2.0, 2.1]] * 10 + [[8.0, 8.1]] * 10
    run = add([[a + 0.01 * n, b] for n, (a, b) in enumerate(gains)])
    items = Records(run / "evaluation" / "test_items.csv", ("item", "seconds", "genders"))
    for n in range(20):
        items.append(
            {"item": f"item{n}", "seconds": 5.0 + n % 4, "genders": "f + m" if n >= 10 else "f + f"}
        )
    items.close()
    section = breakdown.section(reported([[run]]))
    assert "by genders" in section.answer
    assert "dB for same (f + f)" in section.answer
    assert section.parts[-1].rows[0][0] == "item0"
    with pytest.raises(InputError, match=r"evaluate\.py writes it"):
        breakdown.section(reported([[add(gains, seed=1)]]))


def test_systems_without_masks_show_their_estimates_shares(add, tiny_store):
    items = tiny_store.split("test").items
    one = reported([[add([[n, n + 1.0] for n in range(5)], items=items)]])
    material = examples.Material(tiny_store, [Swapping()], ("1", "2"))
    section, of_spikes = examples.sections(one, material)
    text, *found = section.parts
    assert "each estimate's share of all estimates' magnitudes" in text.text
    assert [example.title for example in found] == [
        "Best: +4.50 dB",
        "Median: +2.50 dB",
        "Worst: +0.50 dB",
    ]
    assert [example.item for example in found] == [items[4], items[2], items[0]]
    corpus, estimates = found[0].rows
    assert [sound.title for sound in corpus.sounds] == [
        "Mixture", "Reference, source 1", "Reference, source 2",
    ]  # fmt: skip
    assert [sound.note for sound in estimates.sounds] == ["+4.00 dB", "+5.00 dB"]
    assert [len(sound.pictures) for sound in estimates.sounds] == [2, 2]
    assert of_spikes == []


def test_what_is_missing_is_named_and_the_rest_is_there(add, tmp_path):
    pytest.importorskip("plotly")
    run = add([[1.0, 2.0]] * 3)
    write_dynamics(run / "dynamics.csv", grad_norm=(1.0, 2.0, math.nan, 4.0))

    def nowhere():
        raise InputError(f"{run}: no checkpoint")

    left_out = write(reported([[run]]), nowhere, tmp_path / "page.html", "0")
    names = [line.partition(":")[0] for line in left_out]
    assert names == ["examples to hear", "other metrics", "breakdown", "learning curves",
                     "thresholds", "spikes"]  # fmt: skip
    page = (tmp_path / "page.html").read_text()
    assert "no checkpoint" in page
    assert str(tmp_path) not in page
    assert "<audio" not in page
    with pytest.raises(InputError, match="nothing to report"):
        write(reported([[tmp_path]]), nowhere, tmp_path / "none.html", "0")
    assert not (tmp_path / "none.html").exists()


def test_curves_that_never_were_finite_are_no_curves(add):
    run = add([[1.0, 2.0]] * 3)
    rows = Records(run / "history.csv", ("epoch", "step", "train_loss", "valid_loss"))
    for epoch, loss in ((1, math.nan), (2, math.inf)):
        rows.append({"epoch": epoch, "step": epoch, "train_loss": loss, "valid_loss": loss})
    rows.close()
    with pytest.raises(InputError, match="no finite validation loss"):
        curves.section(reported([[run]]))
    with pytest.raises(InputError, match="no run has any"):
        spikes.section(reported([[run]]))


def test_bins_are_as_many_as_the_mixtures_allow(add):
    """Forty of 200 mixtures were mostly noise."""
    rng = np.random.default_rng(0)
    section = histograms.section(reported([[add(rng.normal(5, 2, (200, 2)).tolist())]]))
    (bars,) = section.parts[0].data
    assert 8 <= len(bars["y"]) <= 20
    assert sum(bars["y"]) == 200
    few, many = (Series(rng.normal(5, 2, count)) for count in (10, 3000))
    assert len(histograms.bins([few], [-5, 15])) < len(histograms.bins([few, many], [-5, 15]))


def test_it_is_said_what_a_spike_is(add):
    run = add([[1.0, 2.0]] * 3)
    table = Records(run / "spikes.csv", SPIKE_COLUMNS)
    table.append({"step": 150, "epoch": 1, "grad_norm": 9.0, "median_norm": 1.0, "item": "a",
                  "loss": 1.0})  # fmt: skip
    table.close()
    said = spikes.section(reported([[run]])).answer
    assert "from the 101st on, above 5 times the median of up to 1,000 norms before it" in said
    watched, counts = Spikes(None), []
    for norm in [*[1.0] * 100, 5.1, 4.9, math.nan]:
        watched.watch(norm, torch.ones(1), ["a"], step=0)
        counts.append(watched.count)
    assert counts[-4:] == [0, 1, 1, 2]


def test_thinned_curves_keep_their_spikes():
    steps = np.arange(100_000)
    values = np.sin(steps / 1000)
    values[54_321], values[12_345] = 50, -50
    x, y = plots.thinned(steps, values)
    assert len(x) <= plots.MOST_POINTS + 2
    assert np.all(np.diff(x) > 0)
    assert (x[y.argmax()], x[y.argmin()]) == (54_321, 12_345)
    few = np.arange(1000), np.zeros(1000)
    assert plots.thinned(*few)[0] is few[0]


def test_numbers_fit_json():
    assert plots.numbers([1.23456789, math.nan, -math.inf]) == [1.2346, None, None]
    assert plots.label("<b>\x1b&") == "&lt;b&gt;\\x1b&amp;"
    ticks = plots.log_ticks([-3.2, -2.1])
    assert 0.002 in ticks["tickvals"]
    assert ticks["ticktext"][ticks["tickvals"].index(0.002)] == "2e−3"
    assert plots.log_ticks([0, 9])["tickvals"][:3] == [0.1, 1.0, 10.0]
    assert plots.limits([[math.nan]]) == [0.0, 1.0]
    assert plots.signed(-0.5, "dB") == "−0.50 dB"
