"""The true measures of the country, by definition, from the files that were written.

This is a second, slow program on purpose: it reads the files with rasterio, cuts each city out of the arrays and
follows the written rules step by step with numpy. It shares nothing with the block scan and the city measures
that are to agree with it, but for cell areas.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from scipy import ndimage

from gistools.grid import GEOD, Grid, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

# The rules: the study's `form` section repeats them.
MIN_LIGHT, MIN_DENSITY, RADIUS_KM = 10.0, 1000.0, 3.0
MIN_CELLS_OF_GRADIENT = 3
_EIGHT = np.ones((3, 3), int)


@dataclass(frozen=True)
class _CityYear:
    """The cells of one city in one year, as arrays over the window that holds the city."""

    own: NDArray[np.bool_]
    area: FloatArray
    people: FloatArray
    light: FloatArray
    lon: FloatArray
    lat: FloatArray

    @property
    def density(self) -> FloatArray:
        return self.people / self.area

    @property
    def urban(self) -> NDArray[np.bool_]:
        return self.own & (self.light > MIN_LIGHT) & (self.density > MIN_DENSITY)


def measure_country(
    population: Mapping[int, Path],
    lights: Mapping[int, Sequence[Path]],
    labels: NDArray[np.int16],
    grid: Grid,
    cities: int,
) -> tuple[float, list[list[dict[str, Any]]]]:
    """Measure every city in every year.

    Parameters
    ----------
    population : mapping of year to file
        Counts; the first year is the base of the threshold and of the CBDs.
    lights : mapping of year to files
        The satellites of each year.
    labels : array of int, shape of the population
        Index of each cell's city, -1 where none.
    grid : Grid
        Of the population; for cell areas.
    cities : int

    Returns
    -------
    threshold : float
        Persons per km2: urban population over urban area of all cities in the first year.
    measures : list by year of lists by city of dicts
        Names as in the panel.
    """
    windows = ndimage.find_objects(labels + 1, max_label=cities)
    threshold = np.nan
    cbds: list[_Cbd | None] = []
    measures: list[list[dict[str, Any]]] = []
    for year in population:
        with rasterio.open(population[year]) as file:
            people, nodata, transform = file.read(1), file.nodata, file.transform
        light, offset = _composite(lights[year], transform)

        def cut(index: int, people=people, nodata=nodata, light=light, offset=offset) -> _CityYear:  # type: ignore[no-untyped-def]
            return _cut(windows[index], index, labels, grid, people, nodata, light, offset)

        if not measures:
            urban_people = urban_area = 0.0
            for city in map(cut, range(cities)):
                urban_people += float(city.people[city.urban].sum())
                urban_area += float(city.area[city.urban].sum())
                cbds.append(_cbd(city))
            threshold = urban_people / urban_area if urban_area else np.nan
        measures.append([_measure(cut(index), cbds[index], threshold) for index in range(cities)])
    return threshold, measures


def _composite(files: Sequence[Path], population: rasterio.Affine) -> tuple[NDArray, tuple[int, int]]:
    """Mean of both satellites where both are lit, 0 where either is dark; and where the lattices meet.

    Returns
    -------
    light : array
        On the lights' own lattice.
    offset : (int, int)
        Row and column of the light cell centred on the population's north-west corner.
    """
    layers = []
    for path in files:
        with rasterio.open(path) as file:
            layers.append(file.read(1))
            own = file.transform
    col = (population.c - own.c) / own.a - 0.5
    row = (population.f - own.f) / own.e - 0.5
    light = layers[0].astype(np.float32)
    if len(layers) > 1:
        lit = np.all([layer > 0 for layer in layers], axis=0)
        light = np.where(lit, np.mean(layers, axis=0, dtype=np.float32), np.float32(0))
    return light, (round(row), round(col))


def _cut(
    window: tuple[slice, slice],
    index: int,
    labels: NDArray[np.int16],
    grid: Grid,
    people: NDArray,
    nodata: float,
    light: NDArray,
    offset: tuple[int, int],
) -> _CityYear:
    """Take one city out of the arrays; its lights are the mean of the four light cells at each cell's corners."""
    rows, cols = window
    area = grid.cell_area_km2(Window(rows.start, rows.stop, cols.start, cols.stop))
    # the corners of the window, NaN where the lights' clip does not reach
    r = np.arange(rows.start, rows.stop + 1) + offset[0]
    c = np.arange(cols.start, cols.stop + 1) + offset[1]
    reached = ((r >= 0) & (r < light.shape[0]))[:, None] & ((c >= 0) & (c < light.shape[1]))[None, :]
    corners = np.where(
        reached, light[np.clip(r, 0, light.shape[0] - 1)[:, None], np.clip(c, 0, light.shape[1] - 1)], np.nan
    ).astype(np.float64)
    four = np.stack([corners[:-1, :-1], corners[:-1, 1:], corners[1:, :-1], corners[1:, 1:]])
    counted = np.isfinite(four).sum(axis=0)
    mean = np.where(counted > 0, np.nansum(four, axis=0) / np.maximum(counted, 1), np.nan)
    lon = grid.x(np.arange(cols.start, cols.stop))[None, :]
    lat = grid.y(np.arange(rows.start, rows.stop))[:, None]
    counts = people[window].astype(np.float64)
    own = labels[window] == index
    area, lon, lat = (np.broadcast_to(values, own.shape) for values in (area, lon, lat))
    return _CityYear(own, area, np.where(counts == nodata, np.nan, counts), mean, lon, lat)


@dataclass(frozen=True)
class _Cbd:
    """The CBD found in the base year: its cell in the city's window, and how many cells were as bright."""

    cell: tuple[int, int]
    lon: float
    lat: float
    ties: int


