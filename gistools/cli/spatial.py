"""``gistools moran`` and ``gistools spatial``: spatial evidence on a panel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gistools.cli.common import COMMA_LIST, FILE, panel_keys, verb


def weights_options(*, required: bool) -> Callable[..., Any]:
    """Add ``--weights`` and ``--row-standardise``."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        standardise = click.option(
            "--row-standardise", is_flag=True, help="Divide each row of the weights by its sum."
        )
        weights = click.option(
            "--weights", type=FILE, required=required, help="W.parquet, W.gal, W.gwt, or W.csv with codes as header."
        )
        return weights(standardise(function))

    return add


@click.command()
@click.argument("panel", type=FILE)
@weights_options(required=True)
@click.option("--column", required=True, help="Whose autocorrelation.")
@panel_keys
@click.option("--local", is_flag=True, help="Local Moran's I too; --out then holds it.")
@click.option("--permutations", type=click.IntRange(min=0), default=999, show_default=True)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the permutations.")
@click.option(
    "--alternative", default="two-sided", show_default=True, metavar="TAIL", help="two-sided, greater or less."
)
@click.option("--alpha", type=float, default=0.05, show_default=True, help="False-discovery rate of local clusters.")
@click.option("--out", type=FILE, help="Table: .csv, .parquet, .xlsx or .dta.")
@verb
def moran(panel: Path, id_: str, **options: Any) -> Any:
    """Moran's I of a column of PANEL, by year; a file without the time column is one cross-section."""
    from gistools.study import evidence

    result = evidence.moran(panel, unit=id_, **options)
    click.echo(result.summary())
    return result


@click.group()
def spatial() -> None:
    """Fit spatial panel models."""


@spatial.command()
@click.argument("panel", type=FILE)
@weights_options(required=False)
@click.option("--outcome", required=True, metavar="Y", help="Dependent variable.")
@click.option("--x", required=True, type=COMMA_LIST, help="Regressors.")
@click.option("--model", default="sdm", show_default=True, metavar="MODEL", help="sar, sdm, slx or pooled.")
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
@click.option("--draws", type=click.IntRange(min=0), default=2000, show_default=True, help="Of the simulated errors.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draws.")
@click.option("--out", type=FILE, help="Table of coefficients and effects.")
@verb
def fit(panel: Path, id_: str, **options: Any) -> Any:
    """Fit a spatial model to PANEL: coefficients, direct, indirect and total effects."""
    from gistools.study.evidence import spatial_fit

    result = spatial_fit(panel, unit=id_, **options)
    click.echo(result.summary())
    return result
