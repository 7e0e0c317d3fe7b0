"""A series of DMSP-OLS lights opened and judged, and the calibration of each satellite-year found or fitted."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

import geopandas as gpd
import shapely

from gistools.checks import listed, require_choice
from gistools.errors import BoundaryError, CrsError, GistoolsError, GridError, InputError
from gistools.grid import GridSource
from gistools.io.rasters import missing_years, open_tiles, probe, raster_facts, raster_files, year_files
from gistools.io.tables import read_table
from gistools.io.vectors import read_vector
from gistools.raster.calibration import (
    MISSING,
    MODELS,
    Calibration,
    Missing,
    choose_calibration,
    own_coefficients,
    published_coefficients,
    satellite_year,
)
from gistools.raster.calibration_fit import fit_calibration
from gistools.raster.lights import CALIBRATED, DMSP, CompositeSource, lights_product, satellite
from gistools.raster.tasks import Execution
from gistools.raster.zones import label_zones
from gistools.study.inputs import GridFiles, Problem

# A fit on a region of stable lights is tighter than this; published ones lie between 0.83 and 0.99.
_LOOSE_R2 = 0.8
LAST_YEAR = 2013
AFTER = "(for later years take the harmonised series of Li and Zhou, or VIIRS or Black Marble in their own units)"


@dataclass(frozen=True)
class CalibrationOptions:
    """How a light series is calibrated.

    Parameters
    ----------
    coefficients : str
        A published model (``elvidge2014``, ``elvidge2009``, ``liu2012``), ``fit``, ``none``, or the path of a table
        ``satellite, year, c0, c1, c2``.
    missing : {"error", "borrow", "raw"}
        What is done with a satellite-year that has no coefficient.
    region : Path, optional
        Polygons of lights that do not change, for ``fit``.
    reference : str
        Satellite and year that ``fit`` brings the others to.
    composite : bool
        Satellites of one year become one grid; otherwise each has a file of its own.
    consistency : bool
        Make the years consistent with each other, for a growing country.
    satellite : str, optional
        Of files whose names do not state it: ``F10``, or ``1992-1994:F10,1995-1999:F12``.
    encoding : str, optional
        Of a Shapefile of the region without ``.cpg``.

    Raises
    ------
    InputError
        If a value is not allowed, or options contradict each other.
    """

    coefficients: str = "elvidge2014"
    missing: Missing = "error"
    region: Path | None = None
    reference: str = "F121999"
    composite: bool = True
    consistency: bool = False
    satellite: str | None = None
    encoding: str | None = None

    def __post_init__(self) -> None:
        require_choice(self.missing, MISSING, "missing")
        satellite_year(self.reference)
        _said_satellites(self.satellite or "F10")
        if self.coefficients not in (*MODELS, "fit", "none") and Path(self.coefficients).suffix == "":
            # a table is named by its extension, so this is a misspelt model
            require_choice(self.coefficients, (*MODELS, "fit", "none"), "coefficients")
        if (self.coefficients == "fit") != (self.region is not None):
            raise InputError(
                "coefficients are fitted on a region of stable lights: give --region FILE with --coefficients fit, "
                "and neither of them otherwise"
            )

    def satellite_of(self, path: Path, year: int) -> str | None:
        """Return the satellite of a file: by its name or its folder's, else as it was said."""
        stated = satellite(path.name) or satellite(path.parent.name)
        if stated or self.satellite is None:
            return stated
        for first, last, name in _said_satellites(self.satellite):
            if first <= year <= last:
                return name
        return None


def _said_satellites(text: str) -> list[tuple[int, int, str]]:
    """Read satellites and their years: ``F10``, or ``1992-1994:F10,1995:F12``."""
    found = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(?:(\d{4})(?:-(\d{4}))?:)?(F1[0-8])\s*", part.upper())
        if not match:
            raise InputError(
                f"--satellite holds {part!r}; write F10, or years and their satellites: 1992-1994:F10,1995:F12"
            )
        first = int(match[1] or 0)
        found.append((first, int(match[2] or first or 9999), match[3]))
    return found


