import torch

from autoclip_sep import random_state


def test_what_was_drawn_is_drawn_again():
    state = random_state.capture()
    first = torch.rand(5)
    torch.rand(100)
    random_state.restore(state)
    assert torch.equal(torch.rand(5), first)
