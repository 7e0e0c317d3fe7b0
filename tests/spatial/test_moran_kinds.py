"""Moran's I in closed form, bivariate, of residuals, local, of several columns: definitions and full enumeration."""

import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse, stats

from gistools.errors import InputError, PanelError, TableError
from gistools.spatial import local_moran as local_module
from gistools.spatial.global_moran import exchange_moments
from gistools.spatial.moran import OF_RESIDUALS, moran_by_year, moran_of_columns, residual_moran
from gistools.weights import graph_from_matrix, row_standardise

MOMENTS = ["moran_i", "expected", "variance_rand", "z_rand", "p_rand"]


def ring(n):
    return np.roll(np.eye(n), 1, 1) + np.roll(np.eye(n), -1, 1)


def board(side):
    line = np.eye(side, k=1) + np.eye(side, k=-1)
    return np.kron(np.eye(side), line) + np.kron(line, np.eye(side))


def random_weights(seed, n):
    rng = np.random.default_rng(seed)
    W = rng.uniform(size=(n, n)) * (rng.uniform(size=(n, n)) < 0.4)
    W[np.arange(n), (np.arange(n) + 1) % n] = 1
    np.fill_diagonal(W, 0)
    return W


# Closed forms


@pytest.mark.parametrize("frequency", [1, 2, 5])
def test_waves_around_a_ring(frequency):
    """The cosine of k turns is an eigenvector: neighbours are cos(2 pi k / n) times as far from the mean."""
    n = 24
    wave = pd.Series(np.cos(2 * np.pi * frequency * np.arange(n) / n + 0.3), index=range(n))
    found = moran_by_year(wave, graph_from_matrix(ring(n), range(n)), local=True, permutations=0)
    slope = np.cos(2 * np.pi * frequency / n)
    assert found.rows["moran_i"][0] == pytest.approx(slope, abs=1e-12)
    z = wave.to_numpy()
    assert found.local["local_i"].to_numpy() == pytest.approx(2 * slope * z**2 / np.mean(z**2), abs=1e-10)


def test_checkerboards_and_halves():
    side = 6
    w = graph_from_matrix(board(side), range(side * side))
    parity = pd.Series(np.indices((side, side)).sum(axis=0).ravel() % 2, index=range(side * side))
    assert moran_by_year(parity, w, permutations=0).rows["moran_i"][0] == pytest.approx(-1, abs=1e-12)
    half = pd.Series((np.arange(side * side) < 18).astype(float), index=range(side * side))
    # of 60 borders 6 part the halves
    assert moran_by_year(half, w, permutations=0).rows["moran_i"][0] == pytest.approx((54 - 6) / 60, abs=1e-12)
    found = moran_by_year(parity, w, local=True, permutations=4999).local
    inner = found[found["local_i"] < -3.9]
    assert len(inner) == 16
    assert set(found["quadrant"]) == {"HL", "LH"}


# Bivariate


def test_bivariate_moments_and_p_values_are_those_of_all_orders():
    n = 7
    W = random_weights(3, n)
    rng = np.random.default_rng(5)
    x, y = rng.normal(size=(2, n))
    y = 0.8 * x + 0.3 * y
    keys = list("abcdefg")
    one, other = pd.Series(x, index=keys, name="x"), pd.Series(y, index=keys, name="y")
    a, b = x - x.mean(), y - y.mean()
    scale = n / W.sum() / np.sqrt((a @ a) * (b @ b))
    every = np.array([scale * a[list(o)] @ W @ b[list(o)] for o in itertools.permutations(range(n))])
    w = graph_from_matrix(W, keys)
    row = moran_by_year(one, w, lagged=other, permutations=20_000).rows.iloc[0]
    assert row["moran_i"] == pytest.approx(every[0], rel=1e-12)
    assert row["expected"] == pytest.approx(every.mean(), rel=1e-10)
    assert row["expected"] == pytest.approx(-np.corrcoef(x, y)[0, 1] / (n - 1), rel=1e-10)
    assert row["variance_rand"] == pytest.approx(every.var(), rel=1e-10)
    far = np.abs(every - every.mean()) >= abs(every[0] - every.mean()) - 1e-12
    assert row["p_sim"] == pytest.approx(far.mean(), abs=0.015)
    assert np.isnan(row["z_norm"])


