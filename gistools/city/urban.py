"""Urban mask, density classes and urban patches."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from gistools.checks import require_positive
from gistools.errors import GridError, InputError
from gistools.grid import Window, grid_of

if TYPE_CHECKING:
    import geopandas as gpd
    import xarray as xr
    from numpy.typing import ArrayLike, NDArray

    from gistools.raster.zonal import UrbanCells

NOT_URBAN, LOW, HIGH = 0, 1, 2


def population_density(population: xr.DataArray) -> xr.DataArray:
    """Persons per km2 of each cell: counts over geodesic cell areas.

    Parameters
    ----------
    population : DataArray, dims (y, x)
        Persons per cell, with CRS and transform; NaN where there is no data.

    Returns
    -------
    DataArray, dims (y, x), float64
        Persons per km2; lazy if the input is.

    Examples
    --------
    >>> import rioxarray, xarray as xr
    >>> from affine import Affine
    >>> people = xr.DataArray(np.full((2, 2), 1000.0), dims=("y", "x"))
    >>> people = people.rio.write_crs(4326).rio.write_transform(Affine(1 / 120, 0, 104, 0, -1 / 120, 30.5))
    >>> population_density(people).round(1).values[0].tolist()
    [1353.0, 1353.0]
    """
    grid = grid_of(population)
    area = grid.cell_area_km2(grid.whole)
    density = population / area
    density.attrs = {**population.attrs, "units": "persons per km2"}
    return density.rename("density")


def urban_mask(
    lights: xr.DataArray, population: xr.DataArray, *, min_light: float = 10.0, min_density: float = 1000.0
) -> xr.DataArray:
    """Urban cells: light above one threshold and population density above another, both strict.

    Parameters
    ----------
    lights : DataArray, dims (y, x)
        Digital numbers or radiance on the population's lattice (see ``align_grid``).
    population : DataArray, dims (y, x)
        Persons per cell.
    min_light : float
    min_density : float
        Persons per km2.

    Returns
    -------
    DataArray of bool, dims (y, x)
        A cell without data in either grid is not urban; lazy if the input is.

    Raises
    ------
    GridError
        If the two are not on one lattice.

    Examples
    --------
    >>> import rioxarray, xarray as xr
    >>> from affine import Affine
    >>> def raster(values):
    ...     array = xr.DataArray(np.array(values), dims=("y", "x"))
    ...     return array.rio.write_crs(4326).rio.write_transform(Affine(1 / 120, 0, 104, 0, -1 / 120, 30.5))
    >>> urban_mask(raster([[11.0, 10.0]]), raster([[900.0, 900.0]])).values.tolist()
    [[True, False]]
    """
    require_positive(min_light, "min_light", zero=True)
    require_positive(min_density, "min_density", zero=True)
    _require_one_lattice(lights, population)
    density = population_density(population)
    mask = (lights.variable > min_light) & (density.variable > min_density)
    out = density.copy(data=mask.data)
    out.attrs = {"min_light": min_light, "min_density": min_density, **_year(population)}
    return out.rename("urban")


def density_classes(mask: xr.DataArray, population: xr.DataArray, *, threshold: float) -> xr.DataArray:
    """Urban cells split at a density: 0 not urban, 1 low (below it), 2 high (at or above it).

    Parameters
    ----------
    mask : DataArray of bool, dims (y, x)
        As :func:`urban_mask` gives it.
    population : DataArray, dims (y, x)
        Persons per cell on the same lattice.
    threshold : float
        Persons per km2, for example from :func:`urban_density_threshold`.

    Returns
    -------
    DataArray of uint8, dims (y, x)
    """
    require_positive(threshold, "threshold")
    _require_one_lattice(mask, population)
    dense = population_density(population).variable >= threshold
    classes = mask.variable.astype("uint8") * (1 + dense.astype("uint8"))
    out = mask.copy(data=classes.data)
    out.attrs = {**mask.attrs, "threshold": threshold, "classes": "0 not urban, 1 low, 2 high density"}
    return out.rename("density_class")


def _require_one_lattice(a: xr.DataArray, b: xr.DataArray) -> None:
    if not grid_of(a).same_as(grid_of(b)):
        raise GridError(
            f"the two grids are not on one lattice ({grid_of(a).describe()}; {grid_of(b).describe()}); "
            "bring the lights to the population's with align_grid"
        )


def _year(array: xr.DataArray) -> dict[str, object]:
    return {"year": array.attrs["year"]} if "year" in array.attrs else {}


def urban_density_threshold(cells: UrbanCells) -> float:
    """Mean density over all cities' urban cells: their population over their area.

    It is the density at which urban cells are split into low and high, taken in the base year and kept.

    Parameters
    ----------
    cells : UrbanCells

    Returns
    -------
    float
        Persons per km2.

    Raises
    ------
    InputError
        If there is no urban cell.
    """
    area = float((cells.area_km2 * cells.weight).sum())
    if area == 0:
        raise InputError(
            "no cell of any city is urban in the base year, so the density threshold cannot be taken from it; "
            "lower --min-light or --min-density, or give --threshold as a number"
        )
    return float((cells.population * cells.weight).sum()) / area


class Patches(NamedTuple):
    """Urban patches by city: how many, and the area of the largest (km2)."""

    patches: NDArray
    largest_km2: NDArray


def patch_labels(row: ArrayLike, col: ArrayLike, zone: ArrayLike) -> NDArray:
    """Label 8-connected groups of cells; cells of two cities are never joined.

    Parameters
    ----------
    row, col, zone : arrays of int, shape (cells,)

    Returns
    -------
    array of int, shape (cells,)
        Groups are numbered from 0.

    Examples
    --------
    >>> patch_labels([0, 1, 5], [0, 1, 5], [7, 7, 7]).tolist()
    [0, 0, 1]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    row, col, zone = (np.asarray(part, np.int64) for part in (row, col, zone))
    if not len(row):
        return np.zeros(0, np.int64)
    # one number a cell: neighbours differ by a fixed step, and no step leads from one city or row to the next
    width = int(col.max() - col.min()) + 3
    height = int(row.max() - row.min()) + 3
    key = (zone * height + (row - row.min() + 1)) * width + (col - col.min() + 1)
    order = np.argsort(key)
    key = key[order]
    links = []
    for step in (1, width - 1, width, width + 1):
        at = np.searchsorted(key, key + step)
        found = at < len(key)
        found[found] = key[at[found]] == key[found] + step
        links.append((np.flatnonzero(found), at[found]))
    i, j = (np.concatenate(part) for part in zip(*links, strict=True))
    graph = coo_array((np.ones(len(i), bool), (i, j)), shape=(len(key), len(key)))
    _, label = connected_components(graph, directed=False)
    out = np.empty(len(key), np.int64)
    out[order] = label
    return out


