"""Addresses read to units: the reference list by level, what is never guessed, and forms that change nothing."""

from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gistools.errors import TableError
from gistools.parcels.address import COLUMNS, AddressParser, parse_addresses
from gistools.parcels.divisions import Divisions, china_divisions, divisions_of_boundaries

CHINA = china_divisions()
PARSER = AddressParser(CHINA)
LIST = pd.read_csv(Path(__file__).parents[1] / "reference" / "addresses.csv", dtype=str, keep_default_na=False)
STANDING = [i for i, unit in enumerate(CHINA.units) if unit.level == 2 and unit.last > CHINA.as_of]
WIDE = str.maketrans("0123456789", "０１２３４５６７８９")


@pytest.fixture(scope="module")
def parsed() -> pd.DataFrame:
    year = pd.to_numeric(LIST["year"], errors="coerce")
    return parse_addresses(LIST["address"], district=LIST["district"], year=year)


def read(address: str, district: str = "", year: int = 0) -> dict[str, str]:
    return dict(zip(COLUMNS, PARSER.parse(address, district, year), strict=True))


def test_the_list_is_large_enough():
    assert len(LIST) >= 120
    assert LIST["kind"].value_counts().min() >= 3


@pytest.mark.parametrize(
    ("level", "precision", "recall"), [("province", 1, 1), ("city", 0.98, 0.98), ("district", 0.98, 0.95)]
)
def test_precision_and_recall_on_the_reference_list(parsed, level, precision, recall):
    expected = LIST[f"{level}_code"].where(~LIST[f"{level}_code"].isin(["ambiguous", "conflict"]), "")
    answered = parsed[f"{level}_code"]
    right = (answered != "") & (answered == expected)
    assert right.sum() / (answered != "").sum() >= precision
    assert right.sum() / (expected != "").sum() >= recall


def test_ambiguous_and_contradictory_addresses_are_never_guessed(parsed):
    for word in ("ambiguous", "conflict"):
        rows = parsed[LIST["city_code"] == word]
        assert len(rows) >= 4
        assert (rows["city_code"] == "").all()
        assert rows["note"].str.startswith(word).all()
        assert (rows["candidates"].str.count(r"\|") >= 1).all()


def test_nothing_is_read_out_of_roads(parsed):
    rows = parsed[LIST["kind"] == "road"]
    assert (rows["province_code"] == "").all()
    assert (rows["place"] == LIST.loc[rows.index, "address"]).all()


@pytest.mark.parametrize(
    ("address", "place"),
    [
        ("武汉市洪山区珞喻路1037号", "珞喻路1037号"),
        ("河南省郑州市金水区花园路以东、农业路以北", "花园路以东、农业路以北"),
        ("苏州工业园区星湖街", "工业园区星湖街"),
        ("海淀区", ""),
        ("江苏省,苏州市,姑苏区,人民路", "人民路"),
    ],
)
def test_the_rest_is_the_place(address, place):
    assert read(address)["place"] == place


def test_candidates_name_every_place_meant():
    assert read("朝阳区建国路1号")["candidates"] == "110105 北京市朝阳区|220104 吉林省长春市朝阳区"


def test_the_records_district_decides():
    assert read("建国路1号", "朝阳区")["city_code"] == ""
    assert read("北京市建国路1号", "朝阳区")["district_code"] == "110105"
    assert read("朝阳区建国路", "长春市")["district_code"] == "220104"
    assert read("上海路", "南京市鼓楼区")["district_code"] == "320106"
    assert read("健康路", "如皋市本级")["district_code"] == "320682"
    assert read("健康路", "合肥市市辖区")["level"] == "city"


def test_the_records_district_against_the_address_is_a_conflict():
    answer = read("六安市金安区", "合肥市")
    assert (answer["city_code"], answer["province_code"]) == ("", "340000")
    assert answer["note"].startswith("conflict: 合肥市 / 六安市金安区")


def test_the_year_decides_between_units_of_one_name():
    assert read("通州区人民路", "", 2007)["city_code"] == "110000"
    assert read("通州区人民路")["note"].startswith("ambiguous")
    assert read("安徽省巢湖市", "", 2013)["district_code"] == "340181"
    assert read("安徽省巢湖市", "", 2009)["city_code"] == ""


def test_splits_keep_the_city_and_leave_the_district_open():
    answer = read("绍兴县柯桥街道")
    assert (answer["city_code"], answer["district_code"], answer["level"]) == ("330600", "", "city")
    assert answer["note"] == "split: 绍兴县"
    assert {text[:6] for text in answer["candidates"].split("|")} == {"330603", "330602"}


@pytest.mark.parametrize(
    ("address", "city"),
    [
        ("吉林市昌邑区", "220200"),  # not the province Jilin
        ("吉林市场", ""),
        ("天津市河北区", "120000"),
        ("青海省海南州", "632500"),
        ("河南蒙古族自治县", "632300"),
        ("津市市", "430700"),
        ("芒市", "533100"),
        ("原平市", "140900"),  # begins with a word that elsewhere means "former"
        ("朝阳大悦城", ""),
        ("杭州湾新区", ""),
        ("上海庙镇", ""),  # a town in Inner Mongolia
        ("长春岭镇", ""),
        ("内江市中山东路", "511000"),
        ("长沙芙蓉中路", "430100"),  # a city, though a county of it bears the name too
        ("鄂城区", "420700"),  # no 城区 of the province whose letter it begins with
        ("渝水区", "360500"),
        ("京沪铁路", ""),
        ("杭州绿城房地产有限公司", ""),
        ("合肥高新区绿城房地产有限公司", "340100"),
    ],
)
def test_names_within_names(address, city):
    assert read(address)["city_code"] == city


