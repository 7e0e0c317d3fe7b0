"""The spatial error model against published answers, brute force by definition, a peer, and known parameters."""

import json
import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import optimize
from spatial_factory import graph, load_case, make_error_panel, make_w, orthonormal, real_bounds, stacked

from gistools.errors import InputError, WeightsError
from gistools.spatial.models import fit_spatial
from gistools.weights import graph_from_matrix

EFFECTS = ["none", "city", "year", "city,year"]


# Published answers


def check(fit, coefficients, errors, lambda_, lambda_error, *, sigma2=None, loglik=None):
    """Hold a fit to the tolerances of a program whose own search stops early."""
    frame = fit.to_frame()
    assert frame.loc["lambda", "estimate"] == pytest.approx(lambda_, abs=2e-5)
    assert frame.loc["lambda", "std_error"] == pytest.approx(lambda_error, rel=1e-4)
    for term, value in coefficients.items():
        assert frame.loc[term, "estimate"] == pytest.approx(value, abs=2e-5 * max(1, abs(value)))
    for term, value in errors.items():
        assert frame.loc[term, "std_error"] == pytest.approx(value, rel=1e-4)
    if sigma2 is not None:
        assert fit.sigma2 == pytest.approx(sigma2, rel=1e-5)
    if loglik is not None:
        assert fit.loglik == pytest.approx(loglik, abs=1e-5)


@pytest.mark.real
@pytest.mark.parametrize(
    ("case", "effects"),
    [("05_cigar_oneway", "individual"), ("07_produc_usaww", "individual"), ("07_produc_usaww", "twoways")],
)
def test_dummy_variable_likelihood(cases_dir, case, effects):
    panel, w, options, expected = load_case(cases_dir, case)
    truth = expected["spatialreg_lsdv"][f"sem_{effects}"]
    chosen = {"individual": "city", "twoways": "city,year"}[effects]
    fit = fit_spatial(panel, w, model="sem", effects=chosen, correction="none", **options)
    check(
        fit, truth["coef"], truth["se"], truth["lambda"], truth["lambda_se"],
        sigma2=truth["sigma2"], loglik=truth["logLik"],
    )  # fmt: skip
    assert fit.terms[-1] == "lambda"
    assert fit.effects_decomposition.empty


@pytest.mark.real
def test_lee_yu_transformation_of_city_effects(cases_dir):
    panel, w, options, expected = load_case(cases_dir, "05_cigar_oneway")
    truth = expected["splm"]["splm_sem_individual_LeeYu"]
    coefficients = dict(truth["coef"])
    lambda_ = coefficients.pop("rho")
    errors = dict(zip(coefficients, truth["se"][1:], strict=True))
    fit = fit_spatial(panel, w, model="sem", effects="city", correction="transformation", **options)
    check(fit, coefficients, errors, lambda_, truth["se"][0], sigma2=truth["sigma2"])
    assert (fit.n_effective, fit.correction) == (46 * 29, "transformation")


@pytest.mark.real
def test_columbus_cross_section(cases_dir):
    folder = cases_dir / "spatial" / "01_columbus"
    table = pd.read_csv(folder / "columbus.csv")
    w = graph_from_matrix(np.loadtxt(folder / "W_binary.csv", delimiter=",", skiprows=1), table["POLYID"])
    truth = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["results"]["sem"]
    fit = fit_spatial(table, w, outcome="CRIME", x=["INC", "HOVAL"], model="sem", unit="POLYID", row_standardise=True)
    coefficients = {{"(Intercept)": "const"}.get(name, name): value for name, value in truth["coef"].items()}
    errors = dict(zip(coefficients, truth["se"], strict=True))
    check(fit, coefficients, errors, truth["lambda"], truth["lambda_se"], sigma2=truth["s2"], loglik=truth["logLik"])
    covariance = np.array(truth["vcov"])[1:, 1:]  # without sigma2; lambda comes first
    order = [3, 0, 1, 2]
    assert fit.covariance[np.ix_(order, order)] == pytest.approx(covariance, rel=1e-4, abs=1e-10)


# Brute force: dummies, stacked matrices, every formula by definition


