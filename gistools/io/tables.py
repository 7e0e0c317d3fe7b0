"""Tables by extension: Parquet, CSV, Excel and Stata; keys stay text, units travel along."""

from __future__ import annotations

import datetime
import io
import re
import warnings
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from gistools.checks import closest, listed
from gistools.errors import FileMissingError, InputError, TableError
from gistools.io.atomic import atomic_path

EXTENSIONS = (".parquet", ".csv", ".xlsx", ".dta")


def read_table(
    path: str | Path, *, text: Iterable[str] = ("city_code",), encoding: str | None = None
) -> pd.DataFrame:
    """Read a table; its extension says how.

    Parameters
    ----------
    path : path
        ``.parquet``, ``.csv``, ``.xlsx`` (first sheet) or ``.dta``.
    text : iterable of str
        Columns kept as text, so that codes keep their leading zeros. Names that are not there are ignored.
    encoding : str, optional
        Of a CSV file. By default UTF-8 (with or without a byte-order mark), else GB18030.

    Returns
    -------
    DataFrame
        With the ``attrs`` a Parquet file written by :func:`write_table` carries.

    Raises
    ------
    FileMissingError
        If there is no such file.
    TableError
        If the file cannot be read as what its extension says.
    """
    path = Path(path)
    require_file(path)
    text = tuple(text)
    try:
        kind = path.suffix.lower()
        if kind == ".parquet":
            table = pd.read_parquet(path)
        elif kind == ".csv":
            table = _read_csv(path, text, encoding)
        elif kind == ".xlsx":
            table = pd.read_excel(path, dtype=dict.fromkeys(text, str))
        elif kind == ".dta":
            table = pd.read_stata(path, convert_categoricals=False)
        else:
            raise InputError(f"{path.name}: tables are read from {', '.join(EXTENSIONS)}")
    except (InputError, MemoryError):
        raise
    except Exception as error:
        raise TableError(f"{path} cannot be read as {path.suffix[1:]}: {str(error).splitlines()[0]}") from error
    for column in text:
        if column in table.columns:
            table[column] = as_text(table[column])
    return table


def as_text(values: pd.Series) -> pd.Series:
    """Return a key column as text: 110000.0 and 110000 become '110000', missing stays missing.

    Examples
    --------
    >>> as_text(pd.Series([110000.0, 5.0])).tolist()
    ['110000', '5']
    """
    if pd.api.types.is_float_dtype(values) and (values.dropna() % 1 == 0).all():
        values = values.astype("Int64")
    present = values.notna()
    out = pd.Series(None, index=values.index, name=values.name, dtype=object)
    out[present] = values[present].astype(str).str.strip()
    return out.astype("str")


def _read_csv(path: Path, text: tuple[str, ...], encoding: str | None) -> pd.DataFrame:
    tried = (encoding,) if encoding else ("utf-8-sig", "gb18030")
    for name in tried:
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error", pd.errors.ParserWarning)
                # without index_col, rows longer than the names would be shifted by one column
                return pd.read_csv(
                    path,
                    dtype=dict.fromkeys(text, str),
                    encoding=name,
                    low_memory=False,
                    index_col=False,
                )
        except UnicodeDecodeError:
            continue
        except LookupError as error:
            raise InputError(f"{name!r} is not an encoding Python knows; try utf-8 or gb18030") from error
        except pd.errors.ParserWarning as error:
            raise TableError(
                f"{path.name} has more fields in its rows than names in its first line; name every column"
            ) from error
    raise TableError(f"{path} is not text in {' or '.join(map(str, tried))}; name its encoding with --encoding")


def require_file(path: Path) -> None:
    """Refuse a path that is not a file.

    Raises
    ------
    FileMissingError
        Naming the path and a file of a similar name beside it.
    """
    if path.is_file():
        return
    if path.is_dir():
        raise FileMissingError(f"{path} is a folder where a file is needed")
    beside = (
        [other.name for other in path.parent.iterdir() if other.name != path.name] if path.parent.is_dir() else []
    )
    raise FileMissingError(f"there is no file {path}{closest(path.name, beside)}")


