"""Names from files: whether they stay inside their folder, and how they are printed."""

import os

import pytest

from autoclip_sep.errors import InputError
from autoclip_sep.names import check_name, path_below, shown, some

NOT_UTF8 = os.fsdecode(b"caf\xe9")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a\x1b[31mb", r"a\x1b[31mb"),
        ("two\nlines\r", r"two\nlines\r"),
        ("\ufeffmixture_ID", r"\ufeffmixture_ID"),
        (NOT_UTF8, r"caf\xe9"),
        ("\ud800", r"\ud800"),
        ("a\u2028b\u202ec", r"a\u2028b\u202ec"),
        ("it's ä/ü, 日本語\u3000x\\n ~", "it's ä/ü, 日本語\u3000x\\n ~"),
    ],
)
def test_what_cant_be_seen_is_shown_by_its_code(text, expected):
    assert shown(text) == expected
    assert shown(expected) == expected


@pytest.mark.parametrize(
    "name", ["vocals", "a.b", "lead vocals", "日本語", NOT_UTF8, "[1]{2}", "~"]
)
def test_a_name_is_a_folders_own(name):
    assert check_name(name, "it") == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        ".hidden",
        "...",
        "../x",
        "a/b",
        "/a",
        "a\\b",
        "a\nb",
        "a\x1b",
        "a\0",
        "\ud800",
    ],
)
def test_a_name_that_leads_elsewhere_is_none(name):
    with pytest.raises(InputError) as caught:
        check_name(name, "data.source_names")
    assert str(caught.value) == f"data.source_names: '{shown(name)}' can't name a file or folder"


def test_a_path_of_any_machine_stays_below_its_folder():
    assert path_below("wsj0\\si_tr_s\\01t/a..b.wav", "it") == "wsj0/si_tr_s/01t/a..b.wav"
    for path in ("/etc/passwd", "\\\\host\\share", "../a", "a/../../b", "a\\..\\b", "a\0"):
        with pytest.raises(InputError, match="leads out of its folder"):
            path_below(path, "it")


def test_a_list_is_as_long_as_a_line():
    assert some(["a", "b\n", "c"]) == r"a, b\n, c"
    assert some([str(n) for n in range(10**5)]) == "0, 1, 2 and 99997 more"
