"""Maps and series of a panel or a run, and one offline map: the verb behind ``gistools city maps``."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import pandas as pd

from gistools.checks import closest, listed, require_columns, require_numeric, require_unique
from gistools.city.clip import city_clip
from gistools.city.form import COLUMNS, FormOptions
from gistools.errors import GistoolsError, InputError, OutputError, TableError
from gistools.grid import WGS84
from gistools.io.atomic import require_writable, write_text
from gistools.io.tables import read_table
from gistools.output.maps import interactive_map
from gistools.study._gallery import Gallery, choropleths, city_maps, map_columns, series
from gistools.study._report_text import short_name
from gistools.study._run_folder import MAIN_MEASURES, RunFolder, read_run
from gistools.study.inputs import Grids, Problem

if TYPE_CHECKING:
    import xarray as xr

    Clips = Mapping[str, Mapping[int, xr.Dataset]]

MAP = "map.html"
MOST_CITIES = 4


@dataclass
class MapsResult:
    """The files that were written, and cities that could not be drawn."""

    files: list[Path]
    failures: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Files for ``--json``."""
        return {
            "files": [str(path) for path in self.files],
            "notes": self.notes,
            "failures": [str(problem) for problem in self.failures],
        }


def open_panel(path: Path, boundaries: gpd.GeoDataFrame | None) -> RunFolder:
    """Open what shall be drawn: the folder of a run, or a panel with the boundaries of its cities.

    Parameters
    ----------
    path : Path
        A folder that ``gistools run`` wrote, or a panel that ``gistools city form`` wrote.
    boundaries : GeoDataFrame or None
        Needed with a panel; a run has its own, which these replace.

    Returns
    -------
    RunFolder

    Raises
    ------
    InputError
        If it cannot be read, or boundaries are missing.
    """
    if path.is_dir():
        run = read_run(path)
        return run if boundaries is None else replace(run, cities=boundaries.to_crs(WGS84))
    panel = read_table(path)
    require_columns(panel, ["city_code", "year"], path.name)
    require_unique(panel, ["city_code", "year"], path.name)
    require_numeric(panel, ["year"], path.name)
    if boundaries is None:
        raise InputError(f"maps of {path.name} need the polygons of its cities; give --boundaries")
    attrs, panel.attrs = panel.attrs, {}
    strangers = panel.loc[~panel["city_code"].isin(boundaries["city_code"].astype(str)), "city_code"].unique()
    if len(strangers):
        raise TableError(
            f"{path.name} has {len(strangers)} cities that the boundaries lack: {listed(strangers)}"
            f"{closest(str(strangers[0]), boundaries['city_code'].astype(str)) or '; name their column with --code'}"
        )
    # a CSV carries no units: those of urban form are known
    units = attrs.get("units") or {name: unit for name, (unit, _) in COLUMNS.items()}
    labels = attrs.get("labels") or {name: meaning for name, (_, meaning) in COLUMNS.items()}
    return RunFolder(path.with_suffix(""), panel, boundaries.to_crs(WGS84), {}, {}, (), {}, units, labels)


def choose_columns(run: RunFolder, columns: Sequence[str]) -> list[str]:
    """Columns to draw: those named, or the main measures that have values.

    Raises
    ------
    InputError
        If a column is not in the panel, holds text, or none has a value.
    """
    require_columns(run.panel, columns, "the panel")
    require_numeric(run.panel, columns, "the panel")
    found = [name for name in (columns or MAIN_MEASURES) if run.has(name)]
    if not found:
        raise InputError(f"there is nothing to draw: {listed(columns or MAIN_MEASURES)} have no value in the panel")
    return found


def choose_cities(run: RunFolder, cities: Sequence[str], most: int = MOST_CITIES) -> list[str]:
    """Cities to draw: those named, or the few with the most urban population in the last year.

    Raises
    ------
    InputError
        If a code is not in the panel, naming the nearest.
    """
    last = run.of_year(run.years[-1])
    known = set(run.panel["city_code"])
    for code in cities:
        if code not in known:
            raise InputError(f"no city has the code {code!r}{closest(code, known) or f'; there are {listed(known)}'}")
    if cities:
        return list(dict.fromkeys(cities))
    size = next((name for name in ("urban_population", "population", "light_sum") if run.has(name)), None)
    order = last if size is None else last.sort_values(size, ascending=False, kind="stable")
    return list(order.index[:most])


