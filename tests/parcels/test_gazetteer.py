"""Points of parsed addresses: units, named places, and what is left without a point."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gistools.errors import InputError, TableError
from gistools.grid import geodesic_km
from gistools.parcels.address import parse_addresses
from gistools.parcels.divisions import Divisions, china_divisions
from gistools.parcels.gazetteer import CONFIDENCE, OfflineGazetteer

CHINA = china_divisions()
LIST = pd.read_csv(Path(__file__).parents[1] / "reference" / "addresses.csv", dtype=str, keep_default_na=False)
COUNTIES = Path(__file__).parents[3] / "shared" / "data" / "china_boundaries" / "china_counties_attributes.csv"
PLACES = pd.DataFrame(
    {
        "name": ["珞喻路", "光谷广场", "关山街道", "中山路", "中山路", "解放路", "解放路"],
        "lon": [114.36, 114.40, 114.41, 114.30, 117.27, 114.28, 114.31],
        "lat": [30.52, 30.51, 30.50, 30.58, 31.86, 30.60, 30.55],
        "city_code": ["420100", "420100", "", "420100", "340100", "", ""],
        "district_code": ["", "", "420111", "", "", "420103", "420106"],
        "aliases": ["珞瑜路", "鲁巷广场", "", "", "", "", ""],
    }
)


def located(addresses: list[str], places: pd.DataFrame | None = None) -> pd.DataFrame:
    return OfflineGazetteer(CHINA, places).locate(parse_addresses(pd.Series(addresses)))


def test_units_have_the_point_of_their_level():
    points = located(["北京市海淀区中关村", "武汉市珞喻路", "安徽省", "朝阳区", "江苏省杭州市", "某地"])
    assert points["precision"].tolist() == ["district", "city", "province", "", "", ""]
    # the municipal government in Hankou, and the district's in Haidian, to a kilometre
    assert geodesic_km(points["lon"][1], points["lat"][1], 114.300, 30.595) < 1
    assert geodesic_km(points["lon"][0], points["lat"][0], 116.292, 39.959) < 1
    assert points["confidence"].notna().tolist() == [True, True, True, False, False, False]
    assert points["note"][3].startswith("ambiguous")


def test_the_points_are_wgs84():
    # People's Square 200, Shanghai: 121.4692 E, 31.2323 N in WGS 84; in GCJ-02 it lies 470 m away
    shanghai = located(["上海市"]).iloc[0]
    assert geodesic_km(shanghai["lon"], shanghai["lat"], 121.4692, 31.2323) < 0.1


def test_named_places_are_found_in_their_city_only():
    points = located(
        ["武汉市洪山区珞喻路129号", "武汉市中山路", "合肥市中山路", "长沙市中山路", "武汉市珞瑜路"], PLACES
    )
    assert points["precision"].tolist() == ["road", "road", "road", "city", "road"]
    assert points["lon"].round(2).tolist()[:3] == [114.36, 114.30, 117.27]
    assert points["lon"][4] == 114.36


def test_the_finest_kind_goes_first_and_names_begin_where_a_name_can():
    points = located(["武汉市洪山区关山街道珞喻路", "武汉市关山街道", "武汉市光谷广场以东", "武汉市新珞喻路"], PLACES)
    assert points["precision"].tolist() == ["road", "street", "place", "city"]


def test_one_name_in_two_districts_needs_the_district():
    points = located(["武汉市解放路", "武汉市江汉区解放路", "武汉市武昌区解放路", "武汉市洪山区解放路"], PLACES)
    assert points["precision"].tolist() == ["city", "road", "road", "district"]
    assert points["note"][0] == "2 places named 解放路"
    assert points["lon"][1:3].tolist() == [114.28, 114.31]


def test_places_without_a_code_must_be_near():
    places = pd.DataFrame({"name": ["滨湖新村"], "lon": [117.30], "lat": [31.75]})
    points = located(["合肥市滨湖新村", "武汉市滨湖新村"], places)
    assert points["precision"].tolist() == ["place", "city"]
    assert points["confidence"][0] == pytest.approx(0.9 * CONFIDENCE["full", "city"])


def test_a_unit_without_a_point_gives_way_to_the_one_above():
    units = pd.DataFrame(
        {
            "code": ["1", "11", "111"],
            "name": ["甲省", "乙市", "丙区"],
            "level": ["province", "city", "district"],
            "parent": ["", "1", "11"],
            "lon": [np.nan, 110.0, np.nan],
            "lat": [np.nan, 30.0, np.nan],
        }
    )
    divisions = Divisions(units)
    parsed = parse_addresses(pd.Series(["甲省乙市丙区", "甲省"]), divisions=divisions)
    points = OfflineGazetteer(divisions).locate(parsed)
    assert points["precision"].tolist() == ["city", ""]
    assert points["note"].tolist() == ["no point of the district is known", ""]


def test_a_doubled_index_keeps_its_rows():
    parsed = parse_addresses(pd.Series(["武汉市珞喻路", "合肥市中山路"], index=[3, 3]))
    points = OfflineGazetteer(CHINA, PLACES).locate(parsed)
    assert points.index.tolist() == [3, 3]
    assert points["lon"].tolist() == [114.36, 117.27]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lon": [500.0]}, "no coordinates in degrees for 人民路"),
        ({"precision": ["house"]}, "house"),
    ],
)
def test_places_that_cannot_be_are_refused(change, message):
    places = pd.DataFrame({"name": ["人民路"], "lon": [114.0], "lat": [30.0]}).assign(**change)
    with pytest.raises(InputError, match=message):
        OfflineGazetteer(CHINA, places)
    with pytest.raises(TableError, match="lat"):
        OfflineGazetteer(CHINA, places.drop(columns="lat"))


def test_confidence_is_what_the_reference_list_measures():
    year = pd.to_numeric(LIST["year"], errors="coerce")
    parsed = parse_addresses(LIST["address"], district=LIST["district"], year=year)
    for (basis, level), group in parsed[parsed["level"] != ""].groupby(["basis", "level"]):
        right = (group[f"{level}_code"] == LIST.loc[group.index, f"{level}_code"]).sum()
        assert CONFIDENCE[basis, level] == pytest.approx((right + 1) / (len(group) + 2), abs=0.005)


@pytest.mark.real
@pytest.mark.skipif(not COUNTIES.exists(), reason="the census counties lie beside a full checkout")
def test_points_lie_in_or_near_their_counties():
    counties = pd.read_csv(COUNTIES, dtype={"Code_County": str})
    counties = counties[[CHINA.unit_of(code) is not None for code in counties["Code_County"]]]
    units = [CHINA.unit_of(code) for code in counties["Code_County"]]
    apart = geodesic_km(
        np.array([unit.lon for unit in units]),
        np.array([unit.lat for unit in units]),
        counties["centroid_lon"].to_numpy(),
        counties["centroid_lat"].to_numpy(),
    )
    apart = apart[np.isfinite(apart)]
    # seats of government are not middles of counties: half within 11 km of a point inside, 95 % within 40 km
    assert len(apart) > 2700
    assert np.median(apart) < 11
    assert np.percentile(apart, 95) < 40
