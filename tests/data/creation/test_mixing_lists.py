import os

import pytest

from autoclip_sep.data.creation import mixing_lists
from autoclip_sep.data.creation.mixing_lists import Recipe
from autoclip_sep.errors import InputError

A, B, C = (f"wsj0/si_tr_s/{name}.wav" for name in ("a/x1", "b/y1", "c/z1"))
PAIR = Recipe((A, B), ("1.9857", "-1.9857"))
TRIPLE = Recipe((A, B, C), ("0.5", "-0.5", "0"))


def test_names_are_the_published_ones():
    assert PAIR.name == "x1_1.9857_y1_-1.9857"
    assert TRIPLE.name == "x1_0.5_y1_-0.5_z1_0"
    assert Recipe(("p/a.wv1", "q/b.wav"), ("0.076128", "-0.076128")).name == (
        "a_0.076128_b_-0.076128"
    )


def test_a_list_comes_back_as_written(tmp_path):
    mixing_lists.write_list(tmp_path / "list.txt", [PAIR, TRIPLE])
    assert mixing_lists.read_list(tmp_path / "list.txt") == [PAIR, TRIPLE]
    assert (tmp_path / "list.txt").read_text().splitlines()[0] == f"{A} 1.9857 {B} -1.9857 "


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a.wav 1 b.wav\n", "line 1"),
        ("a.wav 1 b.wav -1\na.wav 1\n", "line 2"),
        ("a.wav one b.wav -1\n", "line 1"),
        ("a.wav nan b.wav -1\n", "line 1"),
        ("", "empty"),
        ("p/a.wav 1 b.wav -1\nq/a.wav 1 b.wav -1\n", "line 2: a second mixture named a_1_b_-1"),
    ],
)
def test_a_bad_list_is_refused_by_line(tmp_path, text, words):
    (tmp_path / "list.txt").write_text(text)
    with pytest.raises(InputError, match=words):
        mixing_lists.read_list(tmp_path / "list.txt")
    with pytest.raises(InputError, match="can't be read"):
        mixing_lists.read_list(tmp_path / "none.txt")


def test_bytes_that_are_no_text_are_no_list(tmp_path):
    (tmp_path / "list.txt").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="isn't text"):
        mixing_lists.read_list(tmp_path / "list.txt")


def test_lines_may_end_as_on_windows(tmp_path):
    (tmp_path / "list.txt").write_bytes(f"{A} 1.9857 {B} -1.9857 \r\n".encode())
    assert mixing_lists.read_list(tmp_path / "list.txt") == [PAIR]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16"])
def test_lists_may_come_from_windows(tmp_path, encoding):
    """With a byte-order mark, its path separators, and an empty line at the end."""
    line = f"{A} 1.9857 {B} -1.9857 \r\n\r\n".replace("/", "\\")
    (tmp_path / "list.txt").write_bytes(line.encode(encoding))
    assert mixing_lists.read_list(tmp_path / "list.txt") == [PAIR]


def test_paths_that_are_not_utf_8_come_back_as_written(tmp_path):
    recipe = Recipe((os.fsdecode(b"wsj0/caf\xe9.wav"), B), ("1", "-1"))
    mixing_lists.write_list(tmp_path / "list.txt", [recipe])
    assert b"wsj0/caf\xe9.wav 1 " in (tmp_path / "list.txt").read_bytes()
    assert mixing_lists.read_list(tmp_path / "list.txt") == [recipe]


@pytest.mark.parametrize("path", ["./", ".\\", "wsj0/"])
def test_a_path_that_is_a_folders_is_refused_by_line(tmp_path, path):
    (tmp_path / "list.txt").write_text(f"{A} 1 {B} -1\n{path} 1 {B} -1\n")
    with pytest.raises(InputError, match=r"list\.txt, line 2: a path that names no file"):
        mixing_lists.read_list(tmp_path / "list.txt")


@pytest.mark.parametrize(
    "path", ["/etc/a.wav", "../a.wav", "wsj0\\..\\..\\a.wav", "wsj0/.a.wav", "a\x1b"]
)
def test_a_path_that_leads_elsewhere_is_refused_by_line(tmp_path, path):
    (tmp_path / "list.txt").write_text(f"{A} 1 {B} -1\n{path} 1 {B} -1\n")
    with pytest.raises(InputError, match=r"line 2: '.*' (leads out of|can't name)"):
        mixing_lists.read_list(tmp_path / "list.txt")
