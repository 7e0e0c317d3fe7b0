"""Grids as values: where the cells of a raster lie and how large they are.

A :class:`Grid` is a CRS, an affine transform and a shape. A :class:`GridSource` is anything that has a grid
and reads windows of it: files (`gistools.io`), arrays in memory (:class:`ArraySource`), or another source
seen through an alignment. The block scan and every calculation on rasters take sources, never paths.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, NamedTuple, Protocol, runtime_checkable

import numpy as np
from affine import Affine
from pyproj import CRS, Geod, Transformer

from gistools.errors import CrsError, GridError

if TYPE_CHECKING:
    from collections.abc import Callable

    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

WGS84 = CRS.from_epsg(4326)
GEOD = Geod(ellps="WGS84")

# Cells whose centres or edges agree to this part of a cell are taken to lie on one lattice: files carry
# pixel sizes cut after ten digits, which drift by some 1e-4 of a cell over a globe of 43,201 columns.
LATTICE_TOLERANCE = 1e-3

_E2 = GEOD.es
_E = float(np.sqrt(_E2))


class Window(NamedTuple):
    """Rows ``row0 <= r < row1`` and columns ``col0 <= c < col1`` of a grid."""

    row0: int
    row1: int
    col0: int
    col1: int

    @property
    def shape(self) -> tuple[int, int]:
        """Number of rows and columns."""
        return self.row1 - self.row0, self.col1 - self.col0

    @property
    def cells(self) -> int:
        """Number of cells."""
        return (self.row1 - self.row0) * (self.col1 - self.col0)


class Block(NamedTuple):
    """The cells of a window: values and, where some cells have no data, a mask that is True where valid."""

    values: NDArray
    valid: NDArray[np.bool_] | None

    def is_valid(self) -> NDArray[np.bool_]:
        """Return the mask, made where every cell is valid."""
        return np.ones(self.values.shape, bool) if self.valid is None else self.valid


@runtime_checkable
class GridSource(Protocol):
    """What the block scan reads: a grid, a name for messages, and windows of cells.

    Sources are picklable, so that a worker in another process can open its own handle.
    """

    @property
    def grid(self) -> Grid:
        """Where the cells lie."""

    @property
    def name(self) -> str:
        """How messages name the source: its file, or what it is made of."""

    def read(self, window: Window) -> Block:
        """Read the cells of a window that lies inside the grid."""


def fetch(source: GridSource, window: Window) -> Callable[[], Block]:
    """Begin to read a window: what must be waited for is done, what is left to compute is returned as a function.

    Parameters
    ----------
    source : GridSource
        One that has a method ``fetch`` of its own reads in these two steps; any other is read whole.
    window : Window

    Returns
    -------
    callable
        Gives the block.
    """
    begin = getattr(source, "fetch", None)
    if begin is not None:
        return begin(window)
    block = source.read(window)
    return lambda: block


@dataclass(frozen=True)
class Grid:
    """A north-up lattice of cells.

    Parameters
    ----------
    crs : pyproj.CRS
        Geographic (degrees) or projected (metres).
    transform : affine.Affine
        From (column, row) of cell corners to coordinates, north-up: no rotation, rows run south.
    shape : (int, int)
        Rows and columns.

    Raises
    ------
    GridError
        If the transform is rotated, south-up or not of finite numbers, or the shape is empty.

    Examples
    --------
    >>> grid = Grid(WGS84, Affine(0.5, 0, 100, 0, -0.5, 40), (4, 6))
    >>> grid.bounds
    (100.0, 38.0, 103.0, 40.0)
    >>> round(float(grid.cell_area_km2(Window(0, 1, 0, 1))[0, 0]), 3)
    2378.93
    """

    crs: CRS
    transform: Affine
    shape: tuple[int, int]
    _lonlat: Transformer | None = field(default=None, init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        t = self.transform
        if not np.isfinite(tuple(t)[:6]).all():
            raise GridError(
                f"the grid does not say where its cells lie (transform {tuple(t)[:6]}); write its corners into the "
                "file (gdal_edit.py -a_ullr WEST NORTH EAST SOUTH)"
            )
        if t.b or t.d or t.a <= 0 or t.e >= 0:
            raise GridError(
                f"the grid is rotated or its rows do not run from north to south (transform {tuple(t)[:6]}); "
                "rewrite it north-up, for example with gdalwarp"
            )
        if min(self.shape) < 1:
            raise GridError(f"the grid has no cells (shape {self.shape})")

    def __getstate__(self) -> dict[str, object]:  # a Transformer holds a handle and stays behind
        return {"crs": self.crs, "transform": self.transform, "shape": self.shape, "_lonlat": None}

    def __setstate__(self, state: dict[str, object]) -> None:
        self.__dict__.update(state)

    @property
    def height(self) -> int:
        """Number of rows."""
        return self.shape[0]

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.shape[1]

    @property
    def cell_size(self) -> tuple[float, float]:
        """Width and height of a cell, in units of the CRS."""
        return self.transform.a, -self.transform.e

    @property
    def bounds(self) -> tuple[float, float, float, float]:
        """West, south, east, north."""
        t = self.transform
        return t.c, t.f + t.e * self.height, t.c + t.a * self.width, t.f

    @property
    def whole(self) -> Window:
        """The window that holds every cell."""
        return Window(0, self.height, 0, self.width)

    @cached_property
    def is_geographic(self) -> bool:
        """Whether the cells lie in degrees of longitude and latitude."""
        return bool(self.crs.is_geographic)

    def x(self, cols: ArrayLike) -> FloatArray:
        """X coordinates of the centres of columns."""
        return self.transform.c + (np.asarray(cols, np.float64) + 0.5) * self.transform.a

    def y(self, rows: ArrayLike) -> FloatArray:
        """Y coordinates of the centres of rows."""
        return self.transform.f + (np.asarray(rows, np.float64) + 0.5) * self.transform.e

    def col(self, x: ArrayLike) -> FloatArray:
        """Fractional columns of x coordinates: cell ``c`` spans ``c`` to ``c + 1``."""
        return (np.asarray(x, np.float64) - self.transform.c) / self.transform.a

    def row(self, y: ArrayLike) -> FloatArray:
        """Fractional rows of y coordinates: cell ``r`` spans ``r`` to ``r + 1``, southwards."""
        return (np.asarray(y, np.float64) - self.transform.f) / self.transform.e

    def to_wgs84(self, x: ArrayLike, y: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Longitudes and latitudes (WGS 84, degrees) of coordinates of this grid's CRS; NaN outside its domain."""
        x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
        if self.is_geographic and same_crs(self.crs, WGS84):
            return x, y
        if self._lonlat is None:
            object.__setattr__(self, "_lonlat", Transformer.from_crs(self.crs, WGS84, always_xy=True))
        lon, lat = self._lonlat.transform(x, y)  # type: ignore[union-attr]
        inside = np.isfinite(lon) & np.isfinite(lat)  # PROJ answers infinity elsewhere
        return np.where(inside, lon, np.nan), np.where(inside, lat, np.nan)

    def lonlat(self, rows: ArrayLike, cols: ArrayLike) -> tuple[FloatArray, FloatArray]:
        """Longitudes and latitudes (WGS 84, degrees) of cell centres, element by element."""
        return self.to_wgs84(self.x(cols), self.y(rows))

    @cached_property
    def _row_area_km2(self) -> FloatArray:
        """Area of one cell of each row; geographic grids only."""
        edges = np.clip(self.transform.f + np.arange(self.height + 1) * self.transform.e, -90.0, 90.0)
        band = -np.diff(authalic_q(edges))
        return np.asarray(0.5e-6 * GEOD.a**2 * np.deg2rad(self.transform.a) * band, np.float64)

    def cell_area_km2(self, window: Window) -> FloatArray:
        """Geodesic areas (WGS 84) of the cells of a window.

        Geographic cells are bounded by parallels and meridians: closed form by row, returned as one column.
        Projected cells are the geodesic quadrilaterals of their four corners.

        Parameters
        ----------
        window : Window

        Returns
        -------
        array of float, shape (rows, 1) if the grid is geographic, else (rows, cols)
            Square kilometres; NaN where a projected cell lies outside the domain of its projection.
        """
        if self.is_geographic:
            return self._row_area_km2[window.row0 : window.row1, None]
        t = self.transform
        x = t.c + np.arange(window.col0, window.col1 + 1) * t.a
        y = t.f + np.arange(window.row0, window.row1 + 1) * t.e
        lon, lat = self.to_wgs84(*np.meshgrid(x, y))
        west, east, north, south = slice(None, -1), slice(1, None), slice(None, -1), slice(1, None)
        ring = [(north, west), (south, west), (south, east), (north, east)]
        return geodesic_area_km2([lon[r, c] for r, c in ring], [lat[r, c] for r, c in ring])

    def cell_area_km2_at(self, rows: ArrayLike, cols: ArrayLike) -> FloatArray:
        """Geodesic areas (km2) of single cells, element by element."""
        rows, cols = np.asarray(rows), np.asarray(cols)
        if self.is_geographic:
            return np.asarray(self._row_area_km2[rows])
        t = self.transform
        west, north = t.c + cols * t.a, t.f + rows * t.e
        corners = [(west, north), (west, north + t.e), (west + t.a, north + t.e), (west + t.a, north)]
        lonlat = [self.to_wgs84(x, y) for x, y in corners]
        return geodesic_area_km2([p[0] for p in lonlat], [p[1] for p in lonlat])

    def crop(self, window: Window) -> Grid:
        """Return the grid of a window."""
        return Grid(self.crs, self.transform @ Affine.translation(window.col0, window.row0), window.shape)

    def window_of(self, bounds: tuple[float, float, float, float]) -> Window | None:
        """Return the window whose cells touch the bounds (west, south, east, north; own CRS), or None.

        Parameters
        ----------
        bounds : (float, float, float, float)

        Returns
        -------
        Window or None
            None where nothing of the grid lies within the bounds.
        """
        west, south, east, north = bounds
        col0, col1 = int(np.floor(self.col(west))), int(np.ceil(self.col(east)))
        row0, row1 = int(np.floor(self.row(north))), int(np.ceil(self.row(south)))
        row0, row1 = max(row0, 0), min(row1, self.height)
        col0, col1 = max(col0, 0), min(col1, self.width)
        return Window(row0, row1, col0, col1) if row0 < row1 and col0 < col1 else None

    def same_as(self, other: Grid) -> bool:
        """Whether both grids have the same cells, to a thousandth of a cell."""
        if self.shape != other.shape or not same_crs(self.crs, other.crs):
            return False
        a, b = self.transform, other.transform
        corners = [(0, 0), (self.width, self.height)]
        return all(
            abs((a @ corner)[0] - (b @ corner)[0]) <= LATTICE_TOLERANCE * a.a
            and abs((a @ corner)[1] - (b @ corner)[1]) <= LATTICE_TOLERANCE * -a.e
            for corner in corners
        )

    def describe(self) -> str:
        """Return one line for people: size, cell size, CRS and extent."""
        width, height = self.cell_size
        unit, size = ("arc-seconds", (width * 3600, height * 3600)) if self.is_geographic else ("m", (width, height))
        west, south, east, north = self.bounds
        return (
            f"{self.height} x {self.width} cells of {size[0]:.6g} x {size[1]:.6g} {unit}, {crs_name(self.crs)}, "
            f"{west:.6g} to {east:.6g} east, {south:.6g} to {north:.6g} north"
        )


