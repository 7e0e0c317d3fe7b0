"""Lagrange multipliers against published answers, spreg, numerical scores of the likelihood, and simulation."""

import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import stats

from gistools.errors import InputError, WeightsError
from gistools.spatial.lagrange import lm_tests
from gistools.spatial.models import fit_spatial
from gistools.weights import graph_from_matrix

DRAWS = 300
NAMES = ("lm_lag", "lm_error", "rlm_lag", "rlm_error", "lm_joint")


def neighbours(rng, n, k=3):
    """Row-standardised nearest neighbours of random points."""
    points = rng.uniform(size=(n, 2))
    gap = np.linalg.norm(points[:, None] - points[None], axis=2) + 9 * np.eye(n)
    W = np.zeros((n, n))
    np.put_along_axis(W, np.argsort(gap, axis=1)[:, :k], 1 / k, axis=1)
    return W


def inverse_distance(rng, n):
    """Row-standardised inverse distances between all pairs."""
    points = rng.uniform(size=(n, 2))
    W = 1 / (np.linalg.norm(points[:, None] - points[None], axis=2) + np.eye(n))
    np.fill_diagonal(W, 0)
    return W / W.sum(axis=1, keepdims=True)


def make_panel(rng, W, years, *, rho=0.0, lam=0.0, theta=0.0, effects=1.0):
    n = len(W)
    x = rng.normal(size=(2, n, years))
    mu, year = effects * rng.normal(size=(n, 1)), effects * rng.normal(size=(1, years))
    errors = np.linalg.solve(np.eye(n) - lam * W, rng.normal(size=(n, years)))
    signal = x[0] - 0.5 * x[1] + theta * (W @ x[0]) + mu + year + errors
    y = np.linalg.solve(np.eye(n) - rho * W, signal)
    keys = {"city_code": np.repeat([f"c{i:03d}" for i in range(n)], years), "year": np.tile(np.arange(years), n)}
    return pd.DataFrame({**keys, "y": y.ravel(), "a": x[0].ravel(), "b": x[1].ravel()})


def graph(W):
    return graph_from_matrix(W, [f"c{i:03d}" for i in range(len(W))])


def statistics(panel, w, *, effects, correction="none", model="pooled", **options):
    fit = fit_spatial(
        panel, w, outcome="y", x=["a", "b"], model=model, effects=effects, correction=correction, draws=0, **options
    )
    tests = lm_tests(fit, panel, w, **options)
    assert tuple(test.test for test in tests) == NAMES
    return {test.test: test.statistic for test in tests}


# Published answers


@pytest.mark.real
@pytest.mark.parametrize(
    ("case", "unit", "weights", "outcome", "x", "program"),
    [
        ("05_cigar_oneway", "state", "W_binary.csv", "logc", ["logp", "logy"], "splm_lm_tests"),
        ("07_produc_usaww", "state", "W_rowstd.csv", "lgsp", ["lpcap", "lpc", "lemp", "unemp"], "splm"),
    ],
)
def test_panels_of_splm_and_spdep(cases_dir, case, unit, weights, outcome, x, program):
    """Pooled and city effects of splm (which agrees with Elhorst's code), two-way effects of spdep with dummies."""
    folder = cases_dir / "spatial" / case
    panel = pd.read_csv(folder / "panel.csv")
    w = graph_from_matrix(np.loadtxt(folder / weights, delimiter=",", skiprows=1), panel[unit].unique())
    truth = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    rows = {"row_standardise": weights == "W_binary.csv", "unit": unit}
    ours = {"lml": "lm_lag", "lme": "lm_error", "rlml": "rlm_lag", "rlme": "rlm_error"}
    theirs = {"LMlag": "lm_lag", "LMerr": "lm_error", "RLMlag": "rlm_lag", "RLMerr": "rlm_error"}
    published = {
        "none": {ours[name]: truth[program][f"slmtest_pooling_{name}"] for name in ours},
        "city": {ours[name]: truth[program][f"slmtest_within_{name}"] for name in ours},
    }
    lsdv = truth["spatialreg_lsdv"]
    if "lm_twoways" in lsdv:
        published["city,year"] = {theirs[name]: lsdv["lm_twoways"][name] for name in theirs}
    for effects, expected in published.items():
        fit = fit_spatial(panel, w, outcome=outcome, x=x, model="pooled", effects=effects, correction="none", **rows)
        found = {test.test: test for test in lm_tests(fit, panel, w, **rows)}
        for name, value in expected.items():
            assert found[name].statistic == pytest.approx(value["stat"], rel=2e-6)
            if value["p"] > 1e-12:
                assert found[name].p_value == pytest.approx(value["p"], rel=2e-5)
        joint = found["lm_joint"]
        assert joint.statistic == pytest.approx(found["rlm_lag"].statistic + found["lm_error"].statistic, rel=1e-12)
        assert joint.statistic == pytest.approx(found["rlm_error"].statistic + found["lm_lag"].statistic, rel=1e-9)


