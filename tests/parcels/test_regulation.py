"""The regulation index: known caps come back, every record is accounted for, and bad tables end with one sentence."""

import numpy as np
import pandas as pd
import pytest

from gistools.errors import InputError, TableError
from gistools.grid import geodesic_km
from gistools.parcels.regulation import COLUMNS, far_regulation
from gistools.study.sample._parameters import Parameters
from gistools.study.sample._parcels import MODE_EFFECT, draw_parcels
from gistools.study.sample._places import draw_places


def parcels(seed=0, cities=6, years=(2007, 2008), many=20, noise=0.2):
    """Parcels of caps 2 + city / 10 + year / 100 at the CBD, of the base mode and grade and no area."""
    rng = np.random.default_rng(seed)
    city = np.repeat(np.arange(cities), many * len(years))
    year = np.tile(np.repeat(years, many), cities)
    n = len(city)
    table = pd.DataFrame(
        {
            "city_code": [f"{110000 + c}" for c in city],
            "year": year,
            "area_ha": rng.lognormal(1, 0.6, n),
            "distance_km": rng.exponential(6, n),
            "transfer_mode": rng.choice(["拍卖", "挂牌", "招标"], n, p=[0.3, 0.6, 0.1]),
            "land_grade": rng.choice(["一级", "二级", "三级"], n),
            "price_10k_yuan": rng.lognormal(8, 1, n),
        }
    )
    cap = 2 + city / 10 + (year - 2007) / 100 - 0.02 * table["area_ha"] - 0.03 * table["distance_km"]
    cap += table["transfer_mode"].map({"拍卖": 0.1, "挂牌": 0.0, "招标": -0.05})
    cap += table["land_grade"].map({"一级": 0.0, "二级": -0.05, "三级": -0.1})
    return table.assign(far_max=cap + rng.normal(0, noise, n), far_realised=0.9 * cap)


def test_without_noise_the_index_is_the_cap_at_the_cbd():
    table = parcels(noise=0).sample(frac=1, random_state=0)
    result = far_regulation(table)
    shares = table["transfer_mode"].value_counts(normalize=True), table["land_grade"].value_counts(normalize=True)
    typical = -0.02 * table["area_ha"].mean() + 0.1 * shares[0]["拍卖"] - 0.05 * shares[0]["招标"]
    typical += -0.05 * shares[1]["二级"] - 0.1 * shares[1]["三级"]
    found = result.table
    want = 2 + (found["city_code"].astype(int) - 110000) / 10 + (found["year"] - 2007) / 100 + typical
    np.testing.assert_allclose(found["farr"], want, rtol=1e-10)
    np.testing.assert_allclose(found["ln_farr"], np.log(want), rtol=1e-10)
    assert found[["city_code", "year"]].equals(found[["city_code", "year"]].sort_values(["city_code", "year"]))
    assert [*found] == ["city_code", "year", *COLUMNS]
    assert result.fit.options["base"]["transfer_mode"] == "挂牌"  # the most frequent
    assert result.evaluation["distance_km"] == 0
    assert result.evaluation["transfer_mode: 挂牌"] == pytest.approx(shares[0]["挂牌"])
    slopes = result.fit.to_frame()["estimate"]
    assert slopes["distance_km"] == pytest.approx(-0.03)
    assert slopes["transfer_mode: 招标"] == pytest.approx(-0.05)


def test_the_plain_means_are_those_of_pandas():
    table = parcels()
    table.loc[::7, "far_realised"] = np.nan
    found = far_regulation(table).table.set_index(["city_code", "year"])
    for name, column in (("farr_mean", "far_max"), ("farr_realised", "far_realised")):
        grouped = table.groupby(["city_code", "year"])[column]
        np.testing.assert_allclose(found[name], grouped.mean(), rtol=1e-12)
        np.testing.assert_allclose(found[f"{name}_se"], grouped.std() / np.sqrt(grouped.count()), rtol=1e-12)
        assert found[f"{name}_parcels"].tolist() == grouped.count().tolist()
    assert [*far_regulation(table.drop(columns="far_realised")).table][-1] == "ln_farr_mean"
    np.testing.assert_allclose(found["precision"], 1 / found["farr_se"] ** 2)
    np.testing.assert_allclose(found["ln_farr_se"], found["farr_se"] / found["farr"])


