"""Spatial weights: neighbours by definition, geodesic distances, order, islands, conversions."""

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from libpysal.graph import Graph
from libpysal.weights import W as PysalW
from pyproj import Geod

from gistools.errors import BoundaryError, CrsError, InputError, TableError, WeightsError
from gistools.weights import (
    adjacency_table,
    align_weights,
    as_graph,
    build_weights,
    city_points,
    contiguity_weights,
    economic_nested_weights,
    from_adjacency_table,
    graph_from_matrix,
    inverse_distance_weights,
    is_row_standardised,
    knn_weights,
    row_standardise,
    summarise_weights,
    weights_matrix,
)

GEOD = Geod(ellps="WGS84")


def squares(rows, columns, *, size=1.0, gap=0.0, crs="EPSG:4326", west=100.0, south=30.0):
    """A chessboard of cities named r0c0, r0c1, ..."""
    shapes, codes = [], []
    for r in range(rows):
        for c in range(columns):
            x, y = west + c * size, south + r * size
            shapes.append(shapely.box(x + gap / 2, y + gap / 2, x + size - gap / 2, y + size - gap / 2))
            codes.append(f"r{r}c{c}")
    return gpd.GeoDataFrame({"city_code": codes}, geometry=shapes, crs=crs)


def points(n, seed=0, *, west=75, east=130, south=20, north=50):
    rng = np.random.default_rng(seed)
    codes = [f"{c:06d}" for c in rng.permutation(n) + 1]
    return pd.DataFrame({"city_code": codes, "lon": rng.uniform(west, east, n), "lat": rng.uniform(south, north, n)})


def distances_km(table):
    n = len(table)
    lon, lat = table["lon"].to_numpy(), table["lat"].to_numpy()
    i, j = np.divmod(np.arange(n * n), n)
    return GEOD.inv(lon[i], lat[i], lon[j], lat[j])[2].reshape(n, n) / 1000


def dense(w, codes):
    return weights_matrix(w, codes).toarray()


def neighbours(w, code):
    return set(w[code].index) if w.cardinalities[code] else set()


# Contiguity


def test_queen_and_rook_of_a_chessboard():
    board = squares(3, 3)
    queen, rook = contiguity_weights(board), contiguity_weights(board, rook=True)
    assert neighbours(queen, "r1c1") == set(board["city_code"]) - {"r1c1"}
    assert neighbours(rook, "r1c1") == {"r0c1", "r1c0", "r1c2", "r2c1"}
    assert neighbours(queen, "r0c0") == {"r0c1", "r1c0", "r1c1"}
    assert queen.unique_ids.tolist() == board["city_code"].tolist()


@pytest.mark.real
@pytest.mark.parametrize(("rook", "key"), [(False, "queen_neighbours"), (True, "rook_neighbours")])
@pytest.mark.parametrize("tolerance_m", [0.0, 1.0])
def test_columbus_neighbours(cases_dir, rook, key, tolerance_m):
    folder = cases_dir / "spatial" / "01_columbus"
    cities = gpd.read_file(folder / "columbus_polygons.geojson")
    truth = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["results"]["weights"][key]
    w = contiguity_weights(cities, rook=rook, tolerance_m=tolerance_m, code="POLYID")
    assert {int(city): {int(other) for other in neighbours(w, city)} for city in w.unique_ids} == {
        k: set(near) for k, near in enumerate(truth, 1)
    }


def test_imperfect_borders_touch_within_a_tolerance():
    # Gaps of 0.0002 degrees are some 19 m from east to west here, and 22 m from south to north.
    board = squares(3, 3, gap=0.0002)
    with pytest.raises(WeightsError, match=r"9 of 9 cities have no neighbour.*tolerance"):
        contiguity_weights(board, tolerance_m=15)
    wide = contiguity_weights(board, tolerance_m=40)
    exact = contiguity_weights(squares(3, 3))
    assert wide.adjacency.to_dict() == exact.adjacency.to_dict()
    rook = contiguity_weights(board, rook=True, tolerance_m=40)
    assert rook.adjacency.to_dict() == contiguity_weights(squares(3, 3), rook=True).adjacency.to_dict()


