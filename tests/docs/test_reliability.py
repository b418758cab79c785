"""docs/reliability.md names existing tests, and all of faults/."""

import re

import pytest

from tests.commands import ROOT

PAGE = (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
NAMED = sorted(set(re.findall(r"`((?:tests|faults)/[\w/]+\.py)::(\w+)", PAGE)))


@pytest.mark.parametrize(("path", "name"), NAMED)
def test_a_promise_has_its_test(path, name):
    text = (ROOT / path).read_text(encoding="utf-8")
    assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"no {name} in {path}"


def test_every_test_of_faults_is_named():
    there = set()
    for file in (ROOT / "faults").glob("test_*.py"):
        names = re.findall(r"^def (test_\w+)", file.read_text(encoding="utf-8"), re.MULTILINE)
        there.update((f"faults/{file.name}", name) for name in names)
    assert there
    assert there <= set(NAMED)
