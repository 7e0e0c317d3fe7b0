"""Tables of records too long for memory, read piece by piece: CSV, Parquet and Excel."""

from __future__ import annotations

import codecs
import csv
import datetime
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from gistools.checks import listed
from gistools.errors import InputError, TableError
from gistools.io.tables import require_file

if TYPE_CHECKING:
    import pandas as pd

CHUNK_ROWS = 100_000
EXCEL_ROWS = 1_048_576
READ = (".csv", ".parquet", ".xlsx")

_SAMPLE = 1 << 24  # bytes in which the encoding of a CSV file is sought
_BLOCK = 1 << 22
_PAGE = (b"<html", b"<!doctype", b"<table", b"<?xml", b"<meta", b"<head", b"<style", b"<body", b"<div")


@dataclass(frozen=True)
class RecordFile:
    """A file of records whose header has been read.

    Attributes
    ----------
    path : Path
    columns : tuple of str
        The header; a column without a name is called by its place.
    types : mapping of str to pyarrow.DataType
        Of the columns; text but in Parquet.
    encoding, delimiter : str
        Of a CSV file.
    place : int
        Row of a CSV file in which the header stands; those before are empty.
    """

    path: Path
    columns: tuple[str, ...]
    types: dict[str, pa.DataType]
    encoding: str = ""
    delimiter: str = ""
    place: int = 1


@dataclass(frozen=True)
class RecordChunk:
    """A piece of a file.

    Attributes
    ----------
    table : DataFrame
        Its rows, with the header's names.
    ragged : tuple of str
        Text of rows that have more or fewer fields than the header; they are in no table.
    done : float
        Share of the file that has been read, 0 to 1.
    """

    table: pd.DataFrame
    ragged: tuple[str, ...] = ()
    done: float = 1.0


def open_records(path: str | Path, *, encoding: str | None = None) -> RecordFile:
    """Read the header of a file of records and find out how it is written.

    Parameters
    ----------
    path : path
        ``.csv``, ``.parquet`` or ``.xlsx`` (its first sheet).
    encoding : str, optional
        Of a CSV file. By default UTF-8 or UTF-16 with a byte-order mark, UTF-8, else GB18030.

    Returns
    -------
    RecordFile

    Raises
    ------
    FileMissingError
        If there is no such file.
    TableError
        If it is not what its extension says, or has no header.
    """
    path = Path(path)
    require_file(path)
    kind = path.suffix.lower()
    try:
        with path.open("rb") as file:
            head = file.read(4096)
        _require_kind(path, kind, head)
        if kind == ".parquet":
            return _open_parquet(path)
        if kind == ".xlsx":
            return _open_excel(path)
        return _open_csv(path, encoding, head)
    except InputError:
        raise
    except csv.Error as error:
        raise TableError(f"{path.name} has no readable header in its first row: {error}") from error
    except OSError as error:
        raise TableError(f"{path} cannot be read: {error.strerror or str(error).splitlines()[0]}") from error


def _require_kind(path: Path, kind: str, head: bytes) -> None:
    """Refuse a file that is not what its name says; exports of web sites often are not."""
    if not head.strip():
        raise TableError(f"{path.name} is empty")
    text = head.lstrip(codecs.BOM_UTF8).lstrip().lower()
    page = text.startswith(_PAGE)
    zipped, old, parquet = head.startswith(b"PK"), head.startswith(b"\xd0\xcf\x11\xe0"), head.startswith(b"PAR1")
    if page:
        raise TableError(
            f"{path.name} is a web page under the name of a table, as exports of the land market often are; open it "
            "in Excel and save it as .xlsx or .csv"
        )
    if kind in (".xls", ".xlsx"):
        if old:
            raise TableError(
                f"{path.name} is of Excel's old format (.xls), or protected by a password; open it in Excel and save "
                "it as .xlsx or .csv"
            )
        if not zipped and not parquet:
            raise TableError(f"{path.name} is plain text under the name of an Excel file; rename it to .csv")
        if kind == ".xls" and zipped:
            raise TableError(f"{path.name} is of Excel's newer format; rename it to .xlsx")
    if kind not in READ:
        raise InputError(f"{path.name}: records are read from {listed(READ)}, by extension")
    if parquet != (kind == ".parquet") or zipped != (kind == ".xlsx") or old:
        really = "Parquet" if parquet else "an Excel or zip file" if zipped or old else "no Parquet"
        raise TableError(f"{path.name} is {really}, whatever its extension {kind} says; give it its own extension")


def read_chunks(file: RecordFile, rows: int = CHUNK_ROWS) -> Iterator[RecordChunk]:
    """Read a file of records piece by piece.

    Parameters
    ----------
    file : RecordFile
        As :func:`open_records` gives it.
    rows : int
        Rows of a piece. All pieces but the last of a file have as many.

    Yields
    ------
    RecordChunk

    Raises
    ------
    TableError
        If the file is broken, its bytes are not of its encoding, or most of its rows do not fit its header.
    """
    if rows < 1:
        raise InputError(f"a piece of {rows} rows holds no record; read at least 1 row at a time")
    read = {".parquet": _read_parquet, ".xlsx": _read_excel}.get(file.path.suffix.lower(), _read_csv)
    try:
        yield from read(file, rows)
    except (InputError, MemoryError):
        raise
    except (OSError, UnicodeDecodeError, ValueError, KeyError, EOFError) as error:  # pyarrow's errors are among these
        raise TableError(_broken(file, error)) from error


