"""Extensions from outside need a YAML file and a class, and nothing else.

Each is added in a folder of its own, named by `--config-dir`, trained with, and used again.
"""

import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from autoclip_sep.audio import soundfiles
from autoclip_sep.building import build, config_files
from autoclip_sep.cli import trained
from autoclip_sep.cli.commands.evaluate import evaluate
from autoclip_sep.cli.commands.train import train
from autoclip_sep.cli.plan import plan
from autoclip_sep.errors import InputError
from autoclip_sep.figures.runs import find
from autoclip_sep.runs import records
from tests import own_code
from tests.commands import command

CODE = '''
from pathlib import Path

import torch
from torch import nn

from autoclip_sep.clipping import Clipper, Clip
from autoclip_sep.data.corpora.tree import MixtureTree
from autoclip_sep.evaluation.metric import Metric
from autoclip_sep.types import Batch, Estimate


class Filter(nn.Module):
    """A network of waveforms alone."""

    heads = ("waveforms",)

    def __init__(self, sources: int, taps: int = 15) -> None:
        super().__init__()
        self.filters = nn.Conv1d(1, sources, taps, padding="same")

    def forward(self, batch: Batch) -> Estimate:
        mono = batch.mixture.mean(dim=1, keepdim=True)
        return Estimate(waveforms=self.filters(mono).unsqueeze(2))


class Distance:
    """A loss."""

    def __call__(self, estimate: Estimate, batch: Batch) -> torch.Tensor:
        return (estimate.head("waveforms") - batch.sources).abs().mean(dim=(1, 2, 3))


class Half(Clipper):
    """A clipper."""

    def __init__(self, share: float = 0.5, **options) -> None:
        super().__init__(**options)
        self.share = share

    def _clip(self, gradients, norm, norms):
        gradients.scale(self.share)
        return Clip(scale=self.share, clipped=True)


class Slow(torch.optim.SGD):
    """An optimizer."""


class Warm(torch.optim.lr_scheduler.LambdaLR):
    """A schedule."""

    def __init__(self, optimizer, steps: int) -> None:
        super().__init__(optimizer, lambda step: min(1.0, (step + 1) / steps))


class Pairs(MixtureTree):
    """A corpus."""


class Peak(Metric):
    """A metric."""

    name = "peak"
    columns = {"peak": float}

    def __init__(self, scale: float = 1.0) -> None:
        self.scale = scale

    def score(self, separated):
        for signal in separated.in_order()[0]:
            yield {"peak": self.scale * float(signal.abs().max())}

    def summarise(self, table):
        return {"peak": table["peak"].max()}

    def as_text(self, summary):
        return f"highest peak {summary['peak']:.3f}"


class Lines:
    """A logger."""

    def start(self, directory: Path, config) -> None:
        self.path = directory / "lines.txt"

    def log(self, prefix: str, row) -> None:
        with self.path.open("a") as file:
            file.write(f"{prefix} {row['step']}\\n")

    def finish(self) -> None:
        pass
'''

FILES = {
    "model/filter": "_target_: mine.code.Filter\nsources: ${data.sources}\ntaps: 9\n",
    "model/gone": "_target_: mine.nowhere.Net\n",
    "loss/distance": "name: distance\nheads: [waveforms]\nsigned: false\n"
    "objective:\n  _target_: mine.code.Distance\n",
    "clipping/half": "_target_: mine.code.Half\nshare: 0.25\n",
    "optimizer/slow": "_target_: mine.code.Slow\n_partial_: true\nlr: 0.01\n",
    "scheduler/warm": "_target_: mine.code.Warm\n_partial_: true\ninterval: step\n"
    "monitor: null\nsteps: 4\n",
    "logger/lines": "_target_: mine.code.Lines\n",
    "metric/loudest": "_target_: mine.code.Peak\nscale: 2.0\n",
    "data/pairs": "defaults: [tree]\nname: pairs\ncorpus:\n  _target_: mine.code.Pairs\n",
    "experiment/all": "# @package _global_\ndefaults:\n  - override /model: filter\n"
    "  - override /loss: distance\nseed: 3\n",
}

SMALL = [
    "trainer.epochs=1", "trainer.batch_size=2", "trainer.segment=2048", "trainer.record_every=1",
    "trainer.progress=false", "trainer.threads=1",
]  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a user's package, configs and recordings."""
    return write_everything(tmp_path_factory.mktemp("place"))


