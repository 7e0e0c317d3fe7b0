"""The likelihood of balanced spatial panels: what every estimator sees, its maximum, and its information.

The concentrated likelihood of the lag model needs two auxiliary regressions; what remains is a function of rho alone.
Another model brings its own concentrated likelihood and information, and shares :class:`Sample` and :func:`maximise`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
from scipy.optimize import minimize_scalar

from gistools.checks import listed
from gistools.econometrics import covariance as cov
from gistools.econometrics.fixed_effects import Effects, effect_count, within
from gistools.errors import ConvergenceError, InputError, WeightsError
from gistools.spatial.operator import SpatialFilter, Traces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

Correction = Literal["none", "transformation", "bias"]

# Points at which the likelihood is looked at before the search, so that it starts on the highest hill.
SCAN = 16
# Residuals of this share of the outcome are rounding.
EXACT = 1e-10


@dataclass(frozen=True)
class Sample:
    """What every estimator sees: the outcome, its lag, the regressors, all without effects, rows ordered by city."""

    y: FloatArray  # (N T,)
    wy: FloatArray | None
    X: FloatArray  # (N T, K)
    names: tuple[str, ...]
    cities: int
    years: int
    effects: Effects
    correction: Correction
    total: float  # sum of squares of the outcome about its mean
    uneven: tuple[str, ...]  # cities whose weights do not sum to one
    dropped: dict[str, str]
    notes: tuple[str, ...]

    @property
    def n(self) -> int:
        """N T."""
        return len(self.y)

    @property
    def copies(self) -> int:
        """How often ``ln |S|`` stands in the likelihood: once a year, less one where cities are transformed away."""
        return self.years - ("city" in self.effects and self.correction == "transformation")

    @property
    def transforms_years(self) -> bool:
        """Whether the years' means are transformed away."""
        return "year" in self.effects and self.correction == "transformation"

    @property
    def n_effective(self) -> int:
        """Observations of the likelihood: N T, less those that a transformation takes."""
        return self.copies * (self.cities - self.transforms_years)

    @property
    def parameters(self) -> int:
        """Regressors and effects."""
        return len(self.names) + (
            0 if self.effects == "none" else effect_count(self.effects, self.cities, self.years)
        )

    def lag(self) -> FloatArray:
        """Return the spatial lag of the outcome."""
        if self.wy is None:
            raise WeightsError("the model needs weights")
        return self.wy

    def layout(self, values: FloatArray) -> FloatArray:
        """Return (N T,) as cities by years."""
        return values.reshape(self.cities, self.years)

    def jacobian(self, rho: float, spatial_filter: SpatialFilter) -> float:
        """Return the log-determinant's part of the likelihood.

        Without the years' means the filter loses the eigenvalue of the constant vector, ``1 - rho``.
        """
        lost = np.log1p(-rho) if self.transforms_years else 0.0
        return self.copies * (spatial_filter.log_determinant(rho) - float(lost))

    def loglik(self, squares: float, jacobian: float = 0.0) -> float:
        """Return the likelihood with the error variance at its maximum."""
        n = self.n_effective
        return -0.5 * n * (np.log(2 * np.pi * max(squares, 1e-300) / n) + 1.0) + jacobian


@dataclass(frozen=True)
class Estimate:
    """What an estimator found: terms with their covariance, and what inference about them rests on."""

    terms: tuple[str, ...]
    estimates: FloatArray
    covariance: FloatArray
    residuals: FloatArray
    sigma2: float
    loglik: float
    clusters: int | None
    small_sample: float
    df: float
    errors: str
    traces: Traces | None = None


def maximise(loglik: Callable[[float], float], bounds: tuple[float, float]) -> tuple[float, float]:
    """Return where a function of one parameter is largest between its bounds, and its value there.

    A scan brackets the highest of its hills, Brent's method climbs it.

    Parameters
    ----------
    loglik : callable
    bounds : (float, float)
        Open interval.

    Returns
    -------
    parameter, value : float

    Examples
    --------
    >>> at, value = maximise(lambda r: -((r - 0.3) ** 2), (-4.0, 1.0))
    >>> round(at, 6)
    0.3
    """
    low, high = bounds
    inner = max(low, -high)  # where estimates usually lie is looked at more closely
    steps = (np.arange(SCAN) + 0.5) / SCAN
    outer = low + (inner - low) * steps if inner - low > 1e-6 * (high - low) else np.empty(0)
    grid = np.concatenate([outer, inner + (high - inner) * steps])
    values = [loglik(float(r)) for r in grid]
    best = int(np.argmax(values))
    ends = np.concatenate([[low], grid, [high]])
    found = minimize_scalar(
        lambda r: -loglik(float(r)), bounds=(ends[best], ends[best + 2]), method="bounded", options={"xatol": 1e-12}
    )
    if not found.success or not np.isfinite(found.fun):
        raise ConvergenceError(f"the likelihood has no maximum for rho between {low:.4g} and {high:.4g}")
    return float(found.x), -float(found.fun)


