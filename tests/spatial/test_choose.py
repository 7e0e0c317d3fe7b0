"""The choice between spatial models: the sequence of the decision, published panels, simulation, bad input."""

from collections import Counter
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gistools.errors import ConvergenceError, InputError, PanelError, WeightsError
from gistools.spatial import choose
from gistools.spatial.choose import choose_spatial_model
from gistools.spatial.decision import decide, on_effects
from gistools.spatial.diagnostics import NULLS, SpecificationTest, no_answer
from gistools.spatial.models import fit_spatial
from gistools.weights import graph_from_matrix

LM = ("lm_lag", "lm_error", "rlm_lag", "rlm_error", "lm_joint")


def neighbours(rng, n, k=4):
    points = rng.uniform(size=(n, 2))
    gap = np.linalg.norm(points[:, None] - points[None], axis=2) + 9 * np.eye(n)
    W = np.zeros((n, n))
    np.put_along_axis(W, np.argsort(gap, axis=1)[:, :k], 1 / k, axis=1)
    return W


def make_panel(rng, W, years=6, *, rho=0.0, lam=0.0, theta=0.0):
    n = len(W)
    x = rng.normal(size=(2, n, years))
    errors = np.linalg.solve(np.eye(n) - lam * W, rng.normal(size=(n, years)))
    signal = x[0] - 0.5 * x[1] + theta * (W @ x[0]) + rng.normal(size=(n, 1)) + rng.normal(size=(1, years)) + errors
    y = np.linalg.solve(np.eye(n) - rho * W, signal)
    keys = {"city_code": np.repeat([f"c{i:02d}" for i in range(n)], years), "year": np.tile(np.arange(years), n)}
    return pd.DataFrame({**keys, "y": y.ravel(), "a": x[0].ravel(), "b": x[1].ravel()})


def graph(W):
    return graph_from_matrix(W, [f"c{i:02d}" for i in range(len(W))])


# The sequence


def decided(*rejected, missing=(), failed=(), lags=True, sandwich=False, loglik=None):
    """Decide where the tests named reject and all others do not."""
    names = [name for name in NULLS if name not in ("hausman", "mundlak")]
    tests = [
        no_answer(name, "city", 0.05, "")
        if name in missing
        else SpecificationTest(name, "city", 9.0, 2, 0.001 if name in rejected else 0.5, NULLS[name])
        for name in names
        if not any(name == f"lr_sdm_{model}" or f"_{model}_" in name for model in failed)
    ]
    # those of another set of effects do not count
    tests += [SpecificationTest(name, "pooled", 99.0, 1, 1e-9, NULLS[name]) for name in LM]
    terms = ("a", "W_a") if lags else ("a",)
    loglik = loglik or {}
    fits = {
        model: SimpleNamespace(effects="city", options={"durbin": ["a"]}, terms=terms, loglik=loglik.get(model, 0.0))
        for model in ("ols", "slx", "sar", "sem", "sdm")
        if model not in failed
    }
    return decide(tests, fits, dict.fromkeys(failed, "no maximum"), sandwich=sandwich)


SDM = ("lr_sdm_sar", "wald_sdm_sar", "lr_sdm_sem", "wald_sdm_sem")
RHO = ("lr_sdm_slx", "wald_sdm_slx")
BOTH = ("lm_lag", "lm_error", "lm_joint")


