"""Cleaning land transactions from files to a file: any number of records in bounded memory."""

from __future__ import annotations

import glob
import os
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from gistools.errors import FileMissingError, InputError, TableError
from gistools.io.atomic import require_writable, write_text
from gistools.io.record_chunks import CHUNK_ROWS, RecordFile, open_records, read_chunks
from gistools.io.record_writing import record_writer, require_record_extension
from gistools.parcels.cleaning import (
    RAGGED,
    REASONS,
    CleaningRules,
    clean_piece,
    cleaning_funnel,
    require_rule_columns,
)
from gistools.parcels.duplicates import SeenIds
from gistools.parcels.readings import NUMBERS
from gistools.parcels.records import (
    STANDARD,
    Column,
    HeaderMapping,
    column_meanings,
    parse_header_mapping,
    shipped_mapping_text,
)
from gistools.parcels.status import KEPT
from gistools.parcels.values import text_values

# An area above this is no parcel; where most are, the column is not in hectares.
_HUGE_HA = 1000.0
_READ = (*NUMBERS, "contract_date", "year")
_LAST = {"year": pa.int64(), "cleaning_note": pa.string(), "status": pa.string()}


@dataclass(frozen=True)
class CleaningResult:
    """Cleaned records and the account of what was set aside.

    Attributes
    ----------
    parcels : DataFrame or Path
        The records, or the file that holds them.
    funnel : DataFrame
        ``step``, ``removed``, ``kept``, ``reason``.
    counts : dict of str to int
        Records of each status.
    unread : dict of str to int
        Cells, by column, whose text could not be read, whether or not a rule asks for them.
    files : dict of str to int
        Records of each file.
    rules : CleaningRules
    notes : tuple of str
        What was warned of.
    """

    parcels: pd.DataFrame | Path
    funnel: pd.DataFrame
    counts: dict[str, int]
    unread: dict[str, int]
    files: dict[str, int]
    rules: CleaningRules
    notes: tuple[str, ...] = ()

    @property
    def by_rule(self) -> dict[str, int]:
        """Records each rule set aside."""
        return {rule: sum(self.counts.get(reason, 0) for reason in REASONS[rule]) for rule in self.rules.rules}

    def to_dict(self) -> dict[str, Any]:
        """Counts and options for ``--json``."""
        return {
            "records": sum(self.counts.values()),
            "kept": self.counts.get(KEPT, 0),
            "status": self.counts,
            "by_rule": self.by_rule,
            "funnel": self.funnel.to_dict("records"),
            "unread": self.unread,
            "files": self.files,
            "rules": self.rules.to_dict(),
            "notes": list(self.notes),
        }


def read_header_mapping(path: str | Path) -> HeaderMapping:
    """Read a user's mapping of headers (YAML).

    Parameters
    ----------
    path : path

    Returns
    -------
    HeaderMapping

    Raises
    ------
    FileMissingError
        If there is no such file.
    ConfigError
        If it is not as the shipped one is, naming the line and the key.
    """
    path = Path(path)
    if not path.is_file():
        raise FileMissingError(f"there is no mapping of headers {path}; write the shipped one with --write-mapping")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path.name} is not UTF-8; save it as UTF-8") from error
    return parse_header_mapping(text, path.name)


def write_header_mapping(path: str | Path) -> None:
    """Write the shipped mapping of headers to a file that is not there yet, to be edited.

    Parameters
    ----------
    path : path

    Raises
    ------
    InputError
        If the file exists: it may have been edited.
    """
    if Path(path).exists():
        raise InputError(f"{path} is there already; choose another name, so that no edited mapping is lost")
    write_text(path, shipped_mapping_text())