def test_overlapping_polygons_are_neighbours_of_both_kinds():
    pair = gpd.GeoDataFrame(
        {"city_code": ["a", "b"]}, geometry=[shapely.box(0, 0, 1, 1), shapely.box(0.5, 0.5, 2, 2)], crs="EPSG:4326"
    )
    assert contiguity_weights(pair, rook=True).n_edges == 2


def test_the_projection_of_polygons_does_not_matter():
    board = squares(4, 5, gap=0.0002)
    degrees = contiguity_weights(board, tolerance_m=40)
    metres = contiguity_weights(board.to_crs("EPSG:32647"), tolerance_m=40)
    assert degrees.adjacency.to_dict() == metres.adjacency.to_dict()
    near = [
        knn_weights(table, k=3).adjacency.to_dict() for table in (squares(4, 5), squares(4, 5).to_crs("ESRI:54009"))
    ]
    assert near[0] == near[1]


# Distances


@settings(max_examples=10, deadline=None)
@given(seed=st.integers(0, 1000), k=st.integers(1, 8), south=st.sampled_from([-80, -5, 60]))
def test_nearest_neighbours_are_those_of_all_geodesics(seed, k, south):
    table = points(40, seed, west=170, east=190, south=south, north=south + 15)  # across the date line
    km = distances_km(table) + np.diag(np.full(40, np.inf))
    truth = np.zeros((40, 40))
    np.put_along_axis(truth, np.argsort(km, axis=1, kind="stable")[:, :k], 1.0, axis=1)
    assert np.array_equal(dense(knn_weights(table, k=k), table["city_code"]), truth)


@pytest.mark.parametrize("cutoff", [None, 900.0])
@pytest.mark.parametrize("exponent", [1.0, 2.5])
def test_inverse_distance_by_definition(cutoff, exponent):
    table = points(50, 3)
    km = distances_km(table) + np.diag(np.full(50, np.inf))
    truth = np.where(km <= (cutoff or 1e9), km**-exponent, 0)
    w = inverse_distance_weights(
        table, exponent=exponent, cutoff_km=cutoff, row_standardise=False, islands="keep" if cutoff else "error"
    )
    assert dense(w, table["city_code"]) == pytest.approx(truth, rel=1e-12)
    standard = inverse_distance_weights(table, exponent=exponent)
    assert is_row_standardised(weights_matrix(standard, table["city_code"]))


def test_distances_are_geodesic_not_degrees():
    """At 60 degrees north a degree of longitude is half one of latitude."""
    table = pd.DataFrame({"city_code": ["a", "east", "north"], "lon": [10.0, 11.5, 10.0], "lat": [60.0, 60.0, 61.0]})
    assert neighbours(knn_weights(table, k=1), "a") == {"east"}
    w = inverse_distance_weights(table, row_standardise=False)
    assert 1 / w["a"]["north"] == pytest.approx(111.42, abs=0.01)


def test_economic_nested_by_definition():
    table = points(20, 4)
    rng = np.random.default_rng(1)
    gdp = pd.Series(rng.uniform(10, 1000, 20), index=table["city_code"])
    km = distances_km(table) + np.diag(np.full(20, np.inf))
    truth = (1 / km) @ np.diag(gdp / gdp.mean())
    truth /= truth.sum(axis=1, keepdims=True)
    assert dense(economic_nested_weights(table, gdp), table["city_code"]) == pytest.approx(truth, rel=1e-12)
    years = pd.concat([gdp * 0.5, gdp * 1.5]).sample(frac=1, random_state=1)
    years.index = years.index.astype(int)  # a panel may hold its codes as numbers
    same = economic_nested_weights(table.assign(city_code=table["city_code"].astype(int)), years)
    assert dense(same, table["city_code"].astype(int)) == pytest.approx(truth, rel=1e-12)


def test_points_of_polygons_lie_inside_and_columns_can_be_chosen():
    u_shape = shapely.Polygon([(0, 0), (3, 0), (3, 3), (2, 3), (2, 1), (1, 1), (1, 3), (0, 3)])
    cities = gpd.GeoDataFrame({"city_code": [7]}, geometry=[u_shape], crs="EPSG:4326")
    point = city_points(cities).loc["7"]
    assert u_shape.contains(shapely.Point(point["lon"], point["lat"]))
    table = pd.DataFrame({"id": ["1"], "cbd_lon": [116.0], "cbd_lat": [40.0], "x": [1.0], "y": [2.0]})
    assert city_points(table, code="id").loc["1"].tolist() == [116.0, 40.0]
    assert city_points(table, code="id", lon="x", lat="y").loc["1"].tolist() == [1.0, 2.0]