@dataclass(frozen=True)
class Product:
    """What the cells of a grid mean.

    Parameters
    ----------
    name : str
        Name of the data product ("DMSP-OLS stable lights v4").
    quantity : str
        ``"lights"``, ``"count"`` (persons in a cell) or ``"other"``.
    units : str
    valid_min, valid_max : float or None
        Values outside are no data (below `valid_min`) or a sign of another product (above `valid_max`).
    nodata : float or None
        The value that means no data even in files that do not tag it.
    saturated : float or None
        The value at which the sensor saturates.
    citation : str
    """

    name: str
    quantity: str
    units: str
    valid_min: float | None = None
    valid_max: float | None = None
    nodata: float | None = None
    saturated: float | None = None
    citation: str = ""

    def refuse_above(self, largest: float, name: str) -> None:
        """Refuse a value above the product's range: the file is not what its product says.

        Parameters
        ----------
        largest : float
            Largest valid value found.
        name : str
            The file, for the message.

        Raises
        ------
        GridError
        """
        if self.valid_max is not None and largest > self.valid_max:
            raise GridError(
                f"{name} holds a value of {largest:g}, but the {self.units.split(',')[0]}s of {self.name} end at "
                f"{self.valid_max:g}: it is another product (say which with --lights-product), or it has a no-data "
                "value that is not tagged (gdal_edit.py -a_nodata VALUE)"
            )


