"""The label grid: which cells of a lattice belong to which city, kept as runs of cells along rows.

A country of 340 cities on 35 million cells is about 130,000 runs, a megabyte: it fits any worker, is made once
for a boundary set and a lattice, and turns sums by city into sums by run.

Two rules of membership. By *centre* (GDAL's rule and the field's convention): a cell belongs to the polygon
that holds its centre, a centre exactly on a shared border to the first polygon of the file. By *coverage*:
each cell is shared out by the fraction of it that a polygon covers.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
import shapely
from pyproj import CRS, Transformer

from gistools.checks import listed
from gistools.errors import BoundaryError, CrsError
from gistools.grid import Grid, Window, crs_name, same_crs

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray

Assign = Literal["centre", "coverage"]
ASSIGN: tuple[Assign, ...] = ("centre", "coverage")

# Two cities may share this part of the smaller one's cells (slivers along a border); more is refused.
OVERLAP_TOLERANCE = 0.01

# A crossing this near to a cell's centre (in cells) is decided by exact arithmetic on the polygon itself.
_TIE = 1e-7


# Raised whenever the same polygons on the same lattice give other cells: label grids kept before are made anew.
LABELS_VERSION = 1


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
    >>> from gistools.grid import WGS84
    >>> grid = Grid(WGS84, Affine(1, 0, 0, 0, -1, 3), (3, 4))
    >>> halves = gpd.GeoDataFrame(
    ...     {"city_code": ["west", "east"]},
    ...     geometry=[shapely.box(0, 0, 2.2, 3), shapely.box(2.2, 0, 4, 3)],
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
    moved, outside = _on_grid(own, CRS.from_user_input(boundaries.crs), grid)
    if (outside >= 1).all():
        raise BoundaryError(
            f"none of the {len(codes)} polygons touches the grid ({grid.describe()}); "
            f"the boundaries span {_span(boundaries)} in {crs_name(CRS.from_user_input(boundaries.crs))}: "
            "check that both cover the same place and that neither CRS is wrong"
        )
    runs = _scanline_runs(moved, grid)
    exact = own is moved
    ties = _tie_cells(moved, grid) if exact else _border_cells(moved, grid)
    row, start, stop, zone, shared = _disjoint(runs, ties, own, boundaries.crs, grid, codes)
    zones = Zones(grid, codes, row, start, stop, zone, outside, shared)
    if assign == "coverage":
        edges = _edge_fractions(moved, grid)
        zones = Zones(grid, codes, row, start, stop, zone, outside, shared, edges)
    return zones


def _span(boundaries: gpd.GeoDataFrame) -> str:
    west, south, east, north = boundaries.total_bounds
    return f"{west:.6g} to {east:.6g} east, {south:.6g} to {north:.6g} north"


def _on_grid(own: NDArray, crs: CRS, grid: Grid) -> tuple[NDArray, NDArray]:
    """Carry polygons to the CRS of the grid (the same array where both are one), and measure what lies beyond it."""
    if same_crs(crs, grid.crs):
        return own, _outside_share(own, grid.bounds, grid.cell_size)
    moved = _to_crs(own, crs, grid)
    lost = ~np.isfinite(shapely.bounds(moved)).all(axis=1)
    if not lost.any():
        return moved, _outside_share(moved, grid.bounds, grid.cell_size)
    # they reach beyond the domain of the grid's projection: only what lies around the grid can be carried over
    around = Transformer.from_crs(grid.crs, crs, always_xy=True).transform_bounds(*grid.bounds)
    moved[lost] = _to_crs(shapely.clip_by_rect(own[lost], *around), crs, grid)
    moved[~np.isfinite(shapely.bounds(moved)).all(axis=1)] = shapely.Polygon()
    outside = np.ones(len(own))
    outside[~lost] = _outside_share(moved[~lost], grid.bounds, grid.cell_size)
    outside[lost] = _outside_share(own[lost], around, (0.0, 0.0))
    outside[shapely.is_empty(moved)] = 1.0
    return moved, outside


def _to_crs(polygons: NDArray, crs: CRS, grid: Grid) -> NDArray:
    """Carry polygons from another CRS to that of the grid."""
    # Long edges that are straight in one CRS are curved in the other: 20 cells at a time they are straight
    # to a small part of a cell.
    to_own = Transformer.from_crs(grid.crs, crs, always_xy=True)
    west, south, east, north = grid.bounds
    x, y = np.linspace(west, east, 5), np.linspace(south, north, 5)
    ax, ay = to_own.transform(*np.meshgrid(x, y))
    bx, by = to_own.transform(*np.meshgrid(x + grid.cell_size[0], y))
    with np.errstate(invalid="ignore"):  # corners of a world map may lie outside its projection
        step = np.hypot(np.subtract(bx, ax), np.subtract(by, ay))
    step = 20 * float(np.min(step[np.isfinite(step)], initial=np.inf))
    if np.isfinite(step):
        polygons = shapely.segmentize(polygons, step)
    forward = Transformer.from_crs(crs, grid.crs, always_xy=True)
    return np.asarray(shapely.transform(polygons, lambda xy: np.column_stack(forward.transform(xy[:, 0], xy[:, 1]))))


def _outside_share(
    polygons: NDArray, extent: tuple[float, float, float, float], cell_size: tuple[float, float]
) -> NDArray:
    """Part of each polygon's planar area beyond an extent."""
    west, south, east, north = extent
    bounds = shapely.bounds(polygons)
    slack = np.array(cell_size) * 1e-3
    with np.errstate(invalid="ignore"):
        crossing = ~(
            (bounds[:, 0] >= west - slack[0])
            & (bounds[:, 1] >= south - slack[1])
            & (bounds[:, 2] <= east + slack[0])
            & (bounds[:, 3] <= north + slack[1])
        )
    share = np.zeros(len(polygons))
    if crossing.any():
        whole = shapely.area(polygons[crossing])
        inside = shapely.area(shapely.clip_by_rect(polygons[crossing], west, south, east, north))
        with np.errstate(invalid="ignore", divide="ignore"):
            share[crossing] = np.where(np.isfinite(whole) & (whole > 0), 1 - inside / whole, 1.0)
    return np.clip(share, 0.0, 1.0)