def write_everything(folder: Path) -> Path:
    """The package `mine` with its configs in a folder, and recordings in `sound` beside it."""
    (folder / "mine").mkdir()
    (folder / "mine" / "code.py").write_text(CODE)
    for name, text in FILES.items():
        path = folder / "mine" / f"{name}.yaml"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    rng = np.random.default_rng(0)
    for split, number in (("tr", 4), ("cv", 2), ("tt", 2)):
        for item in range(number):
            sources = 0.2 * rng.standard_normal((2, 1, 4000)).clip(-2, 2)
            signals = {"mix": sources.sum(axis=0), "s1": sources[0], "s2": sources[1]}
            for signal, samples in signals.items():
                soundfiles.write(folder / "sound" / split / signal / f"{item}.wav", samples, 8000)
    return folder


@pytest.fixture
def added(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder as the working one, its configs added as --config-dir adds them."""
    own_code.add(monkeypatch, place, "mine")
    return place


def asked(*choices: str) -> list[str]:
    corpus = [] if any(choice.startswith("data=") for choice in choices) else ["data=tree"]
    return [*choices, *corpus, "data.root=sound", *SMALL]


@pytest.mark.parametrize(
    "choices",
    [
        ["model=filter", "loss=si_sdr"],
        ["loss=distance", "model=conv_tasnet_small", "model.layers=2"],
        ["clipping=half"],
        ["optimizer=slow"],
        ["scheduler=warm"],
        ["logger=lines"],
        ["experiment=all", "model.taps=5"],
        ["data=pairs", "model=filter", "loss=distance"],
    ],
    ids=lambda choices: choices[0],
)
def test_a_thing_is_added_by_its_class_and_its_file(added: Path, choices: list[str]) -> None:
    small = [] if any("model" in choice for choice in choices) else ["model.hidden=8"]
    arguments = asked(*choices, *small)
    train(arguments)
    directory = plan(arguments).directory
    (run,) = [run for run in find(Path("runs")) if run.directory == directory]
    assert len(run.dynamics["step"]) == 2
    assert np.isfinite(run.dynamics["loss"]).all()


def test_a_clippers_label_says_what_differs_from_its_defaults(added: Path) -> None:
    assert plan(asked("clipping=half")).directory.parts[-2] == "half_share0.25"
    assert plan(asked("clipping=half", "clipping.share=0.5")).directory.parts[-2] == "half"


def test_a_logger_is_told_every_row(added: Path) -> None:
    arguments = asked("logger=lines", "model=filter", "loss=distance", "seed=9")
    train(arguments)
    lines = (plan(arguments).directory / "lines.txt").read_text().split("\n")
    assert lines == ["dynamics 1", "dynamics 2", "history 2", ""]


def test_a_corpus_of_ones_own_is_looked_at(place: Path) -> None:
    asked_for = ["data=pairs", "data.root=sound"]
    output = command(place, "scripts/check_data.py", "--config-dir=mine", *asked_for).stdout
    assert "4 / 2 / 2 mixtures" in output
    chosen = asked("model=filter", "loss=distance", "seed=6", "data=pairs")
    command(place, "train.py", "--config-dir=mine", *chosen)
    run = next(place.glob("runs/pairs/distance/filter/*/seed6*"))
    look = f"run={run}"
    refused = command(place, "scripts/check_data.py", look, "--config-dir=mine", check=2)
    assert "trust=PACKAGE" in refused.stderr
    assert "trust=" in command(place, "scripts/check_data.py", look, check=2).stderr
    assert "4 / 2 / 2" in command(place, "scripts/check_data.py", look, "trust=mine").stdout


def test_a_metric_is_added_by_its_class(added: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = asked("model=filter", "loss=distance", "seed=11")
    train(arguments)
    run = f"run={plan(arguments).directory}"
    evaluate([run, "trust=mine", "metrics=[si_sdr,mine.code.Peak]"])
    (peak,) = re.findall(r"highest peak (\S+)", capsys.readouterr().out)
    rows = records.read(plan(arguments).directory / "evaluation" / "test_peak.csv")
    assert float(peak) == pytest.approx(max(float(row["peak"]) for row in rows), abs=1e-3)
    evaluate(
        [run, "trust=mine", "metrics=mine/metric/loudest.yaml"]
    )  # those of scale 1 are no good
    (twice,) = re.findall(r"highest peak (\S+)", capsys.readouterr().out)
    assert float(twice) == pytest.approx(2 * float(peak), abs=2e-3)
    with pytest.raises(InputError, match=r"metrics=mine/metric/none.yaml: there is no such file"):
        evaluate([run, "trust=mine", "metrics=mine/metric/none.yaml"])
    with pytest.raises(InputError, match=r"metrics=sisdr: .*did you mean si_sdr\?"):
        evaluate([run, "trust=mine", "metrics=sisdr"])
    with pytest.raises(InputError, match=r"metrics=mine\.code\.Distance: that is no .*Metric"):
        evaluate([run, "trust=mine", "metrics=mine.code.Distance"])


def test_a_run_with_foreign_code_is_opened_where_that_is_trusted(place: Path) -> None:
    chosen = asked("model=filter", "loss=distance", "seed=5")
    trained = command(place, "train.py", "--config-dir", "mine", *chosen).stdout
    run = next(place.glob("runs/*/distance/filter/*/seed5*"))
    assert f"next: python evaluate.py run={run.relative_to(place)} 'trust=[mine]'" in trained
    refused = command(place, "evaluate.py", f"run={run}", check=2).stderr
    assert "model._target_ is 'mine.code.Filter'" in refused
    assert "trust=" in refused
    assert "doesn't fit" not in refused
    assert len(refused.splitlines()) == 1
    scored = command(place, "evaluate.py", f"run={run}", "trust=mine").stdout
    assert "SI-SDR" in scored
    mixture = "input=sound/tt/mix/0.wav"
    command(place, "separate.py", f"run={run}", mixture, "trust=[mine]", "output=out")
    assert (place / "out" / "0" / "s2.wav").is_file()


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        (["clipping=half", "clipping._target_=mine.code.Other"], "--config-dir=FOLDER"),
        (["model=gone", "loss=snr"], r"model._target_ is 'mine.nowhere.Net': No module named"),
        (["model=filter", "loss=mask_inference"], "trains masks, the network gives waveforms: it"),
        (["model=filtre"], r"did you mean filter\?"),
    ],
)
def test_a_mistake_is_refused_before_data_is_made(
    added: Path, choices: list[str], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        train([*choices, "data=tree", "data.root=nowhere"])


def test_a_file_that_would_never_be_read_is_refused(added: Path) -> None:
    (added / "other" / "loss").mkdir(parents=True)
    (added / "other" / "loss" / "snr.yaml").write_text("name: mine\n")
    with pytest.raises(InputError, match="there is a loss=snr already, name it otherwise"):
        config_files.add_folder(Path("other"))
    with pytest.raises(InputError, match="--config-dir=nowhere: there is no such folder"):
        config_files.add_folder(Path("nowhere"))
    (added / "other" / "loss" / "snr.yaml").rename(added / "other" / "loss" / "distance.yaml")
    with pytest.raises(InputError, match="there is a loss=distance already, name it otherwise"):
        config_files.add_folder(Path("other"))
    config_files.add_folder(Path("mine"))  # once more


def test_what_lies_beside_the_groups_of_a_folder_is_neither_read_nor_trusted(
    place: Path, added: Path
) -> None:
    run = added / "mine" / "runs" / "theirs"
    run.mkdir(parents=True)
    (run / "config.yaml").write_text("a: &a [*a]\nmodel:\n  _target_: os.system\n  command: exit\n")
    build._named_in.cache_clear()
    assert plan(asked("model=filter", "loss=distance")).seed == 0
    with pytest.raises(InputError, match=r"model._target_ is 'os.system'"):
        build.build({"_target_": "os.system", "command": "exit"}, "model")
    refused = command(place, "evaluate.py", "--config-dir=mine", f"run={run}", check=2).stderr
    assert refused == (
        "evaluate: --config-dir is train's; trust=PACKAGE lets a run name your own code\n"
    )
    shutil.rmtree(run.parent)


@pytest.mark.parametrize("name", ["it's, [a] \\ folder = ü", "a\\'b\\\\'", "at the end\\", "${a}"])
def test_a_folder_may_have_any_name(place: Path, added: Path, name: str) -> None:
    folder = place / name
    (folder / "model").mkdir(parents=True)
    (folder / "model" / "named.yaml").write_text(FILES["model/filter"])
    config_files.add_folder(folder)
    assert plan(asked("model=named", "loss=snr")).config["model"]["taps"] == 9


def test_what_trusted_code_imports_is_not_trusted_for_it(added: Path) -> None:
    build.trust("mine")
    assert build.find("mine.code.Distance", "loss.objective").__name__ == "Distance"
    with pytest.raises(InputError, match="that is defined in pathlib, name it there"):
        build.find("mine.code.Path", "loss.objective")


def test_a_folder_without_files_of_the_groups_is_told(place: Path) -> None:
    (place / "outside" / "configs" / "model").mkdir(parents=True)
    (place / "outside" / "configs" / "model" / "deep.yaml").write_text(FILES["model/filter"])
    with pytest.raises(
        InputError, match=r"outside has no \.yaml in a folder of a group: augmentation"
    ):
        config_files.add_folder(place / "outside")


def test_a_trained_network_is_read_back(added: Path) -> None:
    arguments = asked("model=filter", "loss=si_sdr", "seed=7")
    train(arguments)
    run = trained.load(str(plan(arguments).directory), "best", torch.device("cpu"))
    assert not run.separation.scaled
