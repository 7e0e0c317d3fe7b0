"""Weights as one trusted value: checked, keyed by text, in a known order, as a matrix, as a table of links."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from libpysal.graph import Graph
from libpysal.weights import W as PysalW
from scipy import sparse

from gistools.checks import listed, require_columns
from gistools.errors import WeightsError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Rows that sum to one within this are row-standardised: matrices come from files with six digits, too.
ROW_SUM_TOLERANCE = 1e-6


def as_codes(values: Iterable[object]) -> list[str]:
    """Return codes as text: 110000, 110000.0 and ' 110000' become '110000'.

    Examples
    --------
    >>> as_codes([110000.0, 5, " 01"])
    ['110000', '5', '01']
    """
    return [
        str(int(value)) if isinstance(value, float | np.floating) and value.is_integer() else str(value).strip()
        for value in values
    ]


def graph_from_matrix(matrix: Any, codes: Iterable[object]) -> Graph:
    """Make weights of a square matrix and the codes of its rows.

    Parameters
    ----------
    matrix : array or sparse array, shape (n, n)
        Weights; ``matrix[i, j]`` is the weight of `j` in the lag of `i`.
    codes : iterable
        Unique city codes in the order of the rows and columns.

    Returns
    -------
    Graph
        Islands are rows of zeros.

    Raises
    ------
    WeightsError
        If shapes do not fit, codes repeat, or weights are negative, not finite, or on the diagonal.

    Examples
    --------
    >>> graph_from_matrix([[0, 1], [1, 0]], ["01", "02"]).adjacency.to_dict()
    {('01', '02'): 1.0, ('02', '01'): 1.0}
    """
    names = pd.Index(as_codes(codes), dtype="str")
    n = len(names)
    coo = _checked(sparse.csr_array(matrix, dtype=float), names).tocoo()
    # libpysal marks an island by a link of weight zero to itself.
    alone = np.setdiff1d(np.arange(n), coo.row)
    row, col = np.concatenate([coo.row, alone]), np.concatenate([coo.col, alone])
    data = np.concatenate([coo.data, np.zeros(len(alone))])
    order = np.lexsort((col, row))
    labels: Any = names
    positions: Any = (row[order], col[order])
    index = pd.MultiIndex(levels=[labels, labels], codes=positions, names=["focal", "neighbor"])
    total = coo.sum(axis=1)
    standard = np.all((total == 0) | (np.abs(total - 1.0) <= ROW_SUM_TOLERANCE))
    return Graph(
        pd.Series(data[order], index=index, name="weight"), transformation="R" if standard else "O", is_sorted=True
    )


def _checked(matrix: sparse.csr_array, names: pd.Index) -> sparse.csr_array:
    """Return the matrix in canonical form, without explicit zeros; refuse what weights cannot be."""
    matrix = matrix.copy()
    matrix.sum_duplicates()
    matrix.eliminate_zeros()
    coo = matrix.tocoo()
    n = len(names)
    if coo.shape != (n, n):
        raise WeightsError(f"the weights have the shape {coo.shape}, but there are {n} codes")
    if names.has_duplicates:
        raise WeightsError(f"the weights name {listed(names[names.duplicated()].unique())} more than once")
    wrong = ~np.isfinite(coo.data) | (coo.data < 0)
    if wrong.any():
        at = np.flatnonzero(wrong)[0]
        raise WeightsError(
            f"weights must be numbers of zero or more, but {names[coo.row[at]]} to {names[coo.col[at]]} is "
            f"{coo.data[at]:g}"
        )
    own = names[coo.row[coo.row == coo.col]]
    if len(own):
        raise WeightsError(f"a city is no neighbour of its own, but the diagonal is not zero for {listed(own)}")
    return matrix


def as_graph(w: Graph | PysalW) -> Graph:
    """Return weights as a checked graph keyed by text.

    Parameters
    ----------
    w : libpysal.graph.Graph or libpysal.weights.W

    Returns
    -------
    Graph
        With text codes, in the order of `w`.

    Raises
    ------
    WeightsError
        If `w` is neither, or its weights are not what :func:`graph_from_matrix` asks.

    Examples
    --------
    >>> as_graph(PysalW({7: [9], 9: [7]}, silence_warnings=True)).unique_ids.tolist()
    ['7', '9']
    """
    return graph_from_matrix(*matrix_and_codes(w))


def matrix_and_codes(w: Graph | PysalW) -> tuple[sparse.csr_array, pd.Index]:
    """Return checked weights as a matrix in their own order, and the codes of its rows as text."""
    if isinstance(w, PysalW):
        matrix, codes = sparse.csr_array(w.sparse, dtype=float), pd.Index(as_codes(w.id_order), dtype="str")
        return _checked(matrix, codes), codes
    if not isinstance(w, Graph):
        raise WeightsError(f"weights must be a libpysal Graph or W, not {type(w).__name__}")
    # By the integer codes of the index: a dense matrix has millions of links, too many to handle as text.
    index = w.adjacency.index
    focal, neighbor = (np.asarray(codes) for codes in index.codes)
    order = pd.unique(focal)
    ids = index.levels[0].take(order)
    place = np.empty(len(index.levels[0]), np.intp)
    place[order] = np.arange(len(order))
    i, j = place[focal], ids.get_indexer(index.levels[1])[neighbor]
    matrix = sparse.csr_array((w.adjacency.to_numpy(float), (i, j)), shape=(len(ids), len(ids)))
    codes = pd.Index(as_codes(ids), dtype="str")
    return _checked(matrix, codes), codes


def weights_matrix(w: Graph | PysalW, codes: Iterable[object]) -> sparse.csr_array:
    """Return the weights as a sparse matrix whose rows and columns follow the codes given.

    Parameters
    ----------
    w : Graph or W
    codes : iterable
        Cities in the order wanted, for example of a panel.

    Returns
    -------
    scipy.sparse.csr_array of float64, shape (n, n)

    Raises
    ------
    WeightsError
        If the weights and `codes` do not hold the same cities; every difference is counted and named.

    Examples
    --------
    >>> weights_matrix(graph_from_matrix([[0, 2], [3, 0]], ["a", "b"]), ["b", "a"]).toarray()
    array([[0., 3.],
           [2., 0.]])
    """
    matrix, have = matrix_and_codes(w)
    wanted = pd.Index(as_codes(codes), dtype="str")
    _check_same_cities(have, wanted)
    place = have.get_indexer(wanted)
    if not np.array_equal(place, np.arange(len(place))):
        matrix = matrix[place][:, place]
    matrix.sort_indices()
    return matrix


def align_weights(w: Graph | PysalW, codes: Iterable[object]) -> Graph:
    """Return the weights in the order of the codes given, which must be the same cities.

    Parameters
    ----------
    w : Graph or W
    codes : iterable
        Cities in the order wanted.

    Returns
    -------
    Graph

    Raises
    ------
    WeightsError
        If the weights and `codes` do not hold the same cities.

    Examples
    --------
    >>> align_weights(graph_from_matrix([[0, 2], [3, 0]], ["a", "b"]), ["b", "a"]).unique_ids.tolist()
    ['b', 'a']
    """
    wanted = as_codes(codes)
    return graph_from_matrix(weights_matrix(w, wanted), wanted)


def _check_same_cities(have: pd.Index, wanted: pd.Index) -> None:
    if wanted.has_duplicates:
        raise WeightsError(f"the cities name {listed(wanted[wanted.duplicated()].unique())} more than once")
    without, beyond = wanted.difference(have, sort=False), have.difference(wanted, sort=False)
    if not len(without) and not len(beyond):
        return
    parts = []
    if len(without):
        parts.append(f"{len(without)} of {len(wanted)} cities are not in the weights ({listed(without)})")
    if len(beyond):
        parts.append(f"{len(beyond)} of {len(have)} cities of the weights are not in the data ({listed(beyond)})")
    numbers = {str(i) for i in range(len(have) + 1)}
    hint = "build the weights for the cities of the data"
    if set(have) <= numbers and not len(set(wanted) & numbers):
        hint = "the weights are keyed by row numbers; build them keyed by the city code"
    elif {code.lstrip("0") for code in have} == {code.lstrip("0") for code in wanted}:
        hint = "the codes differ by leading zeros; keep them as text in both"
    raise WeightsError(f"{'; '.join(parts)}: {hint}")


def row_standardise(w: Graph | PysalW) -> Graph:
    """Divide each row by its sum; rows of islands stay zero.

    Examples
    --------
    >>> row_standardise(graph_from_matrix([[0, 1, 3], [1, 0, 0], [0, 0, 0]], "abc")).adjacency.tolist()
    [0.25, 0.75, 1.0, 0.0]
    """
    matrix, codes = matrix_and_codes(w)
    return graph_from_matrix(standardised_rows(matrix), codes)


def standardised_rows(matrix: sparse.csr_array) -> sparse.csr_array:
    """Divide each row of a sparse matrix by its sum; rows of zeros stay zero."""
    total = matrix.sum(axis=1)
    scale = np.divide(1.0, total, out=np.zeros(len(total)), where=total != 0)
    return sparse.csr_array(sparse.diags_array(scale) @ matrix)


def is_row_standardised(matrix: sparse.csr_array, *, islands: bool = False) -> bool:
    """Whether every row sums to one; with `islands`, rows without any link may be empty.

    Examples
    --------
    >>> is_row_standardised(sparse.csr_array([[0.0, 1.0], [1.0, 0.0]]))
    True
    >>> alone = sparse.csr_array([[0.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 0.0]])
    >>> is_row_standardised(alone), is_row_standardised(alone, islands=True)
    (False, True)
    """
    uneven = uneven_rows(matrix)
    return not (np.diff(matrix.indptr)[uneven].any() if islands else len(uneven))


def uneven_rows(matrix: sparse.csr_array) -> NDArray[np.intp]:
    """Return the positions of rows that do not sum to one."""
    return np.flatnonzero(np.abs(matrix.sum(axis=1) - 1.0) > ROW_SUM_TOLERANCE)


def adjacency_table(w: Graph | PysalW) -> pd.DataFrame:
    """Return one row for each link: ``focal``, ``neighbor``, ``weight``; an island links to itself with 0.

    Examples
    --------
    >>> adjacency_table(graph_from_matrix([[0, 1], [0, 0]], "ab")).values.tolist()
    [['a', 'b', 1.0], ['b', 'b', 0.0]]
    """
    table: pd.DataFrame = as_graph(w).adjacency.reset_index()
    return table


def from_adjacency_table(table: pd.DataFrame) -> Graph:
    """Make weights of a table of links.

    Parameters
    ----------
    table : DataFrame
        Columns ``focal``, ``neighbor``, ``weight``. A link of weight 0 from a city to itself says that it is there
        and has no neighbour; a city that is only a neighbour has none of its own.

    Returns
    -------
    Graph
        In the order in which the cities come first as ``focal``.

    Raises
    ------
    WeightsError
        If a pair stands twice, or a code or weight is missing.

    Examples
    --------
    >>> from_adjacency_table(pd.DataFrame({"focal": ["a"], "neighbor": ["b"], "weight": [1.0]})).isolates.tolist()
    ['b']
    """
    require_columns(table, ["focal", "neighbor", "weight"], "the table of weights")
    if table[["focal", "neighbor", "weight"]].isna().to_numpy().any():
        raise WeightsError("the table of weights has rows without a city or a weight")
    # Codes are brought to text once for each city, not once for each link.
    links = len(table)
    place, labels = pd.factorize(
        np.concatenate([table["focal"].to_numpy(object), table["neighbor"].to_numpy(object)])
    )
    codes, same = np.unique(np.array(as_codes(labels), dtype=object), return_inverse=True)
    first = pd.unique(same[place])  # in the order of the table, whatever the order of the text
    position = np.empty(len(codes), np.intp)
    position[first] = np.arange(len(first))
    i, j = np.split(position[same[place]], [links])
    codes = codes[first]
    doubled = pd.Series(i.astype(np.int64) * len(codes) + j).duplicated().to_numpy()
    if doubled.any():
        raise WeightsError(
            "links stand twice: "
            + listed(f"{a} to {b}" for a, b in zip(codes[i[doubled]], codes[j[doubled]], strict=True))
        )
    weight = pd.to_numeric(table["weight"], errors="coerce").to_numpy(float)
    return graph_from_matrix(sparse.coo_array((weight, (i, j)), shape=(len(codes), len(codes))), codes)
