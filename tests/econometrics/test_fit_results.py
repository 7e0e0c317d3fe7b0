"""The result every model returns."""

import dataclasses
import json

import numpy as np
import pytest

from gistools.econometrics.results import Fit, inference
from gistools.io.atomic import plain


@pytest.fixture
def fit():
    return Fit(
        model="pooled", outcome="y", terms=("a", "W_a"), estimates=np.array([1.0, -2.0]),
        covariance=np.diag([0.25, 1.0]), n=30, effects="city,year", clusters=10, small_sample=1.2, df=9.0,
        loglik=-12.5, r2=0.5, r2_within=0.4, r2_adjusted=0.3, errors="clustered by city (10)", options={"x": ["a"]},
        dropped={"b": "collinear with a"}, warnings=("look twice",),
    )  # fmt: skip


def test_json_has_the_names_of_the_contract(fit):
    doc = json.loads(json.dumps(plain(fit.to_dict())))
    assert set(doc) >= {
        "model", "n", "clusters", "effects", "terms", "r2", "r2_within", "r2_adjusted", "loglik", "options",
        "dropped", "warnings", "small_sample",
    }  # fmt: skip
    assert doc["dropped"] == ["b"]
    assert doc["effects"] == "city,year"
    assert list(doc["terms"][0]) == ["term", "estimate", "std_error", "statistic", "p_value", "ci_low", "ci_high"]


def test_frame_and_summary(fit):
    frame = fit.to_frame()
    assert frame.loc["W_a", ["std_error", "statistic"]].tolist() == [1.0, -2.0]
    # Student's t with 9 degrees of freedom has its 97.5 % point at 2.2622.
    assert frame.loc["a", "ci_high"] == pytest.approx(1 + 0.5 * 2.262157, abs=1e-6)
    assert frame.loc["a", "p_value"] == pytest.approx(0.0765523, abs=1e-6)
    text = fit.summary()
    assert "dropped: b, collinear with a" in text
    assert "note: look twice" in text
    assert "clustered by city (10)" in text


def test_results_cannot_be_changed(fit):
    with pytest.raises(dataclasses.FrozenInstanceError):
        fit.n = 5


def test_normal_and_level():
    out = inference(np.array([3.0]), np.array([0.0]), level=0.9)
    assert np.isinf(out["statistic"][0])
    assert out["p_value"][0] == 0
    wide = inference(np.array([0.0]), np.array([1.0]), level=0.9)
    assert wide["ci_high"][0] == pytest.approx(1.6448536, abs=1e-6)
