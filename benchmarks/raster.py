"""One year of a China-size country: our time, the decode-only limit of the same two files, and exactextract.

Run: python benchmarks/raster.py [--data FOLDER] [--rounds 5] [--cities 340]

The country is drawn by the seeded generator of `gistools sample` (about 7,400 x 5,000 cells of 30 arc-seconds).
All methods run in this process, interleaved; medians are printed, and ratios to decode-only.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
from rasterio.windows import Window as RasterioWindow

from gistools.city.form import FormOptions, measure_year
from gistools.grid import Window
from gistools.io.rasters import RasterSource, open_raster
from gistools.io.vectors import read_boundaries
from gistools.raster.align import align
from gistools.raster.lights import lights_product
from gistools.raster.population import population_product
from gistools.raster.tasks import Execution
from gistools.raster.zones import label_zones
from gistools.study.sample import write_sample

SLAB = 512
YEAR = 2013


def country(folder: Path, cities: int) -> Path:
    """Make the country once; the seed is fixed."""
    home = folder / f"country_{cities}"
    if not (home / "truth.json").exists():
        print(f"drawing a country of {cities} cities in {home} ...", flush=True)
        write_sample(home, cities=cities, years=(YEAR,), seed=0, overwrite=True)
    return home


def decode(paths: list[Path]) -> None:
    """Read files slab by slab and do nothing with them."""
    for path in paths:
        with rasterio.open(path) as file:
            for row in range(0, file.height, SLAB):
                rows = min(SLAB, file.height - row)
                file.read(1, window=RasterioWindow(0, row, file.width, rows))


def with_exactextract(lights: RasterSource, population: RasterSource, cities: gpd.GeoDataFrame) -> None:
    """Area and population of urban cells by density class, as an analyst does it: masked arrays, then zonal sums."""
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

    grid = population.grid
    light = align(lights, grid).read(grid.whole)
    people = population.read(grid.whole)
    count = np.where(people.is_valid(), people.values, 0).astype(np.float64)
    area = np.broadcast_to(grid.cell_area_km2(grid.whole), grid.shape)
    density = count / area
    urban = (light.values > 10) & light.is_valid() & (density > 1000)
    threshold = count[urban].sum() / area[urban].sum()
    low, high = urban & (density < threshold), urban & (density >= threshold)
    west, south, east, north = grid.bounds
    rasters = [
        NumPyRasterSource(values, xmin=west, ymin=south, xmax=east, ymax=north, name=name, srs_wkt=grid.crs.to_wkt())
        for name, values in (
            ("population", count),
            ("low_area", np.where(low, area, 0)),
            ("high_area", np.where(high, area, 0)),
            ("low_population", np.where(low, count, 0)),
            ("high_population", np.where(high, count, 0)),
        )
    ]
    exact_extract(rasters, cities, ["sum"], output="pandas")


def median_times(jobs: dict[str, Callable[[], object]], rounds: int) -> dict[str, float]:
    """Time jobs in turn, round by round; the first round warms caches and does not count."""
    times: dict[str, list[float]] = {name: [] for name in jobs}
    for k in range(rounds + 1):
        for name, job in jobs.items():
            begun = time.perf_counter()
            job()
            if k:
                times[name].append(time.perf_counter() - begun)
    return {name: statistics.median(found) for name, found in times.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("bench_data"), help="folder for the drawn country")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--cities", type=int, default=340)
    chosen = parser.parse_args()
    home = country(chosen.data, chosen.cities)
    light_file = next((home / "lights").glob(f"F*{YEAR}*.tif"))
    people_file = next((home / "population").glob(f"*{YEAR}*.tif"))
    lights = open_raster(light_file, lights_product(light_file.name, "uint8"))
    population = open_raster(people_file, population_product(people_file.name))
    cities = read_boundaries(home / "cities.gpkg")
    zones = label_zones(cities, population.grid)
    options = FormOptions()

    def measure(workers: int) -> object:
        return measure_year(YEAR, lights, population, zones, options, execution=Execution(workers))

    jobs: dict[str, Callable[[], object]] = {
        "decode only, both files": lambda: decode([light_file, people_file]),
        "gistools, all measures, 1 worker": lambda: measure(1),
        "gistools, all measures, 2 workers": lambda: measure(2),
        "gistools, label grid (once)": lambda: label_zones(cities, population.grid),
    }
    times = median_times(jobs, chosen.rounds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    slow = median_times({"exactextract, class sums only": lambda: with_exactextract(lights, population, cities)}, 1)
    times |= slow
    limit = times["decode only, both files"]
    form = measure(1)
    whole = Window(*population.grid.whole)
    print(f"\n{population.grid.height:,} x {population.grid.width:,} cells, {len(cities)} cities, one year")
    print(f"{form.counts['urban_cells']:,.0f} urban cells; window {whole.shape}; median of {chosen.rounds} rounds\n")
    print(f"{'':40}{'seconds':>9}{'x decode':>10}")
    for name, seconds in times.items():
        print(f"{name:40}{seconds:9.3f}{seconds / limit:10.2f}")
    print(f"\npeak memory before exactextract: {peak:,.0f} MB")
    ratio = times["exactextract, class sums only"] / times["gistools, all measures, 1 worker"]
    print(f"exactextract takes {ratio:.1f} times as long as all measures of gistools with one worker")


if __name__ == "__main__":
    main()
