"""Random effects against published answers, brute force by definition, a peer, and known parameters."""

import warnings

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy import optimize
from spatial_factory import graph, load_case, make_error_panel, make_panel, make_w, orthonormal, real_bounds

from gistools.errors import InputError, WeightsError
from gistools.spatial.models import fit_spatial
from gistools.weights import graph_from_matrix, row_standardise, weights_matrix

# Published answers


@pytest.mark.real
@pytest.mark.parametrize(
    ("case", "group", "key", "model", "random"),
    [
        ("05_cigar_oneway", "splm", "splm_sar_random", "sar", True),
        ("05_cigar_oneway", "splm", "splm_sdm_random", "sdm", True),
        ("05_cigar_oneway", "splm", "splm_sem_random", "sem", "baltagi"),
        ("07_produc_usaww", "splm", "random_sar", "sar", True),
        ("07_produc_usaww", "splm", "random_sem_bsk", "sem", True),
        ("07_produc_usaww", "splm", "random_sem_kkp", "sem", "kkp"),
    ],
)
def test_published_random_effects(cases_dir, case, group, key, model, random):
    panel, w, options, expected = load_case(cases_dir, case)
    truth = expected[group][key]
    fit = fit_spatial(panel, w, model=model, effects="city", random=random, draws=0, **options)
    frame = fit.to_frame()
    names = {
        "(Intercept)": "const", "log(pcap)": "lpcap", "log(pc)": "lpc", "log(emp)": "lemp",
    }  # fmt: skip
    for term, value in truth["coef"].items():
        assert frame.loc[names.get(term, term), "estimate"] == pytest.approx(value, abs=2e-6 * max(1, abs(value)))
    parameter = "lambda" if model == "sem" else "rho"
    # splm calls the parameter of the lag lambda, that of the errors rho
    spatial = (truth["arcoef"] or {}).get("lambda", None) if model != "sem" else truth["errcomp"]["rho"]
    assert frame.loc[parameter, "estimate"] == pytest.approx(spatial, abs=2e-6)
    assert frame.loc["phi", "estimate"] == pytest.approx(truth["errcomp"]["phi"], rel=1e-5)
    assert fit.loglik == pytest.approx(truth["logLik" if "logLik" in truth else "logLik_as_reported"], abs=1e-6)
    assert (fit.sigma2, fit.sigma2_city) == pytest.approx(tuple(truth["sigma2"][1:]), rel=1e-5)
    if model == "sem":  # splm's errors of the lag model hold rho fixed
        errors = truth["se"] if isinstance(truth["se"], list) else list(truth["se"].values())
        assert frame["std_error"].to_numpy()[: len(errors)] == pytest.approx(errors, rel=1e-5)
    assert (fit.random, fit.correction) == (True, "none")


# Brute force: the likelihood of all N T observations with their full covariance


