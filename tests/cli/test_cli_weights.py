"""``gistools weights``: every kind through files, description with figures, conversion, bad input."""

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from click.testing import CliRunner

from gistools.cli.main import main
from gistools.study.weights import read_weights, write_weights
from gistools.weights import graph_from_matrix, weights_matrix


def run(*args, code=0):
    result = CliRunner().invoke(main, [str(a) for a in args])
    assert result.exit_code == code, result.output
    return result


@pytest.fixture
def cities(tmp_path):
    codes = [f"{r}{c}" for r in range(4) for c in range(4)]
    shapes = [shapely.box(100 + c, 30 + r, 101 + c, 31 + r) for r in range(4) for c in range(4)]
    frame = gpd.GeoDataFrame({"code": codes, "gdp": np.arange(1.0, 17)}, geometry=shapes, crs="EPSG:4326")
    frame.to_file(tmp_path / "cities.gpkg")
    pd.DataFrame({"city_code": codes, "gdp": np.arange(1.0, 17)}).to_csv(tmp_path / "gdp.csv", index=False)
    return tmp_path / "cities.gpkg"


KINDS = [
    (("knn", "--k", "3", "--symmetric", "max"), "symmetric, not row-standardised"),
    (("distance-band", "--cutoff-km", "120"), "symmetric, not row-standardised"),
    (("kernel", "--k", "4"), "row-standardised"),
    (("kernel", "--kernel", "gaussian", "--bandwidth-km", "90", "--cutoff-km", "400"), "row-standardised"),
    (("inverse-distance", "--spectral"), "symmetric, not row-standardised"),
    (("economic-nested", "--gdp", "{folder}/gdp.csv:gdp", "--geographic-share", "0.5"), "240 links (100.00 %"),
]


@pytest.mark.parametrize(("options", "said"), KINDS)
def test_kinds(tmp_path, cities, options, said):
    options = [str(option).format(folder=tmp_path) for option in options]
    build = ("weights", "build", "--cities", cities, "--code", "code", "--kind", *options)
    result = run(*build, "--out", tmp_path / "w.parquet", "--json", tmp_path / "w.json")
    assert said in result.output
    doc = json.loads((tmp_path / "w.json").read_text())
    assert {"units", "links", "components", "min_row_sum", "max_row_sum", "largest_component"} <= set(doc)
    assert read_weights(tmp_path / "w.parquet").n == 16


def test_description_with_figures_and_table(tmp_path, cities):
    w = tmp_path / "w.gal"
    run("weights", "build", "--cities", cities, "--code", "code", "--kind", "contiguity", "--rook", "--out", w)
    result = run(
        "weights", "describe", w, "--map", tmp_path / "map.png", "--cities", cities, "--code", "code",
        "--histogram", tmp_path / "h.svg", "--out", tmp_path / "n.csv",
    )  # fmt: skip
    assert "16 cities, 48 links" in result.output
    assert (tmp_path / "map.png").read_bytes()[1:4] == b"PNG"
    assert b"<svg" in (tmp_path / "h.svg").read_bytes()
    table = pd.read_csv(tmp_path / "n.csv", dtype={"city_code": str})
    assert table["neighbours"].value_counts().to_dict() == {2: 4, 3: 8, 4: 4}
    assert table["row_sum"].tolist() == table["neighbours"].tolist()


def test_conversion_of_form_and_format(tmp_path):
    W = np.array([[0, 2, 0], [1, 0, 1], [0, 0, 0.0]])
    write_weights(graph_from_matrix(W, "abc"), tmp_path / "w.csv")
    run(
        "weights",
        "convert",
        tmp_path / "w.csv",
        "--symmetric",
        "max",
        "--row-standardise",
        "--out",
        tmp_path / "w.gwt",
    )
    found = weights_matrix(read_weights(tmp_path / "w.gwt"), "abc").toarray()
    assert found == pytest.approx(np.array([[0, 1, 0], [2 / 3, 0, 1 / 3], [0, 1, 0]]))
    run("weights", "convert", tmp_path / "w.gwt", "--binary", "--out", tmp_path / "w.gal")
    assert read_weights(tmp_path / "w.gal").adjacency.sum() == 4
    result = run("weights", "convert", tmp_path / "w.gal", "--spectral", "--out", tmp_path / "w.parquet")
    assert "row sums: 0.942809 on average, 0.707107 to 1.41421" in result.output


def test_units_without_codes_take_those_of_a_table(tmp_path):
    pd.DataFrame({"id": ["010", "020", "030"] * 2, "year": [1, 1, 1, 2, 2, 2]}).to_csv(
        tmp_path / "p.csv", index=False
    )
    (tmp_path / "w.csv").write_text("V1,V2,V3\n0,5,0\n7,0,0\n0,9,0\n")
    (tmp_path / "w.gal").write_text("0 3 x y\n3 1\n2\n1 1\n2\n2 1\n1\n")
    options = ("--codes", tmp_path / "p.csv", "--code", "id", "--out", tmp_path / "o.parquet")
    run("weights", "convert", tmp_path / "w.csv", *options)
    truth = [[0, 5, 0], [7, 0, 0], [0, 9, 0]]
    codes = ["010", "020", "030"]
    assert weights_matrix(read_weights(tmp_path / "o.parquet"), codes).toarray().tolist() == truth
    run("weights", "convert", tmp_path / "w.gal", *options)  # row numbers, in another order
    linked = (np.array(truth) > 0).astype(float).tolist()
    assert weights_matrix(read_weights(tmp_path / "o.parquet"), codes).toarray().tolist() == linked
    write_weights(graph_from_matrix(np.array(truth), codes), tmp_path / "named.csv")
    assert (
        "names cities of p.csv already" in run("weights", "convert", tmp_path / "named.csv", *options, code=2).output
    )
    (tmp_path / "w.csv").write_text("V1,V2\n0,5\n7,0\n")
    assert (
        "has 2 units, but p.csv has 3 cities"
        in run("weights", "convert", tmp_path / "w.csv", *options, code=2).output
    )


BAD = [
    (("describe", "{w}", "--map", "m.png"), "give them with --cities"),
    (("describe", "{w}", "--map", "m.jpg", "--cities", "{cities}"), "written as .png, .svg"),
    (("describe", "{w}", "--out", "n.json"), "by extension"),
    (("convert", "{w}", "--out", "w.txt"), "by extension"),
    (("convert", "{w}", "--row-standardise", "--spectral", "--out", "w.gwt"), "not both"),
    (("convert", "{w}", "--symmetric", "twice", "--out", "w.gwt"), "symmetric is 'twice'"),
    (("build", "--cities", "{cities}", "--code", "code", "--kind", "kernel", "--out", "w.gwt"), "one bandwidth"),
    (
        ("build", "--cities", "{cities}", "--code", "code", "--kind", "distance-band", "--cutoff-km", "50", "--out",
         "w.gwt"),
        "km on nobody is alone",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("args", "sentence"), BAD)
def test_bad_input_ends_with_exit_code_2_one_sentence_and_no_file(tmp_path, cities, monkeypatch, args, sentence):
    write_weights(graph_from_matrix([[0, 1], [1, 0]], "ab"), tmp_path / "w.csv")
    before = sorted(path.name for path in tmp_path.iterdir())
    monkeypatch.chdir(tmp_path)
    result = run("weights", *[arg.format(w=tmp_path / "w.csv", cities=cities) for arg in args], code=2)
    assert sentence in result.output
    assert result.output.count("Error: ") == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == before
