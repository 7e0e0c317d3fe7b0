"""The cells around one city in one year, for maps: lights, density and class on one lattice."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import shapely
import xarray as xr
from pyproj import Transformer

from gistools.city.urban import HIGH, LOW, NOT_URBAN
from gistools.errors import BoundaryError
from gistools.grid import GridSource, Window
from gistools.raster.align import align

if TYPE_CHECKING:
    import geopandas as gpd

    from gistools.city.form import FormOptions


def city_clip(
    lights: GridSource,
    population: GridSource,
    city: gpd.GeoDataFrame,
    options: FormOptions,
    *,
    threshold: float,
    margin: int = 3,
) -> xr.Dataset:
    """Cut out the cells around one city: what its measures were made of.

    Parameters
    ----------
    lights, population : GridSource
        Of one year.
    city : GeoDataFrame
        One row.
    options : FormOptions
        Thresholds and alignment.
    threshold : float
        Density that splits urban cells (persons per km2).
    margin : int
        Cells kept around the city's extent.

    Returns
    -------
    Dataset, dims (y, x)
        ``lights`` (on the population's lattice), ``density`` (persons per km2), ``density_class`` (0 not urban,
        1 low, 2 high), float32, NaN without data; CRS and transform through rioxarray. Neighbouring cities' cells
        are in it too.

    Raises
    ------
    BoundaryError
        If the city lies outside the grid.
    """
    import rioxarray  # noqa: F401  (registers the accessor)

    grid = population.grid
    shape = city.geometry.iloc[0]
    move = Transformer.from_crs(city.crs, grid.crs, always_xy=True)
    outline = shapely.transform(shape, lambda xy: np.column_stack(move.transform(xy[:, 0], xy[:, 1])))
    inner = grid.window_of(outline.bounds)
    if inner is None:
        raise BoundaryError(f"city {city['city_code'].iloc[0]} lies outside the grid of {population.name}")
    window = Window(
        max(inner.row0 - margin, 0),
        min(inner.row1 + margin, grid.height),
        max(inner.col0 - margin, 0),
        min(inner.col1 + margin, grid.width),
    )
    light, people = align(lights, grid, how=options.align).read(window), population.read(window)
    bright = np.where(light.is_valid(), light.values, np.nan).astype(np.float64)
    density = np.where(people.is_valid(), people.values, np.nan) / grid.cell_area_km2(window)
    with np.errstate(invalid="ignore"):
        urban = (bright > options.min_light) & (density > options.min_density)
        classes = np.where(urban, np.where(density < threshold, LOW, HIGH), NOT_URBAN).astype(np.float32)
    part = grid.crop(window)
    coords = {"y": part.y(np.arange(part.height)), "x": part.x(np.arange(part.width))}
    data = {
        "lights": (("y", "x"), bright.astype(np.float32)),
        "density": (("y", "x"), density.astype(np.float32)),
        "density_class": (("y", "x"), classes),
    }
    clip = xr.Dataset(data, coords).rio.write_crs(grid.crs).rio.write_transform(part.transform)
    clip.attrs = {"city_code": str(city["city_code"].iloc[0]), "threshold": threshold}
    return clip
