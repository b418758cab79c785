import math

import numpy as np
import pandas as pd
import pytest

from autoclip_sep.figures import paper
from autoclip_sep.figures.runs import find, frame
from autoclip_sep.figures.table1 import cells, picture, table1
from autoclip_sep.figures.table1.cells import (
    Table,
    best,
    best_of_each_seed,
    gap,
    paper_best,
    paper_gap,
)
from autoclip_sep.figures.table1.text import as_csv, as_latex, as_markdown

LOSSES = ["deep_clustering", "whitened_kmeans", "mask_inference", "chimera", "snr"]
nan = math.nan


@pytest.fixture
def runs(add_run, tmp_path):
    """Mask inference with p = 1, 10, 100 and seeds 0, 1, of which p = 1 has but one; SNR one p."""
    for seed, gain in ((0, 6.0), (1, 8.0)):
        add_run("autoclip_p10", seed, gain)
    for seed, gain in ((0, 5.5), (1, 6.5)):
        add_run("autoclip_p100", seed, gain)
    add_run("autoclip_p1", 0, 7.5)
    add_run("autoclip_p10", 0, 3.0, loss="snr")
    add_run("norm_1", 0, 99.0)
    return frame(find(tmp_path))


@pytest.fixture
def table(runs):
    return Table(runs[runs["percentile"] >= 0])