def urban_patches(cells: UrbanCells, cities: int) -> Patches:
    """Count the urban patches of each city and measure the largest.

    Parameters
    ----------
    cells : UrbanCells
        Those `inside` their city by centre count.
    cities : int

    Returns
    -------
    Patches
        0 and 0.0 for a city without urban cells.
    """
    inside = cells.inside
    zone = cells.zone[inside]
    label = patch_labels(cells.row[inside], cells.col[inside], zone)
    count = np.zeros(cities, np.int64)
    largest = np.zeros(cities)
    if len(label):
        size = np.bincount(label, cells.area_km2[inside])
        owner = np.zeros(len(size), np.int64)
        owner[label] = zone
        count = np.bincount(owner, minlength=cities)
        np.maximum.at(largest, owner, size)
    return Patches(count, largest)


def mask_polygons(mask: xr.DataArray) -> gpd.GeoDataFrame:
    """Urban patches as polygons: one row a patch or, for density classes, a connected area of one class.

    Parameters
    ----------
    mask : DataArray of bool or uint8, dims (y, x)
        A mask or density classes; 0 is left out. Read into memory.

    Returns
    -------
    GeoDataFrame
        ``value``, ``area_km2`` (geodesic) and ``geometry`` in the CRS of the raster; 8-connected.
    """
    import geopandas as gpd
    import shapely
    from rasterio.features import shapes

    grid = grid_of(mask)
    values = np.asarray(mask.values, np.uint8)
    found = [
        (shapely.geometry.shape(geometry), int(value))
        for geometry, value in shapes(values, mask=values > 0, connectivity=8, transform=grid.transform)
    ]
    table = gpd.GeoDataFrame(
        {"value": [value for _, value in found]}, geometry=[geometry for geometry, _ in found], crs=grid.crs
    )
    # cells know their area; polygons are sums of whole cells
    area = np.broadcast_to(grid.cell_area_km2(Window(0, grid.height, 0, grid.width)), grid.shape)
    table["area_km2"] = _areas_of_shapes(values, area)
    return table


def _areas_of_shapes(values: NDArray, area: NDArray) -> NDArray:
    """Sum cell areas over the same groups, in the order in which GDAL names them."""
    from rasterio.features import rasterize, shapes

    found = list(shapes(values, mask=values > 0, connectivity=8))
    label = rasterize(((g, k + 1) for k, (g, _) in enumerate(found)), out_shape=values.shape, dtype="int32")
    return np.bincount(label.ravel(), area.ravel(), len(found) + 1)[1:]
