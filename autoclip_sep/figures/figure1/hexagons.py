"""Densities of points in hexagons that stay where they are while points are added."""

import math

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Colormap, Normalize
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from autoclip_sep.figures.record_files import Series

Counts = NDArray[np.int64]


class Hexagons:
    """A grid of hexagons over a rectangle of an axes, each coloured by its number of points.

    extent: left, right, bottom, top of the rectangle, with every point to come well inside.
    columns: hexagons side by side; they are regular in axes whose height is `aspect` times their
        width.
    """

    def __init__(
        self,
        axes: Axes,
        extent: tuple[float, float, float, float],
        columns: int,
        aspect: float,
        colours: Colormap,
    ) -> None:
        rows = round(columns * aspect / math.sqrt(3))  # of one of the two grids that interlock
        self.cells = axes.hexbin([], [], gridsize=(columns, rows), extent=extent, cmap=colours,
                                 linewidths=0.15)  # fmt: skip
        width, height = (extent[1] - extent[0]) / columns, (extent[3] - extent[2]) / rows
        self._unit = np.array([width, height / math.sqrt(3)])
        centres = np.asarray(self.cells.get_offsets())
        self._nearest, self._number = cKDTree(centres / self._unit), len(centres)

    def count(self, x: Series, y: Series) -> Counts:
        """Points in each hexagon. x, y: (points,). Returns (hexagons,)."""
        if not len(x):
            return np.zeros(self._number, np.int64)
        _, cell = self._nearest.query(np.column_stack([x, y]) / self._unit)
        return np.bincount(cell, minlength=self._number)

    def show(self, counts: Counts) -> None:
        """Colour the hexagons; those without points are left out."""
        self.cells.set_array(np.ma.masked_equal(counts, 0))
        self.cells.set_edgecolor([(1, 1, 1, float(n > 0)) for n in counts])

    def scale(self, most: int) -> None:
        """Let the colours run from 1 point to `most`."""
        self.cells.set_norm(Normalize(1, max(most, 2)))
