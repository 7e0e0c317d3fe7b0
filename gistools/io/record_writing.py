"""Tables too long for memory, written piece by piece, whole or not at all: Parquet, CSV and Excel."""

from __future__ import annotations

import codecs
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from gistools.checks import listed
from gistools.errors import InputError
from gistools.io.atomic import atomic_path
from gistools.io.record_chunks import EXCEL_ROWS

WRITTEN = (".parquet", ".csv", ".xlsx")


def require_record_extension(path: Path) -> None:
    """Refuse a path whose extension no writer serves, before the work that would fill it.

    Raises
    ------
    InputError
    """
    if Path(path).suffix not in WRITTEN:
        raise InputError(f"{path}: records are written as {listed(WRITTEN)}, by extension")


@contextmanager
def record_writer(path: str | Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    """Write a table piece by piece; its file appears when the block ends well.

    Parameters
    ----------
    path : path
        ``.parquet`` (a row group a piece), ``.csv`` (UTF-8 with a byte-order mark, for Excel; dates without times) or
        ``.xlsx`` (at most 1,048,575 records).
    schema : pyarrow.Schema
        Of every piece.

    Yields
    ------
    callable
        Takes a piece.

    Raises
    ------
    InputError
        If the extension is none of these, or an Excel sheet does not hold the records.
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    require_record_extension(path)
    with atomic_path(path) as temporary:
        write = {".parquet": _parquet, ".csv": _csv}.get(path.suffix, _excel)
        with write(temporary, schema) as put:
            yield put


@contextmanager
def _parquet(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    from pyarrow import parquet

    with parquet.ParquetWriter(path, schema) as writer:
        yield lambda table: writer.write_table(table, row_group_size=max(table.num_rows, 1))


@contextmanager
def _csv(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    from pyarrow import csv

    days = pa.schema(
        [pa.field(item.name, pa.date32() if pa.types.is_timestamp(item.type) else item.type) for item in schema]
    )
    with path.open("wb") as file:
        file.write(codecs.BOM_UTF8)
        with csv.CSVWriter(file, days) as writer:
            yield lambda table: writer.write_table(table.cast(days, safe=False))


@contextmanager
def _excel(path: Path, schema: pa.Schema) -> Iterator[Callable[[pa.Table], None]]:
    import openpyxl
    from openpyxl.cell import WriteOnlyCell

    book = openpyxl.Workbook(write_only=True)
    sheet = book.create_sheet("data")
    sheet.freeze_panes = "A2"
    sheet.append(schema.names)
    written = 1

    def text(value: Any) -> Any:
        """A text that begins as a formula stays text."""
        if not (isinstance(value, str) and value.startswith("=")):
            return value
        cell = WriteOnlyCell(sheet, value)
        cell.data_type = "s"
        return cell

    def put(table: pa.Table) -> None:
        nonlocal written
        written += table.num_rows
        if written > EXCEL_ROWS:
            raise InputError(
                f"an Excel sheet holds 1,048,575 records and there are more; write {path.stem.split('.partial-')[0]} "
                "as .parquet or .csv"
            )
        columns = [
            (pc.cast(column, pa.date32()) if pa.types.is_timestamp(column.type) else column).to_pylist()
            for column in table.columns
        ]
        for row in zip(*columns, strict=True):
            sheet.append([text(value) for value in row])

    try:
        yield put
        book.save(path)
    except BaseException:
        sheet.close()  # else its rows complain when they are collected
        raise
