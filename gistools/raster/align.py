"""Lights on the lattice of the population: always explicit, never left to floating point.

The population grid is the master lattice and is never resampled: any smoothing moves cells across a density
threshold. Lights are brought to it by the area-weighted mean of the light cells that a population cell
overlaps, or by the light cell that holds its centre. DMSP's cell centres lie on the 1/120 degree lattice,
LandScan's cell edges do: there the mean is the plain mean of 2 x 2 light cells, and "nearest" is a four-way tie
that goes to the north-west cell.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from pyproj import Transformer

from gistools.checks import require_choice
from gistools.errors import GridError
from gistools.grid import (
    ArraySource,
    Block,
    Grid,
    GridSource,
    Window,
    crs_name,
    fetch,
    grid_of,
    same_crs,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import xarray as xr
    from numpy.typing import NDArray

Align = Literal["mean", "nearest"]
ALIGN: tuple[Align, ...] = ("mean", "nearest")

# A centre this near to a cell's edge (in cells) lies on it: it goes to the west or north cell.
_TIE = 1e-6
# Decimals that files cut off move a coordinate by up to this share of the CRS's extent: cell sizes such as
# 0.0083333333 count up to a fifth of a thousandth of a cell over a globe.
_CUT_OFF = 1e-8
# Means are rounded to this many decimals: the mean of tens must be ten, or a strict threshold is met by rounding.
_DECIMALS = 10


def align(source: GridSource, grid: Grid, *, how: Align = "mean") -> GridSource:
    """See a grid of intensities (lights) on another lattice.

    Parameters
    ----------
    source : GridSource
        Values that may be averaged: digital numbers or radiance, never counts.
    grid : Grid
        The lattice to bring them to.
    how : {"mean", "nearest"}
        Area-weighted mean of the cells overlapped, missing cells left out; or the cell that holds the centre,
        a centre on an edge going to the west or north cell.

    Returns
    -------
    GridSource
        The source itself where both lattices are the same. Between two CRSs the corners of each cell are carried
        over, and ``mean`` weights by overlap with the quadrilateral between them, in the plane of `source`.

    Raises
    ------
    GridError
        If the two grids do not overlap.

    Examples
    --------
    >>> from affine import Affine
    >>> from gistools.grid import WGS84, ArraySource
    >>> lights = ArraySource(Grid(WGS84, Affine(1, 0, -0.5, 0, -1, 2.5), (3, 3)), np.arange(9.0).reshape(3, 3))
    >>> people = Grid(WGS84, Affine(1, 0, 0, 0, -1, 2), (2, 2))
    >>> align(lights, people).read(people.whole).values.tolist()
    [[2.0, 3.0], [5.0, 6.0]]
    >>> align(lights, people, how="nearest").read(people.whole).values.tolist()
    [[0.0, 1.0], [3.0, 4.0]]
    """
    require_choice(how, ALIGN, "align")
    if source.grid.same_as(grid):
        return source
    if same_crs(source.grid.crs, grid.crs):
        return _Separable(source, grid, how)
    return _Reprojected(source, grid, how)


def describe_alignment(source: Grid, grid: Grid, how: Align) -> str:
    """Say in one sentence how one lattice is brought to another.

    Returns
    -------
    str
    """
    if source.same_as(grid):
        return "lights and population share one lattice"
    if not same_crs(source.crs, grid.crs):
        return f"lights in {crs_name(source.crs)} are brought to the population's {crs_name(grid.crs)} by {how}"
    ratio = grid.cell_size[0] / source.cell_size[0], grid.cell_size[1] / source.cell_size[1]
    shift = float(source.col(grid.bounds[0])) % 1, float(source.row(grid.bounds[3])) % 1
    text = (
        f"lights are brought to the population's lattice by {how}: its cells are {ratio[0]:.4g} x {ratio[1]:.4g} "
        f"light cells, shifted by {shift[0]:.3f} and {shift[1]:.3f} of a light cell"
    )
    if how == "nearest" and min(ratio) >= 1.5:
        text += f"; nearest reads one light cell in {round(ratio[0] * ratio[1])}"
    return text


@dataclass(frozen=True)
class _Axis:
    """Along one axis: the source cells each target cell needs, and their weights."""

    index: NDArray  # (cells, most source cells), -1 where none
    weight: NDArray

    @classmethod
    def build(cls, origin: float, ratio: float, first: int, count: int, size: int, how: Align) -> _Axis:
        """Map target cells ``first .. first + count``, which start at `origin` and are `ratio` source cells long."""
        if how == "nearest":
            position = origin + (first + np.arange(count) + 0.5) * ratio
            index = np.floor(position - _TIE).astype(np.int64)[:, None]
            weight = np.ones((count, 1))
        else:
            low = origin + (first + np.arange(count)) * ratio
            high = low + ratio
            begin = np.floor(low + _TIE).astype(np.int64)
            most = int((np.ceil(high - _TIE).astype(np.int64) - begin).max())
            index = begin[:, None] + np.arange(most)
            weight = np.minimum(high[:, None], index + 1) - np.maximum(low[:, None], index)
            weight = np.where(weight > _TIE, weight, 0.0)
        outside = (index < 0) | (index >= size)
        weight = np.where(outside, 0.0, weight)
        return cls(np.where(outside | (weight == 0), -1, index), weight)

    @property
    def is_even(self) -> bool:
        """Whether every source cell counts alike, and their number is a power of two."""
        count = self.index.shape[1]
        return count in (1, 2, 4, 8, 16) and bool((self.weight == self.weight[0, 0]).all())

    @property
    def span(self) -> tuple[int, int] | None:
        """First and last + 1 source cell needed."""
        used = self.index[self.index >= 0]
        return (int(used.min()), int(used.max()) + 1) if used.size else None


def _snapped(value: float, step: float, tolerance: float) -> float:
    nearest = round(value / step) * step
    return nearest if abs(value - nearest) <= tolerance else value


def _axis_of(source: Grid, grid: Grid) -> tuple[tuple[float, float], tuple[float, float]]:
    """Origin and ratio along columns and rows, in source cells, freed of the noise of cut-off decimals."""
    west, _, _, north = grid.bounds
    reach = 180.0 if grid.crs.is_geographic else max(map(abs, grid.bounds))
    out = []
    for axis, n in ((0, grid.width), (1, grid.height)):
        ratio = grid.cell_size[axis] / source.cell_size[axis]
        origin = float(source.col(west) if axis == 0 else source.row(north))
        near = round(ratio) if ratio >= 1 else 1 / round(1 / ratio)
        noise = max(_TIE, _CUT_OFF * reach / source.cell_size[axis])
        if abs(ratio - near) * n <= noise:
            ratio, origin = near, _snapped(origin, 0.5 * min(near, 1.0), noise)
        out.append((origin, ratio))
    return out[0], out[1]


def _no_overlap(source: GridSource, grid: Grid) -> GridError:
    return GridError(
        f"{source.name} ({source.grid.describe()}) and the population grid ({grid.describe()}) do not overlap"
    )


@dataclass(frozen=True)
class _Separable:
    """Lights seen on another lattice of the same CRS: weights by row times weights by column."""

    source: GridSource
    grid: Grid
    how: Align

    def __post_init__(self) -> None:
        (x0, rx), (y0, ry) = _axis_of(self.source.grid, self.grid)
        inside_x = x0 < self.source.grid.width and x0 + rx * self.grid.width > 0
        inside_y = y0 < self.source.grid.height and y0 + ry * self.grid.height > 0
        if not (inside_x and inside_y):
            raise _no_overlap(self.source, self.grid)

    @property
    def name(self) -> str:
        return self.source.name

    def read(self, window: Window) -> Block:
        return self.fetch(window)()

    def fetch(self, window: Window) -> Callable[[], Block]:
        (x0, rx), (y0, ry) = _axis_of(self.source.grid, self.grid)
        n, m = window.shape
        cols = _Axis.build(x0, rx, window.col0, m, self.source.grid.width, self.how)
        rows = _Axis.build(y0, ry, window.row0, n, self.source.grid.height, self.how)
        if rows.span is None or cols.span is None:
            return lambda: Block(np.zeros((n, m), np.float32), np.zeros((n, m), bool))
        (r0, r1), (c0, c1) = rows.span, cols.span
        begun = fetch(self.source, Window(r0, r1, c0, c1))
        if self.how == "nearest":
            return lambda: _gather(begun(), rows.index[:, 0] - r0, cols.index[:, 0] - c0)
        return lambda: _mean(begun(), (rows, r0), (cols, c0))


def _gather(block: Block, rows: NDArray, cols: NDArray) -> Block:
    """Pick cells; indices below zero have no source cell (their index was -1 before the shift)."""
    inside = (rows >= 0)[:, None] & (cols >= 0)[None, :]
    picked = np.ix_(np.maximum(rows, 0), np.maximum(cols, 0))
    valid = None if block.valid is None else block.valid[picked]
    if not inside.all():
        valid = inside if valid is None else inside & valid
    return Block(block.values[picked], valid)


def _mean(block: Block, rows: tuple[_Axis, int], cols: tuple[_Axis, int]) -> Block:
    """Weighted mean over the overlapped cells, missing cells left out."""
    whole = bool((rows[0].index >= 0).all() and (cols[0].index >= 0).all())
    one_byte = block.values.dtype == np.uint8
    if block.valid is None and whole and one_byte and rows[0].is_even and cols[0].is_even:
        # DMSP on the half-cell shift: sums of digital numbers are exact in 8 or 16 bits, their quarter in float32
        cells = rows[0].index.shape[1] * cols[0].index.shape[1]  # at most 256: see is_even
        kind = np.uint8 if cells * int(block.values.max(initial=0)) < 256 else np.uint16
        total = _summed(_summed(block.values, rows, 0, kind), cols, 1, kind)
        return Block(np.multiply(total, np.float32(1 / cells), dtype=np.float32), None)
    valid = block.is_valid()
    values = block.values if block.valid is None else np.where(valid, block.values, 0)
    total = _summed(_summed(values, rows, 0, np.float64), cols, 1, np.float64)
    if block.valid is None and whole:
        mean = total / (rows[0].weight.sum(axis=1)[:, None] * cols[0].weight.sum(axis=1))
        return Block(np.round(mean, _DECIMALS, out=mean), None)
    weight = _summed(_summed(valid.astype(np.float64), rows, 0, np.float64), cols, 1, np.float64)
    # of a whole cell's weight: without missing or outside cells
    full = float(rows[0].weight.sum(axis=1).max() * cols[0].weight.sum(axis=1).max())
    covered = weight > _TIE * full
    mean = np.divide(total, weight, out=np.zeros_like(total), where=covered)
    return Block(np.round(mean, _DECIMALS, out=mean), covered)


def _summed(values: NDArray, axis: tuple[_Axis, int], along: int, dtype: type) -> NDArray:
    """Sum source cells along one axis: by weight, or unweighted where the sum is kept in integers."""
    index, weight = axis[0].index - axis[1], axis[0].weight
    weighted = dtype is np.float64
    terms = []
    for k in range(index.shape[1]):
        step = int(index[1, k] - index[0, k]) if len(index) > 1 else 1
        # an even stride is a view; only ragged maps pay for a gather
        if step > 0 and (axis[0].index[:, k] >= 0).all() and (np.diff(index[:, k]) == step).all():
            picked: slice | NDArray = slice(int(index[0, k]), int(index[-1, k]) + 1, step)
        else:
            picked = np.maximum(index[:, k], 0)
        part = values[picked] if along == 0 else values[:, picked]
        factor = weight[:, k, None] if along == 0 else weight[:, k]
        terms.append(np.multiply(part, factor, dtype=dtype) if weighted else part)
    if len(terms) == 1:
        return terms[0].astype(dtype, copy=False)
    total = np.add(terms[0], terms[1], dtype=dtype)
    for term in terms[2:]:
        total += term
    return total


@dataclass(frozen=True)
class _Reprojected:
    """Lights seen on a lattice of another CRS: points of each cell are carried over exactly."""

    source: GridSource
    grid: Grid
    how: Align
    cell_bytes = 640  # corners of each cell in two CRSs, and what their overlaps take

    def __post_init__(self) -> None:
        west, south, east, north = self.source.grid.bounds
        to_source = Transformer.from_crs(self.grid.crs, self.source.grid.crs, always_xy=True)
        w, s, e, n = to_source.transform_bounds(*self.grid.bounds)
        if not (w < east and e > west and s < north and n > south):
            raise _no_overlap(self.source, self.grid)

    @property
    def name(self) -> str:
        return self.source.name

    def read(self, window: Window) -> Block:
        t = self.grid.transform
        to_source = Transformer.from_crs(self.grid.crs, self.source.grid.crs, always_xy=True)
        corner = self.how == "mean"
        shift, extra = (0.0, 1) if corner else (0.5, 0)
        x = t.c + (np.arange(window.col0, window.col1 + extra) + shift) * t.a
        y = t.f + (np.arange(window.row0, window.row1 + extra) + shift) * t.e
        sx, sy = to_source.transform(*np.meshgrid(x, y))
        col, row = self.source.grid.col(sx), self.source.grid.row(sy)
        finite = np.isfinite(col) & np.isfinite(row)
        row, col = np.where(finite, row, np.nan), np.where(finite, col, np.nan)
        near = Window(*_bounds(row[finite], self.source.grid.height), *_bounds(col[finite], self.source.grid.width))
        if near.row0 >= near.row1 or near.col0 >= near.col1:
            return Block(np.zeros(window.shape, np.float32), np.zeros(window.shape, bool))
        block = self.source.read(near)
        if self.how == "nearest":
            values, valid = _look_up(block, near, row, col)
            return Block(values, valid)
        cols, rows = _corners(col), _corners(row)
        if self.source.grid.crs.is_geographic:
            # a cell across the antimeridian stays in one piece: its corners lie within half a turn of the first
            turn = 360 / self.source.grid.cell_size[0]
            cols -= turn * np.round((cols - cols[0]) / turn)
        return _mean_under(block, near, cols, rows)


def _corners(position: NDArray) -> NDArray:
    """Positions at the nodes of a lattice as corners of its cells, once around: shape (4, rows, cols)."""
    return np.stack([position[:-1, :-1], position[:-1, 1:], position[1:, 1:], position[1:, :-1]])


def _mean_under(block: Block, near: Window, x: NDArray, y: NDArray) -> Block:
    """Weighted mean of the source cells under quadrilaterals, missing cells left out.

    Parameters
    ----------
    block : Block
        The cells of `near`.
    x, y : ndarray, shape (4, rows, cols)
        Corners in columns and rows of the source.
    """
    shape = x.shape[1:]
    x, y = x.reshape(4, -1), y.reshape(4, -1)
    usable = np.flatnonzero(np.isfinite(x).all(axis=0) & np.isfinite(y).all(axis=0))
    x, y = x[:, usable], y[:, usable]
    first_col, first_row = (np.floor(p.min(axis=0) + _TIE).astype(np.int64) for p in (x, y))
    wide, high = (
        np.maximum(np.ceil(p.max(axis=0) - _TIE).astype(np.int64) - first, 1)
        for p, first in ((x, first_col), (y, first_row))
    )
    x, y = x - first_col, y - first_row
    total, weight = np.zeros(x.shape[1]), np.zeros(x.shape[1])
    values = block.values if block.valid is None else np.where(block.valid, block.values, 0)
    rows, cols = values.shape
    # cells that reach over as many source cells are weighed together
    spans, group = np.unique(np.stack([wide, high]), axis=1, return_inverse=True)
    for k, (across, down) in enumerate(spans.T.tolist()):
        cells = np.flatnonzero(group.ravel() == k)
        left, top = first_col[cells] - near.col0, first_row[cells] - near.row0
        for i, j, area in _overlaps(x[:, cells], y[:, cells], across, down):
            c, r = left + i, top + j
            inside = (c >= 0) & (c < cols) & (r >= 0) & (r < rows)
            at = np.where(inside, r * cols + c, 0)
            if block.valid is not None:
                inside &= block.valid.ravel()[at]
            held = np.where(inside, area, 0.0)
            total[cells] += held * values.ravel()[at]
            weight[cells] += held
    covered = weight > _TIE * np.abs(_area_within(x, y, np.inf, np.inf))
    mean = np.zeros(shape)
    valid = np.zeros(shape, bool)
    mean.ravel()[usable] = np.round(np.divide(total, weight, out=np.zeros_like(total), where=covered), _DECIMALS)
    valid.ravel()[usable] = covered
    return Block(mean, valid)


def _overlaps(x: NDArray, y: NDArray, across: int, down: int) -> Iterator[tuple[int, int, NDArray]]:
    """Yield column, row and area of what polygons share with the unit squares of a lattice, exactly.

    Parameters
    ----------
    x, y : ndarray, shape (corners, polygons)
        Between 0 and `across`, and 0 and `down`.
    """
    sign = np.sign(_area_within(x, y, np.inf, np.inf))
    above = [np.zeros(x.shape[1])] * (across + 1)
    for j in range(down):
        below = np.inf if j + 1 == down else j + 1.0
        here = [above[0]]
        for i in range(across):
            here.append(sign * _area_within(x, y, np.inf if i + 1 == across else i + 1.0, below))
            yield i, j, np.maximum(here[i + 1] - here[i] - above[i + 1] + above[i], 0.0)
        above = here


def _area_within(x: NDArray, y: NDArray, right: float, bottom: float) -> NDArray:
    """Signed area of the part of polygons left of `right` and above `bottom` (y grows downward).

    By Green's theorem it is the integral of ``min(y, bottom)`` over dx along the edges, cut at `right`; along a
    straight edge that is a trapezoid, or a triangle where the edge crosses `bottom`.
    """
    x1, y1 = np.roll(x, -1, axis=0), np.roll(y, -1, axis=0)
    if right == np.inf:
        dx, start, stop = x1 - x, y, y1
    else:
        run = np.where(x1 == x, 1.0, x1 - x)
        cut, cut1 = np.minimum(x, right), np.minimum(x1, right)
        dx = cut1 - cut
        slope = (y1 - y) / run
        start, stop = y + (cut - x) * slope, y + (cut1 - x) * slope
    if bottom == np.inf:
        return (dx * (0.5 * (start + stop))).sum(axis=0)
    u, v = start - bottom, stop - bottom
    low, top = np.minimum(u, v), np.maximum(u, v)
    crosses = (low < 0) & (top > 0)
    triangle = -0.5 * low**2 / np.where(crosses, top - low, 1.0)
    middle = np.where(crosses, triangle, 0.5 * (np.minimum(u, 0) + np.minimum(v, 0)))
    return (dx * (bottom + middle)).sum(axis=0)


def _bounds(position: NDArray, size: int) -> tuple[int, int]:
    if not position.size:
        return 0, 0
    return max(int(np.floor(position.min())) - 1, 0), min(int(np.floor(position.max())) + 2, size)


def _look_up(block: Block, near: Window, row: NDArray, col: NDArray) -> tuple[NDArray, NDArray[np.bool_]]:
    """Values of the source cells that hold fractional positions, and where there are any."""
    finite = np.isfinite(row) & np.isfinite(col)
    r = np.floor(np.where(finite, row, -1.0) - _TIE).astype(np.int64) - near.row0
    c = np.floor(np.where(finite, col, -1.0) - _TIE).astype(np.int64) - near.col0
    inside = finite & (r >= 0) & (r < block.values.shape[0]) & (c >= 0) & (c < block.values.shape[1])
    flat = np.where(inside, r * block.values.shape[1] + c, 0)
    values = block.values.ravel()[flat]
    return values, inside if block.valid is None else inside & block.valid.ravel()[flat]


def align_grid(lights: xr.DataArray, population: xr.DataArray, *, how: Align = "mean") -> xr.DataArray:
    """Bring a labelled raster of lights to the lattice of a population raster.

    Parameters
    ----------
    lights : DataArray, dims (y, x)
        Digital numbers or radiance, NaN without data; read into memory.
    population : DataArray, dims (y, x)
        Only its lattice counts.
    how : {"mean", "nearest"}
        As in :func:`align`.

    Returns
    -------
    DataArray, dims (y, x), float32 or float64
        Lights on the population's lattice, NaN without data, with the attributes of `lights`.

    Raises
    ------
    GridError
        If the two do not overlap.

    Examples
    --------
    >>> import rioxarray, xarray as xr
    >>> from affine import Affine
    >>> def raster(values, west, north):
    ...     array = xr.DataArray(np.asarray(values, float), dims=("y", "x"))
    ...     return array.rio.write_crs(4326).rio.write_transform(Affine(1, 0, west, 0, -1, north))
    >>> align_grid(raster([[0, 4], [8, 12]], 0, 2), raster([[1]], 0.5, 1.5)).values.tolist()
    [[6.0]]
    """
    grid = grid_of(population)
    source = ArraySource(grid_of(lights), lights.to_numpy(), name=str(lights.attrs.get("source", "the lights")))
    block = align(source, grid, how=how).read(grid.whole)
    values = block.values if block.values.dtype.kind == "f" else block.values.astype(np.float64)
    out = population.copy(data=values if block.valid is None else np.where(block.valid, values, np.nan))
    out.attrs = dict(lights.attrs)
    return out.rename(lights.name)
