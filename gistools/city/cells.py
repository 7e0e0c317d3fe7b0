"""The cells of one city as a table, and its CBD decided from that table step by step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import shapely
from pyproj import CRS, Transformer

from gistools.checks import closest, require_choice
from gistools.city.centre import CBD_TIES, CbdTies
from gistools.city.urban import HIGH, LOW, NOT_URBAN
from gistools.errors import BoundaryError
from gistools.grid import Grid, GridSource, Window, same_crs
from gistools.raster.align import align

if TYPE_CHECKING:
    import geopandas as gpd
    from numpy.typing import NDArray

    from gistools.city.form import FormOptions
    from gistools.raster.zones import Zones

# Every column of a table of cells: its unit and what it means.
CELL_COLUMNS: dict[str, tuple[str, str]] = {
    "row": ("row", "row of the cell on the population's grid, from 0 in the north"),
    "col": ("column", "column of the cell, from 0 in the west"),
    "lon": ("degrees east", "longitude of its centre, WGS 84"),
    "lat": ("degrees north", "latitude of its centre, WGS 84"),
    "area_km2": ("km2", "geodesic area of the whole cell"),
    "fraction": ("0 to 1", "part of the cell that counts for the city"),
    "inside": ("yes or no", "whether its centre lies in the city"),
    "border": ("yes or no", "whether the city's outline runs through it"),
    "light": ("DN or radiance", "light on the population's grid; missing without data"),
    "population": ("persons", "persons in the cell; missing without data"),
    "density": ("persons per km2", "population over area"),
    "urban": ("yes or no", "whether light and density exceed their thresholds"),
    "class": ("0, 1 or 2", "0 not urban, 1 low, 2 high density"),
    "distance_km": ("km", "geodesic distance of its centre from the CBD"),
    "in_circle": ("yes or no", "whether its centre lies within the radius of the CBD"),
    "tied": ("yes or no", "whether it ties for the brightest cell that decides the CBD"),
}


def zone_of(code: str, zones: Zones) -> int:
    """Return the zone of a city code.

    Raises
    ------
    BoundaryError
        If no city has it, naming the nearest code.

    Examples
    --------
    >>> import types
    >>> zone_of("0304", types.SimpleNamespace(codes=("0303", "0304")))
    1
    """
    if code not in zones.codes:
        hint = closest(code, zones.codes) or "; give one of the codes of the boundaries"
        raise BoundaryError(f"no city has the code {code!r}{hint}")
    return zones.codes.index(code)


def city_cells(
    code: str,
    lights: GridSource | None,
    population: GridSource | None,
    zones: Zones,
    options: FormOptions,
    *,
    threshold: float = np.nan,
    city: gpd.GeoDataFrame | None = None,
) -> pd.DataFrame:
    """List the cells of one city in one year: what its measures are made of.

    Parameters
    ----------
    code : str
    lights, population : GridSource or None
        Either may be left out. Lights may lie on another lattice.
    zones : Zones
        The label grid, on the population's lattice (or the lights', without population).
    options : FormOptions
        Thresholds and alignment.
    threshold : float
        Density that splits urban cells; without it they have no class.
    city : GeoDataFrame, optional
        The city's row of the boundaries, to mark the cells its outline runs through.

    Returns
    -------
    DataFrame
        One row a cell whose centre lies in the city, or with coverage of which a part does, sorted by row and column:
        the columns of ``CELL_COLUMNS`` from ``row`` to ``class``, units in ``attrs``. NaN where a grid has no data.

    Raises
    ------
    BoundaryError
        If no city has the code.
    """
    zone = zone_of(code, zones)
    row, col, fraction, inside = _members(zones, zone)
    grid = zones.grid
    lon, lat = grid.lonlat(row, col)
    area = grid.cell_area_km2_at(row, col) if len(row) else np.zeros(0)
    aligned = None if lights is None else align(lights, grid, how=options.align)
    light, people = (_values(source, row, col) for source in (aligned, population))
    density = people / area
    with np.errstate(invalid="ignore"):
        urban = (light > options.min_light) & (density > options.min_density)
        kind = np.where(urban, np.where(density < threshold, LOW, HIGH), NOT_URBAN)
    table = pd.DataFrame(
        {
            "row": row,
            "col": col,
            "lon": lon,
            "lat": lat,
            "area_km2": area,
            "fraction": fraction,
            "inside": inside,
            "border": np.zeros(len(row), bool) if city is None else _on_border(row, col, city, grid),
            "light": light,
            "population": people,
            "density": density,
            "urban": urban,
            "class": kind.astype(np.uint8) if np.isfinite(threshold) else np.full(len(row), np.nan),
        }
    )
    table.attrs = {
        "units": {name: unit for name, (unit, _) in CELL_COLUMNS.items()},
        "labels": {name: meaning for name, (_, meaning) in CELL_COLUMNS.items()},
    }
    return table


def _members(zones: Zones, zone: int) -> tuple[NDArray, NDArray, NDArray, NDArray]:
    """Rows, columns, fractions of a city's cells, and whether their centre is in it."""
    window = _window(zones, zone)
    if window is None:
        none = np.zeros(0, np.int64)
        return none, none, np.zeros(0), np.zeros(0, bool)
    inside = zones.labels(window) == zone
    fraction = (zones.interior().labels(window) == zone).astype(np.float64)
    if zones.edges is not None:
        mine = zones.edges.zone == zone
        at = (zones.edges.row[mine] - window.row0, zones.edges.col[mine] - window.col0)
        fraction[at] = zones.edges.fraction[mine]
    row, col = np.nonzero(inside | (fraction > 0))
    return row + window.row0, col + window.col0, fraction[row, col], inside[row, col]


