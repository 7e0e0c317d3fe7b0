"""Records read: each cell of a standard column as a number, a day or a name, and a note of what could not be read."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import pyarrow as pa

from gistools.parcels.categories import land_grades, transfer_modes
from gistools.parcels.dates import contract_dates, years_of
from gistools.parcels.values import (
    areas_ha,
    as_numbers,
    code_text,
    floor_area_limits,
    prices_10k_yuan,
    text_values,
)

if TYPE_CHECKING:
    from numpy.typing import NDArray

NUMBERS = ("area_ha", "price_10k_yuan", "far_min", "far_max", "far_realised", "lon", "lat")
_CODES = ("parcel_id", "city_code")
_TEXT = ("district", "project", "address", "land_use")


def read_records(table: pd.DataFrame, units: Mapping[str, str | None] | None = None) -> pd.DataFrame:
    """Read the cells of a parcel table: numbers in standard units, dates, kinds named alike.

    Parameters
    ----------
    table : DataFrame
        With standard names; cells as they came.
    units : mapping of str to str, optional
        Units of bare numbers in ``area_ha`` and ``price_10k_yuan``; hectares and 10,000 yuan by default.

    Returns
    -------
    DataFrame
        The columns of the table and ``year`` (of the contract), ``far_min`` where there is a ``far_max``, and
        ``cleaning_note``: what could not be read, by column, missing where all was.

    Examples
    --------
    >>> raw = pd.DataFrame({"area_ha": ["15亩", "?"], "far_max": ["1<r≤2.5", "2"], "contract_date": ["2009.3.5", ""]})
    >>> read_records(raw)[["area_ha", "far_min", "far_max", "year", "cleaning_note"]].values.tolist()
    [[1.0, 1.0, 2.5, 2009, nan], [nan, nan, 2.0, <NA>, 'area_ha: ?']]
    """
    units = units or {}
    out = table.copy(deep=False)
    unread: dict[str, NDArray[np.bool_]] = {}

    def keep(name: str, values: NDArray[Any], missing: NDArray[np.bool_]) -> None:
        if missing.any():
            said = np.zeros(len(table), bool)
            said[missing] = text_values(table[name][missing]).is_valid().to_numpy(zero_copy_only=False)
            if said.any():
                unread[name] = said
        out[name] = values

    for name in NUMBERS:
        if name not in table.columns or name.startswith("far_m"):
            continue
        if name == "area_ha":
            numbers = areas_ha(table[name], units.get(name) or "公顷")
        elif name == "price_10k_yuan":
            numbers = prices_10k_yuan(table[name], units.get(name) or "万元")
        elif name == "far_realised":
            numbers = floor_area_limits(table[name])[1]
        else:
            numbers = as_numbers(table[name])
        keep(name, numbers, np.isnan(numbers))
    _read_limits(table, keep)
    _read_dates(table, keep, out)
    for name in (*_CODES, *_TEXT):
        if name in table.columns:
            read = code_text if name in _CODES else text_values
            out[name] = text_column(pa.array(read(table[name]), pa.string(), from_pandas=True), table)
    if "transfer_mode" in table.columns:
        out["transfer_mode"] = text_column(transfer_modes(table["transfer_mode"])[1], table)
    if "land_grade" in table.columns:
        out["land_grade"] = text_column(land_grades(table["land_grade"]), table)
    out["cleaning_note"] = text_column(_notes(table, unread), table)
    return out


def text_column(values: pa.Array | NDArray[np.object_], table: pd.DataFrame) -> pd.Series:
    """A column of text for a table, of one kind even where all of it is missing.

    Parameters
    ----------
    values : pyarrow.Array of string or array of object
        Texts; null or None where there is none.
    table : DataFrame
        Whose rows they are.

    Returns
    -------
    Series

    Examples
    --------
    >>> text_column(np.array([None, "一级"], object), pd.DataFrame(index=[5, 6])).tolist()
    [nan, '一级']
    """
    column = values if isinstance(values, pa.Array) else pa.array(values, pa.string())
    return column.to_pandas().set_axis(table.index)


def _read_limits(table: pd.DataFrame, keep: Callable[..., None]) -> None:
    """Both limits of the floor-area ratio: each column's own, else what the other column says of it."""
    nothing = np.full(len(table), np.nan)
    lower, upper = floor_area_limits(table["far_max"]) if "far_max" in table.columns else (nothing, nothing)
    own, other = (
        floor_area_limits(table["far_min"], bare="lower") if "far_min" in table.columns else (nothing, nothing)
    )
    if "far_max" in table.columns:
        keep("far_max", np.where(np.isnan(upper), other, upper), np.isnan(upper) & np.isnan(lower))
    if "far_min" in table.columns:
        keep("far_min", np.where(np.isnan(own), lower, own), np.isnan(own) & np.isnan(other))
    elif "far_max" in table.columns:
        keep("far_min", lower, np.zeros(len(table), bool))


def _read_dates(table: pd.DataFrame, keep: Callable[..., None], out: pd.DataFrame) -> None:
    if "contract_date" in table.columns:
        days = contract_dates(table["contract_date"])
        keep("contract_date", days.astype("datetime64[s]"), np.isnat(days))
        years = days.astype("datetime64[Y]").astype(np.float64) + 1970
        years[np.isnat(days)] = np.nan
    elif "year" in table.columns:
        years = years_of(table["year"])
        years[years % 1 != 0] = np.nan
        keep("year", years, np.isnan(years))
    else:
        return
    out["year"] = pd.array(years, dtype="Float64").astype("Int64")


def _notes(table: pd.DataFrame, unread: Mapping[str, NDArray[np.bool_]]) -> NDArray[np.object_]:
    """Say what could not be read, row by row; None for most."""
    notes = np.full(len(table), None, object)
    for name, rows in unread.items():
        for k, cell in zip(np.flatnonzero(rows), text_values(table[name][rows]).to_pylist(), strict=True):
            said = f"{name}: {cell}"
            notes[k] = said if notes[k] is None else f"{notes[k]}; {said}"
    return notes
