"""Weights by geodesic distance: nearest neighbours, distance bands, inverse distance, kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.spatial import cKDTree

from gistools.checks import listed, require_choice, require_positive
from gistools.errors import InputError, WeightsError
from gistools.weights.islands import Finish, Islands, finish
from gistools.weights.points import chord_coordinates, city_points, geodesic_km
from gistools.weights.transform import Symmetric

if TYPE_CHECKING:
    from libpysal.graph import Graph
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    Positions = NDArray[np.intp]

Kernel = Literal["triangular", "epanechnikov", "bisquare", "gaussian", "exponential"]
KERNELS: tuple[Kernel, ...] = get_args(Kernel)
# Kernels that never reach zero.
UNBOUNDED: tuple[Kernel, ...] = ("gaussian", "exponential")

# All pairs of more cities than these would not fit the memory of a common machine.
ALL_PAIRS = 10_000


def knn_weights(
    cities: pd.DataFrame,
    *,
    k: int = 6,
    symmetric: Symmetric | None = None,
    islands: Islands = "error",
    row_standardise: bool = False,
    code: str = "city_code",
) -> Graph:
    """Build 0-1 weights to the `k` nearest cities by geodesic distance.

    Parameters
    ----------
    cities : GeoDataFrame or DataFrame
        As :func:`city_points` takes them.
    k : int
        Number of neighbours of each city. Of cities at the same distance the one named first counts.
    symmetric : {"max", "mean", "both"}, optional
        Make the neighbourhood mutual, see :func:`gistools.weights.transform.symmetrise`.
    islands : {"error", "keep", "nearest"}
        What to do with a city whose neighbours do not name it back, where `symmetric` is ``both``.
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
    how = Finish(islands, symmetric, row_standardise)
    points = city_points(cities, code=code)
    n = len(points)
    if not 1 <= k < n:
        raise WeightsError(f"k is {k}, but must be at least 1 and less than the number of cities ({n})")
    rows, columns, _ = _nearest(points, k)
    matrix = sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(n, n))
    return finish(matrix, list(points.index), lambda: points, how, widen="take a larger k")


def _nearest(points: pd.DataFrame, k: int) -> tuple[Positions, Positions, FloatArray]:
    """Return the `k` nearest of each city with their distances, nearest first."""
    n = len(points)
    # Chords through the earth order pairs as geodesics do, but for a part in 1e5: some more candidates than k,
    # then the exact distances.
    near = cKDTree(chord_coordinates(points)).query(chord_coordinates(points), min(n, k + 9))[1]
    rows = np.repeat(np.arange(n), near.shape[1])
    columns = near.ravel()
    other = rows != columns
    rows, columns = rows[other], columns[other]
    km = geodesic_km(points, rows, columns)
    order = np.lexsort((columns, km, rows))
    rows, columns, km = rows[order], columns[order], km[order]
    rank = np.arange(len(rows)) - np.searchsorted(rows, rows)
    kept = rank < k
    return rows[kept], columns[kept], km[kept]


def pairs_within(points: pd.DataFrame, cutoff_km: float | None) -> tuple[Positions, Positions, FloatArray]:
    """Return every pair ``i < j`` of cities within a cut-off, or every pair, with its distance in kilometres."""
    if cutoff_km is None:
        if len(points) > ALL_PAIRS:
            raise WeightsError(
                f"without a cut-off {len(points):,} cities have {len(points) ** 2:,} links, too many; give cutoff_km"
            )
        i, j = np.triu_indices(len(points), 1)
        return i, j, geodesic_km(points, i, j)
    require_positive(cutoff_km, "cutoff_km")
    # A chord is never longer than its geodesic: the ball holds every pair within the cut-off.
    pairs = cKDTree(chord_coordinates(points)).query_pairs(cutoff_km * 1000.0, output_type="ndarray")
    i, j = pairs[:, 0], pairs[:, 1]
    km = geodesic_km(points, i, j)
    near = km <= cutoff_km
    return i[near], j[near], km[near]


