"""LibriMix trees read by their metadata, wherever they were made."""

import csv
from pathlib import Path, PurePosixPath, PureWindowsPath

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.corpora.librimix import LibriMix
from autoclip_sep.data.creation.librimix import to_sixteen_bits
from autoclip_sep.errors import InputError

LENGTHS = {"train-100": (700, 900, 500), "dev": (600, 400), "test": (800, 650)}
SOMEWHERE = PurePosixPath("/storage/someone/Libri2Mix/wav8k/min")


@pytest.fixture
def root(tmp_path):
    return make_tree(tmp_path / "Libri2Mix/wav8k/min")


def make_tree(root, maker=SOMEWHERE, speakers=2):
    """A tree in the published layout, its tables naming the paths on the maker's machine."""
    rng = np.random.default_rng(0)
    names = [f"s{n + 1}" for n in range(speakers)]
    mixtures = {"mix_clean": tuple(names), "mix_both": (*names, "noise")}
    mixtures |= {"mix_single": ("s1", "noise")}
    tables = {}
    for subset, lengths in LENGTHS.items():
        for n, length in enumerate(lengths):
            # Not in the order of names: the tables' order is the corpus'.
            name = f"{90 - n}-{subset}-0000_{n}-1-0001"
            signals = {
                signal: soundfiles.quantise(rng.uniform(-0.2, 0.2, length))
                for signal in (*names, "noise")
            }
            for signal, samples in signals.items():
                soundfiles.write(root / subset / signal / f"{name}.wav", samples, 8000)
            for mixture, parts in mixtures.items():
                total = np.sum([signals[part] for part in parts], axis=0, dtype=np.int16)
                soundfiles.write(root / subset / mixture / f"{name}.wav", total, 8000)
                paths = [str(maker / subset / k / f"{name}.wav") for k in (mixture, *parts)]
                tables.setdefault((subset, mixture), []).append([name, *paths, f"{length}.0"])
    (root / "metadata").mkdir()
    for (subset, mixture), rows in tables.items():
        parts = mixtures[mixture]
        columns = [f"source_{part[1:]}_path" if part != "noise" else "noise_path" for part in parts]
        write_table(
            root / f"metadata/mixture_{subset}_{mixture}.csv",
            [["mixture_ID", "mixture_path", *columns, "length"], *rows],
        )
    return root


