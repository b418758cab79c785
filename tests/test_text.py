"""Text and tables from other machines."""

import os

import pytest

from autoclip_sep.errors import InputError
from autoclip_sep.runs import run_directory
from autoclip_sep.text import read_table, read_text

ROWS = [{"mixture_ID": "a", "path": "x/y.wav"}, {"mixture_ID": "b, c", "path": "ä"}]
PLAIN = 'mixture_ID,path\na,x/y.wav\n"b, c",ä\n'
ODD = {
    "with a mark": PLAIN.encode("utf-8-sig"),
    "with two marks": ("\ufeff" + PLAIN).encode("utf-8-sig"),
    "in UTF-16": PLAIN.encode("utf-16"),
    "in big-endian UTF-16": b"\xfe\xff" + PLAIN.encode("utf-16-be"),
    "lines end as on Windows": PLAIN.replace("\n", "\r\n").encode(),
    "lines end as on old Macs": PLAIN.replace("\n", "\r").encode(),
    "all is quoted": '"mixture_ID","path"\r\n"a","x/y.wav"\r\n"b, c","ä"'.encode(),
    "empty lines": PLAIN.replace("\na,", "\n\n,\n \na,").encode() + b"\n\n",
    "empty columns": 'mixture_ID, path,,\na,x/y.wav,,\n"b, c",ä,,,\n'.encode(),
}


@pytest.mark.parametrize("how", ODD)
def test_a_table_is_read_however_it_was_written(tmp_path, how):
    (tmp_path / "t.csv").write_bytes(ODD[how])
    assert [row for _, row in read_table(tmp_path / "t.csv", ["mixture_ID", "path"])] == ROWS


def test_rows_are_told_with_their_lines(tmp_path):
    (tmp_path / "t.csv").write_text('a,b\n\n"x\ny",2\n3,4\n')
    numbered = read_table(tmp_path / "t.csv", ["a"])
    assert numbered == [(4, {"a": "x\ny", "b": "2"}), (5, {"a": "3", "b": "4"})]


def test_names_of_files_may_be_any_bytes(tmp_path):
    (tmp_path / "t.csv").write_bytes(b"path\ncaf\xe9.wav\n")
    ((_, row),) = read_table(tmp_path / "t.csv", ["path"])
    assert os.fsencode(row["path"]) == b"caf\xe9.wav"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the table is empty"),
        (b"\xef\xbb\xbf", "the table is empty"),
        (b"\xef\xbb\xbfa,b\n", "the table is empty"),
        (b"a,b\n1,2,3\n", "line 2: 3 fields for 2 columns"),
        (b"a,c\n1,2,3\n", "no column b; found: a, c"),
        (b"a,b\n1,2\n\n3\n", "line 4: 1 fields for 2 columns"),
        (b"a,b,b\n1,2,3\n", "two columns b; found: a, b, b"),
        ("a,\u200bb\n1,2\n".encode(), r"no column b; found: a, \u200bb"),
        (b'a,b\n1,"2\n', "line 2: can't be read (unexpected end of data)"),
        (b"a,b\n1,2\0\n", "it isn't text"),
        (b"\xff\xfea", "it isn't text"),
        ("a,b\n1,2\n".encode("utf-16-le"), "it isn't text"),
        (b"a," + b"x" * 200_000 + b"\n", "line 1: can't be read (field larger than"),
    ],
)
def test_a_table_that_is_none_is_refused_by_line(tmp_path, content, message):
    (tmp_path / "t.csv").write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_table(tmp_path / "t.csv", ["a", "b"])
    assert str(caught.value).startswith(f"{tmp_path / 't.csv'}")
    assert message in str(caught.value)


def test_a_header_of_a_thousand_columns_is_not_all_told(tmp_path):
    (tmp_path / "t.csv").write_text(",".join(map(str, range(1000))) + "\n" + "0," * 999 + "0\n")
    with pytest.raises(InputError, match=r"no column a; found: 0, 1, .* and 988 more$") as caught:
        read_table(tmp_path / "t.csv", ["a"])
    assert len(str(caught.value)) < 300


def test_what_isnt_there_is_one_line(tmp_path):
    with pytest.raises(InputError, match=r"can't be read \(No such file"):
        read_text(tmp_path / "t.csv")


def test_what_an_editor_saved_with_a_mark_is_a_config_and_a_note_still(tmp_path):
    (tmp_path / "config.yaml").write_bytes("a: ä\n".encode("utf-8-sig"))
    assert run_directory.read_config(tmp_path) == {"a": "ä"}
    (tmp_path / "note.json").write_bytes(b'\xef\xbb\xbf{"fingerprint": "x"}')
    assert run_directory.read_json(tmp_path / "note.json") == {"fingerprint": "x"}
