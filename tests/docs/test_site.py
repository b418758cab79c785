"""`make docs` builds without a warning, with every public name in its API reference."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from autoclip_sep import clipping, dynamics
from tests.commands import ENVIRONMENT, ROOT


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site, built; a warning is an error (strict in mkdocs.yml), unless mkdocs is quiet."""
    folder = tmp_path_factory.mktemp("site")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--site-dir", str(folder)],
        cwd=ROOT,
        env={**os.environ, **ENVIRONMENT, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "WARNING" not in done.stdout + done.stderr
    return folder


def test_the_public_names_of_a_room_are_in_the_reference(site: Path) -> None:
    for page, room in (("clipping", clipping), ("dynamics", dynamics)):
        text = (site / "api" / page / "index.html").read_text()
        shown = set(re.findall(r'<h2 id="autoclip_sep\.[\w.]+\.(\w+)"', text))
        named = {name for name in room.__all__ if callable(getattr(room, name))}
        assert named <= shown, named - shown


def test_arguments_are_a_list_and_blocks_are_code(site: Path) -> None:
    text = (site / "api" / "clipping" / "index.html").read_text()
    assert "<li><strong>percentile</strong>: p in [0, 100]." in re.sub(r"\s+", " ", text)
    assert "::</p>" not in text


def test_what_a_page_links_to_is_in_the_site(site: Path) -> None:
    page = (site / "dynamics" / "index.html").read_text()
    assert 'href="../source/autoclip_sep/dynamics/recorder.py/"' in page
    assert (site / "source/autoclip_sep/dynamics/recorder.py/index.html").is_file()
    assert (site / "recipes/training_dynamics/figure1.png").is_file()
    assert (site / "recipes/musdb18/index.html").is_file()
