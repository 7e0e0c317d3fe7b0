"""``gistools lights``: calibrated light series, and what a grid is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gistools.cli.common import FILE, verb


@click.group()
def lights() -> None:
    """Calibrate a series of night-lights; say what a grid is."""


@lights.command()
@click.option("--lights", required=True, metavar="PATTERN", help="Stable lights: a path with {year} and wildcards.")
@click.option("--lights-product", default="auto", show_default=True, help="dmsp, where names do not say it.")
@click.option("--satellite", metavar="F10", help="Of files that do not say it; or 1992-1994:F10,1995-1999:F12.")
@click.option("--years", required=True, metavar="YEARS", help="Years, for example 1992-2013.")
@click.option(
    "--coefficients",
    default="elvidge2014",
    show_default=True,
    metavar="MODEL",
    help="elvidge2014, elvidge2009, liu2012 (for China), fit (on --region), none, or a table: "
    "satellite, year, c0, c1, c2.",
)
@click.option(
    "--missing",
    type=click.Choice(["error", "borrow", "raw"]),
    default="error",
    show_default=True,
    help="A satellite-year without coefficient (F18 2013): refuse, borrow its satellite's nearest year, leave raw.",
)
@click.option("--region", type=FILE, help="Polygons whose lights do not change, for --coefficients fit.")
@click.option(
    "--reference", default="F121999", show_default=True, metavar="SATYEAR", help="What a fit brings the others to."
)
@click.option("--encoding", help="Of a Shapefile of the region without .cpg, for example gb18030.")
@click.option(
    "--composite/--no-composite",
    default=True,
    show_default=True,
    help="Satellites of one year as one grid: their mean where all are lit, 0 where any is dark.",
)
@click.option(
    "--consistency/--no-consistency",
    default=False,
    show_default=True,
    help="Years of a growing country: lights that last are kept, lights that go out are removed.",
)
@click.option(
    "--out",
    required=True,
    type=click.Path(file_okay=False, path_type=Path),
    help="A folder: calibrated_{year}.tif, calibration.csv, series.csv, lights_sum.png, manifest.json.",
)
@verb
def calibrate(*, lights: str, lights_product: str, years: str, out: Path, **options: Any) -> Any:
    """Bring satellites and years of DMSP-OLS to one level.

    Inter-calibration, composite and consistency, each optional, in this order. Finished years made of the same things
    are taken over. `gistools city form --lights 'OUT/calibrated_{year}.tif'` reads the result.
    """
    from gistools.study.config import parse_years
    from gistools.study.inputs import GridFiles
    from gistools.study.light_series import CalibrationOptions
    from gistools.study.lights import calibrate_lights
    from gistools.study.progress import Progress

    wanted = parse_years(years)
    result = calibrate_lights(
        GridFiles(lights, lights_product),
        wanted,
        out,
        CalibrationOptions(**options),
        progress=Progress(len(wanted), done="calibrated"),
    )
    for note in result.notes:
        click.echo(f"Note: {note}", err=True)
    click.echo(result.summary())
    click.echo(f"{len(result.years)} grid{'' if len(result.years) == 1 else 's'} in {out}")
    return result


@lights.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))  # an ESRI grid is a folder
@click.option(
    "--product",
    default="auto",
    show_default=True,
    help="dmsp, calibrated, harmonised, viirs, black-marble, radiance, landscan, gpw, worldpop, ghs-pop, counts.",
)
@verb
def describe(*, files: tuple[Path, ...], product: str) -> Any:
    """Say what each grid is: product, lattice, no data, the values seen; every cell is read."""
    from gistools.study.describe import describe_grids

    result = describe_grids(files, product=product)
    click.echo(result.summary())
    for failure in result.failures:
        click.echo(f"Set aside: {failure}", err=True)
    return result