def clean_parcels(
    paths: str | Path | Sequence[str | Path],
    *,
    out: str | Path | None = None,
    mapping: HeaderMapping | None = None,
    encoding: str | None = None,
    rules: CleaningRules | None = None,
    chunk_rows: int = CHUNK_ROWS,
    progress: Callable[[float, int], None] | None = None,
) -> CleaningResult:
    """Clean the records of one or more files, piece by piece, as one table.

    Parameters
    ----------
    paths : path or sequence of paths
        ``.csv``, ``.parquet``, ``.xlsx``; ``*`` and ``?`` stand for parts of names. Of two records of one id the
        first in the order of the files is kept.
    out : path, optional
        ``.parquet``, ``.csv`` or ``.xlsx``. Without it the records are returned in memory.
    mapping : HeaderMapping, optional
        The user's own headers; they go before the shipped ones.
    encoding : str, optional
        Of CSV files; UTF-8 or GB18030 are found by themselves.
    rules : CleaningRules, optional
        All rules with their defaults.
    chunk_rows : int
        Records of a piece. The result does not depend on it.
    progress : callable, optional
        Called with the share of the files that is done (0 to 1) and the records so far.

    Returns
    -------
    CleaningResult

    Raises
    ------
    FileMissingError, TableError
        Before any record is read, if a file is missing, is not what its extension says, or lacks a column a rule
        needs; later, if it is broken. Nothing is written then.
    """
    rules = rules or CleaningRules()
    files = [open_records(path, encoding=encoding) for path in expand_paths(paths)]
    meanings = [_meanings(file, mapping, rules) for file in files]
    schema = _schema(files, meanings)
    if out is not None:
        out = Path(out)
        require_record_extension(out)
        require_writable(out.parent)
        if any(os.path.realpath(out) == os.path.realpath(file.path) for file in files):
            raise InputError(f"{out} is one of the tables to clean; write to another file")
    account = _Account()
    held: list[pa.Table] = []
    seen = SeenIds()
    with record_writer(out, schema) if out is not None else nullcontext(held.append) as put:
        for k, (file, columns) in enumerate(zip(files, meanings, strict=True)):
            for cleaned, done in _cleaned(file, columns, rules, seen, chunk_rows):
                account.add(file.path.name, cleaned)
                put(_as_schema(cleaned, schema))
                if progress is not None:
                    progress((k + done) / len(files), account.records)
        account.finish(files)
    for note in account.notes:
        warnings.warn(note, stacklevel=2)
    counts = {status: account.counts[status] for status in _order(account.counts)}
    return CleaningResult(
        parcels=out if out is not None else pa.concat_tables(held).to_pandas(),
        funnel=cleaning_funnel(counts, rules),
        counts=counts,
        unread={name: account.unread[name] for name in _READ if account.unread[name]},
        files=dict(account.files),
        rules=rules,
        notes=tuple(account.notes),
    )


def expand_paths(paths: str | Path | Sequence[str | Path]) -> list[Path]:
    """Files a list of paths and patterns names, in its order; those of a pattern sorted by name.

    Parameters
    ----------
    paths : path or sequence of paths

    Returns
    -------
    list of Path

    Raises
    ------
    FileMissingError
        If a pattern fits no file.
    InputError
        If a file is named twice, or none is.
    """
    found: list[Path] = []
    for path in [paths] if isinstance(paths, (str, Path)) else paths:
        if any(mark in str(path) for mark in "*?[") and not Path(path).exists():
            fitting = sorted(map(Path, glob.glob(str(path), recursive=True)))  # noqa: PTH207  (may be absolute)
            if not fitting:
                raise FileMissingError(f"no file fits {path}")
            found += fitting
        else:
            found.append(Path(path))
    if not found:
        raise InputError("no table to clean is named; name at least one file")
    twice = next((path for path, n in Counter(map(os.path.realpath, found)).items() if n > 1), None)
    if twice is not None:
        raise InputError(f"{Path(twice).name} is named twice; all its records would be duplicates")
    return found


def _meanings(file: RecordFile, mapping: HeaderMapping | None, rules: CleaningRules) -> dict[object, Column]:
    meanings = column_meanings(file.columns, mapping=mapping, what=file.path.name)
    require_rule_columns((column.name for column in meanings.values()), rules, file.path.name)
    return meanings


