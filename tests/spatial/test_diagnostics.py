"""Likelihood ratios, Wald, Hausman and Mundlak tests, and information criteria."""

import json

import numpy as np
import pandas as pd
import pytest
from scipy import linalg, stats

from gistools.errors import InputError
from gistools.spatial.diagnostics import (
    NULLS,
    hausman_test,
    information_criteria,
    lag_pairs,
    lag_terms,
    lr_test,
    mundlak_test,
    no_answer,
    quadratic_form,
    wald_tests,
)
from gistools.spatial.models import fit_spatial
from gistools.weights import graph_from_matrix

CASES = {
    "05_cigar_oneway": ("W_binary.csv", "logc", ["logp", "logy"]),
    "07_produc_usaww": ("W_rowstd.csv", "lgsp", ["lpcap", "lpc", "lemp", "unemp"]),
}
EFFECTS = {"individual": "city", "twoways": "city,year"}
PANELS = [("05_cigar_oneway", "individual"), ("07_produc_usaww", "individual"), ("07_produc_usaww", "twoways")]


@pytest.fixture
def case(cases_dir):
    def load(name, effects):
        weights, outcome, x = CASES[name]
        folder = cases_dir / "spatial" / name
        panel = pd.read_csv(folder / "panel.csv")
        w = graph_from_matrix(np.loadtxt(folder / weights, delimiter=",", skiprows=1), panel["state"].unique())
        rows = weights == "W_binary.csv"
        truth = json.loads((folder / "expected.json").read_text(encoding="utf-8"))

        def fit(model, **options):
            given = {"effects": effects, "correction": "none", "unit": "state", "row_standardise": rows, "draws": 0}
            return fit_spatial(panel, w, outcome=outcome, x=x, model=model, **given | options)

        return fit, truth

    return load


def ring(n):
    return (np.roll(np.eye(n), 1, 1) + np.roll(np.eye(n), -1, 1)) / 2


def simulated(rng, n=40, years=6, *, rho=0.0, lam=0.0, theta=0.0, related=0.0):
    """A panel on a ring whose city effects may be related to x."""
    W = ring(n)
    mu, year = rng.normal(size=(n, 1)), rng.normal(size=(1, years))
    x = rng.normal(size=(2, n, years)) + np.array([[[related]], [[0.0]]]) * mu
    errors = np.linalg.solve(np.eye(n) - lam * W, rng.normal(size=(n, years)))
    y = np.linalg.solve(np.eye(n) - rho * W, x[0] - 0.5 * x[1] + theta * (W @ x[0]) + mu + year + errors)
    keys = {"city_code": np.repeat(range(n), years), "year": np.tile(range(years), n)}
    panel = pd.DataFrame({**keys, "y": y.ravel(), "a": x[0].ravel(), "b": x[1].ravel()})
    return panel, graph_from_matrix(W, range(n))


# Likelihood ratio and Wald


@pytest.mark.real
@pytest.mark.parametrize(("name", "effects"), PANELS)
def test_restrictions_of_spatialreg(case, name, effects):
    fit, truth = case(name, EFFECTS[effects])
    lsdv = truth["spatialreg_lsdv"]
    sdm = fit("sdm")
    for model in ("sar", "sem"):
        found = lr_test(f"lr_sdm_{model}", fit(model), sdm, len(lag_pairs(sdm)))
        assert found.statistic == pytest.approx(lsdv[f"lr_{effects}"][f"lr_sdm_vs_{model}"], rel=1e-5)
        assert found.df == lsdv[f"lr_{effects}"]["df"]
    wald = {test.test: test for test in wald_tests(sdm)}
    for model in ("sar", "sem"):
        found = wald[f"wald_sdm_{model}"]
        assert found.statistic == pytest.approx(lsdv[f"sdm_{effects}"][f"wald_{model}"], rel=1e-5)
        assert found.df == lsdv[f"sdm_{effects}"]["wald_df"]
        assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, found.df), rel=1e-12)
    place = sdm.terms.index("rho")
    assert wald["wald_sdm_slx"].statistic == pytest.approx(sdm.rho**2 / sdm.covariance[place, place], rel=1e-12)


def test_common_factor_by_numerical_derivatives():
    panel, w = simulated(np.random.default_rng(2), rho=0.4, theta=0.3)
    fit = fit_spatial(panel, w, outcome="y", x=["a", "b"], model="sdm", draws=0)
    place = {name: k for k, name in enumerate(fit.terms)}

    def factor(p):
        return np.array([p[place[f"W_{name}"]] + p[place["rho"]] * p[place[name]] for name in ("a", "b")])

    steps = 1e-6 * np.eye(len(place))
    slopes = np.stack([(factor(fit.estimates + s) - factor(fit.estimates - s)) / 2e-6 for s in steps], axis=1)
    values = factor(fit.estimates)
    expected = values @ np.linalg.solve(slopes @ fit.covariance @ slopes.T, values)
    assert wald_tests(fit)[1].statistic == pytest.approx(expected, rel=1e-7)


