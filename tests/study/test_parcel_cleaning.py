"""Cleaning from files to a file: several files are one table, and pieces change nothing."""

import json

import pandas as pd
import pyarrow.parquet as parquet
import pytest

from gistools.errors import ConfigError, FileMissingError, InputError, TableError
from gistools.io.atomic import plain
from gistools.parcels import cleaning
from gistools.parcels.cleaning import RULES, CleaningRules, clean_records
from gistools.parcels.records import shipped_mapping_text
from gistools.study import parcel_cleaning
from gistools.study.parcel_cleaning import (
    clean_parcels,
    expand_paths,
    read_header_mapping,
    write_header_mapping,
)

GOOD = {
    "电子监管号": "4201",
    "行政区": "武汉市江岸区",
    "面积": "2.5",
    "土地用途": "城镇住宅用地",
    "供地方式": "挂牌出让",
    "约定容积率上限": "2.5",
    "签订日期": "2009年3月5日",
}


def rows(count, start=0, **changes):
    """Good records, but for every third, which is no grant."""
    return pd.DataFrame(
        [
            {**GOOD, "电子监管号": f"{start + k:06d}", "供地方式": "划拨" if k % 3 == 2 else "挂牌出让", **changes}
            for k in range(count)
        ]
    )


@pytest.fixture
def years(tmp_path):
    """Three yearly files of three formats and headers; the last begins with a record of the first."""
    first, second, third = rows(30, 0), rows(30, 30), rows(30, 60)
    third.loc[0] = first.loc[0]
    first.to_csv(tmp_path / "y2009.csv", index=False, encoding="gb18030")
    headers = {"面积": "面积(平方米)", "供地方式": "供应方式", "约定容积率上限": "约定容积率（上限）"}
    square = second.rename(columns=headers)
    square.assign(**{"面积(平方米)": "25000", "备注": 7}).to_parquet(tmp_path / "y2010.parquet")
    third.assign(备注="x").to_excel(tmp_path / "y2011.xlsx", index=False)
    return tmp_path


