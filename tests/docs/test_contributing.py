"""The examples of docs/contributing.md, written to the files that they name, train a run."""

import csv
import re
from pathlib import Path

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.building import config_files
from autoclip_sep.cli.commands.evaluate import evaluate
from autoclip_sep.cli.commands.train import train
from autoclip_sep.cli.plan import plan
from autoclip_sep.errors import InputError
from autoclip_sep.runs.records import read
from tests import own_code
from tests.commands import ROOT

# A block whose first line, or the one after Hydra's own, names a file.
FILE = re.compile(
    r"^```(?:python|yaml)\n((?:# @[^\n]*\n)?# (mine/\S+)\n.*?)^```", re.MULTILINE | re.DOTALL
)
PAGES = ("contributing", "configuration", "data")
CHOICES = [
    "clipping=mean", "loss=mae", "model=filter", "optimizer=adagrad", "scheduler=exponential",
    "data=table", "data.root=recordings", "logger=[jsonl]",
]  # fmt: skip
SMALL = [
    "trainer.epochs=1", "trainer.batch_size=2", "trainer.segment=2048", "trainer.record_every=1",
    "trainer.progress=false", "trainer.threads=1",
]  # fmt: skip


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with the files of the pages, and the recordings that they mention."""
    for page in PAGES:
        for text, name in FILE.findall((ROOT / "docs" / f"{page}.md").read_text()):
            path = tmp_path / name
            assert not path.exists(), f"{page}.md: a second {name}"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    rng = np.random.default_rng(0)
    rows = []
    for split, number in (("train", 4), ("valid", 2), ("test", 2)):
        for item in range(number):
            names = {key: f"{split}{item}_{key}.wav" for key in ("s1", "s2")}
            for name in names.values():
                samples = 0.1 * rng.standard_normal((1, 4000)).clip(-2, 2)
                soundfiles.write(tmp_path / "recordings" / name, samples, 8000)
            rows.append({"split": split, "name": f"{split}{item}", **names})
    with (tmp_path / "recordings" / "mixtures.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, ["split", "name", "s1", "s2"])
        table.writeheader()
        table.writerows(rows)
    own_code.add(monkeypatch, tmp_path, "mine/configs")
    return tmp_path


def test_a_run_of_all_examples_is_trained_and_scored(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    planned = plan([*CHOICES, *SMALL])
    assert planned.directory.parts[:5] == ("runs", "table", "mae", "filter", planned.clipper.label)
    assert planned.clipper.label == "mean_clipping_factor1.5"
    train([*CHOICES, *SMALL])
    assert len(read(planned.directory / "dynamics.csv")) == 2
    assert (planned.directory / "rows.jsonl").read_text().count("\n") == 3
    monkeypatch.setattr(config_files, "ADDED", [])  # as in another process
    asked = [f"run={planned.directory}", "progress=false", "threads=1"]
    with pytest.raises(InputError, match="trust="):
        evaluate(asked)
    evaluate([*asked, "trust=mine", "metrics=[si_sdr,mine.metrics.AbsoluteError]"])
    scored = capsys.readouterr().out
    assert "SI-SDR" in scored
    assert "absolute error 0." in scored


@pytest.mark.parametrize("choice", ["data=podcasts", "data=meetings", "experiment=talk"])
def test_configs_that_start_from_others_compose(place: Path, choice: str) -> None:
    data = plan([choice, "data.root=recordings", "loss=si_sdr", "model=conv_tasnet_small"])
    assert data.config["data"]["name"] in ("podcasts", "meetings")


def test_every_config_is_named_in_the_table_of_groups() -> None:
    page = (ROOT / "docs" / "configuration.md").read_text()
    rows = dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", page, re.MULTILINE))
    for path in config_files.CONFIGS.glob("*/*.yaml"):
        assert f"`{path.stem}`" in rows[path.parent.name], f"{path.parent.name}={path.stem}"