class Dense:
    """The full likelihood and information of one model, every matrix N T x N T, rows by year."""

    def __init__(self, panel, W, model, random, effects, correction, lagged=()):
        n, years = len(W), panel["year"].nunique()
        laid = {name: panel[name].to_numpy().reshape(n, years) for name in ("y", "x0", "x1")}
        laid |= {f"W_{name}": W @ laid[name] for name in lagged}
        columns = [np.ones((n, years)), *(laid[name] for name in laid if name != "y")]
        self.names = ["const", *(name for name in laid if name != "y")]
        self.model, self.random, self.T = model, random, years
        over_cities = np.eye(n)
        if effects == "city,year":
            self.names.remove("const")
            del columns[0]
            if correction == "transformation":
                over_cities = orthonormal(n)
            else:
                columns += [np.tile(np.arange(years) == t, (n, 1)) * 1.0 for t in range(years)]
        self.W = over_cities.T @ W @ over_cities
        self.n = len(self.W)
        self.y = (over_cities.T @ laid["y"]).T.ravel()
        self.X = np.column_stack([(over_cities.T @ column).T.ravel() for column in columns])
        self.ones = np.ones((years, years))

    def variance(self, r, phi):
        """The covariance of the disturbances of y (error models) or of the filtered y (lag), over sigma2."""
        eye = np.eye(self.n)
        if self.model != "sem":
            return np.kron(phi * self.ones + np.eye(self.T), eye)
        inverse = np.linalg.inv((eye - r * self.W).T @ (eye - r * self.W))
        home = inverse if self.random == "kkp" else eye
        return phi * np.kron(self.ones, home) + np.kron(np.eye(self.T), inverse)

    def filter(self, r):
        return np.eye(self.n * self.T) - (r * np.kron(np.eye(self.T), self.W) if self.model in ("sar", "sdm") else 0)

    def solve(self, r, phi):
        V, S = self.variance(r, phi), self.filter(r)
        root = np.linalg.cholesky(V)
        rows = np.linalg.solve(root, np.column_stack([self.X, S @ self.y]))
        beta = np.linalg.lstsq(rows[:, :-1], rows[:, -1], rcond=None)[0]
        e = rows[:, -1] - rows[:, :-1] @ beta
        m = len(e)
        loglik = -0.5 * m * (np.log(2 * np.pi * (e @ e) / m) + 1) - np.log(np.diag(root)).sum()
        return beta, e @ e / m, loglik + np.linalg.slogdet(S)[1]

    def maximum(self, bounds):
        free = self.model not in ("pooled", "slx")

        def negative(at):
            r = at[0] if free else 0.0
            return -self.solve(r, np.exp(at[-1]))[2] if bounds[0] < r < bounds[1] else np.inf

        places = np.linspace(*bounds, 25)[1:-1] if free else (0.0,)
        starts = [(r, p) for r in places for p in (-2.0, 0.0, 1.0, 2.0, 3.0)]
        start = min(starts, key=negative)[0 if free else 1 :]
        found = optimize.minimize(
            negative, start, method="Nelder-Mead", options={"xatol": 1e-8, "fatol": 1e-12, "maxiter": 2000}
        )
        return (found.x[0] if free else 0.0), np.exp(found.x[-1])

    def covariance(self, r, phi, sigma2, beta):
        """The inverse expected information of (beta, r, phi, sigma2), derivatives of matrices taken numerically."""
        S, free = self.filter(r), self.model not in ("pooled", "slx")
        V = sigma2 * self.variance(r, phi)
        inverse = np.linalg.inv(V)
        h = 1e-6
        slopes = [
            sigma2 * (self.variance(r, phi + h) - self.variance(r, phi - h)) / (2 * h),
            self.variance(r, phi),
        ]
        k = self.X.shape[1]
        mean = np.zeros(len(self.y))
        if self.model in ("sar", "sdm"):  # y = S^-1 (X beta + errors)
            G = np.kron(np.eye(self.T), self.W) @ np.linalg.inv(S)
            mean = G @ self.X @ beta
            slopes.insert(0, G @ V + V @ G.T)
        elif free:
            slopes.insert(0, sigma2 * (self.variance(r + h, phi) - self.variance(r - h, phi)) / (2 * h))
        p = len(slopes)
        out = np.zeros((k + p, k + p))
        out[:k, :k] = self.X.T @ inverse @ self.X
        weighted = [inverse @ slope for slope in slopes]
        out[k:, k:] = [[np.sum(a * b.T) / 2 for b in weighted] for a in weighted]
        out[k, k] += mean @ inverse @ mean
        out[k, :k] += self.X.T @ inverse @ mean
        out[:k, k] = out[k, :k]
        return np.linalg.inv(out)