@pytest.mark.parametrize(
    ("rejected", "choice"),
    [
        ((), "ols"),
        (("rlm_lag",), "ols"),  # robust tests count only once the plain ones reject
        (("lr_slx_ols", "wald_slx_ols"), "slx"),
        (("lr_slx_ols",), "slx"),  # disagreement keeps the larger model
        (("lr_slx_ols", "wald_slx_ols", *RHO), "sdm"),
        ((*BOTH, *SDM, *RHO), "sdm"),
        ((*BOTH, *SDM), "slx"),
        ((*BOTH, "rlm_lag", "lr_sdm_sem", "wald_sdm_sem"), "sar"),
        ((*BOTH, "rlm_error", "lr_sdm_sar", "wald_sdm_sar"), "sem"),
        ((*BOTH, "rlm_error", "lr_sdm_sem", "wald_sdm_sem"), "sdm"),  # LM and LR point to different models
        ((*BOTH, "rlm_lag", "lr_sdm_sar", "wald_sdm_sar"), "sdm"),
        ((*BOTH, "rlm_lag", "rlm_error", "lr_sdm_sem", "wald_sdm_sem"), "sar"),
        ((*BOTH, "rlm_lag", "lr_sdm_sar", "lr_sdm_sem", *RHO), "sdm"),  # LR and Wald disagree
        (("lm_lag", "lr_sdm_sem", "wald_sdm_sem"), "sar"),  # no robust test rejects: the plain ones point
        (("lm_error", "lr_sdm_sem", "wald_sdm_sem"), "sdm"),
        (("lm_error", "lr_sdm_sar", "wald_sdm_sar"), "sem"),
        (("lm_joint", "lr_sdm_sem", "wald_sdm_sem"), "sar"),  # none of the single ones: both are open
    ],
)
def test_sequence(rejected, choice):
    found, reasons = decided(*rejected)
    assert found == choice
    assert choice.upper() in reasons[-1]
    assert reasons[0].startswith("OLS with effects city: LM lag 9.0000 (p 0.")


def test_where_both_would_do_the_likelier_is_chosen():
    rejected = (*BOTH, "rlm_lag", "rlm_error")
    assert decided(*rejected, loglik={"sar": 2.0, "sem": 1.0})[0] == "sar"
    choice, reasons = decided(*rejected, loglik={"sar": 1.0, "sem": 2.0})
    assert choice == "sem"
    assert "both would do; log-likelihoods SAR 1.0000, SEM 2.0000" in reasons[-2]


def test_a_durbin_model_that_was_not_found_leaves_the_lagrange_multipliers():
    choice, reasons = decided(*BOTH, "rlm_error", failed=("sdm",))
    assert choice == "sem"
    assert any("the SDM is not there to test against (no maximum)" in reason for reason in reasons)
    assert decided("lr_slx_ols", "wald_slx_ols", failed=("sdm",))[0] == "slx"


def test_a_small_model_that_was_not_found():
    choice, reasons = decided(*BOTH, "rlm_lag", "wald_sdm_sem", failed=("sar",))
    assert (choice, "SAR could not be fitted: SDM is kept" in reasons[-1]) == ("sdm", True)
    with pytest.raises(ConvergenceError, match="none could be fitted: no maximum"):
        decided(*BOTH, failed=("sar", "sem", "sdm"))


def test_without_lags_of_x_the_lagrange_multipliers_choose_alone():
    assert decided(*BOTH, "rlm_lag", lags=False)[0] == "sar"
    choice, reasons = decided(lags=False)
    assert (choice, "no lag of x is left" in reasons[-1]) == ("ols", True)


def test_with_robust_errors_wald_decides():
    rejected = (*BOTH, *RHO, "rlm_lag", "lr_sdm_sar", "lr_sdm_sem", "wald_sdm_sem")
    assert decided(*rejected)[0] == "sdm"
    choice, reasons = decided(*rejected, sandwich=True)
    assert (choice, any("by Wald, whose errors are robust" in reason for reason in reasons)) == ("sar", True)


def test_words_on_random_effects():
    rejected = SpecificationTest("mundlak", "city", 20.0, 2, 1e-4, "")
    kept = SpecificationTest("hausman", "city", 1.0, 2, 0.6, "")
    none = no_answer("hausman", "city", 0.05, "")
    assert "hausman no answer, mundlak 20.0000 (p 0.0001): rejected, fixed" in on_effects([none, rejected], "sar")
    assert on_effects([kept], "sem").endswith(
        "(SEM): hausman 1.0000 (p 0.6000): not rejected, random effects would do"
    )
    assert on_effects([none], "sar").endswith("hausman no answer")


# The whole


