"""``gistools weights``: build and describe spatial weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gistools.cli.common import FILE, panel_keys, verb


@click.group()
def weights() -> None:
    """Build spatial weights between cities."""


@weights.command()
@click.option("--cities", required=True, type=FILE, help="Polygons, points, or a table with lon and lat (or cbd_*).")
@click.option("--kind", required=True, metavar="KIND", help="contiguity, knn, inverse-distance or economic-nested.")
@click.option("--code", default="city_code", show_default=True, help="Column of the city codes.")
@click.option("--encoding", help="Of a Shapefile without .cpg, for example gb18030.")
@click.option("--gdp", metavar="PANEL:COL", help="GDP of the cities, for economic-nested.")
@click.option("--before", type=int, metavar="YEAR", help="Only GDP of years before this one counts.")
@panel_keys
@click.option("--k", type=int, help="Neighbours of knn (6).")
@click.option("--cutoff-km", type=float, help="Cities farther apart are no neighbours.")
@click.option("--exponent", type=float, help="Power of the distance (1).")
@click.option("--rook", is_flag=True, help="Contiguity by a common line; a common point does not suffice.")
@click.option("--tolerance-m", type=float, default=0.0, help="Gaps and overlaps of borders that count as touching.")
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
    help="Rows sum to one. By default: by distance yes, contiguity and knn no.",
)
@click.option("--out", required=True, type=FILE, help="W.parquet, W.gal, W.gwt or W.csv.")
@verb
def build(cities: Path, out: Path, id_: str, **options: Any) -> Any:
    """Build weights from a file of cities."""
    from gistools.study.evidence import weights_build

    summary = weights_build(cities, out, unit=id_, **options)
    click.echo(summary.summary())
    return summary


@weights.command()
@click.argument("weights_file", metavar="W", type=FILE)
@verb
def describe(weights_file: Path) -> Any:
    """Count cities, links, neighbours, islands and components of W."""
    from gistools.study.evidence import weights_describe

    summary = weights_describe(weights_file)
    click.echo(summary.summary())
    return summary
