"""One contract over all objectives: shape, heads, silence, channels, precision, gradients."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from autoclip_sep.errors import InputError
from autoclip_sep.losses.chimera import Chimera
from autoclip_sep.losses.deep_clustering import DeepClustering
from autoclip_sep.losses.mask_inference import MaskInference
from autoclip_sep.losses.si_sdr import SISDR
from autoclip_sep.losses.snr import SNR
from autoclip_sep.losses.whitened_kmeans import WhitenedKMeans
from autoclip_sep.masks import frame_major, ideal_binary_mask
from autoclip_sep.models.separator import Separator
from autoclip_sep.stft import STFT
from autoclip_sep.types import Batch, Estimate

STFT_64 = STFT(64, 16)
OBJECTIVES: dict[str, Any] = {
    "mask_inference": MaskInference(STFT_64),
    "deep_clustering": DeepClustering(STFT_64),
    "whitened_kmeans": WhitenedKMeans(STFT_64),
    "chimera": Chimera(STFT_64),
    "snr": SNR(),
    "si_sdr": SISDR(),
}
CONFIGS = Path(__file__).parents[2] / "autoclip_sep" / "configs" / "loss"
every_objective = pytest.mark.parametrize("name", sorted(OBJECTIVES))


def heads(name: str) -> list[str]:
    """Those of the loss' config."""
    loaded: list[str] = yaml.safe_load((CONFIGS / f"{name}.yaml").read_text())["heads"]
    return loaded


def network(name: str) -> Separator:
    torch.manual_seed(0)
    return Separator(STFT_64, heads(name), hidden=8, layers=1, embedding_size=4, dropout=0.0)


def batch_of(sources: torch.Tensor) -> Batch:
    lengths = torch.full((len(sources),), sources.shape[-1])
    return Batch(sources.sum(dim=1), sources, lengths, tuple(map(str, range(len(sources)))))


def speech(batch: int = 3, channels: int = 1, seed: int = 0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return 0.1 * torch.randn(batch, 2, channels, 400, generator=generator)


@every_objective
def test_every_loss_has_a_config_and_one_value_per_example(name: str) -> None:
    batch = batch_of(speech())
    loss = OBJECTIVES[name](network(name)(batch), batch)
    assert loss.shape == (3,)
    assert loss.dtype == torch.float32
    assert {path.stem for path in CONFIGS.glob("*.yaml")} == set(OBJECTIVES)


@every_objective
def test_a_head_that_is_not_there_is_asked_for_by_name(name: str) -> None:
    batch = batch_of(speech())
    for head in heads(name):
        estimate = replace(network(name)(batch), **{head: None})
        with pytest.raises(InputError, match=f"the network gives no {head}"):
            OBJECTIVES[name](estimate, batch)


@every_objective
def test_loss_falls_along_its_gradient(name: str) -> None:
    batch = batch_of(speech())
    model = network(name)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    losses = []
    for _ in range(15):
        optimizer.zero_grad()
        loss = OBJECTIVES[name](model(batch), batch).mean()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    assert losses[-1] < losses[0]


@every_objective
@pytest.mark.parametrize(
    "silent", ["one reference", "all", "estimate", "all and estimate", "the batch"]
)
def test_silence_is_finite_in_value_and_gradient(name: str, silent: str) -> None:
    sources = speech()
    if silent == "the batch":
        sources[:] = 0
    elif silent == "one reference":
        sources[1, 0] = 0
    elif silent.startswith("all"):
        sources[1] = 0
    batch = batch_of(sources)
    model = network(name)
    if "estimate" in silent:
        with torch.no_grad():  # the sigmoid of -200 is 0 in float32
            for head in filter(None, (model.mask_head, model.embedding_head)):
                head.linear.weight.zero_()
                head.linear.bias.fill_(-200)
    loss = OBJECTIVES[name](model(batch), batch)
    loss.mean().backward()
    assert loss.isfinite().all()
    gradients = [p.grad for p in model.parameters()]
    assert all(g is not None and g.isfinite().all() for g in gradients)


@every_objective
def test_channels_are_averaged(name: str) -> None:
    left, right = speech(seed=1), speech(seed=2)
    model = network(name).eval()
    both, first, second = (batch_of(x) for x in (torch.cat([left, right], 2), left, right))
    objective = OBJECTIVES[name]
    expected = (objective(model(first), first) + objective(model(second), second)) / 2
    torch.testing.assert_close(objective(model(both), both), expected)


@every_objective
def test_bfloat16_network_has_a_float32_loss(name: str) -> None:
    """The objective computes the same under autocast as outside it."""
    batch = batch_of(speech())
    model = network(name)
    with torch.autocast("cpu", torch.bfloat16):
        estimate = model(batch)
        inside = OBJECTIVES[name](estimate, batch)
    assert inside.dtype == torch.float32
    assert torch.equal(inside, OBJECTIVES[name](estimate, batch))


def test_chimera_is_the_weighted_sum() -> None:
    batch = batch_of(speech())
    estimate = network("chimera")(batch)
    masks, embedding = (
        OBJECTIVES[n](estimate, batch) for n in ("mask_inference", "whitened_kmeans")
    )
    torch.testing.assert_close(
        OBJECTIVES["chimera"](estimate, batch), 0.75 * masks + 0.25 * embedding
    )
    torch.testing.assert_close(Chimera(STFT_64, alpha=0.0)(estimate, batch), embedding)
    torch.testing.assert_close(Chimera(STFT_64, alpha=1.0)(estimate, batch), masks)


@pytest.mark.parametrize("alpha", [-0.1, 1.1, float("nan")])
def test_chimera_refuses_other_alphas(alpha: float) -> None:
    with pytest.raises(InputError, match="alpha"):
        Chimera(STFT_64, alpha=alpha)


@pytest.mark.parametrize("kind", [DeepClustering, WhitenedKMeans])
def test_only_unweighted_losses_look_at_silence(kind: Any) -> None:
    """Embeddings that are right where there is sound and wrong where there is none."""
    sources = speech()
    sources[..., 200:] = 0
    batch = batch_of(sources)
    mixture_stft = STFT_64.transform(batch.mixture)
    embedding = frame_major(ideal_binary_mask(STFT_64.transform(sources)[:, :, 0]))
    silent = frame_major(mixture_stft[:, 0].abs()) == 0
    embedding[silent] = embedding[silent].flip(-1)
    estimate = Estimate(mixture_stft, embedding=embedding.unsqueeze(1))
    assert kind(STFT_64)(estimate, batch).max() < 1e-6
    assert kind(STFT_64, weighted=False)(estimate, batch).min() > 0.1
