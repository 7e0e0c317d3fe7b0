"""Elasticity of housing supply and its instruments: by hand, by formula, and what is refused."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gistools.errors import InputError, PanelError, TableError
from gistools.panel.housing_supply import (
    COLUMNS,
    SupplyCoefficients,
    inverse_supply_elasticity,
    national_housing_price,
    supply_instruments,
)

PANEL = pd.DataFrame(
    {
        "city_code": ["1", "1", "2", "2", "3", "3"],
        "year": [2010, 2011] * 3,
        "cbd_lat": [30.0, 30.0, 40.0, 40.0, 25.0, 25.0],
        "ln_farr": 1.0,
    }
)
LAND = pd.DataFrame({"city_code": ["1", "2", "9"], "undevelopable_share": [0.5, 0.0, 1.0]})
NATIONAL = pd.DataFrame({"year": [2010, 2011, 2012], "national_housing_price": [4000.0, 5000.0, 6000.0]})
SITES = pd.DataFrame({"city_code": ["1", "2"], "heritage_count": [3, 0]})
BOTH = SupplyCoefficients(0.2, 0.6)


def test_a_panel_by_hand():
    panel = PANEL.copy()
    panel.attrs["units"] = {"ln_farr": "ln"}
    made = supply_instruments(panel, LAND, NATIONAL, BOTH, heritage=SITES)
    table = made.table
    assert [*table] == [*PANEL, "undevelopable_share", *COLUMNS]
    assert table["supply_inverse_elasticity"].tolist()[:4] == [0.5, 0.5, 0.2, 0.2]
    assert table["supply_elasticity"].tolist()[:4] == [2.0, 2.0, 5.0, 5.0]
    # price / elasticity
    assert table["adjusted_inverse_elasticity"].tolist()[:4] == [2000.0, 2500.0, 800.0, 1000.0]
    assert table["iv_latitude"].tolist()[:4] == [60_000.0, 75_000.0, 32_000.0, 40_000.0]
    assert table["iv_heritage"].tolist()[:4] == [6000.0, 7500.0, 0.0, 0.0]
    assert table.loc[4:, ["supply_elasticity", "iv_latitude", "iv_heritage"]].isna().all(axis=None)
    assert table["ln_farr"].tolist() == PANEL["ln_farr"].tolist()
    joins = made.joins.set_index("table")
    assert joins.loc["undevelopable", ["rows", "matched", "only_in_table", "only_in_panel"]].tolist() == [3, 2, 1, 2]
    assert joins.loc["heritage", ["rows", "matched", "only_in_panel"]].tolist() == [2, 2, 2]
    price = joins.loc["national housing price"]
    assert price[["rows", "matched", "only_in_table", "only_in_panel"]].tolist() == [3, 2, 1, 0]
    assert price["examples"] == "2012"
    assert made.notes == (
        "1 cities have no undevelopable share, at least in some year (3)",
        "1 cities have no count of sites, at least in some year (3)",
    )
    book = made.codebook().set_index("column")
    assert book.loc["iv_latitude", "unit"] == "degrees x yuan per m2"
    assert book.loc["iv_heritage", ["unit", "source"]].tolist() == ["sites x yuan per m2", "housing supply"]
    assert book.loc["supply_inverse_elasticity", "meaning"].endswith(": 0.2 + 0.6 undevelopable_share")
    assert book.loc["undevelopable_share", ["unit", "source"]].tolist() == ["0 to 1", "undevelopable"]
    assert book.loc["ln_farr", "unit"] == "ln"
    assert not any("_heritage" in part for part in table.attrs.values())


def test_population_enters_with_the_share():
    land = LAND.assign(people=[1e6, 2e6, 3e6])
    coefficients = SupplyCoefficients(0.2, -0.6, 0.1)
    found = inverse_supply_elasticity(land, coefficients, population="people")
    share, people = land["undevelopable_share"], land["people"]
    np.testing.assert_allclose(found, 0.2 - 0.6 * share + 0.1 * share * np.log(people), rtol=1e-12)
    made = supply_instruments(PANEL, land, NATIONAL, coefficients, population="people")
    assert "people" not in made.table
    assert "iv_heritage" not in made.table
    assert "+ 0.1 undevelopable_share ln(people)" in made.table.attrs["labels"]["supply_inverse_elasticity"]


def test_land_without_limits_and_moving_cbds():
    made = supply_instruments(PANEL, LAND, NATIONAL, SupplyCoefficients(0.0, 1.0))
    flat = made.table[made.table["city_code"] == "2"]
    assert flat["supply_elasticity"].isna().all()
    assert (flat["iv_latitude"] == 0).all()
    assert "1 cities have the inverse elasticity 0: supply without limits, instruments of 0" in made.notes
    moving = PANEL.assign(cbd_lat=[30, 31, 40, 40, 25, 25])
    assert (
        "the CBD of 1 cities moves, and so does their latitude"
        in supply_instruments(moving, LAND, NATIONAL, BOTH).notes
    )
    by_year = pd.DataFrame(
        {"city_code": ["1", "1"], "year": [2010, 2011], "undevelopable_share": [0.5, 0.6], "cbd_lat": [30.0, 31.0]}
    )
    table = supply_instruments(PANEL.drop(columns="cbd_lat"), by_year, NATIONAL, BOTH).table
    np.testing.assert_allclose(table["iv_latitude"][:2], [30 * 4000 * 0.5, 31 * 5000 * 0.56], rtol=1e-12)
    dated = pd.DataFrame({"city_code": ["1", "1"], "year": [2010, 2011], "n": [3, 4]})
    table = supply_instruments(PANEL, LAND, NATIONAL, BOTH, heritage=dated, heritage_column="n").table
    assert table["iv_heritage"].tolist()[:2] == [6000.0, 10_000.0]
    assert table.attrs["labels"]["iv_heritage"] == "n x adjusted_inverse_elasticity"


def test_the_national_price_is_a_weighted_mean():
    prices = pd.DataFrame(
        {
            "city_code": ["1", "2", "3", "1", "2"],
            "year": [2010, 2010, 2010, 2011, 2011],
            "price": [3000.0, 6000.0, np.nan, 4000.0, 8000.0],
            "sold": [2.0, 1.0, 9.0, 0.0, 3.0],
        }
    )
    weighted = national_housing_price(prices, "price", weight="sold")
    assert weighted["national_housing_price"].tolist() == [4000.0, 8000.0]
    assert weighted["cities"].tolist() == [2, 1]
    assert national_housing_price(prices, "price")["national_housing_price"].tolist() == [4500.0, 6000.0]


@given(
    share=st.lists(st.floats(0, 1), min_size=2, max_size=5, unique=True),
    constant=st.floats(0.01, 2),
    slope=st.floats(0, 3),
    price=st.floats(1, 1e5),
)
def test_scarcer_land_is_never_more_elastic(share, constant, slope, price):
    codes = [str(k) for k in range(len(share))]
    panel = pd.DataFrame({"city_code": codes, "year": 2010, "cbd_lat": 30.0})
    land = pd.DataFrame({"city_code": codes, "undevelopable_share": share})
    national = pd.DataFrame({"year": [2010], "national_housing_price": [price]})
    made = supply_instruments(panel, land, national, SupplyCoefficients(constant, slope)).table
    made = made.sort_values("undevelopable_share")
    assert (made["supply_elasticity"].diff().dropna() <= 1e-12).all()
    np.testing.assert_allclose(made["adjusted_inverse_elasticity"] * made["supply_elasticity"], price, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (
            {"land": LAND.assign(undevelopable_share=[0.5, 50, 1])},
            r"undevelopable_share is 50 in 2 \(1 rows: 2\): a share is",
        ),
        ({"land": LAND.assign(undevelopable_share=[-0.1, 0, 1])}, "undevelopable_share is -0.1 in 1"),
        ({"land": LAND.assign(undevelopable_share="half")}, "holds 'half' where a number is needed"),
        ({"land": LAND.drop(columns="undevelopable_share")}, "has no column 'undevelopable_share'"),
        ({"land": LAND.assign(city_code=["7", "8", "9"])}, "no row of undevelopable matches the panel"),
        ({"coefficients": SupplyCoefficients(0.2, -0.6)}, r"inverse elasticity is -0.1 in 1 \(2 rows: 1, 9\)"),
        ({"national": NATIONAL.assign(national_housing_price=[1, 0, 2])}, "housing price of 2011 is 0: it must"),
        ({"national": NATIONAL.assign(year=[1990, 1991, 1992])}, "has no year of the panel: it has 1990"),
        ({"national": pd.concat([NATIONAL, NATIONAL])}, "more than one row for year 2010"),
        ({"national": NATIONAL.assign(year=[2010, np.nan, 2012])}, "has a row without a year"),
        ({"sites": SITES.assign(heritage_count=[-1, 0])}, "heritage_count is -1 in 1"),
        ({"sites": SITES.rename(columns={"heritage_count": "n"})}, "has no column 'heritage_count'"),
        ({"panel": PANEL.assign(iv_latitude=1.0)}, "already has a column 'iv_latitude'"),
        ({"panel": PANEL.assign(cbd_lat=[114.0] * 6)}, "cbd_lat is 114 in 1/2010"),
        ({"panel": PANEL.drop(columns="cbd_lat")}, "neither the panel nor the table of undevelopable land"),
        ({"panel": PANEL.drop(columns="year")}, "the panel has no column 'year'"),
    ],
)
def test_what_is_refused(change, words):
    given_ = {"panel": PANEL, "land": LAND, "national": NATIONAL, "coefficients": BOTH, "sites": SITES} | change
    with pytest.raises(TableError, match=words) as error:
        supply_instruments(
            given_["panel"], given_["land"], given_["national"], given_["coefficients"], heritage=given_["sites"]
        )
    assert "\n" not in str(error.value)


def test_other_refusals():
    with pytest.raises(InputError, match="coefficient share is nan, but must be a number"):
        SupplyCoefficients(0.1, float("nan"))
    for coefficients, population in ((SupplyCoefficients(0.1, 0.2, 0.3), None), (BOTH, "people")):
        with pytest.raises(InputError, match="a population column and its coefficient go together"):
            inverse_supply_elasticity(LAND, coefficients, population=population)
    with pytest.raises(TableError, match=r"people is 0 in 2 .* its logarithm needs persons above zero"):
        inverse_supply_elasticity(LAND.assign(people=[1, 0, 1]), SupplyCoefficients(1, 1, 1), population="people")
    prices = pd.DataFrame({"city_code": ["1", "2"], "year": 2010, "price": [0.0, 2.0], "sold": [1.0, -1.0]})
    with pytest.raises(TableError, match=r"price is 0 in 1/2010 .* a price is above zero"):
        national_housing_price(prices, "price")
    with pytest.raises(TableError, match=r"sold is -1 in 2/2010 .* a weight is zero or more"):
        national_housing_price(prices.assign(price=1.0), "price", weight="sold")
    with pytest.raises(TableError, match="has no row with a price and a weight"):
        national_housing_price(prices.assign(price=np.nan), "price", weight="price")
    with pytest.raises(PanelError):
        supply_instruments(PANEL.assign(supply_elasticity=1), LAND, NATIONAL, BOTH)


@pytest.mark.parametrize(
    "national", [NATIONAL.iloc[:1], NATIONAL.assign(national_housing_price=[4000.0, np.nan, np.nan])]
)
def test_years_without_a_price_are_spoken_of(national):
    made = supply_instruments(PANEL, LAND, national, BOTH)
    assert made.table.loc[made.table["year"] > 2010, "iv_latitude"].isna().all()
    (note,) = [note for note in made.notes if "price" in note]
    assert note.startswith("there is no national housing price of 2011")
