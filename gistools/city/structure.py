"""Structure measures: population around the CBD, variation of density, and the density gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pyproj import Transformer

from gistools.checks import require_positive
from gistools.grid import GEOD, WGS84, Grid, GridSource, Window, geodesic_km

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from gistools.raster.zonal import UrbanCells
    from gistools.raster.zones import Zones


_EARTH_KM = 6371.0088


class Central(NamedTuple):
    """Cells of each city whose centre lies within the radius of its CBD; NaN without CBD."""

    cells: NDArray
    area_km2: NDArray
    population: NDArray


class CircleCells(NamedTuple):
    """Cells of each city whose centre lies within the radius of its CBD, as columns.

    With membership by coverage a border cell counts by its covered fraction, `weight`.
    """

    row: NDArray
    col: NDArray
    city: NDArray
    weight: NDArray
    unknown: NDArray[np.bool_]  # by city: without a CBD on the grid, or without any cell


def circle_cells(zones: Zones, cbds: pd.DataFrame, *, radius_km: float = 3.0) -> CircleCells:
    """Find the cells of each city within a radius of its CBD; CBDs that stay are looked around once for all years.

    Parameters
    ----------
    zones : Zones
    cbds : DataFrame
        ``row``, ``col``, ``cbd_lon``, ``cbd_lat``, one row a city in the order of the zones; row -1: no CBD.
    radius_km : float
        Geodesic; cells are split by their centre, the circle included.

    Returns
    -------
    CircleCells
        Sorted by the row of the CBD.
    """
    require_positive(radius_km, "radius_km")
    row, col, city = _cells_of(_windows(zones, cbds, radius_km))
    inner = zones.interior().zone_at(row, col) == city
    parts = [(row[inner], col[inner], city[inner], np.ones(int(inner.sum())))]
    if zones.edges is not None:
        at, weight = zones.edges.fraction_of(row, col, city)
        parts.append((row[at], col[at], city[at], weight))
    row, col, city, weight = (np.concatenate(column) for column in zip(*parts, strict=True))
    lon, lat = zones.grid.lonlat(row, col)
    centre_lon, centre_lat = cbds["cbd_lon"].to_numpy()[city], cbds["cbd_lat"].to_numpy()[city]
    inside = _within(centre_lon, centre_lat, lon, lat, radius_km)
    unknown = (cbds["row"] < 0).to_numpy() | (zones.covered_cells() == 0)
    return CircleCells(row[inside], col[inside], city[inside], weight[inside], unknown)


def _within(lon1: NDArray, lat1: NDArray, lon2: NDArray, lat2: NDArray, radius_km: float) -> NDArray[np.bool_]:
    """Whether geodesics are no longer than a radius: the sphere decides all but those near it."""
    # a great circle of the mean radius differs from the geodesic by less than 0.6 % on the ellipsoid
    half_lat, half_lon = np.radians(lat2 - lat1) / 2, np.radians(lon2 - lon1) / 2
    h = np.sin(half_lat) ** 2 + np.cos(np.radians(lat1)) * np.cos(np.radians(lat2)) * np.sin(half_lon) ** 2
    sphere = 2 * _EARTH_KM * np.arcsin(np.sqrt(np.minimum(h, 1.0)))
    inside = np.asarray(sphere <= radius_km)
    near = np.flatnonzero(np.abs(sphere - radius_km) <= 0.01 * radius_km)
    inside[near] = geodesic_km(lon1[near], lat1[near], lon2[near], lat2[near]) <= radius_km
    return inside


def central_population(
    population: GridSource, zones: Zones, cbds: pd.DataFrame, *, radius_km: float = 3.0
) -> Central:
    """Population of each city within a radius of its CBD.

    Parameters
    ----------
    population : GridSource
        Persons per cell, on the lattice of the zones. Only windows around the CBDs are read.
    zones : Zones
    cbds : DataFrame
        ``row``, ``col``, ``cbd_lon``, ``cbd_lat``, one row a city in the order of the zones; row -1: no CBD.
    radius_km : float
        Geodesic; cells are split by their centre, the circle included.

    Returns
    -------
    Central
        Only the city's own cells count. Their area counts with or without population data; the population is
        NaN where none of them has data.
    """
    circle = circle_cells(zones, cbds, radius_km=radius_km)
    return circle_population(circle, _read_cells(population, circle), zones.grid)


def circle_population(circle: CircleCells, people: NDArray, grid: Grid) -> Central:
    """Sum what was read of circles' cells, city by city.

    Parameters
    ----------
    circle : CircleCells
    people : array of float, shape (cells,)
        Persons in each of those cells, NaN without data.
    grid : Grid

    Returns
    -------
    Central
        As :func:`central_population` gives it.
    """
    cities = len(circle.unknown)
    out = Central(*(np.where(circle.unknown, np.nan, 0.0) for _ in range(3)))
    valid = np.isfinite(people)
    area = grid.cell_area_km2_at(circle.row, circle.col)
    out.cells[:] += np.bincount(circle.city, minlength=cities)
    out.area_km2[:] += np.bincount(circle.city, area * circle.weight, cities)
    out.population[:] += np.bincount(circle.city, np.where(valid, people, 0.0) * circle.weight, cities)
    out.population[(out.cells > 0) & (np.bincount(circle.city, valid, cities) == 0)] = np.nan
    return out


def _read_cells(source: GridSource, circle: CircleCells) -> NDArray:
    """Read the values of circles' cells, by a small window around each; NaN without data."""
    out = np.full(len(circle.row), np.nan)
    if not len(out):
        return out
    order = np.argsort(circle.city, kind="stable")
    first = np.flatnonzero(np.diff(circle.city[order], prepend=-1))
    top, left = (np.minimum.reduceat(part[order], first) for part in (circle.row, circle.col))
    bottom, right = (np.maximum.reduceat(part[order], first) + 1 for part in (circle.row, circle.col))
    last = np.append(first[1:], len(order))
    for k in np.argsort(top, kind="stable"):  # from north to south, for the block cache
        mine = order[first[k] : last[k]]
        window = Window(int(top[k]), int(bottom[k]), int(left[k]), int(right[k]))
        block = source.read(window)
        at = (circle.row[mine] - window.row0, circle.col[mine] - window.col0)
        out[mine] = block.values[at] if block.valid is None else np.where(block.valid[at], block.values[at], np.nan)
    return out


