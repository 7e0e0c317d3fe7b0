"""Parcel tables read whole: codes keep their zeros, years and days their kind, and no row is lost."""

import numpy as np
import pandas as pd
import pytest

from gistools.errors import InputError, TableError
from gistools.io.tables import write_table
from gistools.parcels.records import Column, HeaderMapping
from gistools.study.parcel_tables import read_parcel_table, read_typed

RECORDS = pd.DataFrame(
    {
        "电子监管号": ["0101", "0102", "0103"],
        "城市代码": ["010100", "010100", None],
        "地块": ["001", "002", "010"],
        "编号": ["12345678901234567890", "1", "2"],
        "签订日期": ["2009-03-05", "2010-01-01", None],
        "year": ["2009", "2010", None],
        "经度": ["114.5", "115", None],
        "备注": ["=1+1", "NA", "a, b"],
        "期数": ["1", None, "2"],
    }
)


@pytest.mark.parametrize("suffix", [".csv", ".xlsx"])
def test_codes_years_and_days_keep_their_kind(tmp_path, suffix):
    path = tmp_path / f"t{suffix}"
    write_table(RECORDS, path)
    table, names = read_parcel_table(path)
    assert names["城市代码"] == "city_code"
    assert table["parcel_id"].tolist() == ["0101", "0102", "0103"]
    assert table["city_code"].tolist()[:2] == ["010100", "010100"]
    assert table["地块"].tolist() == ["001", "002", "010"]
    assert table["编号"].tolist()[0] == "12345678901234567890"
    assert table["year"].dtype == "Int64"
    assert table["year"].tolist() == [2009, 2010, pd.NA]
    assert table["contract_date"].dt.day.tolist()[:2] == [5, 1]
    assert table["lon"].tolist()[:2] == [114.5, 115.0]
    assert table["备注"].tolist() == ["=1+1", "NA", "a, b"]
    assert table["期数"].tolist() == [1, pd.NA, 2]
    again = tmp_path / "again.csv"  # what comes out is what went in
    write_table(table, again)
    assert ",2009," in again.read_text(encoding="utf-8-sig")
    pd.testing.assert_frame_equal(read_parcel_table(again)[0], table)


def test_every_kind_of_file_gives_one_table(tmp_path):
    write_table(RECORDS, tmp_path / "t.csv")
    first = read_parcel_table(tmp_path / "t.csv")[0]
    for name, options in (
        ("tab.csv", {"sep": "\t"}),
        ("semicolon.csv", {"sep": ";"}),
        ("wide.csv", {"encoding": "utf-16"}),
        ("gb.csv", {"encoding": "gb18030"}),
        ("cr.csv", {"lineterminator": "\r"}),
    ):
        RECORDS.to_csv(tmp_path / name, index=False, **options)
        pd.testing.assert_frame_equal(read_parcel_table(tmp_path / name)[0], first)
    write_table(first, tmp_path / "t.parquet")
    pd.testing.assert_frame_equal(read_parcel_table(tmp_path / "t.parquet")[0], first, check_dtype=False)


def test_days_of_excel_are_days(tmp_path):
    table = pd.DataFrame(
        {"contract_date": pd.to_datetime(["2009-03-05", None]), "paid": pd.to_datetime(["2009-04-01"] * 2)}
    )
    table.to_excel(tmp_path / "t.xlsx", index=False)
    read, _ = read_parcel_table(tmp_path / "t.xlsx")
    assert read["year"].tolist() == [2009, pd.NA]
    assert read["contract_date"][0] == read["paid"][0] - pd.Timedelta(days=27)


def test_the_first_day_of_excel_does_not_make_text_of_the_others(tmp_path):
    write_table(pd.DataFrame({"签订日期": pd.to_datetime(["1900-01-01", "2009-03-05", None])}), tmp_path / "t.xlsx")
    table, _ = read_parcel_table(tmp_path / "t.xlsx")
    assert table["contract_date"].dt.year.tolist()[1] == 2009
    assert table["year"].tolist()[1] == 2009


def test_what_is_no_year_or_day_stays_text(tmp_path):
    RECORDS.assign(year=["2009年", "soon", None], 签订日期=["2009年3月", "2010-01-01", None]).to_csv(
        tmp_path / "t.csv"
    )
    table, _ = read_parcel_table(tmp_path / "t.csv")
    assert table["year"].tolist()[:2] == ["2009年", "soon"]
    assert table["contract_date"].tolist()[:2] == ["2009年3月", "2010-01-01"]


def test_numbers_are_numbers_only_if_all_are(tmp_path):
    columns = {
        "n": [" 1.5", "-2e3", ".5", "NaN"],
        "zero": ["0", "0.5", "-0.25", ""],
        "code": ["01", "1", "2", "3"],
        "mixed": ["1", "2", "x", ""],
        "huge": ["1e400", "1", "2", "3"],
        "empty": ["", "", "", ""],
    }
    pd.DataFrame(columns).to_csv(tmp_path / "t.csv", index=False)
    table = read_typed(tmp_path / "t.csv", text=["mixed"])
    np.testing.assert_array_equal(table["n"], [1.5, -2000, 0.5, np.nan])
    np.testing.assert_array_equal(table["zero"], [0, 0.5, -0.25, np.nan])
    assert table["code"].tolist() == columns["code"]
    assert table["mixed"].tolist()[:3] == ["1", "2", "x"]
    assert np.isinf(table["huge"][0])
    assert table["empty"].isna().all()


def test_codes_of_ones_own_headers_are_text(tmp_path):
    pd.DataFrame({"市": ["1101.0", "4201.0"], "宗": ["1E5", "2E5"]}).to_csv(tmp_path / "t.csv", index=False)
    mapping = HeaderMapping({"宗": Column("parcel_id")})
    table, _ = read_parcel_table(tmp_path / "t.csv", columns={"市": "city_code"}, mapping=mapping)
    assert table["city_code"].tolist() == ["1101", "4201"]
    assert table["parcel_id"].tolist() == ["1E5", "2E5"]


def test_a_column_named_to_be_what_another_is_called_is_refused(tmp_path):
    pd.DataFrame({"city_code": ["1"], "adcode": ["2"]}).to_csv(tmp_path / "t.csv", index=False)
    with pytest.raises(TableError, match="has a column 'city_code' beside 'adcode'"):
        read_parcel_table(tmp_path / "t.csv", columns={"adcode": "city_code"})


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("lon,lat\n", "t.csv has no records, only headers"),
        ("lon,lat,lon\n1,2,3\n", "has two columns 'lon'"),
        ("lon,lat\n1,2\n1,2\n3,4,5\n", "1 rows of t.csv do not have the 2 fields of its header"),
        ("", "t.csv is empty"),
        ("<html><table>", "is a web page"),
        ("lon,经度\n1,2\n", "would all be 'lon'"),
    ],
)
def test_files_that_would_lose_something_are_refused(tmp_path, text, words):
    (tmp_path / "t.csv").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match=words) as error:
        read_parcel_table(tmp_path / "t.csv")
    assert isinstance(error.value, TableError)
