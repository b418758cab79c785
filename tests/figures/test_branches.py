"""Branches beside their trunk: which belong together, and what is drawn of them."""

import numpy as np
import pytest
import yaml

from autoclip_sep.figures import branches
from autoclip_sep.figures.runs import RunFound, frame

NORMS = (1.0, 2.0, 3.0, 4.0, 5.0)  # at steps 10 to 50


@pytest.fixture
def add_branch(add_run, tmp_path):
    """A function that writes a branch of a run, made up like add_run's."""

    def add(trunk, step, label, changed="abcdef", settings=(), **columns):
        run = add_run(
            label, changed=f"{changed}-{trunk.directory.parent.name}-step{step}", **columns
        )
        origin = str(trunk.directory.relative_to(tmp_path))
        config = {**run.config, "branch_from": origin, "step": step, **dict(settings)}
        (run.directory / "config.yaml").write_text(yaml.safe_dump(dict(config)))
        return RunFound(run.directory)

    return add


def test_branches_of_a_step_are_drawn_from_there_on_beside_their_trunk(
    add_run, add_branch, saved, tmp_path
):
    trunk = add_run("none", every=10, grad_norm=NORMS)
    copied = {"every": 10, "grad_norm": (*NORMS[:2], 30.0, 40.0, 50.0), "threshold": [3.0] * 5}
    same = [
        add_branch(trunk, 20, "autoclip_p10", **copied),
        add_branch(trunk, 20, "none", settings={"freeze": ["norm"]}, every=10, grad_norm=NORMS),
    ]
    other = add_branch(trunk, 30, "autoclip_p10", every=10, grad_norm=NORMS)
    lines = branches.draw_all(frame([trunk, *same, other]), tmp_path)
    assert [line.partition("  ")[2] for line in lines] == [
        "trunk: No clipping; AutoClip, p = 10; freeze=['norm']",
        "trunk: No clipping; AutoClip, p = 10",
    ]
    (first, _) = saved
    panels = {axes.get_title(): axes for axes in first.axes}
    whole, clipped, _, line = panels["Gradient norm"].get_lines()
    assert list(whole.get_xdata()) == [10, 20, 30, 40, 50]
    assert list(clipped.get_xdata()) == [20, 30, 40, 50]
    assert list(clipped.get_ydata()) == [2, 30, 40, 50]
    assert line.get_xdata()[0] == 20
    trunks = panels["Threshold"].get_lines()[0]
    assert np.isnan(trunks.get_ydata(orig=True)).all()
    assert panels["Threshold"].get_ylim() == panels["Gradient norm"].get_ylim()


def test_more_than_three_get_another_picture_and_a_lost_trunk_none(
    add_run, add_branch, tmp_path, saved
):
    trunk = add_run("none", every=10, grad_norm=NORMS)
    found = [add_branch(trunk, 20, f"norm_{n}", every=10, grad_norm=NORMS) for n in range(1, 6)]
    lines = branches.draw_all(frame(found), tmp_path)
    assert [line.count(";") for line in lines] == [3, 2]
    assert branches.draw_all(frame([trunk]), tmp_path) == [
        "not drawn: branches beside their trunk: no run is a branch"
    ]
    (trunk.directory / "dynamics.csv").unlink()
    (line,) = branches.draw_all(frame(found), tmp_path)
    assert line == f"not drawn: {found[0].directory}: its trunk isn't at {trunk.directory}"
    assert len(saved) == 2


def test_a_branch_that_has_just_begun_is_not_drawn(add_run, add_branch, tmp_path):
    trunk = add_run("none", every=10, grad_norm=NORMS)
    young = add_branch(trunk, 50, "autoclip_p10", every=10, grad_norm=NORMS)
    (line,) = branches.draw_all(frame([trunk, young]), tmp_path)
    assert line == "not drawn: branches at step 50: nothing is recorded after it yet"
