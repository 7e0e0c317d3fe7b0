"""Traces and sums of ``G = W (I - rho W)^-1`` that information and effects need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]


@dataclass(frozen=True)
class Traces:
    """Traces that the information matrix needs, at one rho.

    Attributes
    ----------
    g, gg, gtg : float
        ``tr G``, ``tr G G`` and ``tr G'G``.
    row_sums, column_sums : array, shape (N,)
        ``G 1`` and ``G' 1``.
    g_error, gg_error, gtg_error : float
        Standard errors of the traces, where they are estimated.
    """

    g: float
    gg: float
    gtg: float
    row_sums: FloatArray
    column_sums: FloatArray
    g_error: float = 0.0
    gg_error: float = 0.0
    gtg_error: float = 0.0


def traces_at_zero(W: sparse.csr_array) -> Traces:
    """Return the traces where rho is zero and G is W itself.

    Examples
    --------
    >>> traces_at_zero(sparse.csr_array([[0.0, 2.0], [1.0, 0.0]])).gg
    4.0
    """
    return Traces(0.0, trace_of_square(W), float((W * W).sum()), W.sum(axis=1), W.sum(axis=0))


def trace_of_square(W: sparse.csr_array) -> float:
    """Return ``tr W W``."""
    return float((W * W.T).sum())
