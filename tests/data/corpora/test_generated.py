import json
from pathlib import Path

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.corpora._generated import complete, is_complete, is_whole


def test_a_corpus_is_made_once_and_its_settings_are_noted(tmp_path: Path) -> None:
    folder, calls = tmp_path / "corpora" / "demo-1", list[Path]()
    for _ in range(2):
        complete(folder, {"seed": 1, "train": 2}, lambda: calls.append(folder))
    assert calls == [folder]
    assert json.loads((folder / "complete.json").read_text()) == {"seed": 1, "train": 2}


def test_what_was_cut_off_is_not_complete_and_goes_on(tmp_path: Path) -> None:
    def make() -> None:
        with (tmp_path / "sound").open("a") as file:
            file.write("x")
        if (tmp_path / "sound").read_text() == "x":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        complete(tmp_path, {}, make)
    assert not is_complete(tmp_path)
    complete(tmp_path, {}, make)
    assert is_complete(tmp_path)
    assert (tmp_path / "sound").read_text() == "xx"


def test_a_sound_is_whole_or_else_made_again(tmp_path: Path) -> None:
    path = tmp_path / "a.wav"
    assert not is_whole(path)
    soundfiles.write(path, np.zeros(100), 8000)
    assert is_whole(path)
    content = path.read_bytes()
    for size in (0, 20, 44, 46, len(content) - 2):
        path.write_bytes(content[:size])
        assert not is_whole(path)
