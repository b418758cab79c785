"""augmentation=...: which corpora it is for, the run's name, exact resume after a kill."""

import socket
import time
from typing import ClassVar

import numpy as np
import pytest
import torch

from autoclip_sep.audio import soundfiles
from autoclip_sep.building.build import build
from autoclip_sep.cli import compose, corpus
from autoclip_sep.cli.commands.train import build_parts
from autoclip_sep.cli.plan import plan
from autoclip_sep.data.loading.random_speech import LIBRIMIX, WSJ0_MIX
from autoclip_sep.errors import InputError
from autoclip_sep.runs import records, run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder, load
from tests.commands import ENVIRONMENT, ROOT, command, start
from tests.forked import Forked
from tests.golden.make import TRAIN, only_run

BOTH = ["augmentation=dynamic_mixing", "data.augmentation.speeds=[0.9,1.0,1.1]"]
EPOCHS = 8


def composed(*arguments):
    return compose.plain(compose.compose("train", arguments))


@pytest.mark.parametrize(
    ("data", "levels", "item", "speakers"),
    [
        ("demo", WSJ0_MIX, "00mc0021_0.98519_00ec0024_-0.98519", ("00m", "00e")),
        ("digits", WSJ0_MIX, "george0007-42318_1.2_theo0012-90311_-1.2", ("george", "theo")),
        (
            "voices",
            WSJ0_MIX,
            "queen-joe-0012_1.2_asterisk-allison-en0007_-1.2",
            ("queen-joe", "asterisk-allison"),
        ),
        ("wsj0_2mix", WSJ0_MIX, "40ec0029_1.844_40bc0020_-1.844", ("40e", "40b")),
        ("wham", WSJ0_MIX, "40ec0029_1.844_40bc0020_-1.844", ("40e", "40b")),
        ("libri2mix", LIBRIMIX, "4077-13754-0001_5142-33396-0065", ("4077", "5142")),
    ],
)
def test_speakers_and_levels_are_the_corpus_own(data, levels, item, speakers):
    config = composed(f"data={data}", "data.root=nowhere", "augmentation=dynamic_mixing")
    made = corpus.augmentation_of(config)
    assert made.mix
    assert made.levels == levels
    assert tuple(made.speakers_of(item)) == speakers
    slowed = composed(f"data={data}", "data.root=nowhere", "augmentation=speed_perturbation")
    assert corpus.augmentation_of(slowed).speeds == [0.95, 1.0, 1.05]


@pytest.mark.parametrize("choice", ["dynamic_mixing", "speed_perturbation"])
@pytest.mark.parametrize("data", ["musdb18", "musdb_demo"])
def test_music_is_refused(data, choice, tmp_path):
    config = composed(f"data={data}", f"data.root={tmp_path}", f"augmentation={choice}")
    with pytest.raises(InputError, match=f"the sources of data={data} differ in kind"):
        corpus.augmentation_of(config)


def test_music_has_its_own_where_none_is_chosen(tmp_path):
    config = composed("data=musdb18", f"data.root={tmp_path}")
    assert corpus.augmentation_of(config).examples_per_track == 64
    assert corpus.augmentation_of(composed("data=demo")) is None
    assert "augmentation" not in composed("data=demo")["data"]


class Strangers:
    """A corpus that doesn't know its speakers."""

    expected: ClassVar = {}

    def layout(self):
        return ""

    def prepare(self, progress=True):
        raise AssertionError


def test_a_corpus_without_speakers_is_refused_before_it_is_made(monkeypatch):
    def made(node, where):
        return Strangers() if where == "data.corpus" else build(node, where)

    monkeypatch.setattr(corpus, "build", made)
    with pytest.raises(InputError, match="data=demo doesn't know its speakers"):
        corpus.augmentation_of(composed("data=demo", "augmentation=dynamic_mixing"))
    unmixed = composed("data=demo", "augmentation=dynamic_mixing", "data.augmentation.mix=false")
    assert not corpus.augmentation_of(unmixed).mix


def test_a_setting_of_it_says_where_it_belongs():
    with pytest.raises(InputError, match=r"speeds: there .* belongs to augmentation=dynamic_mix"):
        plan(["data.augmentation.speeds=[0.9]"])