def test_bivariate_local_moments_and_p_values_are_those_of_all_orders_of_the_others():
    n = 7
    W = random_weights(4, n)
    x, y = np.random.default_rng(6).normal(size=(2, n))
    keys = list("abcdefg")
    found = moran_by_year(
        pd.Series(x, index=keys), graph_from_matrix(W, keys), lagged=pd.Series(y, index=keys), local=True,
        permutations=20_000,
    ).local  # fmt: skip
    a, b = x - x.mean(), y - y.mean()
    for i in range(n):
        others = [np.insert(np.array(p), i, b[i]) for p in itertools.permutations(np.delete(b, i))]
        every = np.array([n * a[i] * (W[i] @ order) for order in others]) / np.sqrt((a @ a) * (b @ b))
        assert found["local_i"][i] == pytest.approx(every[0], rel=1e-10)
        assert found["expected"][i] == pytest.approx(every.mean(), rel=1e-9, abs=1e-12)
        assert found["z"][i] == pytest.approx((every[0] - every.mean()) / every.std(), rel=1e-8)
        assert found["p_rand"][i] == pytest.approx(2 * stats.norm.sf(abs(found["z"][i])), rel=1e-10)
        far = np.abs(every - every.mean()) >= abs(every[0] - every.mean()) - 1e-12
        assert found["p_sim"][i] == pytest.approx(far.mean(), abs=0.02)


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 5000))
def test_a_column_with_itself_is_the_univariate_statistic(seed):
    W = random_weights(seed, 12)
    values = pd.Series(np.random.default_rng(seed).normal(size=12) ** 3, index=range(12), name="y")
    w = graph_from_matrix(W, range(12))
    alone = moran_by_year(values, w, local=True, permutations=99)
    twice = moran_by_year(values, w, lagged=values, local=True, permutations=99)
    assert twice.rows[MOMENTS].to_numpy(float) == pytest.approx(alone.rows[MOMENTS].to_numpy(float), rel=1e-9)
    assert twice.rows["p_sim"][0] == alone.rows["p_sim"][0]
    pd.testing.assert_frame_equal(twice.local, alone.local)


def test_randomisation_variance_is_cliff_and_ords():
    W = random_weights(9, 15)
    y = np.random.default_rng(9).normal(size=15) ** 3
    row = moran_by_year(pd.Series(y, index=range(15)), graph_from_matrix(W, range(15)), permutations=0).rows.iloc[0]
    n, z, s0 = 15, y - y.mean(), W.sum()
    s1, s2 = 0.5 * np.sum((W + W.T) ** 2), np.sum((W.sum(axis=1) + W.sum(axis=0)) ** 2)
    k = n * np.sum(z**4) / np.sum(z**2) ** 2
    first = n * ((n**2 - 3 * n + 3) * s1 - n * s2 + 3 * s0**2)
    second = k * ((n**2 - n) * s1 - 2 * n * s2 + 6 * s0**2)
    truth = (first - second) / ((n - 1) * (n - 2) * (n - 3) * s0**2) - 1 / (n - 1) ** 2
    assert row["variance_rand"] == pytest.approx(truth, rel=1e-10)


def test_bivariate_without_a_value_of_either():
    W = random_weights(1, 9)
    x, y = np.random.default_rng(1).normal(size=(2, 9))
    keys = [f"c{i}" for i in range(9)]
    x[2] = y[5] = np.nan
    found = moran_by_year(pd.Series(x, keys), graph_from_matrix(W, keys), lagged=pd.Series(y, keys), permutations=0)
    kept = [i for i in range(9) if i not in (2, 5)]
    part = graph_from_matrix(W[np.ix_(kept, kept)], np.array(keys)[kept])
    names = np.array(keys)[kept]
    alone = moran_by_year(pd.Series(x[kept], names), part, lagged=pd.Series(y[kept], names), permutations=0)
    assert found.rows["n"][0] == 7
    assert found.rows[MOMENTS].to_numpy(float) == pytest.approx(alone.rows[MOMENTS].to_numpy(float), rel=1e-12)
    with pytest.raises(InputError, match="must be indexed as the other"):
        moran_by_year(pd.Series(x, keys), graph_from_matrix(W, keys), lagged=pd.Series(y[:8], keys[:8]))


