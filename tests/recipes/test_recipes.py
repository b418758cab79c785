"""The recipes' commands are commands that work, and their settings are the paper's.

The numbers here are those of Seetharaman et al. (2020), section 4, and, where it is silent, what
docs/training.md says was chosen.
"""

import re
import shlex
from pathlib import Path

import pytest
import torch

from autoclip_sep.building.build import build, call
from autoclip_sep.cli import compose
from autoclip_sep.cli.commands.train import build_parts
from autoclip_sep.cli.plan import plan
from autoclip_sep.figures.runs import find

ROOT = Path(__file__).resolve().parents[2]
READMES = sorted(ROOT.glob("recipes/*/README.md"))
AT_PAPER_SCALE = ("libri2mix", "wsj0_2mix")
NETWORKS = {"blstm": (4, 600), "blstm_small": (2, 300)}  # Table 1; the study of training dynamics
HEADS = {
    "deep_clustering": ["embedding"],
    "whitened_kmeans": ["embedding"],
    "mask_inference": ["masks"],
    "chimera": ["masks", "embedding"],
    "snr": ["waveforms"],
}


def commands(readme):
    """The commands of a README's code blocks, each as its words."""
    blocks = re.findall(r"^ *```[a-z]*\n(.*?)^ *```", readme.read_text(), re.DOTALL | re.MULTILINE)
    lines = "\n".join(blocks).replace("\\\n", " ").splitlines()
    return [shlex.split(line) for line in lines if line.strip()]


def jobs(words):
    """The arguments of every run that a train command asks for; none for other commands."""
    if "train.py" not in words:
        return []
    arguments = words[words.index("train.py") + 1 :]
    if "-m" in arguments:
        return compose.sweep("train", [word for word in arguments if word != "-m"])
    return [arguments]


def train_commands(names):
    return [
        pytest.param(job, id=f"{readme.parent.name}: {' '.join(job)}")
        for readme in READMES
        if readme.parent.name in names
        for words in commands(readme)
        for job in jobs(words)
    ]


@pytest.mark.parametrize("readme", READMES, ids=lambda readme: readme.parent.name)
def test_the_scripts_that_a_recipe_names_are_there(readme):
    words = {word for command in commands(readme) for word in command}
    scripts = {word for word in words if word.endswith(".py")}
    assert scripts
    for script in scripts:
        assert (ROOT / script).is_file() or (readme.parent / Path(script).name).is_file(), script


@pytest.mark.parametrize("job", train_commands([path.parent.name for path in READMES]))
def test_a_recipes_commands_compose(job):
    planned = plan(job)
    asked = dict(word.split("=", 1) for word in job)
    for key, part in zip(("data", "loss", "model"), planned.directory.parts[1:], strict=False):
        assert part == asked.get(key, part)


def loops(readme):
    """The patterns that each of a README's `for run in PATTERN ...; do ...` goes over."""
    found = [words for words in commands(readme) if words[:3] == ["for", "run", "in"]]
    return [[word.rstrip(";") for word in words[3 : words.index("do")]] for words in found]


@pytest.mark.parametrize(
    "readme", [readme for readme in READMES if loops(readme)], ids=lambda readme: readme.parent.name
)
def test_a_recipe_scores_and_draws_the_runs_that_it_makes(readme, tmp_path, monkeypatch):
    """A run's folder has digits behind its seed where settings aren't the defaults."""
    monkeypatch.chdir(tmp_path)
    made = {plan(job).directory for words in commands(readme) for job in jobs(words)}
    for directory in made:
        directory.mkdir(parents=True)
        (directory / "dynamics.csv").touch()
    for patterns in loops(readme):
        assert {path for pattern in patterns for path in Path().glob(pattern)} == made
    for words in commands(readme):
        if "scripts/draw_figures.py" in words:
            given = dict(word.split("=") for word in words[2:])
            assert {run.directory for run in find(Path(given["runs"]))} == made


