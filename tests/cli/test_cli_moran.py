"""``gistools moran`` and ``spatial spillovers``: several columns and weights, tables, figures, bad input."""

import json
import re
import shutil
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from click.testing import CliRunner

from gistools.cli.main import main
from gistools.cli.spatial_spillovers import spillovers
from gistools.spatial.moran import moran_by_year
from gistools.study.weights import read_weights, write_weights
from gistools.weights import contiguity_weights, knn_weights

SIDE, YEARS = 6, range(2010, 2014)


def run(*args, code=0, command=main):
    result = CliRunner().invoke(command, [str(a) for a in args])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture(scope="module")
def country(tmp_path_factory):
    folder = tmp_path_factory.mktemp("country")
    codes = [f"{r}{c}" for r in range(SIDE) for c in range(SIDE)]
    shapes = [shapely.box(100 + c, 30 + r, 101 + c, 31 + r) for r in range(SIDE) for c in range(SIDE)]
    cities = gpd.GeoDataFrame({"city_code": codes}, geometry=shapes, crs="EPSG:4326")
    cities.to_file(folder / "cities.gpkg")
    rook = contiguity_weights(cities, rook=True, row_standardise=True)
    write_weights(rook, folder / "rook.parquet")
    write_weights(knn_weights(cities, k=5), folder / "near.gal")
    rng = np.random.default_rng(1)
    n = len(codes)
    W = rook.sparse.toarray()
    d = np.zeros((n, len(YEARS)))
    d[:6, 2:] = 1
    slope = np.repeat(np.arange(SIDE), SIDE)[:, None] * 0.5
    y = np.linalg.solve(np.eye(n) - 0.3 * W, d + slope + 0.3 * rng.normal(size=d.shape))
    panel = pd.DataFrame({"city_code": np.repeat(codes, len(YEARS)), "year": np.tile(list(YEARS), n)})
    panel = panel.assign(y=y.ravel(), x=rng.normal(size=y.size), d=d.ravel())
    panel.to_csv(folder / "panel.csv", index=False)
    return folder


def test_several_columns_and_weights_with_the_table_of_papers(tmp_path, country):
    run(
        "moran", country / "panel.csv", "--weights", country / "rook.parquet", "--weights", country / "near.gal",
        "--column", "y,x", "--permutations", "99", "--table", tmp_path / "m.md", "--out", tmp_path / "m.csv",
        "--json", tmp_path / "m.json",
    )  # fmt: skip
    rows = json.loads((tmp_path / "m.json").read_text())["rows"]
    assert len(rows) == 2 * 2 * len(YEARS)
    panel = pd.read_csv(country / "panel.csv", dtype={"city_code": str}).set_index(["city_code", "year"])
    alone = moran_by_year(panel["y"], read_weights(country / "near.gal"), permutations=99).rows
    mine = [row for row in rows if (row["weights"], row["column"]) == ("near", "y")]
    assert [row["moran_i"] for row in mine] == pytest.approx(alone["moran_i"].tolist())
    assert [row["p_sim"] for row in mine] == alone["p_sim"].tolist()
    head, _, *body = (tmp_path / "m.md").read_text(encoding="utf-8").splitlines()[: 2 + len(YEARS)]
    names = [cell.strip() for cell in head.strip("|").split("|")]
    assert names[:2] == ["year", "y, rook I"]
    assert [name for name in names if name.endswith(" I")] == ["y, rook I", "x, rook I", "y, near I", "x, near I"]
    cells = [cell.strip() for cell in body[0].strip("|").split("|")]
    assert cells[0] == "2010"
    assert float(cells[names.index("y, near I")]) == pytest.approx(mine[0]["moran_i"], abs=5e-4)
    assert list(pd.read_csv(tmp_path / "m.csv").columns[:4]) == ["weights", "column", "year", "n"]


def test_figures_and_local_table(tmp_path, country):
    result = run(
        "moran", country / "panel.csv", "--weights", country / "rook.parquet", "--column", "y", "--local",
        "--permutations", "999", "--map", tmp_path / "c.png", "--cities", country / "cities.gpkg",
        "--scatter", tmp_path / "s.png", "--year", "2012", "--out", tmp_path / "l.csv",
    )  # fmt: skip
    assert "local clusters at a false-discovery rate of 0.05" in result.output
    assert {path.name for path in tmp_path.iterdir()} == {"c.png", "s.png", "l.csv"}
    local = pd.read_csv(tmp_path / "l.csv", dtype={"city_code": str})
    assert {"local_i", "z", "p_rand", "p_sim", "p_fdr", "quadrant", "cluster"} <= set(local.columns)
    assert {"HH", "LL"} <= set(local["cluster"])
    run(
        "moran", country / "panel.csv", "--weights", country / "rook.parquet", "--column", "y", "--permutations", "0",
        "--map", tmp_path / "c.png", "--cities", country / "cities.gpkg", "--out", tmp_path / "g.csv",
    )  # fmt: skip
    assert "moran_i" in pd.read_csv(tmp_path / "g.csv").columns  # a map alone leaves the table global


