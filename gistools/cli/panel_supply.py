"""``gistools panel supply``: elasticity of housing supply and its instruments as columns of a panel."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gistools.cli.common import FILE, panel_keys, verb

if TYPE_CHECKING:
    from gistools.study.panel import PanelResult


@click.command()
@click.argument("panel", type=FILE)
@click.option(
    "--undevelopable",
    required=True,
    type=FILE,
    help="As terrain undevelopable writes it: undevelopable_share by city.",
)
@click.option("--prices", required=True, type=FILE, help="Housing prices by year: national, or of cities.")
@click.option("--price-column", default="housing_price", show_default=True, help="Its column of prices.")
@click.option("--price-weight", metavar="COL|equal", help="What weighs cities in the national mean of their prices.")
@click.option("--price-unit", default="yuan per m2", show_default=True, help="Of the prices, for the codebook.")
@click.option("--constant", required=True, type=float, help="Inverse elasticity where all land can be built on.")
@click.option("--share-coefficient", required=True, type=float, help="What the undevelopable share adds to it.")
@click.option("--population-coefficient", type=float, help="What share x ln(population) adds to it.")
@click.option("--population", metavar="COL", help="The panel's column of persons; with --population-year.")
@click.option("--population-year", type=int, help="The year whose population counts.")
@click.option("--heritage", type=FILE, help="As city count writes it: sites by city, or by city and year.")
@click.option("--heritage-column", default="heritage_count", show_default=True, help="Its column of counts.")
@click.option("--encoding", help="Of CSV files that are neither UTF-8 nor GB18030.")
@click.option("--codebook", type=FILE, help="Describe every column in this table.")
@click.option(
    "--out", required=True, type=FILE, help="The panel with the new columns: .parquet, .csv, .xlsx or .dta."
)
@panel_keys
@verb
def supply(
    *,
    panel: Path,
    undevelopable: Path,
    prices: Path,
    price_column: str,
    price_weight: str | None,
    price_unit: str,
    constant: float,
    share_coefficient: float,
    population_coefficient: float | None,
    population: str | None,
    population_year: int | None,
    heritage: Path | None,
    heritage_column: str,
    encoding: str | None,
    codebook: Path | None,
    out: Path,
    id_: str,
    time: str,
) -> PanelResult:
    """Join PANEL with the elasticity of housing supply and the instruments built on it; every join is counted."""
    from gistools.errors import InputError
    from gistools.panel.housing_supply import SupplyCoefficients
    from gistools.study.form import require_output
    from gistools.study.housing_supply import add_supply, read_national_prices
    from gistools.study.panel import PanelResult, read_city_years, write_panel

    require_output(out)
    if codebook is not None:
        require_output(codebook)
    given = [value is not None for value in (population_coefficient, population, population_year)]
    if any(given) and not all(given):
        raise InputError("--population-coefficient, --population and --population-year go together; give all or none")
    national, notes = read_national_prices(
        prices, price_column, weight=price_weight, code=id_, year=time, encoding=encoding
    )
    found = add_supply(
        read_city_years(panel, code=id_, year=time, encoding=encoding),
        read_city_years(undevelopable, code=id_, year=time, encoding=encoding),
        national,
        SupplyCoefficients(constant, share_coefficient, population_coefficient or 0.0),
        population=None if population is None or population_year is None else (population, population_year),
        heritage=None if heritage is None else read_city_years(heritage, code=id_, year=time, encoding=encoding),
        heritage_column=heritage_column,
        price_unit=price_unit,
    )
    found = replace(found, notes=(*notes, *found.notes))
    write_panel(found, out, codebook)
    for note in found.notes:
        click.echo(f"Note: {note}", err=True)
    click.echo(found.joins.to_string(index=False))
    click.echo(f"{len(found.table)} rows written to {out}")
    return PanelResult(found)
