"""One slab of a year's grids: what is read of it, its sums by city, its urban and its brightest cells."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, NamedTuple, cast

import numpy as np

from gistools.grid import Block, GridSource, Window, fetch
from gistools.raster.edge_cells import EdgeCells
from gistools.raster.run_sums import RunSums, largest_value
from gistools.raster.zones import Zones

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from gistools.grid import Grid


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

    @classmethod
    def none(cls) -> UrbanCells:
        """No cells."""
        whole, real = np.zeros(0, np.int64), np.zeros(0)
        return cls(whole, whole, whole, real, np.zeros(0, bool), real, real, real)

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

    @classmethod
    def none(cls) -> BrightestCells:
        """No cells."""
        whole, real = np.zeros(0, np.int64), np.zeros(0)
        return cls(whole, whole, whole, real, real, real)


class Rule(NamedTuple):
    """A cell is urban above both thresholds, and its light saturated at and above the third."""

    min_light: float
    min_density: float
    saturated: float | None


class Slab(NamedTuple):
    """What the scan of one slab gives."""

    totals: CityTotals
    urban: UrbanCells
    brightest: BrightestCells
    population: float
    largest_count: float
    largest_light: float
    picked_light: NDArray
    picked_population: NDArray


class Task(NamedTuple):
    """One slab: sources, its runs by centre, its runs and edge cells for sums, its window and the rule."""

    lights: GridSource | None
    population: GridSource | None
    centre: Zones
    sums: Zones
    edges: EdgeCells | None
    window: Window
    rule: Rule
    # rows and columns whose light or whose population is wanted; others than the slab's are passed over
    pick: tuple[NDArray, NDArray]
    pick_people: tuple[NDArray, NDArray]
    totals: bool


Begun = tuple["Callable[[], Block] | None", "Callable[[], Block] | None"]


def read_slab(task: Task) -> Begun:
    """Decode the lights and the population of a slab; what is left to compute is returned as functions."""
    lights = None if task.lights is None else fetch(task.lights, task.window)
    if task.population is None:
        return lights, None
    if task.totals or lights is None:
        return lights, fetch(task.population, task.window)
    block = lights()
    return (lambda: block), _read_where_lit(task, block)


def _read_where_lit(task: Task, lights: Block) -> Callable[[], Block]:
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


def scan_slab(task: Task, begun: Begun) -> Slab:
    """Scan the cells of a slab, as :func:`read_slab` began to read them."""
    centre, sums, edges, window = task.centre, task.sums, task.edges, task.window
    rule, pick, pick_people = task.rule, task.pick, task.pick_people
    lights, population = (None if finish is None else finish() for finish in begun)
    whole = task.totals or lights is None
    grid = centre.grid
    cities = len(centre.codes)
    runs = RunSums(sums, edges, window)
    totals = CityTotals.zeros(cities)
    counts: NDArray | None = None
    counted: NDArray[np.bool_] | None = None
    people = most = 0.0
    picked_people = np.full(len(pick_people[0]), np.nan)
    if population is not None:
        counts, counted = population.values, population.valid
        picked_people = pick_cells(population, window, pick_people)
        most = largest_value(counts, counted)
        if whole:
            totals.population_cells[:] = runs.count(counted)
            totals.population[:], people = runs.sum(counts, counted, most)
    brightest, urban, largest = BrightestCells.none(), UrbanCells.none(), -np.inf
    picked = np.full(len(pick[0]), np.nan)
    if lights is not None:
        picked = pick_cells(lights, window, pick)
        lit = _Lit(lights.values, lights.valid)
        largest = lit.largest
        labels = centre.labels(window).ravel()
        totals.light_cells[:] = runs.count(lights.valid)
        _add_light(totals, lit, labels, edges, window, rule)
        area = _Area(grid, window)
        brightest = _brightest_cells(lit, labels, counts, counted, area, cities)
        if counts is not None:
            urban = _urban_cells(lit, labels, edges, counts, counted, area, rule)
    return Slab(totals, urban, brightest, people, most, largest, picked, picked_people)


def pick_cells(block: Block, window: Window, pick: tuple[NDArray, NDArray]) -> NDArray:
    """Return the values of chosen cells; NaN where a cell is not in this window or has no valid value."""
    row, col = pick
    here = (row >= window.row0) & (row < window.row1) & (col >= window.col0) & (col < window.col1)
    at = (row[here] - window.row0, col[here] - window.col0)
    found = np.full(len(row), np.nan)
    found[here] = block.values[at] if block.valid is None else np.where(block.valid[at], block.values[at], np.nan)
    return found


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
    totals: CityTotals, lit: _Lit, labels: NDArray, edges: EdgeCells | None, window: Window, rule: Rule
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

    def __init__(self, grid: Grid, window: Window) -> None:
        self.grid, self.window = grid, window
        self.width = window.col1 - window.col0

    def position(self, cell: NDArray) -> tuple[NDArray, NDArray]:
        """Rows and columns in the grid."""
        return cell // self.width + self.window.row0, cell % self.width + self.window.col0

    def __call__(self, row: NDArray, col: NDArray) -> NDArray:
        return self.grid.cell_area_km2_at(row, col)


def _urban_cells(
    lit: _Lit,
    labels: NDArray,
    edges: EdgeCells | None,
    counts: NDArray,
    counted: NDArray[np.bool_] | None,
    area: _Area,
    rule: Rule,
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
