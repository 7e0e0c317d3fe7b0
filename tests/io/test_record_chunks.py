"""Records read piece by piece, whatever the format, and sentences for files that are not what they say."""

import datetime

import openpyxl
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from gistools.errors import FileMissingError, InputError, TableError
from gistools.io import record_chunks
from gistools.io.record_chunks import open_records, read_chunks

TABLE = pd.DataFrame(
    {
        "电子监管号": [f"0{k}" for k in range(7)],
        "项目位置": ["解放路1号", "以东，\n以北", '"引号"', "a,b", "", "x", "末"],
        "面积": ["1.5"] * 7,
    }
)


def write(folder, kind, table=TABLE):
    path = folder / f"t.{'csv' if kind in ('utf-8', 'gb18030', 'utf-8-sig', 'utf-16') else kind}"
    if path.suffix == ".csv":
        table.to_csv(path, index=False, encoding=kind)
    elif kind == "parquet":
        table.to_parquet(path)
    else:
        table.to_excel(path, index=False)
    return path


def pieces(path, rows=100, **options):
    return list(read_chunks(open_records(path, **options), rows))


def whole(path, rows=100, **options):
    return pd.concat([piece.table for piece in pieces(path, rows, **options)], ignore_index=True)


@pytest.mark.parametrize("kind", ["utf-8", "utf-8-sig", "gb18030", "utf-16", "parquet", "xlsx"])
@pytest.mark.parametrize("rows", [1, 3, 7, 100])
def test_every_format_gives_the_same_rows_in_pieces_of_any_size(tmp_path, kind, rows):
    path = write(tmp_path, kind)
    found = pieces(path, rows)
    assert [len(piece.table) for piece in found] == [min(rows, 7 - k) for k in range(0, 7, rows)]
    table = pd.concat([piece.table for piece in found], ignore_index=True)
    assert table.astype(object).where(table.notna(), "").values.tolist() == TABLE.values.tolist()
    assert found[-1].done <= 1
    assert open_records(path).columns == tuple(TABLE.columns)


def test_pieces_are_equal_however_the_reader_cuts_its_blocks(tmp_path, monkeypatch):
    many = pd.concat([TABLE] * 300, ignore_index=True)
    path = write(tmp_path, "gb18030", many)
    monkeypatch.setattr(record_chunks, "_BLOCK", 1000)
    assert [len(piece.table) for piece in pieces(path, 500)] == [500, 500, 500, 500, 100]
    table = whole(path, 500)
    assert table["项目位置"].fillna("").tolist() == many["项目位置"].tolist()


@pytest.mark.parametrize("separator", ["\t", ";", "|"])
def test_other_separators_are_found(tmp_path, separator):
    path = tmp_path / "t.csv"
    TABLE.to_csv(path, index=False, sep=separator)
    assert open_records(path).columns == tuple(TABLE.columns)
    assert len(whole(path)) == 7


