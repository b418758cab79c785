"""Trains on disks of given sizes: ``unshare -Urm python -m faults.full_disks PLACE PAGES...``.

PLACE is a folder with a corpus and its store. Prints which exit code each size led to, as JSON.
"""

import json
import subprocess
import sys
from pathlib import Path

import torch

from autoclip_sep.runs import checkpoint
from faults.trained import SHORT, Place, assert_one_line, assert_same_runs, rests
from tests.golden.make import only_run


def try_size(place: Place, straight: Path, pages: int) -> int:
    """The exit code on a disk of so many pages; with more room the run goes on to equal records."""
    folder = place.folder / "disk"
    folder.mkdir(exist_ok=True)
    mount(folder, f"size={4096 * pages}")
    ended = place.train("disk", *SHORT)
    if ended.code:
        assert_one_line(ended)
        assert str(folder.name) in ended.errors, ended
    assert not rests(folder)
    for path in folder.rglob("*.pt"):
        checkpoint.load(path)
    mount(folder, "remount,size=64M")
    assert place.train("disk", *SHORT).code == 0, pages
    assert_same_runs(straight, only_run(folder))
    subprocess.run(["umount", str(folder)], check=True)
    return ended.code


def mount(folder: Path, options: str) -> None:
    """A file system in memory, or another size of it."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    here = Place(Path(sys.argv[1]))
    undisturbed, _ = here.whole("undisturbed", *SHORT)
    found = {size: try_size(here, undisturbed, int(size)) for size in sys.argv[2:]}
    print(json.dumps(found))
