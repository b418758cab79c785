"""Pages that the system must clear again, counted in processes of their own."""

import os
import platform
import subprocess
import sys

import pytest

COUNT = """
import resource, torch
from autoclip_sep.training.memory import keep_freed
kept = {keep} and keep_freed()
for step in range(30):  # glibc's cache of small blocks, seven of a size, first gets into the way
    if step == 29:
        before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    torch.ones(25_000_000)  # 100 MB
print(kept, resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def count(keep, **environment):
    """Whether memory is kept, and the page faults of a block of a size that was freed before."""
    own = {k: v for k, v in os.environ.items() if not k.startswith(("MALLOC_", "GLIBC_"))}
    command = [sys.executable, "-c", COUNT.format(keep=keep)]
    output = subprocess.run(
        command, env=own | environment, check=True, capture_output=True, text=True
    ).stdout
    kept, faults = output.split()
    return kept == "True", int(faults)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_freed_memory_is_used_again():
    assert count(keep=True) == (True, pytest.approx(0, abs=100))


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has the setting")
def test_without_it_or_with_settings_of_the_users_each_page_is_given_anew():
    huge_pages = 100_000_000 // (2 << 20)
    kept, faults = count(keep=False)
    assert (kept, faults >= huge_pages) == (False, True)
    kept, faults = count(keep=True, MALLOC_MMAP_MAX_="65536")
    assert (kept, faults >= huge_pages) == (False, True)
