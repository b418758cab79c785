"""Separation of files that are longer than what is read, or separated, at once."""

import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from autoclip_sep.audio import soundfiles
from autoclip_sep.audio.resampling import resample
from autoclip_sep.building.build import build
from autoclip_sep.cli import compose, trained
from autoclip_sep.cli.commands.evaluate import evaluate
from autoclip_sep.cli.commands.separate import separate
from autoclip_sep.cli.commands.train import train
from autoclip_sep.errors import InputError
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder
from tests.commands import start
from tests.golden.make import TRAIN, only_run, write_corpus
from tests.long_files import peak_memory, silence

SMALL = [
    "model.hidden=4", "model.layers=1", "data.window_length=1024", "data.hop_length=512",
    "stft.hop_length=512",
]  # fmt: skip


def untrained(folder, *arguments):
    """A run whose network has its first weights."""
    config = compose.plain(compose.compose("train", [*SMALL, *arguments]))
    folder.mkdir()
    run_directory.write_config(folder, config)
    torch.manual_seed(0)
    state = {"model": build(config["model"], "model").state_dict()}
    CheckpointFolder(folder / "checkpoints").save("best", 1, 1, state)
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return untrained(tmp_path_factory.mktemp("runs") / "run")


def at_once(run, samples, rate):
    """The sources (S, C, T) as they come without blocks: whole reading, whole resampling."""
    network = trained.load(str(run), "best", torch.device("cpu"))
    own = network.config["data"]["sample_rate"]
    mixture = torch.from_numpy(resample(samples, rate, own))
    sources = torch.cat(list(network.separation.stream([mixture])), dim=-1).numpy()
    return np.stack([resample(source, own, rate)[..., : samples.shape[1]]
                     for source in sources])  # fmt: skip


def noise(channels, length):
    return np.random.default_rng(0).uniform(-0.5, 0.5, (channels, length)).astype(np.float32)


@pytest.mark.parametrize(
    ("loss", "rate", "channels", "seconds"),
    [
        ("mask_inference", 8000, 1, 70.3),
        ("mask_inference", 16000, 2, 61),
        ("mask_inference", 11025, 1, 115.1),
        ("deep_clustering", 8000, 1, 60.2),
    ],
)
def test_blocks_and_chunks_give_the_samples_of_the_whole(tmp_path, loss, rate, channels, seconds):
    run = untrained(tmp_path / "run", f"loss={loss}", "model.embedding_size=2")
    mixture = 2 * noise(channels, int(rate * seconds))
    soundfiles.write(tmp_path / "a.wav", mixture, rate, "FLOAT")
    separate([f"run={run}", f"input={tmp_path / 'a.wav'}", f"output={tmp_path}", "downmix=true"])
    mixture = torch.from_numpy(mixture).mean(dim=0, keepdim=True).numpy()
    for number, expected in enumerate(at_once(run, mixture, rate), 1):
        found, found_rate = soundfiles.read(tmp_path / f"a/s{number}.wav")
        assert found_rate == rate
        if np.abs(expected).max() <= 1:
            expected = soundfiles.quantise(expected) / np.float32(2**15)
        assert np.array_equal(found, expected)


SEPARATE = """
import sys
from autoclip_sep.cli.commands.separate import separate
separate(sys.argv[1:])
"""


def test_half_an_hour_takes_the_memory_of_two_minutes(run, tmp_path):
    """Read at once, half an hour and its two sources would be 350 MB, before any resampling."""
    peaks = []
    for seconds in (120, 1800):
        path = silence(tmp_path / f"{seconds}.wav", seconds, 16000)
        peaks.append(peak_memory(SEPARATE, f"run={run}", f"input={path}", f"output={tmp_path}"))
        for name in ("s1", "s2"):
            assert (
                soundfiles.info(tmp_path / str(seconds) / f"{name}.wav").frames == 16000 * seconds
            )
    assert peaks[1] - peaks[0] < 60


def test_ctrl_c_in_the_middle_leaves_nothing(run, tmp_path):
    path = silence(tmp_path / "long.wav", 36_000, 8000)
    process = start(tmp_path, "separate.py", f"run={run}", f"input={path}")
    while process.poll() is None and not waiting(process.pid, tmp_path):
        time.sleep(0.02)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert errors == "separate: stopped\n"
    assert [entry.name for entry in tmp_path.iterdir()] == ["long.wav"]


def waiting(pid, folder):
    """Whether some of the sources is on the disk: as files without names, or not yet without."""
    try:
        links = [os.readlink(link) for link in Path(f"/proc/{pid}/fd").iterdir()]
    except OSError:
        return False
    return any(str(folder) in link and "long.wav" not in link for link in links)


