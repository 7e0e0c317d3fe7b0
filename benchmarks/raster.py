"""The raster engine beside its limit and its peers, in one run: times as ratios to decoding the same files.

Run: python benchmarks/raster.py [--data FOLDER] [--rounds 5] [--skip global,peers,scaling]

A China-size country (340 cities) is drawn by the seeded generator of `gistools sample`; the global pair has the
extents of DMSP-OLS and of older LandScan releases, with that country in eight places. All methods run in this
process, round by round, in turn (a peer's rounds follow one another); medians are printed. Peak memory is that of a
process of its own for each job.
"""

from __future__ import annotations

import argparse
import gc
import os
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Hashable, Iterable, Mapping
from pathlib import Path
from unittest.mock import patch

import dask.threaded
import geopandas as gpd
import numpy as np
import rasterio
import shapely
from global_pair import global_pair
from peers import clip_box_loop, clip_loop, with_exactextract, with_rasterstats, with_xrspatial
from rasterio.windows import Window

from gistools.city.form import FormOptions, measure_year
from gistools.city.series import city_form
from gistools.grid import GridSource
from gistools.io.rasters import open_raster
from gistools.io.vectors import read_boundaries
from gistools.raster.lights import lights_product
from gistools.raster.population import population_product
from gistools.raster.tasks import Execution
from gistools.raster.zones import Zones, label_zones
from gistools.study.sample import write_sample

SLAB = 512
YEARS = tuple(range(2007, 2014))
CITIES = 340
ALL, URBAN = FormOptions(), FormOptions(measures="urban")


def country(folder: Path) -> Path:
    """Draw the country once; the seed is fixed."""
    home = folder / f"country_{CITIES}_{len(YEARS)}"
    if not (home / "truth.json").exists():
        print(f"drawing a country of {CITIES} cities and {len(YEARS)} years in {home} ...", flush=True)
        write_sample(home, cities=CITIES, years=YEARS, seed=0, overwrite=True)
    return home


def pair(home: Path, year: int) -> tuple[Path, Path]:
    """Files of lights (of the latest satellite) and population of a year."""
    return max((home / "lights").glob(f"F*{year}*.tif")), next((home / "population").glob(f"*{year}*.tif"))


def opened(files: tuple[Path, Path]) -> tuple[GridSource, GridSource]:
    light, people = files
    return (
        open_raster(light, lights_product(light.name, "uint8")),
        open_raster(people, population_product(people.name)),
    )


def decode(paths: Iterable[Path]) -> None:
    """Read files slab by slab and do nothing with them."""
    for path in paths:
        with rasterio.open(path) as file:
            for row in range(0, file.height, SLAB):
                file.read(1, window=Window(0, row, file.width, min(SLAB, file.height - row)))


def median_times(jobs: dict[str, Callable[[], object]], rounds: int, *, warm: bool = True) -> dict[str, float]:
    """Time jobs in turn, round by round; a first round warms caches and does not count."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for k in range(rounds + warm):
        for name, job in jobs.items():
            begun = time.perf_counter()
            job()
            if k or not warm:
                times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(found) for name, found in times.items()}


def one_after_another(graph: Mapping[Hashable, tuple[Callable[[], object]]], keys: list, **_: object) -> list:
    """Dask's own work left out: its tasks called in a loop."""
    return [graph[key][0]() for key in keys]


def table(title: str, times: dict[str, float], limit: float, *, aims: dict[str, str] | None = None) -> None:
    print(f"\n{title}\n\n{'':52}{'seconds':>9}{'x decode':>10}  aim", flush=True)
    for name, seconds in times.items():
        print(f"{name:52}{seconds:9.3f}{seconds / limit:10.2f}  {(aims or {}).get(name, '')}")


def many_vertices(cities: gpd.GeoDataFrame, vertices: int) -> gpd.GeoDataFrame:
    """The same polygons with about so many vertices each, moved by nobody."""
    step = shapely.length(cities.geometry.array).mean() / vertices
    return cities.set_geometry(shapely.segmentize(cities.geometry.array, step), crs=cities.crs)


def voronoi(cities: gpd.GeoDataFrame, count: int) -> gpd.GeoDataFrame:
    """So many polygons that tile the extent of the cities."""
    west, south, east, north = cities.total_bounds
    points = np.random.default_rng(0).uniform((west, south), (east, north), (count, 2))
    frame = shapely.box(west, south, east, north)
    cells = shapely.get_parts(shapely.voronoi_polygons(shapely.MultiPoint(points), extend_to=frame))
    cells = shapely.intersection(cells, frame)
    codes = [f"{k:06d}" for k in range(len(cells))]
    return gpd.GeoDataFrame({"city_code": codes}, geometry=cells, crs=cities.crs)


