"""Files from strangers: nothing in them runs, whatever they name."""

import hashlib
import importlib
import io
import os
import pickle
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml

from autoclip_sep.runs.checkpoint import CheckpointFolder
from faults import forked
from faults.trained import assert_one_line
from tests.cli.test_build import FOREIGN
from tests.golden.make import SEPARATE

MARK = "was_here"
SHELL, CODE = f"touch {MARK}", f"open({MARK!r}, 'w')"
GADGETS = {
    "os.system": (SHELL,), "os.popen": (SHELL,), "os.mkdir": (MARK,), "os.open": (MARK, os.O_CREAT),
    "os.execvp": ("touch", ["touch", MARK]), "os.posix_spawnp": ("touch", ["touch", MARK], {}),
    "subprocess.Popen": (["touch", MARK],), "subprocess.run": (["touch", MARK],),
    "subprocess.check_output": (["touch", MARK],), "builtins.eval": (CODE,),
    "builtins.exec": (CODE,), "builtins.open": (MARK, "w"), "pathlib.Path.touch": (Path(MARK),),
    "timeit.timeit": (CODE,), "code.interact": (CODE,), "pdb.run": (CODE,), "cProfile.run": (CODE,),
    "doctest.debug_script": (CODE,), "shutil.copy": ("/dev/null", MARK), "io.open": (MARK, "w"),
    "pickle.loads": (pickle.dumps(MARK),), "numpy.save": (MARK, 0), "torch.save": (0, MARK),
    "autoclip_sep.runs.run_directory.write_text": (Path(MARK), ""), "logging.FileHandler": (MARK,),
}  # fmt: skip
TAGS = """
python/object/apply:os.system [COMMAND]
python/object/new:os.system [COMMAND]
python/object/apply:subprocess.Popen [[touch, MARK]]
python/object/apply:builtins.eval ["open('MARK', 'w')"]
python/object/new:subprocess.Popen [[touch, MARK]]
python/object:pathlib.Path {MARK: 1}
python/name:os.system
python/module:MARK
python/tuple [MARK]
""".split("\n")[1:-1]
SETTINGS = [
    f"hydra.run.dir={MARK}", f"hydra.sweep.dir={MARK}", f"hydra.searchpath=[file://{MARK}]",
    f"+hydra.job_logging.handlers.file.filename={MARK}", f"hydra/launcher={MARK}",
    f"+model.hook={{_target_:os.system,command:'{SHELL}'}}",
    f"hydra.callbacks={{a:{{_target_:{MARK}}}}}",
    f"+trainer.path=${{oc.create:{{_target_:os.system,command:'{SHELL}'}}}}",
]  # fmt: skip


