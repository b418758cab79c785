"""The table of clippers in docs/clipping.md lists every clipper with its settings and defaults."""

import ast
import inspect
import re

import pytest

from autoclip_sep import clipping
from autoclip_sep.clipping import Clipper
from tests.commands import ROOT

PAGE = (ROOT / "docs" / "clipping.md").read_text(encoding="utf-8")
ROW = re.compile(r"^\| `(\w+)` \|[^|]*\| \[`(\w+)\.py`\]\([^)]*\) \|([^|]*)\|", re.MULTILINE)
ROWS = {name: (file, settings) for name, file, settings in ROW.findall(PAGE)}


def test_every_clipper_has_a_row() -> None:
    public = (getattr(clipping, name) for name in clipping.__all__)
    classes = {one.__name__ for one in public if inspect.isclass(one) and issubclass(one, Clipper)}
    assert set(ROWS) == classes - {"Clipper"}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_lists_the_defaults_of_its_class(name: str) -> None:
    file, settings = ROWS[name]
    clipper = getattr(clipping, name)
    listed = {key: ast.literal_eval(text) for key, text in re.findall(r"`(\w+)=(.+?)`", settings)}
    assert clipper.__module__ == f"autoclip_sep.clipping.{file}"
    assert listed == {
        key: argument.default
        for key, argument in inspect.signature(clipper).parameters.items()
        if key != "max_nonfinite" and argument.default is not argument.empty
    }
