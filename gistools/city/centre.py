"""The CBD of each city: its brightest cell, with a stated rule where several tie."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
import pandas as pd

from gistools.checks import listed, require_choice, require_columns, require_numeric, require_unique
from gistools.city.urban import patch_labels
from gistools.errors import TableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from gistools.grid import Grid
    from gistools.raster.zonal import BrightestCells
    from gistools.raster.zones import Zones

CbdTies = Literal["cluster-density", "cluster-centroid", "population-weighted"]
CBD_TIES: tuple[CbdTies, ...] = ("cluster-density", "cluster-centroid", "population-weighted")


def find_cbds(
    brightest: BrightestCells, grid: Grid, codes: tuple[str, ...], *, ties: CbdTies = "cluster-density"
) -> pd.DataFrame:
    """Find the CBD of each city: the brightest of its cells.

    Night-lights of the DMSP satellites saturate at 63, so large cities tie over hundreds of cells.

    Parameters
    ----------
    brightest : BrightestCells
        The cells that tie for the largest light of their city, from the scan.
    grid : Grid
    codes : tuple of str
        City codes by zone.
    ties : {"cluster-density", "cluster-centroid", "population-weighted"}
        Among tied cells the largest 8-connected cluster counts (clusters of one size together). In it: the
        densest cell (then the lowest row, then the lowest column); the cell nearest to the cluster's centroid;
        or the cell nearest to its centroid weighted by population.

    Returns
    -------
    DataFrame
        Indexed by ``city_code``: ``row``, ``col`` (-1 without CBD), ``cbd_lon``, ``cbd_lat`` (degrees, WGS 84),
        ``cbd_light``, ``cbd_ties`` (tied cells; 1 if the brightest is unique, 0 without CBD) and ``cbd_rule``
        (what decided). A city without any light above zero has no CBD.
    """
    require_choice(ties, CBD_TIES, "cbd_ties")
    table = pd.DataFrame(
        {
            "row": -1,
            "col": -1,
            "cbd_lon": np.nan,
            "cbd_lat": np.nan,
            "cbd_light": np.nan,
            "cbd_ties": 0,
            "cbd_rule": "none",
        },
        index=pd.Index(codes, name="city_code"),
    )
    zone = brightest.zone
    if not len(zone):
        return table
    label = patch_labels(brightest.row, brightest.col, zone)
    size = np.bincount(label)[label]
    largest = np.zeros(len(codes), np.int64)
    np.maximum.at(largest, zone, size)
    in_cluster = size == largest[zone]
    key = _tie_key(brightest, in_cluster, ties)
    # within a city: the cells of the largest cluster, then the rule's key, then row, then column
    order = np.lexsort((brightest.col, brightest.row, key, ~in_cluster, zone))
    first = order[np.unique(zone[order], return_index=True)[1]]
    city = zone[first]
    tied = np.bincount(zone, minlength=len(codes))
    table.iloc[city, 0] = brightest.row[first]
    table.iloc[city, 1] = brightest.col[first]
    lon, lat = grid.lonlat(brightest.row[first], brightest.col[first])
    table.iloc[city, 2], table.iloc[city, 3] = lon, lat
    table.iloc[city, 4] = brightest.light[first]
    table.iloc[city, 5] = tied[city]
    table.iloc[city, 6] = [_rule(tied[z], key[in_cluster & (zone == z)], ties) for z in city]
    return table


def _tie_key(brightest: BrightestCells, in_cluster: NDArray[np.bool_], ties: CbdTies) -> NDArray:
    """What a tied cell is judged by: less is better."""
    if ties == "cluster-density":
        return -_nine_digits(np.nan_to_num(brightest.density, nan=-1.0))
    weight = np.where(in_cluster, 1.0, 0.0)
    if ties == "population-weighted":
        people = np.nan_to_num(brightest.population, nan=0.0) * in_cluster
        # a cluster without people is weighted evenly
        weight = np.where(np.bincount(brightest.zone, people)[brightest.zone] > 0, people, weight)
    total = np.bincount(brightest.zone, weight)
    row = (np.bincount(brightest.zone, weight * brightest.row) / np.maximum(total, 1e-300))[brightest.zone]
    col = (np.bincount(brightest.zone, weight * brightest.col) / np.maximum(total, 1e-300))[brightest.zone]
    # rounding keeps cells at one distance tied, whatever the order of summation
    return np.round((brightest.row - row) ** 2 + (brightest.col - col) ** 2, 9)


def _nine_digits(value: NDArray) -> NDArray:
    """Round to nine significant digits: equal counts on a projected grid must not differ by the noise of areas."""
    scale = 10.0 ** (9 - np.ceil(np.log10(np.maximum(np.abs(value), 1e-9))))
    return np.round(value * scale) / scale


def _rule(tied: int, key: NDArray, ties: CbdTies) -> str:
    """Name what decided: the brightest cell itself, the rule's key, or the order of the cells."""
    if tied == 1:
        return "brightest"
    if (key == key.min()).sum() > 1:
        return "row-column"
    return {"cluster-density": "density", "cluster-centroid": "centroid"}.get(ties, ties)


def known_cbds(table: pd.DataFrame, grid: Grid, zones: Zones) -> pd.DataFrame:
    """Take CBDs from a table instead of from the lights.

    Parameters
    ----------
    table : DataFrame
        ``city_code``, ``cbd_lon``, ``cbd_lat`` (degrees, WGS 84); one row a city.
    grid : Grid
    zones : Zones

    Returns
    -------
    DataFrame
        As :func:`find_cbds` gives it, with ``cbd_rule`` ``"table"``; the coordinates stay as they are given.

    Raises
    ------
    TableError
        If a city lacks, has no coordinates, or its CBD lies outside the grid.
    """
    from pyproj import Transformer

    from gistools.grid import WGS84

    what = "the table of CBDs"
    require_columns(table, ["city_code", "cbd_lon", "cbd_lat"], what)
    table = table[["city_code", "cbd_lon", "cbd_lat"]]
    require_unique(table, ["city_code"], what)
    require_numeric(table, ["cbd_lon", "cbd_lat"], what)
    given = table.assign(city_code=table["city_code"].astype(str)).set_index("city_code")
    lacking = [code for code in zones.codes if code not in given.index or given.loc[code].isna().any()]
    if lacking:
        raise TableError(f"{what} has no coordinates for city {listed(lacking)}; add them or use --cbd-ties")
    given = given.loc[list(zones.codes)]
    lon, lat = given["cbd_lon"].to_numpy(np.float64), given["cbd_lat"].to_numpy(np.float64)
    x, y = Transformer.from_crs(WGS84, grid.crs, always_xy=True).transform(lon, lat)
    row, col = np.floor(grid.row(y)), np.floor(grid.col(x))
    off = ~((row >= 0) & (row < grid.height) & (col >= 0) & (col < grid.width))
    if off.any():
        raise TableError(f"{what}: the CBD of city {listed(given.index[off])} lies outside the grid")
    return pd.DataFrame(
        {
            "row": row.astype(np.int64),
            "col": col.astype(np.int64),
            "cbd_lon": lon,
            "cbd_lat": lat,
            "cbd_light": np.nan,
            "cbd_ties": 1,
            "cbd_rule": "table",
        },
        index=given.index,
    )