@pytest.mark.real
@pytest.mark.parametrize("effects", ["city", "city,year"])
def test_produc_needs_the_durbin_model(cases_dir, effects):
    folder = cases_dir / "spatial" / "07_produc_usaww"
    panel = pd.read_csv(folder / "panel.csv")
    w = graph_from_matrix(np.loadtxt(folder / "W_rowstd.csv", delimiter=",", skiprows=1), panel["state"].unique())
    x = ["lpcap", "lpc", "lemp", "unemp"]
    found = choose_spatial_model(panel, w, outcome="lgsp", x=x, effects=effects, unit="state")
    assert found.choice == "sdm"
    assert {test.model for test in found.tests if test.test in LM} == {"pooled", "city", "year", "city,year"}
    assert {test.model for test in found.tests if test.test not in LM} == {effects}
    assert found.models["model"].tolist() == ["ols", "slx", "sar", "sem", "sdm"]
    frame = found.models.set_index("model")
    for model in ("sar", "sem", "slx"):
        lr = next(test.statistic for test in found.tests if test.test == f"lr_sdm_{model}")
        assert lr == pytest.approx(2 * (frame.loc["sdm", "loglik"] - frame.loc[model, "loglik"]), rel=1e-12)
    assert "no restriction holds: SDM is chosen" in found.reasons
    assert any(reason.startswith("random against fixed city effects (SAR)") for reason in found.reasons)


@pytest.mark.real
def test_columbus_is_a_lag_model(cases_dir):
    """Both restrictions hold and no robust test rejects: the likelihood decides, as in Anselin's example."""
    folder = cases_dir / "spatial" / "01_columbus"
    table = pd.read_csv(folder / "columbus.csv")
    w = graph_from_matrix(np.loadtxt(folder / "W_binary.csv", delimiter=",", skiprows=1), table["POLYID"])
    found = choose_spatial_model(table, w, outcome="CRIME", x=["INC", "HOVAL"], unit="POLYID", row_standardise=True)
    assert found.choice == "sar"
    assert {test.model for test in found.tests} == {"pooled"}
    assert "hausman" not in {test.test for test in found.tests}


TRUTHS = {
    "ols": {},
    "slx": {"theta": 1.0},
    "sar": {"rho": 0.4},
    "sem": {"lam": 0.5},
    "sdm": {"rho": 0.4, "theta": 0.8},
}


@pytest.mark.parametrize("truth", list(TRUTHS))
def test_the_truth_is_chosen_mostly(truth, monkeypatch):
    monkeypatch.setattr(choose, "_random_or_fixed", lambda *args: [])  # takes most of the time, decides nothing here
    rng = np.random.default_rng(1)
    W = neighbours(rng, 49)
    w = graph(W)
    found = Counter(
        choose_spatial_model(make_panel(rng, W, **TRUTHS[truth]), w, outcome="y", x=["a", "b"]).choice
        for _ in range(12)
    )
    assert found[truth] >= 9, found


@settings(max_examples=3, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.integers(0, 2**20), st.floats(0.01, 100))
def test_order_and_units_do_not_matter(seed, factor):
    rng = np.random.default_rng(seed)
    W = neighbours(rng, 15)
    panel = make_panel(rng, W, 5, rho=0.3)
    base = choose_spatial_model(panel, graph(W), outcome="y", x=["a", "b"])
    order = rng.permutation(15)
    w = graph_from_matrix(W[np.ix_(order, order)], [f"c{i:02d}" for i in order])
    other = panel.sample(frac=1, random_state=seed).assign(
        y=lambda t: factor * t["y"] - 5, a=lambda t: t["a"] / factor
    )
    again = choose_spatial_model(other, w, outcome="y", x=["a", "b"])
    assert again.choice == base.choice
    for one, two in zip(base.tests, again.tests, strict=True):
        assert (one.test, one.model, one.df) == (two.test, two.model, two.df)
        # the maximum in rho is found to about 1e-8, that of random effects to about 1e-6
        assert two.statistic == pytest.approx(one.statistic, rel=1e-3, abs=1e-4, nan_ok=True)


