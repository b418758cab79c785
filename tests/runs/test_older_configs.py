"""Runs made under other names go on: same settings, same directory."""

import pytest
import yaml

from autoclip_sep.cli.plan import plan
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.older_configs import RENAMED, downgraded, upgraded

# Directories as they were called when the targets were this package's own.
DIRECTORIES = {
    "": "seed0",
    "optimizer=adamw": "seed0-b2ca54",
    "optimizer=sgd": "seed0-6a41f8",
    "optimizer=momentum": "seed0-bc58df",
    "optimizer=rmsprop": "seed0-4ee52d",
    "scheduler=constant": "seed0-7b4fef",
    "scheduler.patience=3": "seed0-9f741f",
    "optimizer=sgd scheduler=constant optimizer.lr=0.1": "seed0-48652d",
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
