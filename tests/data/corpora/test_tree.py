"""Every layout that the configs promise, and every tree that isn't what it says it is."""

import os
import shutil
from pathlib import Path

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.corpora.tree import MixtureTree
from autoclip_sep.errors import InputError
from autoclip_sep.names import shown

LENGTHS = {"tr": (700, 900, 500), "cv": (600, 400), "tt": (800, 650)}
WSJ0_2MIX = {"mix": ("s1", "s2"), "s1": ("s1",), "s2": ("s2",)}
WSJ0_3MIX = {"mix": ("s1", "s2", "s3"), "s1": ("s1",), "s2": ("s2",), "s3": ("s3",)}
WHAM = {
    "mix_clean": ("s1", "s2"),
    "mix_single": ("s1", "noise"),
    "mix_both": ("s1", "s2", "noise"),
    "s1": ("s1",),
    "s2": ("s2",),
    "noise": ("noise",),
}


@pytest.fixture
def root(tmp_path):
    make_tree(tmp_path / "corpus", WSJ0_2MIX)
    return tmp_path / "corpus"


def make_tree(root, kinds, pattern="{split}/{kind}/{item}.wav", subtype="PCM_16", rate=8000):
    """Write every kind of file as the sum of the signals it names; what each item is made of."""
    rng = np.random.default_rng(len(kinds))
    names = sorted({name for parts in kinds.values() for name in parts})
    made = {}
    for split, lengths in LENGTHS.items():
        for n, length in enumerate(lengths):
            item = f"{split}a{n}_1.5_b{n}_-1.5"
            signals = {name: rng.uniform(-0.2, 0.2, length) for name in names}
            if subtype == "PCM_16":
                signals = {name: soundfiles.quantise(x) / 2.0**15 for name, x in signals.items()}
            for kind, parts in kinds.items():
                path = pattern.format(split=split, kind=kind, item=item)
                total = np.sum([signals[part] for part in parts], axis=0)
                soundfiles.write(root / path, total, rate, subtype)
            made[split, item] = signals
    return made


@pytest.mark.parametrize(
    ("choice", "kinds", "mixture", "targets", "subtype"),
    [
        ("wsj0_2mix", WSJ0_2MIX, ("s1", "s2"), ("s1", "s2"), "PCM_16"),
        ("wsj0_3mix", WSJ0_3MIX, ("s1", "s2", "s3"), ("s1", "s2", "s3"), "PCM_16"),
        ("wham_clean", WHAM, ("s1", "s2"), ("s1", "s2"), "FLOAT"),
        ("wham", WHAM, ("s1", "s2", "noise"), ("s1", "s2"), "FLOAT"),
        ("tree", WSJ0_2MIX, ("s1", "s2"), ("s1", "s2"), "PCM_16"),
    ],
)
def test_published_layouts_are_read(tmp_path, prepare, choice, kinds, mixture, targets, subtype):
    made = make_tree(tmp_path / "corpus", kinds, subtype=subtype)
    store = prepare(tmp_path / "corpus", choice)
    assert store.folder.name.startswith(f"{choice}-")
    assert store.splits == ("train", "valid", "test")
    for split, folder in (("train", "tr"), ("valid", "cv"), ("test", "tt")):
        read = store.split(split)
        assert read.items == sorted(item for where, item in made if where == folder)
        for i, item in enumerate(read.items):
            signals = made[folder, item]
            heard, sources = read.load(i)
            assert np.allclose(heard[0], np.sum([signals[name] for name in mixture], 0), atol=1e-6)
            assert np.allclose(sources[:, 0], [signals[name] for name in targets], atol=1e-6)


@pytest.mark.parametrize(
    "pattern",
    [
        "{split}/{item}/{kind}.wav",
        "{kind}/{split}_{item}.wav",
        "deep/er/{split}/x/{kind}/{item}/{item}-{kind}.wav",
        "{split}_{kind}_{item}.flac",
        "{split}/{kind}/more/{item}.wav",
        "{split} (1+)/[{kind}]/{item} (1+).wav",
        "{split}/{item}/{item}.{kind}.wav",
    ],
)
def test_own_layouts_by_pattern(tmp_path, prepare, pattern):
    made = make_tree(tmp_path / "corpus", WSJ0_2MIX, pattern)
    if pattern.count("{item}") == 2:  # a path with two names is no mixture's
        path = pattern.replace("{item}", "one", 1).format(split="tr", kind="mix", item="two")
        soundfiles.write(tmp_path / "corpus" / path, np.zeros(9), 8000)
    of = {kind: pattern.replace("{kind}", kind) for kind in WSJ0_2MIX}
    patterns = {"mixture": of["mix"], "sources": [of["s1"], of["s2"]]}
    split = prepare(tmp_path / "corpus", "tree", **patterns).split("train")
    assert split.items == sorted(item for where, item in made if where == "tr")
    assert np.allclose(split.load(0)[1][1, 0], made["tr", split.items[0]]["s2"], atol=1e-6)


