"""Networks of ours in nussl, and nussl's in this package: the same masks and embeddings."""

import io
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from autoclip_sep.errors import InputError
from autoclip_sep.interop import nussl_checkpoint, nussl_export
from autoclip_sep.interop.nussl import nussl, to_batch
from autoclip_sep.models.separator import Separator
from autoclip_sep.pretrained import from_pretrained, save_pretrained
from autoclip_sep.stft import STFT

RATE, WINDOW, HOP = 8000, 128, 32
BINS = WINDOW // 2 + 1
CLOSE: dict[str, Any] = {"rtol": 0, "atol": 1e-4}

builders = nussl.ml.networks.builders
transforms = nussl.datasets.transforms

SHARED = {
    "num_features": BINS,
    "hidden_size": 6,
    "num_layers": 2,
    "bidirectional": True,
    "dropout": 0.3,
}
MASKS = {"num_sources": 3, "mask_activation": ["sigmoid"]}
EMBEDDING = {"embedding_size": 5, "embedding_activation": ["sigmoid", "unit_norm"]}


def mixture(channels: int = 1) -> Any:
    """Mostly loud, with a stretch below nussl's floor; its length is a multiple of the hop."""
    samples = torch.randn(channels, 50 * HOP, generator=torch.Generator().manual_seed(3))
    samples[:, 600:1000] *= 1e-6
    return nussl.AudioSignal(audio_data_array=samples.double().numpy(), sample_rate=RATE)


def randomise(network: torch.nn.Module) -> None:
    """Weights and running statistics that no default has."""
    with torch.no_grad():
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                value.copy_(torch.rand_like(value) - (0 if key.endswith("var") else 0.5))


def ours(heads: list[str], **options: Any) -> Separator:
    network = Separator(STFT(WINDOW, HOP), heads, 3, 6, 2, embedding_size=5, **options)
    randomise(network)
    return network.eval()


def theirs(config: dict[str, Any], path: Path, window: str | None = None, *more: Any) -> Any:
    """A model of nussl, saved as its trainer does."""
    model = nussl.ml.SeparationModel(config)
    randomise(model)
    params = nussl.STFTParams(WINDOW, HOP, window)
    chain = transforms.Compose([
        transforms.PhaseSensitiveSpectrumApproximation(), transforms.GetExcerpt(50), *more,
        transforms.ToSeparationModel(),
    ])  # fmt: skip
    shared = {"stft_params": params, "sample_rate": RATE, "num_channels": 1}
    dataset = {**shared, "name": "Mix", "folder": "/somewhere", "transforms": chain}
    history = {"validation/loss": [np.float64(1.5)]}
    model.save(str(path), {
        **shared, "train_dataset": dataset, "trainer.state.epoch_history": history,
    })  # fmt: skip
    return model.eval()


def of(network: Separator, signal: Any) -> Any:
    with torch.no_grad():
        return network(to_batch(signal))


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("options", [{}, {"batch_norm": False}, {"magnitude_floor": 1e-3}])
@pytest.mark.parametrize("heads", [["masks"], ["waveforms"], ["masks", "embedding"]])
def test_nussls_mask_estimation_gives_our_masks(
    tmp_path: Path, heads: list[str], options: dict[str, Any], channels: int
) -> None:
    network, signal = ours(heads, **options), mixture(channels)
    (tmp_path / "model.pth").write_bytes(nussl_export.checkpoint(network, RATE))

    with nussl_export.loadable():
        estimation = nussl.separation.deep.DeepMaskEstimation(signal, str(tmp_path / "model.pth"))
    estimation.run()

    masks = torch.stack([torch.from_numpy(m.mask) for m in estimation.result_masks])  # (S, F, N, C)
    expected = of(network, mixture(channels)).masks[0].permute(0, 2, 3, 1)
    torch.testing.assert_close(masks.float(), expected, **CLOSE)
    assert expected.std() > 0.05


