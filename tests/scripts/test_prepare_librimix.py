"""The command from LibriSpeech to Libri2Mix, as a user types it."""

import signal
import time

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from tests.commands import command, start

SCRIPT = "scripts/prepare_librimix.py"
GIVEN = ["librispeech=LibriSpeech", "metadata=LibriMix", "out=out", "jobs=1"]
HEADER = "mixture_ID,source_1_path,source_1_gain,source_2_path,source_2_gain,noise_path,noise_gain"


def prepare(place, *arguments, **how):
    return command(place, SCRIPT, *arguments, **how)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """LibriSpeech with two speakers in each part, and a clone with 300, 2 and 2 mixtures of it."""
    folder = tmp_path_factory.mktemp("ä [b], c=1")
    rng = np.random.default_rng(0)
    for part, speakers, mixtures in (
        ("train-clean-100", (19, 26), 300),
        ("dev-clean", (84, 174), 2),
        ("test-clean", (61, 121), 2),
    ):
        for speaker in speakers:
            path = folder / f"LibriSpeech/{part}/{speaker}/7/{speaker}-7-0000.flac"
            soundfiles.write(path, rng.uniform(-0.3, 0.3, 8000 + 10 * speaker), 16000)
        rows = [HEADER]
        for n in range(mixtures):
            one, other = (f"{part}/{s}/7/{s}-7-0000.flac" for s in speakers)
            name = f"{speakers[0]}-7-{n:04d}_{speakers[1]}-7-0000"
            rows.append(f"{name},{one},{rng.uniform(0.3, 1)},{other},{rng.uniform(0.3, 1)},n,1")
        table = folder / f"LibriMix/metadata/Libri2Mix/libri2mix_{part}.csv"
        table.parent.mkdir(parents=True, exist_ok=True)
        table.write_text("\n".join(rows) + "\n")
    return folder


@pytest.fixture(scope="module")
def made(place):
    """The tree, made without a break."""
    said = prepare(place, *GIVEN).stdout
    folder = place / "out/Libri2Mix/wav8k/min"
    assert said == "out/Libri2Mix/wav8k/min: dev 2, test 2, train-100 300 mixtures\n"
    return folder


def contents(folder):
    return {p.relative_to(folder): p.read_bytes() for p in folder.rglob("*.wav")}


def test_everything_is_there(made):
    assert len(contents(made)) == 3 * 304
    assert not list(made.rglob("*.tmp"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_a_stopped_call_is_continued_to_the_same_bytes(place, made, number):
    arguments = [*GIVEN[:2], f"out=stopped{number}", "jobs=1"]
    folder = place / f"stopped{number}/Libri2Mix/wav8k/min"
    process = start(place, SCRIPT, *arguments)
    while process.poll() is None and not list(folder.glob("train-100/mix_clean/*.wav")):
        time.sleep(0.002)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    if number == signal.SIGTERM:
        said = "prepare_librimix: stopped; the same command resumes\n"
        assert (process.returncode, errors) == (130, said)
    assert not (folder / "metadata/mixture_train-100_mix_clean.csv").exists()
    assert len(contents(folder)) < len(contents(made))
    prepare(place, *arguments)
    assert contents(folder) == contents(made)


def test_two_at_a_time_are_one_after_the_other(place, made):
    folder = place / "both/Libri2Mix/wav8k/min"
    both = [start(place, SCRIPT, *GIVEN[:2], "out=both", "jobs=1") for _ in range(2)]
    said = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert contents(folder) == contents(made)
    assert not list(folder.rglob("*.tmp"))


def test_a_part_at_another_rate(place):
    arguments = [*GIVEN, "subsets=dev,test", "sample_rate=16000", "mode=max"]
    said = prepare(place, *arguments).stdout
    assert said == "out/Libri2Mix/wav16k/max: dev 2, test 2 mixtures\n"
    header = soundfiles.info(next((place / "out/Libri2Mix/wav16k/max").glob("dev/mix_clean/*.wav")))
    assert (header.sample_rate, header.frames) == (16000, 9740)


@pytest.mark.parametrize("jobs", [1, 2])
def test_a_full_disk_is_one_line(place, small_disk, jobs):
    folder, mounted = small_disk
    done = prepare(
        place, *GIVEN[:2], f"out={folder / 'out'}", f"jobs={jobs}",
        before=mounted, check=2, timeout=60,
    )  # fmt: skip
    said = f"prepare_librimix: {folder}/out/"
    assert done.stderr.startswith(said)
    assert done.stderr.endswith(".wav: the disk is full; make room, and the same command resumes\n")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "missing: librispeech=... metadata=... out=..."),
        ([*GIVEN, "speeker=2"], "did you mean speakers=...?"),
        ([*GIVEN, "mode=mean"], "mode=mean: must be one of min, max"),
        ([*GIVEN, "speakers=4"], "speakers=4: must be one of 2, 3"),
        ([*GIVEN, "sample_rate=44100"], "sample_rate=44100: must be one of 8000, 16000"),
        ([*GIVEN[:3], "jobs=0"], "jobs=0: must be an integer"),
        ([*GIVEN, "subsets=train-360"], "subsets=train-360: must be one of dev, test, train-100"),
        ([*GIVEN, "speakers=3"], "metadata=LibriMix: no tables there"),
        (["librispeech=none", *GIVEN[1:]], "librispeech=none: 6 of 6 utterances are missing"),
        (["librispeech=.", *GIVEN[1:]], "did you mean librispeech=LibriSpeech?"),
    ],
)
def test_mistakes_are_one_line_and_leave_nothing(place, here, arguments, message):
    before = sorted(place.iterdir())
    out = ["out=nothing" if argument == "out=out" else argument for argument in arguments]
    said = here(place, "prepare-librimix", *out, check=2).stderr
    assert message in said
    assert len(said.splitlines()) == 1
    assert sorted(place.iterdir()) == before
