import math

import pytest
import torch
from torch import nn

from autoclip_sep.dynamics.backward import evaluate
from autoclip_sep.dynamics.smoothness import smoothness, total_norm


def quadratic(matrix, vector):
    """Gradients of 1/2 x' A x, whose smoothness along d is ||A d|| / ||d|| everywhere."""
    return gradients(lambda: 0.5 * vector @ matrix @ vector, vector)


def gradients(loss, *parameters):
    return lambda: evaluate(loss, parameters)[1]


@pytest.mark.parametrize("points", [1, 2, 5])
def test_of_a_quadratic_is_its_curvature_along_the_step(points):
    matrix = torch.diag(torch.tensor([1.0, 4.0, 9.0], dtype=torch.float64))
    start = torch.tensor([1.0, 1.0, 1.0], dtype=torch.float64)
    step = torch.tensor([0.1, -0.2, 0.3], dtype=torch.float64)
    vector = nn.Parameter(start + step)
    found = smoothness(quadratic(matrix, vector), [vector], [start], [matrix @ start], points)
    expected = float((matrix @ step).norm() / step.norm())
    assert math.isclose(found, expected, rel_tol=1e-10)
    assert torch.equal(vector, start + step)


def test_takes_the_steepest_of_all_points():
    """f = x^4 / 4 from 0 to 1: |g^3| / g = g^2, largest at the last point."""
    x = nn.Parameter(torch.tensor([1.0], dtype=torch.float64))
    zero = torch.zeros(1, dtype=torch.float64)
    found = smoothness(gradients(lambda: (x**4).sum() / 4, x), [x], [zero], [zero], points=3)
    assert math.isclose(found, 0.75**2, rel_tol=1e-12)


def test_no_step_has_none():
    x = nn.Parameter(torch.ones(2))
    start = [torch.ones(2)]
    assert math.isnan(smoothness(lambda: [torch.zeros(2)], [x], start, [torch.zeros(2)]))


def test_weights_come_back_when_the_closure_fails():
    x = nn.Parameter(torch.ones(2))

    def fails():
        raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError, match="out of memory"):
        smoothness(fails, [x], [torch.zeros(2)], [torch.zeros(2)])
    assert torch.equal(x, torch.ones(2))


def test_total_norm_adds_up_over_tensors_and_types():
    tensors = [torch.tensor([3.0]), torch.tensor([4.0], dtype=torch.float64)]
    assert float(total_norm(tensors)) == 5.0


@pytest.mark.parametrize("size", [1e25, 1e-18, 1e-30])
def test_total_norm_of_what_float32_cannot_square(size):
    assert float(total_norm([torch.tensor([3 * size, 4 * size])])) == pytest.approx(5 * size)
