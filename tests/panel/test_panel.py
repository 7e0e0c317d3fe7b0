"""Joins on (city_code, year): every row that finds no partner is counted, nothing is overwritten."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gistools.errors import PanelError, TableError
from gistools.panel.panel import build_panel, codebook, treatment_from_starts, unit_of


def base(codes: list[str], years: list[int]) -> pd.DataFrame:
    rows = [(code, year) for code in codes for year in years]
    table = pd.DataFrame(rows, columns=["city_code", "year"])
    table["population"] = np.arange(len(table), dtype=float)
    table.attrs = {"units": {"population": "persons"}, "labels": {"population": "population of the city"}}
    return table


def test_mismatches_are_counted_both_ways() -> None:
    book = pd.DataFrame(
        {"city_code": ["01", "01", "09"], "year": [2009, 2015, 2009], "gdp_10k_yuan": [5.0, 6.0, 7.0]}
    )
    panel = build_panel(base(["01", "02"], [2009, 2010]), {"yearbook": book})
    join = panel.joins.iloc[0]
    assert (join["rows"], join["matched"], join["only_in_table"], join["only_in_panel"]) == (3, 1, 2, 3)
    assert "01/2015" in join["examples"]
    assert len(panel.table) == 4
    assert panel.table["gdp_10k_yuan"].tolist()[0] == 5.0
    assert panel.table["gdp_10k_yuan"].isna().sum() == 3


def test_a_column_that_is_there_is_not_overwritten() -> None:
    book = pd.DataFrame({"city_code": ["01"], "year": [2009], "population": [99.0], "city_name": ["甲"]})
    panel = build_panel(base(["01"], [2009]), {"yearbook": book})
    assert panel.table["population"].tolist() == [0.0]
    assert panel.table["yearbook_population"].tolist() == [99.0]
    assert "population" in panel.notes[0]
    assert "city_name" not in panel.table


def test_other_names_under_one_code_are_reported() -> None:
    left = base(["01", "02"], [2009]).assign(city_name=["甲市", "乙市"])
    book = pd.DataFrame({"city_code": ["01", "02"], "year": 2009, "city_name": ["甲", "丙市"], "x": [1.0, 2.0]})
    notes = build_panel(left, {"yearbook": book}).notes
    assert len(notes) == 1
    assert "02 is 乙市 here, 丙市 there" in notes[0]


def test_a_table_without_years_joins_on_the_city() -> None:
    panel = build_panel(
        base(["01", "02"], [2009, 2010]), {"sites": pd.DataFrame({"city_code": ["02"], "sites": [3]})}
    )
    assert panel.table["sites"].fillna(0).tolist() == [0, 0, 3, 3]


@pytest.mark.parametrize(
    ("book", "message"),
    [
        (pd.DataFrame({"city_code": ["01", "01"], "year": [2009, 2009], "x": [1, 2]}), "more than one row"),
        (pd.DataFrame({"city_code": ["01"], "year": ["soon"], "x": [1]}), "where a year is needed"),
        (pd.DataFrame({"city_code": [None], "year": [2009], "x": [1]}), "without city_code"),
        (pd.DataFrame({"code": ["01"], "year": [2009], "x": [1]}), "no column 'city_code'"),
        (pd.DataFrame({"city_code": ["01"], "year": ["2009年"], "x": [1]}), "'2009年' where a year is needed"),
        (pd.DataFrame({"city_code": ["01"], "year": [None], "x": [1]}), "where a year is needed"),
        (pd.DataFrame({"city_code": ["01"], "year": pd.to_datetime(["2009-01-01"])}), "where a year is needed"),
        (pd.DataFrame({"city_code": ["01"], "year": [9], "x": [1]}), "'9' where a year is needed"),
        (pd.DataFrame({"city_code": [], "year": [], "x": []}), "has no rows"),
    ],
)
def test_bad_keys_are_refused(book: pd.DataFrame, message: str) -> None:
    with pytest.raises(TableError, match=f"^yearbook.*{message}"):
        build_panel(base(["01"], [2009]), {"yearbook": book})
    with pytest.raises(TableError, match=f"^the panel.*{message}"):
        build_panel(book, {})


@pytest.mark.parametrize("years", [["2009", " 2010"], [2009.0, 2010.0]])
def test_years_as_text_or_floats_are_whole_numbers(years: list[object]) -> None:
    book = pd.DataFrame({"city_code": "01", "year": [2009, 2010], "x": [1, 2]})
    left = pd.DataFrame({"city_code": "01", "year": years})
    for table in (build_panel(left, {"b": book}).table, build_panel(book, {"b": left.assign(y=0)}).table):
        assert table["year"].tolist() == [2009, 2010]
        assert table["year"].dtype == "int64"
        assert table["x"].tolist() == [1, 2]


def test_a_table_that_matches_nothing_is_refused_with_both_keys() -> None:
    book = pd.DataFrame({"city_code": ["1"], "year": [2009], "x": [1]})
    with pytest.raises(PanelError, match="leading zeros"):
        build_panel(base(["01"], [2009]), {"yearbook": book})


@given(
    starts=st.dictionaries(st.sampled_from("abcdef"), st.one_of(st.none(), st.integers(2005, 2016)), min_size=1),
)
def test_treatment_is_one_from_the_start_on(starts: dict[str, int | None]) -> None:
    panel = base(list("abcdef"), list(range(2006, 2014)))
    table = pd.DataFrame({"city_code": list(starts), "start_year": pd.array(list(starts.values()), dtype="Int64")})
    treated = treatment_from_starts(panel, table)
    for code, year, value in zip(panel["city_code"], panel["year"], treated, strict=True):
        start = starts.get(code)
        assert value == (start is not None and year >= start)


def test_a_start_that_is_no_year_is_refused() -> None:
    for start in ("2010-09", "2007.5", 2007.5, 27):  # a start in 27 would treat every city and year
        with pytest.raises(TableError, match=f"city 01, starts in '{start}', which is not a year"):
            treatment_from_starts(base(["01"], [2009]), pd.DataFrame({"city_code": ["01"], "start_year": [start]}))


def test_codebook_describes_every_column() -> None:
    book = pd.DataFrame({"city_code": ["01"], "year": [2009], "gdp_10k_yuan": [5.0]})
    table = build_panel(base(["01", "02"], [2009]), {"yearbook": book}).table
    described = codebook(table).set_index("column")
    assert list(described.index) == list(table.columns)
    assert described.loc["gdp_10k_yuan", ["unit", "source", "missing", "min"]].tolist() == [
        "10,000 yuan",
        "yearbook",
        1,
        5.0,
    ]
    assert described.loc["population", ["unit", "meaning", "source"]].tolist() == [
        "persons",
        "population of the city",
        "grids",
    ]


def test_described_units_win_over_names() -> None:
    book = pd.DataFrame({"city_code": ["01"], "year": [2009], "road_km": [5.0]})
    about = pd.DataFrame({"column": ["road_km"], "unit": ["km of road"], "meaning": ["length of roads"]})
    table = build_panel(base(["01"], [2009]), {"yearbook": book}, descriptions={"yearbook": about}).table
    assert table.attrs["units"]["road_km"] == "km of road"
    assert table.attrs["labels"]["road_km"] == "length of roads"


def test_units_that_names_state() -> None:
    assert [unit_of(c) for c in ("area_km2", "far_share", "wage_yuan", "x")] == ["km2", "0 to 1", "yuan", ""]
