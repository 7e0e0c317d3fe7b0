"""The grids: people painted city by city on LandScan's lattice, their lights on DMSP's, as the sensors see them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import shapely
from affine import Affine
from scipy.ndimage import gaussian_filter

from gistools.grid import WGS84, Grid, Window, geodesic_km
from gistools.io.geotiff import write_geotiff
from gistools.study.sample._cities import REFERENCE_YEAR, City
from gistools.study.sample._parameters import GAIN, RELEASE, Parameters
from gistools.study.sample._places import CELLS_PER_DEGREE, Places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

NODATA = -2147483647
SATURATED = 63

# Sea around the country, in cells: north, south, west, east. The two clips differ, as clips do.
_POPULATION_MARGIN = (9, 12, 11, 8)
_LIGHTS_MARGIN = (14, 8, 7, 13)
# NOAA's grid as its files state it: the pixel size is cut after ten digits.
_LIGHTS_PIXEL, _LIGHTS_WEST, _LIGHTS_NORTH = 0.0083333333, -180.00416665, 75.00416665

# DN = 10 (u / HALF_URBAN)^EXPONENT for u persons per km2 of average brightness after the glow has spread by
# GLOW cells; 63 is reached near 5,200. Below DARK the stable-lights product shows nothing.
HALF_URBAN, EXPONENT, GLOW, DARK = 600.0, 0.85, 1.2, 4
LIGHT_GROWTH = 0.015  # yearly growth of ln light per person
RURAL_MOST = 600.0  # no noise makes the countryside denser, persons per km2

_SLAB = 512
_TEXTURE, _CELLS, _YEARS, _SENSOR = 300, 301, 302, 303


@dataclass(frozen=True)
class Lattices:
    """Where the cells lie.

    Parameters
    ----------
    population : Grid
        Cell edges on the 1/120 degree lattice.
    lights : Grid
        Cell centres on it, but for the cut-off pixel size.
    offset : (int, int)
        Row and column of the light cell that is centred on the north-west corner of the first population cell.
    labels : array of int16, shape of the population
        Index of the city whose polygon holds the cell's centre, -1 at sea.
    """

    population: Grid
    lights: Grid
    offset: tuple[int, int]
    labels: NDArray[np.int16]


def population_grid(places: Places) -> Grid:
    """Return the window of LandScan's lattice that holds the country."""
    row0, row1, col0, col1 = _window(places, 90 * CELLS_PER_DEGREE, _POPULATION_MARGIN)
    step = 1 / CELLS_PER_DEGREE
    west, north = col0 / CELLS_PER_DEGREE - 180, 90 - row0 / CELLS_PER_DEGREE
    return Grid(WGS84, Affine(step, 0, west, 0, -step, north), (row1 - row0, col1 - col0))


def lay_lattices(places: Places, population: Grid) -> Lattices:
    """Lay both lattices and find the city of every population cell, by the cell's centre.

    Returns
    -------
    Lattices
    """
    row0, row1, col0, col1 = _window(places, 75 * CELLS_PER_DEGREE, _LIGHTS_MARGIN)
    step = _LIGHTS_PIXEL
    lights = Grid(
        WGS84,
        Affine(step, 0, _LIGHTS_WEST + col0 * step, 0, -step, _LIGHTS_NORTH - row0 * step),
        (row1 - row0, col1 - col0),
    )
    west, _, _, north = population.bounds
    offset = round(float(lights.row(north)) - 0.5), round(float(lights.col(west)) - 0.5)
    labels = np.full(population.shape, -1, np.int16)
    for index, polygon in enumerate(places.polygons):
        window = population.window_of(shapely.bounds(polygon).tolist())
        if window is None:
            continue
        shapely.prepare(polygon)
        x = population.x(np.arange(window.col0, window.col1))
        y = population.y(np.arange(window.row0, window.row1))
        inside = shapely.intersects_xy(polygon, *np.meshgrid(x, y))
        part = labels[_slices(window)]
        part[inside & (part < 0)] = index  # a centre on a shared border goes to the first polygon
    return Lattices(population, lights, offset, labels)


