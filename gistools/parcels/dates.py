"""Days of contracts in the forms records write them."""

from __future__ import annotations

import datetime
import re
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gistools.parcels.values import as_numbers, text_values

if TYPE_CHECKING:
    from numpy.typing import NDArray

_DATE = (
    r"^(?P<y>\d{4})\s*[年\-/.]\s*(?P<m>\d{1,2})\s*[月\-/.]\s*(?P<d>\d{1,2})\s*[日号]?"
    r"(?:[\sT]*\d{1,2}[:时](?:.*[^Zz])?)?$"
)
_COMPACT = r"^(?P<y>\d{4})(?P<m>\d{2})(?P<d>\d{2})(?:\d{6})?(?:\.0+)?$"
_SERIAL = re.compile(r"\d{5}(\.\d+)?")
_NUMERALS = {c: i for i, c in enumerate("〇一二三四五六七八九")} | {"零": 0, "○": 0, "两": 2}
_SPELT = re.compile(
    r"([〇零○一二三四五六七八九]{4})年([一二三四五六七八九十]{1,2})月([一二三四五六七八九十]{1,3})[日号]"
)
_EXCEL_DAY_0 = np.datetime64("1899-12-30", "D")
# Whole days as Excel counts them: 1955 to 2064, so that no other number of five digits is taken for a date.
_SERIALS = (20_089, 60_262)
_BEIJING = datetime.timezone(datetime.timedelta(hours=8))
_NAT = np.datetime64("NaT", "D")
# A year that stands by itself, or before what is no whole date: 2009年, 2009年度, 2010年3月.
_YEAR = r"^\s*(\d{4})\s*年度?\s*$"
_FIRST_YEAR = r"(?<!\d)((?:19[89]|20\d)\d)"


def contract_dates(values: pd.Series) -> NDArray[np.datetime64]:
    """Read dates in the forms records use.

    Parameters
    ----------
    values : Series
        Text (``2009年3月5日``, ``2009-03-05``, ``2009/3/5``, ``2009.3.5``, ``20090305``, ``二〇〇九年三月五日``,
        with or without a time of day, full-width or not), dates, or Excel's serial numbers. Times of UTC
        (``...T16:00:00Z``, milliseconds since 1970) are turned to Beijing's.

    Returns
    -------
    array of datetime64[D]
        NaT where there is no date: two-digit years, months without a day and days that do not exist are not guessed.

    Examples
    --------
    >>> dates = ["2009年3月5日", "２００９．３．５", "39877", "二〇〇九年三月五日", "09-3-5", "2009-02-30"]
    >>> contract_dates(pd.Series(dates)).astype(str).tolist()
    ['2009-03-05', '2009-03-05', '2009-03-05', '2009-03-05', 'NaT', 'NaT']
    """
    if pd.api.types.is_datetime64_any_dtype(values):
        zone = getattr(values.dt, "tz", None)
        local = values.dt.tz_convert(_BEIJING).dt.tz_localize(None) if zone is not None else values
        return local.to_numpy().astype("datetime64[D]")
    text = text_values(values)
    encoded = pc.dictionary_encode(text)
    days = _days(encoded.dictionary)
    days = np.append(days, _NAT)
    return days[pc.fill_null(encoded.indices, len(days) - 1).to_numpy(zero_copy_only=False)]


def years_of(values: pd.Series) -> NDArray[np.float64]:
    """Read a column of years: numbers, text of numbers, ``2009年``, or days.

    Parameters
    ----------
    values : Series

    Returns
    -------
    array of float
        NaN where there is no year.

    Examples
    --------
    >>> years_of(pd.Series(["2009", "2010.0", "２０１１年", "09", "spring", None])).tolist()
    [2009.0, 2010.0, 2011.0, 9.0, nan, nan]
    """
    if pd.api.types.is_datetime64_any_dtype(values):
        return values.dt.year.to_numpy(np.float64, na_value=np.nan)
    years = as_numbers(values)
    if np.isnan(years).any() and not pd.api.types.is_numeric_dtype(values):
        text = values.astype("str").str.normalize("NFKC").str.extract(_YEAR, expand=False)
        years = np.where(np.isnan(years), pd.to_numeric(text, errors="coerce").to_numpy(np.float64), years)
    return years


