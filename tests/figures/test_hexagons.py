import numpy as np
from matplotlib.colors import Normalize
from matplotlib.figure import Figure

from autoclip_sep.figures.figure1.hexagons import Hexagons

EXTENT = (-3.0, 4.0, -30.0, 20.0)


def made(points=500):
    rng = np.random.default_rng(0)
    axes = Figure().subplots()
    return Hexagons(axes, EXTENT, 20, 0.8, "viridis"), rng.uniform(-2.9, 3.9, points), \
        rng.uniform(-29, 19, points)  # fmt: skip


def test_points_are_counted_where_matplotlib_counts_them():
    cells, x, y = made()
    other = Figure().subplots().hexbin(x, y, gridsize=(20, 9), extent=EXTENT)
    assert np.array_equal(cells.cells.get_offsets(), other.get_offsets())
    assert cells.count(x, y).tolist() == other.get_array().tolist()


def test_counts_of_parts_add_up():
    cells, x, y = made()
    parts = cells.count(x[:200], y[:200]) + cells.count(x[200:], y[200:])
    assert parts.tolist() == cells.count(x, y).tolist()
    assert cells.count(x[:0], y[:0]).tolist() == [0] * len(parts)


def test_hexagons_without_points_are_neither_filled_nor_edged():
    cells, x, y = made(points=5)
    counts = cells.count(x, y)
    cells.show(counts)
    assert cells.cells.get_array().mask.tolist() == (counts == 0).tolist()
    assert cells.cells.get_edgecolor()[:, 3].tolist() == (counts > 0).tolist()


def test_colours_run_from_one_point_to_the_most_there_will_be():
    cells, _, _ = made()
    cells.scale(7)
    assert isinstance(cells.cells.norm, Normalize)
    assert cells.cells.get_clim() == (1, 7)
    cells.scale(1)  # a scale needs two ends
    assert cells.cells.get_clim() == (1, 2)
