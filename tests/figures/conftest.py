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


BLSTM = {"_target_": "autoclip_sep.models.BLSTM", "layers": 2, "hidden": 128}


@pytest.fixture
def add_run(tmp_path):
    """A function that writes a run below tmp_path and returns it.

    Its epochs have 10 steps. norms, thresholds: of dynamics.csv, a row every 5 steps. shares:
    clipped_share by epoch. losses: training loss by epoch, the validation loss is one higher.
    """

    def add(
        label="autoclip_p10", seed=0, gain=None, *, loss="mask_inference", corpus="demo",
        model="blstm_demo", network=BLSTM, changed="", epochs=2, done=None, shares=None,
        losses=None, norms=(4.0, 1.0, 2.0, 3.0), thresholds=None, commit="abc1234567",
    ):  # fmt: skip
        name = f"seed{seed}" + (f"-{changed}" if changed else "")
        directory = tmp_path / corpus / loss / model / label / name
        directory.mkdir(parents=True)
        run_directory.write_config(directory, {
            "seed": seed, "clipping": clipping(label), "model": network,
            "trainer": {"epochs": epochs, "batch_size": 4},
        })  # fmt: skip
        came = {"commit": commit, "device": "a CPU", "date": "2026-01-02", "fingerprint": "f" * 64}
        (directory / "provenance.json").write_text(json.dumps(came))
        done = epochs if done is None else done
        _history(directory, done, shares or [0.5] * done, losses or [2.0] * done)
        _dynamics(directory, norms, thresholds or [math.inf] * len(norms))
        if gain is not None:
            summary = {"si_sdr_mean": gain, "si_sdr_improvement_mean": gain + 1}
            (directory / "evaluation").mkdir()
            (directory / "evaluation" / "test.json").write_text(json.dumps({"summary": summary}))
        return RunFound(directory)

    return add


def _history(directory, done, shares, losses):
    file = Records(directory / "history.csv", HISTORY)
    for n in range(done):
        file.append({
            "epoch": n + 1, "step": 10 * (n + 1), "train_loss": losses[n], "lr": 1e-3,
            "valid_loss": losses[n] + 1, "valid_si_sdr": 0.0, "clipped_share": shares[n],
            "skipped": 0,
        })  # fmt: skip


def _dynamics(directory, norms, thresholds):
    file = Records(directory / "dynamics.csv", COLUMNS)
    for n, (norm, threshold) in enumerate(zip(norms, thresholds, strict=True)):
        file.append({
            "step": 5 * (n + 1), "epoch": 1, "loss": 1.0, "grad_norm": norm, "step_norm": 0.1,
            "threshold": threshold, "scale": min(threshold / norm, 1.0) if norm else 1.0,
            "smoothness": 1.0, "lr": 1e-3, "skipped": 0,
        })  # fmt: skip