@dataclass(frozen=True)
class ArraySource:
    """A grid source over an array in memory.

    Parameters
    ----------
    grid : Grid
    values : array, shape of the grid
    valid : array of bool or None
        Where cells have data; None if all have. NaN cells are never valid.
    name : str
    """

    grid: Grid
    values: NDArray
    valid: NDArray[np.bool_] | None = None
    name: str = "the array"

    def __post_init__(self) -> None:
        if self.values.shape != self.grid.shape:
            raise GridError(f"{self.name} has shape {self.values.shape}, but its grid has {self.grid.shape}")
        if self.values.dtype.kind == "f":
            finite = np.isfinite(self.values)
            if not finite.all():
                object.__setattr__(self, "valid", finite if self.valid is None else finite & self.valid)

    def read(self, window: Window) -> Block:
        """Read the cells of a window."""
        part = (slice(window.row0, window.row1), slice(window.col0, window.col1))
        return Block(self.values[part], None if self.valid is None else self.valid[part])


def grid_of(array: xr.DataArray) -> Grid:
    """Return the grid of a labelled raster.

    Parameters
    ----------
    array : DataArray, dims (y, x)
        With a CRS and a transform, as rioxarray keeps them.

    Returns
    -------
    Grid

    Raises
    ------
    CrsError
        If the array has no CRS.
    """
    import rioxarray  # noqa: F401  (registers the accessor)

    if array.rio.crs is None:
        raise CrsError("the raster has no CRS; set it with array.rio.write_crs('EPSG:4326') or the one it has")
    return Grid(CRS.from_user_input(array.rio.crs), array.rio.transform(), (array.rio.height, array.rio.width))


