"""Runs that start from another one: branches, to the bit, and initial weights."""

import math
import os
import shutil
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.torch import save_file

from autoclip_sep.cli.commands.train import train
from autoclip_sep.cli.plan import plan
from autoclip_sep.clipping import NonFiniteGradients
from autoclip_sep.errors import InputError
from autoclip_sep.runs import checkpoint, records, run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.training.preemption import Interrupted
from autoclip_sep.training.trainer import Trainer
from tests.commands import ENVIRONMENT, ROOT
from tests.golden.make import TRAIN, write_corpus

# Four epochs of four steps each; checkpoints are kept of steps 3, 6, 9, ...
WHOLE = [*TRAIN, "trainer.checkpoint_every=1000", "trainer.keep_every=3", "trainer.progress=false"]
PLAIN = [one for one in WHOLE if not one.startswith("percentile")]
FILES = ("dynamics.csv", "history.csv", "spikes.csv")


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """The working folder of all tests here."""
    folder = tmp_path_factory.mktemp("branches")
    write_corpus(folder / "corpus")
    with pytest.MonkeyPatch.context() as patched:
        patched.chdir(folder)
        yield folder


def trained(*arguments):
    """Train a run, and its directory."""
    train([*arguments])
    return plan([*arguments]).directory


@pytest.fixture(scope="module")
def clipped(place):
    """A trunk with AutoClip, p = 25."""
    return trained(*WHOLE, "runs=clipped")


@pytest.fixture(scope="module")
def free(place):
    """A trunk without clipping."""
    return trained(*PLAIN, "clipping=none", "runs=free")


def last(run):
    state = checkpoint.load(CheckpointFolder(run / "checkpoints").paths("last")[-1])
    del state["environment"]
    return state


def contents(folder):
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def numbers(run, column):
    return [float(row[column]) for row in records.read(run / "dynamics.csv")]


@pytest.mark.parametrize("step", [2, 6, 7, 8, 13], ids=lambda step: f"step{step}")
def test_a_branch_with_the_same_settings_is_its_trunk_to_the_bit(
    clipped, step, assert_same, capsys
):
    """From the start, from a kept step, replayed, at an epoch's end, from the newest but one."""
    before = contents(clipped)
    workers = "trainer.workers=1" if step == 7 else "trainer.workers=0"
    branch = trained(f"branch_from={clipped}", f"step={step}", workers, "runs=same")
    assert branch.name.endswith(f"-autoclip_p25-step{step}")
    said = capsys.readouterr().out
    assert said.count("replaying steps") == (step in (2, 7, 8, 13))
    assert f"branch of {clipped} at step {step}; " in said
    assert "resuming" not in said  # which the lines before say better
    for name in FILES:
        assert (branch / name).read_bytes() == (clipped / name).read_bytes()
    assert_same(last(branch), last(clipped))
    assert contents(clipped) == before


def test_a_branch_differs_from_the_first_clipped_step_on(free):
    norms = numbers(free, "grad_norm")
    threshold = max(norms[7:10])  # steps 8 to 10 stay as they are
    branch = trained(
        f"branch_from={free}", "step=7", "clipping=norm", f"clipping.threshold={threshold!r}",
        "runs=norms",
    )  # fmt: skip
    first = [scale < 1 for scale in numbers(branch, "scale")].index(True)
    assert first >= 10
    for column in ("loss", "grad_norm"):
        assert numbers(branch, column)[: first + 1] == numbers(free, column)[: first + 1]
        assert numbers(branch, column)[first + 1] != numbers(free, column)[first + 1]
    assert numbers(branch, "step_norm")[:first] == numbers(free, "step_norm")[:first]
    assert numbers(branch, "step_norm")[first] != numbers(free, "step_norm")[first]


def test_autoclip_goes_on_with_its_history_or_with_the_norms_before(clipped, free):
    def begun(run):
        path = run / "checkpoints" / "kept-000000007-00001.pt"
        return checkpoint.load(path)["clipper"]["history"]

    other = trained(f"branch_from={clipped}", "step=7", "percentile=60", "runs=p60")
    assert other.parent.name == "autoclip_p60"
    assert begun(other) == last(clipped)["clipper"]["history"][:7]
    expected = np.percentile(last(clipped)["clipper"]["history"][:8], 60)
    assert numbers(other, "threshold")[7] == pytest.approx(expected, rel=1e-6)
    new = trained(f"branch_from={free}", "step=7", "clipping=autoclip", "percentile=60", "runs=p60")
    np.testing.assert_allclose(begun(new), numbers(free, "grad_norm")[:7], rtol=1e-6)
    anew = trained(f"branch_from={clipped}", "step=7", "clipping=adagc", "runs=p60")
    state = checkpoint.load(anew / "checkpoints" / "kept-000000007-00001.pt")["clipper"]
    assert state["steps"] == 0


