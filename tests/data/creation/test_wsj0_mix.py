import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.data.creation import mixing, wsj0_mix
from autoclip_sep.data.creation.mixing_lists import Recipe, write_list
from autoclip_sep.data.creation.shards import Shard
from autoclip_sep.data.creation.wsj0_mix import Order
from autoclip_sep.errors import InputError
from tests.data.conftest import contents
from tests.shorten import write_sphere

SPEAKERS = ("01t", "20g", "40n")
LENGTHS = (9000, 12000, 10500)


def utterance(speaker, number):
    return f"wsj0/si_tr_s/{speaker}/{speaker}o030{number}.wav"


@pytest.fixture
def order(tmp_path):
    """Six utterances on two discs, lists of 4, 2 and 2 mixtures of two and of three speakers."""
    rng = np.random.default_rng(0)
    for speaker, length in zip(SPEAKERS, LENGTHS, strict=True):
        for number in range(2):
            samples = np.convolve(rng.standard_normal(length + 8), np.hanning(9), "valid")
            samples *= 600 * (np.arange(length) % 5000 > 900)
            path = tmp_path / f"csr/11-{number + 1}.1" / utterance(speaker, number)
            write_sphere(path.with_suffix(".wv1"), samples.astype(np.int16))
    pairs = [(0, 1), (1, 2), (0, 2), (2, 1)]
    for split, count in (("tr", 4), ("cv", 2), ("tt", 2)):
        two = [
            Recipe((utterance(SPEAKERS[i], 0), utterance(SPEAKERS[j], 1)), (f"{n}.5", f"-{n}.5"))
            for n, (i, j) in enumerate(pairs[:count])
        ]
        three = [
            Recipe(tuple(utterance(name, n % 2) for name in SPEAKERS), (f"{n}.25", f"-{n}.25", "0"))
            for n in range(count)
        ]
        (tmp_path / "lists").mkdir(exist_ok=True)
        write_list(tmp_path / f"lists/mix_2_spk_{split}.txt", two)
        write_list(tmp_path / f"lists/mix_3_spk_{split}.txt", three)
    return Order(
        tmp_path / "csr", tmp_path / "lists", tmp_path / "out", partial=True, jobs=1, progress=False
    )


def test_a_tree_is_what_the_procedure_makes_of_the_same_utterances(order, tmp_path):
    """Levels are counted from full scale, as the published scripts' are."""
    wsj0_mix.prepare(order)
    for path in order.wsj0.rglob("*.wv1"):
        target = tmp_path.joinpath("merged", *path.relative_to(order.wsj0).parts[1:])
        samples, rate = soundfiles.read(path, dtype=np.int16)
        soundfiles.write(target.with_suffix(".wav"), samples, rate)
    mixtures = [
        mixing.Mixture(
            recipe,
            tuple(f"{tmp_path}/merged/{utterance}" for utterance in recipe.utterances),
            f"{tmp_path}/plain/{speakers}speakers/wav8k/min/{split}",
            "min",
        )
        for speakers in (2, 3)
        for split in ("tr", "cv", "tt")
        for recipe in mixing.read_list(order.lists / f"mix_{speakers}_spk_{split}.txt")
    ]
    mixing.make(mixtures, tmp_path / "plain", 8000, full_scale=1.0, jobs=1, progress=False)
    plain = contents(tmp_path / "plain")
    assert len(plain) == 8 * 3 + 8 * 4
    assert plain == {k: v for k, v in contents(order.out).items() if k.endswith(".wav")}


def test_every_tree_of_the_order_is_made(order):
    order = replace(order, rates=(8000, 16000), modes=("min", "max"))
    parts, made = wsj0_mix.prepare(order)
    assert (len(parts), made) == (24, True)
    trees = {str(part.tree.relative_to(order.out)) for part in parts}
    assert trees == {
        f"{n}speakers/wav{k}k/{mode}" for n in (2, 3) for k in (8, 16) for mode in ("min", "max")
    }
    for tree in trees:
        manifest = json.loads((order.out / tree / "manifest.json").read_text())
        assert [split["mixtures"] for split in manifest["splits"].values()] == [2, 4, 2]
    assert wsj0_mix.verify(order, parts) == 4 * (8 * 3 + 8 * 4)
    assert not [
        path
        for path in order.out.iterdir()
        if path.name not in (".making.lock", "2speakers", "3speakers")
    ]
    assert not list(order.out.rglob(".begun.json"))