def _window(zones: Zones, zone: int) -> Window | None:
    mine = zones.zone == zone
    rows, starts, stops = [zones.row[mine]], [zones.start[mine]], [zones.stop[mine]]
    if zones.edges is not None:
        part = zones.edges.zone == zone
        rows.append(zones.edges.row[part])
        starts.append(zones.edges.col[part])
        stops.append(zones.edges.col[part] + 1)
    row, start, stop = (np.concatenate(parts) for parts in (rows, starts, stops))
    return Window(row.min(), row.max() + 1, start.min(), stop.max()) if len(row) else None


def _values(source: GridSource | None, row: NDArray, col: NDArray) -> NDArray:
    """Values of cells, NaN without data; the window that holds them is read."""
    if source is None or not len(row):
        return np.full(len(row), np.nan)
    window = Window(int(row.min()), int(row.max()) + 1, int(col.min()), int(col.max()) + 1)
    block = source.read(window)
    at = (row - window.row0, col - window.col0)
    return np.where(block.is_valid()[at], block.values[at].astype(np.float64), np.nan)


def _on_border(row: NDArray, col: NDArray, city: gpd.GeoDataFrame, grid: Grid) -> NDArray[np.bool_]:
    """Cells that the outline of a city runs through."""
    outline = shapely.boundary(city.geometry.iloc[0])
    own = CRS.from_user_input(city.crs)
    if not same_crs(own, grid.crs):
        move = Transformer.from_crs(own, grid.crs, always_xy=True)
        outline = shapely.transform(outline, lambda xy: np.column_stack(move.transform(xy[:, 0], xy[:, 1])))
    half = 0.5 * np.array(grid.cell_size)
    x, y = grid.x(col), grid.y(row)
    squares = shapely.box(x - half[0], y - half[1], x + half[0], y + half[1])
    shapely.prepare(outline)
    return np.asarray(shapely.intersects(outline, squares))


@dataclass(frozen=True)
class CbdDecision:
    """How the CBD of a city was decided.

    Attributes
    ----------
    ties : DataFrame
        The cells that tie for the brightest: ``row``, ``col``, ``lon``, ``lat``, ``light``, ``density``,
        ``population``, ``cluster`` (numbered from the largest on, from 1), ``candidate`` (in a cluster of the largest
        size), ``chosen``.
    clusters : DataFrame
        ``cluster``, ``cells``, ``highest_density``.
    lon, lat, light : float
        Of the CBD; NaN where there is none.
    tied : int
        Cells that tie; 1 if the brightest is unique, 0 without a CBD.
    rule : str
        What decided: ``brightest``, ``density``, ``centroid``, ``population-weighted``, ``row-column``, ``table`` or
        ``none``.
    steps : tuple of str
        The decision in sentences.
    """

    ties: pd.DataFrame
    clusters: pd.DataFrame
    lon: float
    lat: float
    light: float
    tied: int
    rule: str
    steps: tuple[str, ...]


_TIES = ["row", "col", "lon", "lat", "light", "density", "population"]