def fit_lag(sample: Sample, spatial_filter: SpatialFilter, *, clustered: bool) -> Estimate:
    """Fit the model with a spatial lag of the outcome (SAR; with lagged regressors among X, SDM).

    ``ln L = -n/2 (ln(2 pi e'e / n) + 1) + J(rho)`` with ``e = e0 - rho e1``, the residuals of y and of Wy on X.

    Parameters
    ----------
    sample : Sample
    spatial_filter : SpatialFilter
    clustered : bool
        Errors robust to dependence within a city.

    Returns
    -------
    Estimate

    Raises
    ------
    WeightsError
        If rho cannot be told from the effects, or the correction needs row-standardised weights.
    ConvergenceError
        If the likelihood has no maximum inside the bounds.
    """
    require_transformable(sample)
    lag = sample.lag()
    both = cov.least_squares(np.column_stack([sample.y, lag]), sample.X)
    e0, e1 = (np.column_stack([sample.y, lag]) - sample.X @ both).T
    _refuse_unidentified(sample, e0, e1)

    def loglik(rho: float) -> float:
        residuals = e0 - rho * e1
        return sample.loglik(float(residuals @ residuals), sample.jacobian(rho, spatial_filter))

    rho, value = maximise(loglik, spatial_filter.bounds)
    residuals = e0 - rho * e1
    if np.linalg.norm(residuals) <= EXACT * np.linalg.norm(sample.y):
        raise InputError("the model explains the outcome without error, so nothing can be inferred from it")
    theta = _Theta(both[:, 0] - rho * both[:, 1], rho, float(residuals @ residuals) / sample.n_effective)
    information = _Information(sample, spatial_filter, theta)
    if sample.correction == "bias":
        theta = _bias_corrected(sample, theta, information)
        if not spatial_filter.bounds[0] < theta.rho < spatial_filter.bounds[1]:
            raise ConvergenceError(
                f"the bias correction takes rho to {theta.rho:.4g}, outside its bounds; use the correction "
                "transformation"
            )
        information = _Information(sample, spatial_filter, theta)
    covariance, clusters, factor = information.covariance(), None, 1.0
    if clustered:
        factor = sample.cities / (sample.cities - 1)
        clusters = sample.cities
        covariance = factor * covariance @ information.clustered_scores() @ covariance
    return Estimate(
        terms=(*sample.names, "rho"),
        estimates=np.append(theta.beta, theta.rho),
        covariance=covariance,
        residuals=information.residuals.ravel(),
        sigma2=theta.sigma2,
        loglik=value,
        clusters=clusters,
        small_sample=factor,
        df=np.inf,
        errors="expected information" if clusters is None else f"clustered by city ({clusters})",
        traces=information.traces,
    )


def require_transformable(sample: Sample) -> None:
    """Refuse the transformation of year effects for weights whose rows do not all sum to one.

    Raises
    ------
    WeightsError
        Naming cities whose rows do not.
    """
    if sample.transforms_years and sample.uneven:
        raise WeightsError(
            f"the correction transformation with year effects needs weights whose rows sum to one, but those of "
            f"{listed(sample.uneven)} do not; row-standardise them (and join islands to a neighbour), or choose the "
            "correction none or bias"
        )


def _refuse_unidentified(sample: Sample, e0: FloatArray, e1: FloatArray) -> None:
    norm0, norm1 = float(np.linalg.norm(e0)), float(np.linalg.norm(e1))
    if norm0 <= EXACT * float(np.linalg.norm(sample.y)):
        raise InputError("the regressors explain the outcome without error, so nothing is left for its spatial lag")
    if norm1 == 0 or abs(float(e0 @ e1)) >= (1 - 1e-12) * norm0 * norm1:
        raise WeightsError(
            "rho cannot be told apart from the effects: the spatial lag of the outcome is a multiple of the outcome "
            "itself (every city has the same weight for every other?); use k nearest neighbours or a cut-off"
        )


@dataclass(frozen=True)
class _Theta:
    beta: FloatArray
    rho: float
    sigma2: float