def test_an_item_may_lie_in_folders_of_its_own(root, prepare):
    for kind in WSJ0_2MIX:
        folder = root / "cv" / kind
        (folder / "a 1").mkdir()
        (folder / "cva1_1.5_b1_-1.5.wav").rename(folder / "a 1/x.wav")
    items = prepare(root, "tree").split("valid").items
    assert items == ["a 1/x", "cva0_1.5_b0_-1.5"]


def test_hidden_files_and_others_are_no_mixtures(root, prepare):
    for name in ("._tra0.wav", ".thumbs/x.wav", "notes.txt"):
        (root / "tr/mix" / name).parent.mkdir(exist_ok=True)
        (root / "tr/mix" / name).write_bytes(b"x")
    assert len(prepare(root, "tree").split("train")) == 3


def test_links_are_followed_but_not_in_circles(tmp_path, prepare):
    make_tree(tmp_path / "real", WSJ0_2MIX)
    (tmp_path / "corpus").mkdir()
    for split in LENGTHS:
        (tmp_path / "corpus" / split).symlink_to(tmp_path / "real" / split)
    (tmp_path / "real/tr/mix/again").symlink_to(tmp_path / "real/tr")
    for kind, level in (("mix", 0.5), ("s1", 0.25), ("s2", 0.25)):
        soundfiles.write(tmp_path / "more" / kind / "x.wav", np.full(300, level), 8000)
        (tmp_path / "real/tr" / kind / "more").symlink_to(tmp_path / "more" / kind)
    items = prepare(tmp_path / "corpus", "tree").split("train").items
    assert items[0] == "more/x"
    assert len(items) == 3 + 1


def test_a_tree_may_do_without_a_test_set(root, prepare):
    shutil.rmtree(root / "tt")
    splits = {"train": "tr", "valid": "cv", "test": None}
    store = prepare(root, "tree", splits=splits)
    assert store.splits == ("train", "valid")


def test_roots_and_settings_have_stores_of_their_own(tmp_path, prepare):
    for folder in ("one", "two"):
        make_tree(tmp_path / folder, WHAM)
    stores = [
        prepare(tmp_path / "one", "wham"),
        prepare(tmp_path / "two", "wham"),
        prepare(tmp_path / "one", "wham", tolerance=None),
        prepare(tmp_path / "one", "wham_clean"),
    ]
    assert len({store.folder for store in stores}) == 4
    assert stores[0].fingerprint == stores[1].fingerprint
    assert stores[0].fingerprint != stores[3].fingerprint


def test_a_second_look_reads_no_samples(root, prepare, tmp_path, monkeypatch):
    first = prepare(root, "tree")
    monkeypatch.setattr(soundfiles, "read", None)
    os.chdir(tmp_path)
    again = prepare(Path("corpus"), "tree")
    assert (again.folder, again.fingerprint) == (first.folder, first.fingerprint)


def test_a_corpus_that_moved_has_its_store_still(tmp_path, prepare, monkeypatch):
    """To another disk, with its project, or under another mount: gigabytes needn't be decoded."""
    place = tmp_path / "project"
    make_tree(place / "corpus", WSJ0_2MIX)
    first = prepare(place / "corpus", "tree", place)
    with monkeypatch.context() as nothing_is_read:
        nothing_is_read.setattr(soundfiles, "read", None)
        nothing_is_read.setattr(soundfiles, "blocks", None)
        (place / "corpus").rename(place / "moved")
        for _ in range(2):
            assert prepare(place / "moved", "tree", place).folder == first.folder
        place.rename(tmp_path / "new")
        again = prepare(tmp_path / "new/moved", "tree", tmp_path / "new")
        assert again.folder == tmp_path / "new/store" / first.folder.name
    assert again.fingerprint == first.fingerprint
    file = next((tmp_path / "new/moved/tr/s1").iterdir())
    os.utime(file, (1, 1))  # perhaps another file: it is a store of its own, made anew
    other = prepare(tmp_path / "new/moved", "tree", tmp_path / "new")
    assert other.folder != again.folder
    assert other.fingerprint == first.fingerprint


