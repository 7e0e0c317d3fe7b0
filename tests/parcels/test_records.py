"""Headers of land-market tables."""

import pandas as pd
import pytest
import yaml

from gistools.errors import ConfigError, TableError
from gistools.parcels.records import (
    STANDARD,
    Column,
    HeaderMapping,
    bare_header,
    column_meanings,
    parse_header_mapping,
    shipped_mapping,
    shipped_mapping_text,
    standard_columns,
)


def test_units_in_brackets_and_blanks_do_not_count() -> None:
    table = pd.DataFrame(columns=["电子监管号", "面积（公顷）", "成交价格(万元)", " 经度 ", "备注"])
    assert standard_columns(table).columns.tolist() == ["parcel_id", "area_ha", "price_10k_yuan", "lon", "备注"]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("\ufeff电子监管号：", "parcel_id"),
        ("行政区", "district"),
        ("合同签定日期", "contract_date"),  # as some pages misspell it
        ("成交价格(万元", "price_10k_yuan"),  # the bracket is not closed
        ("约定容积率（上限）", "far_max"),
        ("约定容积率(下限)", "far_min"),
        ("约定容积率:上限", "far_max"),
        ("约定容积率", "far_max"),
        ("供应方式", "transfer_mode"),
        ("Land Use", "land_use"),
        ("transfer_mode", "transfer_mode"),
        ("Contract Date", "contract_date"),
        ("FAR upper limit", "far_max"),
        ("dzBaBh", "parcel_id"),
        ("备注", None),
        ("year", None),
        ("price", None),  # by what area, in what unit, nobody knows
    ],
)
def test_headers_as_the_land_market_writes_them(header: str, name: str | None) -> None:
    found = column_meanings([header])[header].name
    assert found == (name or header)


def test_brackets_state_the_unit() -> None:
    meanings = column_meanings(["面积(平方米)", "成交价格（元）"])
    assert list(meanings.values()) == [Column("area_ha", "平方米"), Column("price_10k_yuan", "元")]
    assert column_meanings(["供地面积[㎡]"])["供地面积[㎡]"] == Column("area_ha", "m2")
    assert column_meanings(["面积（单位：亩）"])["面积（单位：亩）"] == Column("area_ha", "亩")
    assert column_meanings(["area_m2"])["area_m2"] == Column("area_ha", "m2")
    # a price by area is not the price of the land
    assert column_meanings(["成交价格(元/平方米)"])["成交价格(元/平方米)"].name == "成交价格(元/平方米)"


def test_own_headers_go_first_and_must_exist() -> None:
    table = pd.DataFrame(columns=["x", "y", "经度"])
    assert standard_columns(table, {"x": "lon_gps", "y": "lat"}).columns.tolist() == ["lon_gps", "lat", "lon"]
    # what the user names is taken, and the other column keeps its name
    assert standard_columns(table, {"x": "lon"}).columns.tolist() == ["lon", "y", "经度"]
    with pytest.raises(TableError, match="no column 'z'"):
        standard_columns(table, {"z": "lat"})


def test_two_columns_for_one_name_are_refused_with_the_line_that_settles_it() -> None:
    headers = ["签订日期", "合同签订日期", "电子监管号"]
    with pytest.raises(TableError, match=r"签订日期, 合同签订日期 would all be 'contract_date'; say which is meant"):
        column_meanings(headers)
    chosen = parse_header_mapping("columns: {contract_date: 合同签订日期}", "m.yaml")
    assert [c.name for c in column_meanings(headers, mapping=chosen).values()] == [
        "签订日期",
        "contract_date",
        "parcel_id",
    ]
    other = parse_header_mapping("other: [合同签订日期]", "m.yaml")
    assert column_meanings(headers, mapping=other)["合同签订日期"].name == "合同签订日期"
    with pytest.raises(TableError, match="two columns '备注'"):
        column_meanings(["备注", "备注"])
    both = parse_header_mapping("columns: {area_ha: [甲, 乙]}", "m.yaml")
    with pytest.raises(TableError, match="甲, 乙 would all be 'area_ha'"):
        column_meanings(["甲", "乙"], mapping=both)


def test_own_mapping_goes_before_the_shipped_one() -> None:
    mapping = parse_header_mapping(
        "columns:\n  far_realised: 容积率\n  area_ha: {header: 净地, unit: 亩}\n", "m.yaml"
    )
    meanings = column_meanings(["容积率", "净地", "面积"], mapping=mapping)
    assert [column.name for column in meanings.values()] == ["far_realised", "area_ha", "面积"]
    assert meanings["净地"].unit == "亩"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "m.yaml is empty"),
        ("- a", "line 1: names and values are needed"),
        ("columns:\n  aera_ha: [x]", r"line 2: 'aera_ha' is not a standard column; did you mean 'area_ha'\?"),
        ("colums: {}", r"line 1: 'colums' is not a key; the keys are columns and other; did you mean 'columns'\?"),
        ("columns:\n  far_max: [a]\n  far_max: [b]", "line 3: the key 'far_max' stands twice"),
        ("columns:\n  far_max: [a]\n  far_min: [a]", "line 3: the header 'a' stands under far_max and under far_min"),
        ("columns:\n  far_max:\n    - {header: a, unit: m2}", "line 3: 'far_max' has no units"),
        (
            "columns:\n  area_ha:\n    - {header: a, unit: 公倾}",
            "line 3: '公倾' is not a unit of area_ha; they are 公顷, ha",
        ),
        ("columns:\n  area_ha:\n    - {name: a}", "line 3: 'name' is not a key of a header"),
        ("columns:\n  area_ha:\n    - {unit: m2}", "line 3: an entry under 'area_ha' lacks its header"),
        ("columns:\n  area_ha:\n    - [a]", "line 3: a header under 'area_ha' must be a text"),
        ("columns:\n  area_ha:", "line 2: 'area_ha' must hold a header or a list"),
        ("columns: [", "m.yaml is not valid YAML in line 1"),
    ],
)
def test_a_wrong_mapping_is_one_sentence_with_its_line(text: str, said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        parse_header_mapping(text, "m.yaml")


def test_a_mapping_makes_no_objects() -> None:
    with pytest.raises(ConfigError):
        parse_header_mapping("columns: !!python/object/apply:os.system [ls]", "m.yaml")


def test_the_shipped_mapping_can_be_written_and_read_again() -> None:
    again = parse_header_mapping(shipped_mapping_text(), "headers.yaml")
    assert set(again.columns.items()) <= set(shipped_mapping().columns.items())
    written = yaml.safe_load(shipped_mapping_text())
    assert set(written["columns"]) == set(STANDARD)
    # no header is written twice, however it is spelt
    headers = [h["header"] if isinstance(h, dict) else h for hs in written["columns"].values() for h in hs]
    assert len({bare_header(header) for header in headers}) == len(headers)
    assert HeaderMapping().columns == {}
