"""Parcel tables read whole, for the steps after cleaning: codes stay text, years stay years, no row is lost."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from gistools.errors import TableError
from gistools.io.record_chunks import open_records, read_chunks
from gistools.io.tables import read_table
from gistools.parcels.dates import contract_dates, contract_year, years_of
from gistools.parcels.records import HeaderMapping, column_meanings
from gistools.parcels.values import code_text, text_values

# Columns that are text whatever they look like.
_CODES = ("parcel_id", "city_code")
_TEXT = (*_CODES, "district", "project", "address", "land_use", "transfer_mode")

# Numbers as programs write them. What begins with a zero, or has more digits than a float holds, is a code.
_WHOLE = r"^-?(0|[1-9]\d{0,14})$"
_NUMBER = r"^-?((0|[1-9]\d{0,16})(\.\d*)?|\.\d+)([eE][+-]?\d{1,3})?$"
_DAY = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}(\.\d+)?$"  # as days of Excel are read
_MISSING = ("", "NaN", "nan", "NA", "N/A", "#N/A", "null", "NULL", "None", "<NA>", "NaT")


def read_typed(path: str | Path, *, encoding: str | None = None, text: Collection[str] = ()) -> pd.DataFrame:
    """Read a table, and of a CSV or Excel file tell numbers from codes.

    Parameters
    ----------
    path : path
        ``.csv`` (UTF-8, UTF-16, GB18030; comma, tab, semicolon or bar), ``.xlsx`` (first sheet), ``.parquet``,
        ``.dta``.
    encoding : str, optional
        Of a CSV file.
    text : collection of str
        Columns that stay text whatever they look like.

    Returns
    -------
    DataFrame
        A column is of numbers only if every cell is one and none has a leading zero; whole ones with gaps are Int64.

    Raises
    ------
    FileMissingError, TableError
        If the file cannot be read, two columns have one name, or rows do not have the fields of the header.
    """
    path = Path(path)
    if path.suffix.lower() in (".parquet", ".dta"):
        return read_table(path, text=text)
    file = open_records(path, encoding=encoding)
    twice = next((name for name in file.columns if file.columns.count(name) > 1), None)
    if twice is not None:
        raise TableError(f"{path.name} has two columns '{twice}'; rename or remove one of them")
    pieces, ragged = [pa.schema(file.types).empty_table().to_pandas()], list[str]()
    for chunk in read_chunks(file):
        pieces.append(chunk.table)
        ragged += chunk.ragged
    if ragged:
        raise TableError(
            f"{len(ragged):,} rows of {path.name} do not have the {len(file.columns)} fields of its header (the "
            f"first is {ragged[0][:60]!r}); mend them, or let gistools parcels clean set them aside"
        )
    table = pd.concat(pieces, ignore_index=True)
    return pd.DataFrame({name: table[name] if name in text else _typed(table[name]) for name in table.columns})


def _typed(values: pd.Series) -> pd.Series:
    """A column of text as numbers or days, if all of it is."""
    array = pc.utf8_trim_whitespace(pa.array(values, pa.string(), from_pandas=True))
    if isinstance(array, pa.ChunkedArray):
        array = array.combine_chunks()
    missing = pc.or_kleene(pc.is_null(array), pc.is_in(array, value_set=pa.array(_MISSING)))
    given = array.filter(pc.invert(missing))

    def all_are(pattern: str) -> bool:
        return bool(pc.all(pc.match_substring_regex(given, pattern)).as_py())

    known = pc.if_else(missing, pa.scalar(None, pa.string()), array)
    if not len(given):
        return values
    if all_are(_WHOLE):
        whole = pc.cast(known, pa.int64())
        if whole.null_count:
            return pd.Series(whole.to_pandas(types_mapper={pa.int64(): pd.Int64Dtype()}.get), index=values.index)
        return pd.Series(whole.to_numpy(zero_copy_only=False), index=values.index)
    if all_are(_NUMBER):
        return pd.Series(pc.cast(known, pa.float64()).to_pandas(), index=values.index)
    if all_are(_DAY):
        return pd.to_datetime(known.to_pandas(), format="ISO8601").set_axis(values.index)
    return values


def read_parcel_table(
    path: str | Path,
    *,
    encoding: str | None = None,
    columns: Mapping[str, str] | None = None,
    mapping: HeaderMapping | None = None,
) -> tuple[pd.DataFrame, dict[str, str]]:
    """Read a parcel table and give its columns their standard names and kinds.

    Parameters
    ----------
    path : path
    encoding : str, optional
        Of a CSV file; UTF-8 or GB18030 are found by themselves.
    columns : mapping of str to str, optional
        The table's own headers to standard names.
    mapping : HeaderMapping, optional
        The user's own mapping of headers.

    Returns
    -------
    table : DataFrame
        Codes as text, ``contract_date`` as days and ``year`` as Int64 where every one could be read, with ``year``
        from the contract date where there is only that.
    names : dict of str to str
        The file's headers to these names.

    Raises
    ------
    FileMissingError, TableError
        As :func:`read_typed`; also if the table has no records.
    """
    path = Path(path)
    headers = _headers(path, encoding)
    for header, name in (columns or {}).items():
        if name in headers and header in headers and header != name:
            raise TableError(
                f"{path.name} has a column '{name}' beside '{header}', which is named to be it; rename or remove one"
            )
    meanings = column_meanings(headers, mapping=mapping, extra=columns, what=path.name)
    names = {str(header): column.name for header, column in meanings.items()}
    text = {header for header, name in names.items() if name in _TEXT}
    table = read_typed(path, encoding=encoding, text=text).rename(columns=names)
    if table.empty:
        raise TableError(f"{path.name} has no records, only headers")
    for name in _CODES:
        if name in table.columns:
            table[name] = code_text(table[name])
    if "year" in table.columns:
        table["year"] = _years(table["year"])
    if "contract_date" in table.columns:
        if "year" not in table.columns:
            table["year"] = contract_year(table["contract_date"])
        days = contract_dates(table["contract_date"])
        # a time without a day is how 1900-01-01 comes back from some Excel files
        given = text_values(table["contract_date"].mask(table["contract_date"].astype("str") == "00:00:00"))
        if np.array_equal(~np.isnat(days), given.is_valid()):
            table["contract_date"] = days.astype("datetime64[s]")
    return table, names


def _years(values: pd.Series) -> pd.Series:
    """Years as Int64, if all of them are years; else as they are."""
    if pd.api.types.is_integer_dtype(values):
        return values.astype("Int64")
    years = years_of(values)
    read = ~np.isnan(years)
    if not np.array_equal(read, text_values(values).is_valid()) or (years[read] % 1 != 0).any():
        return values
    return pd.Series(pd.array(years, dtype="Float64"), index=values.index).astype("Int64")


def _headers(path: Path, encoding: str | None) -> list[str]:
    if path.suffix.lower() == ".dta":
        return [str(name) for name in read_table(path).columns]
    return list(open_records(path, encoding=encoding).columns)
