"""The cascade: which source answers for which record, and why a record has no point."""

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely

from gistools.errors import InputError, TableError
from gistools.parcels.datum import wgs84_to_bd09
from gistools.parcels.geocode import (
    AMBIGUOUS,
    DISPUTED,
    GIVEN,
    NO_ADDRESS,
    NOT_ANSWERED,
    NOT_GEOCODED,
    TOO_COARSE,
    OfflineSource,
    OnlineSource,
    geocode,
    query_texts,
)
from gistools.parcels.providers import PROVIDERS, make_provider
from gistools.parcels.providers.asking import Account
from gistools.parcels.status import LOCATED
from gistools.parcels.validation import OUTSIDE_CITY, OUTSIDE_PROVINCE

WUHAN = gpd.GeoDataFrame(
    {"city_code": ["420100", "310000"], "city_name": ["武汉市", "上海市"], "province": ["湖北省", "上海市"]},
    geometry=[shapely.box(113.7, 29.9, 115.1, 31.4), shapely.box(120.8, 30.7, 122.0, 31.9)],
    crs=4326,
)
INSIDE, OUTSIDE = (114.3, 30.55), (121.5, 31.2)
KNOWN = {
    "province": "湖北省",
    "city": "武汉市",
    "district_name": "江汉区",
    "place": "江汉路1号",
    "province_code": "420000",
    "city_code": "420100",
    "district_code": "420103",
    "level": "district",
    "candidates": "",
    "note": "",
}
NOTHING = dict.fromkeys(KNOWN, "")


class Table:
    """A source whose answers are known: place to (lon, lat, precision) or a dict."""

    def __init__(self, answers, name="offline"):
        self.answers, self.name, self.seen = answers, name, []

    def locate(self, parsed):
        rows = []
        self.seen.append(parsed["place"].tolist())
        for place in parsed["place"]:
            answer = self.answers.get(place)
            if answer is None:
                rows.append({"note": f"{self.name}: not found"})
            elif isinstance(answer, dict):
                rows.append(answer)
            else:
                lon, lat, precision = answer
                rows.append({"lon": lon, "lat": lat, "precision": precision, "confidence": 0.8, "note": ""})
        blank = {"lon": np.nan, "lat": np.nan, "confidence": np.nan, "precision": "", "pending": False}
        blank |= {"note": "", "province": "", "city": ""}
        return pd.DataFrame([blank | row for row in rows], index=parsed.index)


def run(rows, sources, records=None, **options):
    parsed = pd.DataFrame([KNOWN | row for row in rows])
    table = pd.DataFrame({"address": parsed["place"]})
    if records is not None:
        table = table.assign(**records)
    return geocode(table, parsed, sources, **{"boundaries": WUHAN} | options)


def test_the_first_answer_that_is_fine_enough_and_fits_is_used():
    first = Table({"a": (*INSIDE, "road"), "b": (*INSIDE, "district"), "c": (*OUTSIDE, "address")})
    second = Table({"b": (114.4, 30.6, "address"), "c": (114.5, 30.7, "place"), "d": (114.6, 30.8, "place")}, "next")
    found = run([{"place": p} for p in "abcd"], [first, second], min_precision="place")
    assert found["status"].tolist() == [LOCATED] * 4
    assert found["geocode_provider"].tolist() == ["offline", "next", "next", "next"]
    assert found["precision"].tolist() == ["road", "address", "place", "place"]
    assert found["lon"].tolist() == [114.3, 114.4, 114.5, 114.6]
    assert second.seen == [["b", "c", "d"]]  # what has its point is not asked for again
    assert "offline: 121.500000, 31.200000 is outside its city by" in found["geocode_note"][2]
    assert found[["rejected_lon", "rejected_lat"]].isna().all(axis=None)
    assert found["city_code"].tolist() == ["420100"] * 4


def test_why_a_record_has_no_point():
    source = Table(
        {
            "coarse": (*INSIDE, "district"),
            "wrong": (*OUTSIDE, "address"),
            "later": {"note": "x: HTTP 500, 6 times", "pending": True},
        }
    )
    rows = [
        {"place": "coarse"},
        {"place": "wrong"},
        {"place": "later"},
        {"place": "unknown"},
        NOTHING
        | {"place": "朝阳区", "note": "ambiguous: 朝阳区", "candidates": "110105 北京市朝阳区|220104 长春市朝阳区"},
        {"place": "two", "note": "conflict: 上海市"},
        NOTHING,
        {"place": "province", "city": "", "city_code": "", "level": "province"},
    ]
    found = run(rows, [source], min_precision="place")
    reasons = [TOO_COARSE, OUTSIDE_CITY, NOT_ANSWERED, NOT_GEOCODED, AMBIGUOUS, DISPUTED, NO_ADDRESS, NOT_GEOCODED]
    assert found["status"].tolist() == reasons
    assert found[["lon", "lat"]].isna().all(axis=None)
    assert found["rejected_lon"].dropna().to_dict() == {0: INSIDE[0], 1: OUTSIDE[0]}
    assert found.loc[0, "precision"] == "district"
    assert "110105" in found.loc[4, "geocode_note"]
    assert source.seen == [["coarse", "wrong", "later", "unknown", "province"]]  # nothing unclear is asked for


