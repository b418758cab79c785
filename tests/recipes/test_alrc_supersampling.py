"""The supersampling experiment: images, network and errors, and runs from the command line."""

import math
import shutil
import subprocess
import sys
import time

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from autoclip_sep.cli import compose
from autoclip_sep.cli.commands import reproduce
from autoclip_sep.clipping import ALRC
from autoclip_sep.errors import InputError
from autoclip_sep.runs import records, run_directory
from tests.commands import ROOT

QUICK = ("iterations=150", "channels=2")


@pytest.fixture
def train(alrc, monkeypatch, capfd):
    """The command in this process: exit code, output, errors."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["train.py", *arguments])
        code = 0
        try:
            alrc.train.main()
        except SystemExit as end:
            code = end.code or 0
        return code, *capfd.readouterr()

    return run


PER_FILE = 300


def write_cifar10(folder, record=3073, label=9):
    """Its six files, shorter than they are."""
    folder.mkdir(parents=True, exist_ok=True)
    content = np.zeros((PER_FILE, record), dtype=np.uint8)
    content[:, 0] = label
    content[:, 1] = np.arange(PER_FILE) % 256  # red, first row, first pixel
    content[:, 2] = 1  # red, first row, second pixel
    content[:, 1 + 32] = 3  # red, second row, first pixel
    content[:, 1 + 1024] = 2  # green, first row, first pixel
    for name in [*(f"data_batch_{n}.bin" for n in range(1, 6)), "test_batch.bin"]:
        content.tofile(folder / name)


@pytest.fixture
def cifar10(alrc, monkeypatch, tmp_path):
    """A folder with short files; how long real ones are is asked below."""
    monkeypatch.setattr(alrc.images, "PER_FILE", PER_FILE)
    write_cifar10(tmp_path / "cifar-10-batches-bin")
    return tmp_path / "cifar-10-batches-bin"


def test_cifar10s_files_are_as_long_as_its_authors_say(alrc):
    assert alrc.images.PER_FILE * alrc.images.RECORD == 30_730_000


def test_cifar10_is_read_as_its_authors_laid_it_out(alrc, cifar10):
    read = alrc.images.read("cifar10", str(cifar10.parent))  # its own folder is found below
    assert read.train.shape == (5 * PER_FILE, 3, 32, 32)
    assert read.test.shape == (PER_FILE, 3, 32, 32)
    assert read.train.dtype == torch.uint8
    assert read.train[:PER_FILE, 0, 0, 0].tolist() == [n % 256 for n in range(PER_FILE)]
    assert read.train[7, :, 0, 0].tolist() == [7, 2, 0]
    assert read.train[7, 0, :2, :2].tolist() == [[7, 1], [3, 0]]
    assert alrc.images.read("cifar10", str(cifar10)).fingerprint == read.fingerprint


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda folder: (folder / "data_batch_3.bin").unlink(), "data_batch_3.bin is not there"),
        (lambda folder: (folder / "test_batch.bin").write_bytes(b""), "has 0 bytes"),
        (lambda folder: write_cifar10(folder, record=3074), "922,200 bytes, .* 921,900"),
        (lambda folder: write_cifar10(folder, label=10), "labels above 9"),
        (shutil.rmtree, "no such folder"),
    ],
)
def test_what_is_not_cifar10_is_refused(alrc, cifar10, spoil, said):
    spoil(cifar10)
    with pytest.raises(InputError, match=said):
        alrc.images.read("cifar10", str(cifar10))


def test_a_run_on_cifar10(alrc, train, cifar10, tmp_path):
    code, _, err = train("images=cifar10", f"root={cifar10}", f"runs={tmp_path}", *QUICK)
    assert (code, err) == (0, "")
    assert alrc.runs.find(tmp_path)["images"].tolist() == ["cifar10"]


def test_photographs_are_disjoint_in_training_and_test(alrc):
    images = alrc.images
    assert not set(images.TRAIN_PHOTOGRAPHS) & set(images.TEST_PHOTOGRAPHS)
    read = images.read("photographs", None)
    assert read.train.shape[1:] == read.test.shape[1:] == (3, 32, 32)
    assert len(read.train) > 5000
    assert len(read.test) > 300
    assert read.train.float().std() > 30  # pictures, not a blank
    assert images.read("photographs", None).fingerprint == read.fingerprint


def test_crops_lie_on_a_grid(alrc):
    picture = torch.arange(3 * 70 * 100).reshape(3, 70, 100)
    found = alrc.images.crops(picture, 32)
    assert found.shape == (2 * 3, 3, 32, 32)
    assert torch.equal(found[4], picture[:, 32:64, 32:64])


def test_a_package_that_is_not_there_is_one_line(alrc):
    with pytest.raises(InputError, match="make install"):
        alrc.images.photograph("no_such_package", "picture.png")


def test_errors_of_each_image(alrc):
    estimate = torch.zeros(2, 3, 32, 32)
    reference = torch.stack([torch.full((3, 32, 32), 0.5), torch.full((3, 32, 32), 2.0)])
    assert alrc.network.ERRORS["squared"](estimate, reference).tolist() == [0.25, 4.0]
    assert alrc.network.ERRORS["quartic"](estimate, reference).tolist() == [0.0625, 16.0]


def test_the_network_adds_to_the_enlarged_image(alrc):
    network = alrc.network.Network(4)
    nn.init.zeros_(network.layers[4].weight)
    nn.init.zeros_(network.layers[4].bias)
    small = torch.rand(2, 3, 16, 16)
    large = network(small)
    assert large.shape == (2, 3, 32, 32)
    assert torch.equal(large[:, :, ::2, ::2], small)
    assert torch.equal(large[:, :, 1::2, 1::2], small)
    assert torch.allclose(alrc.network.shrink(large), small)


def test_a_run_keeps_its_records_and_is_finished(train, tmp_path):
    asked = ("clipping=alrc", "error=quartic", "batch_size=4", f"runs={tmp_path}", *QUICK)
    code, _, err = train(*asked)
    assert (code, err) == (0, "")
    (directory,) = tmp_path.glob("supersampling/photographs/quartic/batch4/adam_stable/alrc_n3/*")
    errors = [float(row["error"]) for row in records.read(directory / "records.csv")]
    assert len(errors) == 150
    assert np.mean(errors[-50:]) < np.mean(errors[:50])  # it learns
    rows = records.read(directory / "dynamics.csv")
    assert [int(row["step"]) for row in rows] == [20, 40, 60, 80, 100, 120, 140]
    for row in rows:  # the recorder saw the loss before ALRC, and the plain loss' gradient
        assert math.isclose(float(row["loss"]), errors[int(row["step"]) - 1], rel_tol=1e-5)
        assert float(row["smoothness"]) > 0
        assert float(row["grad_norm"]) > 0
    assert run_directory.read_config(directory)["optimizer"]["lr"] == 1e-3
    assert run_directory.read_json(directory / "provenance.json")["fingerprint"]
    before = (directory / "records.csv").stat().st_mtime_ns
    assert "nothing to do" in train(*asked)[1]
    assert (directory / "records.csv").stat().st_mtime_ns == before


def test_the_same_seed_gives_the_same_bits_and_the_recorder_changes_none(train, tmp_path):
    first, second, third = (tmp_path / name for name in "abc")
    train(f"runs={first}", "clipping=alrc", *QUICK)
    train(f"runs={second}", "clipping=alrc", *QUICK)
    train(f"runs={third}", "clipping=alrc", *QUICK, "record_every=1000")
    texts = [next(root.rglob("records.csv")).read_bytes() for root in (first, second, third)]
    assert texts[0] == texts[1] == texts[2]


def test_both_clippers_begin_alike_and_see_the_same_images(train, tmp_path):
    train("-m", "clipping=none,alrc", "error=quartic", "rate=high", f"runs={tmp_path}", *QUICK)
    texts = [path.read_text().splitlines() for path in sorted(tmp_path.rglob("records.csv"))]
    assert texts[0][:10] == texts[1][:10]
    other = tmp_path / "other"
    train("seed=1", "error=quartic", "rate=high", f"runs={other}", *QUICK)
    assert next(other.rglob("records.csv")).read_text().splitlines()[1] != texts[0][1]


def test_a_run_that_diverges_is_a_result(alrc, train, tmp_path):
    code, *_ = train("optimizer=momentum", "optimizer.lr=50", f"runs={tmp_path}", *QUICK)
    assert code == 0
    run = alrc.runs.find(tmp_path).loc[0]
    assert (run["rate"], run["diverged"]) == ("lr50", True)
    assert 10 < run["iterations"] < 150


def test_a_run_that_was_killed_begins_again_and_ends_as_if_it_had_not_been(alrc, train, tmp_path):
    asked = [f"runs={tmp_path}", "iterations=1500", "channels=2", "record_every=1"]
    with subprocess.Popen([sys.executable, alrc.train.__file__, *asked]) as process:
        for _ in range(600):
            if list(tmp_path.rglob("dynamics.csv")):
                break
            time.sleep(0.1)
        process.kill()
    assert not list(tmp_path.rglob("records.csv"))
    with pytest.raises(InputError, match="no finished"):
        alrc.runs.find(tmp_path)
    assert train(*asked)[0] == 0
    (path,) = tmp_path.rglob("records.csv")
    assert len(records.read(path)) == 1500
    assert len(records.read(path.with_name("dynamics.csv"))) == 1500


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ("error=cubic", "one of squared, quartic"),
        ("images=mnist", "one of photographs, cifar10"),
        ("images=cifar10", "needs root=FOLDER"),
        ("root=somewhere", "only images=cifar10"),
        ("rate=low", "one of stable, high"),
        ("batch_size=0", "batch_size=0: "),
        ("optimizer.lr=fast", "optimizer.lr=fast: "),
        ("optimizer.lr=-1", "optimizer.lr=-1: must be finite and not negative"),
        ("optimizer.betas=[0.9,1.0]", "optimizer: Invalid beta parameter"),
        ("optimizer=adamw", "add optimizer.lr=..."),
        ("bach_size=4", "did you mean batch_size"),
    ],
)
def test_mistakes_are_one_line(train, tmp_path, wrong, said):
    code, _, err = train(wrong, f"runs={tmp_path}")
    assert code == 2
    assert said in err
    assert err.startswith("supersampling: ")
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_finished_run_of_other_settings_is_not_taken_for_this_one(train, tmp_path):
    train(f"runs={tmp_path}", *QUICK)
    (directory,) = (path.parent for path in tmp_path.rglob("config.yaml"))
    config = run_directory.read_config(directory)
    config["optimizer"]["lr"] = 0.5  # as if the table of rates had been changed since
    run_directory.write_config(directory, config)
    code, _, err = train(f"runs={tmp_path}", *QUICK)
    assert code == 2
    assert "other values of optimizer.lr" in err


def test_the_experiment_is_every_setting_with_and_without_alrc(alrc):
    jobs = compose.sweep("supersampling", ["experiment=alrc_stability"])
    assert len(jobs) == 2 * 2 * 3 * 3 * 2
    part = compose.sweep("supersampling", ["experiment=alrc_stability", "optimizer=adam"])
    assert len(part) == 24
    found = [alrc.settings.understand(job) for job in part[::5]]
    assert len({one.directory for one in found}) == len(found)
    assert {one.config["optimizer"]["lr"] for one in found} == {1e-3, 5e-3}


def test_other_settings_have_other_directories(alrc):
    plain = alrc.settings.understand([]).directory
    for other in ("channels=8", "clipping=alrc", "optimizer.betas=[0.5,0.9]", "iterations=10",
                  "optimizer.lr=0.001", "seed=3", "error=quartic", "record_every=7"):  # fmt: skip
        assert alrc.settings.understand([other]).directory != plain, other
    assert alrc.settings.understand(["threads=2"]).directory == plain
    usual = alrc.settings.understand(["clipping=alrc"])
    assert isinstance(usual.clipper, ALRC)
    decay = alrc.settings.understand(["clipping=alrc", "clipping.decay=0.9"])
    assert (usual.clipper.label, decay.clipper.label) == ("alrc_n3", "alrc_n3_decay0.9")
    assert decay.directory.name == usual.directory.name == "seed0"


def test_kept_runs_are_the_runs(alrc, train, tmp_path):
    train("-m", "clipping=none,alrc", f"runs={tmp_path / 'runs'}", "iterations=700", "channels=2")
    alrc.keep.keep([f"runs={tmp_path / 'runs'}", f"output={tmp_path / 'kept'}"])
    kept = alrc.runs.find(tmp_path / "kept")
    pd.testing.assert_frame_equal(kept, alrc.runs.find(tmp_path / "runs"))
    for _, run in kept.iterrows():
        (path,) = tmp_path.glob(f"runs/**/{run['clipping']}/*/records.csv")
        errors = [float(row["error"]) for row in records.read(path)]
        expected = [np.mean(errors[start : start + 500]) for start in (0, 100, 200)]
        assert np.allclose(run["curve"], expected, rtol=1e-3)


@pytest.mark.parametrize(("scale", "runs"), [("demo", 12), ("full", 72), ("paper", 72)])
def test_a_scale_has_the_experiment_and_draws_it(scale, runs):
    grid = reproduce.read_grid([f"scale={scale}", "runs=elsewhere", "percentile=10"])
    assert all((ROOT / script).is_file() for script, *_ in [*grid.others, *grid.drawings])
    jobs = [job for _, _, *sweep in grid.others for job in compose.sweep("supersampling", sweep)]
    assert len(jobs) == runs
    assert all("runs=elsewhere" in job and "percentile=10" not in job for job in jobs)
    assert grid.drawings
