"""The commands of docs/evaluation.md, in its order, on runs of seconds."""

import importlib.util
import re
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.cli.main import COMMANDS
from tests.commands import ROOT, command
from tests.docs.test_examples import blocks

PAGE = ROOT / "docs" / "evaluation.md"
TRAINED = "runs/demo/mask_inference/blstm_demo"
NAMES = {script: name for name, (script, _) in COMMANDS.items()}

# What can't run here: real corpora, microphones, videos, and a training of minutes.
ELSEWHERE = re.compile(r"data=digits|digits/|experiment=musdb_demo|model=lstm_causal|\|")


def commands() -> Iterator[list[str]]:
    """The words of the page's lines that start a Python script, its name first."""
    for block in blocks(PAGE):
        for line in block.text.replace("\\\n", " ").splitlines():
            if line.startswith("python ") and not ELSEWHERE.search(line):
                yield shlex.split(line, comments=True)[1:]


@pytest.fixture
def place(here: Callable[..., object], tmp_path: Path) -> Path:
    """A folder with all files that the page names."""
    for percentile in (10, 100):
        here(tmp_path, "train", "experiment=smoke", f"percentile={percentile}", "runs=made")
        (made,) = tmp_path.glob(f"made/*/*/*/autoclip_p{percentile}/seed*")
        shutil.move(made, tmp_path / TRAINED / f"autoclip_p{percentile}" / "seed0")
    here(tmp_path, "evaluate", f"run={TRAINED}/autoclip_p100/seed0")
    (corpus,) = tmp_path.glob("corpora/*/2speakers")
    (tmp_path / "wsj0-mix").mkdir()
    (tmp_path / "wsj0-mix" / "2speakers").symlink_to(corpus)
    shutil.copy(next(corpus.glob("wav8k/min/tt/mix/*.wav")), tmp_path / "mixture.wav")
    rng = np.random.default_rng(0)
    for folder in ("umx", "musdb18hq/test"):
        for stem in ("vocals", "drums", "bass", "other"):
            path = tmp_path / folder / "A - Song" / f"{stem}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfiles.write(path, rng.uniform(-0.2, 0.2, (2, 66150)).astype(np.float32), 44100)
    for name in "ab":
        shutil.copy(
            tmp_path / TRAINED / "autoclip_p10/seed0/dynamics.csv", tmp_path / f"{name}.csv"
        )
    return tmp_path


def test_every_command_of_the_page_runs(here: Callable[..., object], place: Path) -> None:
    for script, *arguments in commands():
        words = [word.replace("runs/...", TRAINED) for word in arguments]
        if importlib.util.find_spec("pesq") is None:  # compiled, so not everywhere
            words = [word.replace(",pesq_nb", "") for word in words]
        if script == "scripts/compare_run.py":
            words = [
                f"run={TRAINED}/autoclip_p10/seed0",
                f"reference={TRAINED}/autoclip_p100/seed0",
            ]
        if "estimates=separated" in words:
            mixtures = "wsj0-mix/2speakers/wav8k/min/tt/mix"
            here(place, "separate", f"run={TRAINED}/autoclip_p10/seed0", f"input={mixtures}")
        if any("theirs/" in word for word in words):
            theirs = place / TRAINED / "autoclip_p100" / "seed0" / "evaluation"
            shutil.copytree(theirs, place / "theirs")
        if script in NAMES:
            here(place, NAMES[script], *words)
        else:
            command(place, script, *words)
    assert (place / "separated" / "mixture" / "s2.wav").exists()
    assert (place / "difference.md").exists()
