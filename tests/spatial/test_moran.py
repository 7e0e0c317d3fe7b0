"""Moran's I against published answers, esda, exact enumeration, and by its invariances."""

import itertools
import json

import esda
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from libpysal.graph import Graph

from gistools.errors import InputError, PanelError, TableError, WeightsError
from gistools.spatial.moran import moran_by_year
from gistools.weights import graph_from_matrix, row_standardise


@pytest.fixture
def columbus(cases_dir):
    folder = cases_dir / "spatial" / "01_columbus"
    table = pd.read_csv(folder / "columbus.csv").set_index("POLYID")
    results = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["results"]
    w = graph_from_matrix(np.loadtxt(folder / "W_binary.csv", delimiter=",", skiprows=1), table.index)
    return table, w, results


def lists_to_w(lists):
    matrix = np.zeros((len(lists), len(lists)))
    for i, neighbours in enumerate(lists):
        matrix[i, np.array(neighbours) - 1] = 1
    return graph_from_matrix(matrix, range(1, len(lists) + 1))


@pytest.mark.real
def test_global_moments(columbus):
    table, w, results = columbus
    row = moran_by_year(table["CRIME"], w, row_standardise=True).rows.iloc[0]
    for name, truth in (("rand", results["moran_CRIME_randomisation"]), ("norm", results["moran_CRIME_normality"])):
        assert row["moran_i"] == pytest.approx(truth["I"], rel=1e-11)
        assert row["expected"] == pytest.approx(truth["EI"], rel=1e-11)
        assert row[f"variance_{name}"] == pytest.approx(truth["VI"], rel=1e-10)
        assert row[f"z_{name}"] == pytest.approx(truth["z"], rel=1e-10)
        assert row[f"p_{name}"] == pytest.approx(2 * truth["p_greater"], rel=1e-8)
    one_sided = moran_by_year(table["CRIME"], w, row_standardise=True, alternative="greater").rows.iloc[0]
    assert one_sided["p_rand"] == pytest.approx(results["moran_CRIME_randomisation"]["p_greater"], rel=1e-8)


@pytest.mark.real
@pytest.mark.parametrize(
    ("key", "lists"), [("queen", "queen_neighbours"), ("rook", "rook_neighbours"), ("knn4", "knn4")]
)
def test_global_under_other_weights(columbus, key, lists):
    table, _, results = columbus
    truth = results["weights"][f"moran_{key}"]
    row = moran_by_year(table["CRIME"], lists_to_w(results["weights"][lists]), row_standardise=True).rows.iloc[0]
    assert (row["moran_i"], row["z_rand"]) == pytest.approx((truth["I"], truth["z"]), rel=1e-10)


@pytest.mark.real
def test_local_equals_spdep(columbus):
    table, w, results = columbus
    truth = results["localmoran_CRIME"]
    local = moran_by_year(table["CRIME"], w, row_standardise=True, local=True, permutations=0).local
    assert local["local_i"].to_numpy() == pytest.approx(np.array(truth["Ii"]), rel=1e-9, abs=1e-12)
    assert local["expected"].to_numpy() == pytest.approx(np.array(truth["EIi"]), rel=1e-9, abs=1e-12)
    assert local["z"].to_numpy() == pytest.approx(np.array(truth["Z"]), rel=1e-9, abs=1e-12)
    names = {"High-High": "HH", "Low-Low": "LL", "High-Low": "HL", "Low-High": "LH"}
    assert local["quadrant"].tolist() == [names[q] for q in truth["quadr_mean"]]


@pytest.mark.real
@pytest.mark.filterwarnings("ignore:The alternative hypothesis:DeprecationWarning")
def test_beside_esda(columbus):
    table, w, _ = columbus
    graph: Graph = row_standardise(w)
    y = table["CRIME"].to_numpy()
    ours = moran_by_year(table["CRIME"], graph, local=True, permutations=0)
    theirs = esda.Moran(y, graph, permutations=0)
    row = ours.rows.iloc[0]
    for mine, name in (("moran_i", "I"), ("z_norm", "z_norm"), ("z_rand", "z_rand"), ("p_rand", "p_rand")):
        assert row[mine] == pytest.approx(getattr(theirs, name), rel=1e-8)
    local = esda.Moran_Local(y, graph, permutations=0)
    # esda divides by n - 1
    assert ours.local["local_i"].to_numpy() * 48 / 49 == pytest.approx(local.Is, rel=1e-10)
    assert [("HH", "LH", "LL", "HL")[q - 1] for q in local.q] == ours.local["quadrant"].tolist()


