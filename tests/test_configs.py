"""Every file in configs/ builds what it names, with every other group at its default."""

from contextlib import nullcontext
from pathlib import Path

import pytest
import torch

from autoclip_sep.building import config_files
from autoclip_sep.building.build import build
from autoclip_sep.cli import compose
from autoclip_sep.cli.commands.train import build_parts, check_heads
from autoclip_sep.cli.plan import plan
from autoclip_sep.errors import InputError

GROUPS = sorted(path.name for path in config_files.CONFIGS.iterdir() if path.is_dir())
# Experiments of other commands than train.py, and the primary configs of these.
ELSEWHERE = {"experiment=alrc_stability": "supersampling"}
NOT_TRAINS = {"metric"}  # groups that metrics= of evaluate names
PATHS = config_files.CONFIGS.glob("*/*.yaml")
FILES = sorted(
    {f"{path.parent.name}={path.stem}" for path in PATHS if path.parent.name not in NOT_TRAINS}
    - {*ELSEWHERE}
)


def arguments(choice, tmp_path):
    """The choice, with a loss that fits, and values for whatever it leaves to the user."""
    if choice.startswith("model=") and not choice.startswith("model=blstm"):
        return [choice, "loss=si_sdr", f"runs={tmp_path}"]
    keys = compose.missing_keys(compose.compose("train", [choice]))
    values = {key: tmp_path if key.startswith("data.") else 100 for key in keys}
    return [choice, f"runs={tmp_path}", *(f"{key}={value}" for key, value in values.items())]


@pytest.mark.parametrize("choice", FILES)
def test_every_choice_builds(choice, tmp_path):
    planned = plan(arguments(choice, tmp_path))
    parts = build_parts(planned, torch.device("cpu"))
    assert callable(parts["objective"])
    assert parts["optimizer"].param_groups[0]["lr"] > 0
    assert planned.directory.is_relative_to(tmp_path)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("choice", [file for file in FILES if file.startswith("data=")])
def test_every_corpus_config_names_a_builder(choice, tmp_path):
    config = compose.plain(compose.compose("train", arguments(choice, tmp_path)))
    corpus = config["data"]["corpus"]
    assert config["data"]["name"] == choice.partition("=")[2]
    assert hasattr(build({**corpus, "_partial_": True}).func, "prepare")


@pytest.mark.parametrize("loss", [file for file in FILES if file.startswith("loss=")])
@pytest.mark.parametrize("model", [file for file in FILES if file.startswith("model=")])
def test_a_loss_and_a_model_fit_or_are_refused(loss, model):
    config = compose.plain(compose.compose("train", [loss, model]))
    heads = config["model"].get("heads", ["waveforms"])
    refused = pytest.raises(InputError, match="this loss trains")
    with nullcontext() if heads == config["loss"]["heads"] else refused, torch.device("meta"):
        check_heads(build(config["model"], "model"), config["loss"]["heads"])


@pytest.mark.parametrize("loss", ["loss=snr", "loss=ours"])
def test_what_somebodys_own_network_calls_heads_is_theirs(loss, tmp_path, monkeypatch):
    for group, name, text in (
        ("model", "attention", "_target_: mine.Attention\nheads: 4\nsources: 16\n"),
        ("loss", "ours", "name: ours\nheads: [masks]\nobjective:\n  _target_: mine.Loss\n"),
    ):
        (tmp_path / group).mkdir()
        (tmp_path / group / f"{name}.yaml").write_text(text)
    monkeypatch.setattr(config_files, "ADDED", [])
    config_files.add_folder(tmp_path)
    planned = plan([loss, "model=attention", "model.heads=8"])
    assert planned.config["model"]["heads"] == 8


def test_different_clippers_have_different_directories():
    clippers = [file for file in FILES if file.startswith("clipping=")]
    names = {plan([clipper]).directory for clipper in clippers}
    assert len(names) == len(clippers)


@pytest.mark.parametrize(("choice", "name"), ELSEWHERE.items())
def test_an_experiment_of_another_command_composes(choice, name):
    first, *_, last = compose.sweep(name, [choice])
    for job in (first, last):
        assert compose.plain(compose.compose(name, job))


@pytest.mark.parametrize(
    ("name", "key"), [("evaluate", "run"), ("separate", "input"), ("export", "output")]
)
def test_the_other_commands_configs_compose(name, key):
    assert key in compose.missing_keys(compose.compose(name, []))


def test_every_group_is_in_the_defaults():
    chosen = compose.choices(compose.compose("train", []))
    assert set(GROUPS) - NOT_TRAINS == set(chosen)
    assert Path(config_files.CONFIGS / "train.yaml").is_file()
