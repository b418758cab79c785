"""ALRC's recipe as modules."""

import sys
from importlib import import_module
from types import SimpleNamespace

import pytest

from tests.commands import ROOT, load

FOLDER = ROOT / "recipes" / "alrc_supersampling"


@pytest.fixture(scope="module")
def alrc():
    """The recipe's files as modules, by name."""
    names = sorted({path.stem for path in FOLDER.glob("*.py")} - {"train"})
    sys.path.insert(0, str(FOLDER))
    try:
        beside = {name: import_module(name) for name in names}
        # By its path: the train.py of the checkout may be a module of that name.
        yield SimpleNamespace(**beside, train=load("recipes/alrc_supersampling/train.py"))
    finally:
        sys.path.remove(str(FOLDER))
        for name in names:
            sys.modules.pop(name, None)