@pytest.mark.parametrize("how", ["terminated", "crashed"])
@pytest.mark.parametrize("at", [4, 11], ids=["in the replay", "after it"])
def test_an_interrupted_branch_goes_on_to_the_same_bits(clipped, at, how, monkeypatch, assert_same):
    arguments = [f"branch_from={clipped}", "step=5", "percentile=60"]
    straight = trained(*arguments, "runs=straight")
    after = Trainer._after_step

    def stop(self):
        if self.recorder.steps == at:
            if how == "crashed":
                raise RuntimeError("a crash, from the test")
            os.kill(os.getpid(), signal.SIGTERM)
        after(self)

    monkeypatch.setattr(Trainer, "_after_step", stop)
    with pytest.raises((Interrupted, RuntimeError)):
        train([*arguments, f"runs={how}{at}"])
    monkeypatch.setattr(Trainer, "_after_step", after)
    branch = trained(*arguments, f"runs={how}{at}")
    for name in FILES:
        assert (branch / name).read_bytes() == (straight / name).read_bytes()
    assert_same(last(branch), last(straight))


def test_a_begun_branch_needs_its_trunks_config_only(clipped, place):
    trunk = shutil.copytree(clipped, place / "moving" / clipped.relative_to("clipped"))
    arguments = [f"branch_from={trunk}", "step=5", "percentile=60", "runs=moving"]
    train([*arguments, "trainer.epochs=3"])
    shutil.rmtree(trunk / "checkpoints")
    branch = trained(*arguments)
    assert len(records.read(branch / "history.csv")) == 4


def test_a_branch_of_a_branch(clipped, assert_same):
    first = trained(f"branch_from={clipped}", "step=5", "percentile=60", "runs=chain")
    second = trained(f"branch_from={first}", "step=7", "runs=chain")
    assert (second / "dynamics.csv").read_bytes() == (first / "dynamics.csv").read_bytes()
    assert_same(last(second), last(first))
    with pytest.raises(InputError, match="a branch from step 5 on; branch from its trunk instead"):
        plan([f"branch_from={first}", "step=4"])
    shutil.rmtree(first / "checkpoints")
    with pytest.raises(InputError, match="a branch whose first checkpoint is gone"):
        train([f"branch_from={first}", "step=8", "runs=chain"])


def test_rates_and_moments(clipped):
    """The schedule goes on where it was; a new one, where it would have come to."""
    falling = trained(*WHOLE, "scheduler.mode=max", "runs=rates")  # halved by every better loss
    lower = trained(f"branch_from={falling}", "step=14", "optimizer.lr=0.001", "runs=rates")
    rates = numbers(falling, "lr")
    assert rates[13] < rates[0]
    np.testing.assert_allclose(numbers(lower, "lr")[14:16], 0.1 * np.array(rates[14:16]))
    state = checkpoint.load(lower / "checkpoints" / "kept-000000014-00003.pt")
    assert state["optimizer"]["state"][0]["step"] == 14
    cosine = trained(
        f"branch_from={clipped}", "step=6", "scheduler=cosine", "scheduler.T_max=8", "runs=rates"
    )
    expected = 0.01 * (1 + math.cos(math.pi / 8)) / 2  # after one of eight epochs
    assert numbers(cosine, "lr")[6] == pytest.approx(expected, rel=1e-6)
    other = trained(f"branch_from={clipped}", "step=6", "optimizer=sgd", "runs=rates")
    state = checkpoint.load(other / "checkpoints" / "kept-000000006-00001.pt")
    assert not state["optimizer"]["state"]


