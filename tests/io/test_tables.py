"""Tables by extension: what is written is what is read, keys stay text, the earlier file survives."""

import errno

import numpy as np
import pandas as pd
import pytest

from gistools.errors import FileMissingError, InputError, OutputError, TableError
from gistools.io.tables import EXTENSIONS, as_text, read_table, require_file, write_table


@pytest.fixture
def table():
    frame = pd.DataFrame(
        {
            "city_code": ["000001", "110000", "320100"],
            "city_name": ["武汉", None, "Zürich"],
            "year": [2001, 2002, 2003],
            "sprawl_index": [1 / 3, np.nan, 0.1 + 0.2],
            "cells": [3.0, 0.0, 1e17],
            "note": ["", "no urban cell", 'a, "b"; c'],
        }
    )
    frame.attrs = {"units": {"sprawl_index": "0 to 1"}, "labels": {"sprawl_index": "sprawl index"}}
    return frame


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_what_is_written_is_what_is_read(tmp_path, table, extension):
    before = table.copy(deep=True)
    write_table(table, tmp_path / f"t{extension}")
    back = read_table(tmp_path / f"t{extension}")
    assert list(back.columns) == list(table.columns)
    assert back["city_code"].tolist() == table["city_code"].tolist()
    assert back["year"].tolist() == [2001, 2002, 2003]
    # to the last bit, also through text; Excel keeps 15 to 16 digits
    precision = 2e-16 if extension == ".xlsx" else 0
    np.testing.assert_allclose(back["sprawl_index"], table["sprawl_index"], rtol=precision)
    np.testing.assert_allclose(back["cells"], table["cells"], rtol=precision)
    assert back["city_name"].fillna("").tolist() == ["武汉", "", "Zürich"]
    assert back["note"].fillna("").tolist() == table["note"].tolist()
    pd.testing.assert_frame_equal(table, before)  # input is not changed


def test_numbers_pass_through_csv_to_the_last_bit(tmp_path):
    rng = np.random.default_rng(0)
    numbers = pd.DataFrame({"x": rng.standard_normal(5000) * 10.0 ** rng.integers(-300, 300, 5000)})
    write_table(numbers, tmp_path / "t.csv")
    assert read_table(tmp_path / "t.csv").equals(numbers)


def test_parquet_carries_units_and_labels(tmp_path, table):
    write_table(table, tmp_path / "t.parquet")
    assert read_table(tmp_path / "t.parquet").attrs == table.attrs


def test_stata_carries_labels_in_version_118(tmp_path, table):
    write_table(table, tmp_path / "t.dta")
    assert (tmp_path / "t.dta").read_bytes().startswith(b"<stata_dta><header><release>118")
    with pd.io.stata.StataReader(tmp_path / "t.dta") as reader:
        assert reader.variable_labels()["sprawl_index"] == "sprawl index"


def test_csv_opens_in_excel(tmp_path, table):
    write_table(table, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_bytes().startswith(b"\xef\xbb\xbfcity_code,city_name")
    assert b"\r" not in (tmp_path / "t.csv").read_bytes()


@pytest.mark.parametrize("extension", [".csv", ".parquet", ".dta"])
def test_the_same_table_gives_the_same_bytes(tmp_path, table, extension):
    for name in ("a", "b"):
        write_table(table, tmp_path / f"{name}{extension}")
    assert (tmp_path / f"a{extension}").read_bytes() == (tmp_path / f"b{extension}").read_bytes()


def test_named_index_levels_become_columns(tmp_path, table):
    write_table(table.set_index(["city_code", "year"]), tmp_path / "t.csv")
    assert list(read_table(tmp_path / "t.csv").columns[:2]) == ["city_code", "year"]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ([110000, 5], ["110000", "5"]),
        ([110000.0, np.nan], ["110000", None]),
        (["000001", " 2 "], ["000001", "2"]),
        ([1.5, 2.0], ["1.5", "2.0"]),
        (pd.array([7, None], "Int64"), ["7", None]),
    ],
)
def test_keys_as_text(values, text):
    got = as_text(pd.Series(values))
    assert [None if pd.isna(v) else v for v in got] == text


def test_codes_without_leading_zeros_in_excel_are_whole_numbers(tmp_path):
    pd.DataFrame({"city_code": [110000, 120000], "x": [1, 2]}).to_excel(tmp_path / "t.xlsx", index=False)
    assert read_table(tmp_path / "t.xlsx")["city_code"].tolist() == ["110000", "120000"]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "gb18030"])
def test_csv_encodings_are_recognised(tmp_path, encoding):
    (tmp_path / "t.csv").write_bytes("city_code,name\n000001,重庆市\n".encode(encoding))
    assert read_table(tmp_path / "t.csv").iloc[0].tolist() == ["000001", "重庆市"]


def test_csv_of_a_named_encoding(tmp_path):
    (tmp_path / "t.csv").write_bytes("city_code,name\n1,Zürich\n".encode("cp1252"))
    assert read_table(tmp_path / "t.csv", encoding="cp1252")["name"].tolist() == ["Zürich"]
    with pytest.raises(InputError, match="'cp12520' is not an encoding"):
        read_table(tmp_path / "t.csv", encoding="cp12520")
    with pytest.raises(TableError, match="not text in utf-8; name its encoding with --encoding"):
        read_table(tmp_path / "t.csv", encoding="utf-8")


