"""How much the sprawl index and the CBD owe to thresholds and rules, from one scan of one year."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gistools.city.centre import CBD_TIES, find_cbds
from gistools.city.form import FormOptions
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

# 8, 10, 12 for digital numbers; 500, 1000, 1500 persons per km2; and the same steps around other thresholds.
LIGHT_FACTORS = (0.8, 1.0, 1.2)
DENSITY_FACTORS = (0.5, 1.0, 1.5)


def sensitivity(
    lights: GridSource,
    population: GridSource,
    zones: Zones,
    options: FormOptions,
    *,
    execution: Execution | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> pd.DataFrame:
    """Vary the thresholds of light and density and the rule of the CBD; compare with what was chosen.

    Parameters
    ----------
    lights, population : GridSource
        Of one year.
    zones : Zones
    options : FormOptions
        What was chosen; its thresholds are varied by 0.8 and 1.2 (light), 0.5 and 1.5 (density).
    execution : Execution, optional
    progress : callable, optional

    Returns
    -------
    DataFrame
        One row a variant, the chosen one first: ``varied``, ``min_light``, ``min_density``, ``threshold_rule``,
        ``cbd_ties``, ``density_threshold``, ``urban_cells``, ``cities_without_urban_cells``,
        ``mean_sprawl_index``, ``rank_correlation`` (of the index with the chosen one, Spearman),
        ``cbds_moved``, ``median_move_km`` (of the CBDs that moved).

    Notes
    -----
    The grids are scanned once, at the lowest thresholds; each variant is a selection of those cells.
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
    base_index = _index(scan.urban, zones, options, options.min_light, options.min_density)[0]
    base_cbds = find_cbds(scan.brightest, zones.grid, zones.codes, ties=options.cbd_ties)
    variants = [("chosen", 1.0, 1.0, options.cbd_ties)]
    variants += [("min_light", f, 1.0, options.cbd_ties) for f in LIGHT_FACTORS if f != 1]
    variants += [("min_density", 1.0, f, options.cbd_ties) for f in DENSITY_FACTORS if f != 1]
    variants += [("cbd_ties", 1.0, 1.0, ties) for ties in CBD_TIES if ties != options.cbd_ties]
    rows: list[dict[str, Any]] = []
    for varied, light, density, ties in variants:
        min_light, min_density = options.min_light * light, options.min_density * density
        index, threshold, cells = _index(scan.urban, zones, options, min_light, min_density)
        cbds = find_cbds(scan.brightest, zones.grid, zones.codes, ties=ties)
        km = geodesic_km(base_cbds["cbd_lon"], base_cbds["cbd_lat"], cbds["cbd_lon"], cbds["cbd_lat"])
        moved = km[np.isfinite(km) & (km > 0)]
        rows.append(
            {
                "varied": varied,
                "min_light": min_light,
                "min_density": min_density,
                "threshold_rule": "auto" if options.threshold == "auto" else "number",
                "cbd_ties": ties,
                "density_threshold": threshold,
                "urban_cells": cells,
                "cities_without_urban_cells": int(np.isnan(index).sum()),
                "mean_sprawl_index": float(np.nanmean(index)) if np.isfinite(index).any() else np.nan,
                "rank_correlation": _spearman(base_index, index),
                "cbds_moved": len(moved),
                "median_move_km": float(np.median(moved)) if len(moved) else np.nan,
            }
        )
    return pd.DataFrame(rows)


def _index(
    cells: UrbanCells, zones: Zones, options: FormOptions, min_light: float, min_density: float
) -> tuple[NDArray, float, int]:
    """The sprawl index of each city under other thresholds, its density threshold, and how many cells are urban."""
    kept = (cells.light > min_light) & (cells.density > min_density)
    cells = UrbanCells(*(column[kept] for column in cells))
    if options.threshold != "auto":
        threshold = float(options.threshold)
    else:
        try:
            threshold = urban_density_threshold(cells)
        except InputError:  # nothing is urban under these thresholds: the row says so by its counts
            threshold = np.nan
    low = cells.density < threshold
    area, people = cells.area_km2 * cells.weight, cells.population * cells.weight
    n = len(zones.codes)
    parts = [np.bincount(cells.zone[w], v[w], n) for v in (area, people) for w in (low, ~low)]
    return sprawl_index(parts[0], parts[1], parts[2], parts[3]), threshold, int(cells.inside.sum())


def _spearman(a: NDArray, b: NDArray) -> float:
    both = np.isfinite(a) & np.isfinite(b)
    if both.sum() < 3:
        return np.nan
    return float(pd.Series(a[both]).corr(pd.Series(b[both]), method="spearman"))
