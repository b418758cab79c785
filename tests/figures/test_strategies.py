import csv
import math
import warnings

import pytest

from autoclip_sep.figures.clippers import strategies
from autoclip_sep.figures.runs import find


@pytest.fixture
def found(add_run, tmp_path):
    """No clipping, AutoClip with two percentiles, three norms and one ALRC; two seeds each."""
    scores = {
        "none": (4.0, 5.0), "autoclip_p10": (6.0, 8.0), "autoclip_p50": (5.0, 6.0),
        "norm_0.1": (1.0, 2.0), "norm_1": (7.0, 6.5), "norm_10": (4.5, 5.0), "alrc_n3": (4.0, 4.0),
    }  # fmt: skip
    for label, gains in scores.items():
        for seed, gain in enumerate(gains):
            add_run(label, seed, gain, shares=[0.0, 0.0] if label == "none" else [0.2, 0.4])
    return find(tmp_path)


def test_what_each_setting_gains(found):
    settings = {one.clipping.name: one for one in strategies.strategies(found).settings}
    assert list(settings) == [
        "No clipping", "AutoClip, p = 10", "AutoClip, p = 50", "ALRC, n = 3",
        "Global norm, threshold = 0.1", "Global norm, threshold = 1",
        "Global norm, threshold = 10",
    ]  # fmt: skip
    ten = settings["AutoClip, p = 10"]
    assert ten.gain.values == {0: 7.0, 1: 9.0}  # the improvement
    assert ten.over_none.values == {0: 2.0, 1: 3.0}
    assert math.isclose(ten.share.mean, 0.3)


def test_runs_whose_labels_differ_are_never_one_setting(add_run):
    labels = ("autoclip_p10", "autoclip_p10_parameter")
    found = [add_run(label, gain=gain) for gain, label in enumerate(labels)]
    gains = {one.clipping.name: one.gain.mean for one in strategies.strategies(found).settings}
    assert gains == {"AutoClip, p = 10": 1.0, "AutoClip, p = 10, scope = parameter": 2.0}


def test_a_window_is_a_setting_of_its_own(add_run):
    labels = ("autoclip_p10_window1000", "autoclip_p10", "autoclip_p100")
    found = [add_run(label, gain=gain) for gain, label in enumerate(labels)]
    gains = {one.clipping.name: one.gain.mean for one in strategies.strategies(found).settings}
    assert gains == {
        "No clipping": 3, "AutoClip, p = 10": 2, "AutoClip, p = 10, window = 1000": 1,
    }  # fmt: skip


def test_what_a_family_costs_to_tune(found):
    families = {one.name: one for one in strategies.strategies(found).families}
    norm = families["Global norm"]
    assert norm.best.clipping.setting == "threshold = 1"
    assert norm.worst.clipping.setting == "threshold = 0.1"
    assert norm.cost.values == {0: 6.0, 1: 4.5}
    assert math.isclose(norm.guess, (2.5 + 7.75 + 5.75) / 3)
    assert (norm.runs, norm.below_none) == (6, 1)
    assert families["ALRC"].cost.values == {}  # of one setting nothing is known
    assert families["ALRC"].below_none == 1


def test_markdown(found):
    text = strategies.as_markdown(strategies.strategies(found))
    assert "No clipping: 5.50 ± 0.71." in text
    assert (
        "| Global norm | 3 (0.1 to 10) | 6 | threshold = 1 | 7.75 ± 0.35 | threshold = 0.1 "
        "| 2.50 ± 0.71 | 5.25 ± 1.06 | 5.33 | 1 of 3 |" in text
    )
    assert "| ALRC | 1 (3) | 2 | n = 3 | 5.00 ± 0.00 |  |  |  | 5.00 | 1 of 1 |" in text
    assert "| AutoClip | p = 10 | 2 | 8.00 ± 1.41 | +2.50 ± 0.71 | 30.0% |" in text
    assert "| No clipping |  | 2 | 5.50 ± 0.71 |  | 0.0% |" in text
    assert "commit abc1234567" in text


def test_csv(found):
    lines = list(csv.DictReader(strategies.as_csv(strategies.strategies(found)).splitlines()))
    assert len(lines) == 7
    line = next(line for line in lines if line["setting"] == "threshold = 0.1")
    assert line["family"] == "Global norm"
    assert float(line["si_sdr_improvement"]) == 2.5
    assert float(line["over_no_clipping"]) == -3
    assert (line["seeds"], line["loss"], line["corpus"]) == ("2", "mask_inference", "demo")
    assert math.isclose(float(line["clipped_share"]), 0.3)


def test_without_a_run_without_clipping_nothing_is_said_of_it(found):
    clipped = [run for run in found if run.percentile != 100]
    numbers = strategies.strategies(clipped)
    assert numbers.none.values == {}
    text = strategies.as_markdown(numbers)
    assert "No clipping: not run." in text
    assert " of 3" not in text
    (first, *_) = csv.DictReader(strategies.as_csv(numbers).splitlines())
    assert first["over_no_clipping"] == ""


def test_means_spreads_and_spans_are_drawn_where_they_are(found, tmp_path, monkeypatch):
    from autoclip_sep.figures import style
    from autoclip_sep.figures.clippers import strategies_picture

    figures = []
    monkeypatch.setattr(style, "save", lambda figure, stem: figures.append(figure))
    strategies_picture.draw(strategies.strategies(found), tmp_path / "x")
    gains, shares = figures[0].axes
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


def test_four_files_for_a_task_with_two_families(found, tmp_path):
    out = tmp_path / "out"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        (line,) = strategies.draw_all(found, out)
    stem = "strategies_demo_mask_inference_blstm_demo"
    assert line == f"{out / stem}.png  best minus worst [dB]: AutoClip 1.50, Global norm 5.25"
    assert sorted(path.name for path in out.iterdir()) == [
        f"{stem}.csv", f"{stem}.md", f"{stem}.pdf", f"{stem}.png",
    ]  # fmt: skip


def test_percentiles_alone_are_no_comparison(found, tmp_path):
    paper_only = [run for run in found if run.percentile > 0]
    assert strategies.draw_all(paper_only, tmp_path / "out") == [
        "not drawn: strategies on one task: no task has two ways of clipping"
    ]