def cut_clips(
    run: RunFolder, codes: Sequence[str], grids: Grids, options: FormOptions
) -> tuple[Clips, list[Problem]]:
    """Cut the cells around cities out of the grids of every year.

    Parameters
    ----------
    run : RunFolder
    codes : sequence of str
    grids : Grids
        Both lights and population.
    options : FormOptions
        ``min_light``, ``min_density``, ``align``, and ``threshold``, which as ``"auto"`` is the panel's.

    Returns
    -------
    clips : mapping of code to mapping of year to Dataset
    failures : list of Problem
        Cities that could not be cut out.
    """
    clips: dict[str, dict[int, xr.Dataset]] = {}
    failures: list[Problem] = []
    for code in codes:
        city = run.cities[run.cities["city_code"].astype(str) == code]
        for year in grids.years:
            try:
                clip = city_clip(
                    grids.lights[year],
                    grids.population[year],
                    city,
                    options,
                    threshold=_threshold(run, year, options),
                )
            except OutputError:
                raise
            except GistoolsError as error:
                failures.append(Problem(f"city {code}", str(error), year))
                continue
            clip["lights"].attrs["units"] = grids.light_products[year].units
            clips.setdefault(code, {})[year] = clip
    return clips, failures


def _threshold(run: RunFolder, year: int, options: FormOptions) -> float:
    if options.threshold != "auto":
        return float(options.threshold)
    column = "density_threshold"
    values = run.of_year(year)[column].dropna() if run.has(column) else pd.Series(dtype=float)
    if not len(values):
        raise InputError(f"the panel has no density_threshold in {year}; give --threshold as a number")
    return float(values.iloc[0])


def write_maps(
    run: RunFolder,
    out: Path,
    *,
    columns: Sequence[str] = (),
    cities: Sequence[str] = (),
    grids: Grids | None = None,
    options: FormOptions | None = None,
) -> MapsResult:
    """Draw a panel: maps of the country, series, maps of cities by year, and one interactive map.

    Parameters
    ----------
    run : RunFolder
        As :func:`open_panel` gives it.
    out : Path
        Folder of ``choropleth_*.png``, ``series_*.png``, ``provinces_*.png``, ``city_*.png``, ``gradients.png`` and
        ``map.html``, which needs no network.
    columns : sequence of str
        Measures to draw; by default the main ones.
    cities : sequence of str
        Codes of the cities to draw; by default the four with the most urban population.
    grids : Grids, optional
        Lights and population, for maps of cities. Without them the cells that a run cut out are drawn.
    options : FormOptions, optional
        Of the classes on maps of cities.

    Returns
    -------
    MapsResult

    Raises
    ------
    InputError
        If a column or city is unknown, or there are no cells of a city that was asked for.
    OutputError
        If a file cannot be written.
    """
    drawn = choose_columns(run, columns)
    codes = choose_cities(run, cities)
    result = MapsResult([])
    if grids is not None:
        result.notes += grids.notes
        result.failures += grids.problems
        clips, failures = cut_clips(run, codes, grids, options or FormOptions())
        result.failures += failures
    else:
        clips = _kept_clips(run, cities)
    require_writable(out)
    result.notes += [f"the column {name} has no value: it is not drawn" for name in columns if name not in drawn]
    gallery = Gallery(out)
    for column in drawn:
        unit = ", ".join(filter(None, (short_name(column), str(run.units.get(column, "")))))
        choropleths(run, gallery, column, unit)
        series(run, gallery, column, unit)
    city_maps(run, gallery, clips)
    page = interactive_map(
        run.cities,
        run.panel,
        drawn if columns else map_columns(run),
        title=f"{run.name}: measures by city and year",
        units=run.units,
        labels=run.labels,
    )
    write_text(out / MAP, page)
    result.files = [*gallery.written, out / MAP]
    return result


def _kept_clips(run: RunFolder, cities: Sequence[str]) -> Clips:
    """The cells that a run cut out; of the cities that were asked for, all must be there."""
    kept = run.clips() if run.folder.is_dir() else {}
    lacking = [code for code in cities if code not in kept]
    if lacking:
        raise InputError(f"maps of city {listed(lacking)} need its cells; give --lights and --population")
    return {code: years for code, years in kept.items() if not cities or code in cities}