def test_every_record_is_accounted_for():
    table = parcels()
    table["status"] = "located"
    lacks = {
        0: ("status", "duplicate", "duplicate"),
        1: ("status", None, "no status"),
        2: ("city_code", None, "no city"),
        3: ("year", np.nan, "no year"),
        4: ("far_max", np.nan, "no legal cap"),
        5: ("far_max", 0.0, "legal cap not above zero"),
        6: ("distance_km", np.nan, "no distance to the CBD"),
        7: ("area_ha", 0.0, "no area above zero"),
        8: ("transfer_mode", " ", "no transfer mode"),
        9: ("land_grade", None, "no land grade"),
    }
    for row, (column, value, _) in lacks.items():
        table.loc[row, column] = value
    table.index += 100
    result = far_regulation(table)
    assert result.status.index.equals(table.index)
    assert result.status.tolist()[:11] == [*(why for _, _, why in lacks.values()), "used"]
    assert result.records() == {"used": len(table) - 10, **{why: 1 for _, _, why in lacks.values()}}
    said = result.to_dict()
    assert said["records"] == said["used"] + sum(said["unused"].values()) == len(table)
    assert said["n"] == said["used"] == len(table) - 10
    # a cap without a distance still counts in the plain mean
    first = result.table.iloc[0]
    assert (first["parcels"], first["farr_mean_parcels"]) == (10, 14)
    whole = far_regulation(table.drop(index=range(100, 110)))
    pd.testing.assert_frame_equal(result.table[["farr", "farr_se"]], whole.table[["farr", "farr_se"]])


def test_small_city_years_are_flagged_not_dropped():
    table = parcels(many=4)
    one = table["city_code"].eq("110003") & table["year"].eq(2008)
    table = table[~one | ~one.duplicated()]
    gone = table["city_code"].eq("110005") & table["year"].eq(2007)
    table.loc[gone, "distance_km"] = np.nan
    with_city, with_hc = far_regulation(table, min_parcels=4), far_regulation(table, min_parcels=4, cov="hc2")
    found = with_city.table.set_index(["city_code", "year"])
    assert len(found) == 12
    assert found.loc[found["few_parcels"] == 1, "parcels"].to_dict() == {("110003", 2008): 1, ("110005", 2007): 0}
    single, empty = found.loc[("110003", 2008)], found.loc[("110005", 2007)]
    assert np.isfinite(single[["farr", "farr_se"]].to_numpy(float)).all()
    assert np.isnan(single["farr_mean_se"])
    assert np.isnan(empty[["farr", "ln_farr", "precision"]].to_numpy(float)).all()
    assert empty["farr_mean_parcels"] == 4
    assert np.isnan(with_hc.table.set_index(["city_code", "year"]).loc[("110003", 2008), "farr_se"])
    assert (with_city.to_dict()["few_parcels"], with_city.to_dict()["without_parcels"]) == (2, 1)
    notes = "; ".join(with_city.notes)
    assert "2 of 12 city-years have fewer than 4 parcels" in notes
    assert "1 of 12 city-years have no parcel that can be used" in notes
    assert "1 of 12 city-years have one parcel and are fitted exactly; the pooled residuals give their" in notes
    assert "fitted exactly; with hc2 they have no standard error" in "; ".join(with_hc.notes)


def test_an_index_below_zero_has_no_logarithm():
    table = parcels(noise=0.01)
    table["distance_km"] += 1
    table["far_max"] += 0.2 * table["distance_km"]  # caps rise towards the edge
    low = table["city_code"] == "110002"
    table.loc[low, "far_max"] = 0.17 * table.loc[low, "distance_km"] - 0.1
    result = far_regulation(table)
    below = result.table["farr"] <= 0
    assert result.table["ln_farr"].isna().tolist() == below.tolist()
    assert result.to_dict()["not_positive"] == below.sum() == 2
    assert any("an index not above zero, and no ln_farr" in note for note in result.notes)


def test_the_base_does_not_matter_and_text_is_read():
    table = parcels()
    plain = far_regulation(table)
    renamed = table.assign(
        transfer_mode=table["transfer_mode"].map({"挂牌": "z", "拍卖": "a", "招标": " a2 "}),
        far_max=table["far_max"].map(lambda v: f" {v!r}"),
        distance_km=table["distance_km"].map(repr),
        year=table["year"].astype(str),
        city_code=table["city_code"].astype(float),
        land_grade=table["land_grade"].map({"一级": 1.0, "二级": 2.0, "三级": 3.0}),
    )
    other = far_regulation(renamed)
    np.testing.assert_allclose(other.table["farr"], plain.table["farr"], rtol=1e-10)
    np.testing.assert_allclose(other.table["farr_se"], plain.table["farr_se"], rtol=1e-8)
    assert other.table["city_code"].tolist() == plain.table["city_code"].tolist()
    assert set(other.evaluation) >= {"land_grade: 1", "land_grade: 3", "transfer_mode: a2"}


