"""The commands of spatial evidence: worked checks of the documentation, JSON, tables, exit codes, bad input."""

import importlib.util
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from click.testing import CliRunner

from gistools.cli.main import main
from gistools.study import evidence

METHODS = Path(__file__).parents[2] / "docs" / "methods"
WORKED = METHODS / "worked"


def run(*args, code=0):
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert result.exit_code == code, result.output
    return result


def consoles():
    """Every command of the method pages with what it is said to print."""
    for page in ("weights", "moran", "spatial_models", "spatial_error_model", "random_effects"):
        text = (METHODS / f"{page}.md").read_text(encoding="utf-8")
        for block in re.findall(r"```console\n(.*?)```", text, re.DOTALL):
            for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
                command, _, output = part.partition("\n")
                yield pytest.param(command, output, id=f"{page}: {command[:40]}")


@pytest.mark.parametrize(("command", "output"), list(consoles()))
def test_documentation_prints_what_it_says(tmp_path, monkeypatch, command, output):
    shutil.copytree(WORKED, tmp_path / "docs" / "methods" / "worked")
    monkeypatch.chdir(tmp_path)
    assert run(*command.split()[1:]).output.rstrip() == output.rstrip()


def test_worked_tables_are_what_their_script_writes(tmp_path):
    spec = importlib.util.spec_from_file_location("make_worked", WORKED / "make.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.main(tmp_path)
    for path in tmp_path.iterdir():
        assert path.read_bytes() == (WORKED / path.name).read_bytes()


def test_fit_writes_json_and_table(tmp_path):
    run(
        "spatial", "fit", WORKED / "board.csv", "--weights", WORKED / "board_w.csv", "--outcome", "y", "--x", "x",
        "--model", "sar", "--effects", "city,year", "--correction", "bias", "--cluster", "city", "--draws", "500",
        "--seed", "3", "--json", tmp_path / "fit.json", "--out", tmp_path / "fit.csv",
    )  # fmt: skip
    doc = json.loads((tmp_path / "fit.json").read_text(encoding="utf-8"))
    assert {"model", "n", "clusters", "effects", "terms", "r2", "r2_within", "r2_adjusted", "loglik"} <= set(doc)
    assert [term["term"] for term in doc["terms"]] == ["x", "rho"]
    assert (doc["correction"], doc["n_effective"], doc["clusters"], doc["n"]) == ("bias", 200, 25, 200)
    assert [(e["term"], e["effect"]) for e in doc["effects_decomposition"]] == [
        ("x", "direct"), ("x", "indirect"), ("x", "total")
    ]  # fmt: skip
    assert doc["options"]["draws"] == 500
    table = pd.read_csv(tmp_path / "fit.csv", encoding="utf-8-sig")
    assert table["effect"].tolist() == ["coefficient", "coefficient", "direct", "indirect", "total"]
    assert table["estimate"][0] == doc["terms"][0]["estimate"]


def test_a_file_without_years_is_one_cross_section(tmp_path):
    board = pd.read_csv(WORKED / "board.csv", dtype={"city_code": str})
    board[board["year"] == 2012].drop(columns="year").to_csv(tmp_path / "one.csv", index=False)
    options = ("--weights", WORKED / "board_w.csv", "--json", tmp_path / "r.json")
    run("spatial", "fit", tmp_path / "one.csv", *options, "--outcome", "y", "--x", "x", "--model", "sdm")
    doc = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))
    assert (doc["effects"], doc["years"]) == ("none", 1)
    assert [term["term"] for term in doc["terms"]] == ["const", "x", "W_x", "rho"]
    run("moran", tmp_path / "one.csv", *options, "--column", "y", "--local", "--out", tmp_path / "local.csv")
    rows = json.loads((tmp_path / "r.json").read_text(encoding="utf-8"))["rows"]
    assert len(rows) == 1
    assert rows[0]["year"] is None
    local = pd.read_csv(tmp_path / "local.csv", dtype={"city_code": str})
    assert list(local.columns[:2]) == ["city_code", "local_i"]
    assert {"z", "p_sim", "quadrant", "cluster"} <= set(local.columns)


def test_moran_by_year_with_other_names_of_keys(tmp_path):
    board = pd.read_csv(WORKED / "board.csv").rename(columns={"city_code": "id", "year": "period"})
    board.to_parquet(tmp_path / "board.parquet")
    run(
        "moran", tmp_path / "board.parquet", "--weights", WORKED / "board_w.csv", "--column", "x", "--id", "id",
        "--time", "period", "--permutations", "0", "--out", tmp_path / "m.csv", "--json", tmp_path / "m.json",
    )  # fmt: skip
    table = pd.read_csv(tmp_path / "m.csv")
    assert table["year"].tolist() == list(range(2011, 2019))
    assert table["p_sim"].isna().all()
    assert json.loads((tmp_path / "m.json").read_text())["rows"][0]["p_sim"] is None


