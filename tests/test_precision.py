"""full_precision: autocast off inside, half precision widened, other types left alone."""

import pytest
import torch

from autoclip_sep.precision import full_precision


@full_precision
def product(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
    return left @ right


@pytest.mark.parametrize("half", [torch.bfloat16, torch.float16])
def test_half_precision_arguments_are_widened_by_position_and_by_name(half: torch.dtype) -> None:
    x = torch.ones(2, 2, dtype=half)
    assert product(x, right=x).dtype == torch.float32


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_other_types_keep_their_type_under_autocast(dtype: torch.dtype) -> None:
    x = torch.full((2, 2), 1 / 3, dtype=dtype)
    with torch.autocast("cpu", torch.bfloat16):
        inside, outside = product(x, x), x @ x
    assert inside.dtype == dtype
    assert torch.equal(inside, x @ x)
    if dtype == torch.float32:
        assert outside.dtype == torch.bfloat16  # what the decorator is there to prevent
