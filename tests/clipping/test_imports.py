"""Whoever wants a clipper gets torch and nothing else of weight."""

import subprocess
import sys

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
