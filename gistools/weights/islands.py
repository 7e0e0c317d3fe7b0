"""The last steps of every kind of weights: symmetry, cities without a neighbour, rows that sum to one."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
from scipy import sparse

from gistools.checks import listed, require_choice
from gistools.errors import WeightsError
from gistools.weights.graph import graph_from_matrix, standardised_rows
from gistools.weights.points import geodesic_km
from gistools.weights.transform import Symmetric, symmetric_matrix

if TYPE_CHECKING:
    import pandas as pd
    from libpysal.graph import Graph
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    # (distances in km, their columns) to weights: what the kind gives a pair that its limits leave out
    Rule = Callable[[FloatArray, NDArray[np.intp]], FloatArray]

Islands = Literal["error", "keep", "nearest"]
ISLANDS: tuple[Islands, ...] = get_args(Islands)


@dataclass(frozen=True)
class Finish:
    """What is done with a matrix once its links are there."""

    islands: Islands = "error"
    symmetric: Symmetric | None = None
    row_standardise: bool = False

    def __post_init__(self) -> None:
        require_choice(self.islands, ISLANDS, "islands")


def finish(
    matrix: sparse.csr_array,
    codes: list[str],
    points: Callable[[], pd.DataFrame],
    how: Finish,
    *,
    rule: Rule | None = None,
    widen: str = "",
) -> Graph:
    """Make links symmetric, treat the islands, standardise, and name rows and columns.

    Parameters
    ----------
    matrix : sparse array, shape (n, n)
    codes : list of str
    points : callable
        Gives the cities' points, needed for islands alone.
    how : Finish
    rule : callable, optional
        Weights of links to an island joined to its nearest city; 1 by default.
    widen : str
        What would give the islands neighbours; ends the refusal.
    """
    if how.symmetric is not None:
        matrix = symmetric_matrix(matrix, how.symmetric)
    alone = np.flatnonzero(np.diff(matrix.indptr) == 0)
    if len(alone):
        names = listed(np.array(codes)[alone])
        if how.islands == "error":
            raise WeightsError(_refusal(len(alone), len(codes), names, widen, points, alone))
        if how.islands == "keep":
            warnings.warn(f"{len(alone)} cities have no neighbour and keep rows of zeros: {names}", stacklevel=3)
        else:
            matrix, joined = _join_nearest(matrix, alone, points(), rule)
            pairs = listed([f"{codes[a]} to {codes[b]}" for a, b in zip(alone, joined, strict=True)])
            warnings.warn(f"{len(alone)} cities without a neighbour are joined to the nearest: {pairs}", stacklevel=3)
    return graph_from_matrix(standardised_rows(matrix) if how.row_standardise else matrix, codes)


def _refusal(
    count: int,
    of: int,
    names: str,
    widen: str,
    points: Callable[[], pd.DataFrame],
    alone: NDArray[np.intp],
) -> str:
    text = (
        f"{count} of {of} cities have no neighbour: {names}; keep them as rows of zeros or join them to the nearest "
        "city (islands keep or nearest)"
    )
    if widen == "cutoff_km":  # the smallest cut-off that leaves nobody alone is worth a computation
        where = points()
        farthest = max(float(np.min(_kilometres_from(where, city))) for city in alone)
        return f"{text}, or widen cutoff_km: from {np.ceil(farthest * 10) / 10:g} km on nobody is alone"
    return f"{text}, or {widen}" if widen else text


def _kilometres_from(points: pd.DataFrame, city: int) -> FloatArray:
    """Return the distance from one city to every other, and infinity to itself."""
    km = geodesic_km(points, np.full(len(points), city), np.arange(len(points)))
    km[city] = np.inf
    return km


def _join_nearest(
    matrix: sparse.csr_array, alone: NDArray[np.intp], points: pd.DataFrame, rule: Rule | None
) -> tuple[sparse.csr_array, NDArray[np.intp]]:
    """Link each island with its nearest city both ways, with the weight the rule gives at their distance."""
    km = [_kilometres_from(points, city) for city in alone]
    joined = np.array([int(row.argmin()) for row in km], np.intp)
    least = np.array([float(row.min()) for row in km])
    focal, neighbor = np.concatenate([alone, joined]), np.concatenate([joined, alone])
    weight = np.ones(2 * len(alone)) if rule is None else rule(np.concatenate([least, least]), neighbor)
    # two islands that are each other's nearest are linked once
    new = sparse.csr_array(sparse.coo_array((np.ones(len(focal)), (focal, neighbor)), shape=matrix.shape))
    count = np.asarray(new[focal, neighbor]).ravel()
    links = sparse.csr_array(sparse.coo_array((weight / count, (focal, neighbor)), shape=matrix.shape))
    return sparse.csr_array(matrix + links), joined
