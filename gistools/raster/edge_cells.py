"""The cells along borders: parts of cells by city, and how they are found."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import shapely

from gistools.errors import BoundaryError
from gistools.grid import Grid

if TYPE_CHECKING:
    from numpy.typing import NDArray


class EdgeCells(NamedTuple):
    """Parts of cells along borders, sorted by row, column and zone.

    One entry for each pair of a city and a cell that it covers partly, or that any other city covers partly:
    all entries of a cell are here or none, so that no part is lost or counted twice.
    """

    row: NDArray
    col: NDArray
    zone: NDArray
    fraction: NDArray

    def between(self, row0: int, row1: int) -> EdgeCells:
        """The entries of rows ``row0 <= row < row1``."""
        first, last = np.searchsorted(self.row, np.array([row0, row1], self.row.dtype))
        part = slice(int(first), int(last))
        return EdgeCells(self.row[part], self.col[part], self.zone[part], self.fraction[part])

    def fraction_of(self, row: NDArray, col: NDArray, zone: NDArray) -> tuple[NDArray, NDArray]:
        """Return which of some pairs of a cell and a city are entries, and their covered fractions."""
        if not len(self.row):
            return np.zeros(0, np.int64), np.zeros(0)
        width = max(int(self.col.max()), int(np.max(col, initial=0))) + 1
        cities = max(int(self.zone.max()), int(np.max(zone, initial=0))) + 1
        key = (self.row.astype(np.int64) * width + self.col) * cities + self.zone
        wanted = (np.asarray(row, np.int64) * width + col) * cities + zone
        at = np.minimum(np.searchsorted(key, wanted), len(key) - 1)
        found = np.flatnonzero(key[at] == wanted)
        return found, self.fraction[at[found]]


def edge_cells(polygons: NDArray, grid: Grid) -> EdgeCells:
    """Find the cells along borders, city by city, and the fraction of each that a polygon covers.

    Parameters
    ----------
    polygons : array of polygons
        In the CRS of the grid, where fractions are planar.
    grid : Grid

    Returns
    -------
    EdgeCells

    Raises
    ------
    BoundaryError
        If no polygon touches the grid.

    Examples
    --------
    >>> from affine import Affine
    >>> from gistools.grid import WGS84
    >>> grid = Grid(WGS84, Affine(1, 0, 0, 0, -1, 2), (2, 2))
    >>> edges = edge_cells(np.array([shapely.box(0, 0, 1.25, 2)]), grid)
    >>> edges.col.tolist(), edges.fraction.tolist()
    ([1, 1], [0.25, 0.25])
    """
    import geopandas as gpd
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

    window = grid.window_of(tuple(shapely.total_bounds(polygons)))
    if window is None:
        raise BoundaryError("no polygon touches the grid")
    part = grid.crop(window)
    west, south, east, north = part.bounds
    raster = NumPyRasterSource(
        np.broadcast_to(np.uint8(0), part.shape),
        xmin=west,
        ymin=south,
        xmax=east,
        ymax=north,
        srs_wkt=grid.crs.to_wkt(),
    )
    cells, zones, fractions = [], [], []
    full_cells, full_zones = [], []
    for k in np.flatnonzero(~shapely.is_empty(polygons)).tolist():
        one = gpd.GeoDataFrame(geometry=[polygons[k]], crs=grid.crs)
        found = exact_extract(raster, one, ["cell_id", "coverage"], output="pandas")
        cell = np.asarray(found["cell_id"].iloc[0], np.int64)
        fraction = np.asarray(found["coverage"].iloc[0], np.float64)
        partly = (fraction > 0) & (fraction < 1)
        cells.append(cell[partly])
        fractions.append(fraction[partly])
        zones.append(np.full(partly.sum(), k))
        full_cells.append(cell[fraction >= 1])
        full_zones.append(k)
    edge = np.unique(np.concatenate(cells))
    for k, whole in zip(full_zones, full_cells, strict=True):
        also = whole[np.isin(whole, edge, assume_unique=True)]
        cells.append(also)
        zones.append(np.full(len(also), k))
        fractions.append(np.ones(len(also)))
    cell, zone, fraction = (np.concatenate(parts) for parts in (cells, zones, fractions))
    row = cell // part.width + window.row0
    col = cell % part.width + window.col0
    order = np.lexsort((zone, col, row))
    return EdgeCells(
        row[order].astype(np.int32),
        col[order].astype(np.int32),
        zone[order].astype(np.int32),
        fraction[order],
    )
