"""Land around each CBD that cannot be built on: too steep, water or wetland, sea (Saiz 2010).

The grid of heights is read once, in slabs of rows; each slab gives its cells to the circles that reach it, which may
overlap. Areas are summed as whole numbers of a tiny unit, so that neither the slabs nor the workers change a bit.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

from gistools.checks import listed, require_choice, require_columns, require_numeric, require_positive, require_unique
from gistools.errors import GridError, InputError, TableError
from gistools.grid import GridSource, Window
from gistools.raster.align import align
from gistools.raster.circles import CellPlaces, Circles, Piece
from gistools.raster.land_cover import LandCover, is_class
from gistools.raster.tasks import Execution, run_tasks
from gistools.raster.terrain import Edges, SlopeSource, cells_at_once, read_with_halo, slope
from gistools.raster.undevelopable_tables import AREAS, COUNTS, tables

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    import pandas as pd
    from numpy.typing import NDArray

    from gistools.raster.zones import Zones

Sea = Literal["nodata", "below-zero", "land", "none"]
SEA: tuple[Sea, ...] = ("nodata", "below-zero", "land", "none")

# Rows of a slab, a multiple of the blocks of `circles`; about how many cells a task holds at a time, and what one
# takes with all that is computed of it.
_SLAB_ROWS = 256
_PIECE_CELLS = 524_288
_CELL_BYTES = 250
# Bounds on distances are proven for circles that are small against the Earth.
_MOST_RADIUS_KM = 1_000.0

# What a cell is: the bits of its state, and which states each measure sums.
_STEEP, _WATER, _SEA, _NO_SLOPE, _NO_COVER, _INCOMPLETE = (1 << bit for bit in range(6))
_STATES = np.arange(64)
_UNBUILDABLE = (_STATES & (_STEEP | _WATER | _SEA)) > 0
_AREAS = {
    "area_km2": np.ones(64, bool),
    "steep_km2": (_STATES & _STEEP) > 0,
    "water_km2": (_STATES & _WATER) > 0,
    "sea_km2": (_STATES & _SEA) > 0,
    "undevelopable_km2": _UNBUILDABLE,
    "unknown_km2": ~_UNBUILDABLE & ((_STATES & (_NO_SLOPE | _NO_COVER)) > 0),
}
_COUNTS = {"cells": np.ones(64, bool), "edge_cells": (_STATES & _INCOMPLETE) > 0}
_AREA_WEIGHTS = np.array([_AREAS[name] for name in AREAS], np.int64).T
_COUNT_WEIGHTS = np.array([_COUNTS[name] for name in COUNTS], np.int64).T


@dataclass(frozen=True)
class TerrainOptions:
    """What counts as undevelopable, and where it is looked for.

    Parameters
    ----------
    max_slope : float
        A land cell is too steep where its slope is above this (percent, strict).
    radius_km : float
        Around the CBD: cells whose centre lies within it, geodesic, the circle included.
    rings : tuple of float
        Outer edges of rings, km; the radius is added where the last is below it.
    sectors : int
        Sectors of the compass, the first centred on north.
    sea : {"nodata", "below-zero", "land", "none"}
        Cells without height are sea; or cells at or below zero; or cells whose centre lies outside the land
        polygons; or there is no sea.
    edges : {"extrapolate", "missing"}
        As in :func:`gistools.raster.terrain.slope`.
    z_factor : float
        Metres in one unit of the heights.

    Raises
    ------
    InputError
    """

    max_slope: float = 15.0
    radius_km: float = 50.0
    rings: tuple[float, ...] = (5.0, 10.0, 20.0, 30.0, 50.0)
    sectors: int = 8
    sea: Sea = "nodata"
    edges: Edges = "extrapolate"
    z_factor: float = 1.0

    def __post_init__(self) -> None:
        require_positive(self.max_slope, "max_slope", zero=True)
        require_positive(self.radius_km, "radius_km")
        require_choice(self.sea, SEA, "sea")
        if self.radius_km > _MOST_RADIUS_KM:
            raise InputError(f"radius_km is {self.radius_km:g}, but must be at most {_MOST_RADIUS_KM:g}")
        if not 1 <= self.sectors <= 360:
            raise InputError(f"sectors is {self.sectors}, but must be between 1 and 360")
        rings = np.asarray(self.rings, np.float64)
        if not (np.isfinite(rings).all() and (np.diff(rings, prepend=0.0) > 0).all()):
            raise InputError(f"rings are {listed(self.rings)}, but must be distances in km, each above the last")
        if len(rings) and rings[-1] > self.radius_km:
            raise InputError(
                f"the ring of {rings[-1]:g} km reaches past the radius of {self.radius_km:g} km; "
                "give rings within it, or a larger radius"
            )

    @property
    def ring_edges(self) -> tuple[float, ...]:
        """Outer edges of the rings, the radius last."""
        last = self.rings[-1] if self.rings else 0.0
        return tuple(map(float, self.rings)) if last == self.radius_km else (*map(float, self.rings), self.radius_km)


@dataclass(frozen=True)
class Undevelopable:
    """Undevelopable land around each CBD.

    Attributes
    ----------
    table : DataFrame
        One row a place: ``city_code`` (and ``year`` where it is given) and the columns of ``COLUMNS``.
    parts : DataFrame
        One row for each of its rings and each of its sectors, with ``PART_COLUMNS``.
    classes_found : tuple of int
        Codes of the land cover met in the circles.
    notes : tuple of str
    """

    table: pd.DataFrame
    parts: pd.DataFrame
    classes_found: tuple[int, ...] = ()
    notes: tuple[str, ...] = field(default=())


class _Task(NamedTuple):
    """One slab of rows: the sources, what is looked for, and its rows."""

    slope: SlopeSource
    cover: GridSource | None
    kinds: LandCover | None
    land: Zones | None
    circles: Circles
    options: TerrainOptions
    rows: tuple[int, int]
    most_cells: int
    unit: float


class _Slab(NamedTuple):
    """Sums of a slab: of which circles, whole units of area and counts by part, and the classes met."""

    circle: NDArray
    units: NDArray  # (circles, parts, measures)
    counts: NDArray
    classes: NDArray


def undevelopable_share(
    dem: GridSource,
    cbds: pd.DataFrame,
    *,
    land_cover: GridSource | None = None,
    classes: LandCover | None = None,
    land: Zones | None = None,
    options: TerrainOptions | None = None,
    execution: Execution | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Undevelopable:
    """Measure the land around each CBD that is too steep, water or wetland, or sea; by ring and by sector.

    Parameters
    ----------
    dem : GridSource
        Heights, any CRS; read once.
    cbds : DataFrame
        ``city_code``, ``cbd_lon``, ``cbd_lat`` (degrees, WGS 84) and, where there are several places of one city,
        ``year``; one row a place.
    land_cover : GridSource, optional
        Classes on any lattice; a cell of the DEM has the class of the land-cover cell that holds its centre.
    classes : LandCover, optional
        Which classes are water or wetland; needed with `land_cover`.
    land : Zones, optional
        Land on the lattice of the DEM, for ``sea="land"``.
    options : TerrainOptions, optional
    execution : Execution, optional
    progress : callable, optional
        Called with the slabs done and the slabs in all.

    Returns
    -------
    Undevelopable
        Every row of `cbds` in its order; without a CBD, or with a circle wholly beyond the DEM, its measures are
        missing and ``note`` says why.

    Raises
    ------
    TableError
        If columns lack, a place is doubled, or coordinates are no degrees.
    GridError
        If no circle touches the DEM, or land cover and DEM do not overlap.
    InputError
        If land cover comes without classes, or ``sea="land"`` without land.

    References
    ----------
    Saiz, A. (2010), The geographic determinants of housing supply, Quarterly Journal of Economics 125(3),
    1253-1296.

    Examples
    --------
    A plain that falls to a lake west of the CBD:

    >>> import pandas as pd
    >>> from affine import Affine
    >>> from gistools.grid import WGS84, ArraySource, Grid
    >>> from gistools.raster.land_cover import land_cover
    >>> grid = Grid(WGS84, Affine(0.01, 0, -0.5, 0, -0.01, 0.5), (100, 100))
    >>> cover = np.where(np.arange(100) < 50, 80, 40) * np.ones((100, 1), int)
    >>> cbds = pd.DataFrame({"city_code": ["a"], "cbd_lon": [0.0], "cbd_lat": [0.0]})
    >>> found = undevelopable_share(
    ...     ArraySource(grid, np.zeros((100, 100))),
    ...     cbds,
    ...     land_cover=ArraySource(grid, cover),
    ...     classes=land_cover("worldcover"),
    ...     options=TerrainOptions(radius_km=20, rings=(10, 20), sectors=4),
    ... )
    >>> found.table[["steep_km2", "undevelopable_share", "blocked_arc_deg"]].values.tolist()
    [[0.0, 0.5, 90.0]]
    """
    options = options or TerrainOptions()
    places = _places(cbds)
    if (land_cover is None) != (classes is None):
        raise InputError("a land-cover grid and its classes of water and wetland are needed together; give both")
    if (land is None) != (options.sea != "land"):
        raise InputError("sea='land' and polygons of the land are needed together; give both or neither")
    if land is not None and not land.grid.same_as(dem.grid):
        raise GridError(f"the polygons of the land were not laid over the lattice of {dem.name}; label it first")
    known = places.notna().all(axis=1).to_numpy()
    if not known.any():
        raise TableError("no row of the table of CBDs has both a cbd_lon and a cbd_lat; fill them in")
    lon, lat = (places[name].to_numpy()[known] for name in ("cbd_lon", "cbd_lat"))
    circles = Circles(lon, lat, options.ring_edges, options.sectors)
    cover = None if land_cover is None else _on_lattice(land_cover, dem)
    finer = 1.0 if land_cover is None or cover is land_cover else _finer(land_cover, dem)
    rows = _SLAB_ROWS if finer <= 256 else 64
    # so small a part of a km2 that the largest sum, of cells with their centre in the circle, fits 62 bits
    cell_km = max(dem.grid.cell_size) * (112.0 if dem.grid.is_geographic else 0.001)
    unit = 2.0 ** -int(np.floor(62 - np.log2(8 * np.pi * (options.radius_km + 2 * cell_km) ** 2)))
    most_cells = min(_PIECE_CELLS, cells_at_once(execution or Execution(), _CELL_BYTES + 2 * finer))
    tasks = [
        _Task(
            slope(dem, edges=options.edges, z_factor=options.z_factor),
            cover,
            classes,
            land,
            circles,
            options,
            (row, min(row + rows, dem.grid.height)),
            int(most_cells / max(1.0, finer / 32)),
            unit,
        )
        for row in range(0, dem.grid.height, rows)
    ]
    slabs = run_tasks(_scan_slab, tasks, execution=execution, progress=progress)
    units, counts, found = _joined(slabs, circles)
    if not counts[:, :, 0].any():
        raise GridError(
            f"no circle of {options.radius_km:g} km around a CBD holds a cell of {dem.name} ({dem.grid.describe()}); "
            "give the heights of the same country, and check the CRS of both"
        )
    table, parts = tables(cbds, known, circles, dem.grid, units * unit, counts)
    notes = _notes(table, options, classes, found, land_cover, finer)
    return Undevelopable(table, parts, tuple(found), tuple(notes))


def _places(cbds: pd.DataFrame) -> pd.DataFrame:
    """Coordinates of the CBDs, judged."""
    what = "the table of CBDs"
    require_columns(cbds, ["city_code", "cbd_lon", "cbd_lat"], what)
    require_numeric(cbds, ["cbd_lon", "cbd_lat"], what)
    require_unique(cbds, ["city_code", "year"] if "year" in cbds.columns else ["city_code"], what)
    places = cbds[["cbd_lon", "cbd_lat"]].astype(np.float64)
    far = (places["cbd_lon"].abs() > 360) | (places["cbd_lat"].abs() > 90)
    if far.any():
        first = cbds.loc[far].iloc[0]
        raise TableError(
            f"the table of CBDs puts city {first['city_code']} at {first['cbd_lon']:.10g}, {first['cbd_lat']:.10g}: "
            "these are not degrees of longitude and latitude (WGS 84); convert them first"
        )
    return places


def _on_lattice(cover: GridSource, dem: GridSource) -> GridSource:
    try:
        return align(cover, dem.grid, how="nearest")
    except GridError as error:
        raise GridError(
            f"the land cover {cover.name} ({cover.grid.describe()}) and the heights {dem.name} "
            f"({dem.grid.describe()}) do not overlap; give both of the same place"
        ) from error


def _finer(cover: GridSource, dem: GridSource) -> float:
    """How many cells of the land cover lie in one of the DEM, about."""
    ratio = _middle_area(dem) / _middle_area(cover)
    return ratio if np.isfinite(ratio) else 1.0


def _middle_area(source: GridSource) -> float:
    height, width = source.grid.shape
    return float(source.grid.cell_area_km2_at([height // 2], [width // 2])[0])


def _scan_slab(task: _Task) -> _Slab:
    parts = len(task.circles.rings) + task.circles.sectors
    sums: dict[int, tuple[NDArray, NDArray]] = {}
    classes: set[int] = set()
    grid = task.slope.grid
    for piece in task.circles.pieces(grid, *task.rows, task.most_cells):
        state, codes = _states(task, piece.window)
        area = np.broadcast_to(grid.cell_area_km2(piece.window), piece.window.shape).ravel()
        # cells at the rim of a projection may have no area: their corners lie beyond it
        whole = np.rint(np.nan_to_num(area) / task.unit).astype(np.int64)
        places = CellPlaces(grid, piece.window)
        for k, circle in enumerate(piece.circles.tolist()):
            units, counts, met = _circle_sums(task, places, piece, k, (state, whole, codes))
            classes |= met
            before = sums.get(circle)
            sums[circle] = (units, counts) if before is None else (before[0] + units, before[1] + counts)
    found = sorted(sums)
    return _Slab(
        np.array(found, np.int64),
        np.array([sums[k][0] for k in found], np.int64).reshape(len(found), parts, len(AREAS)),
        np.array([sums[k][1] for k in found], np.int64).reshape(len(found), parts, len(COUNTS)),
        np.array(sorted(classes), np.int64),
    )


def _circle_sums(
    task: _Task, places: CellPlaces, piece: Piece, k: int, what: tuple[NDArray, NDArray, NDArray | None]
) -> tuple[NDArray, NDArray, set[int]]:
    """Units of area and counts of the cells of one circle, by part: its rings, then its sectors."""
    state, whole, codes = what
    rings, sectors = len(task.circles.rings), task.circles.sectors
    cell, ring, sector = task.circles.cells(places, piece, k)
    key = (ring * sectors + sector) * 64 + state.ravel()[cell]
    size = rings * sectors * 64
    own = whole[cell]
    # two halves, each of which a float holds exactly: bincount sums floats
    low = np.bincount(key, own & 0xFFFFFF, size).astype(np.int64)
    high = np.bincount(key, own >> 24, size).astype(np.int64)
    units = ((high << 24) + low).reshape(rings, sectors, 64)
    counts = np.bincount(key, minlength=size).reshape(rings, sectors, 64)
    met: set[int] = set()
    if codes is not None:
        here = codes.ravel()[cell]
        met = set(np.unique(here[here >= 0]).tolist())
    return (
        np.concatenate([units.sum(axis=1), units.sum(axis=0)]) @ _AREA_WEIGHTS,
        np.concatenate([counts.sum(axis=1), counts.sum(axis=0)]) @ _COUNT_WEIGHTS,
        met,
    )


def _states(task: _Task, window: Window) -> tuple[NDArray, NDArray | None]:
    """The state of every cell of a window, and its land-cover code (-1 without)."""
    options = task.options
    heights = read_with_halo(task.slope.dem, window)
    steep = task.slope.of(heights, window)
    height, known = heights.values[1:-1, 1:-1], steep.has_height
    if options.sea == "nodata":
        sea = ~known
    elif options.sea == "below-zero":
        sea = known & (height <= 0)
    elif task.land is not None:
        sea = task.land.labels(window) < 0
    else:
        sea = np.zeros(window.shape, bool)
    state = np.where(sea, _SEA, 0).astype(np.uint8)
    state[~sea & steep.valid & (steep.values > options.max_slope)] |= _STEEP
    state[~sea & ~steep.valid] |= _NO_SLOPE
    state[steep.incomplete & ~sea] |= _INCOMPLETE
    if task.cover is None or task.kinds is None:
        return state, None
    block = task.cover.read(window)
    told = block.is_valid() & ~is_class(block.values, task.kinds.nodata)
    state[told & is_class(block.values, task.kinds.wet)] |= _WATER
    state[~told] |= _NO_COVER
    codes = np.full(window.shape, -1, np.int64)
    codes[told] = block.values[told]
    return state, codes


def _joined(slabs: Iterable[_Slab], circles: Circles) -> tuple[NDArray, NDArray, list[int]]:
    shape = len(circles.lon), len(circles.rings) + circles.sectors
    units = np.zeros((*shape, len(AREAS)), np.int64)
    counts = np.zeros((*shape, len(COUNTS)), np.int64)
    classes: set[int] = set()
    for slab in slabs:
        units[slab.circle] += slab.units
        counts[slab.circle] += slab.counts
        classes |= set(slab.classes.tolist())
    return units, counts, sorted(classes)


def _notes(
    table: pd.DataFrame,
    options: TerrainOptions,
    classes: LandCover | None,
    found: list[int],
    cover: GridSource | None,
    finer: float,
) -> list[str]:
    notes = []
    for said, rows in (
        ("have no CBD; their rows are missing", table["cbd_lon"].isna() | table["cbd_lat"].isna()),
        ("have a circle without a cell of the heights; their rows are missing", table["cells"] == 0),
        ("have a circle partly beyond the heights", table["note"].str.contains("% of its circle")),
        ("have cells without slope or land cover", table["unknown_km2"] > 0),
    ):
        codes = table.loc[rows, "city_code"].unique()
        if len(codes):
            notes.append(f"{len(codes)} of {table['city_code'].nunique()} cities {said}: {listed(codes)}")
    if classes is not None and cover is not None:
        if not set(found) & set(classes.wet):
            notes.append(
                f"none of the classes {listed(classes.wet, 12)} of water and wetland occurs around any CBD in "
                f"{cover.name}, which holds {listed(found, 12) or 'no class'} there; is it the right product?"
            )
        if finer >= 4:
            notes.append(
                f"the land cover is finer than the heights: nearest reads one of its cells in {round(finer)}; finer "
                "heights use more of it"
            )
    if options.sea == "below-zero" and (table["sea_km2"] > 0).any():
        notes.append(
            "cells at or below zero are taken for sea, land below sea level too; polygons of the land tell them apart"
        )
    if options.sea == "nodata" and (table["sea_km2"] > 0).any():
        notes.append("cells without height are taken for sea, gaps of the heights on land too")
    return notes
