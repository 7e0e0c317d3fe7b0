"""Transfer modes, land uses, districts and grades by their text."""

import pandas as pd
import pytest

from gistools.parcels.categories import (
    KEPT_KIND,
    MIXED,
    NOTHING,
    OTHER,
    UNKNOWN,
    land_grades,
    land_uses,
    municipal_districts,
    municipalities,
    transfer_modes,
)


def kind(function, cell, *options):
    found = function(pd.Series([cell, cell], dtype=object), *options)
    return (found[0] if isinstance(found, tuple) else found)[0]


@pytest.mark.parametrize(
    ("cell", "expected", "name"),
    [
        ("招标", KEPT_KIND, "招标出让"),
        ("拍卖出让", KEPT_KIND, "拍卖出让"),
        ("挂牌出让", KEPT_KIND, "挂牌出让"),
        ("网上挂牌", KEPT_KIND, "挂牌出让"),
        ("国有土地使用权挂牌出让", KEPT_KIND, "挂牌出让"),
        ("招拍挂出让", KEPT_KIND, "招拍挂出让"),  # which of the three is not known
        ("招标、拍卖、挂牌", KEPT_KIND, "招标、拍卖、挂牌"),
        ("Listing", KEPT_KIND, "挂牌出让"),
        ("public auction", KEPT_KIND, "拍卖出让"),
        ("tender", KEPT_KIND, "招标出让"),
        ("协议出让", OTHER, "协议出让"),
        ("划拨", OTHER, "划拨"),
        ("租赁", OTHER, "租赁"),
        ("挂牌租赁", OTHER, "挂牌租赁"),
        ("拍卖流拍", OTHER, "拍卖流拍"),
        ("", NOTHING, None),
        (None, NOTHING, None),
    ],
)
def test_transfer_modes(cell, expected, name):
    assert kind(transfer_modes, cell) == expected
    assert transfer_modes(pd.Series([cell], dtype=object))[1].tolist() == [name]


def test_modes_the_user_asks_for_are_kept():
    assert kind(transfer_modes, "协议出让", ["协议"]) == KEPT_KIND
    assert kind(transfer_modes, "挂牌出让", ["协议"]) == OTHER
    assert kind(transfer_modes, "拍卖出让", ["挂牌", "招标"]) == OTHER


# the categories of the land market's lists of 2007 and of later years
HOUSING = [
    "城镇住宅用地",
    "住宅用地",
    "高档住宅用地",
    "中低价位、中小套型普通商品住房用地",
    "其他普通商品住房用地",
    "经济适用住房用地",
    "廉租住房用地",
    "公共租赁住房用地",
    "其他住房用地",
    "限价商品住房用地",
    "城镇住宅-普通商品住房用地",
    "城镇住宅-租赁型商品住房用地",
    "公共租赁住房用地(一类)",
    "用于安置的商品住房用地(二类)",
    "共有产权住房用地",
    "保障性租赁住房",
    "二类居住用地",
    "07",
    "071",
    "072",
    "077",
    "residential",
    "Housing",
]
OTHERS = [
    "批发零售用地",
    "住宿餐饮用地",
    "商务金融用地",
    "其他商服用地",
    "商服用地",
    "工业用地",
    "采矿用地",
    "仓储用地",
    "机关团体用地",
    "科教用地",
    "医卫慈善用地",
    "文体娱乐用地",
    "公共设施用地",
    "公园与绿地",
    "军事设施用地",
    "铁路用地",
    "农村宅基地",
    "综合用地",
    "非住宅用地",
    "051",
    "industrial",
    "non-residential",
]
BOTH = [
    "商住用地",
    "商住混合用地",
    "城镇混合住宅用地",
    "商业、住宅",
    "住宅用地（含配套商业）",
    "住宅兼容商服用地",
    "residential/commercial",
]


@pytest.mark.parametrize(
    ("cells", "expected"), [(HOUSING, KEPT_KIND), (OTHERS, OTHER), (BOTH, MIXED), (["", "—", None], NOTHING)]
)
def test_land_uses(cells, expected):
    found = dict(zip(cells, land_uses(pd.Series(cells, dtype=object)).tolist(), strict=True))
    assert set(found.values()) == {expected}, found


def test_uses_the_user_asks_for():
    assert kind(land_uses, "工业用地", ["工业"]) == KEPT_KIND
    assert kind(land_uses, "城镇住宅用地", ["工业"]) == OTHER
    assert kind(land_uses, "商服用地", ["商服", "商业"]) == KEPT_KIND


