"""Whoever wants a clipper gets torch and nothing else of weight; methods stand side by side."""

import inspect
import subprocess
import sys
from pathlib import Path

from autoclip_sep import clipping

CODE = """
import sys, torch
before = {name.partition(".")[0] for name in sys.modules}
import autoclip_sep.clipping
after = {name.partition(".")[0] for name in sys.modules}
print(*sorted(after - before - set(sys.stdlib_module_names)))
"""


def test_clipping_imports_torch_only():
    done = subprocess.run([sys.executable, "-c", CODE], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["autoclip_sep"]


def test_no_method_imports_another():
    shown = [getattr(clipping, name) for name in clipping.__all__]
    files = {
        inspect.getfile(kind)
        for kind in shown
        if issubclass(kind, clipping.Clipper) and kind is not clipping.Clipper
    }
    assert len(files) == 10
    for file in files:
        source = Path(file).read_text()
        for other in files - {file}:
            assert f"clipping.{Path(other).stem} import" not in source