def test_robust_errors_reach_the_wald_tests():
    rng = np.random.default_rng(5)
    W = neighbours(rng, 25)
    panel, w = make_panel(rng, W, rho=0.3), graph(W)
    plain = choose_spatial_model(panel, w, outcome="y", x=["a", "b"])
    for options in ({"cluster": "city"}, {"robust": True}):
        other = choose_spatial_model(panel, w, outcome="y", x=["a", "b"], **options)
        for one, two in zip(plain.tests, other.tests, strict=True):
            moved = one.test.startswith("wald") or one.test == "mundlak"
            assert (one.statistic != pytest.approx(two.statistic, rel=1e-9, nan_ok=True)) == moved, one.test
        assert any("the Wald tests decide" in text for text in other.warnings)
        assert any(text.startswith("Wald: delta method, covariance from") for text in other.conventions)
        assert other.conventions[-1].endswith("clustered by city")
    found = choose_spatial_model(panel, w, outcome="y", x=["a", "b"], robust=True, hausman="sem")
    assert next(test for test in found.tests if test.test == "mundlak").df == 2


def test_corrections_reach_every_test():
    rng = np.random.default_rng(6)
    W = neighbours(rng, 20)
    panel, w = make_panel(rng, W, rho=0.3), graph(W)
    found = {c: choose_spatial_model(panel, w, outcome="y", x=["a"], correction=c) for c in (None, "none", "bias")}
    assert {c: one.options["correction"] for c, one in found.items()} == {
        None: "transformation", "none": "none", "bias": "bias",
    }  # fmt: skip
    by_default = {t.statistic for t in found[None].tests if (t.test, t.model) == ("lm_lag", "city")}
    assert by_default == {t.statistic for t in found["none"].tests if (t.test, t.model) == ("lm_lag", "city")}
    assert any("pooled; city; year)" in text for text in found[None].conventions)
    assert any(
        "(city,year): of the likelihood with the effects transformed away" in t for t in found[None].conventions
    )


def test_few_years_are_said():
    rng = np.random.default_rng(7)
    W = neighbours(rng, 20)
    found = choose_spatial_model(make_panel(rng, W, 3), graph(W), outcome="y", x=["a"], effects="city")
    assert any("the LM statistics are 1.5 times those of the transformed likelihood" in t for t in found.warnings)


def test_result_as_table_json_and_text():
    rng = np.random.default_rng(8)
    W = neighbours(rng, 20)
    found = choose_spatial_model(make_panel(rng, W, rho=0.4), graph(W), outcome="y", x=["a", "b"], hausman="sem")
    doc = found.to_dict()
    assert set(doc) >= {"tests", "choice", "reasons", "models", "conventions", "warnings", "effects", "correction"}
    assert all(
        set(test) >= {"test", "model", "statistic", "df", "p_value", "null", "decision"} for test in doc["tests"]
    )
    assert next(test["null"] for test in doc["tests"] if test["test"] == "hausman").endswith("(SEM)")
    assert len(found.table()) == len(found.tests)
    text = found.summary()
    assert f"choice: {found.choice}" in text
    assert all(reason in text for reason in found.reasons)
    # the fits are those of fit_spatial
    again = fit_spatial(make_panel(np.random.default_rng(8), W), graph(W), outcome="y", x=["a"], model="sar", draws=0)
    assert found.fits["sar"].options["x"] != again.options["x"]
    assert found.fits["sar"].effects == "city,year"


def test_keys_in_the_index():
    rng = np.random.default_rng(9)
    W = neighbours(rng, 15)
    panel = make_panel(rng, W)
    one = choose_spatial_model(panel, graph(W), outcome="y", x=["a"])
    two = choose_spatial_model(panel.set_index(["city_code", "year"]), graph(W), outcome="y", x=["a"])
    assert [test.statistic for test in one.tests] == pytest.approx(
        [test.statistic for test in two.tests], nan_ok=True
    )


# Hard cases


