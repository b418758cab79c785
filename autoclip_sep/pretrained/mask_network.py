"""The layers between magnitudes and masks, for other programs: torch.export and ONNX.

The STFT stays outside: programs have their own. What it must be is in the files' metadata.
"""

import io
import json
import warnings
from copy import deepcopy
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from autoclip_sep.errors import InputError
from autoclip_sep.files import write_whole
from autoclip_sep.models.separator import Separator
from autoclip_sep.optional import require
from autoclip_sep.pretrained.model import Model

ONNX_FILE, EXPORTED_FILE = "model.onnx", "model.pt2"
OPSET = 17
BATCH, FRAMES = 2, 50  # of the example that exporters follow; any number may come later


class MaskNetwork(nn.Module):
    """Magnitudes (B, F, N) to masks (B, S, F, N), an embedding (B, K, D), or both, in this order.

    network: is put in evaluation mode.
    """

    def __init__(self, network: Separator) -> None:
        super().__init__()
        self.network = network
        self.eval()

    @property
    def outputs(self) -> list[str]:
        """The names of what it gives."""
        heads = {"masks": self.network.mask_head, "embedding": self.network.embedding_head}
        return [name for name, head in heads.items() if head is not None]

    def forward(self, magnitude: Tensor) -> tuple[Tensor, ...]:
        """Magnitudes of an STFT divided by its window's sum, see `STFT`."""
        logarithm = magnitude.clamp_min(self.network.magnitude_floor).log()
        features = self.network.norm(logarithm).transpose(1, 2)
        features = self.recurrent(features)
        heads = (self.network.mask_head, self.network.embedding_head)
        return tuple(head(features) for head in heads if head is not None)

    def recurrent(self, features: Tensor) -> Tensor:
        """(B, N, F) to what the heads take."""
        given: Tensor = self.network.blstm(features)
        return given


class Scanned(MaskNetwork):
    """The same with loops over the frames that torch.export can follow.

    It unrolls nn.LSTM over the frames of its example, which would fix their number.
    """

    def recurrent(self, features: Tensor) -> Tensor:
        """Layer by layer, each direction by a scan over the frames."""
        for layer in self.network.blstm.layers:
            ends = ("", "_reverse") if layer.bidirectional else ("",)
            features = torch.cat([_scan(layer, features, end) for end in ends], dim=-1)
        return features


def _scan(layer: nn.Module, features: Tensor, end: str) -> Tensor:
    """One direction of an LSTM layer: (B, N, inputs) to (B, N, hidden)."""
    from torch._higher_order_ops.scan import scan

    weight, recurrent = (getattr(layer, f"weight_{part}_l0{end}") for part in ("ih", "hh"))
    bias = getattr(layer, f"bias_ih_l0{end}") + getattr(layer, f"bias_hh_l0{end}")
    gates = functional.linear(features, weight, bias).transpose(0, 1)

    def step(state: tuple[Tensor, Tensor], given: Tensor) -> tuple[Any, Tensor]:
        hidden, cell = state
        i, f, g, o = (given + hidden @ recurrent.t()).chunk(4, dim=-1)
        cell = f.sigmoid() * cell + i.sigmoid() * g.tanh()
        hidden = o.sigmoid() * cell.tanh()
        return (hidden, cell), hidden.clone()

    zeros = features.new_zeros(features.shape[0], recurrent.shape[1])
    _, hidden = scan(step, (zeros, zeros.clone()), gates, reverse=bool(end))
    return hidden.transpose(0, 1)


def save_exported(model: Model, folder: Path) -> Path:
    """Write model.pt2, which `torch.export.load` reads; batch and frames may have any size."""
    network = Scanned(separator_of(model))
    shapes = {0: torch.export.Dim("batch"), 2: torch.export.Dim("frames")}
    content = io.BytesIO()
    with warnings.catch_warnings(), torch.no_grad():
        warnings.simplefilter("ignore")  # of torch's own exporter
        program = torch.export.export(network, _example(network), dynamic_shapes=(shapes,))
        torch.export.save(program, content, extra_files={"metadata.json": json.dumps(about(model))})
    return _write(folder / EXPORTED_FILE, content.getvalue())


def save_onnx(model: Model, folder: Path) -> Path:
    """Write model.onnx, of opset 17; batch and frames may have any size."""
    onnx = require("onnx", "writing ONNX")
    network = MaskNetwork(separator_of(model))
    axes = {
        "magnitude": {0: "batch", 2: "frames"}, "masks": {0: "batch", 3: "frames"},
        "embedding": {0: "batch", 1: "points"},
    }  # fmt: skip
    content = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        # Not through torch.export: ONNX has an LSTM, which is faster than a scan.
        torch.onnx.export(
            network, _example(network), cast(Any, content), dynamo=False, opset_version=OPSET,
            input_names=["magnitude"], output_names=network.outputs, dynamic_axes=axes,
        )  # fmt: skip
    made = onnx.load_from_string(content.getvalue())
    onnx.helper.set_model_props(made, about(model))
    onnx.checker.check_model(made)
    return _write(folder / ONNX_FILE, made.SerializeToString())


def about(model: Model) -> dict[str, str]:
    """How the magnitudes must be made, and at which sample rate."""
    stft = model.separation.stft
    return {
        "sample_rate": str(model.sample_rate),
        "window": "sqrt_hann, periodic, divided by its sum",
        "window_length": str(stft.window_length),
        "hop_length": str(stft.hop_length),
        "centred": "zeros at both ends, window_length / 2 of them",
        "points": "embedding[:, n * F + f] is that of frame n and bin f",
    }


def separator_of(model: Model) -> Separator:
    """A frozen copy of the network on the CPU; InputError where it has no mask network."""
    network = model.separation.model
    if not isinstance(network, Separator):
        raise InputError(
            f"{model.name}: {type(network).__name__} has no mask network between magnitudes and "
            "masks; formats=[safetensors] takes any network"
        )
    return deepcopy(network).cpu().requires_grad_(False)


def _example(network: MaskNetwork) -> tuple[Tensor]:
    return (torch.ones(BATCH, network.network.stft.bins, FRAMES),)


def _write(path: Path, content: bytes) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, content)
    return path