def test_a_corpus_that_moved_is_not_taken_for_one_of_other_settings(root, prepare, tmp_path):
    first = prepare(root, "tree")
    root.rename(tmp_path / "moved")
    swapped = ["{split}/s2/{item}.wav", "{split}/s1/{item}.wav"]
    other = prepare(tmp_path / "moved", "tree", sources=swapped)
    assert other.folder != first.folder
    assert np.array_equal(other.split("train").load(0)[1], first.split("train").load(0)[1][::-1])


def test_no_root_says_which_setting():
    with pytest.raises(InputError, match=r"data=wham needs data\.root=FOLDER with .*mix_both"):
        MixtureTree(name="wham", mixture="{split}/mix_both/{item}.wav").prepare()


def test_a_wrong_root_says_what_was_tried_wanted_and_found(tmp_path, refused):
    (tmp_path / "there").mkdir()
    (tmp_path / "there/notes.txt").touch()
    for name, found in (
        ("none", "found: no such folder"),
        ("there", "found: 1 entries, such as notes.txt"),
        ("there/notes.txt", "found: a file"),
    ):
        said = refused(tmp_path / name, "wsj0_3mix")
        for part in (
            f"data.root={tmp_path / name}: not there: tr/mix, tr/s1, tr/s2 and 9 more",
            "{split}/s3/{item}.wav where split is tr, cv, tt",
            found,
        ):
            assert part in said
        assert "did you mean" not in said


@pytest.mark.parametrize(
    "named", ["", "2speakers", "2speakers/wav8k", "2speakers/wav8k/min/tr", "2speakers/wav8k/mni"]
)
def test_a_root_too_high_or_too_low_is_told_the_right_one(tmp_path, refused, named):
    right = tmp_path / "wsj0-mix/2speakers/wav8k/min"
    make_tree(right, WSJ0_2MIX)
    make_tree(tmp_path / "wsj0-mix/2speakers/wav16k/min", WSJ0_2MIX, rate=16000)
    said = refused(tmp_path / "wsj0-mix" / named)
    if named.endswith("mni"):  # beside it, where nothing is looked for
        assert "did you mean" not in said
    else:
        assert said.endswith(f"did you mean data.root={right}?")
    other = refused(tmp_path / "wsj0-mix", sample_rate=16000)
    assert other.endswith(f"did you mean data.root={tmp_path}/wsj0-mix/2speakers/wav16k/min?")


