"""Small made-up runs, as deep below a folder as real ones."""

import json
import math

import pytest

from autoclip_sep.dynamics import COLUMNS
from autoclip_sep.figures.runs import RunFound
from autoclip_sep.runs import run_directory
from autoclip_sep.runs.records import Records
from autoclip_sep.training.report import HISTORY

CLIPPING = "autoclip_sep.clipping."
BLSTM = {"_target_": "autoclip_sep.models.BLSTM", "layers": 2, "hidden": 128}


def clipping(label):
    """The config that a label of a directory stands for."""
    name, _, value = label.rpartition("_")
    if value.startswith("window"):
        return {**clipping(name), "window": int(value.removeprefix("window"))}
    if value == "parameter":
        return {**clipping(name), "scope": "parameter"}
    if name == "autoclip":
        return {"_target_": CLIPPING + "AutoClip", "percentile": float(value[1:])}
    if name == "norm":
        return {"_target_": CLIPPING + "NormClipping", "threshold": float(value)}
    if name == "alrc":
        return {"_target_": CLIPPING + "ALRC", "num_stddev": float(value[1:]), "decay": 0.999}
    if label == "shadow":
        return {"_target_": CLIPPING + "AutoClip", "percentile": None}
    return {"_target_": CLIPPING + "NoClipping"}


def write_dynamics(path, every=20, **columns):
    """A Recorder's file with a row every so many steps; columns that aren't given are constant.

    loss_ is the column loss, beside which add_run has a loss of another kind.
    """
    columns = {name.rstrip("_"): values for name, values in columns.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.unlink(missing_ok=True)
    file = Records(path, COLUMNS)
    usual = {"epoch": 1, "loss": 1.0, "grad_norm": 1.0, "threshold": math.inf, "step_norm": 0.1,
             "smoothness": 1.0, "lr": 1e-3, "skipped": 0}  # fmt: skip
    for n, values in enumerate(zip(*columns.values(), strict=True), start=1):
        row = usual | {"step": every * n} | dict(zip(columns, map(float, values), strict=True))
        scale = row["threshold"] / row["grad_norm"] if row["grad_norm"] else 1.0
        file.append({"scale": min(scale, 1.0)} | row)
    file.close()
    return path


@pytest.fixture(name="write_dynamics")
def _write_dynamics():
    return write_dynamics


@pytest.fixture
def add_run(tmp_path):
    """A function that writes a run below tmp_path and returns it.

    Its epochs have 10 steps. shares: clipped_share by epoch. losses: training loss by epoch, the
    validation loss is one higher. columns: of dynamics.csv, which has a row `every` so many steps.
    """

    def add(
        label="autoclip_p10", seed=0, gain=None, *, loss="mask_inference", corpus="demo",
        model="blstm_demo", network=BLSTM, changed="", epochs=2, done=None, shares=None,
        losses=None, commit="abc1234567", every=20, **columns,
    ):  # fmt: skip
        name = f"seed{seed}" + (f"-{changed}" if changed else "")
        directory = tmp_path / corpus / loss / model / label / name
        directory.mkdir(parents=True)
        run_directory.write_config(directory, {
            "seed": seed, "clipping": clipping(label), "model": network,
            "loss": {"heads": ["masks"]},
            "trainer": {"epochs": epochs, "batch_size": 4, "probe_points": 1},
        })  # fmt: skip
        came = {"commit": commit, "device": "a CPU", "date": "2026-01-02", "fingerprint": "f" * 64}
        (directory / "provenance.json").write_text(json.dumps(came))
        done = epochs if done is None else done
        history = Records(directory / "history.csv", HISTORY)
        for n, share, mean in zip(range(1, done + 1), shares or [0.5] * done,
                                  losses or [2.0] * done, strict=True):  # fmt: skip
            history.append({
                "epoch": n, "step": 10 * n, "train_loss": mean, "valid_loss": mean + 1, "lr": 1e-3,
                "valid_si_sdr": 0.0, "clipped_share": share, "skipped": 0,
            })  # fmt: skip
        history.close()
        columns = columns or {"grad_norm": (4.0, 1.0, 2.0, 3.0)}
        write_dynamics(directory / "dynamics.csv", every, **columns)
        if gain is not None:
            summary = {"si_sdr_mean": gain, "si_sdr_improvement_mean": gain + 1}
            (directory / "evaluation").mkdir()
            (directory / "evaluation" / "test.json").write_text(json.dumps({"summary": summary}))
        return RunFound(directory)

    return add


@pytest.fixture
def saved(monkeypatch):
    """The figures that are saved from now on, which are not written."""
    figures = []
    monkeypatch.setattr(
        "autoclip_sep.figures.style.save", lambda figure, *_: figures.append(figure)
    )
    return figures
