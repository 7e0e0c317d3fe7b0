"""Least squares with one effect a group, and what it predicts for each group at one point, with standard errors."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np

from gistools.econometrics.covariance import inverse_gram, least_squares
from gistools.econometrics.fixed_effects import ABSORBED, COLLINEAR, independent_columns

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

Covariance = Literal["city", "classical", "hc1", "hc2"]
COVARIANCES: tuple[Covariance, ...] = get_args(Covariance)

# A row whose effect or dummy is its own is fitted exactly: its leverage is 1 but for rounding.
_EXACT = 1e-10


@dataclass(frozen=True, eq=False)
class GroupEffects:
    """Least squares of an outcome on regressors and one effect a group. Rows are ordered by group.

    Attributes
    ----------
    order : array of int, shape (n,)
        Rows of the input in the order of the groups.
    group : array of int, shape (n,)
        Group of each ordered row, 0 to G - 1; every group has a row.
    size : array of int, shape (G,)
    y : array, shape (n,)
    X : array, shape (n, K)
        Regressors that can be told apart.
    y_mean, X_mean : array, shape (G,), (G, K)
    slopes : array, shape (K,)
    bread : array, shape (K, K)
        Inverse of the within-group cross product.
    residuals : array, shape (n,)
    names : tuple of str
        Of the K regressors.
    kept : array of int
        Their places in the input.
    dropped : dict of str to str
        The others, and why.
    """

    order: IntArray
    group: IntArray
    size: IntArray
    y: FloatArray
    X: FloatArray
    y_mean: FloatArray
    X_mean: FloatArray
    slopes: FloatArray
    bread: FloatArray
    residuals: FloatArray
    names: tuple[str, ...]
    kept: IntArray
    dropped: Mapping[str, str]

    @property
    def df(self) -> int:
        """Rows less slopes and effects."""
        return len(self.y) - len(self.slopes) - len(self.size)

    def within(self) -> FloatArray:
        """Return the regressors less the means of their groups, shape (n, K)."""
        return self.X - self.X_mean[self.group]

    def sums(self, values: FloatArray) -> FloatArray:
        """Return the sums over each group of ordered rows (n,) or (n, K)."""
        return np.add.reduceat(values, np.cumsum(self.size) - self.size, axis=0)

    def predicted(self, point: FloatArray) -> FloatArray:
        """Return the prediction for each group at a point (K,) of the regressors, shape (G,)."""
        return self.y_mean + (point - self.X_mean) @ self.slopes


def fit_group_effects(y: FloatArray, X: FloatArray, group: IntArray, names: Sequence[str]) -> GroupEffects:
    """Fit slopes within groups; exact, for one effect is taken out by the means of its group.

    Parameters
    ----------
    y : array of float64, shape (n,)
    X : array of float64, shape (n, K)
        Without a constant.
    group : array of int, shape (n,)
        0 to G - 1, each at least once.
    names : sequence of str
        Of the K regressors.

    Returns
    -------
    GroupEffects
        A regressor that does not vary inside any group, or that the ones before it add up to, is dropped and named.

    Examples
    --------
    >>> x = np.array([[0.0], [1.0], [0.0], [2.0]])
    >>> fit = fit_group_effects(np.array([1.0, 3.0, 5.0, 9.0]), x, np.array([0, 0, 1, 1]), ["x"])
    >>> fit.slopes.round(12).tolist(), fit.predicted(np.array([0.0])).round(12).tolist()
    ([2.0], [1.0, 5.0])
    """
    size = np.bincount(group)
    order = np.argsort(group.astype(np.uint16) if len(size) <= 1 << 16 else group, kind="stable")  # 16 bits: by radix
    group, y, X = group[order], y[order], X[order]
    starts = np.cumsum(size) - size

    def mean(values: FloatArray) -> FloatArray:
        level = values.mean(axis=0)
        many = size if values.ndim == 1 else size[:, None]
        return level + np.add.reduceat(values - level, starts, axis=0) / many

    y_mean, X_mean = mean(y), mean(X)
    y_within, X_within = y - y_mean[group], X - X_mean[group]
    kept, dropped = list(range(X.shape[1])), dict[str, str]()
    slopes, bread = _solved(y_within, X_within, X)
    if bread is None:
        kept, dropped = independent_columns(X_within, X, names)
        X, X_within, X_mean = X[:, kept], X_within[:, kept], X_mean[:, kept]
        slopes, bread = least_squares(y_within, X_within), inverse_gram(X_within)
    return GroupEffects(
        order=order,
        group=group,
        size=size,
        y=y,
        X=X,
        y_mean=y_mean,
        X_mean=X_mean,
        slopes=slopes,
        bread=bread,
        residuals=y_within - X_within @ slopes,
        names=tuple(names[k] for k in kept),
        kept=np.array(kept, np.int64),
        dropped=dropped,
    )


def _solved(y: FloatArray, X: FloatArray, raw: FloatArray) -> tuple[FloatArray, FloatArray | None]:
    """Slopes and inverse cross product from one triangular factor; None where columns cannot be told apart."""
    k = X.shape[1]
    size = np.linalg.norm(X, axis=0)
    if (size <= ABSORBED * np.linalg.norm(raw, axis=0)).any():
        return np.zeros(0), None
    r = np.asarray(np.linalg.qr(np.column_stack([X / size, y]), mode="r"))
    if (np.abs(np.diag(r)[:k]) <= COLLINEAR).any():
        return np.zeros(0), None
    inverse = np.linalg.inv(r[:k, :k])
    return inverse @ r[:k, k] / size, inverse @ inverse.T / np.outer(size, size)


@dataclass(frozen=True)
class Uncertainty:
    """Covariance of the slopes, standard errors of the predictions, and how they were found."""

    covariance: FloatArray
    std_error: FloatArray
    small_sample: float
    df: float
    clusters: int | None
    errors: str


def prediction_errors(
    fit: GroupEffects, point: FloatArray, how: Covariance, city: IntArray | None = None
) -> Uncertainty:
    """Covariance of the slopes and standard errors of each group's prediction at a point.

    Parameters
    ----------
    fit : GroupEffects
    point : array, shape (K,)
        Taken as given.
    how : {"city", "classical", "hc1", "hc2"}
        See the notes.
    city : array of int, shape (n,)
        Cluster of each ordered row, 0 to C - 1; for ``"city"``. Groups lie within cities.

    Returns
    -------
    Uncertainty
        With ``hc1`` and ``hc2`` the error of a group that is fitted exactly (one row) is missing.

    Notes
    -----
    The prediction of group g is ``ybar_g + d_g' b`` with ``d_g = point - xbar_g``; it errs by the mean of the group's
    own errors and by ``d_g'`` times the error of the slopes. With ``B = (X'X)^-1`` of the regressors within groups:

    - classical: ``s2 / n_g + s2 d' B d``, ``s2 = e'e / (n - G - K)``;
    - hc1, hc2: ``sum_p (1[p in g] / n_g + d' B x_p)^2 u_p`` with ``u = e^2 n / (n - G - K)``, or
      ``u = e^2 / (1 - h)`` with the leverage h [1]_;
    - city: ``s2 / n_g + d' V d``, V the covariance clustered by city with the factor
      ``C / (C - 1) (n - 1) / (n - K - 1)``. The residuals of a group add up to zero, so clustering says
      nothing on the group's own errors: what its rows share is its effect.

    References
    ----------
    .. [1] MacKinnon, J. G. and White, H. (1985), Some heteroskedasticity-consistent covariance matrix estimators with
       improved finite sample properties, Journal of Econometrics 29, 305-325.
    """
    n, k = fit.X.shape
    d = (point - fit.X_mean) @ fit.bread  # (G, K): d_g' B
    s2 = float(fit.residuals @ fit.residuals) / fit.df
    own = s2 / fit.size
    if how == "classical":
        covariance = s2 * fit.bread
        variance = own + _quadratic(point - fit.X_mean, covariance)
        return Uncertainty(
            covariance, np.sqrt(variance), 1.0, fit.df, None, f"classical, {fit.df} degrees of freedom"
        )
    within = fit.within()
    if how == "city":
        if city is None:
            raise ValueError("clustering by city needs the city of each row")
        cities = int(city.max()) + 1
        scores = np.column_stack([np.bincount(city, column * fit.residuals, cities) for column in within.T])
        factor = cities / (cities - 1) * (n - 1) / (n - k - 1)
        covariance = factor * fit.bread @ (scores.T @ scores) @ fit.bread
        variance = own + _quadratic(point - fit.X_mean, covariance)
        said = f"slopes clustered by city ({cities}), factor {factor:.6g}; errors of a city-year's own mean classical"
        return Uncertainty(covariance, np.sqrt(variance), factor, cities - 1, cities, said)
    squared, factor, exact = fit.residuals**2, 1.0, fit.size == 1
    if how == "hc1":
        factor = n / fit.df
        squared = squared * factor
        said = f"robust to heteroskedasticity (HC1), factor {factor:.6g}"
    else:
        left = 1.0 - 1.0 / fit.size[fit.group] - _quadratic(within, fit.bread)
        full = left < _EXACT
        squared = np.divide(squared, left, out=np.zeros(n), where=~full)
        exact = fit.sums(full.astype(np.float64)) > 0
        said = "robust to heteroskedasticity (HC2)"
    meat = (within * squared[:, None]).T @ within
    covariance = fit.bread @ meat @ fit.bread
    variance = (
        fit.sums(squared) / fit.size**2
        + 2 * (d * fit.sums(within * squared[:, None])).sum(axis=1) / fit.size
        + _quadratic(d, meat)
    )
    std_error = np.sqrt(np.where(exact, np.nan, np.maximum(variance, 0.0)))
    return Uncertainty(covariance, std_error, factor, fit.df, None, said)


def _quadratic(rows: FloatArray, matrix: FloatArray) -> FloatArray:
    """``r' M r`` of each row."""
    return np.asarray(((rows @ matrix) * rows).sum(axis=1))