@pytest.mark.parametrize(
    ("address", "district", "city", "place"),
    [
        ("JY-2011-08宗地 河南省郑州市二七区航海路", "", "410100", "JY-2011-08宗地,航海路"),
        ("该宗地位于溧水县永阳镇", "", "320100", "该宗地位于,永阳镇"),
        ("恒大南京林溪郡,南京市溧水区永阳镇", "", "320100", "恒大南京林溪郡,永阳镇"),
        ("南京林溪郡,南京市溧水区永阳镇", "", "320100", "南京林溪郡,永阳镇"),
        ("人民路以东,昆山市界以西", "", "", "人民路以东,昆山市界以西"),
        ("与六安市金安区交界处", "合肥市", "340100", "与六安市金安区交界处"),
        ("1号地块六安市金安区", "合肥市", "", "1号地块六安市金安区"),
    ],
)
def test_an_address_behind_other_words(address, district, city, place):
    answer = read(address, district)
    assert (answer["city_code"], answer["place"]) == (city, place)


def test_a_developers_city_does_not_outweigh_the_address():
    assert read("广州富力地产项目,重庆市九龙坡区")["note"] == "conflict: 广州 / 重庆市九龙坡区"
    assert read("南京恒大林溪郡,南京市溧水区")["district_code"] == "320117"


def test_traditional_characters_leave_the_place_as_written():
    answer = read("上海市浦東新區世紀大道")
    assert (answer["district_code"], answer["place"]) == ("310115", "世紀大道")


def test_a_districts_word_inside_a_road_is_no_district():
    for address in ("内江市中山东路", "青岛市南墅镇", "重庆市江北路", "武汉市江汉路", "上海市静安寺"):
        assert read(address)["district_code"] == ""


def test_answers_of_the_year_of_the_divisions():
    address = pd.Series(["北京市东城区天坛路", "北京市崇文区天坛路"])
    assert parse_addresses(address, divisions=china_divisions(2009))["district_code"].tolist() == ["110101", "110103"]


def test_a_country_of_ones_own():
    cities = pd.DataFrame({"city_code": ["160100"], "city_name": ["苇浦市"], "province": ["岭南省"]})
    divisions = Divisions(divisions_of_boundaries(cities))
    address = pd.Series(["岭南省苇浦市墨坞区学府街165号", "墨坞区学府街165号", "苇浦市市区学府街"])
    table = parse_addresses(address, district=pd.Series(["", "苇浦市墨坞区", ""]), divisions=divisions)
    assert table["city_code"].tolist() == ["160100"] * 3
    assert table["district_name"].tolist() == ["墨坞区", "墨坞区", ""]
    assert table["place"].tolist() == ["学府街165号", "学府街165号", "市区学府街"]


def test_empty_and_missing_addresses_and_the_index():
    table = parse_addresses(pd.Series(["", None, "海淀区"], index=[5, 5, 9]))
    assert table.index.tolist() == [5, 5, 9]
    assert table["note"].tolist() == ["no division", "no division", ""]
    assert not table.isna().any().any()


def test_columns_of_different_tables_are_refused():
    with pytest.raises(TableError, match="2 addresses and 1 values of district"):
        parse_addresses(pd.Series(["a", "b"]), district=pd.Series(["c"]))


@settings(max_examples=150, deadline=None)
@given(
    row=st.sampled_from(STANDING),
    road=st.sampled_from(
        ["人民路8号", "南京西路", "中山东路", "长江路以北、黄河路以东", "朝阳大街", "新区", "城关镇"]
    ),
    province=st.booleans(),
    blanks=st.booleans(),
)
def test_every_unit_in_full_is_read_right_before_any_road(row, road, province, blanks):
    (path,) = CHINA.paths[row]
    parts = [CHINA.unit_of(code).name for code in dict.fromkeys(path)]
    text = "".join(parts if province or len(parts) < 3 else parts[1:]) + road
    if blanks:
        text = "　".join(text.translate(WIDE))
    answer = read(text)
    assert (answer["city_code"], answer["district_code"]) == (path.city, path.district)


@settings(max_examples=150, deadline=None)
@given(row=st.sampled_from(range(len(CHINA.units))), road=st.sampled_from(["", "人民路", "北京路", "和平大街"]))
def test_a_unit_alone_is_read_as_one_of_its_own_places_or_left_open(row, road):
    answer = read(CHINA.units[row].name + road)
    cities = {path.city for i, full in CHINA.named[CHINA.units[row].name] if full for path in CHINA.paths[i]}
    assert answer["city_code"] in cities | {""}
    if answer["note"].startswith("ambiguous"):
        assert answer["city_code"] == ""