def peak_memory(job: str, data: Path) -> float:
    """Peak resident memory of a job in a process of its own, MB."""
    run = subprocess.run(
        [sys.executable, __file__, "--data", str(data), "--job", job], capture_output=True, text=True, check=True
    )
    return float(run.stdout.strip().splitlines()[-1])


def alone(job: str, data: Path) -> None:
    """Do one job, and print this process's peak memory."""
    place, workers = job.rsplit("-", 1)
    if place == "china":
        home = country(data)
        files, cities = pair(home, YEARS[-1]), read_boundaries(home / "cities.gpkg")
        options = FormOptions()
    else:
        files, cities = global_pair(data, country(data), YEARS[-1])
        options = URBAN
    lights, population = opened(files)
    zones = label_zones(cities, population.grid)
    measure_year(YEARS[-1], lights, population, zones, options, execution=Execution(int(workers)))
    # not by getrusage: a process begins with the peak of the one that started it
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    print(int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1e3)


def china(home: Path, rounds: int) -> None:
    cities = read_boundaries(home / "cities.gpkg")
    files = pair(home, YEARS[-1])
    lights, population = opened(files)
    zones = label_zones(cities, population.grid)
    begun = time.perf_counter()
    covered = label_zones(cities, population.grid, assign="coverage")
    covering = time.perf_counter() - begun

    def measure(workers: int, options: FormOptions = ALL, labels: Zones = zones) -> Callable[[], object]:
        return lambda: measure_year(YEARS[-1], lights, population, labels, options, execution=Execution(workers))

    def plain_loop() -> None:
        with patch.object(dask.threaded, "get", one_after_another):
            measure(1)()

    jobs = {
        "decode only, both files": lambda: decode(files),
        "all measures, 1 worker": measure(1),
        "all measures, the same tasks in a plain loop": plain_loop,
        "all measures, 2 workers": measure(2),
        "urban cells only, 1 worker": measure(1, URBAN),
        "all measures by coverage, 1 worker": measure(1, FormOptions(assign="coverage"), covered),
    }
    times = median_times(jobs, rounds)
    limit = times["decode only, both files"]
    height, width = population.grid.shape
    more = times["all measures by coverage, 1 worker"] - times["all measures, 1 worker"]
    table(
        f"China-size: {height:,} x {width:,} cells, {len(cities)} cities, one year; label grid cached; "
        f"median of {rounds}",
        times,
        limit,
        aims={"all measures, 1 worker": "<= 1.6", "urban cells only, 1 worker": "<= 1.05"},
    )
    dask_path = times["all measures, 1 worker"] / times["all measures, the same tasks in a plain loop"]
    print(f"\nthe Dask path takes {dask_path:.2f} of the plain loop (aim <= 1.3)")
    print(
        f"coverage costs {more / limit:.2f} of a decode a year (aim <= 0.3); "
        f"its fractions took {covering:.1f} s, once"
    )
    every = {year: pair(home, year) for year in YEARS}
    series = {year: opened(found) for year, found in every.items()}

    def form(workers: int) -> Callable[[], object]:
        return lambda: city_form(
            cities,
            lights={year: light for year, (light, _) in series.items()},
            population={year: people for year, (_, people) in series.items()},
            label=lambda *_, **__: zones,
            execution=Execution(workers),
        )

    seven = median_times(
        {
            "decode only, one thread": lambda: decode(path for found in every.values() for path in found),
            "all measures, 1 worker": form(1),
            "all measures, 2 workers": form(2),
        },
        rounds,
    )
    table(
        f"The same, {len(YEARS)} years",
        seven,
        seven["decode only, one thread"],
        aims={"all measures, 2 workers": "<= 1.0"},
    )


def labels(home: Path, rounds: int) -> None:
    cities = read_boundaries(home / "cities.gpkg")
    files = pair(home, YEARS[-1])
    grid = opened(files)[1].grid
    fine, many = many_vertices(cities, 2000), voronoi(cities, 3000)
    times = median_times(
        {
            "decode only, both files": lambda: decode(files),
            "label grid, 340 polygons x 2,000 vertices": lambda: label_zones(fine, grid),
            "label grid, 3,000 polygons": lambda: label_zones(many, grid),
        },
        rounds,
    )
    aims = {"label grid, 340 polygons x 2,000 vertices": "<= 2", "label grid, 3,000 polygons": "<= 4"}
    table("Label grids, made once and then cached", times, times["decode only, both files"], aims=aims)


