"""The spatial filter ``S(rho) = I - rho W``: its determinant, its bounds, and traces of ``G = W S^-1``.

Nothing larger than N x N is ever formed, however many years there are. Two ways lead to the same numbers: the
eigenvalues of W, once, for small or dense matrices; a sparse LU factorisation at each rho for large sparse ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import linalg, sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import ArpackNoConvergence, eigs, eigsh, splu

from gistools.errors import ConvergenceError, WeightsError
from gistools.weights.graph import is_row_standardised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

# Up to this size eigenvalues cost about a second and make every later step cheap.
DENSE_UNITS = 1500
# A larger matrix is treated as sparse below this share of links: LU factors of denser ones fill up.
SPARSE_DENSITY = 0.1
# Columns of G handled at a time where N x N is too large to hold; few fit the processor's cache.
BLOCK = 32
# Nodes of the Chebyshev interpolation of smooth functions of rho.
NODES = 32


@dataclass(frozen=True)
class Traces:
    """Traces that the information matrix needs, at one rho.

    Attributes
    ----------
    g, gg, gtg : float
        ``tr G``, ``tr G G`` and ``tr G'G``.
    row_sums, column_sums : array, shape (N,)
        ``G 1`` and ``G' 1``.
    """

    g: float
    gg: float
    gtg: float
    row_sums: FloatArray
    column_sums: FloatArray


def traces_at_zero(W: sparse.csr_array) -> Traces:
    """Return the traces where rho is zero and G is W itself."""
    return Traces(0.0, float((W * W.T).sum()), float((W * W).sum()), W.sum(axis=1), W.sum(axis=0))


class SpatialFilter:
    """``S(rho) = I - rho W`` for one weights matrix.

    Parameters
    ----------
    W : sparse array, shape (N, N)
        Weights of zero or more with a zero diagonal.

    Attributes
    ----------
    bounds : (float, float)
        Open interval of rho on which S is invertible: from 1 / the smallest real eigenvalue of W to 1 / the largest.
        Where no real eigenvalue is negative, the lower end is minus 1 / the largest row sum. For a large sparse W
        without a symmetric twin the lower end is minus the upper one, which is inside.
    row_standardised : bool
        Whether every row of W sums to one.
    method : str
        ``eigenvalues`` or ``sparse LU``.

    Raises
    ------
    WeightsError
        If W has no links.

    Examples
    --------
    >>> pair = SpatialFilter(sparse.csr_array([[0.0, 1.0], [1.0, 0.0]]))
    >>> pair.bounds
    (-1.0, 1.0)
    >>> round(pair.log_determinant(0.5), 6), round(float(np.log(1 - 0.5**2)), 6)
    (-0.287682, -0.287682)
    """

    def __init__(self, W: sparse.csr_array) -> None:
        if not W.nnz:
            raise WeightsError("the weights have no links, so there is nothing spatial to estimate")
        self.W = sparse.csr_array(W, dtype=float)
        self.n = W.shape[0]
        self.row_standardised = is_row_standardised(self.W)
        twin = _symmetric_twin(self.W)
        density = W.nnz / self.n**2
        if self.n <= DENSE_UNITS or density > SPARSE_DENSITY:
            self.method = "eigenvalues"
            self._dense = self.W.toarray()
            self._eigenvalues: NDArray[Any] = (
                linalg.eigvals(self._dense) if twin is None else linalg.eigvalsh(twin.toarray())
            )
            self.bounds = _bounds_of_spectrum(self._eigenvalues, self.W)
        else:
            self.method = "sparse LU"
            self.bounds = _bounds_of_sparse(self.W, twin)
            self._csc = sparse.csc_array(self.W)
        if self.row_standardised:
            self.bounds = (self.bounds[0], 1.0)

    def log_determinant(self, rho: float) -> float:
        """Return ``ln |det(I - rho W)|``."""
        if self.method == "eigenvalues":
            with np.errstate(divide="ignore"):  # minus infinity where S has no inverse
                return float(np.sum(np.log(np.abs(1.0 - rho * self._eigenvalues))))
        lu = self._lu(rho)
        return float(np.sum(np.log(np.abs(lu.U.diagonal()))))  # the diagonal of L is one

    def _lu(self, rho: float) -> Any:
        # Ordering for a symmetric pattern: that of W nearly is, and the factors stay sparse.
        return splu(
            sparse.csc_array(sparse.eye_array(self.n, format="csc") - rho * self._csc),
            permc_spec="MMD_AT_PLUS_A",
            options={"SymmetricMode": True},
            diag_pivot_thresh=0.01,
        )

    def solver(self, rho: float) -> Callable[..., FloatArray]:
        """Return ``solve(b, transpose=False)``, which gives ``S^-1 b`` or ``S'^-1 b`` for one or many columns."""
        if self.method == "eigenvalues":
            factors = linalg.lu_factor(np.eye(self.n) - rho * self._dense)
            return lambda b, transpose=False: np.asarray(linalg.lu_solve(factors, b, trans=int(transpose)))
        lu = self._lu(rho)
        return lambda b, transpose=False: np.asarray(lu.solve(np.asfortranarray(b), trans="T" if transpose else "N"))

    def blocks(self, rho: float) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
        """Yield columns of G block by block: which, ``G[:, block]``, and ``G[block, :]'``, both (N, width)."""
        if self.method == "eigenvalues":
            G = linalg.solve(np.eye(self.n) - rho * self._dense, self._dense)
            yield slice(0, self.n), G, G.T
            return
        solve = self.solver(rho)
        for start in range(0, self.n, BLOCK):
            block = slice(start, min(start + BLOCK, self.n))
            unit = np.zeros((self.n, block.stop - block.start), order="F")
            unit[np.arange(block.start, block.stop), np.arange(block.stop - block.start)] = 1.0
            # W and S^-1 commute, so G' = S'^-1 W'.
            yield block, np.asarray(self.W @ solve(unit)), solve(np.asarray(self.W.T @ unit), transpose=True)

    def traces(self, rho: float) -> Traces:
        """Return the traces of the information matrix."""
        g = gg = gtg = 0.0
        row_sums = np.zeros(self.n)
        column_sums = np.zeros(self.n)
        for block, columns, rows in self.blocks(rho):
            g += float(np.trace(columns[block]))
            gg += float(np.sum(columns * rows))
            gtg += float(np.sum(columns * columns))
            row_sums += columns.sum(axis=1)
            column_sums[block] = columns.sum(axis=0)
        return Traces(g, gg, gtg, row_sums, column_sums)

    def mean_diagonals(self, rho: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``tr(S^-1) / N`` and ``tr(S^-1 W) / N`` at many rho.

        The second is minus the derivative of the log-determinant over N; the first is one plus rho times the second.
        """
        if self.method == "eigenvalues":
            g = np.concatenate(
                [
                    np.sum(self._eigenvalues / (1.0 - part[:, None] * self._eigenvalues), axis=1).real
                    for part in np.array_split(rho, max(1, len(rho) * self.n // 2**21))
                ]
            )
        else:
            determinant = _interpolated(lambda r: np.array([self.log_determinant(r)]), rho)[0]
            g = -determinant.deriv()(rho)
        return 1.0 + rho * g / self.n, g / self.n

    def mean_sums(self, rho: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``1'S^-1 1 / N`` and ``1'S^-1 W 1 / N`` at many rho."""
        if self.row_standardised:
            return 1.0 / (1.0 - rho), 1.0 / (1.0 - rho)
        low, high = self.bounds
        ones = np.ones((self.n, 1))
        weighted = np.asarray(self.W @ ones)

        def damped(r: float) -> FloatArray:  # without the poles at the bounds a polynomial follows closely
            solved = self.solver(r)(np.hstack([ones, weighted]))
            return np.asarray((1 - r / high) * (1 - r / low) * solved.mean(axis=0))

        own, lagged = _interpolated(damped, rho)
        poles = (1 - rho / high) * (1 - rho / low)
        return own(rho) / poles, lagged(rho) / poles


def _interpolated(function: Callable[[float], FloatArray], rho: FloatArray) -> list[np.polynomial.Chebyshev]:
    """Return Chebyshev interpolants, over the range of `rho`, of the components of a smooth function."""
    low, high = float(rho.min()), float(rho.max())
    if high - low < 1e-6:  # a single point: enough width for a derivative
        low, high = low - 1e-3, high + 1e-3
    nodes = np.polynomial.chebyshev.chebpts1(NODES)
    values = np.array([function(float(r)) for r in low + (nodes + 1) * (high - low) / 2])
    return [
        np.polynomial.Chebyshev(np.polynomial.chebyshev.chebfit(nodes, column, NODES - 1), domain=[low, high])
        for column in values.T
    ]


def _symmetric_twin(W: sparse.csr_array) -> sparse.csr_array | None:
    """Return ``D^1/2 W D^-1/2`` where some diagonal D makes it symmetric, with the eigenvalues of W; else None.

    A row-standardised symmetric matrix has such a D, and so has one whose columns were scaled before. D is found
    along a spanning tree and then checked on every link.
    """
    n = W.shape[0]
    transposed = sparse.csr_array(W.T)
    if ((W != 0) != (transposed != 0)).nnz:
        return None
    ratio = W.copy()  # ln(w_ij / w_ji), link by link: the patterns are the same
    transposed.sort_indices()
    ratio.sort_indices()
    ratio.data = np.log(ratio.data) - np.log(transposed.data)
    log_d = np.zeros(n)
    component = csgraph.connected_components(W, directed=False)[1]
    roots = np.unique(component, return_index=True)[1]
    for root in roots[np.bincount(component) > 1]:
        order, before = csgraph.breadth_first_order(W, root, directed=False)
        steps = np.asarray(ratio[before[order[1:]], order[1:]]).ravel()
        for city, step in zip(order[1:], steps, strict=True):
            log_d[city] = log_d[before[city]] + step
    half = np.exp(0.5 * (log_d - log_d.mean()))
    twin = sparse.csr_array(sparse.diags_array(half) @ W @ sparse.diags_array(1 / half))
    gap = abs(twin - twin.T)
    return (twin + twin.T) / 2 if not gap.nnz or gap.max() <= 1e-12 * abs(twin).max() else None


def _bounds_of_spectrum(eigenvalues: NDArray[Any], W: sparse.csr_array) -> tuple[float, float]:
    real = eigenvalues.real[np.abs(eigenvalues.imag) <= 1e-9 * np.abs(eigenvalues).max()]
    reach = 1.0 / float(W.sum(axis=1).max())  # no eigenvalue is larger than the largest row sum
    smallest, largest = (float(real.min()), float(real.max())) if len(real) else (0.0, 0.0)
    # zeros that W has several times over come out as small as the root of the precision: no bound to go by
    tiny = 1e-4 / reach
    return 1.0 / smallest if smallest < -tiny else -reach, 1.0 / largest if largest > tiny else reach


def _bounds_of_sparse(W: sparse.csr_array, twin: sparse.csr_array | None) -> tuple[float, float]:
    start = np.ones(W.shape[0])  # a fixed start keeps the digits the same from run to run
    try:
        if twin is not None:
            smallest = float(eigsh(twin, 1, which="SA", return_eigenvectors=False, v0=start)[0])
            largest = float(eigsh(twin, 1, which="LA", return_eigenvectors=False, v0=start)[0])
            return 1.0 / smallest, 1.0 / largest
        # The largest eigenvalue of a matrix of zeros and more is real and no other is larger in modulus.
        largest = float(eigs(W, 1, which="LR", return_eigenvectors=False, v0=start)[0].real)
    except ArpackNoConvergence as error:
        raise ConvergenceError(
            "the extreme eigenvalues of the weights were not found; are they connected?"
        ) from error
    return -1.0 / largest, 1.0 / largest
