"""Spatial lag panels beside spreg's Panel_FE_Lag, in one run: seconds, ratios, and whether the estimates agree.

``python benchmarks/spatial.py [--large]``: 286 cities x 9 years with dense weights; with --large also 3,000 counties
with 8 nearest neighbours. Both fit one-way (city) effects, which is all that spreg has; our two-way SDM is shown too.
"""

from __future__ import annotations

import sys
import time
import warnings

import numpy as np
import pandas as pd
from libpysal.weights import W
from spreg import Panel_FE_Lag

from gistools.spatial.models import fit_spatial
from gistools.weights import inverse_distance_weights, knn_weights, weights_matrix

YEARS, REGRESSORS = 9, 6


def draw(cities: int, *, dense: bool) -> tuple[pd.DataFrame, object, W]:
    """Draw points, weights in both forms, and a panel with rho = 0.4."""
    rng = np.random.default_rng(0)
    codes = [f"{i:05d}" for i in range(cities)]
    points = pd.DataFrame(
        {"city_code": codes, "lon": rng.uniform(80, 125, cities), "lat": rng.uniform(22, 48, cities)}
    )
    graph = inverse_distance_weights(points) if dense else knn_weights(points, k=8, row_standardise=True)
    matrix = weights_matrix(graph, codes)
    x = rng.normal(size=(cities, YEARS, REGRESSORS))
    shocks = rng.normal(size=(cities, YEARS)) + rng.normal(size=(cities, 1))
    signal = x.sum(axis=2) + shocks
    y = np.linalg.solve(np.eye(cities) - 0.4 * matrix.toarray(), signal)
    panel = pd.DataFrame({"city_code": np.repeat(codes, YEARS), "year": np.tile(np.arange(YEARS), cities)})
    panel = panel.assign(y=y.ravel(), **{f"x{k}": x[..., k].ravel() for k in range(REGRESSORS)})
    return panel, graph, graph.to_W()


def seconds(function: object, repeats: int) -> tuple[float, object]:
    """Return the best of some runs, and the last result."""
    best = np.inf
    for _ in range(repeats):
        start = time.perf_counter()
        result = function()
        best = min(best, time.perf_counter() - start)
    return best, result


def compare(cities: int, *, dense: bool, repeats: int) -> None:
    """Print one table."""
    panel, graph, w = draw(cities, dense=dense)
    names = [f"x{k}" for k in range(REGRESSORS)]
    by_year = panel.sort_values(["year", "city_code"])

    def peer() -> object:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return Panel_FE_Lag(by_year[["y"]].to_numpy(), by_year[names].to_numpy(), w)

    def ours(**options: object) -> object:
        return lambda: fit_spatial(panel, graph, outcome="y", x=names, **options)

    theirs_time, theirs = seconds(peer, 1)
    kind = "dense inverse distance" if dense else "8 nearest neighbours"
    print(f"\n{cities} cities x {YEARS} years, {REGRESSORS} regressors, {kind}")
    print(f"{'spreg Panel_FE_Lag, city effects':48s} {theirs_time:8.3f} s   rho {theirs.rho:.6f}")
    runs = {
        "SAR, city effects": {"model": "sar", "effects": "city"},
        "SAR, city and year effects": {"model": "sar"},
        "SDM, city and year effects": {"model": "sdm"},
        "SDM, city and year effects, errors not simulated": {"model": "sdm", "draws": 0},
    }
    for name, options in runs.items():
        spent, fit = seconds(ours(**options), repeats)
        print(f"{name:48s} {spent:8.3f} s   rho {fit.rho:.6f}   {theirs_time / spent:6.1f} times faster")


if __name__ == "__main__":
    compare(286, dense=True, repeats=3)
    if "--large" in sys.argv:
        compare(3000, dense=False, repeats=1)