def brute_force(y, W, X, bounds, keep):
    """Maximise the full likelihood of the error model, and invert the full expected information."""
    m, k = X.shape
    eye = np.eye(m)

    def left(lambda_):
        B = eye - lambda_ * W
        beta = np.linalg.lstsq(B @ X, B @ y, rcond=None)[0]
        return beta, B @ (y - X @ beta)

    def negative(lambda_):
        e = left(lambda_)[1]
        return 0.5 * m * np.log(e @ e / m) - np.linalg.slogdet(eye - lambda_ * W)[1]

    grid = np.linspace(*bounds, 41)[1:-1]
    best = grid[np.argmin([negative(r) for r in grid])]
    step = grid[1] - grid[0]
    lambda_ = optimize.brentq(lambda r: negative(r + 2e-5) - negative(r - 2e-5), best - step, best + step, xtol=1e-13)
    beta, e = left(lambda_)
    sigma2 = e @ e / m
    covariance = np.linalg.inv(information(W, X, lambda_, sigma2))
    place = [*range(keep), k]
    loglik = -negative(lambda_) - 0.5 * m * (np.log(2 * np.pi) + 1)
    return np.append(beta[:keep], lambda_), covariance[np.ix_(place, place)], sigma2, loglik


def information(W, X, lambda_, sigma2):
    """The expected information of (beta, lambda, sigma2), dummies among X."""
    k = X.shape[1]
    B = np.eye(len(W)) - lambda_ * W
    G = W @ np.linalg.inv(B)
    out = np.zeros((k + 2, k + 2))
    out[:k, :k] = (B @ X).T @ (B @ X) / sigma2
    out[k, k] = np.trace(G @ G) + np.trace(G.T @ G)
    out[k, k + 1] = out[k + 1, k] = np.trace(G) / sigma2
    out[k + 1, k + 1] = len(W) / (2 * sigma2**2)
    return out


@pytest.mark.parametrize("kind", ["knn", "raw", "islands"])
@pytest.mark.parametrize("effects", EFFECTS)
def test_equals_the_stacked_model_with_dummies(kind, effects):
    rng = np.random.default_rng(5)
    W = make_w(rng, 14, kind=kind)
    panel = make_error_panel(rng, W, 5, lambda_=0.4 / np.abs(np.linalg.eigvals(W)).max())
    fit = fit_spatial(
        panel.sample(frac=1, random_state=1), graph(W), outcome="y", x=["x0", "x1"], model="sem", effects=effects,
        correction="none",
    )  # fmt: skip
    y, big, X = stacked(panel, W, (), effects)
    estimates, covariance, sigma2, loglik = brute_force(y, big, X, real_bounds(W), 2)
    place = [fit.terms.index(name) for name in ["x0", "x1", "lambda"]]
    assert fit.estimates[place] == pytest.approx(estimates, abs=2e-7)
    assert fit.covariance[np.ix_(place, place)] == pytest.approx(covariance, rel=1e-5, abs=1e-10)
    assert (fit.sigma2, fit.loglik) == pytest.approx((sigma2, loglik), rel=1e-7)


@pytest.mark.parametrize("effects", ["city", "year", "city,year"])
def test_transformation_equals_the_model_of_transformed_data(effects):
    rng = np.random.default_rng(6)
    n, years = 12, 5
    W = make_w(rng, n)
    panel = make_error_panel(rng, W, years)
    fit = fit_spatial(
        panel, graph(W), outcome="y", x=["x0", "x1"], model="sem", effects=effects, correction="transformation"
    )
    over_years = orthonormal(years) if "city" in effects else np.eye(years)
    over_cities = orthonormal(n) if "year" in effects else np.eye(n)
    reduced = [
        (over_cities.T @ panel[name].to_numpy().reshape(n, years) @ over_years).T.ravel()
        for name in ("y", "x0", "x1")
    ]
    big = np.kron(np.eye(over_years.shape[1]), over_cities.T @ W @ over_cities)
    estimates, covariance, sigma2, loglik = brute_force(reduced[0], big, np.column_stack(reduced[1:]), (-1.2, 1.0), 2)
    assert fit.estimates == pytest.approx(estimates, abs=2e-7)
    assert fit.covariance == pytest.approx(covariance, rel=1e-5, abs=1e-10)
    assert (fit.sigma2, fit.loglik) == pytest.approx((sigma2, loglik), rel=1e-7)
    assert fit.n_effective == len(reduced[0])