@pytest.mark.real
def test_bivariate_statistics_beside_esda(columbus):
    table, w, _ = columbus
    graph = row_standardise(w)
    ours = moran_by_year(table["CRIME"], graph, lagged=table["INC"], local=True, permutations=0)
    theirs = esda.Moran_BV(table["CRIME"].to_numpy(), table["INC"].to_numpy(), graph, permutations=0)
    assert ours.rows["moran_i"][0] == pytest.approx(theirs.I, rel=1e-12)
    local = esda.Moran_Local_BV(table["CRIME"].to_numpy(), table["INC"].to_numpy(), graph, permutations=0)
    assert ours.local["local_i"].to_numpy() * 48 / 49 == pytest.approx(local.Is, rel=1e-12)


def test_permutation_inference_approaches_all_orders():
    """Of seven cities all 5,040 orders can be looked at."""
    rng = np.random.default_rng(3)
    W = (rng.uniform(size=(7, 7)) < 0.4) * rng.uniform(size=(7, 7))
    np.fill_diagonal(W, 0)
    y = pd.Series(rng.normal(size=7), index=list("abcdefg"))
    z = y.to_numpy() - y.mean()
    every = np.array([7 / W.sum() * (np.array(p) @ W @ np.array(p)) / (z @ z) for p in itertools.permutations(z)])
    seen = every[0]
    assert every.mean() == pytest.approx(-1 / 6, abs=1e-12)
    result = {
        tail: moran_by_year(y, graph_from_matrix(W, y.index), permutations=20_000, alternative=tail).rows.iloc[0]
        for tail in ("two-sided", "greater", "less")
    }
    assert result["two-sided"]["variance_rand"] == pytest.approx(every.var(), rel=1e-10)
    exact = {
        "two-sided": np.mean(np.abs(every + 1 / 6) >= abs(seen + 1 / 6) - 1e-12),
        "greater": np.mean(every >= seen - 1e-12),
        "less": np.mean(every <= seen + 1e-12),
    }
    for tail, share in exact.items():
        assert result[tail]["p_sim"] == pytest.approx(share, abs=0.015)


def test_conditional_permutation_approaches_all_orders_of_the_others():
    rng = np.random.default_rng(4)
    W = (rng.uniform(size=(7, 7)) < 0.5) * rng.uniform(size=(7, 7))
    np.fill_diagonal(W, 0)
    y = pd.Series(rng.normal(size=7) ** 3, index=list("abcdefg"))
    z = y.to_numpy() - y.mean()
    local = moran_by_year(y, graph_from_matrix(W, y.index), local=True, permutations=20_000).local
    greater = moran_by_year(y, graph_from_matrix(W, y.index), local=True, permutations=20_000, alternative="greater")
    for i in range(7):
        others = [np.insert(np.array(p), i, z[i]) for p in itertools.permutations(np.delete(z, i))]
        values = np.array([z[i] * (W[i] @ order) for order in others]) / (z @ z / 7)
        assert local["local_i"][i] == pytest.approx(values[0], abs=1e-12)
        assert local["expected"][i] == pytest.approx(values.mean(), abs=1e-12)
        assert local["z"][i] == pytest.approx((values[0] - values.mean()) / values.std(), rel=1e-9)
        far = np.abs(values - values.mean()) >= abs(values[0] - values.mean()) - 1e-12
        assert local["p_sim"][i] == pytest.approx(far.mean(), abs=0.02)
        assert greater.local["p_sim"][i] == pytest.approx(np.mean(values >= values[0] - 1e-12), abs=0.02)


def panel_values(seed=0, n=12, years=3):
    rng = np.random.default_rng(seed)
    index = pd.MultiIndex.from_product([[f"c{i:02d}" for i in range(n)], range(2001, 2001 + years)])
    W = (rng.uniform(size=(n, n)) < 0.3).astype(float)
    np.fill_diagonal(W, 0)
    W[np.arange(n), (np.arange(n) + 1) % n] = 1
    return pd.Series(rng.normal(size=n * years), index=index.set_names(["city_code", "year"]), name="y"), W


def w_of(values, W):
    return graph_from_matrix(W, values.index.get_level_values(0).unique())


