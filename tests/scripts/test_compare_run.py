"""The command on small made-up runs: its output and exit codes."""

import json
import math
import shutil

import numpy as np
import pytest
from pandas import DataFrame

from autoclip_sep.cli.commands import compare as compare_run
from autoclip_sep.errors import InputError
from autoclip_sep.runs import run_directory

CONFIG = {
    "data": {"name": "demo", "root": "corpora"},
    "clipping": {"_target_": "autoclip_sep.clipping.AutoClip", "percentile": 10},
    "model": {"layers": 2, "hidden": 128}, "trainer": {"epochs": 12, "batch_size": 16},
}  # fmt: skip
NOTE = {"commit": "abc", "torch": "2.11.0", "device": "a CPU", "fingerprint": "f" * 64}


def add_run(root, seed=0, *, clipping="autoclip_p10", grown=math.inf, lr=0.001, rows=48, **note):
    """A run whose seed moves every quantity by 2 %. grown: the step from where the gradient norm is
    four times as large."""
    name = f"seed{seed}" + ("-c0ffee" if lr != 0.001 else "")
    directory = root / "demo" / "mask_inference" / "blstm_demo" / clipping / name
    directory.mkdir(parents=True)
    run_directory.write_config(directory, {**CONFIG, "seed": seed, "optimizer": {"lr": lr}})
    (directory / "provenance.json").write_text(json.dumps(NOTE | note))
    factor, step = 1 + 0.02 * seed, 20 * np.arange(1, rows + 1)
    dynamics = DataFrame({
        "step": step, "loss": factor / step, "grad_norm": factor * np.where(step < grown, 1, 4),
        "threshold": factor, "step_norm": factor * lr, "smoothness": factor / 3,
    })  # fmt: skip
    history = DataFrame({
        "epoch": step[3::4] // 80, "step": step[3::4], "train_loss": factor / step[3::4],
        "valid_loss": factor, "valid_si_sdr": factor, "lr": lr, "clipped_share": 0.9,
    })  # fmt: skip
    dynamics.to_csv(directory / "dynamics.csv", index=False)
    history.to_csv(directory / "history.csv", index=False)
    return directory


@pytest.fixture
def compare(capsys):
    """A function that runs the command: its exit code and its lines."""

    def call(**settings):
        code = compare_run.compare([f"{key}={value}" for key, value in settings.items()])
        return code, capsys.readouterr().out.splitlines()

    return call


@pytest.fixture
def references(tmp_path):
    for seed in (0, 1, 2):
        directory = add_run(tmp_path / "references", seed)
    return directory.parent


def test_a_run_of_another_seed_follows(tmp_path, compare, references):
    code, lines = compare(run=add_run(tmp_path / "runs", 3), reference=references)
    assert code == 0
    assert lines[-1] == "follows the 3 references, to step 960, in 10 quantities"
    assert lines[1] == f"reference  {references / 'seed0'}: to step 960"
    assert lines[4:6] == [
        "settings   the same",
        "made with  the same corpus, commit, version, torch, python, device, threads",
    ]


def test_a_run_that_leaves_is_reported_and_drawn(tmp_path, compare, references):
    run = add_run(tmp_path / "runs", 1, grown=500)
    picture = tmp_path / "new" / "picture"
    code, lines = compare(run=run, reference=references, output=f"{picture}.png")
    assert code == 1
    assert f"{picture}.png and .pdf" in lines
    assert {path.name for path in picture.parent.iterdir()} == {"picture.png", "picture.pdf"}
    assert lines[-1] == (
        "leaves the 3 references at step 500: the gradient norm is 4 times the reference"
    )
    (row,) = (line for line in lines if line.startswith("gradient norm"))
    assert row.split()[2:8] == ["500", "4", "times", "the", "reference", "4.08"]
    assert "seed1 has the same seed: other bits from step 500 on" in lines


def test_the_same_records_are_identical_to_the_bit(tmp_path, compare, references):
    run = shutil.copytree(references / "seed1", tmp_path / "moved")
    code, lines = compare(run=run, reference=references)
    assert code == 0
    assert lines[-1] == "bit-identical to seed1 in all shared records, to step 960"
    path = run / "dynamics.csv"
    path.write_text(path.read_text().replace("1.02", "1.0200000000000002", 1))
    code, lines = compare(run=run, reference=references)
    assert code == 0
    assert "seed1 has the same seed: other bits from step 20 on" in lines
    assert lines[-1].startswith("follows the 3 references")


def test_runs_named_by_the_working_folder_have_their_own_names(
    tmp_path, compare, references, monkeypatch
):
    titles = []
    monkeypatch.setattr(compare_run.picture, "draw", lambda _, title, *rest: titles.append(title))
    run = shutil.copytree(references / "seed1", tmp_path / "moved")
    monkeypatch.chdir(references / "seed1")
    line = compare(run=run, reference=".")[1][-1]
    assert line == "bit-identical to seed1 in all shared records, to step 960"
    compare(run=".", reference="../seed2", output="picture")
    assert titles == ["demo/mask_inference, AutoClip, p = 10, seed1 beside the reference"]


