"""The one-pass engine: two grids of one year in, per-city sums and compact columns of urban cells out.

Each year is one streaming scan over slabs of rows. A slab gives sums over all cells of each city, the urban
cells (about 1 % of the grid) as columns, and the brightest cells of each city; slabs are independent tasks, and
their results are joined in the order of the rows, so that any number of workers gives the same bits.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from gistools.checks import require_positive
from gistools.errors import GridError
from gistools.grid import Block, GridSource, Window, fetch
from gistools.raster.tasks import Execution, run_tasks
from gistools.raster.zones import EdgeCells, Zones

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

# Cells of a slab: enough that a task is worth its overhead, few enough that memory stays small.
_SLAB_CELLS = 2_000_000
_SLAB_ROWS = 512
# What a slab takes at its height for each of its cells: both grids as read and as needed, labels, sums.
_CELL_BYTES = 48
_NONE: NDArray = np.zeros(0, np.int64)


@dataclass(frozen=True)
class CityTotals:
    """Sums over all cells of each city; arrays of shape (cities,).

    With membership by coverage, counts and sums are weighted by the covered fraction.
    """

    light_cells: NDArray  # cells with valid light
    light_sum: NDArray
    light_dark: NDArray  # cells whose light is exactly zero
    light_saturated: NDArray
    population_cells: NDArray  # cells with valid counts
    population: NDArray

    @classmethod
    def zeros(cls, cities: int) -> CityTotals:
        """Totals of nothing."""
        return cls(*(np.zeros(cities) for _ in fields(cls)))

    def __add__(self, other: CityTotals) -> CityTotals:
        return CityTotals(*(getattr(self, f.name) + getattr(other, f.name) for f in fields(CityTotals)))


class UrbanCells(NamedTuple):
    """Urban cells as columns, sorted by row and column.

    With membership by coverage a border cell stands once for each city that covers part of it; `inside` marks
    the city that holds its centre.
    """

    row: NDArray
    col: NDArray
    zone: NDArray
    weight: NDArray
    inside: NDArray[np.bool_]
    area_km2: NDArray
    population: NDArray
    light: NDArray

    @property
    def density(self) -> NDArray:
        """Persons per km2."""
        return self.population / self.area_km2


class BrightestCells(NamedTuple):
    """The cells that tie for the largest light of their city, sorted by row and column; none where all is dark."""

    row: NDArray
    col: NDArray
    zone: NDArray
    light: NDArray
    density: NDArray  # persons per km2, NaN without valid counts
    population: NDArray


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


class _Rule(NamedTuple):
    min_light: float
    min_density: float
    saturated: float | None


class _Slab(NamedTuple):
    totals: CityTotals
    urban: UrbanCells
    brightest: BrightestCells
    population: float
    largest_count: float
    largest_light: float
    picked_light: NDArray
    picked_population: NDArray


class _Task(NamedTuple):
    """One slab: sources, its runs by centre, its runs and edge cells for sums, its window and the rule."""

    lights: GridSource | None
    population: GridSource | None
    centre: Zones
    sums: Zones
    edges: EdgeCells | None
    window: Window
    rule: _Rule
    # rows and columns whose light or whose population is wanted; others than the slab's are passed over
    pick: tuple[NDArray, NDArray]
    pick_people: tuple[NDArray, NDArray]
    totals: bool


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
    rule = _Rule(min_light, min_density, saturated)
    cell_bytes = _CELL_BYTES + getattr(lights, "cell_bytes", 0)
    cells = _SLAB_CELLS * _CELL_BYTES // cell_bytes
    if execution is not None and execution.memory_gb is not None:
        # two slabs at least are held: one is read while the other is computed
        cells = min(cells, int(execution.memory_gb * 1e9 / (2 * cell_bytes)))
    nothing = (_NONE, _NONE)
    tasks = [
        _Task(lights, population, centre, sums, edges, window, rule, pick or nothing, pick_people or nothing, totals)
        for window, centre, sums, edges in _slabs(zones, cells, getattr(population, "block_rows", 1))
    ]
    most = max((task.window.cells for task in tasks), default=0)
    slabs = run_tasks(
        _scan_slab, tasks, read=_read_slab, task_bytes=cell_bytes * most, execution=execution, progress=progress
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


_Begun = tuple["Callable[[], Block] | None", "Callable[[], Block] | None"]


def _read_slab(task: _Task) -> _Begun:
    """Decode the lights and the population of a slab."""
    lights = None if task.lights is None else fetch(task.lights, task.window)
    if task.population is None:
        return lights, None
    if task.totals or lights is None:
        return lights, fetch(task.population, task.window)
    block = lights()
    return (lambda: block), _read_where_lit(task, block)


def _read_where_lit(task: _Task, lights: Block) -> Callable[[], Block]:
    """Read the tiles of the population that hold a bright cell of a city; the others count as without data."""
    window, population = task.window, cast("GridSource", task.population)
    width = window.col1 - window.col0
    lit = _Lit(lights.values, lights.valid)
    labels = task.centre.labels(window).ravel()[lit.cell]
    wanted = lit.light > task.rule.min_light
    if task.edges is None:
        wanted &= labels >= 0
    tied = _brightest_of_city(lit, labels, len(task.centre.codes))
    cell = np.unique(np.concatenate([lit.cell[wanted], lit.cell[tied]]))
    # a source that has no tiles is read in squares, a file of strips in whole rows
    rows, cols = (max(64, int(getattr(population, name, 64))) for name in ("block_rows", "block_cols"))
    counts: NDArray | None = None
    counted = np.zeros(window.shape, bool)
    # tiles begin at multiples of their size in the file, not in the window
    band = (cell // width + window.row0) // rows
    for k in np.unique(band).tolist():
        tile = np.unique((cell[band == k] % width + window.col0) // cols)
        for run in np.split(tile, np.flatnonzero(np.diff(tile) > 1) + 1):  # neighbours are read at once
            part = Window(
                max(k * rows, window.row0),
                min((k + 1) * rows, window.row1),
                max(int(run[0]) * cols, window.col0),
                min((int(run[-1]) + 1) * cols, window.col1),
            )
            block = population.read(part)
            if counts is None:
                counts = np.zeros(window.shape, block.values.dtype)
            here = (
                slice(part.row0 - window.row0, part.row1 - window.row0),
                slice(part.col0 - window.col0, part.col1 - window.col0),
            )
            counts[here], counted[here] = block.values, block.is_valid()
    return lambda: Block(np.zeros(window.shape, np.int32) if counts is None else counts, counted)


def _brightest_of_city(lit: _Lit, labels: NDArray, cities: int) -> NDArray:
    """Which lit cells tie for the largest light of their city in this slab."""
    zone = np.flatnonzero((labels >= 0) & (lit.light > 0))
    largest = np.zeros(cities)
    np.maximum.at(largest, labels[zone], lit.light[zone])
    return zone[lit.light[zone] == largest[labels[zone]]]


def _scan_slab(task: _Task, begun: _Begun) -> _Slab:
    centre, sums, edges, window = task.centre, task.sums, task.edges, task.window
    rule, pick, pick_people = task.rule, task.pick, task.pick_people
    lights, population = (None if finish is None else finish() for finish in begun)
    whole = task.totals or lights is None
    grid = centre.grid
    cities = len(centre.codes)
    runs = _Runs(sums, edges, window)
    totals = CityTotals.zeros(cities)
    counts: NDArray | None = None
    counted: NDArray[np.bool_] | None = None
    people = most = 0.0
    picked_people = np.full(len(pick_people[0]), np.nan)
    if population is not None:
        counts, counted = population.values, population.valid
        picked_people = _pick(population, window, pick_people)
        most = _largest(counts, counted)
        if whole:
            totals.population_cells[:] = runs.count(counted)
            totals.population[:], people = runs.sum(counts, counted, most)
    brightest, urban, largest = _no_brightest(), _no_urban(), -np.inf
    picked = np.full(len(pick[0]), np.nan)
    if lights is not None:
        picked = _pick(lights, window, pick)
        lit = _Lit(lights.values, lights.valid)
        largest = lit.largest
        labels = centre.labels(window).ravel()
        totals.light_cells[:] = runs.count(lights.valid)
        _add_light(totals, lit, labels, edges, window, rule)
        area = _Area(grid, window)
        brightest = _brightest_cells(lit, labels, counts, counted, area, cities)
        if counts is not None:
            urban = _urban_cells(lit, labels, edges, counts, counted, area, rule)
    return _Slab(totals, urban, brightest, people, most, largest, picked, picked_people)


def _pick(block: Block, window: Window, pick: tuple[NDArray, NDArray]) -> NDArray:
    """The light of chosen cells; NaN where a cell is not in this window or has no valid light."""
    row, col = pick
    here = (row >= window.row0) & (row < window.row1) & (col >= window.col0) & (col < window.col1)
    at = (row[here] - window.row0, col[here] - window.col0)
    light = np.full(len(row), np.nan)
    light[here] = block.values[at] if block.valid is None else np.where(block.valid[at], block.values[at], np.nan)
    return light


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
        found[k] = _pick(source.read(window), window, (row[k : k + 1], col[k : k + 1]))[0]
    return found


class _Runs:
    """Sums over the runs and edge cells of a slab, by city."""

    def __init__(self, zones: Zones, edges: EdgeCells | None, window: Window) -> None:
        width = window.col1 - window.col0
        origin = (zones.row - window.row0).astype(np.int64) * width - window.col0
        self.first, self.last = origin + zones.start, origin + zones.stop
        self.zone, self.cities = zones.zone, len(zones.codes)
        self.length = (self.last - self.first).astype(np.float64)
        self.edges = edges
        if edges is not None:
            self.edge_cell = (edges.row - window.row0).astype(np.int64) * width + edges.col - window.col0
        # reduceat sums between neighbouring indices: runs and the gaps between them in turn
        self.index = np.empty(2 * len(self.first), np.int64)
        self.index[::2], self.index[1::2] = self.first, self.last
        self.size = (window.row1 - window.row0) * width
        if len(self.index) and self.index[-1] == self.size:
            self.index = self.index[:-1]

    def _by_city(self, by_run: NDArray, by_edge: NDArray | None) -> NDArray:
        out = np.zeros(self.cities)  # a count of nothing would be whole numbers
        out += np.bincount(self.zone, by_run, self.cities)
        if self.edges is not None and by_edge is not None:
            out += np.bincount(self.edges.zone, by_edge * self.edges.fraction, self.cities)
        return out

    def count(self, valid: NDArray[np.bool_] | None) -> NDArray:
        """Count valid cells by city."""
        if valid is None:
            return self._by_city(self.length, None if self.edges is None else np.ones(len(self.edge_cell)))
        flat, by_run = valid.ravel(), self.length
        # no data inside a city is rare, and several times quicker to rule out than to count
        if len(self.index) and not np.logical_and.reduceat(flat, self.index)[::2].all():
            by_run = np.add.reduceat(flat, self.index, dtype=np.int64)[::2]
        return self._by_city(by_run, None if self.edges is None else flat[self.edge_cell])

    def sum(self, values: NDArray, valid: NDArray[np.bool_] | None, most: float) -> tuple[NDArray, float]:
        """Sum valid values, `most` at the most, by city and over the whole window."""
        kind = self._kind(values.dtype, most)
        if valid is not None:
            # no data of floating point may be infinite or NaN, whose product with zero is not zero
            values = np.where(valid, values, 0) if values.dtype.kind == "f" else values * valid
        flat: NDArray = values.ravel().astype(kind, copy=False)
        by_edge = None if self.edges is None else flat[self.edge_cell]
        if not len(self.index):
            return self._by_city(self.length, by_edge), float(flat.sum(dtype=np.float64))
        pieces = np.add.reduceat(flat, self.index, dtype=kind).astype(np.float64)
        by_run, gaps = pieces[::2], pieces[1::2]
        # between runs that touch there is no gap, and reduceat gives the cell that follows
        between = gaps[: len(by_run) - 1][self.first[1:] > self.last[:-1]].sum() + gaps[len(by_run) - 1 :].sum()
        total = flat[: self.first[0]].sum(dtype=np.float64) + by_run.sum() + between
        return self._by_city(by_run, by_edge), float(total)

    def _kind(self, kind: np.dtype, most: float) -> type[np.number]:
        """Return the number type to sum a run in: whole numbers are exact, the small ones twice as fast."""
        if kind.kind == "f":
            return np.float64
        longest = int(np.diff(self.index, prepend=0, append=self.size).max())
        return np.int32 if kind.itemsize <= 4 and kind != np.uint32 and most * longest < 2**31 else np.int64


def _largest(values: NDArray, valid: NDArray[np.bool_] | None) -> float:
    """Largest valid value of a block, at least zero."""
    at = int(values.argmax())
    if valid is None or valid.flat[at]:  # several times quicker than a masked search, and nearly always enough
        return max(float(values.flat[at]), 0.0)
    return float(np.max(values, initial=0, where=valid))


class _Lit:
    """The cells of a block whose valid light is not zero: a few per cent of a night-light grid."""

    def __init__(self, values: NDArray, valid: NDArray[np.bool_] | None) -> None:
        lit = values != 0
        if valid is not None:
            lit &= valid
        self.cell = np.flatnonzero(lit)
        self.light = values.ravel()[self.cell].astype(np.float64)
        self.valid_cells = values.size if valid is None else int(valid.sum())
        self.largest = float(self.light.max()) if len(self.light) else -np.inf
        if self.valid_cells > len(self.cell):
            self.largest = max(self.largest, 0.0)


def _add_light(
    totals: CityTotals, lit: _Lit, labels: NDArray, edges: EdgeCells | None, window: Window, rule: _Rule
) -> None:
    """Add sums of light, dark and saturated cells by city."""
    cities = len(totals.light_sum)
    zone, weight, light = labels[lit.cell], None, lit.light
    if edges is None:
        inside = zone >= 0
        zone, light = zone[inside], light[inside]
    else:
        zone, weight, member = _members(lit.cell, zone, edges, window)
        light = light[member]
    totals.light_sum[:] = np.bincount(zone, light if weight is None else light * weight, cities)
    totals.light_dark[:] = totals.light_cells - np.bincount(zone, weight, cities)
    if rule.saturated is not None:
        full = light >= rule.saturated
        totals.light_saturated[:] = np.bincount(zone[full], None if weight is None else weight[full], cities)


def _members(cell: NDArray, label: NDArray, edges: EdgeCells, window: Window) -> tuple[NDArray, NDArray, NDArray]:
    """Pair cells with every city that covers them: zone, covered fraction, and which of the cells it is.

    Parameters
    ----------
    cell : array of int
        Flat positions in the window, sorted.
    label : array of int
        The zone by centre of each.
    edges : EdgeCells
    window : Window
    """
    width = window.col1 - window.col0
    edge_cell = (edges.row - window.row0).astype(np.int64) * width + edges.col - window.col0
    first = np.searchsorted(edge_cell, cell, side="left")
    count = np.searchsorted(edge_cell, cell, side="right") - first
    whole = np.flatnonzero((count == 0) & (label >= 0))
    parts = np.repeat(np.arange(len(cell)), count)
    entry = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count) + np.repeat(first, count)
    which = np.concatenate([whole, parts])
    zone = np.concatenate([label[whole], edges.zone[entry]])
    weight = np.concatenate([np.ones(len(whole)), edges.fraction[entry]])
    order = np.lexsort((zone, which))
    return zone[order], weight[order], which[order]


class _Area:
    """Areas of the cells of a window, by flat position."""

    def __init__(self, grid: object, window: Window) -> None:
        self.grid, self.window = grid, window
        self.width = window.col1 - window.col0

    def position(self, cell: NDArray) -> tuple[NDArray, NDArray]:
        return cell // self.width + self.window.row0, cell % self.width + self.window.col0

    def __call__(self, row: NDArray, col: NDArray) -> NDArray:
        return np.asarray(self.grid.cell_area_km2_at(row, col))  # type: ignore[attr-defined]


def _urban_cells(
    lit: _Lit,
    labels: NDArray,
    edges: EdgeCells | None,
    counts: NDArray,
    counted: NDArray[np.bool_] | None,
    area: _Area,
    rule: _Rule,
) -> UrbanCells:
    bright = lit.light > rule.min_light
    cell, light = lit.cell[bright], lit.light[bright]
    if counted is not None:
        known = counted.ravel()[cell]
        cell, light = cell[known], light[known]
    people = counts.ravel()[cell].astype(np.float64)
    row, col = area.position(cell)
    km2 = area(row, col)
    dense = people / km2 > rule.min_density
    cell, row, col, light, people, km2 = (part[dense] for part in (cell, row, col, light, people, km2))
    label = labels[cell]
    if edges is None:
        member = np.flatnonzero(label >= 0)
        zone, weight = label[member], np.ones(len(member))
    else:
        zone, weight, member = _members(cell, label, edges, area.window)
    return UrbanCells(
        row[member],
        col[member],
        zone.astype(np.int64),
        weight,
        label[member] == zone,
        km2[member],
        people[member],
        light[member],
    )


def _brightest_cells(
    lit: _Lit,
    labels: NDArray,
    counts: NDArray | None,
    counted: NDArray[np.bool_] | None,
    area: _Area,
    cities: int,
) -> BrightestCells:
    """The cells of each city that tie for the largest light of the slab; light must be above zero."""
    zone = labels[lit.cell]
    tied = _brightest_of_city(lit, zone, cities)
    zone, light, cell = zone[tied].astype(np.int64), lit.light[tied], lit.cell[tied]
    row, col = area.position(cell)
    people = np.full(len(cell), np.nan)
    if counts is not None:
        people = counts.ravel()[cell].astype(np.float64)
        if counted is not None:
            people[~counted.ravel()[cell]] = np.nan
    return BrightestCells(row, col, zone, light, people / area(row, col), people)


def _no_urban() -> UrbanCells:
    whole, real = np.zeros(0, np.int64), np.zeros(0)
    return UrbanCells(whole, whole, whole, real, np.zeros(0, bool), real, real, real)


def _no_brightest() -> BrightestCells:
    whole, real = np.zeros(0, np.int64), np.zeros(0)
    return BrightestCells(whole, whole, whole, real, real, real)


def _together(picked: Sequence[NDArray]) -> NDArray | None:
    """Join what slabs found of the same cells: each has its own, the others are NaN."""
    return functools.reduce(np.fmax, picked) if picked else None


def _joined(slabs: Sequence[_Slab], zones: Zones, has_light: bool, has_population: bool, has_totals: bool) -> Scan:
    """Join slabs in the order of their rows."""
    totals = CityTotals.zeros(len(zones.codes))
    people = 0.0
    for slab in slabs:
        totals = totals + slab.totals
        people += slab.population
    urban = UrbanCells(*map(np.concatenate, zip(_no_urban(), *(slab.urban for slab in slabs), strict=True)))
    found = BrightestCells(
        *map(np.concatenate, zip(_no_brightest(), *(slab.brightest for slab in slabs), strict=True))
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
