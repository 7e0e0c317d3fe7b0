"""Records written piece by piece: the same table in every format, whole or not at all."""

import datetime

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from gistools.errors import InputError, OutputError
from gistools.io import record_writing
from gistools.io.record_writing import record_writer, require_record_extension

SCHEMA = pa.schema([("id", pa.string()), ("area", pa.float64()), ("day", pa.timestamp("ms")), ("year", pa.int64())])


def piece(*rows):
    columns = list(zip(*rows, strict=True))
    return pa.Table.from_arrays([pa.array(c, f.type) for c, f in zip(columns, SCHEMA, strict=True)], schema=SCHEMA)


PIECES = [
    piece(("01", 1.5, datetime.datetime(2009, 3, 5), 2009), (None, None, None, None)),
    piece(('a,"b"\n', 2.0, None, 2010)),
]


@pytest.mark.parametrize("kind", ["parquet", "csv", "xlsx"])
def test_every_format_gives_the_rows_back(tmp_path, kind):
    path = tmp_path / "new" / f"t.{kind}"
    with record_writer(path, SCHEMA) as put:
        for table in PIECES:
            put(table)
    if kind == "parquet":
        found = pd.read_parquet(path)
    elif kind == "csv":
        found = pd.read_csv(path, dtype={"id": str}, parse_dates=["day"])
    else:
        found = pd.read_excel(path, dtype={"id": str})
    assert found["id"].tolist()[::2] == ["01", 'a,"b"\n']
    assert found["area"].tolist()[::2] == [1.5, 2.0]
    assert found["day"].iloc[0] == pd.Timestamp("2009-03-05")
    assert found.iloc[1].isna().all()
    assert [other.name for other in path.parent.iterdir()] == [path.name]


def test_a_piece_is_a_row_group_and_csv_opens_in_excel(tmp_path):
    for kind in ("parquet", "csv"):
        with record_writer(tmp_path / f"t.{kind}", SCHEMA) as put:
            for table in PIECES:
                put(table)
    file = parquet.ParquetFile(tmp_path / "t.parquet")
    assert [file.metadata.row_group(k).num_rows for k in range(file.num_row_groups)] == [2, 1]
    raw = (tmp_path / "t.csv").read_bytes()
    assert raw.startswith(b"\xef\xbb\xbf")
    assert b",2009-03-05," in raw


@pytest.mark.parametrize("kind", ["parquet", "csv", "xlsx"])
def test_nothing_is_written_when_the_work_fails(tmp_path, kind):
    path = tmp_path / f"t.{kind}"
    path.write_text("before", encoding="utf-8")

    def half() -> None:
        with record_writer(path, SCHEMA) as put:
            put(PIECES[0])
            raise InputError("stopped")

    with pytest.raises(InputError, match="stopped"):
        half()
    assert path.read_text(encoding="utf-8") == "before"
    assert len(list(tmp_path.iterdir())) == 1


def test_an_excel_sheet_that_is_full_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(record_writing, "EXCEL_ROWS", 3)

    def full() -> None:
        with record_writer(tmp_path / "t.xlsx", SCHEMA) as put:
            for table in PIECES:
                put(table)

    with pytest.raises(InputError, match=r"1,048,575 records and there are more; write t as .parquet or .csv"):
        full()
    assert not list(tmp_path.iterdir())


def test_text_is_never_a_formula(tmp_path):
    with record_writer(tmp_path / "t.xlsx", SCHEMA) as put:
        put(piece(("=1+1", None, None, None)))
    cell = openpyxl.load_workbook(tmp_path / "t.xlsx").active["A2"]
    assert (cell.value, cell.data_type) == ("=1+1", "s")


def test_extensions_and_folders(tmp_path):
    require_record_extension(tmp_path / "t.csv")
    with pytest.raises(InputError, match=r"records are written as .parquet, .csv, .xlsx"):
        require_record_extension(tmp_path / "t.dta")
    (tmp_path / "file").write_text("", encoding="utf-8")

    def below_a_file() -> None:
        with record_writer(tmp_path / "file" / "t.csv", SCHEMA) as put:
            put(PIECES[0])

    with pytest.raises(OutputError, match="part of its path is a file"):
        below_a_file()


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_a_full_disk_is_one_sentence(tmp_path, small_files, kind):
    many = pa.concat_tables([piece((f"{k:0200d}", k / 7, None, k)) for k in range(2000)])

    def fill() -> None:
        with small_files(10_000), record_writer(tmp_path / f"t.{kind}", SCHEMA) as put:
            put(many)

    with pytest.raises(OutputError, match=rf"t.{kind} cannot be written"):
        fill()
    assert not list(tmp_path.iterdir())
