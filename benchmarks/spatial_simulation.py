"""Bias and interval coverage of the two-way spatial Durbin model, over panels with known parameters.

``python benchmarks/spatial_simulation.py [--panels 2000] [--processes 2] [--seed 0] [--only sparse|dense]``

Each panel is ``y_t = rho W y_t + beta x_t + theta W x_t + mu + l_t + e_t``, both effects correlated with x, and is
fitted with each correction. The table gives, for each parameter and effect, the bias and its Monte Carlo standard
error, and the share of 95 % intervals that hold the truth; a star marks what is more than three such errors from 0,
or from 95 %.
"""

from __future__ import annotations

import argparse
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # the processes share the cores

import numpy as np
import pandas as pd

from gistools.spatial.models import fit_spatial
from gistools.weights import graph_from_matrix

RHO, BETA, THETA = 0.4, 1.0, 0.5
CORRECTIONS = ("transformation", "bias", "none")
BATCH = 25


@dataclass(frozen=True)
class Design:
    """One simulated population."""

    name: str
    cities: int
    years: int
    dense: bool
    exponent: float = 1.0

    def weights(self) -> np.ndarray:
        """Rook neighbours on a square board, or inverse distance between all of some points; rows sum to one."""
        if not self.dense:
            side = int(np.sqrt(self.cities))
            path = np.eye(side, k=1) + np.eye(side, k=-1)
            links = np.kron(path, np.eye(side)) + np.kron(np.eye(side), path)
        else:
            points = np.random.default_rng(1).uniform(size=(self.cities, 2))
            gap = np.linalg.norm(points[:, None] - points[None], axis=2) + np.eye(self.cities)
            links = gap**-self.exponent - np.eye(self.cities)
        return links / links.sum(axis=1, keepdims=True)


DESIGNS = (
    Design("rook neighbours", 100, 5, dense=False),
    Design("rook neighbours", 225, 10, dense=False),
    Design("inverse distance, all pairs", 100, 10, dense=True),
    Design("inverse distance, all pairs", 225, 10, dense=True),
    Design("inverse squared distance, all pairs", 225, 10, dense=True, exponent=2.0),
)


def truths(W: np.ndarray) -> dict[str, float]:
    """Return parameters and effects by their definition."""
    derivatives = np.linalg.solve(np.eye(len(W)) - RHO * W, BETA * np.eye(len(W)) + THETA * W)
    direct, total = np.trace(derivatives) / len(W), derivatives.sum() / len(W)
    return {
        "rho": RHO, "beta": BETA, "theta": THETA, "direct": direct, "indirect": total - direct, "total": total
    }  # fmt: skip


def draw(design: Design, W: np.ndarray, rng: np.random.Generator) -> pd.DataFrame:
    """Draw one panel."""
    n, t = design.cities, design.years
    city, year = rng.normal(size=(n, 1)), rng.normal(size=(1, t))
    x = rng.normal(size=(n, t)) + 0.5 * (city + year)
    signal = BETA * x + THETA * W @ x + city + year + rng.normal(size=(n, t))
    y = np.linalg.solve(np.eye(n) - RHO * W, signal)
    return pd.DataFrame(
        {"city_code": np.repeat(np.arange(n), t), "year": np.tile(np.arange(t), n), "x": x.ravel(), "y": y.ravel()}
    )


def fits(job: tuple[Design, int, int, int]) -> np.ndarray:
    """Fit a batch of panels; return estimates and standard errors, (panels, corrections, 6, 2)."""
    design, seed, first, count = job
    W = design.weights()
    graph = graph_from_matrix(W, range(design.cities))
    out = np.empty((count, len(CORRECTIONS), 6, 2))
    for k in range(count):
        panel = draw(design, W, np.random.default_rng([seed, first + k]))
        for c, correction in enumerate(CORRECTIONS):
            fit = fit_spatial(panel, graph, outcome="y", x=["x"], correction=correction, draws=0)
            terms = fit.to_frame().loc[["rho", "x", "W_x"], ["estimate", "std_error"]]
            effects = fit.effects_decomposition[["estimate", "std_error"]]
            out[k, c] = np.concatenate([terms.to_numpy(), effects.to_numpy()])
    return out


def simulate(design: Design, panels: int, *, processes: int = 1, seed: int = 0) -> pd.DataFrame:
    """Return bias and coverage with their Monte Carlo standard errors, a row a correction and parameter."""
    jobs = [(design, seed, first, min(BATCH, panels - first)) for first in range(0, panels, BATCH)]
    if processes > 1:
        with ProcessPoolExecutor(processes) as pool:
            parts = list(pool.map(fits, jobs))
    else:
        parts = [fits(job) for job in jobs]
    found = np.concatenate(parts)
    truth = truths(design.weights())
    rows = []
    for c, correction in enumerate(CORRECTIONS):
        for p, (name, value) in enumerate(truth.items()):
            gaps, errors = found[:, c, p, 0] - value, found[:, c, p, 1]
            inside = np.abs(gaps) <= 1.959964 * errors
            rows.append(
                {
                    "correction": correction,
                    "parameter": name,
                    "truth": value,
                    "bias": gaps.mean(),
                    "bias_mcse": gaps.std(ddof=1) / np.sqrt(panels),
                    "spread": gaps.std(ddof=1),
                    "mean_error": errors.mean(),
                    "coverage": inside.mean(),
                    "coverage_mcse": np.sqrt(0.95 * 0.05 / panels),
                }
            )
    return pd.DataFrame(rows)


def show(design: Design, table: pd.DataFrame, panels: int, seconds: float) -> None:
    """Print one table."""
    print(f"\n{design.name}: {design.cities} cities x {design.years} years, {panels} panels, {seconds:.0f} s")
    print(
        f"{'':14s} {'':9s} {'truth':>7s} {'bias (MC s.e.)':>20s}  {'spread':>7s} {'mean s.e.':>9s} {'coverage':>10s}"
    )
    for row in table.itertuples():
        off = "*" if abs(row.bias) > 3 * row.bias_mcse else " "
        wrong = "*" if abs(row.coverage - 0.95) > 3 * row.coverage_mcse else " "
        print(
            f"{row.correction:14s} {row.parameter:9s} {row.truth:7.4f} {row.bias:+9.5f} ({row.bias_mcse:.5f}){off} "
            f"{row.spread:8.4f} {row.mean_error:9.4f} {100 * row.coverage:8.1f} %{wrong}"
        )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--panels", type=int, default=2000)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=["sparse", "dense"])
    options = parser.parse_args()
    for one in DESIGNS:
        if options.only in (None, "dense" if one.dense else "sparse"):
            start = time.perf_counter()
            result = simulate(one, options.panels, processes=options.processes, seed=options.seed)
            show(one, result, options.panels, time.perf_counter() - start)
    print("\n* more than three Monte Carlo standard errors from 0, or from 95 %")
