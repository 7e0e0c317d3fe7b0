"""Spillovers received: dense matrices by definition, numerical derivatives, the decomposition of effects."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gistools.errors import InputError, TableError, WeightsError
from gistools.spatial.models import fit_spatial
from gistools.spatial.spillovers import spillovers_received
from gistools.weights import graph_from_matrix, row_standardise

N, YEARS = 15, 6
CODES = np.array([f"c{i:02d}" for i in range(N)])


def weights(seed, *, standard=True):
    rng = np.random.default_rng(seed)
    W = rng.uniform(size=(N, N)) * (rng.uniform(size=(N, N)) < 0.3)
    W[np.arange(N), (np.arange(N) + 1) % N] = 0.5
    np.fill_diagonal(W, 0)
    return W / W.sum(axis=1, keepdims=True) if standard else 0.6 * W / np.abs(np.linalg.eigvals(W)).max()


def panel(seed, W):
    rng = np.random.default_rng(seed)
    d = np.zeros((N, YEARS))
    d[:6, 3:] = 1
    d[6:9, 4:] = 1
    x = rng.normal(size=(N, YEARS))
    shocks = 0.2 * rng.normal(size=(N, YEARS)) + rng.normal(size=(N, 1))
    y = np.linalg.solve(np.eye(N) - 0.4 * W, d + 0.5 * W @ d + x + shocks)
    index = pd.MultiIndex.from_product([CODES, range(2001, 2001 + YEARS)], names=["city_code", "year"])
    return pd.DataFrame({"y": y.ravel(), "d": d.ravel(), "x": x.ravel()}, index=index)


def by_definition(estimates, W, d):
    """Own and received effects by the whole matrix of derivatives."""
    beta, theta, rho = estimates
    effects = np.linalg.solve(np.eye(N) - rho * W, beta * np.eye(N) + theta * W)
    own = np.diag(effects)[:, None] * d
    return own, effects @ d - own


def of(fit, name):
    return float(fit.estimates[fit.terms.index(name)]) if name in fit.terms else 0.0


@pytest.mark.parametrize("standard", [True, False])
@pytest.mark.parametrize("model", ["sar", "sdm", "slx"])
def test_received_is_the_rest_of_the_row_and_its_error_the_delta_methods(model, standard):
    W = weights(1, standard=standard)
    table = panel(1, W)
    w = graph_from_matrix(W, CODES)
    fit = fit_spatial(table, w, outcome="y", x=["d", "x"], model=model, effects="city", draws=0)
    d = table["d"].to_numpy().reshape(N, YEARS)
    at = np.array([of(fit, "d"), of(fit, "W_d"), of(fit, "rho")])
    own, received = by_definition(at, W, d)
    found = spillovers_received(fit, w, table["d"])
    assert found["own"].to_numpy() == pytest.approx(own.ravel(), rel=1e-10, abs=1e-12)
    assert found["received"].to_numpy() == pytest.approx(received.ravel(), rel=1e-10, abs=1e-12)
    assert found["total"].to_numpy() == pytest.approx((own + received).ravel(), rel=1e-10, abs=1e-12)
    names = ["d", "W_d", "rho"]
    known = [k for k, name in enumerate(names) if name in fit.terms]
    step = 1e-6
    slopes = []
    for k in known:
        ahead, back = (by_definition(at + sign * step * np.eye(3)[k], W, d)[1] for sign in (1, -1))
        slopes.append((ahead - back).ravel() / (2 * step))
    places = [fit.terms.index(names[k]) for k in known]
    covariance = fit.covariance[np.ix_(places, places)]
    error = np.sqrt(np.einsum("ki,kl,li->i", slopes, covariance, slopes))
    assert found["std_error"].to_numpy() == pytest.approx(error, rel=1e-6, abs=1e-9)
    touched = error > 1e-9
    assert found["statistic"][touched].to_numpy() == pytest.approx(
        received.ravel()[touched] / error[touched], rel=1e-6
    )


def test_means_over_cities_are_the_effects_of_the_decomposition():
    W = weights(2)
    table = panel(2, W)
    w = graph_from_matrix(W, CODES)
    fit = fit_spatial(table, w, outcome="y", x=["d", "x"], model="sdm")
    everyone = spillovers_received(fit, w, pd.Series(1.0, index=CODES, name="d"))
    effects = fit.effects_decomposition.set_index(["term", "effect"])["estimate"]
    assert everyone["own"].mean() == pytest.approx(effects["d", "direct"], rel=1e-9)
    assert everyone["received"].mean() == pytest.approx(effects["d", "indirect"], rel=1e-9)
    assert list(everyone.columns[:2]) == ["city_code", "treated"]
    halved = spillovers_received(fit, w, pd.Series(0.5, index=CODES, name="dose"), term="d")
    assert halved["received"].to_numpy() == pytest.approx(0.5 * everyone["received"].to_numpy(), rel=1e-10)


@settings(max_examples=6, deadline=None)
@given(seed=st.integers(0, 500))
def test_the_order_of_cities_does_not_matter(seed):
    W = weights(seed)
    table = panel(seed, W)
    w = graph_from_matrix(W, CODES)
    fit = fit_spatial(table, w, outcome="y", x=["d", "x"], model="sdm", draws=0)
    one = spillovers_received(fit, w, table["d"]).set_index(["city_code", "year"])
    order = np.random.default_rng(seed).permutation(N)
    other = graph_from_matrix(W[np.ix_(order, order)], CODES[order])
    two = spillovers_received(fit, other, table["d"].sample(frac=1, random_state=seed))
    two = two.set_index(["city_code", "year"]).loc[one.index]
    assert two["received"].to_numpy() == pytest.approx(one["received"].to_numpy(), rel=1e-9, abs=1e-12)


def test_blocks_of_treated_cities(monkeypatch):
    W = weights(3)
    table = panel(3, W)
    w = graph_from_matrix(W, CODES)
    fit = fit_spatial(table, w, outcome="y", x=["d", "x"], model="sar", draws=0)
    whole = spillovers_received(fit, w, table["d"])
    monkeypatch.setattr("gistools.spatial.spillovers.BLOCK", 4)
    pd.testing.assert_frame_equal(whole, spillovers_received(fit, w, table["d"]))


def test_without_treated_neighbours_nothing_is_received_at_first_hand():
    W = weights(4)
    table = panel(4, W)
    w = graph_from_matrix(W, CODES)
    fit = fit_spatial(table, w, outcome="y", x=["d", "x"], model="slx", draws=0)
    found = spillovers_received(fit, w, pd.Series(np.eye(N)[0], index=CODES, name="d")).set_index("city_code")
    assert set(found.index[found["received"] != 0]) == set(CODES[W[:, 0] > 0])


def test_what_is_refused():
    W = weights(5)
    table = panel(5, W)
    w = graph_from_matrix(W, CODES)
    pooled = fit_spatial(table, None, outcome="y", x=["d", "x"], model="pooled")
    with pytest.raises(InputError, match="pooled model has no spatial lag"):
        spillovers_received(pooled, w, table["d"])
    sar = fit_spatial(table, w, outcome="y", x=["d", "x"], model="sar", draws=0)
    with pytest.raises(InputError, match="no term 'dd'; did you mean 'd'"):
        spillovers_received(sar, w, table["d"].rename("dd"))
    with pytest.raises(TableError, match="1 cities have no value of 'd' in some year: c00"):
        spillovers_received(sar, w, table["d"].drop(("c00", 2003)))
    raw = graph_from_matrix(2 * W, CODES)
    with pytest.raises(WeightsError, match="not the weights of the fit"):
        spillovers_received(sar, raw, table["d"])
    again = spillovers_received(sar, raw, table["d"], row_standardise=True)
    pd.testing.assert_frame_equal(again, spillovers_received(sar, w, table["d"]), rtol=1e-9)
    plain = graph_from_matrix(weights(6, standard=False), CODES)
    other = fit_spatial(table, plain, outcome="y", x=["d", "x"], model="sar", effects="city", draws=0)
    with pytest.raises(WeightsError, match="not the weights of the fit"):
        spillovers_received(other, row_standardise(plain), table["d"])
