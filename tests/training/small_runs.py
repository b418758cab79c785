"""A trainer of a small network on a tiny store, and the files and states of its runs."""

from functools import partial

import torch
from torch import nn
from torch.optim.lr_scheduler import (
    ConstantLR,
    CosineAnnealingLR,
    LinearLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

from autoclip_sep.clipping import ALRC, AutoClip, NoClipping
from autoclip_sep.losses.mask_inference import MaskInference
from autoclip_sep.losses.si_sdr import SISDR
from autoclip_sep.models.conv_tasnet import ConvTasNet
from autoclip_sep.models.separator import Separator
from autoclip_sep.runs.checkpoint import CheckpointFolder
from autoclip_sep.stft import STFT
from autoclip_sep.training.loggers.base import NoLogger
from autoclip_sep.training.network import prepare
from autoclip_sep.training.parts import Parts
from autoclip_sep.training.schedulers import Schedule
from autoclip_sep.training.settings import Settings
from autoclip_sep.training.trainer import Trainer
from autoclip_sep.types import Estimate
from tests.clipping.conftest import CLIPPERS as EVERY

SCHEDULES = {  # an epoch has few steps: rates change within it and between epochs
    "plateau": (partial(ReduceLROnPlateau, factor=0.5, patience=0), "epoch", "valid_loss"),
    "si_sdr": (partial(ReduceLROnPlateau, patience=0, mode="max"), "epoch", "valid_si_sdr"),
    "constant": (partial(ConstantLR, factor=1.0, total_iters=0),),
    "cosine": (partial(CosineAnnealingLR, T_max=3), "epoch"),
    "cosine by steps": (partial(CosineAnnealingLR, T_max=20), "step"),
    "step": (partial(StepLR, step_size=1, gamma=0.5), "epoch"),
    "warmup_cosine": (
        partial(
            SequentialLR,
            schedulers=[partial(LinearLR, total_iters=3), partial(CosineAnnealingLR, T_max=20)],
            milestones=[3],
        ),
        "step",
    ),
}


class Filter(nn.Module):
    """One filter per source."""

    def __init__(self):
        super().__init__()
        self.filters = nn.Conv1d(1, 2, 31, padding="same")

    def forward(self, batch):
        return Estimate(waveforms=self.filters(batch.mixture).unsqueeze(2))


NETWORKS = {
    "filter": Filter,
    "conv_tasnet": partial(ConvTasNet, filters=16, bottleneck=8, hidden=16, layers=2, stacks=2),
}
ADAM = partial(torch.optim.Adam, lr=0.01, fused=True)
CLIPPERS = {"none": NoClipping, "autoclip": lambda: AutoClip(25), "alrc": ALRC}
ALL_CLIPPERS = {**EVERY, **CLIPPERS}


class Stop(Exception):
    """A crash, from the test."""


class Hooked:
    """A loss, times a factor, with an action at its n-th call in training."""

    def __init__(self, objective, at=None, action=None, factor=1.0):
        self.objective = objective
        self.calls, self.at, self.action, self.factor = 0, at, action, factor

    def __call__(self, estimate, batch):
        loss = self.factor * self.objective(estimate, batch)
        if torch.is_grad_enabled():
            self.calls += 1
            if self.calls == self.at:
                return self.action(loss)
        return loss


def trainer(
    directory, store, clipper="autoclip", *, epochs=3, at=None, action=None, schedule="plateau",
    network=(), optimizer=ADAM, factor=1.0, **settings,
):  # fmt: skip
    """network: settings of the LSTM network, or the name of one that gives waveforms."""
    torch.manual_seed(5)
    stft = STFT()
    if isinstance(network, str):
        model, objective = NETWORKS[network](), SISDR()
    else:
        model = Separator(stft, ["masks"], **{"hidden": 8, "layers": 2, **dict(network)})
        objective = MaskInference(stft)
    optimizer = optimizer(model.parameters())
    made = clipper if callable(clipper) else ALL_CLIPPERS[clipper]
    make, *when = SCHEDULES[schedule]
    parts = Parts(
        model, Hooked(objective, at, action, factor), made(), optimizer,
        Schedule(make, optimizer, *when), stft, store.split("train"), store.split("valid"),
        NoLogger(),
    )  # fmt: skip
    defaults = {"record_every": 2, "batch_size": 4, "segment": 3200, "progress": False}
    numbers = Settings(epochs=epochs, **{**defaults, **settings})
    prepare(model, numbers, torch.device("cpu"))
    return Trainer(parts, numbers, directory, 3, torch.device("cpu"))


def everything(directory):
    """The last state and the records of a run, without timing and environment."""
    state, _ = CheckpointFolder(directory / "checkpoints").newest("last")
    files = {
        name: (directory / f"{name}.csv").read_text(encoding="utf-8")
        for name in ("dynamics", "spikes", "history")
    }
    state.pop("environment")
    return state, files


def crash(_):
    raise Stop
