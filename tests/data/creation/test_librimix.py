"""Creation from LibriSpeech: the published samples to the bit, or a line before the first file."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import soundfile
from scipy.signal import resample_poly

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.creation import librimix as creation
from autoclip_sep.data.creation.librimix_metadata import Recipe, find_metadata, read_metadata
from autoclip_sep.data.creation.shards import Shard
from autoclip_sep.errors import InputError
from tests.data.conftest import contents as everything

SECONDS = {
    "train-clean-100/19/198/19-198-0001.flac": 0.52,
    "train-clean-100/26/495/26-495-0003.flac": 0.71,
    "dev-clean/84/121/84-121-0000.flac": 0.44,
    "dev-clean/174/50/174-50-0002.flac": 0.631,
}
TRAIN = Recipe(
    "19-198-0001_26-495-0003", tuple(list(SECONDS)[:2]), (0.7925878276419455, 0.2142791008161834)
)
DEV = Recipe("84-121-0000_174-50-0002", tuple(list(SECONDS)[2:]), (1.3, 6.4672317278286116))
THREE = Recipe("a_b_c", tuple(list(SECONDS)[:3]), (0.3, 0.5, 0.7))
METADATA = {"train-100": [TRAIN], "dev": [DEV]}


@pytest.fixture
def librispeech(tmp_path):
    rng = np.random.default_rng(0)
    for name, seconds in SECONDS.items():
        noise = np.convolve(rng.standard_normal(int(16000 * seconds)), np.ones(5) / 5, "same")
        soundfiles.write(tmp_path / "LibriSpeech" / name, noise * 0.2, 16000)
    return tmp_path / "LibriSpeech"


def make(librispeech, out, **settings):
    arguments = {"metadata": METADATA, "jobs": 1, "progress": False} | settings
    return creation.create(librispeech=librispeech, out=out, **arguments)


def contents(folder):
    return everything(folder, without=".csv")  # which holds paths


def as_published(librispeech, recipe, rate, mode):
    """The published procedure, step by step: read, gain, resample, fit, add up."""
    signals = []
    for path, gain in zip(recipe.utterances, recipe.gains, strict=True):
        speech, _ = soundfile.read(librispeech / path, dtype="float32")
        signals.append(resample_poly(speech * gain, rate, 16000))
    fit = min if mode == "min" else max
    length = fit(len(signal) for signal in signals)
    signals = [np.pad(x, (0, max(0, length - len(x))))[:length] for x in signals]
    total = np.zeros_like(signals[0])
    for signal in signals:
        total += signal
    return {"mix_clean": total} | {f"s{n}": signal for n, signal in enumerate(signals, 1)}


@pytest.mark.parametrize("rate", [8000, 16000])
@pytest.mark.parametrize("mode", ["min", "max"])
@pytest.mark.parametrize("recipe", [TRAIN, DEV, THREE])
def test_files_are_the_published_ones_byte_for_byte(librispeech, tmp_path, recipe, rate, mode):
    metadata = {"dev": [recipe]}
    folder = make(librispeech, tmp_path / "o", metadata=metadata, sample_rate=rate, mode=mode)
    speakers = len(recipe.gains)
    assert folder == tmp_path / f"o/Libri{speakers}Mix/wav{rate // 1000}k/{mode}"
    for kind, samples in as_published(librispeech, recipe, rate, mode).items():
        soundfile.write(tmp_path / "expected.wav", samples, rate)
        made = folder / "dev" / kind / f"{recipe.name}.wav"
        assert made.read_bytes() == (tmp_path / "expected.wav").read_bytes()


def test_sixteen_bits_are_those_of_libsndfile(tmp_path):
    rng = np.random.default_rng(0)
    steps = np.arange(-32768, 32768) / 2.0**15
    samples = np.concatenate(
        [rng.uniform(-1.1, 1.1, 100_000), steps, steps - 1e-7, steps + 1e-10, [1, -1, 2, -2, 0]]
    ).astype(np.float32)
    soundfile.write(tmp_path / "x.wav", samples, 8000)
    expected = soundfile.read(tmp_path / "x.wav", dtype="int16")[0]
    assert np.array_equal(creation.to_sixteen_bits(samples), expected)


def test_the_published_layout_and_tables(librispeech, tmp_path):
    folder = make(librispeech, tmp_path / "out")
    names = {path for path in contents(folder) if not path.startswith(".")}
    assert names == {
        f"{subset}/{kind}/{recipe.name}.wav"
        for subset, (recipe,) in METADATA.items()
        for kind in ("mix_clean", "s1", "s2")
    }
    header, row = (folder / "metadata/mixture_dev_mix_clean.csv").read_text().splitlines()
    assert header == "mixture_ID,mixture_path,source_1_path,source_2_path,length"
    places = [f"{folder}/dev/{kind}/{DEV.name}.wav" for kind in ("mix_clean", "s1", "s2")]
    assert row == ",".join([DEV.name, *places, "3520"])
    assert (folder / "metadata/mixture_train-100_mix_clean.csv").exists()


def test_shards_make_what_one_process_makes(librispeech, tmp_path):
    whole = make(librispeech, tmp_path / "whole")
    assert make(librispeech, tmp_path / "shards", shard=Shard(3, 3)) is None  # an empty one
    assert make(librispeech, tmp_path / "shards", shard=Shard(2, 3)) is None
    assert not list(tmp_path.glob("shards/**/*.csv"))
    folder = make(librispeech, tmp_path / "shards", shard=Shard(1, 3))
    assert contents(folder) == contents(whole)
    for table in whole.glob("metadata/*.csv"):
        other = (folder / "metadata" / table.name).read_text()
        assert other == table.read_text().replace("/whole/", "/shards/")


def test_a_mixture_is_the_sum_of_its_sources(librispeech, tmp_path):
    folder = make(librispeech, tmp_path / "out", metadata={"dev": [THREE]})
    parts = [
        soundfiles.read(folder / "dev" / kind / "a_b_c.wav", dtype=np.int16)[0].astype(int)
        for kind in ("mix_clean", "s1", "s2", "s3")
    ]
    assert np.abs(parts[0] - sum(parts[1:])).max() <= 2


@pytest.mark.parametrize("jobs", [1, 2])
def test_what_was_cut_off_is_continued_to_the_same_bytes(librispeech, tmp_path, monkeypatch, jobs):
    whole = make(librispeech, tmp_path / "whole")
    calls = iter(range(100))
    write = soundfiles.write

    def stop(*arguments):
        if next(calls) == 4:
            raise KeyboardInterrupt
        write(*arguments)

    monkeypatch.setattr(soundfiles, "write", stop)
    with pytest.raises(KeyboardInterrupt):
        make(librispeech, tmp_path / "again")
    monkeypatch.undo()
    again = tmp_path / "again/Libri2Mix/wav8k/min"
    assert not (again / f"dev/mix_clean/{DEV.name}.wav").exists()
    assert (again / f"dev/s1/{DEV.name}.wav").exists()
    kept = again / f"train-100/s1/{TRAIN.name}.wav"
    before = kept.stat().st_mtime_ns
    make(librispeech, tmp_path / "again", jobs=jobs)
    assert contents(again) == contents(whole)
    assert kept.stat().st_mtime_ns == before
    tables = (tree / "metadata/mixture_train-100_mix_clean.csv" for tree in (whole, again))
    one, other = (table.read_text() for table in tables)
    assert one.replace("/whole/", "/again/") == other


@pytest.mark.parametrize(
    ("kinds", "size"),
    [
        (["s2"], None), (["s2"], 0), (["s2"], 44), (["s2"], 1000), (["mix_clean"], 1000),
        (["mix_clean", "s1", "s2"], 1000),
    ],
)  # fmt: skip
def test_what_is_missing_or_cut_short_is_made_again(librispeech, tmp_path, kinds, size):
    folder = make(librispeech, tmp_path / "out")
    before = contents(folder)
    for kind in kinds:
        path = folder / f"dev/{kind}/{DEV.name}.wav"
        path.unlink() if size is None else path.write_bytes(path.read_bytes()[:size])
    make(librispeech, tmp_path / "out")
    assert contents(folder) == before


def test_what_a_kill_left_half_written_is_swept_up(librispeech, tmp_path):
    folder = make(librispeech, tmp_path / "out")
    before = contents(folder)
    others = [folder / "dev/s1/.mine.wav", folder / "mine.tmp"]
    rests = [folder / rest for rest in (
        "dev/s1/.17-3.tmp", "metadata/.mixture_dev_mix_clean.csv.17", "..made_from.json.17",
    )]  # fmt: skip
    for path in (*others, *rests):
        path.write_bytes(b"half")
    (folder / f"dev/mix_clean/{DEV.name}.wav").unlink()
    make(librispeech, tmp_path / "out")
    assert not any(path.exists() for path in rests)
    for path in others:
        path.unlink()
    assert contents(folder) == before


def test_subsets_may_be_made_one_after_the_other(librispeech, tmp_path):
    for subset, recipes in METADATA.items():
        folder = make(librispeech, tmp_path / "parts", metadata={subset: recipes})
    assert contents(folder) == contents(make(librispeech, tmp_path / "whole"))


def test_other_metadata_is_not_mixed_in(librispeech, tmp_path):
    folder = make(librispeech, tmp_path / "out")
    before = contents(folder)
    louder = Recipe(DEV.name, DEV.utterances, (1.4, 6.0))
    with pytest.raises(InputError, match="min: dev was begun with other metadata; move it away"):
        make(librispeech, tmp_path / "out", metadata={"dev": [louder]})
    assert contents(folder) == before


def test_missing_utterances_are_counted_before_anything_is_written(librispeech, tmp_path):
    shutil.rmtree(librispeech / "dev-clean")
    with pytest.raises(InputError) as caught:
        make(librispeech, tmp_path / "out")
    for part in (
        f"librispeech={librispeech}: 2 of 4 utterances are missing: dev-clean/174/50/174-50-0002",
        "expected: the folders dev-clean of LibriSpeech",
        "found: 1 entries, such as train-clean-100",
    ):
        assert part in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_where_one_is_missing_no_folder_that_lacks_it_is_proposed(librispeech, tmp_path):
    shutil.rmtree(librispeech / "train-clean-100")
    with pytest.raises(InputError, match=r"found: 1 entries, such as dev-clean$"):
        make(librispeech, tmp_path / "out")


@pytest.mark.parametrize("named", ["..", "dev-clean"])
def test_a_folder_too_high_or_too_low_is_told_the_right_one(librispeech, tmp_path, named):
    folder = Path(f"{librispeech}/{named}").resolve()
    with pytest.raises(InputError, match=rf"did you mean librispeech={librispeech}\?$"):
        make(folder, tmp_path / "out")


@pytest.mark.parametrize(("rate", "channels"), [(8000, 1), (16000, 2)])
def test_what_is_no_librispeech_is_refused_before_anything_is_written(
    librispeech, tmp_path, rate, channels
):
    soundfiles.write(librispeech / DEV.utterances[1], np.zeros((channels, 800)), rate)
    words = f"{rate} Hz and {channels} channels, LibriSpeech has 16000 Hz and one"
    with pytest.raises(InputError, match=f"174-50-0002.flac: {words}"):
        make(librispeech, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


@pytest.mark.parametrize("jobs", [1, 2])
def test_broken_sources_are_all_listed_before_anything_is_written(librispeech, tmp_path, jobs):
    """A FLAC file that was cut in half has a good header."""
    for name in SECONDS:
        cut(librispeech / name)
    with pytest.raises(InputError, match=r"^4 of 4 utterances can't be used: .*; all 4 in") as told:
        make(librispeech, tmp_path / "out", jobs=jobs)
    (report,) = (path for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert str(told.value).endswith(str(report))
    lines = report.read_text().splitlines()
    for name, line in zip(sorted(SECONDS), lines, strict=True):
        assert line.startswith(f"{librispeech / name}: ")


def test_what_is_there_needs_no_second_look_at_its_sources(librispeech, tmp_path):
    folder = make(librispeech, tmp_path / "out")
    for name in SECONDS:
        cut(librispeech / name)
    assert make(librispeech, tmp_path / "out") == folder
    (folder / f"dev/s2/{DEV.name}.wav").unlink()
    with pytest.raises(
        InputError, match=r"^2 of 2 utterances can't be used: .*84-121-0000\.flac: "
    ):
        make(librispeech, tmp_path / "out")


def write_metadata(path, recipes):
    path.parent.mkdir(parents=True, exist_ok=True)
    numbers = range(1, len(recipes[0].gains) + 1)
    columns = ",".join(f"source_{n}_path,source_{n}_gain" for n in numbers)
    lines = [f"mixture_ID,{columns},noise_path,noise_gain"]
    for recipe in recipes:
        pairs = zip(recipe.utterances, recipe.gains, strict=True)
        lines.append(f"{recipe.name},{','.join(f'{p},{g!r}' for p, g in pairs)},cv/n.wav,1.1")
    path.write_text("\n".join(lines) + "\n")


@pytest.mark.parametrize("inner", ["", "Libri2Mix", "metadata/Libri2Mix"])
def test_metadata_is_found_in_a_clone(tmp_path, inner):
    folder = tmp_path / inner
    for part in ("train-clean-100", "train-clean-360", "dev-clean", "test-clean"):
        write_metadata(folder / f"libri2mix_{part}.csv", [TRAIN, DEV])
        write_metadata(folder / f"libri2mix_{part}_info.csv", [TRAIN])
        write_metadata(folder / f"libri3mix_{part}.csv", [THREE])
    tables = find_metadata(tmp_path, 2)
    assert sorted(tables) == ["dev", "test", "train-100", "train-360"]
    assert read_metadata(tables["dev"], 2) == [TRAIN, DEV]


def test_no_metadata_says_what_was_tried_wanted_and_found(tmp_path):
    with pytest.raises(InputError) as caught:
        find_metadata(tmp_path, 3)
    for part in ("no tables there, in Libri3Mix", "libri3mix_dev-clean.csv", "an empty folder"):
        assert part in str(caught.value)


COLUMNS = "mixture_ID,source_1_path,source_1_gain,source_2_path,source_2_gain"


def windows_metadata(path, *rows):
    path.write_text("\n".join([COLUMNS, *rows, ""]), encoding="utf-8-sig", newline="\r\n")
    return path


def test_metadata_may_come_from_windows(tmp_path):
    first, second = (path.replace("/", "\\") for path in DEV.utterances)
    row = f"{DEV.name},{first},{DEV.gains[0]},{second},{DEV.gains[1]}"
    assert read_metadata(windows_metadata(tmp_path / "m.csv", row), 2) == [DEV]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("x,a,1,b", "4 fields for 5 columns"),
        ("x,a,1,b,loud", "could not convert string to float: 'loud'"),
        ("x,a,1,b,nan", r"the gains are \(1\.0, nan\)"),
        ("first,a,1,b,2", "a second mixture first"),
        ("../x,a,1,b,2", "'../x' can't name a file"),
        ("a\x1b,a,1,b,2", r"'a\\x1b' can't name a file"),
        (".x,a,1,b,2", "'.x' can't name a file"),
        (",a,1,b,2", "'' can't name a file"),
        ("x,../b.flac,1,b,2", "'../b.flac' leads out of its folder"),
        ("x,/etc/b.flac,1,b,2", "'/etc/b.flac' leads out"),
        ("x,a\\..\\..\\b.flac,1,b,2", r"'a\\..\\..\\b\.flac' leads out"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    table = windows_metadata(tmp_path / "t.csv", "first,a,1,b,2", line)
    with pytest.raises(InputError, match=rf"t\.csv, line 3: {message}"):
        read_metadata(table, 2)
    with pytest.raises(InputError, match="no column source_3_path, source_3_gain"):
        read_metadata(table, 3)


def test_twenty_thousand_missing_utterances_are_a_short_line(tmp_path):
    """Whatever they are called: each was a folder of its own for paths without a folder."""
    wanted = [
        Recipe(f"m{n}", (f"{n:05d}a.flac", f"{n:05d}b.flac"), (1.0, 1.0)) for n in range(9999)
    ]
    with pytest.raises(InputError, match="19998 of 19998 utterances are missing") as caught:
        make(tmp_path, tmp_path / "out", metadata={"dev": wanted})
    assert len(str(caught.value)) < 1000
