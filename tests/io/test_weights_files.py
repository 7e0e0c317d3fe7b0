"""Weights files: round trips, files of other programs, and files that are wrong."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from libpysal import graph as pysal_graph

from gistools.errors import FileMissingError, InputError, WeightsError
from gistools.io.weights import read_adjacency, write_adjacency
from gistools.weights import adjacency_table, from_adjacency_table, graph_from_matrix, row_standardise, weights_matrix

CODES = ["010", "9", "北京", "x-4", "5"]


def example(*, weighted=True):
    """Five cities, asymmetric, the last without neighbours; the fourth is a neighbour but has none."""
    W = np.zeros((5, 5))
    W[0, 1], W[1, 0], W[0, 2], W[2, 3] = (1 / 3, 2.5, 1e-17, 123456.789) if weighted else (1, 1, 1, 1)
    return W, graph_from_matrix(W, CODES)


@pytest.mark.parametrize("extension", [".parquet", ".gwt", ".csv", ".gal"])
def test_round_trip_is_exact_and_keeps_islands(tmp_path, extension):
    W, w = example(weighted=extension != ".gal")
    write_adjacency(adjacency_table(w), tmp_path / f"w{extension}")
    back = from_adjacency_table(read_adjacency(tmp_path / f"w{extension}"))
    assert np.array_equal(weights_matrix(back, CODES).toarray(), W)
    assert set(back.isolates) == {"x-4", "5"}
    assert back.unique_ids.tolist() == CODES
    assert [path.name for path in tmp_path.iterdir()] == [f"w{extension}"]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 10_000), extension=st.sampled_from([".parquet", ".gwt", ".csv"]), n=st.integers(2, 12))
def test_any_weights_survive(tmp_path, seed, extension, n):
    rng = np.random.default_rng(seed)
    W = rng.uniform(size=(n, n)) ** 9 * (rng.uniform(size=(n, n)) < 0.4)
    np.fill_diagonal(W, 0)
    codes = [f"{c:04d}" for c in rng.permutation(9000)[:n]]
    write_adjacency(adjacency_table(graph_from_matrix(W, codes)), tmp_path / f"w{extension}")
    back = from_adjacency_table(read_adjacency(tmp_path / f"w{extension}"))
    assert np.array_equal(weights_matrix(back, codes).toarray(), W)


def test_libpysal_reads_ours_and_we_read_libpysals(tmp_path):
    rng = np.random.default_rng(1)
    W = (rng.uniform(size=(6, 6)) < 0.5).astype(float)
    np.fill_diagonal(W, 0)
    W[5] = 0
    w = graph_from_matrix(W, [f"c{i}" for i in range(6)])
    for extension, read in ((".gal", pysal_graph.read_gal), (".parquet", pysal_graph.read_parquet)):
        write_adjacency(adjacency_table(w), tmp_path / f"w{extension}")
        theirs = read(tmp_path / f"w{extension}")
        assert np.array_equal(weights_matrix(theirs, w.unique_ids).toarray(), W)
    write_adjacency(adjacency_table(row_standardise(w)), tmp_path / "w.gwt")
    theirs = pysal_graph.read_gwt(tmp_path / "w.gwt")
    assert weights_matrix(theirs, w.unique_ids).sum() == pytest.approx(5)
    for extension, write in ((".gal", w.to_gal), (".gwt", w.to_gwt), (".parquet", w.to_parquet)):
        write(tmp_path / f"theirs{extension}")
        ours = from_adjacency_table(read_adjacency(tmp_path / f"theirs{extension}"))
        assert np.array_equal(weights_matrix(ours, w.unique_ids).toarray(), W)


def test_gal_of_other_programs(tmp_path):
    path = tmp_path / "w.gal"
    path.write_text("3\n1 1\n2\n2 2\n1 3\n3 0\n\n")
    assert read_adjacency(path).values.tolist() == [
        ["1", "2", 1.0], ["2", "1", 1.0], ["2", "3", 1.0], ["3", "3", 0.0]
    ]  # fmt: skip
    path.write_text("\ufeff0 2 cities CODE\n01 1\n02\n02 1\n01", encoding="utf-8")
    assert read_adjacency(path)["focal"].tolist() == ["01", "02"]


def test_gwt_whose_islands_have_no_line(tmp_path):
    path = tmp_path / "w.gwt"
    path.write_text("0 4 cities CODE\n1 2 0.5\n2 1 0.25\n")
    with pytest.warns(UserWarning, match="says 4 cities, but links only 2"):
        assert read_adjacency(path)["weight"].tolist() == [0.5, 0.25]


def test_matrix_with_names_in_the_first_column_in_another_order(tmp_path):
    path = tmp_path / "w.csv"
    path.write_text("id,a,b,c\nc,7,8,0\na,0,2,3\nb,4,0,6\n")
    w = from_adjacency_table(read_adjacency(path))
    assert weights_matrix(w, "abc").toarray().tolist() == [[0, 2, 3], [4, 0, 6], [7, 8, 0]]


def test_a_matrix_is_written_with_its_codes_in_header_and_first_column(tmp_path):
    write_adjacency(adjacency_table(example()[1]), tmp_path / "w.csv")
    lines = (tmp_path / "w.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines[0] == "city_code,010,9,北京,x-4,5"
    assert lines[1] == f"010,0,{1 / 3!r},1e-17,0,0"
    assert [line.split(",")[0] for line in lines[1:]] == CODES


def test_links_as_csv(tmp_path):
    path = tmp_path / "w.csv"
    path.write_text("weight,focal,neighbor\n0.5,01,02\n2,02,03\n\n0,03,03\n")
    assert read_adjacency(path).values.tolist() == [["01", "02", 0.5], ["02", "03", 2.0], ["03", "03", 0.0]]
    path.write_text("weight,focal,neighbor\n0.5,01,02\nnear,02,03\n")
    with pytest.raises(WeightsError, match="line 3: weight, focal, neighbor must stand there, not 'near,02,03'"):
        read_adjacency(path)


def test_matrix_in_gb18030(tmp_path):
    path = tmp_path / "w.csv"
    path.write_bytes("北京,上海\n0,1\n1,0\n".encode("gb18030"))
    assert read_adjacency(path)["focal"].tolist() == ["北京", "上海"]


def test_gal_cannot_hold_weights(tmp_path):
    _, w = example()
    with pytest.raises(WeightsError, match=r"weights of 1 cities differ \(010\); write .parquet"):
        write_adjacency(adjacency_table(w), tmp_path / "w.gal")
    assert not list(tmp_path.iterdir())
    _, plain = example(weighted=False)
    with pytest.warns(UserWarning, match="row-standardise then"):
        write_adjacency(adjacency_table(row_standardise(plain)), tmp_path / "w.gal")
    assert set(read_adjacency(tmp_path / "w.gal")["weight"]) == {0.0, 1.0}


@pytest.mark.parametrize("extension", [".gal", ".gwt"])
def test_codes_with_blanks_need_another_format(tmp_path, extension):
    w = graph_from_matrix([[0, 1], [1, 0]], ["New York", "Boston"])
    with pytest.raises(WeightsError, match=r"'New York' holds one; write .parquet or .csv"):
        write_adjacency(adjacency_table(w), tmp_path / f"w{extension}")


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("w.gal", "", "first line must be the number of cities"),
        ("w.gal", "many\n1 0\n", "must be the number of cities, or '0 n name key', not 'many'"),
        ("w.gal", "2\n1 1\n2\n2 x\n", "after city 2 its number of neighbours must stand, not x"),
        ("w.gal", "2\n1 1\n2\n2 3\n1\n", "ends in the middle of city 2: 1 of 3"),
        ("w.gal", "3\n1 1\n2\n2 1\n1\n", "says 3 cities in its first line, but lists 2"),
        ("w.gwt", "0 2 a b\n1 2\n", "line 2: city, neighbour and weight must stand there, not '1 2'"),
        ("w.gwt", "0 2 a b\n1 2 near\n", "line 2"),
        ("w.gwt", "0 1 a b\n1 2 1.0\n", "says 1 cities in its first line, but names 2"),
        ("w.csv", "", "is empty"),
        ("w.csv", "a,b\n0,1\n", r"2 names in its header and 1 rows below, .* \(0\); a square"),
        ("w.csv", "a,b\n0,1\n1\n", "line 3 has not 2 cells"),
        ("w.csv", "a,b\n0,1\nnear,0\n", "line 3, column a: a number is needed, not 'near'"),
        ("w.csv", "a,\n0,1\n1,0\n", "column 2 has no code"),
        ("w.csv", "id,a,b\na,0,1\nc,1,0\n", r"does not name the cities of the header \(c\)"),
    ],
)
def test_wrong_files_are_named_with_their_line(tmp_path, name, text, sentence):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(WeightsError, match=sentence):
        read_adjacency(path)


def test_parquet_that_is_none(tmp_path):
    path = tmp_path / "w.parquet"
    path.write_bytes(b"PAR1 cut off")
    with pytest.raises(WeightsError, match="cannot be read as parquet"):
        read_adjacency(path)
    pd.DataFrame({"a": [1]}).to_parquet(path)
    with pytest.raises(InputError, match="has no column 'focal'"):
        read_adjacency(path)
    pd.DataFrame({"focal": ["a"], "neighbor": ["b"], "weight": ["x"]}).to_parquet(path)
    with pytest.raises(WeightsError, match="'weight', does not hold numbers"):
        read_adjacency(path)
    pd.DataFrame({"focal": [], "neighbor": [], "weight": np.array([])}).to_parquet(path)
    with pytest.raises(WeightsError, match="holds no cities"):
        read_adjacency(path)


def test_missing_files_and_unknown_extensions(tmp_path):
    (tmp_path / "weights.gal").write_text("0\n")
    with pytest.raises(FileMissingError, match=r"did you mean 'weights.gal'"):
        read_adjacency(tmp_path / "weight.gal")
    with pytest.raises(InputError, match=r"by extension"):
        read_adjacency(tmp_path / "w.mat")
    with pytest.raises(InputError, match=r"by extension"):
        write_adjacency(adjacency_table(example()[1]), tmp_path / "w.swm")
