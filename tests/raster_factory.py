"""Small grids, cities and raster files that tests of several floors are made of."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import geopandas as gpd
import numpy as np
import rasterio
import shapely
from affine import Affine
from numpy.typing import ArrayLike, NDArray
from pyproj import CRS

from gistools.grid import WGS84, ArraySource, Grid
from gistools.raster.edge_cells import EdgeCells
from gistools.raster.zones import Zones, label_zones

MOLLWEIDE = CRS.from_user_input("ESRI:54009")
UTM_48N = CRS.from_epsg(32648)
ARC30 = 1 / 120
CHENGDU = (103.6, 29.4, 104.6, 30.2)  # west, south, east, north


def lonlat_grid(shape: tuple[int, int], *, cell: float = ARC30, west: float = 104.0, north: float = 30.0) -> Grid:
    """A lattice of degrees; 30 arc-seconds near Chengdu unless said otherwise."""
    return Grid(WGS84, Affine(cell, 0, west, 0, -cell, north), shape)


def source(
    values: ArrayLike, grid: Grid | None = None, valid: ArrayLike | None = None, name: str = "array"
) -> ArraySource:
    """An array as a grid source, on the default lattice unless another is given."""
    values = np.asarray(values)
    return ArraySource(
        grid or lonlat_grid(values.shape), values, None if valid is None else np.asarray(valid, bool), name
    )


def cities(
    polygons: Sequence[shapely.Geometry], codes: Sequence[str] | None = None, crs: object = 4326
) -> gpd.GeoDataFrame:
    """Boundaries as the calculations take them."""
    codes = [f"{k + 1:06d}" for k in range(len(polygons))] if codes is None else list(codes)
    return gpd.GeoDataFrame({"city_code": codes}, geometry=list(polygons), crs=crs)


def cell_box(grid: Grid, row0: float, row1: float, col0: float, col1: float) -> shapely.Polygon:
    """The rectangle of rows ``row0 .. row1`` and columns ``col0 .. col1``, which may be fractions."""
    (west, east), (north, south) = grid.x([col0 - 0.5, col1 - 0.5]), grid.y([row0 - 0.5, row1 - 0.5])
    return shapely.box(west, south, east, north)


def zones_of(labels: ArrayLike, grid: Grid, fractions: NDArray | None = None) -> Zones:
    """Zones from a label array, run by run.

    With `fractions` of shape (cities, rows, cols) membership is by coverage: a cell whose fractions are not all 0
    or 1 is an edge cell.
    """
    labels = np.asarray(labels)
    runs = []
    for r, line in enumerate(labels):
        c = 0
        while c < len(line):
            d = c
            while d < len(line) and line[d] == line[c]:
                d += 1
            if line[c] >= 0:
                runs.append((r, c, d, line[c]))
            c = d
    row, start, stop, zone = np.array(runs, np.int32).reshape(-1, 4).T
    count = len(fractions) if fractions is not None else max(int(labels.max()) + 1, 1)
    edges = None
    if fractions is not None:
        partly = ((fractions > 0) & (fractions < 1)).any(axis=0)
        r, c, z = np.nonzero(np.moveaxis(fractions, 0, -1) * partly[..., None])
        edges = EdgeCells(r.astype(np.int32), c.astype(np.int32), z.astype(np.int32), fractions[z, r, c])
    codes = tuple(f"{k + 1:06d}" for k in range(count))
    return Zones(grid, codes, row, start, stop, zone, np.zeros(count), 0, edges)


def labelled(polygons: Sequence[shapely.Geometry], grid: Grid) -> tuple[Zones, NDArray]:
    """The label grid of polygons by centre, and the zone of every cell."""
    zones = label_zones(cities(polygons), grid)
    return zones, zones.labels(grid.whole)


def dense_fractions(zones: Zones) -> NDArray:
    """Weights of every city and cell: whole interior cells and edge parts."""
    inside = zones.interior().labels(zones.grid.whole)
    out = np.stack([inside == k for k in range(len(zones.codes))]).astype(np.float64)
    edges = zones.edges
    np.add.at(out, (edges.zone, edges.row, edges.col), edges.fraction)
    return out


def wiggly_tessellation(
    bounds: tuple[float, float, float, float], number: int, *, seed: int, amplitude: float = 0.02
) -> list[shapely.Polygon]:
    """Polygons that fill a rectangle's inside and share winding borders exactly."""
    rng = np.random.default_rng(seed)
    west, south, east, north = bounds
    points = shapely.MultiPoint(rng.uniform((west, south), (east, north), (number, 2)))
    cells = shapely.get_parts(shapely.voronoi_polygons(points, extend_to=shapely.box(*bounds)))
    cells = shapely.intersection(cells, shapely.box(*bounds))
    # all coordinates pass through one smooth map, so that neighbours go on sharing theirs
    frequency = 12 / (east - west)
    size = amplitude * (east - west)

    def wind(xy: NDArray) -> NDArray:
        # rounded first: a vertex that two polygons reached from two sides is then one vertex
        x, y = np.round(xy, 9).T
        return np.column_stack(
            [
                np.round(x + size * np.sin(frequency * 3 * y) * np.cos(frequency * x), 9),
                np.round(y + size * np.sin(frequency * 4 * x + 1), 9),
            ]
        )

    dense = shapely.segmentize(cells, (east - west) / 60)
    return [p for p in shapely.transform(dense, wind) if not p.is_empty]


