"""Music from end to end: MUSDB18's two formats, a few steps of training, evaluation, separation."""

import csv
import json

import numpy as np
import pytest
import torch

from autoclip_sep.audio import soundfiles
from autoclip_sep.building.build import build
from autoclip_sep.cli import trained
from autoclip_sep.cli.commands.evaluate import evaluate
from autoclip_sep.cli.commands.separate import separate
from autoclip_sep.cli.commands.train import train
from autoclip_sep.data.loading.loaders import fixed_segments
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.bounds import MASKS
from autoclip_sep.runs import records
from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.training.validation import validate

RATE = 44100
NAMES = ["vocals", "drums", "bass", "other"]
TRACKS = {
    "train": ["A - One", "A - Two", "Actions - One Minute Smile"],  # the last is for validation
    "test": ["B - Three", "B - Four"],
}
SMALL = [
    "model.hidden=4", "model.layers=1", "trainer.batch_size=4", "trainer.segment=16384",
    "trainer.record_every=1", "trainer.progress=false", "data.augmentation.examples_per_track=4",
    "data.valid_segments=2", "data.store=store", "data.window_length=1024", "data.hop_length=512",
]  # fmt: skip


def sounds(seed, seconds=2.2):
    """Four stereo sources in bands of their own: (4, 2, T)."""
    rng = np.random.default_rng(seed)
    length = int(seconds * RATE)
    spectra = np.fft.rfft(rng.standard_normal((4, 2, length)))
    for source, (low, high) in enumerate(((500, 2000), (4000, 12000), (40, 250), (2000, 4000))):
        spectra[source, :, : low * length // RATE] = 0
        spectra[source, :, high * length // RATE :] = 0
    parts = np.fft.irfft(spectra, length)
    return 0.2 * parts / np.abs(parts).max(axis=(1, 2), keepdims=True)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with the corpus in both formats, in which the commands run."""
    return tmp_path_factory.mktemp("music")


@pytest.fixture(autouse=True)
def _there(place, monkeypatch):
    monkeypatch.chdir(place)


@pytest.fixture(scope="module")
def hq(place):
    number = 0
    for subset, names in TRACKS.items():
        for name in names:
            stored = soundfiles.quantise(sounds(number))
            number += 1
            for source, signal in zip(NAMES, stored, strict=True):
                soundfiles.write(place / "hq" / subset / name / f"{source}.wav", signal, RATE)
            mixture = stored.astype(np.int32).sum(axis=0).astype(np.int16)
            soundfiles.write(place / "hq" / subset / name / "mixture.wav", mixture, RATE)
    return ["data=musdb18", f"data.root={place / 'hq'}", *SMALL]


def only_run(folder):
    (found,) = folder.glob("*/*/*/*/seed*")
    return found


@pytest.fixture(scope="module")
def run(place, hq):
    """Two epochs on the WAV files, without a break."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        train([*hq, "trainer.epochs=2", "runs=straight"])
    return only_run(place / "straight")


def test_training_goes_on_to_the_same_bits(place, hq, run, assert_same):
    train([*hq, "trainer.epochs=1", "runs=halves"])
    train([*hq, "trainer.epochs=2", "runs=halves"])
    other = only_run(place / "halves")
    assert len(records.read(run / "dynamics.csv")) == 4  # 2 tracks, 4 examples each, 4 to a batch
    for name in ("dynamics.csv", "history.csv"):
        assert (run / name).read_bytes() == (other / name).read_bytes()
    one, two = (CheckpointFolder(r / "checkpoints").newest("last")[0] for r in (run, other))
    assert_same(one, two)


def test_evaluation_scores_every_source_by_name_once(run, capsys):
    evaluate([f"run={run}"])
    said = capsys.readouterr().out
    assert "8 sources of 2 mixtures scored, 0 silent" in said
    rows = records.read(run / "evaluation" / "test.csv")
    assert [row["source"] for row in rows] == [row["estimate"] for row in rows] == NAMES * 2
    table = run / "evaluation" / "test_bss_eval.csv"
    rows = records.read(table)
    assert [(row["item"], row["source"]) for row in rows] == [
        (item, name) for item in ("B - Four", "B - Three") for name in NAMES
    ]
    assert all(row["frames"] == "2" and float(row["sdr"]) < 60 for row in rows)
    summary = json.loads(table.with_suffix(".json").read_text())["summary"]
    assert list(summary["sources"]) == NAMES
    assert f"mean            {summary['mean']['sdr']:8.2f}" in said
    marked = table.read_text().replace(rows[0]["sdr"], "77.5", 1)
    table.write_text(marked)  # would be gone if it were scored again
    evaluate([f"run={run}"])
    assert table.read_text() == marked
    bounds = run / "evaluation" / "bounds"
    for name in MASKS:  # stereo, by SI-SDR alone
        rows = records.read(bounds / name / "test.csv")
        assert min(float(row["si_sdr"]) - float(row["si_sdr_mixture"]) for row in rows) > 0
        assert not (bounds / name / "test_bss_eval.csv").exists()


def test_bss_eval_is_left_out_on_request(run, capsys):
    evaluate([f"run={run}", "split=valid", "bss_eval=false"])
    assert "BSS Eval" not in capsys.readouterr().out
    assert not (run / "evaluation" / "valid_bss_eval.csv").exists()
    with pytest.raises(InputError, match="bss_eval=maybe"):
        evaluate([f"run={run}", "bss_eval=maybe"])


def test_separation_writes_one_stereo_file_for_each_name(place, run, capsys):
    mixture = sounds(9).sum(axis=0)[:, :50_001]
    soundfiles.write(place / "song.wav", mixture, RATE)
    separate([f"run={run}", "input=song.wav", "output=out"])
    assert "vocals.wav ... other.wav" in capsys.readouterr().out
    assert sorted(path.name for path in (place / "out" / "song").iterdir()) == sorted(
        f"{name}.wav" for name in NAMES
    )
    for name in NAMES:
        header = soundfiles.info(place / "out" / "song" / f"{name}.wav")
        assert (header.frames, header.sample_rate, header.channels) == (50_001, RATE, 2)
    estimate, _ = soundfiles.read(place / "out" / "song" / "drums.wav")
    assert not np.allclose(estimate[0], estimate[1], atol=1e-3)


def test_a_mono_song_is_heard_on_both_sides(place, run, capsys):
    soundfiles.write(place / "mono.wav", sounds(9)[:, 0].sum(axis=0)[:30_000], RATE // 2)
    separate([f"run={run}", "input=mono.wav", "output=out"])
    assert "one channel, given to the network as 2" in capsys.readouterr().out
    estimate, rate = soundfiles.read(place / "out" / "mono" / "bass.wav")
    assert (estimate.shape, rate) == ((2, 30_000), RATE // 2)
    assert np.array_equal(estimate[0], estimate[1])


def test_stems_go_all_the_way_too(place, write_stems):
    number = 0
    for subset, names in TRACKS.items():
        for name in names:
            parts = sounds(number)
            number += 1
            order = [parts[NAMES.index(key)] for key in ("drums", "bass", "other", "vocals")]
            path = place / "coded" / subset / f"{name}.stem.mp4"
            write_stems(path, [parts.sum(axis=0), *order])
    arguments = ["data=musdb18", "data.root=coded", *SMALL, "runs=stems", "loss=snr"]
    train([*arguments, "trainer.epochs=1"])
    run = only_run(place / "stems")
    evaluate([f"run={run}"])
    rows = records.read(run / "evaluation" / "test_bss_eval.csv")
    assert len(rows) == 8
    assert all(np.isfinite(float(row["sir"])) for row in rows)


def test_clusters_have_no_names(place, hq, capsys):
    """Deep clustering on music: what comes out is scored in the best order, and numbered."""
    train([*hq, "loss=deep_clustering", "model.embedding_size=4", "trainer.epochs=1", "runs=dc"])
    run = only_run(place / "dc")
    evaluate([f"run={run}", "bss_eval=false"])
    with open(run / "evaluation" / "test.csv", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert [row["source"] for row in rows] == NAMES * 2
    for item in ("B - Three", "B - Four"):
        estimates = {row["estimate"] for row in rows if row["item"] == item}
        assert estimates == {"1", "2", "3", "4"}
    soundfiles.write(place / "cut.wav", sounds(9).sum(axis=0)[:, :20_000], RATE)
    separate([f"run={run}", "input=cut.wav", "output=clusters"])
    names = {path.name for path in (place / "clusters" / "cut").iterdir()}
    assert names == {"s1.wav", "s2.wav", "s3.wav", "s4.wav"}
    assert "s1.wav ... s4.wav" in capsys.readouterr().out


def test_one_source_of_the_four(place, hq):
    arguments = [*hq, "data.sources=1", "data.source_names=[vocals]", "runs=one"]
    train([*arguments, "trainer.epochs=1"])
    run = only_run(place / "one")
    evaluate([f"run={run}"])
    assert {row["source"] for row in records.read(run / "evaluation" / "test.csv")} == {"vocals"}


def test_validation_knows_the_names_and_hears_several_segments(place, hq, run):
    """The recorded score is that of the sources in their own order."""
    last = trained.load(str(run), "last", torch.device("cpu"))
    split = build(last.config["data"]["corpus"]).prepare(progress=False).split("valid")

    def score(each=1, **how):
        objective = build(last.config["loss"]["objective"])
        return validate(
            last.separation.model, objective, fixed_segments(split, 4, 16384, each),
            last.separation.stft, device=torch.device("cpu"), **how,
        )  # fmt: skip

    row = records.read(run / "history.csv")[-1]
    loss, si_sdr = score(each=2, permute=False)
    assert float(row["valid_loss"]) == pytest.approx(loss, rel=1e-6)
    assert float(row["valid_si_sdr"]) == pytest.approx(si_sdr, abs=1e-4)
    assert score(each=2)[1] != pytest.approx(si_sdr, abs=1e-2)
    assert score(each=1, permute=False)[0] != pytest.approx(loss, rel=1e-3)


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("data.augmentation.swap=2", "data.augmentation: swap must be a probability"),
        ("data.augmentation.examples_per_track=0", "examples_per_track"),
        ("data.valid_segments=0", "data.valid_segments=0"),
        ("data.source_names=[vocals]", "must be 4 names"),
        ("data.root=not/here", "data.root=not/here: not there: tracks in train"),
        ("data.hq=false", "data.hq=false"),
    ],
)
def test_mistakes_are_one_line_before_anything_is_made(place, hq, setting, message):
    with pytest.raises(InputError, match=message) as error:
        train([*hq, setting, "runs=wrong"])
    assert "\n" not in str(error.value)
    assert not (place / "wrong").exists()


def test_the_built_in_music_just_trains(place):
    arguments = [
        "data=musdb_demo", *SMALL, "data.corpus.train=2", "data.corpus.valid=1",
        "data.corpus.test=1", "data.corpus.seconds=3", "trainer.epochs=1", "runs=demo",
    ]  # fmt: skip
    train(arguments)
    run = only_run(place / "demo")
    assert run.relative_to(place / "demo").parts[0] == "musdb_demo"
    assert len(records.read(run / "history.csv")) == 1
