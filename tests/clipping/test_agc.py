"""AGC clips each unit's gradient relative to the unit's weights."""

import math

import pytest
import torch
from torch import nn

from autoclip_sep.clipping import AGC


def layer(weight, gradient):
    parameter = nn.Parameter(torch.tensor(weight))
    parameter.grad = torch.tensor(gradient)
    return parameter


def test_each_row_is_clipped_by_its_own_weights():
    first = layer([[3.0, 4.0], [0.0, 10.0]], [[3.0, 4.0], [0.3, 0.4]])
    result = AGC(0.1, exclude=()).clip_gradients([first])
    assert first.grad[0].tolist() == pytest.approx([0.3, 0.4])  # norm 0.1 * 5
    assert first.grad[1].tolist() == pytest.approx([0.3, 0.4])  # 0.5 is below 0.1 * 10
    assert result.clipped
    assert result.threshold == math.inf
    assert result.scale.item() == pytest.approx(math.sqrt(0.5 / 25.25))


def test_a_vector_is_one_unit():
    bias = layer([3.0, 4.0], [6.0, 8.0])
    AGC(0.5, exclude=()).clip_gradients([bias])
    assert bias.grad.tolist() == pytest.approx([1.5, 2])


def test_a_filter_is_one_unit():
    weight = torch.zeros(2, 1, 1, 2)
    weight[:, 0, 0] = torch.tensor([3.0, 4.0])
    gradient = torch.zeros(2, 1, 1, 2)
    gradient[0] = 100.0
    kernel = layer(weight.tolist(), gradient.tolist())
    AGC(0.2, exclude=()).clip_gradients([kernel])
    assert kernel.grad[0].norm().item() == pytest.approx(1)
    assert kernel.grad[1].norm() == 0


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize("kind", [nn.ConvTranspose1d, nn.ConvTranspose2d, nn.ConvTranspose3d])
def test_a_unit_of_a_transposed_convolution_is_one_of_its_outputs(kind, groups):
    """The weight is (inputs, outputs / groups, ...): it is turned into one of outputs first."""
    torch.manual_seed(0)
    model = nn.Sequential(kind(8, 4, 3, groups=groups), kind(4, 4, 3))
    weight = model[0].weight
    weight.grad = torch.randn_like(weight) * torch.rand(8, *[1] * (weight.ndim - 1))

    def by_output(tensor):
        parts = [part.transpose(0, 1) for part in tensor.chunk(groups)]
        return torch.cat(parts).flatten(1)

    before, weights = by_output(weight.grad.clone()), by_output(weight.detach())
    clipper = AGC(0.9, exclude=(), transposed=AGC.transposed_in(model))
    assert clipper.transposed == {"0.": groups, "1.": 1}
    result = clipper.clip_gradients(model.named_parameters())
    factors = (0.9 * weights.norm(dim=1) / before.norm(dim=1)).clamp(max=1)
    assert result.clipped
    torch.testing.assert_close(by_output(weight.grad), before * factors[:, None])


def test_the_outputs_of_a_transposed_convolution_are_clipped_alike():
    """Inputs of very different size are no reason to clip an output: 0.1 * 5 for both of them."""
    weight = layer([[3.0, 4.0], [4.0, 3.0]], [[0.0, 3.0], [9.0, 4.0]])
    named = [("up.weight", weight)]
    AGC(0.1, exclude=(), transposed={"up.": 1}).clip_gradients(named)
    assert weight.grad.flatten().tolist() == pytest.approx([0.0, 0.3, 0.5, 0.4])


def test_transposed_needs_names_and_groups_that_divide():
    weight = layer([[1.0], [1.0], [1.0]], [[1.0], [1.0], [1.0]])
    clipper = AGC(exclude=(), transposed={"up.": 2})
    with pytest.raises(ValueError, match="named_parameters"):
        clipper.clip_gradients([weight])
    with pytest.raises(ValueError, match=r"gives up.weight 2 groups, which don't divide its 3"):
        clipper.clip_gradients([("up.weight", weight)])


def test_weights_at_zero_can_move():
    weight = layer([[0.0, 0.0]], [[3.0, 4.0]])
    AGC(0.5, epsilon=0.1, exclude=()).clip_gradients([weight])
    assert weight.grad.norm().item() == pytest.approx(0.05)


def network():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, 2))
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 10.0)
    return model


def changed(model):
    return [bool((p.grad != 10).any()) for p in model.parameters()]


def test_the_output_layer_is_left_alone():
    model = network()
    AGC().clip_gradients(model.parameters())
    assert changed(model) == [True, True, False, False]


def test_a_frozen_output_layer_doesnt_pass_its_exemption_on():
    model = network()
    model[2].weight.grad = model[2].bias.grad = None
    AGC().clip_gradients(model.parameters())
    assert model[0].weight.grad.max() < 10


def test_exclude_names_what_to_leave_alone():
    model = network()
    AGC(exclude=["0."]).clip_gradients(model.named_parameters())
    assert changed(model) == [False, False, True, True]
    model = network()
    AGC(exclude=[]).clip_gradients(model.parameters())
    assert changed(model) == [True] * 4


def test_exclude_without_names_is_refused():
    with pytest.raises(ValueError, match="named_parameters"):
        AGC(exclude=["0."]).clip_gradients(network().parameters())


def test_rows_of_a_sparse_gradient_are_compared_with_their_own_weights():
    table = nn.Embedding(5, 2, sparse=True)
    with torch.no_grad():
        table.weight.copy_(torch.arange(5.0)[:, None] * torch.tensor([3.0, 4.0]))
    (1000 * table(torch.tensor([3, 1, 3]))).sum().backward()
    AGC(0.1, exclude=()).clip_gradients(table.parameters())
    norms = table.weight.grad.to_dense().norm(dim=1)
    assert norms.tolist() == pytest.approx([0, 0.5, 0, 1.5, 0])


def test_the_defaults_are_the_paper():
    first = layer([[0.0, 0.0], [3.0, 4.0]], [[3.0, 4.0], [3.0, 4.0]])
    AGC().clip_gradients([first, nn.Parameter(torch.ones(2, 2))])
    assert first.grad.norm(dim=1).tolist() == pytest.approx([0.01 * 1e-3, 0.01 * 5])


def test_small_gradients_stay_bit_for_bit():
    model = network()
    for parameter in model.parameters():
        parameter.grad = 1e-6 * torch.randn_like(parameter)
    before = [p.grad.clone() for p in model.parameters()]
    result = AGC().clip_gradients(model.parameters())
    assert all(map(torch.equal, before, [p.grad for p in model.parameters()]))
    assert (result.scale, result.clipped) == (1, False)
