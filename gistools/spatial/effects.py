"""Direct, indirect and total effects of regressors in models with spatial lags, with their standard errors.

The matrix of partial derivatives of the outcome in every city with respect to a regressor in every city is
``(I - rho W)^-1 (beta I + theta W)``. Its mean diagonal is the direct effect, its mean row sum the total effect, the
rest the indirect effect, the spillover (LeSage and Pace 2009, Introduction to Spatial Econometrics, section 2.7).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gistools.econometrics.results import inference
from gistools.spatial.operator import SpatialFilter, Traces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

EFFECTS = ("direct", "indirect", "total")
COLUMNS = (
    "term", "effect", "estimate", "std_error", "statistic", "p_value", "ci_low", "ci_high",
    "std_error_sim", "ci_low_sim", "ci_high_sim",
)  # fmt: skip


def decompose_effects(
    terms: Sequence[str],
    estimates: FloatArray,
    covariance: FloatArray,
    x: Sequence[str],
    traces: Traces,
    spatial_filter: SpatialFilter | None,
    *,
    draws: int = 2000,
    seed: int = 0,
    df: float = np.inf,
    level: float = 0.95,
) -> tuple[pd.DataFrame, int]:
    """Return direct, indirect and total effects of regressors.

    With ``S = I - rho W`` and ``G = W S^-1``: direct ``beta (1 + rho tr G / N) + theta tr G / N``, total
    ``beta (1 + rho 1'G1 / N) + theta 1'G1 / N``.

    Parameters
    ----------
    terms : sequence of str
        Names of the estimates; ``W_<name>`` is the spatial lag of ``<name>``. Without ``rho`` it is zero.
    estimates : array, shape (K,)
    covariance : array, shape (K, K)
    x : sequence of str
        Regressors to decompose.
    traces : Traces
        Of the filter at the estimate of rho, or at zero.
    spatial_filter : SpatialFilter or None
        None in a model without rho.
    draws : int
        Of the normal distribution of the estimates, for the simulated errors; 0 for none.
    seed : int
        Of the draws.
    df, level : float
        Of the statistics and confidence intervals by the delta method.

    Returns
    -------
    table : DataFrame
        ``term, effect, estimate, std_error`` (delta method), ``statistic, p_value, ci_low, ci_high`` and
        ``std_error_sim, ci_low_sim, ci_high_sim`` (standard deviation and quantiles of the draws).
    rejected : int
        Draws left out because their rho was outside its bounds.
    """
    place = {name: k for k, name in enumerate(terms)}
    rho = float(estimates[place["rho"]]) if "rho" in place else 0.0
    drawn = _draws(estimates, covariance, draws, seed)
    at_draws = None
    if spatial_filter is not None:
        low, high = spatial_filter.bounds
        drawn = drawn[(drawn[:, place["rho"]] > low) & (drawn[:, place["rho"]] < high)]
        at_draws = _multipliers(spatial_filter, drawn[:, place["rho"]]) if len(drawn) else None
    at_estimate, slopes = _multipliers_at(rho, traces)
    rows = []
    for name in x:
        own, lagged = place[name], place.get(f"W_{name}")
        for effect in EFFECTS:
            (a, b), (da, db) = at_estimate[effect], slopes[effect]
            theta = float(estimates[lagged]) if lagged is not None else 0.0
            value = float(estimates[own]) * a + theta * b
            gradient = np.zeros(len(estimates))
            gradient[own] = a
            if lagged is not None:
                gradient[lagged] = b
            if "rho" in place:
                gradient[place["rho"]] = float(estimates[own]) * da + theta * db
            simulated = np.full(1, np.nan)
            if len(drawn):
                A, B = at_draws[effect] if at_draws else (a, b)
                simulated = drawn[:, own] * A + (drawn[:, lagged] * B if lagged is not None else 0.0)
            rows.append(
                (name, effect, value, float(np.sqrt(gradient @ covariance @ gradient)), *_spread(simulated, level))
            )
    return _table(rows, df, level), draws - len(drawn)


def _spread(simulated: FloatArray, level: float) -> tuple[float, float, float]:
    if len(simulated) < 2:
        return float("nan"), float("nan"), float("nan")
    low, high = np.quantile(simulated, [0.5 - level / 2, 0.5 + level / 2])
    # a simulation is good to a few digits; those past the ninth hang on how the processor adds, from run to run
    error, low, high = (float(f"{value:.9g}") for value in (simulated.std(ddof=1), low, high))
    return error, low, high


def _table(rows: list[tuple[str, str, float, float, float, float, float]], df: float, level: float) -> pd.DataFrame:
    names, effects, value, error, *spread = zip(*rows, strict=True) if rows else ((),) * 7
    columns = inference(np.array(value, float), np.array(error, float), df, level)
    simulated = dict(zip(COLUMNS[-3:], spread, strict=True))
    return pd.DataFrame({"term": names, "effect": effects, **columns, **simulated}, columns=list(COLUMNS))


def _multipliers(spatial_filter: SpatialFilter, rho: FloatArray) -> dict[str, tuple[FloatArray, FloatArray]]:
    direct = spatial_filter.mean_diagonals(rho)
    total = spatial_filter.mean_sums(rho)
    return {"direct": direct, "indirect": (total[0] - direct[0], total[1] - direct[1]), "total": total}


def _multipliers_at(
    rho: float, traces: Traces
) -> tuple[dict[str, tuple[float, float]], dict[str, tuple[float, float]]]:
    """Return what multiplies beta and theta at one rho, and the derivatives with respect to rho.

    ``dG / drho = G G``, and ``S^-1 = I + rho G``.
    """
    n = len(traces.row_sums)
    g, gg = traces.g / n, traces.gg / n
    total, slope = float(traces.row_sums.sum()) / n, float(traces.column_sums @ traces.row_sums) / n
    direct = (1 + rho * g, g)
    whole = (1 + rho * total, total)
    d_direct = (g + rho * gg, gg)
    d_whole = (total + rho * slope, slope)
    return (
        {"direct": direct, "indirect": (whole[0] - direct[0], whole[1] - direct[1]), "total": whole},
        {"direct": d_direct, "indirect": (d_whole[0] - d_direct[0], d_whole[1] - d_direct[1]), "total": d_whole},
    )


def _draws(estimates: FloatArray, covariance: FloatArray, draws: int, seed: int) -> FloatArray:
    """Draw estimates from their normal distribution."""
    scale = np.sqrt(np.diag(covariance))
    # The triangular root is unique, so that the draws are the same everywhere. Covariances clustered in fewer cities
    # than terms are singular: the small addition makes them regular and changes no digit that is printed.
    root = np.linalg.cholesky(covariance / np.outer(scale, scale) + 1e-12 * np.eye(len(scale)))
    normal = np.random.default_rng(seed).standard_normal((draws, len(estimates)))
    return np.asarray(estimates + (normal @ root.T) * scale)
