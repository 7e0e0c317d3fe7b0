"""``gistools weights``: build, describe and convert spatial weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gistools.cli.common import FILE, add_options, panel_keys, verb


@click.group()
def weights() -> None:
    """Build, describe and convert spatial weights between cities."""


cities_options = add_options(
    click.option("--code", default="city_code", show_default=True, help="Column of the city codes."),
    click.option("--encoding", help="Of a Shapefile without .cpg, for example gb18030."),
)
symmetric_option = click.option(
    "--symmetric",
    metavar="HOW",
    help="Make weights mutual: max (either names the other), mean, both (each names the other).",
)


@weights.command()
@click.option("--cities", required=True, type=FILE, help="Polygons, points, or a table with lon and lat (or cbd_*).")
@click.option(
    "--kind",
    required=True,
    metavar="KIND",
    help="contiguity, knn, distance-band, inverse-distance, kernel or economic-nested.",
)
@cities_options
@click.option("--gdp", metavar="PANEL:COL", help="GDP of the cities, for economic-nested.")
@click.option("--before", type=int, metavar="YEAR", help="Only GDP of years before this one counts.")
@click.option(
    "--geographic-share",
    type=float,
    metavar="A",
    help="economic-nested as the mix A x geographic + (1 - A) x economic distance, 0 to 1, instead of the product.",
)
@panel_keys
@click.option("--k", type=int, help="Neighbours of knn (6); of kernel, cities within each one's bandwidth.")
@click.option("--cutoff-km", type=float, help="Cities farther apart are no neighbours.")
@click.option("--exponent", type=float, help="Power of the distance (1).")
@click.option(
    "--kernel", metavar="KERNEL", help="triangular, epanechnikov, bisquare (default), gaussian or exponential."
)
@click.option("--bandwidth-km", type=float, help="Of the kernel, for all cities.")
@click.option("--rook", is_flag=True, help="Contiguity by a common line; a common point does not suffice.")
@click.option("--tolerance-m", type=float, default=0.0, help="Gaps and overlaps of borders that count as touching.")
@symmetric_option
@click.option(
    "--islands",
    default="error",
    show_default=True,
    metavar="RULE",
    help="Cities without a neighbour: error, keep (a row of zeros), nearest.",
)
@click.option(
    "--row-standardise/--no-row-standardise",
    default=None,
    help="Rows sum to one. By default contiguity, knn and distance-band no, the others yes.",
)
@click.option("--spectral", is_flag=True, help="Divide all weights by their largest eigenvalue instead.")
@click.option("--out", required=True, type=FILE, help="W.parquet, W.gal, W.gwt or W.csv.")
@verb
def build(cities: Path, out: Path, id_: str, **options: Any) -> Any:
    """Build weights from a file of cities."""
    from gistools.study.weights import weights_build

    summary = weights_build(cities, out, unit=id_, **options)
    click.echo(summary.summary())
    return summary


@weights.command()
@click.argument("weights_file", metavar="W", type=FILE)
@click.option("--map", "map_out", type=FILE, help="Map of the links, .png or .svg; needs --cities.")
@click.option("--cities", type=FILE, help="Polygons, points, or a table with lon and lat (or cbd_*).")
@cities_options
@click.option("--histogram", type=FILE, help="Numbers of neighbours, .png or .svg.")
@click.option("--out", type=FILE, help="Table of cities with their neighbours and row sums.")
@verb
def describe(weights_file: Path, **options: Any) -> Any:
    """Count cities, links, neighbours, islands and components of W; draw them."""
    from gistools.study.weights import weights_describe

    summary = weights_describe(weights_file, **options)
    click.echo(summary.summary())
    return summary


@weights.command()
@click.argument("weights_file", metavar="W", type=FILE)
@click.option("--binary", is_flag=True, help="Every weight above zero becomes one.")
@symmetric_option
@click.option("--row-standardise", is_flag=True, help="Divide each row by its sum.")
@click.option("--spectral", is_flag=True, help="Divide all weights by their largest eigenvalue.")
@click.option(
    "--codes",
    type=FILE,
    help="Table whose cities, in their order, are the units of a W that is keyed by row numbers.",
)
@click.option("--code", default="city_code", show_default=True, help="Column of the city codes in that table.")
@click.option("--out", required=True, type=FILE, help="W.parquet, W.gal, W.gwt or W.csv.")
@verb
def convert(weights_file: Path, out: Path, **options: Any) -> Any:
    """Write W in another format, and in another form: 0-1, symmetric, standardised."""
    from gistools.study.weights import weights_convert

    summary = weights_convert(weights_file, out, **options)
    click.echo(summary.summary())
    return summary
