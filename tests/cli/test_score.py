"""Anybody's estimates: the same scores from every layout, and a line for whatever is wrong."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from autoclip_sep.audio import soundfiles
from autoclip_sep.cli.commands.score import score
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.estimates import layouts
from autoclip_sep.metrics.si_sdr import si_sdr, si_sdr_permuted
from autoclip_sep.runs import records

ITEMS, RATE = ("a", "b_0.5_c", "é <i>"), 8000


def sounds(sources=2, channels=1, seed=0):
    """References and estimates (S, C, T) of every item; the latter in another order."""
    rng = np.random.default_rng(seed)
    made = {}
    for n, name in enumerate(ITEMS):
        references = 0.2 * rng.standard_normal((sources, channels, 2000 + 300 * n)).clip(-2, 2)
        estimates = references + 0.1 * rng.standard_normal(references.shape).clip(-2, 2)
        pair = references, np.roll(estimates, 1, axis=0)
        made[name] = tuple((one * 2**15).round().astype(np.float32) / 2**15 for one in pair)
    return made


def put(folder, made, *, pattern, what, names=("1", "2"), first=1):
    """Write references (what=0) or estimates (1); {n} in the pattern is the source's number."""
    for item, signals in made.items():
        for n, signal in enumerate(signals[what]):
            path = folder / pattern.format(item=item, n=n + first, name=names[n % len(names)])
            soundfiles.write(path, signal, RATE)


def mixtures(folder, made, pattern):
    for item, (references, _) in made.items():
        soundfiles.write(folder / pattern.format(item=item), references.sum(0), RATE)


def rows(folder):
    found = records.read(Path(folder) / "test.csv")
    return {(row["item"], row["source"]): row for row in found}


def run(*arguments):
    score([*map(str, arguments), "progress=false"])


# Patterns of references, estimates, mixtures; the number of the first source.
LAYOUTS = {
    "wsj0_mix": ("tt/s{n}/{item}.wav", "out/s{n}/{item}.wav", "tt/mix/{item}.wav", 1),
    "librimix": ("test/s{n}/{item}.flac", "x/s{n}/{item}.wav", "test/mix_clean/{item}.wav", 1),
    "separate.py": ("tt/s{n}/{item}.wav", "{item}/s{n}.wav", "tt/mix/{item}.wav", 1),
    "asteroid": ("ex_{item}/s{n}.wav", "ex_{item}/s{n}_estimate.wav", "ex_{item}/mixture.wav", 0),
    "asteroid-infer": ("s{n}/{item}.wav", "{item}_est{n}.wav", "mix/{item}.wav", 1),
    "speechbrain": ("{item}_source{n}.wav", "{item}_source{n}hat.wav", "{item}_mix.wav", 1),
}


@pytest.mark.parametrize("layout", LAYOUTS)
def test_estimates_are_found_in_every_layout_and_scored_in_the_best_order(layout, tmp_path, capsys):
    of_references, of_estimates, of_mixtures, first = LAYOUTS[layout]
    made = sounds()
    references = tmp_path / "references"
    estimates = references if "s{n}_" in of_estimates or "hat" in of_estimates else tmp_path / "e"
    put(references, made, pattern=of_references, what=0, first=first)
    put(estimates, made, pattern=of_estimates, what=1, first=first)
    mixtures(references, made, of_mixtures)
    output = tmp_path / "scores"
    run(f"estimates={estimates}", f"references={references}", f"output={output}")
    found = rows(output)
    assert len(found) == 2 * len(ITEMS)
    for name, signals in made.items():
        ours, theirs = torch.from_numpy(signals[1]), torch.from_numpy(signals[0])
        expected, order = si_sdr_permuted(ours.flatten(1)[None], theirs.flatten(1)[None])
        before = si_sdr(theirs.sum(0).flatten(), theirs.flatten(1))
        assert order.tolist() == [[1, 0]]
        for n in range(2):
            item = f"ex_{name}" if layout == "asteroid" else name
            row = found[item, str(n + 1)]
            assert float(row["si_sdr"]) == pytest.approx(float(expected[0, n]), abs=1e-5)
            assert float(row["si_sdr_mixture"]) == pytest.approx(float(before[n]), abs=1e-5)
            assert row["estimate"] == str(2 - n)
    said = capsys.readouterr().out
    assert "left out" not in said
    assert "sums of the references" not in said
    ours = ", ".join(str(n + first) for n in range(2))
    assert f"{ours}, in each item in the order closest to {ours}" in said
    results = (output / "results.md").read_text()
    assert all(line in results for line in said.splitlines()[:4])


