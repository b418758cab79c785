"""Every corpus that a config can name: prepare, train, evaluate, by the commands themselves.

The corpora are small ones in the published layouts, of low and high noise as two voices.
"""

import os

import numpy as np
import pytest

from autoclip_sep import parallel
from autoclip_sep.audio import soundfiles
from autoclip_sep.building.build import build
from autoclip_sep.cli import compose
from autoclip_sep.cli.commands import evaluate, train
from autoclip_sep.errors import InputError
from autoclip_sep.runs import records
from tests.commands import command

MIXTURES = {"train": 6, "valid": 2, "test": 2}
TINY = [
    "model.hidden=4", "model.layers=1", "trainer.epochs=1", "trainer.batch_size=2",
    "trainer.segment=2048", "trainer.record_every=1", "trainer.progress=false",
]  # fmt: skip
HARD_NAMES = ["a,b x=1 (y) [1]{2} it's ${seed}", "null", "ä/ü"]


def voices(rng, number=3, noise=True):
    """Signals of one mixture by the name of their folder, 16-bit numbers."""
    length = int(rng.integers(2000, 3000))
    white = rng.standard_normal((number + noise, length))
    colours = [np.convolve(row, np.ones(2 + 5 * n), "same") for n, row in enumerate(white)]
    names = [f"s{n + 1}" for n in range(number)] + ["noise"] * noise
    return {
        name: soundfiles.quantise(0.1 * colour / np.abs(colour).max())
        for name, colour in zip(names, colours, strict=True)
    }


def write_tree(root, splits, mixtures, pattern="{split}/{kind}/{item}.wav"):
    """A file for each signal of each mixture, and one for each of `mixtures`: name to parts."""
    rng = np.random.default_rng(0)
    for split, folder in splits.items():
        for n in range(MIXTURES[split]):
            parts = voices(rng)
            kinds = {name: parts[name] for kind in mixtures.values() for name in kind}
            for kind, names in mixtures.items():
                kinds[kind] = np.sum([parts[name] for name in names], axis=0, dtype=np.int16)
            for kind, samples in kinds.items():
                path = pattern.format(split=folder, kind=kind, item=f"{folder}{n}_1_x{n}_-1")
                soundfiles.write(root / path, samples, 8000)
    return root


WSJ0 = {"train": "tr", "valid": "cv", "test": "tt"}
WHAM = {"mix_clean": ("s1", "s2"), "mix_both": ("s1", "s2", "noise"), "mix_single": ("s1", "noise")}


def wsj0_2mix(place):
    right = place / "2speakers/wav8k/min"
    return ["data=wsj0_2mix", f"data.root={write_tree(right, WSJ0, {'mix': ('s1', 's2')})}"]


def wsj0_3mix(place):
    right = place / "3speakers/wav8k/min"
    return ["data=wsj0_3mix", f"data.root={write_tree(right, WSJ0, {'mix': ('s1', 's2', 's3')})}"]


def wham(place):
    return ["data=wham", f"data.root={write_tree(place / 'wav8k/min', WSJ0, WHAM)}"]


def wham_clean(place):
    return ["data=wham_clean", f"data.root={write_tree(place / 'wav8k/min', WSJ0, WHAM)}"]


def tree(place):
    pattern = "{split} part/{item}/the {kind}.flac"
    splits = {"train": "mine", "valid": "yours", "test": "ours"}
    write_tree(place, splits, {"mix": ("s1", "s2")}, pattern)
    of = {kind: pattern.replace("{kind}", kind) for kind in ("mix", "s1", "s2")}
    return [
        "data=tree", f"data.root={place}",
        f"data.corpus.mixture='{of['mix']}'", f"data.corpus.sources=['{of['s1']}','{of['s2']}']",
        *(f"data.corpus.splits.{split}={name}" for split, name in splits.items()),
    ]  # fmt: skip