def test_rows_of_a_panel_that_repeat_a_point_count_once():
    panel = pd.DataFrame({"city_code": ["a", "a", "b"], "cbd_lon": [1.0, 1.0, 2.0], "cbd_lat": 3.0})
    assert city_points(panel).index.tolist() == ["a", "b"]
    panel.loc[1, "cbd_lon"] = 1.5
    with pytest.raises(TableError, match="more than one point for city a"):
        city_points(panel)


# Islands


@pytest.fixture
def with_island():
    board = squares(1, 3)
    far = squares(1, 1, west=104.0)
    far["city_code"] = "far"
    return pd.concat([board, far], ignore_index=True)


def test_islands_are_named_refused_kept_or_joined(with_island):
    with pytest.raises(WeightsError, match="1 of 4 cities have no neighbour: far"):
        contiguity_weights(with_island)
    with pytest.warns(UserWarning, match="1 cities have no neighbour and keep rows of zeros: far"):
        kept = contiguity_weights(with_island, islands="keep")
    assert kept.isolates.tolist() == ["far"]
    assert dense(kept, with_island["city_code"])[3].tolist() == [0, 0, 0, 0]
    with pytest.warns(UserWarning, match="joined to the nearest: far to r0c2"):
        joined = contiguity_weights(with_island, islands="nearest")
    assert neighbours(joined, "far") == {"r0c2"}
    assert neighbours(joined, "r0c2") == {"r0c1", "far"}


def test_islands_of_a_cutoff_are_joined_by_the_rule_of_the_weights(with_island):
    with pytest.warns(UserWarning, match="far to r0c2"):
        w = inverse_distance_weights(with_island, exponent=2, cutoff_km=120, islands="nearest", row_standardise=False)
    whole = inverse_distance_weights(with_island, exponent=2, row_standardise=False)
    assert w["far"]["r0c2"] == pytest.approx(whole["far"]["r0c2"], rel=1e-12)
    assert w["r0c2"]["far"] == pytest.approx(whole["r0c2"]["far"], rel=1e-12)
    gdp = pd.Series({"r0c0": 1.0, "r0c1": 2.0, "r0c2": 3.0, "far": 4.0})
    with pytest.warns(UserWarning, match="far to r0c2"):
        nested = economic_nested_weights(with_island, gdp, cutoff_km=120, islands="nearest", row_standardise=False)
    full = economic_nested_weights(with_island, gdp, row_standardise=False)
    assert nested["far"]["r0c2"] == pytest.approx(full["far"]["r0c2"], rel=1e-12)
    assert nested["r0c2"]["far"] == pytest.approx(full["r0c2"]["far"], rel=1e-12)


# Order, conversion, tables


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 1000))
def test_order_follows_the_codes_asked_for(seed):
    rng = np.random.default_rng(seed)
    W = rng.uniform(size=(9, 9)) * (rng.uniform(size=(9, 9)) < 0.4)
    np.fill_diagonal(W, 0)
    codes = rng.permutation([f"{c:03d}" for c in range(9)])
    w = graph_from_matrix(W, codes)
    order = rng.permutation(9)
    assert np.array_equal(dense(w, codes[order]), W[np.ix_(order, order)])
    aligned = align_weights(w, codes[order])
    assert aligned.unique_ids.tolist() == codes[order].tolist()
    assert np.array_equal(aligned.sparse.toarray(), W[np.ix_(order, order)])
    again = from_adjacency_table(adjacency_table(w))
    assert again.unique_ids.tolist() == codes.tolist()
    assert np.array_equal(dense(again, codes), W)


