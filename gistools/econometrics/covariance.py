"""Covariances of least squares: classical, and clustered by city."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


def least_squares(y: FloatArray, X: FloatArray) -> FloatArray:
    """Return the coefficients of `y` (n,) or of each column of `y` (n, m) on `X` (n, K) of full rank.

    Columns are brought to length one first, so that units do not matter.

    Examples
    --------
    >>> least_squares(np.array([1.0, 3.0, 5.0]), np.array([[1.0, 0.0], [1.0, 1.0], [1.0, 2.0]])).round(12).tolist()
    [1.0, 2.0]
    """
    size = np.linalg.norm(X, axis=0)
    q, r = np.linalg.qr(X / size)
    coefficients = np.linalg.solve(r, q.T @ y) if X.shape[1] else np.zeros((0, *y.shape[1:]))
    return np.asarray((coefficients.T / size).T, float)


def inverse_gram(X: FloatArray) -> FloatArray:
    """Return ``(X'X)^-1`` by the triangular factor of `X`, which keeps half the digits a product would lose."""
    size = np.linalg.norm(X, axis=0)
    r = np.linalg.qr(X / size, mode="r")
    inverse = np.linalg.solve(r, np.eye(len(r)))
    return np.asarray(inverse @ inverse.T / np.outer(size, size), float)


def classical(X: FloatArray, residuals: FloatArray, df: int) -> FloatArray:
    """Return ``s2 (X'X)^-1`` with ``s2 = e'e / df``.

    Parameters
    ----------
    X : array, shape (n, K)
        Regressors without their effects.
    residuals : array, shape (n,)
    df : int
        Observations less all parameters, absorbed effects among them.

    Returns
    -------
    array, shape (K, K)
    """
    return float(residuals @ residuals) / df * inverse_gram(X)


def clustered(X: FloatArray, residuals: FloatArray, cities: int, parameters: int) -> tuple[FloatArray, float]:
    """Return the covariance that allows any dependence within a city, and the small-sample factor in it.

    ``(X'X)^-1 (sum_g X_g' e_g e_g' X_g) (X'X)^-1 G / (G - 1) (n - 1) / (n - k)``, where `k` leaves out effects that
    are nested in the clusters (Stata's and fixest's convention).

    Parameters
    ----------
    X : array, shape (n, K)
        Regressors without their effects, rows ordered by city.
    residuals : array, shape (n,)
    cities : int
        G, the number of clusters, each of n / G rows.
    parameters : int
        k, the regressors and the effects not nested in cities.

    Returns
    -------
    covariance : array, shape (K, K)
    factor : float
    """
    n = len(X)
    scores = (X * residuals[:, None]).reshape(cities, n // cities, -1).sum(axis=1)
    factor = cities / (cities - 1) * (n - 1) / (n - parameters)
    bread = inverse_gram(X)
    return factor * bread @ (scores.T @ scores) @ bread, factor
