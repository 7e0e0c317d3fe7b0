"""Any grid and any vector features to city-year covariates: the verbs behind ``city zonal`` and ``city count``."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Literal, cast

import geopandas as gpd
import numpy as np
import pandas as pd

from gistools.checks import listed, require_choice, require_columns, require_numeric
from gistools.city.features import count_features
from gistools.errors import GistoolsError, InputError, OutputError
from gistools.grid import WGS84, GridSource, Product
from gistools.io.rasters import (
    UNKNOWN,
    RasterSource,
    TiledSource,
    missing_years,
    open_tiles,
    probe,
    raster_facts,
    year_files,
)
from gistools.io.tables import read_table
from gistools.io.vectors import read_vector
from gistools.raster import lights, population
from gistools.raster.align import align
from gistools.raster.products import named_product
from gistools.raster.statistics import (
    KEPT_GB,
    STATISTICS,
    quantile_level,
    require_statistics,
    statistic_column,
    zonal_statistics,
)
from gistools.raster.tasks import Execution
from gistools.raster.zones import ASSIGN, Assign, Zones, label_zones
from gistools.study.inputs import GridFiles, Problem, zones_notes
from gistools.study.progress import Progress

# Extensions of tables whose points stand in two columns.
_POINT_TABLES = (".csv", ".xlsx", ".dta")
_PRODUCTS = {"raw": UNKNOWN, **lights.PRODUCTS, **population.PRODUCTS}
_KEYS = ("city_code", "city_name", "province", "year")


@dataclass
class ZonalResult:
    """What a grid gave: the panel, counts of cells by year, notes, and the years that failed."""

    panel: pd.DataFrame
    counts: dict[str, dict[str, float]] = field(default_factory=dict)
    failures: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Counts and columns for ``--json``."""
        return {
            "rows": len(self.panel),
            "cities": int(self.panel["city_code"].nunique()),
            "years": sorted(map(int, self.panel["year"].unique())) if "year" in self.panel else [],
            "columns": _described(self.panel),
            "cells": self.counts,
            "notes": self.notes,
            "failures": [str(problem) for problem in self.failures],
        }


