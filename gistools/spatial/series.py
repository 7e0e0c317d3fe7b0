"""The spatial filter by series of products with W: approximate, where eigenvalues and LU cost too much.

``ln |S|`` is a sum of traces of polynomials of W, estimated with random vectors of signs (Barry and Pace 1999); for
a matrix with a symmetric twin the polynomials are Chebyshev's (Pace and LeSage 2004), else powers. Nothing is held
but W and a few dozen vectors. Seeded, so that the likelihood is one smooth function; the errors are known and stated.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

from gistools.errors import ConvergenceError
from gistools.spatial.spectrum import Twin, largest_eigenvalue
from gistools.spatial.traces import Traces, trace_of_square

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

# Random vectors: the most, and the fewest where links are many; in between such that products cost about this much.
PROBES = (16, 64)
PRODUCTS = 1e10
# Highest order of the polynomials: what is left out is below 1e-9 N at rho = 0.97 (Chebyshev) and 0.94 (powers).
ORDERS = {"Chebyshev series": 128, "power series": 384}
# Products with W that traces of third and fourth powers may take to be found exactly.
EXACT_PRODUCTS = 5e7
BLOCK = 32
# Solutions are added up until terms are this small.
SMALL = 1e-14
MOST_TERMS = 20_000


class Series:
    """``ln |S| = sum_k c_k(rho) tr p_k(W)``, the traces estimated by means of ``z'p_k(W) z`` over random signs z.

    The vectors are averaged such that the first traces, which are known, come out exactly. Of row-standardised
    weights the eigenvalue one is known and taken out of the vectors: where weights are dense, little is left.

    Parameters
    ----------
    W : sparse array, shape (N, N)
    twin : Twin or None
        Of W.
    row_standardised : bool
    probes : int, optional
        Random vectors; by default 64, fewer where links are many.
    seed : int

    Attributes
    ----------
    method : str
        ``Chebyshev series`` or ``power series``.
    bounds : (float, float)
        Minus and plus the reciprocal of the largest eigenvalue, between which the series converge.
    order, probes : int
    """

    exact = False

    def __init__(
        self,
        W: sparse.csr_array,
        twin: Twin | None,
        row_standardised: bool,
        *,
        probes: int | None = None,
        seed: int = 0,
    ) -> None:
        self.W, self.n = W, W.shape[0]
        self._twin = twin
        self.method = "power series" if twin is None else "Chebyshev series"
        self.order = ORDERS[self.method]
        self.probes = probes or int(np.clip(PRODUCTS / (self.order * W.nnz), *PROBES))
        self._largest = 1.0 if row_standardised else largest_eigenvalue(W, twin)
        self.bounds = (-1.0 / self._largest, 1.0 / self._largest)
        self._matrix = (W if twin is None else twin.matrix) / self._largest
        self._signs = np.random.default_rng(seed).choice([-1.0, 1.0], size=(self.n, self.probes))
        self._known = 0
        if row_standardised:
            unit = np.ones(self.n) if twin is None else twin.root
            self._unit = unit / np.linalg.norm(unit)
            self._known = 1
        self._last: tuple[float, Traces] | None = None
        self._moments = self._all_moments()
        self._design = _calibration(self._moments, self._exact_traces() - self._known)
        self._shares = np.linalg.pinv(self._design)[0]
        self._mean_moments = self._moments @ self._shares

    def log_determinant(self, rho: float) -> float:
        """Return the estimate of ``ln |det(I - rho W)|``."""
        own = np.log1p(-rho) if self._known else 0.0
        return float(self._means(self._coefficients(rho)[0]) + own)

    def derivatives(self, rho: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return estimates of ``tr G`` and ``tr G G`` at many rho."""
        coefficients = [self._coefficients(float(r)) for r in rho]
        own = self._known / (1 - rho)
        first = np.array([-self._means(one[1]) for one in coefficients]) + own
        second = np.array([-self._means(one[2]) for one in coefficients]) + own**2
        return first, second

    def errors(self, rho: float) -> tuple[float, float]:
        """Return the standard error of the log-determinant, and a bound on what the series leaves out."""
        r = abs(rho) * self._largest
        z = r if self._twin is None else abs(_half_angle(r))
        share = 1.0 if self._twin is None else 2.0
        bound = share * self.n * z ** (self.order + 1) / ((self.order + 1) * (1 - z))
        return self._standard_error(self._coefficients(rho)[0]), bound

    def solver(self, rho: float) -> Callable[..., FloatArray]:
        """Return ``solve(b, transpose=False)``, by Chebyshev's or Neumann's series to full precision."""

        def solve(b: FloatArray, transpose: bool = False) -> FloatArray:
            if self._twin is None:
                A = sparse.csr_array(self._matrix.T) if transpose else self._matrix
                return _neumann(A, rho * self._largest, b)
            root = self._twin.root if b.ndim == 1 else self._twin.root[:, None]
            scale = 1 / root if transpose else root
            return _chebyshev(self._matrix, rho * self._largest, scale * b) / scale

        return solve

    def traces(self, rho: float) -> Traces:
        """Return the traces of the information matrix, with their standard errors; the last are kept."""
        if self._last is None or self._last[0] != rho:
            self._last = rho, self._traces(rho)
        return self._last[1]

    def _traces(self, rho: float) -> Traces:
        _, first, second = self._coefficients(rho)
        g, gg = self.derivatives(np.array([rho]))
        solve, ones = self.solver(rho), np.ones(self.n)
        row_sums = np.asarray(self.W @ solve(ones))
        column_sums = np.asarray(self.W.T @ solve(ones, transpose=True))
        gtg, gtg_error = self._trace_of_squares(solve, column_sums)
        return Traces(
            float(g[0]),
            float(gg[0]),
            gtg,
            row_sums,
            column_sums,
            self._standard_error(first),
            self._standard_error(second),
            gtg_error,
        )

    def blocks(self, rho: float) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
        """Yield columns of G: which, ``G[:, block]``, and ``G[block, :]'``, both (N, width)."""
        solve = self.solver(rho)
        for start in range(0, self.n, BLOCK):
            block = slice(start, min(start + BLOCK, self.n))
            unit = np.zeros((self.n, block.stop - block.start))
            unit[np.arange(block.start, block.stop), np.arange(block.stop - block.start)] = 1.0
            yield block, np.asarray(self.W @ solve(unit)), solve(np.asarray(self.W.T @ unit), transpose=True)

    def _trace_of_squares(self, solve: Callable[..., FloatArray], column_sums: FloatArray) -> tuple[float, float]:
        """Return ``tr G'G`` and its standard error.

        ``tr G'G = |G u|^2 + tr P G'G P`` with P free of the unit vector u; along ``G'1``, where G is largest, the
        first part is found exactly. The second is the mean of ``|G P z|^2``, given those of W, which are known.
        """
        W, u = self.W, column_sums / np.linalg.norm(column_sums)
        along = np.asarray(W @ u)
        squares = float((W * W).sum()) - float(along @ along)
        square = trace_of_square(W) - float((W.T @ u) @ along)
        z = self._signs - np.outer(u, u @ self._signs)
        lagged = np.asarray(W @ z)
        solved = solve(np.column_stack([lagged, along]))  # W and S^-1 commute
        drawn = np.stack([np.sum(lagged**2, axis=0), np.sum(lagged * (W.T @ z), axis=0)])
        design = _calibration(drawn, np.array([squares, square]))
        shares = np.linalg.pinv(design)[0]
        found = np.sum(solved[:, :-1] ** 2, axis=0)
        return float(solved[:, -1] @ solved[:, -1] + shares @ found), _error_of_share(design, shares, found)

    def _all_moments(self) -> FloatArray:
        """Return ``z'p_k(W) z`` for every order and vector, (order + 1, probes)."""
        z = self._free_of_known(self._signs)
        moments = np.empty((self.order + 1, self.probes))
        moments[0] = np.sum(z * z, axis=0)
        if self._twin is None:
            v = z
            for k in range(1, self.order + 1):
                v = self._free_of_known(np.asarray(self._matrix @ v))
                moments[k] = np.sum(self._signs * v, axis=0)
                if np.abs(v).max() <= SMALL:  # what is left of W dies out, and so do all further powers
                    moments[k + 1 :] = 0.0
                    break
        else:  # T_2k = 2 T_k T_k - T_0 and T_2k-1 = 2 T_k T_k-1 - T_1: half the products
            before, v = z, self._free_of_known(np.asarray(self._matrix @ z))
            moments[1] = np.sum(z * v, axis=0)
            for k in range(1, self.order // 2 + 1):
                moments[2 * k] = 2 * np.sum(v * v, axis=0) - moments[0]
                if k > 1:
                    moments[2 * k - 1] = 2 * np.sum(v * before, axis=0) - moments[1]
                before, v = v, 2 * self._free_of_known(np.asarray(self._matrix @ v)) - before
        return moments

    def _free_of_known(self, z: FloatArray) -> FloatArray:
        """Take the eigenvalue one out of vectors."""
        return z - np.outer(self._unit, self._unit @ z) if self._known else z

    def _exact_traces(self) -> FloatArray:
        """Return the first traces of polynomials of the scaled matrix, by its sparse products."""
        A = self._matrix
        powers = [float(self.n), 0.0, trace_of_square(A)]  # the diagonal of W is zero
        links = np.diff(A.indptr)
        if float(links[A.indices].sum()) <= EXACT_PRODUCTS:
            square = sparse.csr_array(A @ A)
            powers += [float((square * A.T).sum()), trace_of_square(square)]
        if self._twin is None:
            return np.array(powers)
        chebyshev = [np.polynomial.chebyshev.cheb2poly(np.eye(5)[k]) for k in range(len(powers))]
        return np.array([float(c @ powers[: len(c)]) for c in chebyshev])

    def _coefficients(self, rho: float) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return the coefficients of ``ln(1 - rho w)`` and of its first two derivatives with respect to rho."""
        scale = np.array([1.0, self._largest, self._largest**2])
        r = rho * self._largest
        k = np.arange(1, self.order + 1)
        if self._twin is None:
            rows = [-(r**k) / k, -(r ** (k - 1)), np.append(0.0, -(k[1:] - 1) * r ** (k[1:] - 2))]
            constants = [0.0, 0.0, 0.0]
        else:
            rows, constants = _chebyshev_coefficients(r, k)
        log, first, second = (s * np.append(c, row) for s, c, row in zip(scale, constants, rows, strict=True))
        return log, first, second

    def _means(self, coefficients: FloatArray) -> float:
        return float(coefficients @ self._mean_moments)

    def _standard_error(self, coefficients: FloatArray) -> float:
        return _error_of_share(self._design, self._shares, coefficients @ self._moments)


def _calibration(drawn: FloatArray, known: FloatArray) -> FloatArray:
    """Return the regression of what each vector gives on how far its first traces are from their known values.

    The constant of that regression is an average over vectors, with shares under which the first traces are exact;
    the same shares serve every rho.
    """
    gaps = drawn[: len(known)] - known[:, None]
    size = gaps.std(axis=1)
    kept = size > 1e-12 * np.abs(drawn[: len(known)]).max(axis=1)
    return np.column_stack([np.ones(drawn.shape[1]), *(gaps[kept] / size[kept, None])])


def _error_of_share(design: FloatArray, shares: FloatArray, found: FloatArray) -> float:
    """Return the standard error of ``shares @ found``, by the residuals of its regression."""
    left = found - design @ (np.linalg.pinv(design) @ found)
    free = len(found) - design.shape[1]
    return float(np.sqrt(left @ left / free) * np.linalg.norm(shares))


def _half_angle(r: float) -> float:
    """Return b with ``r = 2 b / (1 + b^2)``, so that ``1 - r x = (1 - 2 b x + b^2) / (1 + b^2)``."""
    return r / (1 + np.sqrt(1 - r**2))


def _chebyshev_coefficients(r: float, k: NDArray[np.int_]) -> tuple[list[FloatArray], list[float]]:
    """Return coefficients of ``ln(1 - r x) = -ln(1 + b^2) - 2 sum_k b^k / k T_k(x)``, and derivatives by r."""
    b = _half_angle(r)
    first = (1 + b**2) ** 2 / (2 * (1 - b**2))  # db / dr
    second = b * (1 + b**2) * (3 - b**2) / (1 - b**2) ** 2 * first
    rows = [
        -2 * b**k / k,
        -2 * b ** (k - 1) * first,
        -2 * (np.append(0.0, (k[1:] - 1) * b ** (k[1:] - 2)) * first**2 + b ** (k - 1) * second),
    ]
    slope = 2 * b / (1 + b**2)
    curvature = (2 - 2 * b**2) / (1 + b**2) ** 2
    return rows, [-float(np.log1p(b**2)), -slope * first, -(curvature * first**2 + slope * second)]


def _chebyshev(A: sparse.csr_array, r: float, b: FloatArray) -> FloatArray:
    """Return ``(I - r A)^-1 b = (1 + 2 sum_k c^k T_k(A)) b / (1 - r^2)^1/2``, eigenvalues of A in [-1, 1]."""
    c = _half_angle(r)
    before, term, total, factor = b, np.asarray(A @ b), b.astype(float), 1.0
    for _ in range(MOST_TERMS):
        factor *= c
        total = total + 2 * factor * term
        if abs(factor) <= SMALL * (1 - abs(c)):
            return total / np.sqrt(1 - r**2)
        before, term = term, 2 * np.asarray(A @ term) - before
    raise ConvergenceError("the spatial filter was not inverted: rho is too near the end of its interval")


def _neumann(A: sparse.csr_array, r: float, b: FloatArray) -> FloatArray:
    """Return ``(I - r A)^-1 b = sum_k r^k A^k b``."""
    term, total = b, b.astype(float)
    for _ in range(MOST_TERMS):
        term = r * np.asarray(A @ term)
        total = total + term
        if np.abs(term).max(initial=0.0) <= SMALL * (1 - abs(r)) * np.abs(total).max(initial=0.0):
            return total
    raise ConvergenceError("the spatial filter was not inverted: rho is too near the end of its interval")