@pytest.fixture
def board_polygons(tmp_path):
    codes = [f"{r:02d}{c:02d}" for r in range(3) for c in range(3)]
    shapes = [shapely.box(100 + c, 30 + r, 101 + c, 31 + r) for r in range(3) for c in range(3)]
    cities = gpd.GeoDataFrame({"code": codes}, geometry=shapes, crs="EPSG:4326")
    cities.to_file(tmp_path / "cities.gpkg")
    return tmp_path / "cities.gpkg"


@pytest.mark.parametrize("extension", ["parquet", "gal", "gwt", "csv"])
def test_weights_of_polygons(tmp_path, board_polygons, extension):
    out = tmp_path / f"w.{extension}"
    run(
        "weights",
        "build",
        "--cities",
        board_polygons,
        "--kind",
        "contiguity",
        "--rook",
        "--code",
        "code",
        "--out",
        out,
    )
    w = evidence.read_weights(out)
    assert w.n_edges == 24
    assert set(w["0101"].index) == {"0001", "0100", "0102", "0201"}
    result = run("weights", "describe", out, "--json", tmp_path / "d.json")
    assert "9 cities, 24 links" in result.output
    assert json.loads((tmp_path / "d.json").read_text())["components"] == 1


def test_weights_of_a_geoparquet_and_of_points(tmp_path, board_polygons):
    cities = gpd.read_file(board_polygons)
    cities.to_parquet(tmp_path / "cities.parquet")
    points = cities.set_geometry(cities.geometry.representative_point())
    points.to_file(tmp_path / "points.gpkg")
    table = pd.DataFrame({"code": cities["code"], "cbd_lon": points.geometry.x, "cbd_lat": points.geometry.y})
    table.to_csv(tmp_path / "table.csv", index=False)
    found = []
    for name in ("cities.parquet", "points.gpkg", "table.csv"):
        options = ("--kind", "inverse-distance", "--code", "code", "--out", tmp_path / "w.parquet")
        run("weights", "build", "--cities", tmp_path / name, *options)
        found.append(evidence.read_weights(tmp_path / "w.parquet").adjacency)
    assert all(np.allclose(other, found[0]) for other in found)


def test_economic_weights_take_gdp_before_the_treatment(tmp_path, board_polygons):
    codes = gpd.read_file(board_polygons)["code"]
    gdp = pd.DataFrame({"city_code": np.repeat(codes, 3), "year": np.tile([2001, 2002, 2003], 9)})
    gdp["gdp"] = np.where(gdp["year"] < 2003, 10.0, np.repeat(np.arange(1.0, 10), 3))
    gdp.to_csv(tmp_path / "panel.csv", index=False)
    options = ("weights", "build", "--cities", board_polygons, "--code", "code", "--out", tmp_path / "w.parquet")
    nested = (*options, "--kind", "economic-nested", "--gdp", f"{tmp_path / 'panel.csv'}:gdp")
    run(*nested, "--before", "2003")
    economic = evidence.read_weights(tmp_path / "w.parquet").adjacency
    run(*options, "--kind", "inverse-distance")
    assert np.allclose(economic, evidence.read_weights(tmp_path / "w.parquet").adjacency)  # equal GDP before 2003
    assert "say before which year" in run(*nested, code=2).output
    assert "has no year before 1990" in run(*nested, "--before", "1990", code=2).output
    assert (
        "no column 'gdp2'" in run(*nested[:-1], f"{tmp_path / 'panel.csv'}:gdp2", "--before", "2003", code=2).output
    )
    for column, value in (("gdp", "1,200"), ("year", "2001年")):  # neither left out nor compared as text
        gdp.astype({column: str}).assign(**{column: value}).to_csv(tmp_path / "text.csv", index=False)
        text = (*nested[:-1], f"{tmp_path / 'text.csv'}:gdp", "--before", "2003")
        assert f"text.csv, column '{column}', holds '{value}' where a number is needed" in run(*text, code=2).output
    assert "PANEL:COLUMN" in run(*nested[:-1], "panel.csv", "--before", "2003", code=2).output
    gdp.groupby("city_code", as_index=False)["gdp"].mean().to_csv(tmp_path / "flat.csv", index=False)
    flat = (*nested[:-1], f"{tmp_path / 'flat.csv'}:gdp")
    run(*flat)
    assert "no years before 2003 can be chosen" in run(*flat, "--before", "2003", code=2).output


