"""Panels for the tests of spatial models: the published ones, drawn ones, and how they are stacked with dummies."""

import json

import numpy as np
import pandas as pd
from scipy import linalg

from gistools.weights import graph_from_matrix

CASES = {
    "07_produc_usaww": ("state", "W_rowstd.csv", "lgsp", ["lpcap", "lpc", "lemp", "unemp"]),
    "05_cigar_oneway": ("state", "W_binary.csv", "logc", ["logp", "logy"]),
}


def load_case(cases_dir, name):
    unit, weights, outcome, x = CASES[name]
    folder = cases_dir / "spatial" / name
    panel = pd.read_csv(folder / "panel.csv")
    matrix = np.loadtxt(folder / weights, delimiter=",", skiprows=1)
    options = {"outcome": outcome, "x": x, "unit": unit, "row_standardise": weights == "W_binary.csv"}
    expected = json.loads((folder / "expected.json").read_text(encoding="utf-8"))
    return panel, graph_from_matrix(matrix, panel[unit].unique()), options, expected


def make_w(rng, n, *, kind="knn"):
    """Weights of random points: asymmetric nearest neighbours, or a symmetric matrix that is not row-standardised."""
    points = rng.uniform(size=(n, 2))
    gap = np.linalg.norm(points[:, None] - points[None], axis=2) + 9 * np.eye(n)
    nearest = np.zeros((n, n))
    np.put_along_axis(nearest, np.argsort(gap, axis=1)[:, :3], 1 / 3, axis=1)
    if kind == "knn":
        return nearest
    symmetric = np.exp(-4 * gap) * ((nearest + nearest.T) > 0)
    if kind == "raw":
        return symmetric
    symmetric[:2] = symmetric[:, :2] = 0.0  # two islands
    return symmetric


def make_panel(rng, W, years, *, rho=0.4, beta=(1.0, -0.5), theta=(0.0, 0.0), sd=0.5, effects=True, x_effects=0.5):
    n = len(W)
    a = rng.normal(size=(n, years, len(beta)))
    mu = rng.normal(size=(n, 1)) * effects
    year = rng.normal(size=(1, years)) * effects
    a += x_effects * effects * (mu + year)[..., None]
    lagged = np.einsum("ij,jtk->itk", W, a)
    signal = a @ np.array(beta) + lagged @ np.array(theta) + mu + year + sd * rng.normal(size=(n, years))
    y = np.linalg.solve(np.eye(n) - rho * W, signal)
    keys = {
        "city_code": np.repeat([f"c{i:02d}" for i in range(n)], years),
        "year": np.tile(2000 + np.arange(years), n),
    }
    columns = {f"x{k}": a[..., k].ravel() for k in range(len(beta))}
    return pd.DataFrame({**keys, "y": y.ravel(), **columns})


def graph(W):
    return graph_from_matrix(W, [f"c{i:02d}" for i in range(len(W))])


def stacked(panel, W, lagged, effects, x=("x0", "x1")):
    """The stacked model of the dummy-variable likelihood: y, W y, regressors with dummies, I_T (x) W."""
    n, years = len(W), panel["year"].nunique()
    table = panel.sort_values(["year", "city_code"])
    big = np.kron(np.eye(years), W)
    columns = [table[name].to_numpy() for name in x] + [big @ table[name].to_numpy() for name in lagged]
    dummies = np.ones((n * years, 1))
    if "city" in effects:
        dummies = np.column_stack([dummies, np.kron(np.ones((years, 1)), np.eye(n))[:, 1:]])
    if "year" in effects:
        dummies = np.column_stack([dummies, np.kron(np.eye(years), np.ones((n, 1)))[:, 1:]])
    return table["y"].to_numpy(), big, np.column_stack([*columns, dummies])


def orthonormal(n):
    """Columns orthogonal to the constant, of length one."""
    return linalg.null_space(np.ones((1, n)))


def make_error_panel(rng, W, years, *, lambda_=0.5, sd=0.5, spread=0.0, city=0.0, **options):
    """A panel whose errors are spatially autoregressive; `city` is the deviation of city effects in the errors.

    Their neighbours share `spread` of them: 0 as in Baltagi's random effects, 1 as in those of Kapoor and others.
    """
    n = len(W)
    panel = make_panel(rng, W, years, rho=0.0, sd=0.0, **options)
    inverse = np.linalg.inv(np.eye(n) - lambda_ * W)
    effects = city * rng.normal(size=(n, 1))
    errors = inverse @ (sd * rng.normal(size=(n, years))) + (1 - spread) * effects + spread * inverse @ effects
    return panel.assign(y=panel["y"] + errors.ravel())


def real_bounds(W):
    """The inverses of the smallest and the largest real eigenvalue."""
    eigenvalues = np.linalg.eigvals(W)
    real = eigenvalues.real[np.abs(eigenvalues.imag) < 1e-9]
    return 1 / real.min(), 1 / real.max()
