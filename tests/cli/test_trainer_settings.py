"""The trainer's settings from the command: a kill and exact resume with each, wrong values."""

import time

import pytest

from autoclip_sep.runs import records, run_directory
from autoclip_sep.runs.checkpoint import CheckpointFolder, load
from tests.commands import command, start
from tests.golden.make import SEPARATE, TRAIN, only_run, write_corpus

CONV = [
    "model=conv_tasnet_small", "loss=si_sdr", "trainer.precision=fp16", "model.filters=16",
    "model.bottleneck=8", "model.hidden=16", "model.layers=2", "model.stacks=2",
]  # fmt: skip
FEATURES = {
    "accumulate": ["trainer.accumulate=2"],
    "alrc": ["trainer.accumulate=2", "clipping=alrc"],
    "ema": ["trainer.ema_decay=0.7"],
    "validate": ["trainer.validate_every=3", "trainer.patience=9"],
    "overfit": ["trainer.overfit_batches=1", "trainer.epochs=16"],
    "checkpointing": ["trainer.gradient_checkpointing=true", "model.dropout=0.5"],
    "fp16": CONV,
    "all": [
        "trainer.accumulate=2", "trainer.ema_decay=0.7", "trainer.validate_every=3",
        "trainer.patience=9", "trainer.gradient_checkpointing=true", "trainer.profile=true",
    ],
}  # fmt: skip


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder with a small corpus and its store."""
    place = tmp_path_factory.mktemp("trainer")
    write_corpus(place / "corpus")
    return place


def asked(*settings):
    """The tests' training command, where later settings take the place of earlier ones."""
    keys = {one.partition("=")[0] for one in settings}
    network = {"model.hidden", "model.layers"} if "model=conv_tasnet_small" in settings else set()
    drop = keys | network | ({"percentile"} if "clipping" in keys else set())
    return [*(one for one in TRAIN if one.partition("=")[0] not in drop), *settings]


def result(runs):
    """The last state and the records of the one run in a folder."""
    run = only_run(runs)
    state = load(CheckpointFolder(run / "checkpoints").paths("last")[-1])
    del state["environment"]
    names = ("dynamics", "history", "spikes", "ema")
    return state, {p.name: p.read_text() for n in names if (p := run / f"{n}.csv").exists()}


@pytest.mark.parametrize("feature", FEATURES)
def test_a_killed_run_goes_on_to_the_same_bits(place, feature, assert_same):
    settings = asked(*FEATURES[feature])
    command(place, "train.py", *settings, f"runs={feature}")
    killed = place / f"{feature}-killed"
    process = start(place, "train.py", *settings, f"runs={killed.name}")
    while not list(killed.rglob("last-00000000[6-9]-*.pt")):
        assert process.poll() is None, process.communicate()
        time.sleep(0.005)
    process.kill()
    process.communicate(timeout=60)
    state = run_directory.read_state(only_run(killed))
    assert state["status"] == "running"
    done = command(place, "train.py", *settings, f"runs={killed.name}")
    assert "resuming from step" in done.stdout
    assert_same(result(killed), result(place / feature))
    assert result(killed)[0]["recorder"]["steps"] == 16


def test_two_micro_batches_are_one_history_entry(place):
    command(place, "train.py", *asked("trainer.accumulate=2"), "runs=two")
    command(place, "train.py", *asked(), "runs=one")
    two, one = (only_run(place / runs) for runs in ("two", "one"))
    states = [result(place / runs)[0] for runs in ("two", "one")]
    assert [len(state["clipper"]["history"]) for state in states] == [16, 16]
    assert two.name != one.name
    # BatchNorm sees half a batch at a time, which is all that differs.
    losses = [float(records.read(run / "dynamics.csv")[0]["loss"]) for run in (two, one)]
    assert losses[0] == pytest.approx(losses[1], rel=0.2)


