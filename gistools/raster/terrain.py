"""Slope from a grid of heights: Horn's finite differences over true ground distances, block by block.

Heights are differenced along the columns and rows of the lattice; the ground those steps cover is measured on the
WGS 84 ellipsoid, so that the slope is that of the ground and not of the map. On a grid of degrees a step east is
an arc of its parallel and a step south an arc of the meridian. On a projected grid both steps are measured by
geodesics between neighbouring centres, with the angle between them: a map that is not true to scale, or shears,
gives the same slope as one that is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np
from scipy.special import ellipeinc

from gistools.checks import require_choice, require_positive
from gistools.grid import GEOD, Block, Grid, GridSource, Window
from gistools.raster.tasks import Execution, run_tasks

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import ArrayLike, NDArray

SlopeUnits = Literal["percent", "degrees"]
SLOPE_UNITS: tuple[SlopeUnits, ...] = ("percent", "degrees")
Edges = Literal["extrapolate", "missing"]
EDGES: tuple[Edges, ...] = ("extrapolate", "missing")

# Ground distances are known to some 1e-10 of a step: rounding to this many decimals keeps a strict threshold from
# being met by rounding.
_DECIMALS = 8
# On projected grids steps are measured at nodes this far apart and interpolated between them: over 5 km the
# curvature of a scale factor is below a ten-millionth.
_NODE_M = 5_000.0
_MOST_NODE_CELLS = 64
# The eight neighbours as (row, column) of the 3 x 3 window, in pairs that face each other across the centre; those
# that share a side with it come first.
_PAIRS = (((0, 1), (2, 1)), ((1, 0), (1, 2)), ((0, 0), (2, 2)), ((0, 2), (2, 0)))
# Rows of a block, whole rows of the tiles of a file; about how many cells it holds, and what one takes.
_BLOCK_ROWS = 256
_BLOCK_CELLS = 2_000_000
_CELL_BYTES = 150


def slope(
    dem: GridSource, *, units: SlopeUnits = "percent", edges: Edges = "extrapolate", z_factor: float = 1.0
) -> SlopeSource:
    """See a grid of heights as its slope.

    Parameters
    ----------
    dem : GridSource
        Heights, any CRS.
    units : {"percent", "degrees"}
        100 times rise over run, or its angle.
    edges : {"extrapolate", "missing"}
        What stands for a neighbour without data or beyond the grid: the height on the straight line from the
        opposite neighbour through the centre, which is exact on a plane; where that one lacks too, the centre's own
        height, and at a corner the two steps along the sides taken together. Or nothing, and the cell has no slope.
        A cell without height never has a slope.
    z_factor : float
        Metres in one unit of the heights (0.3048 for feet).

    Returns
    -------
    SlopeSource
        float64; a grid that spans the globe is joined at the antimeridian.

    Raises
    ------
    InputError
        If an option is not allowed.

    Notes
    -----
    With z the heights a b c / d e f / g h i around a cell, the differences are
    ``z_col = ((c + 2 f + i) - (a + 2 d + g)) / 8`` and ``z_row = ((g + 2 h + i) - (a + 2 b + c)) / 8``, and with
    ``E, F, G`` the products of the ground vectors of one step along columns and one along rows,
    ``slope^2 = (G z_col^2 - 2 F z_col z_row + E z_row^2) / (E G - F^2)``.

    References
    ----------
    Horn, B. K. P. (1981), Hill shading and the reflectance map, Proceedings of the IEEE 69(1), 14-47.

    Examples
    --------
    Heights that rise by 30 m from one 100 m cell to the next, eastward at the equator of a Mercator map:

    >>> from affine import Affine
    >>> from pyproj import CRS
    >>> from gistools.grid import ArraySource
    >>> grid = Grid(CRS.from_epsg(3857), Affine(100, 0, 0, 0, -100, 150), (3, 4))
    >>> rising = ArraySource(grid, np.tile(30.0 * np.arange(4), (3, 1)))
    >>> slope(rising).read(grid.whole).values.round(3).tolist()[1]
    [30.0, 30.0, 30.0, 30.0]
    """
    return SlopeSource(dem, units, edges, z_factor)


class SlopeBlock(NamedTuple):
    """Slope of the cells of a window, where there is one, and where heights lacked."""

    values: NDArray
    valid: NDArray[np.bool_]
    has_height: NDArray[np.bool_]
    incomplete: NDArray[np.bool_]  # the cell has a height, but not all of its neighbours have


@dataclass(frozen=True)
class SlopeSource:
    """Heights seen as their slope; made by :func:`slope`."""

    dem: GridSource
    units: SlopeUnits = "percent"
    edges: Edges = "extrapolate"
    z_factor: float = 1.0

    def __post_init__(self) -> None:
        require_choice(self.units, SLOPE_UNITS, "units")
        require_choice(self.edges, EDGES, "edges")
        require_positive(self.z_factor, "z_factor")

    @property
    def grid(self) -> Grid:
        """The lattice of the heights."""
        return self.dem.grid

    @property
    def name(self) -> str:
        """Whose slope it is."""
        return f"the slope of {self.dem.name}"

    def read(self, window: Window) -> Block:
        """Read the slope of the cells of a window."""
        block = self.of(read_with_halo(self.dem, window), window)
        return Block(block.values, None if block.valid.all() else block.valid)

    def of(self, heights: Block, window: Window) -> SlopeBlock:
        """Slope of a window from its heights and those of one cell around, as :func:`read_with_halo` gives them."""
        known = heights.is_valid()
        z = heights.values.astype(np.float64)
        if self.z_factor != 1.0:
            z *= self.z_factor
        centre = known[1:-1, 1:-1]
        whole = bool(known.all())
        around = centre if whole else _all_around(known)
        if not whole:
            z[~known] = 0.0  # NaN or infinity would spoil the sums of their neighbours
        z_col, z_row = _differences(z, None if whole else (known, centre & ~around))
        valid = centre if self.edges == "extrapolate" else centre & around
        e, f, g = step_metric(self.grid, window, valid)
        with np.errstate(invalid="ignore", divide="ignore"):
            if f is None:
                squared = z_col**2 / e + z_row**2 / g
            else:
                squared = (g * z_col**2 - 2 * f * z_col * z_row + e * z_row**2) / (e * g - f * f)
        finite = np.isfinite(squared)
        rise = np.sqrt(np.where(finite, np.maximum(squared, 0.0), 0.0))
        values = 100 * rise if self.units == "percent" else np.rad2deg(np.arctan(rise))
        return SlopeBlock(np.round(values, _DECIMALS, out=values), valid & finite, centre, centre & ~around)


def _all_around(known: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Whether all eight neighbours of the inner cells have data."""
    rows = known[:-2] & known[1:-1] & known[2:]
    out: NDArray[np.bool_] = rows[:, :-2] & rows[:, 1:-1] & rows[:, 2:]
    return out


