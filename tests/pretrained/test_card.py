"""The card says what the run recorded, in Markdown that no name can break."""

import json
from pathlib import Path

import pytest
import yaml

from autoclip_sep.evaluation.metrics.si_sdr import SiSdr
from autoclip_sep.evaluation.tables import summarise
from autoclip_sep.pretrained import card, folder, from_pretrained
from autoclip_sep.statistics.interval import interval
from tests.pretrained.runs import evaluated, untrained


def described(run: Path) -> dict:
    return folder.describe(from_pretrained(run))


def test_scores_are_evaluates_with_intervals_over_items_and_counts(tmp_path: Path) -> None:
    run = evaluated(untrained(tmp_path / "run"))
    found = described(run)["scores"]

    by_name = {row["score"]: row for row in found}
    assert list(by_name) == ["si_sdr", "si_sdr_improvement"]
    row = by_name["si_sdr"]
    expected = interval([6.0, 9.0, 2.0], [2, 1, 2])  # a, b without its silent source, c
    assert row["mean"] == pytest.approx((5 + 7 + 9 + 1 + 3) / 5)
    assert row["interval"] == [expected.low, expected.high]
    assert (row["median"], row["items"], row["undefined"]) == (5.0, 3, 1)
    summary = summarise(SiSdr(), run / "evaluation" / "test.csv")
    for name, row in by_name.items():
        assert row["mean"] == pytest.approx(summary[f"{name}_mean"])
        assert row["median"] == summary[f"{name}_median"]
    assert by_name["si_sdr_improvement"]["mean"] == pytest.approx((5 + 6 + 7 + 2 + 3) / 5)
    text = card.text(described(tmp_path / "run"))
    assert (
        f"| test | SI-SDR, dB | 5.00 | {expected.low:.2f} to {expected.high:.2f} | 5.00 | 3 | 1 |"
        in text
    )


def test_counts_of_windows_are_no_scores(tmp_path: Path) -> None:
    run = evaluated(untrained(tmp_path / "run"))
    evaluation = run / "evaluation"
    text = "item,source,sdr,isr,sir,sar,frames,silent\na,1,3.0,4.0,5.0,6.0,30,0\n"
    (evaluation / "test_bss_eval.csv").write_text(text)
    (evaluation / "test_bss_eval.json").write_text((evaluation / "test.json").read_text())
    rows = [row for row in described(run)["scores"] if row["metric"] == "bss_eval"]
    assert [(row["score"], row["mean"]) for row in rows] == [
        ("sdr", 3.0), ("isr", 4.0), ("sir", 5.0), ("sar", 6.0),
    ]  # fmt: skip
    assert "| bss_eval: sdr \\[dB\\] | 3.00 |" in card.text(described(run))


def test_scores_of_another_checkpoint_are_left_out(tmp_path: Path) -> None:
    run = evaluated(untrained(tmp_path / "run"), sha256="0" * 64)
    assert described(run)["scores"] == []
    assert "was not evaluated" in card.text(described(run))


def test_scores_of_another_corpus_are_left_out(tmp_path: Path) -> None:
    """As evaluate.py makes them with force=true: the card says that they are of the run's own."""
    run = evaluated(untrained(tmp_path / "run"))
    note = run / "evaluation" / "test.json"
    provenance = json.loads(note.read_text())["provenance"]
    note.write_text(json.dumps({"provenance": {**provenance, "fingerprint": "b"}}))
    (run / "provenance.json").write_text('{"fingerprint": "a"}')
    assert described(run)["scores"] == []
    (run / "provenance.json").write_text('{"fingerprint": "b"}')
    assert len(described(run)["scores"]) == 2


def test_training_is_told_as_the_run_recorded_it(tmp_path: Path) -> None:
    run = untrained(tmp_path / "run", "percentile=25", "loss=snr", "optimizer.lr=0.002", "seed=4")
    text = card.text(described(run))
    for said in (
        "| corpus | demo |", "| content | synthetic speech", "| loss | snr |",
        "| clipping | autoclip_p25 |", "lr 0.002", "| steps | 12 |", "| epochs | 3 |",
        "| seed | 4 |", "commit abc123", "Data: no recordings: synthesised by espeak-ng",
        "- Weights: not stated", "2 sources of mono mixtures at 8000 Hz", "nothing above 4 kHz",
    ):  # fmt: skip
        assert said in text
    header = yaml.safe_load(text.split("---")[1])
    assert header["library_name"] == "autoclip_sep"


def test_a_licence_in_the_corpus_config_is_told(tmp_path: Path) -> None:
    run = untrained(tmp_path / "run", "data=wsj0_2mix", "data.root=x", "data.licence='mine'")
    assert "Data: mine" in card.text(described(run))


def test_a_corpus_that_says_nothing_is_not_stated(tmp_path: Path) -> None:
    run = untrained(tmp_path / "run", "data=tree", "data.root=x")
    assert "Data: not stated" in card.text(described(run))


def test_names_are_neither_html_nor_markdown(tmp_path: Path) -> None:
    content = json.loads(json.dumps(described(untrained(tmp_path / "run"))))
    content["data"]["name"] = "<script>alert(1)</script> | [x](javascript:y)\n# new"
    text = card.text(content)
    assert "<script" not in text
    assert "\n# new" not in text
    assert r"\[x\](javascript" in text
    assert r"| corpus | &lt;script&gt;alert(1)&lt;/script&gt; \| " in text