def test_every_difference_is_named():
    w = graph_from_matrix(np.ones((3, 3)) - np.eye(3), ["a", "b", "c"])
    with pytest.raises(WeightsError, match=r"2 of 3 cities are not in the weights \(d, e\); 2 of 3 .* \(b, c\)"):
        weights_matrix(w, ["a", "d", "e"])
    with pytest.raises(WeightsError, match="name a more than once"):
        weights_matrix(w, ["a", "b", "a"])
    numbered = graph_from_matrix(np.ones((3, 3)) - np.eye(3), range(3))
    with pytest.raises(WeightsError, match="keyed by row numbers"):
        weights_matrix(numbered, ["110000", "120000", "130000"])
    with pytest.raises(WeightsError, match="leading zeros"):
        weights_matrix(graph_from_matrix([[0, 1], [1, 0]], ["01", "02"]), [1, 2])


def test_users_weights_are_converted():
    old = PysalW({1: [2], 2: [1, 3], 3: []}, {1: [0.5], 2: [1.0, 2.0], 3: []}, silence_warnings=True)
    w = as_graph(old)
    assert w.unique_ids.tolist() == ["1", "2", "3"]
    assert dense(w, [1, 2, 3]).tolist() == [[0, 0.5, 0], [1, 0, 2], [0, 0, 0]]
    assert w.isolates.tolist() == ["3"]
    user = Graph.from_weights_dict({20: {10: 1.0}, 10: {20: 3.0}})
    assert dense(user, ["10", "20"]).tolist() == [[0, 3], [1, 0]]
    with pytest.raises(WeightsError, match="must be a libpysal Graph or W, not ndarray"):
        as_graph(np.eye(3))


def test_our_graphs_work_in_libpysal():
    w = knn_weights(points(15, 2), k=3)
    other = Graph.from_sparse(w.sparse, ids=w.unique_ids)
    assert w.equals(other) or np.array_equal(w.sparse.toarray(), other.sparse.toarray())
    assert w.n_components >= 1
    assert np.allclose(w.lag(np.arange(15.0)), w.sparse @ np.arange(15.0))
    assert as_graph(w.to_W()).adjacency.to_dict() == w.adjacency.to_dict()
    part = w.subgraph(w.unique_ids[4:9])
    assert np.array_equal(dense(part, w.unique_ids[4:9]), dense(w, w.unique_ids)[4:9, 4:9])


@pytest.mark.parametrize(
    ("matrix", "codes", "sentence"),
    [
        ([[0, -1], [1, 0]], "ab", "a to b is -1"),
        ([[0, np.nan], [1, 0]], "ab", "a to b is nan"),
        ([[1, 1], [1, 0]], "ab", "diagonal is not zero for a"),
        ([[0, 1], [1, 0]], "aa", "name a more than once"),
        ([[0, 1], [1, 0]], "abc", "shape .* 3 codes"),
    ],
)
def test_what_weights_cannot_be(matrix, codes, sentence):
    with pytest.raises(WeightsError, match=sentence):
        graph_from_matrix(matrix, codes)


def test_tables_of_links():
    table = pd.DataFrame({"focal": [2, 2, 1], "neighbor": [1, 3, 2], "weight": [1, 2, 3]})
    w = from_adjacency_table(table)
    assert w.unique_ids.tolist() == ["2", "1", "3"]
    assert w.isolates.tolist() == ["3"]
    with pytest.raises(WeightsError, match="links stand twice: 2 to 1"):
        from_adjacency_table(pd.concat([table, table.iloc[:1]]))
    with pytest.raises(WeightsError, match="without a city or a weight"):
        from_adjacency_table(table.assign(weight=[1, np.nan, 2]))
    with pytest.raises(TableError, match="no column 'weight'"):
        from_adjacency_table(table.drop(columns="weight"))


def test_row_standardisation_keeps_islands():
    w = graph_from_matrix([[0, 1, 3], [2, 0, 0], [0, 0, 0]], "abc")
    assert dense(row_standardise(w), "abc").tolist() == [[0, 0.25, 0.75], [1, 0, 0], [0, 0, 0]]
    assert not is_row_standardised(weights_matrix(row_standardise(w), "abc"))


def test_summary():
    W = np.zeros((5, 5))
    W[0, 1] = W[1, 0] = W[1, 2] = 1
    W[3, 4] = 2
    seen = summarise_weights(graph_from_matrix(W, "abcde"))
    assert (seen.units, seen.links, seen.min_neighbours, seen.max_neighbours) == (5, 4, 0, 2)
    assert seen.mean_neighbours == pytest.approx(0.8)
    assert (seen.islands, seen.components, seen.density) == (("c", "e"), 2, 0.2)
    assert (seen.symmetric, seen.row_standardised) == (False, False)
    assert "2 (c, e)" in seen.summary()
    assert seen.to_dict()["links"] == 4
    assert seen.to_frame()["islands"].tolist() == ["c e"]


