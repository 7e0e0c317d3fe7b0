"""Land transactions of a study: what the headers allow, what options demand, and every record counted to the end."""

import json
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest

from gistools.errors import ConfigError, InputError, TableError
from gistools.io.vectors import read_boundaries
from gistools.parcels.cleaning import RULES
from gistools.parcels.status import LOCATED
from gistools.study.config import CleaningConfig, GeocodingConfig, ParcelsConfig, RegulationConfig
from gistools.study.parcel_chain import COUNT_COLUMNS, INDEX_COLUMNS, follow_parcels, plan_parcels

COUNTRY = Path(__file__).parents[2] / "sample_rasters" / "country"


@pytest.fixture(scope="module")
def cities() -> gpd.GeoDataFrame:
    return read_boundaries(COUNTRY / "cities.gpkg", name="city_name", province="province")


@pytest.fixture(scope="module")
def truth() -> dict:
    return json.loads((COUNTRY / "truth.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def cbds(truth: dict) -> pd.DataFrame:
    return pd.DataFrame(truth["city_years"])[["city_code", "year", "cbd_lon", "cbd_lat"]]


@pytest.fixture(scope="module")
def records() -> pd.DataFrame:
    return pd.read_csv(COUNTRY / "parcels.csv", dtype=str, encoding="gb18030", keep_default_na=False)


def table(folder: Path, records: pd.DataFrame) -> str:
    records.to_csv(folder / "parcels.csv", index=False)
    return str(folder / "parcels.csv")


def test_the_sample_is_cleaned_measured_and_its_caps_recovered(cities, cbds, truth):
    plan = plan_parcels(ParcelsConfig(file=str(COUNTRY / "parcels.csv")))
    assert plan.rules.rules == RULES
    assert plan.notes == ()
    assert plan.panel_columns == (*COUNT_COLUMNS, *INDEX_COLUMNS)
    chain = follow_parcels(plan, cbds, cities)
    steps = chain.parcels.funnel.set_index("step")
    kept = steps["kept"].to_numpy()
    assert kept[0] == truth["parcels"]["rows"] == len(chain.parcels.parcels)
    assert (kept[:-1] - steps["removed"].to_numpy()[1:] == kept[1:]).all()
    where = truth["parcels"]["coordinates_of_clean_rows"]
    assert steps.loc["first of its id", "kept"] == truth["parcels"]["status"]["clean"]
    assert steps.loc["with coordinates", "removed"] == where.get("empty", 0) + where.get("swapped", 0)
    assert kept[-1] == where["given"]
    panel = chain.panel_table()
    true = pd.DataFrame(truth["parcels"]["farr"])
    both = panel.merge(true, on=["city_code", "year"], suffixes=("", "_true"))
    assert len(both) == (true["parcels"] > 0).sum()
    assert (both["farr_parcels"] == both["parcels_true"]).all()
    apart = (both["farr"] - both["farr_true"]) / both["farr_se"]
    assert abs(apart.mean()) < 4 / np.sqrt(len(apart))
    assert 0.6 < apart.std() < 1.4
    assert np.allclose(both["ln_farr"], np.log(both["farr"]), rtol=1e-12)
    assert {"city_code", "year", *panel.attrs["units"]} == set(panel.columns)
    assert panel.attrs["units"].keys() == panel.attrs["labels"].keys()


def test_a_table_with_nothing_but_points_is_measured_and_what_lacks_is_said(tmp_path, records, cities, cbds):
    path = table(tmp_path, records[["经度", "纬度"]].assign(地块="x"))
    plan = plan_parcels(ParcelsConfig(file=path))
    assert plan.rules is None
    assert plan.regulation is None
    assert plan.panel_columns == ()
    assert [text for text in plan.notes if "'mode'" in text]
    assert "there is no regulation index" in plan.notes[-1]
    chain = follow_parcels(plan, cbds[cbds["year"] == 2006].drop(columns="year"), cities)
    assert chain.regulation is None
    assert chain.panel_table() is None
    assert chain.parcels.funnel["step"].tolist()[0] == "records"
    assert (chain.parcels.parcels["status"] == LOCATED).any()


def test_rules_apply_where_their_columns_are(tmp_path, records):
    path = table(tmp_path, records.drop(columns=["土地用途", "约定容积率上限", "约定容积率下限"]))
    plan = plan_parcels(ParcelsConfig(file=path))
    assert plan.rules.rules == ("numbers", "date", "mode", "district", "duplicates")
    assert plan.rules.numbers == ("area_ha",)


def test_a_table_that_was_cleaned_is_taken_as_it_is(tmp_path, cities, cbds):
    once = follow_parcels(plan_parcels(ParcelsConfig(file=str(COUNTRY / "parcels.csv"))), cbds, cities)
    cleaned = once.parcels.parcels.drop(columns=["city_code", "distance_km"])
    cleaned["status"] = cleaned["status"].where(cleaned["status"] != LOCATED, "kept")
    cleaned.to_parquet(tmp_path / "cleaned.parquet")
    plan = plan_parcels(ParcelsConfig(file=str(tmp_path / "cleaned.parquet")))
    assert plan.rules is None
    twice = follow_parcels(plan, cbds, cities)
    assert twice.parcels.parcels["status"].tolist() == once.parcels.parcels["status"].tolist()
    assert np.array_equal(twice.regulation.panel["farr"], once.regulation.panel["farr"])
    assert twice.parcels.funnel["kept"].iloc[-1] == once.parcels.funnel["kept"].iloc[-1]


def test_options_reach_the_rules_and_the_index(cities, cbds):
    config = ParcelsConfig(
        file=str(COUNTRY / "parcels.csv"),
        clean=CleaningConfig(skip=("district",), far_limit=3.0),
        regulation=RegulationConfig(transfer="price", grade=None, min_parcels=9, cov="hc2", bootstrap=20),
    )
    plan = plan_parcels(config)
    assert "district" not in plan.rules.rules
    said: list[str] = []
    chain = follow_parcels(plan, cbds, cities, seed=3, note=said.append)
    assert any("fewer than 9 parcels" in text for text in said)
    used = chain.parcels.parcels["status"] == LOCATED
    assert chain.parcels.parcels.loc[used, "far_max"].max() <= 3.0
    result = chain.regulation.result
    assert result.min_parcels == 9
    assert set(result.fit.terms) == {"area_ha", "distance_km", "price_10k_yuan"}
    assert chain.regulation.panel["farr_se_bootstrap"].notna().any()
    again = follow_parcels(plan, cbds, cities, seed=3)
    assert np.array_equal(
        again.regulation.panel["farr_se_bootstrap"], chain.regulation.panel["farr_se_bootstrap"], equal_nan=True
    )


def test_records_without_coordinates_are_geocoded_by_the_users_places(tmp_path, records, cities, cbds):
    """Streets of the gazetteer give records back to their city; what it does not know is counted as not geocoded."""
    path = table(tmp_path, records.assign(经度="", 纬度=""))
    streets = records["项目位置"].str.extract(r"([^省市区县]{2}(?:路|大道|街))\d+号")[0]
    named = records["行政区"].str[:3]
    points = cities.set_index("city_name").representative_point()
    places = pd.DataFrame({"name": streets, "city": named, "lon": named.map(points.x), "lat": named.map(points.y)})
    codes = dict(zip(cities["city_name"], cities["city_code"], strict=True))
    places = places.assign(city_code=places["city"].map(codes)).dropna().drop_duplicates()
    places.to_csv(tmp_path / "places.csv", index=False)
    config = ParcelsConfig(
        file=path, geocode=GeocodingConfig(gazetteer=str(tmp_path / "places.csv"), min_precision="street"),
        regulation=False,
    )  # fmt: skip
    chain = follow_parcels(plan_parcels(config), cbds, cities)
    steps = chain.parcels.funnel.set_index("step")
    assert steps.loc["geocoded", "removed"] > 0
    located = chain.parcels.parcels[chain.parcels.parcels["status"] == LOCATED]
    assert len(located)
    assert (located["city_code"] == located["district"].str[:3].map(codes)).all()


@pytest.mark.parametrize(
    ("changes", "drop", "message"),
    [
        ({}, ["经度"], r"parcels\.csv has no column lon \(经度, 纬度\)"),
        ({"columns": {"X": "lon"}}, [], r"parcels\.csv has no column 'X'"),
        ({"clean": CleaningConfig()}, ["供地方式"], "which the rule 'mode' needs"),
        ({"clean": CleaningConfig(skip=("modes",))}, [], "skip names modes; rules are numbers"),
        ({"regulation": RegulationConfig()}, ["土地级别"], "no column land_grade, which parcels: regulation needs"),
        ({"geocode": GeocodingConfig()}, ["项目位置", "经度"], "no column"),
    ],
)
def test_what_an_option_demands_is_asked_of_the_headers(tmp_path, records, changes, drop, message):
    path = table(tmp_path, records.drop(columns=drop))
    with pytest.raises((TableError, ConfigError), match=message):
        plan_parcels(ParcelsConfig(file=path, **changes))


def test_options_that_would_be_passed_over_are_refused(tmp_path, records):
    path = table(tmp_path, records.head(20))
    for given, words in (
        ({"columns": {"面积": "surface"}}, "columns: 面积: 'surface' is not a standard column"),
        ({"regulation": RegulationConfig(bootstrap=1)}, "bootstrap is 1, but a standard error needs 2"),
        ({"clean": CleaningConfig(modes=())}, "no transfer modes to keep are named"),
        ({"geocode": GeocodingConfig(gazetteer=str(tmp_path / "none.csv"))}, "there is no file"),
    ):
        with pytest.raises(InputError, match=words):
            plan_parcels(ParcelsConfig(file=path, **given))


def test_records_without_a_year_are_counted_and_those_far_away_spoken_of(tmp_path, records, cities, cbds):
    given = records.drop(columns="签订日期").head(400)
    notes: list[str] = []
    plan = plan_parcels(ParcelsConfig(file=table(tmp_path, given.assign(year="soon")), clean=False, regulation=False))
    chain = follow_parcels(plan, cbds, cities, note=notes.append)
    located = int((chain.parcels.parcels["status"] == LOCATED).sum())
    assert notes == [f"parcels: {located} located parcels have no year and count in no city-year"]
    assert chain.panel_table() is None
    coded = given.assign(year="2009年", city_code=given["电子监管号"].str[:4] + "00.0")
    coded.loc[coded.index[0], ["经度", "纬度"]] = ["80", "30"]
    plan = plan_parcels(ParcelsConfig(file=table(tmp_path, coded), clean=False, regulation=False))
    chain = follow_parcels(plan, cbds, cities, note=notes.append)
    assert "lie more than 300 km from the CBD of their city" in notes[-1]
    assert set(chain.panel_table()["year"]) == {2009}


def test_a_chain_in_which_nothing_is_left_says_which_step_took_it(tmp_path, records, cities, cbds):
    for given, words in (
        (records.assign(土地用途="工业用地"), "earlier steps set all of them aside"),
        (records.assign(经度="-" + records["经度"]), "check its coordinates"),
    ):
        plan = plan_parcels(ParcelsConfig(file=table(tmp_path, given)))
        with pytest.raises(TableError, match=words):
            follow_parcels(plan, cbds, cities)