class Satellite(NamedTuple):
    """One satellite's grid of a year; without a name where nothing says which it is."""

    name: str | None
    source: GridSource
    files: list[Path]


@dataclass
class Series:
    """The opened years, and what was found about them."""

    years: dict[int, list[Satellite]] = field(default_factory=dict)
    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def drop(self, year: int, error: GistoolsError) -> None:
        """Set a year aside."""
        self.years.pop(year, None)
        self.problems.append(Problem("lights", str(error), year))


def open_series(lights: GridFiles, years: Sequence[int], options: CalibrationOptions) -> Series:
    """Find, open and judge the lights of every year; nothing is computed.

    Parameters
    ----------
    lights : GridFiles
    years : sequence of int
    options : CalibrationOptions

    Returns
    -------
    Series
        With one problem for each year that cannot be used.

    Raises
    ------
    InputError
        If the pattern is wrong, or no year can be used.
    """
    found = year_files(lights.pattern, years, folder=lights.folder)
    if not any(found.values()):
        late = f"; DMSP-OLS ends in 2013 {AFTER}" if min(years) > LAST_YEAR else ""
        raise InputError(f"lights: {missing_years(lights.pattern, found, lights.folder)}{late}")
    series = Series()
    for year, paths in found.items():
        try:
            if not paths:
                raise InputError(missing_years(lights.pattern, {year: []}, lights.folder) or "")
            series.years[year] = _open_year(year, paths, lights.product, options)
        except GistoolsError as error:
            series.drop(year, error)
    if not series.years:
        raise InputError(str(series.problems[0]))
    ordered = sorted(series.years)
    gaps = [b for a, b in pairwise(ordered) if b != a + 1]
    if options.consistency and gaps:
        series.notes.append(
            f"years before {listed(gaps)} are missing: consistency compares each year with the nearest there are"
        )
    if options.consistency and len(ordered) < 2:
        raise InputError("consistency compares neighbouring years, but there is one year only; give more --years")
    return series


def _open_year(year: int, paths: Sequence[Path], product: str, options: CalibrationOptions) -> list[Satellite]:
    by_satellite: dict[str | None, list[Path]] = {}
    for path in paths:
        facts = raster_facts(path)
        known = lights_product(path.name, str(facts["dtype"]), product=product, tags=facts["tags"])
        if known is not DMSP:
            said = (
                "they are calibrated already" if known is CALIBRATED else "they are not raw digital numbers of DMSP"
            )
            raise InputError(
                f"{path.name} holds {known.name}: {said}; give stable lights of DMSP-OLS, or say that these are "
                "(--lights-product dmsp)"
            )
        stated = re.search(r"F1[0-8]((?:19|20)\d\d)", path.name)
        if stated and int(stated[1]) != year:
            raise InputError(f"{path.name} is taken for the year {year}, but its name says {stated[1]}; mend --years")
        by_satellite.setdefault(options.satellite_of(path, year), []).append(path)
    if None in by_satellite and options.coefficients != "none":
        raise InputError(
            f"{by_satellite[None][0].name} does not say which satellite it is from, and coefficients differ between "
            "satellites; say it (--satellite F10), or call it as NOAA does (F101992...tif)"
        )
    opened = []
    for name in sorted(by_satellite, key=str):
        source = open_tiles(by_satellite[name], DMSP)
        probe(source)
        files = [file for path in by_satellite[name] for file in raster_files(path)]
        opened.append(Satellite(name, source, files))
    CompositeSource(tuple(one.source for one in opened))  # refuses two lattices in one year
    return opened