def _edges(polygons: NDArray, grid: Grid) -> tuple[NDArray, NDArray, NDArray, NDArray, NDArray]:
    """Edges of all rings in cell coordinates: zone, column and row of both ends."""
    parts, owner = shapely.get_parts(polygons, return_index=True)
    rings, part = shapely.get_rings(parts, return_index=True)
    xy, ring = shapely.get_coordinates(rings, return_index=True)
    owner = owner[part]
    col, row = grid.col(xy[:, 0]), grid.row(xy[:, 1])
    joined = ring[1:] == ring[:-1]
    joined &= np.isfinite(col[1:] + col[:-1] + row[1:] + row[:-1])
    return owner[ring[:-1][joined]], col[:-1][joined], row[:-1][joined], col[1:][joined], row[1:][joined]


def _scanline_runs(polygons: NDArray, grid: Grid) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Runs (row, start, stop, zone) of cells whose centre lies inside, by crossings with the rows' centre lines."""
    zone, c0, r0, c1, r1 = _edges(polygons, grid)
    first = np.clip(np.ceil(np.minimum(r0, r1) - 0.5), 0, grid.height).astype(np.int64)
    beyond = np.clip(np.ceil(np.maximum(r0, r1) - 0.5), 0, grid.height).astype(np.int64)
    count = beyond - first
    edge = np.repeat(np.arange(len(zone)), count)
    row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = (c1 - c0) / (r1 - r0)
    col = c0[edge] + (row + 0.5 - r0[edge]) * slope[edge]
    order = np.lexsort((col, row, zone[edge]))
    col, row, owner = col[order], row[order], zone[edge][order]
    bound = np.clip(np.ceil(col - 0.5), 0, grid.width).astype(np.int64)
    start, stop, row, owner = bound[::2], bound[1::2], row[::2], owner[::2]
    kept = stop > start
    return row[kept], start[kept], stop[kept], owner[kept]


