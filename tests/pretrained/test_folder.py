"""A model folder separates as its run does, and nothing in it is trusted."""

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

from autoclip_sep.building import build as building
from autoclip_sep.errors import InputError
from autoclip_sep.pretrained import from_pretrained, save_pretrained
from tests.commands import ENVIRONMENT
from tests.pretrained.runs import untrained


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return untrained(tmp_path_factory.mktemp("runs") / "run")


@pytest.fixture
def folder(run: Path, tmp_path: Path) -> Path:
    return save_pretrained(from_pretrained(run), tmp_path / "model")


@pytest.mark.parametrize(
    "arguments",
    [
        ["loss=mask_inference"],
        ["loss=deep_clustering", "model.embedding_size=3"],
        ["loss=chimera", "model.embedding_size=3", "model.batch_norm=false"],
        ["loss=si_sdr"],
        ["loss=snr", "data=musdb18", "data.root=x"],
    ],
)
def test_a_folder_separates_as_its_run_does(tmp_path: Path, arguments: list[str]) -> None:
    model = from_pretrained(untrained(tmp_path / "run", *arguments))
    again = from_pretrained(save_pretrained(model, tmp_path / "new" / "ünd <b>"))
    mixture = torch.randn(model.config["data"]["channels"], 5000)
    assert torch.equal(again.separate(mixture), model.separate(mixture))
    assert again.separation.permute == model.separation.permute
    assert again.separation.scaled == model.separation.scaled
    assert again.sample_rate == model.sample_rate


def test_waveform_networks_are_kept_too(tmp_path: Path) -> None:
    small = ["model.filters=8", "model.bottleneck=4", "model.hidden=4", "model.layers=1"]
    run = untrained(tmp_path / "run", "model=conv_tasnet", "loss=si_sdr", *small, small=False)
    model = from_pretrained(run)
    again = from_pretrained(save_pretrained(model, tmp_path / "model"))
    mixture = torch.randn(1, 500)
    assert torch.equal(again.separate(mixture), model.separate(mixture))


def test_long_mixtures_are_separated_in_chunks(run: Path) -> None:
    model = from_pretrained(run)
    assert model.separate(torch.randn(1, 70 * 8000)).shape == (2, 1, 70 * 8000)
    for wrong in (torch.randn(2, 100), torch.randn(100), torch.randn(1, 0)):
        with pytest.raises(InputError, match=r"must be \(1, samples\)"):
            model.separate(wrong)


def test_a_copy_of_a_folder_is_the_same(folder: Path, tmp_path: Path) -> None:
    again = save_pretrained(from_pretrained(folder), tmp_path / "again")
    for name in ("config.json", "model.safetensors", "README.md"):
        assert (again / name).read_bytes() == (folder / name).read_bytes()


def test_no_place_on_this_machine_is_told(folder: Path) -> None:
    for name in ("config.json", "README.md"):
        text = (folder / name).read_text()
        assert "corpora" not in text
        assert str(folder.parent) not in text


def test_it_loads_without_hydra(folder: Path) -> None:
    """Nor does it need OmegaConf: what a config names is built below the commands."""
    code = (
        "import sys; from autoclip_sep.pretrained import from_pretrained\n"
        f"from_pretrained({str(folder)!r})\n"
        "print({'hydra', 'omegaconf'} & set(sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], env=ENVIRONMENT, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "set()"


def change(folder: Path, **changes: Any) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refused(folder: Path, match: str) -> None:
    with pytest.raises(InputError, match=match) as raised:
        from_pretrained(folder)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("os.system", "os.system"),
        ("autoclip_sep.files.write_whole", "write_whole"),
        ("mine.networks.Net", r"trust=PACKAGE"),
        (7, "7"),
    ],
)
def test_foreign_code_is_not_built(folder: Path, target: Any, said: str) -> None:
    change(folder, model={"_target_": target})
    refused(folder, rf"config\.json: model\._target_ is .*{said}")