NAMES = ("vocals", "drums", "bass")
SONG = "{item}/{name}.wav"


@pytest.fixture
def songs(tmp_path, monkeypatch):
    """Stereo references in MUSDB18-HQ's layout with mixtures, and estimates by name."""
    made = sounds(sources=3, channels=2)
    made = {item: (references, np.roll(estimates, -1, 0)) for item, (references, estimates) in
            made.items()}  # fmt: skip
    put(tmp_path / "musdb/test", made, pattern=SONG, what=0, names=NAMES)
    mixtures(tmp_path / "musdb/test", made, "{item}/mixture.wav")
    put(tmp_path / "out", made, pattern=SONG, what=1, names=NAMES)
    monkeypatch.chdir(tmp_path)
    return made


@pytest.mark.parametrize("song", ["other", "Drums", "mix"])
def test_a_single_song_may_be_called_as_a_source_is(songs, capsys, song):
    for folder in ("musdb/test", "out"):
        os.rename(f"{folder}/a", f"kept-{folder.partition('/')[0]}")
        for name in ITEMS[1:]:
            shutil.rmtree(f"{folder}/{name}")
        os.rename(f"kept-{folder.partition('/')[0]}", f"{folder}/{song}")
    run("estimates=out", "references=musdb")
    assert set(rows("scores/out")) == {(song, name) for name in NAMES}


def test_stems_in_one_file_are_no_estimates(tmp_path):
    """Their first sound is the mixture, which would be scored as a source."""
    (tmp_path / "a.stem.mp4").write_bytes(b"")
    with pytest.raises(InputError, match="no audio files"):
        layouts.read(tmp_path, (), "source")
    for suffix in ("au", "caf", "wv1"):
        (tmp_path / f"a.{suffix}").write_bytes(b"")
    with pytest.raises(InputError, match="which of the two"):
        layouts.read(tmp_path, (), "source")


def test_items_may_be_called_as_sources_are(tmp_path):
    """Which isn't a layout by itself: not all items would have the same sources."""
    for source in (1, 2):
        for item in ("speaker3_speaker7", "speaker3_speaker8", "speaker5_speaker9"):
            soundfiles.write(tmp_path / f"s{source}" / f"{item}.wav", np.ones(9), RATE)
    found = layouts.read(tmp_path, (), "source")
    assert (found.layout, found.sources) == ("<source>/<item>", ["1", "2"])


def test_a_layout_that_cannot_be_told_is_refused(tmp_path):
    for path in ("vocals/drums.wav", "drums/vocals.wav"):
        soundfiles.write(tmp_path / path, np.ones(9), RATE)
    expected = r"drums/vocals\.wav: is that <source>/<item> or <item>/<source>\? Rename"
    with pytest.raises(InputError, match=expected):
        layouts.read(tmp_path, (), "source")


def test_sources_with_names_are_not_permuted_and_what_is_left_out_is_named(songs, capsys):
    os.rename("out/a", "out/elsewhere")
    os.remove("out/é <i>/bass.wav")
    os.rename("out/b_0.5_c/vocals.wav", "out/b_0.5_c/Vocals.WAV")
    soundfiles.write("out/b_0.5_c/accompaniment.wav", np.ones(9), RATE)
    soundfiles.write("out/b_0.5_c/what.wav", np.ones(9), RATE)
    run("estimates=out", "references=musdb", "metrics=[si_sdr,bss_eval]")
    found, signals = rows("scores/out"), songs["b_0.5_c"]
    assert [key for _, key in found] == list(NAMES)
    for n, name in enumerate(NAMES):
        expected = si_sdr(*(torch.from_numpy(one[n].flatten()) for one in signals[::-1]))
        assert float(found["b_0.5_c", name]["si_sdr"]) == pytest.approx(float(expected), abs=1e-5)
    assert len(records.read("scores/out/test_bss_eval.csv")) == 3
    lines = capsys.readouterr().out.splitlines()
    assert [line for line in lines if line.startswith("left out")] == [
        "left out    items without estimates (1): test/a",
        "left out    items without references (1): elsewhere",
        "left out    items that lack a source (1): test/é <i>",
        "left out    estimates that aren't scored (1): accompaniment",
        "left out    other files below out (1): b_0.5_c/what.wav",
    ]


