"""Values that are kept of cells, laid city after city and sorted: exact quantiles, with and without weights."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gistools.raster.gather import Entries


class Kept(NamedTuple):
    """The values of one city, sorted, and what each weighs (None: 1)."""

    value: NDArray
    weight: NDArray | None


def effective_cells(weight: NDArray, square: NDArray) -> NDArray:
    """Kish's effective number of cells: how many of equal weight tell as much."""
    return np.divide(weight * weight, square, out=np.ones(len(weight)), where=square > 0)


class Laid(NamedTuple):
    """Values city after city: those of city ``k`` stand at ``offset[k] .. offset[k + 1]``."""

    offset: NDArray
    value: NDArray
    weight: NDArray | None

    def of(self, city: int) -> Kept:
        """Return the values of one city."""
        part = slice(self.offset[city], self.offset[city + 1])
        return Kept(self.value[part], None if self.weight is None else self.weight[part])


def lay_by_city(entries: list[Entries], cities: int) -> Laid:
    """Lay the kept values city after city; entries are let go of one by one, so that memory is not held twice."""
    length = np.zeros(cities, np.int64)
    for part in entries:
        np.add.at(length, part.zone, part.length)
    offset = np.concatenate([[0], np.cumsum(length)])
    value = np.empty(offset[-1], np.result_type(*(part.value.dtype for part in entries)))
    kinds = [part.weight.dtype for part in entries if part.weight is not None]
    weight = np.empty(offset[-1], np.result_type(*kinds)) if kinds else None
    filled = offset[:-1].copy()
    entries.reverse()
    while entries:
        part = entries.pop()
        order = np.argsort(part.zone, kind="stable")
        size, zone = part.length[order], part.zone[order]
        here = np.zeros(cities, np.int64)
        np.add.at(here, zone, size)
        begin = np.empty(len(order), np.int64)
        begin[order] = filled[zone] + np.cumsum(size) - size - (np.cumsum(here) - here)[zone]
        at = np.repeat(begin - (np.cumsum(part.length) - part.length), part.length) + np.arange(len(part.value))
        value[at] = part.value
        if weight is not None and part.weight is not None:
            weight[at] = part.weight
        filled += here
    return Laid(offset, value, weight)


def sorted_values(runs: Kept, edges: Kept) -> Kept:
    """Sort the values of one city; where they have weights equal ones become one."""
    value, weight = runs
    if weight is None:
        value.sort()
        if not len(edges.value):
            return Kept(value, None)
        # the few along borders are put where they belong: sorting pairs takes several times as long
        order = np.argsort(edges.value, kind="stable")
        at = np.searchsorted(value, edges.value[order])
        value = np.insert(value, at, edges.value[order])
        weight = np.insert(np.ones(len(runs.value)), at, _weight_of(edges)[order])
    else:
        if len(edges.value):
            value, weight = np.concatenate([value, edges.value]), np.concatenate([weight, _weight_of(edges)])
        order = np.argsort(value, kind="stable")
        value, weight = value[order], weight[order]
    if not len(value):
        return Kept(value, weight)
    first = np.flatnonzero(np.r_[True, value[1:] != value[:-1]])
    return Kept(value[first], np.add.reduceat(weight, first))


def _weight_of(kept: Kept) -> NDArray:
    return np.ones(len(kept.value)) if kept.weight is None else kept.weight


def quantile(value: NDArray, upto: NDArray | None, level: float) -> float:
    """Hyndman and Fan's type 7 of sorted values; `upto` counts the cells of each and of those below."""
    count = len(value) if upto is None else int(upto[-1])
    position = level * (count - 1)
    below = int(position)
    ranks = np.array([below, min(below + 1, count - 1)])
    low, high = map(float, value[ranks if upto is None else np.searchsorted(upto, ranks, side="right")])
    share = position - below
    # from the nearer end, as NumPy does: exact at both
    return high - (high - low) * (1 - share) if share >= 0.5 else low + (high - low) * share


def weighted_quantile(value: NDArray, upto: NDArray, level: float, cells: float) -> float:
    """Akinshin's extension of type 7: the mean over a window of one cell out of the effective number of cells."""
    if upto[-1] <= 0:
        return float("nan")
    begin = (cells - 1) * level / cells
    end = begin + 1 / cells
    first, last = np.searchsorted(upto, [begin * upto[-1], end * upto[-1]])
    part = slice(max(int(first) - 1, 0), int(last) + 2)  # one more at either end: rounding
    reached = np.clip((upto[part] / upto[-1] - begin) / (end - begin), 0.0, 1.0)
    covered = np.diff(reached, prepend=0.0)
    return float((covered * value[part]).sum() / covered.sum())