def test_a_bad_sample_far_into_a_file_leaves_nothing(run, tmp_path):
    samples = noise(1, 600_000)
    samples[0, 590_000] = np.nan
    soundfiles.write(tmp_path / "a.wav", samples, 8000, "FLOAT")
    with pytest.raises(InputError, match=r"a\.wav: sample 590000 is nan"):
        separate([f"run={run}", f"input={tmp_path / 'a.wav'}", f"output={tmp_path / 'out'}"])
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.wav"]


@pytest.mark.parametrize(
    ("channels", "arguments", "message"),
    [(2, [], r"a\.wav has 2 channels, the network takes one: add downmix=true"),
     (3, ["downmix=true"], None), (1, [], None)],
)  # fmt: skip
def test_channels_are_mixed_down_on_request_only(run, tmp_path, channels, arguments, message):
    soundfiles.write(tmp_path / "a.wav", noise(channels, 900), 8000)
    command = [f"run={run}", f"input={tmp_path / 'a.wav'}", f"output={tmp_path}", *arguments]
    if message:
        with pytest.raises(InputError, match=message):
            separate(command)
        assert not (tmp_path / "a").exists()
    else:
        separate(command)
        assert soundfiles.info(tmp_path / "a/s1.wav").channels == 1


@pytest.mark.parametrize("lost", ["data.sample_rate", "data.sources", "model.hidden", "stft"])
def test_a_config_without_a_setting_is_one_line(run, tmp_path, lost):
    config = run_directory.read_config(run)
    *parts, last = lost.split(".")
    node = config
    for part in parts:
        node = node[part]
    del node[last]
    shutil.copytree(run, tmp_path / "run")
    run_directory.write_config(tmp_path / "run", config)
    with pytest.raises(InputError, match="doesn't fit the config beside it"):
        trained.load(str(tmp_path / "run"), "best", torch.device("cpu"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda weights: weights.fill_(torch.nan), "weight is not finite"),
        (lambda weights: torch.zeros(1).expand(weights.shape), "has shape"),
        (lambda weights: weights.to(torch.complex64), "is torch.complex64"),
        (lambda weights: weights.numpy().tolist(), "is not a plain tensor"),
        (lambda _: torch.zeros(1).expand(2**60), "has shape"),
    ],
)
def test_weights_that_cannot_be_right_separate_nothing(run, tmp_path, change, message):
    folder = CheckpointFolder(shutil.copytree(run, tmp_path / "run") / "checkpoints")
    state, _ = folder.newest("best")
    state["model"]["norm.weight"] = change(state["model"]["norm.weight"])
    path = folder.save("best", 2, 2, state)
    with pytest.raises(InputError, match=f"{path.name}.*{message}"):
        trained.load(str(tmp_path / "run"), "best", torch.device("cpu"))


def test_a_run_without_a_finite_validation_says_so(run, tmp_path):
    shutil.copytree(run, tmp_path / "run")
    checkpoints = tmp_path / "run/checkpoints"
    for path in checkpoints.iterdir():
        path.rename(checkpoints / path.name.replace("best", "last"))
    with pytest.raises(InputError, match="no epoch had a finite validation loss"):
        trained.load(str(tmp_path / "run"), "best", torch.device("cpu"))
    shutil.rmtree(checkpoints)
    with pytest.raises(InputError, match="train it for an epoch first"):
        trained.load(str(tmp_path / "run"), "best", torch.device("cpu"))


MUSIC = ["data=musdb_demo", "data.sources=2", "data.source_names=[vocals,drums]", "data.channels=1"]


@pytest.mark.parametrize("name", ["../../x", "/etc/x", "..", "a\nb", "a\\b", ""])
def test_a_source_whose_name_leads_elsewhere_is_refused(tmp_path, name):
    """A run directory may come from a stranger."""
    run = untrained(tmp_path / "run", *MUSIC)
    config = run_directory.read_config(run)
    config["data"]["source_names"] = [name, "b"]
    run_directory.write_config(run, config)
    soundfiles.write(tmp_path / "a.wav", noise(1, 900), 44100)
    before = sorted(tmp_path.rglob("*"))
    with pytest.raises(InputError, match=r"data\.source_names: '.*' can't name a file or folder"):
        separate([f"run={run}", f"input={tmp_path / 'a.wav'}", f"output={tmp_path / 'o/p/q'}"])
    assert sorted(tmp_path.rglob("*")) == before