def _window(places: Places, north_cells: int, margin: tuple[int, int, int, int]) -> tuple[int, int, int, int]:
    """Rows and columns of a global lattice, from the north and from -180, around the country."""
    west, south, east, north = shapely.total_bounds(places.polygons) * CELLS_PER_DEGREE
    more_north, more_south, more_west, more_east = margin
    return (
        int(np.floor(north_cells - north)) - more_north,
        int(np.ceil(north_cells - south)) + more_south,
        int(np.floor(west)) + 180 * CELLS_PER_DEGREE - more_west,
        int(np.ceil(east)) + 180 * CELLS_PER_DEGREE + more_east,
    )


def _slices(window: Window) -> tuple[slice, slice]:
    return slice(window.row0, window.row1), slice(window.col0, window.col1)


@dataclass(frozen=True)
class _Patch:
    """The cells a city can cover in any year, cut from the grid once."""

    city: City
    window: Window
    own: NDArray[np.bool_]
    area_km2: FloatArray
    distances_km: list[FloatArray]
    texture: FloatArray


class Painter:
    """Paints the grids of a year, each city in its own window.

    Parameters
    ----------
    lattices : Lattices
    cities : list of City
    parameters : Parameters
    """

    def __init__(self, lattices: Lattices, cities: list[City], parameters: Parameters) -> None:
        self.lattices, self.cities, self.parameters = lattices, cities, parameters
        self._country = self._countryside()
        self._patches = [self._patch(index, city) for index, city in enumerate(cities)]

    def _countryside(self) -> NDArray[np.int32]:
        """Counts of the land outside cities, the same every year."""
        grid, labels = self.lattices.population, self.lattices.labels
        counts = np.full(grid.shape, NODATA, np.int32)
        rural = np.array([city.rural for city in self.cities])
        sigma = 2 * self.parameters.noise
        for row0 in range(0, grid.height, _SLAB):
            slab = labels[row0 : row0 + _SLAB]
            rows, cols = np.nonzero(slab >= 0)
            rng = self.parameters.generator(_TEXTURE, row0)
            density = rural[slab[rows, cols]] * np.exp(sigma * rng.standard_normal(len(rows)) - sigma**2 / 2)
            people = np.minimum(density, RURAL_MOST) * grid.cell_area_km2_at(rows + row0, cols)
            counts[row0 : row0 + _SLAB][rows, cols] = np.rint(people)
        return counts

    def _patch(self, index: int, city: City) -> _Patch:
        grid = self.lattices.population
        main = city.centres[0]
        reach = city.reach_km()
        rows = int(np.ceil(reach / 110.5 * CELLS_PER_DEGREE)) + 1
        cols = int(np.ceil(reach / (110.5 * np.cos(np.deg2rad(main.lat))) * CELLS_PER_DEGREE)) + 1
        row, col = int(grid.row(main.lat)), int(grid.col(main.lon))
        window = Window(
            max(row - rows, 0), min(row + rows + 1, grid.height), max(col - cols, 0), min(col + cols + 1, grid.width)
        )
        lon, lat = grid.lonlat(
            np.arange(window.row0, window.row1)[:, None], np.arange(window.col0, window.col1)[None, :]
        )
        return _Patch(
            city=city,
            window=window,
            own=self.lattices.labels[_slices(window)] == index,
            area_km2=grid.cell_area_km2(window),
            distances_km=[geodesic_km(centre.lon, centre.lat, lon, lat) for centre in city.centres],
            texture=self.parameters.generator(_CELLS, index).standard_normal(window.shape),
        )

    def population(self, year: int) -> NDArray[np.int32]:
        """Persons in every cell, `NODATA` at sea.

        Within a city a cell holds ``area max(D, rural) exp(noise z)``, rounded; z is standard normal, 0.8 of it
        the same in every year.

        Returns
        -------
        array of int32, shape of the population grid
        """
        counts = self._country.copy()
        noise = self.parameters.noise
        for index, patch in enumerate(self._patches):
            density = patch.city.density(patch.distances_km, year)
            urban = patch.own & (density > patch.city.rural)
            fresh = self.parameters.generator(_YEARS, index, year).standard_normal(density.shape)
            density *= np.exp(noise * (0.8 * patch.texture + 0.6 * fresh) - noise**2 / 2)
            part = counts[_slices(patch.window)]
            part[urban] = np.rint((density * patch.area_km2)[urban])
        return counts

    def activity(self, year: int, counts: NDArray[np.int32]) -> NDArray[np.float32]:
        """Light that reaches the sensors, in persons per km2 of average brightness.

        Each city's density is averaged onto the corners of the population cells, where the light cells are
        centred, and spreads by a Gaussian glow, beyond its borders too.

        Returns
        -------
        array of float32, shape (rows + 1, cols + 1)
            On the corners of the population cells.
        """
        rows, cols = counts.shape
        total = np.zeros((rows + 1, cols + 1), np.float32)
        pad = int(np.ceil(4 * GLOW)) + 1
        growth = np.exp(LIGHT_GROWTH * (year - REFERENCE_YEAR))
        for patch in self._patches:
            people = np.where(patch.own, counts[_slices(patch.window)], 0)
            density = np.pad(people / patch.area_km2, pad + 1)
            corners = (density[:-1, :-1] + density[:-1, 1:] + density[1:, :-1] + density[1:, 1:]) / 4
            glow = gaussian_filter(corners, GLOW, mode="constant", truncate=4.0)
            glow *= patch.city.brightness * growth
            # corner (0, 0) of `glow` lies `pad` cells north-west of the window's
            row, col = patch.window.row0 - pad, patch.window.col0 - pad
            top, left = max(row, 0), max(col, 0)
            bottom, right = min(row + glow.shape[0], rows + 1), min(col + glow.shape[1], cols + 1)
            total[top:bottom, left:right] += glow[top - row : bottom - row, left - col : right - col]
        return total

    def lights(self, year: int, satellite: str, activity: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Digital numbers one satellite shows, 0 to 63.

        Returns
        -------
        array of uint8, shape of the lights grid
        """
        rng = self.parameters.generator(_SENSOR, year, int(satellite[1:]))
        dn = np.zeros(activity.shape, np.uint8)
        lit = activity > 1  # far too little to show: the rest is dark
        seen = 10 * (activity[lit].astype(np.float64) / HALF_URBAN) ** EXPONENT
        seen *= np.exp(self.parameters.noise / 2 * rng.standard_normal(len(seen))) * GAIN[satellite]
        shown = np.minimum(np.rint(seen), SATURATED)
        dn[lit] = np.where(shown < DARK, 0, shown)
        return self._on_lights(dn)

    def _on_lights(self, corners: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Copy what was painted on the population's corners into the window of the lights."""
        row, col = self.lattices.offset
        rows, cols = self.lattices.lights.shape
        out = np.zeros((rows, cols), np.uint8)
        top, left = max(row, 0), max(col, 0)
        bottom, right = min(row + corners.shape[0], rows), min(col + corners.shape[1], cols)
        out[top:bottom, left:right] = corners[top - row : bottom - row, left - col : right - col]
        return out


def lights_name(satellite: str, year: int) -> str:
    """Return the name NOAA gives the file of a satellite-year."""
    return f"{satellite}{year}.{RELEASE.get((satellite, year), 'v4b')}_web.stable_lights.avg_vis.tif"


def population_name(year: int) -> str:
    """Return the name LandScan's distributor gives the file of a year."""
    return f"landscan-global-{year}.tif"


def write_lights(path: Path, values: NDArray[np.uint8], grid: Grid) -> None:
    """Write lights as NOAA distributes them: LZW, strips of one row, no tag of no data."""
    write_geotiff(path, values, grid, compress="LZW", tiled=False, blockysize=1)


def write_population(path: Path, values: NDArray[np.int32], grid: Grid) -> None:
    """Write counts as LandScan is distributed: LZW, tiles of 128 cells, the sea tagged as no data."""
    write_geotiff(path, values, grid, nodata=NODATA, compress="LZW", tiled=True, blockxsize=128, blockysize=128)
