"""Distance bands, kernels, economic mixes, mutual neighbours: by their definitions, on geodesic distances."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Geod

from gistools.errors import InputError, WeightsError
from gistools.weights import (
    KERNELS,
    KINDS,
    build_weights,
    distance_band_weights,
    economic_nested_weights,
    inverse_distance_weights,
    kernel_weights,
    knn_weights,
    symmetrise,
    weights_matrix,
)
from gistools.weights import distance as distance_module

GEOD = Geod(ellps="WGS84")
N = 30


def points(seed=0, n=N):
    rng = np.random.default_rng(seed)
    codes = [f"{c:06d}" for c in rng.permutation(n) + 1]
    return pd.DataFrame({"city_code": codes, "lon": rng.uniform(100, 115, n), "lat": rng.uniform(25, 40, n)})


def kilometres(table):
    n = len(table)
    lon, lat = table["lon"].to_numpy(), table["lat"].to_numpy()
    i, j = np.divmod(np.arange(n * n), n)
    km = GEOD.inv(lon[i], lat[i], lon[j], lat[j])[2].reshape(n, n) / 1000
    np.fill_diagonal(km, np.inf)
    return km


def dense(w, table):
    return weights_matrix(w, table["city_code"]).toarray()


def by_rows(matrix):
    return matrix / matrix.sum(axis=1, keepdims=True)


def gdp_of(table, seed=1):
    return pd.Series(np.random.default_rng(seed).uniform(10, 1000, len(table)), index=table["city_code"])


CURVES = {
    "triangular": lambda u: np.where(u < 1, 1 - u, 0),
    "epanechnikov": lambda u: np.where(u < 1, 1 - u**2, 0),
    "bisquare": lambda u: np.where(u < 1, (1 - u**2) ** 2, 0),
    "gaussian": lambda u: np.exp(-(u**2) / 2),
    "exponential": lambda u: np.exp(-u),
}


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_of_one_bandwidth(kernel):
    table = points()
    truth = np.nan_to_num(CURVES[kernel](kilometres(table) / 700.0))
    w = kernel_weights(table, kernel=kernel, bandwidth_km=700, row_standardise=False, islands="keep")
    assert dense(w, table) == pytest.approx(truth, rel=1e-9, abs=1e-15)
    standard = kernel_weights(table, kernel=kernel, bandwidth_km=700)
    assert dense(standard, table) == pytest.approx(by_rows(truth), rel=1e-9, abs=1e-15)


@pytest.mark.filterwarnings("ignore:invalid value:RuntimeWarning")
@pytest.mark.parametrize("kernel", KERNELS)
def test_kernels_whose_bandwidth_follows_the_cities(kernel):
    table = points()
    km = kilometres(table)
    bandwidth = np.sort(km, axis=1)[:, 5:6]  # the sixth nearest: five lie within
    truth = np.nan_to_num(CURVES[kernel](km / bandwidth))
    w = kernel_weights(table, kernel=kernel, k=5, row_standardise=False)
    assert dense(w, table) == pytest.approx(truth, rel=1e-9, abs=1e-15)
    if kernel in ("triangular", "epanechnikov", "bisquare"):
        assert set(w.cardinalities) == {5}
    mutual = kernel_weights(table, kernel=kernel, k=5, symmetric="mean", row_standardise=False)
    assert dense(mutual, table) == pytest.approx((truth + truth.T) / 2, rel=1e-9, abs=1e-15)


def test_kernels_without_an_end_stop_at_the_cutoff():
    table = points()
    km = kilometres(table)
    w = kernel_weights(table, kernel="gaussian", bandwidth_km=300, cutoff_km=800, row_standardise=False)
    assert dense(w, table) == pytest.approx(np.where(km <= 800, np.exp(-((np.minimum(km, 1e4) / 300) ** 2) / 2), 0))


def test_distance_band_and_the_distance_that_leaves_nobody_alone():
    table = points()
    km = kilometres(table)
    with pytest.raises(WeightsError, match=r"have no neighbour: .* or widen cutoff_km: from [\d.]+ km on") as refused:
        distance_band_weights(table, cutoff_km=50)
    enough = float(re.search(r"from ([\d.]+) km", str(refused.value))[1])
    assert np.array_equal(dense(distance_band_weights(table, cutoff_km=enough), table), (km <= enough).astype(float))
    assert enough - 0.1 <= km.min(axis=1).max() <= enough
    with pytest.raises(WeightsError, match="have no neighbour"):
        distance_band_weights(table, cutoff_km=enough - 0.2)


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9])
@pytest.mark.parametrize("exponent", [1.0, 2.0])
def test_economic_mix_by_definition(share, exponent):
    table = points(2)
    gdp = gdp_of(table)
    near = by_rows(kilometres(table) ** -exponent)
    apart = np.abs(np.subtract.outer(gdp.to_numpy(), gdp.to_numpy()))
    np.fill_diagonal(apart, np.inf)
    truth = share * near + (1 - share) * by_rows(1 / apart)
    w = economic_nested_weights(table, gdp, geographic_share=share, exponent=exponent)
    assert dense(w, table) == pytest.approx(truth, rel=1e-10)
    years = pd.concat([gdp * 0.5, gdp * 1.5])
    assert dense(economic_nested_weights(table, years, geographic_share=share, exponent=exponent), table) == (
        pytest.approx(truth, rel=1e-10)
    )


def test_a_mix_of_geography_alone_is_inverse_distance():
    table = points(2)
    alone = economic_nested_weights(table, gdp_of(table), geographic_share=1, cutoff_km=900)
    assert dense(alone, table) == pytest.approx(dense(inverse_distance_weights(table, cutoff_km=900), table))


def test_the_geographic_part_of_a_mix_follows_the_rule_for_islands():
    table = points(2)
    gdp = gdp_of(table)
    with pytest.raises(WeightsError, match="have no neighbour"):
        economic_nested_weights(table, gdp, geographic_share=0.5, cutoff_km=60)
    with pytest.warns(UserWarning, match="joined to the nearest"):
        joined = economic_nested_weights(table, gdp, geographic_share=0.5, cutoff_km=60, islands="nearest")
    assert weights_matrix(joined, table["city_code"]).sum(axis=1) == pytest.approx(np.ones(N))


@pytest.mark.filterwarnings("ignore:2 cities without a neighbour are joined:UserWarning")
def test_islands_that_are_each_others_nearest_are_linked_once():
    table = pd.DataFrame({"city_code": list("abcde"), "lon": [100.0, 100.5, 101, 120, 123], "lat": 30.0})
    band = distance_band_weights(table, cutoff_km=100, islands="nearest")
    assert (band["d"].to_dict(), band["e"].to_dict()) == ({"e": 1.0}, {"d": 1.0})
    near = inverse_distance_weights(table, cutoff_km=100, islands="nearest", row_standardise=False)
    whole = inverse_distance_weights(table, row_standardise=False)
    assert near["d"]["e"] == pytest.approx(whole["d"]["e"], rel=1e-12)


def test_mutual_nearest_neighbours():
    table = points(3)
    one_way = dense(knn_weights(table, k=3), table)
    for how, truth in (
        ("max", np.maximum(one_way, one_way.T)),
        ("mean", (one_way + one_way.T) / 2),
    ):
        assert np.array_equal(dense(knn_weights(table, k=3, symmetric=how), table), truth)
    with pytest.raises(WeightsError, match=r"have no neighbour: .* or take a larger k"):
        knn_weights(table, k=1, symmetric="both")
    with pytest.warns(UserWarning, match="keep rows of zeros"):
        both = knn_weights(table, k=1, symmetric="both", islands="keep")
    first = dense(knn_weights(table, k=1), table)
    assert np.array_equal(dense(both, table), np.minimum(first, first.T))
    assert np.array_equal(dense(both, table), dense(symmetrise(knn_weights(table, k=1), "both"), table))


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 500), kind=st.sampled_from([kind for kind in KINDS if kind != "contiguity"]))
def test_the_order_of_the_cities_does_not_matter(seed, kind):
    table = points(seed)
    options = {
        "knn": {"k": 4, "symmetric": "max"},
        "distance-band": {"cutoff_km": 900},
        "inverse-distance": {"cutoff_km": 900},
        "kernel": {"k": 6, "symmetric": "mean"},
        "economic-nested": {"gdp": gdp_of(table), "geographic_share": 0.4},
    }[kind]
    shuffled = table.sample(frac=1, random_state=seed)
    one, two = build_weights(table, kind, **options), build_weights(shuffled, kind, **options)
    assert two.unique_ids.tolist() == shuffled["city_code"].tolist()
    assert dense(one, table) == pytest.approx(dense(two, table), rel=1e-12)


def test_standardisations_of_the_kinds():
    table = points(4)
    rows = weights_matrix(build_weights(table, "kernel", k=5), table["city_code"]).sum(axis=1)
    assert rows == pytest.approx(np.ones(N))
    band = build_weights(table, "distance-band", cutoff_km=800)
    assert set(band.adjacency.unique()) == {1.0}
    scaled = dense(build_weights(table, "inverse-distance", spectral=True), table)
    assert np.linalg.eigvals(scaled).real.max() == pytest.approx(1, rel=1e-10)
    raw = dense(inverse_distance_weights(table, row_standardise=False), table)
    assert scaled / scaled[0, 1] == pytest.approx(raw / raw[0, 1], rel=1e-10)


def test_all_pairs_of_too_many_cities_are_refused(monkeypatch):
    monkeypatch.setattr(distance_module, "ALL_PAIRS", 20)
    with pytest.raises(WeightsError, match="without a cut-off 30 cities have 900 links, too many; give cutoff_km"):
        inverse_distance_weights(points())
    assert inverse_distance_weights(points(), cutoff_km=900).n_edges > 0


@pytest.mark.parametrize(
    ("kind", "options", "sentence"),
    [
        ("distance-band", {}, "need cutoff_km"),
        ("kernel", {}, "needs one bandwidth"),
        ("kernel", {"k": 4, "bandwidth_km": 100.0}, "needs one bandwidth"),
        ("kernel", {"k": 29}, r"k is 29, but must be at least 1 and at most two less than the cities \(28\)"),
        ("kernel", {"k": 4, "kernel": "box"}, "kernel is 'box'"),
        ("kernel", {"k": 4, "cutoff_km": 100.0}, "the bisquare kernel ends at its bandwidth"),
        ("kernel", {"bandwidth_km": -5.0}, "bandwidth_km is -5"),
        ("kernel", {"bandwidth_km": 1.0}, "have no neighbour: .* wider bandwidth"),
        ("knn", {"symmetric": "min"}, "symmetric is 'min'"),
        ("inverse-distance", {"symmetric": "max"}, "symmetric belongs to knn, kernel and economic-nested"),
        ("knn", {"geographic_share": 0.5}, "geographic_share belongs to economic-nested"),
        ("knn", {"row_standardise": True, "spectral": True}, "not both"),
    ],
)
def test_options_that_do_not_fit_are_refused(kind, options, sentence):
    with pytest.raises(InputError, match=sentence):
        build_weights(points(), kind, **options)


def test_gdp_that_does_not_fit_a_mix():
    table = points()
    gdp = gdp_of(table)
    with pytest.raises(InputError, match=r"geographic_share is 1.5"):
        economic_nested_weights(table, gdp, geographic_share=1.5)
    a, b = table["city_code"][:2]
    gdp[b] = gdp[a]
    with pytest.raises(WeightsError, match=f"same mean GDP have no economic distance: ({a} and {b}|{b} and {a})"):
        economic_nested_weights(table, gdp, geographic_share=0.5)
    stacked = table.assign(lon=100.0, lat=30.0)
    with pytest.raises(WeightsError, match="more than 3 cities lie at the same point"):
        kernel_weights(stacked, k=3)
