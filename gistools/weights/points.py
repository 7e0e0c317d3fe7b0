"""One point for each city, and geodesic distances (WGS 84) between the points."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
from pyproj import CRS, Transformer

from gistools.checks import listed, require_columns
from gistools.errors import BoundaryError, CrsError, TableError
from gistools.grid import GEOD, WGS84
from gistools.weights.graph import as_codes

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

POINT_COLUMNS = (("lon", "lat"), ("cbd_lon", "cbd_lat"))

_ECEF = CRS.from_epsg(4978)


def city_points(
    cities: pd.DataFrame, *, code: str = "city_code", lon: str | None = None, lat: str | None = None
) -> pd.DataFrame:
    """Return one point for each city, between which distances are measured.

    Parameters
    ----------
    cities : GeoDataFrame or DataFrame
        Polygons in any CRS: the point is a representative point inside the polygon. Or a table with columns of
        longitudes and latitudes (WGS 84, degrees); rows of one city that repeat its point count once.
    code : str
        Column (or name of the index) that holds the unique codes of the cities.
    lon, lat : str, optional
        Columns of the coordinates, for example of the CBD. By default the geometry, else ``lon`` and ``lat``,
        else ``cbd_lon`` and ``cbd_lat``.

    Returns
    -------
    DataFrame
        Indexed by ``city_code`` (text) in the order given; ``lon`` and ``lat`` in degrees, WGS 84.

    Raises
    ------
    CrsError
        If polygons have no CRS.
    TableError
        If columns lack, coordinates are missing or outside their range, or a city has several points.

    Examples
    --------
    >>> city_points(pd.DataFrame({"city_code": [110000], "lon": [116.4], "lat": [39.9]}))
                 lon   lat
    city_code
    110000     116.4  39.9
    """
    table = with_code(cities, code)
    if isinstance(table, gpd.GeoDataFrame) and lon is None and lat is None:
        require_columns(table, [code], "the cities")
        if table.crs is None:
            raise CrsError("the cities have no CRS, so distances cannot be measured; give them one with set_crs()")
        empty = table.geometry.is_empty | table.geometry.isna()
        if empty.any():
            raise BoundaryError(f"cities without a geometry: {listed(table.loc[empty, code])}")
        inside = table.geometry.representative_point().to_crs(WGS84)
        points = pd.DataFrame({"lon": inside.x.to_numpy(), "lat": inside.y.to_numpy()})
    else:
        columns = (lon, lat) if lon and lat else _point_columns(table)
        require_columns(table, [code, *columns], "the table of cities")
        points = pd.DataFrame(
            {
                name: pd.to_numeric(table[column], errors="coerce").to_numpy(float)
                for name, column in zip(("lon", "lat"), columns, strict=True)
            }
        )
    nameless = (table[code].isna() | (table[code].astype("str").str.strip() == "")).to_numpy()
    if nameless.any():
        raise TableError(f"{int(nameless.sum())} rows of the cities have no {code}; fill or remove them")
    points.index = pd.Index(as_codes(table[code]), name="city_code", dtype="str")
    points = points[~points.reset_index().duplicated().to_numpy()]
    _check_points(points)
    return points


def with_code(cities: pd.DataFrame, code: str) -> pd.DataFrame:
    """Return the table with its codes as a column, where they are the name of its index."""
    return cities.reset_index() if code not in cities.columns and code in cities.index.names else cities


def _point_columns(table: pd.DataFrame) -> tuple[str, str]:
    for pair in POINT_COLUMNS:
        if set(pair) <= set(table.columns):
            return pair
    raise TableError(
        "the table of cities has no columns lon and lat (or cbd_lon and cbd_lat); name the columns that hold "
        f"longitude and latitude; it has {listed(table.columns, 12)}"
    )


def _check_points(points: pd.DataFrame) -> None:
    missing = points.isna().any(axis=1)
    if missing.any():
        raise TableError(f"cities without coordinates: {listed(points.index[missing])}; drop them or fill them in")
    doubled = points.index[points.index.duplicated()].unique()
    if len(doubled):
        raise TableError(f"more than one point for city {listed(doubled)}; keep one row of each city")
    outside = (points["lat"].abs() > 90) | (points["lon"].abs() > 360)
    if outside.any():
        first = points[outside].iloc[0]
        raise TableError(
            f"longitude {first['lon']:g}, latitude {first['lat']:g} of city {points.index[outside][0]} are not "
            "degrees; are the columns exchanged, or the coordinates projected?"
        )


def geodesic_km(points: pd.DataFrame, i: NDArray[Any], j: NDArray[Any]) -> FloatArray:
    """Return geodesic distances (WGS 84, kilometres) between the points at positions `i` and `j`."""
    lon, lat = points["lon"].to_numpy(), points["lat"].to_numpy()
    return np.asarray(GEOD.inv(lon[i], lat[i], lon[j], lat[j])[2], float) / 1000.0


def chord_coordinates(points: pd.DataFrame) -> FloatArray:
    """Return metres from the centre of the earth, so that a k-d tree can be asked for near points."""
    to_ecef = Transformer.from_crs(WGS84.to_3d(), _ECEF, always_xy=True)
    return np.column_stack(to_ecef.transform(points["lon"], points["lat"], np.zeros(len(points))))