def test_price_may_stand_for_the_transfer():
    table = parcels(noise=0)
    table["far_max"] -= table["transfer_mode"].map({"拍卖": 0.1, "挂牌": 0.0, "招标": -0.05})
    table["far_max"] += 1e-5 * table["price_10k_yuan"]
    result = far_regulation(table, transfer="price")
    assert result.fit.to_frame()["estimate"]["price_10k_yuan"] == pytest.approx(1e-5)
    assert result.evaluation["price_10k_yuan"] == pytest.approx(table["price_10k_yuan"].mean())
    bare = far_regulation(table.drop(columns=["transfer_mode", "land_grade"]), transfer="none", grade=None)
    assert bare.fit.terms == ("area_ha", "distance_km")


def test_a_grade_that_never_varies_inside_is_named():
    table = parcels()
    table["land_grade"] = np.where(table["city_code"] == "110001", "二级", "一级")
    result = far_regulation(table)
    assert result.fit.dropped == {"land_grade: 二级": "absorbed by the effects"}
    assert result.to_dict()["dropped"] == ["land_grade: 二级"]
    assert "land_grade: 二级 is left out: absorbed by the effects" in result.notes
    without = far_regulation(table, grade=None)
    np.testing.assert_allclose(result.table["farr"], without.table["farr"], rtol=1e-12)