@pytest.mark.real
def test_columbus_of_spdep(cases_dir):
    folder = cases_dir / "spatial" / "01_columbus"
    table = pd.read_csv(folder / "columbus.csv")
    w = graph_from_matrix(np.loadtxt(folder / "W_binary.csv", delimiter=",", skiprows=1), table["POLYID"])
    truth = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["results"]["lmtests"]
    rows = {"row_standardise": True, "unit": "POLYID"}
    fit = fit_spatial(table, w, outcome="CRIME", x=["INC", "HOVAL"], model="pooled", **rows)
    for test, name in zip(
        lm_tests(fit, table, w, **rows), ("LMlag", "LMerr", "RLMlag", "RLMerr", "SARMA"), strict=True
    ):
        assert test.statistic == pytest.approx(truth[name]["stat"], rel=1e-9)
        assert test.df == truth[name]["df"]
        assert test.p_value == pytest.approx(truth[name]["p"], rel=1e-9)


# A peer

quiet = pytest.mark.filterwarnings("ignore:The inplace keyword")  # of pandas, to spreg


@quiet
@pytest.mark.parametrize("standardised", [True, False])
def test_cross_section_agrees_with_spreg(standardised):
    from spreg import OLS, LMtests

    rng = np.random.default_rng(11)
    W = neighbours(rng, 60)
    W = W if standardised else 3 * (W + W.T)
    table = make_panel(rng, neighbours(rng, 60), 1, effects=0.0).drop(columns="year")
    ours = statistics(table, graph(W), effects="none")
    w = graph(W).to_W()
    peer = LMtests(OLS(table[["y"]].to_numpy(), table[["a", "b"]].to_numpy()), w)
    for name, theirs in zip(NAMES, (peer.lml, peer.lme, peer.rlml, peer.rlme, peer.sarma), strict=True):
        assert ours[name] == pytest.approx(theirs[0], rel=1e-9)


@quiet
def test_beside_lags_of_x_the_error_test_is_spregs():
    from spreg import OLS, LMtests

    rng = np.random.default_rng(12)
    W = neighbours(rng, 60)
    table = make_panel(rng, W, 1, theta=0.8, effects=0.0).drop(columns="year")
    ours = statistics(table, graph(W), effects="none", model="slx")
    X = table[["a", "b"]].to_numpy()
    peer = LMtests(OLS(table[["y"]].to_numpy(), np.column_stack([X, W @ X])), graph(W).to_W(), tests=["lme", "lml"])
    assert ours["lm_error"] == pytest.approx(peer.lme[0], rel=1e-9)
    assert ours["lm_lag"] == pytest.approx(peer.lml[0], rel=1e-9)


# The score and information of the full likelihood, by differences


def score_statistics(y, X, W):
    """The five statistics by definition, for ``y = rho W y + X b + u``, ``u = lambda W u + e``, stacked.

    The score is the numerical gradient of the log-likelihood at the least-squares fit; the information is that of a
    normal distribution with numerical derivatives of its mean and covariance.
    """
    n, k = X.shape
    eye = np.eye(n)
    b = np.linalg.lstsq(X, y, rcond=None)[0]
    s2 = np.sum((y - X @ b) ** 2) / n
    at = np.concatenate([b, [s2, 0.0, 0.0]])

    def parts(p):
        return eye - p[k + 1] * W, eye - p[k + 2] * W

    def loglik(p):
        S, B = parts(p)
        e = B @ (S @ y - X @ p[:k])
        return (
            -0.5 * n * np.log(2 * np.pi * p[k])
            + np.linalg.slogdet(S)[1]
            + np.linalg.slogdet(B)[1]
            - e @ e / (2 * p[k])
        )

    def moments(p):
        S, B = parts(p)
        root = np.linalg.inv(B @ S)
        return np.linalg.solve(S, X @ p[:k]), p[k] * root @ root.T

    steps = 1e-5 * np.maximum(1.0, np.abs(at))
    ups = [at + step * unit for step, unit in zip(steps, np.eye(k + 3), strict=True)]
    downs = [at - step * unit for step, unit in zip(steps, np.eye(k + 3), strict=True)]
    pairs = list(zip(ups, downs, steps, strict=True))
    score = np.array([(loglik(up) - loglik(down)) / (2 * step) for up, down, step in pairs])
    slopes = [
        [(a - b) / (2 * step) for a, b in zip(moments(up), moments(down), strict=True)] for up, down, step in pairs
    ]
    information = np.array(
        [[(m1 @ m2 + np.trace(c1 @ c2) / (2 * s2)) / s2 for m2, c2 in slopes] for m1, c1 in slopes]
    )

    def test(*free):
        keep = [*range(k + 1), *free]
        return score[keep] @ np.linalg.solve(information[np.ix_(keep, keep)], score[keep])

    lag, error, joint = test(k + 1), test(k + 2), test(k + 1, k + 2)
    return {
        "lm_lag": lag, "lm_error": error, "rlm_lag": joint - error, "rlm_error": joint - lag, "lm_joint": joint
    }  # fmt: skip