def both_ways(i: Positions, j: Positions, value: FloatArray, n: int) -> sparse.csr_array:
    """Return a symmetric matrix of pairs."""
    return sparse.csr_array(
        (np.concatenate([value, value]), (np.concatenate([i, j]), np.concatenate([j, i]))), shape=(n, n)
    )


def distance_band_weights(
    cities: pd.DataFrame,
    *,
    cutoff_km: float,
    islands: Islands = "error",
    row_standardise: bool = False,
    code: str = "city_code",
) -> Graph:
    """Build 0-1 weights between cities within a distance.

    Parameters
    ----------
    cities : GeoDataFrame or DataFrame
        As :func:`city_points` takes them.
    cutoff_km : float
        Largest geodesic distance between neighbours.
    islands : {"error", "keep", "nearest"}
        What to do with a city that has no other within the distance; the refusal names the smallest distance that
        leaves nobody alone.
    row_standardise : bool
        Divide each row by its sum.
    code : str
        Column of the city codes.

    Returns
    -------
    Graph
        Keyed by ``city_code``.

    Raises
    ------
    WeightsError
        If there are islands and they are not allowed.

    Examples
    --------
    >>> line = pd.DataFrame({"city_code": ["a", "b", "c"], "lon": [100.0, 101.0, 102.0], "lat": 0.0})
    >>> distance_band_weights(line, cutoff_km=120).adjacency.to_dict()
    {('a', 'b'): 1.0, ('b', 'a'): 1.0, ('b', 'c'): 1.0, ('c', 'b'): 1.0}
    """
    how = Finish(islands=islands, row_standardise=row_standardise)
    points = city_points(cities, code=code)
    i, j, _ = pairs_within(points, cutoff_km)
    matrix = both_ways(i, j, np.ones(len(i)), len(points))
    return finish(matrix, list(points.index), lambda: points, how, widen="cutoff_km")


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
    how = Finish(islands=islands, row_standardise=row_standardise)
    points = city_points(cities, code=code)
    return finish(
        inverse_distance_matrix(points, exponent, cutoff_km),
        list(points.index),
        lambda: points,
        how,
        rule=lambda km, _: km**-exponent,
        widen="cutoff_km",
    )


def inverse_distance_matrix(points: pd.DataFrame, exponent: float, cutoff_km: float | None) -> sparse.csr_array:
    """Return ``1 / d_km ** exponent`` between cities within the cut-off."""
    require_positive(exponent, "exponent")
    i, j, km = pairs_within(points, cutoff_km)
    same = np.flatnonzero(km == 0)
    if len(same):
        names = [f"{points.index[i[p]]} and {points.index[j[p]]}" for p in same]
        raise WeightsError(f"cities at the same point have no inverse distance: {listed(names)}; move or merge them")
    return both_ways(i, j, km**-exponent, len(points))


