"""Records of land transactions: Chinese headers to standard names, and coordinates as numbers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gistools.checks import listed
from gistools.errors import TableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Headers as the land-market pages and their exports write them, without blanks and units in brackets.
HEADERS: dict[str, str] = {
    "电子监管号": "parcel_id",
    "行政区": "district",
    "项目名称": "project",
    "项目位置": "address",
    "面积": "area_ha",
    "供地面积": "area_ha",
    "土地用途": "land_use",
    "供地方式": "transfer_mode",
    "土地级别": "land_grade",
    "成交价格": "price_10k_yuan",
    "约定容积率下限": "far_min",
    "约定容积率上限": "far_max",
    "实际容积率": "far_realised",
    "签订日期": "contract_date",
    "合同签订日期": "contract_date",
    "经度": "lon",
    "纬度": "lat",
    "城市代码": "city_code",
}

_FULL_WIDTH = str.maketrans("０１２３４５６７８９．－＋，", "0123456789.-+,")


def standard_columns(table: pd.DataFrame, extra: Mapping[str, str] | None = None) -> pd.DataFrame:
    """Give the columns of a parcel table their standard names.

    Parameters
    ----------
    table : DataFrame
        With Chinese or English headers; units in brackets and blanks do not count.
    extra : mapping of str to str, optional
        The table's own headers to standard names; they go first.

    Returns
    -------
    DataFrame
        A copy with known headers renamed and other columns kept.

    Raises
    ------
    TableError
        If two columns would have one name, or `extra` names a column that is not there.

    Examples
    --------
    >>> standard_columns(pd.DataFrame(columns=["电子监管号", "面积（公顷）", "lon"])).columns.tolist()
    ['parcel_id', 'area_ha', 'lon']
    """
    extra = dict(extra or {})
    lacking = [header for header in extra if header not in table.columns]
    if lacking:
        raise TableError(
            f"the parcel table has no column {listed(map(repr, lacking))}; it has {listed(table.columns, 12)}"
        )
    names = {}
    for column in table.columns:
        bare = re.sub(r"[（(\[].*?[)）\]]|\s", "", str(column))
        names[column] = extra.get(column) or HEADERS.get(bare) or str(column).strip()
    doubled = {name for name in names.values() if list(names.values()).count(name) > 1}
    if doubled:
        which = [str(column) for column, name in names.items() if name in doubled]
        raise TableError(
            f"the parcel table's columns {listed(which)} would all be {listed(sorted(doubled))}; "
            "say which is meant under columns"
        )
    return table.rename(columns=names)


def as_numbers(values: pd.Series) -> NDArray[np.float64]:
    """Read numbers from a column of text: full-width digits and thousands' commas are understood.

    Returns
    -------
    array of float
        NaN where there is no number.

    Examples
    --------
    >>> as_numbers(pd.Series(["１１６．５", " 39.9 ", "1,204.5", "", "unknown", None])).tolist()
    [116.5, 39.9, 1204.5, nan, nan, nan]
    """
    if pd.api.types.is_numeric_dtype(values):
        return values.to_numpy(np.float64, na_value=np.nan)
    text = values.astype("str").str.translate(_FULL_WIDTH).str.strip()
    text = text.str.replace(r"(?<=\d),(?=\d{3})", "", regex=True)
    return pd.to_numeric(text, errors="coerce").to_numpy(np.float64, na_value=np.nan)


def contract_year(dates: pd.Series) -> pd.Series:
    """Year of each contract: the first four digits from 1980 to 2099 of its date; missing where there are none.

    Examples
    --------
    >>> contract_year(pd.Series(["2009年03月05日", "2010/1/7", "20110412", "-"])).tolist()
    [2009, 2010, 2011, <NA>]
    """
    text = dates.astype("str").str.translate(_FULL_WIDTH)
    year = text.str.extract(r"(?<!\d)((?:19[89]|20\d)\d)", expand=False)
    return pd.to_numeric(year, errors="coerce").astype("Int64")