def stacked(panel, W, years, effects):
    """The panel with a dummy for each effect, years stacked."""
    table = panel.sort_values(["year", "city_code"])
    n = len(W)
    dummies = [np.ones((n * years, 1))]
    if "city" in effects:
        dummies.append(np.kron(np.ones((years, 1)), np.eye(n))[:, 1:])
    if "year" in effects:
        dummies.append(np.kron(np.eye(years), np.ones((n, 1)))[:, 1:])
    return table["y"].to_numpy(), np.column_stack([table[["a", "b"]], *dummies]), np.kron(np.eye(years), W)


def transformed(panel, W, years, effects):
    """The panel in coordinates without its means (Lee and Yu 2010)."""

    def root(m, wanted):
        if not wanted:
            return np.eye(m)
        values, vectors = np.linalg.eigh(np.eye(m) - 1 / m)
        return vectors[:, values > 0.5]

    F, E = root(len(W), "year" in effects), root(years, "city" in effects)
    columns = [
        np.einsum("ni,nt,tj->ji", F, panel[name].to_numpy().reshape(len(W), years), E).ravel()
        for name in ("y", "a", "b")
    ]
    return columns[0], np.column_stack(columns[1:]), np.kron(np.eye(E.shape[1]), F.T @ W @ F)


@pytest.mark.parametrize("effects", ["none", "city", "year", "city,year"])
@pytest.mark.parametrize("standardised", [True, False])
def test_without_correction_is_the_score_test_with_dummies(effects, standardised):
    rng = np.random.default_rng(3)
    W = neighbours(rng, 7)
    W = W if standardised else 2 * (W + W.T)
    panel = make_panel(rng, neighbours(rng, 7), 4, rho=0.3)
    expected = score_statistics(*stacked(panel, W, 4, effects))
    assert statistics(panel, graph(W), effects=effects) == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("effects", ["city", "year", "city,year"])
def test_with_transformation_is_the_score_test_of_the_transformed_panel(effects):
    rng = np.random.default_rng(4)
    W = neighbours(rng, 8)
    panel = make_panel(rng, W, 4, rho=0.3)
    expected = score_statistics(*transformed(panel, W, 4, effects))
    for correction in ("transformation", "bias"):
        found = statistics(panel, graph(W), effects=effects, correction=correction)
        assert found == pytest.approx(expected, rel=1e-5)


def test_score_is_centred_for_weights_that_are_not_standardised():
    """Mean and variance of the error test's score are those of a quadratic form in ``J W J``."""
    rng = np.random.default_rng(5)
    W = rng.uniform(size=(9, 9)) * (rng.uniform(size=(9, 9)) < 0.5)
    np.fill_diagonal(W, 0)
    panel = make_panel(rng, neighbours(rng, 9), 5)
    fit = fit_spatial(
        panel, graph(W), outcome="y", x=["a", "b"], model="pooled", effects="city,year", correction="bias"
    )
    J = np.eye(9) - 1 / 9
    A = J @ W @ J
    sorted_x = np.stack([panel[name].to_numpy().reshape(9, 5) for name in ("y", "a", "b")])
    y, a, b = (
        sorted_x
        - sorted_x.mean(1, keepdims=True)
        - sorted_x.mean(2, keepdims=True)
        + sorted_x.mean((1, 2))[:, None, None]
    )
    e = y - fit.estimates[0] * a - fit.estimates[1] * b
    n = 8 * 4
    centred = np.sum(e * (W @ e)) / (np.sum(e * e) / n) - 4 * np.trace(A)
    variance = 4 * (np.sum(A * A) + np.sum(A * A.T)) - 2 * (4 * np.trace(A)) ** 2 / n
    found = statistics(panel, graph(W), effects="city,year", correction="bias")["lm_error"]
    assert found == pytest.approx(centred**2 / variance, rel=1e-10)


