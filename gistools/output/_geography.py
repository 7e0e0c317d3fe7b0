"""Ground for maps: an equal-area projection about the country, fewer vertices with borders kept, a scale bar."""

from __future__ import annotations

from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from matplotlib.path import Path
from pyproj import CRS, Transformer

from gistools.checks import require_columns, require_unique
from gistools.errors import BoundaryError, CrsError
from gistools.grid import WGS84

if TYPE_CHECKING:
    from collections.abc import Iterable

    from matplotlib.axes import Axes
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]


def equal_area_crs(lon: ArrayLike, lat: ArrayLike) -> CRS:
    """Lambert's azimuthal equal-area projection about the middle of some points, in metres.

    Areas are true everywhere; shapes are true at the middle and bend little across a country.

    Parameters
    ----------
    lon, lat : array of float
        WGS 84, degrees. Points on both sides of the antimeridian have their middle between them.

    Returns
    -------
    CRS

    Examples
    --------
    >>> crs = equal_area_crs([170, -170], [-10, 10])
    >>> [round(p.value) for p in crs.coordinate_operation.params[:2]]
    [0, 180]
    """
    lon, lat = np.asarray(lon, np.float64).ravel(), np.asarray(lat, np.float64).ravel()
    around = np.sort(np.unique(lon % 360))
    gaps = np.diff(np.append(around, around[0] + 360))
    widest = int(np.argmax(gaps))
    # the points lie opposite the widest empty stretch of longitudes
    middle = (around[widest] + gaps[widest] / 2 + 180) % 360 if len(around) > 1 else around[0]
    lon_0 = middle - 360 if middle > 180 else middle
    lat_0 = (lat.min() + lat.max()) / 2
    return CRS.from_dict(
        {"proj": "laea", "lat_0": round(float(lat_0), 4), "lon_0": round(float(lon_0), 4), "datum": "WGS84"}
    )


def require_cities(cities: gpd.GeoDataFrame) -> None:
    """Refuse boundaries that lack codes or a CRS, or hold no polygon.

    Raises
    ------
    TableError, CrsError, BoundaryError
    """
    require_columns(cities, ["city_code"], "the boundaries")
    require_unique(cities, ["city_code"], "the boundaries")
    if cities.crs is None:
        raise CrsError("the boundaries have no CRS; set it with cities.set_crs('EPSG:4326') or the one they have")
    if not len(cities) or bool(shapely.is_empty(np.asarray(cities.geometry.array)).all()):
        raise BoundaryError("the boundaries hold no polygon, so there is nothing to draw")


def project(cities: gpd.GeoDataFrame, *, vertices: int | None = None) -> tuple[gpd.GeoDataFrame, float]:
    """Bring cities to an equal-area projection about them, with no more vertices than a map can show.

    Parameters
    ----------
    cities : GeoDataFrame
        Any CRS.
    vertices : int, optional
        The most vertices to keep. Shared borders are simplified together (Visvalingam and Whyatt's areas over the
        whole coverage), so that neighbours still touch.

    Returns
    -------
    cities : GeoDataFrame
        In metres.
    tolerance : float
        Of the simplification, metres; 0 if none was needed.
    """
    lonlat = cities.to_crs(WGS84)
    points = shapely.get_coordinates(np.asarray(lonlat.geometry.array))
    projected = lonlat.to_crs(equal_area_crs(points[:, 0], points[:, 1]))
    whole = np.asarray(projected.geometry.array)
    if vertices is None or len(points) <= vertices:
        return projected, 0.0
    west, south, east, north = shapely.total_bounds(whole)
    tolerance = max(east - west, north - south) / 5000
    simpler = whole
    for _ in range(20):
        simpler = shapely.coverage_simplify(whole, tolerance)
        if shapely.get_num_coordinates(simpler).sum() <= vertices:
            break
        tolerance *= 1.4
    return projected.set_geometry(gpd.GeoSeries(simpler, index=projected.index, crs=projected.crs)), float(tolerance)