def _schema(files: list[RecordFile], meanings: list[dict[object, Column]]) -> pa.Schema:
    """Columns of the result: standard ones, the other ones of all files, then what cleaning adds."""
    present = {column.name for columns in meanings for column in columns.values()}
    if "far_max" in present:
        present.add("far_min")
    fields = [pa.field(name, _standard_type(name)) for name in STANDARD if name in present]
    others: dict[str, pa.DataType] = {}
    for file, columns in zip(files, meanings, strict=True):
        for header, column in columns.items():
            if column.name in STANDARD or column.name in _LAST:
                continue
            kind = file.types[str(header)]
            others[column.name] = kind if others.get(column.name, kind) == kind else pa.string()
    last = [name for name in _LAST if name != "year" or present & {"contract_date", "year"}]
    schema = pa.schema([*fields, *others.items(), *((name, _LAST[name]) for name in last)])
    empty = schema.empty_table().to_pandas()
    if "year" in last:  # pandas would read years with gaps as 2009.0
        empty = empty.astype({"year": "Int64"})
    return schema.with_metadata(pa.Schema.from_pandas(empty, preserve_index=False).metadata)


def _standard_type(name: str) -> pa.DataType:
    if name in NUMBERS:
        return pa.float64()
    return pa.timestamp("ms") if name == "contract_date" else pa.string()


def _cleaned(
    file: RecordFile, columns: dict[object, Column], rules: CleaningRules, seen: SeenIds, rows: int
) -> Iterable[tuple[pd.DataFrame, float]]:
    """Cleaned pieces of a file and the share of it that is done."""
    names = {str(header): column.name for header, column in columns.items()}
    units = {column.name: column.unit for column in columns.values()}
    for chunk in read_chunks(file, rows):
        if len(chunk.table):
            yield clean_piece(chunk.table.rename(columns=names), rules, units=units, seen=seen), chunk.done
        if chunk.ragged:  # nothing of such a row can be trusted; its text is kept
            yield (
                pd.DataFrame({"cleaning_note": [f"row: {text}" for text in chunk.ragged], "status": RAGGED}),
                chunk.done,
            )


def _as_schema(table: pd.DataFrame, schema: pa.Schema) -> pa.Table:
    arrays = []
    for item in schema:
        if item.name not in table.columns:
            arrays.append(pa.nulls(len(table), item.type))
            continue
        values = table[item.name]
        try:
            array = pa.array(values, type=item.type, from_pandas=True)
        except (pa.ArrowInvalid, pa.ArrowTypeError, TypeError):  # numbers in one file, text in another
            array = text_values(values).cast(item.type)
        arrays.append(array.combine_chunks() if isinstance(array, pa.ChunkedArray) else array)
    return pa.Table.from_arrays(arrays, schema=schema)


def _order(counts: Iterable[str]) -> list[str]:
    """Statuses in the order of the rules."""
    known = [KEPT, RAGGED, *(reason for reasons in REASONS.values() for reason in reasons)]
    return sorted(counts, key=known.index)


class _Account:
    """Counts gathered over the pieces."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()
        self.unread: Counter[str] = Counter()
        self.files: Counter[str] = Counter()
        self.areas = self.huge = 0
        self.notes: list[str] = []

    @property
    def records(self) -> int:
        return self.counts.total()

    def add(self, file: str, table: pd.DataFrame) -> None:
        self.counts.update({str(status): int(n) for status, n in table["status"].value_counts().items()})
        self.files[file] += len(table)
        notes = table["cleaning_note"]
        for note in notes[notes.notna()]:
            names = {part.partition(": ")[0] for part in str(note).split("; ")}
            self.unread.update(names.intersection(_READ))
        if "area_ha" in table.columns:
            areas = table["area_ha"].to_numpy(np.float64)
            self.areas += int(np.isfinite(areas).sum())
            self.huge += int((areas > _HUGE_HA).sum())

    def finish(self, files: list[RecordFile]) -> None:
        """Refuse a table without records; note which files of several have none, and a unit that seems wrong."""
        if not self.records:
            names = ", ".join(file.path.name for file in files)
            raise TableError(f"{names} {'has' if len(files) == 1 else 'have'} no records, only headers")
        empty = [file.path.name for file in files if not self.files[file.path.name]]
        self.notes += [f"{name} has no records, only headers" for name in empty]
        if self.huge > self.areas / 2:
            self.notes.append(
                f"{self.huge:,} of {self.areas:,} areas exceed {_HUGE_HA:,.0f} ha: the column seems to hold square "
                "metres; state its unit in the header, 面积(平方米), or in a mapping"
            )
