"""A network of ours as nussl's SeparationModel, for DeepMaskEstimation and DeepClustering.

Masks and embeddings are the same where the mixture's length is a multiple of the hop; otherwise
nussl's STFT has one frame more, which bidirectional layers hear. Importing this module imports
nussl.
"""

import io
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch

from autoclip_sep.errors import InputError
from autoclip_sep.interop.nussl import nussl
from autoclip_sep.interop.nussl_weights import to_nussl
from autoclip_sep.models.separator import Separator

MIX = "mix_magnitude"
transforms: Any = nussl.datasets.transforms


def separation_model(network: Separator) -> Any:
    """nussl's SeparationModel with the network's weights, in evaluation mode, on the CPU.

    Raises InputError for layers that aren't bidirectional.
    """
    if not all(layer.bidirectional for layer in network.blstm.layers):
        raise InputError("nussl: only networks with bidirectional layers are exported")
    sources = network.mask_head.sources if network.mask_head is not None else None
    weights = {key: value.detach().cpu() for key, value in network.state_dict().items()}
    model = nussl.ml.SeparationModel(_config(network, "norm.weight" in weights))
    model.load_state_dict(to_nussl(weights, layers=len(network.blstm.layers), sources=sources))
    return model.eval()


def checkpoint(network: Separator, sample_rate: int, name: str = "autoclip_sep") -> bytes:
    """The file that nussl's ``model_path=`` reads.

    sample_rate: of the corpus, in Hz. name: the corpus'. Since torch 2.6 nussl reads it, or any
    checkpoint of its own, only inside `loadable`.
    """
    stft = nussl.STFTParams(network.stft.window_length, network.stft.hop_length, "sqrt_hann")
    shared = {"sample_rate": sample_rate, "num_channels": 1, "stft_params": stft}
    chain = transforms.Compose(
        [transforms.MagnitudeSpectrumApproximation(), transforms.ToSeparationModel()]
    )
    metadata = {**shared, "train_dataset": {
        **shared, "name": name, "folder": "", "transforms": chain,
    }}  # fmt: skip
    content = io.BytesIO()
    separation_model(network).save(content, metadata)
    return content.getvalue()


def loadable() -> AbstractContextManager[None]:
    """Lets torch.load read the classes of nussl that `checkpoint` writes, and no others."""
    known: Sequence[Any] = [
        nussl.STFTParams, transforms.Compose, transforms.MagnitudeSpectrumApproximation,
        transforms.ToSeparationModel,
    ]  # fmt: skip
    return torch.serialization.safe_globals(list(known))


def _config(network: Separator, normalised: bool) -> dict[str, Any]:
    """As nussl's builders make it, with our floor."""
    bins = network.stft.bins
    lstm: Any = network.blstm.layers[0]
    mask, embedding = network.mask_head, network.embedding_head
    above = "normalization" if normalised else "log_spectrogram"
    modules: dict[str, Any] = {
        MIX: {},
        "log_spectrogram": {"class": "AmplitudeToDB"},
        "recurrent_stack": {"class": "RecurrentStack", "args": {
            "num_features": bins, "hidden_size": lstm.hidden_size,
            "num_layers": len(network.blstm.layers), "bidirectional": True,
            "dropout": network.blstm.dropout.p, "rnn_type": "lstm",
        }},
    }  # fmt: skip
    connections: list[Any] = [["log_spectrogram", [MIX, {"amin": network.magnitude_floor}]]]
    if normalised:
        modules["normalization"] = {"class": "BatchNorm", "args": {"num_features": bins}}
        connections.append(["normalization", ["log_spectrogram"]])
    connections.append(["recurrent_stack", [above]])
    heads = {"embedding": (embedding, ["sigmoid", "unit_norm"]), "mask": (mask, ["sigmoid"])}
    for name, (head, activation) in heads.items():
        if head is not None:
            modules[name] = {"class": "Embedding", "args": {
                "num_features": bins, "hidden_size": 2 * lstm.hidden_size,
                "embedding_size": head.linear.out_features // bins, "activation": activation,
                "num_audio_channels": 1,
            }}  # fmt: skip
            connections.append([name, ["recurrent_stack"]])
    output = [name for name, (head, _) in heads.items() if head is not None]
    if mask is not None:
        modules["estimates"] = {"class": "Mask"}
        connections.append(["estimates", ["mask", MIX]])
        output.append("estimates")
    names = {"mask": "MaskInference", "embedding": "DeepClustering"}
    name = "Chimera" if mask is not None and embedding is not None else names[output[0]]
    return {"name": name, "modules": modules, "connections": connections, "output": output}