def check_paper(job):
    """One run's settings against the paper's numbers, as built rather than as written."""
    planned = plan(job)
    _, _, loss, network, *_ = planned.directory.parts
    config, settings = planned.config, planned.settings
    assert (settings.batch_size, settings.epochs) == (25, 100)
    assert settings.segment == 25_536
    assert (settings.record_every, settings.probe_points) == (20, 1)
    assert settings.precision == "fp32"
    assert (config["data"]["sample_rate"], config["data"]["permute"]) == (8000, True)

    check_stft(build(config["stft"], "stft"))

    layers, hidden = NETWORKS[network]
    model = config["model"]
    assert (model["layers"], model["hidden"], model["dropout"]) == (layers, hidden, 0.3)
    assert (model["embedding_size"], model["batch_norm"]) == (20, True)
    assert model["heads"] == HEADS[loss]
    if loss == "chimera":
        assert build(config["loss"]["objective"]).alpha == 0.75

    weights = [torch.nn.Parameter(torch.zeros(1))]
    optimizer = call(build(config["optimizer"], "optimizer"), "optimizer", weights)
    assert isinstance(optimizer, torch.optim.Adam)
    (group,) = optimizer.param_groups
    assert (group["lr"], group["betas"], group["weight_decay"]) == (1e-3, (0.9, 0.999), 0.0)
    schedule = build_parts(planned, torch.device("cpu"))["scheduler"]
    assert (schedule.interval, schedule.monitor) == ("epoch", "valid_loss")
    assert isinstance(schedule.scheduler, torch.optim.lr_scheduler.ReduceLROnPlateau)
    assert (schedule.scheduler.factor, schedule.scheduler.patience) == (0.5, 5)

    percentiles = (0, 1, 10, 25, 50, 90, 100)
    assert planned.clipper.label in ("none", *(f"autoclip_p{p}" for p in percentiles))


def check_stft(stft):
    """256/64 with a square-root Hann window, and 400 frames of a segment, heard from a click."""
    click = torch.zeros(25_536)
    click[64 * 200] = 1.0
    magnitude = stft.transform(click).abs()
    assert magnitude.shape == (129, 400)
    places = torch.tensor([192.0, 128.0, 64.0])  # of the click in the windows of three frames
    expected = torch.sin(torch.pi * places / 256) / 162.97
    assert torch.allclose(magnitude[:, 199:202], expected.expand(129, 3), rtol=1e-4)


@pytest.mark.parametrize("job", train_commands(AT_PAPER_SCALE))
def test_a_recipe_at_paper_scale_has_the_papers_settings(job):
    check_paper(job)


@pytest.mark.parametrize("loss", HEADS)
@pytest.mark.parametrize("network", NETWORKS)
def test_the_papers_settings_are_one_choice_away(loss, network):
    """On its own corpus, whether or not a recipe says so."""
    check_paper(
        ["data=wsj0_2mix", "data.root=x", f"loss={loss}", f"model={network}", "trainer=paper"]
    )


@pytest.mark.parametrize(
    ("experiment", "network", "runs"),
    [("table1", "blstm", 5 * 7), ("training_dynamics", "blstm_small", 2 * 2)],
)
def test_the_papers_experiments_are_whole_and_have_its_settings(experiment, network, runs):
    sweep = compose.sweep("train", [f"experiment={experiment}"])
    places = {plan(job).directory.parts[2:5] for job in sweep}
    assert len(places) == len(sweep) == runs
    assert {place[1] for place in places} == {network}
    for job in sweep:
        check_paper(job)


def test_paper_says_ten_percent_by_default():
    assert plan([]).config["percentile"] == 10


def test_libri2mix_runs_every_loss_with_and_without_clipping():
    sweeps = [
        jobs(words) for words in commands(ROOT / "recipes/libri2mix/README.md") if "-m" in words
    ]
    runs = [dict(word.split("=", 1) for word in job) for sweep in sweeps for job in sweep]
    made = {(run["loss"], run["percentile"]) for run in runs}
    assert made == {(loss, percentile) for loss in HEADS for percentile in ("10", "100")}


@pytest.mark.parametrize(
    "change",
    ["optimizer.lr=1e-4", "trainer.batch_size=24", "trainer.epochs=99", "model.dropout=0.2",
     "data.hop_length=128", "scheduler.patience=6", "trainer.record_every=10", "model.hidden=500",
     "trainer=demo", "optimizer=adamw", "loss.objective.alpha=0.5", "percentile=11",
     "clipping=norm"],
)  # fmt: skip
def test_a_recipe_that_strays_is_noticed(change):
    job = ["data=wsj0_2mix", "data.root=x", "loss=chimera", "model=blstm", "trainer=paper"]
    with pytest.raises(AssertionError):
        check_paper([*job, change])