def test_ragged_rows_are_handed_over_with_their_text(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n1,2\n3\n4,5,6\n\n7,8\n,,\n9,10\n", encoding="utf-8")
    found = pieces(path)
    assert pd.concat([p.table for p in found])["a"].tolist() == ["1", "7", "9"]
    assert [text for piece in found for text in piece.ragged] == ["3", "4,5,6"]


def test_a_table_whose_rows_do_not_fit_its_header_is_refused(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,b\n" + "1,2,3\n" * 5 + "1,2\n", encoding="utf-8")
    with pytest.raises(
        TableError, match=r"5 of the first 6 rows of t.csv do not have the 2 fields of its header \(1,2,3"
    ):
        pieces(path)


def test_columns_without_a_name_are_called_by_their_place(tmp_path):
    path = tmp_path / "t.csv"
    path.write_text("a,,\n1,2,\n", encoding="utf-8")
    assert open_records(path).columns == ("a", "column 2", "column 3")
    assert whole(path)["column 2"].tolist() == ["2"]


@pytest.mark.parametrize("text", ["\n\na;b\n1;2\n", '"a\n";b\r\n1;2', "a;b\r1;2\r"])
def test_headers_after_empty_lines_over_two_lines_and_line_ends_of_any_kind(tmp_path, text):
    path = tmp_path / "t.csv"
    path.write_bytes(text.encode())
    assert open_records(path).columns == ("a", "b")
    assert whole(path).to_numpy().tolist() == [["1", "2"]]


def test_parquet_keeps_its_types_and_leaves_row_numbers_out(tmp_path):
    table = pd.DataFrame(
        {"area": [1.5, None], "day": pd.to_datetime(["2009-03-05", None]), "mode": pd.Categorical(["挂牌", "招标"])},
        index=[5, 9],
    )
    path = tmp_path / "t.parquet"
    table.to_parquet(path)
    found = whole(path)
    assert found.columns.tolist() == ["area", "day", "mode"]
    assert found["mode"].tolist() == ["挂牌", "招标"]
    assert pd.api.types.is_datetime64_any_dtype(found["day"])
    twice = pa.Table.from_arrays([pa.array([1]), pa.array([2])], names=["a", "a"])
    parquet.write_table(twice, path)
    with pytest.raises(TableError, match="two columns 'a'"):
        open_records(path)


def test_excel_cells_become_text(tmp_path):
    book = openpyxl.Workbook()
    sheet = book.active
    sheet.append(["id", "day", "area", None, "flag", None])
    sheet.append([20090305, datetime.datetime(2009, 3, 5), 2.5, None, True, None])
    sheet.append([None] * 6)
    sheet.append(["0012", datetime.date(2009, 3, 5), 2.0, "x", None, None])
    sheet.append(["1", None, None, None, None, "outside the header"])
    book.save(tmp_path / "t.xlsx")
    found = pieces(tmp_path / "t.xlsx")
    table = found[0].table
    assert table.columns.tolist() == ["id", "day", "area", "column 4", "flag"]
    assert table["id"].tolist() == ["20090305", "0012"]  # the empty row is a format only
    assert table["day"].tolist() == ["2009-03-05T00:00:00", "2009-03-05T00:00:00"]
    assert table["area"].tolist() == ["2.5", "2"]
    assert found[-1].ragged == ("1\t\t\t\t\toutside the header",)


def test_other_sheets_and_full_sheets_are_spoken_of(tmp_path, monkeypatch):
    book = openpyxl.Workbook()
    book.active.append(["电子监管号"])
    book.active.append(["1"])
    book.create_sheet("2010")
    book.save(tmp_path / "t.xlsx")
    with pytest.warns(UserWarning, match=r"only the first sheet of t.xlsx is read; save 2010"):
        file = open_records(tmp_path / "t.xlsx")
    monkeypatch.setattr(record_chunks, "EXCEL_ROWS", 2)
    with pytest.warns(UserWarning, match="as long as an Excel sheet can be .*use CSV or Parquet"):
        list(read_chunks(file))


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("t.csv", b"", "t.csv is empty"),
        ("t.csv", b"  \n", "t.csv is empty"),
        ("t.xlsx", b"<html><table>", "web page under the name of a table"),
        ("t.xls", b"\xef\xbb\xbf\r\n<!DOCTYPE html>", "web page under the name of a table"),
        ("t.csv", b"<table><tr>", "web page under the name of a table"),
        ("t.xls", b"\xd0\xcf\x11\xe0....", "Excel's old format"),
        ("t.xlsx", b"\xd0\xcf\x11\xe0....", "protected by a password"),
        (
            "t.xlsx",
            "电子监管号,面积\n".encode("gb18030"),
            "plain text under the name of an Excel file; rename it to .csv",
        ),
        ("t.xls", b"a\tb\n1\t2\n", "plain text under the name of an Excel file"),
        ("t.xls", b"PK\x03\x04", "newer format; rename it to .xlsx"),
        ("t.xlsx", b"PK\x03\x04 no workbook", "cannot be read as an Excel workbook"),
        ("t.csv", b"PK\x03\x04", "an Excel or zip file, whatever its extension .csv says"),
        ("t.csv", b"PAR1", "is Parquet, whatever its extension .csv says"),
        ("t.parquet", b"a,b\n", "is no Parquet, whatever its extension .parquet says"),
        ("t.parquet", b"PAR1 broken", "cannot be read as Parquet"),
        ("t.csv", b"\x00" * 400_000, "no readable header in its first row"),
        ("t.csv", b"\x81\xff\xff\xff", "is not text in utf-8-sig or gb18030"),
        ("t.dta", b"abc", "records are read from .csv, .parquet, .xlsx"),
    ],
)
def test_files_that_are_not_what_they_say(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=said):
        open_records(tmp_path / name)


def test_missing_files_and_encodings(tmp_path):
    write(tmp_path, "gb18030")
    with pytest.raises(FileMissingError, match=r"no file .*u.csv; did you mean 't.csv'"):
        open_records(tmp_path / "u.csv")
    with pytest.raises(TableError, match=r"is not text in utf-8; name its encoding with --encoding"):
        open_records(tmp_path / "t.csv", encoding="utf-8")
    with pytest.raises(InputError, match="'gbb' is not an encoding Python knows"):
        open_records(tmp_path / "t.csv", encoding="gbb")
    assert len(whole(tmp_path / "t.csv", encoding="gbk")) == 7
    with pytest.raises(InputError, match="a piece of 0 rows"):
        pieces(tmp_path / "t.csv", 0)


def test_a_file_that_changes_its_encoding_on_the_way_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(record_chunks, "_SAMPLE", 64)
    line = "电子监管号,面积\n1,2\n"
    (tmp_path / "t.csv").write_bytes(line.encode() + b"1,2\n" * 5000 + "武汉,2\n".encode("gb18030"))
    with pytest.raises(TableError, match="begins as utf-8-sig but does not go on so"):
        pieces(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_bytes(line.encode("gb18030") + b"1,2\n" * 5000 + b"\x81\xff\xff,2\n")
    with pytest.raises(TableError, match="begins as gb18030 but does not go on so"):
        pieces(tmp_path / "t.csv")


def test_an_unclosed_quotation_mark_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(record_chunks, "_BLOCK", 1000)
    (tmp_path / "t.csv").write_text('a,b\n1,2\n1,"2\n' + "1,2\n" * 2000, encoding="utf-8")
    with pytest.raises(TableError, match="quotation mark that is opened and never closed"):
        pieces(tmp_path / "t.csv")


def test_a_cut_parquet_file_is_refused(tmp_path):
    path = write(tmp_path, "parquet")
    raw = bytearray(path.read_bytes())
    raw[8:60] = b"\xff" * 52
    path.write_bytes(raw)
    with pytest.raises(TableError, match=r"t.parquet cannot be read"):
        pieces(path)
