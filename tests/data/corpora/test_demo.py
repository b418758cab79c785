import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from autoclip_sep import parallel
from autoclip_sep.audio import soundfiles
from autoclip_sep.data.corpora import demo
from autoclip_sep.data.corpora.demo import Demo
from autoclip_sep.data.creation import mixing
from autoclip_sep.errors import InputError
from tests.commands import ENVIRONMENT
from tests.data.conftest import contents

SMALL = {"train": 6, "valid": 2, "test": 3, "speakers": 4, "test_speakers": 2, "utterances": 3}


def build(folder):
    return Demo(**SMALL, root=str(folder / "corpora"), store=str(folder / "store"))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A small corpus, made in this process."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parallel, "cores", lambda: 1)
        build(folder).prepare(progress=False)
    return folder


def count(folder):
    """Files so far; unlike glob, walk doesn't mind folders that vanish under it."""
    return sum(len(names) for _, _, names in os.walk(folder))


def test_it_looks_like_wsj0(made):
    (corpus,) = (made / "corpora").glob("demo-????????")
    spoken = sorted(str(path.relative_to(corpus)) for path in corpus.glob("wsj0/*/*/*.wav"))
    assert len(spoken) == 18
    assert spoken[0] == "wsj0/si_dt_05/400/400c0000.wav"
    assert len([path for path in spoken if path.startswith("wsj0/si_tr_s/")]) == 12
    header = soundfiles.info(corpus / spoken[0])
    assert (header.sample_rate, header.channels, header.subtype) == (16000, 1, "PCM_16")
    for name, number in (("tr", 6), ("cv", 2), ("tt", 3)):
        assert len(mixing.read_list(corpus / f"mix_2_spk_{name}.txt")) == number
        for part in ("mix", "s1", "s2"):
            found = list((corpus / f"2speakers/wav8k/min/{name}/{part}").iterdir())
            assert len(found) == number
            assert soundfiles.info(found[0]).sample_rate == 8000


def test_the_store_holds_the_mixtures(made):
    store = build(made).prepare(progress=False)
    assert store.sample_rate == 8000
    assert [len(store.split(name)) for name in ("train", "valid", "test")] == [6, 2, 3]
    split = store.split("test")
    assert (split.sources, split.channels, split.dtype) == (2, 1, np.int16)
    (corpus,) = (made / "corpora").glob("demo-????????")
    for i, name in enumerate(split.items):
        mixture, sources = split.load(i)
        tree = corpus / "2speakers/wav8k/min/tt"
        assert np.array_equal(sources[1], soundfiles.read(tree / f"s2/{name}.wav")[0])
        file = soundfiles.read(tree / f"mix/{name}.wav")[0]
        assert np.abs(file - mixture).max() <= 2 / 32768
        assert max(np.abs(file).max(), np.abs(sources).max()) == pytest.approx(0.9, abs=1e-4)


def test_test_speakers_and_valid_utterances_are_held_out(made):
    (corpus,) = (made / "corpora").glob("demo-????????")
    used = {
        name: {
            path
            for recipe in mixing.read_list(corpus / f"mix_2_spk_{name}.txt")
            for path in recipe.utterances
        }
        for name in ("tr", "cv", "tt")
    }
    speakers = {name: {Path(path).parent.name for path in paths} for name, paths in used.items()}
    assert not speakers["tt"] & (speakers["tr"] | speakers["cv"])
    assert speakers["cv"] <= {"000", "001", "002", "003"}
    assert not used["tr"] & used["cv"]


def test_a_second_look_makes_nothing(made, monkeypatch):
    monkeypatch.setattr(demo, "synthesise", None)
    monkeypatch.setattr(soundfiles, "read", None)
    assert build(made).prepare(progress=False).fingerprint


def test_processes_make_no_difference(made, tmp_path, monkeypatch):
    """The same bytes again, in two processes."""
    monkeypatch.setattr(parallel, "cores", lambda: 2)
    build(tmp_path).prepare(progress=False)
    assert contents(tmp_path) == contents(made)


def test_kills_make_no_difference(made, tmp_path):
    """Killed at spread times, a corpus is never taken for whole and ends up the same."""
    code = (
        "import sys; from autoclip_sep import parallel; parallel.cores = lambda: 1\n"
        "from autoclip_sep.data.corpora.demo import Demo; Demo(**eval(sys.argv[1])).prepare(False)"
    )
    settings = {**SMALL, "root": str(tmp_path / "corpora"), "store": str(tmp_path / "store")}
    command = [sys.executable, "-c", code, repr(settings)]
    for _ in range(5):
        process = subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 20
        before = count(tmp_path)
        while count(tmp_path) < before + 8 and time.monotonic() < deadline:
            time.sleep(0.005)
            if process.poll() is not None:
                break
        time.sleep(random.Random(before).uniform(0, 0.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
    subprocess.run(command, env=ENVIRONMENT, check=True)
    rests = [name for name in contents(tmp_path) if name.endswith(".tmp")]
    found = {name: data for name, data in contents(tmp_path).items() if name not in rests}
    assert found == contents(made)


@pytest.mark.parametrize("size", [0, 44, 1000])
def test_what_a_power_cut_left_empty_is_spoken_again(made, tmp_path, size):
    (corpus,) = (made / "corpora").glob("demo-????????")
    session = build(tmp_path).sessions()[0]
    for file in session.files:
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(corpus / file, tmp_path / file)
    cut = tmp_path / session.files[1]
    cut.write_bytes(cut.read_bytes()[:size])
    demo.synthesise(tmp_path, session)
    for file in session.files:
        assert (tmp_path / file).read_bytes() == (corpus / file).read_bytes()


def test_settings_name_the_corpus():
    assert Demo().settings == Demo(root="elsewhere", store="there").settings
    assert Demo().settings != Demo(seed=1).settings
    assert Demo().settings != Demo(train=2999).settings


def test_a_speaker_doesnt_depend_on_how_many_there_are():
    few, many = Demo(**SMALL).sessions(), Demo(**{**SMALL, "speakers": 70}).sessions()
    assert few[:4] == many[:4]
    assert few[4:] == many[70:]
    assert len({session.speaker.name for session in many}) == 72


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"train": 20001}, "train=20001: at most 20000"),
        ({"valid": 0}, "valid=0"),
        ({"train": 10.5}, "train=10.5: must be an integer"),
        ({"train": "many"}, "train=many: must be an integer"),
        ({"test": 3001}, "test=3001: at most 3000"),
        ({"speakers": 1}, "speakers=1: must be an integer from 4"),
        ({"utterances": 1}, "utterances=1"),
        ({"seed": -1}, "seed=-1"),
        ({"sample_rate": 44100}, "sample_rate=44100"),
    ],
)
def test_settings_that_cant_be_are_refused(settings, words):
    with pytest.raises(InputError, match=words):
        Demo(**settings)


def test_without_espeak_nothing_is_left_behind(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(InputError, match="pip install espeakng-loader"):
        build(tmp_path).prepare(progress=False)
    assert list(tmp_path.iterdir()) == []
