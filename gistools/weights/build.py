"""Build spatial weights: contiguity, nearest neighbours, inverse distance, economic-geographic nested."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from libpysal.graph import Graph
from scipy import sparse
from scipy.spatial import cKDTree

from gistools.checks import listed, require_choice, require_columns, require_positive
from gistools.errors import BoundaryError, CrsError, InputError, WeightsError
from gistools.grid import WGS84
from gistools.weights import graph
from gistools.weights.points import chord_coordinates, city_points, geodesic_km, with_code

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

Kind = Literal["contiguity", "knn", "inverse-distance", "economic-nested"]
Islands = Literal["error", "keep", "nearest"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# The kinds of weights that each option belongs to.
_OPTIONS: dict[str, tuple[Kind, ...]] = {
    "k": ("knn",),
    "rook": ("contiguity",),
    "tolerance_m": ("contiguity",),
    "gdp": ("economic-nested",),
    "before": ("economic-nested",),
    "cutoff_km": ("inverse-distance", "economic-nested"),
    "exponent": ("inverse-distance", "economic-nested"),
}
ISLANDS: tuple[Islands, ...] = get_args(Islands)


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
    require_choice(islands, ISLANDS, "islands")
    require_positive(tolerance_m, "tolerance_m", zero=True)
    table = with_code(cities, code)
    require_columns(table, [code], "the cities")
    codes = graph.as_codes(table[code])
    _check_unique(codes)
    empty = (table.geometry.is_empty | table.geometry.isna()).to_numpy()
    if empty.any():
        raise BoundaryError(f"cities without a geometry: {listed(np.array(codes)[empty])}")
    shapes = shapely.make_valid((_metric_plane(table) if tolerance_m else table).geometry.to_numpy())
    i, j = _touching(shapes, tolerance_m, rook)
    n = len(codes)
    matrix = sparse.csr_array((np.ones(len(i)), (i, j)), shape=(n, n))
    return _finish(matrix, codes, lambda: city_points(table, code=code), islands, row_standardise)


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


def knn_weights(cities: pd.DataFrame, *, k: int = 6, row_standardise: bool = False, code: str = "city_code") -> Graph:
    """Build 0-1 weights to the `k` nearest cities by geodesic distance.

    Parameters
    ----------
    cities : GeoDataFrame or DataFrame
        As :func:`city_points` takes them.
    k : int
        Number of neighbours of each city. Of cities at the same distance the one named first counts.
    row_standardise : bool
        Divide each row by its sum.
    code : str
        Column of the city codes.

    Returns
    -------
    Graph
        Keyed by ``city_code``; not symmetric in general.

    Raises
    ------
    WeightsError
        If there are not more than `k` cities.

    Examples
    --------
    >>> line = pd.DataFrame({"city_code": ["a", "b", "c"], "lon": [100.0, 101.0, 103.0], "lat": 30.0})
    >>> knn_weights(line, k=1).adjacency.to_dict()
    {('a', 'b'): 1.0, ('b', 'a'): 1.0, ('c', 'b'): 1.0}
    """
    points = city_points(cities, code=code)
    n = len(points)
    if not 1 <= k < n:
        raise WeightsError(f"k is {k}, but must be at least 1 and less than the number of cities ({n})")
    # Chords through the earth order pairs as geodesics do, but for a part in 1e5: some more candidates than k,
    # then the exact distances.
    near = cKDTree(chord_coordinates(points)).query(chord_coordinates(points), min(n, k + 9))[1]
    rows = np.repeat(np.arange(n), near.shape[1])
    columns = near.ravel()
    other = rows != columns
    rows, columns = rows[other], columns[other]
    km = geodesic_km(points, rows, columns)
    order = np.lexsort((columns, km, rows))
    rows, columns = rows[order], columns[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    rows, columns = rows[rank < k], columns[rank < k]
    matrix = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    return _finish(matrix, list(points.index), lambda: points, "error", row_standardise)


def inverse_distance_weights(
    cities: pd.DataFrame,
    *,
    exponent: float = 1.0,
    cutoff_km: float | None = None,
    islands: Islands = "error",
    row_standardise: bool = True,
    code: str = "city_code",
) -> Graph:
    """Build weights that fall with geodesic distance: ``1 / d_km ** exponent``.

    Parameters
    ----------
    cities : GeoDataFrame or DataFrame
        As :func:`city_points` takes them.
    exponent : float
        Power of the distance.
    cutoff_km : float, optional
        Cities farther apart than this are no neighbours. Without it every city neighbours every other.
    islands : {"error", "keep", "nearest"}
        What to do with a city that has no other within the cut-off.
    row_standardise : bool
        Divide each row by its sum (default).
    code : str
        Column of the city codes.

    Returns
    -------
    Graph
        Keyed by ``city_code``.

    Raises
    ------
    WeightsError
        If two cities lie at the same point, or there are islands and they are not allowed.

    Examples
    --------
    >>> line = pd.DataFrame({"city_code": ["a", "b", "c"], "lon": [100.0, 101.0, 102.0], "lat": 0.0})
    >>> inverse_distance_weights(line).adjacency.round(4).to_dict()[("a", "b")]
    0.6667
    """
    points = city_points(cities, code=code)
    matrix = _inverse_distance(points, exponent, cutoff_km)
    return _finish(matrix, list(points.index), lambda: points, islands, row_standardise, exponent)


def economic_nested_weights(
    cities: pd.DataFrame,
    gdp: pd.Series,
    *,
    exponent: float = 1.0,
    cutoff_km: float | None = None,
    islands: Islands = "error",
    row_standardise: bool = True,
    code: str = "city_code",
) -> Graph:
    """Build the nested economic-geographic weights: inverse distance, times the neighbour's relative GDP.

    ``W = W_geo diag(Y_1 / Y, ..., Y_n / Y)``, where ``Y_j`` is the mean GDP of city `j` and ``Y`` the mean over
    the cities: a rich neighbour counts for more.

    Parameters
    ----------
    cities : GeoDataFrame or DataFrame
        As :func:`city_points` takes them.
    gdp : Series
        Positive, indexed by city code; where a city has several rows (years) their mean counts. Choose years before
        the treatment, so that the weights are not its outcome.
    exponent, cutoff_km, islands, row_standardise, code
        As in :func:`inverse_distance_weights`.

    Returns
    -------
    Graph
        Keyed by ``city_code``.

    Raises
    ------
    WeightsError
        If a city has no GDP or one that is not above zero.

    Examples
    --------
    >>> line = pd.DataFrame({"city_code": ["a", "b", "c"], "lon": [100.0, 101.0, 102.0], "lat": 0.0})
    >>> w = economic_nested_weights(line, pd.Series({"a": 1.0, "b": 1.0, "c": 4.0}))
    >>> w.adjacency.round(4).to_dict()[("a", "c")]
    0.6667
    """
    points = city_points(cities, code=code)
    codes = pd.Index(graph.as_codes(gdp.index.get_level_values(0)))
    mean = pd.Series(gdp.to_numpy(float), index=codes).groupby(level=0).mean().reindex(points.index)
    lacking = mean.index[~(mean > 0) | ~np.isfinite(mean)]
    if len(lacking):
        raise WeightsError(
            f"GDP is missing or not above zero for {len(lacking)} of {len(points)} cities: {listed(lacking)}"
        )
    relative = (mean / mean.mean()).to_numpy()
    matrix = _inverse_distance(points, exponent, cutoff_km) @ sparse.diags_array(relative)
    return _finish(
        sparse.csr_array(matrix), list(points.index), lambda: points, islands, row_standardise, exponent, relative
    )


def build_weights(
    cities: pd.DataFrame,
    kind: Kind,
    *,
    k: int | None = None,
    cutoff_km: float | None = None,
    exponent: float | None = None,
    gdp: pd.Series | None = None,
    rook: bool = False,
    tolerance_m: float = 0.0,
    islands: Islands = "error",
    row_standardise: bool | None = None,
    code: str = "city_code",
) -> Graph:
    """Build weights of a named kind; an option that does not belong to the kind is refused.

    Parameters
    ----------
    cities : GeoDataFrame or DataFrame
        Polygons or points; contiguity needs polygons.
    kind : {"contiguity", "knn", "inverse-distance", "economic-nested"}
        See :func:`contiguity_weights`, :func:`knn_weights`, :func:`inverse_distance_weights`,
        :func:`economic_nested_weights`, which also say what the options mean.
    k : int, optional
        Of knn; 6 by default.
    cutoff_km, exponent : float, optional
        Of the two kinds by distance; no cut-off and 1 by default.
    gdp : Series, optional
        Of economic-nested, which needs it.
    rook, tolerance_m
        Of contiguity.
    islands : {"error", "keep", "nearest"}
        What to do with cities that have no neighbour.
    row_standardise : bool, optional
        By default the kinds by distance are row-standardised, contiguity and knn are 0-1.
    code : str
        Column of the city codes.

    Returns
    -------
    Graph
        Keyed by ``city_code`` (text), in the order of `cities`.

    Raises
    ------
    InputError
        If an option does not belong to the kind, or the kind lacks one.

    Examples
    --------
    >>> line = pd.DataFrame({"city_code": ["a", "b", "c"], "lon": [100.0, 101.0, 102.0], "lat": 0.0})
    >>> build_weights(line, "knn", k=2).n_edges
    6
    """
    require_weights_options(
        kind,
        k=k,
        rook=rook or None,
        tolerance_m=tolerance_m or None,
        gdp=gdp,
        cutoff_km=cutoff_km,
        exponent=exponent,
    )
    if kind == "contiguity":
        if not isinstance(cities, gpd.GeoDataFrame):
            raise InputError("contiguity needs polygons, but the cities are a table of points")
        return contiguity_weights(
            cities, rook=rook, tolerance_m=tolerance_m, islands=islands, row_standardise=bool(row_standardise),
            code=code,
        )  # fmt: skip
    if kind == "knn":
        return knn_weights(cities, k=6 if k is None else k, row_standardise=bool(row_standardise), code=code)
    options: dict[str, Any] = {
        "exponent": 1.0 if exponent is None else exponent,
        "cutoff_km": cutoff_km,
        "islands": islands,
        "row_standardise": row_standardise is None or row_standardise,
        "code": code,
    }
    if kind == "inverse-distance":
        return inverse_distance_weights(cities, **options)
    if gdp is None:
        raise InputError("economic-nested weights need the GDP of the cities, of years before the treatment")
    return economic_nested_weights(cities, gdp, **options)


def require_weights_options(kind: Kind, **options: object) -> None:
    """Refuse an option that belongs to another kind of weights.

    Parameters
    ----------
    kind : str
        Of :func:`build_weights`.
    **options
        Options of :func:`build_weights`, None where they are not given.

    Raises
    ------
    InputError
    """
    require_choice(kind, KINDS, "kind")
    for option, value in options.items():
        if value is not None and kind not in _OPTIONS[option]:
            raise InputError(f"{option} belongs to {' and '.join(_OPTIONS[option])} weights, not to {kind}")


def _inverse_distance(points: pd.DataFrame, exponent: float, cutoff_km: float | None) -> sparse.csr_array:
    require_positive(exponent, "exponent")
    n = len(points)
    if cutoff_km is None:
        i, j = np.triu_indices(n, 1)
    else:
        require_positive(cutoff_km, "cutoff_km")
        # A chord is never longer than its geodesic: the ball holds every pair within the cut-off.
        pairs = cKDTree(chord_coordinates(points)).query_pairs(cutoff_km * 1000.0, output_type="ndarray")
        i, j = pairs[:, 0], pairs[:, 1]
    km = geodesic_km(points, i, j)
    if cutoff_km is not None:
        near = km <= cutoff_km
        i, j, km = i[near], j[near], km[near]
    same = np.flatnonzero(km == 0)
    if len(same):
        names = [f"{points.index[i[p]]} and {points.index[j[p]]}" for p in same]
        raise WeightsError(f"cities at the same point have no inverse distance: {listed(names)}; move or merge them")
    value = km**-exponent
    return sparse.csr_array(
        (np.concatenate([value, value]), (np.concatenate([i, j]), np.concatenate([j, i]))), shape=(n, n)
    )


def _finish(
    matrix: sparse.csr_array,
    codes: list[str],
    points: Callable[[], pd.DataFrame],
    policy: Islands,
    standardise: bool,
    exponent: float = 0.0,
    relative: FloatArray | None = None,
) -> Graph:
    """Treat the islands, standardise, and name rows and columns."""
    require_choice(policy, ISLANDS, "islands")
    alone = np.flatnonzero(np.diff(matrix.indptr) == 0)
    if len(alone):
        names = listed(np.array(codes)[alone])
        if policy == "error":
            raise WeightsError(
                f"{len(alone)} of {len(codes)} cities have no neighbour: {names}; keep them as rows of zeros or join "
                "them to the nearest city (islands keep or nearest), or widen the cut-off or tolerance"
            )
        if policy == "keep":
            warnings.warn(f"{len(alone)} cities have no neighbour and keep rows of zeros: {names}", stacklevel=3)
        else:
            matrix, joined = _join_nearest(matrix, alone, points(), exponent, relative)
            pairs = listed([f"{codes[a]} to {codes[b]}" for a, b in zip(alone, joined, strict=True)])
            warnings.warn(f"{len(alone)} cities without a neighbour are joined to the nearest: {pairs}", stacklevel=3)
    return graph.graph_from_matrix(graph.standardised_rows(matrix) if standardise else matrix, codes)


def _join_nearest(
    matrix: sparse.csr_array,
    alone: NDArray[np.intp],
    points: pd.DataFrame,
    exponent: float,
    relative: FloatArray | None,
) -> tuple[sparse.csr_array, NDArray[np.intp]]:
    """Link each island with its nearest city both ways, with the weight the rule gives at their distance."""
    n = len(points)
    everyone = np.arange(n)
    joined = np.empty(len(alone), np.intp)
    links = sparse.lil_array((n, n))
    scale = np.ones(n) if relative is None else relative
    for position, city in enumerate(alone):
        km = geodesic_km(points, np.full(n, city), everyone)
        km[city] = np.inf
        near = joined[position] = int(km.argmin())
        links[city, near] = km[near] ** -exponent * scale[near]
        links[near, city] = km[near] ** -exponent * scale[city]
    return sparse.csr_array(matrix + links.tocsr()), joined


def _check_unique(codes: list[str]) -> None:
    index = pd.Index(codes)
    if index.has_duplicates:
        raise BoundaryError(f"more than one polygon for city {listed(index[index.duplicated()].unique())}; dissolve")
