"""Polygons in the CRS of a grid: what lies beyond it is measured, and what cannot be carried over lies outside."""

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS, Transformer
from raster_factory import MOLLWEIDE, cell_box, cities, labelled, lonlat_grid, slow_labels
from shapely import MultiPolygon, box

from gistools.grid import Grid
from gistools.raster.zones import label_zones


def test_polygons_partly_or_wholly_outside_are_measured():
    grid = lonlat_grid((60, 60))
    polygons = [cell_box(grid, 10, 30, -20, 20), cell_box(grid, 40, 70, 30, 50), cell_box(grid, 0, 9, 100, 110)]
    zones, labels = labelled(polygons, grid)
    assert np.array_equal(labels, slow_labels(polygons, grid))
    assert zones.outside_share == pytest.approx([0.5, 1 / 3, 1.0])
    assert zones.cells().tolist() == [400, 400, 0]


def test_a_hair_beyond_the_grid_is_not_outside():
    grid = lonlat_grid((10, 10))
    zones, _ = labelled([cell_box(grid, -5e-4, 10 + 5e-4, -5e-4, 10 + 5e-4)], grid)
    assert zones.outside_share.tolist() == [0.0]


@pytest.mark.parametrize("first", [True, False])
def test_polygons_beyond_the_domain_of_a_projection_lie_outside(first):
    # a world map's countries over a grid of one UTM zone: the far side has no coordinates there
    grid = Grid(CRS.from_epsg(32631), Affine(1000, 0, 300_000, 0, -1000, 5_600_000), (50, 50))
    near, far, around = box(0.5, 50.2, 0.8, 50.4), box(90, -60, 178, 60), box(-60, 50.1, 100, 50.15)
    polygons = [far, near, around] if first else [near, around, far]
    zones = label_zones(cities(polygons), grid)
    to_own = Transformer.from_crs(grid.crs, 4326, always_xy=True)
    assert np.array_equal(zones.labels(grid.whole), slow_labels(polygons, grid, to_own))
    k = polygons.index(far)
    assert zones.outside_share[k] == 1.0
    assert zones.outside_share[polygons.index(around)] > 0.99
    coverage = label_zones(cities(polygons), grid, assign="coverage")
    assert coverage.area_km2()[k] == 0.0
    assert coverage.area_km2()[polygons.index(near)] > 100


def test_a_world_grid_whose_corners_lie_outside_its_projection():
    grid = Grid(MOLLWEIDE, Affine(100_000, 0, -18_041_000, 0, -100_000, 9_000_000), (180, 361))
    fiji = MultiPolygon([box(175, -20, 180, -15), box(-180, -20, -175, -15)])
    zones = label_zones(cities([fiji, box(100, 20, 110, 30)]), grid)
    to_own = Transformer.from_crs(grid.crs, 4326, always_xy=True)
    rows, cols = np.nonzero(zones.labels(grid.whole) == 0)
    lon, lat = to_own.transform(grid.x(cols), grid.y(rows))
    assert len(rows) > 20
    assert ((np.abs(lon) >= 175) & (lat >= -20) & (lat <= -15)).all()
