"""Population products: counts of persons per cell, and how to tell them from densities."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from gistools.errors import GridError
from gistools.grid import Product
from gistools.raster.products import named_product

LANDSCAN = Product(
    "LandScan",
    "count",
    "persons (ambient)",
    valid_min=0,
    citation="LandScan Global, Oak Ridge National Laboratory, https://landscan.ornl.gov",
)
GPW = Product(
    "GPW v4 population count",
    "count",
    "persons",
    valid_min=0,
    citation="Gridded Population of the World, Version 4, Center for International Earth Science Information "
    "Network (CIESIN), Columbia University",
)
WORLDPOP = Product(
    "WorldPop",
    "count",
    "persons",
    valid_min=0,
    citation="WorldPop (www.worldpop.org), School of Geography and Environmental Science, University of Southampton",
)
GHS_POP = Product(
    "GHS-POP",
    "count",
    "persons",
    valid_min=0,
    citation="GHS population grid, European Commission, Joint Research Centre",
)
COUNTS = Product("population counts of no known product", "count", "persons", valid_min=0)

PRODUCTS: dict[str, Product] = {
    "landscan": LANDSCAN,
    "gpw": GPW,
    "worldpop": WORLDPOP,
    "ghs-pop": GHS_POP,
    "counts": COUNTS,
}

_NAMES = (
    (re.compile(r"landscan|lspop", re.IGNORECASE), LANDSCAN),
    (re.compile(r"gpw", re.IGNORECASE), GPW),
    (re.compile(r"ghs_?pop", re.IGNORECASE), GHS_POP),
    (re.compile(r"worldpop|_ppp_|^ppp_|_ppp\.", re.IGNORECASE), WORLDPOP),
)
_DENSITY = re.compile(
    r"densit|(^|[_-])dens([_.-]|$)|(^|[_-])pd([_-])|per[ _]?(sq|km)|/ ?km|km-2|km\^-2", re.IGNORECASE
)

# No place on earth holds more residents on a square kilometre of a 30 arc-second cell; a share of cells above
# it, or one cell far above, means that the numbers are not counts of this lattice.
PLAUSIBLE_DENSITY = 250_000.0
IMPOSSIBLE_DENSITY = 5_000_000.0
WORLD_POPULATION = 9e9


def population_product(name: str, *, product: str = "auto") -> Product:
    """Recognise a population product by the name of its file.

    Parameters
    ----------
    name : str
        File name.
    product : str
        ``"auto"``, or a key of ``PRODUCTS`` that decides.

    Returns
    -------
    Product

    Raises
    ------
    InputError
        If `product` is not known.

    Examples
    --------
    >>> population_product("landscan-global-2012.tif").name
    'LandScan'
    >>> population_product("GHS_POP_E2015_GLOBE_R2019A_54009_250_V1_0.tif").name
    'GHS-POP'
    """
    if product != "auto":
        return named_product(product, PRODUCTS, "population product")
    for pattern, known in _NAMES:
        if pattern.search(name):
            return known
    return COUNTS


def refuse_density_tags(name: str, tags: dict[str, str]) -> None:
    """Refuse a grid whose name or metadata says that it holds densities.

    Parameters
    ----------
    name : str
        File name.
    tags : dict
        Metadata of the file and its band (descriptions, units).

    Raises
    ------
    GridError

    Examples
    --------
    >>> refuse_density_tags("gpw_v4_population_density_2015.tif", {})
    Traceback (most recent call last):
        ...
    gistools.errors.GridError: gpw_v4_population_density_2015.tif says it holds densities, but ...
    """
    said = [name, *(f"{key}: {value}" for key, value in tags.items() if isinstance(value, str))]
    for text in said:
        if _DENSITY.search(text):
            quoted = "" if text == name else f" ({text[:80]!r})"
            raise GridError(
                f"{name} says it holds densities{quoted}, but counts of persons per cell are needed: use the "
                "product's count grid, or multiply by the area of each cell first; if the name misleads, "
                "give --population-product counts"
            )


def judge_counts(counts: np.ndarray, area_km2: np.ndarray, name: str) -> None:
    """Refuse a sample of cells whose values cannot be counts of persons.

    Parameters
    ----------
    counts : array
        Valid values of some cells.
    area_km2 : array
        Their areas.
    name : str
        The file, for the message.

    Raises
    ------
    GridError
        If densities are implausible: 1 % of the populated cells above 250,000 persons per km2, or any above
        five million (a no-data value that is not tagged); or if no cell has a millionth of a person.
    """
    populated = counts > 0
    if not populated.any():
        return
    if counts.max() < 1e-6:
        raise GridError(
            f"{name} holds no more than {counts.max():.3g} persons in a cell: these are no counts of persons; fetch "
            "it again, or give another file"
        )
    density = counts[populated] / area_km2[populated]
    most = int(density.argmax())
    judge_cell(float(counts[populated][most]), float(area_km2[populated][most]), name)
    share = float((density > PLAUSIBLE_DENSITY).mean())
    if share > 0.01:
        raise GridError(
            f"{name} holds more than {PLAUSIBLE_DENSITY:,.0f} persons per km2 in {100 * share:.0f} % of its "
            "populated cells: these look like densities, not counts of persons per cell; use the product's "
            "count grid, or multiply by the area of each cell first"
        )


def judge_cell(count: float, area_km2: float, name: str) -> None:
    """Refuse a cell that cannot hold so many: a no-data value that is not tagged, read as people.

    Parameters
    ----------
    count : float
        Persons in the cell.
    area_km2 : float
    name : str
        The file, for the message.

    Raises
    ------
    GridError
        If there are more than five million persons per km2.
    """
    if count > IMPOSSIBLE_DENSITY * area_km2:
        raise GridError(
            f"{name} holds {count:.10g} persons in one cell, {count / area_km2:.3g} per km2: that is no population "
            "but a no-data value that is not tagged; tag it (gdal_edit.py -a_nodata VALUE)"
        )


def judge_cities(population: np.ndarray, area_km2: np.ndarray, codes: Sequence[str], name: str) -> None:
    """Refuse a grid by which a whole city would be more crowded than any place on earth.

    Parameters
    ----------
    population, area_km2 : array, shape (cities,)
    codes : sequence of str
    name : str
        The file, for the message.

    Raises
    ------
    GridError
        Naming the city: a no-data value was read as people, or the values are not counts.
    """
    crowded = np.flatnonzero(population > PLAUSIBLE_DENSITY * np.maximum(area_km2, 1.0))
    if len(crowded):
        k = crowded[np.argmax(population[crowded] / np.maximum(area_km2[crowded], 1.0))]
        raise GridError(
            f"{name} gives city {codes[k]} {population[k]:.4g} persons on {area_km2[k]:.4g} km2, which cannot be: a "
            "no-data value is not tagged, or these are no counts; tag it (gdal_edit.py -a_nodata VALUE) or use the "
            "product's count grid"
        )


def judge_total(total: float, name: str) -> None:
    """Refuse a grid that holds more people than the earth.

    Raises
    ------
    GridError
    """
    if total > WORLD_POPULATION:
        raise GridError(
            f"{name} holds {total:.3g} persons, more than the earth: these are densities, scaled values, or a "
            "no-data value read as people; use the product's count grid and tag its no data"
        )
