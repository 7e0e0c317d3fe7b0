"""Numbers with units and limits of the floor-area ratio in the forms of the records."""

import math

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gistools.errors import InputError
from gistools.parcels.values import (
    areas_ha,
    as_numbers,
    code_text,
    floor_area_limits,
    map_values,
    plain_text,
    prices_10k_yuan,
    text_values,
)

FULL_WIDTH = str.maketrans("0123456789.,-", "０１２３４５６７８９．，－")


def test_numbers_keep_their_value_and_text_is_missing() -> None:
    text = pd.Series(
        ["１１６．５", "-3", "1e3", "12,345.6", "+2", ".5", "北京", " ", None, "1,23", "1,2345", "1.2.3", "inf"]
    )
    assert as_numbers(text)[:6].tolist() == [116.5, -3, 1000, 12345.6, 2, 0.5]
    assert np.isnan(as_numbers(text)[6:]).all()
    assert as_numbers(pd.Series([1, 2])).dtype == np.float64
    assert as_numbers(pd.Series([1, None], dtype="Int64"))[0] == 1
    assert np.isnan(as_numbers(pd.Series([True, False]))).all()


def test_infinite_numbers_are_missing() -> None:
    for numbers in (pd.Series(["1e400", "-1e400", "1"]), pd.Series([np.inf, -np.inf, 1.0])):
        assert np.isnan(as_numbers(numbers)).tolist() == [True, True, False]
        assert np.isnan(floor_area_limits(numbers)[1]).tolist() == [True, True, False]
    assert np.isnan(areas_ha(pd.Series(["1" * 400 + "亩"])))[0]


def test_codes_lose_what_spreadsheets_add() -> None:
    codes = pd.Series(["110000.0", "010100", " 420100 ", "'330100", 110000.0, 5, "v1.0", "", None])
    codes.index = codes.index[::-1]
    read = code_text(codes)
    assert read.index.equals(codes.index)
    assert read[:7].tolist() == ["110000", "010100", "420100", "330100", "110000", "5", "v1.0"]
    assert read[7:].isna().all()
    assert code_text(pd.Series([None, None])).isna().all()


@pytest.mark.parametrize(
    ("cell", "hectares"),
    [
        ("2.5", 2.5),
        ("2.5公顷", 2.5),
        ("2.5 ha", 2.5),
        ("2.5hm²", 2.5),
        ("25,000平方米", 2.5),
        ("25000㎡", 2.5),
        ("25000 m2", 2.5),
        ("25000m²", 2.5),
        ("2.5万平方米", 2.5),
        ("１５亩", 1.0),
        ("0.3平方公里", 30.0),
        ("0.3km²", 30.0),
        ("2.5公倾", None),
        ("2.5元", None),
        ("约2.5公顷", None),
        ("2.5公顷（净）", None),
        ("公顷", None),
        ("", None),
    ],
)
def test_areas(cell: str, hectares: float | None) -> None:
    (found,) = areas_ha(pd.Series([cell]))
    assert math.isnan(found) if hectares is None else found == pytest.approx(hectares, rel=1e-15)


@pytest.mark.parametrize(
    ("cell", "price"),
    [
        ("4719.1981", 4719.1981),
        ("1,313.61", 1313.61),
        ("1313.61万元", 1313.61),
        ("1.2亿元", 12000),
        ("500,000元", 50),
        ("￥500000元", 50),
        ("人民币3000万元", 3000),
        ("300元/平方米", None),
        ("2.5公顷", None),
        ("面议", None),
    ],
)
def test_prices(cell: str, price: float | None) -> None:
    (found,) = prices_10k_yuan(pd.Series([cell]))
    assert math.isnan(found) if price is None else found == pytest.approx(price, rel=1e-14)


def test_a_bare_number_has_the_unit_of_its_column_and_a_unit_in_the_cell_goes_first() -> None:
    mixed = pd.Series(["25000", "2.5公顷", "3.75亩"])
    assert areas_ha(mixed, unit="平方米").tolist() == pytest.approx([2.5, 2.5, 0.25], rel=1e-15)
    assert areas_ha(pd.Series([25000.0, np.nan]), unit="㎡")[0] == 2.5
    assert prices_10k_yuan(pd.Series(["5000000", "2亿元"]), unit="元").tolist() == [500, 20000]
    with pytest.raises(InputError, match="'公倾' is not a unit of this quantity; known are 公顷, ha"):
        areas_ha(mixed, unit="公倾")


