"""Headers, numbers and dates of land-market records."""

import numpy as np
import pandas as pd
import pytest

from gistools.errors import TableError
from gistools.parcels.records import as_numbers, contract_year, standard_columns


def test_units_in_brackets_and_blanks_do_not_count() -> None:
    table = pd.DataFrame(columns=["电子监管号", "面积（公顷）", "成交价格(万元)", " 经度 ", "备注"])
    assert standard_columns(table).columns.tolist() == ["parcel_id", "area_ha", "price_10k_yuan", "lon", "备注"]


def test_own_headers_go_first_and_must_exist() -> None:
    table = pd.DataFrame(columns=["x", "y", "经度"])
    assert standard_columns(table, {"x": "lon_gps", "y": "lat"}).columns.tolist() == ["lon_gps", "lat", "lon"]
    with pytest.raises(TableError, match="would all be"):
        standard_columns(table, {"x": "lon"})
    with pytest.raises(TableError, match="no column 'z'"):
        standard_columns(table, {"z": "lat"})


def test_numbers_keep_their_value_and_text_is_missing() -> None:
    text = pd.Series(["１１６．５", "-3", "1e3", "12,345.6", "北京", " ", None])
    assert as_numbers(text)[:4].tolist() == [116.5, -3, 1000, 12345.6]
    assert np.isnan(as_numbers(text)[4:]).all()
    assert as_numbers(pd.Series([1, 2])).dtype == np.float64


def test_years_of_contract_dates() -> None:
    dates = pd.Series(["2009年03月05日", "2010-01-07", "20110412", "05/06/2012", "１９９９年", "12009", None])
    assert contract_year(dates).tolist() == [2009, 2010, 2011, 2012, 1999, pd.NA, pd.NA]
