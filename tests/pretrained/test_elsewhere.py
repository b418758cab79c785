"""Models that lie elsewhere: on a hub, and published weights. No test has a network."""

import hashlib
import json
import subprocess
import sys
from dataclasses import replace
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.error import URLError

import pytest
import torch
import torchaudio
from torchaudio.models import ConvTasNet, HDemucs
from torchaudio.pipelines import SourceSeparationBundle

from autoclip_sep.errors import InputError
from autoclip_sep.pretrained import from_pretrained, published, save_pretrained
from autoclip_sep.types import Batch
from tests.commands import ENVIRONMENT
from tests.pretrained.runs import untrained


class Hub(SimpleHTTPRequestHandler):
    """As much of the hub's interface as a download needs; /me/speech is the folder `kept`."""

    kept: Path
    asked: list[str]
    revision = "0" * 40

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        self.asked.append(f"{self.command} {self.path}")
        if self.path.startswith("/api/models/me/speech/tree"):
            files = [
                {"type": "file", "path": path.name, "oid": "0", "size": path.stat().st_size}
                for path in self.kept.iterdir()
            ]
            body = json.dumps(files).encode()
        elif self.path.startswith("/api/models/me/speech"):
            names = [{"rfilename": path.name} for path in self.kept.iterdir()]
            body = json.dumps({"id": "me/speech", "sha": self.revision, "siblings": names}).encode()
        elif self.path.startswith("/me/"):
            body = (self.kept / self.path.rpartition("/")[2]).read_bytes()
        else:
            self.send_error(404)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Type", "application/json")
        self.send_header("ETag", f'"{hashlib.sha256(body).hexdigest()}"')
        self.send_header("X-Repo-Commit", self.revision)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


def test_a_hubs_model_comes_from_its_server_and_nothing_else_of_it(tmp_path: Path) -> None:
    pytest.importorskip("huggingface_hub")
    model = from_pretrained(untrained(tmp_path / "run"))
    Hub.kept, Hub.asked = save_pretrained(model, tmp_path / "kept"), []
    (Hub.kept / "pickled.bin").write_bytes(b"no")
    torch.save(torch.randn(1, 1000), tmp_path / "mixture.pt")
    program = (
        "import sys, torch; from autoclip_sep.pretrained import from_pretrained\n"
        "torch.save(from_pretrained('me/speech').separate(torch.load(sys.argv[1])), sys.argv[2])\n"
    )
    with ThreadingHTTPServer(("127.0.0.1", 0), Hub) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        place = {"HF_ENDPOINT": f"http://127.0.0.1:{server.server_port}", "HF_HOME": str(tmp_path)}
        subprocess.run(
            [sys.executable, "-c", program, tmp_path / "mixture.pt", tmp_path / "sources.pt"],
            cwd=tmp_path, env={**ENVIRONMENT, **place, "HF_HUB_OFFLINE": "0"}, check=True,
        )  # fmt: skip
        server.shutdown()

    expected = model.separate(torch.load(tmp_path / "mixture.pt"))
    assert torch.equal(torch.load(tmp_path / "sources.pt"), expected)
    files = {path.rpartition("/")[2] for path in Hub.asked if path.startswith("GET /me/")}
    assert files == {"config.json", "model.safetensors", "README.md"}


def test_without_network_and_copy_a_hubs_name_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    constants = pytest.importorskip("huggingface_hub.constants")
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(InputError, match=r"^runs/demo: .* \(HF_HUB_OFFLINE is set, and") as said:
        from_pretrained("runs/demo")
    assert "\n" not in str(said.value)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        (None, "[Errno 111] Connection refused"),
        (404, "no such repository, or a private one"),
        (500, "Server error '500 Internal Server Error' for url 'ENDPOINT/api/models/me/speech/"),
    ],
)
def test_a_hub_that_gives_nothing_is_one_whole_line(
    tmp_path: Path, status: int | None, reason: str
) -> None:
    """Of a closed port, a repository that isn't there, a server that is broken."""
    pytest.importorskip("huggingface_hub")

    class Refusing(SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status or 0)
            if status == 404:
                self.send_header("X-Error-Code", "RepoNotFound")
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Refusing) as server:
        endpoint = f"http://127.0.0.1:{server.server_port}"
        if status is None:
            server.server_close()
        else:
            Thread(target=server.serve_forever, daemon=True).start()
        place = {"HF_ENDPOINT": endpoint, "HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "0"}
        program = "import autoclip_sep.pretrained as p; p.from_pretrained('me/speech')"
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=tmp_path, env={**ENVIRONMENT, **place},
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        if status is not None:
            server.shutdown()

    _, _, message = done.stderr.strip().splitlines()[-1].partition("InputError: ")
    assert message.startswith(f"me/speech: no such folder, and {endpoint} doesn't give it (")
    assert reason.replace("ENDPOINT", endpoint) in message
    assert message.endswith("copy the model's folder here")


SMALL_SPEECH = {
    "enc_num_feats": 8,
    "msk_num_feats": 4,
    "msk_num_hidden_feats": 4,
    "msk_num_layers": 1,
}
OURS = {"filters": 8, "bottleneck": 4, "hidden": 4, "layers": 1}


def speech() -> torch.nn.Module:
    return ConvTasNet(num_sources=2, msk_num_stacks=3, **SMALL_SPEECH)


def music() -> torch.nn.Module:
    return HDemucs(published.MUSIC.data["source_names"], nfft=1024, depth=5, channels=4)


@pytest.fixture
def published_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Torch's hub folder; the pipelines' networks and ours are small."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setattr(torch.hub, "_hub_dir", None)
    for name, about, small, factory, rate in (
        ("CONVTASNET_BASE_LIBRI2MIX", published.SPEECH, OURS, speech, 8000),
        ("HDEMUCS_HIGH_MUSDB_PLUS", published.MUSIC, {"width": 4, "n_fft": 1024}, music, 44100),
    ):
        bundle = SourceSeparationBundle(f"models/{name}.pt", factory, rate)
        monkeypatch.setattr(torchaudio.pipelines, name, bundle)
        entry = replace(about, model={**about.model, **small})
        monkeypatch.setitem(published.MODELS, name, entry)
    return tmp_path / "hub" / "torchaudio" / "models"


def put(folder: Path, name: str, network: torch.nn.Module) -> torch.nn.Module:
    folder.mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), folder / f"{name}.pt")
    return network.eval()


