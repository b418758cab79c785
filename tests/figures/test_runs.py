"""Where runs are looked for, and which folder was perhaps meant."""

from pathlib import Path

import pytest

from autoclip_sep.errors import InputError
from autoclip_sep.figures.runs import find

RUN = "runs/wsj0_2mix/snr/blstm/none/seed0"
LOOKED_FOR = "<data>/<loss>/<model>/<clipping>/seed<n> is looked for"


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def add_run(folder):
    Path(folder).mkdir(parents=True)
    Path(folder, "dynamics.csv").touch()


def said(root):
    with pytest.raises(InputError) as caught:
        find(Path(root))
    return str(caught.value)


def test_runs_are_found_in_the_order_of_their_paths():
    for name in ("b/snr/blstm/none/seed1", "b/snr/blstm/none/seed0", "a/snr/blstm/none/seed0-ab"):
        add_run(f"runs/{name}")
    Path("runs/b/snr/blstm/none/seed2").mkdir()
    found = [str(run.directory.relative_to("runs/")) for run in find(Path("runs"))]
    assert found == [
        "a/snr/blstm/none/seed0-ab", "b/snr/blstm/none/seed0", "b/snr/blstm/none/seed1",
    ]  # fmt: skip


@pytest.mark.parametrize("named", [RUN.rsplit("/", level)[0] for level in range(5)] + [RUN])
def test_a_folder_too_low_is_told_the_right_one(named):
    add_run(RUN)
    if named == "runs":
        assert find(Path(named))
    else:
        assert said(named) == f"no runs below {named}: {LOOKED_FOR}; did you mean runs=runs?"


def test_a_folder_too_high_is_told_the_first_below(monkeypatch):
    add_run(f"mine/{RUN}")
    add_run(f"mine/b_{RUN}")
    assert said("mine").endswith("looked for; did you mean runs=mine/b_runs?")
    assert said("mine/runs/..").endswith("looked for; did you mean runs=mine/runs/../b_runs?")
    monkeypatch.chdir("mine")
    assert said(".").endswith("looked for; did you mean runs=b_runs?")
    monkeypatch.chdir("runs/wsj0_2mix")
    assert said(".").endswith("looked for; did you mean runs=..?")


@pytest.mark.parametrize("named", ["nowhere", "runs", "runs/empty"])
def test_without_any_it_says_how_to_make_some(named):
    Path("runs/empty").mkdir(parents=True)
    expected = f"no runs below {named}: {LOOKED_FOR}; `make demo` makes two"
    assert said(named) == expected
