"""Least squares and its covariances against published errors."""

import json

import numpy as np
import pandas as pd
import pytest

from gistools.econometrics.covariance import classical, clustered, inverse_gram, least_squares
from gistools.spatial.models import fit_spatial


def test_coefficients_and_gram_do_not_depend_on_units():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(50, 3)) * [1e-8, 1.0, 1e8]
    y = X @ [1e8, 2.0, 3e-8] + rng.normal(size=50)
    assert least_squares(y, X) == pytest.approx(np.linalg.lstsq(X / [1e-8, 1, 1e8], y)[0] / [1e-8, 1, 1e8], rel=1e-10)
    both = least_squares(np.column_stack([y, 2 * y]), X)
    assert both[:, 1] == pytest.approx(2 * both[:, 0], rel=1e-12)
    scaled = X / [1e-8, 1, 1e8]
    assert inverse_gram(X) * np.outer([1e-8, 1, 1e8], [1e-8, 1, 1e8]) == pytest.approx(
        np.linalg.inv(scaled.T @ scaled), rel=1e-9
    )


def test_clusters_by_definition():
    rng = np.random.default_rng(1)
    X, e = rng.normal(size=(30, 2)), rng.normal(size=30)
    bread = np.linalg.inv(X.T @ X)
    meat = sum(np.outer(s, s) for s in ((X[g : g + 5].T @ e[g : g + 5]) for g in range(0, 30, 5)))
    covariance, factor = clustered(X, e, 6, 4)
    assert factor == pytest.approx(6 / 5 * 29 / 26)
    assert covariance == pytest.approx(factor * bread @ meat @ bread, rel=1e-10)
    assert classical(X, e, 28) == pytest.approx(e @ e / 28 * bread, rel=1e-10)


@pytest.fixture
def petersen(cases_dir):
    folder = cases_dir / "causal" / "petersen_cluster"
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))["peer_run"]
    return pd.read_csv(folder / "petersen.csv"), expected


@pytest.mark.real
@pytest.mark.parametrize(("cluster", "key"), [(None, "iid"), ("city", "firm")])
def test_petersen_with_and_without_firm_and_year_effects(petersen, cluster, key):
    table, expected = petersen
    options = {"outcome": "y", "x": ["x"], "model": "pooled", "unit": "firm", "time": "year", "cluster": cluster}
    plain = fit_spatial(table, None, effects="none", **options)
    assert np.sqrt(np.diag(plain.covariance)) == pytest.approx(
        expected["ols_y_on_x (order: intercept, x)"][key], rel=1e-9
    )
    fixed = fit_spatial(table, None, effects="city,year", **options)
    estimate, error = expected["fe_firm_year (estimate, se)"][key]
    assert fixed.estimates[0] == pytest.approx(estimate, rel=1e-9)
    assert np.sqrt(fixed.covariance[0, 0]) == pytest.approx(error, rel=1e-9)
    assert (fixed.clusters, fixed.df) == ((500, 499) if cluster else (None, 5000 - 1 - 509))


@pytest.mark.real
def test_cigarettes_with_state_effects(cases_dir):
    """Printed with seven digits: Stata's areg (classical), reghdfe (clustered, state effects not counted)."""
    table = pd.read_csv(cases_dir / "causal" / "cigar_fe_cluster" / "Cigar.csv")
    options = {"outcome": "Sales", "x": ["Price"], "model": "pooled", "unit": "State", "time": "Year"}
    for effects, cluster, error in (
        ("none", None, 0.0188963), ("city", None, 0.0098003), ("none", "city", 0.0379228), ("city", "city", 0.0357498)
    ):  # fmt: skip
        fit = fit_spatial(table, None, effects=effects, cluster=cluster, **options)
        assert fit.to_frame().loc["Price", "std_error"] == pytest.approx(error, abs=5.1e-8)
    both = fit_spatial(table, None, effects="city", **(options | {"x": ["Price", "Pimin"]}))
    assert (both.r2, both.r2_adjusted) == (pytest.approx(0.77472, abs=5e-6), pytest.approx(0.766768, abs=5e-7))
