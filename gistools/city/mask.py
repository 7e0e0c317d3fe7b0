"""Urban masks of whole grids, window by window, and urban patches as polygons."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np
import shapely

from gistools.checks import require_choice
from gistools.city.urban import HIGH, LOW, NOT_URBAN, patch_labels
from gistools.errors import GridError
from gistools.grid import Block, Grid, GridSource, Window
from gistools.raster.zones import Zones

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray

    from gistools.raster.zonal import UrbanCells

PatchesOf = Literal["urban", "classes"]
PATCHES_OF: tuple[PatchesOf, ...] = ("urban", "classes")


@dataclass(frozen=True)
class ClassSource:
    """The density classes of a year as a grid source: 0 not urban, 1 low, 2 high density.

    Parameters
    ----------
    lights : GridSource
        On the lattice of the population (see :func:`gistools.raster.align.align`).
    population : GridSource
        Persons per cell.
    min_light, min_density : float
        A cell is urban where both are exceeded (strict; persons per km2).
    threshold : float
        Density that splits urban cells: low strictly below it.
    zones : Zones, optional
        The label grid; the source is then cut to the cities, and cells of no city have no data.

    Raises
    ------
    GridError
        If the grids are not on one lattice, or no cell belongs to a city.

    Notes
    -----
    The rule is that of :func:`gistools.raster.zonal.scan_year`, number by number, so that areas summed over the mask
    are those of the panel. A cell without data in either grid has no data here; the panel counts it as not urban.

    Examples
    --------
    >>> from affine import Affine
    >>> from gistools.grid import WGS84, ArraySource
    >>> grid = Grid(WGS84, Affine(1 / 120, 0, 104, 0, -1 / 120, 30), (1, 3))
    >>> lights, people = ArraySource(grid, np.array([[9, 40, 40]])), ArraySource(grid, np.array([[900, 900, 2900]]))
    >>> ClassSource(lights, people, 10.0, 1000.0, 2000.0).read(grid.whole).values.tolist()
    [[0, 1, 2]]
    """

    lights: GridSource
    population: GridSource
    min_light: float
    min_density: float
    threshold: float
    zones: Zones | None = None

    def __post_init__(self) -> None:
        grids = [self.lights.grid] + ([] if self.zones is None else [self.zones.grid])
        if not all(grid.same_as(self.population.grid) for grid in grids):
            raise GridError(
                f"{self.lights.name}, {self.population.name} and the cities are not on one lattice; align them first"
            )
        if self.zones is not None and self.zones.window is None:
            raise GridError(f"no cell of {self.population.name} belongs to a city; check that both cover one place")

    @property
    def name(self) -> str:
        """The two grids."""
        return f"the mask of {self.lights.name} and {self.population.name}"

    @property
    def window(self) -> Window:
        """What is covered of the population's grid: all of it, or what the cities span."""
        window = None if self.zones is None else self.zones.window
        return self.population.grid.whole if window is None else window

    @property
    def grid(self) -> Grid:
        """The population's lattice, cut to the cities where they are given."""
        return self.population.grid.crop(self.window)

    def read(self, window: Window) -> Block:
        """Classes of the cells of a window (uint8), and where both grids have data and a city is."""
        origin = self.window
        window = Window(*(at + (origin.row0 if k < 2 else origin.col0) for k, at in enumerate(window)))
        light, people = self.lights.read(window), self.population.read(window)
        valid = light.is_valid() & people.is_valid()
        if self.zones is not None:
            valid &= _in_cities(self.zones, window)
        classes = np.full(window.shape, NOT_URBAN, np.uint8)
        # few cells are bright: only theirs are areas computed of, one by one as the scan does
        bright = light.values.astype(np.float64) > self.min_light
        row, col = np.nonzero(bright & valid)
        area = self.population.grid.cell_area_km2_at(row + window.row0, col + window.col0)
        density = people.values[row, col].astype(np.float64) / area
        urban = density > self.min_density
        classes[row[urban], col[urban]] = np.where(density[urban] < self.threshold, LOW, HIGH)
        return Block(classes, valid)


