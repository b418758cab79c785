import gzip
import json
import math
import os

import pytest

from autoclip_sep.errors import InputError
from autoclip_sep.runs import run_directory, scores
from autoclip_sep.runs.score_groups import alike, find, gather

SCORES = "item,source,estimate,si_sdr,si_sdr_mixture\n{}"


def add(run, rows, name="test", seed=None, fingerprint="f"):
    """A run's table of scores: {item: score}; a table without a seed is nobody's run."""
    folder = run / "evaluation"
    folder.mkdir(parents=True, exist_ok=True)
    if seed is not None:
        run_directory.write_config(run, {"seed": seed})
    text = SCORES.format("".join(f"{item},1,1,{score!r},1.0\n" for item, score in rows.items()))
    (folder / f"{name}.csv").write_bytes(text.encode(errors="surrogateescape"))
    note = {"provenance": {"fingerprint": fingerprint}, "summary": {"scored": 1}}
    (folder / f"{name}.json").write_text(json.dumps(note))
    return run


@pytest.mark.parametrize("column", ["silent", "estimate", "frames", "item", "source"])
def test_counts_and_names_are_no_scores(tmp_path, column):
    text = "item,source,estimate,si_sdr,silent,frames\na,1,1,5.0,0,3\n"
    (tmp_path / "test.csv").write_text(text)
    with pytest.raises(InputError, match=f"metric={column}: .* no such scores; it has si_sdr$"):
        scores.scores(tmp_path, column)
    assert list(scores.read(tmp_path / "test.csv")) == ["si_sdr"]


def test_other_metrics_tables_are_not_read(tmp_path):
    """However long they are, or damaged."""
    run = add(tmp_path / "run", {"a": 3.0})
    (run / "evaluation" / "test_stoi.csv").write_text("item,source,stoi\na,1,0.5,what\nb\n")
    assert scores.scores(run, "si_sdr_improvement")[0].iloc[0, 0] == 2.0
    with pytest.raises(InputError, match="test_stoi"):
        scores.scores(run, "stoi")


@pytest.mark.parametrize(
    ("metric", "heading"),
    [
        ("si_sdr", "si_sdr [dB]"), ("si_sdr_improvement", "si_sdr_improvement [dB]"),
        ("bss_eval.sar", "bss_eval.sar [dB]"), ("squim_si_sdr", "squim_si_sdr [dB]"),
        ("stoi", "stoi"), ("pesq_nb", "pesq_nb"), ("squim_stoi", "squim_stoi"), ("error", "error"),
    ],
)  # fmt: skip
def test_scores_in_decibels_say_so(metric, heading):
    assert scores.with_unit(metric) == heading


def test_best_and_last_weights_are_not_compared(tmp_path):
    for seed, checkpoint in enumerate(("best-000000002-00001", "last-000000004-00002")):
        run = add(tmp_path / f"seed{seed}", {"a": 1.0}, seed=seed)
        provenance = {"fingerprint": "f", "checkpoint": checkpoint}
        note = {"provenance": provenance, "summary": {"scored": 1}}
        (run / "evaluation" / "test.json").write_text(json.dumps(note))
    one, other = tmp_path / "seed0", tmp_path / "seed1"
    with pytest.raises(InputError, match="different weights"):
        gather([one, other], "si_sdr")
    with pytest.raises(InputError, match="different weights"):
        alike(gather([one], "si_sdr"), gather([other], "si_sdr"))


def test_a_stopped_evaluation_is_refused(tmp_path):
    run = add(tmp_path / "run", {"a": 1.0}, seed=0)
    note = {"provenance": {"fingerprint": "f"}}  # what scores it adds the summary at the end
    (run / "evaluation" / "test.json").write_text(json.dumps(note))
    with pytest.raises(InputError, match=r"test\.csv is incomplete"):
        gather([run], "si_sdr")


def column(group):
    return {item: row.tolist() for (item, _), row in group.table.iterrows()}


@pytest.fixture
def runs(tmp_path):
    """Three seeds of one kind, a fourth of another."""
    for seed in range(3):
        add(tmp_path / f"demo/snr/blstm/p10/seed{seed}", {"a": 2.0 + seed, "b": 1.0}, seed=seed)
    add(tmp_path / "demo/snr/blstm/p10/seed0-c0ffee", {"a": 9.0, "b": 9.0}, seed=0)
    return tmp_path / "demo/snr/blstm/p10"


