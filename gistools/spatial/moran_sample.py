"""What every statistic of Moran's sees: the cities of one year that have values, and the weights between them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pandas as pd
from scipy import sparse, stats

from gistools.checks import listed
from gistools.errors import PanelError, TableError
from gistools.weights.graph import as_codes, is_row_standardised, standardised_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

Alternative = Literal["two-sided", "greater", "less"]
ALTERNATIVES: tuple[Alternative, ...] = get_args(Alternative)

# Values drawn at a time: bounds the memory of permutations.
CELLS = 2**22
# From this share of cells on a sparse product costs more than a dense one.
FILLED = 0.1


def by_year(values: pd.Series) -> pd.DataFrame:
    """Return cities by years; one column named None for a cross-section."""
    if values.index.has_duplicates:
        doubled = values.index[values.index.duplicated()].unique()
        raise TableError(f"'{values.name}' has several values for {listed(map(_key, doubled))}; name the time column")
    numbers = pd.Series(pd.to_numeric(values, errors="coerce").to_numpy(float), index=values.index)
    unread = numbers.isna() & values.notna().to_numpy()
    if unread.any():
        raise TableError(f"'{values.name}' holds {values[unread.to_numpy()].iloc[0]!r} where a number is needed")
    numbers[~np.isfinite(numbers)] = np.nan
    if values.index.nlevels == 1:
        table = numbers.to_frame()
        table.columns = pd.Index([None])
        return table
    order = values.index.get_level_values(0).unique()
    return numbers.unstack().reindex(order).sort_index(axis=1)  # noqa: PD010


def _key(key: Any) -> str:
    return "/".join(map(str, key)) if isinstance(key, tuple) else str(key)


def in_year(year: Any) -> str:
    """Begin a sentence about a year."""
    return "" if year is None else f"in {year} "


@dataclass(frozen=True, eq=False)
class MoranSample:
    """The cities of one year that have values, and the weights between them.

    `x` is the column in the city, `y` the one whose lag is taken: the same but for bivariate statistics. Both are
    deviations from their means.
    """

    codes: pd.Index
    x: FloatArray
    y: FloatArray
    W: sparse.csr_array
    left_out: list[str]

    @property
    def n(self) -> int:
        """Cities."""
        return len(self.x)

    @property
    def varies(self) -> bool:
        """Whether the statistics are defined."""
        return self.size > 0

    @property
    def size(self) -> float:
        """Root of ``x'x y'y``."""
        return float(np.sqrt((self.x @ self.x) * (self.y @ self.y)))

    @property
    def linked(self) -> NDArray[np.bool_]:
        """Which cities have a neighbour."""
        return np.diff(self.W.indptr) > 0


def moran_sample(x: pd.Series, y: pd.Series, W: sparse.csr_array, year: Any) -> MoranSample:
    """Leave out the cities without a value, and standardise the weights of the others again if they were.

    Raises
    ------
    PanelError
        If fewer than four cities have a value.
    """
    there = (x.notna() & y.notna()).to_numpy()
    if there.sum() < 4:
        raise PanelError(f"{in_year(year)}only {there.sum()} cities have a value; Moran's I needs at least four")
    if not there.all():
        kept = W[there][:, there]
        W = standardised_rows(kept) if is_row_standardised(W, islands=True) else kept
    a, b = (deviations(part.to_numpy()[there]) for part in (x, y))
    return MoranSample(x.index[there], a, b, W, as_codes(x.index[~there]))


def deviations(values: FloatArray) -> FloatArray:
    """Return deviations from the mean; zeros where only rounding is left of equal values."""
    z = values - values.mean()
    return z if float(z @ z) > 1e-24 * float(values @ values) else np.zeros_like(z)


def p_value(z: FloatArray | float, alternative: Alternative) -> Any:
    """Return p-values of the normal distribution."""
    law = stats.norm
    return {"two-sided": lambda: 2 * law.sf(np.abs(z)), "greater": lambda: law.sf(z), "less": lambda: law.cdf(z)}[
        alternative
    ]()


def extremes(drawn: FloatArray, seen: FloatArray, slack: FloatArray, alternative: Alternative) -> NDArray[np.intp]:
    """Count the draws (last axis) at least as extreme as what was seen; a draw that changes nothing is one."""
    extreme = {
        "two-sided": lambda: np.abs(drawn) >= (np.abs(seen) - slack)[..., None],
        "greater": lambda: drawn >= (seen - slack)[..., None],
        "less": lambda: drawn <= (seen + slack)[..., None],
    }[alternative]()
    return np.asarray(extreme.sum(axis=-1))


def random_orders(n: int, permutations: int, seed: int, cells: int) -> Iterator[NDArray[np.intp]]:
    """Yield random orders of the cities as columns, a bounded number at a time."""
    rng = np.random.default_rng(seed)
    step = max(1, cells // n)
    for start in range(0, permutations, step):
        count = min(step, permutations - start)
        yield rng.permuted(np.tile(np.arange(n), (count, 1)), axis=1).T


def times(W: sparse.csr_array, columns: FloatArray) -> FloatArray:
    """Return ``W @ columns``; a well-filled matrix is multiplied faster as dense blocks of rows."""
    n, m = W.shape
    if W.nnz <= FILLED * n * m:
        return np.asarray(W @ columns)
    step = max(1, CELLS // m)
    blocks = [W[start : start + step].toarray() @ columns for start in range(0, n, step)]
    return np.concatenate(blocks)
