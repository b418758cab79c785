"""Activations computed twice and compiled networks: the same training, the same keys."""

import pytest
import torch
from torch import nn

from autoclip_sep.errors import InputError
from autoclip_sep.models.hdemucs import HDemucs
from autoclip_sep.runs import records
from autoclip_sep.training import network
from tests.training.small_runs import NETWORKS, everything, trainer


def test_activations_computed_twice_change_no_bit(tmp_path, tiny_store, assert_same):
    how = {"network": {"dropout": 0.5}, "record_every": 1}
    for name, twice in (("once", False), ("twice", True)):
        trainer(tmp_path / name, tiny_store, gradient_checkpointing=twice, **how).fit()
    assert_same(everything(tmp_path / "once"), everything(tmp_path / "twice"))


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_fewer_activations_are_kept(tmp_path, tiny_store, precision):
    def kept(**settings):
        run = trainer(tmp_path, tiny_store, network={"layers": 4}, precision=precision, **settings)
        storages = {}

        def note(tensor):
            storages[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
            return tensor

        batch = next(run.loader.epoch(1))
        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            loss = run.losses(batch).mean()
        weights = {p.untyped_storage().data_ptr() for p in run.parts.model.parameters()}
        loss.backward()
        return sum(size for place, size in storages.items() if place not in weights)

    assert kept(gradient_checkpointing=True) < 0.5 * kept()


def test_a_network_of_blocks_is_divided_into_them(monkeypatch):
    def calls(model):
        found = []
        monkeypatch.setattr(
            network, "checkpoint", lambda forward, *given, **_: found.append(1) or forward(*given)
        )
        network.recompute_layers(model)
        return found

    model = NETWORKS["conv_tasnet"]()
    found = calls(model)
    mixture = torch.randn(1, 1, 1000)
    model.network(mixture)
    assert len(found) >= 4
    with torch.no_grad():
        model.network(mixture)
    assert len(found) < 2 * 4 + 3  # without a graph nothing is kept anyway
    music = HDemucs(sources=2, channels=1, width=4, n_fft=1024)
    network.recompute_layers(music)
    assert sum(1 for one in music.modules() if "forward" in vars(one)) >= 10


def test_where_nothing_can_be_computed_twice_it_is_refused():
    normed = nn.Sequential(nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3)))
    for model in (nn.Linear(3, 3), normed):
        with pytest.raises(InputError, match="gradient_checkpointing=true: this network has no"):
            network.recompute_layers(model)


def test_without_a_compiler_it_is_refused(monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(InputError, match=r"compile=true: .* a compiler \(no-such-compiler\)"):
        network.compile_network(nn.Linear(2, 2), torch.device("cpu"))


def test_a_compiled_network_trains_as_it_does_uncompiled(tmp_path, tiny_store):
    """Its checkpoints have the network's own keys, and it resumes."""
    how = {"network": "filter", "record_every": 1, "segment": 2000}
    trainer(tmp_path / "plain", tiny_store, epochs=2, **how).fit()
    try:
        for epochs in (1, 2):
            run = trainer(tmp_path / "fast", tiny_store, epochs=epochs, compile=True, **how)
            assert run.parts.model._compiled_call_impl is not None
            run.fit()
    except InputError as error:
        pytest.skip(str(error))
    plain, fast = (everything(tmp_path / name)[0] for name in ("plain", "fast"))
    assert plain["model"].keys() == fast["model"].keys()
    for name, value in plain["model"].items():
        torch.testing.assert_close(fast["model"][name], value, rtol=1e-3, atol=1e-4)
    rows = [records.read(tmp_path / name / "dynamics.csv") for name in ("plain", "fast")]
    for one, other in zip(*rows, strict=True):
        for column in ("loss", "grad_norm", "step_norm", "smoothness"):
            assert float(other[column]) == pytest.approx(float(one[column]), rel=1e-2), column
