"""What can be said about the eigenvalues of weights at little cost: its symmetric twin, and bounds of rho."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse
from scipy.sparse import csgraph
from scipy.sparse.linalg import ArpackError, eigs, eigsh

from gistools.errors import ConvergenceError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

# The smallest eigenvalue is found to about this share of the largest: many lie close together at that end.
TOLERANCE = 1e-3
RESTARTS, POWERS = 200, 1000


@dataclass(frozen=True)
class Twin:
    """A symmetric matrix with the eigenvalues of W: ``W = D^-1/2 T D^1/2``.

    Attributes
    ----------
    matrix : sparse array, shape (N, N)
        T.
    root : array, shape (N,)
        The diagonal of ``D^1/2``.
    """

    matrix: sparse.csr_array
    root: FloatArray


def symmetric_twin(W: sparse.csr_array) -> Twin | None:
    """Return the symmetric twin of a matrix of zeros and more, or None where it has none.

    A row-standardised symmetric matrix has one, and so has one whose columns were scaled before (nested economic
    weights). D is found along a spanning tree, ``d_i w_ij = d_j w_ji`` link by link, and then checked on every link.

    Parameters
    ----------
    W : sparse array, shape (N, N)

    Returns
    -------
    Twin or None

    Examples
    --------
    >>> twin = symmetric_twin(sparse.csr_array([[0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]))
    >>> twin.matrix.toarray().round(4).tolist()
    [[0.0, 0.7071, 0.0], [0.7071, 0.0, 0.7071], [0.0, 0.7071, 0.0]]
    >>> symmetric_twin(sparse.csr_array(np.eye(3, k=1))) is None
    True
    """
    there, back = sparse.csr_array(W), sparse.csr_array(W.T)
    for matrix in (there, back):
        matrix.sort_indices()
    if not (np.array_equal(there.indptr, back.indptr) and np.array_equal(there.indices, back.indices)):
        return None
    root = np.exp(0.5 * _log_scale(there, back.data))
    row = np.repeat(np.arange(len(root)), np.diff(there.indptr))
    values = np.sqrt(there.data * back.data)
    if np.abs(there.data * root[row] / root[there.indices] - values).max(initial=0.0) > 1e-12 * values.max(
        initial=0.0
    ):
        return None
    return Twin(sparse.csr_array((values, there.indices, there.indptr), shape=there.shape), root)


def _log_scale(W: sparse.csr_array, back: FloatArray) -> FloatArray:
    """Return ``ln d`` with ``ln d_j - ln d_i = ln(w_ij / w_ji)`` along a spanning tree of each component.

    `back` holds the w_ji in the order of the links of W.
    """
    n = W.shape[0]
    order, ancestor = csgraph.breadth_first_order(W, 0)  # the pattern is symmetric: every link is there both ways
    if len(order) == n:
        component = np.zeros(n, np.intp)
        ancestor[0] = 0
        return _scale_along(W, back, ancestor, component)
    component = csgraph.connected_components(W, directed=False)[1]
    first = np.unique(component, return_index=True)[1]
    # One more node, linked to the first city of each component, makes one tree of all.
    links = sparse.csr_array((np.ones(len(first)), (np.zeros(len(first), int), first)), shape=(1, n))
    whole = sparse.csr_array(sparse.hstack([sparse.vstack([W, links]), sparse.csr_array((n + 1, 1))]))
    ancestor = csgraph.breadth_first_order(whole, n, directed=False)[1][:n]
    ancestor[first] = first
    return _scale_along(W, back, ancestor, component)


def _scale_along(
    W: sparse.csr_array, back: FloatArray, ancestor: NDArray[np.intp], component: NDArray[np.intp]
) -> FloatArray:
    """Add up ``ln(w_ij / w_ji)`` from the root of each component; the mean of a component is zero."""
    n = W.shape[0]
    row = np.repeat(np.arange(n), np.diff(W.indptr))
    in_tree = ancestor[W.indices] == row
    log_d = np.zeros(n)
    log_d[W.indices[in_tree]] = np.log(W.data[in_tree] / back[in_tree])
    while (ancestor[ancestor] != ancestor).any():  # each round doubles the way added up
        log_d += log_d[ancestor]
        ancestor = ancestor[ancestor]
    return np.asarray(log_d - (np.bincount(component, log_d) / np.bincount(component))[component])


def bounds_of_spectrum(eigenvalues: NDArray[Any], W: sparse.csr_array) -> tuple[float, float]:
    """Return the reciprocals of the smallest and the largest real eigenvalue.

    Where no real eigenvalue is below (above) zero, the end is that which row sums allow.

    Parameters
    ----------
    eigenvalues : array, shape (N,)
        All of them, real or complex.
    W : sparse array, shape (N, N)

    Returns
    -------
    low, high : float
    """
    real = eigenvalues.real[np.abs(eigenvalues.imag) <= 1e-9 * np.abs(eigenvalues).max()]
    reach = 1.0 / float(W.sum(axis=1).max())  # no eigenvalue is larger than the largest row sum
    smallest, largest = (float(real.min()), float(real.max())) if len(real) else (0.0, 0.0)
    # zeros that W has several times over come out as small as the root of the precision: no bound to go by
    tiny = 1e-4 / reach
    return 1.0 / smallest if smallest < -tiny else -reach, 1.0 / largest if largest > tiny else reach


def largest_eigenvalue(W: sparse.csr_array, twin: Twin | None) -> float:
    """Return the largest eigenvalue of a matrix of zeros and more: it is real, and none is larger in modulus.

    Where Lanczos' or Arnoldi's method does not find it, a bound above it: ``max_i (W x)_i / x_i`` for a positive x
    (Collatz and Wielandt), whose reciprocal is a safe bound of rho.

    Examples
    --------
    >>> ring = sparse.csr_array(np.roll(np.eye(50), 1, 1) + np.roll(np.eye(50), -1, 1))
    >>> round(largest_eigenvalue(ring, symmetric_twin(ring)), 12)
    2.0
    """
    start = np.ones(W.shape[0])  # a fixed start keeps the digits the same from run to run
    try:
        if twin is not None:
            return float(eigsh(twin.matrix, 1, which="LA", return_eigenvectors=False, v0=start)[0])
        return float(eigs(W, 1, which="LR", return_eigenvectors=False, v0=start, maxiter=RESTARTS)[0].real)
    except ArpackError:
        return _bound_on_largest(W)


def _bound_on_largest(W: sparse.csr_array) -> float:
    x = np.ones(W.shape[0])
    bound = shift = float(W.sum(axis=1).max())
    for _ in range(POWERS):  # of W and a multiple of the identity, so that x stays positive
        image = np.asarray(W @ x)
        bound = min(bound, float((image / x).max()))
        x = image + shift * x
        x /= x.max()
    return bound


def smallest_eigenvalue(twin: Twin, largest: float) -> float:
    """Return the smallest eigenvalue of a symmetric twin, or a little less, so that its reciprocal is a safe bound.

    Raises
    ------
    ConvergenceError
        If it is not found.

    Examples
    --------
    >>> ring = sparse.csr_array(np.roll(np.eye(50), 1, 1) + np.roll(np.eye(50), -1, 1))
    >>> round(smallest_eigenvalue(symmetric_twin(ring), 2.0), 2)
    -2.0
    """
    start = np.random.default_rng(0).standard_normal(len(twin.root))
    try:
        found, vectors = eigsh(twin.matrix, 1, which="SA", v0=start, tol=TOLERANCE)
    except ArpackError as error:
        raise ConvergenceError("the smallest eigenvalue of the weights was not found; are they connected?") from error
    gap = float(np.linalg.norm(twin.matrix @ vectors[:, 0] - found[0] * vectors[:, 0]))  # an eigenvalue is this near
    return max(float(found[0]) - gap, -largest)