def _differences(z: NDArray, lacking: tuple[NDArray[np.bool_], NDArray[np.bool_]] | None) -> tuple[NDArray, NDArray]:
    """Horn's differences per column and per row (southwards) of the inner cells.

    Parameters
    ----------
    z : array, shape (rows + 2, cols + 2)
    lacking : (array, array) or None
        Where heights are known, and which inner cells lack a neighbour: these are done apart.
    """
    n, m = z.shape[0] - 2, z.shape[1] - 2
    at = {(i, j): z[i : i + n, j : j + m] for i in range(3) for j in range(3)}
    z_col, z_row = _horn(at)
    if lacking is not None and lacking[1].any():
        known, cells = lacking
        near = {key: part[cells] for key, part in at.items()}
        have = {(i, j): known[i : i + n, j : j + m][cells] for i in range(3) for j in range(3)}
        centre = near[1, 1]
        for one, other in _PAIRS:
            a, b = near[one], near[other]
            # a corner without its opposite: the steps along both sides, which are known or filled by now
            beside = [near[i, 1] + near[1, j] - centre if i != 1 != j else centre for i, j in (one, other)]
            near[one] = np.where(have[one], a, np.where(have[other], 2 * centre - b, beside[0]))
            near[other] = np.where(have[other], b, np.where(have[one], 2 * centre - a, beside[1]))
        z_col[cells], z_row[cells] = _horn(near)
    return z_col, z_row


def _horn(z: dict[tuple[int, int], NDArray]) -> tuple[NDArray, NDArray]:
    east = z[0, 2] + 2 * z[1, 2] + z[2, 2]
    west = z[0, 0] + 2 * z[1, 0] + z[2, 0]
    south = z[2, 0] + 2 * z[2, 1] + z[2, 2]
    north = z[0, 0] + 2 * z[0, 1] + z[0, 2]
    return (east - west) / 8, (south - north) / 8


