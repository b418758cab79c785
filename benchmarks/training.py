"""One training step: forward, loss, backward, clip, Adam. The batch lies ready.

Ours and the plain loop start from waveforms, so that STFT and targets are in their time; nussl's
closure gets what its workers would have made. Dropout is off, so that all three compute the same.
"""

from collections.abc import Callable, Iterator
from functools import partial
from itertools import permutations
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_

from autoclip_sep.clipping import AutoClip
from autoclip_sep.losses.deep_clustering import DeepClustering
from autoclip_sep.losses.mask_inference import MaskInference, truncated_phase_sensitive_target
from autoclip_sep.masks import frame_major, ideal_binary_mask, magnitude_weight
from autoclip_sep.models.separator import Separator
from autoclip_sep.stft import STFT
from autoclip_sep.training.half_precision import autocast_dtype
from autoclip_sep.types import Batch
from benchmarks.floor import Floor
from benchmarks.harness import Row, Settings, Work, installed, rows
from benchmarks.losses import plain_clustering, plain_masks

BINS, HOP, SOURCES, SIZE = 129, 64, 2, 20
SIZES = ((300, 25, 400), (128, 16, 200))  # hidden units of two layers, batch, frames
BIG = 1e30  # a threshold that nothing is clipped to
HEADS = {"mask inference": "masks", "deep clustering": "embedding"}
Outcome = tuple[float | Tensor, float | Tensor]  # loss, norm of its gradient


@rows()
def step(at: Settings) -> Iterator[Row]:
    """Both losses at both sizes, against nussl's step and against the LSTMs alone."""
    for hidden, batch_size, frames in at.of(SIZES, ((8, 2, 20),)):
        for loss, head in HEADS.items():
            torch.manual_seed(0)
            network = separator(head, hidden).to(at.device)
            batch = noise(batch_size, frames, at.device)
            features = torch.randn(batch_size, frames, BINS, device=at.device)
            recurrent = "LSTMs" if head == "masks" else "LSTMs and the head's matrix products"
            sides: dict[str, Work | None] = {
                "nussl": installed("nussl", partial(nussl, network, batch, head)),
                "plain PyTorch": plain(network, batch, head),
                "ours": ours(network, batch, head),
                f"{recurrent} alone": layers_alone(network, features, head),
            }
            yield Row(
                f"{loss}, 2 × {hidden}, {batch_size} × {frames} frames",
                sides,
                parts=frozenset({f"{recurrent} alone"}),
                tolerance=1e-3,
                floor=Floor(operations=3 * operations(network, batch_size * frames)),
                items=batch_size,
                of="mixtures",
            )


@rows()
def bfloat16(at: Settings) -> Iterator[Row]:
    """trainer.precision=bf16, where the device has it."""
    if autocast_dtype("auto", at.device) is None:
        return
    hidden, batch_size, frames = at.of(SIZES[0], (8, 2, 20))
    torch.manual_seed(0)
    network, batch = separator("masks", hidden).to(at.device), noise(batch_size, frames, at.device)
    yield Row(
        f"bfloat16: mask inference, 2 × {hidden}, {batch_size} × {frames} frames",
        {
            "ours, float32": ours(network, batch, "masks"),
            "ours, bfloat16": ours(network, batch, "masks", torch.bfloat16),
        },
        tolerance=0.05,
        items=batch_size,
        of="mixtures",
    )


def separator(head: str, hidden: int, layers: int = 2) -> Separator:
    """The paper's network, without dropout."""
    return Separator(STFT(hop_length=HOP), [head], hidden=hidden, layers=layers, dropout=0.0)


