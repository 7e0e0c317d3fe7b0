"""A synthetic country with known truth, in the formats of the real products.

Cities of known density gradient are painted on LandScan's lattice and lit on DMSP's; a panel follows a spatial
Durbin model of known parameters; land is sold under floor-area caps of a known rule. What is true is written
beside it, measured by definition from the very files, so that any tool can be held against it.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd

from gistools.errors import InputError
from gistools.grid import Grid
from gistools.io.atomic import atomic_path, require_writable, write_json, write_text
from gistools.io.tables import write_table
from gistools.io.vectors import write_vector
from gistools.study.sample._cities import City, design_cities
from gistools.study.sample._grids import (
    GLOW,
    Painter,
    lay_lattices,
    lights_name,
    population_grid,
    population_name,
    write_lights,
    write_population,
)
from gistools.study.sample._parameters import GAIN, Parameters, satellites
from gistools.study.sample._parcels import draw_parcels
from gistools.study.sample._places import Places, draw_places
from gistools.study.sample._study import study_text
from gistools.study.sample._truth import MIN_DENSITY, MIN_LIGHT, RADIUS_KM, measure_country
from gistools.study.sample._yearbook import draw_policy, draw_yearbook
from gistools.version import __version__

__all__ = ["SampleResult", "write_sample"]

TRUTH = "truth.json"
STUDY = "study.yaml"


@dataclass(frozen=True)
class SampleResult:
    """What was written.

    Parameters
    ----------
    folder : Path
    study : Path
        The study that runs the sample.
    files : tuple of str
        Every file, relative to the folder.
    cities : int
    years : tuple of int
    shape : (int, int)
        Rows and columns of the population grids.
    parcels : int
        Rows of the parcel table.
    seed : int
    """

    folder: Path
    study: Path
    files: tuple[str, ...]
    cities: int
    years: tuple[int, ...]
    shape: tuple[int, int]
    parcels: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """Return the facts as JSON can hold them."""
        return asdict(self)

    def summary(self) -> str:
        """Return a few lines for people, with the command to type next."""
        grids = sum(name.endswith(".tif") for name in self.files)
        return (
            f"Wrote a country of {self.cities} cities and {len(self.years)} years to {self.folder}: {grids} grids "
            f"of about {self.shape[0]} x {self.shape[1]} cells, boundaries, {self.parcels:,} land transactions, a "
            f"yearbook and a policy.\n"
            f"What is true of it stands in {TRUTH}. Next: gistools run {self.study}"
        )


def write_sample(
    out: str | Path,
    *,
    cities: int = 40,
    years: tuple[int, ...] = (2001, *range(2006, 2014)),
    seed: int = 0,
    noise: float = 0.1,
    effect: float = 0.08,
    spillover: float = 0.04,
    rho: float = 0.4,
    spacing: float | None = None,
    overwrite: bool = False,
) -> SampleResult:
    """Draw a synthetic country and write it in the formats of the real products.

    Parameters
    ----------
    out : path
        A folder that is new or empty.
    cities : int
        How many, 8 to 400. The country widens with them: 40 take about 570 x 800 cells of 30 arc-seconds, 281
        about as many as China.
    years : tuple of int
        In order, within 1992-2013; the first is the base year, the last unbroken run is the panel of the models.
    seed : int
        The same seed and parameters write the same values.
    noise : float
        Standard deviation of ln density between neighbouring cells, 0 to 0.3. With 0 the grids follow the design:
        the CBD is the design's centre and the fitted gradient the design's, up to whole persons.
    effect, spillover, rho : float
        Of the outcome's spatial Durbin model: effect of the policy at home (beta), of the share of treated
        neighbours (theta), and of the neighbours' mean outcome (rho).
    spacing : float, optional
        Mean distance between cities in cells, 40 to 320, instead of the one that follows from their number.
    overwrite : bool
        Write into a folder that holds something; files of an older sample are removed.

    Returns
    -------
    SampleResult

    Raises
    ------
    InputError
        If a parameter is out of its range, or the folder holds something and `overwrite` is not set.
    OutputError
        If the folder cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     result = write_sample(f"{folder}/country", cities=8, years=(2007,), spacing=40)
    ...     sorted({name.split("/")[0] for name in result.files})
    ['cities.gpkg', 'lights', 'parcels.csv', 'policy.csv', 'population', 'study.yaml', 'truth.json', 'yearbook.csv']
    """
    parameters = Parameters(cities, tuple(years), seed, noise, effect, spillover, rho, spacing)
    out = Path(out)
    _clear(out, overwrite)

    places = draw_places(parameters)
    grid = population_grid(places)
    designs = design_cities(places, grid, parameters)
    lattices = lay_lattices(places, grid)
    population, lights = _write_grids(out, Painter(lattices, designs, parameters), parameters)
    threshold, measures = measure_country(population, lights, lattices.labels, grid, cities)

    cbds = np.array([[city["cbd_lon"], city["cbd_lat"]] for city in measures[0]])
    designed = np.array([[city.centres[0].lon, city.centres[0].lat] for city in designs])
    cbds = np.where(np.isfinite(cbds), cbds, designed)
    people, urban = (_by_city_and_year(measures, name) for name in ("population", "urban_area_km2"))
    policy = draw_policy(places, parameters)
    yearbook, outcome_truth = draw_yearbook(places, policy, people, urban, parameters)
    parcels, parcel_truth = draw_parcels(places, cbds, parameters)

    write_vector(_boundaries(places, grid), out / "cities.gpkg")
    write_table(policy, out / "policy.csv")
    write_table(yearbook, out / "yearbook.csv")
    with atomic_path(out / "parcels.csv") as temporary:
        parcels.to_csv(temporary, index=False, encoding="gb18030", lineterminator="\n")
    grids = [path for paths in (*lights.values(), population.values()) for path in paths]
    files = (
        *sorted(path.relative_to(out).as_posix() for path in grids),
        *("cities.gpkg", "parcels.csv", "policy.csv", STUDY, TRUTH, "yearbook.csv"),
    )
    truth = {
        "version": __version__,
        "parameters": asdict(parameters),
        "files": files,
        "rules": _rules(parameters, threshold),
        "sensors": {"gain": {name: GAIN[name] for year in years for name in satellites(year)}, "glow_cells": GLOW},
        "outcome": outcome_truth,
        "parcels": parcel_truth,
        "cities": [_city_truth(places, k, city) for k, city in enumerate(designs)],
        "city_years": [
            {"city_code": places.codes[k], "year": year, **measures[j][k], "design_gradient": -city.gradient(year)}
            for k, city in enumerate(designs)
            for j, year in enumerate(parameters.years)
        ],
    }
    write_json(out / TRUTH, truth)
    write_text(out / STUDY, study_text(parameters))
    return SampleResult(
        folder=out,
        study=out / STUDY,
        files=files,
        cities=cities,
        years=parameters.years,
        shape=grid.shape,
        parcels=len(parcels),
        seed=seed,
    )


def _clear(out: Path, overwrite: bool) -> None:
    """Refuse a file, or a folder with content; or take an older sample out of it."""
    if out.exists() and not out.is_dir():
        raise InputError(f"{out} is a file; name a folder that is new or empty")
    if out.is_dir() and any(out.iterdir()):
        if not overwrite:
            raise InputError(f"{out} is not empty; choose another folder, or write into it with --overwrite")
        _remove_older(out)
    require_writable(out)


def _remove_older(out: Path) -> None:
    """Delete the files an older sample lists in its truth, and nothing else."""
    try:
        listed = json.loads((out / TRUTH).read_text(encoding="utf-8"))["files"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # no sample was finished here
    inside = out.resolve()
    for name in map(str, listed):
        path = (out / name).resolve()
        if path.is_relative_to(inside):
            path.unlink(missing_ok=True)


def _write_grids(
    out: Path, painter: Painter, parameters: Parameters
) -> tuple[dict[int, Path], dict[int, list[Path]]]:
    """Paint and write year after year; only one year is held at a time."""
    population: dict[int, Path] = {}
    lights: dict[int, list[Path]] = {}
    for year in parameters.years:
        counts = painter.population(year)
        activity = painter.activity(year, counts)
        population[year] = out / "population" / population_name(year)
        write_population(population[year], counts, painter.lattices.population)
        lights[year] = []
        for satellite in satellites(year):
            path = out / "lights" / lights_name(satellite, year)
            write_lights(path, painter.lights(year, satellite, activity), painter.lattices.lights)
            lights[year].append(path)
    return population, lights


def _by_city_and_year(measures: list[list[dict[str, Any]]], name: str) -> np.ndarray:
    return np.array([[city[name] for city in year] for year in measures]).T


def _boundaries(places: Places, grid: Grid) -> gpd.GeoDataFrame:
    table = pd.DataFrame(
        {
            "city_code": places.codes,
            "city_name": places.names,
            "city_name_en": places.names_en,
            "province": places.provinces,
            "province_en": places.provinces_en,
        }
    )
    return gpd.GeoDataFrame(table, geometry=places.polygons, crs=grid.crs)


def _rules(parameters: Parameters, threshold: float) -> dict[str, Any]:
    """Return the rules the measures follow, as the study states them, and the threshold they gave."""
    return {
        "min_light": MIN_LIGHT,
        "min_density": MIN_DENSITY,
        "threshold": "auto",
        "density_threshold": threshold,
        "base_year": parameters.base_year,
        "cbd_ties": "cluster-density",
        "cbd_year": "base",
        "radius_km": RADIUS_KM,
        "assign": "centre",
        "align": "mean",
        "composite": "mean where both satellites are lit, 0 where either is dark",
    }


def _city_truth(places: Places, index: int, city: City) -> dict[str, Any]:
    """Return what the design of a city is, whatever the grids make of it."""
    main = city.centres[0]
    return {
        "city_code": places.codes[index],
        "city_name": places.names[index],
        "form": "monocentric" if len(city.centres) == 1 else "polycentric",
        "centre_lon": main.lon,
        "centre_lat": main.lat,
        "density": main.density,
        "gradient": -main.gradient,
        "subcentres": [
            {"lon": c.lon, "lat": c.lat, "density": c.density, "gradient": -c.gradient} for c in city.centres[1:]
        ],
        "growth": city.growth,
        "flattening": city.flattening,
        "rural_density": city.rural,
        "brightness": city.brightness,
        "neighbours": [places.codes[k] for k in np.flatnonzero(places.neighbours[index])],
    }
