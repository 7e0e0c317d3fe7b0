"""The verb behind ``parcels geocode``: what it reads, and what it says on its way."""

import io

import geopandas as gpd
import pandas as pd
import pytest
import shapely

from gistools.errors import InputError, TableError
from gistools.parcels.providers.asking import Account
from gistools.study.geocoding import (
    AskingProgress,
    GeocodeOptions,
    GeocodingResult,
    geocode_parcels,
    make_services,
    read_gazetteer,
    read_records,
)


def test_records_keep_codes_and_get_a_year(tmp_path):
    table = pd.DataFrame({"电子监管号": ["0042"], "项目位置": ["武汉市江汉路1号"], "签订日期": ["2009年03月05日"]})
    table.assign(城市代码="0420").to_csv(tmp_path / "p.csv", index=False, encoding="gb18030")
    found = read_records(tmp_path / "p.csv")
    assert found.loc[0, ["parcel_id", "address", "city_code", "year"]].tolist() == [
        "0042",
        "武汉市江汉路1号",
        "0420",
        2009,
    ]
    table.drop(columns="项目位置").to_csv(tmp_path / "q.csv", index=False)
    with pytest.raises(TableError, match="name it with --address"):
        read_records(tmp_path / "q.csv")
    table.rename(columns={"项目位置": "在哪里"}).to_csv(tmp_path / "r.csv", index=False)
    assert "address" in read_records(tmp_path / "r.csv", columns={"在哪里": "address"})


def test_a_gazetteer_is_a_table_or_a_vector_file(tmp_path):
    places = pd.DataFrame({"name": ["光谷"], "lon": [114.4], "lat": [30.5], "city_code": ["420100"]})
    places.to_csv(tmp_path / "g.csv", index=False)
    pd.testing.assert_frame_equal(read_gazetteer(tmp_path / "g.csv"), places, check_dtype=False)
    shapes = gpd.GeoDataFrame({"name": ["光谷"]}, geometry=[shapely.Point(114.4, 30.5)], crs=4326).to_crs(32650)
    shapes.to_file(tmp_path / "g.gpkg")
    read = read_gazetteer(tmp_path / "g.gpkg")
    assert read.loc[0, ["lon", "lat"]].tolist() == pytest.approx([114.4, 30.5], abs=1e-8)
    places.drop(columns="lon").to_csv(tmp_path / "h.csv", index=False)
    with pytest.raises(TableError, match="'lon'"):
        read_gazetteer(tmp_path / "h.csv")


def test_services_want_a_cache_and_a_known_name(tmp_path):
    assert make_services(GeocodeOptions()) == {}
    services = make_services(GeocodeOptions(providers=("offline", "nominatim"), cache=tmp_path / "c"))
    assert list(services) == ["nominatim"]
    with pytest.raises(InputError, match="kept in a cache"):
        make_services(GeocodeOptions(providers=("nominatim",)))
    with pytest.raises(InputError, match="names nothing"):
        make_services(GeocodeOptions(providers=()))


def test_the_least_precision_depends_on_the_sources():
    assert GeocodeOptions().precision == "district"
    assert GeocodeOptions(providers=("offline", "baidu")).precision == "place"
    assert GeocodeOptions(providers=("baidu",), min_precision="city").precision == "city"


def test_codes_are_answered_as_of_a_year():
    records = pd.DataFrame({"address": ["北京市崇文区体育馆路1号"], "year": [2008]})
    now = geocode_parcels(records, GeocodeOptions()).parcels
    then = geocode_parcels(records, GeocodeOptions(as_of=2008)).parcels
    assert (now.loc[0, "district_name"], now.loc[0, "district_code"]) == ("东城区", "110101")
    assert (then.loc[0, "district_name"], then.loc[0, "district_code"]) == ("崇文区", "110103")
    assert now.loc[0, "status"] == then.loc[0, "status"] == "located"


def test_what_is_left_is_one_sentence_a_service():
    accounts = [
        Account("baidu", stopped="the quota is spent (status 302)", left=1234, failures={"a": "HTTP 500, 6 times"}),
        Account("amap", failures={"a": "HTTP 500, 6 times", "b": "HTTP 500, 6 times"}),
        Account("google"),
    ]
    table = pd.DataFrame({"status": ["located"], "geocode_provider": ["x"], "precision": [""], "km_outside": [0.0]})
    result = GeocodingResult(table, GeocodeOptions(), accounts, 1.0)
    quota, failed = result.failures
    assert "1,235 addresses have no answer yet" in quota
    assert "2 addresses got no answer: HTTP 500, 6 times (2)" in failed
    assert result.to_dict()["left"] == result.failures


def test_progress_on_and_off_a_terminal():
    plain = io.StringIO()
    report = AskingProgress("baidu", stream=plain, every=0)
    report(1, 3)
    report(3, 3)
    assert plain.getvalue().splitlines()[-1] == "baidu: 3 of 3 addresses"
    assert "1 of 3 addresses, about" in plain.getvalue()
    quiet = io.StringIO()
    AskingProgress("baidu", stream=quiet, every=1000)(1, 3)
    assert quiet.getvalue() == ""

    class Terminal(io.StringIO):
        def isatty(self):
            return True

    live = Terminal()
    AskingProgress("baidu", stream=live)(3, 3)
    assert live.getvalue().startswith("\r")
    assert live.getvalue().endswith("\n")
