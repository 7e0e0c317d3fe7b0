"""Urban masks and CBDs as files: the verbs behind ``gistools city mask`` and ``gistools city cbd``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd

from gistools.city.form import FormOptions, measure_year
from gistools.city.mask import ClassSource, PatchesOf, patch_polygons, whole_grid
from gistools.city.urban import HIGH, LOW, NOT_URBAN
from gistools.errors import GistoolsError, InputError, OutputError
from gistools.grid import WGS84, Block, Grid, GridSource
from gistools.io.atomic import require_writable
from gistools.io.cog import write_cog
from gistools.io.tables import require_table_extension, write_table
from gistools.io.vectors import DRIVERS, write_vector
from gistools.raster.align import align
from gistools.raster.zonal import scan_year
from gistools.raster.zones import Zones, label_zones
from gistools.study._counted import CountedSource
from gistools.study.form import measure_form
from gistools.study.inputs import Grids, Problem, check_boundaries
from gistools.study.progress import Progress
from gistools.version import __version__

if TYPE_CHECKING:
    from gistools.raster.tasks import Execution

NO_DATA = 255
CLASSES = "0 not urban, 1 urban of low density, 2 urban of high density, 255 no data or outside the cities"


@dataclass
class MaskResult:
    """What was written: masks by year with the cells of each class, the threshold, and the years that failed."""

    out: Path
    threshold: float
    cells: dict[int, dict[str, int]] = field(default_factory=dict)
    patches: int | None = None
    failures: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Files and counts for ``--json``."""
        return {
            "masks": {str(year): str(self.out / mask_name(year)) for year in self.cells},
            "cells": {str(year): counts for year, counts in self.cells.items()},
            "density_threshold": self.threshold,
            "patches": self.patches,
            "notes": self.notes,
            "failures": [str(problem) for problem in self.failures],
        }


def mask_name(year: int) -> str:
    """Name of the file of a year."""
    return f"urban_{year}.tif"


def require_vector(path: Path, *, tables: bool = False) -> None:
    """Refuse, before any work, a vector file whose extension or folder will not do.

    Raises
    ------
    InputError, OutputError
    """
    if path.suffix not in (*DRIVERS, ".parquet"):
        if not tables:
            raise InputError(f"{path}: vectors are written as {', '.join([*DRIVERS, '.parquet'])}, by extension")
        require_table_extension(path)
    require_writable(path.parent)


