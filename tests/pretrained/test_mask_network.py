"""ONNX and torch.export give the network's masks and embedding for any batch and frames."""

import json
from pathlib import Path

import pytest
import torch

from autoclip_sep.errors import InputError
from autoclip_sep.pretrained import Model, from_pretrained, mask_network
from autoclip_sep.types import Batch
from tests.pretrained.runs import untrained

SHAPES = [(1, 1), (3, 77), (2, 50)]
CASES = [
    (["loss=mask_inference"], ["masks"]),
    (["loss=deep_clustering", "model.embedding_size=3"], ["embedding"]),
    (["loss=chimera", "model.embedding_size=3", "model.batch_norm=false"], ["masks", "embedding"]),
    (["loss=snr", "model=lstm_causal_demo"], ["masks"]),
]


def expected(model: Model, waveform: torch.Tensor) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Magnitudes (B, F, N) of mixtures (B, T), and what the network gives for these mixtures."""
    network = model.separation.model
    sources = waveform.new_zeros(len(waveform), 0, 1, waveform.shape[1])
    batch = Batch(waveform[:, None], sources, torch.tensor([waveform.shape[1]]), ("",))
    with torch.no_grad():
        estimate = network(batch)
    heads = [] if estimate.masks is None else [estimate.masks[:, :, 0]]
    heads += [] if estimate.embedding is None else [estimate.embedding[:, 0]]
    return estimate.mixture_stft[:, 0].abs(), heads


@pytest.mark.parametrize(("arguments", "outputs"), CASES)
def test_onnx_gives_the_same_in_onnxruntime(
    tmp_path: Path, arguments: list[str], outputs: list[str]
) -> None:
    onnx, runtime = pytest.importorskip("onnx"), pytest.importorskip("onnxruntime")
    model = from_pretrained(untrained(tmp_path / "run", *arguments))

    path = mask_network.save_onnx(model, tmp_path / "out")

    session = runtime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    assert [one.name for one in session.get_outputs()] == outputs
    for batch, frames in SHAPES:
        magnitude, heads = expected(model, torch.randn(batch, 32 * frames - 1))
        found = session.run(None, {"magnitude": magnitude.numpy()})
        for one, other in zip(found, heads, strict=True):
            torch.testing.assert_close(torch.from_numpy(one), other, rtol=0, atol=1e-5)
    made = onnx.load(str(path))
    (opset,) = (one.version for one in made.opset_import if not one.domain)
    assert opset == mask_network.OPSET
    assert {p.key: p.value for p in made.metadata_props}["sample_rate"] == "8000"


@pytest.mark.parametrize(("arguments", "outputs"), CASES[:3:2])
def test_torch_export_gives_the_same(
    tmp_path: Path, arguments: list[str], outputs: list[str]
) -> None:
    model = from_pretrained(untrained(tmp_path / "run", *arguments, "model.layers=1"))

    path = mask_network.save_exported(model, tmp_path / "out")

    extra = {"metadata.json": ""}
    program = torch.export.load(path, extra_files=extra).module()
    for batch, frames in SHAPES:
        magnitude, heads = expected(model, torch.randn(batch, 32 * frames - 1))
        found = program(magnitude)
        assert len(found) == len(outputs)
        for one, other in zip(found, heads, strict=True):
            torch.testing.assert_close(one, other, rtol=0, atol=1e-5)
    assert json.loads(extra["metadata.json"])["window_length"] == "64"


def test_a_waveform_network_has_no_mask_network(tmp_path: Path) -> None:
    small = ["model.filters=8", "model.bottleneck=4", "model.hidden=4", "model.layers=1"]
    run = untrained(tmp_path / "run", "model=conv_tasnet", "loss=si_sdr", *small, small=False)
    for save in (mask_network.save_onnx, mask_network.save_exported):
        with pytest.raises(InputError, match=r"ConvTasNet has no mask network"):
            save(from_pretrained(run), tmp_path)