@pytest.mark.parametrize("kind", ["knn", "raw"])
@pytest.mark.parametrize("effects", ["year", "city,year"])
def test_bias_correction_is_the_information_times_the_score_the_effects_add(kind, effects):
    rng = np.random.default_rng(19)
    n, years = 14, 5
    W = make_w(rng, n, kind=kind)
    panel = make_error_panel(rng, W, years, lambda_=0.3)
    options = {"outcome": "y", "x": ["x0", "x1"], "model": "sem", "effects": effects}
    plain = fit_spatial(panel, graph(W), correction="none", **options)
    at = plain.estimates[-1]
    _, big, X = stacked(panel, W, (), effects)
    B = np.eye(n) - at * W
    year = B @ np.ones(n) / np.linalg.norm(B @ np.ones(n))
    score = np.zeros(X.shape[1] + 2)
    score[-2] = year @ W @ np.linalg.inv(B) @ year
    score[-1] = 1 / (2 * plain.sigma2)
    move = years * np.linalg.solve(information(big, X, at, plain.sigma2), score)
    fit = fit_spatial(panel, graph(W), correction="bias", **options)
    assert fit.estimates == pytest.approx(plain.estimates + move[[0, 1, -2]], abs=1e-7)
    grown = years / (years - 1) if "city" in effects else 1
    assert fit.sigma2 == pytest.approx((plain.sigma2 + move[-1]) * grown, rel=1e-6)
    assert fit.loglik == plain.loglik


@pytest.mark.parametrize("model", ["sar", "sem"])
@pytest.mark.parametrize("errors", ["robust", "city"])
@pytest.mark.parametrize(
    ("kind", "effects"), [("knn", "none"), ("raw", "year"), ("raw", "city"), ("knn", "city,year")]
)
def test_sandwich_by_definition(model, errors, kind, effects):
    """Scores written out term by term: own terms by error or by city, products of two cities apart."""
    rng = np.random.default_rng(31)
    n, years = 9, 4
    m = n * years
    W = make_w(rng, n, kind=kind)
    panel = make_error_panel(rng, W, years, lambda_=0.3)
    asked = {"robust": True} if errors == "robust" else {"cluster": "city"}
    options = {
        "outcome": "y",
        "x": ["x0", "x1"],
        "model": model,
        "effects": effects,
        "correction": "none",
        "draws": 0,
    }
    fit = fit_spatial(panel, graph(W), **asked, **options)
    plain = fit_spatial(panel, graph(W), **options)
    at, sigma2 = plain.estimates[-1], plain.sigma2
    y, big, X = stacked(panel, W, (), effects)
    filtering = np.eye(m) - at * big
    D = X if model == "sar" else filtering @ X
    beta, *_ = np.linalg.lstsq(D, filtering @ y, rcond=None)
    e = filtering @ y - D @ beta
    keep = [0, 1, 2] if effects == "none" else [0, 1]
    rest = np.delete(D, keep, axis=1)
    M = np.eye(m) - rest @ np.linalg.pinv(rest)
    direction = np.ones(n) if model == "sar" else (np.eye(n) - at * W) @ np.ones(n)
    J = np.eye(n) - np.outer(direction, direction) / (direction @ direction) * ("year" in effects)
    G = W @ np.linalg.inv(np.eye(n) - at * W)
    H = np.kron(np.eye(years), J @ G @ J)
    score = (np.diag(H) - np.trace(G) / n) * (e**2 - sigma2)
    if model == "sar":
        score = score + M @ np.kron(np.eye(years), G) @ X @ beta * e
    scores = np.column_stack([(M @ D)[:, keep] * e[:, None], score])
    city = np.tile(np.arange(n), years)  # rows are stacked by year
    products = (H + H.T) * np.outer(e, e)
    if errors == "city":
        scores = np.array([scores[city == i].sum(axis=0) for i in range(n)])
        products = np.array([[products[np.ix_(city == i, city == j)].sum() for j in range(n)] for i in range(n)])
    else:
        products[city[:, None] == city] = 0.0
    pairs = sum(products[i, j] ** 2 for i in range(len(products)) for j in range(i))
    variance = scores.T @ scores
    variance[-1, -1] += pairs
    order = [plain.terms.index(name) for name in ["x0", "x1", "const", plain.terms[-1]] if name in plain.terms]
    bread = plain.covariance[np.ix_(order, order)]
    factor = n / (n - 1) if errors == "city" else 1.0
    assert fit.small_sample == pytest.approx(factor)
    sandwich = factor * bread @ variance @ bread / sigma2**2
    assert fit.covariance[np.ix_(order, order)] == pytest.approx(sandwich, rel=1e-5, abs=1e-10)


# A peer


def test_spreg_fits_the_same_cross_section():
    from spreg import ML_Error

    rng = np.random.default_rng(51)
    W = make_w(rng, 60)
    panel = make_error_panel(rng, W, 1, effects=False)
    fit = fit_spatial(panel, graph(W), outcome="y", x=["x0", "x1"], model="sem")
    w = graph(W).to_W()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = ML_Error(panel[["y"]].to_numpy(), panel[["x0", "x1"]].to_numpy(), w=w, epsilon=1e-12)
    assert fit.terms == ("const", "x0", "x1", "lambda")
    assert fit.estimates == pytest.approx(peer.betas[:, 0], abs=1e-6)
    assert fit.loglik == pytest.approx(peer.logll, abs=1e-8)
    assert np.diag(fit.covariance) == pytest.approx(np.diag(peer.vm), rel=1e-5)