def turn_cells(grid: Grid) -> int | None:
    """Columns of one turn around the globe, where a grid of degrees spans it; None where it does not.

    A grid whose first and last columns lie on one meridian has one column more than the turn.
    """
    if not grid.is_geographic:
        return None
    turn = round(360.0 / grid.cell_size[0])
    # cell sizes cut after ten digits drift by a small part of a cell over the globe
    spans = turn > 2 and grid.width >= turn and abs(turn * grid.cell_size[0] - 360.0) <= 1e-3 * grid.cell_size[0]
    return turn if spans else None


def read_with_halo(source: GridSource, window: Window) -> Block:
    """Read a window and one cell around it; cells beyond the grid are not valid, but a globe is joined.

    Parameters
    ----------
    source : GridSource
    window : Window

    Returns
    -------
    Block
        Two rows and two columns more than the window.
    """
    height, width = source.grid.shape
    wanted = Window(window.row0 - 1, window.row1 + 1, window.col0 - 1, window.col1 + 1)
    inside = Window(max(wanted.row0, 0), min(wanted.row1, height), max(wanted.col0, 0), min(wanted.col1, width))
    block = source.read(inside)
    if inside == wanted:
        return block
    values = np.zeros(wanted.shape, block.values.dtype)
    valid = np.zeros(wanted.shape, bool)

    def place(part: Block, col: int) -> None:
        rows = slice(inside.row0 - wanted.row0, inside.row1 - wanted.row0)
        cols = slice(col - wanted.col0, col - wanted.col0 + part.values.shape[1])
        values[rows, cols], valid[rows, cols] = part.values, part.is_valid()

    place(block, inside.col0)
    turn = turn_cells(source.grid)
    if turn is not None:
        for col, over in ((wanted.col0, turn), (wanted.col1 - 1, -turn)):
            if not 0 <= col < width:
                place(source.read(inside._replace(col0=col + over, col1=col + over + 1)), col)
    return Block(values, valid)


def meridian_arc_m(latitude: ArrayLike) -> NDArray:
    """Length of the meridian from the equator to a latitude, WGS 84.

    Parameters
    ----------
    latitude : array of float
        Degrees.

    Returns
    -------
    array of float
        Metres; ``a (E(phi, e^2) - e^2 sin(phi) cos(phi) / sqrt(1 - e^2 sin^2(phi)))`` with Legendre's incomplete
        integral of the second kind E.

    Examples
    --------
    >>> round(float(meridian_arc_m(90.0)), 3)
    10001965.729
    """
    phi = np.deg2rad(np.asarray(latitude, np.float64))
    s, c = np.sin(phi), np.cos(phi)
    return np.asarray(GEOD.a * (ellipeinc(phi, GEOD.es) - GEOD.es * s * c / np.sqrt(1 - GEOD.es * s * s)))


def step_metric(grid: Grid, window: Window, wanted: NDArray[np.bool_]) -> tuple[NDArray, NDArray | None, NDArray]:
    """Ground that one step along columns and one along rows cover: the first fundamental form of the lattice.

    Parameters
    ----------
    grid : Grid
    window : Window
    wanted : array of bool, shape of the window
        Cells that matter; others may be left NaN.

    Returns
    -------
    E, F, G : arrays of float, or None for F
        Square metres: squared length of a step east, product of both steps (None where they are at right angles),
        squared length of a step south. One column for grids of degrees, else the shape of the window; NaN where a
        neighbour lies outside the domain of the projection.
    """
    if grid.is_geographic:
        rows = np.arange(window.row0, window.row1)
        latitude = grid.y(rows)
        phi = np.deg2rad(latitude)
        parallel = GEOD.a * np.cos(phi) / np.sqrt(1 - GEOD.es * np.sin(phi) ** 2) * np.deg2rad(grid.cell_size[0])
        # at a pole there is no step east
        parallel = np.where(np.abs(latitude) < 90 - 1e-9, parallel, np.nan)
        meridian = (meridian_arc_m(grid.y(rows - 1)) - meridian_arc_m(grid.y(rows + 1))) / 2
        return (parallel**2)[:, None], None, (meridian**2)[:, None]
    e, f, g = _interpolated(grid, window)
    lost = wanted & ~np.isfinite(e)
    if lost.any():  # beside the rim of the projection a node may lie beyond it
        row, col = np.nonzero(lost)
        e[lost], f[lost], g[lost] = _measured(grid, row + window.row0, col + window.col0)
    return e, f, g