def test_what_was_kept_in_fewer_digits_is_compared_in_those(tmp_path, compare, references):
    run = add_run(tmp_path / "runs", 1)
    reference = references / "seed1"
    header, *rows = (reference / "dynamics.csv").read_text().splitlines()
    short = [",".join(f"{float(value):.6g}" for value in row.split(",")) for row in rows]
    (reference / "dynamics.csv").write_text("\n".join([header, *short, ""]))
    assert compare(run=run, reference=reference)[1][-1].startswith("follows the reference, ")
    (reference / "kept.json").write_text('{"every": 1, "digits": 6}')
    last = compare(run=run, reference=reference)[1][-1]
    assert last.startswith("bit-identical to seed1")
    assert "in the 6 digits that were kept" in last


def test_what_changes_numbers_is_named_and_what_does_not_is_not(tmp_path, compare, references):
    run = add_run(tmp_path / "runs", 3, lr=0.003, fingerprint="e" * 64, torch="2.12.0")
    add_run(tmp_path / "references", 4, device="another")
    config = run_directory.read_config(run)
    config["trainer"].update(epochs=99, precision="bf16")
    config["data"]["root"] = "elsewhere"
    run_directory.write_config(run, config)
    code, lines = compare(run=run, reference=references)
    assert code == 1
    assert lines[5:10] == [
        "settings   optimizer.lr: 0.003, reference 0.001",
        "settings   trainer.precision: bf16, reference unknown",
        "made with  corpus: eeeeeeee, reference ffffffff",
        "made with  torch: 2.12.0, reference 2.11.0",
        "made with  device: a CPU, reference a CPU, another",
    ]
    assert "at step 20: the step size is 3.07 times the reference" in lines[-1]


def test_a_run_in_progress_follows_so_far(tmp_path, compare, references):
    run = add_run(tmp_path / "runs", 3, rows=20)
    run_directory.write_state(run, status="running", epochs=5)
    code, lines = compare(run=run, reference=references)
    assert code == 0
    assert lines[0] == f"run        {run}: running, to step 400"
    assert lines[-1] == "follows the 3 references so far, to step 400, in 5 quantities"
    code, lines = compare(run=add_run(tmp_path / "new", 3, rows=3), reference=references)
    assert (code, lines[-1]) == (0, "too early to tell: 3 of 6 records")


def test_the_reference_is_found_by_the_runs_settings(tmp_path, compare, monkeypatch):
    monkeypatch.setattr(compare_run, "CHECKOUT", tmp_path)
    kept = tmp_path / "recipes" / "one" / "results"
    for seed in (0, 1):
        add_run(kept, seed)
        add_run(kept, seed, clipping="autoclip_p100")
        add_run(kept, seed, lr=0.003)
    place = kept / "demo" / "mask_inference" / "blstm_demo" / "autoclip_p10"
    run = add_run(tmp_path / "runs", 2)

    def found(**settings):
        lines = compare(**settings)[1]
        return [line.split()[1] for line in lines if line.startswith("reference ")]

    both = [f"{place / 'seed0'}:", f"{place / 'seed1'}:"]
    assert found(run=run) == both
    assert found(run=run, reference=kept) == both  # of a folder with several settings, the same
    assert found(run=place / "seed0") == both[1:]  # a reference isn't compared with itself


def test_configs_that_a_logger_left_inside_a_run_are_no_references(tmp_path, compare, references):
    for seed in (0, 1, 2):
        files = references / f"seed{seed}" / "wandb" / "run-1" / "files"
        files.mkdir(parents=True)
        (files / "config.yaml").write_text("wandb_version: 1")
    run = add_run(tmp_path / "runs", 3, clipping="none")  # of no settings there
    for reference, count in ((references, 3), (references / "seed0", 1)):
        lines = compare(run=run, reference=reference)[1]
        assert sum(line.startswith("reference ") for line in lines) == count


def test_mistakes_are_one_line(tmp_path, compare, monkeypatch):
    monkeypatch.setattr(compare_run, "CHECKOUT", tmp_path)
    run = add_run(tmp_path / "runs", 3)
    other = add_run(tmp_path / "runs", 4)
    for path in (other / "dynamics.csv", other / "history.csv"):
        path.write_text("")
    late = add_run(tmp_path / "late", 5)
    for path in (late / "dynamics.csv", late / "history.csv"):
        path.write_text(path.read_text().replace("\n", "\n77"))
    (tmp_path / "empty").mkdir()
    mixed = tmp_path / "mixed"
    add_run(mixed, 0, clipping="none")
    add_run(mixed, 0, clipping="autoclip_p100")
    for settings, message in (
        ({}, "missing: run=..."),
        ({"run": tmp_path / "nowhere"}, "nowhere is not a run directory (not there)"),
        ({"run": run}, "no reference demo/mask_inference/blstm_demo/autoclip_p10/seed* below"),
        ({"run": run, "reference": mixed}, "blstm_demo/autoclip_p100/seed*, demo/mask_inference"),
        ({"run": run, "reference": tmp_path / "nowhere"}, "no run there"),
        ({"run": run, "reference": tmp_path / "empty"}, "no run there"),
        ({"run": run, "reference": run}, "is the only reference there is"),
        ({"run": other, "reference": run}, "holds no rows yet"),
        ({"run": late, "reference": run}, "no recorded step in common"),
    ):
        with pytest.raises(InputError) as caught:
            compare(**settings)
        assert message in str(caught.value)
        assert "\n" not in str(caught.value)