@pytest.mark.parametrize("choice", ["augmentation=dynamic_mixing", "data=musdb_demo"])
def test_samples_on_the_device_arent_mixed_there(choice):
    """Refused before any data is made."""
    planned = plan([choice, "trainer.store_on_device=true"])
    with pytest.raises(InputError, match=r"store_on_device: not with data\.augmentation"):
        build_parts(planned, torch.device("cpu"))


def test_every_choice_has_a_directory_of_its_own():
    choices = [[], ["augmentation=dynamic_mixing"], ["augmentation=speed_perturbation"], BOTH]
    directories = [plan(choice).directory for choice in choices]
    assert directories[0].name == "seed0"
    assert len({*directories}) == 4


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a small corpus of WSJ0-mix's names, with noise, and a run of it to its end."""
    place = tmp_path_factory.mktemp("speech")
    rng = np.random.default_rng(0)
    for split, letter, number in (("tr", "r", 8), ("cv", "v", 2), ("tt", "t", 2)):
        for n in range(number):
            name = f"{n % 4:02}{letter}c{n:04}_1.5_{(n + 1) % 4:02}{letter}c{n + 50:04}_-1.5"
            signals = rng.uniform(-0.2, 0.2, (3, 1, 700 + 60 * n))
            named = zip(("s1", "s2", "noise"), signals, strict=True)
            for folder, sound in [("mix", signals.sum(axis=0)), *named]:
                soundfiles.write(place / "corpus" / split / folder / f"{name}.wav", sound, 8000)
    (place / "mine" / "data").mkdir(parents=True)
    noisy = 'defaults: [tree]\nname: noisy\ncorpus:\n  noise: ["{split}/noise/{item}.wav"]\n'
    (place / "mine" / "data" / "noisy.yaml").write_text(noisy)
    command(place, "train.py", *asked("straight"))
    return place


def asked(runs, epochs=EPOCHS, **more):
    settings = [f"{key}={value}" for key, value in more.items()]
    plain = [one for one in TRAIN if one not in ("data=tree", "trainer.epochs=4")]
    chosen = ["--config-dir=mine", "data=noisy", *plain, *BOTH]
    return [*chosen, f"trainer.epochs={epochs}", f"runs={runs}", *settings]


def result(runs):
    """The last state, and the records, of the one run in a folder."""
    run = only_run(runs)
    state = load(CheckpointFolder(run / "checkpoints").paths("last")[-1])
    del state["environment"]
    return state, *((run / f"{name}.csv").read_text() for name in ("dynamics", "history", "spikes"))


@pytest.mark.parametrize("workers", [2])
def test_a_killed_run_goes_on_to_the_same_bits(place, assert_same, workers):
    name = f"killed{workers}"
    process = start(place, "train.py", *asked(name, **{"trainer.workers": workers}))
    while not list((place / name).rglob("last-*5.pt")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.kill()
    process.communicate(timeout=60)
    while run_directory.in_use(only_run(place / name)):  # by its workers, for some seconds
        time.sleep(0.05)
    command(place, "train.py", *asked(name, **{"trainer.workers": 2 - workers}))
    assert_same(result(place / name), result(place / "straight"))
    first, second = (records.read(only_run(place / name) / "dynamics.csv")[n] for n in (0, 4))
    assert first["loss"] != second["loss"]


def in_two_processes(place, runs, epochs):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        group = {"WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"}
        group["MASTER_PORT"] = str(free.getsockname()[1])
    call = [str(ROOT / "train.py"), *asked(runs, epochs)]
    ranks = [
        Forked(call, place, {**ENVIRONMENT, **group, "RANK": rank, "LOCAL_RANK": rank})
        for rank in "01"
    ]
    for rank in ranks:
        _, errors = rank.communicate(timeout=300)
        assert rank.wait() == 0, errors


def test_two_processes_go_on_to_the_same_bits(place, assert_same):
    in_two_processes(place, "two", 3)
    in_two_processes(place, "again", 1)
    in_two_processes(place, "again", 3)
    assert_same(result(place / "again"), result(place / "two"))
    alone, together = (
        records.read(only_run(place / runs) / "dynamics.csv")[0] for runs in ("straight", "two")
    )
    assert float(together["loss"]) == pytest.approx(float(alone["loss"]), rel=0.05)