def _broken(file: RecordFile, error: Exception) -> str:
    said = str(error).splitlines()[0] if str(error) else type(error).__name__
    if isinstance(error, UnicodeDecodeError) or "UTF8" in said or "codec can't decode" in said:
        return (
            f"{file.path.name} begins as {file.encoding} but does not go on so; save it in one encoding, or name its "
            "own with --encoding (gb18030, utf-8)"
        )
    if "straddl" in said or "block" in said:
        return f"{file.path.name} has a quotation mark that is opened and never closed; mend that row"
    return f"{file.path.name} cannot be read to its end: {said}"


# CSV


def _open_csv(path: Path, encoding: str | None, head: bytes) -> RecordFile:
    found = _encoding(path, encoding, head)
    heads = {}
    for delimiter in ",\t;|":
        with path.open(encoding=found, newline="") as file:
            rows = enumerate(csv.reader(file, delimiter=delimiter), 1)
            heads[delimiter] = next(((k, row) for k, row in rows if any(cell.strip() for cell in row)), (1, [""]))
    delimiter = max(heads, key=lambda each: len(heads[each][1]))  # a comma where there is no other
    place, header = heads[delimiter]
    columns = _names(header)
    return RecordFile(path, columns, dict.fromkeys(columns, pa.string()), found, delimiter, place)


def _encoding(path: Path, encoding: str | None, head: bytes) -> str:
    """The encoding whose rules the first bytes of a file follow."""
    tried = (encoding,) if encoding else ("utf-8-sig", "gb18030")
    if encoding is None and head.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        tried = ("utf-16",)
    with path.open("rb") as file:
        sample = file.read(_SAMPLE)
    for name in tried:
        try:
            codecs.getincrementaldecoder(name)().decode(sample)
        except UnicodeDecodeError:
            continue
        except LookupError as error:
            raise InputError(f"{name!r} is not an encoding Python knows; try utf-8 or gb18030") from error
        return name
    raise TableError(f"{path} is not text in {' or '.join(tried)}; name its encoding with --encoding")


def _names(header: list[Any]) -> tuple[str, ...]:
    """Names of columns; those without one are called by their place."""
    names = ["" if cell is None else str(cell).strip().strip("\ufeff") for cell in header]
    return tuple(name or f"column {k}" for k, name in enumerate(names, 1))


def _read_csv(file: RecordFile, rows: int) -> Iterator[RecordChunk]:
    from pyarrow import csv as arrow_csv

    ragged: list[str] = []

    def set_aside(row: Any) -> str:
        ragged.append(row.text)
        return "skip"

    size = max(file.path.stat().st_size, 1)
    names = list(file.columns)
    with file.path.open("rb", buffering=0) as raw:
        reader = arrow_csv.open_csv(
            raw,
            read_options=arrow_csv.ReadOptions(
                block_size=_BLOCK,
                column_names=names,
                skip_rows_after_names=file.place,
                encoding=_strict(file.encoding),
            ),
            parse_options=arrow_csv.ParseOptions(
                delimiter=file.delimiter, newlines_in_values=True, invalid_row_handler=set_aside
            ),
            convert_options=arrow_csv.ConvertOptions(
                column_types=file.types, null_values=[""], strings_can_be_null=True
            ),
        )
        read = 0
        for table in _regrouped(reader, rows):
            read += table.num_rows
            _require_mostly_whole(file, ragged, read, least=1000)
            yield RecordChunk(table.to_pandas(), done=min(raw.tell() / size, 1.0))
    ragged = [row for row in ragged if row.strip(f"{file.delimiter} \t\r\n")]
    _require_mostly_whole(file, ragged, read)
    if ragged:
        yield RecordChunk(pa.schema(file.types).empty_table().to_pandas(), tuple(ragged))


def _strict(encoding: str) -> str:
    """Name of an encoding under which a wrong byte is an error wherever it stands.

    pyarrow reads what it knows as UTF-8 without decoding it, and cannot hand over a ragged row that is none.
    """
    return "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding


def _require_mostly_whole(file: RecordFile, ragged: list[str], whole: int, least: int = 1) -> None:
    if len(ragged) >= least and len(ragged) > whole:
        raise TableError(
            f"{len(ragged):,} of the first {len(ragged) + whole:,} rows of {file.path.name} do not have the "
            f"{len(file.columns)} fields of its header ({_short(ragged[0])}); name every column, and put text that "
            "holds a separator in quotation marks"
        )


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:59] + "…"


