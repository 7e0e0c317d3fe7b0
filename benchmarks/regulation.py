"""The regulation index of a million parcels in 2,000 city-years beside pyfixest: seconds, ratios, and agreement.

``python benchmarks/regulation.py [--parcels N]``: both fit the same hedonic with city-by-year effects and errors
clustered by city. pyfixest gives slopes, errors and effects; ours also the index, its standard errors, the plain
means and the account of the records. Then the seconds of one draw of the index, by cities and by parcels.
"""

from __future__ import annotations

import argparse
import time
import warnings

import numpy as np
import pandas as pd

from gistools.parcels.regulation import far_regulation
from gistools.parcels.regulation_bootstrap import regulation_draws

CITIES, YEARS = 250, 8
MODES, GRADES = ("auction", "listing", "tender"), ("1", "2", "3", "4", "5")


def draw(parcels: int) -> pd.DataFrame:
    """Draw parcels whose caps follow the hedonic."""
    rng = np.random.default_rng(0)
    city, year = rng.integers(0, CITIES, parcels), rng.integers(0, YEARS, parcels)
    mode, grade = rng.choice(3, parcels, p=[0.2, 0.7, 0.1]), rng.integers(0, 5, parcels)
    area, distance = rng.lognormal(1, 0.8, parcels), rng.exponential(6, parcels)
    effect = 3 + rng.normal(0, 0.3, (CITIES, YEARS))
    cap = effect[city, year] - 0.02 * area - 0.03 * distance + 0.1 * (mode == 0) - 0.05 * grade
    cap += rng.normal(0, 0.2, parcels)
    return pd.DataFrame(
        {
            "city_code": np.array([f"{110000 + k}" for k in range(CITIES)])[city],
            "year": 2006 + year,
            "area_ha": area,
            "distance_km": distance,
            "transfer_mode": np.array(MODES)[mode],
            "land_grade": np.array(GRADES)[grade],
            "far_max": np.maximum(cap, 0.1),
        }
    )


def with_pyfixest(table: pd.DataFrame) -> tuple[float, float, object]:
    """Fit by pyfixest and take out the effects; return the seconds of either, and the fit."""
    import pyfixest as pf

    begun = time.perf_counter()
    fit = pf.feols(
        "far_max ~ area_ha + distance_km + C(transfer_mode) + C(land_grade) | cell",
        table.assign(cell=table["city_code"] + "-" + table["year"].astype(str)),
        vcov={"CRV1": "city_code"},
        fixef_rm="none",
    )
    fitted = time.perf_counter()
    fit.effects = fit.fixef(atol=1e-13, btol=1e-13)["C(cell)"]
    return fitted - begun, time.perf_counter() - fitted, fit


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parcels", type=int, default=1_000_000)
    table = draw(parser.parse_args().parcels)
    cells = table.groupby(["city_code", "year"]).ngroups
    print(f"{len(table):,} parcels, {cells:,} city-years, {CITIES} cities")
    best, result = np.inf, None
    for _ in range(3):
        begun = time.perf_counter()
        result = far_regulation(table)
        best = min(best, time.perf_counter() - begun)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        first = with_pyfixest(table)
        second = with_pyfixest(table)
    peer = second[2]
    for name, (fitting, effects, _) in (("first call, compiling", first), ("second call", second)):
        took = fitting + effects
        parts = f"(slopes {fitting:.2f}, effects {effects:.2f})"
        print(f"pyfixest, {name:22s} {took:7.2f} s {parts}  {took / best:5.1f} x ours")
    print(f"{'far_regulation, best of 3':32s} {best:7.2f} s")
    own = result.fit.to_frame()
    theirs, errors = peer.coef(), peer.se()
    same = ["area_ha", "distance_km"]
    slope = np.abs(own.loc[same, "estimate"] / theirs[same] - 1).max()
    error = np.abs(own.loc[same, "std_error"] / errors[same] - 1).max()
    print(f"largest relative difference: slopes {slope:.1e}, their clustered errors {error:.1e}")
    # the index from pyfixest's pieces: effect + slopes at the point of evaluation
    shift = sum(
        value * theirs.get(name if ": " not in name else f"C({name.split(': ')[0]})[T.{name.split(': ')[1]}]", 0.0)
        for name, value in result.evaluation.items()
    )
    keys = result.table["city_code"] + "-" + result.table["year"].astype(str)
    index = keys.map(peer.effects).to_numpy(float) + shift
    print(f"largest difference of the index: {np.abs(index - result.table['farr']).max():.1e}")
    for how in ("cities", "parcels"):
        begun = time.perf_counter()
        regulation_draws(result, 20, resample=how)
        print(f"a draw of {how:8s} {(time.perf_counter() - begun) / 20:22.3f} s")


if __name__ == "__main__":
    main()