@pytest.mark.parametrize(
    ("model", "random"),
    [("pooled", True), ("slx", True), ("sar", True), ("sdm", True), ("sem", "baltagi"), ("sem", "kkp")],
)
@pytest.mark.parametrize(
    ("kind", "effects", "correction"),
    [
        ("knn", "city", "none"),
        ("raw", "city", "none"),
        ("islands", "city,year", "none"),
        ("knn", "city,year", "none"),
        ("knn", "city,year", "transformation"),
    ],
)
def test_equals_the_likelihood_of_all_observations(model, random, kind, effects, correction):
    rng = np.random.default_rng(41)
    n, years = 10, 3
    W = make_w(rng, n, kind=kind)
    scale = np.abs(np.linalg.eigvals(W)).max()
    panel = make_error_panel(rng, W, years, lambda_=0.4 / scale, city=0.8, x_effects=0.0)
    fit = fit_spatial(
        panel.sample(frac=1, random_state=1), graph(W), outcome="y", x=["x0", "x1"], model=model, random=random,
        effects=effects, correction=correction, draws=0,
    )  # fmt: skip
    dense = Dense(panel, W, model, random, effects, correction, ("x0", "x1") if model in ("slx", "sdm") else ())
    r, phi = dense.maximum(real_bounds(W))
    beta, sigma2, loglik = dense.solve(r, phi)
    spatial = [] if model in ("pooled", "slx") else [r]
    names = [*dense.names, *({"sem": ["lambda"]}.get(model, ["rho"]) if spatial else []), "phi"]
    place = [fit.terms.index(name) for name in names]
    assert fit.loglik == pytest.approx(loglik, abs=1e-9)
    truth = np.array([*beta[: len(dense.names)], *spatial, phi])
    assert fit.estimates[place] == pytest.approx(truth, abs=1e-6, rel=1e-6)
    assert (fit.sigma2, fit.sigma2_city) == pytest.approx((sigma2, phi * sigma2), rel=1e-6)
    k = len(beta)
    known = [*range(len(dense.names)), *range(k, k + len(spatial) + 1)]
    covariance = dense.covariance(r, phi, sigma2, beta)[np.ix_(known, known)]
    assert fit.covariance[np.ix_(place, place)] == pytest.approx(covariance, rel=1e-5, abs=1e-8)


@pytest.mark.real
def test_a_peer_reports_a_higher_likelihood_than_its_estimate_has(cases_dir):
    """spreg's log-likelihood of the error model, 1404.73, is not that of its own estimate, 1403.52, by definition."""
    panel, w, options, expected = load_case(cases_dir, "05_cigar_oneway")
    fit = fit_spatial(panel, w, model="sem", effects="city", random=True, **options)
    peer = expected["spreg"]["ML_ErrorRE"]
    codes = panel["state"].unique()
    W = row_standardised_matrix(w, codes)
    table = panel.rename(columns={"logc": "y", "logp": "x0", "logy": "x1"})
    dense = Dense(table, W, "sem", "baltagi", "city", "none")

    def loglik(beta, r, phi, sigma2):
        V = sigma2 * dense.variance(r, phi)
        left = dense.y - dense.X @ beta
        return -0.5 * (len(left) * np.log(2 * np.pi) + np.linalg.slogdet(V)[1] + left @ np.linalg.solve(V, left))

    assert loglik(fit.estimates[:3], *fit.estimates[3:], fit.sigma2) == pytest.approx(fit.loglik, abs=1e-8)
    theirs = loglik(np.array(peer["betas"][:3]), peer["betas"][3], peer["phi"], peer["sig2"])
    assert theirs < fit.loglik < peer["logll"]


def row_standardised_matrix(w, codes):
    return weights_matrix(row_standardise(w), codes).toarray()


# Peers