def test_each_utterance_is_read_once_for_all_trees_of_a_rate(order, monkeypatch):
    read = []
    whole = soundfiles.read

    def noted(path, **how):
        read.append(path)
        return whole(path, **how)

    monkeypatch.setattr(soundfiles, "read", noted)
    wsj0_mix.prepare(replace(order, modes=("min", "max")))
    assert len(read) == len(set(read)) == 6


def test_a_second_call_makes_nothing(order):
    wsj0_mix.prepare(order)
    before = contents(order.out)
    # Neither the discs nor the samples are looked at.
    again = replace(order, wsj0=Path("nowhere"))
    assert wsj0_mix.prepare(again)[1] is False
    assert contents(order.out) == before


def test_splits_may_be_made_one_after_the_other(order, tmp_path):
    wsj0_mix.prepare(order)
    for split in ("tt", "tr", "cv"):
        wsj0_mix.prepare(replace(order, out=tmp_path / "split", splits=(split,)))
    assert contents(tmp_path / "split") == contents(order.out)


@pytest.mark.parametrize("count", [3, 40])
def test_shards_make_what_one_process_makes(order, tmp_path, count):
    """In any order, and where there are more of them than mixtures; the last one finishes."""
    order = replace(order, rates=(8000, 16000))
    wsj0_mix.prepare(order)
    numbers = [*range(2, count + 1), 1]
    for number in numbers:
        part = replace(order, out=tmp_path / "shards", shard=Shard(number, count))
        parts, made = wsj0_mix.prepare(part)
        assert bool(parts) is (number == 1)
        assert made
        assert bool(list(part.out.rglob("manifest.json"))) is (number == 1)
    assert contents(tmp_path / "shards") == contents(order.out)
    assert wsj0_mix.prepare(part)[1] is False


def test_a_shard_makes_its_lost_files_anew(order):
    wsj0_mix.prepare(order)
    before = contents(order.out)
    for file in order.out.rglob("*.wav"):
        file.unlink()
    for number in (1, 2):
        wsj0_mix.prepare(replace(order, shard=Shard(number, 2)))
    assert contents(order.out) == before


def test_lost_files_are_made_anew(order):
    wsj0_mix.prepare(order)
    before = contents(order.out)
    files = sorted(order.out.rglob("*.wav"))
    files[3].unlink()
    for file in files[8:30]:
        file.write_bytes(file.read_bytes()[:1000])
    assert wsj0_mix.prepare(order)[1] is True
    assert contents(order.out) == before


def test_what_a_kill_leaves_between_two_steps_goes(order):
    """The manifest is written, the note not removed yet; other files are half written."""
    parts, _ = wsj0_mix.prepare(order)
    before = contents(order.out)
    part = parts[1]
    (part.folder / ".begun.json").write_text(json.dumps({"list_sha256": part.digest}))
    (part.folder / "..begun.json.123").touch()
    (part.folder / "mix/.123-4.tmp").touch()
    (part.tree / ".manifest.json.123").touch()
    assert wsj0_mix.prepare(order)[1] is True
    assert contents(order.out) == before


def test_only_what_is_unfinished_needs_its_utterances(order):
    wsj0_mix.prepare(order)
    before = contents(order.out)
    part = wsj0_mix.parts(order)[1]
    next(part.folder.rglob("*.wav")).unlink()
    used = {Path(utterance).stem for recipe in part.recipes for utterance in recipe.utterances}
    others = [path for path in order.wsj0.rglob("*.wv1") if path.stem not in used]
    assert len(others) == 2
    for path in others:
        path.unlink()
    wsj0_mix.prepare(order)
    assert contents(order.out) == before


def test_what_comes_out_other_than_before_is_told(order):
    """A file is lost, and the disc holds another recording now."""
    wsj0_mix.prepare(order)
    next(order.out.rglob("tr/mix/*.wav")).unlink()
    for path in order.wsj0.rglob("*.wv1"):
        write_sphere(path, np.random.default_rng(1).integers(-900, 900, 9000))
    with pytest.raises(InputError, match=r"of \d+ files in .*/tr differ from before"):
        wsj0_mix.prepare(order)