def slow_labels(polygons: Sequence[shapely.Geometry], grid: Grid, to_own: object = None) -> NDArray:
    """Labels by definition: every cell's centre against every polygon, the first that holds or touches it."""
    x, y = np.meshgrid(grid.x(np.arange(grid.width)), grid.y(np.arange(grid.height)))
    if to_own is not None:
        x, y = to_own.transform(x, y)
    labels = np.full(grid.shape, -1)
    for k in reversed(range(len(polygons))):
        shapely.prepare(polygons[k])
        labels[shapely.intersects_xy(polygons[k], x, y)] = k
    return labels


def slow_fractions(polygons: Sequence[shapely.Geometry], grid: Grid) -> NDArray:
    """Covered fractions by definition: every cell cut with every polygon, planar in the grid's CRS."""
    rows, cols = np.indices(grid.shape)
    x, y = grid.x(cols), grid.y(rows)
    w, h = grid.cell_size
    cells = shapely.box(x - w / 2, y - h / 2, x + w / 2, y + h / 2)
    return np.stack([shapely.area(shapely.intersection(cells, p)) / (w * h) for p in polygons])


def write_raster(
    path: Path,
    values: ArrayLike,
    grid: Grid | None = None,
    *,
    crs: object = "grid",
    transform: Affine | None = None,
    nodata: float | None = None,
    tags: dict[str, str] | None = None,
    **profile: object,
) -> Path:
    """Write an array with rasterio alone; `crs` and `transform` may be wrong on purpose."""
    values = np.asarray(values)
    bands = values if values.ndim == 3 else values[None]
    grid = grid or lonlat_grid(bands.shape[1:])
    with rasterio.open(
        path,
        "w",
        driver="GTiff",
        height=bands.shape[1],
        width=bands.shape[2],
        count=len(bands),
        dtype=bands.dtype,
        crs=grid.crs.to_wkt() if crs == "grid" else crs,
        transform=transform or grid.transform,
        nodata=nodata,
        **profile,
    ) as file:
        file.write(bands)
        if tags:
            file.update_tags(**tags)
    return path


def spoil_block(path: Path, column: int, row: int) -> None:
    """Overwrite the head of a compressed block, so that it cannot be decoded; the rest of the file stays whole."""
    with rasterio.open(path) as file:
        offset = int(file.get_tag_item(f"BLOCK_OFFSET_{column}_{row}", "TIFF", bidx=1))
    content = bytearray(path.read_bytes())
    content[offset : offset + 8] = b"\xff" * 8
    path.write_bytes(bytes(content))