def libri2mix(place):
    """From LibriSpeech and the published metadata, through the command that makes it."""
    rng = np.random.default_rng(0)
    columns = "mixture_ID,source_1_path,source_1_gain,source_2_path,source_2_gain"
    for split, part in (
        ("train", "train-clean-100"),
        ("valid", "dev-clean"),
        ("test", "test-clean"),
    ):
        rows = [columns]
        for n in range(MIXTURES[split]):
            paths = [f"{part}/{speaker}/0/{speaker}-0-{n:04d}.flac" for speaker in (19, 26)]
            for path, samples in zip(paths, voices(rng).values(), strict=False):
                soundfiles.write(place / "LibriSpeech" / path, np.repeat(samples, 2), 16000)
            rows.append(f"19-0-{n:04d}_26-0-{n:04d}-{part},{paths[0]},0.8,{paths[1]},0.6")
        table = place / f"Libri2Mix/libri2mix_{part}.csv"
        table.parent.mkdir(exist_ok=True)
        table.write_text("\n".join(rows) + "\n")
    given = ["librispeech=LibriSpeech", "metadata=.", "out=.", "jobs=1"]
    command(place, "scripts/prepare_librimix.py", *given)
    return ["data=libri2mix", f"data.root={place}/Libri2Mix/wav8k/min"]


@pytest.fixture(autouse=True)
def _here(tmp_path, monkeypatch):
    monkeypatch.setattr(parallel, "cores", lambda: 1)
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("corpus", "sources"),
    [(wsj0_2mix, 2), (wsj0_3mix, 3), (wham, 2), (wham_clean, 2), (libri2mix, 2), (tree, 2)],
)
def test_a_corpus_is_prepared_trained_on_and_evaluated(corpus, sources, tmp_path, capsys):
    train.train([*corpus(tmp_path), *TINY])
    (run,) = (tmp_path / "runs" / corpus.__name__).glob("*/*/*/seed*")
    rows = records.read(run / "dynamics.csv")
    assert len(rows) == MIXTURES["train"] // 2
    assert all(float(row["grad_norm"]) > 0 for row in rows)
    capsys.readouterr()
    evaluate.evaluate([f"run={run}", "progress=false"])
    said = capsys.readouterr().out
    assert f"{sources * MIXTURES['test']} sources of {MIXTURES['test']} mixtures scored" in said
    scores = records.read(run / "evaluation/test.csv")
    assert len(scores) == sources * MIXTURES["test"]
    assert np.isfinite([float(row["si_sdr"]) for row in scores]).all()
    (store,) = (tmp_path / "store").glob("*/")
    assert store.name.startswith(f"{corpus.__name__}-")


def test_noise_is_heard_and_not_estimated(tmp_path):
    """WHAM!'s mixtures are worse than its clean ones by the noise that is in them."""
    unprocessed = {}
    for corpus in (wham, wham_clean):
        train.train([*corpus(tmp_path), *TINY])
        (run,) = (tmp_path / "runs" / corpus.__name__).glob("*/*/*/seed*")
        evaluate.evaluate([f"run={run}", "progress=false"])
        scores = records.read(run / "evaluation/test.csv")
        unprocessed[corpus] = np.mean([float(row["si_sdr_mixture"]) for row in scores])
    assert unprocessed[wham] < unprocessed[wham_clean] - 1.0


@pytest.mark.parametrize("name", HARD_NAMES)
def test_a_root_of_any_name_is_text(name, tmp_path):
    choice, root = wsj0_2mix(tmp_path / name)
    elsewhere = [f"data.store={name}/store, 2", f"runs={name}/runs"]
    train.train([choice, root, *TINY, *elsewhere])
    (run,) = (tmp_path / name / "runs").glob("*/*/*/*/seed*")
    evaluate.evaluate([f"run={run}", "progress=false"])
    relative = f"data.root={name}/2speakers/wav8k/min"
    train.train([choice, relative, *TINY, *elsewhere, "trainer.epochs=2"])  # the same run goes on
    assert len(records.read(run / "history.csv")) == 2
    assert len(list((tmp_path / name / "store, 2").glob("*/"))) == 1
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("name", HARD_NAMES)
def test_files_of_any_name_are_text(name, tmp_path):
    choice, root = wsj0_2mix(tmp_path)
    folder = tmp_path / "2speakers/wav8k/min/tt"
    for kind in ("mix", "s1", "s2"):
        target = folder / kind / f"{name}.wav"
        target.parent.mkdir(exist_ok=True)
        (folder / kind / "tt0_1_x0_-1.wav").rename(target)
    train.train([choice, root, *TINY])
    (run,) = (tmp_path / "runs").glob("*/*/*/*/seed*")
    evaluate.evaluate([f"run={run}", "progress=false"])
    items = {row["item"] for row in records.read(run / "evaluation/test.csv")}
    assert items == {name, "tt1_1_x1_-1"}