def _regrouped(batches: Any, rows: int) -> Iterator[pa.Table]:
    """Tables of as many rows each, of batches of any size."""
    waiting: list[pa.Table] = []
    held = 0
    for batch in batches:
        table = pa.Table.from_batches([batch])
        while held + table.num_rows >= rows:
            part = table.slice(0, rows - held)
            table = table.slice(rows - held)
            yield pa.concat_tables([*waiting, part]).combine_chunks()
            waiting, held = [], 0
        if table.num_rows:
            waiting.append(table)
            held += table.num_rows
    if held:
        yield pa.concat_tables(waiting).combine_chunks()


# Parquet


def _open_parquet(path: Path) -> RecordFile:
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        raise TableError(f"{path.name} cannot be read as Parquet: {str(error).splitlines()[0]}") from error
    types: dict[str, pa.DataType] = {}
    for item in schema:
        if item.name.startswith("__index_level_"):  # row numbers pandas left
            continue
        if item.name in types:
            raise TableError(f"{path.name} has two columns '{item.name}'; rename or remove one of them")
        types[item.name] = item.type.value_type if pa.types.is_dictionary(item.type) else item.type
    if not types:
        raise TableError(f"{path.name} has no columns")
    return RecordFile(path, tuple(types), types)


def _read_parquet(file: RecordFile, rows: int) -> Iterator[RecordChunk]:
    from pyarrow import parquet

    schema = pa.schema(file.types)
    with parquet.ParquetFile(file.path) as source:
        total, done = max(source.metadata.num_rows, 1), 0
        for table in _regrouped(source.iter_batches(batch_size=rows, columns=list(file.columns)), rows):
            done += table.num_rows
            yield RecordChunk(table.cast(schema).to_pandas(), done=done / total)


# Excel


@dataclass
class _Sheet:
    """The first sheet of a workbook, row by row."""

    path: Path
    rows: Iterator[tuple[Any, ...]] = field(init=False)
    others: list[str] = field(init=False)

    def __enter__(self) -> _Sheet:
        import openpyxl

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # styles and filters that openpyxl does not know
            try:
                self.book = openpyxl.load_workbook(self.path, read_only=True, data_only=True)
            except Exception as error:  # zipfile's, XML's and openpyxl's own
                raise TableError(f"{self.path.name} cannot be read as an Excel workbook: {error}") from error
        sheets = self.book.worksheets
        if not sheets:
            raise TableError(f"{self.path.name} has no sheet")
        sheets[0].reset_dimensions()  # what a program wrote as the sheet's size may be wrong
        self.rows = sheets[0].iter_rows(values_only=True)
        self.others = [sheet.title for sheet in sheets[1:]]
        return self

    def __exit__(self, *_: object) -> None:
        self.book.close()


def _open_excel(path: Path) -> RecordFile:
    with _Sheet(path) as sheet:
        header = next((row for row in sheet.rows if any(cell is not None for cell in row)), None)
        others = sheet.others
    if header is None:
        raise TableError(f"{path.name} has no cells in its first sheet")
    if others:
        warnings.warn(
            f"only the first sheet of {path.name} is read; save {listed(others)} as files of their own if they hold "
            "records",
            stacklevel=3,
        )
    last = max(k for k, cell in enumerate(header) if cell is not None)  # cells after it are formats only
    columns = _names(list(header[: last + 1]))
    return RecordFile(path, columns, dict.fromkeys(columns, pa.string()))


def _read_excel(file: RecordFile, rows: int) -> Iterator[RecordChunk]:
    import pandas as pd

    width = len(file.columns)
    ragged: list[str] = []
    waiting: list[tuple[Any, ...]] = []
    number, begun = 0, False

    def chunk() -> RecordChunk:
        columns = [[_cell(row[k]) if k < len(row) else None for row in waiting] for k in range(width)]
        arrays = [pa.array(column, pa.string()) for column in columns]
        table = pa.Table.from_arrays(arrays, names=list(file.columns))
        return RecordChunk(table.to_pandas() if width else pd.DataFrame(), done=min(number / EXCEL_ROWS, 1.0))

    with _Sheet(file.path) as sheet:
        for number, row in enumerate(sheet.rows, 1):  # noqa: B007  (chunk() reads it)
            if all(cell is None for cell in row):
                continue
            if not begun:  # the header
                begun = True
                continue
            if any(cell is not None for cell in row[width:]):
                ragged.append("\t".join(_cell(cell) or "" for cell in row))
                continue
            waiting.append(row)
            if len(waiting) == rows:
                yield chunk()
                waiting = []
    if waiting:
        yield chunk()
    if number >= EXCEL_ROWS:
        warnings.warn(
            f"{file.path.name} is as long as an Excel sheet can be (1,048,576 rows): records may have been cut off "
            "when it was saved; use CSV or Parquet",
            stacklevel=3,
        )
    if ragged:
        yield RecordChunk(pa.schema(file.types).empty_table().to_pandas(), tuple(ragged))


def _cell(value: Any) -> str | None:
    """An Excel cell as text: whole numbers without a point, dates as ISO writes them."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, float) and value.is_integer() and abs(value) < 2**53:
        return str(int(value))
    if isinstance(value, (datetime.datetime, datetime.date)):
        return value.isoformat()
    return str(value)
