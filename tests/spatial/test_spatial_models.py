"""Spatial models against published answers, brute force by definition, simulated panels, and bad input."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import optimize
from spatial_factory import graph, load_case, make_panel, make_w, orthonormal, stacked

from gistools.errors import InputError, PanelError, TableError, WeightsError
from gistools.spatial.models import fit_by_weights, fit_spatial
from gistools.weights import graph_from_matrix

# Published answers


@pytest.mark.real
@pytest.mark.parametrize("model", ["sar", "sdm"])
@pytest.mark.parametrize(
    ("case", "effects"),
    [("05_cigar_oneway", "individual"), ("07_produc_usaww", "individual"), ("07_produc_usaww", "twoways")],
)
def test_dummy_variable_likelihood(cases_dir, case, model, effects):
    panel, w, options, expected = load_case(cases_dir, case)
    truth = expected["spatialreg_lsdv"][f"{model}_{effects}"]
    chosen = {"individual": "city", "twoways": "city,year"}[effects]
    fit = fit_spatial(panel, w, model=model, effects=chosen, correction="none", **options)
    check_terms(fit, truth)
    table = fit.effects_decomposition.set_index(["term", "effect"])
    for effect, values in truth["impacts"]["formula_point"].items():
        for term, value in values.items():
            assert table.loc[(term, effect), "estimate"] == pytest.approx(value, abs=1e-6)
            error = truth["impacts"]["delta_se"][effect][term]
            assert table.loc[(term, effect), "std_error"] == pytest.approx(error, rel=1e-4)
            simulated = truth["impacts"]["spatialreg_impacts"][f"sim_se_{effect}"][term]
            assert table.loc[(term, effect), "std_error_sim"] == pytest.approx(simulated, rel=0.08)


def check_terms(fit, truth):
    frame = fit.to_frame()
    assert frame.loc["rho", "estimate"] == pytest.approx(truth["rho"], abs=1e-6)
    assert frame.loc["rho", "std_error"] == pytest.approx(truth["rho_se"], rel=1e-5)
    for term, value in truth["coef"].items():
        name = term.replace("lag.", "W_")
        assert frame.loc[name, "estimate"] == pytest.approx(value, abs=1e-6)
        assert frame.loc[name, "std_error"] == pytest.approx(truth["se"][term], rel=1e-5)
    assert fit.loglik == pytest.approx(truth["logLik"], abs=1e-5)
    assert fit.sigma2 == pytest.approx(truth["sigma2"], rel=1e-5)


@pytest.mark.real
@pytest.mark.parametrize("model", ["sar", "sdm"])
@pytest.mark.parametrize(("effects", "key"), [("city", "individual"), ("city,year", "twoways")])
def test_lee_yu_transformation(cases_dir, model, effects, key):
    panel, w, options, expected = load_case(cases_dir, "07_produc_usaww")
    truth = expected["leeyu_transformation"][f"{model}_{key}"]
    fit = fit_spatial(panel, w, model=model, effects=effects, correction="transformation", **options)
    check_terms(fit, truth)
    assert (fit.n_effective, fit.correction, fit.n) == (truth["nobs"], "transformation", 816)


@pytest.mark.real
@pytest.mark.parametrize("effects", ["city", "city,year"])
def test_pooled_is_least_squares_with_effects(cases_dir, effects):
    panel, w, options, expected = load_case(cases_dir, "07_produc_usaww")
    truth = expected["spatialreg_lsdv"][{"city": "ols_individual", "city,year": "ols_twoways"}[effects]]
    fit = fit_spatial(panel, w, model="pooled", effects=effects, correction="none", **options)
    for term, value in truth["coef"].items():
        assert fit.to_frame().loc[term, "estimate"] == pytest.approx(value, abs=1e-8)
    assert fit.loglik == pytest.approx(truth["logLik"], abs=1e-6)
    assert fit.sigma2 == pytest.approx(truth["s2_ml"], rel=1e-8)


@pytest.mark.real
@pytest.mark.parametrize("model", ["sar", "sdm"])
def test_columbus_cross_section(cases_dir, model):
    folder = cases_dir / "spatial" / "01_columbus"
    table = pd.read_csv(folder / "columbus.csv")
    w = graph_from_matrix(np.loadtxt(folder / "W_binary.csv", delimiter=",", skiprows=1), table["POLYID"])
    truth = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["results"][model]
    fit = fit_spatial(table, w, outcome="CRIME", x=["INC", "HOVAL"], model=model, unit="POLYID", row_standardise=True)
    assert (fit.effects, fit.years, fit.correction) == ("none", 1, "none")
    names = {"(Intercept)": "const", "INC": "INC", "HOVAL": "HOVAL", "lag.INC": "W_INC", "lag.HOVAL": "W_HOVAL"}
    frame = fit.to_frame()
    for term, error in zip(truth["coef"], truth["se"], strict=True):
        value = truth["coef"][term]
        assert frame.loc[names[term], "estimate"] == pytest.approx(value, abs=1e-6 * max(1, abs(value)))
        assert frame.loc[names[term], "std_error"] == pytest.approx(error, rel=1e-5)
    assert fit.loglik == pytest.approx(truth["logLik"], abs=1e-5)
    # Their covariance is ordered sigma2, rho, coefficients; ours coefficients, rho.
    place = [fit.terms.index(names.get(name, name)) for name in truth["vcov_names"][1:]]
    published = np.array(truth["vcov"])[1:, 1:]
    assert fit.covariance[np.ix_(place, place)] == pytest.approx(published, rel=2e-5, abs=1e-9)


# Brute force: dummies, stacked matrices, every formula by definition


def brute_force(y, W, X, bounds, keep):
    """Maximise the full likelihood, and invert the full expected information."""
    m = len(y)
    eye = np.eye(m)

    def negative(rho):
        residual = (eye - rho * W) @ y
        residual = residual - X @ np.linalg.lstsq(X, residual, rcond=None)[0]
        return 0.5 * m * np.log(residual @ residual / m) - np.linalg.slogdet(eye - rho * W)[1]

    grid = np.linspace(*bounds, 41)[1:-1]
    best = grid[np.argmin([negative(r) for r in grid])]
    step = grid[1] - grid[0]
    rho = optimize.brentq(lambda r: negative(r + 2e-5) - negative(r - 2e-5), best - step, best + step, xtol=1e-13)
    filtered = (eye - rho * W) @ y
    beta = np.linalg.lstsq(X, filtered, rcond=None)[0]
    sigma2 = np.sum((filtered - X @ beta) ** 2) / m
    k = X.shape[1]
    covariance = np.linalg.inv(information(W, X, beta, rho, sigma2))
    place = [*range(keep), k]
    loglik = -negative(rho) - 0.5 * m * (np.log(2 * np.pi) + 1)
    return np.append(beta[:keep], rho), covariance[np.ix_(place, place)], sigma2, loglik


def information(W, X, beta, rho, sigma2):
    """The expected information of (beta, rho, sigma2), dummies among X."""
    k = X.shape[1]
    G = W @ np.linalg.inv(np.eye(len(W)) - rho * W)
    mean = G @ X @ beta
    out = np.zeros((k + 2, k + 2))
    out[:k, :k] = X.T @ X / sigma2
    out[:k, k] = out[k, :k] = X.T @ mean / sigma2
    out[k, k] = np.trace(G @ G) + np.trace(G.T @ G) + mean @ mean / sigma2
    out[k, k + 1] = out[k + 1, k] = np.trace(G) / sigma2
    out[k + 1, k + 1] = len(W) / (2 * sigma2**2)
    return out


@pytest.mark.parametrize("kind", ["knn", "raw", "islands"])
@pytest.mark.parametrize("effects", ["none", "city", "year", "city,year"])
@pytest.mark.parametrize("durbin", [(), ("x1",), ("x0", "x1")])
def test_equals_the_stacked_model_with_dummies(kind, effects, durbin):
    rng = np.random.default_rng(5)
    W = make_w(rng, 14, kind=kind)
    panel = make_panel(rng, W, 5, rho=0.3 / np.abs(np.linalg.eigvals(W)).max(), theta=(0.3, 0.4))
    model = "sdm" if durbin else "sar"
    fit = fit_spatial(
        panel.sample(frac=1, random_state=1), graph(W), outcome="y", x=["x0", "x1"], model=model,
        durbin=durbin or None, effects=effects, correction="none", draws=0,
    )  # fmt: skip
    eigenvalues = np.linalg.eigvals(W)
    real = eigenvalues.real[np.abs(eigenvalues.imag) < 1e-9]
    y, big, X = stacked(panel, W, durbin, effects)
    estimates, covariance, sigma2, loglik = brute_force(y, big, X, (1 / real.min(), 1 / real.max()), 2 + len(durbin))
    place = [fit.terms.index(name) for name in ["x0", "x1", *[f"W_{name}" for name in durbin], "rho"]]
    assert fit.estimates[place] == pytest.approx(estimates, abs=2e-7)
    assert fit.covariance[np.ix_(place, place)] == pytest.approx(covariance, rel=1e-5, abs=1e-10)
    assert (fit.sigma2, fit.loglik) == pytest.approx((sigma2, loglik), rel=1e-7)


@pytest.mark.parametrize("effects", ["city", "year", "city,year"])
def test_transformation_equals_the_model_of_transformed_data(effects):
    rng = np.random.default_rng(6)
    n, years = 12, 5
    W = make_w(rng, n)
    panel = make_panel(rng, W, years, theta=(0.4, 0.0))
    fit = fit_spatial(
        panel, graph(W), outcome="y", x=["x0", "x1"], durbin=["x0"], effects=effects, correction="transformation",
        draws=0,
    )  # fmt: skip
    over_years = orthonormal(years) if "city" in effects else np.eye(years)
    over_cities = orthonormal(n) if "year" in effects else np.eye(n)
    laid = {name: panel[name].to_numpy().reshape(n, years) for name in ("y", "x0", "x1")}
    laid["W_x0"] = W @ laid["x0"]
    # Without its own means a year is ruled by F'WF, because F'W = F'WFF' for rows that sum to one.
    reduced = {name: (over_cities.T @ values @ over_years).T.ravel() for name, values in laid.items()}
    big = np.kron(np.eye(over_years.shape[1]), over_cities.T @ W @ over_cities)
    X = np.column_stack([reduced["x0"], reduced["x1"], reduced["W_x0"]])
    estimates, covariance, sigma2, loglik = brute_force(reduced["y"], big, X, (-1.2, 1.0), 3)
    assert fit.estimates == pytest.approx(estimates, abs=2e-7)
    assert fit.covariance == pytest.approx(covariance, rel=1e-5, abs=1e-10)
    assert (fit.sigma2, fit.loglik) == pytest.approx((sigma2, loglik), rel=1e-7)
    assert fit.n_effective == len(reduced["y"])


def test_effects_equal_the_matrix_of_derivatives():
    rng = np.random.default_rng(7)
    W = make_w(rng, 20, kind="raw")
    panel = make_panel(rng, W, 6, rho=0.8, theta=(0.6, 0.0))
    fit = fit_spatial(panel, graph(W), outcome="y", x=["x0", "x1"], durbin=["x0"], correction="none", draws=20_000)

    def derivatives(estimates):
        values = dict(zip(fit.terms, estimates, strict=True))
        S = np.linalg.inv(np.eye(20) - values["rho"] * W)
        out = []
        for name in ("x0", "x1"):
            matrix = S @ (values[name] * np.eye(20) + values.get(f"W_{name}", 0.0) * W)
            direct, total = np.trace(matrix) / 20, matrix.sum() / 20
            out += [direct, total - direct, total]
        return np.array(out)

    table = fit.effects_decomposition
    assert table["estimate"].to_numpy() == pytest.approx(derivatives(fit.estimates), abs=1e-12)
    jacobian = optimize.approx_fprime(fit.estimates, derivatives, 1e-7)
    error = np.sqrt(np.einsum("ij,jk,ik->i", jacobian, fit.covariance, jacobian))
    assert table["std_error"].to_numpy() == pytest.approx(error, rel=1e-5)
    drawn = np.random.default_rng(1).multivariate_normal(fit.estimates, fit.covariance, 4000)
    spread = np.std([derivatives(row) for row in drawn], axis=0)
    assert table["std_error_sim"].to_numpy() == pytest.approx(spread, rel=0.05)


def test_slx_effects():
    rng = np.random.default_rng(8)
    W = make_w(rng, 15)
    panel = make_panel(rng, W, 6, rho=0.0, theta=(0.5, 0.0))
    fit = fit_spatial(panel, graph(W), outcome="y", x=["x0", "x1"], model="slx")
    estimate = dict(zip(fit.terms, fit.estimates, strict=True))
    table = fit.effects_decomposition.set_index(["term", "effect"])["estimate"]
    assert table["x0", "direct"] == pytest.approx(estimate["x0"], abs=1e-12)
    assert table["x0", "indirect"] == pytest.approx(estimate["W_x0"], abs=1e-12)
    assert "rho" not in estimate
    assert fit.rho == 0


@pytest.mark.real
def test_bias_correction_follows_elhorst(cases_dir):
    # Elhorst's routines rescale sigma2 of the model with city effects by T / (T - 1) and leave the rest: his estimate
    # of it is 0.00689959 at a rho that a grid of 0.001 gave.
    panel, w, options, _ = load_case(cases_dir, "05_cigar_oneway")
    plain = fit_spatial(panel, w, model="sar", effects="city", correction="none", draws=0, **options)
    fit = fit_spatial(panel, w, model="sar", effects="city", correction="bias", draws=0, **options)
    assert fit.sigma2 == pytest.approx(plain.sigma2 * 30 / 29, rel=1e-12)
    assert fit.sigma2 == pytest.approx(0.00689959, rel=1e-3)
    assert fit.estimates == pytest.approx(plain.estimates, abs=1e-12)
    assert fit.r2 == pytest.approx(0.867688, abs=1e-4)
    assert fit.to_frame().loc["logp", "statistic"] == pytest.approx(-20.7427, rel=3e-3)


@pytest.mark.parametrize("kind", ["knn", "raw"])
@pytest.mark.parametrize("effects", ["year", "city,year"])
def test_bias_correction_is_the_information_times_the_score_the_effects_add(kind, effects):
    rng = np.random.default_rng(19)
    n, years = 14, 5
    W = make_w(rng, n, kind=kind)
    panel = make_panel(rng, W, years, rho=0.3)
    options = {"outcome": "y", "x": ["x0", "x1"], "model": "sar", "effects": effects, "draws": 0}
    plain = fit_spatial(panel, graph(W), correction="none", **options)
    y, big, X = stacked(panel, W, (), effects)
    beta = np.linalg.lstsq(X, y - plain.rho * (big @ y), rcond=None)[0]
    score = np.zeros(X.shape[1] + 2)
    score[-2] = np.linalg.solve(np.eye(n) - plain.rho * W, np.ones(n)) @ W.sum(axis=0) / n
    score[-1] = 1 / (2 * plain.sigma2)
    move = years * np.linalg.solve(information(big, X, beta, plain.rho, plain.sigma2), score)
    fit = fit_spatial(panel, graph(W), correction="bias", **options)
    assert fit.estimates == pytest.approx(plain.estimates + move[[0, 1, -2]], abs=1e-7)
    grown = years / (years - 1) if "city" in effects else 1
    assert fit.sigma2 == pytest.approx((plain.sigma2 + move[-1]) * grown, rel=1e-6)
    assert fit.loglik == plain.loglik


# Simulated panels with known parameters


def test_corrections_on_two_way_panels_with_known_rho():
    """With few years the dummies bias rho; both corrections help, and intervals then cover the truth."""
    rng = np.random.default_rng(20)
    truth, draws = np.array([1.0, 0.5]), 100
    W = make_w(rng, 40)
    estimates = {"none": [], "transformation": [], "bias": []}
    covered = []
    for _ in range(draws):
        panel = make_panel(rng, W, 4, rho=0.5, beta=(1.0,), theta=(0.0,), sd=1.0)
        for correction, found in estimates.items():
            fit = fit_spatial(panel, graph(W), outcome="y", x=["x0"], model="sar", correction=correction, draws=0)
            found.append(fit.estimates)
        last = fit_spatial(panel, graph(W), outcome="y", x=["x0"], model="sar", draws=0).to_frame()
        covered.append((last["ci_low"] < truth) & (last["ci_high"] > truth))
    bias = {name: np.mean(found, axis=0) - truth for name, found in estimates.items()}
    noise = np.std(estimates["transformation"], axis=0) / np.sqrt(draws)
    assert np.all(np.abs(bias["transformation"]) < 3 * noise)
    assert bias["none"][1] < -5 * noise[1]
    assert abs(bias["bias"][1]) < abs(bias["none"][1]) / 2
    assert np.all(np.abs(np.mean(covered, axis=0) - 0.95) < 3 * np.sqrt(0.95 * 0.05 / draws))


def test_clustered_errors_match_the_spread_of_estimates():
    """Errors that persist within a city and differ in size between cities: only clustered errors are right."""
    rng = np.random.default_rng(21)
    n, years = 60, 8
    W = make_w(rng, n)
    S = np.linalg.inv(np.eye(n) - 0.4 * W)
    trend = np.linspace(-1, 1, years)
    size = np.exp(0.4 * rng.normal(size=(n, 1)))
    slope = rng.normal(size=(n, 1))
    x = slope * trend + 0.3 * rng.normal(size=(n, years))  # persistent regressor, persistent errors
    frame = pd.DataFrame(
        {"city_code": np.repeat([f"c{i:02d}" for i in range(n)], years), "year": np.tile(range(years), n)}
    )
    found, plain, robust = [], [], []
    for _ in range(120):
        errors = size * (rng.normal(size=(n, 1)) * trend + 0.5 * rng.normal(size=(n, years)))
        frame = frame.assign(y=(S @ (x + errors)).ravel(), x0=x.ravel())
        fits = [
            fit_spatial(frame, graph(W), outcome="y", x=["x0"], model="sar", cluster=c, draws=0)
            for c in (None, "city")
        ]
        found.append(fits[0].estimates)
        plain.append(np.sqrt(np.diag(fits[0].covariance)))
        robust.append(np.sqrt(np.diag(fits[1].covariance)))
        assert fits[1].clusters == n
        assert fits[1].small_sample == pytest.approx(n / (n - 1))
    spread = np.std(found, axis=0)
    assert np.mean(robust, axis=0) == pytest.approx(spread, rel=0.2)
    assert np.all(np.mean(plain, axis=0) < 0.7 * spread)


def test_clustered_errors_agree_with_the_information_when_errors_are_independent():
    rng = np.random.default_rng(22)
    W = make_w(rng, 80, kind="knn")
    ratio = []
    for _ in range(40):
        panel = make_panel(rng, W, 6, beta=(1.0,), theta=(0.0,))
        fits = [
            fit_spatial(panel, graph(W), outcome="y", x=["x0"], model="sar", cluster=c, draws=0)
            for c in (None, "city")
        ]
        ratio.append(np.diag(fits[1].covariance) / np.diag(fits[0].covariance))
    assert np.mean(ratio, axis=0) == pytest.approx(1.0, abs=0.1)


def test_sparse_factors_give_what_eigenvalues_give():
    rng = np.random.default_rng(9)
    W = make_w(rng, 120)
    panel = make_panel(rng, W, 4)
    options = {"outcome": "y", "x": ["x0", "x1"], "draws": 500}
    dense = fit_spatial(panel, graph(W), **options)
    clustered = fit_spatial(panel, graph(W), cluster="city", **options)
    sparse_ = fit_spatial(panel, graph(W), determinant="lu", **options)
    assert (dense.options["determinant"], sparse_.options["determinant"]) == ("eigenvalues", "sparse LU")
    assert sparse_.estimates == pytest.approx(dense.estimates, abs=1e-7)
    assert sparse_.covariance == pytest.approx(dense.covariance, rel=1e-6, abs=1e-12)
    columns = ["estimate", "std_error", "std_error_sim"]
    assert sparse_.effects_decomposition[columns].to_numpy() == pytest.approx(
        dense.effects_decomposition[columns].to_numpy(), rel=1e-5, abs=1e-9
    )
    again = fit_spatial(panel, graph(W), determinant="lu", cluster="city", **options)
    assert again.covariance == pytest.approx(clustered.covariance, rel=1e-5, abs=1e-12)


# Invariances


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3), shift=st.floats(-50, 50))
def test_order_of_rows_units_and_levels_do_not_matter(seed, scale, shift):
    rng = np.random.default_rng(seed)
    W = make_w(rng, 15)
    panel = make_panel(rng, W, 4, theta=(0.3, 0.0))
    options = {"outcome": "y", "x": ["x0", "x1"], "durbin": ["x0"], "draws": 0}
    fit = fit_spatial(panel, graph(W), **options)
    order = rng.permutation(15)
    shuffled = graph_from_matrix(W[np.ix_(order, order)], np.array([f"c{i:02d}" for i in range(15)])[order])
    changed = panel.sample(frac=1, random_state=seed).assign(
        x0=lambda t: scale * t["x0"], y=lambda t: t["y"] + shift * t["year"] + t["city_code"].str[1:].astype(int)
    )
    again = fit_spatial(changed, shuffled, **options)
    factor = np.array([1 / scale, 1, 1 / scale, 1])
    assert again.estimates == pytest.approx(fit.estimates * factor, rel=1e-5, abs=1e-6 / min(scale, 1))
    assert np.diag(again.covariance) == pytest.approx(np.diag(fit.covariance) * factor**2, rel=1e-5)
    assert again.loglik == pytest.approx(fit.loglik, abs=1e-5)


@settings(max_examples=12, deadline=None)
@given(seed=st.integers(0, 10_000), effects=st.sampled_from(["none", "city", "year", "city,year"]))
def test_at_its_own_rho_the_model_is_least_squares_of_the_filtered_outcome(seed, effects):
    rng = np.random.default_rng(seed)
    W = make_w(rng, 15)
    panel = make_panel(rng, W, 4)
    fit = fit_spatial(panel, graph(W), outcome="y", x=["x0", "x1"], model="sar", effects=effects, draws=0)
    laid = panel["y"].to_numpy().reshape(15, 4)
    filtered = panel.assign(y=(laid - fit.rho * (W @ laid)).ravel())
    plain = fit_spatial(filtered, None, outcome="y", x=["x0", "x1"], model="pooled", effects=effects)
    assert fit.estimates[:-1] == pytest.approx(plain.estimates, abs=1e-10)


def test_at_rho_zero_the_likelihood_is_that_of_least_squares():
    """The outcome is filtered until the estimate of rho is zero; then nothing differs from least squares."""
    rng = np.random.default_rng(3)
    W = make_w(rng, 30)
    panel = make_panel(rng, W, 6, rho=0.0)
    shift = optimize.brentq(lambda r: fit_spatial(moved(panel, W, r), graph(W), **SAR).rho, -0.5, 0.5, xtol=1e-13)
    still = moved(panel, W, shift)
    fit = fit_spatial(still, graph(W), **SAR)
    plain = fit_spatial(still, graph(W), **(SAR | {"model": "pooled"}))
    assert fit.rho == pytest.approx(0, abs=1e-8)
    assert fit.estimates[:-1] == pytest.approx(plain.estimates, abs=1e-7)
    assert fit.loglik == pytest.approx(plain.loglik, abs=1e-7)


SAR = {"outcome": "y", "x": ["x0", "x1"], "model": "sar", "correction": "none", "draws": 0}


def moved(panel, W, rho):
    laid = panel["y"].to_numpy().reshape(len(W), -1)
    return panel.assign(y=(laid - rho * (W @ laid)).ravel())


@pytest.mark.parametrize("factor", [0.1, 7.0])
def test_scaled_weights_scale_rho(factor):
    rng = np.random.default_rng(4)
    W = make_w(rng, 20, kind="raw")
    panel = make_panel(rng, W, 5)
    one = fit_spatial(panel, graph(W), **SAR)
    other = fit_spatial(panel, graph(factor * W), **SAR)
    assert other.rho * factor == pytest.approx(one.rho, abs=1e-7)
    assert other.loglik == pytest.approx(one.loglik, abs=1e-7)


def test_same_seed_same_numbers():
    rng = np.random.default_rng(10)
    W = make_w(rng, 20)
    panel = make_panel(rng, W, 4)
    one, two = (fit_spatial(panel, graph(W), outcome="y", x=["x0"], seed=3) for _ in range(2))
    other = fit_spatial(panel, graph(W), outcome="y", x=["x0"], seed=4)
    assert one.to_dict() == two.to_dict()
    assert not np.array_equal(
        one.effects_decomposition["std_error_sim"], other.effects_decomposition["std_error_sim"]
    )


# What is said about columns, options and doubtful weights


def test_collinear_and_absorbed_columns_are_named():
    rng = np.random.default_rng(11)
    W = make_w(rng, 15)
    panel = make_panel(rng, W, 4)
    panel["twice"] = 2 * panel["x0"] + panel["x1"]
    panel["area"] = panel["city_code"].str[1:].astype(float)
    fit = fit_spatial(panel, graph(W), outcome="y", x=["x0", "x1", "area", "twice"], model="sdm", effects="city,year")
    assert fit.dropped["area"] == "absorbed by the effects"
    assert fit.dropped["twice"] == "collinear with x0, x1"
    assert set(fit.dropped) == {"area", "twice", "W_area", "W_twice"}
    assert any("twice is dropped" in note for note in fit.warnings)
    clean = fit_spatial(panel, graph(W), outcome="y", x=["x0", "x1"], model="sdm", effects="city,year")
    assert fit.estimates == pytest.approx(clean.estimates, abs=1e-10)


def test_dense_weights_with_year_effects_draw_a_note():
    rng = np.random.default_rng(12)
    gap = np.abs(rng.normal(size=(20, 20)))
    W = np.triu(gap, 1) + np.triu(gap, 1).T
    panel = make_panel(rng, W / W.sum(axis=1, keepdims=True), 5)
    options = {"outcome": "y", "x": ["x0"], "row_standardise": True, "draws": 0}
    assert any("dense" in note for note in fit_spatial(panel, graph(W), **options).warnings)
    assert not fit_spatial(panel, graph(W), effects="city", **options).warnings


def test_islands_are_named():
    rng = np.random.default_rng(13)
    W = make_w(rng, 15, kind="islands")
    panel = make_panel(rng, W, 5)
    fit = fit_spatial(panel, graph(W), outcome="y", x=["x0"], correction="none")
    assert "2 cities have no neighbour" in fit.warnings[0]
    assert "c00, c01" in fit.warnings[0]
    with pytest.raises(WeightsError, match=r"rows sum to one.*c00, c01.*none or bias"):
        fit_spatial(panel, graph(W), outcome="y", x=["x0"], row_standardise=True)


def test_transformation_asks_for_row_standardised_weights():
    rng = np.random.default_rng(14)
    W = make_w(rng, 15, kind="raw")
    panel = make_panel(rng, W, 5)
    with pytest.raises(WeightsError, match="row-standardise them"):
        fit_spatial(panel, graph(W), outcome="y", x=["x0"])
    fit = fit_spatial(panel, graph(W), outcome="y", x=["x0"], effects="city", correction="transformation")
    assert fit.n_effective == 15 * 4


def test_defaults_are_stated():
    rng = np.random.default_rng(15)
    W = make_w(rng, 15)
    panel = make_panel(rng, W, 5)
    two = fit_spatial(panel, graph(W), outcome="y", x=["x0"])
    assert (two.effects, two.correction, two.n_effective, two.model) == ("city,year", "transformation", 14 * 4, "sdm")
    one = fit_spatial(panel, graph(W), outcome="y", x=["x0"], effects=["year"])
    assert (one.effects, one.correction, one.n_effective) == ("year", "none", 75)
    cross = fit_spatial(panel[panel["year"] == 2001], graph(W), outcome="y", x=["x0"])
    assert (cross.effects, cross.years) == ("none", 1)
    assert "transformation" in two.summary()
    assert set(two.to_dict()) >= {"terms", "n_effective", "correction", "sigma2", "effects_decomposition", "options"}


@pytest.mark.parametrize("codes", ["text", "numbers"])
def test_codes_may_be_numbers_or_text_and_keys_may_be_the_index(codes):
    rng = np.random.default_rng(16)
    W = make_w(rng, 12)
    panel = make_panel(rng, W, 5)
    truth = fit_spatial(panel, graph(W), outcome="y", x=["x0"], draws=0)
    names = np.arange(110000, 110012) if codes == "numbers" else np.arange(12).astype(str)
    panel["city_code"] = names[panel["city_code"].str[1:].astype(int)]
    w = graph_from_matrix(W, names[::-1][::-1])
    fit = fit_spatial(panel.set_index(["city_code", "year"]), w, outcome="y", x=["x0"], draws=0)
    assert fit.estimates == pytest.approx(truth.estimates, abs=1e-12)


def bad_panel(name):
    rng = np.random.default_rng(17)
    W = make_w(rng, 10)
    panel = make_panel(rng, W, 4)
    panel["text"] = "many"
    panel["flat"] = panel["year"].astype(float)
    if name == "gap":
        panel = panel.drop(index=[2, 17])
    elif name == "hole":
        panel.loc[5, "x0"] = np.nan
    elif name == "endless":
        panel.loc[5, "x0"] = np.inf
    elif name == "twice":
        panel = pd.concat([panel, panel.iloc[[3]]])
    elif name == "stranger":
        panel["city_code"] = panel["city_code"].replace("c03", "Lhasa")
    elif name == "exact":
        panel["y"] = 2 * panel["x0"]
    elif name == "timeless":
        panel = panel.rename(columns={"year": "period"})
    return panel, graph(W)


@pytest.mark.parametrize(
    ("name", "options", "error", "sentence"),
    [
        ("gap", {}, PanelError, r"2 of 40 city-years are missing \(c00/2002, c04/2001\)"),
        ("hole", {}, PanelError, r"'x0' has no number in 1 of 40 rows \(c01/2001\)"),
        ("endless", {}, PanelError, r"'x0' has no number in 1 of 40 rows \(c01/2001\)"),
        ("twice", {}, TableError, "more than one row for city_code and year c00/2003"),
        ("timeless", {}, TableError, "no column 'year' and so is read as one cross-section.*name its time column"),
        ("stranger", {}, WeightsError, r"1 of 10 cities are not in the weights \(Lhasa\); .*not in the data \(c03\)"),
        ("exact", {}, InputError, "explain the outcome without error"),
        ("good", {"x": ["x9"]}, TableError, "no column 'x9'; it has city_code, year, y, x0"),
        ("good", {"x": ["text"]}, TableError, "'text', holds 'many' where a number is needed"),
        ("good", {"x": []}, InputError, "no regressor"),
        ("good", {"x": ["x0", "x0"]}, InputError, "x names x0 twice"),
        ("good", {"x": ["y"]}, InputError, "which is the outcome"),
        ("good", {"x": ["rho"]}, InputError, "x names rho, which is the name of another term"),
        ("good", {"x": ["x0", "W_x0"]}, InputError, "x names W_x0, which is the name of another term"),
        ("good", {"x": ["flat"]}, InputError, "no regressor is left: flat is dropped"),
        ("good", {"outcome": "flat"}, PanelError, "'flat' does not vary"),
        ("good", {"model": "sem2"}, InputError, "model is 'sem2'"),
        ("good", {"effects": "province"}, InputError, "effects is 'province'"),
        ("good", {"correction": "lee"}, InputError, "correction is 'lee'"),
        ("good", {"durbin": ["x5"]}, InputError, "durbin names x5, which is not in x"),
        ("good", {"durbin": []}, InputError, "sdm without lags of x is sar"),
        ("good", {"model": "sar", "durbin": ["x0"]}, InputError, "durbin names lags of x, which sar has none of"),
        ("good", {"cluster": "province"}, InputError, "clustered by city, not by 'province'"),
    ],
)  # fmt: skip
def test_bad_input_is_refused_in_one_sentence(name, options, error, sentence):
    panel, w = bad_panel(name)
    with pytest.raises(error, match=sentence):
        fit_spatial(panel, w, **({"outcome": "y", "x": ["x0", "x1"]} | options))


def test_one_year_has_no_city_effects():
    panel, w = bad_panel("good")
    with pytest.raises(PanelError, match="one year"):
        fit_spatial(panel[panel["year"] == 2000], w, outcome="y", x=["x0"], effects="city")


def test_a_model_with_lags_needs_weights():
    panel, _ = bad_panel("good")
    with pytest.raises(InputError, match="sar needs weights"):
        fit_spatial(panel, None, outcome="y", x=["x0"], model="sar")


def test_equal_weights_for_all_others_cannot_be_told_from_year_effects():
    panel, _ = bad_panel("good")
    w = graph((np.ones((10, 10)) - np.eye(10)) / 9)
    with pytest.raises(WeightsError, match="cannot be told apart"):
        fit_spatial(panel, w, outcome="y", x=["x0"], model="sar")


def test_weights_without_links_are_refused():
    panel, _ = bad_panel("good")
    with pytest.raises(WeightsError, match="no links"):
        fit_spatial(panel, graph(np.zeros((10, 10))), outcome="y", x=["x0"], model="sar", correction="none")


# Several weights, robust errors of least squares


def test_several_weights_give_the_fits_of_each():
    rng = np.random.default_rng(60)
    weights = {kind: graph(make_w(rng, 12, kind=kind)) for kind in ("knn", "raw")}
    panel = make_panel(rng, make_w(rng, 12), 4)
    options = {"outcome": "y", "x": ["x0", "x1"], "model": "sar", "correction": "none"}
    fits = fit_by_weights(panel, weights, **options)
    assert [fit.weights for fit in fits] == ["knn", "raw"]
    for fit in fits:
        alone = fit_spatial(panel, weights[fit.weights], **options)
        assert fit.estimates.tolist() == alone.estimates.tolist()
        assert fit.to_dict() == {"weights": fit.weights, **alone.to_dict()}
        assert fit.summary() == f"weights {fit.weights}\n{alone.summary()}"
    with pytest.raises(InputError, match="no weights"):
        fit_by_weights(panel, {}, **options)


def test_an_error_of_one_of_several_weights_names_them():
    rng = np.random.default_rng(61)
    weights = {kind: graph(make_w(rng, 12, kind=kind)) for kind in ("knn", "raw")}
    panel = make_panel(rng, make_w(rng, 12), 4)
    with pytest.raises(WeightsError, match="weights raw: the correction transformation"):
        fit_by_weights(panel, weights, outcome="y", x=["x0"], model="sar")


@pytest.mark.parametrize("effects", ["none", "city", "city,year"])
def test_robust_errors_of_least_squares(effects):
    """White's errors times N T / (N T - k), every dummy counted."""
    rng = np.random.default_rng(62)
    W = make_w(rng, 12)
    panel = make_panel(rng, W, 5)
    fit = fit_spatial(panel, None, outcome="y", x=["x0", "x1"], model="pooled", effects=effects, robust=True)
    y, _, X = stacked(panel, W, (), effects)
    bread = np.linalg.pinv(X.T @ X)
    e = y - X @ (bread @ X.T @ y)
    factor = 60 / (60 - np.linalg.matrix_rank(X))
    truth = factor * bread @ (X.T * e**2) @ X @ bread
    place = [fit.terms.index(name) for name in ("x0", "x1")]
    assert fit.covariance[np.ix_(place, place)] == pytest.approx(truth[:2, :2], rel=1e-9)
    assert fit.small_sample == pytest.approx(factor)
