"""Runs with former names in their configs resume: same settings, same directory."""

import pytest
import yaml

from autoclip_sep.cli.plan import plan
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.older_configs import ADDED, RENAMED, SETTINGS, downgraded, upgraded

# Names of directories from when the targets were this package's own.
DIRECTORIES = {
    "": "seed0",
    "optimizer=adamw": "seed0-b2ca54",
    "optimizer=sgd": "seed0-6a41f8",
    "optimizer=momentum": "seed0-bc58df",
    "optimizer=rmsprop": "seed0-4ee52d",
    "scheduler=constant": "seed0-7b4fef",
    "scheduler.patience=3": "seed0-9f741f",
    "optimizer=sgd scheduler=constant optimizer.lr=0.1": "seed0-48652d",
    "trainer.segment=6336": "seed0-16985d",
    "clipping=zclip clipping.z_threshold=3": "seed0",
}


@pytest.mark.parametrize("arguments", DIRECTORIES)
def test_older_runs_are_found_and_are_the_same(arguments, tmp_path):
    planned = plan([*arguments.split(), f"runs={tmp_path}"])
    assert planned.directory.name == DIRECTORIES[arguments]
    before = downgraded(planned.config)
    assert before["optimizer"]["_target_"].startswith("autoclip_sep.training.optimizers.")
    assert before["scheduler"].keys() <= {"_target_", "_partial_", "factor", "patience"}
    planned.directory.mkdir(parents=True)
    (planned.directory / "config.yaml").write_text(yaml.safe_dump(before))
    planned.check_directory()
    assert run_directory.read_config(planned.directory) == planned.config


@pytest.mark.parametrize(
    "setting", ["optimizer.fused=false", "scheduler.mode=max", "scheduler.monitor=train_loss"]
)
def test_what_older_runs_had_no_setting_for_has_directories_of_its_own(setting):
    assert plan([setting]).directory != plan([]).directory


@pytest.mark.parametrize("old", RENAMED)
def test_names_go_both_ways(old):
    node = {"a": [{"b": {"_target_": old, "lr": 1}}], "c": {"_target_": old, "lr": 2}}
    assert downgraded(upgraded(node)) == node
    assert upgraded(node)["c"] == {"lr": 2, **RENAMED[old]}


@pytest.mark.parametrize("target", SETTINGS)
def test_settings_go_by_their_names_of_today(target):
    old, new = SETTINGS[target]
    added = ADDED.get(target, {})
    node = {"a": {**({"_target_": target} if target else {}), old: 3, "b": 4}, old: [5]}
    present = {**({"_target_": target} if target else {}), **added, new: 3, "b": 4}
    assert upgraded(node)["a"] == present
    assert downgraded(upgraded(node)) == {**node, "a": {**added, **node["a"]}}


def test_another_class_may_have_a_setting_of_such_a_name():
    node = {"model": {"_target_": "mine.Net", "excerpt": 3, "deviations": 2}}
    assert upgraded(node) == node