def decide_cbd(cells: pd.DataFrame, *, ties: CbdTies = "cluster-density") -> CbdDecision:
    """Decide the CBD of a city from its table of cells, and say how.

    It is written apart from :func:`gistools.city.centre.find_cbds`, which decides for all cities at once, so that one
    can be held against the other.

    Parameters
    ----------
    cells : DataFrame
        As :func:`city_cells` gives it, of the year that decides.
    ties : {"cluster-density", "cluster-centroid", "population-weighted"}

    Returns
    -------
    CbdDecision

    Examples
    --------
    >>> cells = pd.DataFrame({"row": [0, 0, 4], "col": [0, 1, 4], "lon": 0.0, "lat": 0.0, "inside": True,
    ...     "light": [63.0, 63.0, 63.0], "density": [100.0, 300.0, 900.0], "population": 1.0})
    >>> decision = decide_cbd(cells)
    >>> decision.rule, decision.tied, decision.ties.loc[decision.ties["chosen"], ["row", "col"]].values.tolist()
    ('density', 3, [[0, 1]])
    """
    require_choice(ties, CBD_TIES, "cbd_ties")
    lit = cells[cells["inside"] & (cells["light"] > 0)]
    if not len(lit):
        empty = cells.loc[[], _TIES].assign(cluster=0, candidate=False, chosen=False)
        clusters = pd.DataFrame({"cluster": [], "cells": [], "highest_density": []})
        return CbdDecision(
            empty, clusters, np.nan, np.nan, np.nan, 0, "none", ("No cell has light above zero: there is no CBD.",)
        )
    top = float(lit["light"].max())
    found = lit.loc[lit["light"] == top, _TIES].reset_index(drop=True)
    label = _clusters(found["row"].to_numpy(), found["col"].to_numpy())
    size = np.bincount(label)
    first = np.unique(label, return_index=True)[1]
    order = np.lexsort((first, -size))
    found["cluster"] = np.argsort(order)[label] + 1
    found["candidate"] = size[label] == size.max()
    key = _key(found[found["candidate"]], ties)
    best = key.index[np.lexsort((found.loc[key.index, "col"], found.loc[key.index, "row"], key))[0]]
    found["chosen"] = found.index == best
    level = int((key == key.min()).sum())
    rule = _rule(len(found), level, ties)
    clusters = found.groupby("cluster").agg(cells=("row", "size"), highest_density=("density", "max")).reset_index()
    chosen = found.loc[best]
    steps = _steps(found, clusters, chosen, len(lit), level, ties, cells)
    found = found.sort_values(["cluster", "row", "col"], kind="stable").reset_index(drop=True)
    return CbdDecision(found, clusters, float(chosen["lon"]), float(chosen["lat"]), top, len(found), rule, steps)


def _clusters(row: NDArray, col: NDArray) -> NDArray:
    """Label 8-connected cells, from 0, by flooding an image of them."""
    from scipy.ndimage import label

    image = np.zeros((row.max() - row.min() + 1, col.max() - col.min() + 1), bool)
    image[row - row.min(), col - col.min()] = True
    return np.asarray(label(image, np.ones((3, 3)))[0])[row - row.min(), col - col.min()] - 1


def _key(candidates: pd.DataFrame, ties: CbdTies) -> pd.Series:
    """What candidates are judged by, the least first."""
    if ties == "cluster-density":
        return -candidates["density"].fillna(-1.0).map(lambda value: float(f"{value:.9g}"))
    weight = pd.Series(1.0, candidates.index)
    people = candidates["population"].fillna(0.0)
    if ties == "population-weighted" and people.sum() > 0:
        weight = people
    row, col = (float((weight * candidates[axis]).sum() / weight.sum()) for axis in ("row", "col"))
    return ((candidates["row"] - row) ** 2 + (candidates["col"] - col) ** 2).round(9)


def _rule(tied: int, level: int, ties: CbdTies) -> str:
    if tied == 1:
        return "brightest"
    if level > 1:
        return "row-column"
    return {"cluster-density": "density", "cluster-centroid": "centroid"}.get(ties, ties)


def _steps(
    found: pd.DataFrame,
    clusters: pd.DataFrame,
    chosen: pd.Series,
    lit: int,
    level: int,
    ties: CbdTies,
    cells: pd.DataFrame,
) -> tuple[str, ...]:
    """Tell the decision."""
    own = int(cells["inside"].sum())
    steps = [
        f"{own} cells have their centre in the city; {lit} of them have light above zero.",
        f"The largest light is {found['light'].iloc[0]:.10g}; {_count(len(found), 'cell')} "
        f"{'has' if len(found) == 1 else 'have'} it.",
    ]
    place = f"row {int(chosen['row'])}, column {int(chosen['col'])}"
    if len(found) == 1:
        return (*steps, f"It is the only one: the CBD is the cell in {place}.")
    sizes = ", ".join(map(str, clusters["cells"].head(8))) + (", …" if len(clusters) > 8 else "")
    largest = int((clusters["cells"] == clusters["cells"].max()).sum())
    steps.append(
        f"They form {_count(len(clusters), 'cluster')} (cells that touch, corners too), of {sizes} cells; "
        f"{_count(largest, 'cluster')} of the largest size {'counts' if largest == 1 else 'count together'}: "
        f"{int(found['candidate'].sum())} cells are left."
    )
    judged = {
        "cluster-density": f"The densest of them counts: {float(chosen['density']):,.1f} persons per km2",
        "cluster-centroid": "The cell nearest to their centroid counts",
        "population-weighted": "The cell nearest to their centroid weighted by population counts",
    }[ties]
    if level > 1:
        steps.append(f"{judged}; {level} cells are equal in that, so the northernmost, then the westernmost counts.")
    else:
        steps.append(f"{judged}; one cell is so.")
    steps.append(f"The CBD is the cell in {place}.")
    return tuple(steps)


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"
