"""Urban form of every city in one year: the columns of the panel, from what one scan of the grids keeps."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pandas as pd

from gistools.checks import require_choice, require_positive
from gistools.city.centre import CBD_TIES, CbdTies, find_cbds
from gistools.city.sprawl import sprawl_index
from gistools.city.structure import (
    Central,
    CircleCells,
    central_population,
    circle_cells,
    circle_population,
    density_gradient,
    density_variation,
)
from gistools.city.urban import urban_density_threshold, urban_patches
from gistools.errors import InputError
from gistools.grid import GridSource
from gistools.raster.align import ALIGN, Align, align
from gistools.raster.population import judge_cell, judge_cities, judge_total
from gistools.raster.tasks import Execution
from gistools.raster.zonal import Scan, scan_year
from gistools.raster.zones import ASSIGN, Assign, Zones

if TYPE_CHECKING:
    from numpy.typing import NDArray

CbdYear = Literal["base", "each"]
CBD_YEAR: tuple[CbdYear, ...] = ("base", "each")
Measures = Literal["all", "urban"]
MEASURES: tuple[Measures, ...] = ("all", "urban")

# Raised whenever a measure of the same grids changes: years kept under older rules are measured anew.
RULES_VERSION = 1
# Shares and gradients of a city with fewer urban cells than this rest on too little; its rows say so.
FEW_URBAN_CELLS = 10

# Every column: its unit and what it means. The codebook of a panel is made of this.
COLUMNS: dict[str, tuple[str, str]] = {
    "area_km2": ("km2", "area of the city's cells, geodesic, with or without data"),
    "population": ("persons", "population of the city"),
    "light_mean": ("DN or radiance", "mean light over cells with valid light"),
    "light_sum": ("DN or radiance", "sum of light over cells with valid light"),
    "ln_light": ("ln", "natural log of the mean light; missing where it is not positive"),
    "urban_area_km2": ("km2", "area of urban cells"),
    "urban_population": ("persons", "population of urban cells"),
    "urban_density": ("persons per km2", "urban population over urban area"),
    "low_area_km2": ("km2", "area of urban cells below the density threshold"),
    "high_area_km2": ("km2", "area of urban cells at or above the density threshold"),
    "low_population": ("persons", "population of urban cells below the density threshold"),
    "high_population": ("persons", "population of urban cells at or above the density threshold"),
    "density_threshold": ("persons per km2", "density that splits urban cells into low and high"),
    "sprawl_index": ("0 to 1", "sprawl index; towards 1 = more sprawl"),
    "cbd_lon": ("degrees east", "longitude of the CBD cell's centre, WGS 84"),
    "cbd_lat": ("degrees north", "latitude of the CBD cell's centre, WGS 84"),
    "cbd_light": ("DN or radiance", "light of the CBD cell"),
    "cbd_ties": ("cells", "cells that tie for the brightest; 1 if it is unique"),
    "central_population": ("persons", "population within the radius of the CBD"),
    "central_density": ("persons per km2", "central population over the area of those cells"),
    "suburban_share": ("0 to 1", "share of the city's population beyond the radius of the CBD"),
    "density_cv": ("ratio", "coefficient of variation of density across urban cells"),
    "gradient": ("ln per km", "slope of ln density on distance to the CBD over urban cells"),
    "gradient_se": ("ln per km", "standard error of the gradient"),
    "gradient_r2": ("0 to 1", "R2 of the gradient"),
    "patches": ("patches", "8-connected patches of urban cells"),
    "largest_patch_km2": ("km2", "area of the largest patch"),
    "density_cv_weighted": ("ratio", "coefficient of variation of density, weighted by area"),
    "cells": ("cells", "cells whose centre lies in the city"),
    "urban_cells": ("cells", "urban cells whose centre lies in the city"),
    "dark_cells": ("cells", "cells whose light is zero"),
    "saturated_cells": ("cells", "cells at the sensor's saturation"),
    "light_missing_cells": ("cells", "cells without valid light"),
    "population_missing_cells": ("cells", "cells without population data"),
    "cbd_rule": (
        "text",
        "what decided the CBD: brightest, density, centroid, population-weighted, row-column or table",
    ),
    "note": ("text", "why a measure is missing, or what to mind"),
}


@dataclass(frozen=True)
class FormOptions:
    """How urban form is measured.

    Parameters
    ----------
    min_light : float
        A cell is urban where its light exceeds this ...
    min_density : float
        ... and its density exceeds this (persons per km2).
    threshold : float or "auto"
        Density that splits urban cells (persons per km2); "auto" takes the mean density over all urban cells of
        the base year.
    base_year : int, optional
        Year of the automatic threshold and of the CBD under ``cbd_year="base"``; the first year by default. It
        may lie outside the years that are measured.
    cbd_ties : {"cluster-density", "cluster-centroid", "population-weighted"}
    cbd_year : {"base", "each"}
        One CBD a city, from the base year; or one a year.
    radius_km : float
        Around the CBD.
    assign : {"centre", "coverage"}
        Membership of cells.
    align : {"mean", "nearest"}
        How lights are brought to the population's lattice.
    measures : {"all", "urban"}
        All columns; or those of lights and of urban cells, for which the population is read only where there is
        light. Population, central and suburban columns are then missing.

    Raises
    ------
    InputError
        If a value is out of range.
    """

    min_light: float = 10.0
    min_density: float = 1000.0
    threshold: float | Literal["auto"] = "auto"
    base_year: int | None = None
    cbd_ties: CbdTies = "cluster-density"
    cbd_year: CbdYear = "base"
    radius_km: float = 3.0
    assign: Assign = "centre"
    align: Align = "mean"
    measures: Measures = "all"

    def __post_init__(self) -> None:
        require_positive(self.min_light, "min_light", zero=True)
        require_positive(self.min_density, "min_density", zero=True)
        require_positive(self.radius_km, "radius_km")
        if self.threshold != "auto":
            require_positive(self.threshold, "threshold")
        require_choice(self.cbd_ties, CBD_TIES, "cbd_ties")
        require_choice(self.cbd_year, CBD_YEAR, "cbd_year")
        require_choice(self.assign, ASSIGN, "assign")
        require_choice(self.align, ALIGN, "align")
        require_choice(self.measures, MEASURES, "measures")


@dataclass(frozen=True)
class YearForm:
    """Urban form of all cities in one year.

    Attributes
    ----------
    year : int
    table : DataFrame
        One row a city: ``city_code``, ``year`` and the columns of ``COLUMNS``.
    cbds : DataFrame
        As :func:`gistools.city.centre.find_cbds` gives it.
    threshold : float
        Density threshold used; NaN without population or lights.
    counts : dict
        National counts: population in the window and in cities, urban cells, largest light.
    """

    year: int
    table: pd.DataFrame
    cbds: pd.DataFrame
    threshold: float
    counts: dict[str, float] = field(default_factory=dict)


def measure_year(
    year: int,
    lights: GridSource | None,
    population: GridSource | None,
    zones: Zones,
    options: FormOptions,
    *,
    threshold: float | None = None,
    cbds: pd.DataFrame | None = None,
    circle: CircleCells | None = None,
    saturated: float | None = None,
    execution: Execution | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> YearForm:
    """Measure the urban form of all cities in one year by one scan of its grids.

    Parameters
    ----------
    year : int
    lights, population : GridSource or None
        Either may be left out; measures that need it are then missing. Lights may lie on another lattice.
    zones : Zones
        The label grid, on the population's lattice (or the lights', without population).
    options : FormOptions
    threshold : float, optional
        Density threshold of the base year; by default the option's number, or this year's own mean.
    cbds : DataFrame, optional
        CBDs of the base year or known ones; by default this year's own.
    circle : CircleCells, optional
        The cells around `cbds`, where they were found before.
    saturated : float, optional
        Light at which the sensor saturates.
    execution : Execution, optional
    progress : callable, optional
        Called with the slabs done and the slabs in all.

    Returns
    -------
    YearForm
    """
    if lights is None and population is None:
        raise InputError(f"year {year} has neither lights nor population; give at least one of them")
    aligned = None if lights is None else align(lights, zones.grid, how=options.align)
    # without lights there are no urban cells to be content with
    people = population if options.measures == "all" or lights is None else None
    if circle is None and cbds is not None and people is not None:
        circle = circle_cells(zones, cbds, radius_km=options.radius_km)
    scan = scan_year(
        aligned,
        population,
        zones,
        min_light=options.min_light,
        min_density=options.min_density,
        saturated=saturated,
        pick=None if cbds is None else (cbds["row"].to_numpy(), cbds["col"].to_numpy()),
        pick_people=None if circle is None or people is None else (circle.row, circle.col),
        totals=people is not None,
        execution=execution,
        progress=progress,
    )
    if population is not None:
        judge_people(scan, population.name)
    if threshold is None:
        if options.threshold != "auto":
            threshold = float(options.threshold)
        elif scan.has_light and scan.has_population:
            threshold = urban_density_threshold(scan.urban)
        else:
            threshold = np.nan
    if cbds is None:
        cbds = find_cbds(scan.brightest, zones.grid, zones.codes, ties=options.cbd_ties)
    else:
        cbds = cbds.assign(cbd_light=scan.picked_light)
    central = None
    if circle is not None and scan.picked_population is not None:
        central = circle_population(circle, scan.picked_population, zones.grid)
    elif people is not None:
        central = central_population(people, zones, cbds, radius_km=options.radius_km)
    urban = _urban_columns(scan, threshold, cbds) if scan.has_light and scan.has_population else {}
    table = _table(year, scan, cbds, urban, central)
    in_cities = float(scan.totals.population.sum()) if scan.has_totals else np.nan
    counts = {
        "population_in_window": scan.population_in_window if scan.has_totals else np.nan,
        "population_in_cities": in_cities,
        "urban_cells": float(scan.urban.inside.sum()),
        "largest_light": scan.largest_light if scan.has_light else np.nan,
        "density_threshold": threshold,
    }
    return YearForm(year, table, cbds, threshold, counts)


def judge_people(scan: Scan, name: str) -> None:
    """Refuse a population grid by what its scan found: counts that no cell, no city or not the earth can hold.

    Parameters
    ----------
    scan : Scan
    name : str
        The file, for the message.

    Raises
    ------
    GridError
    """
    zones = scan.zones
    judge_cell(scan.largest_count, _largest_cell_km2(zones), name)
    if scan.has_totals:
        judge_total(scan.population_in_window, name)
        judge_cities(scan.totals.population, zones.area_km2(), zones.codes, name)


def _largest_cell_km2(zones: Zones) -> float:
    """Area of the largest of the cells at the corners of what the cities cover; NaN if there is none."""
    window = zones.window
    if window is None:
        return np.nan
    corners = zones.grid.cell_area_km2_at([window.row0, window.row1 - 1], [window.col0, window.col1 - 1])
    return float(np.fmax(*corners))


def _table(
    year: int, scan: Scan, cbds: pd.DataFrame, urban: dict[str, NDArray], central: Central | None
) -> pd.DataFrame:
    zones, totals = scan.zones, scan.totals
    cells = zones.cells().astype(np.float64)
    area = zones.area_km2()
    empty = area == 0
    columns: dict[str, Any] = {name: np.full(len(cells), np.nan) for name in COLUMNS if name != "note"}
    columns["area_km2"] = np.where(empty, np.nan, area)
    columns["cells"] = cells
    columns["cbd_rule"] = cbds["cbd_rule"].to_numpy(object)
    with np.errstate(invalid="ignore", divide="ignore"):
        if scan.has_totals:
            unknown = empty | (totals.population_cells <= 0)
            columns["population"] = np.where(unknown, np.nan, totals.population)
            columns["population_missing_cells"] = _missing(totals.population_cells, zones)
        if scan.has_light:
            dark = empty | (totals.light_cells <= 0)
            mean = totals.light_sum / totals.light_cells
            columns["light_mean"] = np.where(dark, np.nan, mean)
            columns["light_sum"] = np.where(dark, np.nan, totals.light_sum)
            columns["ln_light"] = np.where(dark | (mean <= 0), np.nan, np.log(np.where(mean > 0, mean, 1.0)))
            columns["light_missing_cells"] = _missing(totals.light_cells, zones)
            columns["dark_cells"] = _whole(totals.light_dark, zones)
            columns["saturated_cells"] = _whole(totals.light_saturated, zones)
            for name in ("cbd_lon", "cbd_lat", "cbd_light"):
                columns[name] = cbds[name].to_numpy(np.float64)
            columns["cbd_ties"] = np.where(cbds["cbd_lon"].notna(), cbds["cbd_ties"], np.nan)
        columns |= urban
        if central is not None and scan.has_totals:
            columns["central_population"] = central.population
            columns["central_density"] = central.population / central.area_km2
            share = 1 - central.population / columns["population"]
            columns["suburban_share"] = np.where(columns["population"] > 0, np.clip(share, 0.0, 1.0), np.nan)
    table = pd.DataFrame({"city_code": list(zones.codes), "year": year, **columns})
    table["note"] = _notes(scan, table, cbds, empty)
    return table[["city_code", "year", *COLUMNS]]


def _missing(valid: NDArray, zones: Zones) -> NDArray:
    """Cells of each city that are not valid; with coverage the sum of their covered fractions."""
    missing = zones.covered_cells() - valid
    return np.where(missing > 1e-6, _whole(missing, zones), 0.0)  # below: rounding of the fractions' sums


def _whole(count: NDArray, zones: Zones) -> NDArray:
    """Counts of cells are whole numbers, but for membership by coverage."""
    return np.round(count) if zones.edges is None else count


def _urban_columns(scan: Scan, threshold: float, cbds: pd.DataFrame) -> dict[str, NDArray]:
    """Measures of the urban cells; missing where a city has no population data at all."""
    cells, cities = scan.urban, len(scan.zones.codes)
    unknown = scan.zones.area_km2() == 0
    if scan.has_totals:
        unknown |= scan.totals.population_cells <= 0
    low, high = cells.density < threshold, cells.density >= threshold  # neither where there is no threshold
    area, people = cells.area_km2 * cells.weight, cells.population * cells.weight

    def by_city(values: NDArray, which: NDArray) -> NDArray:
        return np.bincount(cells.zone[which], values[which], cities)

    low_area, high_area = by_city(area, low), by_city(area, high)
    low_people, high_people = by_city(people, low), by_city(people, high)
    variation = density_variation(cells, cities)
    gradient = density_gradient(cells, scan.zones.grid.lonlat(cells.row, cells.col), cbds)
    patches = urban_patches(cells, cities)
    every = np.ones(len(area), bool)
    urban_area, urban_people = by_city(area, every), by_city(people, every)
    out = {
        "urban_area_km2": urban_area,
        "urban_population": urban_people,
        "urban_density": urban_people / np.where(urban_area > 0, urban_area, np.nan),
        "low_area_km2": low_area,
        "high_area_km2": high_area,
        "low_population": low_people,
        "high_population": high_people,
        "sprawl_index": sprawl_index(low_area, high_area, low_people, high_people),
        "density_cv": variation.plain,
        "density_cv_weighted": variation.weighted,
        "gradient": gradient.slope,
        "gradient_se": gradient.std_error,
        "gradient_r2": gradient.r2,
        "patches": patches.patches.astype(np.float64),
        "largest_patch_km2": patches.largest_km2,
        "urban_cells": np.bincount(cells.zone[cells.inside], minlength=cities).astype(np.float64),
    }
    out = {name: np.where(unknown, np.nan, values) for name, values in out.items()}
    out["density_threshold"] = np.full(cities, threshold)
    return out


def _notes(scan: Scan, table: pd.DataFrame, cbds: pd.DataFrame, empty: NDArray) -> list[str]:
    """Why a measure is missing, or what to mind, for each city."""
    zones, totals = scan.zones, scan.totals
    urban, urban_area, cells = (table[name].to_numpy() for name in ("urban_cells", "urban_area_km2", "cells"))
    by_table = cbds["cbd_rule"].to_numpy() == "table"
    without_cbd, off_grid = cbds["cbd_lon"].isna().to_numpy(), (cbds["row"] < 0).to_numpy()
    notes = []
    for k in range(len(zones.codes)):
        said = []
        outside = zones.outside_share[k]
        if outside >= 1:
            said.append("outside the grid")
        elif outside > 0.001:
            said.append(f"reaches past the grid ({100 * outside:.1f} % of its area)")
        if outside < 1 and cells[k] == 0:
            said.append("no cell centre inside the boundary (smaller than a cell)")
        if not empty[k]:
            if scan.has_totals and totals.population_cells[k] <= 0:
                said.append("no population data")
            if scan.has_light and totals.light_cells[k] <= 0:
                said.append("no light data")
            elif scan.has_light and without_cbd[k] and not by_table[k] and cells[k]:
                said.append("no light above zero: no CBD")
            elif off_grid[k] and not without_cbd[k]:
                said.append("the CBD lies outside this year's grid")
            if urban_area[k] == 0:
                said.append("no urban cell")
            elif urban[k] < FEW_URBAN_CELLS:
                rests = (
                    "shares rest on few cells, a gradient needs 3"
                    if urban[k] < 3
                    else "shares and gradient rest on few"
                )
                said.append(f"few urban cells ({urban[k]:.0f}): {rests}")
        notes.append("; ".join(said))
    return notes
