"""The spatial filter ``S(rho) = I - rho W``: its determinant, its bounds, and traces of ``G = W S^-1``.

Nothing larger than N x N is ever formed, however many years there are, and nothing dense beyond :data:`DENSE_UNITS`
units unless it is asked for. Three ways lead to the same numbers: the eigenvalues of W, once; sparse LU factors at
each rho; and, where neither is cheap, series whose error is stated.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph

from gistools.checks import require_choice
from gistools.errors import WeightsError
from gistools.spatial.eigenvalues import Eigenvalues
from gistools.spatial.factors import Factors
from gistools.spatial.interpolate import SmoothFunction
from gistools.spatial.series import Series
from gistools.spatial.spectrum import Twin, largest_eigenvalue, smallest_eigenvalue, symmetric_twin
from gistools.spatial.traces import Traces, traces_at_zero
from gistools.weights.graph import is_row_standardised

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

__all__ = ["DENSE_UNITS", "DETERMINANTS", "SPARSE_DENSITY", "Determinant", "SpatialFilter", "Traces"]
__all__ += ["filter_of", "spatial_lags", "traces_at_zero", "widest_front"]

Determinant = Literal["auto", "eigenvalues", "lu", "series"]
DETERMINANTS: tuple[Determinant, ...] = get_args(Determinant)

# Up to this size eigenvalues cost about a second and make every later step cheap; complex ones cost several times as
# much.
DENSE_UNITS = 1500
COMPLEX_UNITS = 300
# A larger matrix is treated as sparse below this share of links: LU factors of denser ones fill up.
SPARSE_DENSITY = 0.1
# Widest front of cities up to which LU factors are tried: a dense triangle of that size takes seconds.
WIDEST_FRONT = 3500


class SpatialFilter:
    """``S(rho) = I - rho W`` for one weights matrix.

    Parameters
    ----------
    W : sparse array, shape (N, N)
        Weights of zero or more with a zero diagonal.
    determinant : {"auto", "eigenvalues", "lu", "series"}
        How ``ln |S|`` is found. ``auto`` takes eigenvalues up to :data:`DENSE_UNITS` units (:data:`COMPLEX_UNITS`
        of sparse weights without a symmetric twin); beyond, LU factors of sparse weights that do not fill up, and
        series otherwise. Eigenvalues of more units hold N x N numbers.

    Attributes
    ----------
    bounds : (float, float)
        Open interval of rho on which S is invertible: from 1 / the smallest real eigenvalue of W to 1 / the largest.
        Where no real eigenvalue is negative, the lower end is minus 1 / the largest row sum. Other ways than
        eigenvalues have the lower end a little inside (LU, W with a symmetric twin) or at minus the upper one, which
        is inside.
    row_standardised : bool
        Whether every row of W sums to one.
    method : str
        ``eigenvalues``, ``sparse LU``, ``Chebyshev series`` or ``power series``.
    exact : bool
        Whether nothing is approximated.

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

    def __init__(self, W: sparse.csr_array, determinant: Determinant = "auto") -> None:
        require_choice(determinant, DETERMINANTS, "determinant")
        if not W.nnz:
            raise WeightsError("the weights have no links, so there is nothing spatial to estimate")
        self.W = sparse.csr_array(W, dtype=float, copy=True)  # it stays what it is when the caller's changes
        self.W.sort_indices()
        self.n = W.shape[0]
        self.row_standardised = is_row_standardised(self.W)
        twin = symmetric_twin(self.W)
        self._way: Eigenvalues | Factors | Series
        chosen = _cheapest(self.W, twin) if determinant == "auto" else determinant
        if chosen == "eigenvalues":
            self._way = Eigenvalues(self.W, twin)
        elif chosen == "lu":
            self._way = Factors(self.W, _bounds_of_sparse(self.W, twin, self.row_standardised))
        else:
            self._way = Series(self.W, twin, self.row_standardised)
        self.bounds = (self._way.bounds[0], 1.0) if self.row_standardised else self._way.bounds
        self.method, self.exact = self._way.method, self._way.exact
        self._damped = SmoothFunction(self._damped_sums, self.bounds)

    def log_determinant(self, rho: float) -> float:
        """Return ``ln |det(I - rho W)|``."""
        return self._way.log_determinant(rho)

    def solver(self, rho: float) -> Callable[..., FloatArray]:
        """Return ``solve(b, transpose=False)``, which gives ``S^-1 b`` or ``S'^-1 b`` for one or many columns."""
        return self._way.solver(rho)

    def blocks(self, rho: float) -> Iterator[tuple[slice, FloatArray, FloatArray]]:
        """Yield columns of G block by block: which, ``G[:, block]``, and ``G[block, :]'``, both (N, width)."""
        return self._way.blocks(rho)

    def traces(self, rho: float) -> Traces:
        """Return the traces of the information matrix."""
        return self._way.traces(rho)

    def mean_diagonals(self, rho: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``tr(S^-1) / N`` and ``tr(S^-1 W) / N`` at many rho.

        The second is minus the derivative of the log-determinant over N; the first is one plus rho times the second.
        """
        g = self._way.derivatives(rho)[0] / self.n
        return 1.0 + rho * g, g

    def mean_sums(self, rho: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return ``1'S^-1 1 / N`` and ``1'S^-1 W 1 / N`` at many rho."""
        if self.row_standardised:
            return 1.0 / (1.0 - rho), 1.0 / (1.0 - rho)
        own, lagged = self._damped.over(float(rho.min()), float(rho.max()), 1e-3)(rho)
        poles = self._poles(rho)
        return own / poles, lagged / poles

    def approximation(self, rho: float, *, copies: int, std_error: float) -> str | None:
        """Return what is approximate about a fit, in words; None where nothing is.

        Parameters
        ----------
        rho : float
            The estimate.
        copies : int
            How often ``ln |S|`` stands in the likelihood.
        std_error : float
            Of rho. Its square times the error of the score, ``copies`` times that of tr G, is how far rho moves; half
            its square times the error of the information is how far the standard error does, as a share of itself.
        """
        if not isinstance(self._way, Series):
            return None
        error, bound = self._way.errors(rho)
        traces = self._way.traces(rho)
        moved = copies * traces.g_error * std_error**2
        off = 0.5 * copies * float(np.hypot(traces.gg_error, traces.gtg_error)) * std_error**2
        return (
            f"ln |I - rho W| is approximate: {self.method} of order {self._way.order}, {self._way.probes} random "
            f"vectors; at rho = {rho:.4g} it has a standard error of {error:.2g} and leaves out less than "
            f"{bound:.2g}, which moves rho by about {moved:.2g} ({100 * moved / std_error:.2g} % of its standard "
            f"error, itself off by about {100 * off:.2g} %); the determinants lu and eigenvalues are exact, at a cost"
        )

    def _poles(self, rho: FloatArray) -> FloatArray:
        low, high = self.bounds
        return (1 - rho / high) * (1 - rho / low)

    def _damped_sums(self, rho: float) -> FloatArray:
        """Return the sums without the poles at the bounds, which a polynomial follows closely."""
        ones = np.ones((self.n, 1))
        solved = self.solver(rho)(np.hstack([ones, np.asarray(self.W @ ones)]))
        return np.asarray(self._poles(np.array(rho)) * solved.mean(axis=0))


def filter_of(W: sparse.csr_array, determinant: Determinant = "auto") -> SpatialFilter:
    """Return the filter of weights; the same one if they are equal to some of the last few.

    Several models, outcomes and tests are fitted with the same weights: what was found about them is not found again.

    Parameters
    ----------
    W : sparse array, shape (N, N)
    determinant : {"auto", "eigenvalues", "lu", "series"}

    Returns
    -------
    SpatialFilter

    Examples
    --------
    >>> pair = sparse.csr_array([[0.0, 1.0], [1.0, 0.0]])
    >>> filter_of(pair) is filter_of(pair.copy()), filter_of(pair) is filter_of(2 * pair)
    (True, False)
    """
    W = W if W.has_sorted_indices else W.sorted_indices()
    for known, asked in _RECENT:
        if asked == determinant and _equal(known.W, W):
            return known
    made = SpatialFilter(W, determinant)
    _RECENT.append((made, determinant))
    return made


_RECENT: deque[tuple[SpatialFilter, Determinant]] = deque(maxlen=3)


def _equal(A: sparse.csr_array, B: sparse.csr_array) -> bool:
    if A.shape != B.shape or A.nnz != B.nnz:
        return False
    return all(np.array_equal(getattr(A, part), getattr(B, part)) for part in ("indptr", "indices", "data"))


def spatial_lags(W: sparse.csr_array, values: FloatArray) -> FloatArray:
    """Return ``W @ values``; of dense weights between few units by a dense product, which is several times faster.

    Parameters
    ----------
    W : sparse array, shape (N, N)
    values : array, shape (N, M)

    Returns
    -------
    array, shape (N, M)

    Examples
    --------
    >>> spatial_lags(sparse.csr_array([[0.0, 1.0], [0.5, 0.5]]), np.array([[2.0], [4.0]])).tolist()
    [[4.0], [3.0]]
    """
    dense = W.shape[0] <= DENSE_UNITS and W.nnz > SPARSE_DENSITY * W.shape[0] ** 2
    return np.asarray((W.toarray() if dense else W) @ values)


def _cheapest(W: sparse.csr_array, twin: Twin | None) -> Determinant:
    """Return the way that size, links and the fill of LU factors ask for."""
    n = W.shape[0]
    is_sparse = W.nnz <= SPARSE_DENSITY * n**2
    if n <= (COMPLEX_UNITS if is_sparse and twin is None else DENSE_UNITS):
        return "eigenvalues"
    return "lu" if is_sparse and widest_front(W) <= WIDEST_FRONT else "series"


def widest_front(W: sparse.csr_array) -> int:
    """Return how many cities an elimination of W has to hold at once, about: the triangle that LU factors fill.

    Levels of a breadth-first search from an end of the largest component separate it; the widest bounds the
    separators of a nested dissection. Lattices and nearest neighbours have fronts near the root of N, random graphs a
    share of N. Cities with very many links are set aside and counted, since they are eliminated last.

    Examples
    --------
    >>> ring = sparse.csr_array(np.roll(np.eye(50), 1, 1) + np.roll(np.eye(50), -1, 1))
    >>> widest_front(ring)
    2
    """
    n = W.shape[0]
    pattern = sparse.csr_array(abs(W) + abs(W.T))
    hubs = np.diff(pattern.indptr) > 10 * np.sqrt(n)
    pattern = pattern[~hubs][:, ~hubs]
    if not pattern.nnz:
        return int(hubs.sum())
    component = csgraph.connected_components(pattern, directed=False)[1]
    end = int(np.flatnonzero(component == np.argmax(np.bincount(component)))[0])
    for _ in range(2):
        order, before = csgraph.breadth_first_order(pattern, end, directed=False)
        end = int(order[-1])
    ancestor = np.where(before < 0, np.arange(len(before)), before)
    depth = (ancestor != np.arange(len(before))).astype(int)
    while (ancestor[ancestor] != ancestor).any():
        depth += depth[ancestor]
        ancestor = ancestor[ancestor]
    return int(np.bincount(depth[order]).max() + hubs.sum())


def _bounds_of_sparse(W: sparse.csr_array, twin: Twin | None, row_standardised: bool) -> tuple[float, float]:
    largest = 1.0 if row_standardised else largest_eigenvalue(W, twin)
    smallest = -largest if twin is None else smallest_eigenvalue(twin, largest)
    return 1.0 / smallest, 1.0 / largest