def test_what_is_worth_a_word():
    table = parcels()
    table["parcel_id"] = [str(k // 2) for k in range(len(table))]
    table.loc[3, "far_max"] = 25.0
    notes = "; ".join(far_regulation(table).notes)
    assert "1 caps are above 20 (the highest 25)" in notes
    assert "120 records repeat a parcel_id" in notes


def edited(**columns):
    return parcels().assign(**columns)


@pytest.mark.parametrize(
    ("table", "options", "words"),
    [
        (parcels().drop(columns="distance_km"), {}, r"no column 'distance_km' .* gistools parcels distance"),
        (parcels().drop(columns="far_max"), {}, "no column 'far_max'; it has city_code, year, area_ha"),
        (parcels().drop(columns="land_grade"), {}, "no column 'land_grade'"),
        (parcels(), {"realised": "built"}, "no column 'built'"),
        (edited(distance_km=4.0), {}, "'distance_km', does not vary by itself inside any city-year"),
        (edited(distance_km=8532.0 + np.arange(240)), {}, "looks like metres"),
        (edited(distance_km=np.arange(240) - 1.0), {}, "holds -1: a distance is not negative"),
        (edited(far_max=250.0), {}, "has the median 250: this looks like percent"),
        (edited(far_max="250%"), {}, "holds '250%': caps are ratios"),
        (edited(far_max="详见合同"), {}, "'far_max', holds '详见合同' where a number is needed"),
        (edited(price_10k_yuan="面议"), {"transfer": "price"}, "'price_10k_yuan', holds '面议' where a number"),
        (edited(transfer_mode=np.arange(240)), {}, "'transfer_mode', holds 240 different values .* too many"),
        (edited(land_grade=None), {}, r"no record .* can be used \(no land grade: 240\)"),
        (edited(status="no coordinates"), {}, r"can be used \(no coordinates: 240\)"),
        (parcels().iloc[:0], {}, r"no record of the parcel table can be used"),
        (edited(year=20070304), {}, "'year', holds 20070304 where a year is needed"),
        (parcels(cities=1, years=(2007,)), {}, "all 20 records .* are of city 110000 and the year 2007"),
        (parcels(many=1), {}, "does not vary by itself inside any city-year"),
        (parcels(cities=2, many=2), {"cov": "classical"}, "8 records in 4 city-years are too few to estimate"),
        (parcels(cities=1), {}, "are of city 110000, and errors cannot be clustered by one city"),
        (parcels(), {"area": "distance_km"}, "the column 'distance_km' is named for two parts of the hedonic"),
        (parcels(), {"transfer": "price", "area": "price_10k_yuan"}, "'price_10k_yuan' is named for two parts"),
        (parcels(), {"outcome": "distance_km"}, "'distance_km' is named for two parts"),
        (parcels(), {"transfer": "prices"}, "transfer is 'prices', but must be one of mode, price, none"),
        (parcels(), {"cov": "robust"}, "cov is 'robust'"),
        (parcels(), {"min_parcels": 0}, "min_parcels is 0, but must be 1 or more"),
    ],
)
def test_bad_tables_are_one_sentence(table, options, words):
    with pytest.raises(InputError, match=words) as error:
        far_regulation(table, **options)
    assert "\n" not in str(error.value)
    assert isinstance(error.value, TableError) == ("table" in str(error.value) or "records" in words)


def test_one_city_is_enough_for_classical_errors():
    result = far_regulation(parcels(cities=1), cov="classical")
    assert np.isfinite(result.table["farr_se"]).all()
    assert "HEDONIC of far_max: 40 observations, effects city-year" in result.summary()
    assert "used: 40" in result.summary()


def test_an_infinite_number_is_none():
    for column, word in (("area_ha", "no area above zero"), ("distance_km", "no distance to the CBD")):
        table = parcels()
        table[column] = table[column].astype(float)
        table.loc[table.index[0], column] = np.inf
        for given in (table, table.astype({column: str}).replace({column: {"inf": "1e400"}})):
            result = far_regulation(given)
            assert result.status.iloc[0] == word
            assert np.isfinite(result.table["farr"]).all()


def test_codes_and_years_of_spreadsheets_are_those_of_the_panel():
    plain = far_regulation(parcels()).table
    for given in (
        edited(city_code=parcels()["city_code"] + ".0"),
        edited(year=parcels()["year"].astype(str) + "年"),
        edited(year=parcels()["year"].astype(float)),
    ):
        pd.testing.assert_frame_equal(far_regulation(given).table, plain)


# The synthetic country


def country(seed):
    """Parcels of a synthetic country that nothing is wrong with, with their distance, and the true index."""
    parameters = Parameters(40, tuple(range(2006, 2014)), seed, 0.1, 0.1, 0.1, 0.3, None)
    places = draw_places(parameters)
    table, truth = draw_parcels(places, places.centres, parameters)
    table = table.drop_duplicates()
    names = {"面积": "area_ha", "约定容积率上限": "far_max", "供地方式": "transfer_mode", "土地级别": "land_grade"}
    table = table.rename(columns=names)
    for name, column in (("lon", "经度"), ("lat", "纬度"), ("far_max", "far_max")):
        table[name] = pd.to_numeric(table[column], errors="coerce")
    area = table["area_ha"].str.extract(r"^([\d.]+)(公顷|平方米|亩)?$")
    table["area_ha"] = area[0].astype(float) * area[1].map({"平方米": 1e-4, "亩": 1 / 15}).fillna(1)
    table["year"] = pd.to_numeric(table["签订日期"].str[:4], errors="coerce")
    good = table["transfer_mode"].isin(list(MODE_EFFECT)) & table["土地用途"].str.contains("住房|住宅")
    good &= (
        ~table["行政区"].str.endswith("县") & table["far_max"].between(0.01, 20) & table["year"].between(2006, 2013)
    )
    table = table[good & (table["lon"] > table["lat"])].reset_index(drop=True)
    table["city_code"] = table["电子监管号"].str[:4] + "00"
    centre = dict(zip(places.codes, places.centres, strict=True))
    lon, lat = np.array([centre[code] for code in table["city_code"]]).T
    table["distance_km"] = geodesic_km(lon, lat, table["lon"].to_numpy(), table["lat"].to_numpy())
    return table, truth


def test_the_true_caps_of_the_synthetic_country_come_back():
    z, slopes, city_z, gaps = [], [], [], []
    for seed in range(6):
        table, truth = country(seed)
        result = far_regulation(table, cov="classical")
        true = pd.DataFrame(truth["farr"])
        true = true[true["parcels"] > 0].reset_index(drop=True)
        found = result.table
        assert found[["city_code", "year", "parcels"]].equals(true[["city_code", "year", "parcels"]])
        assert np.sqrt(result.fit.to_dict()["r2"]) > 0.5
        gaps.append(found["farr"] - true["farr"])
        z.append(gaps[-1] / found["farr_se"])
        city_z.append(gaps[-1] / far_regulation(table).table["farr_se"])
        rule = truth["far_limit"]
        base = {name: rule[key][result.fit.options["base"][name]] for name, key in
                (("transfer_mode", "mode"), ("land_grade", "grade"))}  # fmt: skip
        want = {"area_ha": rule["area"], "distance_km": rule["distance"]}
        want |= {f"transfer_mode: {k}": v - base["transfer_mode"] for k, v in rule["mode"].items()}
        want |= {f"land_grade: {k}": v - base["land_grade"] for k, v in rule["grade"].items()}
        terms = result.fit.to_frame()
        slopes += [(row.estimate - want[name]) / row.std_error for name, row in terms.iterrows()]
    z, city_z = np.concatenate(z), np.concatenate(city_z)
    assert len(z) > 1500
    assert z.mean() == pytest.approx(0, abs=0.25)  # the errors of the slopes are shared by all city-years of a draw
    assert z.std() == pytest.approx(1, abs=0.06)
    assert np.mean(np.abs(z) > 1.96) == pytest.approx(0.05, abs=0.015)
    assert city_z.std() == pytest.approx(1, abs=0.08)
    assert np.abs(slopes).max() < 3.5
    assert np.std(slopes) == pytest.approx(1, abs=0.3)
    # about 9 parcels a city-year with a shock of 0.2
    assert np.sqrt(np.mean(np.square(np.concatenate(gaps)))) < 0.09
