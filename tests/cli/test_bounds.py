"""The mixture and ideal masks of a corpus, without a run and beside one."""

import json

import pytest

from autoclip_sep.cli.commands.bounds import score_bounds
from autoclip_sep.cli.commands.evaluate import evaluate
from autoclip_sep.cli.commands.train import train
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.bounds import MASKS
from autoclip_sep.runs import records
from tests.golden.make import TRAIN, only_run, write_corpus

QUIET = "progress=false"


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A folder with a corpus, where commands are given."""
    monkeypatch.chdir(tmp_path)
    write_corpus(tmp_path / "corpus")
    return tmp_path


def summaries(folder, split="test"):
    notes = {path.parent.name: path for path in folder.glob(f"*/{split}.json")}
    return {name: json.loads(path.read_text())["summary"] for name, path in notes.items()}


def test_a_corpus_needs_no_run(place, capsys):
    corpus = [word for word in TRAIN if word.startswith(("data", "stft"))]
    score_bounds([*corpus, QUIET])
    found = summaries(place / "bounds" / "tree")
    assert set(found) == {"mixture", *MASKS}
    assert found["mixture"]["si_sdr_improvement_mean"] == 0
    assert all(found[name]["si_sdr_improvement_mean"] > 1 for name in MASKS)
    said = capsys.readouterr().out
    assert f"ideal ratio mask{found['ideal_ratio_mask']['si_sdr_mean']:24.2f}" in said
    assert "windows of 32 samples, hop 16" in said
    table = place / "bounds/tree/ideal_ratio_mask/test.csv"
    rows = records.read(table)
    marked = table.read_text().replace(rows[0]["si_sdr"], "77.5", 1)
    table.write_text(marked)  # would be gone if it were scored again
    score_bounds([*corpus, QUIET])
    assert table.read_text() == marked
    score_bounds([*corpus, QUIET, "stft.hop_length=8"])
    assert table.read_text() != marked


def test_a_run_is_shown_beside_them_with_its_gap(place, capsys):
    train([*TRAIN, "runs=runs", "trainer.epochs=1"])
    run = only_run(place / "runs")
    evaluate([f"run={run}", QUIET, "bounds=false"])
    assert not (run / "evaluation" / "bounds").exists()
    evaluate([f"run={run}", QUIET, "metrics=snr"])
    assert not (run / "evaluation" / "bounds").exists()
    capsys.readouterr()
    evaluate([f"run={run}", QUIET])
    lines = {line[:31].strip(): line.split() for line in capsys.readouterr().out.splitlines()}
    found = summaries(run / "evaluation" / "bounds")
    own = json.loads((run / "evaluation" / "test.json").read_text())["summary"]["si_sdr_mean"]
    for name in MASKS:
        gap = lines[name.replace("_", " ").replace("phase sensitive", "phase-sensitive")][-1]
        assert float(gap) == pytest.approx(found[name]["si_sdr_mean"] - own, abs=0.006)
    assert float(lines["this run"][-2]) == pytest.approx(own, abs=0.006)
    evaluate([f"run={run}", QUIET, "metrics=[snr,si_sdr]", "bounds=all"])
    assert set(summaries(run / "evaluation" / "bounds", "test_snr")) == {"mixture", *MASKS}
    of_snr = capsys.readouterr().out.partition(" SNR  improvement     gap\n")[2].splitlines()
    ideal = summaries(run / "evaluation" / "bounds", "test_snr")["ideal_binary_mask"]
    assert of_snr[2].startswith(f"ideal binary mask{ideal['snr_mean']:23.2f}")
    with pytest.raises(InputError, match="bounds=some: must be true or false or all"):
        evaluate([f"run={run}", QUIET, "bounds=some"])


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["data=tree", "data.root=nowhere"], "data.root=nowhere"),
        (["data=tre"], r"there is no such data \(did you mean tree"),
        (["model=blstm"], "model: bounds has no such setting"),
        (["splt=test"], r"splt: there is no such setting \(did you mean split"),
        (["split=dev"], "split=dev: must be one of"),
    ],
)
def test_what_is_wrong_is_one_line(place, arguments, expected):
    with pytest.raises(InputError, match=expected) as error:
        score_bounds([*arguments, QUIET])
    assert "\n" not in str(error.value)