def rows_of(text):
    """A Markdown table by its first column."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in rows}


def test_scores_best_and_gap(table):
    scores = table.scores["mask_inference"]
    assert scores[10].to_dict() == {0: 6, 1: 8}
    assert best(scores) == 1
    assert best_of_each_seed(scores).to_dict() == {0: 1}  # seed 1 hasn't run p = 1
    assert gap(scores).to_dict() == {0: 0.5, 1: 1.5}


def test_of_two_percentiles_that_are_as_good_the_lower_one_is_best(add_run):
    found = [add_run(label, 0, 2.0) for label in ("autoclip_p10", "autoclip_p1", "none")]
    scores = Table(frame(found)).scores["mask_inference"]
    assert best(scores) == 1
    assert best_of_each_seed(scores).to_dict() == {0: 1}


def test_what_was_not_run_is_empty(table):
    assert list(table.scores) == list(paper.TABLE_1) == LOSSES
    for loss in ("chimera", "snr"):  # nothing; the best of one is none
        assert best(table.scores[loss]) is None
        assert best_of_each_seed(table.scores[loss]).empty
        assert gap(table.scores[loss]).isna().all()
    rows = rows_of(as_markdown(table))
    assert rows["25"] == ["10.7", "", "11.0", "", "9.9", "", "**11.3**", "", "10.3", ""]
    assert rows["corpus"] == ["WSJ0-2mix", "", "WSJ0-2mix", "", "WSJ0-2mix", "demo", "WSJ0-2mix",
                              "", "WSJ0-2mix", "demo"]  # fmt: skip


def test_the_papers_numbers_and_pattern():
    rows = {
        0: [10.7, 11.1, 10.0, 11.2, 9.9],
        1: [10.7, 11.2, 10.3, 11.3, 10.2],
        10: [10.8, 11.0, 10.2, 11.3, 10.4],
        25: [10.7, 11.0, 9.9, 11.3, 10.3],
        50: [10.7, 11.0, 9.2, 11.2, 9.9],
        90: [10.5, 11.0, 8.7, 11.1, 9.5],
        100: [10.2, 10.8, 8.5, 10.9, 8.3],
    }
    for percentile, row in rows.items():
        assert [paper.TABLE_1[loss][percentile] for loss in LOSSES] == row
    assert paper_best("chimera") == [1, 10, 25]
    assert paper_best("snr") == [10]
    assert [paper_gap(loss) for loss in LOSSES] == [0.6, 0.2, 1.7, 0.4, 2.1]


def test_markdown(table):
    text = as_markdown(table)
    expected = {
        "p": ["MI paper", "MI here"],
        "network": ["4 × 600", "2 × 128"],
        "iterations": ["80,000", "20"],
        "seeds": ["1", "1 to 2"],
        "1": ["**10.3**", "**7.50**"],
        "10": ["10.2", "7.00 ± 1.41"],
        "100 (no clipping)": ["8.5", "6.00 ± 0.71"],
        "static threshold": ["10.0", ""],
        "best p": ["1", "1 (of 3)"],
        "best p, by seed": ["", "1"],
        "p = 10 − p = 100": ["+1.7", "+1.00 ± 0.71"],
        "gap here − paper's": ["", "−0.70 ± 0.71"],
    }
    rows = rows_of(text)
    assert {label: rows[label][4:6] for label in expected} == expected
    assert rows["10"][9] == "3.00"
    assert "demo, is synthetic speech, a stand-in for WSJ0-2mix." in text
    assert "Not as in the paper: corpus, network and number of iterations;" in text
    assert "not the dB." in text
    assert text.endswith("seeds 0, 1  ·  commit abc1234567  ·  a CPU  ·  2026-01-02</sub>\n")


def test_at_the_papers_scale_nothing_is_said_to_differ(add_run):
    network = {"_target_": "autoclip_sep.models.BLSTM", "layers": 4, "hidden": 600}
    run = add_run(corpus="wsj0_2mix", gain=10.0, network=network, epochs=8000)
    assert Table(frame([run])).differs() == []
    assert "Not as in the paper" not in as_markdown(Table(frame([run])))


def test_latex_is_whole_and_escaped(add_run):
    run = add_run(corpus="wham_clean", gain=-1.0, commit="50%_&{}$#~^\\")
    text = as_latex(Table(frame([run])))
    lines = text.splitlines()
    rows = [line for line in lines if line.endswith(r"\\") and "&" in line]
    assert len(rows) == 2 + 2 + 7 + 1 + 4
    assert {line.count(" & ") for line in rows[1:]} == {10}
    assert r"50\%\_\&\{\}\$\#\textasciitilde{}\textasciicircum{}\textbackslash{}" in text
    assert text.isascii()
    for rule in (r"\toprule", r"\bottomrule", r"\begin{tabular}", r"\end{tabular}"):
        assert text.count(rule) == 1
    assert text.count(r"\midrule") == 3
    assert (
        r" & \multicolumn{5}{c}{Paper: WSJ0-2mix, 4 $\times$ 600} "
        r"& \multicolumn{5}{c}{Here: wham\_clean, 2 $\times$ 128} \\"
    ) in lines
    # One cell alone is not the best.
    assert (
        r"10 & \textbf{10.8} & 11.0 & 10.2 & \textbf{11.3} & \textbf{10.4} &  &  & $-$1.00 &  &  \\"
    ) in lines


def test_csv_has_a_line_for_every_cell(table, tmp_path):
    (tmp_path / "table1.csv").write_text(as_csv(table))
    lines = pd.read_csv(tmp_path / "table1.csv", dtype=str, keep_default_na=False)
    assert len(lines) == 5 * (7 + 2)
    found = lines.set_index(["quantity", "loss", "percentile"])
    columns = ["paper", "here", "spread", "seeds", "iterations", "corpus", "network", "commit"]
    assert found.loc[("si_sdr", "mask_inference", "10"), columns].tolist() == [
        "10.2", "7.0", str(math.sqrt(2)), "2", "20", "demo", "2 × 128", "abc1234567",
    ]  # fmt: skip
    assert found.loc[("si_sdr", "chimera", "0"), columns[:4]].tolist() == ["11.2", "", "", "0"]
    best_ = found.loc["best_percentile"][columns[:2]]
    assert best_.loc["mask_inference"].to_numpy().tolist() == [["1", "1"]]
    assert best_.loc["chimera"].to_numpy().tolist() == [["1 10 25", ""]]
    assert found.loc[("p10_minus_p100", "mask_inference", ""), columns[:2]].tolist() == [
        "1.7", "1.0",
    ]  # fmt: skip


def test_the_picture_shows_dB_over_no_clipping(table, saved, tmp_path):
    theirs, here = (picture.over_no_clipping(table, whose) for whose in ("paper", "here"))
    assert np.allclose(theirs["mask_inference"], [1.5, 1.8, 1.7, 1.4, 0.7, 0.2, 0.0])
    expected = [nan, 1.5, 1.0, nan, nan, nan, 0.0]
    assert np.allclose(here["mask_inference"], expected, equal_nan=True)
    assert here["snr"].isna().all()  # run, but not without clipping
    marks = cells.marked(table)
    assert marks["chimera", "paper"].sum() == 3
    assert list(marks.index[marks["mask_inference", "here"]]) == ["1"]
    assert not marks["snr", "here"].any()
    picture.draw(table, tmp_path)
    texts = [text.get_text() for text in saved[0].axes[1].texts]
    assert texts[10:15] == ["", "", "7.00 ± 1.41", "", "3.00"]
    assert (texts[5 * 7 + 2], texts[5 * 8 + 2]) == ("1 (of 3)", "+1.00 ± 0.71")


def test_four_files_are_written_and_the_same_bytes_again(runs, tmp_path):
    out = tmp_path / "out"
    (line,) = table1.draw_all(runs, out)
    assert line == f"{out / 'table1.md'}  p = 10 minus p = 100 [dB]: mask_inference +1.00"
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert sorted(first) == ["table1.csv", "table1.md", "table1.png", "table1.tex"]
    assert first["table1.png"].startswith(b"\x89PNG")
    table1.draw_all(runs, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_the_largest_table_has_the_plain_name(add_run, saved, tmp_path):
    for label in ("autoclip_p10", "none"):
        add_run(label, 0, 1.0)
        add_run(label, 0, 1.0, changed="23aa62")
    add_run("autoclip_p1", 0, 1.0, changed="23aa62")
    add_run("autoclip_p10", 0, 1.0, corpus="digits")  # one percentile: no table
    out = tmp_path / "out"
    table1.draw_all(frame(find(tmp_path)), out)
    assert {path.name for path in out.glob("*.md")} == {"table1.md", "table1_demo_blstm_demo.md"}
    assert "blstm_demo-23aa62" in (out / "table1.csv").read_text()


def test_what_cannot_be_drawn_is_reported(add_run, tmp_path):
    short = add_run("autoclip_p10", 0, 1.0, epochs=3, done=2)
    add_run("none", 0, 1.0)
    add_run("autoclip_p1", 0)  # not evaluated
    assert table1.draw_all(frame(find(tmp_path)), tmp_path / "out") == [
        f"left out: {short.directory}: 2 of 3 epochs",
        "not drawn: Table 1: no loss has evaluated runs of two percentiles",
    ]
    assert not (tmp_path / "out").exists()
