"""SQUIM: STOI, PESQ and SI-SDR of speech as a network guesses them without a reference.

Source: Kumar et al., "TorchAudio-Squim: Reference-less speech quality and intelligibility measures"
(2023); weights of torchaudio's SQUIM_OBJECTIVE, trained on DNS 2020 at 16 kHz, CC BY 4.0.
References only tell which estimate belongs to which source. Recordings are resampled to 16 kHz,
never upwards.
"""

from collections.abc import Sequence
from pathlib import Path
from pickle import UnpicklingError
from typing import Any, ClassVar

import torch
from torch import Tensor

from autoclip_sep.audio.resampling import resample
from autoclip_sep.errors import InputError
from autoclip_sep.evaluation.per_source import PerChannel
from autoclip_sep.optional import require

WEIGHTS = "squim_objective_dns2020.pth"
URL = f"https://download.pytorch.org/torchaudio/models/{WEIGHTS}"


class Squim(PerChannel):
    """Raises InputError where torch's hub folder has no weights: nothing is downloaded."""

    name = "squim"
    scores: ClassVar = {
        "squim_stoi": "STOI (SQUIM)",
        "squim_pesq": "PESQ (SQUIM)",
        "squim_si_sdr": "SI-SDR (SQUIM)",
    }
    least_rate = 16000

    def __init__(self) -> None:
        self._model: Any = None

    def find(self) -> None:
        weights = Path(torch.hub.get_dir()) / "torchaudio" / "models" / WEIGHTS
        if not weights.is_file():
            raise InputError(f"metric squim: there are no weights at {weights}: get {URL}")
        self._load()

    def channel(self, estimate: Tensor, reference: Tensor, sample_rate: int) -> Sequence[float]:
        wave = resample(estimate.float().numpy(), sample_rate, self.least_rate)
        with torch.inference_mode():
            return [float(score) for score in self._load()(torch.from_numpy(wave)[None])]

    def _load(self) -> Any:
        """The network, loaded once in each process."""
        if self._model is None:
            pipelines: Any = require("torchaudio.pipelines", "SQUIM")
            try:
                self._model = pipelines.SQUIM_OBJECTIVE.get_model()
            except (EOFError, OSError, RuntimeError, UnpicklingError, ValueError) as error:
                raise InputError(f"metric squim: {WEIGHTS} is damaged: get {URL} again") from error
        return self._model

    def __getstate__(self) -> dict[str, Any]:
        return self.__dict__ | {"_model": None}