def test_bytes_and_control_characters_in_names_are_escaped_wherever_they_are_shown(tmp_path):
    """In tables, on both streams, and for every command: folders, files and arguments."""
    raw = b"caf\xe9 \x1b[31m two\nlines"
    name, seen = os.fsdecode(raw), r"caf\xe9 \x1b[31m two\nlines"
    _, root = wsj0_2mix(tmp_path / name)
    folder = tmp_path / name / "2speakers/wav8k/min/tt"
    for kind in ("mix", "s1", "s2"):
        (folder / kind / "tt0_1_x0_-1.wav").rename(folder / kind / f"{name}.wav")
    data = ["data=wsj0_2mix", root, f"data.store={name}/store"]
    said = command(tmp_path, "train.py", *data, *TINY, f"runs={name}/runs").stdout
    (run,) = (tmp_path / name / "runs").glob("*/*/*/*/seed*")
    said += command(tmp_path, "evaluate.py", f"run={run}", "progress=false").stdout
    scores = records.read(run / "evaluation/test.csv")
    assert {row["item"] for row in scores} == {seen, "tt1_1_x1_-1"}
    mixture = folder / "mix" / f"{name}.wav"
    given = [f"run={run}", f"input={mixture}", f"output={name}/out"]
    said += command(tmp_path, "separate.py", *given).stdout
    assert (tmp_path / name / "out" / name / "s2.wav").is_file()
    (folder / "s1" / f"{name}.wav").write_bytes(b"")
    said += command(tmp_path, "scripts/check_data.py", *data, check=2).stderr
    assert f"{seen}.wav: not audio, the file is empty" in said
    assert "\x1b" not in said
    assert [entry.name for entry in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["../x", "..", "/etc/x", "a/b", "a\nb", ".x", ""])
def test_the_name_of_a_corpus_leads_nowhere(name, tmp_path):
    (tmp_path / "place").mkdir()
    _, root = wsj0_2mix(tmp_path)
    before = sorted(tmp_path.iterdir())
    settings = compose.plain(compose.compose("train", ["data=wsj0_2mix", root]))
    settings["data"]["corpus"] |= {"name": name, "store": str(tmp_path / "place/store")}
    with pytest.raises(InputError, match=r"data\.corpus\.name: .* can't name a file or folder"):
        build(settings["data"]["corpus"], "data.corpus").prepare()
    assert sorted(tmp_path.iterdir()) == before
    assert not list((tmp_path / "place").iterdir())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["data=wham"], "data=wham needs data.root=FOLDER with {split}/mix_both/{item}.wav, "),
        (["data=libri2mix"], "data=libri2mix needs data.root=FOLDER with metadata/mixture_"),
        (["data=tree"], "data=tree needs data.root=FOLDER"),
        (["data=wsj0_2mix", "data.root=no/where"], "found: no such folder"),
        (["data=wsj0_2mix", "data.root=."], "did you mean data.root=2speakers/wav8k/min?"),
        (["data=wsj0_2mix", "data.root=2speakers/wav8k/min", "data.sources=3"], "data.sources=3"),
        (
            ["data=wsj0_2mix", "data.root=2speakers/wav8k/min", "data.channels=2"],
            "1 channels, data",
        ),
        (
            ["data=wsj0_2mix", "data.root=2speakers/wav8k/min", "data.sample_rate=16000"],
            "8000 Hz, the corpus has 16000 Hz",
        ),
        (["data=tree", "data.corpus.mixtur=x"], "did you mean data.corpus.mixture"),
    ],
)
def test_a_mistake_is_one_line_and_leaves_no_store(arguments, message, tmp_path):
    wsj0_2mix(tmp_path)
    with pytest.raises(InputError) as caught:
        train.train(arguments)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.glob("store/*/"))
    assert not (tmp_path / "runs").exists()
