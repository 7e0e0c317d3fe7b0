"""The spatial filter by the eigenvalues of W: exact, found once, after which every rho is cheap; holds N x N."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import linalg, sparse

from gistools.spatial.interpolate import SmoothFunction
from gistools.spatial.spectrum import Twin, bounds_of_spectrum
from gistools.spatial.traces import Traces

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

# Values of rho up to which traces are summed at each.
FEW = 50


class Eigenvalues:
    """``ln |I - rho W| = sum ln |1 - rho w_i|`` over the eigenvalues of W (Ord 1975).

    Where W has a symmetric twin, its eigenvalues are those of the twin, and ``S^-1`` comes from a Cholesky factor:
    both are several times cheaper.

    Parameters
    ----------
    W : sparse array, shape (N, N)
    twin : Twin or None
        Of W.

    Attributes
    ----------
    method : str
    bounds : (float, float)
        Reciprocals of the smallest and the largest real eigenvalue.
    values : array, shape (N,)
        The eigenvalues, real or complex.
    """

    method = "eigenvalues"
    exact = True

    def __init__(self, W: sparse.csr_array, twin: Twin | None) -> None:
        self.n = W.shape[0]
        self._twin = twin
        self._dense = W.toarray() if twin is None else twin.matrix.toarray()
        self.values: NDArray[Any] = (
            linalg.eigvals(self._dense) if twin is None else linalg.eigvalsh(self._dense, check_finite=False)
        )
        self.bounds = bounds_of_spectrum(self.values, W)
        self._last: tuple[float, FloatArray] | None = None
        self._smooth = SmoothFunction(self._damped, self.bounds)

    def log_determinant(self, rho: float) -> float:
        """Return ``ln |det(I - rho W)|``."""
        with np.errstate(divide="ignore"):  # minus infinity where S has no inverse
            return float(np.sum(np.log(np.abs(1.0 - rho * self.values))))

    def derivatives(self, rho: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``tr G`` and ``tr G G`` at many rho; at more than a few, by interpolation to full precision."""
        if len(rho) <= FEW:
            ratio = self.values / (1.0 - rho[:, None] * self.values)
            return np.sum(ratio, axis=1).real, np.sum(ratio**2, axis=1).real
        low, high = self.bounds
        poles = (1.0 - rho / high) * (1.0 - rho / low)
        first, second = self._smooth.over(float(rho.min()), float(rho.max()), 1e-3)(rho)
        return first / poles, second / poles**2

    def _damped(self, rho: float) -> FloatArray:
        """Return the traces without the poles at the bounds."""
        low, high = self.bounds
        pole = (1.0 - rho / high) * (1.0 - rho / low)
        first, second = self.derivatives(np.array([rho]))
        return np.array([first[0] * pole, second[0] * pole**2])

    def solver(self, rho: float) -> Callable[..., FloatArray]:
        """Return ``solve(b, transpose=False)``."""
        inverse = self._inverse(rho)
        if self._twin is None:
            return lambda b, transpose=False: np.asarray((inverse.T if transpose else inverse) @ b)
        root = self._twin.root

        def solve(b: FloatArray, transpose: bool = False) -> FloatArray:
            scale = root if b.ndim == 1 else root[:, None]
            return np.asarray(scale * (inverse @ (b / scale)) if transpose else (inverse @ (scale * b)) / scale)

        return solve

    def traces(self, rho: float) -> Traces:
        """Return the traces of the information matrix."""
        first, second = self.derivatives(np.array([rho]))
        G = self._lagged_inverse(rho)
        if self._twin is None:
            return Traces(float(first[0]), float(second[0]), float(np.vdot(G, G)), G.sum(axis=1), G.sum(axis=0))
        # G = D^-1/2 H D^1/2 and H is symmetric
        root = self._twin.root
        gtg = float((1 / root**2) @ (G * G) @ root**2)
        return Traces(float(first[0]), float(second[0]), gtg, (G @ root) / root, (G @ (1 / root)) * root)

    def blocks(self, rho: float) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
        """Yield all of G at once: which columns, ``G``, ``G'``."""
        G = self._lagged_inverse(rho)
        if self._twin is not None:
            G = G * np.outer(1 / self._twin.root, self._twin.root)
        yield slice(0, self.n), G, G.T

    def _lagged_inverse(self, rho: float) -> FloatArray:
        """Return G, of the twin where there is one."""
        inverse = self._inverse(rho)
        if abs(rho) < 1e-3:  # the difference would lose digits
            return np.asarray(self._dense @ inverse)
        G = inverse / rho
        G.flat[:: self.n + 1] -= 1.0 / rho
        return G

    def _inverse(self, rho: float) -> FloatArray:
        """Return ``S^-1``, of the twin where there is one; the last is kept."""
        if self._last is None or self._last[0] != rho:
            S = self._dense * -rho
            S.flat[:: self.n + 1] += 1.0
            self._last = rho, _inverse_of_positive(S) if self._twin is not None else linalg.inv(S, overwrite_a=True)
        return self._last[1]


def _inverse_of_positive(S: FloatArray) -> FloatArray:
    """Return the inverse of a symmetric matrix, by Cholesky's factor if it is positive definite, as inside bounds."""
    factor, failed = linalg.lapack.dpotrf(S, lower=1)
    if failed:
        return np.asarray(linalg.inv(S))
    inverse, _ = linalg.lapack.dpotri(factor, lower=1, overwrite_c=1)
    inverse = np.tril(inverse)
    inverse += np.tril(inverse, -1).T
    return np.asarray(inverse)
