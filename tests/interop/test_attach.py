"""What the callbacks refuse to attach to."""

import pytest
import torch
from torch import nn

from autoclip_sep.errors import InputError
from autoclip_sep.interop._attach import require_supported


class Engine:
    """As DeepSpeed's, which torch knows nothing about."""


@pytest.mark.parametrize("callback", ["GradientClipping", "Recording"])
def test_an_optimizer_that_isnt_torchs_and_a_model_in_fsdp1_are_refused(callback):
    model = nn.Linear(3, 2)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    require_supported(callback, optimizer, model)
    with pytest.raises(InputError, match=f"{callback} can't see the steps of Engine, which is no"):
        require_supported(callback, Engine(), model)
    model.weight._fsdp_flattened = True  # as FullyShardedDataParallel marks its parameters
    with pytest.raises(InputError, match=r"one shard only .*: use FSDP2 \(fully_shard\)"):
        require_supported(callback, optimizer, model)
