"""Inputs of a study, opened and judged before any work starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import geopandas as gpd
import numpy as np

from gistools.checks import listed
from gistools.city.series import LabelMaker
from gistools.errors import GistoolsError, GridError, InputError
from gistools.grid import Grid, GridSource, Product, same_crs
from gistools.io.raster_paths import is_packed
from gistools.io.rasters import (
    RasterSource,
    TiledSource,
    missing_years,
    open_tiles,
    probe,
    raster_facts,
    raster_files,
    read_grid,
    year_files,
)
from gistools.raster.align import Align, align, describe_alignment
from gistools.raster.calibration import Calibration, moved_threshold_note, tagged_calibrations
from gistools.raster.lights import (
    CALIBRATED,
    CompositeSource,
    lights_product,
    satellite,
    series_notes,
    thresholds_note,
)
from gistools.raster.population import judge_counts, population_product, refuse_density_tags
from gistools.raster.zones import Zones, label_zones

if TYPE_CHECKING:
    import xarray as xr

# A population grid this many times finer or coarser than the lights deserves a word.
_UNEVEN = 8.0


@dataclass(frozen=True)
class GridFiles:
    """Which rasters are meant: a pattern, the folder it starts from, and their product."""

    pattern: str
    product: str = "auto"
    folder: Path | None = None


@dataclass(frozen=True)
class Problem:
    """What is wrong with one input; of one year, or of all."""

    part: str
    message: str
    year: int | None = None

    def __str__(self) -> str:
        return f"{self.part}: {self.message}" if self.year is None else f"{self.part} {self.year}: {self.message}"


@dataclass
class Grids:
    """Opened grids by year, and what was found about them."""

    lights: dict[int, GridSource] = field(default_factory=dict)
    population: dict[int, GridSource] = field(default_factory=dict)
    light_products: dict[int, Product] = field(default_factory=dict)
    population_products: dict[int, Product] = field(default_factory=dict)
    files: dict[int, list[tuple[str, Path]]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def years(self) -> list[int]:
        """Years without a problem."""
        bad = {problem.year for problem in self.problems}
        return sorted(({*self.lights} | {*self.population}) - bad)

    @property
    def products(self) -> dict[int, list[Product]]:
        """What the cells of each year were read as: lights, then population, where they are given."""
        kinds = (self.light_products, self.population_products)
        return {year: [kind[year] for kind in kinds if year in kind] for year in self.years}

    @property
    def saturated(self) -> float | None:
        """Light at which the sensor saturates, where all years have one."""
        values = {product.saturated for product in self.light_products.values()}
        return values.pop() if len(values) == 1 else None

    def drop(self, years: Sequence[int]) -> None:
        """Leave years out."""
        for year in years:
            self.lights.pop(year, None)
            self.population.pop(year, None)


def open_grids(
    lights: GridFiles | None,
    population: GridFiles | None,
    years: Sequence[int],
    *,
    min_light: float = 10.0,
    how: Align = "mean",
) -> Grids:
    """Find, open and judge the grids of every year; nothing is computed.

    Parameters
    ----------
    lights, population : GridFiles or None
    years : sequence of int
    min_light : float
        Threshold, judged against the product of the lights.
    how : {"mean", "nearest"}
        How lights will be brought to the population's lattice.

    Returns
    -------
    Grids
        With one problem for each year that cannot be used.

    Raises
    ------
    InputError
        If a pattern is wrong, or no year can be used at all (the first year's reason is given).
    """
    grids = Grids(files={year: [] for year in years})
    for part, files, open_year in (
        ("lights", lights, _open_lights),
        ("population", population, _open_population),
    ):
        if files is not None:
            _open_years(grids, part, files, years, open_year)
    if not grids.years:
        first = grids.problems[0]
        raise InputError(
            first.message if len(grids.problems) == 1 else f"{first} (and so {len(years) - 1} more years)"
        )
    for year in grids.years:
        if year in grids.lights and year in grids.population:
            try:
                align(grids.lights[year], grids.population[year].grid, how=how)
            except GridError as error:
                grids.problems.append(Problem("lights", str(error), year))
    if not grids.years:
        raise InputError(grids.problems[0].message)
    grids.notes += _notes(grids, min_light, how)
    return grids


def _open_years(
    grids: Grids,
    part: str,
    files: GridFiles,
    years: Sequence[int],
    open_year: Callable[[Sequence[Path], str], tuple[GridSource, Product, str | None]],
) -> None:
    found = year_files(files.pattern, years, folder=files.folder)
    if not any(found.values()):
        raise InputError(f"{part}: {missing_years(files.pattern, found, files.folder)}")
    target = grids.lights if part == "lights" else grids.population
    products = grids.light_products if part == "lights" else grids.population_products
    for year, paths in found.items():
        if not paths:
            message = missing_years(files.pattern, {year: []}, files.folder) or ""
            grids.problems.append(Problem(part, message, year))
            continue
        try:
            source, product, note = open_year(paths, files.product)
            probe(source)
        except GistoolsError as error:
            grids.problems.append(Problem(part, str(error), year))
            continue
        target[year], products[year] = source, product
        grids.files[year] += [(part, file) for path in paths for file in raster_files(path)]
        if note:
            grids.notes.append(f"{year}: {note}")
        packed = [path.name for path in paths if is_packed(path)]
        if packed:
            grids.notes.append(
                f"{year}: {listed(packed)} {'was' if len(packed) == 1 else 'were'} unpacked into a temporary folder; "
                "what is read often is quicker unpacked once and for all"
            )


def _open_lights(paths: Sequence[Path], product: str) -> tuple[GridSource, Product, str | None]:
    facts = raster_facts(paths[0])
    known = lights_product(paths[0].name, str(facts["dtype"]), product=product, tags=facts["tags"])
    by_satellite: dict[str | None, list[Path]] = {}
    for path in paths:
        by_satellite.setdefault(satellite(path.name) or satellite(path.parent.name), []).append(path)
    sources = [open_tiles(group, known) for group in by_satellite.values()]
    if len(sources) == 1:
        return sources[0], known, None
    names = listed(sorted(str(name) for name in by_satellite))
    return CompositeSource(tuple(sources)), known, f"lights are the composite of {names}"


def _open_population(paths: Sequence[Path], product: str) -> tuple[GridSource, Product, str | None]:
    known = population_product(paths[0].name, product=product)
    source: RasterSource | TiledSource = open_tiles(paths, known)
    if product == "auto":
        for tile in source.tiles if isinstance(source, TiledSource) else (source,):
            refuse_density_tags(tile.name, dict(tile.tags))
    sample = probe(source)
    counts = sample.values[sample.is_valid()].astype(np.float64)
    # the area of a middle cell will do: a fault is off by orders of magnitude
    area = source.grid.cell_area_km2_at([source.grid.height // 2], [source.grid.width // 2])
    if np.isfinite(area).all():
        judge_counts(counts, np.full(len(counts), float(area[0])), source.name)
    return source, known, None


def _notes(grids: Grids, min_light: float, how: Align) -> list[str]:
    notes: list[str] = []
    both = [year for year in grids.years if year in grids.lights and year in grids.population]
    seen: list[tuple[Grid, Grid]] = []
    for year in both:
        light, people = grids.lights[year].grid, grids.population[year].grid
        if any(light.same_as(a) and people.same_as(b) for a, b in seen):
            continue
        seen.append((light, people))
        notes.append(describe_alignment(light, people, how))
        if same_crs(light.crs, people.crs):
            ratio = people.cell_size[0] / light.cell_size[0]
            if not 1 / _UNEVEN <= ratio <= _UNEVEN:
                finer = "coarser" if ratio > 1 else "finer"
                notes.append(
                    f"the population grid is {max(ratio, 1 / ratio):.0f} times {finer} than the lights: "
                    "a mask of both says little at the scale of the finer one"
                )
    if len(seen) > 1:
        notes.append("the grids of different years lie on different lattices; each year is measured on its own")
    for product in {product.name: product for product in grids.light_products.values()}.values():
        note = thresholds_note(product, min_light)
        if note:
            notes.append(note)
    calibrated = [grids.lights[y] for y in grids.years if grids.light_products.get(y) is CALIBRATED]
    moved = moved_threshold_note([one for source in calibrated for one in _calibrations(source)], min_light)
    if moved:
        notes.append(moved)
    notes += series_notes({year: p for year, p in grids.light_products.items() if year in grids.years})
    if {p.name for p in grids.population_products.values()} == {"LandScan"} and len(grids.years) > 1:
        notes.append(
            "LandScan's methods and inputs change from year to year: its producer warns against reading change "
            "over time cell by cell"
        )
    return notes


def _calibrations(source: GridSource) -> list[Calibration]:
    """The calibrations that went into a year of calibrated lights, as its files state them."""
    if isinstance(source, CompositeSource):
        return [one for part in source.sources for one in _calibrations(part)]
    first = source.tiles[0] if isinstance(source, TiledSource) else source
    return tagged_calibrations(dict(first.tags)) if isinstance(first, RasterSource) else []


def check_boundaries(boundaries: gpd.GeoDataFrame, grids: Grids, label: LabelMaker = label_zones) -> list[str]:
    """Lay the cities over the grids: refuse boundaries that miss them, and say which cities reach past them.

    Parameters
    ----------
    boundaries : GeoDataFrame
    grids : Grids
    label : callable
        Makes the label grid.

    Returns
    -------
    list of str
        Notes.

    Raises
    ------
    BoundaryError
        If no city touches the grid, or cities overlap.
    """
    year = grids.years[0]
    source = grids.population.get(year) or grids.lights[year]
    return zones_notes(label(boundaries, source.grid))


def zones_notes(zones: Zones) -> list[str]:
    """Say which cities reach past the grid, or hold no cell of it.

    Parameters
    ----------
    zones : Zones

    Returns
    -------
    list of str
        Notes.
    """
    notes: list[str] = []
    outside = [code for code, share in zip(zones.codes, zones.outside_share, strict=True) if share >= 1]
    past = [code for code, share in zip(zones.codes, zones.outside_share, strict=True) if 0.001 < share < 1]
    held = zones.covered_cells()
    small = [c for c, n, s in zip(zones.codes, held, zones.outside_share, strict=True) if n == 0 and s < 1]
    for codes, said in (
        (outside, "lie outside the grid; their rows are missing"),
        (past, "reach past the grid; only their part inside it is measured"),
        (small, "are smaller than a cell and hold no cell centre; their rows are missing"),
    ):
        if codes:
            notes.append(f"{len(codes)} of {len(zones.codes)} cities {said}: {listed(codes)}")
    return notes


def read_lights(path: str | Path, *, product: str = "auto", year: int | None = None) -> xr.DataArray:
    """Read a raster of night-lights as a labelled array, lazily; its product decides what is no data.

    Parameters
    ----------
    path : path
    product : str
        ``"auto"`` (by name, tags and number type), or ``dmsp``, ``calibrated``, ``harmonised``, ``viirs``,
        ``black-marble``, ``radiance``.
    year : int, optional
        Goes into the attributes.

    Returns
    -------
    DataArray, dims (y, x)
        NaN without data; attributes ``units``, ``product``, ``source``, ``year``.
    """
    path = Path(path)
    facts = raster_facts(path)
    known = lights_product(path.name, str(facts["dtype"]), product=product, tags=facts["tags"])
    return read_grid(path, known, year=year)


def read_population(path: str | Path, *, product: str = "auto", year: int | None = None) -> xr.DataArray:
    """Read a raster of population counts as a labelled array, lazily; negative counts are no data.

    Parameters
    ----------
    path : path
    product : str
        ``"auto"`` (by name), or ``landscan``, ``gpw``, ``worldpop``, ``ghs-pop``, ``counts``.
    year : int, optional
        Goes into the attributes.

    Returns
    -------
    DataArray, dims (y, x)
        Persons per cell, NaN without data.

    Raises
    ------
    GridError
        If name or metadata say that the grid holds densities.
    """
    path = Path(path)
    if product == "auto":
        refuse_density_tags(path.name, {str(k): str(v) for k, v in raster_facts(path)["tags"].items()})
    return read_grid(path, population_product(path.name, product=product), year=year)