def same_crs(a: CRS, b: CRS) -> bool:
    """Whether two CRS place a point within a metre of one another.

    Geographic systems on the same or an equivalent ellipsoid count as one (WGS 84, CGCS2000, NAD83, ETRS89:
    their coordinates of one point differ by at most a metre or two), whatever their axis order.
    """
    if a == b or a.equals(b, ignore_axis_order=True):
        return True
    if a.is_geographic and b.is_geographic:
        ea, eb = a.ellipsoid, b.ellipsoid
        pa, pb = a.prime_meridian, b.prime_meridian
        return (
            ea is not None
            and eb is not None
            and abs(ea.semi_major_metre - eb.semi_major_metre) < 0.1
            and abs(ea.semi_minor_metre - eb.semi_minor_metre) < 0.1
            and (pa.longitude if pa else 0.0) == (pb.longitude if pb else 0.0)
        )
    return False


def crs_name(crs: CRS) -> str:
    """Return a short name: an authority code where there is one, else the CRS's own name."""
    authority = crs.to_authority(min_confidence=70)
    return ":".join(authority) if authority else str(crs.name)


def authalic_q(latitude: ArrayLike) -> FloatArray:
    """Area function of the WGS 84 ellipsoid: ``a^2 / 2 * q * d_lon`` is the area from the equator to a latitude.

    Parameters
    ----------
    latitude : array of float
        Geodetic latitudes, degrees.

    Returns
    -------
    array of float
        ``q = (1 - e^2) (s / (1 - e^2 s^2) + atanh(e s) / e)`` with ``s = sin(latitude)``; antisymmetric.

    References
    ----------
    Snyder, J. P. (1987), Map Projections: A Working Manual, USGS Professional Paper 1395, eq. 3-12.

    Examples
    --------
    The area of the ellipsoid is 510,065,621.7 km2:

    >>> q_pole = authalic_q(90.0)
    >>> round(float(2 * np.pi * GEOD.a**2 * q_pole / 1e6), 1)
    510065621.7
    """
    s = np.sin(np.deg2rad(np.asarray(latitude, np.float64)))
    return np.asarray((1 - _E2) * (s / (1 - _E2 * s * s) + np.arctanh(_E * s) / _E))


