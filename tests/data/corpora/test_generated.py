import json
import re
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.corpora._generated import GeneratedCorpus, is_whole
from autoclip_sep.data.store.folders import folder_for
from autoclip_sep.data.store.reading import Item, Signal
from autoclip_sep.errors import InputError


@dataclass(frozen=True)
class Ramps(GeneratedCorpus):
    """One file per split. stop: what happens before the last of them is written."""

    calls: ClassVar[list[str]] = []
    sample_rate = 8000
    stop: bool = False

    @property
    def settings(self):
        return {"seed": self.seed, "train": self.train}

    def layout(self):
        return "nothing"

    def generate(self, folder, progress):
        for length, split in enumerate(self.expected, 50):
            if self.stop and split == "test":
                raise KeyboardInterrupt
            if not is_whole(folder / f"{split}.wav"):
                self.calls.append(split)
                soundfiles.write(folder / f"{split}.wav", np.full(length, 0.1), 8000)

    def items(self, folder):
        return [Item(split, split, (Signal(folder / f"{split}.wav"),)) for split in self.expected]


def test_a_corpus_is_generated_once_and_resumed_where_it_was_cut_off(tmp_path):
    places = {"root": str(tmp_path / "corpora"), "store": str(tmp_path / "store")}
    Ramps.calls.clear()
    with pytest.raises(KeyboardInterrupt):
        Ramps(stop=True, **places).prepare(progress=False)
    assert not list(tmp_path.glob("store/*"))
    for _ in range(2):
        store = Ramps(**places).prepare(progress=False)
    assert Ramps.calls == ["train", "valid", "test"]
    note = next(tmp_path.glob("corpora/generated-*/complete.json"))
    assert json.loads(note.read_text()) == {"seed": 0, "train": 1}
    assert store.folder.name == note.parent.name


def test_what_is_made_is_told_first_and_what_is_there_is_not(tmp_path, capsys):
    """Bars need a terminal; of a run whose corpus moved, nothing told that it was made anew."""
    places = {"root": str(tmp_path / "corpora"), "store": str(tmp_path / "store")}
    store = Ramps(**places).prepare()
    audio = next((tmp_path / "corpora").glob("generated-????????"))
    assert capsys.readouterr().err.splitlines() == [
        f"data: {audio} isn't there whole, it is generated now",
        f"data: {store.folder}: not there, 3 mixtures are decoded now",
    ]
    Ramps(**places).prepare()
    assert capsys.readouterr().err == ""
    soundfiles.write(audio / "test.wav", np.full(90, 0.2), 8000)
    Ramps(**places).prepare()
    said = f"data: {store.folder}: not made of the files as they are now, 3 mixtures are decoded"
    assert capsys.readouterr().err.startswith(said)


def test_without_a_root_nothing_is_generated_in_the_working_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"^data\.root=null: data=generated needs a folder"):
        Ramps(root=None).prepare(progress=False)
    assert not list(tmp_path.iterdir())


def test_a_file_is_whole_or_else_generated_again(tmp_path):
    path = tmp_path / "a.wav"
    assert not is_whole(path)
    soundfiles.write(path, np.zeros(100), 8000)
    assert is_whole(path)
    content = path.read_bytes()
    for size in (0, 20, 44, 46, len(content) - 2):
        path.write_bytes(content[:size])
        assert not is_whole(path)


def test_settings_name_the_folder(tmp_path):
    one = folder_for(tmp_path, "demo", {"a": 1, "b": 2})
    assert one == folder_for(tmp_path, "demo", {"b": 2, "a": 1})
    assert one != folder_for(tmp_path, "demo", {"a": 1, "b": 3})
    assert re.fullmatch(r"demo-[0-9a-f]{8}", one.name)
