"""Random effects of the cities by maximum likelihood: pooled, SLX, SAR, SDM and two error models.

The effects have the variance ``phi sigma2``. Filtered errors of a city split into T - 1 within it, of variance
sigma2, and their mean, of variance ``sigma2 / (T theta^2)`` with ``theta^2 = 1 / (1 + T phi)``; quasi-demeaning,
``v_it - (1 - theta) v_i.``, makes them alike. In Baltagi's error model the means have an N x N covariance of their
own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
from scipy import linalg
from scipy.optimize import minimize

from gistools.econometrics import covariance as cov
from gistools.econometrics.fixed_effects import within
from gistools.errors import ConvergenceError, InputError
from gistools.spatial.baltagi import BaltagiMeans
from gistools.spatial.error_model import Filtered, error_direction, lagged_columns, triangle, uneven_row_sums
from gistools.spatial.likelihood import (
    Information,
    Point,
    sandwich_factor,
    scan_points,
    traces_in_likelihood,
    year_direction,
)
from gistools.spatial.operator import SpatialFilter, Traces
from gistools.spatial.sample import Errors, Estimate, Sample, require_errors, require_transformable

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

Parameter = Literal["none", "rho", "lambda"]
ErrorComponents = Literal["baltagi", "kkp"]

# Where the search looks first, and how small theta may become.
THETAS = (0.02, 0.06, 0.15, 0.35, 0.65, 0.95)
SMALLEST = 1e-5


class Means(Protocol):
    """The part of the likelihood between cities."""

    def rows(self, r: float, theta: float) -> tuple[FloatArray, float]:
        """Return rows with the weighted cross products of the columns, and the log-determinant of the weighting."""
        ...


@dataclass(frozen=True)
class QuasiDemeaned:
    """City means weighted by theta: effects that enter after the filter, or spread as the errors do."""

    filtered: Filtered
    units: int

    def rows(self, r: float, theta: float) -> tuple[FloatArray, float]:
        """Return the means times theta, and the log-determinant of that."""
        return theta * self.filtered.root(r), 2 * self.units * float(np.log(theta))


def fit_random(
    sample: Sample,
    spatial_filter: SpatialFilter | None,
    parameter: Parameter,
    *,
    components: ErrorComponents = "baltagi",
    errors: Errors = "model",
) -> Estimate:
    """Fit a model with random effects of the cities.

    ``ln L = -n/2 (ln(2 pi e'e / n) + 1) + T ln|S| + N ln theta`` with e the quasi-demeaned errors (Elhorst 2014,
    section 3.3.2), or for Baltagi's error model ``- ln|I + T phi B B'| / 2`` in place of ``N ln theta`` (Baltagi,
    Song and Koh 2003; Elhorst 2003). `kkp` is the error model in which effects spread like errors (Kapoor, Kelejian
    and Prucha 2007).

    Parameters
    ----------
    sample : Sample
        Without the effects of the years where they are fixed.
    spatial_filter : SpatialFilter or None
        None without a spatial parameter.
    parameter : {"none", "rho", "lambda"}
        The spatial parameter: of the outcome's lag, of the errors, or none.
    components : {"baltagi", "kkp"}
        Of the error model.
    errors : {"model", "city"}
        Standard errors of the information matrix; robust to dependence within a city.

    Returns
    -------
    Estimate
        With the term ``phi``, the variance of the effects over that of the errors.

    Raises
    ------
    InputError
        If robust errors are asked for that the model does not have.
    WeightsError
        If the correction needs row-standardised weights.
    ConvergenceError
        If the likelihood has no maximum.
    """
    baltagi = parameter == "lambda" and components == "baltagi"
    _require_errors_known(errors, baltagi)
    require_transformable(sample)
    require_errors(sample, sample.y - sample.X @ cov.least_squares(sample.y, sample.X))
    basis = _Basis(sample)
    P, Q = _columns(sample, spatial_filter, parameter, basis.columns)
    row_sums = uneven_row_sums(sample, spatial_filter) if spatial_filter and parameter == "lambda" else None
    deviations = Filtered(within(P, "city"), within(Q, "city"), row_sums)
    averages = [np.sqrt(sample.years) * part.mean(axis=1) for part in (P, Q)]
    means: Means = QuasiDemeaned(Filtered(averages[0][:, None], averages[1][:, None], row_sums), sample.units)

    @lru_cache(maxsize=256)
    def jacobian(r: float) -> float:
        return sample.jacobian(r, spatial_filter) if spatial_filter else 0.0

    def factor(means: Means, r: float, theta: float) -> tuple[FloatArray, float]:
        rows, determinant = means.rows(r, theta)
        return triangle(np.concatenate([deviations.root(r), rows])), determinant

    def loglik(means: Means, r: float, theta: float) -> float:
        root, determinant = factor(means, r, theta)
        return sample.loglik(root[-1, -1] ** 2, jacobian(r)) + determinant / 2

    bounds = spatial_filter.bounds if spatial_filter else (0.0, 0.0)
    ridge = _ridge(partial(loglik, means), bounds)
    r, theta, value = _climb(partial(loglik, means), bounds, ridge, parameter)
    if spatial_filter and baltagi:  # starts where the cheap likelihood is high
        means = BaltagiMeans(sample, spatial_filter, *averages)
        r, theta, value = _climb(partial(loglik, means), bounds, [*ridge, (r, theta)], parameter)
    root, _ = factor(means, r, theta)
    sigma2 = root[-1, -1] ** 2 / sample.n_effective
    point = Point(basis.coefficients(linalg.solve_triangular(root[:-1, :-1], root[:-1, -1])), r, sigma2)
    found = (
        _baltagi_inference(sample, spatial_filter, point, theta, means, basis.covariance(root[:-1, :-1]))
        if spatial_filter and isinstance(means, BaltagiMeans)
        else _inference(sample, spatial_filter, point, theta, parameter, errors)
    )
    phi = (theta**-2 - 1.0) / sample.years
    small_sample, clusters, words = (
        (1.0, None, "expected information") if errors == "model" else sandwich_factor(sample, errors)
    )
    spatial = [] if parameter == "none" else [r]
    lag = sample.lag() if parameter == "rho" else 0.0
    return Estimate(
        terms=(*sample.names, *([] if parameter == "none" else [parameter]), "phi"),
        estimates=np.concatenate([point.beta, spatial, [phi]]),
        covariance=small_sample * found.covariance,
        residuals=sample.y - r * lag - sample.X @ point.beta,
        sigma2=sigma2,
        loglik=value,
        clusters=clusters,
        small_sample=small_sample,
        df=np.inf,
        errors=words,
        traces=found.traces,
        sigma2_city=phi * sigma2,
    )


def _require_errors_known(errors: Errors, baltagi: bool) -> None:
    if errors == "robust":
        raise InputError(
            "random effects make the errors of a city alike, so errors robust to heteroskedasticity alone are not "
            "theirs; cluster by city"
        )
    if errors == "city" and baltagi:
        raise InputError(
            "clustered errors are not known for Baltagi's error model, in which a city's part of the likelihood is "
            "not its own; use the random effects kkp, fixed effects, or the errors of the model"
        )


class _Basis:
    """The regressors as orthonormal columns and the outcome as what they leave, which keeps the products exact."""

    def __init__(self, sample: Sample) -> None:
        self.size = np.linalg.norm(sample.X, axis=0)
        q, self.triangle = np.linalg.qr(sample.X / self.size)
        self.start = cov.least_squares(sample.y, sample.X)
        self.columns = sample.layout(np.column_stack([q, sample.y - sample.X @ self.start]))

    def coefficients(self, delta: FloatArray) -> FloatArray:
        """Return coefficients of the regressors from those of the basis."""
        return np.asarray(self.start + linalg.solve_triangular(self.triangle, delta) / self.size)

    def covariance(self, root: FloatArray) -> FloatArray:
        """Return ``(X'X)^-1`` from the triangle of the weighted basis."""
        inverse = linalg.solve_triangular(root @ self.triangle, np.eye(len(root)))
        return np.asarray(inverse @ inverse.T / np.outer(self.size, self.size))


def _columns(
    sample: Sample, spatial_filter: SpatialFilter | None, parameter: Parameter, columns: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Return the columns of regressors and outcome, and what the spatial parameter takes off them."""
    lags = np.zeros_like(columns)
    if parameter == "rho":
        lags[..., -1] = sample.layout(sample.lag())
    elif spatial_filter and parameter == "lambda":
        lags = lagged_columns(sample, spatial_filter, columns)
    return columns, lags


def _ridge(loglik: Callable[[float, float], float], bounds: tuple[float, float]) -> list[tuple[float, float]]:
    """Return points all over the range of the spatial parameter, each with the theta that suits it best."""
    places = scan_points(bounds) if bounds[1] > bounds[0] else np.zeros(1)
    return [max(((float(r), theta) for theta in THETAS), key=lambda at: loglik(*at)) for r in places]


def _climb(
    loglik: Callable[[float, float], float],
    bounds: tuple[float, float],
    points: Sequence[tuple[float, float]],
    parameter: str,
) -> tuple[float, float, float]:
    """Return the spatial parameter and theta at the maximum, and its value: a quasi-Newton climb from the best point.

    The climb is in ln theta, whose end, zero, is a maximum where the effects have no variance.
    """
    start = max(points, key=lambda at: loglik(*at))
    low, high = bounds
    edge = 1e-9 * (high - low)
    found = minimize(
        lambda at: -loglik(float(at[0]), float(np.exp(at[1]))),
        [start[0], np.log(start[1])],
        jac="3-point",
        method="L-BFGS-B",
        bounds=[(low + edge, high - edge), (np.log(SMALLEST), 0.0)],
        options={"ftol": 1e-15, "gtol": 1e-6, "maxiter": 200},
    )
    r, theta = float(found.x[0]), float(np.exp(found.x[1]))
    if not np.isfinite(found.fun) or theta <= 2 * SMALLEST:
        raise ConvergenceError(f"the likelihood with random effects has no maximum for {parameter} and phi")
    return r, theta, -float(found.fun)


@dataclass(frozen=True)
class _Found:
    covariance: FloatArray
    traces: Traces | None


def _inference(
    sample: Sample,
    spatial_filter: SpatialFilter | None,
    point: Point,
    theta: float,
    parameter: Parameter,
    errors: Errors,
) -> _Found:
    """Return the covariance of (beta, spatial parameter, phi) where quasi-demeaning makes the errors alike.

    They then enter the information as those of a model without effects do. phi, a ratio of two variances, is
    uncorrelated with the rest: its variance is ``2 (1 + T phi)^2 / (N T (T - 1))``.
    """
    columns = sample.layout(np.column_stack([sample.X, sample.y]))
    P, Q = _columns(sample, spatial_filter, parameter, columns)
    row_sums = uneven_row_sums(sample, spatial_filter) if spatial_filter and parameter == "lambda" else None
    rows = Filtered(P, Q, row_sums).full(point.spatial)
    plain = rows[..., -1] - rows[..., :-1] @ point.beta
    X, residuals = _quasi_demeaned(rows[..., :-1], theta).reshape(sample.n, -1), _quasi_demeaned(plain, theta)
    t, k = sample.years, X.shape[1]
    traces = None
    if spatial_filter is None:
        bread = point.sigma2 * cov.inverse_gram(X)
        scores, pairs = _city_sums(sample, X * residuals.reshape(-1, 1)) / point.sigma2, 0.0
    else:
        mean_lag, direction = None, error_direction(sample, spatial_filter, point.spatial)
        if parameter == "rho":
            spread = np.asarray(spatial_filter.W @ spatial_filter.solver(point.spatial)(plain))
            mean_lag = _quasi_demeaned(sample.layout(sample.lag()) - within(spread, sample.effects), theta)
            direction = year_direction(sample)
        information = Information(sample, spatial_filter, point, X, residuals, mean_lag, direction)
        bread, traces = information.covariance(), information.traces
        scores, pairs = information.scores("city") if errors == "city" else (np.empty((0, k + 1)), 0.0)
    ratio = theta**-2  # 1 + T phi
    size = len(bread) + 1
    out = np.zeros((size, size))
    if errors == "model":
        out[:-1, :-1] = bread
        out[-1, -1] = 2 * ratio**2 / (sample.units * t * (t - 1))
        return _Found(out, traces)
    mean = t * residuals.mean(axis=1) ** 2
    rest = np.sum(residuals**2, axis=1) - mean
    n = sample.units
    own = ratio / t * ((mean / point.sigma2 - 1) / n - (rest / point.sigma2 - (t - 1)) / (n * (t - 1)))
    influence = np.column_stack([scores @ bread, own])
    out = influence.T @ influence
    out[:-1, :-1] += pairs * np.outer(bread[-1], bread[-1])
    return _Found(out, traces)


def _baltagi_inference(
    sample: Sample,
    spatial_filter: SpatialFilter,
    point: Point,
    theta: float,
    means: BaltagiMeans,
    inverse: FloatArray,
) -> _Found:
    """Return the covariance of (beta, lambda, phi): that of beta apart from that of the others."""
    t, sigma2 = sample.years, point.sigma2
    traces = spatial_filter.traces(point.spatial)
    g, squares = traces_in_likelihood(sample, traces, point.spatial)
    information = means.information(point.spatial, theta, sigma2)
    information[0, 0] += (t - 1) * squares
    information[[0, 2], [2, 0]] += (t - 1) * g / sigma2
    information[2, 2] += (t - 1) * sample.units / (2 * sigma2**2)
    k = len(point.beta)
    out = np.zeros((k + 2, k + 2))
    out[:k, :k] = sigma2 * inverse
    out[k:, k:] = np.linalg.inv(information)[:2, :2]
    return _Found(out, traces)


def _quasi_demeaned(values: FloatArray, theta: float) -> FloatArray:
    return values - (1.0 - theta) * values.mean(axis=1, keepdims=True)


def _city_sums(sample: Sample, values: FloatArray) -> FloatArray:
    return sample.layout(values).sum(axis=1)
