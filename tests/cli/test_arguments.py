import runpy
import sys
from functools import partial

import pytest

from autoclip_sep.cli import arguments
from autoclip_sep.cli.main import COMMANDS
from autoclip_sep.data.creation.shards import Shard
from autoclip_sep.errors import InputError
from tests.commands import ROOT

DEFAULTS = {"root": None, "out": None, "mode": "min", "subsets": ""}
OTHERS = {*(ROOT / "scripts").glob("*.py")} - {ROOT / script for script, _ in COMMANDS.values()}


def test_defaults_fill_what_is_not_given():
    read = arguments.read(["out=b", "root=a"], DEFAULTS)
    assert read == {"root": "a", "out": "b", "mode": "min", "subsets": ""}
    assert arguments.read(["mode=max", "out=b", "root=a"], DEFAULTS)["mode"] == "max"


@pytest.mark.parametrize("path", sorted(OTHERS), ids=lambda path: path.stem)
def test_scripts_that_are_no_commands_explain_themselves(path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    runpy.run_path(str(path), run_name="__main__")
    assert path.name in capsys.readouterr().out


def test_where_there_are_no_settings_that_is_said():
    with pytest.raises(InputError, match="seconds=3: no such setting; there are none"):
        arguments.read(["seconds=3"], {})


@pytest.mark.parametrize("path", ["a,b", "x=1", "[1]", "${root}", "null", "1e5", "ä b", "'q'"])
def test_values_are_text(path):
    assert arguments.read([f"root={path}", "out=b"], DEFAULTS)["root"] == path


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["roots=a", "out=b"], r"roots=a: .*did you mean root=\.\.\.\?.*there are root, out, mode"),
        (["--out", "root=a"], r"--out: no such setting \(did you mean out="),
        (["zzz=1"], "zzz=1: no such setting; there are"),
        (["root"], r"root: no such setting \(did you mean root="),
        (["root=", "out=b"], "root must have one value"),
        (["root=a", "root=b", "out=c"], "root=b: root must have one value"),
        (["mode=max"], r"missing: root=\.\.\. out=\.\.\.; there are root"),
    ],
)
def test_mistakes_are_one_line(given, message):
    with pytest.raises(InputError, match=message) as caught:
        arguments.read(given, DEFAULTS)
    assert "\n" not in str(caught.value)


def test_several_values_are_taken_once_each_and_checked():
    several = partial(arguments.several, {"mode": "max,min,max"}, "mode")
    assert several("min", "max") == ["max", "min"]
    with pytest.raises(InputError, match="mode=max: must be one of min, mid"):
        several("min", "mid")


def test_a_flag_is_true_or_false():
    assert [arguments.flag({"all": value}, "all") for value in ("true", "false")] == [True, False]
    with pytest.raises(InputError, match="all=yes: must be one of true, false"):
        arguments.flag({"all": "yes"}, "all")


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "many", "", "1_0"])
def test_a_count_is_an_integer_from_one(given):
    assert arguments.count({"rounds": "12"}, "rounds") == 12
    assert arguments.count({"rounds": "0"}, "rounds", least=0) == 0
    with pytest.raises(InputError, match=f"^rounds={given}: must be an integer from 1$"):
        arguments.count({"rounds": given}, "rounds")


def test_processes_are_a_count_or_not_asked_for():
    found = [arguments.processes({"jobs": given}) for given in ("", "1", "12")]
    assert found == [None, 1, 12]
    with pytest.raises(InputError, match=r"^jobs=two: must be an integer from 1 \(processes\)$"):
        arguments.processes({"jobs": "two"})


def array(monkeypatch, **variables):
    """The environment of a job in an array of Slurm's."""
    for name in ("ID", "MIN", "MAX", "STEP", "COUNT"):
        monkeypatch.delenv(f"SLURM_ARRAY_TASK_{name}", raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(f"SLURM_ARRAY_TASK_{name}", value)


@pytest.mark.parametrize(
    ("variables", "shard"),
    [
        ({"ID": "0", "MIN": "0", "MAX": "15", "STEP": "1", "COUNT": "16"}, Shard(1, 16)),
        ({"ID": "4", "MIN": "1", "MAX": "4", "STEP": "1", "COUNT": "4"}, Shard(4, 4)),
        ({"ID": "7", "MIN": "3", "MAX": "9", "STEP": "2", "COUNT": "4"}, Shard(3, 4)),
        ({"ID": "9", "MIN": "3", "MAX": "10", "STEP": "2", "COUNT": "4"}, Shard(4, 4)),
    ],
)
def test_the_shard_of_a_job_in_an_array(monkeypatch, variables, shard):
    array(monkeypatch, **variables)
    assert arguments.shard({"shard": "slurm"}) == shard


@pytest.mark.parametrize(
    ("variables", "value", "message"),
    [
        ({}, "slurm", "shard=slurm: only in a job array"),
        ({"ID": "x"}, "slurm", "only in a job array"),
        (
            {"ID": "9", "MIN": "3", "MAX": "9", "STEP": "1", "COUNT": "2"}, "slurm",
            "the array has 2 jobs from 3 to 9: it must have no gaps",
        ),
        ({}, "0/4", "shard=0/4: must be N/M"),
        ({}, "5/4", "shard=5/4: must be N/M"),
        ({}, "3", "shard=3: must be N/M"),
        ({}, "a/b", "shard=a/b: must be N/M"),
    ],
)  # fmt: skip
def test_a_shard_that_is_none_is_one_line(monkeypatch, variables, value, message):
    array(monkeypatch, **variables)
    with pytest.raises(InputError, match=message):
        arguments.shard({"shard": value})


def test_every_task_is_in_one_shard():
    assert arguments.shard({"shard": ""}).of([1, 2, 3]) == [1, 2, 3]
    shares = [arguments.shard({"shard": f"{n}/3"}).of(range(8)) for n in (1, 2, 3)]
    assert sorted(task for share in shares for task in share) == list(range(8))