def _cells_of(windows: list[tuple[int, Window]]) -> tuple[NDArray, NDArray, NDArray]:
    """Every cell of windows, as rows, columns and the city of its window."""
    if not windows:
        nothing = np.zeros(0, np.int64)
        return nothing, nothing, nothing
    city = np.array([city for city, _ in windows])
    top, bottom, left, right = np.array([window for _, window in windows]).T
    width, cells = right - left, (bottom - top) * (right - left)
    which = np.repeat(np.arange(len(windows)), cells)
    inside = np.arange(cells.sum()) - np.repeat(np.cumsum(cells) - cells, cells)
    return top[which] + inside // width[which], left[which] + inside % width[which], city[which]


def _windows(zones: Zones, cbds: pd.DataFrame, radius_km: float) -> list[tuple[int, Window]]:
    """Windows that surely hold the circle around each CBD, from north to south (for the block cache)."""
    grid = zones.grid
    row = cbds["row"].to_numpy()
    has = np.flatnonzero(row >= 0)
    lon, lat = (cbds[name].to_numpy()[has, None] for name in ("cbd_lon", "cbd_lat"))
    # the circle itself is carried over: projections shear, so that cells' sides do not tell how far it reaches;
    # it is drawn a little wider, for it bulges between its 36 points
    lon, lat, azimuth = np.broadcast_arrays(lon, lat, np.arange(0.0, 360.0, 10.0))
    lon, lat, _ = GEOD.fwd(lon, lat, azimuth, np.full(azimuth.shape, 1020.0 * radius_km))
    x, y = Transformer.from_crs(WGS84, grid.crs, always_xy=True).transform(lon, lat)
    rows, cols = grid.row(y), grid.col(x)
    out = []
    for k in np.argsort(row[has], kind="stable"):
        near = np.isfinite(rows[k]) & np.isfinite(cols[k])
        if not near.any():
            continue
        (top, bottom), (left, right) = (
            _reach(part[k][near], n) for part, n in ((rows, grid.height), (cols, grid.width))
        )
        if top < bottom and left < right:
            out.append((int(has[k]), Window(top, bottom, left, right)))
    return out


