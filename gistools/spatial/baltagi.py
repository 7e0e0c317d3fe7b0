"""City means of the error model in which a city's effect stays at home while its errors spread (Baltagi).

With ``B = I - lambda W`` the filtered means have the covariance ``A = I + T phi B B'`` times sigma2 / T. It is N x N:
factorised as a sparse matrix where neighbours of neighbours are few, as a dense one otherwise.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from scipy import linalg, sparse
from scipy.sparse.linalg import splu

from gistools.spatial.operator import SPARSE_DENSITY, SpatialFilter
from gistools.spatial.sample import Sample

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    Solve = Callable[[FloatArray], FloatArray]


class BaltagiMeans:
    """The part of the likelihood between cities.

    Parameters
    ----------
    sample : Sample
    spatial_filter : SpatialFilter
    means, lags : array, shape (N, K)
        Means over years of regressors and outcome, times the root of T, and their spatial lags.
    """

    def __init__(self, sample: Sample, spatial_filter: SpatialFilter, means: FloatArray, lags: FloatArray) -> None:
        self.sample, self.filter, self.means, self.lags = sample, spatial_filter, means, lags
        self.W = spatial_filter.W
        n = spatial_filter.n
        self._eye = sparse.eye_array(n, format="csr")
        # B B' = I - lambda (W + W') + lambda^2 W W'
        products = sparse.csr_array(self.W + self.W.T), sparse.csr_array(self.W @ self.W.T)
        self._dense = products[1].nnz > SPARSE_DENSITY * n**2
        self._products = tuple(part.toarray() for part in products) if self._dense else products

    def rows(self, r: float, theta: float) -> tuple[FloatArray, float]:
        """Return rows with the weighted cross products of the columns, and the log-determinant of the weighting."""
        solve, determinant = self._solver(r, theta)
        columns = self.means - r * self.lags
        k = columns.shape[1]
        if "year" in self.sample.effects:  # their mean is a regressor between cities
            columns = np.column_stack([columns, 1.0 - r * self.W.sum(axis=1)])
        products = columns.T @ solve(columns)
        if columns.shape[1] > k:
            products = products[:k, :k] - np.outer(products[:k, k], products[k, :k]) / products[k, k]
        if self.sample.transforms_years:  # |F'A F| = |A| 1'A^-1 1 / N, F orthonormal and orthogonal to 1
            ones = np.ones(len(columns))
            determinant += float(np.log(ones @ solve(ones) / len(ones)))
        values, vectors = linalg.eigh(products)
        return np.sqrt(np.maximum(values, 0.0))[:, None] * vectors.T, -determinant

    def information(self, r: float, theta: float, sigma2: float) -> FloatArray:
        """Return what the means add to the expected information of (lambda, phi, sigma2).

        ``tr(P D_a P D_b) / 2`` with P the inverse of A, less the mean where years are transformed, and D the
        derivatives of the filtered covariance: ``G + G'``, ``T B B'`` and ``A / sigma2`` (Baltagi, Song and Koh
        2003).
        """
        t = self.sample.years
        B = sparse.csr_array(self._eye - r * self.W)
        solve, _ = self._solver(r, theta)
        spread = self.filter.solver(r)
        total = solve(np.ones(self.filter.n)) if self.sample.transforms_years else None

        def weigh(columns: FloatArray) -> FloatArray:  # P times columns
            out = solve(columns)
            return out if total is None else out - np.outer(total, total @ columns) / total.sum()

        traces = np.zeros(2)
        products = np.zeros((2, 2))
        for block, ahead, back in self.filter.blocks(r):
            inside = np.arange(block.stop - block.start)
            unit = np.zeros((self.filter.n, len(inside)))
            unit[block.start + inside, inside] = 1.0
            weight = weigh(unit)
            columns = [weigh(ahead + back), t * weigh(np.asarray(B @ (B.T @ unit)))]
            rows = [
                np.asarray(self.W @ spread(weight)) + spread(np.asarray(self.W.T @ weight), transpose=True),
                t * np.asarray(B @ (B.T @ weight)),
            ]
            traces += [np.trace(part[block]) for part in columns]
            products += [[float(np.sum(a * b)) for b in rows] for a in columns]
        out = np.empty((3, 3))
        out[:2, :2] = products / 2
        out[:2, 2] = out[2, :2] = traces / (2 * sigma2)
        out[2, 2] = self.sample.units / (2 * sigma2**2)
        return out

    def _solver(self, r: float, theta: float) -> tuple[Solve, float]:
        """Return what solves with A, and its log-determinant."""
        ratio = theta**-2 - 1.0
        sums, products = self._products
        if self._dense:
            A = (ratio * r**2) * products
            A -= (ratio * r) * sums
            A[np.diag_indices_from(A)] += 1.0 + ratio
            factors = linalg.cho_factor(A, lower=True, overwrite_a=True, check_finite=False)
            return lambda b: np.asarray(linalg.cho_solve(factors, b)), 2 * float(np.log(np.diag(factors[0])).sum())
        lu = splu(
            sparse.csc_array((1.0 + ratio) * self._eye - (ratio * r) * sums + (ratio * r**2) * products),
            permc_spec="MMD_AT_PLUS_A",
            options={"SymmetricMode": True},
            diag_pivot_thresh=0.0,
        )
        return lambda b: np.asarray(lu.solve(np.asfortranarray(b))), float(np.log(lu.U.diagonal()).sum())
