"""Structure measures: population around the CBD, variation of density, and the density gradient."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from pyproj import Transformer

from gistools.checks import require_positive
from gistools.grid import GEOD, WGS84, GridSource, Window, geodesic_km

if TYPE_CHECKING:
    import pandas as pd
    from numpy.typing import NDArray

    from gistools.raster.zonal import UrbanCells
    from gistools.raster.zones import EdgeCells, Zones


class Central(NamedTuple):
    """Cells of each city whose centre lies within the radius of its CBD; NaN without CBD."""

    cells: NDArray
    area_km2: NDArray
    population: NDArray


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
    require_positive(radius_km, "radius_km")
    cities = len(zones.codes)
    rows, cols, owners, weights, people, known = [], [], [], [], [], []
    inner = zones.interior()
    for city, window in _windows(zones, cbds, radius_km):
        row, col, weight = _members_near(inner, zones.edges, city, window)
        if not len(row):
            continue
        block = population.read(window)
        at = (row - window.row0, col - window.col0)
        valid = np.ones(len(row), bool) if block.valid is None else block.valid[at]
        rows.append(row)
        cols.append(col)
        weights.append(weight)
        owners.append(np.full(len(row), city))
        people.append(np.where(valid, block.values[at], 0).astype(np.float64))
        known.append(valid)
    without = (cbds["row"] < 0).to_numpy() | (zones.covered_cells() == 0)
    out = Central(*(np.where(without, np.nan, 0.0) for _ in range(3)))
    if not rows:
        return out
    row, col, owner, weight, count, valid = map(np.concatenate, (rows, cols, owners, weights, people, known))
    lon, lat = zones.grid.lonlat(row, col)
    centre_lon, centre_lat = cbds["cbd_lon"].to_numpy()[owner], cbds["cbd_lat"].to_numpy()[owner]
    inside = geodesic_km(centre_lon, centre_lat, lon, lat) <= radius_km
    row, col, owner, weight, count, valid = (part[inside] for part in (row, col, owner, weight, count, valid))
    area = zones.grid.cell_area_km2_at(row, col)
    out.cells[:] += np.bincount(owner, minlength=cities)
    out.area_km2[:] += np.bincount(owner, area * weight, cities)
    out.population[:] += np.bincount(owner, count * weight, cities)
    out.population[(out.cells > 0) & (np.bincount(owner, valid, cities) == 0)] = np.nan
    return out


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


def _members_near(
    inner: Zones, edges: EdgeCells | None, city: int, window: Window
) -> tuple[NDArray, NDArray, NDArray]:
    """Cells of one city in a window: rows, columns and covered fractions."""
    part = inner.slab(window.row0, window.row1)
    start, stop = np.maximum(part.start, window.col0), np.minimum(part.stop, window.col1)
    mine = (part.zone == city) & (stop > start)
    length = (stop - start)[mine]
    row = np.repeat(part.row[mine], length).astype(np.int64)
    col = np.arange(length.sum()) - np.repeat(np.cumsum(length) - length, length) + np.repeat(start[mine], length)
    weight = np.ones(len(row))
    if edges is not None:
        edges = edges.between(window.row0, window.row1)
        near = (edges.zone == city) & (edges.col >= window.col0) & (edges.col < window.col1)
        row = np.concatenate([row, edges.row[near]])
        col = np.concatenate([col, edges.col[near]])
        weight = np.concatenate([weight, edges.fraction[near]])
    return row, col, weight


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
