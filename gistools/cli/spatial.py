"""``gistools spatial``: spatial models of a panel."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from gistools.cli.common import COMMA_LIST, FILE, LazyGroup, panel_keys, verb


def weights_options(*, required: bool, several: bool = False) -> Callable[..., Any]:
    """Add ``--weights``, which may come several times with `several`, and ``--row-standardise``."""

    def add(function: Callable[..., Any]) -> Callable[..., Any]:
        standardise = click.option(
            "--row-standardise", is_flag=True, help="Divide each row of the weights by its sum."
        )
        weights = click.option(
            "--weights",
            type=FILE,
            required=required,
            multiple=several,
            help="W.parquet, W.gal, W.gwt, or W.csv with codes as header."
            + (" Given several times: one fit with each." if several else ""),
        )
        return weights(standardise(function))

    return add


COMMANDS = {
    "fit": ("gistools.cli.spatial:fit", "Fit a spatial model: coefficients, direct, indirect and total effects."),
    "choose": (
        "gistools.cli.spatial_choose:choose",
        "Choose between OLS, SLX, SAR, SEM and SDM: the tests, and the reasons in words.",
    ),
    "spillovers": (
        "gistools.cli.spatial_spillovers:spillovers",
        "What each city receives from the treatment of others, as a table and a map.",
    ),
}


@click.group(cls=LazyGroup, lazy=COMMANDS)
def spatial() -> None:
    """Fit spatial panel models, and choose between them."""


@click.command()
@click.argument("panel", type=FILE)
@weights_options(required=False, several=True)
@click.option("--outcome", required=True, metavar="Y", help="Dependent variable.")
@click.option("--x", required=True, type=COMMA_LIST, help="Regressors.")
@click.option("--model", default="sdm", show_default=True, metavar="MODEL", help="sar, sem, sdm, slx or pooled.")
@click.option(
    "--effects", metavar="EFFECTS", help="none, city, year or city,year; by default both, in a cross-section none."
)
@click.option("--random", is_flag=True, help="Effects of the cities are random; those of the years stay fixed.")
@click.option("--kkp", is_flag=True, help="In sem with --random: effects spread as errors do; else they stay home.")
@click.option("--durbin", type=COMMA_LIST, help="Regressors whose spatial lag enters slx and sdm, or all (default).")
@click.option(
    "--correction",
    metavar="CORRECTION",
    help="none, transformation or bias (Lee and Yu); by default transformation with both effects, else none.",
)
@click.option("--cluster", metavar="city", help="Errors robust to dependence within a city.")
@click.option("--robust", is_flag=True, help="Errors robust to heteroskedasticity.")
@click.option(
    "--determinant", default="auto", show_default=True, metavar="WAY", help="auto, eigenvalues, lu or series."
)
@panel_keys
@click.option("--draws", type=click.IntRange(min=0), default=2000, show_default=True, help="Of the simulated errors.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the draws.")
@click.option("--out", type=FILE, help="Table of coefficients and effects.")
@verb
def fit(panel: Path, id_: str, weights: tuple[Path, ...], random: bool, kkp: bool, **options: Any) -> Any:
    """Fit a spatial model to PANEL: coefficients, direct, indirect and total effects."""
    from gistools.errors import InputError
    from gistools.study.evidence import spatial_fit, spatial_fit_by_weights

    if kkp and not random:
        raise InputError("--kkp is a kind of random effects; give --random with it")
    options |= {"unit": id_, "random": "kkp" if kkp else random}
    if len(weights) < 2:
        result = spatial_fit(panel, weights=weights[0] if weights else None, **options)
        click.echo(result.summary())
        return result
    results = spatial_fit_by_weights(panel, weights=weights, **options)
    click.echo("\n\n".join(result.summary() for result in results))
    return [result.to_dict() for result in results]