def find_calibrations(
    lights: GridFiles, series: Series, options: CalibrationOptions, execution: Execution | None
) -> dict[tuple[int, str | None], Calibration]:
    """Find or fit the calibration of every satellite-year.

    Parameters
    ----------
    lights : GridFiles
        Where the reference of a fit is found.
    series : Series
        Years that cannot be fitted are set aside in it, and what was borrowed or left raw is noted.
    options : CalibrationOptions
    execution : Execution or None

    Returns
    -------
    dict of (year, satellite) to Calibration

    Raises
    ------
    InputError
        If a satellite-year has no coefficient, or nothing can be fitted.
    """
    if options.coefficients == "none":
        find: Callable[[int, Satellite], Calibration] = _no_calibration
    elif options.coefficients == "fit":
        find = _Fit(lights, options, execution)
    else:
        model: str = options.coefficients
        if model in MODELS:
            table = published_coefficients(model)
        else:
            path = Path(model)
            model = path.name
            table = own_coefficients(read_table(path, text=("satellite",)), model)

        def find(year: int, one: Satellite) -> Calibration:
            return choose_calibration(table, str(one.name), year, model=model, missing=options.missing)

    found = {}
    for year, satellites in list(series.years.items()):
        try:
            ones = [(one.name, find(year, one)) for one in satellites]
        except GridError as error:  # it cannot be read, or compared with the reference
            series.drop(year, error)
            continue
        for name, calibration in ones:
            found[year, name] = calibration
            series.notes += _calibration_notes(calibration)
    if not series.years:
        raise InputError(str(series.problems[-1]))
    return found


def _no_calibration(year: int, one: Satellite) -> Calibration:
    return Calibration(one.name or "", year, 0.0, 1.0, 0.0, "none")


def _calibration_notes(calibration: Calibration) -> list[str]:
    notes = []
    if calibration.borrowed_from is not None:
        notes.append(
            f"{calibration.name} has no coefficient in {calibration.model}: that of {calibration.satellite} "
            f"{calibration.borrowed_from} is borrowed"
        )
    if calibration.model == "raw":
        notes.append(f"{calibration.name} has no coefficient: its digital numbers are left raw")
    top = calibration.turning_point()
    if top is not None:
        notes.append(
            f"the polynomial of {calibration.name} turns at a digital number of {top:.1f}: beyond it brighter cells "
            "become darker, or the other way round; look at the coefficients"
        )
    if calibration.model == "fit" and calibration.r2 < _LOOSE_R2:
        notes.append(
            f"the fit of {calibration.name} is loose (R2 {calibration.r2:.3f} over {calibration.cells} cells): "
            "the lights of the region may have changed"
        )
    return notes


class _Fit:
    """Fits the calibration of one satellite-year after another on a region, against one reference."""

    def __init__(self, lights: GridFiles, options: CalibrationOptions, execution: Execution | None) -> None:
        self.reference, self.year = satellite_year(options.reference)
        self.execution = execution
        paths = year_files(lights.pattern, [self.year], folder=lights.folder)[self.year]
        own = [path for path in paths if options.satellite_of(path, self.year) == self.reference]
        if not own:
            raise InputError(
                f"no file of the reference {self.reference} {self.year} matches {lights.pattern}; put it beside the "
                "others, or choose another with --reference"
            )
        self.source = _open_year(self.year, own, lights.product, options)[0].source
        if options.region is None:
            raise InputError("a fit needs a region; give --region FILE")
        self.region = label_zones(_read_region(options.region, options.encoding), self.source.grid)

    def __call__(self, year: int, one: Satellite) -> Calibration:
        name = str(one.name)
        if (name, year) == (self.reference, self.year):
            return Calibration(name, year, 0.0, 1.0, 0.0, "reference")
        return fit_calibration(
            one.source, self.source, self.region, satellite=name, year=year, execution=self.execution
        )


def _read_region(path: Path, encoding: str | None) -> gpd.GeoDataFrame:
    """Read the polygons of a region as one."""
    table = read_vector(path, encoding=encoding)
    if table.crs is None:
        raise CrsError(f"{path.name} has no CRS; write it into the file, for example with QGIS or ogr2ogr -a_srs")
    shapes = table.geometry.array
    if not len(shapes) or not set(shapely.get_type_id(shapes).tolist()) <= {3, 6} or not shapes.is_valid.all():
        raise BoundaryError(
            f"{path.name} must hold valid polygons, and nothing else, that cover the region of the fit"
        )
    return gpd.GeoDataFrame({"city_code": ["region"]}, geometry=[shapely.union_all(shapes)], crs=table.crs)
