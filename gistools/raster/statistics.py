"""Statistics of any grid by city, several at once from one pass: sums, spread, extremes, quantiles, classes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from gistools.checks import closest, listed
from gistools.errors import GridError, InputError
from gistools.grid import GridSource, Window
from gistools.raster.gather import (
    CELL_BYTES,
    Entries,
    Keep,
    Pieces,
    Slab,
    Task,
    gather_slab,
    join_pieces,
    read_slab,
    slab_rows,
)
from gistools.raster.order import (
    Kept,
    effective_cells,
    lay_by_city,
    quantile,
    sorted_values,
    weighted_quantile,
)
from gistools.raster.tasks import Execution, run_tasks
from gistools.raster.zones import Zones

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

# What each statistic is; `qNN` stands for any quantile.
STATISTICS: dict[str, str] = {
    "count": "cells with data",
    "missing": "cells without data",
    "sum": "sum over cells with data",
    "mean": "mean over cells with data",
    "min": "smallest value",
    "max": "largest value",
    "range": "largest less smallest value",
    "std": "standard deviation over cells (divisor n)",
    "variance": "variance over cells (divisor n)",
    "cv": "coefficient of variation: standard deviation over mean",
    "median": "median",
    "qNN": "quantile of NN per cent",
    "majority": "value of the most cells; of several the largest",
    "minority": "value of the fewest cells; of several the smallest",
    "variety": "number of different values",
    "fractions": "share of each class, one column a class",
    "weight": "sum of the weights of cells with data",
}
# What values that are kept may take where nothing else is said, in GB.
KEPT_GB = 2.0
_QUANTILE = re.compile(r"q(\d{1,3}(?:\.\d+)?)$")
_ORDERED = ("median", "majority", "minority", "variety", "fractions")
_TALLIED = ("majority", "minority", "variety", "fractions")


def quantile_level(name: str) -> float | None:
    """Return the level of a quantile's name (``q97.5`` is 0.975, ``median`` 0.5), or None.

    Examples
    --------
    >>> quantile_level("q97.5"), quantile_level("mean")
    (0.975, None)
    """
    if name == "median":
        return 0.5
    match = _QUANTILE.match(name)
    return float(match[1]) / 100 if match else None


def require_statistics(statistics: Sequence[str]) -> None:
    """Refuse a statistic that is not known.

    Raises
    ------
    InputError
        Naming it, a near spelling, and those there are.
    """
    if not statistics:
        raise InputError(f"no statistic is named; there are {', '.join(STATISTICS)}")
    for name in statistics:
        level = quantile_level(name)
        if (level is None and name not in STATISTICS) or name == "qNN":
            raise InputError(
                f"statistic {name!r} is not known{closest(name, STATISTICS)}; there are {', '.join(STATISTICS)}"
            )
        if level is not None and level > 1:
            raise InputError(f"statistic {name!r} is no quantile: its level is in per cent, from q0 to q100")
    doubled = [name for name in dict.fromkeys(statistics) if list(statistics).count(name) > 1]
    if doubled:
        raise InputError(f"statistic {listed(doubled)} is named twice")


def statistic_column(name: str) -> str:
    """Return the column of a statistic: its name, ``q97_5`` for ``q97.5``."""
    return name.replace(".", "_")


def zonal_statistics(
    source: GridSource,
    zones: Zones,
    statistics: Sequence[str] = ("mean",),
    *,
    weight: GridSource | Literal["area"] | None = None,
    execution: Execution | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    r"""Describe the cells of each city by statistics, all from one pass over a grid.

    Parameters
    ----------
    source : GridSource
        The grid; cells without data do not count.
    zones : Zones
        Its cells by city, from :func:`gistools.raster.zones.label_zones` on the same lattice. With membership by
        coverage a cell counts by its covered fraction.
    statistics : sequence of str
        Of ``count``, ``missing``, ``sum``, ``mean``, ``min``, ``max``, ``range``, ``std``, ``variance``, ``cv``,
        ``median``, ``qNN`` (``q5``, ``q97.5``), ``majority``, ``minority``, ``variety``, ``fractions``, ``weight``.
    weight : "area" or GridSource, optional
        A cell counts by its geodesic area (km2), or by the value of another grid on the same lattice (zero or
        more; a cell without one counts as missing), in all but ``count``, ``missing``, ``min``, ``max``,
        ``range`` and ``variety``.
    execution : Execution, optional
        Threads here, or a Dask cluster. Its memory bounds the blocks in flight, and apart from these the values
        that are kept for quantiles and classes (2 GB where it sets none): where those of all cities take more,
        cities are done in groups, each in a pass of its own.
    progress : callable, optional
        Called with the slabs done and the slabs in all.

    Returns
    -------
    DataFrame
        One row a city: ``city_code`` and a column a statistic (``q97_5`` for ``q97.5``; ``share_<class>`` for
        ``fractions``). Without any cell with data counts are 0 and all else is missing. ``attrs["counts"]`` holds
        ``cells`` with data, ``missing``, ``weightless`` (with a value but no weight) and ``passes``.

    Raises
    ------
    InputError
        If a statistic is not known, or one city alone needs more than the memory.
    GridError
        If a grid is not on the lattice of the zones, weights are negative, or ``fractions`` are asked of values
        that are no classes.

    Notes
    -----
    With weights :math:`w_i` (covered fraction times weight) the mean is :math:`m = \sum w x / \sum w` and the
    variance :math:`\sum w (x - m)^2 / \sum w`, from sums of squares around the means of runs of cells [1]_.
    Quantiles are exact: Hyndman and Fan's type 7 [2]_, NumPy's default; with weights its extension by Kish's
    effective number of cells [3]_, which is the same where weights are equal.

    References
    ----------
    .. [1] Chan, T. F., Golub, G. H. and LeVeque, R. J. (1983), Algorithms for computing the sample variance, The
       American Statistician 37, 242-247.
    .. [2] Hyndman, R. J. and Fan, Y. (1996), Sample quantiles in statistical packages, The American Statistician
       50, 361-365.
    .. [3] Akinshin, A. (2023), Weighted quantile estimators, arXiv:2304.07265.

    Examples
    --------
    >>> import geopandas as gpd, shapely
    >>> from affine import Affine
    >>> from gistools.grid import WGS84, ArraySource, Grid
    >>> from gistools.raster.zones import label_zones
    >>> grid = Grid(WGS84, Affine(1, 0, 0, 0, -1, 2), (2, 4))
    >>> rain = ArraySource(grid, np.array([[1.0, 2, 7, 9], [3, 10, np.nan, 8]]))
    >>> halves = gpd.GeoDataFrame(
    ...     {"city_code": ["west", "east"]}, geometry=[shapely.box(0, 0, 2, 2), shapely.box(2, 0, 4, 2)], crs=4326
    ... )
    >>> zonal_statistics(rain, label_zones(halves, grid), ["count", "missing", "sum", "mean", "median"])
      city_code  count  missing   sum  mean  median
    0      west    4.0      0.0  16.0   4.0     2.5
    1      east    3.0      1.0  24.0   8.0     8.0
    """
    require_statistics(statistics)
    execution = execution or Execution()
    memory_gb = execution.memory_gb or KEPT_GB
    for grid in (source, *([] if weight is None or weight == "area" else [weight])):
        if not grid.grid.same_as(zones.grid):
            raise GridError(
                f"{grid.name} ({grid.grid.describe()}) is not on the lattice of the cities "
                f"({zones.grid.describe()}); label the cities on its own lattice, or align it first"
            )
    whole = _without_edge_cells(zones)
    groups, keep = _groups(whole, source, statistics, weight is not None, memory_gb)
    batches = [_tasks(source, weight, whole, group, statistics, keep) for group in groups]
    number, done = sum(map(len, batches)), 0
    described = _Described(zones.codes, statistics)
    for tasks in batches:
        report = None if progress is None else (lambda k, _of, done=done: progress(done + k, number))
        most = max((task.window.shape[0] * task.window.shape[1] for task in tasks), default=0) * CELL_BYTES
        slabs = run_tasks(gather_slab, tasks, read=read_slab, task_bytes=most, execution=execution, progress=report)
        done += len(tasks)
        if slabs:
            described.add(slabs, weighed=weight is not None or zones.edges is not None)
    table = described.table()
    table.attrs["counts"] = {**described.counts, "passes": len(groups)}
    return table


def _without_edge_cells(zones: Zones) -> Zones:
    """Zones whose runs hold no edge cell: each cell is in a run or among the edge cells."""
    runs = zones.interior()
    return replace(runs, edges=zones.edges)


def _groups(
    zones: Zones, source: GridSource, statistics: Sequence[str], weighed: bool, memory_gb: float
) -> tuple[list[NDArray | None], Keep]:
    """Groups of cities whose kept values fit the memory (None: all cities), and what is kept of cells."""
    ordered = any(quantile_level(name) is not None or name in _ORDERED for name in statistics)
    window = zones.window
    if not ordered or window is None:
        return [None], "nothing"
    dtype = source.read(Window(window.row0, window.row0 + 1, window.col0, window.col0 + 1)).values.dtype
    small = dtype.kind in "iu" and dtype.itemsize == 1
    keep: Keep = "tallies" if small or any(name in _TALLIED for name in statistics) else "values"
    cities = len(zones.codes)
    cells = np.bincount(zones.zone, zones.stop - zones.start, cities)
    if zones.edges is not None:
        cells += (3 if keep == "values" else 1) * np.bincount(
            zones.edges.zone, minlength=cities
        )  # with their weights
    # kept twice for a moment: as slabs gave them, and city by city
    each = 2 * (dtype.itemsize + (24 if keep == "tallies" else 8 * weighed))
    if small:
        slabs = -(-(window.row1 - window.row0) // slab_rows(window)) + 1
        cells = np.minimum(cells, 2 * 256 * slabs)
    need = cells * each
    limit = memory_gb * 1e9
    if need.max() > limit:
        worst = int(need.argmax())
        raise InputError(
            f"city {zones.codes[worst]} has {cells[worst]:,.0f} cells, whose values take {need[worst] / 1e9:.2g} GB, "
            f"more than the memory of {memory_gb:g} GB; allow {np.ceil(need[worst] / 1e8) / 10:g} GB (--memory)"
        )
    if need.sum() <= limit:
        return [None], keep
    # from north to south, so that each pass reads few of the rows of the others
    first_row = np.full(cities, zones.grid.height)
    np.minimum.at(first_row, zones.zone, zones.row)
    groups: list[list[int]] = [[]]
    taken = 0.0
    for city in np.argsort(first_row, kind="stable").tolist():
        if taken + need[city] > limit:
            groups.append([])
            taken = 0.0
        groups[-1].append(city)
        taken += need[city]
    return [np.array(group) for group in groups], keep


def _tasks(
    source: GridSource,
    weight: GridSource | Literal["area"] | None,
    zones: Zones,
    group: NDArray | None,
    statistics: Sequence[str],
    keep: Keep,
) -> list[Task]:
    """Cut the labelled part of the grid into slabs of rows; the cut does not depend on the group."""
    window = zones.window
    if window is None:
        return []
    rows = slab_rows(window)
    chosen = zones if group is None else _only(zones, group)
    around = chosen.window
    if around is None:
        return []
    tasks = []
    # cut at multiples of the slab height from the top of the file: slabs then begin at tiles
    for row0 in range(around.row0 // rows * rows, around.row1, rows):
        part = chosen.slab(row0, row0 + rows)
        if part.window is not None:
            tasks.append(
                Task(
                    source,
                    weight,
                    part,
                    part.window,
                    any(name in ("std", "variance", "cv") for name in statistics),
                    any(name in ("min", "max", "range") for name in statistics),
                    keep,
                    "fractions" in statistics,
                )
            )
    return tasks


def _only(zones: Zones, cities: NDArray) -> Zones:
    """The runs and edge cells of some cities."""
    run = np.isin(zones.zone, cities)
    edges = zones.edges
    if edges is not None:
        edge = np.isin(edges.zone, cities)
        edges = type(edges)(*(column[edge] for column in edges))
    return replace(
        zones,
        row=zones.row[run],
        start=zones.start[run],
        stop=zones.stop[run],
        zone=zones.zone[run],
        edges=edges,
    )


class _Described:
    """The statistics of cities, group after group."""

    def __init__(self, codes: tuple[str, ...], statistics: Sequence[str]) -> None:
        self.codes, self.statistics = codes, statistics
        cities = len(codes)
        zero = ("count", "missing", "variety")
        self.columns = {
            name: np.zeros(cities) if name in zero else np.full(cities, np.nan)
            for name in statistics
            if name != "fractions"
        }
        self.shares: list[tuple[int, NDArray, NDArray]] = []
        self.counts = {"cells": 0.0, "missing": 0.0, "weightless": 0.0}

    def add(self, slabs: list[Slab], *, weighed: bool) -> None:
        """Describe the cities of a group from what its slabs gave; the slabs are used up."""
        runs, edges = join_pieces(slab.runs for slab in slabs), join_pieces(slab.edges for slab in slabs)
        sums = self._sums(runs, edges)
        present = np.flatnonzero(sums["cells"] > 0)
        for name, column in sums.items():
            if name in ("count", "missing") and name in self.columns:
                self.columns[name] += column  # 0 for the cities of other groups
            elif name in self.columns:
                self.columns[name][present] = column[present]
        for name in self.counts:
            self.counts[name] += float(sums[name].sum())
        of_runs = [slab.kept[0] for slab in slabs if slab.kept is not None]
        of_edges = [slab.kept[1] for slab in slabs if slab.kept is not None]
        slabs.clear()
        if of_runs:
            self._ordered(of_runs, of_edges, sums, weighed)

    def _sums(self, runs: Pieces, edges: Pieces) -> dict[str, NDArray]:
        """Everything that sums give, by city."""
        cities = len(self.codes)

        def add(name: str) -> NDArray:
            whole, part = getattr(runs, name), getattr(edges, name)
            out: NDArray = np.zeros(cities, whole.dtype)
            np.add.at(out, runs.zone, whole)
            return out + np.bincount(edges.zone, part, cities)

        sums = {name: add(name) for name in ("cells", "missing", "weightless", "weight", "square", "total")}
        weight = sums["weight"]
        with np.errstate(invalid="ignore", divide="ignore"):
            mean = sums["total"] / np.where(weight > 0, weight, np.nan)
            spread = np.zeros(cities)
            for pieces in (runs, edges):
                own = np.divide(pieces.total, pieces.weight, out=np.zeros(len(pieces.zone)), where=pieces.weight > 0)
                apart = np.where(pieces.weight > 0, pieces.weight * (own - mean[pieces.zone]) ** 2, 0.0)
                spread += np.bincount(pieces.zone, pieces.spread + apart, cities)
            variance = spread / np.where(weight > 0, weight, np.nan)
            low, high = np.full(cities, np.inf), np.full(cities, -np.inf)
            for pieces in (runs, edges):
                np.minimum.at(low, pieces.zone, pieces.low)
                np.maximum.at(high, pieces.zone, pieces.high)
            deviation = np.sqrt(variance)
            return sums | {
                "count": sums["cells"],
                "sum": sums["total"],
                "mean": mean,
                "variance": variance,
                "std": deviation,
                "cv": deviation / np.where(mean != 0, mean, np.nan),
                "min": low,
                "max": high,
                "range": high - low,
            }

    def _ordered(
        self, of_runs: list[Entries], of_edges: list[Entries], sums: dict[str, NDArray], weighed: bool
    ) -> None:
        """Quantiles and classes, city by city, from the values that were kept."""
        runs, edges = lay_by_city(of_runs, len(self.codes)), lay_by_city(of_edges, len(self.codes))
        effective = effective_cells(sums["weight"], sums["square"])
        for city in np.flatnonzero(sums["cells"] > 0).tolist():
            kept = sorted_values(runs.of(city), edges.of(city))
            upto = None if kept.weight is None else np.cumsum(kept.weight)
            for name in self.statistics:
                level = quantile_level(name)
                if level is not None:
                    self.columns[name][city] = (
                        weighted_quantile(kept.value, upto, level, float(effective[city]))
                        if weighed and upto is not None
                        else quantile(kept.value, upto, level)
                    )
                elif name in _TALLIED:
                    self._tally(name, city, kept)

    def _tally(self, name: str, city: int, kept: Kept) -> None:
        value, weight = kept.value, kept.weight
        if name == "variety" or weight is None:  # classes are kept as tallies: they have weights
            self.columns[name][city] = len(value)
            return
        heavy = weight > 0
        value, weight = value[heavy], weight[heavy]
        if not len(value):
            return
        if name == "majority":
            self.columns[name][city] = value[len(value) - 1 - weight[::-1].argmax()]
        elif name == "minority":
            self.columns[name][city] = value[weight.argmin()]
        else:
            self.shares.append((city, value, weight / weight.sum()))

    def table(self) -> pd.DataFrame:
        """One row a city, columns in the order of the statistics."""
        columns: dict[str, NDArray] = {}
        for name in self.statistics:
            if name == "fractions":
                columns |= self._share_columns()
            else:
                columns[statistic_column(name)] = self.columns[name]
        return pd.DataFrame({"city_code": list(self.codes), **columns})

    def _share_columns(self) -> dict[str, NDArray]:
        if not self.shares:
            return {}
        classes = np.unique(np.concatenate([value for _, value, _ in self.shares]))
        shares = np.full((len(classes), len(self.codes)), np.nan)
        for city, value, share in self.shares:
            shares[:, city] = 0.0
            shares[np.searchsorted(classes, value), city] = share
        return {f"share_{value:.0f}": row for value, row in zip(classes.tolist(), shares, strict=True)}
