"""Economic-geographic weights: near and rich cities count for more, or near and alike ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from scipy import sparse

from gistools.checks import listed
from gistools.errors import InputError, WeightsError
from gistools.weights.distance import ALL_PAIRS, both_ways, inverse_distance_matrix
from gistools.weights.graph import as_codes, matrix_and_codes, standardised_rows
from gistools.weights.islands import Finish, Islands, finish
from gistools.weights.points import city_points
from gistools.weights.transform import Symmetric

if TYPE_CHECKING:
    from libpysal.graph import Graph
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


def economic_nested_weights(
    cities: pd.DataFrame,
    gdp: pd.Series,
    *,
    geographic_share: float | None = None,
    exponent: float = 1.0,
    cutoff_km: float | None = None,
    symmetric: Symmetric | None = None,
    islands: Islands = "error",
    row_standardise: bool = True,
    code: str = "city_code",
) -> Graph:
    """Build nested economic-geographic weights, as a product or as a mix.

    The product (default) is ``W = W_geo diag(Y_1 / Y, ..., Y_n / Y)``: inverse distance, times the neighbour's mean
    GDP ``Y_j`` over the mean ``Y`` of all cities; a rich neighbour counts for more. The mix is
    ``W = a W_geo + (1 - a) W_eco``, with ``1 / |Y_i - Y_j|`` in ``W_eco`` and the rows of both divided by their sums
    first: neighbours that are near, or alike, count.

    Parameters
    ----------
    cities : GeoDataFrame or DataFrame
        As :func:`city_points` takes them.
    gdp : Series
        Positive, indexed by city code; where a city has several rows (years) their mean counts. Choose years before
        the treatment, so that the weights are not its outcome.
    geographic_share : float, optional
        ``a`` of the mix, 0 (economic distance alone) to 1 (geographic distance alone). None is the product.
    exponent, cutoff_km, islands
        Of the geographic part, as in :func:`inverse_distance_weights`.
    symmetric : {"max", "mean", "both"}, optional
        See :func:`gistools.weights.transform.symmetrise`.
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
        If the share is not between 0 and 1.
    WeightsError
        If a city has no GDP or one that is not above zero, or two cities of a mix have the same.

    Examples
    --------
    >>> line = pd.DataFrame({"city_code": ["a", "b", "c"], "lon": [100.0, 101.0, 102.0], "lat": 0.0})
    >>> gdp = pd.Series({"a": 1.0, "b": 2.0, "c": 5.0})
    >>> economic_nested_weights(line, gdp).adjacency.round(4).to_dict()[("a", "c")]
    0.5556
    >>> economic_nested_weights(line, gdp, geographic_share=0.5).adjacency.round(4).to_dict()[("a", "c")]
    0.2667
    """
    how = Finish(islands, symmetric, row_standardise)
    if geographic_share is not None and not 0 <= geographic_share <= 1:
        raise InputError(f"geographic_share is {geographic_share:g}, but must be between 0 and 1")
    points = city_points(cities, code=code)
    codes = list(points.index)
    mean = _mean_gdp(gdp, points.index)
    if geographic_share is None or geographic_share == 1:
        relative = mean / mean.mean() if geographic_share is None else np.ones(len(mean))
        near = inverse_distance_matrix(points, exponent, cutoff_km)
        return finish(
            sparse.csr_array(near @ sparse.diags_array(relative)),
            codes,
            lambda: points,
            how,
            rule=lambda km, neighbor: km**-exponent * relative[neighbor],
            widen="cutoff_km",
        )
    matrix = (1 - geographic_share) * standardised_rows(_economic_matrix(mean, codes))
    if geographic_share > 0:
        near = inverse_distance_matrix(points, exponent, cutoff_km)
        part = Finish(islands=islands, row_standardise=True)
        geographic = finish(near, codes, lambda: points, part, rule=lambda km, _: km**-exponent, widen="cutoff_km")
        matrix = matrix + geographic_share * matrix_and_codes(geographic)[0]
    return finish(sparse.csr_array(matrix), codes, lambda: points, how)  # economic distance leaves nobody alone


def _mean_gdp(gdp: pd.Series, codes: pd.Index) -> FloatArray:
    known = pd.Index(as_codes(gdp.index.get_level_values(0)))
    mean = pd.Series(gdp.to_numpy(float), index=known).groupby(level=0).mean().reindex(codes)
    lacking = mean.index[~(mean > 0) | ~np.isfinite(mean)]
    if len(lacking):
        raise WeightsError(
            f"GDP is missing or not above zero for {len(lacking)} of {len(codes)} cities: {listed(lacking)}"
        )
    return mean.to_numpy(float)


def _economic_matrix(mean: FloatArray, codes: list[str]) -> sparse.csr_array:
    """Return ``1 / |Y_i - Y_j|``."""
    n = len(mean)
    if n > ALL_PAIRS:
        raise WeightsError(
            f"economic distance links every city with every other, {n**2:,} links of {n:,} cities, too many; "
            "take the product instead (no geographic_share)"
        )
    order = np.argsort(mean, kind="stable")
    same = np.flatnonzero(np.diff(mean[order]) == 0)
    if len(same):
        names = [f"{codes[order[p]]} and {codes[order[p + 1]]}" for p in same]
        raise WeightsError(
            f"cities of the same mean GDP have no economic distance: {listed(names)}; take GDP with more digits or "
            "more years"
        )
    i, j = np.triu_indices(n, 1)
    return both_ways(i, j, 1.0 / np.abs(mean[i] - mean[j]), n)
