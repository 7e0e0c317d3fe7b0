"""``gistools city``: urban form of cities from light and population grids."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gistools.cli.common import FILE, LazyGroup, verb, workers_option

if TYPE_CHECKING:
    from gistools.raster.tasks import Execution
    from gistools.study.form import FormResult


COMMANDS = {
    "form": ("gistools.cli.city:form", "Measure sprawl index, CBD and structure of cities, year by year."),
    "zonal": ("gistools.cli.zonal:zonal", "Describe any raster by city and year: sums, means, quantiles, classes."),
    "count": ("gistools.cli.zonal:count", "Count points, measure lines and polygons inside each city."),
    "mask": ("gistools.cli.masks:mask", "Write urban masks and density classes as COG, and patches as polygons."),
    "cbd": ("gistools.cli.masks:cbd", "Find the CBD of every city and write them as points."),
    "maps": ("gistools.cli.masks:maps", "Draw maps and series of a panel or a run, and one offline map."),
    "sensitivity": (
        "gistools.cli.sensitivity:sensitivity",
        "Vary thresholds and rules, and compare the sprawl index and the CBDs.",
    ),
    "audit": ("gistools.cli.masks:audit", "Recount one city and year on one page, every number with its reason."),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def city() -> None:
    """Urban form of cities from light and population grids."""


def grid_options(function: Any) -> Any:
    """Add the options that name grids, boundaries and years."""
    for option in (
        click.option("--years", required=True, metavar="YEARS", help="Years, for example 2001,2006-2013."),
        click.option("--repair", is_flag=True, help="Mend invalid polygons instead of refusing them."),
        click.option("--encoding", help="Of a Shapefile without .cpg, for example gb18030."),
        click.option("--province", help="Its column of provinces."),
        click.option("--name", help="Its column of names."),
        click.option("--code", default="city_code", show_default=True, help="Its column of city codes."),
        click.option("--boundaries", required=True, type=FILE, help="City polygons, any vector format."),
        click.option(
            "--population-product",
            default="auto",
            show_default=True,
            help="landscan, gpw, worldpop, ghs-pop, counts.",
        ),
        click.option("--population", metavar="PATTERN", help="Population counts: a path with {year} and wildcards."),
        click.option(
            "--lights-product",
            default="auto",
            show_default=True,
            help="dmsp, calibrated, harmonised, viirs, black-marble, radiance.",
        ),
        click.option("--lights", metavar="PATTERN", help="Night-lights: a path with {year}, {sat} and wildcards."),
    ):
        function = option(function)
    return function


def form_options(function: Any) -> Any:
    """Add the options that say how urban form is measured."""
    for option in (
        click.option(
            "--align",
            type=click.Choice(["mean", "nearest"]),
            default="mean",
            show_default=True,
            help="How lights are brought to the population's cells.",
        ),
        click.option(
            "--measures",
            type=click.Choice(["all", "urban"]),
            default="all",
            show_default=True,
            help="All columns, or those of urban cells: population is then read only where there is light.",
        ),
        click.option(
            "--assign",
            type=click.Choice(["centre", "coverage"]),
            default="centre",
            show_default=True,
            help="Cells belong to the city that holds their centre, or by covered fraction.",
        ),
        click.option("--radius-km", type=float, default=3.0, show_default=True, help="Around the CBD."),
        click.option("--cbd-table", type=FILE, help="Known CBDs: city_code, cbd_lon, cbd_lat."),
        click.option(
            "--cbd-year",
            type=click.Choice(["base", "each"]),
            default="base",
            show_default=True,
            help="One CBD a city, from the base year, or one a year.",
        ),
        click.option(
            "--cbd-ties",
            type=click.Choice(["cluster-density", "cluster-centroid", "population-weighted"]),
            default="cluster-density",
            show_default=True,
            help="Which of several brightest cells is the CBD.",
        ),
        click.option("--base-year", type=int, help="Of the threshold and the CBD; the first year by default."),
        click.option(
            "--threshold",
            default="auto",
            show_default=True,
            help="Density that splits urban cells: auto, or persons per km2.",
        ),
        click.option(
            "--min-density", type=float, default=1000.0, show_default=True, help="Persons per km2 (strict)."
        ),
        click.option("--min-light", type=float, default=10.0, show_default=True, help="Light (strict)."),
    ):
        function = option(function)
    return function


@click.command()
@grid_options
@form_options
@click.option("--out", required=True, type=FILE, help="The panel: .parquet, .csv, .xlsx or .dta.")
@click.option(
    "--keep-years",
    type=click.Path(file_okay=False, path_type=Path),
    help="Keep finished years in this folder, and take over those already there.",
)
@workers_option
@verb
def form(
    *,
    lights: str | None,
    lights_product: str,
    population: str | None,
    population_product: str,
    boundaries: Path,
    code: str,
    name: str | None,
    province: str | None,
    encoding: str | None,
    repair: bool,
    years: str,
    cbd_table: Path | None,
    out: Path,
    keep_years: Path | None,
    execution: Execution,
    **measure: Any,
) -> FormResult:
    """Measure sprawl index, CBD and structure of cities, year by year, into a panel.

    Either grid may be left out; measures that need it are then missing.
    """
    from gistools.errors import InputError
    from gistools.io.atomic import require_writable
    from gistools.io.vectors import read_boundaries
    from gistools.study.config import parse_years
    from gistools.study.form import measure_form, open_form_grids, require_output, write_form
    from gistools.study.inputs import GridFiles
    from gistools.study.progress import Progress

    if lights is None and population is None:
        raise InputError("give --lights, --population or both")
    require_output(out)
    if keep_years is not None:
        require_writable(keep_years)
    wanted = parse_years(years)
    options = _form_options(measure)
    grids = open_form_grids(
        None if lights is None else GridFiles(lights, lights_product),
        None if population is None else GridFiles(population, population_product),
        wanted,
        options,
        known_cbds=cbd_table is not None,
    )
    result = measure_form(
        read_boundaries(boundaries, code=code, name=name, province=province, encoding=encoding, repair=repair),
        grids,
        wanted,
        options,
        cbd_table=cbd_table,
        years_folder=keep_years,
        execution=execution,
        progress=Progress(len(wanted)),
    )
    write_form(result, out)
    for note in result.notes:
        click.echo(f"Note: {note}", err=True)
    click.echo(f"{len(result.panel)} rows written to {out}")
    return result


def _form_options(measure: dict[str, Any]) -> Any:
    from gistools.city.form import FormOptions
    from gistools.errors import InputError

    threshold = measure.pop("threshold")
    if threshold != "auto":
        try:
            threshold = float(threshold)
        except ValueError as error:
            raise InputError(
                f"--threshold is {threshold!r}, but must be auto or a number (persons per km2)"
            ) from error
    return FormOptions(threshold=threshold, **measure)
