"""Everything is drawn from the kept records, once."""

import shutil
from pathlib import Path

import pytest

from tests.commands import ROOT, command

KEPT = ROOT / "recipes" / "training_dynamics" / "results" / "demo" / "mask_inference" / "blstm_demo"
NOTHING_NEW = "nothing new to draw"


def draw(place, *arguments, check=0):
    done = command(place, "scripts/draw_figures.py", *arguments, check=check)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two kept runs, and what is drawn from them."""
    folder = tmp_path_factory.mktemp("draw")
    for clipping in ("autoclip_p10", "autoclip_p100"):
        kept = KEPT / clipping / "seed0"
        shutil.copytree(kept, folder / "runs" / Path(*kept.parts[-5:]))
    (folder / "said.txt").write_text(draw(folder, "runs=runs", "output=figures"))
    return folder


def pictures(place):
    return {path.name: path.read_bytes() for path in place.glob("figures/[!.]*")}


def test_all_that_two_runs_allow_is_drawn_and_the_rest_says_why(place):
    names = set(pictures(place))
    stem = "training_dynamics_demo_mask_inference_blstm_demo"
    assert {f"{stem}.{kind}" for kind in ("png", "pdf", "gif")} <= names
    assert {f"table1.{kind}" for kind in ("md", "tex", "csv", "png")} <= names
    assert {"correlations.md", "results.md"} <= names
    for beginning in ("step_sizes_", "thresholds_"):
        assert any(name.startswith(beginning) for name in names), beginning
    said = (place / "said.txt").read_text()
    assert "not drawn: strategies on one task" in said
    assert f"figures/{stem}.png  r = " in said


def test_a_second_call_draws_nothing_and_says_the_same(place):
    before = {path: path.stat().st_mtime_ns for path in place.glob("figures/*")}
    said = draw(place, "runs=runs", "output=figures")
    assert said == (place / "said.txt").read_text() + NOTHING_NEW + "\n"
    assert {path: path.stat().st_mtime_ns for path in place.glob("figures/*")} == before


def test_what_is_missing_is_drawn_again_to_the_same_bytes(place):
    before = pictures(place)
    (place / "figures" / "table1.md").unlink()
    assert NOTHING_NEW not in draw(place, "runs=runs", "output=figures")
    assert pictures(place) == before


def test_records_that_changed_are_drawn_again(place):
    shutil.copytree(place / "runs", place / "changed")
    shutil.copytree(place / "figures", place / "again")
    (history,) = place.glob("changed/*/*/*/autoclip_p10/*/history.csv")
    lines = history.read_text().splitlines()
    history.write_text("\n".join(lines[:-1]) + "\n")
    said = draw(place, "runs=changed", "output=again")
    assert NOTHING_NEW not in said
    assert "left out" in said  # it is an epoch short of what its config wants


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(["runs=nowhere"], "no runs below nowhere"), (["rnus=x"], "did you mean runs")],
)
def test_mistakes_are_one_line(tmp_path, arguments, message):
    said = draw(tmp_path, *arguments, check=2)
    assert message in said
    assert len(said.splitlines()) == 1
    assert not list(tmp_path.iterdir())
