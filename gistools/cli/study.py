"""The commands of a whole study."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from gistools.cli.common import verb


@click.command()
@click.argument("out", type=click.Path(file_okay=False, path_type=Path))
@click.option("--cities", type=int, default=40, show_default=True, help="How many, 8 to 400.")
@click.option("--years", default="2001,2006-2013", show_default=True, help="Years within 1992-2013.")
@click.option("--seed", type=int, default=0, show_default=True, help="The same seed writes the same values.")
@click.option(
    "--noise",
    type=float,
    default=0.1,
    show_default=True,
    help="Standard deviation of ln density from cell to cell; 0 follows the design exactly.",
)
@click.option("--effect", type=float, default=0.08, show_default=True, help="Effect of the policy at home.")
@click.option("--spillover", type=float, default=0.04, show_default=True, help="Effect of treated neighbours.")
@click.option("--rho", type=float, default=0.4, show_default=True, help="Weight of the neighbours' mean outcome.")
@click.option("--spacing", type=float, help="Mean distance between cities in cells; else it follows their number.")
@click.option("--overwrite", is_flag=True, help="Write into a folder that is not empty.")
@verb
def sample(out: Path, years: str, **options: Any) -> Any:
    """Write a synthetic country with known truth into the folder OUT.

    Lights as DMSP-OLS, population as LandScan, city boundaries, land transactions, a yearbook, a policy, the
    study that runs them, and truth.json to hold every result against.
    """
    from gistools.study.config import parse_years
    from gistools.study.sample import write_sample

    result = write_sample(out, years=parse_years(years), **options)
    click.echo(result.summary())
    return result