def test_spreg_fits_the_same_lag_model():
    from spreg import ML_LagRE

    rng = np.random.default_rng(43)
    n, years = 30, 5
    W = make_w(rng, n)
    panel = make_error_panel(rng, W, years, lambda_=0.0, city=0.7, x_effects=0.0)
    fit = fit_spatial(panel, graph(W), outcome="y", x=["x0", "x1"], model="sar", random=True, effects="city")
    wide = {name: panel.pivot(index="city_code", columns="year", values=name) for name in ("y", "x0", "x1")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        peer = ML_LagRE(wide["y"].to_numpy(), np.hstack([wide["x0"], wide["x1"]]), graph(W).to_W(), epsilon=1e-9)
    assert fit.estimates[:4] == pytest.approx(peer.betas[:4, 0], abs=1e-5)
    theta = peer.betas[4, 0]
    assert fit.estimates[4] == pytest.approx((theta**-2 - 1) / years, rel=1e-3)
    assert (fit.loglik, fit.sigma2) == pytest.approx((peer.logll, peer.sig2.item()), rel=1e-5)


# What the model is to do


def test_a_regressor_that_never_changes_is_estimated():
    rng = np.random.default_rng(44)
    W = make_w(rng, 30)
    panel = make_error_panel(rng, W, 6, city=0.3, sd=0.2, effects=False)
    coast = np.repeat(rng.normal(size=30), 6)
    panel = panel.assign(coast=coast, y=panel["y"] + 2 * coast)
    options = {"outcome": "y", "x": ["x0", "coast"], "model": "sem"}
    fit = fit_spatial(panel, graph(W), random=True, effects="city,year", **options)
    assert fit.to_frame().loc["coast", "estimate"] == pytest.approx(2, abs=0.3)
    fixed = fit_spatial(panel, graph(W), effects="city,year", **options)
    assert fixed.dropped == {"coast": "absorbed by the effects"}


@pytest.mark.parametrize(("model", "random"), [("pooled", True), ("sar", True), ("sem", "kkp"), ("sem", "baltagi")])
def test_without_variance_between_cities_the_model_is_pooled(model, random):
    rng = np.random.default_rng(3)
    W = make_w(rng, 20)
    panel = make_error_panel(rng, W, 5, effects=False)
    # taking most of their means away leaves cities more alike than chance makes them
    means = panel.groupby("city_code")[["y", "x0", "x1"]].transform("mean")
    panel[["y", "x0", "x1"]] -= 0.9 * means
    options = {"outcome": "y", "x": ["x0", "x1"], "model": model, "draws": 0}
    fit = fit_spatial(panel, graph(W), random=random, effects="city", **options)
    plain = fit_spatial(panel, graph(W), effects="none", **options)
    assert fit.estimates[-1] == pytest.approx(0, abs=1e-9)
    assert fit.estimates[:-1] == pytest.approx(plain.estimates, abs=1e-6)
    assert (fit.loglik, fit.sigma2) == pytest.approx((plain.loglik, plain.sigma2), rel=1e-8)
    assert any("no variance" in note for note in fit.warnings)


@pytest.mark.parametrize(("model", "random"), [("sdm", True), ("sem", "kkp"), ("sem", "baltagi")])
def test_random_effects_find_known_parameters(model, random):
    rng = np.random.default_rng(46)
    n, draws = 70, 20
    W = make_w(rng, n)
    spread = 1.0 if random == "kkp" else 0.0
    found, covered = [], []
    truth = np.array([1.0, *([0.5] if model == "sdm" else []), 0.4, 2.25])  # phi = (0.6 / 0.4)^2
    for _ in range(draws):
        if model == "sdm":
            panel = make_panel(
                rng, W, 5, rho=0.4, beta=(1.0,), theta=(0.5,), sd=0.4, effects=False,
            )  # fmt: skip
            mu = np.repeat(0.6 * np.linalg.solve(np.eye(n) - 0.4 * W, rng.normal(size=n)), 5)
            panel = panel.assign(y=panel["y"] + mu)
        else:
            panel = make_error_panel(
                rng, W, 5, lambda_=0.4, sd=0.4, city=0.6, spread=spread, beta=(1.0,), theta=(0.0,), effects=False
            )
        fit = fit_spatial(panel, graph(W), outcome="y", x=["x0"], model=model, random=random, effects="city", draws=0)
        frame = fit.to_frame().drop(index="const")
        found.append(frame["estimate"].to_numpy())
        covered.append((frame["ci_low"] < truth) & (frame["ci_high"] > truth))
    noise = np.std(found, axis=0) / np.sqrt(draws)
    assert np.all(np.abs(np.mean(found, axis=0) - truth) < 3.5 * noise)
    assert np.mean(covered) == pytest.approx(0.95, abs=0.07)


def clustered_and_plain(rng, W, model, random, x, persistent):
    """Fits with both errors of a panel whose errors are those of the model, or have trends of their own as well."""
    n, years = x.shape
    inverse = np.linalg.inv(np.eye(n) - 0.4 * W)
    errors = 0.5 * rng.normal(size=(n, years)) + 0.7 * rng.normal(size=(n, 1))
    errors = errors + persistent * rng.normal(size=(n, 1)) * np.linspace(-1, 1, years)
    y = {"pooled": x + errors, "sar": inverse @ (x + errors), "sem": x + inverse @ errors}[model]
    keys = {"city_code": np.repeat([f"c{i:02d}" for i in range(n)], years), "year": np.tile(range(years), n)}
    panel = pd.DataFrame({**keys, "y": y.ravel(), "x0": x.ravel()})
    options = {"outcome": "y", "x": ["x0"], "model": model, "random": random, "effects": "city", "draws": 0}
    return [fit_spatial(panel, graph(W), cluster=cluster, **options) for cluster in ("city", None)]


@pytest.mark.parametrize(("model", "random"), [("pooled", True), ("sar", True), ("sem", "kkp")])
def test_clustered_errors_agree_with_the_information_where_the_model_is_true(model, random):
    rng = np.random.default_rng(47)
    n = 150
    W = make_w(rng, n)
    ratios = []
    for _ in range(3):
        clustered, plain = clustered_and_plain(rng, W, model, random, rng.normal(size=(n, 6)), persistent=False)
        ratios.append(np.sqrt(np.diag(clustered.covariance) / np.diag(plain.covariance)))
        assert (clustered.clusters, clustered.small_sample) == (n, n / (n - 1))
    assert np.mean(ratios, axis=0) == pytest.approx(1, abs=0.12)


@pytest.mark.parametrize(("model", "random"), [("sar", True), ("sem", "kkp")])
def test_clustered_errors_match_the_spread_of_estimates_where_errors_persist(model, random):
    rng = np.random.default_rng(48)
    n, years = 40, 5
    W = make_w(rng, n)
    x = rng.normal(size=(n, 1)) * np.linspace(-1, 1, years) + 0.3 * rng.normal(size=(n, years))
    fits = [clustered_and_plain(rng, W, model, random, x, persistent=True) for _ in range(30)]
    slope = [fit.estimates[1] for fit, _ in fits]
    clustered, plain = (np.mean([np.sqrt(pair[k].covariance[1, 1]) for pair in fits]) for k in (0, 1))
    assert clustered == pytest.approx(np.std(slope), rel=0.3)
    assert plain < 0.7 * np.std(slope)


@pytest.mark.parametrize("correction", ["none", "transformation"])
def test_sparse_factors_of_the_means_give_what_dense_ones_give(monkeypatch, correction):
    rng = np.random.default_rng(48)
    W = make_w(rng, 40)
    panel = make_error_panel(rng, W, 4, city=0.5)
    options = {"outcome": "y", "x": ["x0", "x1"], "model": "sem", "random": True, "correction": correction}
    monkeypatch.setattr("gistools.spatial.baltagi.SPARSE_DENSITY", 0.0)
    dense = fit_spatial(panel, graph(W), **options)
    monkeypatch.setattr("gistools.spatial.baltagi.SPARSE_DENSITY", 1.0)
    fit = fit_spatial(panel, graph(W), determinant="lu", **options)
    assert fit.estimates == pytest.approx(dense.estimates, abs=2e-6)
    assert fit.covariance == pytest.approx(dense.covariance, rel=1e-4, abs=1e-10)
    assert fit.loglik == pytest.approx(dense.loglik, abs=1e-8)


# Invariances


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=st.integers(0, 10_000), scale=st.floats(1e-3, 1e3), random=st.sampled_from(["rho", "kkp", "baltagi"]))
def test_order_of_rows_units_and_scale_of_weights_do_not_matter(seed, scale, random):
    rng = np.random.default_rng(seed)
    W = make_w(rng, 15, kind="raw")
    panel = make_error_panel(rng, W, 4, city=0.5)
    options = {"outcome": "y", "x": ["x0", "x1"], "effects": "city", "draws": 0}
    options |= {"model": "sar", "random": True} if random == "rho" else {"model": "sem", "random": random}
    fit = fit_spatial(panel, graph(W), **options)
    order = rng.permutation(15)
    other = panel.sample(frac=1, random_state=seed).assign(x0=lambda t: t["x0"] * scale)
    w = graph_from_matrix(2 * W[order][:, order], [f"c{i:02d}" for i in order])
    again = fit_spatial(other, w, **options)
    change = np.array([1, 1 / scale, 1, 0.5, 1])
    assert again.estimates == pytest.approx(fit.estimates * change, rel=1e-4, abs=1e-6)
    assert again.loglik == pytest.approx(fit.loglik, abs=1e-7)
    assert np.sqrt(np.diag(again.covariance)) == pytest.approx(np.sqrt(np.diag(fit.covariance)) * change, rel=1e-4)