# Residuals


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 5000))
def test_moments_of_exchanged_histories_are_those_of_all_orders(seed):
    rng = np.random.default_rng(seed)
    W = random_weights(seed, 6)
    X, Y = rng.normal(size=(2, 6, 3))
    every = np.array([np.sum(X[list(o)] * (W @ Y[list(o)])) for o in itertools.permutations(range(6))])
    mean, variance = exchange_moments(sparse.csr_array(W), X, Y)
    assert mean == pytest.approx(every.mean(), rel=1e-8, abs=1e-10)
    assert variance == pytest.approx(every.var(), rel=1e-8)


def panel_of(E, name="e"):
    n, years = E.shape
    index = pd.MultiIndex.from_product([[f"c{i:02d}" for i in range(n)], range(2001, 2001 + years)])
    return pd.Series(E.ravel(), index=index.set_names(["city_code", "year"]), name=name)


def two_way(E):
    return E - E.mean(axis=0) - E.mean(axis=1, keepdims=True) + E.mean()


def test_residuals_by_definition_and_by_permutation():
    rng = np.random.default_rng(2)
    n, years = 14, 5
    W = random_weights(2, n)
    E = two_way(rng.normal(size=(n, years)))
    w = graph_from_matrix(W, [f"c{i:02d}" for i in range(n)])
    found = residual_moran(panel_of(E), w, permutations=5000)
    row = found.rows.iloc[0]
    assert row["moran_i"] == pytest.approx(n / W.sum() * np.sum(E * (W @ E)) / np.sum(E * E), rel=1e-12)
    orders = [rng.permutation(n) for _ in range(5000)]
    drawn = np.array([n / W.sum() * np.sum(E[o] * (W @ E[o])) / np.sum(E * E) for o in orders])
    assert row["expected"] == pytest.approx(drawn.mean(), abs=4 * drawn.std() / np.sqrt(5000))
    assert row["expected"] == pytest.approx(-1 / (n - 1), rel=1e-9)  # year effects leave sums of zero
    assert row["variance_rand"] == pytest.approx(drawn.var(), rel=0.1)
    assert row["p_sim"] == pytest.approx(row["p_rand"], abs=0.05)
    assert found.warnings[0] == OF_RESIDUALS
    assert found.options["years"] == years
    assert np.isnan(row["p_norm"])
    assert "norm" not in found.summary().split("\n")[1]


def test_size_of_the_test_of_residuals():
    """Residuals of two-way effects and of errors that persist: 5 % are called significant, no more."""
    rng = np.random.default_rng(8)
    n, years = 36, 6
    w = row_standardise(graph_from_matrix(board(6), [f"c{i:02d}" for i in range(n)]))
    rejected = 0
    for _ in range(300):
        persistent = rng.normal(size=(n, years)).cumsum(axis=1)
        found = residual_moran(panel_of(two_way(persistent)), w, permutations=0)
        rejected += found.rows["p_rand"][0] < 0.05
    assert rejected / 300 == pytest.approx(0.05, abs=3 * np.sqrt(0.05 * 0.95 / 300))


def test_residuals_with_gaps_are_refused():
    values = panel_of(np.random.default_rng(1).normal(size=(6, 3)))
    w = graph_from_matrix(ring(6), [f"c{i:02d}" for i in range(6)])
    with pytest.raises(PanelError, match=r"1 of 18 city-years are missing \(c00/2002\)"):
        residual_moran(values.drop(("c00", 2002)), w)
    three = values.loc[["c00", "c01", "c02"]]
    with pytest.raises(PanelError, match="only 3 cities"):
        residual_moran(three, graph_from_matrix(ring(3), ["c00", "c01", "c02"]))
    constant = residual_moran(values * 0 + 3, w)
    assert np.isnan(constant.rows["moran_i"][0])
    assert "all residuals are equal" in constant.warnings[-1]


