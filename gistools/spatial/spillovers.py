"""The effect each city receives from the treatment of the others, in a spatial difference-in-differences.

With ``S = I - rho W`` the treatment ``d`` of a year changes the outcomes by ``S^-1 (beta I + theta W) d``. The
diagonal of that matrix times a city's own treatment is its own effect, what came back to it through its neighbours
included; the rest of the row is what it receives from the treatment of others.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gistools.checks import closest, listed
from gistools.econometrics.results import inference
from gistools.errors import InputError, TableError, WeightsError
from gistools.spatial.moran_sample import by_year
from gistools.spatial.operator import filter_of
from gistools.weights.graph import is_row_standardised, standardised_rows, weights_matrix

if TYPE_CHECKING:
    from libpysal.graph import Graph
    from libpysal.weights import W as PysalW
    from numpy.typing import NDArray
    from scipy import sparse

    from gistools.spatial.models import SpatialFit

    FloatArray = NDArray[np.float64]

# Cities whose columns of G are solved for at a time.
BLOCK = 64


def spillovers_received(
    fit: SpatialFit,
    w: Graph | PysalW,
    treated: pd.Series,
    *,
    term: str | None = None,
    row_standardise: bool = False,
    level: float = 0.95,
) -> pd.DataFrame:
    """Return what each city receives from the treatment of the others, year by year.

    Parameters
    ----------
    fit : SpatialFit
        SAR, SLX or SDM with the treatment among its regressors. A model of spatial errors has no spillovers.
    w : Graph or W
        The weights of the fit.
    treated : Series
        The treatment: a dummy, or a dose. Indexed by city code and year, or by city code alone; every city has a
        value.
    term : str, optional
        Name of the treatment in the fit; by default the name of `treated`.
    row_standardise : bool
        Divide each row of the weights by its sum first, as the fit did.
    level : float
        Of the confidence intervals.

    Returns
    -------
    DataFrame
        One row a city and year: the keys, ``treated``, ``own`` (the effect of its own treatment), ``received`` (that
        of the others') with ``std_error`` (delta method, the covariance of rho, beta and theta in it), ``statistic,
        p_value, ci_low, ci_high``, and ``total``. The means over cities of ``total`` are those of the treatment's
        total effect where every city is treated.

    Raises
    ------
    InputError
        If the model has no such term, or no spatial lag of the outcome or of the term.
    WeightsError
        If cities differ, or the fit was made with other weights.
    TableError
        If a city has no treatment.

    Notes
    -----
    With ``G = W S^-1``, ``S^-1 = I + rho G``: one sparse solution for all years gives the totals, and the columns of
    G at treated cities, some at a time, their own effects. No matrix of all cities by all cities is formed.
    Derivatives as in :func:`gistools.spatial.effects.decompose_effects`; LeSage and Pace (2009), Introduction to
    Spatial Econometrics, section 2.7.

    Examples
    --------
    >>> from gistools.spatial.models import fit_spatial
    >>> from gistools.weights import graph_from_matrix
    >>> W = (np.roll(np.eye(8), 1, 1) + np.roll(np.eye(8), -1, 1)) / 2
    >>> rng = np.random.default_rng(1)
    >>> keys = pd.MultiIndex.from_product([[*"abcdefgh"], range(20)], names=["city_code", "year"])
    >>> d = pd.Series((rng.uniform(size=160) < 0.3).astype(float), index=keys, name="d")
    >>> y = np.linalg.solve(np.eye(8) - 0.5 * W, d.to_numpy().reshape(8, 20) + 0.01 * rng.normal(size=(8, 20)))
    >>> w = graph_from_matrix(W, "abcdefgh")
    >>> fit = fit_spatial(d.to_frame().assign(y=y.ravel()), w, outcome="y", x=["d"], model="sar")
    >>> alone = pd.Series([1.0, 0, 0, 0, 0, 0, 0, 0], index=[*"abcdefgh"], name="d")
    >>> (spillovers_received(fit, w, alone)[["own", "received"]].round(2) + 0.0).iloc[:3].values.tolist()
    [[1.16, 0.0], [0.0, 0.31], [0.0, 0.08]]
    """
    name = str(treated.name) if term is None else term
    beta, theta, rho, place = _estimates(fit, name)
    table = by_year(treated)
    if table.isna().to_numpy().any():
        lacking = table.index[table.isna().any(axis=1)]
        raise TableError(f"{len(lacking)} cities have no value of '{name}' in some year: {listed(lacking)}")
    W = weights_matrix(w, table.index)
    W = standardised_rows(W) if row_standardise else W
    d = table.to_numpy()
    solve = filter_of(W).solver(rho)
    _require_weights_of_fit(fit, W, solve, name, beta, theta)
    once = solve(d)
    lagged = np.asarray(W @ once)  # G d: W and S^-1 commute
    total = beta * once + theta * lagged
    diagonal, squared = _diagonals(W, solve, np.flatnonzero(d.any(axis=1)))
    at_beta, at_theta = 1 + rho * diagonal, diagonal
    slope = beta * (diagonal + rho * squared) + theta * squared
    own = (beta * at_beta + theta * at_theta)[:, None] * d
    gradient = {
        "beta": once - at_beta[:, None] * d,
        "theta": lagged - at_theta[:, None] * d,
        "rho": np.asarray(W @ solve(total)) - slope[:, None] * d,
    }
    known = [(gradient[part], at) for part, at in place.items()]
    variance = sum(
        (a * b * fit.covariance[i, j] for a, i in known for b, j in known),
        start=np.zeros(d.shape),
    )
    return _frame(treated, table, d, own, total - own, np.sqrt(np.maximum(variance, 0.0)), fit.df, level)


def _estimates(fit: SpatialFit, name: str) -> tuple[float, float, float, dict[str, int]]:
    """Return beta, theta and rho, and where those that the model has stand among its terms."""
    terms = list(fit.terms)
    if name not in terms:
        raise InputError(f"the model has no term '{name}'{closest(name, terms) or '; it has ' + listed(terms, 12)}")
    parts = {"beta": name, "theta": f"W_{name}", "rho": "rho"}
    place = {part: terms.index(term) for part, term in parts.items() if term in terms}
    if len(place) == 1:
        raise InputError(
            f"the {fit.model} model has no spatial lag of its outcome or of '{name}': no city receives anything"
        )
    beta, theta, rho = (float(fit.estimates[place[part]]) if part in place else 0.0 for part in parts)
    return beta, theta, rho, place


def _require_weights_of_fit(
    fit: SpatialFit, W: sparse.csr_array, solve: Any, name: str, beta: float, theta: float
) -> None:
    """Compare the mean total effect with that of the fit, which other weights seldom share."""
    ones = np.ones((W.shape[0], 1))
    total = float(np.mean(solve(beta * ones + theta * np.asarray(W @ ones))))
    table = fit.effects_decomposition
    known = table.loc[(table["term"] == name) & (table["effect"] == "total"), "estimate"].to_numpy()
    differs = bool(fit.options.get("row_standardised")) != is_row_standardised(W)
    if differs or (len(known) and abs(total - known[0]) > 1e-6 * (1 + abs(known[0]))):
        raise WeightsError(
            f"these are not the weights of the fit: their total effect of '{name}' is {total:.6g}, that of the fit "
            f"{known[0] if len(known) else np.nan:.6g}; were the rows standardised there (row_standardise)?"
        )


def _diagonals(W: sparse.csr_array, solve: Any, cities: NDArray[np.intp]) -> tuple[FloatArray, FloatArray]:
    """Return the diagonals of G and of G G at some cities, zeros elsewhere."""
    n = W.shape[0]
    g, gg = np.zeros(n), np.zeros(n)
    turned = W.T.tocsr()
    for block in _blocks(cities):
        unit = np.zeros((n, len(block)), order="F")
        unit[block, np.arange(len(block))] = 1.0
        columns = np.asarray(W @ solve(unit))  # G[:, block]
        rows = solve(np.asarray(turned @ unit), transpose=True)  # G[block, :]'
        g[block] = columns[block, np.arange(len(block))]
        gg[block] = np.einsum("ij,ij->j", columns, rows)
    return g, gg


def _blocks(cities: NDArray[np.intp]) -> Iterator[NDArray[np.intp]]:
    for start in range(0, len(cities), BLOCK):
        yield cities[start : start + BLOCK]


def _frame(
    treated: pd.Series,
    table: pd.DataFrame,
    d: FloatArray,
    own: FloatArray,
    received: FloatArray,
    error: FloatArray,
    df: float,
    level: float,
) -> pd.DataFrame:
    n, years = d.shape
    names = treated.index.names
    keys: dict[Any, Any] = {names[0] or "city_code": np.repeat(table.index.to_numpy(), years)}
    if treated.index.nlevels > 1:
        keys[names[1] or "year"] = np.tile(table.columns.to_numpy(), n)
    tested = inference(received.ravel(), error.ravel(), df, level)
    tested = {"received": tested.pop("estimate"), **tested}
    return pd.DataFrame(
        {**keys, "treated": d.ravel(), "own": own.ravel(), **tested, "total": (own + received).ravel()}
    )
