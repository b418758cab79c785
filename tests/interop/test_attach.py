"""What the callbacks refuse to attach to."""

import pytest
import torch
from torch import nn

from autoclip_sep.clipping import AutoClip
from autoclip_sep.errors import InputError
from autoclip_sep.interop._attach import attach
from autoclip_sep.interop._recording import RunRecording


class Engine:
    """As DeepSpeed's, which torch knows nothing about."""


def clip(optimizer, model):
    attach(AutoClip(), optimizer, model)


def record(optimizer, model):
    RunRecording("nowhere", None, None, 20, 1, {}).begin(model, optimizer, 0, None, writes=False)


@pytest.mark.parametrize(("begin", "callback"), [(clip, "GradientClipping"), (record, "Recording")])
def test_an_optimizer_that_isnt_torchs_and_a_model_in_fsdp1_are_refused(begin, callback):
    model = nn.Linear(3, 2)
    begin(torch.optim.SGD(model.parameters(), lr=0.1), model)
    with pytest.raises(InputError, match=f"{callback} can't see the steps of Engine, which is no"):
        begin(Engine(), model)
    model.weight._fsdp_flattened = True  # as FullyShardedDataParallel marks its parameters
    with pytest.raises(InputError, match=r"one shard only .*: use FSDP2 \(fully_shard\)"):
        begin(torch.optim.SGD(model.parameters(), lr=0.1), model)