def test_dense_weights_are_said():
    rng = np.random.default_rng(10)
    points = rng.uniform(size=(30, 2))
    W = 1 / (np.linalg.norm(points[:, None] - points[None], axis=2) + np.eye(30))
    np.fill_diagonal(W, 0)
    W /= W.sum(axis=1, keepdims=True)
    panel = make_panel(rng, W, 12)
    found = choose_spatial_model(panel, graph(W), outcome="y", x=["a", "b"])
    assert any(text.startswith("sar, sdm: the weights are dense (100 % of all pairs)") for text in found.warnings)
    plain = choose_spatial_model(panel, graph(W), outcome="y", x=["a", "b"], correction="none")
    note = next(test.note for test in plain.tests if (test.test, test.model) == ("lm_error", "city,year"))
    assert "the year effects alone make it about" in note


def test_islands():
    rng = np.random.default_rng(11)
    W = neighbours(rng, 20)
    W[3] = 0.0
    panel = make_panel(rng, W, rho=0.3)
    with pytest.raises(WeightsError, match="rows sum to one, but those of c03 do not"):
        choose_spatial_model(panel, graph(W), outcome="y", x=["a", "b"])
    found = choose_spatial_model(panel, graph(W), outcome="y", x=["a", "b"], correction="none")
    assert any("1 cities have no neighbour" in text and text.endswith("c03") for text in found.warnings)
    assert any("SEM is not exactly a special case of SDM" in text for text in found.warnings)
    by_city = choose_spatial_model(panel, graph(W), outcome="y", x=["a", "b"], effects="city")
    assert not any("special case" in text for text in by_city.warnings)


def test_a_durbin_model_that_does_not_converge(monkeypatch):
    def failing(*args, model, **options):
        if model == "sdm":
            raise ConvergenceError("the likelihood has no maximum")
        return fit_spatial(*args, model=model, **options)

    monkeypatch.setattr(choose, "fit_spatial", failing)
    rng = np.random.default_rng(12)
    W = neighbours(rng, 30)
    found = choose_spatial_model(make_panel(rng, W, rho=0.5), graph(W), outcome="y", x=["a", "b"], hausman="sdm")
    assert found.choice == "sar"
    assert "sdm could not be fitted: the likelihood has no maximum" in found.warnings
    assert "sdm" not in found.fits
    assert not any(test.test.startswith(("lr_sdm", "wald_sdm")) for test in found.tests)
    last = {test.test: test for test in found.tests}
    assert last["hausman"].note == last["mundlak"].note == "sdm: the likelihood has no maximum"


def test_regressors_without_lags_of_their_own():
    """Where the lag of the only regressor is absorbed, the Lagrange multipliers choose alone."""
    rng = np.random.default_rng(13)
    W = np.kron(np.eye(10), np.array([[0.0, 1.0], [1.0, 0.0]]))  # pairs
    panel = make_panel(rng, W, 6, rho=0.5)
    panel["a"] = panel.groupby([panel["city_code"].str[1:].astype(int) // 2, "year"])["a"].transform("mean")
    panel["y"] += 0.5 * panel["a"]
    found = choose_spatial_model(panel, graph(W), outcome="y", x=["a"], effects="city", correction="none")
    assert found.choice in ("sar", "sem")
    assert any("no lag of x is left" in reason for reason in found.reasons)


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        ({"alpha": 5}, InputError, "alpha is 5, but a level is between 0 and 1"),
        (
            {"hausman": "pooled"},
            InputError,
            "the model of the Hausman test is 'pooled', but must be one of sar, sem, sdm",
        ),
        ({"effects": "region"}, InputError, "effects"),
        ({"cluster": "region"}, InputError, "clustered by city"),
        ({"x": []}, InputError, "no regressor"),
        ({"drop": 1}, PanelError, "balanced"),
    ],
)
def test_refusals(options, kind, words):
    rng = np.random.default_rng(14)
    W = neighbours(rng, 12)
    panel = make_panel(rng, W).iloc[options.pop("drop", 0) :]
    with pytest.raises(kind, match=words):
        choose_spatial_model(panel, graph(W), **{"outcome": "y", "x": ["a"], **options})
