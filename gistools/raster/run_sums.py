"""Sums of one slab by city: over the runs of cells that a city holds, and the parts of cells along borders."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gistools.grid import Window
    from gistools.raster.edge_cells import EdgeCells
    from gistools.raster.zones import Zones


class RunSums:
    """Sums over the runs and edge cells of a slab, by city."""

    def __init__(self, zones: Zones, edges: EdgeCells | None, window: Window) -> None:
        width = window.col1 - window.col0
        origin = (zones.row - window.row0).astype(np.int64) * width - window.col0
        self.first, self.last = origin + zones.start, origin + zones.stop
        self.zone, self.cities = zones.zone, len(zones.codes)
        self.length = (self.last - self.first).astype(np.float64)
        self.edges = edges
        if edges is not None:
            self.edge_cell = (edges.row - window.row0).astype(np.int64) * width + edges.col - window.col0
        # reduceat sums between neighbouring indices: runs and the gaps between them in turn
        self.index = np.empty(2 * len(self.first), np.int64)
        self.index[::2], self.index[1::2] = self.first, self.last
        self.size = (window.row1 - window.row0) * width
        if len(self.index) and self.index[-1] == self.size:
            self.index = self.index[:-1]

    def _by_city(self, by_run: NDArray, by_edge: NDArray | None) -> NDArray:
        out = np.zeros(self.cities)  # a count of nothing would be whole numbers
        out += np.bincount(self.zone, by_run, self.cities)
        if self.edges is not None and by_edge is not None:
            out += np.bincount(self.edges.zone, by_edge * self.edges.fraction, self.cities)
        return out

    def count(self, valid: NDArray[np.bool_] | None) -> NDArray:
        """Count valid cells by city."""
        if valid is None:
            return self._by_city(self.length, None if self.edges is None else np.ones(len(self.edge_cell)))
        flat, by_run = valid.ravel(), self.length
        # no data inside a city is rare, and several times quicker to rule out than to count
        if len(self.index) and not np.logical_and.reduceat(flat, self.index)[::2].all():
            by_run = np.add.reduceat(flat, self.index, dtype=np.int64)[::2]
        return self._by_city(by_run, None if self.edges is None else flat[self.edge_cell])

    def sum(self, values: NDArray, valid: NDArray[np.bool_] | None, most: float) -> tuple[NDArray, float]:
        """Sum valid values, `most` at the most, by city and over the whole window."""
        kind = self._kind(values.dtype, most)
        if valid is not None:
            # no data of floating point may be infinite or NaN, whose product with zero is not zero
            values = np.where(valid, values, 0) if values.dtype.kind == "f" else values * valid
        flat: NDArray = values.ravel().astype(kind, copy=False)
        by_edge = None if self.edges is None else flat[self.edge_cell]
        if not len(self.index):
            return self._by_city(self.length, by_edge), float(flat.sum(dtype=np.float64))
        pieces = np.add.reduceat(flat, self.index, dtype=kind).astype(np.float64)
        by_run, gaps = pieces[::2], pieces[1::2]
        # between runs that touch there is no gap, and reduceat gives the cell that follows
        between = gaps[: len(by_run) - 1][self.first[1:] > self.last[:-1]].sum() + gaps[len(by_run) - 1 :].sum()
        total = flat[: self.first[0]].sum(dtype=np.float64) + by_run.sum() + between
        return self._by_city(by_run, by_edge), float(total)

    def _kind(self, kind: np.dtype, most: float) -> type[np.number]:
        """Return the number type to sum a run in: whole numbers are exact, the small ones twice as fast."""
        if kind.kind == "f":
            return np.float64
        longest = int(np.diff(self.index, prepend=0, append=self.size).max())
        return np.int32 if kind.itemsize <= 4 and kind != np.uint32 and most * longest < 2**31 else np.int64


def largest_value(values: NDArray, valid: NDArray[np.bool_] | None) -> float:
    """Largest valid value of a block, at least zero."""
    at = int(values.argmax())
    if valid is None or valid.flat[at]:  # several times quicker than a masked search, and nearly always enough
        return max(float(values.flat[at]), 0.0)
    return float(np.max(values, initial=0, where=valid))