def test_two_sources_of_one_name_are_refused(tmp_path):
    run = untrained(tmp_path / "run", *MUSIC)
    config = run_directory.read_config(run)
    config["data"]["source_names"] = ["a", "a"]
    run_directory.write_config(run, config)
    soundfiles.write(tmp_path / "a.wav", noise(1, 900), 44100)
    with pytest.raises(InputError, match=r"data\.source_names=\['a', 'a'\]: every source needs a"):
        separate([f"run={run}", f"input={tmp_path / 'a.wav'}", f"output={tmp_path}"])


@pytest.mark.parametrize("name", ["...wav", "..wav", "....wav"])
def test_a_file_named_by_dots_stays_below_the_output(run, tmp_path, name):
    soundfiles.write(tmp_path / "in.wav", noise(1, 900), 8000)
    (tmp_path / "in.wav").rename(tmp_path / name)
    separate([f"run={run}", f"input={tmp_path / name}", f"output={tmp_path / 'out'}"])
    (folder,) = (tmp_path / "out").iterdir()
    assert sorted(path.name for path in folder.iterdir()) == ["s1.wav", "s2.wav"]
    assert {path.name for path in tmp_path.iterdir()} == {name, "out"}


@pytest.fixture(scope="module")
def clustering(tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / "clustering"
    return untrained(folder, "loss=deep_clustering", "model.embedding_size=3")


@pytest.mark.parametrize("masks", ["hard", "soft"])
@pytest.mark.parametrize("number", [3, 5])
def test_a_network_that_clusters_gives_any_number_of_sources(clustering, tmp_path, masks, number):
    mixture = noise(1, 20_000)
    soundfiles.write(tmp_path / "a.wav", mixture, 8000, "FLOAT")
    more = [f"sources={number}", f"masks={masks}", "chunk=1"]
    separate([f"run={clustering}", f"input={tmp_path / 'a.wav'}", f"output={tmp_path}", *more])
    paths = sorted((tmp_path / "a").iterdir())
    assert [path.name for path in paths] == [f"s{s}.wav" for s in range(1, number + 1)]
    found = [soundfiles.read(path)[0] for path in paths]
    np.testing.assert_allclose(sum(found), mixture, atol=1e-3)  # the masks sum to 1
    again = [f"output={tmp_path / 'again'}", *more]
    separate([f"run={clustering}", f"input={tmp_path / 'a.wav'}", *again])
    for path in paths:
        assert (tmp_path / "again/a" / path.name).read_bytes() == path.read_bytes()
    with pytest.raises(InputError, match="is there already"):
        separate([f"run={clustering}", f"input={tmp_path / 'a.wav'}", f"output={tmp_path}"])


@pytest.mark.parametrize(
    ("network", "asked", "message"),
    [
        ("run", "sources=3", "sources=3: only a network that clusters embeddings can.*2 sources"),
        ("run", "masks=soft", "masks=soft: only a network that clusters"),
        ("clustering", "sources=7", "sources=7: must be from 2 to 6"),
        ("clustering", "sources=1", "sources=1: must be from 2 to 6"),
        ("clustering", "sources=0", "sources=0: must be an integer"),
        ("clustering", "masks=sfot", "masks=sfot: must be hard or soft"),
        ("clustering", "chunk=0", "chunk=0: must be an integer from 1"),
    ],
)
def test_what_a_network_cannot_give_is_refused(request, tmp_path, network, asked, message):
    soundfiles.write(tmp_path / "a.wav", noise(1, 900), 8000)
    given = [f"run={request.getfixturevalue(network)}", f"input={tmp_path / 'a.wav'}"]
    with pytest.raises(InputError, match=message):
        separate([*given, f"output={tmp_path / 'out'}", asked])
    assert not (tmp_path / "out").exists()
    separate([*given, f"output={tmp_path / 'out'}", "sources=2"])  # what it was trained for


def test_soft_scores_lie_beside_the_hard_ones(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path / "corpus")
    train([*TRAIN, "loss=deep_clustering", "runs=runs", "trainer.epochs=1"])
    folder = only_run(Path("runs")) / "evaluation"
    evaluate([f"run={folder.parent}"])
    hard = (folder / "test.csv").read_bytes(), (folder / "test.json").read_bytes()
    evaluate([f"run={folder.parent}", "masks=soft"])
    assert ((folder / "test.csv").read_bytes(), (folder / "test.json").read_bytes()) == hard
    assert (folder / "soft_masks/test.csv").read_bytes() != hard[0]
    assert run_directory.read_json(folder / "soft_masks/test.json")["provenance"]["masks"] == "soft"
