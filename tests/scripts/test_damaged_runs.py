"""The scripts on run directories in which one file is damaged: done without it, or one line."""

import json
import os
import sys
import traceback

import pytest

from autoclip_sep import parallel
from autoclip_sep.cli.commands import check_data, compare, replay
from autoclip_sep.cli.commands.evaluate import evaluate
from autoclip_sep.cli.commands.train import train
from autoclip_sep.cli.plan import plan
from autoclip_sep.errors import InputError
from autoclip_sep.figures import footer
from autoclip_sep.figures.clippers import clipped_shares, step_sizes
from autoclip_sep.figures.run_dynamics import dynamics
from autoclip_sep.figures.run_pairs import pairs
from autoclip_sep.figures.runs import comparable, find, frame
from autoclip_sep.figures.scores import results
from tests.cli.test_corpora import TINY, wsj0_2mix
from tests.commands import load

# Each file of a run directory, and the scripts that read it.
FILES = {
    "config.yaml": ("compare_run", "check_data"),
    "provenance.json": ("compare_run",),
    "state.json": ("compare_run", "keep_records"),
    "dynamics.csv": ("compare_run", "keep_records", "replay"),
    "history.csv": ("compare_run",),
    "evaluation/test.json": ("keep_records",),
    "kept.json": ("compare_run",),
    "checkpoints/last.pt": ("replay",),
    "checkpoints/last.pt.sha256": ("replay",),
}


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """Two runs of three epochs with all their files, kept.json included."""
    place = tmp_path_factory.mktemp("place")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        patch.setattr(parallel, "cores", lambda: 1)
        common = [*wsj0_2mix(place / "corpus"), *TINY, "trainer.epochs=3", f"runs={place}/runs"]
        for clipping in ("autoclip", "none"):
            words = [*common, f"clipping={clipping}"]
            train(words)
            evaluate([*plan(words).evaluation(), "progress=false"])
            (plan(words).directory / "kept.json").write_text(json.dumps({"digits": 6}))
    return place


@pytest.fixture
def damaged(place):
    """The run whose files are damaged."""
    (run,) = place.glob("runs/*/*/*/autoclip_p10/seed0*")
    return run


def wrong_json(content):
    """A JSON file whose values are all of another type."""
    return json.dumps({key: [{"a": 1}] for key in json.loads(content)}).encode()


def damages(path):
    """What can befall a file, by name."""
    content = path.read_bytes()
    found = {
        "empty": b"", "half": content[: len(content) // 2], "binary": bytes(range(256)) * 20,
        "NULs": bytes(len(content)), "page": b"<html>no such file</html>\n",
    }  # fmt: skip
    if path.suffix != ".csv":
        found |= {"list": b"[1, 2]", "number": b"5", "deep": b"[" * 100_000}
    if path.suffix == ".json":
        found["types"] = wrong_json(content)
        found["nested"] = json.dumps({"summary": {"si_sdr_mean": [1]}, "provenance": 3}).encode()
    if path.suffix == ".csv":
        header, *rows = content.splitlines(keepends=True)
        first = header.split(b",")[0]
        found |= {
            "NULs in the middle": content[: len(content) // 2] + bytes(50) + content[-20:],
            "one huge line": content + b"9" * 300_000 + b"\n",
            "another column": content.replace(first, b"other", 1), "header only": header,
            "text": header + b"".join(rows[:-1]) + b"a," * header.count(b",") + b"b\n",
            "nan": header + b"nan," * header.count(b",") + b"nan\n",
            "infinite": header + b"inf," * header.count(b",") + b"inf\n",
            "negative": header + b"-1," * header.count(b",") + b"-1\n",
            "ragged": header + b"1,2,3\n" * 3, "backwards": header + b"".join(rows[::-1]),
        }  # fmt: skip
    return found


def damage(path, name, content):
    """Damage a file; content None: no bytes are to be written."""
    path.unlink()
    if name == "folder":
        path.mkdir()
    elif name == "fifo":
        os.mkfifo(path)
    elif name == "link":
        path.symlink_to("nowhere")
    elif name != "missing":
        path.write_bytes(content)


def fault(main, words, capsys, allowed=2):
    """What is wrong with how a script ends: nothing where it is done, or prints one line."""
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(sys, "argv", ["it.py", *words])
            main()
    except SystemExit as end:
        lines = capsys.readouterr().err.strip().splitlines()
        one_line = end.code == allowed and len(lines) == 1
        return "" if end.code in (0, 1) or one_line else f"{lines}"
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"{type(error).__name__}: {error} ({where.filename}:{where.lineno})"[:300]
    finally:
        capsys.readouterr()
    return ""


@pytest.fixture(scope="module")
def scripts():
    """The scripts' main functions; replay's pictures, a second each, are drawn elsewhere."""
    modules = (compare, load("scripts/keep_records.py"), replay, check_data)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(replay, "write", lambda *_: None)
        yield {name: module.main for name, module in zip(WORDS, modules, strict=True)}


def test_what_figures_read_of_a_damaged_run_is_one_line(place, damaged):
    faults = {}
    for name in ("config.yaml", "provenance.json", "dynamics.csv", "history.csv",
                 "evaluation/test.json"):  # fmt: skip
        path = damaged / name
        before = path.read_bytes()
        for case, content in damages(path).items():
            path.write_bytes(content)
            for reader in READERS:
                try:
                    reader(frame(find(place / "runs")))
                except InputError:
                    continue
                except Exception as error:
                    where = traceback.extract_tb(error.__traceback__)[-1]
                    faults[f"{name}: {case}"] = f"{error!r} ({where.filename}:{where.lineno})"
        path.write_bytes(before)
    assert faults == {}


READERS = (
    comparable, footer.line, pairs, results.table, clipped_shares.shares_by_epoch,
    lambda runs: [step_sizes.sizes(run) for run in runs["run"]],
    lambda runs: [dynamics(run) for run in runs["run"]],
)  # fmt: skip

WORDS = {
    "compare_run": lambda run, out: [f"run={run}", f"reference={run.parents[1]}/none/{run.name}"],
    "keep_records": lambda run, out: [f"runs={run.parents[4]}", f"output={out}/kept"],
    "replay": lambda run, out: [f"norms={run}", f"output={out}/replay"],
    "check_data": lambda run, out: [f"run={run}"],
}


@pytest.mark.parametrize("script", WORDS)
def test_a_whole_run_can_be_used(damaged, script, scripts, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(damaged.parents[4])
    assert fault(scripts[script], WORDS[script](damaged, tmp_path), capsys, allowed=0) == ""


@pytest.mark.parametrize(("name", "readers"), FILES.items())
def test_a_damaged_file_is_one_line(damaged, name, readers, scripts, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    path = next(damaged.glob(name.replace("last", "last-*3")))
    before = path.read_bytes()
    faults = {}
    cases = damages(path) | dict.fromkeys(("missing", "folder", "fifo", "link"))
    for case, content in cases.items():
        if case == "fifo" and name.startswith("checkpoints"):
            continue
        damage(path, case, content)
        for script in readers:
            words = WORDS[script](damaged, tmp_path)
            if wrong := fault(scripts[script], words, capsys):
                faults[f"{script}: {case}"] = wrong
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(before)
    assert faults == {}