def test_some_of_the_sources_are_scored_against_the_whole_mixture(songs, capsys):
    for item in ITEMS:
        os.remove(f"out/{item}/drums.wav")
        os.remove(f"out/{item}/bass.wav")
        os.remove(f"musdb/test/{item}/mixture.wav")
    run("estimates=out", "references=musdb")
    said = capsys.readouterr().out
    assert "taken to be the sums of the references vocals, drums, bass" in said
    assert "aren't scored, but are in the mixtures (2): drums, bass" in said
    references = torch.from_numpy(songs["a"][0])
    before = si_sdr(references.sum(0).flatten(), references[0].flatten())
    found = float(rows("scores/out")["a", "vocals"]["si_sdr_mixture"])
    assert found == pytest.approx(float(before), abs=1e-5)


def test_one_source_an_item_has_no_improvement_unless_the_mixtures_are_given(tmp_path, capsys):
    made = sounds(sources=1)
    for folder, what in (("clean", 0), ("enhanced", 1)):
        put(tmp_path / folder, made, pattern="{item}.wav", what=what)
    put(tmp_path / "noisy", sounds(sources=1, seed=1), pattern="{item}.wav", what=0)
    folders = [f"estimates={tmp_path}/enhanced", f"references={tmp_path}/clean"]
    run(*folders, f"output={tmp_path}/without", "metrics=[si_sdr,snr]")
    said = capsys.readouterr().out
    assert "improvements over them are left out" in said
    assert "SNR                 mean" in said
    assert "improvement " not in said
    run(*folders, f"output={tmp_path}/with", f"mixtures={tmp_path}/noisy")
    assert "SI-SDR improvement  mean" in capsys.readouterr().out
    without, given = rows(tmp_path / "without"), rows(tmp_path / "with")
    assert [row["si_sdr"] for row in without.values()] == [row["si_sdr"] for row in given.values()]
    assert {row["si_sdr_mixture"] for row in without.values()} == {"nan"}


def test_lengths_may_differ_by_as_much_as_is_said(songs, capsys):
    signal, _ = soundfiles.read("out/a/vocals.wav")
    soundfiles.write("out/a/vocals.wav", signal[:, :-7], RATE)
    longer = np.pad(soundfiles.read("out/a/bass.wav")[0], ((0, 0), (0, 5)), constant_values=0.9)
    soundfiles.write("out/a/bass.wav", longer, RATE)
    with pytest.raises(InputError, match=r"vocals.wav has 1993 samples, .*vocals.wav has 2000; "
                       r"tolerance=7 .* \(1 of 3 items"):  # fmt: skip
        run("estimates=out", "references=musdb")
    run("estimates=out", "references=musdb", "tolerance=7")
    assert "1 items cut or padded by up to 7 samples" in capsys.readouterr().out
    found = rows("scores/out")
    references, estimates = map(torch.from_numpy, songs["a"])
    estimates[0, :, -7:] = 0.0
    for n, name in enumerate(NAMES):
        expected = float(si_sdr(estimates[n].flatten(), references[n].flatten()))
        assert float(found["a", name]["si_sdr"]) == pytest.approx(expected, abs=1e-5)


def test_scored_items_are_kept_until_files_change_and_other_folders_are_refused(songs):
    def scored():
        run("estimates=out", "references=musdb")
        return json.loads(table.with_suffix(".json").read_text()), table.read_text()

    table = Path("scores/out/test.csv")
    note, whole = scored()
    table.write_text("".join(whole.splitlines(keepends=True)[:-2]))
    assert scored() == (note, whole)
    soundfiles.write("out/a/bass.wav", soundfiles.read("out/a/vocals.wav")[0] / 2, RATE)
    other, changed = scored()
    assert other["provenance"]["files"] != note["provenance"]["files"]
    assert changed != whole
    os.rename("out", "other")
    with pytest.raises(InputError, match=r"scores of estimates=.*/out: choose another folder"):
        run("estimates=other", "references=musdb", "output=scores/out")


def rate(folder):
    signal, _ = soundfiles.read(f"{folder}/vocals.wav")
    soundfiles.write(f"{folder}/vocals.wav", signal, 16000)


def mono(folder):
    signal, _ = soundfiles.read(f"{folder}/vocals.wav")
    soundfiles.write(f"{folder}/vocals.wav", signal[:1], RATE)


def twice(folder):
    soundfiles.write(f"{folder}/vocals.flac", soundfiles.read(f"{folder}/bass.wav")[0], RATE)


def broken(folder):
    with open(f"{folder}/vocals.wav", "wb") as file:
        file.write(b"RIFF")


