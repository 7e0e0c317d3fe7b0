"""The global statistic, and its moments when cities change places."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy import sparse

from gistools.spatial import moran_sample as ms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

GLOBAL_COLUMNS = (
    "year", "n", "moran_i", "expected", "variance_norm", "z_norm", "p_norm", "variance_rand", "z_rand", "p_rand",
    "p_sim", "alternative",
)  # fmt: skip


def global_moran(
    X: FloatArray,
    Y: FloatArray,
    W: sparse.csr_array,
    *,
    permutations: int,
    seed: int,
    alternative: ms.Alternative,
    normality: bool,
) -> dict[str, Any]:
    """Return ``I = n / S0  sum_t x_t'W y_t / sqrt(sum x^2 sum y^2)`` with its inference.

    Parameters
    ----------
    X, Y : array, shape (n, T)
        Deviations from means; a city keeps its rows of both when cities change places.
    W : sparse array, shape (n, n)
    permutations, seed : int
    alternative : str
    normality : bool
        Whether the moments under normality hold: for one column, of one year.

    Returns
    -------
    dict
        The columns of a row but year and n.
    """
    n = len(X)
    s0 = float(W.sum())
    out: dict[str, Any] = dict.fromkeys(GLOBAL_COLUMNS[2:], np.nan) | {"alternative": alternative}
    size = float(np.sqrt(np.sum(X * X) * np.sum(Y * Y)))
    if normality:
        out["expected"] = -1.0 / (n - 1)
    if not size > 0 or not s0 > 0:
        return out
    scale = n / s0 / size
    moran = scale * float(np.sum(X * (W @ Y)))
    mean, variance = (m * scale**k for k, m in enumerate(exchange_moments(W, X, Y), 1))
    expected = out["expected"] if normality else mean
    out |= {"moran_i": moran, "expected": expected}
    out |= _tested("rand", moran - expected, variance, alternative)
    if normality:
        both = W + W.T
        s1 = 0.5 * float((both * both).sum())
        s2 = float(np.sum((W.sum(axis=1) + W.sum(axis=0)) ** 2))
        norm = (n**2 * s1 - n * s2 + 3 * s0**2) / ((n**2 - 1) * s0**2) - expected**2
        out |= _tested("norm", moran - expected, norm, alternative)
    if permutations:
        out["p_sim"] = _simulated(X, Y, W, scale, moran, expected, permutations, seed, alternative)
    return out


def _tested(name: str, deviation: float, variance: float, alternative: ms.Alternative) -> dict[str, float]:
    z = deviation / np.sqrt(variance) if variance > 0 else np.nan
    return {f"variance_{name}": variance, f"z_{name}": z, f"p_{name}": float(ms.p_value(z, alternative))}


def _simulated(
    X: FloatArray,
    Y: FloatArray,
    W: sparse.csr_array,
    scale: float,
    moran: float,
    expected: float,
    permutations: int,
    seed: int,
    alternative: ms.Alternative,
) -> float:
    n, years = X.shape
    same = X is Y
    drawn = []
    for orders in ms.random_orders(n, permutations, seed, max(ms.CELLS // years, n)):
        total = np.zeros(orders.shape[1])
        for x, y in zip(X.T, Y.T, strict=True):
            some = x[orders]
            total += np.einsum("ij,ij->j", some, ms.times(W, some if same else y[orders]))
        drawn.append(scale * total)
    values = np.concatenate(drawn) - expected
    seen = np.array(moran - expected)
    slack = 1e-12 * np.maximum(np.abs(seen), np.abs(values).max())
    return float((ms.extremes(values, seen, slack, alternative) + 1) / (permutations + 1))


def exchange_moments(W: sparse.csr_array, X: FloatArray, Y: FloatArray) -> tuple[float, float]:
    """Return mean and variance of ``sum_t x_t'W y_t`` over all orders of the cities, which keep their rows.

    The exact moments of Mantel's statistic ``sum_{i != j} w_ij g_ij`` with ``g_ij = x_i . y_j``: for one column and
    itself those of Moran's I under randomisation, for two columns those of the bivariate statistic, for several years
    those of a panel whose cities change places with their whole histories. No matrix of n x n is formed.

    Parameters
    ----------
    W : sparse array, shape (n, n)
        Zero diagonal.
    X, Y : array, shape (n, T)

    Returns
    -------
    mean, variance : float

    Notes
    -----
    Mantel (1967), The detection of disease clustering and a generalized regression approach, Cancer Research 27,
    209-220. Pairs of links that share both ends, one end, or none have each their expectation.

    Examples
    --------
    >>> W = sparse.csr_array([[0, 1.0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1], [0, 0, 0, 0]])
    >>> x = np.array([[-3.0], [-1], [1], [3]])
    >>> mean, variance = exchange_moments(W, x, x)
    >>> import itertools
    >>> every = [float(x[list(o), 0] @ W @ x[list(o), 0]) for o in itertools.permutations(range(4))]
    >>> bool(np.isclose(mean, np.mean(every))), bool(np.isclose(variance, np.var(every)))
    (True, True)
    """
    n = W.shape[0]
    own = np.einsum("ij,ij->i", X, Y)
    rows, columns = X @ Y.sum(axis=0) - own, Y @ X.sum(axis=0) - own
    cross = X.T @ Y
    of_values = _Sums(
        total=float(rows.sum()),
        squares=float(np.sum((X.T @ X) * (Y.T @ Y)) - own @ own),
        mirrored=float(np.sum(cross * cross.T) - own @ own),
        rows=float(rows @ rows),
        columns=float(columns @ columns),
        both=float(rows @ columns),
    )
    out, into = W.sum(axis=1), W.sum(axis=0)
    of_links = _Sums(
        total=float(out.sum()),
        squares=float((W * W).sum()),
        mirrored=float((W * W.T).sum()),
        rows=float(out @ out),
        columns=float(into @ into),
        both=float(out @ into),
    )
    mean = of_links.total * of_values.total / (n * (n - 1))
    second = 0.0
    for links, values, ends in zip(of_links.by_ends(), of_values.by_ends(), (2, 2, 3, 3, 3, 3, 4), strict=True):
        second += links * values / float(np.prod(n - np.arange(ends, dtype=float)))
    return mean, second - mean**2


@dataclass(frozen=True)
class _Sums:
    """Sums of a matrix with a zero diagonal: of its cells, its rows and columns."""

    total: float
    squares: float  # a_ij a_ij
    mirrored: float  # a_ij a_ji
    rows: float  # squares of the rows' sums
    columns: float
    both: float  # rows' sums times columns' sums

    def by_ends(self) -> tuple[float, ...]:
        """Return sums over pairs of cells: the same, its mirror, sharing one end (in four ways), sharing none."""
        chain = self.both - self.mirrored
        parts = (self.squares, self.mirrored, self.rows - self.squares, self.columns - self.squares, chain, chain)
        return (*parts, self.total**2 - sum(parts))