@pytest.mark.parametrize("heads", [["embedding"], ["masks", "embedding"]])
def test_nussls_deep_clustering_clusters_our_embedding(tmp_path: Path, heads: list[str]) -> None:
    network, signal = ours(heads), mixture()
    (tmp_path / "model.pth").write_bytes(nussl_export.checkpoint(network, RATE))

    with nussl_export.loadable():
        clustering = nussl.separation.deep.DeepClustering(signal, 3, str(tmp_path / "model.pth"))
    clustering.run()

    found = torch.from_numpy(clustering.features)[:, :, 0]  # (F, N, D)
    expected = of(network, mixture()).embedding[0, 0].unflatten(0, (-1, BINS)).transpose(0, 1)
    torch.testing.assert_close(found.float(), expected, **CLOSE)
    assert len(clustering.result_masks) == 3


@pytest.mark.parametrize("window", [None, "sqrt_hann"])
@pytest.mark.parametrize("norm", [{}, {"num_features": BINS}, {"affine": False, "eps": 0.1}])
@pytest.mark.parametrize(
    ("build", "arguments"),
    [
        (builders.build_recurrent_mask_inference, MASKS),
        (builders.build_recurrent_dpcl, EMBEDDING),
        (builders.build_recurrent_chimera, {**MASKS, **EMBEDDING}),
    ],
)
def test_a_checkpoint_of_nussls_builders_gives_its_masks_and_embedding(
    tmp_path: Path, build: Any, arguments: dict[str, Any], norm: dict[str, Any], window: str | None
) -> None:
    config = build(**SHARED, **arguments, normalization_args=norm)
    model = theirs(config, tmp_path / "best.model.pth", window)

    network, found = nussl_checkpoint.load(tmp_path / "best.model.pth")

    signal = mixture()
    signal.stft_params = nussl.STFTParams(WINDOW, HOP, "sqrt_hann")
    magnitude = torch.from_numpy(abs(signal.stft())).float().permute(2, 1, 0)[..., None]
    with torch.no_grad():
        expected = model({"mix_magnitude": magnitude})
    estimate = of(network, mixture())
    assert found.sample_rate == RATE
    if "mask" in expected:
        masks = expected["mask"][0, :, :, 0].permute(2, 1, 0)  # (N, F, S) to (S, F, N)
        torch.testing.assert_close(estimate.masks[0, :, 0], masks, **CLOSE)
    if "embedding" in expected:
        torch.testing.assert_close(
            estimate.embedding[0, 0], expected["embedding"][0, :, :, 0].flatten(0, 1), **CLOSE
        )


def test_a_checkpoint_is_a_model_by_its_path_and_can_be_kept_as_a_folder(tmp_path: Path) -> None:
    theirs(builders.build_recurrent_mask_inference(**SHARED, **MASKS), tmp_path / "m.pth")

    model = from_pretrained(tmp_path / "m.pth")
    again = from_pretrained(save_pretrained(model, tmp_path / "folder"))

    assert (model.sample_rate, model.separation.sources) == (RATE, 3)
    samples = torch.randn(1, 1000)
    torch.testing.assert_close(model.separate(samples), again.separate(samples))


def test_our_own_export_comes_back(tmp_path: Path) -> None:
    network = ours(["masks", "embedding"], magnitude_floor=1e-6)
    (tmp_path / "m.pth").write_bytes(nussl_export.checkpoint(network, RATE))

    back, _ = nussl_checkpoint.load(tmp_path / "m.pth")

    torch.testing.assert_close(of(back, mixture()).masks, of(network, mixture()).masks, **CLOSE)


MI = builders.build_recurrent_mask_inference


@pytest.mark.parametrize(
    ("build", "changes", "named"),
    [
        (MI, {"bidirectional": False}, "recurrent_stack.bidirectional"),
        (MI, {"rnn_type": "gru"}, "recurrent_stack.rnn_type"),
        (MI, {"mask_activation": ["softmax"]}, "mask.activation"),
        (MI, {"normalization_class": "InstanceNorm"}, "InstanceNorm of each mixture by itself"),
        (MI, {"normalization_args": {"track_running_stats": False}}, "BatchNorm of each mixture"),
        (MI, {"num_audio_channels": 2}, "mask.num_audio_channels"),
        (MI, {"normalization_class": "ShiftAndScale"}, "module normalization"),
    ],
)
def test_what_cant_be_mapped_is_named(
    tmp_path: Path, build: Any, changes: dict[str, Any], named: str
) -> None:
    theirs(build(**{**SHARED, **MASKS, **changes}), tmp_path / "m.pth")
    with pytest.raises(InputError, match=named) as raised:
        nussl_checkpoint.load(tmp_path / "m.pth")
    assert "\n" not in str(raised.value)


