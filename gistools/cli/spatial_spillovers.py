"""``gistools spatial spillovers``: what each city receives from the treatment of the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gistools.cli.common import COMMA_LIST, FILE, panel_keys, verb


@click.command()
@click.argument("panel", type=FILE)
@click.option("--weights", type=FILE, required=True, help="W.parquet, W.gal, W.gwt, or W.csv with codes as header.")
@click.option("--row-standardise", is_flag=True, help="Divide each row of the weights by its sum.")
@click.option("--outcome", required=True, metavar="Y", help="Dependent variable.")
@click.option("--treatment", required=True, metavar="D", help="The treatment, a dummy or a dose.")
@click.option("--x", type=COMMA_LIST, default="", help="Other regressors.")
@click.option("--model", default="sdm", show_default=True, metavar="MODEL", help="sar, sdm or slx.")
@click.option(
    "--effects", metavar="EFFECTS", help="none, city, year or city,year; by default both, in a cross-section none."
)
@click.option("--durbin", type=COMMA_LIST, help="Regressors whose spatial lag enters slx and sdm, or all (default).")
@click.option(
    "--correction",
    metavar="CORRECTION",
    help="none, transformation or bias (Lee and Yu); by default transformation with both effects, else none.",
)
@click.option("--cluster", metavar="city", help="Errors robust to dependence within a city.")
@panel_keys
@click.option("--out", type=FILE, help="Table of cities and years: own effect, received, standard error.")
@click.option("--map", "map_out", type=FILE, help="Map of what is received, .png or .svg; needs --cities.")
@click.option("--cities", type=FILE, help="Polygons of the cities.")
@click.option("--code", default="city_code", show_default=True, help="Column of the city codes in --cities.")
@click.option("--encoding", help="Of a Shapefile without .cpg, for example gb18030.")
@click.option("--year", type=int, help="Of the map; by default the last.")
@verb
def spillovers(panel: Path, id_: str, **options: Any) -> Any:
    """What each city of PANEL receives from the treatment of others, by a spatial difference-in-differences."""
    from gistools.study.spillovers import spatial_spillovers

    result = spatial_spillovers(panel, unit=id_, **options)
    click.echo(result.summary())
    return result
