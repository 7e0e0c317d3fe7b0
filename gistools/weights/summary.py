"""What weights look like: cities, links, neighbours, row sums, islands, components."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from libpysal.graph import Graph
from libpysal.weights import W as PysalW
from scipy import sparse

from gistools.checks import listed
from gistools.weights.graph import ROW_SUM_TOLERANCE, is_row_standardised, matrix_and_codes


@dataclass(frozen=True)
class WeightsSummary:
    """What weights look like.

    Attributes
    ----------
    units, links : int
        Cities, and directed links of weight above zero.
    mean_neighbours, min_neighbours, max_neighbours
        Links of a city.
    islands : tuple of str
        Cities without a neighbour.
    components : int
        Groups of cities that no link connects with another; an island is one.
    density : float
        Links as a share of all ordered pairs of cities.
    symmetric, row_standardised : bool
    min_row_sum, mean_row_sum, max_row_sum : float
        Sums of the weights of a city.
    largest_component : int
        Cities of the largest component.
    """

    units: int
    links: int
    mean_neighbours: float
    min_neighbours: int
    max_neighbours: int
    islands: tuple[str, ...]
    components: int
    density: float
    symmetric: bool
    row_standardised: bool
    min_row_sum: float
    mean_row_sum: float
    max_row_sum: float
    largest_component: int

    def to_dict(self) -> dict[str, Any]:
        """Return the figures by name."""
        return asdict(self)

    def to_frame(self) -> pd.DataFrame:
        """Return the figures as one row."""
        row = asdict(self)
        row["islands"] = " ".join(self.islands)
        return pd.DataFrame([row])

    def summary(self) -> str:
        """Return the figures as text."""
        islands = f"{len(self.islands)} ({listed(self.islands)})" if self.islands else "none"
        form = "symmetric" if self.symmetric else "not symmetric"
        standard = "row-standardised" if self.row_standardised else "not row-standardised"
        linked = self.units - len(self.islands)
        mean_linked = self.mean_row_sum * self.units / max(linked, 1)
        if self.islands and max(abs(self.max_row_sum - 1), abs(mean_linked - 1)) <= ROW_SUM_TOLERANCE:
            standard = "row-standardised but for islands"
        parts = f", the largest of {self.largest_component} cities" if self.components > 1 else ""
        return (
            f"{self.units} cities, {self.links} links ({100 * self.density:.2f} % of pairs), {form}, {standard}\n"
            f"neighbours: {self.mean_neighbours:.2f} on average, {self.min_neighbours} to {self.max_neighbours}\n"
            f"row sums: {self.mean_row_sum:.6g} on average, {self.min_row_sum:.6g} to {self.max_row_sum:.6g}\n"
            f"islands: {islands}; components: {self.components}{parts}"
        )


def summarise_weights(w: Graph | PysalW) -> WeightsSummary:
    """Count cities, links, neighbours, islands and components.

    Parameters
    ----------
    w : Graph or W

    Returns
    -------
    WeightsSummary

    Examples
    --------
    >>> from gistools.weights import graph_from_matrix
    >>> print(summarise_weights(graph_from_matrix([[0, 1, 0], [1, 0, 0], [0, 0, 0]], "abc")).summary())
    3 cities, 2 links (33.33 % of pairs), symmetric, row-standardised but for islands
    neighbours: 0.67 on average, 0 to 1
    row sums: 0.666667 on average, 0 to 1
    islands: 1 (c); components: 2, the largest of 2 cities
    """
    matrix, codes = matrix_and_codes(w)
    neighbours = np.diff(matrix.indptr)
    n = len(codes)
    sums = matrix.sum(axis=1)
    component = sparse.csgraph.connected_components(matrix, directed=False)[1]
    sizes = np.bincount(component)
    gap = abs(matrix - matrix.T)
    return WeightsSummary(
        units=n,
        links=int(matrix.nnz),
        mean_neighbours=float(neighbours.mean()),
        min_neighbours=int(neighbours.min()),
        max_neighbours=int(neighbours.max()),
        islands=tuple(codes[neighbours == 0]),
        components=len(sizes),
        density=matrix.nnz / (n * (n - 1)) if n > 1 else 0.0,
        symmetric=bool(gap.max() <= 1e-12 * max(matrix.max(), 1e-300)) if matrix.nnz else True,
        row_standardised=is_row_standardised(matrix),
        min_row_sum=float(sums.min()),
        mean_row_sum=float(sums.mean()),
        max_row_sum=float(sums.max()),
        largest_component=int(sizes.max()),
    )


def neighbour_counts(w: Graph | PysalW) -> pd.Series:
    """Return the number of neighbours of each city.

    Parameters
    ----------
    w : Graph or W

    Returns
    -------
    Series of int
        Indexed by city code, in the order of `w`.

    Examples
    --------
    >>> from gistools.weights import graph_from_matrix
    >>> neighbour_counts(graph_from_matrix([[0, 1, 1], [1, 0, 0], [0, 0, 0]], "abc")).to_dict()
    {'a': 2, 'b': 1, 'c': 0}
    """
    matrix, codes = matrix_and_codes(w)
    return pd.Series(np.diff(matrix.indptr), index=pd.Index(codes, name="city_code"), name="neighbours")
