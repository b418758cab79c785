import csv
import math

import numpy as np
import pytest

from autoclip_sep.figures import paper
from autoclip_sep.figures.runs import find
from autoclip_sep.figures.table1 import picture, table1
from autoclip_sep.figures.table1.columns import paper_best, paper_gap
from autoclip_sep.figures.table1.text import as_csv, latex, markdown


@pytest.fixture
def grid(add_run, tmp_path):
    """Mask inference with p = 1, 10, 100 and seeds 0, 1, of which p = 1 has but one; SNR one p."""
    for seed, gain in ((0, 6.0), (1, 8.0)):
        add_run("autoclip_p10", seed, gain)
    for seed, gain in ((0, 5.5), (1, 6.5)):
        add_run("autoclip_p100", seed, gain)
    add_run("autoclip_p1", 0, 7.5)
    add_run("autoclip_p10", 0, 3.0, loss="snr")
    add_run("norm_1", 0, 99.0)
    return find(tmp_path)


def rows_of(text):
    """A Markdown table by its first column."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    return {row[0]: row[1:] for row in cells}


def table_of(grid):
    return table1.table([run for run in grid if run.percentile >= 0])


def test_cells_best_and_gap(grid):
    column = table_of(grid).columns["mask_inference"]
    assert column.cells[10].mean == 7
    assert math.isclose(column.cells[10].spread, math.sqrt(2))
    assert column.best == 1
    assert column.best_of_each_seed == {0: 1}  # seed 1 hasn't run p = 1
    assert column.gap.values == {0: 0.5, 1: 1.5}
    assert math.isclose(column.gap_to_paper.mean, 1.0 - 1.7)
    assert math.isclose(column.gap_to_paper.spread, column.gap.spread)


def test_of_two_percentiles_that_are_as_good_the_lower_one_is_best(add_run):
    runs = [add_run(label, 0, 2.0) for label in ("autoclip_p10", "autoclip_p1", "none")]
    column = table1.table(runs).columns["mask_inference"]
    assert column.best == 1
    assert column.best_of_each_seed == {0: 1}


def test_what_was_not_run_is_empty(grid):
    columns = table_of(grid).columns
    assert list(columns) == list(paper.TABLE_1)
    assert columns["chimera"].cells == {}
    assert columns["chimera"].best is None
    assert columns["snr"].best is None  # the best of one is none
    assert columns["snr"].best_of_each_seed == {}
    assert columns["snr"].gap.values == {}
    rows = rows_of(markdown(table_of(grid)))
    assert rows["25"][1::2] == [""] * 5
    assert rows["25"][0::2] == ["10.7", "11.0", "9.9", "**11.3**", "10.3"]
    assert rows["corpus"] == ["WSJ0-2mix", "", "WSJ0-2mix", "", "WSJ0-2mix", "demo", "WSJ0-2mix",
                              "", "WSJ0-2mix", "demo"]  # fmt: skip


def test_the_papers_numbers_row_by_row():
    rows = {
        0: [10.7, 11.1, 10.0, 11.2, 9.9],
        1: [10.7, 11.2, 10.3, 11.3, 10.2],
        10: [10.8, 11.0, 10.2, 11.3, 10.4],
        25: [10.7, 11.0, 9.9, 11.3, 10.3],
        50: [10.7, 11.0, 9.2, 11.2, 9.9],
        90: [10.5, 11.0, 8.7, 11.1, 9.5],
        100: [10.2, 10.8, 8.5, 10.9, 8.3],
    }
    losses = ["deep_clustering", "whitened_kmeans", "mask_inference", "chimera", "snr"]
    for percentile, row in rows.items():
        assert [paper.TABLE_1[loss][percentile] for loss in losses] == row


def test_the_papers_pattern():
    assert paper_best("chimera") == [1, 10, 25]
    assert paper_best("snr") == [10]
    gaps = [paper_gap(loss) for loss in paper.TABLE_1]
    assert gaps == [0.6, 0.2, 1.7, 0.4, 2.1]


def test_markdown(grid):
    text = markdown(table_of(grid))
    rows = rows_of(text)
    assert rows["p"][4:6] == ["MI paper", "MI here"]
    assert rows["network"][4:6] == ["4 × 600", "2 × 128"]
    assert rows["iterations"][4:6] == ["80,000", "20"]
    assert rows["seeds"][4:6] == ["1", "1 to 2"]
    assert rows["1"][4:6] == ["**10.3**", "**7.50**"]
    assert rows["10"][4:6] == ["10.2", "7.00 ± 1.41"]
    assert rows["10"][9] == "3.00"
    assert rows["100 (no clipping)"][4:6] == ["8.5", "6.00 ± 0.71"]
    assert rows["static threshold"][4:6] == ["10.0", ""]
    assert rows["best p"][4:6] == ["1", "1 (of 3)"]
    assert rows["p = 10 − p = 100"][4:6] == ["+1.7", "+1.00 ± 0.71"]
    assert rows["gap here − paper's"][4:6] == ["", "−0.70 ± 0.71"]
    assert "demo, is synthetic speech, a stand-in for WSJ0-2mix." in text
    assert "Not as in the paper: corpus, network and number of iterations;" in text
    assert "not the dB." in text
    assert text.endswith("seeds 0, 1  ·  commit abc1234567  ·  a CPU  ·  2026-01-02</sub>\n")


def test_at_the_papers_scale_nothing_is_said_to_differ(add_run):
    run = add_run(corpus="wsj0_2mix", gain=10.0)
    config = run.config
    config["model"].update(layers=4, hidden=600)
    run.history["step"][-1] = 80_000
    assert table1.table([run]).differs() == []
    assert "Not as in the paper" not in markdown(table1.table([run]))


def test_latex_is_whole_and_escaped(add_run):
    run = add_run(corpus="wham_clean", gain=-1.0, commit="50%_&{}$#~^\\")
    text = latex(table1.table([run]))
    lines = text.splitlines()
    cells = [line for line in lines if line.endswith(r"\\") and "&" in line]
    assert len(cells) == 2 + 2 + 7 + 1 + 4
    assert {line.count(" & ") for line in cells[1:]} == {10}
    assert r"wham\_clean" in text
    assert r"50\%\_\&\{\}\$\#\textasciitilde{}\textasciicircum{}\textbackslash{}" in text
    assert r"4 $\times$ 600" in text
    assert "$-$1.00" in text
    assert text.isascii()
    for rule in (r"\toprule", r"\bottomrule", r"\begin{tabular}", r"\end{tabular}"):
        assert text.count(rule) == 1
    assert (
        r" & \multicolumn{5}{c}{Paper: WSJ0-2mix, 4 $\times$ 600} "
        r"& \multicolumn{5}{c}{Here: wham\_clean, 2 $\times$ 128} \\"
    ) in lines
    # One cell alone is not the best.
    assert (
        r"10 & \textbf{10.8} & 11.0 & 10.2 & \textbf{11.3} & \textbf{10.4} &  &  & $-$1.00 &  &  \\"
    ) in lines


def test_csv_has_a_line_for_every_cell(grid):
    lines = list(csv.DictReader(as_csv(table_of(grid)).splitlines()))
    assert len(lines) == 5 * (7 + 2)
    cells = {(line["quantity"], line["loss"], line["percentile"]): line for line in lines}
    ten = cells["si_sdr", "mask_inference", "10"]
    assert float(ten["here"]) == 7
    assert float(ten["spread"]) == math.sqrt(2)
    assert (ten["paper"], ten["seeds"], ten["iterations"]) == ("10.2", "2", "20")
    assert (ten["corpus"], ten["network"], ten["commit"]) == ("demo", "2 × 128", "abc1234567")
    missing = cells["si_sdr", "chimera", "0"]
    assert (missing["here"], missing["spread"], missing["seeds"]) == ("", "", "0")
    best = cells["best_percentile", "mask_inference", ""]
    assert (best["paper"], best["here"]) == ("1", "1")
    assert cells["best_percentile", "chimera", ""]["paper"] == "1 10 25"
    gap = cells["p10_minus_p100", "mask_inference", ""]
    assert (gap["paper"], float(gap["here"])) == ("1.7", 1.0)


def test_the_picture_shows_dB_over_no_clipping(grid):
    theirs, here = picture.halves(table_of(grid))
    rows = [0, 1, 10, 25, 50, 90, 100]
    assert np.allclose(theirs.gains[:, 2], [1.5, 1.8, 1.7, 1.4, 0.7, 0.2, 0.0])
    assert theirs.best[3] == [1, 2, 3]
    expected = [math.nan, 1.5, 1.0, math.nan, math.nan, math.nan, 0.0]
    assert np.allclose(here.gains[:, 2], expected, equal_nan=True)
    assert np.isnan(here.gains[:, 4]).all()  # run, but not without clipping
    assert here.texts[rows.index(10)] == ["", "", "7.00 ± 1.41", "", "3.00"]
    assert here.best == [[], [], [1], [], []]
    assert here.pattern[2] == ("1 (of 3)", "+1.00 ± 0.71")


def test_four_files_are_written_and_the_same_bytes_again(grid, tmp_path):
    out = tmp_path / "out"
    (line,) = table1.draw_all(grid, out)
    assert line == f"{out / 'table1.md'}  p = 10 minus p = 100 [dB]: mask_inference +1.00"
    first = {path.name: path.read_bytes() for path in out.iterdir()}
    assert sorted(first) == ["table1.csv", "table1.md", "table1.png", "table1.tex"]
    assert first["table1.png"].startswith(b"\x89PNG")
    table1.draw_all(grid, out)
    assert {path.name: path.read_bytes() for path in out.iterdir()} == first


def test_the_largest_table_has_the_plain_name(add_run, tmp_path):
    for label in ("autoclip_p10", "none"):
        add_run(label, 0, 1.0)
        add_run(label, 0, 1.0, changed="23aa62")
    add_run("autoclip_p1", 0, 1.0, changed="23aa62")
    add_run("autoclip_p10", 0, 1.0, corpus="digits")  # one percentile: no table
    out = tmp_path / "out"
    table1.draw_all(find(tmp_path), out)
    assert sorted(path.name for path in out.glob("*.md")) == [
        "table1.md", "table1_demo_blstm_demo.md",
    ]  # fmt: skip
    assert "blstm_demo-23aa62" in (out / "table1.csv").read_text()


def test_what_cannot_be_drawn_is_told(add_run, tmp_path):
    short = add_run("autoclip_p10", 0, 1.0, epochs=3, done=2)
    add_run("none", 0, 1.0)
    add_run("autoclip_p1", 0)  # not evaluated
    assert table1.draw_all(find(tmp_path), tmp_path / "out") == [
        f"left out: {short.directory}: 2 of 3 epochs",
        "not drawn: Table 1: no loss has evaluated runs of two percentiles",
    ]
    assert not (tmp_path / "out").exists()


def test_numbers_as_text():
    from autoclip_sep.figures.comparable import OverSeeds, with_spread

    assert with_spread(OverSeeds({})) == ""
    assert with_spread(OverSeeds({3: -0.456})) == "−0.46"
    assert with_spread(OverSeeds({0: 1.0, 1: 2.0}), "+") == "+1.50 ± 0.71"
