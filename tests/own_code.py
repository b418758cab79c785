"""A folder with somebody's package and configs, as the commands have it after --config-dir."""

import sys
from pathlib import Path

import pytest

from autoclip_sep.cli import build, compose


def add(monkeypatch: pytest.MonkeyPatch, place: Path, configs: str) -> None:
    """Work in `place` with the folder `configs` below it added; nothing else is, or is trusted."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setattr(compose, "ADDED", [])
    monkeypatch.setattr(build, "TRUSTED", set())
    compose.add_folder(Path(configs))