def contract_year(dates: pd.Series) -> pd.Series:
    """Year of each contract: of its day, else the first four digits from 1980 to 2099 of what stands there.

    Parameters
    ----------
    dates : Series
        As :func:`contract_dates` takes them.

    Returns
    -------
    Series of Int64
        Missing where there is no year.

    Examples
    --------
    The third is New Year's Day in Beijing, the fourth Excel's serial number of a day in 2009.

    >>> contract_year(pd.Series(["2009年03月05日", "2010年", "2009-12-31T16:00:00Z", "39877", "-"])).tolist()
    [2009, 2010, 2010, 2009, <NA>]
    """
    days = contract_dates(dates)
    text = dates.astype("str").str.normalize("NFKC").str.extract(_FIRST_YEAR, expand=False)
    years = pd.to_numeric(text, errors="coerce").astype("Float64").to_numpy(np.float64, na_value=np.nan)
    read = ~np.isnat(days)
    years[read] = days[read].astype("datetime64[Y]").astype(np.float64) + 1970
    return pd.Series(pd.array(years, dtype="Float64"), index=dates.index).astype("Int64")


def _days(text: pa.Array) -> NDArray[np.datetime64]:
    """Days of different texts: the common forms column by column, the others one by one."""
    text = pc.utf8_trim_whitespace(pc.utf8_normalize(text, form="NFKC"))
    days = np.full(len(text), _NAT)
    left = np.ones(len(text), bool)
    for pattern in (_DATE, _COMPACT):
        parts = pc.extract_regex(text, pattern=pattern)
        found = parts.is_valid().to_numpy(zero_copy_only=False) & left
        y, m, d = (
            pc.cast(pc.struct_field(parts, k), pa.int64()).drop_null().to_numpy(zero_copy_only=False)
            for k in range(3)
        )
        every = parts.is_valid().to_numpy(zero_copy_only=False)
        values = np.full(len(text), _NAT)
        values[every] = _day(y, m, d)
        days[found] = values[found]
        left &= ~found
    for k in np.flatnonzero(left):
        days[k] = _odd_day(text[int(k)].as_py() or "")
    return days


def _day(y: NDArray[np.int64], m: NDArray[np.int64], d: NDArray[np.int64]) -> NDArray[np.datetime64]:
    """Calendar days; NaT where there is no such day."""
    months = ((y - 1970) * 12 + np.clip(m, 1, 12) - 1).astype("datetime64[M]")
    days = months.astype("datetime64[D]") + (d - 1)
    real = (m >= 1) & (m <= 12) & (d >= 1) & (days.astype("datetime64[M]") == months)
    return np.where(real, days, _NAT)


def _odd_day(text: str) -> np.datetime64:
    """A date that is not year, month and day in digits: Excel's serial, Chinese numerals, a time of UTC."""
    if _SERIAL.fullmatch(text):
        serial = int(float(text))
        return _EXCEL_DAY_0 + serial if _SERIALS[0] <= serial <= _SERIALS[1] else _NAT
    if match := _SPELT.fullmatch(re.sub(r"\s", "", text)):
        year = int("".join(str(_NUMERALS[c]) for c in match[1]))
        parts = [np.array([number]) for number in (year, _chinese(match[2]), _chinese(match[3]))]
        return _day(*parts)[0]
    moment = None
    if re.fullmatch(r"\d{13}", text):
        moment = datetime.datetime.fromtimestamp(int(text) / 1000, _BEIJING)
    elif re.fullmatch(r"\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}(:\d{2}(\.\d{1,6})?)?[Zz]", text):
        try:
            moment = datetime.datetime.fromisoformat(text[:-1] + "+00:00").astimezone(_BEIJING)
        except ValueError:  # no such day or hour
            return _NAT
    return _NAT if moment is None else np.datetime64(moment.date(), "D")


def _chinese(text: str) -> int:
    """Value of a Chinese numeral below a hundred; 0 where it is none."""
    tens, ten, ones = text.partition("十")
    if not ten:
        return _NUMERALS[text] if len(text) == 1 else 0
    if len(tens) > 1 or len(ones) > 1 or "十" in ones:
        return 0
    return 10 * (_NUMERALS[tens] if tens else 1) + (_NUMERALS[ones] if ones else 0)
