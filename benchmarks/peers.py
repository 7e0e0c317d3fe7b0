"""What an analyst does with the peers: area and population of urban cells by density class, city by city."""

from __future__ import annotations

import time

import geopandas as gpd
import numpy as np
import rioxarray  # noqa: F401  (registers the accessor)
import xarray as xr
from rasterio.features import rasterize

from gistools.grid import GridSource
from gistools.raster.align import align

NAMES = ("population", "low_area", "high_area", "low_population", "high_population")


def masked_arrays(lights: GridSource, population: GridSource) -> dict[str, np.ndarray]:
    """Counts, and area and counts by class, as arrays of the whole country."""
    grid = population.grid
    light = align(lights, grid).read(grid.whole)
    people = population.read(grid.whole)
    count = np.where(people.is_valid(), people.values, 0).astype(np.float64)
    area = np.broadcast_to(grid.cell_area_km2(grid.whole), grid.shape)
    density = count / area
    urban = (light.values > 10) & light.is_valid() & (density > 1000)
    threshold = count[urban].sum() / area[urban].sum()
    low, high = urban & (density < threshold), urban & (density >= threshold)
    parts = [np.where(where, part, 0) for part in (area, count) for where in (low, high)]
    return dict(zip(NAMES, [count, *parts], strict=True))


def with_exactextract(lights: GridSource, population: GridSource, cities: gpd.GeoDataFrame) -> tuple[float, str]:
    from exactextract import exact_extract
    from exactextract.raster import NumPyRasterSource

    begun = time.perf_counter()
    grid = population.grid
    west, south, east, north = grid.bounds
    rasters = [
        NumPyRasterSource(values, xmin=west, ymin=south, xmax=east, ymax=north, name=name, srs_wkt=grid.crs.to_wkt())
        for name, values in masked_arrays(lights, population).items()
    ]
    exact_extract(rasters, cities, ["sum"], output="pandas")
    return time.perf_counter() - begun, "masked arrays, then sums"


def with_rasterstats(lights: GridSource, population: GridSource, cities: gpd.GeoDataFrame) -> tuple[float, str]:
    from rasterstats import zonal_stats

    begun = time.perf_counter()
    for values in masked_arrays(lights, population).values():
        zonal_stats(cities.geometry, values, affine=population.grid.transform, stats=["sum"], nodata=-1)
    return time.perf_counter() - begun, "masked arrays, then sums"


def with_xrspatial(lights: GridSource, population: GridSource, cities: gpd.GeoDataFrame) -> tuple[float, str]:
    from xrspatial.zonal import stats

    begun = time.perf_counter()
    data = _labelled(lights, population)
    shapes = zip(cities.geometry, range(1, len(cities) + 1), strict=True)
    zones = rasterize(shapes, population.grid.shape, transform=population.grid.transform, dtype="int32")
    labels = xr.DataArray(zones, dims=("y", "x"), coords={"y": data.y, "x": data.x})
    for name in NAMES:
        stats(labels, data[name], stats_funcs=["sum"], nodata_values=0)
    return time.perf_counter() - begun, "masked arrays, labels, then sums"


def _labelled(lights: GridSource, population: GridSource) -> xr.Dataset:
    grid = population.grid
    coords = {"y": grid.y(np.arange(grid.height)), "x": grid.x(np.arange(grid.width))}
    arrays = {
        name: xr.DataArray(values, dims=("y", "x"), coords=coords)
        for name, values in masked_arrays(lights, population).items()
    }
    return xr.Dataset(arrays).rio.write_crs(grid.crs).rio.write_transform(grid.transform)


def clip_box_loop(lights: GridSource, population: GridSource, cities: gpd.GeoDataFrame) -> tuple[float, str]:
    begun = time.perf_counter()
    data = _labelled(lights, population)
    for shape in cities.geometry:
        data.rio.clip_box(*shape.bounds).rio.clip([shape]).sum()
    return time.perf_counter() - begun, "masked arrays, then clips"


def clip_loop(lights: GridSource, population: GridSource, cities: gpd.GeoDataFrame) -> tuple[float, str]:
    begun = time.perf_counter()
    data = _labelled(lights, population)
    made = time.perf_counter() - begun
    some = cities.geometry.iloc[:: max(len(cities) // 5, 1)]
    begun = time.perf_counter()
    for shape in some:
        data.rio.clip([shape]).sum()
    seconds = made + (time.perf_counter() - begun) / len(some) * len(cities)
    return seconds, f"masked arrays, then clips; extrapolated from {len(some)} cities"