def test_missing_files_and_folders_are_named(tmp_path, table):
    write_table(table, tmp_path / "panel.csv")
    with pytest.raises(FileMissingError, match=r"there is no file .*panle\.csv; did you mean 'panel\.csv'\?"):
        read_table(tmp_path / "panle.csv")
    with pytest.raises(FileMissingError, match="is a folder where a file is needed"):
        require_file(tmp_path)


@pytest.mark.parametrize("extension", [".parquet", ".xlsx", ".dta"])
def test_damaged_tables_are_refused_in_one_sentence(tmp_path, extension):
    (tmp_path / f"t{extension}").write_bytes(b"not what the extension says")
    with pytest.raises(TableError, match=rf"t\{extension} cannot be read as {extension[1:]}: ") as caught:
        read_table(tmp_path / f"t{extension}")
    assert "\n" not in str(caught.value)


def test_empty_csv_is_refused(tmp_path):
    (tmp_path / "t.csv").write_text("")
    with pytest.raises(TableError, match="cannot be read as csv"):
        read_table(tmp_path / "t.csv")


def test_unknown_extensions_are_refused(tmp_path, table):
    with pytest.raises(InputError, match=r"tables are written as \.parquet, \.csv, \.xlsx, \.dta, by extension"):
        write_table(table, tmp_path / "t.json")
    (tmp_path / "t.json").write_text("{}")
    with pytest.raises(InputError, match="tables are read from"):
        read_table(tmp_path / "t.json")


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_a_full_disk_keeps_the_earlier_table(tmp_path, table, monkeypatch, extension):
    path = tmp_path / f"t{extension}"
    write_table(table, path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("gistools.io.atomic._flush", full)
    with pytest.raises(OutputError, match="the disk is full"):
        write_table(table.assign(year=1999), path)
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("extension", EXTENSIONS)
def test_writing_past_the_limit_of_the_process_is_one_sentence(tmp_path, small_files, capfd, extension):
    rng = np.random.default_rng(0)
    table = pd.DataFrame({"city_code": [f"{i:06d}" for i in range(3000)], "x": rng.random(3000)})
    with small_files(20_000), pytest.raises(OutputError, match="cannot be written: it is larger than"):
        write_table(table, tmp_path / f"t{extension}")
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


def test_rows_with_more_fields_than_names_are_not_shifted(tmp_path):
    """Pandas would take the first field for an index, and every column would hold its neighbour's values."""
    (tmp_path / "t.csv").write_text("city_code,year,x\n01,2006,3,\n02,2006,4,\n")
    assert read_table(tmp_path / "t.csv").to_numpy().tolist() == [["01", 2006, 3], ["02", 2006, 4]]
    (tmp_path / "t.csv").write_text("city_code,year,x\n01,2006,3,9\n02,2006,4,9\n")
    with pytest.raises(TableError, match=r"t\.csv has more fields in its rows than names in its first line"):
        read_table(tmp_path / "t.csv")


def test_extensions_in_capitals_are_read(tmp_path, table):
    write_table(table, tmp_path / "t.csv")
    (tmp_path / "t.csv").rename(tmp_path / "T.CSV")
    assert read_table(tmp_path / "T.CSV")["city_code"].tolist() == table["city_code"].tolist()


def test_names_stata_does_not_take_are_said_in_one_sentence(tmp_path, table):
    odd = table.rename(columns={"cells": "1x", "note": "n" * 40})
    with pytest.warns(UserWarning, match=r"^Stata does not take some names of columns \(1x, n{40}\): .*to 32$"):
        write_table(odd, tmp_path / "t.dta")
    assert read_table(tmp_path / "t.dta").shape == odd.shape


def test_text_that_looks_like_a_formula_stays_text_in_excel(tmp_path):
    odd = pd.DataFrame({"city_code": ["01", "02"], "name": ["=SUM(A1:A9)", "plain"]})
    write_table(odd, tmp_path / "t.xlsx")
    assert read_table(tmp_path / "t.xlsx", text=["city_code"]).to_numpy().tolist() == odd.to_numpy().tolist()


def test_infinite_numbers_are_missing_in_stata_and_that_is_said(tmp_path):
    odd = pd.DataFrame({"city_code": ["01", "02"], "x": [np.inf, 2.0]})
    with pytest.warns(UserWarning, match=r"^Stata has no infinite numbers: 1 of 'x' are written as missing$"):
        write_table(odd, tmp_path / "t.dta")
    assert np.isnan(read_table(tmp_path / "t.dta")["x"].iloc[0])


def test_counts_are_written_as_whole_numbers(tmp_path):
    counts = pd.DataFrame({"city_code": ["01", "02"], "patches": [3.0, np.nan], "cells": [2.5, 1.0], "x": [4.0, 5.0]})
    counts.attrs = {"units": {"patches": "patches", "cells": "cells", "x": "km2"}}
    write_table(counts, tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text(encoding="utf-8-sig").splitlines() == [
        "city_code,patches,cells,x",
        "01,3,2.5,4.0",
        "02,,1.0,5.0",
    ]
