"""The command on small made-up runs: what it prints, writes and refuses."""

import json

import numpy as np
import pytest
from pandas import read_csv

from autoclip_sep.cli.commands import compare_scores
from autoclip_sep.errors import InputError
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.score_groups import gather

ITEMS = [f"m{n:02d}" for n in range(40)]


def add_run(root, clipping, seed, gain, sources=("1", "2"), silent=()):
    """A run whose scores are `gain` above what item and source have by chance."""
    run = root / "demo/snr/blstm" / clipping / f"seed{seed}"
    (run / "evaluation").mkdir(parents=True)
    run_directory.write_config(run, {"seed": seed})
    chance = np.random.default_rng(0).normal(5, 3, (len(ITEMS), len(sources)))
    own = np.random.default_rng([seed, len(clipping)]).normal(0, 0.1, chance.shape)
    lines = ["item,source,si_sdr,si_sdr_mixture"]
    for i, s in np.ndindex(chance.shape):
        score = "nan" if (i, s) in silent else chance[i, s] + own[i, s] + gain
        lines.append(f"{ITEMS[i]},{sources[s]},{score},0.0")
    (run / "evaluation/test.csv").write_text("\n".join([*lines, ""]))
    (run / "evaluation/test.json").write_text(
        json.dumps({"provenance": {"fingerprint": "f"}, "summary": {"scored": 1}})
    )
    return run


@pytest.fixture
def say(tmp_path, monkeypatch, capsys):
    """A function that runs the command where the runs are: what it prints."""
    monkeypatch.chdir(tmp_path)

    def call(*words):
        compare_scores.compare(words)
        return capsys.readouterr().out

    return call


def test_two_groups_are_compared_and_written(tmp_path, say):
    for seed, gain in enumerate((1.0, 1.2, 1.1)):
        add_run(tmp_path, "p10", seed, gain, silent=[(3, 1)] if seed == 1 else ())
        add_run(tmp_path, "none", seed, 0.1 * seed)
    a, b = "a=demo/snr/blstm/p10", "b=demo/snr/blstm/none/seed?"
    said = say(a, b, "output=out/table.csv")
    assert "a  demo/snr/blstm/p10: seeds 0, 1, 2" in said
    assert "1 sources are left out" in said
    assert "standard deviation of differences between seeds" in said
    row = read_csv(tmp_path / "out/table.csv").iloc[0]
    assert row["mean"] == pytest.approx(1.0, abs=0.05)
    assert row["low"] < 1.0 < row["high"]
    assert (row["better_share"], row["items"], row["dropped"]) == (1.0, 40, 1)
    said = say(a, b, "output=table.md", "metric=si_sdr")
    text = (tmp_path / "table.md").read_text()
    assert "| all | " in text
    assert " +1.0" in text
    assert "si_sdr [dB] of test" in said


def test_named_sources_get_a_line_each_and_one_seed_says_what_it_is(tmp_path, say):
    one = add_run(tmp_path, "p10", 0, 0.5, ("vocals", "drums"))
    other = add_run(tmp_path, "none", 0, 0, ("vocals", "drums"))
    said = say(f"a={one}", f"b={other}")
    assert [line.split()[0] for line in said.splitlines() if "% of 40" in line] == [
        "all", "vocals", "drums",
    ]  # fmt: skip
    assert "one seed: the interval holds for these very networks" in said


def test_a_table_of_anybodys_estimates_beside_a_run(tmp_path, say):
    run = add_run(tmp_path, "p10", 0, 0.5)
    table = tmp_path / "theirs.csv"
    table.write_text((run / "evaluation/test.csv").read_text())
    said = say(f"a={run}", f"b={table}")
    assert "50 % of 40" in said
    assert "+0.00 .. +0.00" in said
    assert "seed" not in said.partition("\n\n")[2]  # which a table has none of
    assert "one table: the interval holds for these very estimates" in said
    for n in range(2):
        text = (run / "evaluation/test.csv").read_text()
        (tmp_path / f"test_{n}.csv").write_text(text.replace(",0.0\n", f",{n}.5\n"))
    said = say("a=test_?.csv", f"b={table}", "output=tables.md", "metric=si_sdr")
    assert "a  .: tables test_0.csv, test_1.csv" in said
    text = (tmp_path / "tables.md").read_text()
    assert "| tables | tables needed |" in text.splitlines()[0]
    assert "over these tables, and holds for no others" in text
    with pytest.raises(InputError, match=r"test_0\.csv: the same table is in the same group"):
        gather([tmp_path / "test_0.csv"] * 2, "si_sdr")


def test_a_table_is_of_the_metric_that_its_name_says(tmp_path, say):
    run = add_run(tmp_path, "p10", 0, 0.5)
    table = (run / "evaluation/test.csv").rename(tmp_path / "test_sdr.csv")
    assert "+0.00 .. +0.00" in say(f"a={table}", f"b={table}", "metric=sdr.si_sdr")
    with pytest.raises(InputError, match=r"has no such scores; it has si_sdr"):
        say(f"a={table}", f"b={table}", "metric=snr.si_sdr")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["a=p"], "missing: b=..."),
        (["a=demo", "b=demo", "output=x.png"], r"output=x.png: must end in .md or .csv"),
        (["a=demo", "b=demo", "metrik=snr"], r"did you mean metric=...\?"),
        (["a=demo", "b=demo", "common=yes"], "common=yes: must be one of true, false"),
        (["a=demo", "b=nowhere"], "nowhere: there is no such run"),
        (["a=demo", "b=demo", "split=../x"], "can't name a file"),
    ],
)
def test_mistakes_are_one_line(tmp_path, say, words, message):
    add_run(tmp_path, "p10", 0, 0.5)
    with pytest.raises(InputError, match=message):
        say(*words)