# Simulated panels with known parameters


def test_corrections_on_two_way_panels_with_known_lambda():
    """With few years the dummies bias lambda; both corrections help, and intervals then cover the truth."""
    rng = np.random.default_rng(52)
    truth, draws = np.array([1.0, 0.5]), 60
    W = make_w(rng, 40)
    found = {"none": [], "transformation": [], "bias": []}
    covered = []
    for _ in range(draws):
        panel = make_error_panel(rng, W, 4, beta=(1.0,), theta=(0.0,))
        for correction, estimates in found.items():
            fit = fit_spatial(panel, graph(W), outcome="y", x=["x0"], model="sem", correction=correction)
            estimates.append(fit.estimates)
            if correction == "transformation":
                frame = fit.to_frame()
                covered.append((frame["ci_low"] < truth) & (frame["ci_high"] > truth))
    bias = {name: np.mean(estimates, axis=0) - truth for name, estimates in found.items()}
    noise = np.std(found["transformation"], axis=0) / np.sqrt(draws)
    assert np.all(np.abs(bias["transformation"]) < 3 * noise)
    assert bias["none"][1] < -5 * noise[1]
    assert abs(bias["bias"][1]) < abs(bias["none"][1]) / 2
    assert np.all(np.abs(np.mean(covered, axis=0) - 0.95) < 3 * np.sqrt(0.95 * 0.05 / draws))


@pytest.mark.parametrize("model", ["sar", "sem"])
@pytest.mark.parametrize("correction", ["none", "transformation"])
def test_robust_errors_agree_with_the_information_where_errors_are_alike(model, correction):
    rng = np.random.default_rng(53)
    W = make_w(rng, 250)
    ratios = []
    for _ in range(3):
        panel = make_error_panel(rng, W, 4, lambda_=0.4 * (model == "sem"), beta=(1.0,), theta=(0.0,))
        options = {"outcome": "y", "x": ["x0"], "model": model, "effects": "city", "correction": correction}
        plain, robust = (fit_spatial(panel, graph(W), robust=r, draws=0, **options) for r in (False, True))
        ratios.append(np.diag(robust.covariance) / np.diag(plain.covariance))
        assert robust.clusters is None
        assert robust.small_sample == pytest.approx(4 / 3 if correction == "transformation" else 1)
        assert robust.errors == "robust to heteroskedasticity"
    assert np.mean(ratios, axis=0) == pytest.approx(1.0, abs=0.15)


# Invariances


@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    seed=st.integers(0, 10_000),
    scale=st.floats(1e-3, 1e3),
    factor=st.sampled_from([0.25, 2.0, 40.0]),
    effects=st.sampled_from(EFFECTS),
)
def test_order_units_levels_and_scale_of_weights_do_not_matter(seed, scale, factor, effects):
    rng = np.random.default_rng(seed)
    W = make_w(rng, 15, kind="raw")
    panel = make_error_panel(rng, W, 4, lambda_=0.3)
    options = {"outcome": "y", "x": ["x0", "x1"], "model": "sem", "effects": effects, "correction": "none"}
    fit = fit_spatial(panel, graph(W), **options)
    order = rng.permutation(15)
    w = graph_from_matrix(factor * W[order][:, order], [f"c{i:02d}" for i in order])
    absorbed = 10 * panel["city_code"].factorize()[0] if "city" in effects else 0.0
    other = panel.assign(x0=panel["x0"] * scale, y=panel["y"] + absorbed).sample(frac=1, random_state=seed)
    again = fit_spatial(other, w, **options)
    change = np.ones(len(fit.terms))
    change[fit.terms.index("x0")], change[-1] = 1 / scale, 1 / factor
    assert again.estimates == pytest.approx(fit.estimates * change, rel=1e-5, abs=1e-6 / factor)
    assert np.sqrt(np.diag(again.covariance)) == pytest.approx(np.sqrt(np.diag(fit.covariance)) * change, rel=1e-5)
    assert (again.loglik, again.sigma2) == pytest.approx((fit.loglik, fit.sigma2), rel=1e-6)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 10_000), effects=st.sampled_from(EFFECTS))