def test_a_wrong_city_goes_to_the_next_and_is_flagged_if_none_fits():
    one, two = Table({"a": (*OUTSIDE, "address")}, "one"), Table({"a": (113.0, 30.0, "address")}, "two")
    found = run([{"place": "a"}], [one, two])
    assert found["status"].tolist() == [OUTSIDE_CITY]
    assert found.loc[0, ["rejected_lon", "rejected_lat"]].tolist() == list(OUTSIDE)
    assert found.loc[0, "geocode_note"].count("outside its city by") == 2


def test_a_coarse_point_that_fits_goes_before_a_fine_one_that_does_not():
    one, two = Table({"a": (*INSIDE, "city")}, "one"), Table({"a": (*OUTSIDE, "address")}, "two")
    found = run([{"place": "a"}], [one, two], min_precision="place")
    assert found.loc[0, ["status", "geocode_provider", "rejected_lon"]].tolist() == [TOO_COARSE, "one", INSIDE[0]]


def test_tolerance():
    near = Table({"a": (115.11, 30.5, "address")})  # 1 km beyond the border
    assert run([{"place": "a"}], [near])["status"].tolist() == [LOCATED]
    assert run([{"place": "a"}], [near])["km_outside"][0] == pytest.approx(0.96, abs=0.01)
    assert run([{"place": "a"}], [near], tolerance_km=0.5)["status"].tolist() == [OUTSIDE_CITY]


def test_without_boundaries_the_answers_own_words_count():
    said = {"lon": 121.5, "lat": 31.2, "precision": "address", "confidence": 1.0, "note": ""}
    rows = [{"place": p} for p in ("same", "city", "province", "silent")]
    source = Table(
        {
            "same": said | {"province": "湖北省", "city": "武汉"},
            "city": said | {"province": "湖北省", "city": "黄石市"},
            "province": said | {"province": "上海市", "city": ""},
            "silent": said,
        }
    )
    found = run(rows, [source], boundaries=None)
    assert found["status"].tolist() == [LOCATED, OUTSIDE_CITY, OUTSIDE_PROVINCE, LOCATED]
    assert found["km_outside"].isna().all()


def test_the_records_own_city_code_is_held_against_the_address():
    source = Table({"a": (*INSIDE, "address")})
    codes = ["420100", "420000", "310000", None, "own-7"]
    found = run([{"place": "a"}] * 5, [source], {"city_code": codes})
    assert found["status"].tolist() == [LOCATED, DISPUTED, DISPUTED, LOCATED, LOCATED]


def test_points_that_came_with_the_records():
    source = Table({"a": (*INSIDE, "address")})
    records = {"lon": ["114.2", "121.5", "", "34.6", "200"], "lat": [30.4, 31.2, 30.0, 104.5, 30.0]}
    kept = run([{"place": "a"}] * 5, [source], records)
    assert kept["geocode_provider"].tolist() == [GIVEN, GIVEN, "offline", "offline", "offline"]
    assert kept["lon"].tolist() == [114.2, 121.5, 114.3, 114.3, 114.3]
    assert "impossible" in kept["geocode_note"][4]
    checked = run([{"place": "a"}] * 5, [source], records, check_coordinates=True)
    assert checked["geocode_provider"].tolist() == [GIVEN, "offline", "offline", "offline", "offline"]
    assert "given: 121.500000, 31.200000 is outside its city" in checked["geocode_note"][1]
    nowhere = run([{"place": "b"}] * 5, [source], records, check_coordinates=True)
    assert nowhere["status"].tolist() == [LOCATED, OUTSIDE_CITY, *[NOT_GEOCODED] * 3]
    assert nowhere["rejected_lon"].dropna().tolist() == [121.5]


def test_rows_that_were_set_aside_are_left_alone():
    source = Table({"a": (*INSIDE, "address")})
    records = {
        "status": ["kept", "duplicate", "located"],
        "lon": ["", "116.4", "114.31"],
        "lat": ["", "39.9", "30.5"],
    }
    found = run([{"place": "a"}] * 3, [source], records)
    assert found["status"].tolist() == [LOCATED, "duplicate", LOCATED]
    assert found["lon"].tolist() == [114.3, 116.4, 114.31]
    assert source.seen == [["a"]]
    assert found["geocode_provider"].tolist() == ["offline", "", GIVEN]


