import runpy
import sys
from contextlib import suppress
from functools import partial

import pytest

from autoclip_sep.cli import arguments
from autoclip_sep.errors import InputError
from tests.commands import ROOT

DEFAULTS = {"root": None, "out": None, "mode": "min", "subsets": ""}


def test_defaults_fill_what_is_not_given():
    read = arguments.read(["out=b", "root=a"], DEFAULTS)
    assert read == {"root": "a", "out": "b", "mode": "min", "subsets": ""}
    assert arguments.read(["mode=max", "out=b", "root=a"], DEFAULTS)["mode"] == "max"


@pytest.mark.parametrize("path", sorted((ROOT / "scripts").glob("*.py")), ids=lambda p: p.stem)
def test_every_script_explains_itself(path, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", [str(path), "--help"])
    with suppress(SystemExit):  # argparse ends so
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
        (["root=", "out=b"], "root wants one value"),
        (["root=a", "root=b", "out=c"], "root=b: root wants one value"),
        (["mode=max"], r"missing: root=\.\.\. out=\.\.\.; there are root"),
    ],
)
def test_mistakes_are_one_line(given, message):
    with pytest.raises(InputError, match=message) as caught:
        arguments.read(given, DEFAULTS)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--steps", "x"], "argument --steps: invalid int value: 'x'; see --help"),
        (["--ste", "1"], "unrecognized arguments: --ste 1; see --help"),
    ],
)
def test_a_parser_raises_its_complaints_and_takes_whole_flags(given, message):
    parser = arguments.Parser("it.py", "One line.\n\n  Another.")
    parser.add_argument("--steps", type=int)
    assert parser.parse_args(["--steps", "3"]).steps == 3
    assert "One line.\n\n  Another." in parser.format_help()
    with pytest.raises(InputError) as caught:
        parser.parse_args(given)
    assert str(caught.value) == message


def test_several_values_are_taken_once_each_and_checked():
    several = partial(arguments.several, {"mode": "max,min,max"}, "mode")
    assert several("min", "max") == ["max", "min"]
    with pytest.raises(InputError, match="mode=max: one of min, mid is wanted"):
        several("min", "mid")


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "many", "", "1_0"])
def test_a_count_is_a_whole_number_from_one(given):
    assert arguments.count({"rounds": "12"}, "rounds") == 12
    with pytest.raises(InputError, match=f"^rounds={given}: a whole number from 1 is wanted$"):
        arguments.count({"rounds": given}, "rounds")


@pytest.mark.parametrize(("given", "number"), [("", None), ("1", 1), ("12", 12)])
def test_processes_asked_for(given, number):
    assert arguments.processes({"jobs": given}) == number


@pytest.mark.parametrize("given", ["0", "-1", "1.5", "two", " "])
def test_processes_there_cant_be(given):
    said = f"jobs={given}: a whole number of processes from 1 is wanted"
    with pytest.raises(InputError, match=said):
        arguments.processes({"jobs": given})