def test_years_are_cross_sections_of_their_own():
    values, W = panel_values()
    result = moran_by_year(values, w_of(values, W), local=True, permutations=99)
    assert result.rows["year"].tolist() == [2001, 2002, 2003]
    single = moran_by_year(values.xs(2002, level="year"), w_of(values, W), local=True, permutations=99)
    pd.testing.assert_series_equal(
        result.rows.iloc[1].drop("year"), single.rows.iloc[0].drop("year"), check_names=False
    )
    assert single.rows["year"].tolist() == [None]
    assert single.local.columns[0] == "city_code"
    assert "year" not in single.local
    assert result.local.columns.tolist()[:2] == ["city_code", "year"]


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 5000), scale=st.floats(1e-3, 1e3), shift=st.floats(-1e3, 1e3), heavy=st.floats(0.01, 100))
def test_units_order_and_scale_of_weights_do_not_matter(seed, scale, shift, heavy):
    values, W = panel_values(seed)
    rng = np.random.default_rng(seed)
    rows = moran_by_year(values, w_of(values, W), permutations=0).rows
    order = rng.permutation(12)
    names = np.array([f"c{i:02d}" for i in range(12)])[order]
    other = graph_from_matrix(heavy * W[np.ix_(order, order)], names)
    shuffled = (scale * values + shift).sample(frac=1, random_state=seed)
    again = moran_by_year(shuffled, other, permutations=0).rows
    columns = ["moran_i", "expected", "variance_norm", "variance_rand", "z_rand", "p_rand"]
    assert again[columns].to_numpy() == pytest.approx(rows[columns].to_numpy(), rel=1e-5, abs=1e-8)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 5000))
def test_local_statistics_add_up_to_the_global_one(seed):
    values, W = panel_values(seed)
    result = moran_by_year(values, w_of(values, W), local=True, permutations=0)
    sums = result.local.groupby("year")["local_i"].sum().to_numpy()
    assert sums / W.sum() == pytest.approx(result.rows["moran_i"].to_numpy(), abs=1e-10)


def test_seed_decides():
    values, W = panel_values()
    one, two, other = (moran_by_year(values, w_of(values, W), local=True, seed=s) for s in (1, 1, 2))
    pd.testing.assert_frame_equal(one.rows, two.rows)
    pd.testing.assert_frame_equal(one.local, two.local)
    assert not one.local["p_sim"].equals(other.local["p_sim"])


def test_memory_of_permutations_is_bounded_without_changing_them(monkeypatch):
    values, W = panel_values()
    whole = moran_by_year(values, w_of(values, W), permutations=199)
    monkeypatch.setattr("gistools.spatial.moran_sample.CELLS", 12 * 7)
    pd.testing.assert_frame_equal(whole.rows, moran_by_year(values, w_of(values, W), permutations=199).rows)


def test_false_discovery_control_names_few_clusters():
    """A plain p-value of 5 % finds clusters where there are none; the controlled rate hardly does."""
    rng = np.random.default_rng(5)
    ring = graph_from_matrix(np.roll(np.eye(40), 1, 1) + np.roll(np.eye(40), -1, 1), range(40))
    plain = controlled = 0
    for _ in range(20):
        noise = pd.Series(rng.normal(size=40), index=range(40))
        local = moran_by_year(noise, ring, local=True, permutations=4999).local
        plain += (local["p_sim"] <= 0.05).any()
        controlled += (local["cluster"] != "none").any()
    assert plain >= 15
    assert controlled <= 4
    hill = noise * 0.1 + np.where(np.arange(40) < 8, 3.0, 0.0)
    wide = graph_from_matrix(sum(np.roll(np.eye(40), k, 1) for k in (-2, -1, 1, 2)), range(40))
    found = moran_by_year(hill, wide, local=True, permutations=4999).local
    assert set(found.loc[2:5, "cluster"]) == {"HH"}
    assert (found["p_fdr"] >= found["p_sim"]).all()