def write_masks(
    boundaries: gpd.GeoDataFrame | None,
    grids: Grids,
    years: tuple[int, ...],
    options: FormOptions,
    out: Path,
    *,
    polygons: Path | None = None,
    patches_of: PatchesOf = "urban",
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> MaskResult:
    """Write the urban mask and density classes of every year as a Cloud-Optimised GeoTIFF.

    Parameters
    ----------
    boundaries : GeoDataFrame or None
        Cities: masks are cut to them, and the threshold is taken over their urban cells, as the panel takes it.
        Without them masks cover the whole population grid, and so does the threshold.
    grids : Grids
        As :func:`gistools.study.form.open_form_grids` gives them; years with a problem are set aside.
    years : tuple of int
    options : FormOptions
        Thresholds, base year, membership and alignment.
    out : Path
        Folder of ``urban_{year}.tif``: uint8, 0 not urban, 1 low, 2 high density, 255 no data; thresholds, rules,
        sources and units are in the tags of each.
    polygons : Path, optional
        Vector file of urban patches, all years in one.
    patches_of : {"urban", "classes"}
        See :func:`gistools.city.mask.patch_polygons`.
    execution : Execution, optional
    progress : Progress, optional

    Returns
    -------
    MaskResult

    Raises
    ------
    InputError
        If no year can be written, or the base year cannot be measured.
    OutputError
        If a file cannot be written.
    """
    progress = progress or Progress(len(years), quiet=True)
    result = MaskResult(out, np.nan)
    result.failures, done = _set_aside(grids, progress)
    result.notes = list(grids.notes) if boundaries is None else [*grids.notes, *check_boundaries(boundaries, grids)]
    zones_of = _ZonesOf(boundaries, options)
    base = options.base_year if options.base_year is not None else years[0]
    if options.threshold == "auto":
        # the same measuring as the panel's, its judging of the grids included
        zones = zones_of(grids.population[base].grid)
        form = measure_year(base, grids.lights[base], grids.population[base], zones, options, execution=execution)
        result.threshold = form.threshold
    else:
        result.threshold = float(options.threshold)
    patches: list[gpd.GeoDataFrame] = []
    wanted = [year for year in years if year not in done]
    progress.years = len(wanted)
    for year in wanted:
        try:
            zones = zones_of(grids.population[year].grid)
            source = _class_source(grids, year, options, result.threshold, zones, whole=boundaries is None)
            counted = _Counted(source, _in_thousandths(progress, year, source.grid))
            tags = _tags(grids, year, options, result.threshold, base, boundaries)
            write_cog(out / mask_name(year), counted, dtype="uint8", nodata=NO_DATA, tags=tags)
            if polygons is not None:
                found = _patches(grids, year, options, zones, result.threshold, patches_of, execution)
                patches.append(_labelled(found, boundaries, year))
        except OutputError:  # a full disk is no fault of the year
            raise
        except GistoolsError as error:
            result.failures.append(Problem("year", str(error), year))
            progress.say(f"Set aside: year {year}: {error}")
            continue
        result.cells[year] = counted.counts
    progress.close()
    if not result.cells:
        raise InputError(f"no year could be written: {result.failures[-1]}")
    if polygons is not None:
        result.patches = sum(map(len, patches))
        write_vector(_joined(patches), polygons)
    return result


def _set_aside(grids: Grids, progress: Progress) -> tuple[list[Problem], set[int]]:
    """Name the years that cannot be used and leave them out."""
    failures = [problem for problem in grids.problems if problem.year is not None]
    for problem in failures:
        progress.say(f"Set aside: {problem}")
    bad = {problem.year for problem in failures if problem.year is not None}
    grids.drop(sorted(bad))
    return failures, bad


class _ZonesOf:
    """The label grid of a lattice, one for all years that share it."""

    def __init__(self, boundaries: gpd.GeoDataFrame | None, options: FormOptions) -> None:
        self.boundaries, self.options = boundaries, options
        self.made: list[Zones] = []

    def __call__(self, grid: Grid) -> Zones:
        for zones in self.made:
            if zones.grid.same_as(grid):
                return zones
        if self.boundaries is None:
            zones = whole_grid(grid)
        else:
            zones = label_zones(self.boundaries, grid, assign=self.options.assign)
        self.made.append(zones)
        return zones


def _class_source(
    grids: Grids, year: int, options: FormOptions, threshold: float, zones: Zones, *, whole: bool
) -> ClassSource:
    population = grids.population[year]
    return ClassSource(
        align(grids.lights[year], population.grid, how=options.align),
        population,
        options.min_light,
        options.min_density,
        threshold,
        None if whole else zones,
    )


class _Counted(CountedSource):
    """Counts the cells of each class."""

    def __init__(self, source: GridSource, progress: Callable[[int], None]) -> None:
        super().__init__(source)
        self.progress = progress
        self.counts = {"not_urban": 0, "low": 0, "high": 0, "no_data": 0}

    def count(self, block: Block) -> None:
        valid = block.is_valid()
        found = np.bincount(block.values[valid], minlength=3)
        for name, value in (("not_urban", NOT_URBAN), ("low", LOW), ("high", HIGH)):
            self.counts[name] += int(found[value])
        self.counts["no_data"] += int(valid.size - found.sum())
        self.progress(sum(self.counts.values()))


def _in_thousandths(progress: Progress, year: int, grid: Grid) -> Callable[[int], None]:
    """Report cells as the thousandth parts of a year."""
    whole = grid.height * grid.width
    return lambda cells: progress(year, 1000 * cells // whole, 1000)


def _tags(
    grids: Grids, year: int, options: FormOptions, threshold: float, base: int, boundaries: gpd.GeoDataFrame | None
) -> dict[str, str]:
    """What a mask says of itself."""
    over = "the whole grid" if boundaries is None else f"{len(boundaries)} cities"
    rule = (
        f"auto: mean density over the urban cells of {over} in {base}"
        if options.threshold == "auto"
        else "a given number"
    )
    tags = {
        "year": str(year),
        "classes": CLASSES,
        "units": "class",
        "rule": f"urban = light > {options.min_light:g} and density > {options.min_density:g} persons per km2, both "
        f"strict; low = density < {threshold!r}",
        "min_light": f"{options.min_light!r}",
        "min_density": f"{options.min_density!r}",
        "density_threshold": f"{threshold!r}",
        "density_units": "persons per km2",
        "threshold_rule": rule,
        "align": options.align,
        "lights": grids.lights[year].name,
        "population": grids.population[year].name,
        "software": f"gistools {__version__}",
    }
    if boundaries is not None:
        tags["assign"] = options.assign
    for part, products in (("lights", grids.light_products), ("population", grids.population_products)):
        if year in products:
            tags[f"{part}_product"] = products[year].name
            tags[f"{part}_units"] = products[year].units
    return tags


def _patches(
    grids: Grids,
    year: int,
    options: FormOptions,
    zones: Zones,
    threshold: float,
    patches_of: PatchesOf,
    execution: Execution | None,
) -> gpd.GeoDataFrame:
    scan = scan_year(
        align(grids.lights[year], zones.grid, how=options.align),
        grids.population[year],
        zones,
        min_light=options.min_light,
        min_density=options.min_density,
        execution=execution,
    )
    return patch_polygons(scan.urban, zones.grid, zones.codes, threshold=threshold, patches_of=patches_of)


def _labelled(patches: gpd.GeoDataFrame, boundaries: gpd.GeoDataFrame | None, year: int) -> gpd.GeoDataFrame:
    """Add names and the year; without boundaries there is no code to show."""
    if boundaries is None:
        return patches.drop(columns="city_code").assign(year=year)[["year", *patches.columns[1:]]]
    names = boundaries.assign(city_code=boundaries["city_code"].astype(str)).set_index("city_code")
    for position, column in enumerate(("city_name", "province"), start=1):
        if column in names and names[column].notna().any():
            patches.insert(position, column, patches["city_code"].map(names[column]))
    patches.insert(patches.columns.get_loc("class"), "year", year)
    return patches


def _joined(patches: list[gpd.GeoDataFrame]) -> gpd.GeoDataFrame:
    """One table of all years, in one CRS: that of the first, should lattices differ."""
    crs = patches[0].crs
    return gpd.GeoDataFrame(pd.concat([part.to_crs(crs) for part in patches], ignore_index=True), crs=crs)


@dataclass
class CbdResult:
    """CBDs as points, and the years that failed."""

    cbds: gpd.GeoDataFrame
    failures: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def missing(self) -> int:
        """Rows without a CBD."""
        return int(self.cbds["cbd_lon"].isna().sum())

    def to_dict(self) -> dict[str, Any]:
        """Counts for ``--json``."""
        return {
            "rows": len(self.cbds),
            "without_cbd": self.missing,
            "years": sorted(map(int, self.cbds["year"].unique())),
            "rules": {str(rule): int(count) for rule, count in self.cbds["cbd_rule"].value_counts().items()},
            "notes": self.notes,
            "failures": [str(problem) for problem in self.failures],
        }


def find_city_cbds(
    boundaries: gpd.GeoDataFrame,
    grids: Grids,
    years: tuple[int, ...],
    options: FormOptions,
    *,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> CbdResult:
    """Find the CBD of every city: one from the base year, or one in each year.

    Parameters
    ----------
    boundaries : GeoDataFrame
    grids : Grids
        Lights, and population where ties are broken by it.
    years : tuple of int
    options : FormOptions
        ``cbd_ties``, ``cbd_year``, ``base_year`` and ``align`` count.
    execution : Execution, optional
    progress : Progress, optional

    Returns
    -------
    CbdResult
        One row a city (and year, with ``cbd_year="each"``): ``city_code``, ``city_name``, ``province``, ``year``,
        ``cbd_lon``, ``cbd_lat`` (degrees, WGS 84), ``cbd_light``, ``cbd_ties``, ``cbd_rule``, ``note``, the point.
        A city without a CBD has a row without a point; its note says why.

    Raises
    ------
    InputError
        If nothing can be measured.
    """
    base = options.base_year if options.base_year is not None else years[0]
    wanted = years if options.cbd_year == "each" else (base,)
    # the density threshold plays no part: with a number no year waits for it
    measured = measure_form(
        boundaries,
        grids,
        wanted,
        replace(options, threshold=1.0, base_year=base if options.cbd_year == "base" else None),
        execution=execution,
        progress=progress,
    )
    panel = measured.panel
    none = panel["cbd_lon"].isna()
    columns = ["city_code", "city_name", "province", "year", "cbd_lon", "cbd_lat", "cbd_light", "cbd_ties"]
    table = panel[columns].assign(
        cbd_rule=panel["cbd_rule"].where(~none, "none"),
        note=[_why_none(note) if missing else "" for note, missing in zip(panel["note"], none, strict=True)],
    )
    table["cbd_ties"] = table["cbd_ties"].astype("Int64")
    table.attrs = {}
    # a missing point, not a point of no coordinates: those are not valid in every format
    points = gpd.points_from_xy(table["cbd_lon"], table["cbd_lat"]).to_numpy()
    points[none.to_numpy()] = None
    return CbdResult(gpd.GeoDataFrame(table, geometry=points, crs=WGS84), measured.failures, measured.notes)


def _why_none(note: object) -> str:
    """The part of a row's note that says why there is no CBD."""
    parts = [part for part in str(note).split("; ") if "urban cell" not in part]
    return "; ".join(parts) or "no CBD"


def write_cbds(result: CbdResult, out: Path) -> None:
    """Write CBDs as points, or as a table without geometry, by the extension of the path."""
    if out.suffix in DRIVERS or out.suffix == ".parquet":
        write_vector(result.cbds, out)
    else:
        write_table(pd.DataFrame(result.cbds.drop(columns="geometry")), out)