def test_at_its_own_lambda_the_model_is_least_squares_of_the_filtered_panel(seed, effects):
    rng = np.random.default_rng(seed)
    W = make_w(rng, 15)
    panel = make_error_panel(rng, W, 4, lambda_=0.3)
    options = {"outcome": "y", "x": ["x0", "x1"], "effects": effects, "correction": "none"}
    fit = fit_spatial(panel, graph(W), model="sem", **options)
    filtered = panel.copy()
    for name in ("y", "x0", "x1"):
        laid = panel[name].to_numpy().reshape(15, 4)
        filtered[name] = (laid - fit.estimates[-1] * (W @ laid)).ravel()
    plain = fit_spatial(filtered, None, model="pooled", **options)
    slopes = [fit.terms.index(name) for name in ("x0", "x1")]
    assert fit.estimates[slopes] == pytest.approx(plain.estimates[-2:], abs=1e-9)
    assert fit.sigma2 == pytest.approx(plain.sigma2, rel=1e-9)


def test_without_dependence_the_likelihood_is_that_of_least_squares():
    """Errors spread just so much that lambda is estimated as zero: the rest is least squares."""
    rng = np.random.default_rng(54)
    W = make_w(rng, 20)
    panel = make_error_panel(rng, W, 5, sd=0.0)
    noise = rng.normal(size=(20, 5))
    options = {"outcome": "y", "x": ["x0", "x1"], "effects": "city", "correction": "none"}

    def spread(share):
        errors = np.linalg.solve(np.eye(20) - share * W, noise)
        return panel.assign(y=panel["y"] + errors.ravel())

    share = optimize.brentq(
        lambda s: fit_spatial(spread(s), graph(W), model="sem", **options).estimates[-1], -0.9, 0.9, xtol=1e-10
    )
    fit = fit_spatial(spread(share), graph(W), model="sem", **options)
    plain = fit_spatial(spread(share), None, model="pooled", **options)
    assert fit.estimates == pytest.approx([*plain.estimates, 0.0], abs=1e-6)
    assert (fit.loglik, fit.sigma2) == pytest.approx((plain.loglik, plain.sigma2), rel=1e-9)


def test_sparse_factors_give_what_eigenvalues_give():
    rng = np.random.default_rng(55)
    W = make_w(rng, 120)
    panel = make_error_panel(rng, W, 4)
    options = {"outcome": "y", "x": ["x0", "x1"], "model": "sem"}
    for more in ({}, {"cluster": "city"}, {"robust": True}):
        dense = fit_spatial(panel, graph(W), determinant="eigenvalues", **options, **more)
        fit = fit_spatial(panel, graph(W), determinant="lu", **options, **more)
        assert fit.estimates == pytest.approx(dense.estimates, abs=1e-7)
        assert fit.covariance == pytest.approx(dense.covariance, rel=1e-5, abs=1e-12)


# Notes and bad input


def test_weights_and_columns_that_ask_for_a_note():
    rng = np.random.default_rng(56)
    W = make_w(rng, 12, kind="islands")
    panel = make_error_panel(rng, W, 4).assign(twice=lambda t: 2 * t["x0"])
    fit = fit_spatial(panel, graph(W), outcome="y", x=["x0", "twice"], model="sem", effects="city")
    assert fit.dropped == {"twice": "collinear with x0"}
    assert any("no neighbour" in note and "c00" in note for note in fit.warnings)
    full = 1 / (1 + np.abs(np.subtract.outer(np.arange(12), np.arange(12)))) - np.eye(12)
    fit = fit_spatial(panel, graph(full), outcome="y", x=["x0"], model="sem", row_standardise=True)
    assert any("lambda is estimated poorly" in note for note in fit.warnings)


def test_equal_weights_for_all_others_cannot_be_told_from_year_effects():
    rng = np.random.default_rng(57)
    W = (np.ones((10, 10)) - np.eye(10)) / 9
    panel = make_error_panel(rng, W, 4)
    with pytest.raises(WeightsError, match="lambda cannot be told apart"):
        fit_spatial(panel, graph(W), outcome="y", x=["x0"], model="sem")


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"durbin": ["x0"]}, InputError, "lags of x, which sem has none of; use sdm or slx"),
        ({"effects": "city,year"}, WeightsError, "needs weights whose rows sum to one"),
        ({"cluster": "city", "robust": True}, InputError, "ask for one of the two"),
        ({"outcome": "line"}, InputError, "explain the outcome without error"),
    ],
)
def test_bad_input_is_refused_in_one_sentence(options, error, sentence):
    rng = np.random.default_rng(58)
    W = make_w(rng, 10, kind="raw")
    panel = make_error_panel(rng, W, 4).assign(line=lambda t: 3 * t["x0"])
    asked = {"outcome": "y", "x": ["x0"], "model": "sem", "effects": "city"} | options
    with pytest.raises(error, match=sentence):
        fit_spatial(panel, graph(W), **asked)