# Choices and bad input


def test_kinds_by_name():
    board = squares(2, 3)
    gdp = pd.Series(1.0, index=board["city_code"])
    assert build_weights(board, "contiguity", rook=True).n_edges == 14
    assert build_weights(board, "knn", k=2).n_edges == 12
    assert is_row_standardised(build_weights(board, "inverse-distance").sparse)
    assert not is_row_standardised(build_weights(board, "inverse-distance", row_standardise=False).sparse)
    assert is_row_standardised(build_weights(board, "knn", k=2, row_standardise=True).sparse)
    equal = build_weights(board, "economic-nested", gdp=gdp, exponent=2)
    assert equal.sparse.toarray() == pytest.approx(
        build_weights(board, "inverse-distance", exponent=2).sparse.toarray()
    )


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        ("queen", {}, "kind is 'queen'"),
        ("contiguity", {"k": 4}, "k belongs to knn and kernel weights, not to contiguity"),
        ("knn", {"rook": True}, "rook belongs to contiguity"),
        (
            "knn",
            {"cutoff_km": 10.0},
            "cutoff_km belongs to distance-band, inverse-distance, kernel and economic-nested",
        ),
        ("inverse-distance", {"gdp": pd.Series({"r0c0": 1.0})}, "gdp belongs to economic-nested"),
        ("inverse-distance", {"exponent": 0.0}, "exponent is 0"),
        ("inverse-distance", {"cutoff_km": -1.0}, "cutoff_km is -1"),
        ("inverse-distance", {"islands": "drop"}, "islands is 'drop'"),
        ("economic-nested", {}, "need the GDP"),
        ("economic-nested", {"gdp": pd.Series({"r0c0": 1.0})}, "GDP is missing or not above zero for 5 of 6 cities"),
        ("knn", {"k": 6}, "k is 6"),
        ("contiguity", {"tolerance_m": -1.0}, "tolerance_m is -1"),
    ],
)
def test_options_that_do_not_fit_are_refused(kind, options, sentence):
    with pytest.raises(InputError, match=sentence):
        build_weights(squares(2, 3), kind, **options)


def test_bad_cities():
    board = squares(2, 2)
    with pytest.raises(InputError, match="contiguity needs polygons"):
        build_weights(points(5), "contiguity")
    with pytest.raises(BoundaryError, match="more than one polygon for city r0c0"):
        contiguity_weights(board.assign(city_code="r0c0"))
    with pytest.raises(TableError, match="no column 'code'"):
        contiguity_weights(board, code="code")
    with pytest.raises(BoundaryError, match="without a geometry: r0c0"):
        contiguity_weights(board.set_geometry([shapely.Polygon(), *board.geometry[1:]], crs=board.crs))
    bare = board.set_crs(None, allow_override=True)
    assert contiguity_weights(bare).n_edges == 12  # touching needs no CRS, distances do
    for build in (lambda: knn_weights(bare, k=1), lambda: contiguity_weights(bare, tolerance_m=5)):
        with pytest.raises(CrsError, match="no CRS"):
            build()


def test_bad_points():
    table = points(5)
    with pytest.raises(TableError, match="no columns lon and lat"):
        knn_weights(table.rename(columns={"lon": "x"}), k=1)
    for nameless in (None, " "):
        with pytest.raises(TableError, match="1 rows of the cities have no city_code"):
            knn_weights(table.assign(city_code=[nameless, *table["city_code"][1:]]), k=1)
    with pytest.raises(TableError, match="without coordinates: 00000"):
        knn_weights(table.assign(lat=np.nan), k=1)
    with pytest.raises(TableError, match="coordinates projected"):
        knn_weights(table.assign(lat=4_500_000.0), k=1)
    same = table.assign(lon=100.0, lat=[30.0, 30.0, 31.0, 32.0, 33.0])
    with pytest.raises(WeightsError, match=r"at the same point have no inverse distance: 0.* and 0"):
        inverse_distance_weights(same)
    assert knn_weights(same, k=1).n_edges == 5
