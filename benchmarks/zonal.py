"""Statistics of the population of a China-size country by city: our time beside exactextract and rasterstats.

Run: python benchmarks/zonal.py [--data FOLDER] [--rounds 3]

All methods run in this process on one file, by the rule of membership each has: exactextract by coverage, rasterstats
by centre. Medians are printed, and ratios to ours by the same rule.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path

import numpy as np
from raster import YEARS, country, median_times, pair

from gistools.io.rasters import open_raster
from gistools.io.vectors import read_boundaries
from gistools.raster.population import population_product
from gistools.raster.statistics import zonal_statistics
from gistools.raster.tasks import Execution
from gistools.raster.zones import Zones, label_zones

STATISTICS = ("count", "sum", "mean", "max", "std", "median")


def main() -> None:
    import rasterstats
    from exactextract import exact_extract

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("bench_data"), help="folder for the drawn country")
    parser.add_argument("--rounds", type=int, default=3)
    chosen = parser.parse_args()
    home = country(chosen.data)
    _, path = pair(home, YEARS[-1])
    people = open_raster(path, population_product(path.name))
    cities = read_boundaries(home / "cities.gpkg")[["city_code", "geometry"]]
    shapes = cities[["geometry"]]
    by_rule: dict[str, Zones] = {}

    def ours(assign: str, workers: int) -> object:
        return zonal_statistics(people, by_rule[assign], STATISTICS, execution=Execution(workers))

    def label(assign: str) -> Callable[[], object]:
        return lambda: by_rule.update({assign: label_zones(cities, people.grid, assign=assign)})  # type: ignore[arg-type]

    def theirs() -> object:
        return exact_extract(
            str(path),
            shapes,
            ["count", "sum", "mean", "max", "stdev", "median"],
            output="pandas",
            strategy="raster-sequential",
        )

    def others() -> object:
        return rasterstats.zonal_stats(cities, str(path), stats=list(STATISTICS))

    times = median_times(
        {
            "label grid by centre (once)": label("centre"),
            "label grid by coverage (once)": label("coverage"),
            "gistools by centre, 1 worker": lambda: ours("centre", 1),
            "gistools by centre, 2 workers": lambda: ours("centre", 2),
            "gistools by coverage, 1 worker": lambda: ours("coverage", 1),
        },
        chosen.rounds,
    )
    times |= median_times({"exactextract (by coverage)": theirs, "rasterstats (by centre)": others}, 1, warm=False)
    known, found = theirs(), ours("coverage", 1)
    worst = max(float(np.nanmax(np.abs(found[name] / known[name] - 1))) for name in ("sum", "mean"))
    print(f"\n{people.grid.height:,} x {people.grid.width:,} cells, {len(cities)} cities: {', '.join(STATISTICS)}\n")
    print(f"{'':40}{'seconds':>9}{'x ours':>10}")
    for name, seconds in times.items():
        base = times[f"gistools by {'coverage' if 'coverage' in name else 'centre'}, 1 worker"]
        print(f"{name:40}{seconds:9.3f}{seconds / base:10.2f}")
    print(f"\nsums and means by coverage differ from exactextract's by {worst:.1e} at the most")


if __name__ == "__main__":
    main()