def _in_cities(zones: Zones, window: Window) -> NDArray[np.bool_]:
    """Cells of any city: by centre, or with coverage those of which a part is covered."""
    inside = zones.labels(window) >= 0
    if zones.edges is not None:
        edges = zones.edges.between(window.row0, window.row1)
        here = (edges.col >= window.col0) & (edges.col < window.col1)
        inside[edges.row[here] - window.row0, edges.col[here] - window.col0] = True
    return inside


def whole_grid(grid: Grid) -> Zones:
    """Take a whole grid as one zone with an empty code: where there are no boundaries.

    Parameters
    ----------
    grid : Grid

    Returns
    -------
    Zones

    Examples
    --------
    >>> from affine import Affine
    >>> from gistools.grid import WGS84
    >>> whole_grid(Grid(WGS84, Affine(1, 0, 0, 0, -1, 3), (3, 4))).cells().tolist()
    [12]
    """
    rows = np.arange(grid.height, dtype=np.int32)
    none = np.zeros(grid.height, np.int32)
    return Zones(grid, ("",), rows, none, np.full(grid.height, grid.width, np.int32), none, np.zeros(1))


def patch_polygons(
    cells: UrbanCells,
    grid: Grid,
    codes: tuple[str, ...],
    *,
    threshold: float,
    patches_of: PatchesOf = "urban",
) -> gpd.GeoDataFrame:
    """Draw urban patches as polygons: what the panel's ``patches`` counts.

    Parameters
    ----------
    cells : UrbanCells
        From the scan; those `inside` their city by centre count.
    grid : Grid
        Their lattice.
    codes : tuple of str
        City codes by zone.
    threshold : float
        Density that splits them (persons per km2).
    patches_of : {"urban", "classes"}
        Patches of all urban cells of a city, or of its low and its high ones apart.

    Returns
    -------
    GeoDataFrame
        One row a patch, 8-connected, by city and from the largest on: ``city_code``, ``class`` (``urban``, or ``low``
        and ``high``), ``patch`` (numbered from 1 in its city and class), ``cells``, ``area_km2`` (geodesic, the sum
        of its cells), ``population``, ``geometry`` in the CRS of the grid. Cells that touch at a corner only are
        parts of one multipolygon.
    """
    import geopandas as gpd
    import pandas as pd

    require_choice(patches_of, PATCHES_OF, "patches_of")
    own = cells._replace(**{name: part[cells.inside] for name, part in cells._asdict().items()})
    kind = np.zeros(len(own.row), np.int64)
    if patches_of == "classes":
        kind = np.where(own.density < threshold, LOW, HIGH)
    label = patch_labels(own.row, own.col, own.zone * 3 + kind)
    order = np.argsort(label, kind="stable")
    first = np.unique(label[order], return_index=True)[1]
    t = grid.transform
    # edges by one formula, so that neighbours share them to the last digit
    west, east = t.c + own.col * t.a, t.c + (own.col + 1) * t.a
    north, south = t.f + own.row * t.e, t.f + (own.row + 1) * t.e
    squares = shapely.box(west, south, east, north)[order]
    shapes = [shapely.coverage_union_all(part) for part in np.split(squares, first[1:])] if len(order) else []
    one = order[first] if len(order) else order
    names = np.array(["urban", "low", "high"], object)
    table = pd.DataFrame(
        {
            "city_code": np.array(codes, object)[own.zone[one]],
            "class": names[kind[one]],
            "cells": np.bincount(label).astype(np.int64),
            "area_km2": np.bincount(label, own.area_km2),
            "population": np.bincount(label, own.population),
            "zone": own.zone[one],
            "kind": kind[one],
        }
    )
    found = gpd.GeoDataFrame(table, geometry=shapes, crs=grid.crs)
    found = found.sort_values(["zone", "kind", "area_km2"], ascending=[True, True, False], kind="stable")
    found.insert(2, "patch", found.groupby(["zone", "kind"]).cumcount() + 1)
    return found.drop(columns=["zone", "kind"]).reset_index(drop=True)
