"""The table of divisions: published changes, chains, splits, other years, and a user's own units."""

import geopandas as gpd
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from gistools.errors import TableError
from gistools.parcels.divisions import LATEST_YEAR, Divisions, china_divisions, divisions_of_boundaries

CHINA = china_divisions()


def names(code: str, year: int | None = None, as_of: int = LATEST_YEAR) -> list[str]:
    china = china_divisions(as_of)
    return [china.unit_of(heir).name for heir in china.successor(code, year)]


@pytest.mark.parametrize(
    ("code", "year", "heirs"),
    [
        ("110103", None, {"110101": "东城区"}),  # State Council 2010-55
        ("110104", None, {"110102": "西城区"}),
        ("310102", None, {"310101": "黄浦区"}),  # Nanshi, 2000
        ("310103", None, {"310101": "黄浦区"}),  # Luwan, 2011
        ("310108", None, {"310106": "静安区"}),  # Zhabei, 2015
        ("310119", None, {"310115": "浦东新区"}),
        ("320323", None, {"320312": "铜山区"}),
        ("330181", None, {"330109": "萧山区"}),
        ("341402", None, {"340181": "巢湖市"}),
        ("341422", None, {"340281": "无为市"}),  # 2011 to Wuhu, 2019 a city
        ("420600", 2009, {"420600": "襄阳市"}),
        ("420607", 2009, {"420607": "襄州区"}),
        ("371202", None, {"370116": "莱芜区"}),
        ("371200", None, {"370116": "莱芜区", "370117": "钢城区"}),
        ("341400", None, {"340100": "合肥市", "340200": "芜湖市", "340500": "马鞍山市"}),
        ("140202", None, {"140213": "平城区", "140214": "云冈区"}),
        ("512081", None, {"510185": "简阳市"}),
        ("532701", None, {"530802": "思茅区"}),  # 2003 Cuiyun, 2007 Simao
        ("500111", 2005, {"500111": "大足区"}),  # the code of Shuangqiao, given to Dazu in 2011
        ("469025", 2005, {"469021": "定安县"}),  # Hainan was numbered anew
        ("469025", 2010, {"469025": "白沙黎族自治县"}),
        ("110108", None, {"110108": "海淀区"}),
    ],
)
def test_successors_of_published_changes(code, year, heirs):
    assert dict(zip(CHINA.successor(code, year), names(code, year), strict=True)) == heirs


def test_a_unit_that_gave_up_land_is_its_own_heir():
    assert CHINA.successor("341424") == ("340523",)  # He county, one town of which went to Jiujiang district


@pytest.mark.parametrize(
    ("code", "heirs"),
    [
        ("441381", {"441303": "惠阳区"}),  # the others received land only
        ("360782", {"360703": "南康区"}),
        ("440582", {"440513": "潮阳区", "440514": "潮南区"}),  # both made of it
        ("510224", {"500112": "渝北区", "500105": "江北区", "500109": "北碚区"}),
    ],
)
def test_an_heir_of_the_same_name_but_for_the_kind(code, heirs):
    assert names(code) == list(heirs.values())
    assert CHINA.successor(code) == tuple(heirs)


def test_names_of_before_the_table():
    assert CHINA.successor("422302") == ("421281",)  # Puqi, since 1998 Chibi
    assert CHINA.successor("511200") == ("500101",)  # Wanxian, with Chongqing cut out of Sichuan
    assert CHINA.units_named("昆山县")["code"].unique().tolist() == ["320583"]
    assert CHINA.units_named("露天").empty  # a word, not a district's short name


def test_answers_of_an_earlier_year():
    assert china_divisions(2009).successor("110103") == ("110103",)
    assert names("420600", as_of=2009) == ["襄樊市"]
    assert names("500111", 2015, as_of=2009) == ["双桥区", "大足县"]
    # a city made later answers with the one it was cut out of
    assert china_divisions(2015).successor("330383") == ("330300",)


@pytest.mark.parametrize("year", range(2000, LATEST_YEAR + 1, 4))
def test_every_unit_of_any_year_has_a_place_in_every_other(year):
    china = china_divisions(year)
    for places in china.paths:
        assert places
        for path in places:
            assert china.unit_of(path.district or path.city or path.province) is not None