def test_a_diverged_run_is_rolled_back_and_goes_on(place, monkeypatch):
    plain = Trainer.losses

    def diverging(self, batch):
        rate = self.parts.optimizer.param_groups[0]["lr"]
        late = self.recorder.steps >= 8 and rate > 1e-3
        return plain(self, batch) * (math.nan if late else 1.0)

    monkeypatch.setattr(Trainer, "losses", diverging)
    trunk = [*WHOLE, "trainer.epochs=6", "runs=diverged", "trainer.probe_points=0"]
    with pytest.raises(NonFiniteGradients):
        train(trunk)
    run = trained(f"branch_from={plan(trunk).directory}", "step=5", "optimizer.lr=1e-4",
                  "runs=diverged")  # fmt: skip
    assert len(records.read(run / "history.csv")) == 6
    assert all(map(math.isfinite, numbers(run, "grad_norm")))


def test_where_a_branch_comes_from_stands_in_its_files(clipped):
    branch = trained(f"branch_from={clipped}", "step=7", "percentile=50", "runs=told")
    start = run_directory.read_provenance(branch)["start"]
    kept = clipped / "checkpoints" / "kept-000000006-00001.pt"
    assert start["checkpoint"] == kept.name
    assert start["sha256"] == checkpoint.digest(kept)
    assert start["step"] == 7
    config = run_directory.read_config(branch)
    assert os.path.normpath(f"told/{config['branch_from']}") == str(clipped)
    absolute = plan([f"branch_from={clipped.resolve()}", "step=7", "percentile=50", "runs=told"])
    assert absolute.directory == branch
    assert plan([f"branch_from={clipped}", "step=8", "runs=told"]).directory.name != branch.name


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["step=3", "seed=1"], "^seed: a branch has its trunk's data"),
        (["step=3", "loss=snr"], "^loss: a branch has"),
        (["step=3", "data=demo"], "^data: a branch has"),
        (["step=3", "trainer.batch_size=4"], "^trainer.batch_size: a branch has"),
        (["step=3", "experiment=smoke"], "^experiment: a branch has"),
        (["step=3", "model.hidden=4"], "^model.hidden: a branch has"),
        (["step=3", "optimizer.lrr=4"], r"did you mean optimizer\.lr\?"),
        (["step=3", "clipping=autoclp"], "did you mean autoclip"),
        (["step=3", "percentile=300"], "percentile must be"),
        (["step=3", "clipping=none", "percentile=3"], "percentile: .* clipping=autoclip"),
        (["step=3", "scheduler=warmup_cosine"], r"add scheduler\.schedulers\.1\.T_max"),
        (["step=3", "freeze=nrm"], "freeze=nrm: no parameter matches; there are norm"),
        (["step=0"], "step=0: must be an integer of at least 1"),
        (["step=17"], "step=17: .* has 16 steps"),
        (["step=16"], "step=16: no step is left"),
        ([], "step is missing"),
    ],
)
def test_what_a_branch_cannot_be_is_one_line(clipped, arguments, message, place):
    with pytest.raises(InputError, match=message) as error:
        train([f"branch_from={clipped}", "runs=refused", *arguments])
    assert "\n" not in str(error.value)
    assert not (place / "refused").exists()


def test_a_step_without_a_trunk_and_a_trunk_that_is_none_are_refused():
    with pytest.raises(InputError, match="branch_from=RUN"):
        plan([*WHOLE, "step=3"])
    with pytest.raises(InputError, match="nowhere is not a run directory"):
        plan(["branch_from=nowhere", "step=3"])


def test_two_processes_branch_as_they_train(place, assert_same):
    def run(*arguments):
        launch = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
        subprocess.run(
            [*launch, "--nproc-per-node=2", str(ROOT / "train.py"), *arguments, "runs=two"],
            cwd=place, env=ENVIRONMENT, check=True, capture_output=True, timeout=300,
        )  # fmt: skip
        return plan([*arguments, "runs=two"]).directory

    trunk = run(*WHOLE, "trainer.epochs=2")
    branch = run(f"branch_from={trunk}", "step=5")
    assert (branch / "dynamics.csv").read_bytes() == (trunk / "dynamics.csv").read_bytes()
    assert_same(last(branch), last(trunk))