def _reach(position: NDArray, size: int) -> tuple[int, int]:
    """First and last + 1 row or column that fractional positions reach, with one to spare."""
    return max(int(np.floor(position.min())) - 1, 0), min(int(np.floor(position.max())) + 2, size)


class Variation(NamedTuple):
    """Coefficient of variation of density across a city's urban cells, plain and weighted by area."""

    plain: NDArray
    weighted: NDArray


def density_variation(cells: UrbanCells, cities: int) -> Variation:
    """Population standard deviation over mean of density across the urban cells of each city.

    Parameters
    ----------
    cells : UrbanCells
        Those `inside` their city by centre count.
    cities : int

    Returns
    -------
    Variation
        NaN without urban cells.
    """
    inside = cells.inside
    zone, density, area = cells.zone[inside], cells.density[inside], cells.area_km2[inside]
    return Variation(_variation(zone, density, np.ones(len(zone)), cities), _variation(zone, density, area, cities))


def _variation(zone: NDArray, value: NDArray, weight: NDArray, cities: int) -> NDArray:
    total = np.bincount(zone, weight, cities)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(zone, weight * value, cities) / total
        square = np.bincount(zone, weight * (value - mean[zone]) ** 2, cities) / total
        return np.where(total > 0, np.sqrt(square) / mean, np.nan)


class Gradient(NamedTuple):
    """Density gradient of each city: slope (per km), its standard error, R2, and the cells used."""

    slope: NDArray
    std_error: NDArray
    r2: NDArray
    cells: NDArray


def density_gradient(cells: UrbanCells, grid_lonlat: tuple[NDArray, NDArray], cbds: pd.DataFrame) -> Gradient:
    """Slope of ln density on geodesic distance to the CBD, over the urban cells of each city.

    Parameters
    ----------
    cells : UrbanCells
        Those `inside` their city by centre count.
    grid_lonlat : (array, array)
        Longitudes and latitudes of the cells' centres.
    cbds : DataFrame
        ``cbd_lon``, ``cbd_lat``; one row a city.

    Returns
    -------
    Gradient
        Least squares with classical standard errors; NaN with fewer than 3 urban cells or without CBD. R2 is
        NaN where density does not vary.

    Notes
    -----
    ``ln D(r) = ln D0 - g r``: a negative slope is a density that falls with distance (Clark 1951).
    """
    cities = len(cbds)
    lon, lat = cbds["cbd_lon"].to_numpy(), cbds["cbd_lat"].to_numpy()
    used = cells.inside & np.isfinite(lon[cells.zone])
    zone = cells.zone[used]
    x = geodesic_km(grid_lonlat[0][used], grid_lonlat[1][used], lon[zone], lat[zone])
    y = np.log(cells.density[used])
    n = np.bincount(zone, minlength=cities)
    with np.errstate(invalid="ignore", divide="ignore"):
        dx = x - (np.bincount(zone, x, cities) / n)[zone]
        dy = y - (np.bincount(zone, y, cities) / n)[zone]
        sxx = np.bincount(zone, dx * dx, cities)
        sxy = np.bincount(zone, dx * dy, cities)
        syy = np.bincount(zone, dy * dy, cities)
        # distances that agree to a metre do not vary, nor do densities that agree to nine digits
        slope = np.where((n >= 3) & (sxx > 1e-6 * n), sxy / sxx, np.nan)
        residual = dy - slope[zone] * dx
        rss = np.bincount(zone, residual * residual, cities)
        std_error = np.sqrt(rss / (n - 2) / sxx)
        r2 = np.where(syy > 1e-18 * n, 1 - rss / syy, np.nan)
    missing = np.isnan(slope)
    return Gradient(slope, np.where(missing, np.nan, std_error), np.where(missing, np.nan, r2), n)