def province_outlines(cities: gpd.GeoDataFrame) -> NDArray:
    """Outlines of provinces, where a column `province` tells some apart.

    Parameters
    ----------
    cities : GeoDataFrame

    Returns
    -------
    array of geometries
        Lines in the CRS of the cities; empty without provinces.
    """
    if "province" not in cities or cities["province"].nunique() < 2:
        return np.array([], dtype=object)
    named = cities[cities["province"].notna()]
    lines = [
        shapely.boundary(shapely.union_all(np.asarray(rows.geometry.array)))
        for _, rows in named.groupby("province", sort=True)
    ]
    return np.array(lines, dtype=object)


def values_by_city(cities: gpd.GeoDataFrame, values: pd.Series | pd.DataFrame) -> pd.DataFrame:
    """Bring values, indexed by city code, into the order of the cities; a city without one has NaN.

    Raises
    ------
    BoundaryError
        If a value belongs to a city that has no polygon.
    """
    table = values.to_frame() if isinstance(values, pd.Series) else values
    table = table.set_axis(table.index.astype(str), axis=0)
    codes = pd.Index(cities["city_code"].astype(str))
    if table.index.has_duplicates:
        doubled = table.index[table.index.duplicated()].unique()
        raise BoundaryError(
            f"the values name city {doubled[0]} more than once; a map shows one value a city: choose one year"
        )
    beyond = table.index.difference(codes, sort=False)
    if len(beyond):
        raise BoundaryError(
            f"{len(beyond)} of {len(table)} values belong to cities without a polygon ({beyond[0]} is the first); "
            "index the values by the city_code of the boundaries"
        )
    return table.reindex(codes).astype(np.float64)


def polygon_path(geometry: shapely.Geometry) -> Path:
    """Return a polygon or several, holes included, as one path of Matplotlib."""
    rings: list[FloatArray] = []
    for part in shapely.get_parts(geometry):
        for k, ring in enumerate(shapely.get_rings(part)):
            points = shapely.get_coordinates(ring)
            # outer rings one way round, holes the other, so that holes stay empty
            rings.append(points if shapely.is_ccw(ring) == (k == 0) else points[::-1])
    if not rings:
        return Path(np.empty((0, 2)))
    return Path.make_compound_path(*(Path(points, closed=True) for points in rings))


def line_paths(lines: Iterable[shapely.Geometry]) -> list[FloatArray]:
    """Return lines as arrays of points."""
    return [shapely.get_coordinates(part) for line in lines for part in shapely.get_parts(line)]


def round_length(length: float) -> float:
    """Return the largest of 1, 2, 5, 10, 20, 50 ... that is no longer.

    Examples
    --------
    >>> [round_length(v) for v in (0.3, 7.0, 180.0)]
    [0.2, 5.0, 100.0]
    """
    power = 10.0 ** np.floor(np.log10(length))
    return float(next(step * power for step in (5, 2, 1) if step * power <= length * (1 + 1e-9)))


def scale_bar(axes: Axes, width: float, *, left: float, bottom: float, unit_m: float = 1.0) -> None:
    """Draw a scale bar about a fifth as long as the map is wide.

    Parameters
    ----------
    axes : Axes
        Its coordinates are lengths.
    width : float
        Of the map, in those coordinates.
    left, bottom : float
        Where the bar begins.
    unit_m : float
        Metres of one unit of the coordinates.
    """
    km = round_length(0.22 * width * unit_m / 1000)
    length = km * 1000 / unit_m
    tick = 0.008 * width
    axes.plot(
        [left, left, left + length, left + length],
        [bottom + tick, bottom, bottom, bottom + tick],
        color="#444444",
        linewidth=1.1,
        solid_capstyle="butt",
        solid_joinstyle="miter",
        zorder=9,
    )
    axes.text(left + length / 2, bottom + 1.4 * tick, f"{km:g} km", ha="center", va="bottom", fontsize=8, zorder=9)


def to_projection(crs: CRS, lon: ArrayLike, lat: ArrayLike) -> tuple[FloatArray, FloatArray]:
    """Coordinates of points of WGS 84 in a projection; NaN stays NaN."""
    x, y = Transformer.from_crs(WGS84, crs, always_xy=True).transform(
        np.asarray(lon, np.float64), np.asarray(lat, np.float64)
    )
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    known = np.isfinite(x) & np.isfinite(y)
    return np.where(known, x, np.nan), np.where(known, y, np.nan)