@pytest.mark.parametrize("rows_at_once", [1, 7, 30, 1000])
@pytest.mark.parametrize("kind", ["parquet", "csv", None])
def test_files_are_one_table_in_pieces_of_any_size(years, rows_at_once, kind):
    out = None if kind is None else years / "out" / f"clean.{kind}"
    files = [years / name for name in ("y2009.csv", "y2010.parquet", "y2011.xlsx")]
    result = clean_parcels(files, out=out, chunk_rows=rows_at_once)
    assert result.counts == {"kept": 59, cleaning.OTHER_MODE: 30, cleaning.DUPLICATE: 1}
    assert result.by_rule == {**dict.fromkeys(RULES, 0), "mode": 30, "duplicates": 1}
    assert result.files == {"y2009.csv": 30, "y2010.parquet": 30, "y2011.xlsx": 30}
    if kind is None:
        table = result.parcels
    elif kind == "csv":
        table = pd.read_csv(out, dtype={"parcel_id": str})
    else:
        table = pd.read_parquet(out)
        assert parquet.ParquetFile(out).num_row_groups == 3 * -(-30 // min(rows_at_once, 30))
    assert len(table) == 90
    assert table["status"].iloc[60] == cleaning.DUPLICATE
    assert table["area_ha"].tolist() == [2.5] * 90  # square metres in the second file
    assert table["parcel_id"].iloc[1] == "000001"
    remarks = table["备注"].astype(object).where(table["备注"].notna(), None)
    assert remarks.tolist() == [None] * 30 + ["7"] * 30 + ["x"] * 30
    assert set(table["year"]) == {2009}


def test_the_file_holds_what_the_table_in_memory_holds(years):
    table = pd.read_csv(years / "y2009.csv", encoding="gb18030", dtype=str)
    clean_parcels(years / "y2009.csv", out=years / "c.parquet")
    written = pd.read_parquet(years / "c.parquet")
    expected = clean_records(table)
    assert str(written["year"].dtype) == "Int64"
    pd.testing.assert_frame_equal(written, expected, check_dtype=False)


def test_patterns_are_filled_in_the_order_of_names(years):
    assert [path.name for path in expand_paths(str(years / "y20*"))] == ["y2009.csv", "y2010.parquet", "y2011.xlsx"]
    with pytest.raises(FileMissingError, match="no file fits"):
        expand_paths([years / "z*.csv"])
    with pytest.raises(InputError, match=r"y2009.csv is named twice"):
        expand_paths([years / "y2009.csv", str(years / "*.csv")])
    with pytest.raises(InputError, match="no table to clean is named"):
        expand_paths([])


def test_ragged_rows_keep_their_text_and_are_counted(tmp_path):
    path = tmp_path / "t.csv"
    rows(5).to_csv(path, index=False)
    with path.open("a", encoding="utf-8") as file:
        file.write("000009,武汉市江岸区\n")
    result = clean_parcels(path, out=tmp_path / "c.parquet", chunk_rows=2)
    assert result.counts == {"kept": 4, cleaning.RAGGED: 1, cleaning.OTHER_MODE: 1}
    assert result.funnel["step"].tolist()[:2] == ["records", "whole rows"]
    last = pd.read_parquet(tmp_path / "c.parquet").iloc[-1]
    assert (last["status"], last["cleaning_note"]) == (cleaning.RAGGED, "row: 000009,武汉市江岸区")
    assert last.drop(["status", "cleaning_note"]).isna().all()
    assert result.unread == {}


def test_unread_cells_are_counted_by_column(tmp_path):
    table = rows(4, 成交价格="面议")
    table.loc[0, "约定容积率上限"] = "详见; 合同"
    table.to_csv(tmp_path / "t.csv", index=False)
    result = clean_parcels(tmp_path / "t.csv")
    assert result.unread == {"price_10k_yuan": 4, "far_max": 1}
    said = json.dumps(plain(result.to_dict()), ensure_ascii=False)
    assert json.loads(said)["records"] == 4
    assert json.loads(said)["rules"]["far_limit"] == 10


def test_areas_that_look_like_square_metres_are_spoken_of(tmp_path):
    rows(4, 面积="25000").to_csv(tmp_path / "t.csv", index=False)
    with pytest.warns(UserWarning, match=r"4 of 4 areas exceed 1,000 ha: .* state its unit in the header"):
        clean_parcels(tmp_path / "t.csv")


def test_every_file_is_judged_before_any_record_is_read(years, monkeypatch):
    rows(3).drop(columns="电子监管号").to_csv(years / "z.csv", index=False)
    monkeypatch.setattr(parcel_cleaning, "read_chunks", lambda *_: pytest.fail("a record was read"))
    with pytest.raises(
        TableError, match=r"z.csv has no column 'parcel_id' \(电子监管号\), which the rule 'duplicates'"
    ):
        clean_parcels([years / "y2009.csv", years / "z.csv"], out=years / "c.csv")
    assert not (years / "c.csv").exists()


def test_bad_tables_are_one_sentence_each(tmp_path):
    def refused(said, error=TableError, **options):
        with pytest.raises(error, match=said):
            clean_parcels(tmp_path / "t.csv", out=tmp_path / "c.parquet", **options)
        assert not (tmp_path / "c.parquet").exists()

    refused(r"no file .*t.csv", FileMissingError)
    rows(0).reindex(columns=list(GOOD)).to_csv(tmp_path / "t.csv", index=False)
    refused("t.csv has no records, only headers")
    (tmp_path / "t.csv").write_text("a,b\n1,2\n", encoding="utf-8")
    refused("t.csv has no header of a land-market table in its first row, which is 'a', 'b'")
    rows(2).assign(供地面积="1").to_csv(tmp_path / "t.csv", index=False)
    refused("t.csv's columns 面积, 供地面积 would all be 'area_ha'; say which is meant in a mapping")
    # Chinese read as Latin letters has no known header
    rows(2).to_csv(tmp_path / "t.csv", index=False, encoding="gb18030")
    refused("check its encoding if they look garbled", encoding="latin-1")
    refused("is not text in utf-8", encoding="utf-8")
    with pytest.raises(InputError, match=r"records are written as .parquet, .csv, .xlsx"):
        clean_parcels(tmp_path / "t.csv", out=tmp_path / "c.dta")
    with pytest.raises(InputError, match="is one of the tables to clean"):
        clean_parcels(tmp_path / "t.csv", out=tmp_path / "t.csv")


def test_an_empty_file_among_others_is_spoken_of(years):
    rows(1)[:0].to_csv(years / "z.csv", index=False)
    with pytest.warns(UserWarning, match=r"z.csv has no records, only headers"):
        result = clean_parcels([years / "y2009.csv", years / "z.csv"])
    assert len(result.parcels) == 30


def test_nothing_everywhere(tmp_path):
    pd.DataFrame([dict.fromkeys(GOOD, "NaN")] * 3).to_csv(tmp_path / "t.csv", index=False)
    assert clean_parcels(tmp_path / "t.csv", out=tmp_path / "c.csv").counts == {cleaning.MISSING_NUMBER: 3}


def test_a_broken_file_leaves_no_output(tmp_path, monkeypatch):
    rows(3000).to_csv(tmp_path / "t.csv", index=False)
    with (tmp_path / "t.csv").open("ab") as file:
        file.write("00,武汉市".encode("gb18030") + b"\n")
    monkeypatch.setattr("gistools.io.record_chunks._SAMPLE", 1000)
    with pytest.raises(TableError, match="begins as utf-8-sig but does not go on so"):
        clean_parcels(tmp_path / "t.csv", out=tmp_path / "c.parquet", chunk_rows=100)
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_progress_tells_the_share_and_the_records(years):
    told = []
    files = [years / "y2009.csv", years / "y2010.parquet"]
    clean_parcels(files, chunk_rows=10, progress=lambda share, records: told.append((share, records)))
    assert [records for _, records in told] == [10, 20, 30, 40, 50, 60]
    shares = [share for share, _ in told]
    assert shares == sorted(shares)
    assert shares[-1] == 1.0


def test_mapping_files(tmp_path):
    write_header_mapping(tmp_path / "h.yaml")
    assert (tmp_path / "h.yaml").read_text(encoding="utf-8") == shipped_mapping_text()
    with pytest.raises(InputError, match="is there already"):
        write_header_mapping(tmp_path / "h.yaml")
    (tmp_path / "h.yaml").write_text("columns:\n  area_ha: [净地面积]\n", encoding="utf-8-sig")
    rows(2).rename(columns={"面积": "净地面积"}).to_csv(tmp_path / "t.csv", index=False)
    mapping = read_header_mapping(tmp_path / "h.yaml")
    assert clean_parcels(tmp_path / "t.csv", mapping=mapping).counts == {"kept": 2}
    with pytest.raises(FileMissingError, match="no mapping of headers"):
        read_header_mapping(tmp_path / "i.yaml")
    (tmp_path / "h.yaml").write_bytes("columns: {area_ha: 面积}".encode("gb18030"))
    with pytest.raises(InputError, match=r"h.yaml is not UTF-8"):
        read_header_mapping(tmp_path / "h.yaml")
    (tmp_path / "h.yaml").write_text("columns:\n  far: [x]\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"h.yaml, line 2: 'far' is not a standard column"):
        read_header_mapping(tmp_path / "h.yaml")


def test_rules_can_be_chosen(years):
    result = clean_parcels(years / "y2009.csv", rules=CleaningRules(rules=("date",)))
    assert result.counts == {"kept": 30}
    assert result.funnel["step"].tolist() == ["records", "readable date"]
