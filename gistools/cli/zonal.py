"""``gistools city zonal`` and ``gistools city count``: covariates of cities from any grid and any features."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gistools.cli.common import COMMA_LIST, FILE, add_options, verb, workers_option

if TYPE_CHECKING:
    from gistools.raster.tasks import Execution
    from gistools.study.zonal import CountResult, ZonalResult


# The boundaries and their columns
boundary_options = add_options(
    click.option("--boundaries", required=True, type=FILE, help="City polygons, any vector format."),
    click.option("--code", default="city_code", show_default=True, help="Its column of city codes."),
    click.option("--name", help="Its column of names."),
    click.option("--province", help="Its column of provinces."),
    click.option("--encoding", help="Of a Shapefile without .cpg, for example gb18030."),
    click.option("--repair", is_flag=True, help="Mend invalid shapes instead of refusing them."),
)


@click.command()
@click.option("--raster", required=True, metavar="PATTERN", help="A raster, or a path with {year} and wildcards.")
@click.option(
    "--product",
    default="auto",
    show_default=True,
    help="What it holds: raw (values as stored), or a product of lights or population; auto goes by its name.",
)
@click.option("--band", type=click.IntRange(min=1), help="Of a raster with several, the one to describe.")
@boundary_options
@click.option("--years", metavar="YEARS", help="Years, for example 2001,2006-2013.")
@click.option(
    "--stats",
    type=COMMA_LIST,
    default="mean",
    show_default=True,
    help="count, missing, sum, mean, min, max, range, std, variance, cv, median, qNN (q5, q97.5), majority, "
    "minority, variety, fractions (share of each class), weight.",
)
@click.option("--prefix", help="Set before the columns: NAME_mean.")
@click.option(
    "--assign",
    type=click.Choice(["centre", "coverage"]),
    default="centre",
    show_default=True,
    help="Cells belong to the city that holds their centre, or by covered fraction.",
)
@click.option("--weight", metavar="area|PATTERN", help="Weigh cells by their area, or by another raster.")
@click.option("--out", required=True, type=FILE, help="The panel: .parquet, .csv, .xlsx or .dta.")
@workers_option
@verb
def zonal(
    *,
    raster: str,
    product: str,
    band: int | None,
    boundaries: Path,
    code: str,
    name: str | None,
    province: str | None,
    encoding: str | None,
    repair: bool,
    years: str | None,
    stats: list[str],
    prefix: str | None,
    assign: Any,
    weight: str | None,
    out: Path,
    execution: Execution,
) -> ZonalResult:
    """Describe any raster by city and year: sums, means, quantiles, classes, into a panel."""
    from gistools.io.tables import write_table
    from gistools.io.vectors import read_boundaries
    from gistools.study.config import parse_years
    from gistools.study.form import require_output
    from gistools.study.inputs import GridFiles
    from gistools.study.progress import Progress
    from gistools.study.zonal import measure_zonal

    require_output(out)
    wanted = None if years is None else parse_years(years)
    result = measure_zonal(
        read_boundaries(boundaries, code=code, name=name, province=province, encoding=encoding, repair=repair),
        GridFiles(raster, product),
        wanted,
        stats,
        band=band,
        prefix=prefix,
        assign=assign,
        weight="area" if weight == "area" else None if weight is None else GridFiles(weight),
        execution=execution,
        # of a single file nothing is said but on a terminal
        progress=Progress(len(wanted or (0,)), quiet=wanted is None and not sys.stderr.isatty()),
    )
    write_table(result.panel, out)
    _say(result.notes, len(result.panel), out)
    return result


@click.command()
@click.option(
    "--features",
    required=True,
    type=FILE,
    help="Points, lines or polygons, any vector format; or a table of points (.csv, .xlsx, .dta, .parquet).",
)
@click.option("--lon", default="lon", show_default=True, help="A table's column of longitudes (WGS 84).")
@click.option("--lat", default="lat", show_default=True, help="A table's column of latitudes (WGS 84).")
@click.option("--features-encoding", help="Of a Shapefile without .cpg, or of a CSV file.")
@boundary_options
@click.option("--by", metavar="COL", help="A column of kinds; each is measured apart, too.")
@click.option("--year-from", metavar="COL", help="The column with the year or date from which on a feature exists.")
@click.option("--years", metavar="YEARS", help="Years of the panel, for example 2001,2006-2013; with --year-from.")
@click.option("--prefix", help="Set before the columns: NAME_count.")
@click.option("--out", required=True, type=FILE, help="The table: .parquet, .csv, .xlsx or .dta.")
@verb
def count(
    *,
    features: Path,
    lon: str,
    lat: str,
    features_encoding: str | None,
    boundaries: Path,
    code: str,
    name: str | None,
    province: str | None,
    encoding: str | None,
    repair: bool,
    by: str | None,
    year_from: str | None,
    years: str | None,
    prefix: str | None,
    out: Path,
) -> CountResult:
    """Count points, measure lines (km) and polygons (km2) inside each city, and their density."""
    from gistools.errors import InputError
    from gistools.io.tables import write_table
    from gistools.io.vectors import read_boundaries
    from gistools.study.config import parse_years
    from gistools.study.form import require_output
    from gistools.study.zonal import measure_features, read_features

    require_output(out)
    if (year_from is None) != (years is None):
        raise InputError("--year-from and --years go together; give both or neither")
    cities = read_boundaries(boundaries, code=code, name=name, province=province, encoding=encoding, repair=repair)
    try:
        shapes = read_features(features, lon=lon, lat=lat, encoding=features_encoding)
    except InputError as error:  # here --encoding is the boundaries'
        raise type(error)(str(error).replace("--encoding", "--features-encoding")) from error
    result = measure_features(
        cities,
        shapes,
        name=features.name,
        by=by,
        year_from=year_from,
        years=None if years is None else parse_years(years),
        prefix=prefix,
        repair=repair,
    )
    write_table(result.panel, out)
    _say(result.notes, len(result.panel), out)
    return result


def _say(notes: list[str], rows: int, out: Path) -> None:
    for note in notes:
        click.echo(f"Note: {note}", err=True)
    click.echo(f"{rows} rows written to {out}")
