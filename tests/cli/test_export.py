"""The commands that write and read models to carry away."""

import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from tests.pretrained.runs import evaluated, untrained

Here = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return evaluated(untrained(tmp_path_factory.mktemp("runs") / "run", "model.layers=1"))


def test_an_exported_model_separates_as_its_run(here: Here, run: Path, tmp_path: Path) -> None:
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 3000)).astype(np.float32)
    soundfiles.write(tmp_path / "a.wav", samples, 8000)
    folder = "a model, 2 = [x] ${y}"

    here(tmp_path, "export", f"run={run}", f"output={folder}",
         "formats=[safetensors,onnx,torch_export,nussl]")  # fmt: skip
    here(tmp_path, "separate", f"run={run}", "input=a.wav", "output=one")
    here(tmp_path, "separate", f"model={folder}", "input=a.wav", "output=other")
    here(tmp_path, "separate", f"model={folder}/model.pth", "input=a.wav", "output=nussl")

    files = sorted(path.name for path in (tmp_path / folder).iterdir())
    assert files == ["README.md", "config.json", "model.onnx", "model.pt2", "model.pth",
                     "model.safetensors"]  # fmt: skip
    for name in ("s1.wav", "s2.wav"):
        one = soundfiles.read(tmp_path / "one" / "a" / name)[0]
        assert np.array_equal(one, soundfiles.read(tmp_path / "other" / "a" / name)[0])
        assert np.abs(one - soundfiles.read(tmp_path / "nussl" / "a" / name)[0]).max() < 1e-3
        assert np.abs(one).max() > 0.01


def test_a_model_in_another_format_can_be_converted(here: Here, run: Path, tmp_path: Path) -> None:
    here(tmp_path, "export", f"run={run}", "output=first", "formats=nussl")
    here(tmp_path, "export", "model=first/model.pth", "output=second")
    assert (tmp_path / "second" / "config.json").exists()


@pytest.mark.parametrize(
    ("name", "arguments", "said"),
    [
        ("export", ["output=x"], "run is missing: add run=... or model=..."),
        ("export", ["run=a", "model=b", "output=x"], "give one of them"),
        ("export", ["model=a", "model=b", "output=x"], "model must have one value"),
        ("export", ["model=none/at/all", "output=x"], "none/at/all: there is no such folder"),
        ("export", ["run=a", "output=x", "formats=[onx]"], "did you mean onnx?"),
        ("export", ["run=a", "output=x", "formats=[]"], "name one or more of safetensors"),
        ("separate", ["input=a.wav"], "run is missing: add run=... or model=..."),
        ("separate", ["model=torchaudio:X", "input=a.wav"], "there is no such model"),
        ("evaluate", ["run=a", "model=b"], "model"),
    ],
)
def test_mistakes_are_one_line(
    here: Here, tmp_path: Path, name: str, arguments: list[str], said: str
) -> None:
    done = here(tmp_path, name, *arguments, check=2)
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())
