"""Days in the forms of the records."""

import datetime

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gistools.parcels.dates import contract_dates, contract_year, years_of

DIGITS = "〇一二三四五六七八九"


def spelt(number: int) -> str:
    """A number below a hundred in Chinese."""
    tens, ones = divmod(number, 10)
    return ("" if not tens else "十" if tens == 1 else DIGITS[tens] + "十") + (DIGITS[ones] if ones else "")


@pytest.mark.parametrize(
    "cell",
    [
        "2009年3月5日",
        "2009年03月05日",
        "2009年3月5号",
        "2009-03-05",
        "2009-3-5",
        "2009/3/5",
        "2009.3.5",
        "2009. 3. 5",
        " 20090305 ",
        "20090305123000",
        "２００９－０３－０５",
        "２００９年３月５日",
        "二〇〇九年三月五日",
        "二○○九年三月五日",
        "二零零九年三月五日",
        "2009-03-05 00:00:00",
        "2009-03-05T08:30:00",
        "2009/3/5 8:30",
        "2009年3月5日10时",
        "2009-03-04T16:00:00.000Z",  # midnight in Beijing
        "1236182400000",  # the same moment, milliseconds since 1970
        "39877",  # Excel
        "39877.0",
        "39877.5",
    ],
)
def test_forms_of_one_day(cell: str) -> None:
    assert contract_dates(pd.Series([cell]))[0] == np.datetime64("2009-03-05")


@pytest.mark.parametrize(
    "cell",
    [
        "09-03-05",
        "09年3月5日",
        "05/03/2009",
        "2009",
        "2009年3月",
        "2009-02-29",
        "2009-13-01",
        "2009-00-10",
        "2009-04-31",
        "20090230",
        "二〇〇九年二月三十日",
        "二〇〇九年十三月一日",
        "99999",
        "12345",
        "不详",
        "",
        "2009-03-04T25:00:00Z",
    ],
)
def test_what_is_no_day_is_not_guessed(cell: str) -> None:
    assert np.isnat(contract_dates(pd.Series([cell]))[0])


@given(st.dates(datetime.date(1987, 1, 1), datetime.date(2040, 12, 31)))
def test_every_day_is_read_alike_in_every_form(day: datetime.date) -> None:
    year = "".join(DIGITS[int(digit)] for digit in str(day.year))
    forms = [
        f"{day.year}年{day.month}月{day.day}日",
        day.isoformat(),
        f"{day.year}/{day.month}/{day.day}",
        f"{day:%Y%m%d}",
        f"{year}年{spelt(day.month)}月{spelt(day.day)}日",
        str((day - datetime.date(1899, 12, 30)).days),
    ]
    assert set(contract_dates(pd.Series(forms)).tolist()) == {day}


def test_columns_of_other_kinds() -> None:
    days = pd.Series(pd.to_datetime(["2009-03-05 23:59", None]))
    assert contract_dates(days).astype(str).tolist() == ["2009-03-05", "NaT"]
    zoned = pd.Series(pd.to_datetime(["2009-03-04 17:00"]).tz_localize("UTC"))
    assert contract_dates(zoned).astype(str).tolist() == ["2009-03-05"]
    mixed = pd.Series(
        [datetime.date(2009, 3, 5), datetime.datetime(2009, 3, 5, 10), 39877, 39877.0, None], dtype=object
    )
    assert contract_dates(mixed).astype(str).tolist() == [*["2009-03-05"] * 4, "NaT"]
    assert contract_dates(pd.Series([20090305, 39877])).astype(str).tolist() == ["2009-03-05"] * 2
    assert np.isnat(contract_dates(pd.Series([np.nan, np.nan]))).all()


def test_years_of_contract_dates() -> None:
    dates = pd.Series(["2009年03月05日", "2010-01-07", "20110412", "05/06/2012", "１９９９年", "12009", None])
    assert contract_year(dates).tolist() == [2009, 2010, 2011, 2012, 1999, pd.NA, pd.NA]


def test_the_year_of_a_contract_is_that_of_its_day() -> None:
    # New Year's Day in Beijing, which began the evening before in UTC, and Excel's serial number of a day in 2009
    dates = pd.Series(["2009-12-31T16:00:00Z", "39877", "二〇〇九年三月五日", "2010年", "2010年3月", "09-3-5"])
    assert contract_year(dates)[:5].tolist() == [2010, 2009, 2009, 2010, 2010]
    assert contract_year(dates).isna().tolist() == [False] * 5 + [True]


def test_years_are_read_as_they_are_written() -> None:
    years = pd.Series(["2009", "2009.0", "2009年", "２００９年度", 2009, "2009-01-01", "soon", None])
    assert years_of(years)[:5].tolist() == [2009] * 5
    assert np.isnan(years_of(years)[5:]).all()
    assert years_of(pd.Series(pd.to_datetime(["2009-03-05"])))[0] == 2009
