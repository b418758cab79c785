"""The command on small made-up runs: what it says of them, and its exit code."""

import json
import shutil
import sys

import pytest

from autoclip_sep.cli.commands import compare as compare_run
from autoclip_sep.dynamics import COLUMNS
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.records import Records
from autoclip_sep.training.report import HISTORY

ROWS = 48
CONFIG = {
    "data": {"name": "demo", "root": "corpora"}, "model": {"layers": 2, "hidden": 128},
    "clipping": {"_target_": "autoclip_sep.clipping.AutoClip", "percentile": 10},
    "percentile": 10, "optimizer": {"lr": 0.001}, "trainer": {"epochs": 12, "batch_size": 16},
}  # fmt: skip
NOTE = {"commit": "abc", "torch": "2.11.0", "device": "a CPU", "fingerprint": "f" * 64}


def add_run(root, seed=0, *, clipping="autoclip_p10", grown=None, lr=0.001, rows=ROWS, **note):
    """A run whose seed moves every series by 2 % a seed. grown: the step from where the gradient
    norm is four times as large."""
    name = f"seed{seed}" + ("-c0ffee" if lr != 0.001 else "")
    directory = root / "demo" / "mask_inference" / "blstm_demo" / clipping / name
    directory.mkdir(parents=True)
    config = {**CONFIG, "seed": seed, "optimizer": {"lr": lr}}
    run_directory.write_config(directory, config)
    (directory / "provenance.json").write_text(json.dumps(NOTE | note))
    factor = 1 + 0.02 * seed
    dynamics, history = (Records(directory / "dynamics.csv", COLUMNS),
                         Records(directory / "history.csv", HISTORY))  # fmt: skip
    for n in range(rows):
        step = 20 * (n + 1)
        norm = factor * (4 if grown and step >= grown else 1)
        dynamics.append({
            "step": step, "epoch": 1 + n // 4, "loss": factor / step, "grad_norm": norm,
            "threshold": factor, "scale": 1.0, "step_norm": factor * lr, "lr": lr, "skipped": 0,
            "smoothness": factor / 3,
        })  # fmt: skip
        if step % 80 == 0:
            history.append({
                "epoch": step // 80, "step": step, "train_loss": factor / step, "lr": lr,
                "valid_loss": factor / step, "valid_si_sdr": factor, "clipped_share": 0.9,
                "skipped": 0,
            })  # fmt: skip
    return directory


@pytest.fixture
def compare(monkeypatch, capsys):
    """A function that runs the command: its exit code, its lines, its complaint."""

    def call(**settings):
        words = [f"{key}={value}" for key, value in settings.items()]
        monkeypatch.setattr(sys, "argv", ["compare_run.py", *words])
        code = 0
        try:
            compare_run.main()
        except SystemExit as stopped:
            code = stopped.code
        said = capsys.readouterr()
        return code, said.out.splitlines(), said.err

    return call


@pytest.fixture
def references(tmp_path):
    root = tmp_path / "references"
    for seed in (0, 1, 2):
        directory = add_run(root, seed)
    return directory.parent


def test_a_run_of_another_seed_follows(tmp_path, compare, references):
    code, lines, _ = compare(run=add_run(tmp_path / "runs", 3), reference=references)
    assert code == 0
    assert lines[-1] == "follows the 3 references, to step 960, in 10 series"
    assert lines[2:5] == [
        "settings   the same",
        "corpus     the same, ffffffff",
        "made with  the same commit, version, torch, python, device, threads",
    ]


def test_a_run_that_leaves_is_told_with_step_and_size(tmp_path, compare, references):
    code, lines, _ = compare(run=add_run(tmp_path / "runs", 1, grown=500), reference=references)
    assert code == 1
    assert lines[-1] == (
        "follows the 3 references up to step 500; from there the gradient norm is "
        "4 times the reference's"
    )
    (row,) = (line for line in lines if line.startswith("gradient norm"))
    assert row.split()[2:6] == ["500", "4", "times", "the"]
    assert "seed1 has the same seed: other bits from step 500 on" in lines


def test_the_same_records_are_identical_to_the_bit(tmp_path, compare, references):
    run = add_run(tmp_path / "runs", 1)
    code, lines, _ = compare(run=run, reference=references)
    assert code == 0
    assert lines[-1] == "identical to the bit to seed1 in all shared records, to step 960"
    path = run / "dynamics.csv"
    path.write_text(path.read_text().replace("1.02", "1.0200000000000002", 1))
    code, lines, _ = compare(run=run, reference=references)
    assert code == 0
    assert "seed1 has the same seed: other bits from step 20 on" in lines
    assert lines[-1].startswith("follows the 3 references")


def test_what_was_kept_in_fewer_digits_is_compared_in_those(tmp_path, compare, references):
    run = add_run(tmp_path / "runs", 1)
    reference = references / "seed1"
    header, *rows = (reference / "dynamics.csv").read_text().splitlines()
    short = [",".join(f"{float(value):.6g}" for value in row.split(",")) for row in rows]
    (reference / "dynamics.csv").write_text("\n".join([header, *short, ""]))
    assert compare(run=run, reference=reference)[1][-1].startswith("follows")
    (reference / "kept.json").write_text('{"every": 1, "digits": 6}')
    assert compare(run=run, reference=reference)[1][-1] == (
        "identical to the bit to seed1 in all shared records (dynamics.csv in the 6 digits that "
        "were kept), to step 960"
    )


