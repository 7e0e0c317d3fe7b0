"""``gistools spatial choose``: the tests between spatial models, and which they choose."""

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
@click.option("--x", required=True, type=COMMA_LIST, help="Regressors.")
@click.option(
    "--effects", metavar="EFFECTS", help="none, city, year or city,year; by default both, in a cross-section none."
)
@click.option(
    "--correction",
    metavar="CORRECTION",
    help="none, transformation or bias (Lee and Yu); by default transformation with both effects, else none.",
)
@click.option("--cluster", metavar="city", help="Errors robust to dependence within a city; Wald tests then decide.")
@click.option("--robust", is_flag=True, help="Errors robust to unequal variances; Wald tests then decide.")
@click.option(
    "--model",
    "hausman",
    default="sar",
    show_default=True,
    metavar="MODEL",
    help="Whose fixed and random effects the Hausman test compares: sar, sem or sdm.",
)
@click.option("--alpha", type=float, default=0.05, show_default=True, help="Level of every decision.")
@panel_keys
@click.option("--out", type=FILE, help="Table of the tests.")
@verb
def choose(panel: Path, id_: str, **options: Any) -> Any:
    """Choose between OLS, SLX, SAR, SEM and SDM for PANEL: LM, LR, Wald and Hausman tests, AIC and BIC, reasons."""
    from gistools.study.spatial_choice import spatial_choose

    result = spatial_choose(panel, unit=id_, **options)
    click.echo(result.summary())
    return result
