"""Terrain from files to files: the verbs behind ``gistools terrain undevelopable`` and ``gistools terrain slope``."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import geopandas as gpd
import numpy as np
import pandas as pd

from gistools.checks import listed, require_columns, require_numeric
from gistools.errors import FileMissingError, GridError, InputError, TableError
from gistools.grid import GridSource, Product
from gistools.io.raster_paths import year_files
from gistools.io.rasters import RasterSource, TiledSource, open_tiles, probe
from gistools.io.stream import stream_geotiff
from gistools.io.tables import write_table
from gistools.io.vectors import read_vector
from gistools.raster.land_cover import LandCover
from gistools.raster.terrain import SlopeSource, slope_blocks
from gistools.raster.undevelopable import TerrainOptions, Undevelopable, undevelopable_share
from gistools.raster.zones import Zones, label_zones

if TYPE_CHECKING:
    from gistools.grid import Grid
    from gistools.raster.tasks import Execution

# Below the deepest sea only no-data values lie: -32768, -99999.
HEIGHTS = Product("heights above sea level", "other", "m", valid_min=-11_500)
CLASSES = Product("land cover", "other", "class")
# Everest, and something for noise.
_HIGHEST_M = 9_000.0
_METRES = ("m", "metre", "meter", "metres", "meters")
_FEET = ("ft", "foot", "feet", "us survey foot", "ftus", "us-ft")


def find_tiles(pattern: str, option: str) -> list[Path]:
    """Return the files of a grid that may be tiled: a path, a folder, or a pattern.

    Parameters
    ----------
    pattern : str
        May hold ``*``, ``?`` and ``**``.
    option : str
        How messages name it.

    Returns
    -------
    list of Path

    Raises
    ------
    InputError
        If the pattern holds a placeholder, or nothing matches it.
    """
    if "{" in pattern:
        raise InputError(f"{option} {pattern!r} holds a placeholder, but terrain has no years; use * for its tiles")
    found = year_files(pattern, [0])[0]
    if not found:
        raise FileMissingError(f"no file matches {option} {pattern}")
    return found


def open_heights(pattern: str, *, z_factor: float = 1.0) -> tuple[RasterSource | TiledSource, list[str]]:
    """Open and judge a grid of heights; nothing is computed.

    Parameters
    ----------
    pattern : str
        A file, or the tiles of one lattice.
    z_factor : float
        Metres in one unit of the heights.

    Returns
    -------
    (source, list of str)
        The grid, and notes.

    Raises
    ------
    InputError
        If nothing matches, or the file says its heights are in feet and `z_factor` does not.
    GridError, CrsError
        If it cannot be opened, is damaged, or holds what cannot be heights.
    """
    source = open_tiles(find_tiles(pattern, "--dem"), HEIGHTS)
    sample = probe(source)
    heights = sample.values[sample.is_valid()].astype(np.float64)
    if (heights == -9999).any():
        raise GridError(
            f"{source.name} holds -9999 where heights are given: it is a no-data value that is not tagged; tag it "
            "(gdal_edit.py -a_nodata -9999)"
        )
    largest = float(heights.max(initial=0)) * z_factor
    if largest > _HIGHEST_M:
        raise GridError(
            f"{source.name} holds a height of {largest:g} m, above the highest mountain: its heights are in another "
            "unit (give --z-factor 0.3048 for feet), or it has a no-data value that is not tagged "
            "(gdal_edit.py -a_nodata VALUE)"
        )
    unit = _vertical_unit(source)
    if unit in _FEET and z_factor == 1:
        raise InputError(f"{source.name} says its heights are in feet ({unit}); give --z-factor 0.3048")
    notes = []
    if unit not in (*_METRES, *_FEET) and z_factor == 1:
        said = f"the unit {unit!r} is" if unit else "no unit is"
        notes.append(
            f"heights are taken for metres: {said} stated in {source.name} (--z-factor 0.3048 if it is feet)"
        )
    return source, notes


def _vertical_unit(source: RasterSource | TiledSource) -> str:
    tile = source if isinstance(source, RasterSource) else source.tiles[0]
    upward = [axis.unit_name for axis in tile.grid.crs.axis_info if axis.direction == "up"]
    return str(dict(tile.tags).get("units") or (upward[0] if upward else "")).strip().lower()


def open_land_cover(pattern: str, classes: LandCover) -> RasterSource | TiledSource:
    """Open and judge a grid of land-cover classes.

    Parameters
    ----------
    pattern : str
        A file, or the tiles of one lattice.
    classes : LandCover

    Returns
    -------
    RasterSource or TiledSource

    Raises
    ------
    InputError
        If nothing matches.
    GridError, CrsError
        If it cannot be opened, holds fractions, or classes that its product does not have.
    """
    source = open_tiles(find_tiles(pattern, "--land-cover"), CLASSES)
    sample = probe(source)
    values = np.unique(sample.values[sample.is_valid()])
    broken = values[values % 1 != 0]
    if len(broken):
        raise GridError(f"{source.name} holds {broken[0]:g}, which is no class: it is no land cover")
    classes.refuse_strange(values.astype(np.int64).tolist(), source.name)
    return source


def read_land(path: Path, grid: Grid) -> Zones:
    """Read polygons of the land and label the cells of a grid whose centre lies in one.

    Raises
    ------
    InputError
        If the file holds no polygon.
    CrsError, BoundaryError
        If it has no CRS, or lies elsewhere.
    """
    table = read_vector(path)
    polygons = table.geometry[table.geometry.geom_type.isin(["Polygon", "MultiPolygon"])]
    if not len(polygons):
        raise InputError(f"{path.name} holds no polygon; --land needs polygons of the land")
    # one polygon: pieces that overlap are no two cities here
    whole = gpd.GeoDataFrame({"city_code": ["land"]}, geometry=[polygons.make_valid().union_all()], crs=table.crs)
    return label_zones(whole, grid)


def cbd_places(table: pd.DataFrame) -> pd.DataFrame:
    """Return the places of CBDs that a table or a panel names: one a city, or one a city and year where they move.

    Parameters
    ----------
    table : DataFrame
        ``city_code``, ``cbd_lon``, ``cbd_lat`` and, where CBDs move, ``year``.

    Returns
    -------
    DataFrame
        In the order of the table; a city that is dark in some years has the place of the others.

    Raises
    ------
    TableError
        If columns lack or hold no numbers, or a city has two places and no year tells them apart.
    """
    what = "the table of CBDs"
    require_columns(table, ["city_code", "cbd_lon", "cbd_lat"], what)
    require_numeric(table, ["cbd_lon", "cbd_lat"], what)
    columns = ["city_code", "cbd_lon", "cbd_lat"]
    places = table[columns].drop_duplicates()
    known = places.dropna()
    places = places[places.index.isin(known.index) | ~places["city_code"].isin(known["city_code"])]
    twice = places["city_code"].duplicated(keep=False)
    if not twice.any():
        return places.reset_index(drop=True)
    if "year" not in table.columns:
        raise TableError(
            f"the CBD of city {listed(places.loc[twice, 'city_code'].unique())} has more than one place; give one "
            "CBD a city, or a column 'year'"
        )
    return table[["city_code", "year", "cbd_lon", "cbd_lat"]].drop_duplicates().reset_index(drop=True)


@dataclass(frozen=True)
class TerrainResult:
    """Undevelopable land by place and part, and what it was measured from."""

    found: Undevelopable
    options: TerrainOptions
    dem: str
    land_cover: str | None
    classes: LandCover | None
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Rows, rules and sources for ``--json``."""
        classes = self.classes
        return {
            "rows": self.found.table.to_dict("records"),
            "radius_km": self.options.radius_km,
            "rings": self.options.ring_edges,
            "sectors": self.options.sectors,
            "max_slope": self.options.max_slope,
            "sea": self.options.sea,
            "edges": self.options.edges,
            "z_factor": self.options.z_factor,
            "dem": self.dem,
            "land_cover": self.land_cover,
            "product": None if classes is None else classes.name,
            "citation": None if classes is None else classes.citation or None,
            "wet_classes": None if classes is None else sorted(classes.wet),
            "classes_found": self.found.classes_found,
            "notes": self.notes,
        }