def test_averaged_weights_are_evaluated_separated_and_started_from(place, assert_same):
    command(place, "train.py", *asked("trainer.ema_decay=0.7"), "runs=average")
    run = only_run(place / "average")
    rows = records.read(run / "ema.csv")
    assert [row["step"] for row in rows] == ["4", "8", "12", "16"]
    given, tables = run.relative_to(place), []
    for kind in ("best", "ema"):
        command(place, "evaluate.py", f"run={given}", f"checkpoint={kind}", "bounds=false")
        tables.append(records.read(run / "evaluation" / "test.csv"))
    assert [row["item"] for row in tables[0]] == [row["item"] for row in tables[1]]
    for one, other in zip(*tables, strict=True):
        assert one["si_sdr"] != other["si_sdr"]
    command(place, "separate.py", f"run={given}", *SEPARATE, "checkpoint=ema")
    assert list((place / "separated").rglob("s1.wav"))
    averaged = CheckpointFolder(run / "checkpoints").paths("ema")[-1]
    command(
        place, "train.py", *asked(f"init_from={averaged.relative_to(place)}", "optimizer.lr=0"),
        "trainer.epochs=1", "runs=started",
    )  # fmt: skip
    started = result(place / "started")[0]["model"]
    expected = load(averaged)["model"]
    weights = [name for name in expected if name.endswith(("weight", "bias"))]
    assert weights
    for name in weights:
        assert_same(started[name], expected[name])
    done = command(
        place, "train.py", f"branch_from={given}", "step=6", "trainer.ema_decay=0.5",
        "runs=branches",
    )  # fmt: skip
    assert "branch of" in done.stdout
    branch = only_run(place / "branches")
    assert [row["step"] for row in records.read(branch / "ema.csv")] == ["4", "8", "12", "16"]
    branch_rows = records.read(branch / "ema.csv")
    assert branch_rows[0] == rows[0]
    assert branch_rows[1]["valid_loss"] != rows[1]["valid_loss"]


def test_an_unaveraged_run_has_no_averaged_weights(place):
    command(place, "train.py", *asked("trainer.epochs=1"), "runs=plain")
    run = only_run(place / "plain").relative_to(place)
    done = command(place, "evaluate.py", f"run={run}", "checkpoint=ema", check=2)
    assert "no weights are averaged without trainer.ema_decay" in done.stderr
    assert done.stderr.count("\n") == 1


def test_an_early_end_is_an_end(place):
    """Weights that don't move never get better: validations 2 and 3 end the run."""
    settings = asked("trainer.patience=2", "optimizer.lr=0", "model.batch_norm=false")
    command(place, "train.py", *settings, "runs=early")
    run = only_run(place / "early")
    state = run_directory.read_state(run)
    assert (state["status"], state["epochs"], state["step"]) == ("finished", 3, 12)
    assert len(records.read(run / "history.csv")) == 3
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    longer = [one for one in settings if "epochs" not in one]
    for again in (settings, [*longer, "trainer.epochs=9"]):
        done = command(place, "train.py", *again, "runs=early")
        assert "no lower validation loss in 2 validations (trainer.patience)" in done.stdout
        assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    command(place, "evaluate.py", f"run={run.relative_to(place)}", "bounds=false")


def test_a_trace_and_a_summary_without_noise(place):
    settings = asked("trainer.profile=true", "trainer.epochs=3")
    done = command(place, "train.py", *settings, "runs=profiled", before=["env"])
    assert done.stderr == ""
    assert "3 steps profiled, cpu time" in done.stdout
    assert (only_run(place / "profiled") / "trace.json").stat().st_size > 10_000


@pytest.mark.parametrize(
    "setting",
    [
        "trainer.accumulate=3", "trainer.accumulate=0", "trainer.precision=fp8",
        "trainer.ema_decay=1", "trainer.ema_decay=abc", "trainer.patience=-1",
        "trainer.validate_every=1.5", "trainer.overfit_batches=99", "trainer.compile=maybe",
        "trainer.profile=2", "trainer.gradient_checkpointing=1",
    ],
)  # fmt: skip
def test_a_wrong_value_is_one_line_and_leaves_no_run(place, setting):
    done = command(place, "train.py", *asked(setting), "runs=wrong", check=2)
    assert f"train: {setting}" in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (place / "wrong").exists()
