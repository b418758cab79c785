"""The commands and programs of docs/models.md, on a run that nobody trained."""

import re
import shlex
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from tests.commands import ROOT
from tests.pretrained.runs import untrained

PAGE = (ROOT / "docs" / "models.md").read_text()
SCRIPTS = {"scripts/export_model.py": "export", "separate.py": "separate"}


def test_every_command_and_program_of_the_page_runs(
    here: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    commands = [shlex.split(line) for line in re.findall(r"^python (.*)$", PAGE, re.MULTILINE)]
    run = next(one.removeprefix("run=") for one in commands[0] if one.startswith("run="))
    untrained(tmp_path / run)
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, (1, 6400)).astype(np.float32)
    soundfiles.write(tmp_path / "mixture.wav", samples, 8000)

    for script, *arguments in commands:
        here(tmp_path, SCRIPTS[script], *arguments)
    here(tmp_path, "export", f"run={run}", "output=speech", "formats=[onnx,nussl]")

    programs = re.findall(r"^```py\n(.*?)^```", PAGE, re.MULTILINE | re.DOTALL)
    assert len(commands) == len(programs) == 2
    monkeypatch.chdir(tmp_path)
    for program in programs:
        names: dict[str, object] = {}
        exec(program, names)
        assert len(names.get("sources", names.get("estimates"))) == 2  # type: ignore[arg-type]
    assert (tmp_path / "separated" / "mixture" / "s2.wav").exists()
    assert (tmp_path / "copy" / "config.json").exists()
