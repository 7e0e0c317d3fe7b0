"""Spatial lag panels beside spreg's Panel_FE_Lag in one run: median seconds of five, ratios, peak memory, estimates.

``python benchmarks/spatial.py [--case NAME ...]``, the cases

- ``dense``: 286 cities x 9 years, inverse distance between all pairs, with and without common shocks of the years;
- ``counties``: 3,000 x 9, 8 nearest neighbours;
- ``cells``: 50,000 x 10, queen neighbours on a lattice and 8 nearest neighbours, alone;
- ``determinant``: what each way to ln |I - rho W| costs by size and links, and how far it is from an exact one.

The peer gets arrays and weights of its own type. We get the same arrays, or a table and a graph as users do; once
with weights not seen before, once with those of an earlier fit. spreg has city effects only, and no Durbin model in
that function: its SDM is given W x among its regressors. Every program runs in a process of its own, one thread of
linear algebra each.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.spatial import cKDTree

from gistools.econometrics.fixed_effects import balanced_panel
from gistools.spatial import operator
from gistools.spatial.lag_model import fit_lag, lag_maximum
from gistools.spatial.models import fit_spatial
from gistools.spatial.operator import SpatialFilter, filter_of
from gistools.spatial.sample import spatial_sample
from gistools.weights import graph_from_matrix

REGRESSORS = 6
NAMES = [f"x{k}" for k in range(REGRESSORS)]
RHO = 0.4
REPEATS = 5


def nearest(points: np.ndarray, k: int = 8) -> sparse.csr_array:
    """K nearest neighbours with equal weights."""
    n = len(points)
    found = cKDTree(points).query(points, k + 1)[1][:, 1:]
    links = np.full(n * k, 1 / k), (np.repeat(np.arange(n), k), found.ravel())
    return sparse.csr_array(links, shape=(n, n))


def inverse_distance(points: np.ndarray) -> sparse.csr_array:
    """Inverse distance between all pairs, row-standardised."""
    gap = np.linalg.norm(points[:, None] - points[None], axis=2) + np.eye(len(points))
    links = 1 / gap - np.eye(len(points))
    return sparse.csr_array(links / links.sum(axis=1, keepdims=True))


def queen(rows: int, columns: int) -> sparse.csr_array:
    """Queen neighbours on a lattice, row-standardised."""
    step = [sparse.diags_array([np.ones(m)] * 3, offsets=[-1, 0, 1], shape=(m, m)) for m in (rows, columns)]
    links = sparse.kron(*step) - sparse.eye_array(rows * columns)
    return sparse.csr_array(sparse.diags_array(1 / links.sum(axis=1)) @ links)


def weights(kind: str, cities: int) -> sparse.csr_array:
    """Weights of one kind."""
    points = np.random.default_rng(1).uniform(size=(cities, 2))
    if kind == "queen neighbours":
        return queen(cities // 200, 200)
    return {"inverse distance": inverse_distance, "8 nearest neighbours": nearest}[kind](points)


def draw(W: sparse.csr_array, years: int, *, shocks: bool = True) -> pd.DataFrame:
    """Draw a panel with rho = 0.4, beta = 1, a spillover of one regressor, city effects, shocks of years."""
    n = W.shape[0]
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n, years, REGRESSORS))
    effects = rng.normal(size=(n, 1)) + shocks * rng.normal(size=(1, years))
    signal = x.sum(axis=2) + 0.5 * (W @ x[..., 0]) + effects + rng.normal(size=(n, years))
    y = signal.copy()
    for _ in range(40):  # 0.4^40 is rounding
        y = signal + RHO * (W @ y)
    panel = pd.DataFrame({"city_code": np.repeat([f"{i:05d}" for i in range(n)], years)})
    panel = panel.assign(year=np.tile(np.arange(years), n), y=y.ravel())
    return panel.assign(**{name: x[..., k].ravel() for k, name in enumerate(NAMES)})


@dataclass(frozen=True)
class Case:
    """Cities, years, weights, data."""

    kind: str
    cities: int
    years: int
    shocks: bool = True

    def data(self) -> tuple[sparse.csr_array, pd.DataFrame]:
        """Return weights and panel."""
        W = weights(self.kind, self.cities)
        return W, draw(W, self.years, shocks=self.shocks)


Row = tuple[str, float, float]  # what, seconds, rho


def timed(name: str, run: Callable[[], float], repeats: int, before: Callable[[], Any] = lambda: None) -> Row:
    """Return the median time of some runs after one that is not counted."""
    if repeats > 1:
        run()
    spent = []
    for _ in range(repeats):
        before()
        start = time.perf_counter()
        rho = run()
        spent.append(time.perf_counter() - start)
    return name, statistics.median(spent), rho


def peer(case: Case, repeats: int) -> list[Row]:
    """Time spreg: SAR and SDM with city effects."""
    from spreg import Panel_FE_Lag

    W, panel = case.data()
    by_year = panel.sort_values(["year", "city_code"])
    x = by_year[NAMES].to_numpy()
    lags = np.vstack([W @ part for part in x.reshape(case.years, case.cities, -1)])
    y, w = by_year[["y"]].to_numpy(), graph_from_matrix(W, panel["city_code"].unique()).to_W()
    warnings.simplefilter("ignore")
    return [
        timed("sar", lambda: float(Panel_FE_Lag(y, x, w).rho), repeats),
        timed("sdm", lambda: float(Panel_FE_Lag(y, np.hstack([x, lags]), w).rho), repeats),
    ]


def ours(case: Case, repeats: int) -> list[Row]:
    """Time our estimators of arrays, and of a table with a graph."""
    W, panel = case.data()
    graph = graph_from_matrix(W, panel["city_code"].unique())
    data = balanced_panel(panel, ["y", *NAMES])

    def of_arrays(model: str, effects: Any, errors: bool) -> float:
        correction: Any = "transformation" if effects == "city,year" else "none"
        sample = spatial_sample(data, W, "y", NAMES, NAMES if model == "sdm" else [], effects, correction)
        if errors:
            return float(fit_lag(sample, filter_of(W)).estimates[-1])
        return lag_maximum(sample, filter_of(W))[0].spatial

    def of_table(**options: Any) -> float:
        return fit_spatial(panel, graph, outcome="y", x=NAMES, **options).rho

    rows = []
    for model in ("sar", "sdm"):
        for effects in ("city", "city,year"):
            fit: dict[str, Any] = {"model": model, "effects": effects}
            runs = {
                "arrays, maximum alone": lambda m=model, e=effects: of_arrays(m, e, False),
                "arrays, standard errors": lambda m=model, e=effects: of_arrays(m, e, True),
                "table, and effects by the delta method": lambda f=fit: of_table(**f, draws=0),
                "table, and 2,000 draws": lambda f=fit: of_table(**f),
            }
            for words, run in runs.items():
                name = f"{model.upper()}, {effects} effects: {words}"
                rows.append(timed(name, run, repeats, operator._RECENT.clear))
                rows.append(timed("   weights seen before", run, repeats))
    return rows


def large(case: Case, repeats: int) -> list[Row]:
    """Time the whole fit of a large panel, once."""
    W, panel = case.data()
    graph = graph_from_matrix(W, panel["city_code"].unique())
    return [timed(case.kind, lambda: fit_spatial(panel, graph, outcome="y", x=NAMES, model="sdm").rho, repeats)]


def measured(maker: str, case: Case, repeats: int) -> tuple[list[Row], float]:
    """Return rows and the peak memory of the process in MB."""
    rows = globals()[maker](case, repeats)
    return rows, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def alone(maker: str, case: Case, repeats: int) -> tuple[list[Row], float]:
    """Measure in a process of its own."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        return pool.apply(measured, (maker, case, repeats))


