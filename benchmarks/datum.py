"""A million points between datums beside a loop over points, as the packages for it do; and what errors remain.

``python benchmarks/datum.py [--points N]``. The loop is coord-convert's where it is installed, else the same formula
in plain Python; it runs on a part of the points and is scaled up. Errors are measured on tests/reference.
"""

from __future__ import annotations

import importlib.util
import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import shapely

from gistools.grid import geodesic_km
from gistools.parcels.datum import convert_datum, gcj02_region, in_shifted_region

REFERENCE = Path(__file__).parents[1] / "tests" / "reference"
LOOPED = 20_000


def plain_forward(lon: float, lat: float) -> tuple[float, float]:
    """One point from WGS 84 to GCJ-02 with the math module."""
    x, y, pi, ee = lon - 105.0, lat - 35.0, math.pi, 0.00669342162296594323
    waves = 20 * math.sin(6 * pi * x) + 20 * math.sin(2 * pi * x)
    root = math.sqrt(abs(x))
    east = 300 + x + 2 * y + 0.1 * x * x + 0.1 * x * y + 0.1 * root
    east += (waves + 20 * math.sin(pi * x) + 40 * math.sin(pi / 3 * x)) * 2 / 3
    east += (150 * math.sin(pi / 12 * x) + 300 * math.sin(pi / 30 * x)) * 2 / 3
    north = -100 + 2 * x + 3 * y + 0.2 * y * y + 0.1 * x * y + 0.2 * root
    north += (waves + 20 * math.sin(pi * y) + 40 * math.sin(pi / 3 * y)) * 2 / 3
    north += (160 * math.sin(pi / 12 * y) + 320 * math.sin(pi / 30 * y)) * 2 / 3
    phi = math.radians(lat)
    square = 1 - ee * math.sin(phi) ** 2
    per_lat = math.radians(6378245.0 * (1 - ee) / square**1.5)
    per_lon = math.radians(6378245.0 / math.sqrt(square) * math.cos(phi))
    return lon + east / per_lon, lat + north / per_lat


def plain_inverse(lon: float, lat: float) -> tuple[float, float]:
    """One point from GCJ-02 to WGS 84: repeated until a step is below 1e-6 degrees."""
    x, y = lon, lat
    while True:
        moved = plain_forward(x, y)
        step = moved[0] - lon, moved[1] - lat
        x, y = x - step[0], y - step[1]
        if abs(step[0]) < 1e-6 and abs(step[1]) < 1e-6:
            return x, y


def seconds(function: Callable[[], object], repeats: int = 3) -> float:
    """Return the best of some runs."""
    best = math.inf
    for _ in range(repeats):
        start = time.perf_counter()
        function()
        best = min(best, time.perf_counter() - start)
    return best


def metres(a: tuple, b: tuple) -> np.ndarray:
    """Distances on the ground."""
    return np.asarray(geodesic_km(*a, *b)) * 1000


def speed(points: int) -> None:
    """Print seconds for all points, and the ratio to the loop."""
    rng = np.random.default_rng(0)
    lon, lat = rng.uniform(73, 135, 3 * points), rng.uniform(18, 54, 3 * points)
    inside = np.flatnonzero(in_shifted_region(lon, lat))[:points]
    lon, lat = lon[inside], lat[inside]
    peer, forward, inverse = "plain Python", plain_forward, plain_inverse
    if importlib.util.find_spec("coord_convert"):
        from coord_convert.transform import gcj2wgs, wgs2gcj

        peer, forward, inverse = "coord-convert", wgs2gcj, gcj2wgs
    pairs = list(zip(lon[:LOOPED].tolist(), lat[:LOOPED].tolist(), strict=True))
    looped = {
        ("wgs84", "gcj02"): seconds(lambda: [forward(*pair) for pair in pairs]),
        ("gcj02", "wgs84"): seconds(lambda: [inverse(*pair) for pair in pairs]),
    }
    print(f"{lon.size:,} points of the region; the loop is {peer}, on {len(pairs):,} of them and scaled up")
    for source, target in (*looped, ("gcj02", "bd09"), ("bd09", "gcj02"), ("wgs84", "bd09"), ("bd09", "wgs84")):
        ours = seconds(lambda s=source, t=target: convert_datum(lon, lat, s, t))
        line = f"{source} to {target}   {ours:6.2f} s"
        if (source, target) in looped:
            theirs = looped[source, target] * lon.size / len(pairs)
            line += f"   loop {theirs:7.2f} s   {theirs / ours:6.1f} times faster"
        print(line)
    for datum in ("gcj02", "bd09"):
        shift = metres(convert_datum(lon, lat, "wgs84", datum), (lon, lat))
        print(f"wgs84 to {datum} shifts by {shift.min():.0f} to {shift.max():.0f} m, {shift.mean():.0f} m on average")
    outside = seconds(lambda: in_shifted_region(lon, lat))
    print(f"of which the polygon ({shapely.get_num_coordinates(gcj02_region())} vertices): {outside:.2f} s")


def errors() -> None:
    """Print the error of the inverses, of the common ones, and of the formula against Amap's own answers."""
    print("\nround trips from WGS 84, metres on the ground (largest)")
    for package in ("coord_convert", "transbigdata", "prcoords", "eviltransform"):
        table = pd.read_csv(REFERENCE / f"datum_{package}.csv", comment="#")
        points = (table["lon"], table["lat"])
        off = [metres((table[f"from_{d}_lon"], table[f"from_{d}_lat"]), points).max() for d in ("gcj02", "bd09")]
        print(f"{package:16s} GCJ-02 {off[0]:9.1e}   BD-09 {off[1]:9.1e}")
    back = [convert_datum(*convert_datum(*points, "wgs84", d), d, "wgs84") for d in ("gcj02", "bd09")]
    print(
        f"{'gistools':16s} GCJ-02 {metres(back[0], points).max():9.1e}   BD-09 {metres(back[1], points).max():9.1e}"
    )
    amap = pd.read_csv(REFERENCE / "datum_amap.csv", comment="#")
    points, answers = (amap["lon"], amap["lat"]), (amap["amap_lon"], amap["amap_lat"])
    inside = in_shifted_region(*points)
    off = metres(convert_datum(*points, "wgs84", "gcj02"), answers)
    print("\nthe formula against the answers of Amap's converter, one point a degree, metres")
    for name, these in (
        ("region", inside),
        ("east of 112°E", inside & (amap["lon"] > 112)),
        ("104 to 112°E", inside & (amap["lon"] > 104) & (amap["lon"] <= 112)),
        ("west of 104°E", inside & (amap["lon"] <= 104)),
    ):
        e = off[these]
        print(
            f"{name:14s} {e.size:4d} points   mean {e.mean():.2f}   median {np.median(e):.2f}   "
            f"99 % {np.quantile(e, 0.99):.2f}   largest {e.max():.2f}"
        )
    left = metres(answers, points) < 1
    print(f"points of the region that Amap leaves in place: {np.count_nonzero(inside & left)}")
    print(f"points outside it that Amap moves: {np.count_nonzero(~inside & ~left)}")


if __name__ == "__main__":
    speed(int(sys.argv[sys.argv.index("--points") + 1]) if "--points" in sys.argv else 1_000_000)
    errors()