def test_published_speech_separation_is_torchaudios(published_small: Path, tmp_path: Path) -> None:
    network = put(published_small, "CONVTASNET_BASE_LIBRI2MIX", speech())

    model = from_pretrained("torchaudio:CONVTASNET_BASE_LIBRI2MIX")

    mixture = torch.randn(1, 4000)
    with torch.no_grad():
        expected = network(mixture[None])[0]
        found = model.separation.model(_batch(mixture)).waveforms[0, :, 0]
    torch.testing.assert_close(found, expected)
    scaled = model.separate(mixture)[:, 0]  # the loss it was trained on has no scale
    gains = (scaled * expected).sum(dim=-1, keepdim=True) / expected.square().sum(-1, keepdim=True)
    torch.testing.assert_close(scaled, gains * expected, rtol=1e-3, atol=1e-5)
    assert (model.sample_rate, model.separation.permute) == (8000, True)
    again = from_pretrained(save_pretrained(model, tmp_path / "kept"))
    assert torch.equal(again.separate(mixture), model.separate(mixture))
    assert "torchaudio.pipelines" in (tmp_path / "kept" / "README.md").read_text()


def test_published_music_separation_is_torchaudios(published_small: Path) -> None:
    network = put(published_small, "HDEMUCS_HIGH_MUSDB_PLUS", music())

    model = from_pretrained("torchaudio:HDEMUCS_HIGH_MUSDB_PLUS")

    mixture = torch.randn(2, 44100)
    with torch.no_grad():
        expected = network(mixture[None])[0]
    torch.testing.assert_close(model.separate(mixture), expected)
    assert model.config["data"]["source_names"] == ["drums", "bass", "other", "vocals"]
    assert (model.separation.chunk, model.separation.permute) == (441_000, False)


def _batch(mixture: torch.Tensor) -> Any:
    return Batch(mixture[None], mixture[None, None, :, :0], torch.tensor([mixture.shape[1]]), ("",))


def test_weights_that_cant_be_had_are_one_line_that_says_what_to_do(
    published_small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreachable(*args: Any, **kwargs: Any) -> None:
        raise URLError("no network")

    monkeypatch.setattr(torchaudio.utils.download, "download_url_to_file", unreachable)
    name = "CONVTASNET_BASE_LIBRI2MIX"
    place = published_small / f"{name}.pt"
    with pytest.raises(InputError, match=r"no network.*download https://") as raised:
        from_pretrained(f"torchaudio:{name}")
    assert str(raised.value).endswith(f"models/{name}.pt to {place}")
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(b"half of it")
    with pytest.raises(InputError, match=r"can't be loaded"):
        from_pretrained(f"torchaudio:{name}")
    with pytest.raises(InputError, match=r"torchaudio:HDEMUCS: there is no such model; there are"):
        from_pretrained("torchaudio:HDEMUCS")


def test_the_published_networks_are_ours_by_their_shapes() -> None:
    """The real sizes, without memory: torchaudio's own factories beside our adapters."""
    for name, about in published.MODELS.items():
        with torch.device("meta"):
            ours = published.build(dict(about.model), "model").network.state_dict()
            theirs = getattr(torchaudio.pipelines, name)._model_factory_func().state_dict()
        assert {k: v.shape for k, v in ours.items()} == {k: v.shape for k, v in theirs.items()}