@pytest.mark.parametrize(
    ("cell", "expected"),
    [
        ("武汉市江岸区", KEPT_KIND),
        ("湖北省武汉市江岸区", KEPT_KIND),
        ("江岸区", KEPT_KIND),
        ("市中区", KEPT_KIND),
        ("荆州市沙市区", KEPT_KIND),
        ("大同市矿区", KEPT_KIND),
        ("赣州市赣县区", KEPT_KIND),
        ("新乡市红旗区", KEPT_KIND),
        ("浦东新区", KEPT_KIND),
        ("武汉市本级", KEPT_KIND),
        ("武汉市市本级", KEPT_KIND),
        ("市本级", KEPT_KIND),
        ("武汉市市辖区", KEPT_KIND),
        ("北京市市辖区", KEPT_KIND),
        ("武汉市", KEPT_KIND),
        ("上海市", KEPT_KIND),
        ("武汉经济技术开发区", KEPT_KIND),
        ("武汉市东湖高新区", KEPT_KIND),
        ("苏州工业园区", KEPT_KIND),
        ("东莞市长安镇", KEPT_KIND),
        ("松峡市鹭溪区", KEPT_KIND),  # of the synthetic country
        ("Jiang'an District", KEPT_KIND),
        ("长沙县", OTHER),
        ("湖南省长沙市长沙县", OTHER),
        ("前郭尔罗斯蒙古族自治县", OTHER),
        ("昆山市", OTHER),
        ("苏州市昆山市", OTHER),
        ("江苏省苏州市昆山市", OTHER),
        ("昆山市本级", OTHER),
        ("长沙县本级", OTHER),
        ("津市市", OTHER),
        ("土默特左旗", OTHER),
        ("长沙县经济开发区", OTHER),
        ("苏州市昆山市高新区", OTHER),
        ("昆山市高新区", OTHER),
        ("阿克苏地区", OTHER),
        ("恩施土家族苗族自治州", OTHER),
        ("恩施州本级", OTHER),
        ("内蒙古自治区", OTHER),
        ("神农架林区", OTHER),
        ("六枝特区", OTHER),
        ("湖北省", OTHER),
        ("Changsha County", OTHER),
        ("江岸", UNKNOWN),
        ("420102", UNKNOWN),
        ("", NOTHING),
        (None, NOTHING),
    ],
)
def test_municipal_districts(cell, expected):
    assert kind(municipal_districts, cell) == expected


def test_municipalities_are_the_four_and_the_prefecture_level_cities():
    names = municipalities()
    assert {"北京市", "天津市", "上海市", "重庆市", "武汉市", "襄樊市", "襄阳市"} <= names
    assert not names & {"昆山市", "义乌市", "仙桃市", "石河子市"}
    assert len(names) == 4 + 293 + 13  # 293 prefecture-level cities in early 2020, 13 former ones or former names


def test_every_county_level_unit_of_the_country_is_told(data_dir):
    units = pd.read_csv(data_dir / "china_boundaries" / "china_counties_attributes.csv", dtype=str)
    names = units["Name_County"].str.replace(r"\s*\[.*", "", regex=True)
    units = units.assign(name=names)[names.notna() & names.str.fullmatch(r"[\u4e00-\u9fff]+")]
    found = municipal_districts(units["name"])
    special = units["name"].isin(["神农架林区", "六枝特区"])
    district = units["name"].str.endswith("区") & ~special
    assert district.sum() > 950
    assert (found[district] == KEPT_KIND).all()
    assert (found[special | units["name"].str.endswith(("县", "旗"))] == OTHER).all()
    cities = units["name"].str.endswith("市") & ~units["name"].isin(municipalities())
    assert cities.sum() > 350
    assert (found[cities] == OTHER).all()


@pytest.mark.parametrize(
    ("cell", "name"),
    [
        ("一级", "一级"),
        ("1", "一级"),
        ("1级", "一级"),
        ("１级", "一级"),
        ("Ⅰ级", "一级"),
        ("Ⅳ", "四级"),
        ("二级地", "二级"),
        ("十级", "十级"),
        ("12", "十二级"),
        ("20级", "二十级"),
        ("未定级", "未定级"),
        ("0", "0"),
        ("", None),
    ],
)
def test_grades_are_named_alike(cell, name):
    assert land_grades(pd.Series([cell], dtype=object)).tolist() == [name]
    assert land_grades(pd.Series([1.0, None])).tolist() == ["一级", None]
