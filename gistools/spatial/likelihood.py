"""What the likelihoods of spatial panels share: the search for one parameter, the information, and its robust form.

The models bring their own concentrated likelihoods: :mod:`gistools.spatial.lag_model`, ``error_model`` and
``random_effects``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize_scalar

from gistools.econometrics import covariance as cov
from gistools.errors import ConvergenceError
from gistools.spatial.operator import SpatialFilter, Traces
from gistools.spatial.sample import Errors, Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

# Points at which the likelihood is looked at before the search, so that it starts on the highest hill.
SCAN = 16


def scan_points(bounds: tuple[float, float]) -> FloatArray:
    """Return the points at which a likelihood is looked at first; closer together where estimates usually lie."""
    low, high = bounds
    inner = max(low, -high)
    steps = (np.arange(SCAN) + 0.5) / SCAN
    outer = low + (inner - low) * steps if inner - low > 1e-6 * (high - low) else np.empty(0)
    return np.concatenate([outer, inner + (high - inner) * steps])


def maximise(
    loglik: Callable[[float], float], bounds: tuple[float, float], parameter: str = "rho"
) -> tuple[float, float]:
    """Return where a function of one parameter is largest between its bounds, and its value there.

    A scan brackets the highest of its hills, Brent's method climbs it, and a Newton step finds the top: values of a
    function tell its place to half their digits only, its slope to nearly all.

    Parameters
    ----------
    loglik : callable
    bounds : (float, float)
        Open interval.
    parameter : str
        Its name, for the error.

    Returns
    -------
    parameter, value : float

    Raises
    ------
    ConvergenceError
        If the function has no maximum there.

    Examples
    --------
    >>> at, value = maximise(lambda r: -((r - 0.3) ** 2), (-4.0, 1.0))
    >>> round(at, 12)
    0.3
    """
    low, high = bounds
    grid = scan_points(bounds)
    values = [loglik(float(r)) for r in grid]
    best = int(np.argmax(values))
    ends = np.concatenate([[low], grid, [high]])
    found = minimize_scalar(
        lambda r: -loglik(float(r)), bounds=(ends[best], ends[best + 2]), method="bounded", options={"xatol": 1e-12}
    )
    if not found.success or not np.isfinite(found.fun):
        raise ConvergenceError(f"the likelihood has no maximum for {parameter} between {low:.4g} and {high:.4g}")
    return _polished(loglik, float(found.x), -float(found.fun), bounds)


def _polished(
    loglik: Callable[[float], float], at: float, value: float, bounds: tuple[float, float]
) -> tuple[float, float]:
    """Return the maximum after a Newton step with derivatives from five points, of an error of the fourth order."""
    h = 3e-3 * min(bounds[1] - at, at - bounds[0], 0.3)
    far_left, left, right, far_right = (loglik(at + k * h) for k in (-2, -1, 1, 2))
    if not np.isfinite([far_left, left, right, far_right]).all():
        return at, value
    slope = (8 * (right - left) - (far_right - far_left)) / (12 * h)
    curvature = (16 * (right + left) - (far_right + far_left) - 30 * value) / (12 * h**2)
    step = -slope / curvature if curvature < 0 else np.inf
    return (at + step, value) if abs(step) < 0.1 * h else (at, value)


@dataclass(frozen=True)
class Point:
    """Parameters at one point: coefficients, the spatial parameter, the variance of the errors."""

    beta: FloatArray
    spatial: float
    sigma2: float


class Information:
    """The expected information of (beta, spatial parameter, sigma2), sigma2 eliminated from the covariance.

    With ``e`` the errors that the likelihood squares, ``X`` the regressors as they enter it, ``G = W S^-1`` and ``m``
    what the lag holds beside errors: ``I_beta = X'X / sigma2``, ``I_rho,beta = X'm / sigma2`` and
    ``I_rho,rho = c (tr GG + tr G'G) + m'm / sigma2``. In the error model m is zero. Under the transformation of year
    effects the traces are those of the filter without the constant vector.

    Parameters
    ----------
    sample : Sample
    spatial_filter : SpatialFilter
    point : Point
    X : array, shape (N T, K)
    residuals : array, shape (N, T)
        e, without the effects.
    mean_lag : array, shape (N, T), optional
        m, without the effects.
    direction : array, shape (N,), optional
        The unit vector that year effects take out of the errors of a year.
    """

    def __init__(
        self,
        sample: Sample,
        spatial_filter: SpatialFilter,
        point: Point,
        X: FloatArray,
        residuals: FloatArray,
        mean_lag: FloatArray | None = None,
        direction: FloatArray | None = None,
    ) -> None:
        self.sample, self.filter, self.point, self.X = sample, spatial_filter, point, X
        self.residuals, self.mean_lag, self.direction = residuals, mean_lag, direction
        self.traces = spatial_filter.traces(point.spatial)
        self.g, squares = traces_in_likelihood(sample, self.traces, point.spatial)
        # Eliminating sigma2 takes 2 (c tr G)^2 / n.
        self.curvature = sample.copies * squares - 2 * (sample.copies * self.g) ** 2 / sample.n_effective

    def covariance(self) -> FloatArray:
        """Return the covariance of (beta, spatial parameter)."""
        sigma2, k = self.point.sigma2, self.X.shape[1]
        slope, curvature = np.zeros(k), self.curvature
        if self.mean_lag is not None:  # eliminating beta takes the part of the mean lag that X explains
            slope = cov.least_squares(self.mean_lag.ravel(), self.X)
            rest = self.mean_lag.ravel() - self.X @ slope
            curvature += float(rest @ rest) / sigma2
        if not curvature > 0:
            raise ConvergenceError(
                "the likelihood is flat in its spatial parameter: weights and effects leave nothing to estimate it by"
            )
        out = np.empty((k + 1, k + 1))
        out[k, k] = 1.0 / curvature
        out[:k, k] = out[k, :k] = -slope / curvature
        out[:k, :k] = sigma2 * cov.inverse_gram(self.X) + np.outer(slope, slope) / curvature
        return out

    def scores(self, errors: Errors) -> tuple[FloatArray, float]:
        """Return the score of (beta, spatial parameter), sigma2 eliminated, by independent part; and that of pairs.

        The score of rho holds ``sum_ij G_ij e_i'e_j``. Its terms of one city stand in that city's score; its terms of
        two cities are uncorrelated with everything else, with variance ``(G_ij + G_ji)^2 E(e_i'e_j)^2``. Adding up
        scores by city alone, as is usual, leaves the covariance of the two halves of a pair out.

        Parameters
        ----------
        errors : {"city", "robust"}
            Parts are cities, or (uncorrelated errors) every error by itself.

        Returns
        -------
        scores : array, shape (N, K + 1) or (N T, K + 1)
        pairs : float
            What pairs of cities add to the variance of the score of rho.
        """
        sample, sigma2, e = self.sample, self.point.sigma2, self.residuals
        diagonal, pairs = self._pairs(errors)
        own = (e**2 - sample.n_effective / sample.n * sigma2) * (
            diagonal - sample.copies * self.g / sample.n_effective
        )[:, None]
        if self.mean_lag is not None:
            own = own + self.mean_lag * e
        scores = np.column_stack([self.X * e.reshape(-1, 1), own.ravel()])
        if errors == "city":
            scores = scores.reshape(sample.cities, sample.years, -1).sum(axis=1)
        return scores / sigma2, pairs / sigma2**2

    def _pairs(self, errors: Errors) -> tuple[FloatArray, float]:
        """Return the diagonal of G, and the sum over pairs of cities of squared products; G without year effects."""
        e, d = self.residuals, self.direction
        diagonal = np.empty(self.sample.cities)
        pairs = 0.0
        if d is not None:  # M G M = G - d (G'd)' - (G d) d' + d d'G d d'
            solve = self.filter.solver(self.point.spatial)
            ahead = np.asarray(self.filter.W @ solve(d))
            sums = ahead + solve(np.asarray(self.filter.W.T @ d), transpose=True)
            constant = float(d @ ahead)
        for block, columns, rows in self.filter.blocks(self.point.spatial):
            inside = np.arange(block.stop - block.start)
            both = columns + rows
            diagonal[block] = columns[block][inside, inside]
            if d is not None:
                both = (
                    both - np.outer(d, sums[block]) - np.outer(sums, d[block]) + 2 * constant * np.outer(d, d[block])
                )
                diagonal[block] += constant * d[block] ** 2 - d[block] * sums[block]
            products = (e**2) @ (e[block] ** 2).T if errors == "robust" else (e @ e[block].T) ** 2
            products = both**2 * products
            products[np.arange(block.start, block.stop), inside] = 0.0
            pairs += float(products.sum()) / 2
        return diagonal, pairs


def traces_in_likelihood(sample: Sample, traces: Traces, spatial: float) -> tuple[float, float]:
    """Return ``tr G`` and ``tr GG + tr G'G``, without the constant vector where years' means are transformed away."""
    g, squares = traces.g, traces.gg + traces.gtg
    if sample.transforms_years:
        lost = 1.0 / (1.0 - spatial)
        g -= lost
        squares -= lost**2 + float(traces.column_sums @ traces.column_sums) / sample.cities
    return g, squares


@dataclass(frozen=True)
class Inference:
    """A covariance and what it allows for."""

    covariance: FloatArray
    clusters: int | None
    small_sample: float
    errors: str


def infer(information: Information, errors: Errors) -> Inference:
    """Return the covariance of (beta, spatial parameter) that `errors` asks for.

    ``model`` is the inverse expected information A; otherwise ``f A B A`` with B the variance of the score:
    ``f = N / (N - 1)`` by city, ``f = N T / n`` for robust errors, n the observations of the likelihood, which makes
    up for the variance that residuals of transformed effects lack.
    """
    bread = information.covariance()
    sample = information.sample
    if errors == "model":
        return Inference(bread, None, 1.0, "expected information")
    scores, pairs = information.scores(errors)
    variance = scores.T @ scores
    variance[-1, -1] += pairs
    factor, clusters, words = sandwich_factor(sample, errors)
    return Inference(factor * bread @ variance @ bread, clusters, factor, words)


def sandwich_factor(sample: Sample, errors: Errors) -> tuple[float, int | None, str]:
    """Return the small-sample factor of robust errors of the likelihood, the number of clusters, and words."""
    if errors == "city":
        return sample.cities / (sample.cities - 1), sample.cities, f"clustered by city ({sample.cities})"
    return sample.n / sample.n_effective, None, "robust to heteroskedasticity"


def bias_corrected(information: Information) -> Point:
    """Correct the estimate with dummies (Lee and Yu 2010, section 4; Elhorst 2014, section 3.3.3).

    Year effects shift the expected score of rho by ``-T d'Gd``, d the unit vector that they take out
    (``-T / (1 - rho)`` for row-standardised weights), and that of sigma2 by ``-T / (2 sigma2)``; the estimate moves
    by the inverse information times it. City effects shrink sigma2 by (T - 1) / T.
    """
    sample, point = information.sample, information.point
    beta, spatial, sigma2 = point.beta, point.spatial, point.sigma2
    t, n = sample.years, sample.n
    if information.direction is not None:
        covariance = information.covariance()
        d, solve = information.direction, information.filter.solver(spatial)
        shift_spatial = float(d @ (information.filter.W @ solve(d)))
        shift_sigma2 = 0.5 / sigma2
        cross, own = t * information.traces.g / sigma2, 0.5 * n / sigma2**2
        moved = t * covariance[:, -1] * (shift_spatial - cross / own * shift_sigma2)
        beta, spatial = beta + moved[:-1], spatial + float(moved[-1])
        sigma2 += (t * shift_sigma2 - cross * float(moved[-1])) / own
    if "city" in sample.effects:
        sigma2 *= t / (t - 1)
    low, high = information.filter.bounds
    if not low < spatial < high:
        raise ConvergenceError(
            f"the bias correction takes the spatial parameter to {spatial:.4g}, outside its bounds; use the "
            "correction transformation"
        )
    return Point(beta, spatial, sigma2)


def year_direction(sample: Sample) -> FloatArray | None:
    """Return the unit vector that year effects take out of every year's errors; None without year effects."""
    return np.full(sample.cities, sample.cities**-0.5) if "year" in sample.effects else None
