"""Housing supply of cities: inverse elasticity from undevelopable land, and the instruments built on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd

from gistools.checks import listed, require_columns, require_numeric, require_unique
from gistools.errors import InputError, PanelError, TableError
from gistools.panel.panel import KEYS, Panel, build_panel

SHARE = "undevelopable_share"
# Columns made here: unit (with the price's in place of {price}) and meaning.
COLUMNS: dict[str, tuple[str, str]] = {
    "supply_inverse_elasticity": ("ratio", "inverse elasticity of housing supply from the undevelopable share"),
    "supply_elasticity": ("ratio", "elasticity of housing supply; missing where its inverse is 0"),
    "national_housing_price": ("{price}", "national mean housing price of the year"),
    "adjusted_inverse_elasticity": ("{price}", "national mean housing price / elasticity of housing supply"),
    "iv_latitude": ("degrees x {price}", "latitude of the CBD x adjusted_inverse_elasticity"),
    "iv_heritage": ("sites x {price}", "heritage sites x adjusted_inverse_elasticity"),
}


@dataclass(frozen=True)
class SupplyCoefficients:
    """Coefficients of ``1 / elasticity = constant + share * s + share_population * s * ln(population)``.

    Attributes
    ----------
    constant, share : float
    share_population : float
        0 where population does not enter.
    """

    constant: float
    share: float
    share_population: float = 0.0

    def __post_init__(self) -> None:
        for name in ("constant", "share", "share_population"):
            if not np.isfinite(getattr(self, name)):
                raise InputError(f"the coefficient {name} is {getattr(self, name)}, but must be a number")


def inverse_supply_elasticity(
    table: pd.DataFrame, coefficients: SupplyCoefficients, *, population: str | None = None
) -> pd.Series:
    """Inverse elasticity of housing supply of each city from the share of its land that cannot be built on.

    Parameters
    ----------
    table : DataFrame
        ``city_code`` and ``undevelopable_share`` (0 to 1; missing stays missing).
    coefficients : SupplyCoefficients
        Estimates for the cities at hand: they differ between countries, and none are built in.
    population : str, optional
        A column of persons; needed where ``coefficients.share_population`` is not 0.

    Returns
    -------
    Series
        On the table's index; 0 is land without limits.

    Raises
    ------
    TableError
        If a share lies outside 0 to 1, a population is not above zero, or the coefficients make an inverse elasticity
        negative; the first cities are named.
    InputError
        If only one of population and its coefficient is given.

    Notes
    -----
    The form is that of Saiz [1]_ without regulation, which is the variable to be instrumented here; for cities of
    China see [2]_.

    References
    ----------
    .. [1] Saiz, A. (2010), The geographic determinants of housing supply, Quarterly Journal of Economics 125,
       1253-1296.
    .. [2] Liu, X., Du, C. and Li, S. (2019), 自然地理约束、土地利用规制与中国住房供给弹性 (natural limits, regulation
       of land use and the elasticity of housing supply in China), 经济研究 2019(4), 99-115.

    Examples
    --------
    >>> land = pd.DataFrame({"city_code": ["1", "2"], "undevelopable_share": [0.0, 0.5]})
    >>> inverse_supply_elasticity(land, SupplyCoefficients(constant=0.5, share=1.0)).tolist()
    [0.5, 1.0]
    """
    if (population is None) != (coefficients.share_population == 0):
        raise InputError("a population column and its coefficient go together; give both or neither")
    columns = [SHARE] if population is None else [SHARE, population]
    require_columns(table, ["city_code", *columns], "the table of undevelopable land")
    require_numeric(table, columns, "the table of undevelopable land")
    share = pd.to_numeric(table[SHARE]).astype("float64")
    _refuse(table, (share < 0) | (share > 1), share, SHARE, "a share is 0 to 1; divide percent by 100")
    inverse = coefficients.constant + coefficients.share * share
    if population is not None:
        people = pd.to_numeric(table[population]).astype("float64")
        _refuse(table, people <= 0, people, population, "its logarithm needs persons above zero")
        inverse = inverse + coefficients.share_population * share * np.log(people)
    _refuse(
        table, inverse < 0, inverse, "inverse elasticity", "supply cannot fall with the price; check coefficients"
    )
    return inverse.rename("supply_inverse_elasticity")


def _refuse(table: pd.DataFrame, bad: pd.Series, values: pd.Series, what: str, mend: str) -> None:
    if bad.any():
        keys = [key for key in KEYS if key in table.columns]
        names = ["/".join(map(str, row)) for row in table.loc[bad, keys].itertuples(index=False)]
        raise TableError(
            f"{what} is {values[bad].iloc[0]:.6g} in {names[0]} ({len(names)} rows: {listed(names, 3)}): {mend}"
        )


def national_housing_price(prices: pd.DataFrame, price: str, *, weight: str | None = None) -> pd.DataFrame:
    """National mean housing price of each year from the prices of cities.

    Parameters
    ----------
    prices : DataFrame
        ``city_code``, ``year``, the price and the weight.
    price : str
        Column of prices, above zero where they are known.
    weight : str, optional
        Column of weights, such as floor space sold; without it every city weighs the same.

    Returns
    -------
    DataFrame
        ``year``, ``national_housing_price``, ``cities`` (with a price and a weight).

    Raises
    ------
    TableError
        If columns lack, a key stands twice, a price is not above zero, or a weight is negative.

    Examples
    --------
    >>> prices = pd.DataFrame({
    ...     "city_code": ["1", "2"], "year": 2010, "price": [3000.0, 6000.0], "sold": [2.0, 1.0],
    ... })
    >>> national_housing_price(prices, "price", weight="sold").values.tolist()
    [[2010.0, 4000.0, 2.0]]
    """
    what = "the table of housing prices"
    columns = [price] if weight is None else [price, weight]
    require_columns(prices, [*KEYS, *columns], what)
    require_numeric(prices, ["year", *columns], what)
    require_unique(prices, KEYS, what)
    value = pd.to_numeric(prices[price]).astype("float64")
    _refuse(prices, value <= 0, value, price, "a price is above zero; leave unknown ones empty")
    weights = pd.Series(1.0, index=prices.index) if weight is None else pd.to_numeric(prices[weight])
    _refuse(prices, weights < 0, weights, str(weight), "a weight is zero or more")
    known = value.notna() & (weights > 0)
    if not known.any():
        raise TableError(f"{what} has no row with a price{'' if weight is None else ' and a weight'}")
    kept = pd.DataFrame({"year": pd.to_numeric(prices["year"]), "sum": value * weights, "weight": weights})[known]
    grouped = kept.groupby("year").agg(total=("sum", "sum"), weight=("weight", "sum"), cities=("sum", "size"))
    mean = (grouped["total"] / grouped["weight"]).rename("national_housing_price")
    return pd.concat([mean, grouped["cities"]], axis=1).reset_index()


def supply_instruments(
    panel: pd.DataFrame,
    undevelopable: pd.DataFrame,
    national: pd.DataFrame,
    coefficients: SupplyCoefficients,
    *,
    population: str | None = None,
    heritage: pd.DataFrame | None = None,
    heritage_column: str = "heritage_count",
    price_unit: str = "yuan per m2",
) -> Panel:
    """Join a panel with the adjusted inverse elasticity of housing supply and the instruments built on it.

    Parameters
    ----------
    panel : DataFrame
        ``city_code``, ``year``, and ``cbd_lat`` (degrees) unless `undevelopable` has it.
    undevelopable : DataFrame
        ``city_code`` (and ``year`` where CBDs move), ``undevelopable_share``; as
        :func:`gistools.raster.undevelopable.undevelopable_land` gives it.
    national : DataFrame
        ``year``, ``national_housing_price``.
    coefficients : SupplyCoefficients
    population : str, optional
        Column of `undevelopable`, as :func:`inverse_supply_elasticity` takes it.
    heritage : DataFrame, optional
        ``city_code`` (and ``year``) and `heritage_column`, as ``gistools city count`` gives them.
    heritage_column : str
    price_unit : str
        Of the housing price, for the units of the columns.

    Returns
    -------
    Panel
        The panel with ``undevelopable_share`` and :data:`COLUMNS` (``iv_heritage`` with `heritage` only), units and
        meanings in ``attrs``, every join counted. Rows without a partner keep missing values.

    Raises
    ------
    TableError
        If columns lack, shares lie outside 0 to 1, prices are not above zero, or counts are negative.
    PanelError
        If the panel already has a column to be made, no city or no year matches, or there is no latitude.

    Notes
    -----
    ``adjusted_it = national price_t / elasticity_i = national price_t * inverse elasticity_i`` varies over time and
    cities; with the latitude, which bounds caps by the hours of sun that dwellings must have, or with the number of
    protected sites, near which heights are limited, it makes an instrument for the cap of floor-area ratios.

    Examples
    --------
    >>> panel = pd.DataFrame({"city_code": ["1", "1"], "year": [2010, 2011], "cbd_lat": 30.0})
    >>> land = pd.DataFrame({"city_code": ["1"], "undevelopable_share": [0.5]})
    >>> prices = pd.DataFrame({"year": [2010, 2011], "national_housing_price": [4000.0, 5000.0]})
    >>> made = supply_instruments(panel, land, prices, SupplyCoefficients(0.5, 1.0)).table
    >>> made["adjusted_inverse_elasticity"].tolist(), made["iv_latitude"].tolist()
    ([4000.0, 5000.0], [120000.0, 150000.0])
    """
    made = [name for name in (SHARE, *COLUMNS) if name in panel.columns]
    if made:
        raise PanelError(f"the panel already has a column {listed(map(repr, made))}; rename or remove it first")
    require_columns(panel, KEYS, "the panel")
    inverse = inverse_supply_elasticity(undevelopable, coefficients, population=population)
    keys = [key for key in KEYS if key in undevelopable.columns]
    latitudes = [] if "cbd_lat" in panel.columns else ["cbd_lat"]
    if latitudes and "cbd_lat" not in undevelopable.columns:
        raise PanelError("neither the panel nor the table of undevelopable land has a column 'cbd_lat' (degrees)")
    land = undevelopable[[*keys, SHARE, *latitudes]].assign(supply_inverse_elasticity=inverse)
    tables = {"undevelopable": land}
    if heritage is not None:
        require_columns(heritage, ["city_code", heritage_column], "the table of heritage sites")
        require_numeric(heritage, [heritage_column], "the table of heritage sites")
        number = pd.to_numeric(heritage[heritage_column])
        _refuse(heritage, number < 0, number, heritage_column, "a count is zero or more")
        own = [key for key in KEYS if key in heritage.columns]
        tables["heritage"] = heritage[[*own, heritage_column]].rename(columns={heritage_column: "_heritage"})
    joined = build_panel(panel, tables)
    table, attrs = joined.table, joined.table.attrs
    require_numeric(table, ["cbd_lat"], "the panel")
    latitude = pd.to_numeric(table["cbd_lat"])
    _refuse(table, latitude.abs() > 90, latitude, "cbd_lat", "a latitude is -90 to 90 degrees")
    price, join = _price_of(table, national)
    table["supply_elasticity"] = (1 / table["supply_inverse_elasticity"]).replace(np.inf, np.nan)
    table["national_housing_price"] = price
    table["adjusted_inverse_elasticity"] = price * table["supply_inverse_elasticity"]
    table["iv_latitude"] = latitude * table["adjusted_inverse_elasticity"]
    notes = [*joined.notes, *_notes(table, undevelopable)]
    unpriced = sorted(table.loc[price.isna(), "year"].unique())
    if unpriced:
        notes.append(f"there is no national housing price of {listed(unpriced)}, and so no instrument in those years")
    if heritage is not None:
        table["iv_heritage"] = table.pop("_heritage") * table["adjusted_inverse_elasticity"]
    _describe(table, attrs, price_unit, coefficients, population, heritage_column)
    joins = pd.concat([joined.joins, pd.DataFrame([join])], ignore_index=True)
    return Panel(table, joins, tuple(notes))


def _price_of(table: pd.DataFrame, national: pd.DataFrame) -> tuple[pd.Series, dict[str, object]]:
    """National price of each row's year, and the account of this join."""
    what = "the table of national housing prices"
    require_columns(national, ["year", "national_housing_price"], what)
    require_numeric(national, ["year", "national_housing_price"], what)
    require_unique(national, ["year"], what)
    price = pd.to_numeric(national["national_housing_price"]).set_axis(pd.to_numeric(national["year"]))
    low = price[price <= 0]
    if len(low):
        raise TableError(f"the national housing price of {low.index[0]:.0f} is {low.iloc[0]:.6g}: it must be above 0")
    if price.index.isna().any():
        raise TableError(f"{what} has a row without a year; fill or remove it")
    years = set(table["year"])
    strange = sorted(set(price.index) - years)
    if not years & set(price.index):
        raise PanelError(
            f"{what} has no year of the panel: it has {listed(sorted(price.index), 3)}, the panel has "
            f"{listed(sorted(years), 3)}"
        )
    without = ~table["year"].isin(price.index)
    return table["year"].map(price), {
        "table": "national housing price",
        "rows": len(price),
        "matched": len(price) - len(strange),
        "only_in_table": len(strange),
        "only_in_panel": int(without.sum()),
        "examples": listed([*(f"{year:.0f}" for year in strange[:3]), *table.loc[without, "year"].unique()[:3]], 6),
    }


