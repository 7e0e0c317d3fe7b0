"""Urban form over the years: the base year first, the others side by side, joined into one panel."""

from __future__ import annotations

import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pandas as pd

from gistools.checks import listed
from gistools.city.centre import known_cbds
from gistools.city.form import COLUMNS, FormOptions, YearForm, measure_year
from gistools.city.structure import CircleCells, circle_cells
from gistools.errors import GistoolsError, InputError, OutputError
from gistools.grid import Grid, GridSource
from gistools.raster.tasks import Execution
from gistools.raster.zones import Assign, Zones, label_zones

if TYPE_CHECKING:
    import geopandas as gpd


class LabelMaker(Protocol):
    """Makes a label grid."""

    def __call__(self, boundaries: gpd.GeoDataFrame, grid: Grid, *, assign: Assign = "centre") -> Zones:
        """Return the cells of the grid by city."""


class YearStore(Protocol):
    """Keeps finished years, so that a run that was stopped goes on where it was."""

    def load(self, year: int, given: Mapping[str, Any]) -> YearForm | None:
        """Return a year that was measured from the same inputs with the same options, or None."""

    def save(self, form: YearForm) -> None:
        """Keep a year that was asked for before."""


def city_form(
    boundaries: gpd.GeoDataFrame,
    *,
    lights: Mapping[int, GridSource] | None = None,
    population: Mapping[int, GridSource] | None = None,
    years: Sequence[int] | None = None,
    options: FormOptions | None = None,
    cbds: pd.DataFrame | None = None,
    saturated: float | None = None,
    store: YearStore | None = None,
    label: LabelMaker = label_zones,
    execution: Execution | None = None,
    progress: Callable[[int, int, int], None] | None = None,
    on_failure: Callable[[int, GistoolsError], None] | None = None,
) -> pd.DataFrame:
    """Measure the urban form of cities over years: the sprawl index, the CBD and everything around them.

    Parameters
    ----------
    boundaries : GeoDataFrame
        ``city_code`` (unique text), polygons; ``city_name`` and ``province`` are carried along.
    lights, population : mapping of year to GridSource
        Either may be left out; measures that need it are then missing.
    years : sequence of int, optional
        Years to measure; by default all years of the grids.
    options : FormOptions, optional
    cbds : DataFrame, optional
        Known CBDs (``city_code``, ``cbd_lon``, ``cbd_lat``) instead of the brightest cells.
    saturated : float, optional
        Light at which the sensor saturates (63 for DMSP), to count saturated cells.
    store : YearStore, optional
        Keeps finished years.
    label : callable
        Makes label grids as :func:`gistools.raster.zones.label_zones` does, or finds those made before.
    execution : Execution, optional
        Threads or a cluster.
    progress : callable, optional
        Called with the year, its slabs done and its slabs in all.
    on_failure : callable, optional
        Called with a year that could not be measured and why; the other years go on. Without it the error is
        raised.

    Returns
    -------
    DataFrame
        One row a city and year: ``city_code``, ``city_name``, ``province``, ``year`` and the columns of
        ``COLUMNS``. ``attrs["units"]`` and ``attrs["labels"]`` say what they are, ``attrs["counts"]`` holds the
        national counts of each year.

    Raises
    ------
    InputError
        If no year can be measured, or the base year cannot.

    Notes
    -----
    The base year is measured first: its urban cells give the threshold, its lights the CBD (unless
    ``cbd_year="each"``); both are kept for all years.
    """
    options = options or FormOptions()
    lights, population = dict(lights or {}), dict(population or {})
    wanted, base = _year_plan(years, {*lights, *population}, options)
    leads = needs_base_year(options, lights=bool(lights), population=bool(population), known_cbds=cbds is not None)
    if leads:
        _require_base_year(base, lights, population, options)
    zones_of = _ZonesByLattice(boundaries, options, label)
    threshold: float | None = None
    centres: pd.DataFrame | None = None

    def measure(year: int, execution: Execution | None) -> YearForm:
        people, light = population.get(year), lights.get(year)
        zones = zones_of(_lattice_of(year, light, people))
        given = {"threshold": threshold, "cbds": None if centres is None else centres.to_dict("list")}
        form = store.load(year, given) if store else None
        if form is None:
            placed = _on_lattice(centres, zones)
            form = measure_year(
                year,
                light,
                people,
                zones,
                options,
                threshold=threshold,
                cbds=placed,
                circle=None if placed is None or people is None else zones_of.circle(zones, placed),
                saturated=saturated,
                execution=execution,
                progress=None if progress is None else partial(progress, year),
            )
            if store:
                store.save(form)
        return form

    if cbds is not None:
        any_year = next((year for year in wanted if year in population or year in lights), wanted[0])
        zones = zones_of(_lattice_of(any_year, lights.get(any_year), population.get(any_year)))
        centres = known_cbds(cbds, zones.grid, zones)
    forms: list[YearForm] = []
    if leads:
        try:
            first = measure(base, execution)
        except OutputError:  # a full disk is no fault of the year
            raise
        except GistoolsError as error:
            raise InputError(
                f"the base year {base} could not be measured, and the other years need it: {error}"
            ) from error
        threshold = first.threshold
        if options.cbd_year == "base" and centres is None:
            centres = first.cbds
        forms += [first] if base in wanted else []
    for year, outcome in _years_measured(measure, [y for y in wanted if not (leads and y == base)], execution):
        if isinstance(outcome, YearForm):
            forms.append(outcome)
        elif on_failure is None:
            raise outcome
        else:
            on_failure(year, outcome)
    if not forms:
        raise InputError("no year could be measured")
    forms.sort(key=lambda form: form.year)
    panel = join_years([form.table for form in forms], boundaries)
    panel.attrs["counts"] = {form.year: form.counts for form in forms}
    return panel