@pytest.mark.parametrize(
    ("change", "arguments", "expected"),
    [
        (rate, [], r"vocals.wav is 16000 Hz x 2, .*/vocals.wav is 8000 Hz x 2 \(1 of 3 items"),
        (mono, [], r"vocals.wav is 8000 Hz x 1, .*/vocals.wav is 8000 Hz x 2"),
        (twice, [], r"vocals.flac and .*vocals.wav: which of the two"),
        (broken, [], r"out/a/vocals.wav: "),
        (None, ["estimates=musdb"], "the same files would be estimates and references"),
        (None, ["estimates=nowhere"], "nowhere: no such folder"),
        (None, ["estimates=empty"], "empty: no audio files"),
        (None, ["references=out/a"], "no item in common: estimates are of .*, references of ."),
        (None, ["mixtures=out/a"], "out/a has no mixture of 3 of 3 items: test/a"),
        (None, ["metrics=si_srd"], r"no such metric \(did you mean si_sdr\?\)"),
        (None, ["tolerance=-1"], "tolerance=-1: must be an integer from 0"),
        (None, ["names=[a,[b]]"], r"names=\[a, \[b\]\]: must be"),
    ],
)
def test_what_cannot_be_scored_is_one_line(songs, change, arguments, expected):
    os.mkdir("empty")
    if change:
        change("out/a")
    with pytest.raises(InputError, match=expected) as error:
        run("estimates=out", "references=musdb", *arguments)
    assert "\n" not in str(error.value)


def test_other_numbers_of_sources_and_two_kinds_of_mixtures_are_refused(tmp_path):
    put(tmp_path / "three", sounds(sources=3), pattern="{item}/s{n}.wav", what=1)
    put(tmp_path / "two", sounds(), pattern="s{n}/{item}.wav", what=0)
    with pytest.raises(InputError, match=r"sources 1, 2, 3, .* has 1, 2: without names"):
        run(f"estimates={tmp_path}/three", f"references={tmp_path}/two")
    put(tmp_path / "out", sounds(), pattern="{item}/s{n}.wav", what=1)
    for kind in ("clean", "both"):
        mixtures(tmp_path / "two", sounds(), f"mix_{kind}/{{item}}.wav")
    folders = [f"estimates={tmp_path}/out", f"references={tmp_path}/two", f"output={tmp_path}/x"]
    with pytest.raises(InputError, match="has mix_both and mix_clean: say which was separated"):
        run(*folders)
    run(*folders, f"mixtures={tmp_path}/two/mix_both")
    assert len(rows(tmp_path / "x")) == 6


def test_sources_may_have_any_names(tmp_path, capsys):
    for what, folder in enumerate(("references", "out")):
        put(tmp_path / folder, sounds(), pattern=SONG, what=what, names=("violin", "cello"))
    folders = [f"estimates={tmp_path}/out", f"references={tmp_path}/references"]
    run(*folders, f"output={tmp_path}/x", "names=[violin,'',cello]")
    assert "sources cello, violin" in capsys.readouterr().out
    assert {source for _, source in rows(tmp_path / "x")} == {"cello", "violin"}
    run(*folders, f"output={tmp_path}/y")  # without them each file is an item of its own
    assert "6 items, sources 1" in capsys.readouterr().out


def test_items_whose_names_look_alike_are_refused(tmp_path):
    """Each would be scored by the estimates of the last one."""
    made = sounds()
    alike = {"a\n": made["a"], "a\\n": made["b_0.5_c"]}
    put(tmp_path / "r", alike, pattern="{item}/s{n}.wav", what=0)
    put(tmp_path / "e", alike, pattern="{item}/s{n}.wav", what=1)
    with pytest.raises(InputError, match="two items would both be called"):
        run(f"estimates={tmp_path / 'e'}", f"references={tmp_path / 'r'}", f"output={tmp_path}/s")


def test_a_metric_that_is_nowhere_defined_doesnt_lose_the_others(tmp_path, capsys):
    """Speech too short for STOI has an SI-SDR."""
    pytest.importorskip("pystoi")
    made = {name: [one[..., :400] for one in pair] for name, pair in sounds().items()}
    put(tmp_path / "r", made, pattern="s{n}/{item}.wav", what=0)
    put(tmp_path / "e", made, pattern="s{n}/{item}.wav", what=1)
    arguments = [f"estimates={tmp_path / 'e'}", f"references={tmp_path / 'r'}", "workers=0"]
    with pytest.raises(InputError, match=r"test_stoi\.csv: nothing was scored"):
        run(*arguments, f"output={tmp_path}/s", "metrics=[stoi,si_sdr]")
    assert "6 sources of 3 mixtures scored" in capsys.readouterr().out
    note = json.loads((tmp_path / "s" / "test.json").read_text())
    assert note["summary"]["scored"] == 6
    assert "test_stoi.csv: nothing was scored" in (tmp_path / "s" / "results.md").read_text()