def kernel_weights(
    cities: pd.DataFrame,
    *,
    kernel: Kernel = "bisquare",
    bandwidth_km: float | None = None,
    k: int | None = None,
    cutoff_km: float | None = None,
    symmetric: Symmetric | None = None,
    islands: Islands = "error",
    row_standardise: bool = True,
    code: str = "city_code",
) -> Graph:
    """Build weights that fall from one to zero with distance over a bandwidth: ``K(d_ij / h_i)``.

    ``triangular`` is ``1 - u``, ``epanechnikov`` ``1 - u^2``, ``bisquare`` ``(1 - u^2)^2`` for ``u < 1``;
    ``gaussian`` is ``exp(-u^2 / 2)`` and ``exponential`` ``exp(-u)``. A city is no neighbour of its own.

    Parameters
    ----------
    cities : GeoDataFrame or DataFrame
        As :func:`city_points` takes them.
    kernel : {"triangular", "epanechnikov", "bisquare", "gaussian", "exponential"}
    bandwidth_km : float
        The same ``h`` for all cities.
    k : int
        Instead of it: ``h_i`` is the distance to the (k + 1)-th nearest city, so that `k` lie within it. The weights
        are then not symmetric.
    cutoff_km : float, optional
        Where the two kernels that never reach zero end; without it every city neighbours every other.
    symmetric : {"max", "mean", "both"}, optional
        See :func:`gistools.weights.transform.symmetrise`.
    islands : {"error", "keep", "nearest"}
        What to do with a city that has no other within the bandwidth. Joined to its nearest, the two have the weight
        1 for each other: the kernel has none to give at that distance.
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
    InputError
        If not exactly one of `bandwidth_km` and `k` is given, or a cut-off for a kernel that has an end.
    WeightsError
        If `k` is too large, or there are islands and they are not allowed.

    Notes
    -----
    The kernels of Fotheringham, Brunsdon and Charlton (2002), Geographically Weighted Regression, section 2.7.4, and
    Epanechnikov's, without the constants that make densities of them.

    Examples
    --------
    >>> line = pd.DataFrame({"city_code": ["a", "b", "c"], "lon": [100.0, 101.0, 103.0], "lat": 0.0})
    >>> w = kernel_weights(line, kernel="triangular", bandwidth_km=333.958472, row_standardise=False)
    >>> w.adjacency.round(6).to_dict()
    {('a', 'b'): 0.666667, ('b', 'a'): 0.666667, ('b', 'c'): 0.333333, ('c', 'b'): 0.333333}
    """
    require_choice(kernel, KERNELS, "kernel")
    how = Finish(islands, symmetric, row_standardise)
    if (bandwidth_km is None) == (k is None):
        raise InputError("a kernel needs one bandwidth: bandwidth_km for all cities, or k for each its own")
    if cutoff_km is not None and kernel not in UNBOUNDED:
        raise InputError(f"the {kernel} kernel ends at its bandwidth; cutoff_km belongs to {' and '.join(UNBOUNDED)}")
    points = city_points(cities, code=code)
    n = len(points)
    if bandwidth_km is not None:
        require_positive(bandwidth_km, "bandwidth_km")
        i, j, km = pairs_within(points, cutoff_km if kernel in UNBOUNDED else bandwidth_km)
        matrix = both_ways(i, j, _kernel(kernel, km / bandwidth_km), n)
    elif k is not None:
        if not 1 <= k < n - 1:
            raise WeightsError(f"k is {k}, but must be at least 1 and at most two less than the cities ({n - 2})")
        rows, columns, km = _nearest(points, k + 1)
        bandwidth = km.reshape(n, k + 1)[:, -1]
        if not bandwidth.all():
            stacked = listed(points.index[bandwidth == 0])
            raise WeightsError(f"more than {k} cities lie at the same point as {stacked}; take a larger k")
        if kernel in UNBOUNDED:
            i, j, km = pairs_within(points, cutoff_km)
            rows, columns, km = np.concatenate([i, j]), np.concatenate([j, i]), np.concatenate([km, km])
        matrix = sparse.csr_array((_kernel(kernel, km / bandwidth[rows]), (rows, columns)), shape=(n, n))
    matrix.eliminate_zeros()
    widen = "take a wider bandwidth" if kernel not in UNBOUNDED else "cutoff_km"
    return finish(matrix, list(points.index), lambda: points, how, widen=widen)


def _kernel(kernel: Kernel, u: FloatArray) -> FloatArray:
    within = np.maximum(1.0 - u if kernel == "triangular" else 1.0 - u**2, 0.0)
    values = {
        "triangular": lambda: within,
        "epanechnikov": lambda: within,
        "bisquare": lambda: within**2,
        "gaussian": lambda: np.exp(-0.5 * u**2),
        "exponential": lambda: np.exp(-u),
    }[kernel]()
    return np.asarray(values, float)