class Halved:
    """A transform of somebody's own."""

    def __call__(self, data: dict[str, Any]) -> dict[str, Any]:
        return {**data, "mix_magnitude": data["mix_magnitude"] / 2}


def test_another_window_or_transform_is_refused(tmp_path: Path) -> None:
    theirs(MI(**SHARED, **MASKS), tmp_path / "hann.pth", "hann")
    theirs(MI(**SHARED, **MASKS), tmp_path / "own.pth", None, Halved())
    theirs(MI(**SHARED, **MASKS), tmp_path / "known.pth", None, transforms.MagnitudeWeights())
    nussl_checkpoint.load(tmp_path / "known.pth")  # which leaves the magnitudes alone
    for name, said in (("hann", r"window of its STFT.*hann"), ("own", r"Halved")):
        with pytest.raises(InputError, match=said):
            nussl_checkpoint.load(tmp_path / f"{name}.pth")


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("RATE", 0, "sample_rate is 0"), ("RATE", -8000, "sample_rate is -8000"),
        ("RATE", 10**12, "sample_rate is 1000000000000"), ("HOP", "x", "the hop of its STFT"),
    ],
)  # fmt: skip
def test_impossible_numbers_are_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, value: Any, said: str
) -> None:
    config = builders.build_recurrent_dpcl(**SHARED, **EMBEDDING)
    monkeypatch.setitem(globals(), name, value)
    theirs(config, tmp_path / "model.pth")
    with pytest.raises(InputError, match=said):
        nussl_checkpoint.load(tmp_path / "model.pth")


def test_weights_that_dont_fit_the_config_are_named(tmp_path: Path) -> None:
    theirs(MI(**SHARED, **MASKS), tmp_path / "m.pth")
    held = torch.load(tmp_path / "m.pth", weights_only=False)
    good = held["state_dict"]
    for changes, said in (
        ({"layers.mask.linear.weight": torch.zeros(9, 12)}, r"."),
        ({"layers.mask.linear.bias": torch.full((3 * BINS,), torch.nan)}, r"not finite"),
        ({"layers.recurrent_stack.rnn.weight_ih_l0": torch.zeros(24, 7)}, r"num_features"),
        ({"layers.extra.weight": torch.zeros(1)}, r"layers.extra.weight"),
    ):
        torch.save({**held, "state_dict": {**good, **changes}}, tmp_path / "bad.pth")
        with pytest.raises(InputError, match=said) as raised:
            nussl_checkpoint.load(tmp_path / "bad.pth")
        assert str(tmp_path / "bad.pth") in str(raised.value)


class Bomb:
    """Leaves a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("place", ["metadata", "state_dict", "top"])
def test_a_hostile_checkpoint_runs_nothing(tmp_path: Path, place: str) -> None:
    theirs(MI(**SHARED, **MASKS), tmp_path / "m.pth")
    held = torch.load(tmp_path / "m.pth", weights_only=False)
    (held if place == "top" else held[place])["x"] = Bomb(tmp_path / "ran")
    torch.save(held, tmp_path / "bad.pth")

    with pytest.raises(InputError, match=r"no checkpoint of nussl.*mkdir"):
        from_pretrained(tmp_path / "bad.pth")

    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_no_checkpoint_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "m.pth").write_bytes(b"not a zip")
    torch.save({"state_dict": {}}, tmp_path / "other.pth")
    content = io.BytesIO()
    torch.save({"state_dict": {}, "metadata": {}, "config": "{}"}, content)
    (tmp_path / "empty.pth").write_bytes(content.getvalue())
    for name in ("m.pth", "other.pth", "empty.pth"):
        with pytest.raises(InputError, match=name) as raised:
            from_pretrained(tmp_path / name)
        assert "\n" not in str(raised.value)