def measure_undevelopable(
    dem: str,
    cbds: pd.DataFrame,
    options: TerrainOptions,
    *,
    land_cover: str | None = None,
    classes: LandCover | None = None,
    land: Path | None = None,
    execution: Execution | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> TerrainResult:
    """Measure the land around each CBD that cannot be built on.

    Parameters
    ----------
    dem : str
        A file of heights, or the pattern of its tiles.
    cbds : DataFrame
        A panel or table with ``city_code``, ``cbd_lon``, ``cbd_lat``.
    options : TerrainOptions
    land_cover : str, optional
        A file of classes, or the pattern of its tiles.
    classes : LandCover, optional
        Which classes are water or wetland.
    land : Path, optional
        Polygons of the land, for ``sea="land"``.
    execution : Execution, optional
    progress : callable, optional

    Returns
    -------
    TerrainResult

    Raises
    ------
    InputError
        If an input is missing, damaged, or not what it should be.
    """
    if land_cover is not None and classes is None:
        raise InputError(
            "--land-cover is given without --classes: say which product it is (worldcover, igbp ...), or which of "
            "its codes are water and wetland (80,90)"
        )
    if land_cover is None and classes is not None:
        raise InputError("--classes is given without --land-cover; give the grid that holds these classes")
    places = cbd_places(cbds)
    heights, notes = open_heights(dem, z_factor=options.z_factor)
    cover: GridSource | None = None
    if land_cover is not None and classes is not None:
        cover = open_land_cover(land_cover, classes)
    zones = None if land is None else read_land(land, heights.grid)
    found = undevelopable_share(
        heights,
        places,
        land_cover=cover,
        classes=classes,
        land=zones,
        options=options,
        execution=execution,
        progress=progress,
    )
    if cover is not None and classes is not None:
        classes.refuse_strange(found.classes_found, cover.name)
    else:
        notes.append("no land cover is given: water and wetland are not counted")
    name = None if cover is None else cover.name
    return TerrainResult(found, options, heights.name, name, classes, [*notes, *found.notes])


def write_undevelopable(result: TerrainResult, out: Path, rings_out: Path | None = None) -> None:
    """Write the table of places, and that of rings and sectors where it is asked for, by extension."""
    write_table(result.found.table, out)
    if rings_out is not None:
        write_table(result.found.parts, rings_out)


@dataclass(frozen=True)
class SlopeResult:
    """What a slope file holds."""

    out: Path
    cells: int
    without_height: int
    without_slope: int
    edge_cells: int
    largest: float
    units: str
    notes: list[str]

    def to_dict(self) -> dict[str, Any]:
        """Counts for ``--json``."""
        return {
            "slope": str(self.out),
            "units": self.units,
            "cells": self.cells,
            "without_height": self.without_height,
            "without_slope": self.without_slope,
            "edge_cells": self.edge_cells,
            "largest": self.largest,
            "notes": self.notes,
        }


def write_slope(
    source: SlopeSource,
    out: Path,
    *,
    notes: list[str] | None = None,
    execution: Execution | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SlopeResult:
    """Write the slope of a grid as a GeoTIFF of float32, block by block; NaN where there is none.

    Parameters
    ----------
    source : SlopeSource
    out : Path
        ``.tif`` or ``.tiff``.
    notes : list of str, optional
        What was found when the heights were opened.
    execution : Execution, optional
    progress : callable, optional

    Returns
    -------
    SlopeResult

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    cells = slopeless = edge = heightless = 0
    largest = np.nan
    with stream_geotiff(out, source.grid, "float32", nodata=float("nan")) as stream:
        for window, block in slope_blocks(source, execution=execution, progress=progress):
            stream.write(np.where(block.valid, block.values, np.nan).astype(np.float32), window)
            cells += block.values.size
            heightless += int((~block.has_height).sum())
            slopeless += int((block.has_height & ~block.valid).sum())
            edge += int(block.incomplete.sum())
            largest = float(np.fmax(largest, block.values.max(where=block.valid, initial=-np.inf)))
        stream.tag({"units": source.units, "product": "slope (Horn 1981)", "source": source.dem.name})
    largest = largest if np.isfinite(largest) else float("nan")
    return SlopeResult(out, cells, heightless, slopeless, edge, largest, source.units, list(notes or []))