def compare(case: Case, repeats: int, peer_repeats: int) -> None:
    """Print one table of programs side by side."""
    shocks = "with" if case.shocks else "without"
    print(
        f"\n{case.cities} cities x {case.years} years, {REGRESSORS} regressors, {case.kind}, {shocks} common shocks"
    )
    print(f"{'':66s} {'seconds':>9s} {'rho':>9s}")
    theirs, memory = alone("peer", case, peer_repeats)
    for model, seconds, rho in theirs:
        print(f"{f'spreg Panel_FE_Lag, {model.upper()}, city effects':66s} {seconds:9.4f} {rho:9.6f}")
    print(f"   median of {peer_repeats}; peak memory {memory:.0f} MB")
    truth = {model.upper(): seconds for model, seconds, _ in theirs}
    found, memory = alone("ours", case, repeats)
    model = ""
    for name, seconds, rho in found:
        model = name[:3] if name[:3] in truth else model
        print(f"{name:66s} {seconds:9.4f} {rho:9.6f}   {truth[model] / seconds:6.1f} times faster")
    print(f"   median of {repeats}; peak memory {memory:.0f} MB")


def cells(cities: int, years: int) -> None:
    """Print what a large sparse panel takes."""
    print(f"\n{cities} cells x {years} years, {REGRESSORS} regressors, SDM, city and year effects, 2,000 draws; once")
    for kind in ("queen neighbours", "8 nearest neighbours"):
        [(name, seconds, rho)], memory = alone("large", Case(kind, cities, years), 1)
        print(f"{name:66s} {seconds:9.2f} {rho:9.6f}   peak memory {memory:.0f} MB", flush=True)


def determinants() -> None:
    """Print what each way to the log-determinant costs, and how far it is from an exact one at rho = 0.4."""
    print("\nln |I - 0.4 W| by each way: seconds to set up, for one more rho, for the traces; gap to the first")
    for kind, cities in (
        ("inverse distance", 286),
        ("inverse distance", 1500),
        ("8 nearest neighbours", 286),
        ("8 nearest neighbours", 1000),
        ("queen neighbours", 1400),
        ("queen neighbours", 50_000),
        ("8 nearest neighbours", 50_000),
    ):
        W = weights(kind, cities)
        first = None
        for way in ("eigenvalues", "lu", "series"):
            if (way == "eigenvalues" and cities > 1500) or (way == "lu" and W.nnz > 0.1 * cities**2):
                continue
            took, found = [], []
            start = time.perf_counter()
            spatial_filter = SpatialFilter(W, way)
            took.append(time.perf_counter() - start)
            for step in (
                lambda f=spatial_filter: f.log_determinant(0.4),
                lambda f=spatial_filter: f.traces(0.4).gtg,
            ):
                start = time.perf_counter()
                found.append(step())
                took.append(time.perf_counter() - start)
            first = first or found
            gaps = "  ".join(f"{one / other - 1:+.1e}" for one, other in zip(found, first, strict=True))
            print(
                f"{kind:22s} {cities:6d} {spatial_filter.method:17s} {'  '.join(f'{s:8.4f}' for s in took)}   {gaps}"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--case", nargs="+", default=["dense", "counties", "cells", "determinant"])
    chosen = parser.parse_args().case
    if "dense" in chosen:
        for shocks in (True, False):
            compare(Case("inverse distance", 286, 9, shocks), REPEATS, REPEATS)
    if "counties" in chosen:
        compare(Case("8 nearest neighbours", 3000, 9), REPEATS, 3)
    if "cells" in chosen:
        cells(50_000, 10)
    if "determinant" in chosen:
        determinants()
