import numpy as np
import pytest

from autoclip_sep.audio import soundfiles
from autoclip_sep.audio.resampling import resample
from autoclip_sep.data.creation import mixing
from autoclip_sep.data.creation.active_level import active_speech_level
from autoclip_sep.data.creation.mixing import Recipe
from autoclip_sep.errors import InputError
from tests.data.conftest import contents


def speech(seconds, seed, rate=16000):
    """Low-passed noise in bursts: enough like speech to have a level and pauses."""
    rng = np.random.default_rng(seed)
    noise = np.convolve(rng.standard_normal(int(seconds * rate)), np.hanning(9), "same")
    bursts = np.repeat(rng.random(int(seconds * 4) + 1) > 0.3, rate // 4)[: len(noise)]
    return 0.1 * noise * bursts / noise.std()


@pytest.fixture
def corpus(tmp_path):
    for n, (name, seconds) in enumerate({"a/x1": 1.5, "b/y1": 2.0, "c/z1": 1.8}.items()):
        soundfiles.write(tmp_path / f"wsj0/si_tr_s/{name}.wav", speech(seconds, n), 16000)
    return tmp_path


def make(corpus, recipes, out="out", jobs=1, **how):
    """The mixtures of one split, "tr", below the corpus."""
    mixing.create({"tr": recipes}, corpus, corpus / out, jobs=jobs, progress=False, **how)


A, B, C = (f"wsj0/si_tr_s/{name}.wav" for name in ("a/x1", "b/y1", "c/z1"))
PAIR = Recipe((A, B), ("1.9857", "-1.9857"))
TRIPLE = Recipe((A, B, C), ("0.5", "-0.5", "0"))


def test_mixing_by_hand():
    """min cuts, max pads; gains in dB; one scale for all, the loudest peaking at 0.9."""
    first, second = np.array([1.0, -2.0, 3.0]), np.array([1.0, 1.0])
    mixture, sources = mixing.mix([first, second], [20.0, 0.0], "min")
    assert np.allclose(sources, np.array([[10.0, -20.0], [1.0, 1.0]]) * 0.9 / 20.0)
    assert np.allclose(mixture, sources.sum(axis=0))
    mixture, sources = mixing.mix([first, second], [0.0, 0.0], "max")
    assert np.allclose(sources, np.array([[1.0, -2.0, 3.0], [1.0, 1.0, 0.0]]) * 0.9 / 3.0)
    assert np.allclose(mixture, np.array([2.0, -1.0, 3.0]) * 0.9 / 3.0)
    with pytest.raises(ValueError, match="silent"):
        mixing.mix([np.zeros(5), np.zeros(4)], [0.0, 0.0], "min")


def test_a_source_may_be_louder_than_the_mixture():
    _, sources = mixing.mix([np.array([1.0]), np.array([-0.5])], [0.0, 0.0], "min")
    assert np.abs(sources).max() == pytest.approx(0.9)


def test_levels_are_those_of_the_list(corpus):
    """Before cutting, the active levels of s1 and s2 differ by what the list says."""
    make(corpus, [PAIR], mode="max")
    folder = corpus / "out/2speakers/wav8k/max/tr"
    levels = []
    for name, length in (("s1", 12000), ("s2", 16000)):
        samples, rate = soundfiles.read(folder / name / f"{PAIR.name}.wav", dtype=np.float64)
        levels.append(10 * np.log10(active_speech_level(samples[0, :length], rate)))
    assert levels[0] - levels[1] == pytest.approx(2 * 1.9857, abs=0.01)


def test_the_published_layout(corpus):
    out = corpus / "out"
    mixing.create({"tr": [PAIR, TRIPLE], "cv": [PAIR]}, corpus, out, jobs=1, progress=False)
    names = {str(path.relative_to(out)) for path in out.rglob("*") if path.is_file()}
    two, three = "2speakers/wav8k/min", "3speakers/wav8k/min"
    expected = {
        f"{two}/{split}/{signal}/{PAIR.name}.wav"
        for split in ("tr", "cv")
        for signal in ("mix", "s1", "s2")
    } | {f"{three}/tr/{signal}/{TRIPLE.name}.wav" for signal in ("mix", "s1", "s2", "s3")}
    assert names == expected


def test_mixtures_are_sixteen_bit_sums_of_their_sources(corpus):
    make(corpus, [TRIPLE])
    folder = corpus / "out/3speakers/wav8k/min/tr"
    mixture, *sources = (
        soundfiles.read(folder / name / f"{TRIPLE.name}.wav", dtype=np.int16)[0].astype(int)
        for name in ("mix", "s1", "s2", "s3")
    )
    assert mixture.shape == (1, 12000)  # the shortest utterance, 1.5 s
    assert np.abs(mixture - sum(sources)).max() <= 2
    loudest = max(np.abs(x).max() for x in (mixture, *sources))
    assert loudest == round(0.9 * 2**15)


def test_the_16k_tree_has_the_gains_of_the_8k_one(corpus):
    """Same utterances, same ratio of the sources, only the common scale may differ."""
    ratios = []
    for rate in (8000, 16000):
        make(corpus, [PAIR], sample_rate=rate, mode="max")
        folder = corpus / f"out/2speakers/wav{rate // 1000}k/max/tr"
        powers = []
        for name in ("s1", "s2"):
            samples, found = soundfiles.read(folder / name / f"{PAIR.name}.wav", dtype=np.float64)
            assert found == rate
            at_8k = resample(samples[0], rate, 8000)
            powers.append(float(np.sum(at_8k**2)))
        ratios.append(powers[0] / powers[1])
    assert ratios[1] == pytest.approx(ratios[0], rel=1e-3)


def test_a_run_that_was_cut_off_is_continued_to_the_same_bytes(corpus):
    recipes = [PAIR, Recipe((B, C), ("0.7", "-0.7")), Recipe((C, A), ("2", "-2"))]
    make(corpus, recipes, "whole")
    make(corpus, recipes[:1], "part")
    # As a kill leaves it: sources written and the mixture not, half a levelled utterance.
    folder = corpus / "part/2speakers/wav8k/min/tr"
    (folder / "mix" / f"{PAIR.name}.wav").unlink()
    creation = mixing.Creation(corpus / f"part/{mixing.CACHE}1234", 8000)
    creation.cache.mkdir()
    creation.cached(str(corpus / A)).write_bytes(b"half")
    make(corpus, recipes, "part")
    assert contents(corpus / "part") == contents(corpus / "whole")


@pytest.mark.parametrize("length", [0, 44, 100])
def test_what_a_power_cut_left_is_made_anew(corpus, length):
    """Files are renamed into place without waiting for the disk."""
    make(corpus, [PAIR])
    before = contents(corpus / "out")
    files = sorted((corpus / "out").rglob("*.wav"))
    for file in files[: 3 if length < 100 else 1]:
        file.write_bytes(file.read_bytes()[:length])
    make(corpus, [PAIR])
    assert contents(corpus / "out") == before


def test_an_utterance_is_read_once(corpus, monkeypatch):
    read = []
    whole = soundfiles.read
    monkeypatch.setattr(
        soundfiles, "read", lambda path, **how: (read.append(path), whole(path, **how))[1]
    )
    recipes = [PAIR, Recipe((B, C), ("0.7", "-0.7")), Recipe((C, A), ("2", "-2")), TRIPLE]
    make(corpus, recipes)
    assert sorted(read) == [str(corpus / path) for path in (A, B, C)]


def test_levels_may_be_counted_from_full_scale(corpus):
    """The scripts' meter: other levels, by hundredths of a dB."""
    levelled = [
        mixing.level(soundfiles.read(corpus / A, dtype=np.float64)[0][0], 16000, 16000, full_scale)
        for full_scale in (None, 1.0)
    ]
    ratio = levelled[1][:100] / levelled[0][:100]
    assert np.ptp(ratio) < 1e-12
    assert 0 < abs(20 * np.log10(ratio[0])) < 0.2


def test_processes_make_no_difference(corpus):
    for jobs in (1, 2):
        make(corpus, [PAIR, Recipe((B, C), ("0.7", "-0.7"))], f"out{jobs}", jobs=jobs)
    assert contents(corpus / "out1") == contents(corpus / "out2")


def test_missing_utterances_are_counted_before_anything_is_written(corpus):
    missing = Recipe((A, "wsj0/si_tr_s/d/none.wav"), ("1", "-1"))
    with pytest.raises(InputError, match=r"1 of 3 utterances .*d/none\.wav"):
        make(corpus, [PAIR, missing])
    assert not (corpus / "out").exists()


def test_utterances_of_one_base_name_are_told_apart(corpus):
    """Full paths name utterances; discs do have clashing base names."""
    soundfiles.write(corpus / "wsj0/si_tr_s/d/x1.wav", speech(1.5, 9), 16000)
    other = Recipe(("wsj0/si_tr_s/d/x1.wav", B), ("1", "-1"))
    make(corpus, [PAIR, other])
    s1 = corpus / "out/2speakers/wav8k/min/tr/s1"
    first = soundfiles.read(s1 / f"{PAIR.name}.wav")[0]
    second = soundfiles.read(s1 / f"{other.name}.wav")[0]
    assert abs(np.corrcoef(first[0], second[0])[0, 1]) < 0.5


@pytest.mark.parametrize(
    ("samples", "words"),
    [(np.zeros(8000), "silent"), (np.ones((2, 800)) / 4, "2 channels")],
)
def test_what_has_no_level_is_named(corpus, samples, words):
    soundfiles.write(corpus / A, samples, 16000)
    with pytest.raises(InputError, match=f"1 of 2 utterances .*x1.wav: .*{words}"):
        make(corpus, [PAIR])
    assert not list((corpus / "out").iterdir())


def test_all_that_is_wrong_with_the_utterances_is_reported(corpus):
    for name in (A, B, C):
        (corpus / name).write_bytes(b"")
    (corpus / C.replace("z1", "z2")).touch()
    recipes = [PAIR, Recipe((C, C.replace("z1", "z2")), ("1", "-1"))]
    with pytest.raises(InputError, match=r"4 of 4 utterances can't be used: .*x1.wav: not audio"):
        make(corpus, recipes)
    assert len((corpus / "out/mixtures.refused.txt").read_text().splitlines()) == 4
    assert [path.name for path in (corpus / "out").iterdir()] == ["mixtures.refused.txt"]
