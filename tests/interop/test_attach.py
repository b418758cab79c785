"""What the callbacks refuse to attach to."""

import pytest
import torch
from torch import nn

from autoclip_sep.clipping import AutoClip
from autoclip_sep.errors import InputError
from autoclip_sep.interop._attach import attach


@pytest.fixture
def one_process(tmp_path):
    distributed = torch.distributed
    if not distributed.is_available():
        pytest.skip("this torch has no torch.distributed")
    distributed.init_process_group("gloo", f"file://{tmp_path}/store", rank=0, world_size=1)
    yield
    distributed.destroy_process_group()


@pytest.mark.filterwarnings("ignore")  # FSDP would rather have an accelerator
def test_a_model_wrapped_in_fsdp1(one_process):
    from torch.distributed.fsdp import FullyShardedDataParallel

    model = nn.Sequential(FullyShardedDataParallel(nn.Linear(3, 2), device_id=torch.device("cpu")))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    with pytest.raises(InputError, match=r"one shard only .*: use FSDP2 \(fully_shard\)"):
        attach(AutoClip(), optimizer, model)


def test_a_model_sharded_by_fsdp2_is_taken(one_process):
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    model, clipper = nn.Linear(3, 2), AutoClip()
    fully_shard(model, mesh=init_device_mesh("cpu", (1,)))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    attach(clipper, optimizer, model)
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    assert clipper.steps == 1


def test_an_optimizer_that_isnt_torchs():
    class Engine:
        """As DeepSpeed's, which torch knows nothing about."""

    with pytest.raises(InputError, match="can't see the steps of Engine, which is no torch"):
        attach(AutoClip(), Engine(), nn.Linear(3, 2))