class _Information:
    """The expected information of (beta, rho, sigma2) at one point, with sigma2 eliminated from the covariance.

    ``I_rho,rho = c (tr GG + tr G'G) + |m|^2 / sigma2`` and ``m = M G (X beta + effects)``, the mean of the lag
    without effects: it is ``M (W y - G e)``, which needs no effect to be estimated. Under the transformation of year
    effects the traces are those of the filter without the constant vector.
    """

    def __init__(self, sample: Sample, spatial_filter: SpatialFilter, theta: _Theta) -> None:
        self.sample, self.filter, self.theta = sample, spatial_filter, theta
        self.residuals = sample.layout(sample.y - theta.rho * sample.lag() - sample.X @ theta.beta)
        solved = spatial_filter.solver(theta.rho)(self.residuals)
        lag_of_errors = within(np.asarray(spatial_filter.W @ solved), sample.effects)
        self.mean_lag = sample.layout(sample.lag()) - lag_of_errors
        self.traces = spatial_filter.traces(theta.rho)
        self.g, squares = self.traces.g, self.traces.gg + self.traces.gtg
        if sample.transforms_years:
            lost = 1.0 / (1.0 - theta.rho)
            self.g -= lost
            squares -= lost**2 + float(self.traces.column_sums @ self.traces.column_sums) / sample.cities
        self.jacobian = sample.copies * squares

    def covariance(self) -> FloatArray:
        """Return the covariance of (beta, rho)."""
        sample, sigma2 = self.sample, self.theta.sigma2
        slope = cov.least_squares(self.mean_lag.ravel(), sample.X)
        rest = self.mean_lag.ravel() - sample.X @ slope
        # Eliminating sigma2 takes 2 (c tr G)^2 / n, eliminating beta the part of the mean lag that X explains.
        curvature = (
            self.jacobian - 2 * (sample.copies * self.g) ** 2 / sample.n_effective + float(rest @ rest) / sigma2
        )
        if not curvature > 0:
            raise ConvergenceError(
                "the likelihood is flat in rho: weights and effects leave nothing to estimate it from"
            )
        k = len(slope)
        out = np.empty((k + 1, k + 1))
        out[k, k] = 1.0 / curvature
        out[:k, k] = out[k, :k] = -slope / curvature
        out[:k, :k] = sigma2 * cov.inverse_gram(sample.X) + np.outer(slope, slope) / curvature
        return out

    def clustered_scores(self) -> FloatArray:
        """Return the variance of the score of (beta, rho), sigma2 eliminated, if errors depend within cities only.

        The score of rho holds ``sum_ij G_ij e_i'e_j``. Its terms of one city stand in that city's score; its terms of
        two cities are uncorrelated with everything else, with variance ``(G_ij + G_ji)^2 E(e_i'e_j)^2``. Adding up
        scores by city alone, as is usual, leaves the covariance of the two halves of a pair out.
        """
        sample, sigma2, errors = self.sample, self.theta.sigma2, self.residuals
        diagonal = np.empty(sample.cities)
        pairs = 0.0
        row_mean, column_mean = self.traces.row_sums / sample.cities, self.traces.column_sums / sample.cities
        grand = float(row_mean.mean())
        for block, columns, rows in self.filter.blocks(self.theta.rho):
            width = block.stop - block.start
            both = columns + rows
            diagonal[block] = columns[block][np.arange(width), np.arange(width)]
            if "year" in sample.effects:  # the errors sum to zero in a year, so G counts without its means
                mean = row_mean + column_mean
                both -= mean[:, None] + mean[block] - 2 * grand
                diagonal[block] -= mean[block] - grand
            products = (both * (errors @ errors[block].T)) ** 2
            products[np.arange(block.start, block.stop), np.arange(width)] = 0.0
            pairs += float(products.sum()) / 2
        own = np.sum(errors**2, axis=1) - sample.n_effective / sample.cities * sigma2
        centre = sample.copies * self.g / sample.n_effective
        score_rho = np.sum(self.mean_lag * errors, axis=1) + (diagonal - centre) * own
        score_beta = (sample.X * errors.reshape(-1, 1)).reshape(sample.cities, sample.years, -1).sum(axis=1)
        scores = np.column_stack([score_beta, score_rho])
        variance = scores.T @ scores
        variance[-1, -1] += pairs
        return variance / sigma2**2


def _bias_corrected(sample: Sample, theta: _Theta, information: _Information) -> _Theta:
    """Correct the estimate with dummies (Lee and Yu 2010, section 4; Elhorst 2014, section 3.3.3).

    Year effects shift the expected score of rho by ``-T 1'G1 / N`` (``-T / (1 - rho)`` for row-standardised weights)
    and that of sigma2 by ``-T / (2 sigma2)``; the estimate moves by the inverse information times it. City effects
    shrink sigma2 by (T - 1) / T.
    """
    beta, rho, sigma2 = theta.beta, theta.rho, theta.sigma2
    t, n = sample.years, sample.n
    if "year" in sample.effects:
        covariance = information.covariance()
        shift_rho = float(information.traces.row_sums.sum()) / sample.cities
        shift_sigma2 = 0.5 / sigma2
        cross, own = t * information.traces.g / sigma2, 0.5 * n / sigma2**2
        moved = t * covariance[:, -1] * (shift_rho - cross / own * shift_sigma2)
        beta, rho = beta + moved[:-1], rho + float(moved[-1])
        sigma2 += (t * shift_sigma2 - cross * float(moved[-1])) / own
    if "city" in sample.effects:
        sigma2 *= t / (t - 1)
    return _Theta(beta, rho, sigma2)