def scaling(home: Path, rounds: int) -> None:
    cities = read_boundaries(home / "cities.gpkg")
    files = pair(home, YEARS[-1])
    lights, population = opened(files)
    jobs: dict[str, Callable[[], object]] = {"decode only, both files": lambda: decode(files)}
    for number, places in ((30, cities.head(30)), (340, cities), (3000, voronoi(cities, 3000))):
        zones = label_zones(places, population.grid)
        for workers in (1, 2):
            jobs[f"{number:,} cities, {workers} worker{'s' * (workers > 1)}"] = lambda zones=zones, workers=workers: (
                measure_year(YEARS[-1], lights, population, zones, FormOptions(), execution=Execution(workers))
            )
    times = median_times(jobs, rounds)
    table("All measures over cities and workers", times, times["decode only, both files"])


def peers(home: Path, rounds: int) -> None:
    cities = read_boundaries(home / "cities.gpkg")
    lights, population = opened(pair(home, YEARS[-1]))
    zones = label_zones(cities, population.grid)
    ours = median_times(
        {
            "ours": lambda: measure_year(
                YEARS[-1], lights, population, zones, FormOptions(), execution=Execution(workers=1)
            )
        },
        rounds,
    )["ours"]
    print(
        f"\nPeers on the class sums of one year, as multiples of all measures of gistools, 1 worker ({ours:.2f} s); "
        f"median of {rounds}\n"
    )
    for name, aim, job in (
        ("exactextract", ">= 7", with_exactextract),
        ("rasterstats", "", with_rasterstats),
        ("xarray-spatial", "", with_xrspatial),
        ("rioxarray clip_box and clip, city by city", ">= 20", clip_box_loop),
        ("rioxarray clip, city by city", ">= 200", clip_loop),
    ):
        found = []
        for _ in range(rounds):
            found.append(job(lights, population, cities))
            gc.collect()  # labelled arrays hold each other in circles
        seconds, said = statistics.median(seconds for seconds, _ in found), found[0][1]
        print(f"{name:46}{seconds:9.1f} s{seconds / ours:9.0f} x  {aim:7} {said}", flush=True)


def world(data: Path, home: Path, rounds: int) -> None:
    files, cities = global_pair(data, home, YEARS[-1])
    lights, population = opened(files)
    zones = label_zones(cities, population.grid)

    def measure(workers: int) -> Callable[[], object]:
        return lambda: measure_year(YEARS[-1], lights, population, zones, URBAN, execution=Execution(workers))

    times = median_times(
        {
            "decode only, both files": lambda: decode(files),
            "urban cells only, 1 worker": measure(1),
            "urban cells only, 2 workers": measure(2),
        },
        rounds,
    )
    height, width = population.grid.shape
    table(
        f"Global pair: {height:,} x {width:,} cells, {len(cities):,} cities, one year",
        times,
        times["decode only, both files"],
        aims={"urban cells only, 1 worker": "<= 0.7"},
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("bench_data"), help="folder for what is drawn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--skip", default="", help="parts to leave out: labels, scaling, peers, global, memory")
    parser.add_argument("--job", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.job:
        alone(chosen.job, chosen.data)
        return
    skip = set(chosen.skip.split(","))
    home = country(chosen.data)
    print(f"{len(os.sched_getaffinity(0))} processors")
    china(home, chosen.rounds)
    if "labels" not in skip:
        labels(home, chosen.rounds)
    if "scaling" not in skip:
        scaling(home, chosen.rounds)
    if "peers" not in skip:
        peers(home, chosen.rounds)
    if "global" not in skip:
        world(chosen.data, home, chosen.rounds)
    if "memory" not in skip:
        print("\nPeak resident memory of a process of its own, all of Python included\n")
        for job, aim in (("china-1", 800), ("china-2", None), ("global-1", 1200), ("global-2", 1800)):
            if job.startswith("global") and "global" in skip:
                continue
            print(f"{job:12}{peak_memory(job, chosen.data):8,.0f} MB" + (f"  aim <= {aim:,}" if aim else ""))


if __name__ == "__main__":
    main()