def test_trusted_code_is(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "somebodys.py").write_text(
        "import torch\nfrom autoclip_sep.types import Estimate\n"
        "class Halves(torch.nn.Module):\n"
        "    heads = ('waveforms',)\n"
        "    def forward(self, batch):\n"
        "        halves = [batch.mixture / 2] * 2\n"
        "        return Estimate(waveforms=torch.stack(halves, dim=1))\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(building, "TRUSTED", set())
    change(folder, model={"_target_": "somebodys.Halves"})
    safetensors.torch.save_file({}, folder / "model.safetensors")
    refused(folder, r"trust=PACKAGE")
    mixture = torch.randn(1, 100)
    found = from_pretrained(folder, trust="somebodys").separate(mixture)
    assert torch.equal(found, torch.stack([mixture / 2] * 2))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot read"),
        ("[" * 100_000, "cannot read"),
        ("[]", "has no format_version"),
        ('{"model_type": "bert"}', "has no format_version"),
        ('{"format_version": 2}', "reads 1: pip install --upgrade"),
        ('{"format_version": 1}', "model is missing"),
        ('{"format_version": 1, "data": 3}', "data=3: must be a mapping"),
        ('{"format_version": 1, "stft": {"window_length": 1e12}}', "stft.window_length"),
        ('{"format_version": 1, "scores": [3]}', "scores"),
        ('{"format_version": 1, "x": "' + 10**6 * "x" + '"}', "too large"),
        (b"\xff\xfe\x00", "can't be read"),
    ],
)
def test_what_is_no_config_of_a_model_is_one_line(
    folder: Path, content: str | bytes, said: str
) -> None:
    given = content if isinstance(content, bytes) else content.encode()
    (folder / "config.json").write_bytes(given)
    refused(folder, said)


def test_a_config_that_counts_otherwise_than_its_network_is_refused(folder: Path) -> None:
    data = json.loads((folder / "config.json").read_text())["data"]
    change(folder, data={**data, "sources": 3})
    refused(folder, r"its network gives 2 sources, config.json says data.sources=3")
    change(folder, data={**data, "channels": 10**6})
    refused(folder, r"data.channels=1000000: at most 64")


@pytest.mark.parametrize(
    ("layers", "said"), [(10**9, "model.layers=1000000000: at most"), (10**5, "more than 20,000")]
)
def test_a_network_of_endless_layers_is_refused_at_once(
    folder: Path, layers: int, said: str
) -> None:
    model = json.loads((folder / "config.json").read_text())["model"]
    change(folder, model={**model, "layers": layers})
    refused(folder, said)


def test_a_network_larger_than_its_file_is_never_made(folder: Path) -> None:
    model = json.loads((folder / "config.json").read_text())["model"]
    change(folder, model={**model, "hidden": 10**6})
    refused(folder, r"model.safetensors doesn't fit config.json: it has blstm.layers.0.bias_hh_l0")


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("extra.weight", torch.zeros(2), "it has unknown extra.weight"),
        ("mask_head.linear.bias", torch.zeros(3), r"mask_head.linear.bias \(3,\) instead of"),
        ("mask_head.linear.bias", torch.full((66,), torch.nan), "mask_head.linear.bias is not fin"),
        ("mask_head.linear.bias", torch.zeros(66).half(), "mask_head.linear.bias is torch.float16"),
        ("mask_head.linear.bias", None, "it lacks mask_head.linear.bias"),
    ],
)
def test_weights_that_dont_fit_are_named(
    folder: Path, key: str, value: torch.Tensor | None, said: str
) -> None:
    path = folder / "model.safetensors"
    weights = safetensors.torch.load_file(path)
    weights.pop(key, None)
    safetensors.torch.save_file(weights if value is None else {**weights, key: value}, path)
    refused(folder, said)


def test_malformed_scores_make_no_card(folder: Path, tmp_path: Path) -> None:
    for wrong in ({"scores": [{"split": "test"}]}, {"training": {"corpus": 3}}):
        change(folder, **{"scores": [], "training": {}, **wrong})
        with pytest.raises(InputError, match="are malformed"):
            save_pretrained(from_pretrained(folder), tmp_path / "copy")
        assert not (tmp_path / "copy").exists()


def test_a_damaged_or_missing_file_is_one_line(folder: Path, tmp_path: Path) -> None:
    path = folder / "model.safetensors"
    whole = path.read_bytes()
    for content in (whole[:-10], b"", b"\xff" * 100, whole[:5]):
        path.write_bytes(content)
        refused(folder, "model.safetensors is damaged")
    path.unlink()
    refused(folder, "model.safetensors is missing")
    shutil.rmtree(folder)
    folder.mkdir()
    refused(folder, r"is no model folder \(it holds nothing\)")
    refused(tmp_path / "not there", "no such folder; a model is a folder, owner/name on a hub")
