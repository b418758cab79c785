import math
import os

import numpy as np
import pytest

from autoclip_sep.errors import InputError
from autoclip_sep.runs import records
from autoclip_sep.runs.records import Records


def test_rows_are_on_disk_as_they_are_written(tmp_path):
    file = Records(tmp_path / "a.csv", ("step", "loss"))
    file.append({"step": 1, "loss": 0.1})
    file.append({"loss": math.inf, "step": 2})
    rows = records.read(tmp_path / "a.csv")  # while still open
    assert rows == [{"step": "1", "loss": "0.1"}, {"step": "2", "loss": "inf"}]


def test_floats_read_back_to_the_same_bits(tmp_path):
    value = 0.1 + 0.2
    Records(tmp_path / "a.csv", ("x",)).append({"x": value})
    assert float(records.read(tmp_path / "a.csv")[0]["x"]) == value


@pytest.mark.parametrize("cut", [b"2,0.", "2,ö".encode()[:-1]])
def test_a_line_cut_off_by_a_crash_is_dropped_and_writing_goes_on(tmp_path, cut):
    path = tmp_path / "a.csv"
    path.write_bytes(b"step,loss\n1,0.5\n" + cut)
    assert len(records.read(path)) == 1
    file = Records(path, ("step", "loss"))
    file.append({"step": 2, "loss": 0.25})
    assert path.read_text() == "step,loss\n1,0.5\n2,0.25\n"


NOT_UTF8 = os.fsdecode(b"caf\xe9.wav")


@pytest.mark.parametrize("name", ["a,b", 'say "a"', "a\rb", "a\nb", "a\r\nb", "", " a ", NOT_UTF8])
def test_any_name_reads_back(tmp_path, name):
    file = Records(tmp_path / "a.csv", ("step", "item"))
    file.append({"step": 1, "item": name})
    file.keep(lambda row: row["item"] == name)
    file.append({"step": 2, "item": name})
    assert [row["item"] for row in records.read(tmp_path / "a.csv")] == [name, name]


def test_numpys_numbers_are_written_as_numbers(tmp_path):
    Records(tmp_path / "a.csv", ("x",)).append({"x": np.float64(1.5)})
    assert records.read(tmp_path / "a.csv") == [{"x": "1.5"}]


def test_keep_drops_what_was_written_after_the_checkpoint(tmp_path):
    file = Records(tmp_path / "a.csv", ("step",))
    for step in range(1, 6):
        file.append({"step": step})
    file.keep(lambda row: int(row["step"]) <= 3)
    file.append({"step": 4})
    assert [row["step"] for row in records.read(tmp_path / "a.csv")] == ["1", "2", "3", "4"]


@pytest.mark.parametrize("row", [{"step": 1}, {"step": 1, "loss": 2, "more": 3}])
def test_a_row_has_all_columns_and_no_more(tmp_path, row):
    with pytest.raises(KeyError):
        Records(tmp_path / "a.csv", ("step", "loss")).append(row)


def test_other_columns_are_refused(tmp_path):
    Records(tmp_path / "a.csv", ("step",)).append({"step": 1})
    with pytest.raises(InputError, match="columns step"):
        Records(tmp_path / "a.csv", ("step", "loss"))


def test_missing_and_empty_records_are_named(tmp_path):
    with pytest.raises(InputError, match="no records at"):
        records.read(tmp_path / "none.csv")
    Records(tmp_path / "a.csv", ("step",))
    with pytest.raises(InputError, match="no rows"):
        records.read(tmp_path / "a.csv")


DAMAGE = {
    "NULs": b"\0\0\0\0\n", "text": b"nothing at all\n", "too long": b"1," + b"9" * 200_000 + b"\n",
    "too many": b"1,2,3\n", "too few": b"1\n", "a quotation mark": b'2,"0.5\n', "nan": b"nan,nan\n",
    "bytes": b"\xff\xfe,\xb2\n", "infinite": b"inf,1\n", "no number": b",\n",
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
@pytest.mark.parametrize("place", [1, 3, 4])
def test_a_damaged_row_stops_nothing_and_is_told(tmp_path, capsys, damage, place):
    path = tmp_path / "a.csv"
    lines = [b"step,loss\n", b"1,0.5\n", b"2,0.25\n", b"3,0.125\n"]
    path.write_bytes(b"".join([*lines[:place], damage, *lines[place:]]))
    before = path.read_bytes()
    file = Records(path, ("step", "loss"))
    file.keep(lambda row: int(row["step"]) <= 2)
    file.append({"step": 3, "loss": 1.0})
    assert path.read_text() == "step,loss\n1,0.5\n2,0.25\n3,1.0\n"
    output = capsys.readouterr().err
    assert f"a.csv: dropped 1 damaged row, from line {place + 1} on" in output
    assert len(output.splitlines()) == 1
    assert path.with_name("a.csv.damaged").read_bytes() == before


@pytest.mark.parametrize("name", ["NULs", "a zeroed block", "text before the header", "bytes"])
def test_a_damaged_header_loses_no_rows(tmp_path, capsys, name):
    path = tmp_path / "a.csv"
    header, rows = b"step,loss\n", b"1,0.5\n2,0.25\n"
    before = {
        "NULs": bytes(9) + b"\n" + rows, "a zeroed block": bytes(12) + rows[2:] + rows,
        "text before the header": b"nothing at all\n" + header + rows, "bytes": b"\xff,\n" + rows,
    }[name]  # fmt: skip
    path.write_bytes(before)
    file = Records(path, ("step", "loss"))
    file.keep(lambda row: int(row["step"]) <= 1)
    assert path.read_bytes().startswith(header + b"1,0.5\n")
    assert ", from line 1 on" in capsys.readouterr().err
    assert path.with_name("a.csv.damaged").read_bytes() == before


def test_what_is_no_line_is_kept_aside_unless_a_crash_left_it(tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_bytes(b"step,lo")
    Records(path, ("step", "loss"))
    assert not capsys.readouterr().err
    path.write_bytes(bytes(100))
    Records(path, ("step", "loss"))
    assert path.read_text() == "step,loss\n"
    assert path.with_name("a.csv.damaged").read_bytes() == bytes(100)


def test_no_damaged_file_takes_the_place_of_another(tmp_path, capsys):
    path = tmp_path / "a.csv"
    path.write_bytes(b"step,loss\n" + DAMAGE["NULs"] + DAMAGE["nan"] + b"1,0.5\n")
    before = path.read_bytes()
    Records(path, ("step", "loss")).keep(lambda row: int(row["step"]) <= 2)
    assert path.read_text() == "step,loss\n1,0.5\n"
    assert path.with_name("a.csv.damaged").read_bytes() == before
    assert path.with_name("a.csv.damaged2").read_bytes() == b"step,loss\nnan,nan\n1,0.5\n"
    assert "a.csv.damaged2 is the original file" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["NULs", "text", "too long", "too many", "a quotation mark"])
def test_a_damaged_row_is_named_where_it_is_only_read(tmp_path, name):
    path = tmp_path / "x.csv"
    path.write_bytes(b"step,loss\n1,0.5\n" + DAMAGE[name] + b"2,0.5\n")
    with pytest.raises(InputError, match=r"x\.csv, line 3 is damaged"):
        records.read(path)