def write_table(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table, whole or not at all; its extension says how.

    Parameters
    ----------
    table : DataFrame
        Index levels that have names become columns. ``attrs`` (units, labels) go into Parquet's metadata and,
        where ``attrs["labels"]`` holds a text for a column, into Stata's variable labels.
    path : path
        ``.parquet``, ``.csv`` (UTF-8 with a byte-order mark, for Excel), ``.xlsx`` or ``.dta`` (version 118).

    Raises
    ------
    InputError
        If the extension is none of these.
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    require_table_extension(path)
    if any(name is not None for name in table.index.names):
        table = table.reset_index()
    with atomic_path(path) as temporary:
        if path.suffix in (".csv", ".xlsx"):
            table = _whole_counts(table)
        if path.suffix == ".parquet":
            table.to_parquet(temporary, index=False)
        elif path.suffix == ".csv":
            table.to_csv(temporary, index=False, encoding="utf-8-sig", lineterminator="\n")
        elif path.suffix == ".xlsx":
            _write_excel(table, temporary)
        else:
            _write_stata(table, temporary)


def _whole_counts(table: pd.DataFrame) -> pd.DataFrame:
    """Show counts as whole numbers, not as 12.0: they are kept as floats where some are missing."""
    units = table.attrs.get("units", {})
    counted = [c for c in table.columns if units.get(c) in ("cells", "patches") and table[c].dtype == np.float64]
    whole = [c for c in counted if (table[c].dropna() % 1 == 0).all()]
    return table.astype(dict.fromkeys(whole, "Int64"))


def require_table_extension(path: Path) -> None:
    """Refuse a table whose extension no writer serves, before the work that would fill it.

    Raises
    ------
    InputError
    """
    if Path(path).suffix not in EXTENSIONS:
        raise InputError(f"{path}: tables are written as {listed(EXTENSIONS)}, by extension")


def _write_excel(table: pd.DataFrame, path: Path) -> None:
    if len(table) >= 1_048_576:
        raise InputError(
            f"an Excel sheet holds 1,048,575 rows, this table has {len(table):,}; write .parquet or .csv"
        )
    memory = io.BytesIO()  # a zip archive that cannot be finished complains once more when it is collected
    options = {"in_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with pd.ExcelWriter(memory, engine="xlsxwriter", engine_kwargs={"options": options}) as writer:
        table.to_excel(writer, index=False, sheet_name="data", freeze_panes=(1, 0))
    path.write_bytes(memory.getbuffer())


def _write_stata(table: pd.DataFrame, path: Path) -> None:
    table = table.copy()
    labels: dict[Any, str] = {}
    for column in table.columns:
        label = str(table.attrs.get("labels", {}).get(column, ""))
        if label:
            labels[column] = label[:80]
        values = table[column]
        if pd.api.types.is_bool_dtype(values):
            table[column] = values.astype("int8")
        elif not pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_datetime64_any_dtype(values):
            table[column] = values.astype(object).where(values.notna(), "").astype(str)
        else:
            if pd.api.types.is_extension_array_dtype(values.dtype):
                table[column] = values.astype("float64")
            if pd.api.types.is_float_dtype(table[column]):  # Stata has no infinity
                endless = np.isinf(table[column])
                if endless.any():
                    table[column] = table[column].mask(endless)
                    warnings.warn(
                        f"Stata has no infinite numbers: {endless.sum()} of '{column}' are written as missing",
                        stacklevel=3,
                    )
    table.attrs = {}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        table.to_stata(
            path,
            write_index=False,
            version=118,
            variable_labels=labels,
            time_stamp=datetime.datetime(2000, 1, 1),
            convert_strl=[c for c in table.columns if table[c].dtype == object and table[c].str.len().max() > 2000],
        )
    if any(issubclass(w.category, pd.errors.InvalidColumnName) for w in caught):
        odd = [c for c in map(str, table.columns) if not re.fullmatch(r"[^\W\d]\w{0,31}", c)]
        warnings.warn(
            f"Stata does not take some names of columns ({listed(odd)}): they are written with other letters or "
            "shortened to 32",
            stacklevel=2,
        )