def geodesic_area_km2(lon: list[FloatArray], lat: list[FloatArray]) -> FloatArray:
    """Areas of small polygons on WGS 84, many at once.

    Vertices are carried to the authalic sphere, which keeps areas, and joined there by great circles. For
    cells of a few kilometres this agrees with Karney's geodesic polygons to about 1e-10.

    Parameters
    ----------
    lon, lat : lists of arrays
        The k-th arrays hold the k-th vertex of every polygon, degrees, counter-clockwise.

    Returns
    -------
    array of float
        Square kilometres; NaN where a vertex is not finite.

    References
    ----------
    Snyder (1987), eq. 3-11; spherical excess of the quadrangle below an edge: Bevis & Cambareri (1987).
    """
    q_pole = authalic_q(90.0)
    sine = [np.clip(authalic_q(v) / q_pole, -1.0, 1.0) for v in lat]
    # tan(xi / 2) of the authalic latitude xi
    half = [s / (1 + np.sqrt(1 - s * s)) for s in sine]
    excess = np.zeros(np.broadcast_shapes(*(v.shape for v in lon)))
    for k in range(len(lon)):
        j = (k + 1) % len(lon)
        # the short way round, also across the antimeridian
        step = lon[j] - lon[k]
        turn = np.deg2rad(step - 360.0 * np.round(step / 360.0))
        excess -= 2 * np.arctan2(np.tan(turn / 2) * (half[k] + half[j]), 1 + half[k] * half[j])
    area = excess * (0.5e-6 * GEOD.a**2 * q_pole)
    return np.where(np.isfinite(area), area, np.nan)


def geodesic_km(lon1: ArrayLike, lat1: ArrayLike, lon2: ArrayLike, lat2: ArrayLike) -> FloatArray:
    """Geodesic distances on WGS 84.

    Parameters
    ----------
    lon1, lat1, lon2, lat2 : array of float
        Degrees; broadcast against each other.

    Returns
    -------
    array of float
        Kilometres; NaN where a coordinate is missing.

    References
    ----------
    Karney, C. F. F. (2013), Algorithms for geodesics, Journal of Geodesy 87, 43-55, through PROJ.

    Examples
    --------
    >>> round(float(geodesic_km(116.39, 39.91, 121.47, 31.23)), 1)
    1067.0
    """
    lon1, lat1, lon2, lat2 = np.broadcast_arrays(*(np.asarray(v, np.float64) for v in (lon1, lat1, lon2, lat2)))
    _, _, metres = GEOD.inv(lon1, lat1, lon2, lat2)
    return np.asarray(metres) / 1000.0
