"""A million parcels: the city that holds each and the geodesic distance to its CBD, beside geopandas and geopy.

Run: python benchmarks/distance.py [--data FOLDER] [--parcels 1000000] [--rounds 3]

The peers' way is a spatial join of geopandas and geopy's geodesic in a loop, timed on a sample of parcels and
extrapolated. Both give the same cities and the same distances.
"""

from __future__ import annotations

import argparse
import statistics
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
from geopy.distance import geodesic
from raster import country

from gistools.io.vectors import read_boundaries
from gistools.parcels.distance import distance_to_cbd, locate_parcels

SAMPLE = 20_000


def ours(parcels: pd.DataFrame, cities: gpd.GeoDataFrame, cbds: pd.DataFrame) -> pd.DataFrame:
    return distance_to_cbd(locate_parcels(parcels, cities), cbds)


def peers(parcels: pd.DataFrame, cities: gpd.GeoDataFrame, cbds: pd.DataFrame) -> pd.DataFrame:
    points = gpd.GeoDataFrame(parcels, geometry=gpd.points_from_xy(parcels["lon"], parcels["lat"]), crs=4326)
    joined = points.sjoin(cities[["city_code", "geometry"]], how="left")
    joined = joined[~joined.index.duplicated()].merge(cbds, on="city_code", how="left")
    joined["distance_km"] = [
        geodesic((lat, lon), (cbd_lat, cbd_lon)).km if cbd_lon == cbd_lon else np.nan
        for lon, lat, cbd_lon, cbd_lat in joined[["lon", "lat", "cbd_lon", "cbd_lat"]].itertuples(index=False)
    ]
    return joined


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("bench_data"), help="folder of the drawn country")
    parser.add_argument("--parcels", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    cities = read_boundaries(country(chosen.data) / "cities.gpkg")
    west, south, east, north = cities.total_bounds
    rng = np.random.default_rng(0)
    parcels = pd.DataFrame(
        {"lon": rng.uniform(west, east, chosen.parcels), "lat": rng.uniform(south, north, chosen.parcels)}
    )
    inside = cities.representative_point()
    cbds = pd.DataFrame({"city_code": cities["city_code"], "cbd_lon": inside.x, "cbd_lat": inside.y})

    seconds = []
    for _ in range(chosen.rounds):
        begun = time.perf_counter()
        found = ours(parcels, cities, cbds)
        seconds.append(time.perf_counter() - begun)
    mine = statistics.median(seconds)
    begun = time.perf_counter()
    theirs = peers(parcels.head(SAMPLE), cities, cbds)
    other = (time.perf_counter() - begun) * chosen.parcels / min(SAMPLE, chosen.parcels)
    both = found.head(SAMPLE)
    apart = np.nanmax(np.abs(both["distance_km"].to_numpy() - theirs["distance_km"].to_numpy()))
    same = (both["city_code"].fillna("") == theirs["city_code"].fillna("").to_numpy()).mean()
    print(f"{chosen.parcels:,} parcels, {len(cities)} cities; median of {chosen.rounds}")
    print(f"gistools, city and distance      {mine:8.2f} s")
    print(f"geopandas sjoin, geopy geodesic  {other:8.2f} s, {other / mine:.0f} x (from {SAMPLE:,} parcels)")
    print(f"the same city: {100 * same:.2f} %, distances differ by at most {1e6 * apart:.3f} mm")


if __name__ == "__main__":
    main()