def test_missing_values_islands_and_equal_values_are_told():
    values, W = panel_values()
    W[3] = 0  # an island
    values[("c05", 2001)] = np.nan
    values[values.index.get_level_values("year") == 2003] = 7.1
    result = moran_by_year(values, w_of(values, W), local=True)
    assert result.rows["n"].tolist() == [11, 12, 12]
    assert result.rows["moran_i"].isna().tolist() == [False, False, True]
    text = " | ".join(result.warnings)
    assert "1 cities have no neighbour: c03" in text
    assert "in 2001 1 cities have no value: c05" in text
    assert "in 2003 all values are equal" in text
    island = result.local[result.local["city_code"] == "c03"]
    assert island["p_sim"].isna().all()
    assert set(island["cluster"]) == {"none"}
    kept = [i for i in range(12) if i != 5]
    names = [f"c{i:02d}" for i in kept]
    alone = moran_by_year(values.xs(2001, level="year")[names], graph_from_matrix(W[np.ix_(kept, kept)], names))
    assert alone.rows["moran_i"][0] == pytest.approx(result.rows["moran_i"][0], abs=1e-12)


def test_weights_are_standardised_again_without_the_missing_city():
    values, W = panel_values()
    values[("c05", 2001)] = np.nan
    standard = moran_by_year(values, row_standardise(w_of(values, W))).rows["moran_i"][0]
    kept = [i for i in range(12) if i != 5]
    names = [f"c{i:02d}" for i in kept]
    part = row_standardise(graph_from_matrix(W[np.ix_(kept, kept)], names))
    assert standard == pytest.approx(moran_by_year(values.xs(2001, level="year")[names], part).rows["moran_i"][0])


def test_weights_are_standardised_again_although_a_city_has_no_neighbours():
    W = np.zeros((7, 7))
    for i, j in [(0, 1), (1, 2), (2, 3), (3, 4), (0, 4), (1, 3)]:  # 5 has only 4, 6 has nobody
        W[i, j] = W[j, i] = 1
    W[4, 5] = W[5, 4] = 1
    names = list("abcdefg")
    standard = np.divide(
        W, W.sum(axis=1, keepdims=True), out=np.zeros_like(W), where=W.sum(axis=1, keepdims=True) > 0
    )
    values = pd.Series([3.0, 1.0, 4.0, 1.5, np.nan, 9.0, 2.0], index=names, name="y")
    result = moran_by_year(values, graph_from_matrix(standard, names), permutations=0)
    assert result.options["row_standardised"]
    kept = [i for i in range(7) if i != 4]
    part = W[np.ix_(kept, kept)]
    part = np.divide(
        part, part.sum(axis=1, keepdims=True), out=np.zeros_like(part), where=part.sum(axis=1, keepdims=True) > 0
    )
    z = values.to_numpy()[kept] - values.to_numpy()[kept].mean()
    assert result.rows["moran_i"][0] == pytest.approx(6 / part.sum() * (z @ part @ z) / (z @ z), rel=1e-12)
    assert "1 cities are left without a neighbour by that: f" in " | ".join(result.warnings)


def test_to_dict_and_summary():
    values, W = panel_values()
    result = moran_by_year(values, w_of(values, W), local=True, permutations=99)
    doc = result.to_dict()
    keys = {
        "year",
        "moran_i",
        "expected",
        "variance_norm",
        "z_norm",
        "p_norm",
        "z_rand",
        "p_rand",
        "p_sim",
        "alternative",
    }
    assert set(doc["rows"][0]) >= keys
    assert {"local_i", "z", "p_sim", "quadrant", "cluster"} <= set(doc["local"][0])
    assert doc["options"]["permutations"] == 99
    assert "false-discovery rate of 0.05" in result.summary()
    assert list(result.to_frame()["year"]) == [2001, 2002, 2003]


def test_bad_input():
    values, W = panel_values()
    w = w_of(values, W)
    with pytest.raises(WeightsError, match=r"not in the weights \(Lhasa\)"):
        moran_by_year(values.rename({"c01": "Lhasa"}, level=0), w)
    with pytest.raises(TableError, match="several values for c00/2001"):
        moran_by_year(pd.concat([values, values.iloc[:1]]), w)
    with pytest.raises(TableError, match="holds 'much' where a number is needed"):
        moran_by_year(values.astype(object).where(values.index != ("c02", 2001), "much"), w)
    with pytest.raises(InputError, match="alternative is 'both'"):
        moran_by_year(values, w, alternative="both")
    with pytest.raises(InputError, match="permutations"):
        moran_by_year(values, w, permutations=-1)
    few = pd.Series([1.0, 2, 4], index=list("abc"))
    with pytest.raises(PanelError, match="only 3 cities"):
        moran_by_year(few, graph_from_matrix(np.ones((3, 3)) - np.eye(3), "abc"))
