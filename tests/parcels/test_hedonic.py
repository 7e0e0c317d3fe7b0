"""The hedonic with city-by-year effects beside dense least squares with dummies, and beside pyfixest."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gistools.parcels.hedonic import fit_group_effects, prediction_errors

NAMES = ["area", "distance", "auction"]


def drawn(seed=0, cities=7, years=3, most=9):
    """Rows in no order; city-years of 1 to `most` rows; errors whose spread grows with the distance."""
    rng = np.random.default_rng(seed)
    size = rng.integers(1, most, cities * years)
    size[:2] = 1, most
    group = np.repeat(np.arange(cities * years), size)
    X = np.column_stack(
        [rng.lognormal(1, 0.7, len(group)), rng.exponential(6, len(group)), rng.random(len(group)) < 0.3]
    )
    y = rng.normal(3, 0.5, cities * years)[group] + X @ [-0.02, -0.03, 0.1] + rng.normal(0, 0.1 + 0.02 * X[:, 1])
    order = rng.permutation(len(group))
    return y[order], X[order], group[order], (group // years)[order]


def dense(y, X, group, city, how):
    """The same by dummies: coefficients, residuals, and the covariance of all of them."""
    Z = np.column_stack([X, np.eye(group.max() + 1)[group]])
    inverse = np.linalg.inv(Z.T @ Z)
    b = inverse @ Z.T @ y
    e = y - Z @ b
    n, k = Z.shape
    if how == "classical":
        return b, e, inverse * (e @ e) / (n - k)
    if how == "city":
        scores = np.array([(Z * e[:, None])[city == c].sum(axis=0) for c in np.unique(city)])
        cities = len(scores)
        factor = cities / (cities - 1) * (n - 1) / (n - X.shape[1] - 1)
        return b, e, factor * inverse @ scores.T @ scores @ inverse
    left = 1 - np.einsum("ij,jk,ik->i", Z, inverse, Z)
    u = e**2 * n / (n - k) if how == "hc1" else np.where(left > 1e-9, e**2 / np.maximum(left, 1e-9), 0)
    return b, e, inverse @ (Z * u[:, None]).T @ Z @ inverse


@pytest.mark.parametrize("how", ["classical", "hc1", "hc2", "city"])
def test_predictions_and_their_errors_are_those_of_dummies(how):
    y, X, group, city = drawn()
    point = np.array([3.0, 0.0, 0.25])
    fit = fit_group_effects(y, X, group, NAMES)
    b, e, covariance = dense(y, X, group, city, how)
    np.testing.assert_allclose(fit.slopes, b[:3], rtol=1e-10)
    np.testing.assert_allclose(fit.residuals, e[fit.order], atol=1e-12)
    groups = len(fit.size)
    at = np.column_stack([np.tile(point, (groups, 1)), np.eye(groups)])
    np.testing.assert_allclose(fit.predicted(point), at @ b, rtol=1e-11)
    errors = prediction_errors(fit, point, how, city[fit.order])
    np.testing.assert_allclose(errors.covariance, covariance[:3, :3], rtol=1e-10)
    variance = np.einsum("ij,jk,ik->i", at, covariance, at)
    if how == "city":
        # the residuals of a city-year add up to zero: the sandwich knows only of the slopes' part
        slopes = np.einsum("ij,jk,ik->i", point - fit.X_mean, errors.covariance, point - fit.X_mean)
        np.testing.assert_allclose(variance, slopes, rtol=1e-9)
        variance = variance + e @ e / (len(y) - groups - 3) / fit.size
    exact = (fit.size == 1) & how.startswith("hc")
    assert np.array_equal(np.isnan(errors.std_error), exact)
    np.testing.assert_allclose(errors.std_error[~exact] ** 2, variance[~exact], rtol=1e-10)
    assert fit.df == len(y) - groups - 3


def test_pyfixest_gives_the_same_slopes_effects_and_errors():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import pyfixest as pf

        y, X, group, city = drawn(seed=3, cities=12, years=4, most=30)
        table = pd.DataFrame(X, columns=NAMES).assign(y=y, cell=group, city=city)
        fit = fit_group_effects(y, X, group, NAMES)
        point = np.array([3.0, 0.0, 0.25])
        for how, vcov in (("classical", "iid"), ("hc1", "hetero"), ("city", {"CRV1": "city"})):
            peer = pf.feols("y ~ area + distance + auction | cell", table, vcov=vcov, fixef_rm="none")
            np.testing.assert_allclose(fit.slopes, peer.coef()[NAMES], rtol=1e-8)
            errors = prediction_errors(fit, point, how, city[fit.order])
            np.testing.assert_allclose(np.sqrt(np.diag(errors.covariance)), peer.se()[NAMES], rtol=1e-8)
        effects = peer.fixef(atol=1e-13, btol=1e-13)["C(cell)"]
        assert len(effects) == len(fit.size)
        effect = np.array([effects[str(g)] for g in range(len(fit.size))])
        np.testing.assert_allclose(fit.predicted(point), effect + point @ peer.coef()[NAMES], rtol=1e-8)


def test_what_cannot_be_told_apart_is_dropped_and_named():
    y, X, group, _ = drawn(seed=1)
    flat = group.astype(float)  # constant within groups
    twin = 2 * X[:, 1] + flat  # of the distance, but for the effects
    fit = fit_group_effects(y, np.column_stack([X, flat, twin]), group, [*NAMES, "flat", "twin"])
    assert fit.names == tuple(NAMES)
    assert list(fit.dropped) == ["flat", "twin"]
    assert fit.dropped["flat"] == "absorbed by the effects"
    assert "distance" in fit.dropped["twin"]
    assert fit.kept.tolist() == [0, 1, 2]
    np.testing.assert_allclose(fit.slopes, fit_group_effects(y, X, group, NAMES).slopes, rtol=1e-11)


def test_large_levels_cost_no_digits():
    y, X, group, _ = drawn(seed=2)
    plain, moved = fit_group_effects(y, X, group, NAMES), fit_group_effects(y, X + 1e6, group, NAMES)
    np.testing.assert_allclose(moved.slopes, plain.slopes, rtol=1e-7)
    np.testing.assert_allclose(moved.predicted(np.full(3, 1e6)), plain.predicted(np.zeros(3)), rtol=1e-7)


@settings(max_examples=25)
@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100), shift=st.floats(-50, 50))
def test_units_and_order_change_nothing(seed, scale, shift):
    y, X, group, city = drawn(seed)
    at, order = np.array([2.0, 0.0, 0.5]), np.random.default_rng(seed).permutation(len(y))
    one = fit_group_effects(y, X, group, NAMES)
    other = fit_group_effects(scale * y[order] + shift, X[order] * [1, 1000, 1], group[order], NAMES)
    np.testing.assert_allclose(
        other.predicted(at * [1, 1000, 1]), scale * one.predicted(at) + shift, rtol=1e-7, atol=1e-7
    )
    for how in ("classical", "hc1", "hc2", "city"):
        first = prediction_errors(one, at, how, city[one.order])
        second = prediction_errors(other, at * [1, 1000, 1], how, city[order][other.order])
        np.testing.assert_allclose(second.std_error, scale * first.std_error, rtol=1e-6)


def test_errors_have_the_size_they_say():
    """Over many samples the predictions scatter as their standard errors say; also where errors are not alike."""
    rng = np.random.default_rng(5)
    _, X, group, city = drawn(seed=4, cities=30, years=3, most=12)
    point, slopes = np.array([3.0, 0.0, 0.25]), np.array([-0.02, -0.03, 0.1])
    spread = 0.1 + 0.3 * (city % 2)  # every second city is four times as noisy
    error, said = [], {"classical": [], "hc2": []}
    for _ in range(400):
        fit = fit_group_effects(X @ slopes + rng.normal(0, spread), X, group, NAMES)
        error.append(fit.predicted(point) - point @ slopes)
        for how, found in said.items():
            found.append(prediction_errors(fit, point, how).std_error ** 2)
    true = np.mean(np.square(error), axis=0)
    many = fit.size > 1
    noisy = np.unique(np.column_stack([group, city % 2]), axis=0)[:, 1] == 1
    robust = np.mean(said["hc2"], axis=0)[many] / true[many]
    assert robust[noisy[many]].mean() == pytest.approx(1, abs=0.05)
    assert robust[~noisy[many]].mean() == pytest.approx(1, abs=0.05)
    pooled = np.mean(said["classical"], axis=0) / true
    assert pooled[~noisy].mean() > 2  # classical errors share one variance
    assert pooled[noisy].mean() < 0.8


def test_clustering_needs_the_cities():
    y, X, group, _ = drawn()
    with pytest.raises(ValueError, match="needs the city of each row"):
        prediction_errors(fit_group_effects(y, X, group, NAMES), np.zeros(3), "city")
