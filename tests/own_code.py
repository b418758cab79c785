"""A folder with a user's package and configs, added as by --config-dir."""

import sys
from pathlib import Path

import pytest

from autoclip_sep.building import build, config_files


def add(monkeypatch: pytest.MonkeyPatch, place: Path, configs: str) -> None:
    """Work in `place` with only the folder `configs` below it added, and nothing trusted."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(config_files, "ADDED", [])
    monkeypatch.setattr(build, "TRUSTED", set())
    config_files.add_folder(Path(configs))