def test_initial_weights_are_the_best_ones_of_a_run(clipped, capsys):
    arguments = [*WHOLE, f"init_from={clipped}", "runs=started", "trainer.epochs=1"]
    run = trained(*arguments)
    best = CheckpointFolder(clipped / "checkpoints").paths("best")[-1]
    start = run_directory.read_provenance(run)["start"]
    assert start == {"init_from": str(best), "sha256": checkpoint.digest(best)}
    assert f"initial weights: 15 of 15 tensors of {best}" in capsys.readouterr().out
    assert run.name != plan([*WHOLE, "runs=started"]).directory.name
    assert numbers(run, "loss")[0] < numbers(clipped, "loss")[0]
    named = plan([*arguments, f"init_from={best}"])
    assert named.directory != run
    assert plan([*arguments, f"init_from={clipped.resolve()}"]).directory == run


def test_a_resumed_run_doesnt_look_for_its_initial_weights(clipped, place, capsys):
    source = shutil.copytree(clipped, place / "source" / clipped.name)
    arguments = [*WHOLE, f"init_from={source}", "runs=resumed"]
    train([*arguments, "trainer.epochs=1"])
    shutil.rmtree(source)
    capsys.readouterr()
    run = trained(*arguments)
    assert "initial weights" not in capsys.readouterr().out
    assert len(records.read(run / "history.csv")) == 4
    assert "sha256" in run_directory.read_provenance(run)["start"]


def test_weights_of_another_network_are_loaded_as_far_as_they_fit(clipped, capsys):
    other = [*WHOLE, "loss=chimera", f"init_from={clipped}", "runs=other", "trainer.epochs=1"]
    with pytest.raises(InputError, match=r"missing: embedding_head.* init_strict=false"):
        train(other)
    run = trained(*other, "init_strict=false")
    (line,) = [one for one in capsys.readouterr().out.split("\n") if "initial" in one]
    assert "15 of 17 tensors" in line
    assert line.endswith("missing: embedding_head.linear.weight, embedding_head.linear.bias")
    back = [*WHOLE, f"init_from={run}", "runs=other"]
    with pytest.raises(InputError, match="not used: embedding_head"):
        train(back)
    wider = [*WHOLE, f"init_from={run}", "model.hidden=3", "runs=other"]
    with pytest.raises(
        InputError, match=r"of another shape: .*weight_hh_l0 \(8, 2\) for \(12, 3\)"
    ):
        train(wider)
    with pytest.raises(InputError, match="init_from=RUN"):
        plan([*WHOLE, "init_strict=false"])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda folder, weights: None, None),
        (lambda folder, weights: folder.write_bytes(b"x" * 99), "cannot read"),
        (lambda folder, weights: folder.unlink(), "must be a run directory"),
        (
            lambda folder, weights: save_file(
                {key: value * math.nan for key, value in weights.items() if "blstm" in key}
                | {key: value for key, value in weights.items() if "blstm" not in key},
                folder,
            ),
            "is not finite",
        ),
    ],
    ids=["whole", "damaged", "missing", "NaN"],
)
def test_a_model_folder_gives_its_weights(clipped, tmp_path, spoil, message):
    weights = last(clipped)["model"]
    file = tmp_path / "model.safetensors"
    save_file(weights, file)
    spoil(file, weights)
    arguments = [*WHOLE, f"init_from={tmp_path}", "trainer.epochs=1", f"runs={tmp_path}/runs"]
    if message is None:
        run = trained(*arguments)
        assert run_directory.read_provenance(run)["start"]["init_from"] == str(file)
        return
    with pytest.raises(InputError, match=message):
        train(arguments)


def test_frozen_parts_stay_as_they_are_to_the_bit(clipped, assert_same):
    run = trained(
        *WHOLE, f"init_from={clipped}", "freeze=[norm,blstm.layers.0.*_l0]", "optimizer=adamw",
        "optimizer.weight_decay=0.1", "runs=frozen", "trainer.epochs=2",
    )  # fmt: skip
    before = checkpoint.load(CheckpointFolder(clipped / "checkpoints").paths("best")[-1])["model"]
    after = last(run)["model"]
    same = {key for key in before if torch.equal(before[key], after[key])}
    frozen = {key for key in before if key.startswith("norm.") or key.endswith("_l0")}
    assert frozen == {key for key in same if "window" not in key}
    assert all(map(math.isfinite, numbers(run, "smoothness")))
    assert plan([*WHOLE, "freeze=norm", "runs=frozen"]).directory.name != run.name
    with pytest.raises(InputError, match="nothing is left to train"):
        train([*WHOLE, "freeze=[*]", "runs=frozen"])