def test_a_path_from_home_is_told_in_full(root, refused, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    said = refused(Path("~/corpus"))
    assert said.endswith(f"did you mean data.root={root}?")


def test_a_missing_folder_is_named(root, refused, tmp_path):
    shutil.rmtree(root / "cv/s2")
    said = refused(root)
    assert f"data.root={root}: not there: cv/s2; expected" in said
    make_tree(tmp_path / "wham", WHAM)
    shutil.rmtree(tmp_path / "wham/tt/noise")
    assert "not there: tt/noise; expected" in refused(tmp_path / "wham", "wham")


@pytest.mark.parametrize(("kind", "other"), [("s1", "mix"), ("mix", "s1")])
def test_files_without_counterpart_are_counted_and_named(root, refused, kind, other):
    for path in sorted((root / "tr" / kind).iterdir())[1:]:
        path.unlink()
    said = refused(root)
    assert "2 of 3 files " in said
    assert f"tr/{other}/{{item}}.wav have no counterpart tr/{kind}/{{item}}.wav: tra1_1.5" in said


def test_an_empty_split_is_named(root, refused):
    for path in (root / "cv").glob("*/*.wav"):
        path.rename(path.with_suffix(".flac"))
    said = refused(root)
    for part in ("corpus/cv/mix: no files cv/mix/{item}.wav for valid", "2 entries, such as cva0_"):
        assert part in said


def test_another_number_of_channels_is_refused(root, refused):
    said = refused(root, channels=2)
    assert said.endswith("_-1.5.wav: 1 channels, data.channels=2")


def test_broken_files_are_listed_the_first_of_the_corpus_among_them(root, refused):
    broken = sorted((root / "tr/s1").iterdir())
    for path in broken:
        path.write_bytes(path.read_bytes()[:-100])
    said = refused(root)
    assert said.startswith("3 of 7 mixtures can't be used: ")
    assert [said.count(f"{path}: truncated") for path in broken] == [1, 1, 1]


def test_a_mixture_that_lacks_its_noise_is_refused(tmp_path, refused, prepare):
    """mix_clean beside the noise, and mix_both without it: neither is the sum that is promised."""
    make_tree(tmp_path / "corpus", WHAM)
    for settings in (
        {"mixture": "{split}/mix_clean/{item}.wav"},
        {"noise": []},
    ):
        said = refused(tmp_path / "corpus", "wham", **settings)
        assert "not the sum of" in said
    store = prepare(tmp_path / "corpus", "wham", noise=[], tolerance=None)
    noisy, sources = store.split("train").load(0)
    assert np.abs(noisy - sources.sum(axis=0)).max() > 0.01


def test_two_speakers_are_not_read_from_a_tree_of_three(tmp_path, refused):
    make_tree(tmp_path / "corpus", WSJ0_3MIX)
    said = refused(tmp_path / "corpus")
    assert "tr/s2/" in said
    assert "is a signal left out?" in said


def test_a_name_in_two_splits_is_refused_where_names_identify(root, refused, prepare):
    for kind in WSJ0_2MIX:
        folder = root / "tt" / kind
        (folder / "tta0_1.5_b0_-1.5.wav").rename(folder / "tra1_1.5_b1_-1.5.wav")
    said = refused(root)
    assert "tt/mix/tra1_1.5_b1_-1.5.wav: the same mixture is in train and in test" in said
    prepare(root, "tree")  # here a name may be a number


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"mixture": "{split}/mix.wav"},
            "mixture: {split}/mix.wav: must be a path below data.root",
        ),
        ({"mixture": "mix/{item}.wav"}, "with {split} and {item} in it"),
        ({"mixture": None}, "mixture: None: must be a path"),
        ({"sources": "{split}/s1/{item}.wav"}, "must be a list of patterns"),
        (
            {"sources": ["{split}/{speaker}/{item}.wav"] * 2},
            "sources: {split}/{speaker}/{item}.wav: must be a path below",
        ),
        ({"sources": ["{split}/s1/{item}.wav"]}, "sources: 1 patterns, data.sources=2"),
        (
            {"sources": ["{split}/s1/{item}.wav"] * 2},
            "two of the patterns mixture, sources, noise are the same",
        ),
        ({"noise": [3]}, "noise: 3: must be a path"),
        ({"splits": {"train": "tr", "valid": "tr", "test": "tt"}}, "all different"),
        ({"splits": {"train": "tr"}}, "names for train, valid and test"),
        ({"splits": {"train": "tr", "valid": "cv", "tset": "tt"}}, "names for train, valid and"),
        ({"splits": {"train": "tr", "valid": 7, "test": "tt"}}, "names for train, valid and test"),
        ({"splits": "tr"}, "splits=tr"),
        ({"tolerance": -1}, "tolerance=-1: must be a number from 0, or null"),
        ({"tolerance": float("nan")}, "tolerance=nan"),
        ({"tolerance": "2 LSB"}, "tolerance=2 LSB"),
        ({"sample_rate": 0}, "sample_rate=0"),
    ],
)
def test_settings_that_cant_be_are_refused(settings, message):
    with pytest.raises(InputError) as caught:
        MixtureTree(**settings)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("raw", [b"caf\xe9", b"two\nlines", b"\x1b[31m"])
def test_names_of_any_bytes_are_mixtures_too(root, prepare, raw):
    """None is skipped, their paths stay, and their names are printable."""
    for kind in WSJ0_2MIX:
        file = next((root / "tt" / kind).glob("tta0_*"))
        file.rename(file.with_name(f"{os.fsdecode(raw)}.wav"))
    split = prepare(root).split("test")
    assert len(split) == 2
    name = next(name for name in split.items if not name.startswith("tta"))
    assert name == shown(os.fsdecode(raw))
    assert name.isprintable()
    assert len(prepare(root).split("test")) == 2
