"""Build weights of a named kind, from its options."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import geopandas as gpd
import pandas as pd

from gistools.checks import require_choice
from gistools.errors import InputError
from gistools.weights.contiguity import contiguity_weights
from gistools.weights.distance import (
    Kernel,
    distance_band_weights,
    inverse_distance_weights,
    kernel_weights,
    knn_weights,
)
from gistools.weights.economic import economic_nested_weights
from gistools.weights.islands import Islands
from gistools.weights.transform import Symmetric, spectral_standardise

if TYPE_CHECKING:
    from libpysal.graph import Graph

Kind = Literal["contiguity", "knn", "distance-band", "inverse-distance", "kernel", "economic-nested"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# Kinds whose weights are 0-1 unless they are to be standardised.
BINARY: tuple[Kind, ...] = ("contiguity", "knn", "distance-band")
# The kinds of weights that each option belongs to.
_OPTIONS: dict[str, tuple[Kind, ...]] = {
    "k": ("knn", "kernel"),
    "rook": ("contiguity",),
    "tolerance_m": ("contiguity",),
    "gdp": ("economic-nested",),
    "before": ("economic-nested",),
    "geographic_share": ("economic-nested",),
    "kernel": ("kernel",),
    "bandwidth_km": ("kernel",),
    "cutoff_km": ("distance-band", "inverse-distance", "kernel", "economic-nested"),
    "exponent": ("inverse-distance", "economic-nested"),
    "symmetric": ("knn", "kernel", "economic-nested"),
}


def build_weights(
    cities: pd.DataFrame,
    kind: Kind,
    *,
    k: int | None = None,
    cutoff_km: float | None = None,
    exponent: float | None = None,
    kernel: Kernel | None = None,
    bandwidth_km: float | None = None,
    gdp: pd.Series | None = None,
    geographic_share: float | None = None,
    rook: bool = False,
    tolerance_m: float = 0.0,
    symmetric: Symmetric | None = None,
    islands: Islands = "error",
    row_standardise: bool | None = None,
    spectral: bool = False,
    code: str = "city_code",
) -> Graph:
    """Build weights of a named kind; an option that does not belong to the kind is refused.

    Parameters
    ----------
    cities : GeoDataFrame or DataFrame
        Polygons or points; contiguity needs polygons.
    kind : {"contiguity", "knn", "distance-band", "inverse-distance", "kernel", "economic-nested"}
        See :func:`contiguity_weights`, :func:`knn_weights`, :func:`distance_band_weights`,
        :func:`inverse_distance_weights`, :func:`kernel_weights`, :func:`economic_nested_weights`, which also say
        what the options mean.
    k : int, optional
        Of knn, 6 by default; of kernel, instead of a bandwidth.
    cutoff_km : float, optional
        Of the kinds by distance but knn; distance-band needs it, the others have none by default.
    exponent : float, optional
        Of inverse-distance and economic-nested; 1 by default.
    kernel : str, optional
        Of kernel; bisquare by default.
    bandwidth_km : float, optional
        Of kernel.
    gdp : Series, optional
        Of economic-nested, which needs it.
    geographic_share : float, optional
        Of economic-nested: the mix instead of the product.
    rook, tolerance_m
        Of contiguity.
    symmetric : {"max", "mean", "both"}, optional
        Of the kinds that are not symmetric by themselves.
    islands : {"error", "keep", "nearest"}
        What to do with cities that have no neighbour.
    row_standardise : bool, optional
        By default contiguity, knn and distance-band are 0-1, the other kinds are row-standardised.
    spectral : bool
        Divide all weights by their largest eigenvalue instead.
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
    given: dict[str, Any] = {
        "k": k,
        "cutoff_km": cutoff_km,
        "exponent": exponent,
        "kernel": kernel,
        "bandwidth_km": bandwidth_km,
        "geographic_share": geographic_share,
        "symmetric": symmetric,
        "rook": rook or None,
        "tolerance_m": tolerance_m or None,
    }
    require_weights_options(kind, gdp=gdp, **given)
    if spectral and row_standardise:
        raise InputError("rows are divided by their sums or all weights by the largest eigenvalue, not both")
    options = {name: value for name, value in given.items() if value is not None}
    standardise = not spectral and (kind not in BINARY if row_standardise is None else row_standardise)
    options |= {"islands": islands, "row_standardise": standardise, "code": code}
    graph = _build(cities, kind, gdp, options)
    return spectral_standardise(graph) if spectral else graph


def _build(cities: pd.DataFrame, kind: Kind, gdp: pd.Series | None, options: dict[str, Any]) -> Graph:
    if kind == "contiguity":
        if not isinstance(cities, gpd.GeoDataFrame):
            raise InputError("contiguity needs polygons, but the cities are a table of points")
        return contiguity_weights(cities, **options)
    if kind == "knn":
        return knn_weights(cities, **options)
    if kind == "distance-band":
        if "cutoff_km" not in options:
            raise InputError("distance-band weights need cutoff_km, the largest distance between neighbours")
        return distance_band_weights(cities, **options)
    if kind == "inverse-distance":
        return inverse_distance_weights(cities, **options)
    if kind == "kernel":
        return kernel_weights(cities, **options)
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
            raise InputError(f"{option} belongs to {_and(_OPTIONS[option])} weights, not to {kind}")


def _and(names: tuple[str, ...]) -> str:
    return " and ".join(filter(None, [", ".join(names[:-1]), names[-1]]))