def _interpolated(grid: Grid, window: Window) -> tuple[NDArray, NDArray, NDArray]:
    """The metric of a projected grid, measured at nodes that lie at fixed cells of the grid, and linear between."""
    axis = grid.crs.axis_info
    metre = axis[0].unit_conversion_factor if axis else 1.0
    step = int(np.clip(_NODE_M / (max(grid.cell_size) * metre), 1, _MOST_NODE_CELLS))
    rows = np.arange(window.row0 // step, -(-(window.row1 - 1) // step) + 1) * step
    cols = np.arange(window.col0 // step, -(-(window.col1 - 1) // step) + 1) * step
    at_nodes = _measured(grid, *np.meshgrid(rows, cols, indexing="ij"))
    if step == 1:
        return at_nodes

    def between(nodes: NDArray, axis: int, first: int, last: int, origin: int) -> NDArray:
        position = (np.arange(first, last) - origin) / step
        low = np.minimum(position.astype(np.int64), max(nodes.shape[axis] - 2, 0))
        high = np.minimum(low + 1, nodes.shape[axis] - 1)
        share = (position - low)[:, None] if axis == 0 else position - low
        return nodes.take(low, axis) * (1 - share) + nodes.take(high, axis) * share

    def spread(nodes: NDArray) -> NDArray:
        along = between(nodes, 0, window.row0, window.row1, int(rows[0]))
        return between(along, 1, window.col0, window.col1, int(cols[0]))

    e, f, g = (spread(nodes) for nodes in at_nodes)
    return e, f, g


def _measured(grid: Grid, rows: NDArray, cols: NDArray) -> tuple[NDArray, NDArray, NDArray]:
    """The metric at single cells, by geodesics from each centre to its four neighbours."""
    lon, lat = grid.lonlat(rows, cols)

    def step(row: int, col: int) -> tuple[NDArray, NDArray]:
        east, north = [], []
        for sign in (1, -1):
            to_lon, to_lat = grid.lonlat(rows + sign * row, cols + sign * col)
            azimuth, _, length = GEOD.inv(lon, lat, to_lon, to_lat)
            east.append(sign * length * np.sin(np.deg2rad(azimuth)))
            north.append(sign * length * np.cos(np.deg2rad(azimuth)))
        return (east[0] + east[1]) / 2, (north[0] + north[1]) / 2

    with np.errstate(invalid="ignore"):
        (ce, cn), (re, rn) = step(0, 1), step(1, 0)
        return ce * ce + cn * cn, ce * re + cn * rn, re * re + rn * rn


def slope_blocks(
    source: SlopeSource,
    *,
    execution: Execution | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Iterator[tuple[Window, SlopeBlock]]:
    """Compute the slope of a whole grid, whole rows at a time from north to south, a few blocks in memory.

    Parameters
    ----------
    source : SlopeSource
    execution : Execution, optional
        Blocks are computed in parallel and given in the order of the rows.
    progress : callable, optional
        Called with the blocks done and the blocks in all.

    Yields
    ------
    (Window, SlopeBlock)
    """
    execution = execution or Execution()
    height, width = source.grid.shape
    most = min(_BLOCK_CELLS, cells_at_once(execution, _CELL_BYTES))
    rows = min(_BLOCK_ROWS, max(64, most // width // 64 * 64))
    windows = [Window(r, min(r + rows, height), 0, width) for r in range(0, height, rows)]
    together = 2 * execution.threads
    for first in range(0, len(windows), together):
        some = windows[first : first + together]
        blocks = run_tasks(_slope_block, [(source, window) for window in some], execution=execution)
        for k, window in enumerate(some):
            yield window, blocks[k]
            if progress:
                progress(first + k + 1, len(windows))


def _slope_block(task: tuple[SlopeSource, Window]) -> SlopeBlock:
    source, window = task
    return source.of(read_with_halo(source.dem, window), window)


def cells_at_once(execution: Execution, cell_bytes: float) -> int:
    """How many cells one task may hold, so that all that run at a time keep within the limit on memory."""
    if execution.memory_gb is None:
        return 2**62
    running = 1 if execution.scheduler else execution.threads
    return int(execution.memory_gb * 1e9 / running / cell_bytes)
