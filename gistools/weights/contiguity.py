"""Contiguity: cities whose polygons touch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from scipy import sparse

from gistools.checks import listed, require_columns, require_positive
from gistools.errors import BoundaryError, CrsError
from gistools.grid import WGS84
from gistools.weights.graph import as_codes
from gistools.weights.islands import Finish, Islands, finish
from gistools.weights.points import city_points, with_code

if TYPE_CHECKING:
    from libpysal.graph import Graph
    from numpy.typing import NDArray


def contiguity_weights(
    cities: gpd.GeoDataFrame,
    *,
    rook: bool = False,
    tolerance_m: float = 0.0,
    islands: Islands = "error",
    row_standardise: bool = False,
    code: str = "city_code",
) -> Graph:
    """Build 0-1 weights between cities whose polygons touch.

    Parameters
    ----------
    cities : GeoDataFrame
        Polygons in any CRS, one row for each city.
    rook : bool
        Count only neighbours that share a line; by default (queen) a shared point suffices.
    tolerance_m : float
        Metres of gap or overlap that count as touching, for borders that do not quite meet. Measured in a Lambert
        azimuthal equal-area plane around the cities; a rook's common line must be longer than four tolerances.
    islands : {"error", "keep", "nearest"}
        What to do with a city that touches no other: refuse, keep it as a row of zeros, or join it (both ways) to
        the city with the nearest representative point.
    row_standardise : bool
        Divide each row by its sum.
    code : str
        Column of the city codes.

    Returns
    -------
    Graph
        Keyed by ``city_code`` (text), in the order of `cities`.

    Raises
    ------
    BoundaryError
        If geometries are empty or codes repeat.
    WeightsError
        If there are islands and they are not allowed.

    Examples
    --------
    >>> squares = gpd.GeoDataFrame(
    ...     {"city_code": ["1", "2", "3"]},
    ...     geometry=[shapely.box(0, 0, 1, 1), shapely.box(1, 0, 2, 1), shapely.box(2, 1, 3, 2)], crs="EPSG:4326")
    >>> contiguity_weights(squares).adjacency.to_dict()
    {('1', '2'): 1.0, ('2', '1'): 1.0, ('2', '3'): 1.0, ('3', '2'): 1.0}
    """
    how = Finish(islands=islands, row_standardise=row_standardise)
    require_positive(tolerance_m, "tolerance_m", zero=True)
    table = with_code(cities, code)
    require_columns(table, [code], "the cities")
    codes = as_codes(table[code])
    _check_unique(codes)
    empty = (table.geometry.is_empty | table.geometry.isna()).to_numpy()
    if empty.any():
        raise BoundaryError(f"cities without a geometry: {listed(np.array(codes)[empty])}")
    shapes = shapely.make_valid((_metric_plane(table) if tolerance_m else table).geometry.to_numpy())
    i, j = _touching(shapes, tolerance_m, rook)
    n = len(codes)
    matrix = sparse.csr_array((np.ones(len(i)), (i, j)), shape=(n, n))
    widen = "give borders that do not quite meet a tolerance (tolerance_m)"
    return finish(matrix, codes, lambda: city_points(table, code=code), how, widen=widen)


def _metric_plane(cities: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the cities in a plane whose unit is the metre, centred on them."""
    if cities.crs is None:
        raise CrsError(
            "the cities have no CRS, so a tolerance in metres has no meaning; give them one with set_crs()"
        )
    lonlat = cities.to_crs(WGS84)
    west, south, east, north = lonlat.total_bounds
    plane = f"+proj=laea +lat_0={(south + north) / 2} +lon_0={(west + east) / 2} +ellps=WGS84 +units=m"
    return lonlat.to_crs(plane)


def _touching(shapes: NDArray[Any], tolerance: float, rook: bool) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return both directions of every pair of shapes that touch."""
    tree = shapely.STRtree(shapes)
    if tolerance:
        i, j = tree.query(shapes, predicate="dwithin", distance=tolerance)
    else:
        i, j = tree.query(shapes, predicate="intersects")
    i, j = i[i < j], j[i < j]
    if rook and tolerance:
        border = shapely.intersection(shapely.buffer(shapes[i], tolerance), shapely.boundary(shapes[j]))
        line = shapely.length(border) > 4 * tolerance
        i, j = i[line], j[line]
    elif rook:
        # Dimension 1 or 2 of boundary with boundary, or interiors that overlap: more than single points.
        matrix = shapely.relate(shapes[i], shapes[j])
        line = np.array([cell[4] == "1" or cell[0] == "2" for cell in matrix], bool)
        i, j = i[line], j[line]
    return np.concatenate([i, j]), np.concatenate([j, i])


def _check_unique(codes: list[str]) -> None:
    index = pd.Index(codes)
    if index.has_duplicates:
        raise BoundaryError(f"more than one polygon for city {listed(index[index.duplicated()].unique())}; dissolve")
