"""The benchmark runs, in small, and its tables are whole; the times themselves are not judged."""

import re

import pytest

from tests.commands import ROOT, command

CELL = re.compile(r"\d+\.\d\d \(\d+\.\d\d–\d+\.\d\d\)")


def bench(*arguments, check=0):
    done = command(ROOT, "scripts/bench_clipping.py", *arguments, check=check)
    return done.stdout if check == 0 else done.stderr


@pytest.fixture(scope="module")
def printed(tmp_path_factory):
    pytest.importorskip("autoclip")
    pytest.importorskip("smartclip")
    out = tmp_path_factory.mktemp("bench") / "tables.md"
    text = bench("quick=true", "threads=1", f"output={out}")
    assert out.read_text() == text
    return text


def tables(text):
    """The rows of each table, as lists of cells."""
    for part in text.split("\n\n")[1:]:
        yield [line.strip("| ").split(" | ") for line in part.splitlines()]


def test_it_says_what_the_numbers_depend_on(printed):
    first, empty = printed.splitlines()[:2]
    assert first.startswith("`python scripts/bench_clipping.py threads=1 quick=true`: 20")
    for part in ("commit ", " cores, threads: 1, torch ", "autoclip 0.", "smartclip 0.", "2 runs"):
        assert part in first
    assert empty == ""


def test_every_table_is_whole(printed):
    found = list(tables(printed))
    assert [len(table) - 2 for table in found] == [9, 3, 9, 3]
    for head, rule, unit, *rows in found:
        assert re.fullmatch(r"\d × \d+ BLSTM, .* M parameters, \d+\.\d\d ms = 1", head[0])
        assert head[1:] == ["history 5", "history 50"]
        assert rule == ["---", "---:", "---:"]
        assert unit[1:] == ["1.00 (1.00–1.00)"] * 2
        for name, *cells in (unit, *rows):
            assert name
            assert len(cells) == 2
            assert all(CELL.fullmatch(cell) for cell in cells), name
            for cell in cells:
                median, low, high = map(float, re.findall(r"[\d.]+", cell))
                assert 0 <= low <= median <= high


@pytest.mark.parametrize("kind", ["ours, `AutoClip(10)`", "plain", "autoclip,", "smartclip,"])
def test_every_contender_is_there_for_both_networks(printed, kind):
    assert sum(any(kind in row[0] for row in table) for table in tables(printed)) == 2


@pytest.mark.parametrize(
    "wrong",
    ["threads=-1", "threads=two", "output=no/such/folder/x.md", "output=scripts", "--quick"],
)
def test_a_wrong_argument_is_one_line(wrong):
    (line,) = bench(wrong, check=2).splitlines()
    assert line.startswith(f"bench_clipping: {wrong}: ")