def test_numbers_of_units_are_those_published():
    now = CHINA.table[CHINA.table["last_year"] == ""]
    # Ministry of Civil Affairs, end of 2024: 34 provinces, 333 prefectures, 2846 counties; five more have no county's
    # rank in its list: Dachaidan and the four districts of Daxing'anling
    assert now["level"].value_counts().to_dict() == {"district": 2846 + 5, "city": 333, "province": 34}
    assert now["code"].is_unique


def test_municipalities_and_counties_under_a_province_are_their_own_cities():
    (haidian,) = CHINA.paths[CHINA.units_named("海淀区").index[0]]
    assert haidian == ("110000", "110000", "110108")
    (xiantao,) = CHINA.paths[CHINA.units_named("仙桃市").index[0]]
    assert xiantao == ("420000", "429004", "429004")


def test_names_by_year():
    assert CHINA.units_named("襄樊市", 2012).empty
    assert CHINA.units_named("襄樊市", 2009)["code"].tolist() == ["420600"]
    assert set(CHINA.units_named("通州区")["code"]) == {"110112", "320612"}
    assert CHINA.units_named("通州区", 2007)["code"].tolist() == ["110112"]
    assert CHINA.units_named("恩施州")["code"].tolist() == ["422800"]


def test_unknown_codes_and_years_are_named():
    with pytest.raises(TableError, match="no division has the code 990000"):
        CHINA.successor("990000")
    with pytest.raises(TableError, match="the code 341400 in 2020"):
        CHINA.successor("341400", 2020)
    with pytest.raises(TableError, match="covers 2000 to"):
        china_divisions(1995)


def test_a_boundaries_file_replaces_or_extends_the_table():
    cities = pd.DataFrame(
        {"city_code": ["160100", "110000"], "city_name": ["苇浦市", "北京市"], "province": ["岭南省", "北京市"]}
    )
    units = divisions_of_boundaries(cities)
    own = CHINA.extended(units, replace=True)
    assert own.successor("160100") == ("160100",)
    assert own.units_named("上海市").empty
    both = CHINA.extended(units)
    assert both.unit_of("160100").name == "苇浦市"
    assert both.units_named("苇浦")["code"].tolist() == ["160100"]
    assert both.paths[both.units_named("海淀区").index[0]][0].city == "110000"


def test_polygons_give_their_cities_a_point_in_degrees():
    boxes = gpd.GeoDataFrame(
        {"city_code": ["160100"], "city_name": ["苇浦市"], "province": ["岭南省"]},
        geometry=[shapely.box(104, 34, 105, 35)],
        crs=4326,
    )
    units = divisions_of_boundaries(boxes.to_crs(3857))
    assert units["lon"].isna().tolist() == [True, False]
    assert shapely.Point(units["lon"][1], units["lat"][1]).within(boxes.geometry[0])


def test_a_unit_given_another_name_keeps_the_old_one():
    renamed = pd.DataFrame({"code": ["420600"], "name": ["襄州市"], "level": ["city"], "parent": ["420000"]})
    china = CHINA.extended(renamed)
    assert china.unit_of("420600").name == "襄州市"
    assert "420600" in set(china.units_named("襄阳市")["code"])
    assert [china.unit_of(code).name for code in china.successor("420600", 2005)] == ["襄州市"]
    assert china.unit_of("420600").lon == CHINA.unit_of("420600").lon


@pytest.mark.parametrize(
    ("change", "message"),
    [({"level": "village"}, "has the level village"), ({"parent": "77"}, "names 77 as parent")],
)
def test_tables_that_do_not_hold_together_are_refused(change, message):
    units = pd.DataFrame({"code": ["1"], "name": ["甲省"], "level": ["province"], "parent": [""]}).assign(**change)
    with pytest.raises(TableError, match=message):
        Divisions(units)


@settings(max_examples=50, deadline=None)
@given(row=st.integers(0, len(CHINA.units) - 1))
def test_heirs_stay_in_their_province(row):
    if CHINA.units[row].code[:2] == "51" and CHINA.units[row].last < 1998:
        return  # Sichuan until Chongqing was cut out of it
    for path in CHINA.paths[row]:
        assert path.province[:2] == CHINA.units[row].code[:2]


def test_changes_lead_to_units_of_the_table():
    pairs = set(zip(CHINA.table["code"], CHINA.table["name"], strict=True))
    for change in CHINA.changes.itertuples():
        assert (change.old_code, change.old_name) in pairs
        heirs = zip(change.new_codes.split("|"), change.new_names.split("|"), strict=True)
        assert set(heirs) <= pairs