def _tie_cells(polygons: NDArray, grid: Grid) -> NDArray:
    """Flat indices of cells whose centre lies on a border, to 1e-7 of a cell."""
    _, c0, r0, c1, r1 = _edges(polygons, grid)
    found = []
    # edges that pass a centre: by the crossing with the row's centre line, ends included
    low, high = np.minimum(r0, r1) - _TIE, np.maximum(r0, r1) + _TIE
    first = np.clip(np.ceil(low - 0.5), 0, grid.height).astype(np.int64)
    beyond = np.clip(np.floor(high - 0.5) + 1, 0, grid.height).astype(np.int64)
    count = np.maximum(beyond - first, 0)
    edge = np.repeat(np.arange(len(c0)), count)
    row = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    flat = np.abs(r1 - r0) <= _TIE
    with np.errstate(divide="ignore", invalid="ignore"):
        col = c0[edge] + np.clip((row + 0.5 - r0[edge]) / (r1 - r0)[edge], 0, 1) * (c1 - c0)[edge]
    near = ~flat[edge] & (np.abs(col - 0.5 - np.round(col - 0.5)) <= _TIE)
    cell = np.round(col[near] - 0.5)
    inside = (cell >= 0) & (cell < grid.width)
    found.append(row[near][inside] * grid.width + cell[inside].astype(np.int64))
    # edges that run along a centre line
    for k in np.flatnonzero(flat[edge]):
        e = edge[k]
        a, b = sorted((c0[e], c1[e]))
        cells = np.arange(max(int(np.ceil(a - 0.5 - _TIE)), 0), min(int(np.floor(b - 0.5 + _TIE)) + 1, grid.width))
        found.append(row[k] * grid.width + cells)
    return np.unique(np.concatenate(found))


def _border_cells(polygons: NDArray, grid: Grid) -> NDArray:
    """Flat indices of the cells that a border touches: after a change of CRS their centres are tested exactly."""
    from rasterio.features import rasterize

    lines = [line for line in shapely.boundary(polygons) if line is not None and not line.is_empty]
    window = grid.window_of(tuple(shapely.total_bounds(polygons))) if lines else None
    if window is None:
        return np.zeros(0, np.int64)
    found = []
    for row0 in range(window.row0, window.row1, 1024):
        part = window._replace(row0=row0, row1=min(row0 + 1024, window.row1))
        touched = rasterize(
            lines, out_shape=part.shape, transform=grid.crop(part).transform, all_touched=True, dtype="uint8"
        )
        row, col = np.nonzero(touched)
        found.append((row + row0) * np.int64(grid.width) + col + window.col0)
    return np.concatenate(found)