class Hostile:
    """Unpickles as a call of a function that leaves a mark."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __reduce__(self):
        module, _, name = self.name.rpartition(".")
        try:
            found = getattr(importlib.import_module(module), name)
        except ImportError:  # a method
            owner, _, kind = module.rpartition(".")
            found = getattr(getattr(importlib.import_module(owner), kind), name)
        return found, GADGETS[self.name]


def as_archive(content):
    buffer = io.BytesIO()
    torch.save(content, buffer)
    return buffer.getvalue()


def as_old_archive(content):
    buffer = io.BytesIO()
    torch.save(content, buffer, _use_new_zipfile_serialization=False)
    return buffer.getvalue()


WRITERS = {
    "archive": as_archive,
    "old archive": as_old_archive,
    "pickle": pickle.dumps,
    "text pickle": lambda content: pickle.dumps(content, protocol=0),
}


def listen(place):
    """From now on, note what happens to anything that bears the mark."""

    def heard(event, given):
        if MARK in repr(given):
            os.close(os.open(place / "ran", os.O_CREAT | os.O_WRONLY))

    def before():
        sys.addaudithook(heard)

    return before


@pytest.fixture
def probe(place):
    """Give a command; nothing may have run, and it must end in one line unless it may be done."""

    def run(name, *arguments, harmless=False):
        ended = forked.run(place.folder, name, *arguments, before=listen(place.folder))
        assert not (place.folder / "ran").exists(), (arguments, ended)
        assert not (place.folder / MARK).exists(), (arguments, ended)
        if ended.code or not harmless:
            assert_one_line(ended)

    return run


@pytest.fixture
def run(place):
    """A copy of a run that may be spoilt."""
    return place.copy(place.straight, "stranger")


def replace(folder, kind, content):
    """Put a file in the place of the only checkpoint of a kind, with a digest that is right."""
    paths = CheckpointFolder(folder / "checkpoints").paths(kind)
    for path in paths[:-1]:
        path.unlink()
    paths[-1].write_bytes(content)
    digest = hashlib.sha256(content).hexdigest()
    paths[-1].with_name(paths[-1].name + ".sha256").write_text(f"{digest}  {paths[-1].name}\n")


@pytest.mark.parametrize("name", ["os.system", "os.mkdir", "builtins.eval", "subprocess.Popen"])
def test_what_runs_is_seen(place, name):
    """Negative controls: the probes would be noticed if they ran."""
    content = pickle.dumps(Hostile(name))
    listening = listen(place.folder)

    def before():
        os.chdir(place.folder)
        listening()
        pickle.loads(content)

    forked.run(place.folder, "evaluate", "run=nowhere", before=before)
    assert (place.folder / "ran").exists()
    (place.folder / "ran").unlink()
    for _ in range(500):  # touch takes its time
        if (place.folder / MARK).exists():
            break
        time.sleep(0.01)
    path = place.folder / MARK
    path.rmdir() if path.is_dir() else path.unlink()


@pytest.mark.parametrize("how", WRITERS)
def test_pickles(place, run, probe, measured, how):
    for number, name in enumerate(GADGETS):
        content = WRITERS[how]({"model": Hostile(name), "epoch": 1})
        if number % 2:
            replace(run, "last", content)
            probe("train", *place.arguments("stranger", "trainer.epochs=5"))
        else:
            replace(run, "best", content)
            probe("evaluate", f"run={run}")
    measured(f"{len(GADGETS)} probes for code execution by {how}: nothing ran")


def test_targets_of_a_runs_config(run, probe, measured):
    config = yaml.safe_load((run / "config.yaml").read_text())
    for number, target in enumerate(FOREIGN):
        group = ("model", "stft")[number % 2]
        hostile = {"_target_": target, "command": SHELL, "args": [SHELL], "path": MARK}
        (run / "config.yaml").write_text(yaml.safe_dump({**config, group: hostile}))
        name, more = ("separate", SEPARATE) if number % 3 else ("evaluate", [])
        probe(name, f"run={run}", *more)
    measured(f"{len(FOREIGN)} foreign targets in a run's config: nothing ran")


def test_targets_of_a_command(place, probe, measured):
    groups = ("model", "optimizer", "clipping", "logger", "loss.objective", "data.corpus")
    for number, target in enumerate(FOREIGN):
        group = groups[number % len(groups)]
        probe("train", *place.arguments("never", f"{group}._target_={target}"))
    assert not (place.folder / "never").exists()
    for setting in SETTINGS:  # some are settings of Hydra's own, which this project doesn't use
        probe("train", *place.arguments("settings", setting), harmless=True)
    measured(f"{len(FOREIGN) + len(SETTINGS)} foreign targets in a command: nothing ran")


def test_tags_of_a_runs_config(run, probe, measured):
    text = (run / "config.yaml").read_text()
    for tag in TAGS:
        tag = tag.replace("COMMAND", SHELL).replace("MARK", MARK)
        (run / "config.yaml").write_text(f"{text}\nhostile: !!{tag}\n")
        probe("evaluate", f"run={run}")
    measured(f"{len(TAGS)} YAML tags in a run's config: nothing ran")


def test_arrays_of_objects(place, run, probe, measured):
    """In the store's index: numpy unpickles what an array of objects holds."""
    (path,) = (place.folder / "store").glob("tree*/index.npy")
    whole = path.read_bytes()
    try:
        for name in GADGETS:
            np.save(path, np.array([Hostile(name)], dtype=object), allow_pickle=True)
            probe("evaluate", f"run={run}")
    finally:
        path.write_bytes(whole)
    measured(f"{len(GADGETS)} arrays of objects as a store's index: nothing ran")
