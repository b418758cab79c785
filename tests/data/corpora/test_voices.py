import csv
import hashlib
from dataclasses import replace

import numpy as np
import pytest

from autoclip_sep import parallel
from autoclip_sep.audio import soundfiles
from autoclip_sep.data.corpora import voices
from autoclip_sep.data.corpora.voices import Voices
from autoclip_sep.data.voices.packages import PACKAGES
from autoclip_sep.errors import InputError
from tests.commands import command
from tests.data.voices import debs

SMALL = {"train": 6, "valid": 3, "test": 4, "utterances": 8}


def tone(rng, rate, seconds=4.5):
    """Its own for each recording, of which no two are copies."""
    return 0.5 * np.sin(rng.uniform(500, 1500) * np.arange(round(rate * seconds)) / rate)


@pytest.fixture
def root(tmp_path, monkeypatch):
    """Packages of the real names and layouts, with few recordings."""
    monkeypatch.setattr(parallel, "cores", lambda: 1)
    rng = np.random.default_rng(0)
    ogg = {
        f"usr/share/games/fillets-ng/sound/city/cs/vit-{who}-{n}.ogg":
            debs.sound(tone(rng, 22050), 22050, "OGG") for who in "mv" for n in range(9)
    }  # fmt: skip
    place = "usr/share/asterisk/sounds/ru_RU_f_IvrvoiceRU"
    wav = {f"{place}/{n}.wav": debs.sound(tone(rng, 8000), 8000, "WAV") for n in range(3)}
    wav[f"{place}/copy.wav"] = wav[f"{place}/0.wav"]
    wav[f"{place}/beep.wav"] = wav[f"{place}/1.wav"]
    wav[f"{place}/empty.wav"] = debs.sound(np.zeros(0), 8000, "WAV")
    loud = [(128 + 100 * tone(rng, 11025)).astype("u1").tobytes() for _ in range(3)]
    raw = {f"usr/share/scummvm/drascula/en/{n}.ALS": content for n, content in enumerate(loud)}
    mp3 = {f"48000{n}P1.SB": debs.sound(tone(rng, 11025), 11025, "MP3") for n in range(9)}
    game = {"usr/share/scummvm/queen/queen.1c": debs.queen(mp3, {"SEC1": 48})}
    files = {
        "fillets-ng-data-cs": ogg, "asterisk-core-sounds-ru-wav": wav, "drascula": raw,
        "flight-of-the-amazon-queen": game,
    }  # fmt: skip
    folder = tmp_path / "debs"
    folder.mkdir()
    chosen = []
    for package in PACKAGES:
        if package.name in files:
            licence = {f"usr/share/doc/{package.name}/copyright": f"by {package.name}".encode()}
            path = debs.deb(
                folder / f"{package.name}_1_all.deb", {**files[package.name], **licence}
            )
            sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
            chosen.append(replace(package, sha256=sha256))
    monkeypatch.setattr(voices, "PACKAGES", tuple(chosen))
    return folder


def build(root, tmp_path, **settings):
    places = {"corpora": str(tmp_path / "corpora"), "store": str(tmp_path / "store")}
    return Voices(root=str(root), **places, **{**SMALL, **settings})


def test_every_format_becomes_utterances_of_its_voice(root, tmp_path):
    corpus = build(root, tmp_path)
    store = corpus.prepare(progress=False)
    assert {name: len(store.split(name)) for name in store.splits} == {
        "train": 6, "valid": 3, "test": 4,
    }  # fmt: skip
    (folder,) = (tmp_path / "corpora").glob("voices-????????")
    with open(folder / "speakers.csv", encoding="utf-8") as file:
        table = {row["speaker"]: row for row in csv.DictReader(file)}
    assert {voice: (row["split"], row["utterances"]) for voice, row in table.items()} == {
        "asterisk-ivrvoice": ("test", "3"),  # without the copy, the beep and the empty file
        "drascula-en-hero": ("test", "3"),
        "fillets-cs-big": ("train", "9"),
        "fillets-cs-small": ("train", "9"),
        "queen-sec": ("train", "9"),
    }
    for voice in table:
        samples, rate = soundfiles.read(next((folder / "voices" / voice).iterdir()))
        assert rate == 8000
        assert np.abs(samples).max() == pytest.approx(0.9, abs=0.02)
    credits = (folder / "CREDITS.md").read_text()
    for package in voices.PACKAGES:
        assert package.name in credits
        assert (folder / "copyright" / package.name).read_text() == f"by {package.name}"


def test_test_voices_are_heard_nowhere_else(root, tmp_path):
    corpus = build(root, tmp_path)
    store = corpus.prepare(progress=False)
    heard = {
        split: {voice for item in store.items[split] for voice in corpus.speakers_of(item)}
        for split in store.splits
    }
    assert heard["test"] == {"asterisk-ivrvoice", "drascula-en-hero"}
    assert heard["valid"] <= {"fillets-cs-big", "fillets-cs-small", "queen-sec"}
    assert heard["train"] <= {"fillets-cs-big", "fillets-cs-small", "queen-sec"}
    for items in store.items.values():
        assert all(len(set(corpus.speakers_of(item))) == 2 for item in items)
    used = {
        split: {part for item in store.items[split] for part in item.split("_")[::2]}
        for split in store.splits
    }
    assert not used["train"] & used["valid"]


def test_one_voice_is_capped(root, tmp_path):
    files = {"queen-joe": [f"{n}" for n in range(80)], "fillets-cs-big": ["a"] * 16}
    split = build(root, tmp_path)._splits(files)
    assert [len(own) for own in split["train"]] == [8, 8]
    assert [len(own) for own in split["valid"]] == [10, 2]
    assert split["test"] == []


def test_a_killed_build_goes_on(root, tmp_path, monkeypatch):
    corpus = build(root, tmp_path)
    write = soundfiles.write

    def killed(path, *arguments):
        if "queen" in str(path):
            raise KeyboardInterrupt
        write(path, *arguments)

    monkeypatch.setattr(soundfiles, "write", killed)
    with pytest.raises(KeyboardInterrupt):
        corpus.prepare(progress=False)
    monkeypatch.setattr(soundfiles, "write", write)
    again = corpus.prepare(progress=False)
    other = build(root, tmp_path / "other").prepare(progress=False)
    assert (again.folder / "samples.bin").read_bytes() == (
        other.folder / "samples.bin"
    ).read_bytes()


def test_the_trial_needs_no_archives(root, tmp_path):
    corpus = build(root, tmp_path, size="trial")
    names = {package.name for package in corpus.packages}
    assert names == {"fillets-ng-data-cs", "asterisk-core-sounds-ru-wav"}
    with pytest.raises(InputError, match=r"size=tiny: whole or trial"):
        build(root, tmp_path, size="tiny")


def test_the_config_reaches_the_corpus(tmp_path):
    done = command(tmp_path, "scripts/check_data.py", "data=voices", "data.root=.", check=2)
    assert "fillets-ng-data-cs=1.0.1-1.1" in done.stderr