def noise(batch: int, frames: int, device: torch.device) -> Batch:
    """Mixtures of two noises, one louder than the other from moment to moment."""
    length = (frames - 1) * HOP
    loudness = torch.rand(batch, SOURCES, 1, -(-length // 800)).repeat_interleave(800, dim=-1)
    sources = (0.1 * loudness[..., :length] * torch.randn(batch, SOURCES, 1, length)).to(device)
    lengths = torch.full((batch,), length, device=device)
    return Batch(sources.sum(dim=1), sources, lengths, tuple(map(str, range(batch))))


def operations(network: Separator, frames: int) -> float:
    """Of the matrix products of LSTMs and head, forward; the backward pass has twice as many."""
    matrices = [p for name, p in network.named_parameters() if p.ndim == 2]
    return 2.0 * frames * sum(matrix.numel() for matrix in matrices)


def copy_of(network: Separator) -> Separator:
    """The same network, with weights of its own to be trained."""
    hidden = int(network.blstm.outputs) // 2
    copy = separator(next(iter(network.heads)), hidden, len(network.blstm.layers))
    copy.load_state_dict(network.state_dict())
    return copy.to(next(network.parameters()).device)


def ours(
    network: Separator, batch: Batch, head: str, dtype: torch.dtype | None = None
) -> Callable[[], Outcome]:
    """As the trainer does it."""
    model, clipper = copy_of(network), AutoClip(10)
    objective = objective_of(head, model.stft)
    adam = torch.optim.Adam(model.parameters(), fused=True)

    def call() -> Outcome:
        with torch.autocast(batch.mixture.device.type, dtype, enabled=dtype is not None):
            estimate = model(batch)
        loss = objective(estimate, batch).mean()
        loss.backward()
        clip = clipper.clip_gradients(model.named_parameters())
        if clip.finite:
            adam.step()
        adam.zero_grad(set_to_none=True)
        return loss.detach(), clip.norm

    return call


def objective_of(head: str, stft: STFT) -> MaskInference | DeepClustering:
    """The loss that trains a head."""
    return MaskInference(stft) if head == "masks" else DeepClustering(stft)


class Plain(nn.Module):
    """The same network in torch's own modules, with its weights."""

    def __init__(self, network: Separator, head: str) -> None:
        super().__init__()
        layers = network.blstm.layers
        hidden = int(network.blstm.outputs) // 2
        outputs = BINS * (SOURCES if head == "masks" else SIZE)
        self.norm = nn.BatchNorm1d(BINS)
        self.lstm = nn.LSTM(BINS, hidden, len(layers), batch_first=True, bidirectional=True)
        self.linear = nn.Linear(2 * hidden, outputs)
        self.norm.load_state_dict(network.norm.state_dict())
        self.lstm.load_state_dict({
            name.replace("_l0", f"_l{i}"): weight
            for i, layer in enumerate(layers) for name, weight in layer.state_dict().items()
        })  # fmt: skip
        own = network.mask_head if head == "masks" else network.embedding_head
        assert own is not None
        self.linear.load_state_dict(own.linear.state_dict())

    def forward(self, spectrum: Tensor) -> Tensor:
        """(B, F, N) complex to (B, N, outputs) in (0, 1)."""
        features = self.norm(spectrum.abs().clamp_min(1e-8).log())
        hidden: Tensor = self.linear(self.lstm(features.mT)[0])
        return hidden.sigmoid()


def plain(network: Separator, batch: Batch, head: str) -> Callable[[], Outcome]:
    """The loop as one would write it, with torch.stft, nn.LSTM and clip_grad_norm_."""
    model = Plain(network, head).to(batch.mixture.device)
    adam = torch.optim.Adam(model.parameters())
    window = torch.hann_window(256, device=batch.mixture.device).sqrt()
    window = window / window.sum()

    def spectra(waveforms: Tensor) -> Tensor:
        found = torch.stft(
            waveforms.flatten(0, -2), 256, HOP, window=window, pad_mode="constant",
            return_complex=True,
        )  # fmt: skip
        return found.unflatten(0, waveforms.shape[:-1])

    def call() -> Outcome:
        mixture, sources = spectra(batch.mixture[:, 0]), spectra(batch.sources[:, :, 0])
        found = model(mixture)
        if head == "masks":
            masks = found.unflatten(-1, (SOURCES, BINS)).permute(0, 2, 3, 1)
            loss = plain_masks(masks, mixture, sources).mean()
        else:
            embedding = nn.functional.normalize(found.unflatten(-1, (BINS, SIZE)), dim=-1)
            loudest = sources.abs().argmax(dim=1).mT.flatten(1)
            assignment = nn.functional.one_hot(loudest, SOURCES).float()
            weight = mixture.abs().mT.flatten(1)
            weight = weight / weight.sum(dim=1, keepdim=True)
            loss = plain_clustering(embedding.flatten(1, 2), assignment, weight).mean()
        loss.backward()
        norm = clip_grad_norm_(model.parameters(), BIG)
        adam.step()
        adam.zero_grad()
        return loss.detach(), norm

    return call


class Clips:
    """What nussl's closure takes for its engine: clips when the gradients are there."""

    state = None

    def __init__(self, model: nn.Module) -> None:
        self.model, self.norm = model, torch.zeros(())

    def fire_event(self, _: object) -> None:
        """The closure's only event in a step."""
        self.norm = clip_grad_norm_(self.model.parameters(), BIG)


def nussl(network: Separator, batch: Batch, head: str, package: Any) -> Callable[[], Outcome]:
    """nussl's TrainClosure, on features that lie ready and in the right order of the sources."""
    from autoclip_sep.interop.nussl_export import separation_model

    model: Any = separation_model(network).to(batch.mixture.device).train()
    stft, engine = network.stft, Clips(model)
    mixture, sources = stft.transform(batch.mixture[:, 0]), stft.transform(batch.sources[:, :, 0])
    by_frame = (0, 3, 2, 1)  # (B, S, F, N) to (B, N, F, S)
    data = {"mix_magnitude": mixture.abs().mT.unsqueeze(-1)}
    if head == "masks":
        target = truncated_phase_sensitive_target(mixture, sources)
        with torch.no_grad():
            network.train()
            masks = network(batch).head("masks")[:, :, 0]
        target = best_order(masks * mixture.abs().unsqueeze(1), target)
        data["source_magnitudes"] = target.permute(by_frame).unsqueeze(-2)
        losses: dict[str, Any] = {"L1Loss": {}}
    else:
        data["ideal_binary_mask"] = frame_major(ideal_binary_mask(sources))
        data["weights"] = magnitude_weight(mixture).sqrt()
        losses = {"DeepClusteringLoss": {}}
    adam = torch.optim.Adam(model.parameters())
    closure = package.ml.train.closures.TrainClosure(losses, adam, model)
    return lambda: (closure(engine, dict(data))["loss"], engine.norm)


def best_order(estimate: Tensor, target: Tensor) -> Tensor:
    """The targets (B, S, F, N) in the order that is nearest to the estimates."""
    orders = [target[:, list(order)] for order in permutations(range(target.shape[1]))]
    costs = torch.stack([(estimate - one).abs().mean(dim=(1, 2, 3)) for one in orders])
    return torch.stack(orders)[costs.argmin(dim=0), torch.arange(len(target))]


def layers_alone(network: Separator, features: Tensor, head: str) -> Work:
    """Forward and backward of the LSTMs and, for embeddings, the linear layer above them.

    A linear layer costs three matrix products: forward, and two gradients.
    """
    model = copy_of(network)
    linear = model.embedding_head.linear if model.embedding_head is not None else nn.Identity()

    def call() -> None:
        found = linear(model.blstm(features))
        found.backward(found.detach())
        model.zero_grad(set_to_none=True)

    return call