def test_wald_of_least_squares_is_the_f_test():
    panel, w = simulated(np.random.default_rng(3), theta=0.3)
    fits = {m: fit_spatial(panel, w, outcome="y", x=["a", "b"], model=m, draws=0) for m in ("pooled", "slx")}
    squares = {m: fit.sigma2 * fit.n_effective for m, fit in fits.items()}
    f = (squares["pooled"] - squares["slx"]) / squares["slx"] * fits["slx"].df
    (wald,) = wald_tests(fits["slx"])
    assert (wald.test, wald.df) == ("wald_slx_ols", 2)
    assert wald.statistic == pytest.approx(f, rel=1e-9)
    lr = lr_test("lr_slx_ols", fits["pooled"], fits["slx"], 2)
    n = fits["slx"].n_effective
    assert lr.statistic == pytest.approx(n * np.log(squares["pooled"] / squares["slx"]), rel=1e-9)


def test_fewer_clusters_than_restrictions_lower_the_degrees_of_freedom():
    panel, w = simulated(np.random.default_rng(4), n=5, years=30)
    extra = np.random.default_rng(5).normal(size=(len(panel), 4))
    panel = panel.assign(**{f"z{k}": extra[:, k] for k in range(4)})
    x = ["a", "b", "z0", "z1", "z2", "z3"]
    fit = fit_spatial(panel, w, outcome="y", x=x, model="sdm", effects="city", cluster="city", draws=0)
    first = wald_tests(fit)[0]
    assert first.df < 6
    assert f"the covariance of the 6 restrictions has rank {first.df}" in first.note


def test_wald_needs_lags_of_x():
    panel, w = simulated(np.random.default_rng(6))
    fit = fit_spatial(panel, w, outcome="y", x=["a"], model="sar", draws=0)
    assert (lag_terms(fit), lag_pairs(fit)) == ([], [])
    with pytest.raises(InputError, match="of an sdm or slx, not of sar"):
        wald_tests(fit)


def test_partial_lags_are_the_restrictions():
    panel, w = simulated(np.random.default_rng(7))
    fit = fit_spatial(panel, w, outcome="y", x=["a", "b"], model="sdm", durbin=["b"], draws=0)
    assert (lag_terms(fit), lag_pairs(fit)) == (["W_b"], ["b"])
    assert [test.df for test in wald_tests(fit)] == [1, 1, 1]


# Quadratic forms


def test_quadratic_form_is_the_inverse_where_there_is_one():
    rng = np.random.default_rng(8)
    root = rng.normal(size=(5, 5)) * np.array([1e-6, 1, 1e4, 1, 1])[:, None]
    values = rng.normal(size=5) * np.array([1e-6, 1, 1e4, 1, 1])
    statistic, rank, smallest = quadratic_form(values, root @ root.T)
    assert (rank, smallest > 0) == (5, True)
    assert statistic == pytest.approx(np.sum(np.linalg.solve(root, values) ** 2), rel=1e-8)


def test_quadratic_form_of_a_singular_matrix():
    rng = np.random.default_rng(9)
    root = rng.normal(size=(4, 2))
    values = root @ np.array([1.0, -2.0])
    statistic, rank, _ = quadratic_form(values, root @ root.T)
    assert (rank, round(statistic, 9)) == (2, 5.0)
    assert np.isnan(quadratic_form(np.empty(0), np.empty((0, 0)))[0])


# Hausman and Mundlak


@pytest.mark.real
@pytest.mark.parametrize("name", list(CASES))
@pytest.mark.parametrize(("model", "theirs"), [("sar", "lag"), ("sem", "error")])
def test_hausman_of_splm(case, name, model, theirs):
    """splm prints the size of the form even where it is negative; here it has no p-value then."""
    fit, truth = case(name, "city")
    expected = truth.get("splm_hausman", truth["splm"])[f"sphtest_ML_{theirs}"]
    found = hausman_test(fit(model), fit(model, random=True))
    assert found.statistic == pytest.approx(expected["stat"], rel=1e-3)
    assert found.df == expected["df"]
    assert found.null.endswith(f"({model.upper()})")
    # with dummies the error variance of fixed effects is too small, here so much that the difference is no covariance
    assert (np.isnan(found.p_value), found.decision) == (True, "no answer")
    assert "not positive definite" in found.note


@pytest.mark.real
def test_hausman_after_the_transformation_is_chi_square(case):
    fit, _ = case("05_cigar_oneway", "city")
    found = hausman_test(fit("sar", correction="transformation"), fit("sar", random=True))
    assert (found.note, found.df) == ("", 2)
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 2), rel=1e-12)


