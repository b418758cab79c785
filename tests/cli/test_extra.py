"""Where the extra isn't installed, a command says so in one line; the list of needs is whole."""

import ast
import os
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from autoclip_sep.cli import NEEDED
from tests.commands import ENVIRONMENT, ROOT

SCRIPTS = ["train.py", *(f"scripts/{name}.py" for name in ("replay", "reproduce", "keep_records"))]
CONSOLE = ["-c", "from autoclip_sep.cli.main import main; main()"]  # as pip writes it


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A folder of installed packages, those of the extra left out."""
    folder = tmp_path_factory.mktemp("bare")
    for path in Path(sysconfig.get_path("purelib")).iterdir():
        name = path.name.lower().replace("_", "")
        if not name.startswith((*NEEDED, "pyyaml", "editable")) and path.suffix != ".pth":
            (folder / path.name).symlink_to(path)
    return folder


@pytest.mark.parametrize("command", [*([str(ROOT / name)] for name in SCRIPTS), CONSOLE])
def test_a_command_without_the_extra_names_it(bare, command):
    done = subprocess.run(
        [sys.executable, "-S", *command, "--help"],
        env={**ENVIRONMENT, "PYTHONPATH": os.pathsep.join([str(bare), str(ROOT)])},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 2, done.stderr
    (line,) = done.stderr.splitlines()
    assert "pip install 'autoclip_sep[separation]'" in line
    assert "numpy" in line


def test_what_is_imported_without_asking_is_looked_for():
    found = set()
    for path in (ROOT / "autoclip_sep").rglob("*.py"):
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom) and not node.level:
                names = [str(node.module)]
            found |= {name.partition(".")[0] for name in names}
    others = {"torch", "autoclip_sep", "PIL"}  # matplotlib brings the last one along,
    others |= {"jinja2", "markupsafe"}  # torch these two
    assert found - set(sys.stdlib_module_names) - others == set(NEEDED)
