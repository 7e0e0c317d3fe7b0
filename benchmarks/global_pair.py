"""A global pair of grids in the products' extents: the drawn country in eight places, the rest dark and empty."""

from __future__ import annotations

from pathlib import Path

import geopandas as gpd
import numpy as np
import pandas as pd
import rasterio
from affine import Affine

from gistools.io.vectors import read_boundaries

ARC30 = 1 / 120
NODATA = -2147483647
# Rows and columns, in 30 arc-seconds from 75 N and 180 W, of the north-west corners of the copies.
PLACES = tuple((row, col) for row in (600, 7600) for col in (1200, 11400, 21600, 31800))


def global_pair(folder: Path, home: Path, year: int) -> tuple[tuple[Path, Path], gpd.GeoDataFrame]:
    """Write the pair once; return its files and the cities of all copies."""
    light = max((home / "lights").glob(f"F*{year}*.tif"))
    people = next((home / "population").glob(f"*{year}*.tif"))
    out = folder / "global"
    files = out / light.name, out / people.name
    with rasterio.open(people) as file:
        corner = file.transform.c, file.transform.f
    if not all(path.exists() for path in files):
        print(f"writing a global pair in {out} ...", flush=True)
        out.mkdir(parents=True, exist_ok=True)
        # DMSP: 43201 x 16801 from 75 N, centres on the lattice, strips of one row; LandScan: 43200 x 20880 from 84 N
        half = ARC30 / 2
        _write(
            files[0],
            light,
            (16801, 43201),
            Affine(ARC30, 0, -180 - half, 0, -ARC30, 75 + half),
            0,
            0,
            {"blockysize": 1},
        )
        tiles = {"tiled": True, "blockxsize": 128, "blockysize": 128}
        _write(files[1], people, (20880, 43200), Affine(ARC30, 0, -180, 0, -ARC30, 84), 1080, NODATA, tiles)
    cities = read_boundaries(home / "cities.gpkg")
    copies = []
    for k, (row, col) in enumerate(PLACES):
        # the population's corner of the copy lies on the lattice of 1/120 degree
        moved = cities.translate(-180 + col * ARC30 - corner[0], 75 - row * ARC30 - corner[1])
        copies.append(gpd.GeoDataFrame({"city_code": [f"{k}{code}" for code in cities["city_code"]]}, geometry=moved))
    return files, gpd.GeoDataFrame(pd.concat(copies, ignore_index=True), crs=cities.crs)


def _write(
    path: Path, source: Path, shape: tuple[int, int], transform: Affine, skip: int, empty: int, profile: dict
) -> None:
    """Write a world of `empty` cells with the copies in it; `skip` rows lie north of 75 N."""
    with rasterio.open(source) as file:
        part = file.read(1)
        kind = {"dtype": file.dtypes[0], "nodata": file.nodata}
    temporary = path.with_suffix(".part")
    with rasterio.open(
        temporary,
        "w",
        driver="GTiff",
        height=shape[0],
        width=shape[1],
        count=1,
        crs="EPSG:4326",
        transform=transform,
        compress="lzw",
        BIGTIFF="IF_SAFER",
        **kind,
        **profile,
    ) as file:
        for row0 in range(0, shape[0], 1024):
            rows = min(1024, shape[0] - row0)
            block = np.full((rows, shape[1]), empty, part.dtype)
            for top, left in PLACES:
                top += skip  # noqa: PLW2901
                first, last = max(top, row0), min(top + part.shape[0], row0 + rows)
                if first < last:
                    width = min(part.shape[1], shape[1] - left)
                    block[first - row0 : last - row0, left : left + width] = part[first - top : last - top, :width]
            file.write(block, 1, window=rasterio.windows.Window(0, row0, shape[1], rows))
    temporary.rename(path)
