"""Panels with known parameters: the default correction has no bias and its intervals hold the truth; none has not."""

import numpy as np
import pandas as pd
import pytest

from gistools.spatial.models import fit_spatial
from gistools.weights import graph_from_matrix

RHO, BETA, THETA = 0.4, 1.0, 0.5
PANELS, CITIES, YEARS = 100, 64, 5


def rook(side):
    path = np.eye(side, k=1) + np.eye(side, k=-1)
    links = np.kron(path, np.eye(side)) + np.kron(np.eye(side), path)
    return links / links.sum(axis=1, keepdims=True)


def draw(W, rng):
    city, year = rng.normal(size=(CITIES, 1)), rng.normal(size=(1, YEARS))
    x = rng.normal(size=(CITIES, YEARS)) + 0.5 * (city + year)
    signal = BETA * x + THETA * W @ x + city + year + rng.normal(size=(CITIES, YEARS))
    y = np.linalg.solve(np.eye(CITIES) - RHO * W, signal)
    keys = {"city_code": np.repeat(np.arange(CITIES), YEARS), "year": np.tile(np.arange(YEARS), CITIES)}
    return pd.DataFrame({**keys, "x": x.ravel(), "y": y.ravel()})


@pytest.fixture(scope="module")
def simulated():
    """Estimates and standard errors by correction, (panels, 6, 2): rho, beta, theta, direct, indirect, total."""
    W = rook(8)
    graph = graph_from_matrix(W, range(CITIES))
    out = {"transformation": [], "none": []}
    for seed in range(PANELS):
        panel = draw(W, np.random.default_rng([7, seed]))
        for correction, found in out.items():
            fit = fit_spatial(panel, graph, outcome="y", x=["x"], correction=correction, draws=0)
            terms = fit.to_frame().loc[["rho", "x", "W_x"], ["estimate", "std_error"]].to_numpy()
            effects = fit.effects_decomposition[["estimate", "std_error"]].to_numpy()
            found.append(np.concatenate([terms, effects]))
    derivatives = np.linalg.solve(np.eye(CITIES) - RHO * W, BETA * np.eye(CITIES) + THETA * W)
    direct, total = np.trace(derivatives) / CITIES, derivatives.sum() / CITIES
    truth = np.array([RHO, BETA, THETA, direct, total - direct, total])
    return {name: np.array(found) for name, found in out.items()}, truth


def test_the_default_correction_is_without_bias(simulated):
    found, truth = simulated
    gaps = found["transformation"][..., 0] - truth
    assert (np.abs(gaps.mean(axis=0)) < 3 * gaps.std(axis=0, ddof=1) / np.sqrt(PANELS)).all()


def test_its_intervals_hold_the_truth_as_often_as_they_say(simulated):
    found, truth = simulated
    gaps, errors = found["transformation"][..., 0] - truth, found["transformation"][..., 1]
    coverage = (np.abs(gaps) <= 1.959964 * errors).mean(axis=0)
    assert (np.abs(coverage - 0.95) < 3 * np.sqrt(0.95 * 0.05 / PANELS)).all()
    assert errors.mean(axis=0) == pytest.approx(gaps.std(axis=0, ddof=1), rel=0.2)


def test_without_correction_rho_is_too_small_and_intervals_too_short(simulated):
    found, truth = simulated
    gaps, errors = found["none"][..., 0] - truth, found["none"][..., 1]
    bias = gaps.mean(axis=0) / (gaps.std(axis=0, ddof=1) / np.sqrt(PANELS))
    assert bias[0] < -3
    assert (errors.mean(axis=0) < 0.95 * found["transformation"][..., 1].mean(axis=0)).all()
    coverage = (np.abs(gaps) <= 1.959964 * errors).mean(axis=0)
    assert coverage.mean() < 0.93