def test_a_table_has_numbers_and_improvements_by_item_and_source(tmp_path):
    run = add(tmp_path, {"a": 3.5, "café 'x' | y": math.nan, os.fsdecode(b"\xe9"): math.inf})
    table = scores.read(run / "evaluation" / "test.csv")
    assert set(table) == {"si_sdr", "si_sdr_mixture", "si_sdr_improvement"}
    assert table.loc[("a", "1"), "si_sdr_improvement"] == 2.5
    assert math.isnan(table.loc[("café 'x' | y", "1"), "si_sdr"])
    assert table.loc[(os.fsdecode(b"\xe9"), "1"), "si_sdr"] == math.inf


def test_a_group_is_a_folder_or_a_pattern(runs):
    places = find(f"{runs}/seed?")
    assert [place.name for place in places] == ["seed0", "seed1", "seed2"]
    group = gather(places, "si_sdr_improvement")
    assert list(group.table) == ["0", "1", "2"]
    assert column(group) == {"a": [1.0, 2.0, 3.0], "b": [0.0, 0.0, 0.0]}
    assert find(str(runs / "seed1")) == [runs / "seed1"]
    with pytest.raises(InputError, match="differ in more than their seed"):
        find(str(runs))


def test_a_table_of_anybody_is_compared_by_its_path(tmp_path):
    table = tmp_path / "mine.csv"
    table.write_text("source,item,si_sdr\n1,b,\n1,a,4\n")
    group = gather(find(str(table)), "si_sdr")
    assert list(group.table) == [str(table)]
    assert group.table.loc[("a", "1")].item() == 4
    assert group.corpora == frozenset()


def test_a_metric_is_found_in_its_table_and_named_where_two_have_it(tmp_path):
    run = add(add(tmp_path, {"a": 1.0}), {"a": 2.0}, "test_other")
    (run / "evaluation" / "test_items.csv").write_text("item,seconds\na,1.0\n")
    (run / "evaluation" / "tester.csv").write_text("item,source,x\na,1,1.0\n")
    assert set(scores.tables(run)) == {"si_sdr", "other"}
    assert scores.scores(run, "other.si_sdr")[0].loc[("a", "1")].item() == 2
    assert scores.scores(run, "si_sdr.si_sdr")[0].loc[("a", "1")].item() == 1
    with pytest.raises(InputError, match=r"metric=(si_sdr|other)\.si_sdr or "):
        scores.scores(run, "si_sdr")
    with pytest.raises(InputError, match="it has si_sdr, si_sdr_improvement"):
        scores.scores(run, "sdr")
    with pytest.raises(InputError, match=r"has no scores of valid: evaluate\.py"):
        scores.scores(run, "si_sdr", "valid")


def test_other_items_and_corpora_are_refused_unless_asked_for(tmp_path):
    one = add(tmp_path / "x", {"a": 1.0, "b": 2.0})
    fewer, other = add(tmp_path / "y", {"b": 1.0}), add(tmp_path / "z", {"a": 0, "b": 0}, "test",
                                                       fingerprint="g")  # fmt: skip
    a, b, c = (gather([run], "si_sdr") for run in (one, fewer, other))
    with pytest.raises(InputError, match="1 scores that the other hasn't, such as a 1"):
        alike(a, b)
    with pytest.raises(InputError, match=r"different corpora \(f, g\)"):
        alike(a, c)
    both = alike(a, b, common=True)
    assert [len(side) for side in both] == [1, 1]
    assert len(alike(a, c, common=True)[0]) == 2
    with pytest.raises(InputError, match="no item in common"):
        alike(a, gather([add(tmp_path / "v", {"c": 1.0})], "si_sdr"), common=True)
    with pytest.raises(InputError, match="1 scores that the other hasn't"):
        gather([one, fewer], "si_sdr")


def test_what_is_no_group(tmp_path, runs):
    with pytest.raises(InputError, match="no such run, folder or table"):
        find(str(tmp_path / "nowhere*"))
    with pytest.raises(InputError, match="another run of seed 0"):
        gather([runs / "seed0", runs / "seed0-c0ffee"], "si_sdr")
    twice = tmp_path / "twice.csv"
    twice.write_text("item,source,si_sdr\na,1,1.0\na,1,2.0\n")
    with pytest.raises(InputError, match="a 1 is scored twice"):
        gather([twice], "si_sdr")
    twice.write_text("name,si_sdr\na,1.0\n")
    with pytest.raises(InputError, match="no column item and source"):
        gather([twice], "si_sdr")


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"item,source\n" * 100)[:30], gzip.compress(b"a")[:-4]],
    ids=["plain", "cut", "without its length"],  # gzip writes the time into the content
)
def test_what_cannot_be_unpacked_is_one_line(tmp_path, content):
    path = tmp_path / "test.csv.gz"
    path.write_bytes(content)
    with pytest.raises(InputError, match="can't be unpacked"):
        scores.read(path)