BAD = [
    (["moran", "{board}", "--weights", "{w}", "--column", "z"], "has no column 'z'"),
    (["moran", "{board}", "--weights", "{w}x", "--column", "y"], "by extension"),
    (["moran", "missing.csv", "--weights", "{w}", "--column", "y"], "no file missing.csv"),
    (["moran", "{board}", "--weights", "{line}", "--column", "y"], "25 of 25 cities are not in the weights"),
    (["moran", "{board}", "--weights", "{w}", "--column", "y", "--time", "yr"], "name its time column"),
    (["moran", "{board}", "--weights", "{w}", "--column", "y", "--out", "m.txt"], "by extension"),
    (["moran", "{board}", "--weights", "{w}", "--column", "y", "--alternative", "both"], "alternative is 'both'"),
    (
        ["spatial", "fit", "{board}", "--weights", "{w}", "--outcome", "y", "--x", "x", "--model", "sarr"],
        "mean 'sar'",
    ),
    (["spatial", "fit", "{board}", "--outcome", "y", "--x", "x"], "sdm needs weights"),
    (["spatial", "fit", "{board}", "--weights", "{w}", "--outcome", "y", "--x", "x", "--cluster", "x"], "not by 'x'"),
    (["spatial", "fit", "{gap}", "--weights", "{w}", "--outcome", "y", "--x", "x"], r"(11/2012, 12/2011)"),
    (["weights", "build", "--cities", "{line}", "--kind", "contiguity", "--out", "w.gal"], "no column 'city_code'"),
    (["weights", "build", "--cities", "{points}", "--kind", "contiguity", "--out", "w.gal"], "needs polygons"),
    (["weights", "build", "--cities", "{points}", "--kind", "knn", "--k", "9", "--out", "w.gal"], "k is 9"),
    (["weights", "build", "--cities", "{points}", "--kind", "knn", "--out", "w.shp"], "by extension"),
    (["weights", "describe", "{board}"], "square matrix"),
    (["moran", "{board}", "--weights", "{w}", "--column", "city_code"], "is a key of the panel"),
    (["moran", "{board}", "--weights", "{w}", "--column", "y", "--seed", "-1"], "--seed"),
    (["spatial", "fit", "{board}", "--weights", "{w}", "--outcome", "y", "--x", "x", "--seed", "-1"], "--seed"),
]


@pytest.mark.parametrize(("args", "sentence"), BAD)
def test_bad_input_ends_with_exit_code_2_one_sentence_and_no_file(tmp_path, monkeypatch, args, sentence):
    monkeypatch.chdir(tmp_path)
    board = pd.read_csv(WORKED / "board.csv", dtype={"city_code": str})
    board.drop(index=[1, 8]).to_csv(tmp_path / "gap.csv", index=False)
    places = {
        "board": WORKED / "board.csv", "w": WORKED / "board_w.csv", "line": WORKED / "line_w.csv",
        "points": WORKED / "line.csv", "gap": tmp_path / "gap.csv",
    }  # fmt: skip
    result = run(*[arg.format(**places) for arg in args], "--json", tmp_path / "r.json", code=2)
    assert sentence in result.output
    assert result.output.count("Error: ") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["gap.csv"]


@pytest.mark.real
@pytest.mark.parametrize("rook", [False, True])
def test_columbus_through_files(tmp_path, cases_dir, rook):
    case = cases_dir / "spatial" / "01_columbus"
    subprocess.run([sys.executable, case.parent / "lay_out.py", case, tmp_path], check=True)
    options = ("--kind", "contiguity", "--out", tmp_path / "w.gal") + (("--rook",) if rook else ())
    run("weights", "build", "--cities", tmp_path / "cities.geojson", *options)
    run(
        "moran", case / "columbus.csv", "--weights", tmp_path / "w.gal", "--row-standardise", "--column", "CRIME",
        "--id", "POLYID", "--json", tmp_path / "m.json",
    )  # fmt: skip
    row = json.loads((tmp_path / "m.json").read_text())["rows"][0]
    truth = json.loads((case / "expected.json").read_text())["results"]["weights"][
        "moran_rook" if rook else "moran_queen"
    ]
    assert (row["moran_i"], row["z_rand"]) == pytest.approx((truth["I"], truth["z"]), rel=1e-10)
    run(
        "spatial", "fit", case / "columbus.csv", "--weights", tmp_path / "W.csv", "--row-standardise", "--outcome",
        "CRIME", "--x", "INC,HOVAL", "--model", "sar", "--id", "POLYID", "--json", tmp_path / "f.json",
    )  # fmt: skip
    doc = json.loads((tmp_path / "f.json").read_text())
    assert doc["loglik"] == pytest.approx(-183.16828003635, abs=1e-6)
