"""Make gcj02_region.geojson, where GCJ-02 differs from WGS 84, from Natural Earth's countries.

``python make_region.py countries-10m.json``, the file of the npm package world-atlas 2.0.2 (Natural Earth 4.1.0, 1:10
million, public domain). README-region.md beside this file tells what is done and how good the line is.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import shapely
from scipy.spatial import Voronoi

OUT = Path(__file__).with_name("gcj02_region.geojson")
PLANE = "+proj=aea +lat_1=25 +lat_2=47 +lat_0=36 +lon_0=105 +ellps=WGS84"  # metres
AROUND = shapely.box(68, 5, 140, 58)
STRIP_M = 24 * 1852.0  # of sea along the coast: it holds the islands the source lacks
COARSE, FINE = 0.002, 0.0002  # tolerances of simplification, degrees
# Land the source lacks, as discs: longitude, latitude, radius in metres. The sea is divided by the nearest land, so
# both sides need it where they face each other.
MAINLAND_LAND = {
    "Guishan": (113.82, 22.13, 2000),
    "Wailingding": (114.04, 22.11, 1500),
    "Neilingding": (113.80, 22.41, 1500),
    "Dangan": (114.27, 22.05, 3000),
    "Wuyu": (118.14, 24.33, 500),
}
OTHER_LAND = {
    "Cheung Chau": (114.03, 22.21, 1200),
    "Po Toi": (114.26, 22.17, 1200),
    "Tung Ping Chau": (114.43, 22.54, 600),
    "Lieyu": (118.237, 24.431, 2500),
    "Dadan": (118.165, 24.385, 500),
    "Nangan": (119.93, 26.155, 2000),
    "Beigan": (120.00, 26.22, 2000),
    "Gaodeng": (119.985, 26.275, 700),
    "Dongju": (119.97, 25.955, 1200),
    "Xiju": (119.94, 25.97, 1000),
    "Dongyin": (120.49, 26.37, 1500),
    "Wuqiu": (119.45, 24.99, 700),
}
# Shatoujiao, which the source gives to Hong Kong: points 1 to 5 of the boundary (State Council, Order 221 of 1997),
# then around the town.
SHATOUJIAO = shapely.Polygon(
    [
        *((114.22635, 22.54367), (114.22567, 22.54595), (114.22692, 22.54785), (114.22691, 22.54801)),
        *((114.20674, 22.55652), (114.207, 22.563), (114.238, 22.563), (114.238, 22.555), (114.23, 22.547)),
    ]
)
# Around Hong Kong and Macao, and around Kinmen, the line is kept finer.
FINE_BOXES = (shapely.box(113.3, 21.8, 114.7, 22.8), shapely.box(117.8, 24.2, 118.7, 24.8))


def polygons(geometry: Any) -> Any:
    """The polygons of a mended geometry; rounding in the source left a few lines in it."""
    parts = shapely.get_parts(shapely.get_parts(shapely.make_valid(geometry)))
    return shapely.union_all([part for part in parts if part.geom_type == "Polygon"])


def to_plane(geometry: Any, *, back: bool = False) -> Any:
    """A geometry in metres, or from metres back in degrees."""
    here, there = (PLANE, 4326) if back else (4326, PLANE)
    moved = gpd.GeoSeries([geometry], crs=here).to_crs(there).iloc[0]
    return moved if moved.is_valid else polygons(moved)


def discs(land: Mapping[str, tuple[float, float, float]]) -> Any:
    """Land as discs, metres."""
    return shapely.union_all([to_plane(shapely.Point(x, y)).buffer(radius) for x, y, radius in land.values()])


def nearer_to_others(mainland: Any, others: Any, sea: Any) -> Any:
    """The part of a sea that lies nearer to other land than to the mainland, by Voronoi cells of the two coasts."""
    around = sea.buffer(STRIP_M)
    coasts = []
    for land in (mainland, others):
        line = shapely.segmentize(shapely.intersection(land.boundary, around), 300)
        coasts.append(np.unique(shapely.get_coordinates(line), axis=0))
    cells = Voronoi(np.vstack([*coasts, _frame(around)]))
    first, last = len(coasts[0]), len(coasts[0]) + len(coasts[1])
    rings = [cells.vertices[cells.regions[cell]] for cell in cells.point_region[first:last]]
    return shapely.union_all([shapely.polygons(ring) for ring in rings])


def _frame(around: Any) -> Any:
    """Four far points, so that every cell of a coast is closed."""
    west, south, east, north = around.buffer(1e7).bounds
    return [[west, south], [west, north], [east, south], [east, north]]


def region(countries: gpd.GeoDataFrame) -> Any:
    """Mainland China, its islands, and the sea nearer to it than to others; degrees."""
    shapes = {
        name: polygons(shape).intersection(AROUND)
        for name, shape in zip(countries["name"], countries.geometry, strict=True)
        if shape is not None and shape.intersects(AROUND)
    }
    mainland = to_plane(shapes.pop("China").union(SHATOUJIAO)).union(discs(MAINLAND_LAND))
    others = to_plane(shapely.union_all(list(shapes.values()))).union(discs(OTHER_LAND)).difference(mainland)
    sea = mainland.buffer(STRIP_M).difference(shapely.union(mainland, others))
    facing = sea.intersection(others.buffer(2 * STRIP_M))
    whole = mainland.union(sea.difference(nearer_to_others(mainland, others, facing)))
    whole = to_plane(whole.difference(others).buffer(-1).buffer(1), back=True)
    near = shapely.union_all(FINE_BOXES)
    parts = (whole.difference(near).simplify(COARSE), whole.intersection(near).simplify(FINE))
    joined = shapely.set_precision(shapely.union_all([shapely.set_precision(part, 1e-4) for part in parts]), 1e-4)
    big = [part for part in shapely.get_parts(joined) if to_plane(part).area > 1e6]
    return shapely.multipolygons([shapely.Polygon(part.exterior, _lakes(part)) for part in big])


def _lakes(part: Any) -> list[Any]:
    """Holes that are land of others; slivers between two shores are filled."""
    return [ring for ring in part.interiors if to_plane(shapely.polygons(ring)).area > 1e5]


def main(source: str) -> None:
    """Write the region, with few decimals and no blanks."""
    made = shapely.normalize(region(gpd.read_file(source, layer="countries").set_crs(4326, allow_override=True)))
    OUT.write_text(shapely.to_geojson(made) + "\n", encoding="utf-8", newline="\n")
    sys.stdout.write(
        f"{OUT.name}: {shapely.get_num_coordinates(made)} vertices, {OUT.stat().st_size / 1000:.0f} kB\n"
    )


if __name__ == "__main__":
    main(sys.argv[1])
