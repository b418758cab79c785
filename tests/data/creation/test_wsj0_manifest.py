import hashlib
import json

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.creation import _wsj0_manifest as manifest
from autoclip_sep.errors import InputError

SETTINGS = {"speakers": 2, "sample_rate": 8000, "mode": "min"}
FILES = {'mix/b, "ü".wav': [46, "0" * 64], "mix/a.wav": [48, "1" * 64]}


def written(folder, files=FILES):
    splits = {"tr": manifest.finished("abc", 2, files), "cv": manifest.finished("def", 1, files)}
    manifest.write(folder, SETTINGS, splits)
    return splits


def test_it_comes_back_as_written(tmp_path):
    written(tmp_path)
    splits = manifest.read(tmp_path, SETTINGS)
    assert list(splits) == ["cv", "tr"]
    split = splits["tr"]
    assert (split["list_sha256"], split["mixtures"], split["files"]) == ("abc", 2, FILES)
    assert {"autoclip_sep", "numpy", "scipy", "soundfile", "python"} == set(split["made_with"])


def test_it_is_json_with_a_line_for_each_file_in_their_order(tmp_path):
    written(tmp_path)
    text = (tmp_path / "manifest.json").read_text()
    assert json.loads(text)["settings"] == SETTINGS
    lines = [line for line in text.splitlines() if line.startswith("    ")]
    assert len(lines) == 4
    assert lines[0].startswith('    "mix/a.wav": [48, "111')
    written(tmp_path, dict(reversed(FILES.items())))  # whatever order they were made in
    assert (tmp_path / "manifest.json").read_text() == text


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "{}", '{"splits": 5}', '{"splits": {"tr": {}}}', "\0\0"]
)
def test_what_is_no_manifest_is_refused(tmp_path, text):
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(InputError, match="not a manifest"):
        manifest.read(tmp_path, SETTINGS)


@pytest.mark.parametrize(
    "change",
    [
        lambda split: split.pop("list_sha256"),
        lambda split: split.pop("files"),
        lambda split: split.update(list_sha256=5),
        lambda split: split["files"].update({"mix/a.wav": [48]}),
        lambda split: split["files"].update({"mix/a.wav": 48}),
        lambda split: split["files"].update({"mix/a.wav": ["48", "11"]}),
    ],
)
def test_one_edited_by_hand_is_refused_in_one_line(tmp_path, change):
    written(tmp_path)
    known = json.loads((tmp_path / "manifest.json").read_text())
    change(known["splits"]["tr"])
    (tmp_path / "manifest.json").write_text(json.dumps(known))
    with pytest.raises(
        InputError, match=r"manifest\.json: not a manifest of this program; move it"
    ):
        manifest.read(tmp_path, SETTINGS)


def test_other_settings_are_refused(tmp_path):
    written(tmp_path)
    with pytest.raises(InputError, match=r"made with .*'mode': 'min'"):
        manifest.read(tmp_path, SETTINGS | {"mode": "max"})


def test_a_file_is_measured(tmp_path):
    soundfiles.write(tmp_path / "a.wav", np.zeros(100), 8000)
    digest = hashlib.sha256((tmp_path / "a.wav").read_bytes()).hexdigest()
    assert manifest.measure(str(tmp_path / "a.wav")) == (244, digest)
    (tmp_path / "a.wav").write_bytes((tmp_path / "a.wav").read_bytes()[:200])
    with pytest.raises(InputError, match="truncated"):
        manifest.measure(str(tmp_path / "a.wav"))


def test_missing_files_and_other_sizes_are_found(tmp_path):
    for name, size in (("a", 10), ("b", 11)):
        (tmp_path / name).write_bytes(bytes(size))
    expected = {"a": [10, ""], "b": [10, ""], "c": [10, ""]}
    assert manifest.sizes_differ(tmp_path, expected) == ["b", "c"]


def test_a_split_is_resumed_from_its_own_list_only(tmp_path):
    folder = tmp_path / "tr"
    manifest.begin(folder, "abc")
    manifest.begin(folder, "def")  # nothing was made yet
    soundfiles.write(folder / "mix" / "a.wav", np.zeros(100), 8000)
    manifest.begin(folder, "def")
    with pytest.raises(InputError, match="begun from another mixing list"):
        manifest.begin(folder, "abc")
    (folder / manifest.BEGUN).unlink()
    with pytest.raises(InputError, match="files of unknown origin"):
        manifest.begin(folder, "def")


@pytest.mark.parametrize("name", ["../../precious", "/etc/precious", "mix/../../../precious"])
def test_one_that_names_files_elsewhere_is_refused(tmp_path, name):
    """A tree may come from a stranger, and files of another size are deleted."""
    splits = written(tmp_path)
    splits["tr"]["files"][name] = [1, "2" * 64]
    manifest.write(tmp_path, SETTINGS, splits)
    with pytest.raises(InputError, match=r"manifest\.json: '.*precious' leads out of its folder"):
        manifest.read(tmp_path, SETTINGS)
