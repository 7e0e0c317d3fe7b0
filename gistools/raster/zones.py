"""The label grid: which cells of a lattice belong to which city, kept as runs of cells along rows.

A country of 340 cities on 35 million cells is about 130,000 runs, a megabyte: it fits any worker, is made once
for a boundary set and a lattice, and turns sums by city into sums by run.

Two rules of membership. By *centre* (GDAL's rule and the field's convention): a cell belongs to the polygon
that holds its centre, a centre exactly on a shared border to the first polygon of the file. By *coverage*:
each cell is shared out by the fraction of it that a polygon covers.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal

import numpy as np
from pyproj import CRS

from gistools.errors import BoundaryError, CrsError
from gistools.grid import Grid, Window, crs_name
from gistools.raster.centre_runs import centre_runs
from gistools.raster.edge_cells import EdgeCells, edge_cells
from gistools.raster.polygons import on_grid

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray

Assign = Literal["centre", "coverage"]
ASSIGN: tuple[Assign, ...] = ("centre", "coverage")

# Raised whenever the same polygons on the same lattice give other cells: label grids kept before are made anew.
LABELS_VERSION = 1


@dataclass(frozen=True)
class Zones:
    """Cells of a grid by city.

    Attributes
    ----------
    grid : Grid
        The lattice.
    codes : tuple of str
        City codes, in the order of the boundaries; zone ``k`` is the city ``codes[k]``.
    row, start, stop, zone : arrays of int
        Runs by centre: cells ``start <= column < stop`` of a row, sorted by row and start, disjoint.
    edges : EdgeCells or None
        With coverage: the parts of the cells along borders. All other cells belong wholly to their run's city.
    outside_share : array of float, shape (cities,)
        Part of each polygon that lies beyond the grid.
    shared_cells : int
        Cells whose centre lies in more than one polygon; they went to the first one.
    """

    grid: Grid
    codes: tuple[str, ...]
    row: NDArray
    start: NDArray
    stop: NDArray
    zone: NDArray
    outside_share: NDArray
    shared_cells: int = 0
    edges: EdgeCells | None = None

    @property
    def assign(self) -> Assign:
        """The rule of membership."""
        return "centre" if self.edges is None else "coverage"

    @property
    def window(self) -> Window | None:
        """The smallest window that holds every labelled cell; None if no cell is labelled."""
        rows, starts, stops = [self.row], [self.start], [self.stop]
        if self.edges is not None:
            rows.append(self.edges.row)
            starts.append(self.edges.col)
            stops.append(self.edges.col + 1)
        if not sum(map(len, rows)):
            return None
        row, start, stop = (np.concatenate(parts) for parts in (rows, starts, stops))
        return Window(int(row.min()), int(row.max()) + 1, int(start.min()), int(stop.max()))

    def slab(self, row0: int, row1: int) -> Zones:
        """Return the runs and edge cells of rows ``row0 <= row < row1``."""
        a, b = np.searchsorted(self.row, np.array([row0, row1], self.row.dtype))  # of one type: nothing is copied
        part = slice(int(a), int(b))
        return Zones(
            self.grid,
            self.codes,
            self.row[part],
            self.start[part],
            self.stop[part],
            self.zone[part],
            self.outside_share,
            self.shared_cells,
            None if self.edges is None else self.edges.between(row0, row1),
        )

    def labels(self, window: Window) -> NDArray:
        """Expand the runs of a window: the zone of each cell, -1 where there is none.

        Parameters
        ----------
        window : Window

        Returns
        -------
        array of int32, shape of the window
        """
        part = self.slab(window.row0, window.row1)
        width = window.col1 - window.col0
        start = np.clip(part.start - window.col0, 0, width)
        stop = np.clip(part.stop - window.col0, 0, width)
        offset = (part.row - window.row0).astype(np.int64) * width
        return _paint((window.row1 - window.row0) * width, offset + start, offset + stop, part.zone).reshape(
            window.row1 - window.row0, width
        )

    def zone_at(self, row: NDArray, col: NDArray) -> NDArray:
        """Look up the zone of cells by their runs: -1 where there is none.

        Parameters
        ----------
        row, col : arrays of int

        Returns
        -------
        array of int
        """
        if not len(self.row):
            return np.full(len(row), -1)
        width = self.grid.width
        origin = self.row.astype(np.int64) * width
        cell = np.asarray(row, np.int64) * width + col
        run = np.searchsorted(origin + self.start, cell, side="right") - 1
        inside = (run >= 0) & (cell < (origin + self.stop)[np.maximum(run, 0)])
        return np.where(inside, self.zone[np.maximum(run, 0)], -1)

    def cells(self) -> NDArray:
        """Count the cells of each city whose centre it holds."""
        return np.bincount(self.zone, self.stop - self.start, len(self.codes)).astype(np.int64)

    def covered_cells(self) -> NDArray:
        """Count the cells of each city by the rule of membership: whole ones, and with coverage parts of cells."""
        cells = self.interior().cells().astype(np.float64)
        if self.edges is not None:
            cells += np.bincount(self.edges.zone, self.edges.fraction, len(self.codes))
        return cells

    def interior(self) -> Zones:
        """Return the runs without edge cells (all runs, where membership is by centre)."""
        return self._interior

    @cached_property
    def _interior(self) -> Zones:
        if self.edges is None or not len(self.edges.row) or not len(self.row):
            return self
        width = self.grid.width
        edge = self.edges.row.astype(np.int64) * width + self.edges.col  # sorted: a cell's entries stand together
        edge = edge[np.diff(edge, prepend=-1) != 0]
        first = self.row.astype(np.int64) * width + self.start
        last = self.row.astype(np.int64) * width + self.stop
        run = np.searchsorted(first, edge, side="right") - 1
        inside = (run >= 0) & (edge < last[np.maximum(run, 0)])
        edge, run = edge[inside], run[inside]
        # each edge cell ends a run and opens the next
        starts = np.concatenate([first, edge + 1])
        stops = np.concatenate([last, edge])
        owner = np.concatenate([np.arange(len(first)), run])
        begin_order = np.lexsort((starts, owner))
        end_order = np.lexsort((stops, owner))
        a, b, k = starts[begin_order], stops[end_order], owner[begin_order]
        kept = a < b
        a, b, k = a[kept], b[kept], k[kept]
        row = self.row[k]
        origin = row.astype(np.int64) * width
        return Zones(
            self.grid,
            self.codes,
            row,
            (a - origin).astype(np.int32),
            (b - origin).astype(np.int32),
            self.zone[k],
            self.outside_share,
            self.shared_cells,
        )

    def area_km2(self) -> NDArray:
        """Geodesic area of each city on the grid (km2): its cells, or with coverage its parts of cells."""
        return self._area_km2

    @cached_property
    def _area_km2(self) -> NDArray:
        runs = self.interior()
        areas = np.zeros(len(self.codes))
        window = runs.window
        if window is not None:
            if self.grid.is_geographic:
                by_row = self.grid.cell_area_km2(self.grid.whole)[:, 0]
                areas += np.bincount(runs.zone, by_row[runs.row] * (runs.stop - runs.start), len(areas))
            else:
                for row0 in range(window.row0, window.row1, 256):
                    part = window._replace(row0=row0, row1=min(row0 + 256, window.row1))
                    labels = runs.labels(part)
                    inside = labels >= 0
                    areas += np.bincount(labels[inside], self.grid.cell_area_km2(part)[inside], len(areas))
        if self.edges is not None:
            cell = self.grid.cell_area_km2_at(self.edges.row, self.edges.col)
            areas += np.bincount(self.edges.zone, cell * self.edges.fraction, len(areas))
        return areas


def label_zones(boundaries: gpd.GeoDataFrame, grid: Grid, *, assign: Assign = "centre") -> Zones:
    """Label the cells of a grid by city.

    Parameters
    ----------
    boundaries : GeoDataFrame
        Valid polygons with a unique column ``city_code``; any CRS.
    grid : Grid
        The lattice of the population grid (or of the lights, where there is no population).
    assign : {"centre", "coverage"}
        By the polygon that holds the cell's centre (tested in the CRS of the boundaries), or by the fraction
        of each cell that a polygon covers (planar in the CRS of the grid).

    Returns
    -------
    Zones

    Raises
    ------
    CrsError
        If the boundaries have no CRS.
    BoundaryError
        If no polygon touches the grid, or polygons overlap by more than slivers.

    Notes
    -----
    Each edge of each polygon is crossed with the centre lines of the rows it spans; sorted crossings, taken in
    pairs, are the runs. Centres within 1e-7 of a cell of a border are decided by shapely's exact predicates.

    Examples
    --------
    >>> import geopandas as gpd
    >>> from affine import Affine
    >>> from shapely import box
    >>> from gistools.grid import WGS84
    >>> grid = Grid(WGS84, Affine(1, 0, 0, 0, -1, 3), (3, 4))
    >>> halves = gpd.GeoDataFrame(
    ...     {"city_code": ["west", "east"]},
    ...     geometry=[box(0, 0, 2.2, 3), box(2.2, 0, 4, 3)],
    ...     crs=4326,
    ... )
    >>> label_zones(halves, grid).labels(grid.whole)[0].tolist()
    [0, 0, 1, 1]
    >>> label_zones(halves, grid).cells().tolist()
    [6, 6]
    """
    if boundaries.crs is None:
        raise CrsError("the boundaries have no CRS; write it into the file, for example with QGIS or ogr2ogr -a_srs")
    codes = tuple(map(str, boundaries["city_code"]))
    own = np.asarray(boundaries.geometry.array)
    crs = CRS.from_user_input(boundaries.crs)
    moved, outside = on_grid(own, crs, grid)
    if (outside >= 1).all():
        raise BoundaryError(
            f"none of the {len(codes)} polygons touches the grid ({grid.describe()}); "
            f"the boundaries span {_span(boundaries)} in {crs_name(crs)}: "
            "check that both cover the same place and that neither CRS is wrong"
        )
    row, start, stop, zone, shared = centre_runs(moved, own, crs, grid, codes)
    edges = edge_cells(moved, grid) if assign == "coverage" else None
    return Zones(grid, codes, row, start, stop, zone, outside, shared, edges)


def _span(boundaries: gpd.GeoDataFrame) -> str:
    west, south, east, north = boundaries.total_bounds
    return f"{west:.6g} to {east:.6g} east, {south:.6g} to {north:.6g} north"


def _paint(size: int, start: NDArray, stop: NDArray, value: NDArray) -> NDArray:
    """Fill disjoint, sorted ranges of a flat array; -1 between them."""
    bound = np.empty(2 * len(start) + 1, np.int64)
    bound[0] = 0
    bound[1::2], bound[2::2] = start, stop
    filled = np.full(2 * len(start) + 1, -1, np.int32)
    filled[1::2] = value
    length = np.diff(np.concatenate([bound, [size]]))
    return np.repeat(filled, length)