# Bad input


@pytest.mark.parametrize(
    ("options", "error", "sentence"),
    [
        ({"effects": "none"}, InputError, "random effects are of the cities, but the effects are none"),
        ({"effects": "year"}, InputError, "use effects city or city,year"),
        ({"effects": "city,year", "correction": "bias"}, InputError, "transformation or none, not bias"),
        ({"effects": "city", "robust": True}, InputError, "cluster by city"),
        ({"effects": "city", "model": "sem", "cluster": "city"}, InputError, "use the random effects kkp"),
        ({"effects": "city", "random": "kkp"}, InputError, "in the model sem only"),
        ({"effects": "city", "model": "sem", "random": "nerlove"}, InputError, "nerlove"),
        ({"effects": "city,year", "row_standardise": False}, WeightsError, "rows sum to one"),
        ({"effects": "city", "cluster": "city", "robust": True}, InputError, "one of the two"),
    ],
)
def test_what_random_effects_do_not_have_is_refused_in_one_sentence(options, error, sentence):
    rng = np.random.default_rng(1)
    W = make_w(rng, 10, kind="raw")
    panel = make_panel(rng, W, 3)
    asked = {"model": "sar", "random": True, "row_standardise": True} | options
    with pytest.raises(error, match=sentence):
        fit_spatial(panel, graph(W), outcome="y", x=["x0"], **asked)


def test_one_year_has_no_random_effects():
    rng = np.random.default_rng(1)
    W = make_w(rng, 10)
    panel = make_panel(rng, W, 1)
    with pytest.raises(InputError, match="in a panel of several years"):
        fit_spatial(panel, graph(W), outcome="y", x=["x0"], model="sar", random=True)


def test_the_result_names_its_parts():
    rng = np.random.default_rng(49)
    W = make_w(rng, 15)
    panel = make_error_panel(rng, W, 4, city=0.5)
    fit = fit_spatial(panel, graph(W), outcome="y", x=["x0"], model="sem", random="kkp", effects="city")
    doc = fit.to_dict()
    assert [term["term"] for term in doc["terms"]] == ["const", "x0", "lambda", "phi"]
    assert (doc["random"], doc["effects"], doc["correction"]) == (True, "city", "none")
    assert doc["options"]["random"] == "kkp"
    assert doc["sigma2_city"] == pytest.approx(doc["terms"][-1]["estimate"] * doc["sigma2"])
    assert "random city effects" in fit.summary()
