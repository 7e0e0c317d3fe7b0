"""``gistools parcels regulation``: the floor-area-ratio regulation index of city-years."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from gistools.cli.common import FILE, verb

if TYPE_CHECKING:
    from gistools.study.regulation import RegulationPanel


@click.command()
@click.argument("table", type=FILE)
@click.option(
    "--outcome",
    default="far_max",
    show_default=True,
    help="Its column of legal upper limits of the floor-area ratio.",
)
@click.option("--distance-column", default="distance_km", show_default=True, help="Km to the city's CBD.")
@click.option("--area-column", default="area_ha", show_default=True, help="Hectares.")
@click.option(
    "--transfer",
    type=click.Choice(["mode", "price", "none"]),
    default="mode",
    show_default=True,
    help="What stands for the transfer: transfer_mode as categories, price_10k_yuan, or nothing.",
)
@click.option(
    "--grade-column",
    default="land_grade",
    show_default=True,
    help="Land grades, as categories; none leaves them out.",
)
@click.option("--realised-column", default="far_realised", show_default=True, help="Realised floor-area ratios.")
@click.option("--city-column", default="city_code", show_default=True, help="City codes.")
@click.option("--year-column", default="year", show_default=True, help="Years.")
@click.option(
    "--min-parcels",
    type=click.IntRange(min=1),
    default=5,
    show_default=True,
    help="City-years with fewer are flagged; they keep their index.",
)
@click.option(
    "--cov",
    type=click.Choice(["city", "classical", "hc1", "hc2"]),
    default="city",
    show_default=True,
    help="Errors of the slopes clustered by city, classical, or robust to heteroskedasticity.",
)
@click.option(
    "--bootstrap", type=click.IntRange(min=0), default=0, show_default=True, help="Draws of the index; 0 for none."
)
@click.option(
    "--resample",
    type=click.Choice(["cities", "parcels"]),
    default="cities",
    show_default=True,
    help="Draw whole cities for the slopes, or parcels within city-years throughout.",
)
@click.option("--seed", type=int, default=0, show_default=True, help="Of the draws.")
@click.option("--draws-out", type=FILE, help="The draws, one row a draw and city-year: for a second stage.")
@click.option("--encoding", help="Of a CSV file that is neither UTF-8 nor GB18030.")
@click.option("--out", required=True, type=FILE, help="The panel: .parquet, .csv, .xlsx or .dta.")
@verb
def regulation(
    *,
    table: Path,
    outcome: str,
    distance_column: str,
    area_column: str,
    transfer: Any,
    grade_column: str,
    realised_column: str,
    city_column: str,
    year_column: str,
    min_parcels: int,
    cov: Any,
    bootstrap: int,
    resample: Any,
    seed: int,
    draws_out: Path | None,
    encoding: str | None,
    out: Path,
) -> RegulationPanel:
    """Legal floor-area-ratio cap at each city's CBD by year, from a hedonic of the parcels of TABLE."""
    from gistools.errors import InputError
    from gistools.study.form import require_output
    from gistools.study.regulation import measure_regulation, read_measured_parcels, write_regulation

    require_output(out)
    if draws_out is not None:
        require_output(draws_out)
        if not bootstrap:
            raise InputError("--draws-out needs draws; say how many with --bootstrap")
    if bootstrap == 1:
        raise InputError("--bootstrap is 1, but a standard error needs 2 or more draws")
    parcels, names = read_measured_parcels(table, city=city_column, year=year_column, encoding=encoding)
    grade = None if grade_column == "none" else names.get(grade_column, grade_column)
    found = measure_regulation(
        parcels,
        bootstrap=bootstrap,
        resample=resample,
        seed=seed,
        progress=_progress(bootstrap),
        outcome=names.get(outcome, outcome),
        distance=names.get(distance_column, distance_column),
        area=names.get(area_column, area_column),
        transfer=transfer,
        grade=grade,
        realised=names.get(realised_column, realised_column),
        min_parcels=min_parcels,
        cov=cov,
    )
    write_regulation(found, out, draws_out)
    for note in found.notes:
        click.echo(f"Note: {note}", err=True)
    click.echo(found.result.fit.summary())
    for word, number in found.result.records().items():
        click.echo(f"{word}: {number}")
    click.echo(f"{len(found.panel)} city-years written to {out}")
    return found


def _progress(draws: int) -> Any:
    """Say on a terminal how many draws are done."""

    def say(done: int) -> None:
        click.echo(f"\r\x1b[K{'' if done == draws else f'draw {done} of {draws}'}", nl=False, err=True)

    return say if sys.stderr.isatty() else None
