"""Membership by coverage against brute force: every cell's covered fraction."""

import numpy as np
import pytest
import shapely
from affine import Affine
from raster_factory import (
    CHENGDU,
    UTM_48N,
    cell_box,
    cities,
    dense_fractions,
    lonlat_grid,
    slow_fractions,
    wiggly_tessellation,
)

from gistools.grid import Grid
from gistools.raster.zones import label_zones


@pytest.mark.parametrize("seed", range(3))
def test_fractions_against_every_cell_cut_with_every_polygon(seed):
    polygons = wiggly_tessellation(CHENGDU, 6, seed=seed)
    grid = lonlat_grid((50, 60), cell=0.02, west=103.5, north=30.3)
    zones = label_zones(cities(polygons), grid, assign="coverage")
    assert zones.assign == "coverage"
    # exactextract keeps fractions in 32 bits
    np.testing.assert_allclose(dense_fractions(zones), slow_fractions(polygons, grid), atol=3e-7)


def test_fractions_of_a_partition_add_up_to_the_dissolved_whole():
    polygons = wiggly_tessellation(CHENGDU, 10, seed=5)
    grid = lonlat_grid((90, 120), cell=0.01, west=103.5, north=30.3)
    parts = dense_fractions(label_zones(cities(polygons), grid, assign="coverage")).sum(axis=0)
    whole = dense_fractions(label_zones(cities([shapely.union_all(polygons)]), grid, assign="coverage"))[0]
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    by_part = label_zones(cities(polygons), grid, assign="coverage").area_km2().sum()
    as_one = label_zones(cities([shapely.union_all(polygons)]), grid, assign="coverage").area_km2().sum()
    assert by_part == pytest.approx(as_one, rel=1e-8)


def test_a_city_within_one_cell_has_its_fraction():
    grid = lonlat_grid((10, 10))
    zones = label_zones(cities([cell_box(grid, 2.6, 2.9, 2.6, 3.1)]), grid, assign="coverage")
    assert zones.cells().tolist() == [0]
    assert dense_fractions(zones)[0, 2, 2:4] == pytest.approx([0.3 * 0.4, 0.3 * 0.1], rel=1e-6)
    assert zones.area_km2()[0] == pytest.approx(0.15 * grid.cell_area_km2(grid.whole)[2, 0], rel=1e-6)
    assert zones.covered_cells()[0] == pytest.approx(0.15, rel=1e-6)


def test_an_all_but_whole_cell_beside_a_sliver_is_counted_once():
    # the sliver of the second city makes the cell an edge cell: the first city's share of nearly 1 must stay
    grid = lonlat_grid((10, 10))
    border = 5 + 1e-9
    zones = label_zones(
        cities([cell_box(grid, 0, 10, 0, border), cell_box(grid, 0, 10, border, 10)]), grid, assign="coverage"
    )
    weights = dense_fractions(zones)
    np.testing.assert_allclose(weights.sum(axis=0), 1.0, atol=1e-6)
    assert weights[0].sum() == pytest.approx(50, abs=1e-5)


def test_coverage_on_a_projected_grid_follows_the_geodesic_area_of_the_polygon():
    grid = Grid(UTM_48N, Affine(1000, 0, 355_000, 0, -1000, 3_350_000), (100, 110))
    polygons = wiggly_tessellation(CHENGDU, 5, seed=2)
    areas = label_zones(cities(polygons), grid, assign="coverage").area_km2()
    exact = [abs(grid_geod(p)) for p in polygons]
    # fractions are planar, areas of cells geodesic: the scale of UTM hardly changes within a cell
    np.testing.assert_allclose(areas, exact, rtol=2e-5)


def grid_geod(polygon):
    from gistools.grid import GEOD

    dense = shapely.segmentize(polygon, 0.001)
    return GEOD.geometry_area_perimeter(dense)[0] / 1e6