def write_table(path, rows):
    with open(path, "w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def read_table(path):
    with open(path, newline="") as file:
        return list(csv.reader(file))


@pytest.mark.parametrize(
    ("mixture", "count", "parts"),
    [("mix_clean", 2, 2), ("mix_both", 2, 3), ("mix_single", 1, 2)],
)
def test_the_tables_say_what_is_in_a_mixture(root, prepare, mixture, count, parts):
    store = prepare(root, "libri2mix", mixture=mixture, count=count)
    assert store.splits == ("train", "valid", "test")
    for split, subset in (("train", "train-100"), ("valid", "dev"), ("test", "test")):
        read = store.split(split)
        assert read.items == [
            row[0] for row in read_table(root / f"metadata/mixture_{subset}_{mixture}.csv")[1:]
        ]
        for i, name in enumerate(read.items):
            heard, sources = read.load(i)
            files = {
                kind: soundfiles.read(root / subset / kind / f"{name}.wav")[0]
                for kind in (mixture, "s1", "s2")
            }
            assert np.allclose(heard, files[mixture], atol=1e-6)
            assert np.array_equal(sources, [files["s1"], files["s2"]][:count])
            assert len(read.signals(i)) == parts


@pytest.mark.parametrize(
    "maker", [PureWindowsPath("C:\\Users\\me\\min"), PurePosixPath("min"), PurePosixPath("/")]
)
def test_a_tree_may_come_from_anywhere(tmp_path, prepare, maker):
    root = make_tree(tmp_path / "here", maker)
    assert len(prepare(root, "libri2mix").split("train")) == 3


def test_three_speakers_in_noise_as_published(tmp_path, refused, prepare):
    """Each file is cut off at 16 bits by itself: the sum of four is up to 3 below the mixture."""
    root = make_tree(tmp_path / "Libri3Mix/wav8k/min", speakers=3)
    rng = np.random.default_rng(0)
    for path in sorted(root.glob("*/mix_both/*.wav")):
        signals = rng.uniform(-0.2, 0.2, (4, soundfiles.info(path).frames)).astype(np.float32)
        for kind, samples in zip(("s1", "s2", "s3", "noise"), signals, strict=True):
            soundfiles.write(path.parents[1] / kind / path.name, to_sixteen_bits(samples), 8000)
        soundfiles.write(path, to_sixteen_bits(signals.sum(axis=0)), 8000)
    assert "not the sum" in refused(root, "libri2mix", count=3, mixture="mix_both", tolerance=2)
    assert prepare(root, "libri2mix", count=3, mixture="mix_both").split("test").sources == 3


def test_a_mixture_that_is_not_the_sum_is_refused(root, refused):
    path = next((root / "dev/mix_clean").iterdir())
    soundfiles.write(path, soundfiles.read(path, dtype=np.int16)[0] // 2, 8000)
    assert f"{path}: not the sum of " in refused(root, "libri2mix")


def test_other_subsets_and_the_newer_tables(root, prepare):
    (root / "train-100").rename(root / "train-360")
    table = root / "metadata/mixture_train-100_mix_clean.csv"
    header, *rows = read_table(table)
    table.unlink()
    rows = [[row[0], row[0], *(path.replace("-100/", "-360/") for path in row[1:])] for row in rows]
    write_table(
        root / "metadata/mixture_train-360_mix_clean.csv",
        [[header[0], "original_mixture_ID", *header[1:]], *rows],
    )
    splits = {"train": "train-360", "valid": "dev", "test": "test"}
    assert len(prepare(root, "libri2mix", splits=splits).split("train")) == 3


def test_no_root_says_which_setting():
    with pytest.raises(InputError, match=r"needs data\.root=FOLDER with metadata/mixture_"):
        LibriMix(name="libri2mix").prepare()


@pytest.mark.parametrize("named", ["..", "../..", "metadata", "train-100/s1"])
def test_a_root_too_high_or_too_low_is_told_the_right_one(root, refused, named):
    folder = Path(f"{root}/{named}").resolve()
    said = refused(folder, "libri2mix")
    for part in (
        f"data.root={folder}: not there: metadata/mixture_train-100_mix_clean.csv, ",
        "expected: metadata/mixture_{subset}_mix_clean.csv and the folder {subset}",
        f"did you mean data.root={root}?",
    ):
        assert part in said


def test_a_mixture_or_subset_that_was_not_made_is_named(root, refused):
    for path in root.glob("metadata/*_mix_both.csv"):
        path.unlink()
    said = refused(root, "libri2mix", mixture="mix_both")
    assert "not there: metadata/mixture_train-100_mix_both.csv, " in said
    said = refused(root, "libri2mix", splits={"train": "train-360", "valid": "dev"})
    assert "not there: metadata/mixture_train-360_mix_clean.csv, train-360; expected" in said


def test_missing_files_are_counted_and_named(root, refused):
    for path in root.glob("*/s1/*.wav"):
        path.unlink()
    said = refused(root, "libri2mix")
    assert "7 of 21 files that its metadata names are missing: train-100/s1/90-train-100" in said
    assert said.endswith(" and 4 more")


def test_the_number_of_sources_is_checked(root, refused):
    said = refused(root, "libri2mix", count=3)
    assert said.endswith("train-100_mix_clean.csv: 2 sources, data.sources=3")


def test_a_mixture_in_two_splits_is_refused(root, refused):
    first = read_table(root / "metadata/mixture_train-100_mix_clean.csv")[2]
    table = root / "metadata/mixture_test_mix_clean.csv"
    write_table(table, [*read_table(table), first])
    assert "is in train and in test" in refused(root, "libri2mix")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("mixture_ID,length\nx,3\n", "no column mixture_path, source_1_path; found: mixture_ID, l"),
        ("mixture_ID,mixture_path,source_1_path\nx,y,z\nx,y,z\n", "line 3: a second mixture x"),
    ],
)
def test_a_bad_table_is_refused_by_line(root, refused, text, message):
    table = root / "metadata/mixture_dev_mix_clean.csv"
    table.write_text(text, encoding="latin-1")
    said = refused(root, "libri2mix")
    assert said.startswith(str(table))
    assert message in said


def test_a_table_saved_by_a_spreadsheet_is_read(root, prepare):
    """A byte-order mark, Windows' line ends, empty columns and lines."""
    for table in root.glob("metadata/*.csv"):
        text = "".join(f"{line},\r\n" for line in table.read_text().splitlines())
        table.write_bytes(f"{text},,\r\n\r\n".encode("utf-8-sig"))
    assert len(prepare(root, "libri2mix").split("train")) == 3


def test_a_path_that_leads_out_of_the_tree_is_refused(root, refused):
    table = root / "metadata/mixture_dev_mix_clean.csv"
    header, row, *rows = read_table(table)
    write_table(table, [header, [*row[:2], "../../s1/x.wav", *row[3:]], *rows])
    assert "line 2: '../s1/x.wav' leads out of its folder" in refused(root, "libri2mix")
