import os

import pytest

from autoclip_sep.data import _refusal as refusal
from autoclip_sep.errors import InputError


def test_nothing_wrong_is_no_error_and_removes_an_old_report(tmp_path):
    (tmp_path / refusal.REPORT).write_text("old")
    refusal.refuse([], "of 5 files are bad", tmp_path)
    assert not list(tmp_path.iterdir())
    refusal.refuse([], "of 5 files are bad", tmp_path / "nowhere")


def test_a_few_stand_in_the_line(tmp_path):
    with pytest.raises(InputError) as caught:
        refusal.refuse(["a", "b", "c"], "of 5 files are bad", tmp_path / "new")
    assert str(caught.value) == "3 of 5 files are bad: a; b; c"
    assert not (tmp_path / "new").exists()


def test_many_stand_in_a_file(tmp_path):
    with pytest.raises(InputError) as caught:
        refusal.refuse(list("abcd"), "of 5 files are bad", tmp_path / "new")
    assert str(caught.value) == (
        f"4 of 5 files are bad: a; b; c; all 4 in {tmp_path / 'new' / refusal.REPORT}"
    )
    assert (tmp_path / "new" / refusal.REPORT).read_text() == "a\nb\nc\nd\n"


def test_a_report_that_is_none_of_ours_stays(tmp_path):
    """The folder is one that the user named, and may hold anything."""
    (tmp_path / "report.txt").write_text("mine")
    refusal.refuse([], "of 5 files are bad", tmp_path)
    with pytest.raises(InputError):
        refusal.refuse(list("abcd"), "of 5 files are bad", tmp_path)
    assert (tmp_path / "report.txt").read_text() == "mine"


def test_names_of_any_bytes_are_told_in_lines_of_their_own(tmp_path):
    wrong = [os.fsdecode(b"caf\xe9\n.wav: not audio")] * 4
    with pytest.raises(InputError, match=r"4 files are bad: caf\\xe9\\n\.wav: not audio; "):
        refusal.refuse(wrong, "files are bad", tmp_path)
    report = (tmp_path / refusal.REPORT).read_text()
    assert report == "caf\\xe9\\n.wav: not audio\n" * 4
