"""Geocoding against a local server that counts: 20,000 addresses killed five times, and times beside geopy's loop.

    python benchmarks/geocoding.py [--addresses 20000 --kills 5 --timed 2000 --points 1000000]

Kills are SIGKILL, in turn of the run alone and of its whole process group, at moments when requests are under way.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from geocoding_server import KEY, GeocodingServer

from gistools.parcels.datum import bd09_to_wgs84
from gistools.parcels.validation import check_points

COMMAND = [sys.executable, "-c", "from gistools.cli.parcels_geocode import geocode; geocode()"]
POINT = (114.28, 30.58)


def addresses(count: int) -> pd.DataFrame:
    roads = ["江汉路", "解放大道", "中山大道", "建设大道", "沿江大道", "京汉大道", "航空路", "青年路"]
    rows = [f"湖北省武汉市江汉区{roads[k % len(roads)]}{k // len(roads) + 1}号" for k in range(count)]
    return pd.DataFrame({"parcel_id": [f"4201{k:08d}" for k in range(count)], "address": rows})


def options(folder: Path, server: GeocodingServer, threads: int = 8) -> list[str]:
    return [
        str(folder / "parcels.parquet"),
        *("--out", str(folder / "geocoded.parquet"), "--providers", "baidu", "--endpoint", f"baidu={server.url}"),
        *("--qps", "5000", "--daily-quota", "1000000", "--threads", str(threads), "--json", str(folder / "r.json")),
    ]


def campaign(count: int, kills: int) -> None:
    with tempfile.TemporaryDirectory() as name, GeocodingServer(lambda _: POINT, delay=0.005) as server:
        folder = Path(name)
        addresses(count).to_parquet(folder / "parcels.parquet")
        under_way = []
        for k in range(kills):
            process = subprocess.Popen(
                [*COMMAND, *options(folder, server)], start_new_session=True, stderr=subprocess.DEVNULL
            )
            while sum(server.asked.values()) < (k + 1) * count / (kills + 1):
                if process.poll() is not None:
                    raise SystemExit(f"the run ended early with code {process.returncode}")
                time.sleep(0.001)
            under_way.append(server.under_way)
            if k % 2:
                os.killpg(process.pid, signal.SIGKILL)
            else:
                process.kill()
            process.wait()
        subprocess.run([*COMMAND, *options(folder, server)], check=True, stderr=subprocess.DEVNULL)
        table = pd.read_parquet(folder / "geocoded.parquet")
        counts = np.array(list(server.count("baidu").values()))
        print(f"addresses {count:,}, kills {kills} (requests under way at each: {under_way})")
        print(
            f"the server counted {counts.sum():,} requests for {len(counts):,} addresses, "
            f"at most {counts.max()} for one"
        )
        print(f"records located: {(table['status'] == 'located').sum():,} of {len(table):,}")


def loop_of_geopy(table: pd.DataFrame, server: GeocodingServer) -> pd.Series:
    """What an analyst writes: a column mapped by geopy's limiter, then the datum."""
    from geopy.extra.rate_limiter import RateLimiter
    from geopy.geocoders import BaiduV3

    client = BaiduV3(KEY, proxies={})
    client.api = f"{server.url}/geocoding/v3/"
    limited = RateLimiter(client.geocode, min_delay_seconds=0)
    found = table["address"].map(limited)
    lon, lat = bd09_to_wgs84(found.map(lambda place: place.longitude), found.map(lambda place: place.latitude))
    return pd.Series(shapely.points(lon, lat))


def times(count: int, delay: float) -> None:
    with tempfile.TemporaryDirectory() as name, GeocodingServer(lambda _: POINT, delay=delay) as server:
        folder = Path(name)
        table = addresses(count)
        table.to_parquet(folder / "parcels.parquet")
        begun = time.perf_counter()
        loop_of_geopy(table, server)
        peer = time.perf_counter() - begun
        seconds = {}
        for what, threads in (("one thread", 1), ("8 threads", 8), ("8 threads again, from the cache", 8)):
            if "again" not in what:
                (folder / "geocode_cache.sqlite").unlink(missing_ok=True)
            begun = time.perf_counter()
            subprocess.run([*COMMAND, *options(folder, server, threads)], check=True, capture_output=True)
            seconds[what] = time.perf_counter() - begun
    print(f"{count:,} addresses, {1000 * delay:.0f} ms an answer: pandas and geopy's RateLimiter {peer:.1f} s")
    for what, took in seconds.items():
        print(f"  gistools parcels geocode, {what}: {took:.1f} s with the program's start; ratio {took / peer:.2f}")


def validation(count: int) -> None:
    rng = np.random.default_rng(0)
    cells = [(100 + i, 25 + j) for i in range(17) for j in range(17)]
    shapes = [shapely.segmentize(shapely.box(x, y, x + 1, y + 1), 0.002) for x, y in cells]
    codes = [f"{k:06d}" for k in range(len(cells))]
    cities = gpd.GeoDataFrame({"city_code": codes, "city_name": codes, "province": "p"}, geometry=shapes, crs=4326)
    own = rng.integers(0, len(cells), count)
    corner = np.array(cells)[own] + rng.uniform(-0.005, 1.005, (count, 2))
    points = pd.DataFrame(
        {"lon": corner[:, 0], "lat": corner[:, 1], "city_code": np.array(codes)[own], "city": "", "province": ""}
    )
    begun = time.perf_counter()
    joined = gpd.sjoin(
        gpd.GeoDataFrame(points, geometry=gpd.points_from_xy(points["lon"], points["lat"]), crs=4326),
        cities,
        how="left",
        predicate="intersects",
    )
    inside = (joined["city_code_left"] == joined["city_code_right"]).groupby(level=0).any()
    peer = time.perf_counter() - begun
    begun = time.perf_counter()
    checked = check_points(points, cities, tolerance_km=0)
    ours = time.perf_counter() - begun
    assert ((checked["verdict"] == "") == inside.sort_index()).all()
    print(f"{count:,} points, {len(cities)} polygons of {len(shapes[0].exterior.coords):,} vertices: geopandas.sjoin")
    print(f"  {peer:.1f} s (inside or not); check_points {ours:.1f} s (and how far outside); ratio {ours / peer:.2f}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--addresses", type=int, default=20_000)
    parser.add_argument("--kills", type=int, default=5)
    parser.add_argument("--timed", type=int, default=2_000)
    parser.add_argument("--points", type=int, default=1_000_000)
    chosen = parser.parse_args()
    os.environ |= {"GISTOOLS_BAIDU_KEY": KEY, "NO_PROXY": "127.0.0.1"}
    if chosen.addresses:
        campaign(chosen.addresses, chosen.kills)
    if chosen.timed:
        times(chosen.timed, 0.02)
    if chosen.points:
        validation(chosen.points)


if __name__ == "__main__":
    main()
