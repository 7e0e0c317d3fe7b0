"""Lagrange-multiplier tests of a least-squares fit for a spatial lag of the outcome and for spatial errors.

spreg has them for cross-sections, where the tests hold both side by side; for panels it knows no effects, and its lag
test squares the trace that should stand T times.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gistools.econometrics import covariance as cov
from gistools.econometrics.fixed_effects import as_effects, balanced_panel, within
from gistools.errors import InputError
from gistools.spatial.diagnostics import RANK, SpecificationTest, chi_square, effects_label
from gistools.spatial.operator import traces_at_zero
from gistools.weights.graph import standardised_rows, weights_matrix

if TYPE_CHECKING:
    from libpysal.graph import Graph
    from libpysal.weights import W as PysalW
    from scipy import sparse

    from gistools.spatial.models import SpatialFit

# Year effects that add as much to the expected statistic are said.
PUSHED = 0.5


def lm_tests(
    fit: SpatialFit,
    panel: pd.DataFrame,
    w: Graph | PysalW,
    *,
    row_standardise: bool = False,
    unit: str = "city_code",
    time: str = "year",
    alpha: float = 0.05,
) -> tuple[SpecificationTest, ...]:
    """Return the Lagrange-multiplier tests of a least-squares fit for a spatial lag and a spatial error.

    With residuals e, ``s2 = e'e / n``, ``m = M W (X b + effects)`` the lag of the fitted outcome, M what takes the
    effects out, ``R`` what X does not explain of m, and ``t = c (tr W'W + tr W W)``:

    - lag ``d_r^2 / J`` with ``d_r = e'W y / s2 - k`` and ``J = R'R / s2 + t``;
    - error ``d_l^2 / t`` with ``d_l = e'W e / s2 - k``;
    - robust lag ``(d_r - d_l)^2 / (J - t)``;
    - robust error ``(d_l - t d_r / J)^2 / (t - t^2 / J)``;
    - joint (SARMA) ``(d_r - d_l)^2 / (J - t) + d_l^2 / t``, with two degrees of freedom.

    Without correction n = N T, c = T, k = 0. With the correction ``transformation`` or ``bias`` they are the tests of
    the transformed likelihood: n and c count the years less one under city effects; under year effects n counts the
    cities less one, W is ``J W J`` with ``J = I - 11'/N``, ``k = -c 1'W1 / N`` is what the score would be on average,
    and ``2 k^2 / n`` goes from t because s2 is estimated.

    Parameters
    ----------
    fit : SpatialFit
        ``pooled``, or ``slx`` for tests beside the lags of x.
    panel : DataFrame
        The table of the fit.
    w : Graph or W
    row_standardise : bool
        Divide each row of the weights by its sum first.
    unit, time : str
        Names of the keys.
    alpha : float
        Level of the decisions.

    Returns
    -------
    tuple of SpecificationTest
        ``lm_lag, lm_error, rlm_lag, rlm_error, lm_joint``.

    Raises
    ------
    InputError
        If the fit is not one of least squares.
    WeightsError, PanelError
        If panel and weights do not fit.

    Notes
    -----
    Burridge (1980), Anselin (1988) and Anselin, Bera, Florax and Yoon (1996) for cross-sections; Anselin, Le Gallo
    and Jayet (2008) and Elhorst (2010) for panels; Debarsy and Ertur (2010) under the transformation. The lag of the
    fitted outcome is taken before effects are taken out, and they are taken out of it, so that the tests without
    correction are those of the stacked model with dummies. Programs that lag demeaned regressors and do not take
    effects out again differ in the third digit.

    Examples
    --------
    >>> from gistools.spatial.models import fit_spatial
    >>> from gistools.weights import graph_from_matrix
    >>> W = (np.roll(np.eye(40), 1, 1) + np.roll(np.eye(40), -1, 1)) / 2
    >>> x, errors = np.random.default_rng(1).normal(size=(2, 40))
    >>> y = np.linalg.solve(np.eye(40) - 0.5 * W, x + errors)
    >>> panel, w = pd.DataFrame({"city_code": range(40), "x": x, "y": y}), graph_from_matrix(W, range(40))
    >>> tests = lm_tests(fit_spatial(panel, w, outcome="y", x=["x"], model="pooled"), panel, w)
    >>> [(test.test, test.decision) for test in tests][2:4]
    [('rlm_lag', 'rejected'), ('rlm_error', 'not rejected')]
    """
    if fit.model not in ("pooled", "slx"):
        raise InputError(f"Lagrange-multiplier tests start from a pooled or slx fit, not from {fit.model}")
    x = list(fit.options["x"])
    data = balanced_panel(panel, [fit.outcome, *x], unit=unit, time=time)
    W = weights_matrix(w, data.codes)
    W = standardised_rows(W) if row_standardise else W
    effects = as_effects(fit.effects)
    raw = {"const": np.ones(data.shape)} | {name: data.values[name] for name in x}
    raw |= {f"W_{name}": np.asarray(W @ data.values[name]) for name in x if f"W_{name}" in fit.terms}
    X = within(np.stack([raw[name] for name in fit.terms], axis=2), effects)
    y = data.values[fit.outcome]
    errors = within(y, effects) - X @ fit.estimates
    lag_of_errors = within(np.asarray(W @ errors), effects)
    mean_lag = within(np.asarray(W @ y), effects) - lag_of_errors  # no effect need be estimated
    X = X.reshape(errors.size, -1)
    rest = mean_lag.ravel() - X @ cov.least_squares(mean_lag.ravel(), X)

    corrected = fit.correction != "none"
    copies = data.shape[1] - (corrected and "city" in effects)
    trace, shift = _trace_and_shift(W, demeaned=corrected and "year" in effects)
    shift *= copies
    # sigma2 is estimated: where it is correlated with the score, that takes something from the variance
    trace = copies * trace - 2 * shift**2 * fit.sigma2 / float(np.sum(errors**2))
    error_score = float(errors.ravel() @ lag_of_errors.ravel()) / fit.sigma2 - shift
    lag_score = float(errors.ravel() @ mean_lag.ravel()) / fit.sigma2 + error_score
    explained = float(rest @ rest) / fit.sigma2
    apart = np.linalg.norm(rest) > RANK * np.linalg.norm(mean_lag)  # else lag and error cannot be told apart
    explained = explained if apart else float("nan")
    curvature = trace + (explained if apart else 0.0)
    robust_lag = (lag_score - error_score) ** 2 / explained
    found = {
        "lm_lag": lag_score**2 / curvature,
        "lm_error": error_score**2 / trace,
        "rlm_lag": robust_lag,
        "rlm_error": (error_score - trace / curvature * lag_score) ** 2 / (trace * explained / curvature),
        "lm_joint": robust_lag + error_score**2 / trace,
    }
    notes = dict.fromkeys(found, "")
    if not apart:
        same = "the regressors explain the lag of the fitted outcome: lag and error cannot be told apart"
        notes |= {name: same for name in found if np.isnan(found[name])}
    if "year" in effects and not corrected:
        pushed = copies * _trace_and_shift(W, demeaned=True)[1] / np.sqrt(trace)
        if pushed**2 > PUSHED:
            notes["lm_error"] = (
                f"without correction the year effects alone make it about {1 + pushed**2:.2g} on average where "
                "errors are independent, not 1: use the correction transformation or bias"
            )
    df = dict.fromkeys(found, 1) | {"lm_joint": 2}
    label = effects_label(effects)
    return tuple(chi_square(name, label, value, df[name], alpha, note=notes[name]) for name, value in found.items())


def _trace_and_shift(W: sparse.csr_array, *, demeaned: bool) -> tuple[float, float]:
    """Return ``tr W'W + tr WW`` and ``tr W``, of W or of ``J W J`` with ``J = I - 11'/N``."""
    traces = traces_at_zero(W)
    trace = traces.gg + traces.gtg
    if not demeaned:
        return trace, 0.0
    n, row, column = W.shape[0], traces.row_sums, traces.column_sums
    mean = float(row.sum()) / n
    lost = float(row @ row + column @ column + 2 * column @ row) / n - 2 * mean**2
    return trace - lost, -mean