def test_bivariate_and_residuals(tmp_path, country):
    options = ("--weights", country / "rook.parquet", "--permutations", "99", "--json", tmp_path / "m.json")
    result = run("moran", country / "panel.csv", *options, "--column", "y", "--lagged", "x")
    assert "Moran's I of y with x among the neighbours" in result.output
    doc = json.loads((tmp_path / "m.json").read_text())
    assert (len(doc["rows"]), doc["options"]["lagged"], doc["rows"][0]["p_norm"]) == (4, "x", None)
    result = run(
        "moran", country / "panel.csv", *options, "--column", "x", "--residuals", "--table", tmp_path / "t.tex"
    )
    doc = json.loads((tmp_path / "m.json").read_text())
    assert (len(doc["rows"]), doc["options"]["years"]) == (1, 4)
    assert doc["rows"][0]["z_rand"] is not None
    assert "cities change places with their whole histories" in result.output
    assert "all years" in (tmp_path / "t.tex").read_text()


def test_a_scatter_plot_leaves_out_cities_without_a_value(tmp_path, country):
    panel = pd.read_csv(country / "panel.csv", dtype={"city_code": str})
    panel.loc[panel["city_code"] == "00", "y"] = np.nan
    panel.to_csv(tmp_path / "p.csv", index=False)
    weights = ("--weights", country / "rook.parquet", "--permutations", "0")
    run("moran", tmp_path / "p.csv", *weights, "--column", "y", "--scatter", tmp_path / "s.svg")
    assert b"<svg" in (tmp_path / "s.svg").read_bytes()


def test_spillovers_of_a_treatment(tmp_path, country):
    result = run(
        country / "panel.csv", "--weights", country / "rook.parquet", "--outcome", "y", "--treatment", "d",
        "--x", "x", "--model", "sar", "--out", tmp_path / "s.csv", "--map", tmp_path / "s.png", "--cities",
        country / "cities.gpkg", "--json", tmp_path / "s.json", command=spillovers,
    )  # fmt: skip
    assert "effects of d by year" in result.output
    doc = json.loads((tmp_path / "s.json").read_text())
    assert [row["treated"] for row in doc["years"]] == [0, 0, 6, 6]
    assert doc["fit"]["model"] == "sar"
    table = pd.read_csv(tmp_path / "s.csv", dtype={"city_code": str})
    last = table[table["year"] == 2013].set_index("city_code")
    assert last["received"].idxmax() in [f"0{c}" for c in range(SIDE)]
    row = last["received"].to_numpy().reshape(SIDE, SIDE).mean(axis=1)
    assert (np.diff(row[1:]) < 0).all()  # the farther from the treated, the less
    assert doc["years"][3]["largest"] == pytest.approx(last["received"].max())
    assert (tmp_path / "s.png").exists()


def test_the_page_on_spillovers_prints_what_it_says(tmp_path, monkeypatch):
    methods = Path(__file__).parents[2] / "docs" / "methods"
    shutil.copytree(methods / "worked", tmp_path / "docs" / "methods" / "worked")
    monkeypatch.chdir(tmp_path)
    text = (methods / "spillovers.md").read_text(encoding="utf-8")
    line, _, output = re.search(r"```console\n\$ (.*?)```", text, re.DOTALL)[1].partition("\n")
    result = run(*line.split()[3:], command=spillovers)
    assert result.output.rstrip() == output.rstrip()


BAD = [
    (("moran", "--column", "y", "--map", "c.png"), "give them with --cities"),
    (("moran", "--column", "y,x", "--scatter", "s.png"), "one column under one weights"),
    (("moran", "--column", "y", "--lagged", "x", "--scatter", "s.png"), "leave out --lagged"),
    (("moran", "--column", "y", "--scatter", "s.png", "--year", "1999"), "no year 1999; it has 2010"),
    (("moran", "--column", "y", "--table", "t.docx2"), "by extension"),
    (("moran", "--column", "y", "--residuals", "--local"), "one statistic over all years"),
    (("moran", "--column", "y", "--lagged", "zz"), "no column 'zz'"),
    (("spillovers", "--outcome", "y", "--treatment", "d", "--model", "sem"), "those of sar, slx or sdm"),
    (("spillovers", "--outcome", "y", "--treatment", "d", "--map", "s.png"), "give them with --cities"),
    (("spillovers", "--outcome", "y", "--treatment", "d", "--year", "1999"), "no year 1999"),
]


@pytest.mark.parametrize(("args", "sentence"), BAD)
def test_bad_input_ends_with_exit_code_2_one_sentence_and_no_file(tmp_path, country, monkeypatch, args, sentence):
    monkeypatch.chdir(tmp_path)
    verb, *options = args
    given = (country / "panel.csv", "--weights", country / "rook.parquet", *options)
    result = run(*given, command=spillovers, code=2) if verb == "spillovers" else run(verb, *given, code=2)
    assert sentence in result.output
    assert result.output.count("Error: ") == 1
    assert not list(tmp_path.iterdir())