# Local


@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 5000), scale=st.floats(1e-2, 1e2), shift=st.floats(-1e2, 1e2), heavy=st.floats(0.1, 10))
def test_units_order_and_scale_of_weights_do_not_matter_to_local_statistics(seed, scale, shift, heavy):
    n = 15
    W = random_weights(seed, n)
    rng = np.random.default_rng(seed)
    names = np.array([f"c{i:02d}" for i in range(n)])
    values = pd.Series(rng.normal(size=n), index=names)
    one = moran_by_year(values, graph_from_matrix(W, names), local=True, permutations=0).local.set_index("city_code")
    order = rng.permutation(n)
    two = moran_by_year(
        (scale * values + shift).iloc[order],
        graph_from_matrix(heavy * W[np.ix_(order, order)], names[order]),
        local=True,
        permutations=0,
    ).local.set_index("city_code")
    two = two.loc[one.index]
    assert two["z"].to_numpy() == pytest.approx(one["z"].to_numpy(), rel=1e-6)
    assert two["p_rand"].to_numpy() == pytest.approx(one["p_rand"].to_numpy(), rel=1e-5)
    assert two["local_i"].to_numpy() == pytest.approx(heavy * one["local_i"].to_numpy(), rel=1e-6, abs=1e-9)
    assert two["quadrant"].tolist() == one["quadrant"].tolist()


@pytest.mark.parametrize(("n", "degree"), [(40, 3), (40, 30)])
def test_local_p_values_are_those_of_a_loop(n, degree):
    """Few neighbours are drawn, many shuffled; both as a plain loop over cities finds them."""
    rng = np.random.default_rng(n + degree)
    W = np.zeros((n, n))
    for i in range(n):
        near = rng.choice(np.delete(np.arange(n), i), size=rng.integers(1, degree + 1), replace=False)
        W[i, near] = rng.uniform(size=len(near))
    y = rng.normal(size=n) ** 3
    found = moran_by_year(
        pd.Series(y, index=range(n)), graph_from_matrix(W, range(n)), local=True, permutations=20_000
    ).local
    z = y - y.mean()
    for i in range(0, n, 7):
        links = np.flatnonzero(W[i])
        others = np.delete(z, i)
        drawn = np.array([rng.permutation(others)[: len(links)] for _ in range(4000)]) @ W[i, links]
        mean = -z[i] / (n - 1) * W[i].sum()
        far = np.abs(drawn - mean) >= abs(W[i] @ z - mean)
        error = np.sqrt(max(far.mean() * (1 - far.mean()), 1e-3) / 4000)
        assert found["p_sim"][i] == pytest.approx(far.mean(), abs=4.5 * error)


@pytest.mark.parametrize(("n", "most"), [(50, 4), (12, 9)])
def test_draws_never_repeat_a_place_and_are_even(monkeypatch, n, most):
    monkeypatch.setattr("gistools.spatial.moran_sample.CELLS", 7 * n)
    drawn = np.concatenate(list(local_module._places(n, most, 6000, 1)))
    assert drawn.shape == (6000, most)
    assert (np.diff(np.sort(drawn, axis=1), axis=1) > 0).all()
    for column in drawn.T:
        assert stats.chisquare(np.bincount(column, minlength=n)).pvalue > 1e-4


def test_memory_of_local_permutations_is_bounded_without_changing_them(monkeypatch):
    W = random_weights(5, 30)
    values = pd.Series(np.random.default_rng(5).normal(size=30), index=range(30))
    w = graph_from_matrix(W, range(30))
    whole = moran_by_year(values, w, local=True, permutations=199).local
    monkeypatch.setattr("gistools.spatial.moran_sample.CELLS", 30 * 11)
    pd.testing.assert_frame_equal(whole, moran_by_year(values, w, local=True, permutations=199).local)


