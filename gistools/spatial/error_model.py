"""The fixed-effects model whose errors are spatially autoregressive: SEM.

``y_t = X_t beta + mu + l_t 1 + u_t``, ``u_t = lambda W u_t + e_t``. With ``B = I - lambda W`` the errors are
``e_t = B (y_t - X_t beta - mu) - l_t B 1``: outcome and regressors are lagged first, effects are taken out of the
filtered variables afterwards, those of the years along ``B 1``, which is the exact likelihood with dummy variables.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg

from gistools.econometrics import covariance as cov
from gistools.spatial.likelihood import Information, Point, bias_corrected, infer, maximise
from gistools.spatial.operator import SpatialFilter
from gistools.spatial.sample import (
    Errors,
    Estimate,
    Sample,
    require_errors,
    require_identified,
    require_transformable,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


class Filtered:
    """Columns ``M (P - r Q)`` at any r, or fewer rows with the same cross products where M does not depend on r.

    Parameters
    ----------
    P, Q : array, shape (N, T, K)
        Columns and their lags, without effects, but for those of the years with `row_sums`.
    row_sums : array, shape (N,), optional
        Of the weights, where year effects are to be taken out along ``1 - r W 1``.
    """

    def __init__(self, P: FloatArray, Q: FloatArray, row_sums: FloatArray | None = None) -> None:
        self.P, self.Q, self.row_sums = P, Q, row_sums
        k = P.shape[-1]
        if row_sums is None:
            root = linalg.qr(np.concatenate([P, Q], axis=-1).reshape(-1, 2 * k), mode="r", check_finite=False)[0]
            self._root = root[: 2 * k, :k], root[: 2 * k, k:]

    def full(self, r: float) -> FloatArray:
        """Return all rows, shape (N, T, K)."""
        out = self.P - r * self.Q
        if self.row_sums is not None:
            d = year_vector(r, self.row_sums)
            out -= d[:, None, None] * np.tensordot(d, out, axes=1)
        return out

    def root(self, r: float) -> FloatArray:
        """Return rows, shape (., K), with the cross products of :meth:`full`."""
        if self.row_sums is None:
            return self._root[0] - r * self._root[1]
        return self.full(r).reshape(-1, self.P.shape[-1])


def year_vector(r: float, row_sums: FloatArray) -> FloatArray:
    """Return the unit vector along ``(I - r W) 1``, which a year's effect takes in the filtered model."""
    direction = 1.0 - r * row_sums
    return np.asarray(direction / np.linalg.norm(direction))


def triangle(rows: FloatArray) -> FloatArray:
    """Return the triangular factor of rows of regressors and outcome.

    Its last diagonal element squared is the sum of squares that the regressors leave of the outcome.
    """
    return np.asarray(linalg.qr(rows, mode="r", check_finite=False)[0][: rows.shape[1]])


def fit_error(sample: Sample, spatial_filter: SpatialFilter, *, errors: Errors = "model") -> Estimate:
    """Fit the model with spatially autoregressive errors (SEM).

    ``ln L = -n/2 (ln(2 pi e'e / n) + 1) + J(lambda)``, e the residuals of the filtered outcome on the filtered
    regressors (Anselin 1988, section 12.1.3; Lee and Yu 2010 for panels).

    Parameters
    ----------
    sample : Sample
    spatial_filter : SpatialFilter
    errors : {"model", "robust", "city"}
        Standard errors of the information matrix; robust to heteroskedasticity; to dependence within a city.

    Returns
    -------
    Estimate

    Raises
    ------
    WeightsError
        If lambda cannot be told from the effects, or the correction needs row-standardised weights.
    ConvergenceError
        If the likelihood has no maximum inside the bounds.
    """
    require_transformable(sample)
    columns = sample.layout(np.column_stack([sample.X, sample.y]))
    lags = lagged_columns(sample, spatial_filter, columns)
    _require_identified(sample, lags)
    filtered = Filtered(columns, lags, uneven_row_sums(sample, spatial_filter))

    def loglik(lambda_: float) -> float:
        return sample.loglik(triangle(filtered.root(lambda_))[-1, -1] ** 2, sample.jacobian(lambda_, spatial_filter))

    lambda_, value = maximise(loglik, spatial_filter.bounds, "lambda")
    rows = filtered.full(lambda_).reshape(sample.n, -1)
    beta = cov.least_squares(rows[:, -1], rows[:, :-1])
    residuals = rows[:, -1] - rows[:, :-1] @ beta
    require_errors(sample, residuals)
    point = Point(beta, lambda_, float(residuals @ residuals) / sample.n_effective)
    information = _information(sample, spatial_filter, filtered, point)
    if sample.correction == "bias":
        point = bias_corrected(information)
        information = _information(sample, spatial_filter, filtered, point)
    inference = infer(information, errors)
    return Estimate(
        terms=(*sample.names, "lambda"),
        estimates=np.append(point.beta, point.spatial),
        covariance=inference.covariance,
        residuals=sample.y - sample.X @ point.beta,
        sigma2=point.sigma2,
        loglik=value,
        clusters=inference.clusters,
        small_sample=inference.small_sample,
        df=np.inf,
        errors=inference.errors,
        traces=information.traces,
    )


def lagged_columns(sample: Sample, spatial_filter: SpatialFilter, columns: FloatArray) -> FloatArray:
    """Return the spatial lags of (N, T, K) columns, without the effects of the years where these can go at once."""
    lags = np.asarray(spatial_filter.W @ columns.reshape(len(columns), -1)).reshape(columns.shape)
    if "year" in sample.effects and not sample.uneven:
        lags -= lags.mean(axis=0)
    return lags


def uneven_row_sums(sample: Sample, spatial_filter: SpatialFilter) -> FloatArray | None:
    """Return the row sums of weights where year effects and the filter do not commute, else None."""
    if "year" not in sample.effects or not sample.uneven:
        return None
    return np.asarray(spatial_filter.W.sum(axis=1), float)


def error_direction(sample: Sample, spatial_filter: SpatialFilter, lambda_: float) -> FloatArray | None:
    """Return the unit vector that year effects take out of the filtered errors of a year; None without them."""
    if "year" not in sample.effects:
        return None
    return year_vector(lambda_, np.asarray(spatial_filter.W.sum(axis=1), float))


def _information(sample: Sample, spatial_filter: SpatialFilter, filtered: Filtered, point: Point) -> Information:
    rows = filtered.full(point.spatial).reshape(sample.n, -1)
    residuals = sample.layout(rows[:, -1] - rows[:, :-1] @ point.beta)
    direction = error_direction(sample, spatial_filter, point.spatial)
    return Information(sample, spatial_filter, point, rows[:, :-1], residuals, direction=direction)


def _require_identified(sample: Sample, lags: FloatArray) -> None:
    beta = cov.least_squares(sample.y, sample.X)
    residuals = sample.y - sample.X @ beta
    lag = lags.reshape(sample.n, -1) @ np.append(-beta, 1.0)
    if "year" in sample.effects:
        laid = sample.layout(lag)
        lag = (laid - laid.mean(axis=0)).ravel()
    require_identified(sample, residuals, lag, "lambda")
