"""The stack of BLSTM layers: nn.LSTM's function, reproducible to the bit."""

import pytest
import torch
from torch import nn

from autoclip_sep.errors import InputError
from autoclip_sep.models.blstm import BLSTM


def test_is_nn_lstm_when_dropout_is_off() -> None:
    torch.manual_seed(0)
    stack = BLSTM(7, hidden=5, layers=3, dropout=0.3).eval()
    whole = nn.LSTM(7, 5, num_layers=3, batch_first=True, bidirectional=True)
    state = {}
    for i, layer in enumerate(stack.layers):
        for name, value in layer.state_dict().items():
            state[name.replace("l0", f"l{i}")] = value
    whole.load_state_dict(state)
    x = torch.randn(2, 11, 7)
    torch.testing.assert_close(stack(x), whole(x)[0])


def test_bit_exact_on_a_rerun_from_the_same_random_state() -> None:
    torch.manual_seed(0)
    stack = BLSTM(7, hidden=16, layers=3, dropout=0.3)
    x = torch.randn(4, 50, 7)
    state = torch.get_rng_state()

    def run() -> tuple[torch.Tensor, list[torch.Tensor]]:
        torch.set_rng_state(state)
        output = stack(x)
        return output, list(torch.autograd.grad(output.square().mean(), stack.parameters()))

    first, gradients = run()
    second, again = run()
    assert torch.equal(first, second)
    assert all(torch.equal(a, b) for a, b in zip(gradients, again, strict=True))
    assert not torch.equal(stack(x), first)  # the state has moved on: another dropout mask


def test_dropout_stands_between_layers_only() -> None:
    torch.manual_seed(0)
    single = BLSTM(7, hidden=5, layers=1, dropout=0.9)
    x = torch.randn(2, 11, 7)
    assert torch.equal(single(x), single(x))
    assert (single(x) != 0).all()
    double = BLSTM(7, hidden=5, layers=2, dropout=0.9)
    assert not torch.equal(double(x), double(x))
    assert (double(x) != 0).all()  # nothing is dropped behind the last layer


def test_layers_that_look_back_go_on_where_they_stopped() -> None:
    torch.manual_seed(0)
    stack = BLSTM(7, hidden=5, layers=3, dropout=0.3, bidirectional=False).eval()
    assert stack.outputs == 5
    x = torch.randn(2, 11, 7)
    whole = stack(x)
    parts, state = [], None
    for part in x.split([4, 1, 6], dim=1):
        found, state = stack.going_on(part, state)
        parts.append(found)
    torch.testing.assert_close(torch.cat(parts, dim=1), whole)
    x[:, 8:] = 9.0
    torch.testing.assert_close(stack(x)[:, :8], whole[:, :8])


@pytest.mark.parametrize("layers", [0, -1])
def test_a_stack_of_no_layers_is_refused(layers: int) -> None:
    with pytest.raises(InputError, match=f"layers={layers}"):
        BLSTM(7, hidden=5, layers=layers, dropout=0.0)
