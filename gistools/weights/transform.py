"""Other forms of the same weights: symmetric, 0-1, divided by the largest eigenvalue."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from scipy import sparse
from scipy.sparse.linalg import ArpackError, eigs

from gistools.checks import require_choice
from gistools.errors import ConvergenceError, InputError, WeightsError
from gistools.weights.graph import graph_from_matrix, matrix_and_codes, standardised_rows

if TYPE_CHECKING:
    from libpysal.graph import Graph
    from libpysal.weights import W as PysalW

Symmetric = Literal["max", "mean", "both"]
SYMMETRIC: tuple[Symmetric, ...] = get_args(Symmetric)

# Up to this size all eigenvalues cost less than a second; beyond, Arnoldi's method finds the largest.
_ALL_EIGENVALUES = 500


def symmetrise(w: Graph | PysalW, how: Symmetric = "max") -> Graph:
    """Make ``w_ij = w_ji``.

    Parameters
    ----------
    w : Graph or W
    how : {"max", "mean", "both"}
        The larger of the two weights (a link in either direction counts), their mean, or the smaller (only links in
        both directions count).

    Returns
    -------
    Graph
        Standardise it afterwards: dividing rows by their sums undoes the symmetry.

    Raises
    ------
    InputError
        If `how` is none of the three.

    Examples
    --------
    >>> w = graph_from_matrix([[0, 1, 0], [3, 0, 0], [0, 1, 0]], "abc")
    >>> [symmetrise(w, how).sparse.toarray()[1].tolist() for how in SYMMETRIC]
    [[3.0, 0.0, 1.0], [2.0, 0.0, 0.5], [1.0, 0.0, 0.0]]
    """
    matrix, codes = matrix_and_codes(w)
    return graph_from_matrix(symmetric_matrix(matrix, how), codes)


def symmetric_matrix(matrix: sparse.csr_array, how: Symmetric) -> sparse.csr_array:
    """Return a matrix made symmetric; see :func:`symmetrise`."""
    require_choice(how, SYMMETRIC, "symmetric")
    turned = sparse.csr_array(matrix.T)
    if how == "mean":
        return sparse.csr_array((matrix + turned) / 2)
    return sparse.csr_array(matrix.maximum(turned) if how == "max" else matrix.minimum(turned))


def binary_weights(w: Graph | PysalW) -> Graph:
    """Set every weight above zero to one.

    Examples
    --------
    >>> binary_weights(graph_from_matrix([[0, 0.2], [3, 0]], "ab")).adjacency.tolist()
    [1.0, 1.0]
    """
    matrix, codes = matrix_and_codes(w)
    matrix.data[:] = 1.0
    return graph_from_matrix(matrix, codes)


def spectral_standardise(w: Graph | PysalW) -> Graph:
    """Divide all weights by the largest eigenvalue, so that rho may lie up to one and proportions between rows stay.

    Parameters
    ----------
    w : Graph or W

    Returns
    -------
    Graph

    Raises
    ------
    WeightsError
        If the largest eigenvalue is zero: no chain of links leads back to where it began.

    Notes
    -----
    The largest eigenvalue of a matrix of zeros and more is real and no other is larger in modulus (Perron and
    Frobenius). The standardisation by one number, unlike that of rows, leaves a model that can be written with the
    weights as they were (Kelejian and Prucha 2010, Journal of Econometrics 157, section 2.2).

    Examples
    --------
    >>> spectral_standardise(graph_from_matrix([[0, 2, 2], [2, 0, 2], [2, 2, 0]], "abc")).adjacency.round(12).tolist()
    [0.5, 0.5, 0.5, 0.5, 0.5, 0.5]
    """
    matrix, codes = matrix_and_codes(w)
    return graph_from_matrix(sparse.csr_array(matrix / largest_eigenvalue(matrix)), codes)


def largest_eigenvalue(matrix: sparse.csr_array) -> float:
    """Return the largest eigenvalue of weights.

    Raises
    ------
    WeightsError
        If it is zero.
    ConvergenceError
        If it is not found.

    Examples
    --------
    >>> round(largest_eigenvalue(sparse.csr_array([[0.0, 4.0], [1.0, 0.0]])), 12)
    2.0
    """
    n = matrix.shape[0]
    if n <= _ALL_EIGENVALUES:
        found = float(np.linalg.eigvals(matrix.toarray()).real.max()) if n else 0.0
    else:
        try:  # a fixed start keeps the digits the same from run to run
            found = float(eigs(matrix, 1, which="LR", v0=np.ones(n), return_eigenvectors=False)[0].real)
        except ArpackError as error:
            raise ConvergenceError(
                "the largest eigenvalue of the weights was not found; standardise the rows instead"
            ) from error
    # An eigenvalue zero of a triangular matrix comes out as small as a root of the precision.
    if found <= 1e-6 * (matrix.max() if matrix.nnz else 1.0):
        raise WeightsError(
            "the largest eigenvalue of the weights is zero: no chain of links leads back to its start, so there is "
            "nothing to divide by"
        )
    return found


def transform_weights(
    w: Graph | PysalW,
    *,
    binary: bool = False,
    symmetric: Symmetric | None = None,
    row_standardise: bool = False,
    spectral: bool = False,
) -> Graph:
    """Apply transformations in the order that keeps each of them: binary, symmetric, standardised.

    Parameters
    ----------
    w : Graph or W
    binary : bool
        See :func:`binary_weights`.
    symmetric : {"max", "mean", "both"}, optional
        See :func:`symmetrise`.
    row_standardise, spectral : bool
        Divide each row by its sum, or all by the largest eigenvalue; one of the two.

    Returns
    -------
    Graph

    Raises
    ------
    InputError
        If both standardisations are asked for.

    Examples
    --------
    >>> w = graph_from_matrix([[0, 5, 1], [0, 0, 0], [0, 0, 0]], "abc")
    >>> transform_weights(w, binary=True, symmetric="max", row_standardise=True).sparse.toarray().tolist()
    [[0.0, 0.5, 0.5], [1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]
    """
    if row_standardise and spectral:
        raise InputError("rows are divided by their sums or all weights by the largest eigenvalue, not both")
    w = binary_weights(w) if binary else w
    matrix, codes = matrix_and_codes(w)
    if symmetric is not None:
        matrix = symmetric_matrix(matrix, symmetric)
    if row_standardise:
        matrix = standardised_rows(matrix)
    if spectral:
        matrix = sparse.csr_array(matrix / largest_eigenvalue(matrix))
    return graph_from_matrix(matrix, codes)
