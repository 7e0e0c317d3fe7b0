"""``gistools moran``: spatial autocorrelation of columns of a panel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gistools.cli.common import COMMA_LIST, FILE, panel_keys, require_apart, verb


@click.command()
@click.argument("panel", type=FILE)
@click.option(
    "--weights",
    type=FILE,
    required=True,
    multiple=True,
    help="W.parquet, W.gal, W.gwt, or W.csv with codes as header; may be given several times.",
)
@click.option("--row-standardise", is_flag=True, help="Divide each row of the weights by its sum.")
@click.option("--column", required=True, type=COMMA_LIST, help="Whose autocorrelation; one or several.")
@click.option("--lagged", metavar="Z", help="Bivariate: the column in a city, Z among its neighbours.")
@click.option(
    "--residuals",
    is_flag=True,
    help="The column holds residuals of a panel model: one statistic over all years, cities exchange histories.",
)
@panel_keys
@click.option("--local", is_flag=True, help="Local Moran's I too; --out then holds it.")
@click.option("--permutations", type=click.IntRange(min=0), default=999, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the permutations.")
@click.option(
    "--alternative", default="two-sided", show_default=True, metavar="TAIL", help="two-sided, greater or less."
)
@click.option("--alpha", type=float, default=0.05, show_default=True, help="False-discovery rate of local clusters.")
@click.option("--out", type=FILE, help="Table: .csv, .parquet, .xlsx or .dta.")
@click.option(
    "--table", "table_out", type=FILE, help="Years by weights, as papers print it: .html, .tex, .md or .csv."
)
@click.option("--scatter", type=FILE, help="Moran's scatter plot, .png or .svg.")
@click.option("--map", "map_out", type=FILE, help="Map of local clusters, .png or .svg; needs --cities.")
@click.option("--cities", type=FILE, help="Polygons of the cities.")
@click.option("--code", default="city_code", show_default=True, help="Column of the city codes in --cities.")
@click.option("--encoding", help="Of a Shapefile without .cpg, for example gb18030.")
@click.option("--year", type=int, help="Of the figures; by default the last, of the map every year up to nine.")
@verb
def moran(panel: Path, id_: str, **options: Any) -> Any:
    """Moran's I of columns of PANEL, by year; a file without the time column is one cross-section."""
    from gistools.study import moran as study

    require_apart(options["weights"])
    result = study.moran(panel, unit=id_, table=options.pop("table_out"), **options)
    click.echo(result.summary())
    return result
