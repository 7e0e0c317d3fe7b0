"""A city-year from files to its audit: the verb behind ``gistools city audit``."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from gistools.checks import closest, listed, require_columns, require_unique
from gistools.city.audit import CityAudit, Deciding, audit_city
from gistools.city.clip import city_clip
from gistools.city.form import FormOptions
from gistools.city.series import needs_base_year
from gistools.errors import BoundaryError, InputError, TableError
from gistools.grid import Grid
from gistools.io.atomic import require_writable, write_text
from gistools.io.tables import EXTENSIONS, read_table, write_table
from gistools.io.vectors import write_vector
from gistools.output.audit import audit_page
from gistools.raster.zones import label_zones
from gistools.study.form import measure_form
from gistools.study.inputs import Grids
from gistools.study.progress import Progress

if TYPE_CHECKING:
    import xarray as xr

    from gistools.raster.tasks import Execution

CELL_FILES = (*EXTENSIONS, ".gpkg")


@dataclass
class AuditResult:
    """An audit with what its page needs besides; `failures` names the columns that do not agree."""

    audit: CityAudit
    grid: Grid
    city: gpd.GeoDataFrame
    clip: xr.Dataset | None = None
    meta: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    @property
    def failures(self) -> list[str]:
        """Columns that do not agree, each with both numbers."""
        return [
            f"{check.column}: the panel says {check.value!r}, the cells say {check.recomputed!r}"
            for check in self.audit.mismatches
        ]

    def to_dict(self) -> dict[str, Any]:
        """The audit for ``--json``."""
        return {**self.audit.to_dict(), "notes": self.notes}


def require_city(code: str, boundaries: gpd.GeoDataFrame) -> gpd.GeoDataFrame:
    """Return the row of a city, before any work.

    Raises
    ------
    BoundaryError
        If no city has the code, naming the nearest one.
    """
    codes = boundaries["city_code"].astype(str)
    row = boundaries[codes == code]
    if not len(row):
        hint = closest(code, codes) or f"; there are {listed(codes)}"
        raise BoundaryError(f"no city has the code {code!r}{hint}")
    return row


def require_cells_file(path: Path) -> None:
    """Refuse, before any work, a file of cells whose extension or folder will not do.

    Raises
    ------
    InputError, OutputError
    """
    if path.suffix not in CELL_FILES:
        raise InputError(f"{path}: cells are written as {listed(CELL_FILES, 9)}, by extension")
    require_writable(path.parent)


def audit_year(
    code: str,
    year: int,
    boundaries: gpd.GeoDataFrame,
    grids: Grids,
    years: tuple[int, ...],
    options: FormOptions,
    *,
    cbd_table: Path | None = None,
    panel: Path | None = None,
    execution: Execution | None = None,
    progress: Progress | None = None,
) -> AuditResult:
    """Measure a year as ``gistools city form`` does, and count one city of it again from its cells.

    Parameters
    ----------
    code : str
    year : int
    boundaries : GeoDataFrame
        All cities: the threshold is theirs together.
    grids : Grids
        Of the year, and of the base year where it leads.
    years : tuple of int
        Years of the panel: the first is the base year unless the options name another.
    options : FormOptions
    cbd_table : Path, optional
        Known CBDs.
    panel : Path, optional
        A panel that was written before, whose numbers are held against the cells; by default the year is measured.
    execution : Execution, optional
    progress : Progress, optional

    Returns
    -------
    AuditResult

    Raises
    ------
    InputError
        If the city or the year is unknown or cannot be measured.
    """
    city = require_city(code, boundaries)
    base = options.base_year if options.base_year is not None else years[0]
    options = replace(options, base_year=base)
    leads = needs_base_year(
        options,
        lights=bool(grids.lights),
        population=bool(grids.population),
        known_cbds=cbd_table is not None,
    )
    measured = measure_form(
        boundaries,
        grids,
        tuple(sorted({base, year})) if leads else (year,),
        options,
        cbd_table=cbd_table,
        execution=execution,
        progress=progress,
    )
    of_year = measured.panel[measured.panel["year"] == year].set_index("city_code")
    if not len(of_year):
        why = next((str(problem) for problem in measured.failures if problem.year == year), f"{year} has no grids")
        raise InputError(f"the year cannot be audited: {why}")
    row = (
        {str(name): value for name, value in of_year.loc[code].items()}
        if panel is None
        else _panel_row(panel, code, year)
    )
    lights, population = grids.lights.get(year), grids.population.get(year)
    grid = _lattice(grids, year)
    zones = label_zones(boundaries, grid, assign=options.assign)
    threshold = float(of_year["density_threshold"].iloc[0])
    audit = audit_city(
        code,
        year,
        lights,
        population,
        zones,
        options,
        row,
        threshold=threshold,
        threshold_of=_threshold_of(measured.panel, base) if options.threshold == "auto" else None,
        deciding=_deciding(boundaries, grids, year, base, options, known=cbd_table is not None),
        known_cbd=None if cbd_table is None else _known_cbd(cbd_table, code),
        saturated=grids.saturated,
        city=city,
    )
    clip = None
    if lights is not None and population is not None and len(audit.cells):
        clip = city_clip(lights, population, city, options, threshold=threshold)
        clip["lights"].attrs["units"] = grids.light_products[year].units
    meta = {
        "Lights": "" if lights is None else lights.name,
        "Population": "" if population is None else population.name,
        "Panel": "measured for this page" if panel is None else panel.name,
    }
    return AuditResult(audit, grid, city, clip, {label: text for label, text in meta.items() if text}, measured.notes)


def _lattice(grids: Grids, year: int) -> Grid:
    return (grids.population[year] if year in grids.population else grids.lights[year]).grid


def _panel_row(path: Path, code: str, year: int) -> dict[str, Any]:
    """The row of a panel that was written before."""
    panel = read_table(path)
    require_columns(panel, ["city_code", "year"], path.name)
    require_unique(panel, ["city_code", "year"], path.name)
    found = panel[(panel["city_code"] == code) & (panel["year"] == year)]
    if not len(found):
        years = listed(sorted(panel.loc[panel["city_code"] == code, "year"].unique()), 12)
        said = f"; it has {years}" if years else closest(code, panel["city_code"].dropna().unique())
        raise TableError(f"{path.name} has no row of city {code} in {year}{said or '; give the panel it is in'}")
    return _as_row(found.iloc[0])


def _as_row(row: pd.Series) -> dict[str, Any]:
    return {str(name): value for name, value in row.items()}


def _threshold_of(panel: pd.DataFrame, base: int) -> tuple[int, float, float]:
    """Urban population and area of all cities in the base year."""
    then = panel[panel["year"] == base]
    return base, float(then["urban_population"].sum()), float(then["urban_area_km2"].sum())


def _deciding(
    boundaries: gpd.GeoDataFrame, grids: Grids, year: int, base: int, options: FormOptions, *, known: bool
) -> Deciding | None:
    if known or options.cbd_year == "each" or base == year or base not in grids.lights:
        return None
    zones = label_zones(boundaries, _lattice(grids, base), assign=options.assign)
    return Deciding(base, grids.lights[base], grids.population.get(base), zones)


def _known_cbd(path: Path, code: str) -> tuple[float, float]:
    table = read_table(path)  # judged when the year was measured
    lon, lat = table.loc[table["city_code"] == code, ["cbd_lon", "cbd_lat"]].to_numpy(np.float64)[0]
    return float(lon), float(lat)


def write_audit(result: AuditResult, out: Path, *, cells: Path | None = None) -> None:
    """Write the page of an audit, and the table of its cells.

    Parameters
    ----------
    result : AuditResult
    out : Path
        The HTML file.
    cells : Path, optional
        ``.csv``, ``.parquet``, ``.xlsx``, ``.dta``, or ``.gpkg`` with every cell as a square.

    Returns
    -------
    None

    Raises
    ------
    OutputError
        If a file cannot be written.
    """
    if cells is not None:
        _write_cells(result, cells)
    beside = cells is not None and cells.resolve().parent == out.resolve().parent
    name = result.city["city_name"].iloc[0] if "city_name" in result.city else None
    page = audit_page(
        result.audit,
        grid=result.grid,
        name="" if name is None or pd.isna(name) else str(name),
        clip=result.clip,
        boundary=result.city,
        cells_file=cells.name if cells is not None and beside else None,
        meta=result.meta,
    )
    write_text(out, page)


def _write_cells(result: AuditResult, path: Path) -> None:
    table = result.audit.cells
    if path.suffix != ".gpkg":
        write_table(table, path)
        return
    x, y = result.grid.x(table["col"].to_numpy()), result.grid.y(table["row"].to_numpy())
    wide, high = (0.5 * np.array(result.grid.cell_size)).tolist()
    squares = shapely.box(x - wide, y - high, x + wide, y + high)
    write_vector(gpd.GeoDataFrame(table, geometry=squares, crs=result.grid.crs), path)