@dataclass
class CountResult:
    """What vector features gave: the table, how many were used, and notes on those that were not."""

    panel: pd.DataFrame
    counts: dict[str, Any]
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Counts and columns for ``--json``."""
        return {
            "rows": len(self.panel),
            "cities": int(self.panel["city_code"].nunique()),
            "columns": _described(self.panel),
            "features": {name: value for name, value in self.counts.items() if name != "outside_rows"},
            "notes": self.notes,
        }


def _described(panel: pd.DataFrame) -> dict[str, dict[str, str]]:
    units, labels = panel.attrs["units"], panel.attrs["labels"]
    return {name: {"unit": units[name], "label": labels[name]} for name in panel.columns if name in units}


def require_product(product: str) -> None:
    """Refuse a product that is not known.

    Raises
    ------
    InputError
        Naming those there are.
    """
    if product != "auto":
        named_product(product, _PRODUCTS)


def raster_product(path: Path, product: str = "auto") -> Product:
    """Say what the cells of a raster mean, where that is known.

    Parameters
    ----------
    path : Path
    product : str
        ``"auto"`` (by file name; values as stored where it tells nothing), ``"raw"`` (values as stored), or a
        product of lights or population.

    Returns
    -------
    Product

    Raises
    ------
    InputError
        If `product` is not known.
    """
    if product != "auto":
        return named_product(product, _PRODUCTS)
    tags = {str(k): str(v) for k, v in raster_facts(path)["tags"].items()}
    light = lights.lights_product(path.name, "float32", tags=tags)
    if light is not lights.RADIANCE:
        return light
    people = population.population_product(path.name)
    if people is population.COUNTS:
        return UNKNOWN
    try:
        population.refuse_density_tags(path.name, tags)
    except InputError:
        return UNKNOWN  # densities of a known producer: values as stored
    return people


def measure_zonal(
    boundaries: gpd.GeoDataFrame,
    raster: GridFiles,
    years: Sequence[int] | None = None,
    statistics: Sequence[str] = ("mean",),
    *,
    band: int | None = None,
    prefix: str | None = None,
    assign: Assign = "centre",
    weight: GridFiles | Literal["area"] | None = None,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> ZonalResult:
    """Describe any grid by city and year.

    Parameters
    ----------
    boundaries : GeoDataFrame
        As :func:`gistools.io.vectors.read_boundaries` gives it.
    raster : GridFiles
        A pattern with ``{year}``, or one file.
    years : sequence of int, optional
        Without them the file is one cross-section and the table has no year.
    statistics : sequence of str
        As :func:`gistools.raster.statistics.zonal_statistics` takes them.
    band : int, optional
        Of a raster with several, from 1.
    prefix : str, optional
        Set before the columns: ``<prefix>_mean``.
    assign : {"centre", "coverage"}
        Membership of cells.
    weight : "area" or GridFiles, optional
        What cells weigh. A grid on another lattice is brought to that of the raster by the area-weighted mean.
    execution : Execution, optional
        Where to work, and with how much memory.
    progress : Progress, optional

    Returns
    -------
    ZonalResult

    Raises
    ------
    InputError
        If no year can be measured.
    """
    require_statistics(statistics)
    require_choice(assign, ASSIGN, "assign")
    require_product(raster.product)
    files = _files(raster, years)
    heavy = None
    if isinstance(weight, GridFiles):  # one without a year weighs all years
        heavy = _files(weight, years if "{year}" in weight.pattern else None)
    progress = progress or Progress(len(files), quiet=True)
    zones: Zones | None = None
    tables: list[pd.DataFrame] = []
    result = ZonalResult(pd.DataFrame())
    units: dict[str, None] = {}
    said = 0
    for year, paths in files.items():
        try:
            source, unit = _opened(paths, raster, year, band)
            by = _weights(heavy, weight, year, source, result.notes)
            if zones is None or not zones.grid.same_as(source.grid):
                zones = label_zones(boundaries, source.grid, assign=assign)
                result.notes += [note for note in zones_notes(zones) if note not in result.notes]
            table = zonal_statistics(
                source,
                zones,
                statistics,
                weight=by,
                execution=execution,
                progress=partial(progress, source.name if year is None else year),
            )
        except OutputError:  # a full disk is no fault of the year
            raise
        except GistoolsError as error:
            result.failures.append(Problem("raster", str(error), year))
        else:
            result.counts[source.name if year is None else str(year)] = table.attrs.pop("counts")
            tables.append(table.assign(note=_reasons(zones, table, statistics), **_year_column(year)))
            units[unit] = None
        if tables:  # until one year can be measured it is not said that others cannot
            said = _say_failures(result.failures, said, progress)
    progress.close()
    if not tables:
        first = result.failures[0]
        raise InputError(first.message if len(files) == 1 else f"{first} (and so {len(files) - 1} more years)")
    result.notes += _count_notes(result.counts, execution)
    panel = _with_names(_years_joined(tables), boundaries)
    weighs = "" if weight is None else ("area" if weight == "area" else Path(weight.pattern).name)
    result.panel = _labelled(panel, statistics, prefix, unit=" or ".join(units), weight=weighs)
    return result


def _say_failures(failures: list[Problem], said: int, progress: Progress) -> int:
    """Name the years set aside since the last time."""
    for problem in failures[said:]:
        progress.say(f"Set aside: {problem}")
    return len(failures)


def _files(files: GridFiles, years: Sequence[int] | None) -> dict[int | None, list[Path]]:
    """Paths of each year; of the only file where it has no year, or is the same in all years."""
    if "{year}" in files.pattern and years is None:
        raise InputError(f"{files.pattern!r} holds {{year}}; say which with --years")
    if years is None:
        found = year_files(files.pattern, [0], folder=files.folder)
        if not found[0]:
            raise InputError(f"no file matches {files.pattern}")
        return {None: found[0]}
    found = year_files(files.pattern, years, folder=files.folder)
    if not any(found.values()):
        raise InputError(str(missing_years(files.pattern, found, files.folder)))
    return cast("dict[int | None, list[Path]]", found)


def _opened(
    paths: list[Path], files: GridFiles, year: int | None, band: int | None = None
) -> tuple[RasterSource | TiledSource, str]:
    """Open the raster of a year and judge it; return it and the units of its values."""
    if not paths:
        found: dict[int, list[Path]] = {} if year is None else {year: []}
        raise InputError(str(missing_years(files.pattern, found, files.folder)))
    product = raster_product(paths[0], files.product)
    source = open_tiles(paths, product, band=band)
    probe(source)
    first = source.tiles[0] if isinstance(source, TiledSource) else source
    said = dict(first.tags).get("units", "")
    return source, said if product is UNKNOWN and said else product.units


def _weights(
    found: dict[int | None, list[Path]] | None,
    weight: GridFiles | Literal["area"] | None,
    year: int | None,
    source: GridSource,
    notes: list[str],
) -> GridSource | Literal["area"] | None:
    """Open the weights of a year on the lattice of its raster."""
    if found is None or not isinstance(weight, GridFiles):
        return None if weight is None else "area"
    opened, _ = _opened(found[None] if None in found else found[year], weight, year)
    if not opened.grid.same_as(source.grid):
        note = (
            f"weights of {opened.name} ({opened.grid.describe()}) are brought to the lattice of the raster by the "
            "area-weighted mean"
        )
        if note not in notes:
            notes.append(note)
    return align(opened, source.grid, how="mean")


def _year_column(year: int | None) -> dict[str, int]:
    return {} if year is None else {"year": year}


def _count_notes(counts: dict[str, dict[str, float]], execution: Execution | None) -> list[str]:
    """How many cells do not count, and why, year by year."""
    notes = []
    for reason, said in (
        ("missing", "cells of cities without data do not count"),
        ("weightless", "of the cells that do not count have a value but no weight"),
    ):
        found = [
            f"{year}: {one[reason]:,.6g} ({100 * one[reason] / (one['missing'] + one['cells']):.3g} %)"
            for year, one in counts.items()
            if one[reason]
        ]
        if found:
            notes.append(f"{said}: {listed(found)}")
    passes = max(one["passes"] for one in counts.values())
    if passes > 1:
        memory = (execution or Execution()).memory_gb or KEPT_GB
        notes.append(f"cities were done in {passes} passes, to keep within {memory:g} GB (--memory)")
    return notes


def _reasons(zones: Zones, table: pd.DataFrame, statistics: Sequence[str]) -> list[str]:
    """Why the values of a city are missing, or what to mind."""
    held = zones.covered_cells() > 0
    named = [c for c in table.columns if c not in ("city_code", "count", "missing", "variety")]
    without = table[named].isna().all(axis=1).to_numpy() if named else np.zeros(len(table), bool)
    if "count" in statistics:
        without = table["count"].to_numpy() == 0
    reasons = []
    for outside, cells, nothing in zip(zones.outside_share, held, without, strict=True):
        if outside >= 1:
            reasons.append("outside the grid")
            continue
        said = []
        if outside > 0.001:
            said.append(f"reaches past the grid ({100 * outside:.1f} % of its area)")
        if not cells:
            said.append("no cell centre inside the boundary (smaller than a cell)")
        elif nothing:
            said.append("no data")
        reasons.append("; ".join(said))
    return reasons


def _years_joined(tables: list[pd.DataFrame]) -> pd.DataFrame:
    """One table of all years, city by city; a class that a year does not have has no share in it."""
    panel = pd.concat(tables, ignore_index=True)
    order = {code: k for k, code in enumerate(tables[0]["city_code"])}
    keys = [panel["year"]] if "year" in panel else []
    rank = panel["city_code"].map(order)
    panel = panel.iloc[np.lexsort((*keys, rank))].reset_index(drop=True)
    shares = sorted((c for c in panel.columns if c.startswith("share_")), key=lambda c: float(c[6:]))
    if shares:
        known = panel[shares].notna().any(axis=1)
        panel.loc[known, shares] = panel.loc[known, shares].fillna(0.0)
    first, last = ["city_code", "year"], [*shares, "note"]
    others = [c for c in panel.columns if c not in (*first, *last)]
    return panel[[c for c in (*first, *others, *last) if c in panel.columns]]


def _with_names(panel: pd.DataFrame, boundaries: gpd.GeoDataFrame) -> pd.DataFrame:
    """Add the names of cities and provinces beside the codes."""
    names = boundaries.set_index(boundaries["city_code"].astype(str))
    for place, column in enumerate(("city_name", "province"), start=1):
        if column in names.columns:
            panel.insert(place, column, panel["city_code"].map(names[column]))
    return panel


def _labelled(
    panel: pd.DataFrame, statistics: Sequence[str], prefix: str | None, *, unit: str, weight: str
) -> pd.DataFrame:
    """Set the prefix before the columns, and say what they are."""
    own = {statistic_column(name): _meaning(name, unit, weight) for name in statistics if name != "fractions"}
    for column in panel.columns:
        if column.startswith("share_"):
            own[column] = ("0 to 1", f"share of {'weight' if weight else 'cells'} with the value {column[6:]}")
    own["note"] = ("text", "why a value is missing, or what to mind")
    return _prefixed(panel, {c: u for c, (u, _) in own.items()}, {c: label for c, (_, label) in own.items()}, prefix)


def _meaning(name: str, unit: str, weight: str) -> tuple[str, str]:
    level = quantile_level(name)
    label = STATISTICS[name] if name in STATISTICS else f"quantile of {100 * (level or 0):g} per cent"
    plain = ("count", "missing", "min", "max", "range", "variety")
    if weight and name not in plain:
        label += f", weighted by {weight}"
    weighs = {"": "cells", "area": "km2"}.get(weight, f"values of {weight}")
    units = {"count": "cells", "missing": "cells", "variety": "values", "cv": "ratio", "weight": weighs}
    units["variance"] = f"({unit}) squared"
    units["sum"] = f"{unit} x {weighs}" if weight else unit
    return units.get(name, unit), label


def _prefixed(panel: pd.DataFrame, units: dict[str, str], labels: dict[str, str], prefix: str | None) -> pd.DataFrame:
    new = {name: name if prefix is None or name in _KEYS else f"{prefix}_{name}" for name in panel.columns}
    panel = panel.rename(columns=new)
    panel.attrs.clear()
    panel.attrs["units"] = {new[name]: unit for name, unit in units.items() if name in new}
    panel.attrs["labels"] = {new[name]: label for name, label in labels.items() if name in new}
    return panel


def read_features(
    path: str | Path, *, lon: str = "lon", lat: str = "lat", encoding: str | None = None
) -> gpd.GeoDataFrame:
    """Read vector features, or a table of points.

    Parameters
    ----------
    path : path
        Any vector format; or ``.csv``, ``.xlsx``, ``.dta``, ``.parquet`` with two columns of degrees (WGS 84).
    lon, lat : str
        These columns.
    encoding : str, optional
        Of a Shapefile without ``.cpg``, or of a CSV file.

    Returns
    -------
    GeoDataFrame
        In the order of the file; a row without coordinates has no geometry.

    Raises
    ------
    InputError
        If it cannot be read, or its coordinates are no degrees.
    """
    path = Path(path)
    if path.suffix.lower() not in _POINT_TABLES:
        try:
            return read_vector(path, encoding=encoding)
        except InputError as error:  # a Parquet file may be a table as well
            if path.suffix.lower() != ".parquet" or "Missing geo metadata" not in str(error):
                raise
    table = read_table(path, encoding=encoding)
    require_columns(table, [lon, lat], path.name)
    require_numeric(table, [lon, lat], path.name)
    x, y = (pd.to_numeric(table[column]).to_numpy(np.float64) for column in (lon, lat))
    beyond = (np.abs(x) > 180) | (np.abs(y) > 90)
    if beyond.any():
        k = int(np.flatnonzero(beyond)[0])
        raise InputError(
            f"{path.name}, row {k + 1}, lies at {lon} {x[k]:.10g}, {lat} {y[k]:.10g} ({beyond.sum()} rows in all): "
            "these are no degrees of longitude and latitude (WGS 84); exchange the columns or convert them"
        )
    points = np.asarray(gpd.points_from_xy(x, y), object)
    points[np.isnan(x) | np.isnan(y)] = None
    return gpd.GeoDataFrame(table, geometry=points, crs=WGS84)


def measure_features(
    boundaries: gpd.GeoDataFrame,
    features: gpd.GeoDataFrame,
    *,
    name: str = "the features",
    by: str | None = None,
    year_from: str | None = None,
    years: Sequence[int] | None = None,
    prefix: str | None = None,
    repair: bool = False,
) -> CountResult:
    """Count and measure vector features by city (and year), with names, units and notes.

    Parameters
    ----------
    boundaries : GeoDataFrame
        As :func:`gistools.io.vectors.read_boundaries` gives it.
    features : GeoDataFrame
        As :func:`read_features` gives it.
    name : str
        Their file, for messages.
    by, year_from, years, repair
        As :func:`gistools.city.features.count_features` takes them.
    prefix : str, optional
        Set before the columns: ``<prefix>_count``.

    Returns
    -------
    CountResult
    """
    try:
        table = count_features(features, boundaries, by=by, year_from=year_from, years=years, repair=repair)
    except InputError as error:
        raise type(error)(f"{name}: {error}") from error
    counts = table.attrs.pop("counts")
    units, labels = table.attrs["units"], table.attrs["labels"]
    panel = _years_joined([table])
    panel = _with_names(panel, boundaries)
    return CountResult(_prefixed(panel, units, labels, prefix), counts, _feature_notes(counts, name))


def _feature_notes(counts: dict[str, Any], name: str) -> list[str]:
    """What was not counted, and why."""
    kind, unit = counts["kind"], {"points": "points", "lines": "km", "polygons": "km2"}[counts["kind"]]
    rows = listed([row + 1 for row in counts["outside_rows"]])
    rows += f" and {counts['outside'] - 5} more" if counts["outside"] > 5 else ""
    notes = [
        f"{name}: {counts['empty']} features have no geometry and do not count" if counts["empty"] else "",
        f"{name}: {counts['undated']} features have no year and do not count" if counts["undated"] else "",
        f"{name}: {counts['repaired']} invalid features were mended" if counts["repaired"] else "",
        f"{name}: {counts['outside']} of {counts['features']} {kind} lie outside every city (row {rows})"
        if counts["outside"]
        else "",
    ]
    if kind != "points" and counts["size_outside"] > 0:
        notes.append(f"{name}: {counts['size_outside']:,.6g} {unit} of {kind} lie outside every city")
    return [note for note in notes if note]