# Invariances


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**20), st.sampled_from(["none", "city", "year", "city,year"]), st.floats(0.01, 100))
def test_units_order_and_effects_do_not_matter(seed, effects, factor):
    rng = np.random.default_rng(seed)
    W = neighbours(rng, 12)
    panel = make_panel(rng, W, 4, rho=0.2)
    base = statistics(panel, graph(W), effects=effects)
    shifted = panel.sample(frac=1, random_state=seed).assign(
        y=lambda t: factor * t["y"] + 3, a=lambda t: t["a"] / factor, b=lambda t: t["b"] * -7
    )
    if "city" in effects:
        shifted["y"] += shifted["city_code"].str[1:].astype(int)
    if "year" in effects:
        shifted["y"] += shifted["year"] ** 2
    order = rng.permutation(12)
    w = graph_from_matrix(W[np.ix_(order, order)], [f"c{i:03d}" for i in order])
    assert statistics(shifted, w, effects=effects) == pytest.approx(base, rel=1e-7, abs=1e-9)
    # the scale of the weights moves rho and lambda, not the tests
    assert statistics(panel, graph(factor * W), effects=effects) == pytest.approx(base, rel=1e-7, abs=1e-9)


# Simulation


def rejections(kind, years, correction, effects, draws, **truth):
    """Share of simulated panels in which each test rejects at 5 %."""
    rng = np.random.default_rng(2024)
    W = {"knn": neighbours, "dense": inverse_distance}[kind](rng, 40)
    w = graph(W)
    found = [
        statistics(make_panel(rng, W, years, **truth), w, effects=effects, correction=correction)
        for _ in range(draws)
    ]
    table = pd.DataFrame(found)
    limit = pd.Series({name: stats.chi2.ppf(0.95, 2 if name == "lm_joint" else 1) for name in NAMES})
    return (table > limit).mean()


@pytest.mark.parametrize("kind", ["knn", "dense"])
def test_size_is_nominal_under_the_transformation(kind):
    share = rejections(kind, 5, "transformation", "city,year", DRAWS)
    assert (share < 0.05 + 3 * np.sqrt(0.05 * 0.95 / DRAWS)).all()
    assert (share > 0.05 - 3 * np.sqrt(0.05 * 0.95 / DRAWS)).all()


def test_size_without_correction_is_wrong_where_weights_are_dense():
    """With dense weights year effects make residuals look negatively dependent: LM rejects true independence."""
    share = rejections("dense", 20, "none", "city,year", 50)
    assert share["lm_error"] > 0.5
    share = rejections("dense", 20, "transformation", "city,year", 50)
    assert share["lm_error"] < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 50)


def test_power_and_direction():
    lag = rejections("knn", 6, "transformation", "city,year", 40, rho=0.3)
    error = rejections("knn", 6, "transformation", "city,year", 40, lam=0.4)
    assert lag["lm_lag"] > 0.95
    assert lag["rlm_lag"] > 0.7 > 0.3 > lag["rlm_error"]
    assert error["lm_error"] > 0.95
    assert error["rlm_error"] > 0.7 > 0.3 > error["rlm_lag"]


# Edges


def test_regressors_that_explain_the_lag_leave_no_robust_test():
    """With the lag of every regressor, and lags of those, the lag of the fitted outcome holds nothing of its own."""
    rng = np.random.default_rng(8)
    W = np.kron(np.eye(10), np.array([[0.0, 1.0], [1.0, 0.0]]))  # pairs: W W = I
    panel = make_panel(rng, W, 4)
    fit = fit_spatial(panel, graph(W), outcome="y", x=["a", "b"], model="slx", effects="none", draws=0)
    tests = {test.test: test for test in lm_tests(fit, panel, graph(W))}
    for name in ("rlm_lag", "rlm_error", "lm_joint"):
        assert (np.isnan(tests[name].p_value), tests[name].decision) == (True, "no answer")
        assert "cannot be told apart" in tests[name].note
    assert tests["lm_lag"].statistic == pytest.approx(tests["lm_error"].statistic, rel=1e-9)


def test_refusals():
    rng = np.random.default_rng(9)
    W = neighbours(rng, 10)
    panel = make_panel(rng, W, 3)
    fit = fit_spatial(panel, graph(W), outcome="y", x=["a"], model="sar", effects="city", draws=0)
    with pytest.raises(InputError, match="start from a pooled or slx fit, not from sar"):
        lm_tests(fit, panel, graph(W))
    pooled = fit_spatial(panel, None, outcome="y", x=["a"], model="pooled", effects="city")
    with pytest.raises(WeightsError, match="not in the weights"):
        lm_tests(pooled, panel, graph(W[:9, :9]))
