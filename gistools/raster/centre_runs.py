"""Runs of cells whose centre lies in a polygon: the rule of membership by centre.

Each edge of each polygon is crossed with the centre lines of the rows it spans; sorted crossings, taken in pairs, are
the runs. What lies too near to a border, or in two polygons, is decided cell by cell.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import CRS, Transformer

from gistools.checks import listed
from gistools.errors import BoundaryError
from gistools.grid import Grid, same_crs

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Two cities may share this part of the smaller one's cells (slivers along a border); more is refused.
OVERLAP_TOLERANCE = 0.01

# A crossing this near to a cell's centre (in cells) is decided by exact arithmetic on the polygon itself.
_TIE = 1e-7


def centre_runs(
    moved: NDArray, own: NDArray, crs: CRS, grid: Grid, codes: tuple[str, ...]
) -> tuple[NDArray, NDArray, NDArray, NDArray, int]:
    """Find the runs of cells of each city.

    Parameters
    ----------
    moved : array of polygons
        In the CRS of the grid; the array `own` itself where the two CRSs are one.
    own : array of polygons
        As they were given: centres are tested against these.
    crs : CRS
        Of `own`.
    grid : Grid
    codes : tuple of str
        How messages name the cities.

    Returns
    -------
    row, start, stop, zone : arrays of int
        Cells ``start <= column < stop`` of a row, sorted by row and start, disjoint.
    shared : int
        Cells whose centre lies in more than one polygon; they went to the first one.

    Raises
    ------
    BoundaryError
        If polygons overlap by more than slivers.
    """
    runs = _scanline_runs(moved, grid)
    ties = _tie_cells(moved, grid) if own is moved else _border_cells(moved, grid)
    return _disjoint(runs, ties, own, crs, grid, codes)


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
    crs: CRS,
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


def _decide_ties(ties: NDArray, own: NDArray, crs: CRS, grid: Grid) -> NDArray:
    """Return the first polygon (own CRS) that holds or touches each centre, -1 where none does."""
    decided = np.full(len(ties), -1, np.int64)
    if not len(ties):
        return decided
    x, y = grid.x(ties % grid.width), grid.y(ties // grid.width)
    if not same_crs(crs, grid.crs):
        x, y = Transformer.from_crs(grid.crs, crs, always_xy=True).transform(x, y)
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
        stacklevel=5,
    )
    return shared
