"""``gistools parcels clean``: files in, a table, a funnel and a chart out, and every bad input as one sentence."""

import doctest
import json
import re
import shutil
import warnings
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

from gistools.cli.parcels_clean import clean

METHODS = Path(__file__).parents[2] / "docs" / "methods"
GOOD = {
    "电子监管号": "4201",
    "行政区": "武汉市江岸区",
    "面积": "2.5",
    "土地用途": "城镇住宅用地",
    "供地方式": "挂牌出让",
    "约定容积率上限": "2.5",
    "签订日期": "2009年3月5日",
}
ROWS = [
    GOOD,
    {**GOOD, "电子监管号": "4202", "供地方式": "协议出让"},
    {**GOOD, "电子监管号": "4203", "土地用途": "商住用地"},
    {**GOOD, "电子监管号": "4204", "约定容积率上限": "12"},
    {**GOOD, "电子监管号": "4205", "面积": "不详", "签订日期": "1986-05-01"},
    GOOD,
]


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    pd.DataFrame(ROWS).to_csv("t.csv", index=False, encoding="gb18030")
    return tmp_path


def run(*args, code=0):
    result = CliRunner().invoke(clean, list(args))
    assert result.exit_code == code, result.output
    assert "Traceback" not in result.output
    return result.output


def kept(path="c.parquet"):
    table = pd.read_parquet(path)
    return table.loc[table["status"] == "kept", "parcel_id"].tolist()


def test_everything_is_written_and_said(folder):
    said = run("t.csv", "--out", "c.parquet", "--figure", "f.png", "--json", "r.json", "--chunk-rows", "2")
    assert "6 records written to c.parquet, 1 of them kept" in said
    assert "Cells that could not be read (see cleaning_note): area_ha 1" in said
    assert kept() == ["4201"]
    funnel = pd.read_csv("c_funnel.csv")
    assert funnel["kept"].tolist() == [6, 5, 5, 4, 3, 3, 2, 1]
    result = json.loads((folder / "r.json").read_text(encoding="utf-8"))
    assert result["by_rule"] == {
        **{"numbers": 1, "date": 0, "mode": 1, "use": 1},
        **{"district": 0, "far": 1, "duplicates": 1},
    }
    assert result["rules"]["earliest"] == "1987-01-01"
    assert (folder / "f.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize(
    ("options", "ids"),
    [
        (["--skip", "duplicates,mode"], ["4201", "4202", "4201"]),
        (["--only", "duplicates"], ["4201", "4202", "4203", "4204", "4205"]),
        (["--mixed-use"], ["4201", "4203"]),
        (["--max-far", "15"], ["4201", "4204"]),
        (["--keep-modes", "协议"], ["4202"]),
        (["--keep-uses", "商住"], ["4203"]),
        (["--numbers", "far_max", "--earliest", "1980-01-01"], ["4201", "4205"]),
        (["--latest", "2008-12-31"], []),
    ],
)
def test_options_choose_the_rules(folder, options, ids):
    run("t.csv", "--out", "c.parquet", *options)
    assert kept() == ids


def test_a_pattern_is_one_table_and_the_funnel_goes_where_it_is_told(folder):
    pd.DataFrame(ROWS[:1]).to_csv("t2.csv", index=False)
    said = run("t*.csv", "--out", "c.csv", "--funnel", "deep/f.xlsx")
    assert "7 records written to c.csv, 1 of them kept" in said
    assert pd.read_excel("deep/f.xlsx")["kept"].iloc[0] == 7


def test_the_mapping_is_written_edited_and_given(folder):
    assert "edit it and give it as --mapping" in run("--write-mapping", "h.yaml")
    (folder / "h.yaml").write_text("columns:\n  area_ha: {header: 大小, unit: 平方米}\n", encoding="utf-8")
    pd.DataFrame(ROWS).rename(columns={"面积": "大小"}).assign(大小="25000").to_csv("t.csv", index=False)
    run("t.csv", "--out", "c.parquet", "--mapping", "h.yaml")
    assert pd.read_parquet("c.parquet")["area_ha"].tolist() == [2.5] * 6


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["t.csv"], "Error: --out is missing"),
        (["--out", "c.csv"], "Error: a table to clean is missing"),
        (["u.csv", "--out", "c.csv"], "Error: there is no file u.csv"),
        (["u*.csv", "--out", "c.csv"], "Error: no file fits u*.csv"),
        (["t.csv", "--out", "c.dta"], "Error: c.dta: records are written as .parquet, .csv, .xlsx"),
        (["t.csv", "--out", "c.csv", "--figure", "f.gif"], "Error: f.gif: figures are written as .png, .svg"),
        (["t.csv", "--out", "c.csv", "--funnel", "f.txt"], "Error: f.txt: tables are written as"),
        (["t.csv", "--out", "c.csv", "--skip", "mod"], "Error: --skip is 'mod', but must be one of numbers"),
        (["t.csv", "--out", "c.csv", "--only", "mod"], "Error: --only is 'mod'"),
        (
            ["t.csv", "--out", "c.csv", "--only", "mode", "--skip", "use"],
            "Error: --skip and --only exclude each other",
        ),
        (["t.csv", "--out", "c.csv", "--numbers", "area"], "Error: a column of numbers is 'area'"),
        (["t.csv", "--out", "c.csv", "--max-far", "0"], "Error: the largest floor-area ratio is 0"),
        (["t.csv", "--out", "c.csv", "--mapping", "h.yaml"], "Error: there is no mapping of headers h.yaml"),
        (["t.csv", "--out", "c.csv", "--encoding", "utf-8"], "Error: t.csv is not text in utf-8"),
        (["t.csv", "--out", "c.csv", "--funnel", "t.csv"], "Error: --funnel would overwrite t.csv"),
        (["t*.csv", "--out", "c.csv", "--json", "t.csv"], "Error: --json would overwrite t.csv"),
        (["t.csv", "--out", "c.csv", "--json", "c.csv"], "Error: --out and --json are both c.csv"),
        (["t.csv", "--out", "t.csv"], "Error: --out would overwrite t.csv, which is read by this command"),
    ],
)
def test_wrong_input_is_one_sentence_and_nothing_is_written(folder, args, said):
    output = run(*args, code=2)
    assert said in output
    assert [path.name for path in folder.iterdir()] == ["t.csv"]


def test_warnings_are_sentences(folder):
    pd.DataFrame(ROWS).assign(面积="25000").to_csv("t.csv", index=False)
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as a user has them
        said = run("t.csv", "--out", "c.parquet")
    assert "Warning: 6 of 6 areas exceed 1,000 ha" in said
    assert "6 records written" in said


def test_the_page_prints_what_it_says(tmp_path, monkeypatch):
    shutil.copytree(METHODS / "worked", tmp_path / "docs" / "methods" / "worked")
    monkeypatch.chdir(tmp_path)
    page = METHODS / "parcel_cleaning.md"
    text = page.read_text(encoding="utf-8")
    block = re.search(r"```console\n\$ gistools parcels clean (.*?)\n(.*?)```", text, re.DOTALL)
    result = CliRunner().invoke(clean, block[1].split())
    assert result.stdout.rstrip() == block[2].rstrip()
    done = doctest.testfile(str(page), module_relative=False, encoding="utf-8")
    assert (done.attempted, done.failed) == (4, 0)