def test_what_changes_numbers_is_named_and_what_doesnt_is_not(tmp_path, compare, references):
    run = add_run(tmp_path / "runs", 3, lr=0.003, fingerprint="e" * 64, torch="2.12.0")
    config = run_directory.read_config(run)
    config["trainer"].update(epochs=99, precision="bf16")
    config["data"]["root"] = "elsewhere"
    run_directory.write_config(run, config)
    code, lines, _ = compare(run=run, reference=references)
    assert code == 1
    assert lines[2:6] == [
        "settings   optimizer.lr: 0.003, reference 0.001",
        "           trainer.precision: bf16, reference without it",
        "corpus     another, eeeeeeee, reference ffffffff",
        "made with  torch 2.12.0, reference 2.11.0; the same commit, version, python, device, "
        "threads",
    ]
    assert "step 20: the step size is 3.1 times the reference's" in lines[-1]  # 3 * 1.06 / 1.02


def test_references_that_were_made_elsewhere_are_told(tmp_path, compare, references):
    add_run(tmp_path / "references", 4, device="another")
    _, lines, _ = compare(run=add_run(tmp_path / "runs", 3), reference=references)
    assert lines[4].startswith("made with  device a CPU, reference a CPU, another; the same commit")


def test_a_run_in_progress_follows_so_far(tmp_path, compare, references):
    run = add_run(tmp_path / "runs", 3, rows=20)
    run_directory.write_state(run, status="running", epochs=5)
    code, lines, _ = compare(run=run, reference=references)
    assert code == 0
    assert lines[0] == f"run        {run}: running, to step 400"
    assert lines[-1].startswith("follows the 3 references so far, to step 400, in 5 series")


def test_the_reference_is_found_by_the_runs_settings(tmp_path, compare, monkeypatch):
    monkeypatch.setattr(compare_run, "CHECKOUT", tmp_path)
    kept = tmp_path / "recipes" / "one" / "results"
    for seed in (0, 1):
        add_run(kept, seed)
        add_run(kept, seed, clipping="autoclip_p100")
        add_run(kept, seed, lr=0.003)
    code, lines, _ = compare(run=add_run(tmp_path / "runs", 2))
    assert code == 0
    place = kept / "demo" / "mask_inference" / "blstm_demo" / "autoclip_p10"
    assert lines[1] == (
        f"reference  {place / 'seed0'}, seed1: to step 960  (found by the run's settings)"
    )
    # Of a folder with several, the same; and a reference isn't compared with itself.
    assert compare(run=tmp_path / "runs/demo/mask_inference/blstm_demo/autoclip_p10/seed2",
                   reference=kept)[1][1].endswith("seed0, seed1: to step 960")  # fmt: skip
    assert compare(run=place / "seed0")[1][1].startswith(f"reference  {place / 'seed1'}: ")


def test_the_picture_goes_where_it_was_asked_for(tmp_path, compare, references):
    run = add_run(tmp_path / "runs", 3)
    compare(run=run, reference=references, output=tmp_path / "new" / "picture.png")
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"picture.png", "picture.pdf"}


def test_mistakes_are_one_line_and_exit_2(tmp_path, compare, references, monkeypatch):
    monkeypatch.setattr(compare_run, "CHECKOUT", tmp_path)
    run = add_run(tmp_path / "runs", 3)
    other = add_run(tmp_path / "runs", 4)
    for path in (other / "dynamics.csv", other / "history.csv"):
        path.write_text("")
    late = add_run(tmp_path / "late", 5)
    for path, row in ((late / "dynamics.csv", 9), (late / "history.csv", 9)):
        header, *rows = path.read_text().splitlines()
        path.write_text("\n".join([header, f"7{rows[row]}", ""]))
    (tmp_path / "empty").mkdir()
    mixed = tmp_path / "mixed"
    add_run(mixed, 0, clipping="none")
    add_run(mixed, 0, clipping="autoclip_p100")
    for settings, message in (
        ({}, "missing: run=..."),
        ({"run": run, "refrence": "x"}, "did you mean reference=...?"),
        ({"run": tmp_path / "nowhere"}, "nowhere is no run directory (not there)"),
        ({"run": run}, "no reference demo/mask_inference/blstm_demo/autoclip_p10/seed* below"),
        ({"run": run, "reference": mixed}, "blstm_demo/autoclip_p100/seed*, demo/mask_inference"),
        ({"run": run, "reference": tmp_path / "nowhere"}, "no such folder"),
        ({"run": run, "reference": tmp_path / "empty"}, "no run below it"),
        ({"run": run, "reference": run}, "is the only reference there is"),
        ({"run": other, "reference": run}, "holds no rows yet"),
        ({"run": late, "reference": run}, "no recorded step in common"),
        ({"run": run, "reference": references, "output": run / "config.yaml" / "x"}, "config.yaml"),
    ):
        code, _, complaint = compare(**settings)
        assert code == 2, settings
        assert message in complaint
        assert len(complaint.splitlines()) == 1, complaint


def test_help_says_what_it_does(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["compare_run.py", "--help"])
    compare_run.main()
    assert "Exit code 0" in capsys.readouterr().out


def test_a_moved_run_needs_a_named_reference_only(tmp_path, compare, references):
    shutil.copytree(references / "seed1", tmp_path / "moved")
    code, lines, _ = compare(run=tmp_path / "moved", reference=references)
    assert (code, lines[-1].split()[0]) == (0, "identical")