def _years_measured(
    measure: Callable[[int, Execution | None], YearForm], years: Sequence[int], execution: Execution | None
) -> Iterator[tuple[int, YearForm | GistoolsError]]:
    """Measure years that do not wait for one another, several at a time where there are threads; yield them in order.

    Slabs of one year leave a thread idle at its end; years side by side do not.
    """

    def one(year: int, execution: Execution | None) -> YearForm | GistoolsError:
        try:
            return measure(year, execution)
        except OutputError:  # a full disk is no fault of the year
            raise
        except GistoolsError as error:
            return error

    local = execution or Execution()
    side_by_side = 1 if local.scheduler else min(local.threads, len(years))
    if side_by_side < 2:
        for year in years:
            yield year, one(year, execution)
        return
    memory = None if local.memory_gb is None else local.memory_gb / side_by_side
    share = Execution(local.threads // side_by_side, memory_gb=memory, read_ahead=False)
    pool = ThreadPoolExecutor(side_by_side)
    try:
        futures = [(year, pool.submit(one, year, share)) for year in years]
        for year, future in futures:
            yield year, future.result()
    finally:  # what has not begun is not begun; what has is finished, and kept
        pool.shutdown(cancel_futures=True)


def needs_base_year(options: FormOptions, *, lights: bool, population: bool, known_cbds: bool = False) -> bool:
    """Whether all years wait for what the base year gives: its density threshold, or its CBDs.

    Parameters
    ----------
    options : FormOptions
    lights, population : bool
        Which grids are given.
    known_cbds : bool
        Whether CBDs come from a table.

    Returns
    -------
    bool
    """
    gives_threshold = options.threshold == "auto" and lights and population
    return gives_threshold or (options.cbd_year == "base" and lights and not known_cbds)


def _require_base_year(
    base: int, lights: Mapping[int, GridSource], population: Mapping[int, GridSource], options: FormOptions
) -> None:
    """Refuse a base year without the grids that all years need of it."""
    needed = {"lights": lights, "population": population if options.threshold == "auto" else {}}
    for name, grids in needed.items():
        if grids and base not in grids:
            raise InputError(
                f"the base year {base} has no {name}, and all years need it; there are {listed(sorted(grids), 12)}"
            )


def _year_plan(years: Sequence[int] | None, known: set[int], options: FormOptions) -> tuple[list[int], int]:
    """Years to measure, and the base year."""
    if not known:
        raise InputError("neither lights nor population are given; give at least one of them")
    wanted = sorted(known if years is None else set(years))
    if not wanted:
        raise InputError("no year is left to measure")
    return wanted, options.base_year if options.base_year is not None else wanted[0]


def _lattice_of(year: int, lights: GridSource | None, population: GridSource | None) -> Grid:
    if population is not None:
        return population.grid
    if lights is not None:
        return lights.grid
    raise InputError(f"year {year} has neither lights nor population")


def _on_lattice(cbds: pd.DataFrame | None, zones: Zones) -> pd.DataFrame | None:
    """Find the cells of CBDs on a lattice that may differ from the one they were found on."""
    if cbds is None:
        return None
    from pyproj import Transformer

    from gistools.grid import WGS84

    lon, lat = cbds["cbd_lon"].to_numpy(), cbds["cbd_lat"].to_numpy()
    x, y = Transformer.from_crs(WGS84, zones.grid.crs, always_xy=True).transform(lon, lat)
    has = (cbds["row"] >= 0).to_numpy() & np.isfinite(x) & np.isfinite(y)
    row, col = np.full(len(cbds), -1), np.full(len(cbds), -1)
    row[has] = np.floor(zones.grid.row(np.asarray(y)[has])).astype(int)
    col[has] = np.floor(zones.grid.col(np.asarray(x)[has])).astype(int)
    off = (row < 0) | (row >= zones.grid.height) | (col < 0) | (col >= zones.grid.width)
    return cbds.assign(row=np.where(off, -1, row), col=np.where(off, -1, col))


class _ZonesByLattice:
    """Label grids by lattice, and the cells around CBDs that stay: one for all years that share it."""

    def __init__(self, boundaries: gpd.GeoDataFrame, options: FormOptions, label: LabelMaker) -> None:
        self.boundaries, self.options, self.label = boundaries, options, label
        self.made: list[Zones] = []
        self.circles: dict[int, CircleCells] = {}
        self.lock = threading.Lock()  # years are measured side by side

    def __call__(self, grid: Grid) -> Zones:
        with self.lock:
            for zones in self.made:
                if zones.grid.same_as(grid):
                    return zones
            zones = self.label(self.boundaries, grid, assign=self.options.assign)
            self.made.append(zones)
            return zones

    def circle(self, zones: Zones, cbds: pd.DataFrame) -> CircleCells:
        """Cells around CBDs that are the same in every year."""
        with self.lock:
            if id(zones) not in self.circles:
                self.circles[id(zones)] = circle_cells(zones, cbds, radius_km=self.options.radius_km)
            return self.circles[id(zones)]


def join_years(tables: Sequence[pd.DataFrame], boundaries: gpd.GeoDataFrame) -> pd.DataFrame:
    """Join the tables of years into one panel, with names and provinces, sorted by city and year.

    Parameters
    ----------
    tables : sequence of DataFrame
        As in :class:`YearForm`.
    boundaries : GeoDataFrame
        ``city_code``, and ``city_name``, ``province`` where known; its order is the order of the cities.

    Returns
    -------
    DataFrame
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)  # all-missing columns of one year
        panel = pd.concat(tables, ignore_index=True)
    order = {code: k for k, code in enumerate(boundaries["city_code"].astype(str))}
    panel = panel.assign(_order=panel["city_code"].map(order)).sort_values(["_order", "year"], kind="stable")
    names = boundaries.assign(city_code=boundaries["city_code"].astype(str)).set_index("city_code")
    for position, column in enumerate(("city_name", "province"), start=1):
        values = names[column] if column in names else pd.Series(None, index=names.index, dtype=object)
        panel.insert(position, column, panel["city_code"].map(values).astype("str"))
    panel = panel.drop(columns="_order").reset_index(drop=True)
    panel.attrs = {
        "units": {name: unit for name, (unit, _) in COLUMNS.items()},
        "labels": {name: meaning for name, (_, meaning) in COLUMNS.items()},
    }
    return panel