LIMITS = [
    ("2.5", None, 2.5),
    ("２．５", None, 2.5),
    ("≤2.5", None, 2.5),
    ("<=2.5", None, 2.5),
    ("R≤2.5", None, 2.5),
    ("容积率：≤2.5", None, 2.5),
    ("不大于2.5", None, 2.5),
    ("不超过2.5", None, 2.5),
    ("小于等于3.0", None, 3.0),
    ("小于或等于3.0", None, 3.0),
    ("2.5（含）", None, 2.5),
    ("2.5以下", None, 2.5),
    ("2.5以下（含2.5）", None, 2.5),
    ("250%", None, 2.5),
    ("no more than 2.5", None, 2.5),
    ("1.0-2.5", 1.0, 2.5),
    ("1.0～2.5", 1.0, 2.5),
    ("1.0—2.5", 1.0, 2.5),
    ("1.0至2.5", 1.0, 2.5),
    ("1<r≤2.5", 1.0, 2.5),
    ("1.0≤容积率≤2.5", 1.0, 2.5),
    ("2.5≥R>1", 1.0, 2.5),
    ("≥1.0且≤2.5", 1.0, 2.5),
    (">1,≤2.5", 1.0, 2.5),
    ("大于1并且小于2.5", 1.0, 2.5),
    ("大于或等于1并且小于或等于2.5", 1.0, 2.5),
    ("不低于1.0不高于2.5", 1.0, 2.5),
    ("1.0以上2.5以下", 1.0, 2.5),
    ("≥1.0", 1.0, None),
    ("不小于1.0", 1.0, None),
    ("大于1.5", 1.5, None),
    ("1.0以上", 1.0, None),
    ("0", None, 0.0),
    ("-1", None, -1.0),
    # nothing is guessed
    ("详见合同", None, None),
    ("约2.5", None, None),
    ("住宅≤2.0，商业≤3.0", None, None),
    ("≤2.0且≤3.0", None, None),
    ("2.5/3.0", None, None),
    ("1.0,2.5", None, None),
    ("1.0<2.5", None, None),
    ("1<r≥2", None, None),
    ("1-2-3", None, None),
    ("", None, None),
]


@pytest.mark.parametrize(("cell", "lower", "upper"), LIMITS)
def test_limits_of_the_floor_area_ratio(cell: str, lower: float | None, upper: float | None) -> None:
    found = floor_area_limits(pd.Series([cell]))
    for value, true in zip(found, (lower, upper), strict=True):
        assert math.isnan(value[0]) if true is None else value[0] == true


@given(st.integers(0, 400), st.integers(0, 400))
def test_a_lower_limit_is_never_taken_for_an_upper_one(a: int, b: int) -> None:
    low, high = sorted((a / 100, b / 100))
    for form in (
        "{0}-{1}",
        "{0}<r≤{1}",
        "大于{0}并且小于{1}",
        "≥{0}且≤{1}",
        "≤{1},≥{0}",
        "{1}≥R≥{0}",
        "{0}以上{1}以下",
    ):
        for text in (form.format(low, high), form.format(low, high).translate(FULL_WIDTH)):
            lower, upper = floor_area_limits(pd.Series([text, text]))
            assert (lower.tolist(), upper.tolist()) == ([low, low], [high, high]), text
    for sign in ("≥", ">", "不小于", "不低于", "大于等于", "大于"):
        lower, upper = floor_area_limits(pd.Series([f"{sign}{low}"]), bare="upper")
        assert lower[0] == low
        assert math.isnan(upper[0])


def test_a_bare_number_is_the_limit_its_column_is_for() -> None:
    cells = pd.Series(["1.0", "≤2.5", "≥1.2"])
    lower, upper = floor_area_limits(cells, bare="lower")
    np.testing.assert_array_equal(lower, [1.0, np.nan, 1.2])
    np.testing.assert_array_equal(upper, [np.nan, 2.5, np.nan])
    lower, upper = floor_area_limits(pd.Series([2.5, np.nan]))
    assert upper[0] == 2.5
    assert np.isnan(lower).all()
    with pytest.raises(InputError, match="bare is 'middle'"):
        floor_area_limits(cells, bare="middle")


@given(st.floats(0, 1e6), st.sampled_from(["", "公顷", "平方米", "亩", "㎡", "万平方米"]))
def test_an_area_is_read_alike_in_half_and_full_width(value: float, unit: str) -> None:
    cell = f"{value:,.4f}{unit}"
    half, full = areas_ha(pd.Series([cell, cell.translate(FULL_WIDTH)]))
    factor = {"": 1, "公顷": 1, "平方米": 1e-4, "㎡": 1e-4, "亩": 1 / 15, "万平方米": 1}[unit]
    assert half == full == pytest.approx(float(f"{value:.4f}") * factor, rel=1e-12)


def test_cells_that_say_nothing_are_null_whatever_the_column_is() -> None:
    cells = pd.Series(["a ", "NaN", "None", "#N/A", "—", "--", "无", "", "'0123", None], dtype=object)
    assert text_values(cells).to_pylist() == ["a", *[None] * 7, "0123", None]
    assert text_values(pd.Series([1.0, 2.5, np.nan])).to_pylist() == ["1", "2.5", None]
    assert text_values(pd.Series(["x", None], dtype="category")).to_pylist() == ["x", None]
    assert text_values(pd.Series([np.nan, np.nan])).to_pylist() == [None, None]
    assert text_values(pd.Series([], dtype=object)).to_pylist() == []


def test_a_function_is_asked_once_for_each_text() -> None:
    asked: list[str] = []

    def length(text: str) -> int:
        asked.append(text)
        return len(text)

    assert map_values(pa.array(["aa", None, "b", "aa"]), length, -1, np.int64).tolist() == [2, -1, 1, 2]
    assert sorted(asked) == ["aa", "b"]


def test_plain_text_is_what_texts_are_compared_by() -> None:
    assert plain_text(" ＦＡＲ　㎡ ") == "farm2"
