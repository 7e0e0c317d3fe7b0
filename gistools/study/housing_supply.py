"""Housing supply from files to panel columns: the verb behind ``panel supply``."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from gistools.checks import listed, require_columns, require_numeric, require_unique
from gistools.errors import InputError, PanelError
from gistools.io.tables import read_table
from gistools.panel.housing_supply import SupplyCoefficients, national_housing_price, supply_instruments
from gistools.panel.panel import Panel
from gistools.study.panel import read_city_years

EQUAL = "equal"


def read_national_prices(
    path: Path,
    price: str,
    *,
    weight: str | None = None,
    code: str = "city_code",
    year: str = "year",
    encoding: str | None = None,
) -> tuple[pd.DataFrame, list[str]]:
    """Read national housing prices, or make them from a table of cities.

    Parameters
    ----------
    path : Path
        One row a year, or one a city and year.
    price : str
        Its column of prices.
    weight : str, optional
        For a table of cities: its column of weights, or ``"equal"``.
    code, year : str
        Its key columns.
    encoding : str, optional

    Returns
    -------
    national : DataFrame
        ``year``, ``national_housing_price``.
    notes : list of str

    Raises
    ------
    InputError
        If a table of cities has no weight, or one of years has one.
    """
    table = read_table(path, text=[code, "city_code"], encoding=encoding)
    require_columns(table, [year, price], path.name)
    if code not in table.columns:
        if weight is not None:
            raise InputError(
                f"{path.name} has no column '{code}', so it is national already; leave out --price-weight"
            )
        return table[[year, price]].rename(columns={year: "year", price: "national_housing_price"}), []
    if weight is None:
        raise InputError(
            f"{path.name} has prices of cities; say with --price-weight which column weighs them in the national "
            f"mean (floor space sold, for example), or {EQUAL}"
        )
    cities = read_city_years(path, code=code, year=year, encoding=encoding)
    national = national_housing_price(cities, price, weight=None if weight == EQUAL else weight)
    few, most = int(national["cities"].min()), int(national["cities"].max())
    notes = [f"the national housing price is the mean of {most} cities, weighted by {weight}"]
    if few != most:
        notes = [
            f"the national housing price is the mean of {few} to {most} cities, weighted by {weight}: where it "
            "moves, other cities may be the reason"
        ]
    return national[["year", "national_housing_price"]], notes


def with_population(
    undevelopable: pd.DataFrame, panel: pd.DataFrame, population: str, year: int
) -> tuple[pd.DataFrame, list[str]]:
    """Add the population of one year to the table of undevelopable land.

    Parameters
    ----------
    undevelopable : DataFrame
        ``city_code``.
    panel : DataFrame
        ``city_code``, ``year`` and the population.
    population : str
        Column of persons.
    year : int
        Of the population: the elasticity shall not move with it.

    Returns
    -------
    table : DataFrame
    notes : list of str
        Cities without a population.

    Raises
    ------
    PanelError
        If the panel has no such year.
    """
    require_columns(panel, [population], "the panel")
    require_numeric(panel, ["year", population], "the panel")
    of_year = panel[pd.to_numeric(panel["year"]) == year]
    if not len(of_year):
        years = listed(sorted(panel["year"].unique()))
        raise PanelError(f"the panel has no year {year} for the population; it has {years}")
    require_unique(of_year, ["city_code"], f"the panel in {year}")
    people = of_year.set_index("city_code")[population]
    table = undevelopable.assign(**{population: undevelopable["city_code"].map(people)})
    lacking = table.loc[table[population].isna(), "city_code"].unique()
    said = f"{len(lacking)} cities have no {population} in {year}, and so no elasticity ({listed(lacking)})"
    return table, [said] if len(lacking) else []


def add_supply(
    panel: pd.DataFrame,
    undevelopable: pd.DataFrame,
    national: pd.DataFrame,
    coefficients: SupplyCoefficients,
    *,
    population: tuple[str, int] | None = None,
    heritage: pd.DataFrame | None = None,
    heritage_column: str = "heritage_count",
    price_unit: str = "yuan per m2",
) -> Panel:
    """Join a panel with housing supply and its instruments.

    Parameters
    ----------
    panel, undevelopable, national, coefficients, heritage, heritage_column, price_unit
        As :func:`gistools.panel.housing_supply.supply_instruments` takes them.
    population : (str, int), optional
        The panel's column of persons, and the year that counts.

    Returns
    -------
    Panel
    """
    notes: list[str] = []
    if population is not None:
        undevelopable, notes = with_population(undevelopable, panel, *population)
    found = supply_instruments(
        panel,
        undevelopable,
        national,
        coefficients,
        population=None if population is None else population[0],
        heritage=heritage,
        heritage_column=heritage_column,
        price_unit=price_unit,
    )
    return Panel(found.table, found.joins, (*notes, *found.notes))