def _describe(
    table: pd.DataFrame,
    attrs: dict,
    price_unit: str,
    coefficients: SupplyCoefficients,
    population: str | None,
    heritage_column: str,
) -> None:
    """Give the columns their units, meanings and sources (changes the table's attrs)."""
    said = f"{coefficients.constant:g} + {coefficients.share:g} {SHARE}"
    if population is not None:
        said += f" + {coefficients.share_population:g} {SHARE} ln({population})"
    for name in table.columns.intersection(list(COLUMNS)):
        attrs["units"][name] = COLUMNS[name][0].format(price=price_unit)
        attrs["labels"][name] = COLUMNS[name][1]
        attrs["sources"][name] = "housing supply"
    attrs["labels"]["supply_inverse_elasticity"] += f": {said}"
    if "iv_heritage" in table:
        attrs["labels"]["iv_heritage"] = f"{heritage_column} x adjusted_inverse_elasticity"
    attrs["units"][SHARE] = "0 to 1"
    attrs["labels"].setdefault(SHARE, "share of the land around the CBD that cannot be built on")
    for part in attrs.values():
        part.pop("_heritage", None)
    table.attrs = attrs


def _notes(table: pd.DataFrame, undevelopable: pd.DataFrame) -> list[str]:
    """Cities without an elasticity, a count or a latitude, and CBDs that move."""
    notes = []
    for column, what in ((SHARE, "undevelopable share"), ("_heritage", "count of sites"), ("cbd_lat", "latitude")):
        if column in table:
            lacking = table.loc[table[column].isna(), "city_code"].unique()
            if len(lacking):
                notes.append(f"{len(lacking)} cities have no {what}, at least in some year ({listed(lacking)})")
    moving = table.groupby("city_code")["cbd_lat"].nunique()
    if (moving > 1).any() and "year" not in undevelopable:
        notes.append(f"the CBD of {int((moving > 1).sum())} cities moves, and so does their latitude")
    flat = table.loc[table["supply_inverse_elasticity"] == 0, "city_code"].nunique()
    if flat:
        notes.append(f"{flat} cities have the inverse elasticity 0: supply without limits, instruments of 0")
    return notes