def _cbd(city: _CityYear) -> _Cbd | None:
    """Brightest cell; of several, the largest 8-connected cluster, then the highest density, then the first."""
    light = np.where(city.own & np.isfinite(city.light), city.light, -np.inf)
    brightest = light.max(initial=-np.inf)
    if not brightest > 0:
        return None
    tied = light == brightest
    clusters, count = ndimage.label(tied, structure=_EIGHT)
    sizes = ndimage.sum_labels(tied, clusters, np.arange(1, count + 1))
    largest = np.isin(clusters, 1 + np.flatnonzero(sizes == sizes.max()))
    density = np.where(largest & np.isfinite(city.density), city.density, -1.0)
    density[~largest] = -np.inf
    row, col = np.unravel_index(int(np.argmax(density)), density.shape)  # argmax: lowest row, then lowest column
    cell = int(row), int(col)
    return _Cbd(cell, float(city.lon[cell]), float(city.lat[cell]), int(tied.sum()))


def _measure(city: _CityYear, cbd: _Cbd | None, threshold: float) -> dict[str, Any]:
    """All measures of one city and year."""
    own, area, density, urban = city.own, city.area, city.density, city.urban
    with_people = own & np.isfinite(city.people)
    with_light = own & np.isfinite(city.light)
    low, high = urban & (density < threshold), urban & (density >= threshold)
    distance = _distance_km(city, cbd) if cbd else np.full(own.shape, np.nan)

    def people_in(cells: NDArray[np.bool_]) -> float:
        return float(city.people[cells].sum())

    def area_of(cells: NDArray[np.bool_]) -> float:
        return float(area[cells].sum())

    population = people_in(with_people)
    light_mean = float(city.light[with_light].mean())
    urban_area, urban_people = area_of(urban), people_in(urban)
    central = own & (distance <= RADIUS_KM)
    central_people = people_in(central & with_people)
    return {
        "area_km2": area_of(own),
        "population": population,
        "light_mean": light_mean,
        "light_sum": float(city.light[with_light].sum()),
        "ln_light": float(np.log(light_mean)) if light_mean > 0 else np.nan,
        "urban_cells": int(urban.sum()),
        "urban_area_km2": urban_area,
        "urban_population": urban_people,
        "urban_density": urban_people / urban_area if urban_area else np.nan,
        "low_area_km2": area_of(low),
        "high_area_km2": area_of(high),
        "low_population": people_in(low),
        "high_population": people_in(high),
        "sprawl_index": _sprawl(area_of(low), area_of(high), people_in(low), people_in(high)),
        "cbd_lon": cbd.lon if cbd else np.nan,
        "cbd_lat": cbd.lat if cbd else np.nan,
        "cbd_light": float(city.light[cbd.cell]) if cbd else np.nan,  # in this year
        "cbd_ties": cbd.ties if cbd else 0,  # in the base year
        "central_population": central_people if cbd else np.nan,
        "central_density": central_people / area_of(central) if cbd else np.nan,
        "suburban_share": 1 - central_people / population if cbd and population else np.nan,
        "density_cv": float(density[urban].std() / density[urban].mean()) if urban.any() else np.nan,
        **_gradient(distance[urban], density[urban]),
        **_patches(urban, area),
    }


def _distance_km(city: _CityYear, cbd: _Cbd) -> FloatArray:
    """Geodesic distance from the CBD of the cells whose distance matters, NaN for the others: urban or near."""
    lon, lat = cbd.lon, cbd.lat
    box = RADIUS_KM / 100  # degrees of a great circle, more than the radius
    near = (np.abs(city.lat - lat) < box) & (np.abs(city.lon - lon) * np.cos(np.deg2rad(lat)) < box)
    cells = city.own & near | city.urban
    distance = np.full(cells.shape, np.nan)
    many = int(cells.sum())
    distance[cells] = GEOD.inv(np.full(many, lon), np.full(many, lat), city.lon[cells], city.lat[cells])[2] / 1000
    return distance


def _sprawl(low_area: float, high_area: float, low_people: float, high_people: float) -> float:
    """``sqrt(SP SA)`` with ``SP = 0.5 (L - H) + 0.5`` of areas and ``SA`` the same of people."""
    area, people = low_area + high_area, low_people + high_people
    if not area:
        return float("nan")
    sp = 0.5 * (low_area / area - high_area / area) + 0.5
    sa = 0.5 * (low_people / people - high_people / people) + 0.5
    return float(np.sqrt(sp * sa))


def _gradient(distance: FloatArray, density: FloatArray) -> dict[str, float]:
    """Least squares of ln density on distance: slope, classical standard error, R2."""
    if len(distance) < MIN_CELLS_OF_GRADIENT or not np.isfinite(distance).all():
        return {"gradient": np.nan, "gradient_se": np.nan, "gradient_r2": np.nan}
    y = np.log(density)
    x = np.stack([np.ones_like(distance), distance], axis=1)
    beta = np.linalg.solve(x.T @ x, x.T @ y)
    rest = y - x @ beta
    variance = rest @ rest / (len(y) - 2) * np.linalg.inv(x.T @ x)[1, 1]
    spread = ((y - y.mean()) ** 2).sum()
    return {
        "gradient": float(beta[1]),
        "gradient_se": float(np.sqrt(variance)),
        "gradient_r2": float(1 - rest @ rest / spread) if spread else np.nan,
    }


def _patches(urban: NDArray[np.bool_], area: FloatArray) -> dict[str, float]:
    """Number of 8-connected patches and the area of the largest."""
    labels, count = ndimage.label(urban, structure=_EIGHT)
    areas = ndimage.sum_labels(area, labels, np.arange(1, count + 1))
    return {"patches": int(count), "largest_patch_km2": float(areas.max()) if count else 0.0}