def test_verify_finds_a_changed_sample(order):
    parts, _ = wsj0_mix.prepare(order)
    file = sorted(order.out.rglob("*.wav"))[5]
    data = bytearray(file.read_bytes())
    data[500] ^= 1
    file.write_bytes(data)
    assert wsj0_mix.prepare(order)[1] is False
    with pytest.raises(InputError, match=rf"^1 of 56 files .*{file.name}$"):
        wsj0_mix.verify(order, parts)


def test_a_file_that_no_list_names_is_told(order):
    order = replace(order, splits=("tr",))
    wsj0_mix.prepare(order)
    folder = order.out / "2speakers/wav8k/min/tr"
    next(folder.rglob("*.wav")).unlink()
    soundfiles.write(folder / "s1/other.wav", np.zeros(9), 8000)
    with pytest.raises(InputError, match=r"not of the list: s1/other\.wav"):
        wsj0_mix.prepare(order)


@pytest.mark.parametrize("finished", [True, False])
def test_another_list_is_refused(order, finished):
    """Names tell gains, not folders: a file of the same name may be of other utterances."""
    wsj0_mix.prepare(order)
    tree = order.out / "2speakers/wav8k/min"
    if not finished:
        (tree / "manifest.json").unlink()
        digest = wsj0_mix.parts(order)[0].digest
        (tree / "tr/.begun.json").write_text(json.dumps({"list_sha256": digest}))
    path = order.lists / "mix_2_spk_tr.txt"
    path.write_text(path.read_text().replace("-0.5", "-0.6"))
    with pytest.raises(InputError, match="another mixing list"):
        wsj0_mix.prepare(replace(order, splits=("tr",)))


def test_files_of_other_origin_are_left_alone(order):
    """A tree made by the published scripts, say."""
    foreign = order.out / "2speakers/wav8k/min/tr/mix/a_1_b_-1.wav"
    soundfiles.write(foreign, np.zeros(9), 8000)
    with pytest.raises(InputError, match="unknown origin"):
        wsj0_mix.prepare(order)
    assert foreign.exists()


def test_lists_that_are_cut_short_are_refused(order):
    with pytest.raises(InputError, match=r"mix_2_spk_tr\.txt: 4 mixtures, .* 20000; .*partial"):
        wsj0_mix.prepare(replace(order, partial=False))
    assert not order.out.exists()


def test_lists_of_other_speakers_are_refused(order):
    path = order.lists / "mix_2_spk_tr.txt"
    path.write_bytes((order.lists / "mix_3_spk_tr.txt").read_bytes())
    with pytest.raises(InputError, match="other than 2 speakers"):
        wsj0_mix.prepare(order)


def test_missing_lists_are_told_with_where_they_come_from(order):
    (order.lists / "mix_3_spk_tt.txt").unlink()
    with pytest.raises(InputError, match=r"mix_3_spk_tt\.txt: not there; .*merl\.com.*5 entries"):
        wsj0_mix.prepare(order)


def test_what_is_missing_is_told_before_anything_is_written(order):
    next(order.wsj0.rglob("20go0301.wv1")).unlink()
    with pytest.raises(InputError, match=r"^1 of 6 utterances .*20g/20go0301\.wav$"):
        wsj0_mix.prepare(order)
    assert not order.out.exists()


def test_what_cant_be_read_is_told_before_the_first_mixture(order):
    path = next(order.wsj0.rglob("20go0301.wv1"))
    path.write_bytes(path.read_bytes()[:2000])
    with pytest.raises(InputError, match=r"^1 of 6 utterances can't be used: .*truncated"):
        wsj0_mix.prepare(order)
    assert not list(order.out.rglob("*.wav"))


def test_the_published_lists_have_the_published_counts():
    shared = Path(__file__).resolve().parents[4] / "shared" / "data" / "wsj0-mix-lists"
    folder = Path(os.environ.get("AUTOCLIP_SEP_WSJ0_LISTS", shared))
    if not folder.is_dir():
        pytest.skip(f"no published lists in {folder}: set AUTOCLIP_SEP_WSJ0_LISTS")
    order = Order(Path("discs"), folder, Path("out"))
    assert [len(part.recipes) for part in wsj0_mix.parts(order)] == [20000, 5000, 3000] * 2