def test_every_row_has_a_status_and_keeps_its_place():
    rng = np.random.default_rng(0)
    places = [f"p{k}" for k in range(200)]
    answers = {
        p: (*(INSIDE if rng.random() < 0.6 else OUTSIDE), str(rng.choice(["address", "city"])))
        for p in places
        if rng.random() < 0.8
    }
    table = pd.DataFrame({"address": places, "parcel_id": places}, index=rng.permutation(1000)[:200])
    parsed = pd.DataFrame([KNOWN | {"place": p} for p in places], index=table.index)
    found = geocode(table, parsed, [Table(answers)], boundaries=WUHAN)
    assert found["parcel_id"].tolist() == places
    assert found.index.equals(table.index)
    assert set(found["status"]) == {LOCATED, OUTSIDE_CITY, TOO_COARSE, NOT_GEOCODED}
    used = found["status"] == LOCATED
    assert (found["lon"].notna() == used).all()
    assert not (found["rejected_lon"].notna() & used).any()


def test_offline_source_hands_over_the_gazetteer():
    class Gazetteer:
        def locate(self, parsed):
            return parsed.assign(lon=1.0)

    assert OfflineSource(Gazetteer()).locate(pd.DataFrame({"x": [1]}))["lon"].tolist() == [1.0]


# Services


@pytest.fixture
def baidu(monkeypatch):
    monkeypatch.setenv("GISTOOLS_BAIDU_KEY", "k")
    return make_provider("baidu")


def asking(answers, failures=()):
    seen = []

    def ask(provider, queries):
        seen.append(list(queries))
        return answers, Account(provider.name, failures=dict(failures))

    return ask, seen


def test_queries_are_asked_once_with_their_city(baidu):
    lon, lat = wgs84_to_bd09(*INSIDE)
    said = json.dumps({"location": {"lng": float(lon), "lat": float(lat)}, "comprehension": 90, "level": "门址"})
    ask, seen = asking(
        {"湖北省武汉市江汉区江汉路1号": said, "湖北省武汉市江汉区无": None},
        {"湖北省武汉市江汉区错": "HTTP 500, 6 times"},
    )
    rows = [{"place": p} for p in ("江汉路1号", "江汉路 １号", "无", "错", "余")]
    rows.append({"city": "", "city_code": "", "district_name": "", "level": "province"})
    found = run(rows, [OnlineSource(baidu, ask)], min_precision="place")
    texts = [f"湖北省武汉市江汉区{p}" for p in ("江汉路1号", "无", "错", "余")]
    assert seen == [texts]
    assert found["status"].tolist() == [LOCATED, LOCATED, NOT_GEOCODED, NOT_ANSWERED, NOT_ANSWERED, NOT_GEOCODED]
    assert found.loc[0, ["lon", "lat"]].tolist() == pytest.approx(INSIDE, abs=1e-9)
    row = found.loc[0, ["geocode_provider", "geocode_datum", "confidence", "precision"]].tolist()
    assert row == ["baidu", "bd09", 0.9, "address"]
    notes = found["geocode_note"].tolist()
    assert notes[2:4] == ["baidu: not found", "baidu: HTTP 500, 6 times"]
    assert "names no city" in notes[5]


def test_nothing_to_ask_asks_nothing(baidu):
    ask, seen = asking({})
    run([NOTHING], [OnlineSource(baidu, ask)])
    assert seen == []


def test_a_kept_answer_that_cannot_be_read(baidu):
    ask, _ = asking({"湖北省武汉市江汉区江汉路1号": '{"a": 1}'})
    with pytest.raises(InputError, match="the cache holds an answer of Baidu"):
        run([{}], [OnlineSource(baidu, ask)])


def test_query_texts():
    rows = [
        KNOWN,
        KNOWN | {"province": "北京市", "city": "北京市", "district_name": "朝阳区", "place": "建国路 88号"},
        KNOWN | {"city": "仙桃市", "district_name": "仙桃市", "place": "沔街"},
        KNOWN | {"city": ""},
    ]
    expected = ["湖北省武汉市江汉区江汉路1号", "北京市朝阳区建国路88号", "湖北省仙桃市沔街", ""]
    assert query_texts(pd.DataFrame(rows)).tolist() == expected


def test_refusals():
    with pytest.raises(TableError, match="address"):
        geocode(pd.DataFrame({"x": [1]}), pd.DataFrame([KNOWN]), [])
    with pytest.raises(InputError, match="the least precision"):
        run([{}], [], min_precision="house")
    with pytest.raises(InputError, match="give --boundaries"):
        run([{}], [], boundaries=None, check_coordinates=True)
    assert set(PROVIDERS) == {"baidu", "amap", "google", "nominatim"}
