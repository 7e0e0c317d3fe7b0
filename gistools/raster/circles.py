"""Circles around places on a grid: which cells lie in which ring and sector, by geodesic distance and azimuth.

Cells are found from the grid's side: a slab of rows is cut into small blocks, and a KD-tree of the places tells
which circles can touch a block. Inside, the straight chord through the ellipsoid bounds the geodesic from both
sides to 13 cm at 50 km, and the azimuth of the normal section differs from the geodesic's by less than a
ten-millionth of a radian there; only cells that these bounds leave open are decided by geodesics. A circle may lie
across the antimeridian, around a pole, or over the cut of a projection.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pyproj import Transformer
from scipy.spatial import cKDTree

from gistools.grid import GEOD, WGS84, Grid, Window, same_crs
from gistools.raster.terrain import turn_cells

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_A = GEOD.a / 1000.0
_E2 = GEOD.es
# Smallest and largest radii of curvature of the ellipsoid, km: of the meridian at the equator, and at a pole.
_R_MIN = _A * (1 - _E2)
# A millimetre: what rounding may do to a distance, many times over.
_SLACK_KM = 1e-6
# Cells along the side of a block.
_BLOCK = 64
# Radii and azimuths at which a ring is probed for its part beyond the grid.
_PROBE_RADII = 16
_PROBE_AZIMUTHS = 360


class Piece(NamedTuple):
    """A window that circles touch: which ones, and for each the blocks of the window it can reach."""

    window: Window
    circles: NDArray
    blocks: NDArray[np.bool_]  # (circles, rows of blocks, columns of blocks)


class CircleCells(NamedTuple):
    """Cells of a window inside one circle: flat indices into the window, rings and sectors from 0."""

    cell: NDArray
    ring: NDArray
    sector: NDArray


@dataclass(frozen=True)
class Circles:
    """Circles of one radius around places, cut into rings and sectors.

    Parameters
    ----------
    lon, lat : array of float, shape (places,)
        WGS 84, degrees.
    rings : tuple of float
        Outer edges of the rings, km, ascending; the last is the radius. A ring holds distances above its inner
        edge up to and with its outer edge; the innermost begins at and with 0.
    sectors : int
        Sector 1 is centred on north, the others follow clockwise; a sector holds its counter-clockwise edge. A
        cell whose centre is the place itself counts as north of it.
    """

    lon: NDArray
    lat: NDArray
    rings: tuple[float, ...]
    sectors: int

    @property
    def radius_km(self) -> float:
        """Radius of the circles."""
        return self.rings[-1]

    @cached_property
    def xyz(self) -> NDArray:
        """Places in space, km, shape (places, 3)."""
        return np.stack(earth_xyz(self.lon, self.lat), axis=-1)

    def pieces(self, grid: Grid, row0: int, row1: int, most_cells: int) -> list[Piece]:
        """Windows of the rows ``row0 <= row < row1`` that circles touch; `row0` is a multiple of 64.

        Parameters
        ----------
        grid : Grid
        row0, row1 : int
        most_cells : int
            About how many cells a window has at the most.

        Returns
        -------
        list of Piece
            Disjoint, from west to east. On a globe no column is taken twice.
        """
        width = turn_cells(grid) or grid.width
        row_edges = np.append(np.arange(row0, row1, _BLOCK), row1)
        col_edges = np.append(np.arange(0, width, _BLOCK), width)
        near = self._touched(grid, row_edges, col_edges)
        if near is None:
            return []
        block, circle = near
        shape = len(row_edges) - 1, len(col_edges) - 1
        block_row, block_col = np.unravel_index(block, shape)
        columns = np.unique(block_col)
        most = max(1, most_cells // ((row1 - row0) * _BLOCK))
        run = np.cumsum(np.diff(columns, prepend=columns[0]) > 1)  # blocks side by side are read together
        out = []
        for r in range(int(run[-1]) + 1):
            side_by_side = columns[run == r]
            for first in range(0, len(side_by_side), most):
                part = side_by_side[first : first + most]
                c0, c1 = int(part[0]), int(part[-1]) + 1
                here = (block_col >= c0) & (block_col < c1)
                r0, r1 = int(block_row[here].min()), int(block_row[here].max()) + 1
                circles, which = np.unique(circle[here], return_inverse=True)
                blocks = np.zeros((len(circles), r1 - r0, c1 - c0), bool)
                blocks[which, block_row[here] - r0, block_col[here] - c0] = True
                window = Window(int(row_edges[r0]), int(row_edges[r1]), int(col_edges[c0]), int(col_edges[c1]))
                out.append(Piece(window, circles, blocks))
        return out

    def _touched(self, grid: Grid, row_edges: NDArray, col_edges: NDArray) -> tuple[NDArray, NDArray] | None:
        """Pairs of a block (flat) and a circle that can reach it."""
        centre, reach = _block_bounds(grid, row_edges, col_edges)
        inside = np.flatnonzero(np.isfinite(reach))
        if not len(inside):
            return None
        found = cKDTree(self.xyz).query_ball_point(centre[inside], self.radius_km + reach[inside] + _SLACK_KM)
        count = np.fromiter(map(len, found), np.int64, len(found))
        if not count.any():
            return None
        return np.repeat(inside, count), np.concatenate([np.asarray(f, np.int64) for f in found if f])

    def cells(self, places: CellPlaces, piece: Piece, k: int) -> CircleCells:
        """Cells of a piece inside its k-th circle.

        Parameters
        ----------
        places : CellPlaces
            Of the window of the piece.
        piece : Piece
        k : int

        Returns
        -------
        CircleCells
        """
        circle = int(piece.circles[k])
        part = _cells_of(piece.blocks[k], piece.window)
        squared = places.squared_chord(self.lon[circle], self.xyz[circle], part)
        sure, possible = self._limits
        inside = np.flatnonzero(squared.ravel() <= possible[-1])
        row, col = np.unravel_index(inside, squared.shape)
        row, col = row + part[0].start, col + part[1].start
        squared = squared.ravel()[inside]
        ring = np.searchsorted(sure, squared)
        # above what is surely inside an edge, but not surely outside it
        unsure = np.flatnonzero((ring > 0) & (squared <= possible[ring - 1]))
        east, north = places.tangent(self.lon[circle], self.lat[circle], self.xyz[circle], row, col)
        width = 360.0 / self.sectors
        turn = np.rad2deg(np.arctan2(east, north)) / width + 0.5
        away = np.sqrt(squared)
        off = np.rad2deg(_E2 / 6 * (away / _R_MIN) ** 2 + 1e-11 + 4e-12 / np.maximum(away, _SLACK_KM)) / width
        unsure = np.union1d(unsure, np.flatnonzero(np.abs(turn - np.round(turn)) <= off))
        if len(unsure):
            azimuth, km = self._geodesic(circle, places, row[unsure], col[unsure])
            ring[unsure] = np.searchsorted(self.rings, km)
            turn[unsure] = azimuth / width + 0.5
        turn[away <= _SLACK_KM] = 0.5
        sector = np.floor(turn).astype(np.int64) % self.sectors
        kept = ring < len(self.rings)
        flat = row * (piece.window.col1 - piece.window.col0) + col
        return CircleCells(flat[kept], ring[kept], sector[kept])

    @cached_property
    def _limits(self) -> tuple[NDArray, NDArray]:
        """Squared chords up to which a centre surely lies inside the edge of a ring, and above which outside it."""
        edges = np.asarray(self.rings)
        # a geodesic is nowhere bent more than a circle of the smallest radius, and no shorter than its chord
        sure = 2 * _R_MIN * np.sin(np.maximum(edges - _SLACK_KM, 0) / (2 * _R_MIN))
        return sure**2, (edges + _SLACK_KM) ** 2

    def _geodesic(self, circle: int, places: CellPlaces, row: NDArray, col: NDArray) -> tuple[NDArray, NDArray]:
        lon, lat = places.lonlat(row, col)
        start = np.full(len(lon), self.lon[circle]), np.full(len(lon), self.lat[circle])
        azimuth, _, metres = GEOD.inv(*start, lon, lat)
        return np.asarray(azimuth), np.asarray(metres) / 1000.0

    def ring_area_km2(self) -> NDArray:
        """Geodesic areas of the rings, shape (places, rings).

        A small circle on a surface of Gaussian curvature ``1 / R^2`` has the area ``4 pi R^2 sin^2(r / 2 R)``; with
        the curvature at the place this is right to 1e-8 up to 500 km.
        """
        s = np.sin(np.deg2rad(self.lat))
        radius = (_A * np.sqrt(1 - _E2) / (1 - _E2 * s * s))[:, None]
        within = 4 * np.pi * radius**2 * np.sin(np.asarray(self.rings) / (2 * radius)) ** 2
        return np.diff(within, axis=1, prepend=0.0)

    def share_beyond(self, grid: Grid) -> NDArray:
        """Part of each ring and sector that lies beyond a grid, shape (places, rings, sectors).

        Returns
        -------
        array of float
            0 where the circle lies inside; otherwise the share of probe points at 16 radii and some 360 azimuths
            a ring, evenly by area.
        """
        shape = len(self.lon), len(self.rings), self.sectors
        out = np.zeros(shape)
        around = np.arange(0.0, 360.0, 5.0)
        lon, lat, azimuth = np.broadcast_arrays(self.lon[:, None], self.lat[:, None], around)
        lon, lat, _ = GEOD.fwd(lon, lat, azimuth, np.full(azimuth.shape, 1010.0 * self.radius_km))
        inside = on_grid(grid, lon, lat).all(axis=1) & on_grid(grid, self.lon, self.lat)
        # around a pole the whole circle may lie inside and the pole not
        inside &= (90 - np.abs(self.lat)) * 110.0 > self.radius_km
        each = 2 * -(-_PROBE_AZIMUTHS // (2 * self.sectors))  # even: none runs along a meridian, where grids end
        azimuth = (np.arange(each * self.sectors) + 0.5) / each * (360 / self.sectors) - 180 / self.sectors
        edges = np.array([0.0, *self.rings])
        share = (np.arange(_PROBE_RADII) + 0.5) / _PROBE_RADII
        radii = np.sqrt(edges[:-1, None] ** 2 + share * np.diff(edges**2)[:, None])
        for k in np.flatnonzero(~inside).tolist():
            r, a = np.broadcast_arrays(radii[:, :, None], azimuth)
            lon, lat, _ = GEOD.fwd(np.full(r.shape, self.lon[k]), np.full(r.shape, self.lat[k]), a, 1000.0 * r)
            beyond = ~on_grid(grid, lon, lat)
            out[k] = beyond.reshape(*r.shape[:2], self.sectors, each).mean(axis=(1, 3))
        return out


def earth_xyz(lon: ArrayLike, lat: ArrayLike) -> tuple[NDArray, NDArray, NDArray]:
    """Points on the WGS 84 ellipsoid in space, km.

    Parameters
    ----------
    lon, lat : array of float
        Degrees.

    Returns
    -------
    x, y, z : array of float
    """
    lam, phi = np.deg2rad(lon), np.deg2rad(lat)
    normal = _A / np.sqrt(1 - _E2 * np.sin(phi) ** 2)
    return (
        normal * np.cos(phi) * np.cos(lam),
        normal * np.cos(phi) * np.sin(lam),
        normal * (1 - _E2) * np.sin(phi),
    )


def on_grid(grid: Grid, lon: NDArray, lat: NDArray) -> NDArray[np.bool_]:
    """Whether places (WGS 84, degrees) lie on a grid; a grid of degrees may start at any turn."""
    x, y = Transformer.from_crs(WGS84, grid.crs, always_xy=True).transform(lon, lat)
    col, row = grid.col(x), grid.row(y)
    if grid.is_geographic:
        turn = 360.0 / grid.cell_size[0]
        col = col - turn * np.floor(col / turn)
    with np.errstate(invalid="ignore"):
        inside: NDArray[np.bool_] = (col >= 0) & (col < grid.width) & (row >= 0) & (row < grid.height)
    return inside


def _block_bounds(grid: Grid, row_edges: NDArray, col_edges: NDArray) -> tuple[NDArray, NDArray]:
    """Centres of blocks in space and how far their cells lie from them at the most, km; NaN where there are none."""
    rows, cols = _with_middles(row_edges), _with_middles(col_edges)
    # nodes are corners of cells, whose centres lie half a cell in
    lon, lat = grid.to_wgs84(*np.meshgrid(grid.x(cols - 0.5), grid.y(rows - 0.5)))
    node = np.stack(earth_xyz(lon, lat), axis=-1)
    centre = node[1::2, 1::2]
    n, m = centre.shape[:2]
    reach = np.zeros((n, m))
    for i in range(3):
        for j in range(3):
            corner = node[i : i + 2 * n : 2, j : j + 2 * m : 2]
            reach = np.maximum(reach, np.linalg.norm(corner - centre, axis=-1))
    # between the nodes a side may bulge
    reach = 1.25 * reach
    finite = np.isfinite(node[..., 0])
    some = np.zeros((n, m), bool)
    for i in range(3):
        for j in range(3):
            some |= finite[i : i + 2 * n : 2, j : j + 2 * m : 2]
    rim = some & ~np.isfinite(reach)
    for i, j in zip(*np.nonzero(rim), strict=True):  # across the rim of the projection: by the cells themselves
        r, c = np.arange(row_edges[i], row_edges[i + 1]), np.arange(col_edges[j], col_edges[j + 1])
        point = np.stack(earth_xyz(*grid.lonlat(*np.meshgrid(r, c, indexing="ij"))), axis=-1).reshape(-1, 3)
        point = point[np.isfinite(point[:, 0])]
        if len(point):
            centre[i, j] = point.mean(axis=0)
            reach[i, j] = np.linalg.norm(point - centre[i, j], axis=1).max()
    return centre.reshape(-1, 3), reach.ravel()


def _with_middles(edges: NDArray) -> NDArray:
    out = np.empty(2 * len(edges) - 1)
    out[::2], out[1::2] = edges, (edges[:-1] + edges[1:]) / 2
    return out


def _cells_of(blocks: NDArray[np.bool_], window: Window) -> tuple[slice, slice]:
    """The rectangle of cells, in a window that starts at a block, that holds chosen blocks."""
    rows, cols = np.flatnonzero(blocks.any(axis=1)), np.flatnonzero(blocks.any(axis=0))
    height, width = window.shape
    return (
        slice(int(rows[0]) * _BLOCK, min((int(rows[-1]) + 1) * _BLOCK, height)),
        slice(int(cols[0]) * _BLOCK, min((int(cols[-1]) + 1) * _BLOCK, width)),
    )


class CellPlaces:
    """Where the centres of a window's cells lie in space.

    On a grid of degrees what depends on the row and what depends on the column are kept apart: a squared chord is
    then one product and one sum.
    """

    def __init__(self, grid: Grid, window: Window) -> None:
        self.grid, self.window = grid, window
        rows, cols = np.arange(window.row0, window.row1), np.arange(window.col0, window.col1)
        self.separable = grid.is_geographic and same_crs(grid.crs, WGS84)
        if self.separable:
            self.lon = grid.x(cols)
            self.axis, _, self.z = earth_xyz(np.zeros(len(rows)), grid.y(rows))  # axis: distance from the Earth's
        else:
            lon, lat = grid.lonlat(*np.meshgrid(rows, cols, indexing="ij"))
            self.x, self.y, self.z = earth_xyz(lon, lat)

    def lonlat(self, row: NDArray, col: NDArray) -> tuple[NDArray, NDArray]:
        """Longitudes and latitudes of cells of the window."""
        return self.grid.lonlat(row + self.window.row0, col + self.window.col0)

    def squared_chord(self, lon: float, xyz: NDArray, part: tuple[slice, slice]) -> NDArray:
        """Squared straight distances (km2) of a rectangle of cells from a place; infinite where there is no cell."""
        if self.separable:
            axis, own = self.axis[part[0], None], float(np.hypot(xyz[0], xyz[1]))
            half = np.sin(np.deg2rad(self.lon[part[1]] - lon) / 2)
            return (axis - own) ** 2 + (self.z[part[0], None] - xyz[2]) ** 2 + (4 * own * axis) * (half * half)
        squared = (self.x[part] - xyz[0]) ** 2 + (self.y[part] - xyz[1]) ** 2 + (self.z[part] - xyz[2]) ** 2
        return np.where(np.isfinite(squared), squared, np.inf)

    def tangent(self, lon: float, lat: float, xyz: NDArray, row: NDArray, col: NDArray) -> tuple[NDArray, NDArray]:
        """East and north components (km) of the way from a place to cells."""
        lam, phi = np.deg2rad(lon), np.deg2rad(lat)
        if self.separable:
            axis, turn = self.axis[row], np.deg2rad(self.lon[col] - lon)
            out = axis - float(np.hypot(xyz[0], xyz[1])) - 2 * axis * np.sin(turn / 2) ** 2
            return axis * np.sin(turn), np.cos(phi) * (self.z[row] - xyz[2]) - np.sin(phi) * out
        dx, dy, dz = self.x[row, col] - xyz[0], self.y[row, col] - xyz[1], self.z[row, col] - xyz[2]
        out = np.cos(lam) * dx + np.sin(lam) * dy
        return np.cos(lam) * dy - np.sin(lam) * dx, np.cos(phi) * dz - np.sin(phi) * out
