"""Which parcels can speak for the regulation index: their status, their city-year, and their columns as arrays."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from gistools.checks import require_columns
from gistools.errors import TableError
from gistools.parcels.dates import years_of
from gistools.parcels.status import passing
from gistools.parcels.values import as_numbers

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

USED = "used"
NO_CITY = "no city"
NO_YEAR = "no year"
NO_CAP = "no legal cap"
LOW_CAP = "legal cap not above zero"
NO_DISTANCE = "no distance to the CBD"
NO_AREA = "no area above zero"
NO_MODE = "no transfer mode"
NO_PRICE = "no price"
NO_GRADE = "no land grade"

# Medians beyond which caps are in percent, and distances in metres.
_PERCENT, _METRES = 30.0, 1000.0


def require_regulation_columns(
    parcels: pd.DataFrame, outcome: str, distance: str, numbers: Iterable[str], categories: Iterable[str]
) -> None:
    """Refuse a table that lacks a column of the hedonic, or holds caps in percent.

    Raises
    ------
    TableError
        Naming the column, and where it comes from.
    """
    if distance not in parcels.columns:
        raise TableError(
            f"the parcel table has no column {distance!r} (km to the city's CBD); measure it with gistools parcels "
            "distance, or name the column that holds it with --distance-column"
        )
    require_columns(parcels, ["city_code", "year", outcome, *numbers, *categories], "the parcel table")
    caps = parcels[outcome]
    if not pd.api.types.is_numeric_dtype(caps):
        percent = caps.astype("str").str.contains("[%％]", regex=True, na=False)
        if percent.any():
            raise TableError(
                f"the parcel table, column '{outcome}', holds {caps[percent].iloc[0]!r}: caps are ratios (2.5), not "
                "percent; divide them by 100"
            )


def numbers_of(parcels: pd.DataFrame, column: str) -> FloatArray:
    """Read a column of numbers; NaN where there is none.

    Raises
    ------
    TableError
        If it holds text throughout.
    """
    values = years_of(parcels[column]) if column == "year" else as_numbers(parcels[column])
    given = parcels[column].dropna()
    if len(given) and not np.isfinite(values).any():
        raise TableError(f"the parcel table, column '{column}', holds {given.iloc[0]!r} where a number is needed")
    return values


def categories_of(values: pd.Series) -> tuple[IntArray, list[str]]:
    """Number of each row's category (-1 without one), and the names of the categories in their order.

    Examples
    --------
    >>> numbers, names = categories_of(pd.Series(["b", " a", "", None, "b "]))
    >>> numbers.tolist(), names
    ([1, 0, -1, -1, 1], ['a', 'b'])
    """
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    number, found = pd.factorize(values, sort=False)
    text = pd.Series(found, dtype=object).astype(str).str.strip()
    inner, names = pd.factorize(text.where(text != ""), sort=True)
    return np.append(inner, -1)[number], [str(name) for name in names]


def first_status(parcels: pd.DataFrame) -> NDArray[np.object_]:
    """Give records the word of the step that set them aside; the others are ``used`` until something lacks."""
    status = np.full(len(parcels), USED, object)
    if "status" in parcels:
        before, aside = parcels["status"].to_numpy(object), ~passing(parcels)
        status[aside] = np.where(pd.isna(before[aside]), "no status", before[aside])
    return status


def set_aside(status: NDArray[np.object_], bad: NDArray[np.bool_], why: str) -> None:
    """Say of records that are still used why they cannot be (changes `status`)."""
    status[(status == USED) & bad] = why


@dataclass(frozen=True)
class CityYears:
    """City-years in order, and the row each record belongs to (-1: none)."""

    table: pd.DataFrame
    group: IntArray


def city_years(city: IntArray, codes: list[str], year: FloatArray, rows: IntArray) -> CityYears:
    """Find the city-years of some records.

    Parameters
    ----------
    city : array of int, shape (n,)
        Place in `codes`.
    codes : list of str
    year : array of float, shape (n,)
    rows : array of int
        Those that count.

    Returns
    -------
    CityYears
        Ordered by code and year.

    Raises
    ------
    TableError
        If a year is none.
    """
    years, k = np.unique(year[rows], return_inverse=True)
    odd = years[(years % 1 != 0) | (years < 1000) | (years > 9999)]
    if len(odd):
        raise TableError(f"the parcel table, column 'year', holds {odd[0]:.10g} where a year is needed")
    found, inverse = np.unique(city[rows] * len(years) + k, return_inverse=True)
    group = np.full(len(city), -1)
    group[rows] = inverse
    names = pd.Series(np.array(codes, object)[found // len(years)], dtype="str")
    return CityYears(pd.DataFrame({"city_code": names, "year": years[found % len(years)].astype(np.int64)}), group)


def judge_units(cap: FloatArray, distance: FloatArray, outcome: str, name: str) -> None:
    """Refuse caps in percent, and distances in metres or below zero.

    Raises
    ------
    TableError
    """
    if np.median(cap) > _PERCENT:
        raise TableError(
            f"the parcel table, column '{outcome}', has the median {np.median(cap):.6g}: this looks like percent, "
            "but caps are ratios (2.5); divide them by 100"
        )
    if (distance < 0).any():
        raise TableError(f"the parcel table, column '{name}', holds {distance.min():.6g}: a distance is not negative")
    if np.median(distance) > _METRES:
        raise TableError(
            f"the parcel table, column '{name}', has the median {np.median(distance):,.0f}: this looks like metres, "
            "but distances are kilometres; divide them by 1000"
        )
