"""How much the sprawl index and the CBD owe to thresholds and rules, from one scan of one year."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gistools.city.centre import CBD_TIES, find_cbds
from gistools.city.form import FormOptions, judge_people
from gistools.city.sprawl import sprawl_index
from gistools.city.urban import urban_density_threshold
from gistools.errors import InputError
from gistools.grid import GridSource, geodesic_km
from gistools.raster.align import align
from gistools.raster.tasks import Execution
from gistools.raster.zonal import UrbanCells, scan_year
from gistools.raster.zones import Zones

if TYPE_CHECKING:
    from numpy.typing import NDArray

# 8 and 12 for the digital number 10; 500 and 1500 for 1000 persons per km2; the same steps around other thresholds.
LIGHT_FACTORS = (0.8, 1.2)
DENSITY_FACTORS = (0.5, 1.5)
# Around the density that splits low from high.
THRESHOLD_FACTORS = (0.8, 1.2)


def sensitivity(
    lights: GridSource,
    population: GridSource,
    zones: Zones,
    options: FormOptions,
    *,
    base: pd.DataFrame | None = None,
    execution: Execution | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Vary thresholds and rules, one at a time; compare the sprawl index and the CBDs with what was chosen.

    Parameters
    ----------
    lights, population : GridSource
        Of one year.
    zones : Zones
    options : FormOptions
        What was chosen. Thresholds are varied by 0.8 and 1.2 (light, and the density that splits low from high) and
        by 0.5 and 1.5 (density of urban cells); then come the other rules of the threshold and the CBD.
    base : DataFrame, optional
        The table of the base year under the same options: each row takes its density threshold, as every year of a
        panel takes that of the base year. By default thresholds are this year's own.
    execution : Execution, optional
    progress : callable, optional

    Returns
    -------
    DataFrame
        One row a variant, the chosen one first: ``varied``, ``min_light``, ``min_density``, ``threshold_rule``,
        ``cbd_ties``, ``density_threshold``, ``urban_cells``, ``cities_without_urban_cells``,
        ``mean_sprawl_index``, ``rank_correlation`` (of the index with the chosen one, Spearman),
        ``cbds_moved``, ``median_move_km`` (of the CBDs that moved; they are this year's, by its own lights).

    Raises
    ------
    InputError
        If `base` was made under other options.
    GridError
        If the population cannot be counts of persons.

    Notes
    -----
    The grids are scanned once, at the lowest thresholds; each variant is a selection of those cells.

    Examples
    --------
    Two cities of one row, lit and dense at their western end:

    >>> from affine import Affine
    >>> from gistools.grid import WGS84, ArraySource, Grid
    >>> from gistools.raster.zones import label_zones
    >>> import geopandas as gpd
    >>> import shapely
    >>> grid = Grid(WGS84, Affine(0.01, 0, 104, 0, -0.01, 30), (1, 8))
    >>> light = ArraySource(grid, np.array([[60.0, 40, 11, 9, 60, 11, 9, 0]]))
    >>> people = ArraySource(grid, np.array([[9000.0, 3000, 2000, 2000, 5000, 1800, 1500, 10]]))
    >>> halves = [shapely.box(104, 29.99, 104.04, 30), shapely.box(104.04, 29.99, 104.08, 30)]
    >>> cities = gpd.GeoDataFrame({"city_code": ["a", "b"]}, geometry=halves, crs=4326)
    >>> table = sensitivity(light, people, label_zones(cities, grid), FormOptions())
    >>> table[["varied", "min_light", "min_density", "urban_cells"]].head(5)
            varied  min_light  min_density  urban_cells
    0       chosen       10.0       1000.0            5
    1    min_light        8.0       1000.0            7
    2    min_light       12.0       1000.0            3
    3  min_density       10.0        500.0            5
    4  min_density       10.0       1500.0            5
    """
    scan = scan_year(
        align(lights, zones.grid, how=options.align),
        population,
        zones,
        min_light=options.min_light * min(LIGHT_FACTORS),
        min_density=options.min_density * min(DENSITY_FACTORS),
        execution=execution,
        progress=progress,
    )
    judge_people(scan, population.name)
    given: list[float | None] = [None] if base is None else base["density_threshold"].tolist()
    chosen_index, chosen_threshold, _ = _index(scan.urban, zones, options, given[0])
    chosen_cbds = find_cbds(scan.brightest, zones.grid, zones.codes, ties=options.cbd_ties)
    variants = _variants(options, chosen_threshold)
    if base is None:
        given = [None] * len(variants)
    elif base["varied"].tolist() != [varied for varied, _, _ in variants]:
        raise InputError("the table of the base year was made under other options; make both under the same")
    rows: list[dict[str, Any]] = []
    for (varied, rule, variant), known in zip(variants, given, strict=True):
        index, threshold, cells = _index(scan.urban, zones, variant, known)
        cbds = find_cbds(scan.brightest, zones.grid, zones.codes, ties=variant.cbd_ties)
        km = geodesic_km(chosen_cbds["cbd_lon"], chosen_cbds["cbd_lat"], cbds["cbd_lon"], cbds["cbd_lat"])
        moved = km[np.isfinite(km) & (km > 0)]
        rows.append(
            {
                "varied": varied,
                "min_light": variant.min_light,
                "min_density": variant.min_density,
                "threshold_rule": rule,
                "cbd_ties": variant.cbd_ties,
                "density_threshold": threshold,
                "urban_cells": cells,
                "cities_without_urban_cells": int(np.isnan(index).sum()),
                "mean_sprawl_index": float(np.nanmean(index)) if np.isfinite(index).any() else np.nan,
                "rank_correlation": _spearman(chosen_index, index),
                "cbds_moved": len(moved),
                "median_move_km": float(np.median(moved)) if len(moved) else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _variants(options: FormOptions, threshold: float) -> list[tuple[str, str, FormOptions]]:
    """What is varied, the rule of the density threshold, and the options of each variant, the chosen one first."""
    rule = "auto" if options.threshold == "auto" else "number"
    out = [("chosen", rule, options)]
    out += [("min_light", rule, replace(options, min_light=f * options.min_light)) for f in LIGHT_FACTORS]
    out += [("min_density", rule, replace(options, min_density=f * options.min_density)) for f in DENSITY_FACTORS]
    if np.isfinite(threshold):
        out += [
            ("threshold", f"{rule} x {f:g}", replace(options, threshold=f * threshold)) for f in THRESHOLD_FACTORS
        ]
    if rule == "number":
        out.append(("threshold", "auto", replace(options, threshold="auto")))
    out += [("cbd_ties", rule, replace(options, cbd_ties=ties)) for ties in CBD_TIES if ties != options.cbd_ties]
    return out


def _index(
    cells: UrbanCells, zones: Zones, options: FormOptions, threshold: float | None
) -> tuple[NDArray, float, int]:
    """The sprawl index of each city under other options, its density threshold, and how many cells are urban."""
    kept = (cells.light > options.min_light) & (cells.density > options.min_density)
    cells = UrbanCells(*(column[kept] for column in cells))
    if threshold is None:
        threshold = _threshold(cells, options)
    low, high = cells.density < threshold, cells.density >= threshold  # neither where there is no threshold
    area, people = cells.area_km2 * cells.weight, cells.population * cells.weight
    n = len(zones.codes)
    parts = [np.bincount(cells.zone[w], v[w], n) for v in (area, people) for w in (low, high)]
    return sprawl_index(parts[0], parts[1], parts[2], parts[3]), threshold, int(cells.inside.sum())


def _threshold(cells: UrbanCells, options: FormOptions) -> float:
    if options.threshold != "auto":
        return float(options.threshold)
    try:
        return urban_density_threshold(cells)
    except InputError:  # nothing is urban under these thresholds: the row says so by its counts
        return np.nan


def _spearman(a: NDArray, b: NDArray) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 3:
        return np.nan
    return float(pd.Series(a[both]).corr(pd.Series(b[both]), method="spearman"))
