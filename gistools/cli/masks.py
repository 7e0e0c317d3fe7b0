"""``gistools city mask``, ``cbd``, ``maps`` and ``audit``: what a person looks at."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gistools.cli.city import _form_options, form_options, grid_options
from gistools.cli.common import COMMA_LIST, FILE, verb, workers_option

if TYPE_CHECKING:
    from gistools.raster.tasks import Execution
    from gistools.study.audit import AuditResult
    from gistools.study.maps import MapsResult
    from gistools.study.masks import CbdResult, MaskResult

FOLDER = click.Path(file_okay=False, path_type=Path)
_PLACES = ("boundaries", "code", "name", "province", "encoding", "repair")


def _some_of(options: Callable[[Any], Any], *names: str, optional: tuple[str, ...] = ()) -> Callable[[Any], Any]:
    """Take over options of ``city form`` by name (all, without names); make some of them optional."""

    def decorate(function: Any) -> Any:
        def holder() -> None:
            """Collect the options."""

        for option in options(holder).__click_params__:
            if option.name in (names or [option.name]):
                option.required = option.required and option.name not in optional
                function.__click_params__ = [*getattr(function, "__click_params__", []), option]
        return function

    return decorate


@click.command()
@_some_of(grid_options, optional=("boundaries",))
@_some_of(form_options, "align", "assign", "base_year", "threshold", "min_density", "min_light")
@click.option("--out", required=True, type=FOLDER, help="Folder of urban_{year}.tif.")
@click.option("--polygons", type=FILE, help="Urban patches of all years: .gpkg, .parquet, .geojson or .fgb.")
@click.option(
    "--patches-of",
    type=click.Choice(["urban", "classes"]),
    default="urban",
    show_default=True,
    help="Patches of all urban cells, or of low and high density apart.",
)
@workers_option
@verb
def mask(
    *,
    lights: str | None,
    lights_product: str,
    population: str | None,
    population_product: str,
    years: str,
    out: Path,
    polygons: Path | None,
    patches_of: Any,
    execution: Execution,
    **rest: Any,
) -> MaskResult:
    """Write urban masks and density classes as Cloud-Optimised GeoTIFFs, and urban patches as polygons.

    Cells are 0 (not urban), 1 (low density), 2 (high density) or 255 (no data). With --boundaries masks are cut to
    the cities and the density threshold is that of `city form`; without, both are of the whole grid.
    """
    from gistools.errors import InputError
    from gistools.io.atomic import require_writable
    from gistools.study.config import parse_years
    from gistools.study.form import open_form_grids
    from gistools.study.inputs import GridFiles
    from gistools.study.masks import require_vector, write_masks
    from gistools.study.progress import Progress

    if lights is None or population is None:
        raise InputError("a mask needs both grids: give --lights and --population")
    boundaries, measure = _places(rest, needed=False), rest
    require_writable(out)
    if polygons is not None:
        require_vector(polygons)
    wanted = parse_years(years)
    options = _form_options(measure)
    grids = open_form_grids(
        GridFiles(lights, lights_product),
        GridFiles(population, population_product),
        wanted,
        options,
        known_cbds=True,
    )
    result = write_masks(
        boundaries,
        grids,
        wanted,
        options,
        out,
        polygons=polygons,
        patches_of=patches_of,
        execution=execution,
        progress=Progress(len(wanted)),
    )
    _say_notes(result.notes)
    click.echo(f"{len(result.cells)} masks written to {out}")
    if polygons is not None:
        click.echo(f"{result.patches} patches written to {polygons}")
    return result


@click.command()
@_some_of(grid_options)
@_some_of(form_options, "align", "cbd_year", "cbd_ties", "base_year")
@click.option(
    "--out", required=True, type=FILE, help="Points (.gpkg, .geojson, .parquet, .fgb) or .csv, .xlsx, .dta."
)
@workers_option
@verb
def cbd(
    *,
    lights: str | None,
    lights_product: str,
    population: str | None,
    population_product: str,
    years: str,
    out: Path,
    execution: Execution,
    **rest: Any,
) -> CbdResult:
    """Find the CBD of every city, its brightest cell, and write them as points.

    One point a city from the base year, or one a year (--cbd-year each). --population breaks ties by density. The
    output can be given to `city form` as --cbd-table.
    """
    from gistools.errors import InputError
    from gistools.study.config import parse_years
    from gistools.study.form import open_form_grids
    from gistools.study.inputs import GridFiles
    from gistools.study.masks import find_city_cbds, require_vector, write_cbds
    from gistools.study.progress import Progress

    if lights is None:
        raise InputError("a CBD is the brightest cell of its city: give --lights")
    boundaries, measure = _places(rest), rest
    require_vector(out, tables=True)
    wanted = parse_years(years)
    options = _form_options({"threshold": "1", **measure})
    if options.cbd_year == "base":
        wanted = (options.base_year if options.base_year is not None else wanted[0],)
    result = find_city_cbds(
        boundaries,
        open_form_grids(
            GridFiles(lights, lights_product),
            None if population is None else GridFiles(population, population_product),
            wanted,
            options,
        ),
        wanted,
        options,
        execution=execution,
        progress=Progress(len(wanted)),
    )
    write_cbds(result, out)
    _say_notes(result.notes)
    without = f"; {result.missing} have none, their notes say why" if result.missing else ""
    click.echo(f"{len(result.cbds) - result.missing} CBDs written to {out}{without}")
    return result


@click.command()
@click.argument("panel", type=click.Path(exists=True, path_type=Path))
@_some_of(grid_options, optional=("boundaries", "years"))
@_some_of(form_options, "align", "threshold", "min_density", "min_light")
@click.option("--out", required=True, type=FOLDER, help="Folder of the pictures and of map.html.")
@click.option("--cities", type=COMMA_LIST, default=[], help="Codes of cities to map; by default the four largest.")
@click.option("--columns", type=COMMA_LIST, default=[], help="Measures to draw; by default the main ones.")
@verb
def maps(
    *,
    panel: Path,
    lights: str | None,
    lights_product: str,
    population: str | None,
    population_product: str,
    years: str | None,
    out: Path,
    cities: list[str],
    columns: list[str],
    **rest: Any,
) -> MapsResult:
    """Draw PANEL, a panel of `city form` (with --boundaries) or the folder of a run, as maps and series.

    Maps of the country, series, and one interactive map.html that needs no network. With --lights and --population
    also maps of cities, year by year; a run has kept the cells of a few. --threshold auto is the panel's own.
    """
    from gistools.errors import InputError
    from gistools.io.atomic import require_writable
    from gistools.study.config import parse_years
    from gistools.study.inputs import GridFiles, open_grids
    from gistools.study.maps import choose_cities, choose_columns, open_panel, write_maps

    if (lights is None) != (population is None):
        raise InputError("maps of cities need both grids: give --lights and --population, or neither")
    run = open_panel(panel, _places(rest, needed=False))
    choose_columns(run, columns)
    choose_cities(run, cities)
    require_writable(out)
    options, grids = _form_options(rest), None
    if lights is not None and population is not None:
        grids = open_grids(
            GridFiles(lights, lights_product),
            GridFiles(population, population_product),
            run.years if years is None else parse_years(years),
            min_light=options.min_light,
            how=options.align,
        )
    result = write_maps(run, out, columns=columns, cities=cities, grids=grids, options=options)
    _say_notes(result.notes)
    for problem in result.failures:
        click.echo(f"Set aside: {problem}", err=True)
    click.echo(f"{len(result.files)} files written to {out}")
    return result


@click.command()
@click.argument("code_of_city", metavar="CODE")
@_some_of(grid_options)
@_some_of(form_options)
@click.option("--year", type=int, help="The year to audit; by default the last of --years.")
@click.option("--panel", type=FILE, help="Hold this panel's numbers against the cells, instead of measuring anew.")
@click.option("--out", required=True, type=FILE, help="The page: .html.")
@click.option("--cells", type=FILE, help="All cells of the city: .csv, .parquet, .xlsx, .dta, or .gpkg as squares.")
@workers_option
@verb
def audit(
    *,
    code_of_city: str,
    lights: str | None,
    lights_product: str,
    population: str | None,
    population_product: str,
    years: str,
    year: int | None,
    panel: Path | None,
    cbd_table: Path | None,
    out: Path,
    cells: Path | None,
    execution: Execution,
    **rest: Any,
) -> AuditResult:
    """Recount one city and year from its cells, on one offline page that gives every number's reason.

    --years are those of the panel: the first gives threshold and CBD unless --base-year does. A number that does not
    agree with the cells is a MISMATCH on the page, is named here, and ends with exit code 3.
    """
    from gistools.errors import InputError
    from gistools.io.atomic import require_writable
    from gistools.study.audit import audit_year, require_cells_file, require_city, write_audit
    from gistools.study.config import parse_years
    from gistools.study.form import open_form_grids
    from gistools.study.inputs import GridFiles
    from gistools.study.progress import Progress

    if lights is None and population is None:
        raise InputError("give --lights, --population or both")
    if out.suffix.lower() not in (".html", ".htm"):
        raise InputError(f"{out}: the audit is a page, written as .html")
    boundaries, measure = _places(rest), rest
    require_city(code_of_city, boundaries)
    require_writable(out.parent)
    if cells is not None:
        require_cells_file(cells)
    wanted = parse_years(years)
    chosen = wanted[-1] if year is None else year
    options = _form_options(measure)
    if options.base_year is None:
        from dataclasses import replace

        options = replace(options, base_year=wanted[0])
    grids = open_form_grids(
        None if lights is None else GridFiles(lights, lights_product),
        None if population is None else GridFiles(population, population_product),
        (chosen,),
        options,
        known_cbds=cbd_table is not None,
    )
    result = audit_year(
        code_of_city,
        chosen,
        boundaries,
        grids,
        wanted,
        options,
        cbd_table=cbd_table,
        panel=panel,
        execution=execution,
        progress=Progress(1, quiet=True),
    )
    write_audit(result, out, cells=cells)
    _say_notes(result.notes)
    for said in result.failures:
        click.echo(f"Mismatch: {said}", err=True)
    compared = sum(check.agrees is not None for check in result.audit.checks)
    click.echo(f"{compared - len(result.failures)} of {compared} columns agree; page written to {out}")
    return result


def _places(rest: dict[str, Any], *, needed: bool = True) -> Any:
    """Read the boundaries that options name, and take those options out."""
    from gistools.errors import InputError
    from gistools.io.vectors import read_boundaries

    given = {name: rest.pop(name) for name in _PLACES}
    path = given.pop("boundaries")
    if path is not None:
        return read_boundaries(path, **given)
    if needed:
        raise InputError("give --boundaries: the polygons of the cities")
    return None


def _say_notes(notes: list[str]) -> None:
    for note in notes:
        click.echo(f"Note: {note}", err=True)
