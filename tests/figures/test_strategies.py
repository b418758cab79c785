import math

import pandas as pd
import pytest

from autoclip_sep.figures.clippers import strategies
from autoclip_sep.figures.clippers.strategies_numbers import Strategies
from autoclip_sep.figures.runs import find, frame

STEM = "strategies_demo_mask_inference_blstm_demo"


@pytest.fixture
def runs(add_run, tmp_path):
    """No clipping, AutoClip with two percentiles, three norms and one ALRC; two seeds each."""
    scores = {
        "none": (4.0, 5.0), "autoclip_p10": (6.0, 8.0), "autoclip_p50": (5.0, 6.0),
        "norm_0.1": (1.0, 2.0), "norm_1": (7.0, 6.5), "norm_10": (4.5, 5.0), "alrc_n3": (4.0, 4.0),
    }  # fmt: skip
    for label, gains in scores.items():
        for seed, gain in enumerate(gains):
            add_run(label, seed, gain, shares=[0.0, 0.0] if label == "none" else [0.2, 0.4])
    return frame(find(tmp_path))


def test_what_each_setting_gains(runs):
    numbers = Strategies(runs)
    assert list(numbers.settings.index) == list(numbers.gains) == [
        "No clipping", "AutoClip, p = 10", "AutoClip, p = 50", "ALRC, n = 3",
        "Global norm, threshold = 0.1", "Global norm, threshold = 1",
        "Global norm, threshold = 10",
    ]  # fmt: skip
    assert numbers.gains["AutoClip, p = 10"].to_dict() == {0: 7.0, 1: 9.0}  # the improvement
    ten = numbers.settings.loc["AutoClip, p = 10"]
    assert (ten["si_sdr_improvement"], ten["over_no_clipping"], ten["seeds"]) == (8.0, 2.5, 2)
    assert math.isclose(ten["clipped_share"], 0.3)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (
            ("autoclip_p10", "autoclip_p10_parameter"),
            ["AutoClip, p = 10", "AutoClip, p = 10, scope = parameter"],
        ),
        (
            ("autoclip_p100", "autoclip_p10", "autoclip_p10_window1000"),
            ["No clipping", "AutoClip, p = 10", "AutoClip, p = 10, window = 1000"],
        ),
    ],
)
def test_runs_whose_labels_differ_are_never_one_setting(add_run, labels, names):
    found = [add_run(label, gain=gain) for gain, label in enumerate(labels)]
    assert list(Strategies(frame(found)).settings.index) == names


def test_what_a_family_costs_to_tune(runs):
    families = Strategies(runs).families
    assert list(families.index) == ["AutoClip", "ALRC", "Global norm"]
    norm = families.loc["Global norm"]
    assert norm["best"] == "Global norm, threshold = 1"
    assert norm["worst"] == "Global norm, threshold = 0.1"
    assert (norm["cost"], norm["cost_sd"]) == pytest.approx((5.25, 1.5 / math.sqrt(2)))  # by seed
    assert math.isclose(norm["guess"], (2.5 + 7.75 + 5.75) / 3)
    assert (norm["runs"], norm["below_none"]) == (6, 1)
    assert math.isnan(families.loc["ALRC", "cost"])  # of one setting nothing is known
    assert families.loc["ALRC", "below_none"] == 1


def test_markdown(runs):
    text = strategies.as_markdown(Strategies(runs))
    assert "No clipping: 5.50 ± 0.71." in text
    assert (
        "| Global norm | 3 (0.1 to 10) | 6 | threshold = 1 | 7.75 ± 0.35 | threshold = 0.1 "
        "| 2.50 ± 0.71 | 5.25 ± 1.06 | 5.33 | 1 of 3 |" in text
    )
    assert "| ALRC | 1 (3) | 2 | n = 3 | 5.00 ± 0.00 |  |  |  | 5.00 | 1 of 1 |" in text
    assert "| AutoClip | p = 10 | 2 | 8.00 ± 1.41 | +2.50 ± 0.71 | 30.0% |" in text
    assert "| No clipping |  | 2 | 5.50 ± 0.71 |  | 0.0% |" in text
    assert "commit abc1234567" in text


def test_without_a_run_without_clipping_nothing_is_said_of_it(runs, saved, tmp_path):
    numbers = Strategies(runs[runs["percentile"] != 100])
    strategies.draw(numbers, tmp_path / "x")
    text = strategies.as_markdown(numbers)
    assert "No clipping: not run." in text
    assert " of 3" not in text
    assert pd.read_csv(tmp_path / "x.csv")["over_no_clipping"].isna().all()


def test_means_spreads_and_spans_are_drawn_where_they_are(runs, saved, tmp_path):
    strategies.draw(Strategies(runs), tmp_path / "x")
    gains, shares = saved[0].axes
    rows = dict(zip([label.get_text() for label in gains.get_yticklabels()],
                    gains.get_yticks(), strict=True))  # fmt: skip
    means = {bar.lines[0].get_ydata()[0]: bar.lines[0].get_xdata()[0] for bar in gains.containers}
    assert means[rows["p = 10"]] == 8
    assert means[rows["threshold = 10"]] == 5.75
    spans = [patch for patch in gains.patches if patch.get_height() == 3]
    assert [(one.get_x(), one.get_width()) for one in spans] == [(2.5, 5.25)]
    texts = [text.get_text() for text in gains.texts]
    assert texts == [
        "best − worst 1.50 dB, 2 settings, 4 runs", "one setting tried",
        "best − worst 5.25 dB, 3 settings, 6 runs",
    ]  # fmt: skip
    assert [round(bar.patches[0].get_width(), 9) for bar in shares.containers] == [0.0] + [0.3] * 6


@pytest.mark.filterwarnings("error")
def test_four_files_for_a_task_with_two_families(runs, tmp_path):
    out = tmp_path / "out"
    (line,) = strategies.draw_all(runs, out)
    assert line == f"{out / STEM}.png  best minus worst [dB]: AutoClip 1.50, Global norm 5.25"
    assert {path.name for path in out.iterdir()} == {
        f"{STEM}.{suffix}" for suffix in ("csv", "md", "pdf", "png")
    }
    table = pd.read_csv(out / f"{STEM}.csv").set_index("setting")
    assert len(table) == 7
    row = table.loc["threshold = 0.1"]
    assert row[["family", "si_sdr_improvement", "over_no_clipping", "seeds", "loss", "corpus"]
               ].tolist() == ["Global norm", 2.5, -3, 2, "mask_inference", "demo"]  # fmt: skip
    assert math.isclose(row["clipped_share"], 0.3)


def test_percentiles_alone_are_no_comparison(runs, tmp_path):
    assert strategies.draw_all(runs[runs["percentile"] > 0], tmp_path / "out") == [
        "not drawn: strategies on one task: no task has two ways of clipping"
    ]
