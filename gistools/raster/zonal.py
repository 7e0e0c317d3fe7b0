"""The one-pass engine: two grids of one year in, per-city sums and compact columns of urban cells out.

Each year is one streaming scan over slabs of rows. A slab gives sums over all cells of each city, the urban
cells (about 1 % of the grid) as columns, and the brightest cells of each city; slabs are independent tasks, and
their results are joined in the order of the rows, so that any number of workers gives the same bits.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np

from gistools.checks import require_positive
from gistools.errors import GridError
from gistools.grid import GridSource, Window
from gistools.raster.edge_cells import EdgeCells
from gistools.raster.slab_scan import (
    BrightestCells,
    CityTotals,
    Rule,
    Slab,
    Task,
    UrbanCells,
    pick_cells,
    read_slab,
    scan_slab,
)
from gistools.raster.tasks import Execution, run_tasks
from gistools.raster.zones import Zones

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

__all__ = ["BrightestCells", "CityTotals", "Scan", "UrbanCells", "scan_year"]

# Cells of a slab: enough that a task is worth its overhead, few enough that memory stays small.
_SLAB_CELLS = 2_000_000
_SLAB_ROWS = 512
# What a slab takes at its height for each of its cells: both grids as read and as needed, labels, sums.
_CELL_BYTES = 48
_NONE: NDArray = np.zeros(0, np.int64)


@dataclass(frozen=True)
class Scan:
    """What one pass over a year's grids keeps.

    Attributes
    ----------
    zones : Zones
    totals : CityTotals
    urban : UrbanCells
    brightest : BrightestCells
    population_in_window : float
        Persons in the window that was read, cities or not.
    largest_count : float
        Largest valid count of a cell in the window (0 without population).
    largest_light : float
        Largest valid light in the window (-inf without lights).
    picked_light, picked_population : array of float or None
        Light and persons of the cells that were asked for; NaN without data.
    has_light, has_population : bool
        Which of the two grids were given.
    has_totals : bool
        Whether the population of whole cities was summed.
    """

    zones: Zones
    totals: CityTotals
    urban: UrbanCells
    brightest: BrightestCells
    population_in_window: float
    largest_count: float
    largest_light: float
    picked_light: NDArray | None
    picked_population: NDArray | None
    has_light: bool
    has_population: bool
    has_totals: bool


def scan_year(
    lights: GridSource | None,
    population: GridSource | None,
    zones: Zones,
    *,
    min_light: float = 10.0,
    min_density: float = 1000.0,
    saturated: float | None = None,
    pick: tuple[NDArray, NDArray] | None = None,
    pick_people: tuple[NDArray, NDArray] | None = None,
    totals: bool = True,
    execution: Execution | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Scan:
    """Scan one year's grids once, city by city.

    Parameters
    ----------
    lights, population : GridSource or None
        On the lattice of `zones` (bring lights there with :func:`gistools.raster.align.align`). Either may be
        left out.
    zones : Zones
        The label grid.
    min_light : float
        A cell is urban where its light is above this ...
    min_density : float
        ... and its density is above this (persons per km2); both strict.
    saturated : float, optional
        Light at and above which a cell counts as saturated.
    pick, pick_people : (array, array), optional
        Rows and columns of cells whose light, or whose population, is wanted besides.
    totals : bool
        Sum the population of whole cities too. Without, only the tiles of the population are read that hold a cell
        bright enough to be urban, or one of the brightest of its city; picked cells elsewhere are NaN.
    execution : Execution, optional
        Threads here, or a Dask cluster.
    progress : callable, optional
        Called with the slabs done and the slabs in all.

    Returns
    -------
    Scan

    Raises
    ------
    GridError
        If a grid is not on the lattice of the zones, or cannot be read.
    """
    require_positive(min_light, "min_light", zero=True)
    require_positive(min_density, "min_density", zero=True)
    for source in (lights, population):
        if source is not None and not source.grid.same_as(zones.grid):
            raise GridError(
                f"{source.name} ({source.grid.describe()}) is not on the lattice of the cities "
                f"({zones.grid.describe()}); align it first"
            )
    rule = Rule(min_light, min_density, saturated)
    cell_bytes = _CELL_BYTES + getattr(lights, "cell_bytes", 0)
    cells = _SLAB_CELLS * _CELL_BYTES // cell_bytes
    if execution is not None and execution.memory_gb is not None:
        # two slabs at least are held: one is read while the other is computed
        cells = min(cells, int(execution.memory_gb * 1e9 / (2 * cell_bytes)))
    nothing = (_NONE, _NONE)
    tasks = [
        Task(lights, population, centre, sums, edges, window, rule, pick or nothing, pick_people or nothing, totals)
        for window, centre, sums, edges in _slabs(zones, cells, getattr(population, "block_rows", 1))
    ]
    most = max((task.window.cells for task in tasks), default=0)
    slabs = run_tasks(
        scan_slab, tasks, read=read_slab, task_bytes=cell_bytes * most, execution=execution, progress=progress
    )
    has_totals = population is not None and (totals or lights is None)
    scan = _joined(slabs, zones, lights is not None, population is not None, has_totals)
    windows = [task.window for task in tasks]
    return replace(
        scan,
        picked_light=None if pick is None else _with_cells_beyond(scan.picked_light, pick, lights, windows),
        picked_population=(
            None
            if pick_people is None
            else _with_cells_beyond(scan.picked_population, pick_people, population, windows)
        ),
    )


def _slabs(zones: Zones, cells: int, block_rows: int) -> list[tuple[Window, Zones, Zones, EdgeCells | None]]:
    """Cut the labelled part of the grid into slabs of rows, of so many cells and of whole tiles."""
    whole = zones.window
    if whole is None:
        return []
    interior = zones.interior()
    unit = block_rows if block_rows <= _SLAB_ROWS else 1
    rows = max(unit, min(_SLAB_ROWS, cells // (whole.col1 - whole.col0)) // unit * unit)
    slabs = []
    # cut at multiples of the slab height from the top of the file: slabs then begin at tiles
    for row0 in range(whole.row0 // rows * rows, whole.row1, rows):
        centre = zones.slab(row0, row0 + rows)
        window = centre.window
        if window is None:
            continue
        sums = interior.slab(row0, row0 + rows)
        slabs.append((window, centre, sums, centre.edges))
    return slabs


def _with_cells_beyond(
    picked: NDArray | None, pick: tuple[NDArray, NDArray], source: GridSource | None, read: Sequence[Window]
) -> NDArray:
    """Add the values of the cells that lie beyond all cities, one by one: few, if any."""
    row, col = pick
    found = np.full(len(row), np.nan) if picked is None else picked.copy()
    if source is None:
        return found
    height, width = source.grid.shape
    beyond = (row >= 0) & (row < height) & (col >= 0) & (col < width)
    for w in read:
        beyond &= ~((row >= w.row0) & (row < w.row1) & (col >= w.col0) & (col < w.col1))
    for k in np.flatnonzero(beyond).tolist():
        window = Window(int(row[k]), int(row[k]) + 1, int(col[k]), int(col[k]) + 1)
        found[k] = pick_cells(source.read(window), window, (row[k : k + 1], col[k : k + 1]))[0]
    return found


def _together(picked: Sequence[NDArray]) -> NDArray | None:
    """Join what slabs found of the same cells: each has its own, the others are NaN."""
    return functools.reduce(np.fmax, picked) if picked else None


def _joined(slabs: Sequence[Slab], zones: Zones, has_light: bool, has_population: bool, has_totals: bool) -> Scan:
    """Join slabs in the order of their rows."""
    totals = CityTotals.zeros(len(zones.codes))
    people = 0.0
    for slab in slabs:
        totals = totals + slab.totals
        people += slab.population
    urban = UrbanCells(*map(np.concatenate, zip(UrbanCells.none(), *(slab.urban for slab in slabs), strict=True)))
    found = BrightestCells(
        *map(np.concatenate, zip(BrightestCells.none(), *(slab.brightest for slab in slabs), strict=True))
    )
    picked = _together([slab.picked_light for slab in slabs])
    picked_people = _together([slab.picked_population for slab in slabs])
    largest = np.zeros(len(zones.codes))
    np.maximum.at(largest, found.zone, found.light)
    tied = found.light == largest[found.zone]
    return Scan(
        zones,
        totals,
        urban,
        BrightestCells(*(part[tied] for part in found)),
        people,
        max((slab.largest_count for slab in slabs), default=0.0),
        max((slab.largest_light for slab in slabs), default=-np.inf),
        picked,
        picked_people,
        has_light,
        has_population,
        has_totals,
    )