def _disjoint(
    runs: tuple[NDArray, NDArray, NDArray, NDArray],
    ties: NDArray,
    own: NDArray,
    crs: object,
    grid: Grid,
    codes: tuple[str, ...],
) -> tuple[NDArray, NDArray, NDArray, NDArray, int]:
    """Sort the runs, decide centres on borders, and give cells of two cities to the first of the file."""
    row, start, stop, zone = runs
    order = np.lexsort((start, row))
    row, start, stop, zone = row[order], start[order], stop[order], zone[order]
    # the farthest stop so far in the row: a run that starts before it overlaps
    key = row * (grid.width + 1)
    reach = np.maximum.accumulate(key + stop)
    overlapping = np.zeros(len(row), bool)
    overlapping[1:] = (key + start)[1:] < reach[:-1]
    again = np.unique(np.concatenate([row[overlapping], ties // grid.width]))
    shared = 0
    if len(again):
        chosen = np.isin(row, again)
        decided = _decide_ties(ties, own, crs, grid)
        painted = _repaint(again, row[chosen], start[chosen], stop[chosen], zone[chosen], (ties, decided), grid)
        size = np.bincount(zone, stop - start, len(codes))
        shared = _count_shared(row[chosen], start[chosen], stop[chosen], zone[chosen], size, codes, grid)
        row, start, stop, zone = (
            np.concatenate([kept[~chosen], new]) for kept, new in zip((row, start, stop, zone), painted, strict=True)
        )
        order = np.lexsort((start, row))
        row, start, stop, zone = row[order], start[order], stop[order], zone[order]
    return row.astype(np.int32), start.astype(np.int32), stop.astype(np.int32), zone.astype(np.int32), shared


def _decide_ties(ties: NDArray, own: NDArray, crs: object, grid: Grid) -> NDArray:
    """Return the first polygon (own CRS) that holds or touches each centre, -1 where none does."""
    decided = np.full(len(ties), -1, np.int64)
    if not len(ties):
        return decided
    x, y = grid.x(ties % grid.width), grid.y(ties // grid.width)
    source = CRS.from_user_input(crs)
    if not same_crs(source, grid.crs):
        x, y = Transformer.from_crs(grid.crs, source, always_xy=True).transform(x, y)
    point, polygon = shapely.STRtree(own).query(shapely.points(x, y), predicate="intersects")
    order = np.lexsort((-polygon, point))  # the first of the file is written last
    decided[point[order]] = polygon[order]
    return decided


def _repaint(
    again: NDArray,
    row: NDArray,
    start: NDArray,
    stop: NDArray,
    zone: NDArray,
    ties: tuple[NDArray, NDArray],
    grid: Grid,
) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Paint whole rows, the first city of the file last, and read the runs off again."""
    parts = []
    tie_row, tie_col = ties[0] // grid.width, ties[0] % grid.width
    by_row = np.argsort(row, kind="stable")
    row, start, stop, zone = row[by_row], start[by_row], stop[by_row], zone[by_row]
    tie_order = np.argsort(tie_row, kind="stable")
    tie_row, tie_col, decided = tie_row[tie_order], tie_col[tie_order], ties[1][tie_order]
    bounds = np.searchsorted(row, [again, again + 1])
    tie_bounds = np.searchsorted(tie_row, [again, again + 1])
    line = np.empty(grid.width, np.int64)
    for k, r in enumerate(again):
        line[:] = -1
        runs = slice(bounds[0, k], bounds[1, k])
        for a, b, z in sorted(zip(start[runs], stop[runs], zone[runs], strict=True), key=lambda run: -run[2]):
            line[a:b] = z
        fixed = slice(tie_bounds[0, k], tie_bounds[1, k])
        line[tie_col[fixed]] = decided[fixed]
        change = np.flatnonzero(np.diff(line)) + 1
        first = np.concatenate([[0], change])
        last = np.concatenate([change, [grid.width]])
        labelled = line[first] >= 0
        parts.append((np.full(labelled.sum(), r), first[labelled], last[labelled], line[first][labelled]))
    return tuple(np.concatenate(part) for part in zip(*parts, strict=True))  # type: ignore[return-value]


def _count_shared(
    row: NDArray, start: NDArray, stop: NDArray, zone: NDArray, size: NDArray, codes: tuple[str, ...], grid: Grid
) -> int:
    """Count cells whose centre lies in two polygons; refuse more than slivers of their size, naming the pairs."""
    first = row * np.int64(grid.width) + start
    last = row * np.int64(grid.width) + stop
    order = np.argsort(first, kind="stable")
    first, last, zone = first[order], last[order], zone[order]
    pairs: dict[tuple[int, int], int] = {}
    for k in range(len(first)):
        j = k + 1
        while j < len(first) and first[j] < last[k]:
            pair = (min(zone[k], zone[j]), max(zone[k], zone[j]))
            pairs[pair] = pairs.get(pair, 0) + int(min(last[k], last[j]) - first[j])
            j += 1
    if not pairs:
        return 0
    bad = {p: n for p, n in pairs.items() if n > max(1.0, OVERLAP_TOLERANCE * min(size[p[0]], size[p[1]]))}
    if bad:
        named = [f"{codes[a]} and {codes[b]} ({n} cells)" for (a, b), n in sorted(bad.items(), key=lambda i: -i[1])]
        raise BoundaryError(
            f"city polygons overlap: {listed(named, 3)}; mend the boundaries so that every place belongs to one city"
        )
    shared = sum(pairs.values())
    warnings.warn(
        f"{shared} cell centres lie in two city polygons (slivers along shared borders); "
        "each was given to the first of the two in the file",
        stacklevel=4,
    )
    return shared


def _edge_fractions(polygons: NDArray, grid: Grid) -> EdgeCells:
    """Covered fractions of the cells along borders, city by city."""
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


def _paint(size: int, start: NDArray, stop: NDArray, value: NDArray) -> NDArray:
    """Fill disjoint, sorted ranges of a flat array; -1 between them."""
    bound = np.empty(2 * len(start) + 1, np.int64)
    bound[0] = 0
    bound[1::2], bound[2::2] = start, stop
    filled = np.full(2 * len(start) + 1, -1, np.int32)
    filled[1::2] = value
    length = np.diff(np.concatenate([bound, [size]]))
    return np.repeat(filled, length)