def test_hausman_by_definition():
    """The covariance of random effects is that of generalised least squares, built here as one large matrix."""
    panel, w = simulated(np.random.default_rng(10), n=30, years=5, rho=0.3, related=0.3)
    options = {"outcome": "y", "x": ["a", "b"], "model": "sar", "effects": "city", "draws": 0}
    fixed = fit_spatial(panel, w, correction="transformation", **options)
    random = fit_spatial(panel, w, random=True, **options)
    table = panel.sort_values(["city_code", "year"])
    X = np.column_stack([np.ones(150), table[["a", "b"]]])
    place = {name: k for k, name in enumerate(random.terms)}
    phi = random.estimates[place["phi"]]
    omega = random.sigma2 * (np.eye(150) + phi * np.kron(np.eye(30), np.ones((5, 5))))
    efficient = linalg.inv(X.T @ linalg.solve(omega, X))[1:, 1:]
    gap = fixed.estimates[:2] - random.estimates[[place["a"], place["b"]]]
    expected = gap @ linalg.solve(fixed.covariance[:2, :2] - efficient, gap)
    found = hausman_test(fixed, random)
    assert found.statistic == pytest.approx(abs(expected), rel=1e-5)


def related_panel(seed, related):
    panel, w = simulated(np.random.default_rng(seed), n=80, rho=0.3, related=related)
    means = panel.groupby("city_code")[["a", "b"]].transform("mean").add_prefix("m_")
    return panel.join(means), w, {"outcome": "y", "effects": "city,year", "draws": 0}


def mundlak(panel, w, given, model="sar"):
    fit = fit_spatial(panel, w, x=["a", "b", "m_a", "m_b"], model=model, random=True, **given)
    return mundlak_test(fit, ["m_a", "m_b"])


@pytest.mark.parametrize("model", ["sar", "sdm"])
def test_both_find_effects_that_are_related_to_x(model):
    panel, w, given = related_panel(11, 0.7)
    fixed, random = (fit_spatial(panel, w, x=["a", "b"], model=model, random=r, **given) for r in (False, True))
    hausman, by_means = hausman_test(fixed, random), mundlak(panel, w, given, model)
    assert hausman.statistic > stats.chi2.ppf(0.99, hausman.df)
    assert by_means.rejects
    assert (hausman.df, by_means.df) == {"sar": (2, 2), "sdm": (4, 4)}[model]


def test_mundlak_keeps_its_level():
    draws = [mundlak(*related_panel(seed, 0.0)) for seed in range(30)]
    assert all(test.statistic >= 0 and test.df == 2 for test in draws)
    assert sum(test.rejects for test in draws) <= 30 * 0.05 + 3 * np.sqrt(30 * 0.05 * 0.95)


def test_mundlak_without_means_has_no_answer():
    panel, w = simulated(np.random.default_rng(12))
    fit = fit_spatial(panel, w, outcome="y", x=["a"], model="sar", effects="city", random=True, draws=0)
    found = mundlak_test(fit, ["m_a"])
    assert (found.decision, found.df) == ("no answer", 0)
    assert "no regressor has city means" in found.note


# Information criteria


@pytest.mark.real
def test_criteria_of_spatialreg(cases_dir):
    folder = cases_dir / "spatial" / "01_columbus"
    table = pd.read_csv(folder / "columbus.csv")
    w = graph_from_matrix(np.loadtxt(folder / "W_binary.csv", delimiter=",", skiprows=1), table["POLYID"])
    truth = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["results"]
    options = {"outcome": "CRIME", "x": ["INC", "HOVAL"], "unit": "POLYID", "row_standardise": True, "draws": 0}
    fits = [fit_spatial(table, w, model=model, **options) for model in ("sar", "sem", "sdm")]
    found = information_criteria(fits).set_index("model")
    for model in ("sar", "sem", "sdm"):
        assert found.loc[model, "aic"] == pytest.approx(truth[model]["aic"], abs=1e-6)
        k = found.loc[model, "parameters"]
        assert found.loc[model, "bic"] == pytest.approx(truth[model]["aic"] - 2 * k + k * np.log(49), abs=1e-6)
    assert found["parameters"].tolist() == [5, 5, 7]
    assert found.loc["sem", "lambda"] == pytest.approx(0.5208876961865, abs=2e-5)
    assert np.isnan(found.loc["sem", "rho"])


def test_effects_count_where_the_likelihood_has_dummies():
    panel, w = simulated(np.random.default_rng(13), n=10, years=5)
    given = {"outcome": "y", "x": ["a"], "model": "sar", "draws": 0}
    fits = {c: fit_spatial(panel, w, correction=c, **given) for c in ("none", "bias", "transformation")}
    found = information_criteria(fits).set_index("model")
    assert found["parameters"].to_dict() == {"none": 3 + 14, "bias": 3 + 14, "transformation": 3}
    assert found["n"].to_dict() == {"none": 50, "bias": 50, "transformation": 9 * 4}


def test_a_test_that_could_not_be_made():
    found = no_answer("hausman", "none", 0.05, "why")
    assert (found.decision, found.rejects, found.model, found.note) == ("no answer", False, "pooled", "why")
    assert set(found.to_dict()) >= {"test", "model", "statistic", "df", "p_value", "null", "decision"}
    assert found.null == NULLS["hausman"]
