"""Anybody's estimates: the same scores from every layout, and a line for whatever is wrong."""

import numpy as np
import pytest
import torch

from autoclip_sep.audio import soundfiles
from autoclip_sep.cli.commands.score import score
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
    found = records.read(folder / "test.csv")
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
    assert "sum of the references" not in said
    assert "in the order that fits 1, 2 best" in said or first == 0
    results = (output / "results.md").read_text()
    assert all(line in results for line in said.splitlines()[:4])
