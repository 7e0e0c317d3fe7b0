"""How the people of a city are spread: exponential density around one centre or several."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import shapely

from gistools.grid import GEOD, Grid
from gistools.study.sample._parameters import FIRST_YEAR, LAST_YEAR, PITCH, Parameters
from gistools.study.sample._places import Places

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

# Densities and gradients are given for this year and change from it at each city's own rate.
REFERENCE_YEAR = 2001

_DESIGN = 200


@dataclass(frozen=True)
class Centre:
    """A peak of density, on the centre of a population cell.

    Parameters
    ----------
    lon, lat : float
        Degrees.
    density : float
        Persons per km2 that this peak adds at its own centre, in the reference year.
    gradient : float
        Fall of ln density per km, in the reference year; positive.
    """

    lon: float
    lat: float
    density: float
    gradient: float


@dataclass(frozen=True)
class City:
    """The design of a city.

    Parameters
    ----------
    centres : tuple of Centre
        The main centre first.
    growth : float
        Yearly change of ln of the centres' densities.
    flattening : float
        Yearly fall of ln of the gradients: the city spreads.
    rural : float
        Persons per km2 outside the city.
    brightness : float
        Light per person, 1 on average.
    """

    centres: tuple[Centre, ...]
    growth: float
    flattening: float
    rural: float
    brightness: float

    def density(self, distances_km: list[FloatArray], year: int) -> FloatArray:
        """Density at points, given their distances from every centre: ``sum_k D_k exp(-g_k r_k)``.

        Returns
        -------
        array of float
            Persons per km2, the countryside left out.
        """
        age = year - REFERENCE_YEAR
        total = np.zeros_like(distances_km[0])
        for centre, distance in zip(self.centres, distances_km, strict=True):
            peak = centre.density * np.exp(self.growth * age)
            total += peak * np.exp(-self.gradient(year, centre) * distance)
        return total

    def gradient(self, year: int, centre: Centre | None = None) -> float:
        """Fall of ln density per km around a centre (the main one by default) in a year."""
        return float((centre or self.centres[0]).gradient * np.exp(-self.flattening * (year - REFERENCE_YEAR)))

    def reach_km(self) -> float:
        """Distance from the main centre beyond which the countryside is denser in every year there is."""
        main = self.centres[0]
        reach = 0.0
        for year in range(FIRST_YEAR, LAST_YEAR + 1):
            for centre in self.centres:
                peak = len(self.centres) * centre.density * np.exp(self.growth * (year - REFERENCE_YEAR))
                spread = np.log(peak / self.rural) / self.gradient(year, centre)
                away = GEOD.inv(main.lon, main.lat, centre.lon, centre.lat)[2] / 1000
                reach = max(reach, away + spread)
        return float(reach)


def design_cities(places: Places, grid: Grid, parameters: Parameters) -> list[City]:
    """Draw the design of every city.

    Populations fall with rank, large cities are denser and flatter, a quarter of the larger half has two to four
    centres. The smallest city is a town too thin to be urban, the next one has fewer than ten urban cells.

    Parameters
    ----------
    places : Places
    grid : Grid
        Of the population: centres are put on the centres of its cells.
    parameters : Parameters

    Returns
    -------
    list of City
    """
    count = len(places)
    largest = 3.0e6 * parameters.pitch / PITCH
    rng = parameters.generator(_DESIGN)
    # among the larger half, after the very largest, every second one has sub-centres
    polycentric = set((1 + rng.permutation(max(2, count // 2 - 1))[: max(2, count // 4)]).tolist())
    cities = []
    for index, rank in enumerate(places.ranks.tolist()):
        luck = parameters.generator(_DESIGN, index)
        lon, lat = _snap(grid, *places.centres[index])
        rural, brightness = luck.uniform(20, 100), luck.uniform(0.4, 1.3)
        growth, flattening = luck.uniform(-0.005, 0.01), luck.uniform(0.002, 0.012)
        if rank == count - 1:  # never urban
            cities.append(City((Centre(lon, lat, 500.0, 0.35),), 0.0, 0.0, rural, 1.3))
            continue
        if rank == count - 2:  # a handful of urban cells
            cities.append(City((Centre(lon, lat, 2600.0, 0.9),), 0.0, 0.0, rural, 1.3))
            continue
        people = largest * (rank + 1) ** -0.8 * np.exp(luck.normal(0, 0.1))
        density = 6000 * (people / 300_000) ** 0.3 * np.exp(luck.normal(0, 0.1))
        gradient = float(np.sqrt(2 * np.pi * density / people))  # people = 2 pi density / gradient^2
        main = Centre(lon, lat, density, gradient)
        centres = [main]
        if rank in polycentric:
            centres += _subcentres(luck, main, places.polygons[index], grid)
        cities.append(City(tuple(centres), growth, flattening, rural, max(brightness, 0.9 if rank < 3 else 0.0)))
    return cities


def _subcentres(rng: np.random.Generator, main: Centre, polygon: shapely.Polygon, grid: Grid) -> list[Centre]:
    """Draw one to three lower and steeper peaks around the main one, inside the city."""
    edge = np.log(main.density / 1000) / main.gradient  # where the main peak falls to 1,000 per km2
    found: list[Centre] = []
    wanted, bearing = int(rng.integers(1, 4)), rng.uniform(0, 360)
    for k in range(wanted):
        distance = edge * rng.uniform(0.7, 1.1)
        share, steeper = rng.uniform(0.35, 0.6), rng.uniform(1.3, 1.8)
        lon, lat, _ = GEOD.fwd(main.lon, main.lat, bearing + k * 360 / wanted, 1000 * distance)
        lon, lat = _snap(grid, lon, lat)
        if shapely.contains_xy(polygon, lon, lat):
            found.append(Centre(lon, lat, main.density * share, main.gradient * steeper))
    return found


def _snap(grid: Grid, lon: float, lat: float) -> tuple[float, float]:
    """Move a point to the centre of its cell."""
    x, y = grid.lonlat(np.floor(grid.row(lat)), np.floor(grid.col(lon)))
    return float(x), float(y)
