"""The command: where the page goes, and what is a line instead."""

import json
import shutil
import sys

import pytest

from autoclip_sep.runs.checkpoint import digest


def test_a_runs_page_lies_in_its_directory(place, runs, here):
    said = here(place, "report", f"run={runs[0]}").stdout.splitlines()
    assert said[-1] == str(runs[0] / "report.html")
    assert "left out: examples" not in "\n".join(said)
    assert "autoclip" in (place / runs[0] / "report.html").read_text().lower()


def test_sounds_are_those_of_the_network_that_was_scored(place, runs, here, tmp_path):
    shutil.copytree(place / runs[0], tmp_path / "run")
    note = tmp_path / "run" / "evaluation" / "test.json"
    content = json.loads(note.read_text())
    note.write_text(json.dumps({**content, "provenance": {
        **content["provenance"], "checkpoint": "best-000000001-00001", "sha256": "0" * 64,
    }}))  # fmt: skip
    given = [f"run={tmp_path}/run", f"output={tmp_path}/page.html"]
    said = here(place, "report", *given).stdout
    assert "its scores are of best-000000001-00001" in said
    last = max((tmp_path / "run" / "checkpoints").glob("last-*.pt"))
    note.write_text(json.dumps({**content, "provenance": {
        **content["provenance"], "checkpoint": last.stem, "sha256": digest(last),
    }}))  # fmt: skip
    assert "left out: examples" not in here(place, "report", *given).stdout


def test_a_moved_corpus_costs_the_sounds_alone(place, runs, here, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    given = [f"runs=[{runs[0]},{runs[1]}]", f"output={tmp_path}/page.html",
             f"data.root={tmp_path}/elsewhere", f"data.store={tmp_path}/store"]  # fmt: skip
    said = here(place, "report", *given).stdout.splitlines()
    assert said[0].startswith("left out: examples to hear: ")
    assert said[-1] == f"{tmp_path}/page.html"
    page = (tmp_path / "page.html").read_text()
    assert "<audio" not in page
    assert "Left out: examples to hear: " in page


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "which runs?"),
        (["run=x", "a=y", "b=z"], "which runs?"),
        (["runs=[one]"], "which runs?"),
        (["run=nowhere"], "nowhere: there is no such run"),
        (["run=runs", "split=tset"], "must be one of"),
        (["rnu=x"], "did you mean run"),
    ],
)
def test_mistakes_are_one_line(place, here, arguments, message):
    said = here(place, "report", *arguments, check=2).stderr
    assert message in said
    assert said.count("\n") == 1


def test_without_plotly_it_is_a_line(place, runs, here, monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    given = [f"run={runs[0]}", f"output={tmp_path}/page.html"]
    said = here(place, "report", *given, check=2).stderr
    assert "report.html needs the package plotly" in said
    assert not (tmp_path / "page.html").exists()
