"""Local statistics: moments under conditional randomisation, conditional permutation, false-discovery control."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
from scipy import sparse, stats

from gistools.spatial import moran_sample as ms

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

QUADRANTS = ("HH", "LH", "LL", "HL")


def local_moran(
    sample: ms.MoranSample,
    year: Any,
    *,
    permutations: int,
    seed: int,
    alternative: ms.Alternative,
    alpha: float,
) -> pd.DataFrame:
    """Return the local statistics of one year.

    ``I_i = n x_i sum_j w_ij y_j / sqrt(x'x y'y)``; their sum is S0 times the global statistic. The city keeps its
    values, the others change places: moments of that after Sokal, Oden and Thomson (1998).

    Parameters
    ----------
    sample : MoranSample
    year : object
    permutations, seed : int
    alternative : str
        Of all p-values; they are not folded to the nearer tail.
    alpha : float
        False-discovery rate within the year at which clusters are named.

    Returns
    -------
    DataFrame
        ``city_code, year, local_i, expected, z, p_rand, p_sim, p_fdr, quadrant, cluster``. ``p_fdr`` is of ``p_sim``
        where there are permutations, else of ``p_rand``.
    """
    n, x, y, W = sample.n, sample.x, sample.y, sample.W
    lag = np.asarray(W @ y)
    valid = sample.linked & sample.varies
    with np.errstate(divide="ignore", invalid="ignore"):
        unit = n * x / sample.size
        local = unit * lag
        sums, squares = W.sum(axis=1), (W * W).sum(axis=1)
        expected = -unit * y * sums / (n - 1)
        spread = n / (n - 2) * (squares - sums**2 / (n - 1)) * (y @ y / n - y**2 / (n - 1))
        variance = unit**2 * spread
        z = (local - expected) / np.sqrt(np.where(variance > 1e-24 * local**2, variance, np.nan))
    p_rand = np.where(valid, ms.p_value(z, alternative), np.nan)
    p_sim = np.full(n, np.nan)
    if permutations and valid.any():
        counts = _conditional_counts(sample, permutations, seed, alternative)
        p_sim[valid] = (counts[valid] + 1) / (permutations + 1)
    p = p_sim if permutations else p_rand
    p_fdr = np.full(n, np.nan)
    tested = np.isfinite(p)
    if tested.any():
        p_fdr[tested] = stats.false_discovery_control(p[tested])
    quadrant = np.where(x > 0, np.where(lag > 0, "HH", "HL"), np.where(lag > 0, "LH", "LL")).astype(object)
    quadrant[~valid] = None
    defined = np.where(valid, 1.0, np.nan)
    return pd.DataFrame(
        {
            "city_code": sample.codes, "year": year, "local_i": local * defined, "expected": expected * defined,
            "z": z * defined, "p_rand": p_rand, "p_sim": p_sim, "p_fdr": p_fdr, "quadrant": quadrant,
            "cluster": np.where(p_fdr <= alpha, quadrant, "none"),
        }
    )  # fmt: skip


def _conditional_counts(
    sample: ms.MoranSample, permutations: int, seed: int, alternative: ms.Alternative
) -> NDArray[np.intp]:
    """Count the permutations of the others at least as extreme as what was seen, for every city.

    The same random orders of n - 1 places serve every city: in the place of the city itself stands the last one,
    which has no place of its own. So all lags are one matrix product, corrected where an order names the city itself.
    """
    n, x, y, W = sample.n, sample.x, sample.y, sample.W
    degree = np.diff(W.indptr)
    most = int(degree.max())
    slots = sparse.csr_array(  # the k-th link of a city meets the k-th city of an order
        (W.data, np.arange(W.nnz) - np.repeat(W.indptr[:-1], degree), W.indptr), shape=(n, most)
    )
    sums = W.sum(axis=1)
    sign = np.sign(x)  # where a city is below the mean, a high lag makes a low statistic; where it is on it, nothing
    mean = -y / (n - 1) * sums
    seen = sign * (np.asarray(W @ y) - mean)
    slack = 1e-12 * (np.abs(seen) + sums * np.abs(y).max())
    counts = np.zeros(n, np.intp)
    for orders in _places(n - 1, most, permutations, seed):
        width = len(orders)
        drawn_y = np.ascontiguousarray(y[orders].T)
        height = max(1, ms.CELLS // max(width, most))
        own = _named_itself(orders, degree)
        for start in range(0, n, height):
            rows = slice(start, min(start + height, n))
            lags = ms.times(slots[rows], drawn_y)
            draw, slot, city = (each[(own[2] >= rows.start) & (own[2] < rows.stop)] for each in own)
            lags[city - start, draw] += W.data[W.indptr[city] + slot] * (y[-1] - y[city])
            lags -= mean[rows, None]
            lags *= sign[rows, None]
            counts[rows] += ms.extremes(lags, seen[rows], slack[rows], alternative)
    return counts


def _named_itself(
    orders: NDArray[np.intp], degree: NDArray[np.intp]
) -> tuple[NDArray[np.intp], NDArray[np.intp], NDArray[np.intp]]:
    """Return draw, slot and city where an order puts a city among its own neighbours."""
    slot = np.arange(orders.shape[1])
    draw, at = np.nonzero(slot[None, :] < degree[orders])
    return draw, at, orders[draw, at]


def _places(n: int, most: int, permutations: int, seed: int) -> Any:
    """Yield random draws of `most` of n places without repetition, (draws, most), a bounded number at a time."""
    rng = np.random.default_rng(seed)
    few = most * most < n  # then a draw with repetition seldom repeats, and is drawn again where it does
    step = max(1, ms.CELLS // (most if few else n))
    for start in range(0, permutations, step):
        count = min(step, permutations - start)
        if not few:
            yield rng.permuted(np.tile(np.arange(n), (count, 1)), axis=1)[:, :most]
            continue
        drawn = rng.integers(0, n, size=(count, most))
        again = np.arange(count)
        while len(again):
            ordered = np.sort(drawn[again], axis=1)
            again = again[(np.diff(ordered, axis=1) == 0).any(axis=1)]
            drawn[again] = rng.integers(0, n, size=(len(again), most))
        yield drawn
