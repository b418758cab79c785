"""The console command: which commands there are, and how texts name them."""

import importlib
import os
import subprocess
import sys
from pathlib import Path

import pytest

from autoclip_sep.cli.main import COMMANDS, MODULE, WIDTH, as_called, help_as_called, main, run
from autoclip_sep.runs import provenance
from tests.commands import ENVIRONMENT, ROOT


@pytest.mark.parametrize("arguments", [[], ["--help"], ["-h"]])
def test_commands_are_listed(arguments, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["autoclip-sep", *arguments])
    main()
    said = capsys.readouterr().out
    for name, (_, what) in COMMANDS.items():
        assert f"  {name} " in said
        assert what in said


@pytest.mark.parametrize(
    ("word", "meant"),
    [("trian", " (did you mean train?)"), ("check_data", " (did you mean check-data?)"), ("x", "")],
)
def test_a_wrong_command_is_one_line_with_the_nearest(word, meant, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["autoclip-sep", word, "percentile=10"])
    with pytest.raises(SystemExit, match="2"):
        main()
    said = capsys.readouterr().err
    assert said.startswith(f"autoclip-sep: {word!r} is no command{meant}; there are train, ")
    assert said.count("\n") == 1


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_is_a_module_and_a_script(name, monkeypatch, capsys):
    script = COMMANDS[name][0]
    assert f'run("{name}")' in (ROOT / script).read_text(encoding="utf-8")
    module = importlib.import_module(f"autoclip_sep.cli.commands.{name.replace('-', '_')}")
    for way, expected, other in (
        (f"autoclip-sep {name}", f"autoclip-sep {name}", ".py"),
        (script, f"python {script}", "autoclip-sep"),
    ):
        monkeypatch.setattr(sys, "argv", [way, "--help"])
        module.main()
        said = capsys.readouterr().out
        assert expected in said
        assert other not in said
        lines = said.splitlines()
        assert [line for line in lines if len(line) > WIDTH and str(ROOT) not in line] == []


@pytest.mark.parametrize("name", ["evaluate", "separate", "compare", "figures", "reproduce"])
def test_a_script_runs_in_a_python_of_its_own(name, tmp_path):
    """The others do so in tests of their own."""
    script = ROOT / COMMANDS[name][0]
    call = [sys.executable, str(script), "nothing=1"]
    done = subprocess.run(call, cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True)
    (line,) = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (2, "")
    assert line.startswith(f"{script.stem}: ")


def test_a_text_names_commands_as_they_are_called(monkeypatch):
    text = "python train.py -m; torchrun -n 2 train.py; as train.py; recipes/x/train.py"
    assert as_called(text) == text
    monkeypatch.setattr(sys, "argv", ["autoclip-sep evaluate"])
    assert as_called(text) == (
        "autoclip-sep train -m; torchrun -n 2 --no-python autoclip-sep train; as autoclip-sep "
        "train; recipes/x/train.py"
    )


def test_a_help_is_wrapped_anew_where_names_grow_and_nowhere_else(monkeypatch):
    prose = f"As in train.py, of which {'one says ' * 8}x\nno more. scripts/check_data.py does."
    examples, table = "python train.py a=1\npython evaluate.py b=2", "Name  of train.py\nb  c"
    text = f"\n{examples}\n\n{prose}\n\n{table}\n"
    assert help_as_called(text) == text.strip()
    monkeypatch.setattr(sys, "argv", ["autoclip-sep evaluate"])
    examples, wrapped, table = help_as_called(text).split("\n\n")
    assert examples == "autoclip-sep train a=1\nautoclip-sep evaluate b=2"
    assert table == "Name  of autoclip-sep train\nb  c"
    first, second = wrapped.splitlines()
    assert WIDTH - 12 < len(first) <= WIDTH
    assert second.endswith("autoclip-sep check-data does.")


def test_an_installed_copy_has_no_commit_of_the_checkout_around_it(monkeypatch):
    monkeypatch.setattr(provenance, "CHECKOUT", ROOT / "autoclip_sep")
    assert provenance.commit() == "unknown"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_list_of_commands_that_nobody_can_read_ends_without_a_traceback():
    called = [sys.executable, "-m", MODULE, "--help"]
    for where, reason in ((">/dev/full", "No space left on device"), (">&-", "it is closed")):
        shell = ["sh", "-c", f'exec "$@" {where}', "sh", *called]
        ended = subprocess.run(shell, stderr=subprocess.PIPE, check=False)
        said = f"autoclip-sep: standard output: {reason}\n".encode()
        assert (ended.returncode, ended.stderr) == (2, said)
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(called, stdout=writing, stderr=subprocess.PIPE, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


def test_messages_begin_with_the_name_that_was_called(monkeypatch, capsys):
    for way, expected in (("autoclip-sep figures", "figures: "), ("x.py", "draw_figures: ")):
        monkeypatch.setattr(sys, "argv", [way, "runs=nowhere"])
        with pytest.raises(SystemExit):
            run("figures")
        assert capsys.readouterr().err.startswith(expected)
