"""Polygons in the CRS of a grid, and what of them lies beyond it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
from pyproj import CRS, Transformer

from gistools.grid import Grid, same_crs

if TYPE_CHECKING:
    from numpy.typing import NDArray


def on_grid(own: NDArray, crs: CRS, grid: Grid) -> tuple[NDArray, NDArray]:
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
