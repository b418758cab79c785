import os
import subprocess
import sys

import pytest

from autoclip_sep.errors import InputError
from autoclip_sep.runs import run_directory


def test_flatten_and_differences():
    one = {"a": {"b": 1, "c": [1, 2]}, "d": None}
    assert run_directory.flatten(one) == {"a.b": 1, "a.c": [1, 2], "d": None}
    assert run_directory.differences(one, {"a": {"b": 1, "c": [1, 3]}}) == ["a.c", "d"]


def test_directory_names_tell_runs_apart():
    parts = ("demo", "snr", "blstm", "none")
    plain = run_directory.directory_name(parts, 3, {})
    assert plain.as_posix() == "demo/snr/blstm/none/seed3"
    one = run_directory.directory_name(parts, 3, {"optimizer.lr": 0.1})
    other = run_directory.directory_name(parts, 3, {"optimizer.lr": 0.2})
    assert len({plain, one, other}) == 3
    assert len(one.name) == len("seed3-") + 6


def test_config_round_trip(tmp_path):
    paths = {"path": "it's ${here}, null", "root": os.fsdecode(b"caf\xe9\n\x1b"), "b": "ä"}
    config = {"a": 1e-8, "b": [0.9, 0.999], "c": paths, "d": None}
    run_directory.write_config(tmp_path, config)
    assert run_directory.read_config(tmp_path) == config


def test_what_is_no_run_is_named_with_what_was_found(tmp_path):
    with pytest.raises(InputError, match=r"nowhere is not a run directory \(not there\)"):
        run_directory.read_config(tmp_path / "nowhere")
    (tmp_path / "song.wav").touch()
    with pytest.raises(InputError, match=r"song.wav is not a run directory \(a file\)"):
        run_directory.read_config(tmp_path / "song.wav")
    with pytest.raises(InputError, match=r"it holds song.wav"):
        run_directory.read_config(tmp_path)


@pytest.mark.parametrize("text", ["- a", "a: [", "plain text"])
def test_a_config_that_is_none_is_refused(tmp_path, text):
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(InputError, match="config"):
        run_directory.read_config(tmp_path)


def test_state_survives_and_damage_reads_as_no_state(tmp_path):
    assert run_directory.read_state(tmp_path) == {}
    run_directory.write_state(tmp_path, status="running", step=20)
    assert run_directory.read_state(tmp_path) == {"status": "running", "step": 20}
    (tmp_path / "state.json").write_text("{")
    assert run_directory.read_state(tmp_path) == {}


def test_a_second_process_is_refused_while_the_first_holds_the_lock(tmp_path):
    program = (
        "from pathlib import Path; from autoclip_sep.runs import run_directory\n"
        f"with run_directory.lock(Path({str(tmp_path)!r})): pass"
    )
    command = [sys.executable, "-c", program]
    with run_directory.lock(tmp_path):
        refused = subprocess.run(command, capture_output=True, text=True, check=False)
    assert refused.returncode != 0
    assert "in use by another process" in refused.stderr
    assert subprocess.run(command, check=False).returncode == 0


@pytest.mark.parametrize("part", ["..", "../x", "/x", "a/b", "a\nb", ""])
def test_a_part_of_a_directorys_name_leads_nowhere(part):
    with pytest.raises(InputError, match="can't name a file or folder"):
        run_directory.directory_name(("demo", part, "blstm", "none"), 0, {})