def test_a_city_on_the_mean_is_never_significant_and_clusters_need_no_permutations():
    values = pd.Series([0.0, 1, -1, 2, -2, 3, -3], index=range(7))
    found = moran_by_year(values, graph_from_matrix(ring(7), range(7)), local=True).local
    assert found["p_sim"][0] == 1
    assert np.isnan(found["z"][0])
    wave = pd.Series(np.repeat([5.0, 0.0, 0.1, -5.0], 12) + np.random.default_rng(1).normal(size=48), index=range(48))
    near = sum(np.roll(np.eye(48), k, 1) for k in (-3, -2, -1, 1, 2, 3))
    plain = moran_by_year(wave, graph_from_matrix(near, range(48)), local=True, permutations=0).local
    assert plain["p_sim"].isna().all()
    assert plain["p_fdr"].to_numpy() == pytest.approx(stats.false_discovery_control(plain["p_rand"]))
    assert {"HH", "LL", "none"} <= set(plain["cluster"])


# Several columns, several weights


def test_several_columns_and_weights_are_those_of_single_calls():
    rng = np.random.default_rng(3)
    table = pd.DataFrame({name: panel_of(rng.normal(size=(12, 3)), name) for name in ("a", "b")})
    table.loc[("c03", 2002), "b"] = np.nan
    codes = [f"c{i:02d}" for i in range(12)]
    weights = {"ring": graph_from_matrix(ring(12), codes), "any": graph_from_matrix(random_weights(1, 12), codes)}
    many = moran_of_columns(table, weights, local=True, permutations=99, seed=4)
    assert many.rows[["weights", "column"]].drop_duplicates().to_numpy().tolist() == [
        ["ring", "a"], ["ring", "b"], ["any", "a"], ["any", "b"]
    ]  # fmt: skip
    alone = moran_by_year(table["b"], weights["any"], local=True, permutations=99, seed=4)
    part = many.rows[(many.rows["weights"] == "any") & (many.rows["column"] == "b")]
    pd.testing.assert_frame_equal(
        part.drop(columns=["weights", "column"]).reset_index(drop=True), alone.rows, check_dtype=False
    )
    local = many.local[(many.local["weights"] == "any") & (many.local["column"] == "b")]
    assert local["p_sim"].to_numpy() == pytest.approx(alone.local["p_sim"].to_numpy(), nan_ok=True)
    assert "b under any: in 2002 1 cities have no value: c03" in many.warnings
    assert many.options["row_standardised"] == {"ring": False, "any": False}
    single = moran_of_columns(table, {"ring": weights["ring"]}, columns=["a"])
    assert "weights" not in single.rows
    crossed = moran_of_columns(table, weights, lagged="b", permutations=0)
    assert crossed.rows["column"].unique().tolist() == ["a"]
    assert crossed.options["lagged"] == "b"


def test_residuals_of_several_models():
    rng = np.random.default_rng(3)
    table = pd.DataFrame({name: panel_of(two_way(rng.normal(size=(12, 3))), name) for name in ("a", "b")})
    w = {"ring": graph_from_matrix(ring(12), [f"c{i:02d}" for i in range(12)])}
    found = moran_of_columns(table, w, residuals=True, permutations=99)
    assert found.rows["moran_i"][1] == residual_moran(table["b"], w["ring"], permutations=99).rows["moran_i"][0]
    assert found.warnings == (OF_RESIDUALS,)
    with pytest.raises(InputError, match="one statistic over all years"):
        moran_of_columns(table, w, residuals=True, local=True)
    with pytest.raises(TableError, match="no column 'c'"):
        moran_of_columns(table, w, columns=["c"])
    with pytest.raises(InputError, match="needs a column and weights"):
        moran_of_columns(table, {})


def test_the_same_note_of_several_years_is_said_once():
    rng = np.random.default_rng(3)
    values = panel_of(rng.normal(size=(8, 4)))
    values[[("c01", year) for year in (2001, 2002, 2004)]] = np.nan
    found = moran_by_year(values, graph_from_matrix(ring(8), [f"c{i:02d}" for i in range(8)]), permutations=0)
    assert found.warnings == ("in 3 years (2001 to 2004) 1 cities have no value: c01",)
