"""Membership by centre against brute force: every cell's centre in every polygon."""

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from raster_factory import (
    ARC30,
    CHENGDU,
    MOLLWEIDE,
    UTM_48N,
    cell_box,
    cities,
    labelled,
    lonlat_grid,
    slow_labels,
    wiggly_tessellation,
)
from shapely import MultiPolygon, Polygon, box

from gistools.errors import BoundaryError
from gistools.grid import WGS84, Grid
from gistools.raster.zones import label_zones


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("cell", [ARC30, 0.0231])
def test_winding_tessellation_against_every_centre(seed, cell):
    polygons = wiggly_tessellation(CHENGDU, 12, seed=seed)
    grid = lonlat_grid((90, 110), cell=cell, west=103.5, north=30.25)
    zones, labels = labelled(polygons, grid)
    expected = slow_labels(polygons, grid)
    assert np.array_equal(labels, expected)
    assert zones.cells().tolist() == np.bincount(expected[expected >= 0], minlength=len(polygons)).tolist()
    assert zones.shared_cells == 0


def test_multipolygons_with_holes_and_enclaves():
    grid = lonlat_grid((60, 60))
    hole = box(104.1, 29.75, 104.2, 29.85)
    city = MultiPolygon(
        [
            box(104.02, 29.7, 104.25, 29.95).difference(hole),
            box(104.3, 29.55, 104.45, 29.6),
            box(104.12, 29.77, 104.14, 29.8),
        ]
    )
    enclave = hole.difference(box(104.12, 29.77, 104.14, 29.8))
    polygons = [city, enclave]
    _, labels = labelled(polygons, grid)
    assert np.array_equal(labels, slow_labels(polygons, grid))
    assert {0, 1, -1} == set(labels.ravel())


@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.floats(0.3, 3.0))
@settings(max_examples=40, deadline=None)
def test_random_triangles_and_lattices_against_every_centre(seed, number, scale):
    rng = np.random.default_rng(seed)
    grid = Grid(
        WGS84, Affine(scale, 0, rng.uniform(-3, 0), 0, -scale * rng.uniform(0.4, 1.5), rng.uniform(8, 10)), (13, 17)
    )
    points = shapely.MultiPoint(rng.uniform(0, 9, (number + 2, 2)))
    polygons = list(shapely.get_parts(shapely.delaunay_triangles(points)))
    _, labels = labelled(polygons, grid) if (slow_labels(polygons, grid) >= 0).any() else (None, None)
    if labels is not None:
        assert np.array_equal(labels, slow_labels(polygons, grid))


def test_centres_on_shared_borders_and_vertices_go_to_the_first_of_the_file():
    # borders run exactly through the centres of column 2 and row 2; the four meet in the centre of cell (2, 2)
    grid = Grid(WGS84, Affine(1, 0, 0, 0, -1, 5), (5, 5))
    quarters = {
        "nw": box(0, 2.5, 2.5, 5),
        "ne": box(2.5, 2.5, 5, 5),
        "sw": box(0, 0, 2.5, 2.5),
        "se": box(2.5, 0, 5, 2.5),
    }
    for order in (["nw", "ne", "sw", "se"], ["se", "sw", "ne", "nw"], ["ne", "nw", "se", "sw"]):
        polygons = [quarters[name] for name in order]
        zones, labels = labelled(polygons, grid)
        assert np.array_equal(labels, slow_labels(polygons, grid))
        assert labels[2, 2] == 0
        assert zones.cells().sum() == 25


def test_centres_on_slanted_borders_and_outer_edges_belong_to_the_polygon_that_touches_them():
    grid = Grid(WGS84, Affine(1, 0, 0, 0, -1, 6), (6, 6))
    # the diagonal passes through every centre of the diagonal; the square's edges run through centres too
    south_west = Polygon([(0.5, 5.5), (0.5, 0.5), (5.5, 0.5)])
    north_east = Polygon([(0.5, 5.5), (5.5, 5.5), (5.5, 0.5)])
    for polygons in ([south_west, north_east], [north_east, south_west]):
        _, labels = labelled(polygons, grid)
        assert np.array_equal(labels, slow_labels(polygons, grid))
        assert (labels >= 0).all()
        assert (np.diag(labels) == 0).all()


@pytest.mark.parametrize("offset", [0.0, 1e-9, -1e-9, 1e-5, -1e-5])
def test_borders_next_to_centres_are_decided_exactly(offset):
    grid = Grid(WGS84, Affine(ARC30, 0, 104, 0, -ARC30, 30), (40, 40))
    border = 104 + 17.5 * ARC30 + offset * ARC30
    polygons = [box(border, 29, 106, 31), box(103, 29, border, 31)]
    _, labels = labelled(polygons, grid)
    assert np.array_equal(labels, slow_labels(polygons, grid))


# ---------------------------------------------------------------- slivers and overlaps


def test_slivers_are_warned_about_and_the_first_wins():
    grid = lonlat_grid((100, 100))
    # both hold the centres of column 50 in three rows: 3 cells of 5000
    tooth = cell_box(grid, 10, 13, 50, 51)
    west, east = cell_box(grid, 0, 100, 0, 50), cell_box(grid, 0, 100, 50, 100)
    for polygons in ([shapely.union(west, tooth), east], [east, shapely.union(west, tooth)]):
        with pytest.warns(UserWarning, match="3 cell centres lie in two city polygons"):
            zones, labels = labelled(polygons, grid)
        assert zones.shared_cells == 3
        assert np.array_equal(labels, slow_labels(polygons, grid))
        assert (labels[10:13, 50] == 0).all()


@pytest.mark.parametrize(
    "polygons",
    [
        [(0, 60, 0, 40), (0, 60, 30, 60)],
        [(0, 60, 0, 60), (0, 60, 0, 60)],
        [(0, 60, 0, 60), (20, 40, 20, 40)],
        [(20, 40, 20, 40), (0, 60, 0, 60)],
    ],
    ids=["side", "identical", "contained", "containing"],
)
def test_overlaps_are_refused_and_both_are_named(polygons):
    grid = lonlat_grid((60, 60))
    shapes = [cell_box(grid, *p) for p in polygons]
    with pytest.raises(BoundaryError, match=r"city polygons overlap: 000001 and 000002 \(\d+ cells\); mend"):
        label_zones(cities(shapes), grid)


def test_of_several_overlaps_the_largest_are_named_first():
    grid = lonlat_grid((60, 60))
    shapes = [cell_box(grid, 0, 60, 0, 30), cell_box(grid, 0, 60, 28, 50), cell_box(grid, 0, 60, 40, 60)]
    with pytest.raises(
        BoundaryError, match=r"overlap: 000002 and 000003 \(600 cells\), 000001 and 000002 \(120 cells\);"
    ):
        label_zones(cities(shapes), grid)


# ---------------------------------------------------------------- other CRSs


@pytest.mark.parametrize(
    ("crs", "transform", "shape"),
    [
        (MOLLWEIDE, Affine(1000, 0, 9_430_000, 0, -1000, 3_680_000), (110, 120)),
        (MOLLWEIDE, Affine(250, 0, 9_520_000, 0, -250, 3_640_000), (120, 130)),
        (UTM_48N, Affine(1000, 0, 355_000, 0, -1000, 3_350_000), (100, 110)),
        (CRS.from_epsg(3857), Affine(1000, 0, 11_530_000, 0, -1000, 3_530_000), (100, 120)),
        (
            CRS.from_proj4("+proj=aea +lat_1=25 +lat_2=47 +lat_0=0 +lon_0=105 +datum=WGS84"),
            Affine(1000, 0, -140_000, 0, -1000, 3_190_000),
            (130, 110),
        ),
    ],
    ids=["mollweide-1km", "mollweide-250m", "utm", "web-mercator", "albers"],
)
@pytest.mark.parametrize("straight", [False, True])
def test_centres_are_tested_in_the_crs_of_the_boundaries(crs, transform, shape, straight):
    # straight: long edges, which are curves in the other CRS
    polygons = wiggly_tessellation(CHENGDU, 6, seed=1, amplitude=0.0 if straight else 0.02)
    if straight:
        polygons = [shapely.simplify(p, 1e-9) for p in polygons]
    grid = Grid(crs, transform, shape)
    to_own = Transformer.from_crs(crs, WGS84, always_xy=True)
    expected = slow_labels(polygons, grid, to_own)
    assert (expected >= 0).sum() > 2000
    zones = label_zones(cities(polygons), grid)
    assert np.array_equal(zones.labels(grid.whole), expected)


def test_boundaries_in_metres_over_a_grid_in_degrees():
    to_metres = Transformer.from_crs(4326, UTM_48N, always_xy=True)
    polygons = [
        shapely.transform(p, lambda xy: np.column_stack(to_metres.transform(*xy.T)))
        for p in wiggly_tessellation(CHENGDU, 8, seed=3)
    ]
    grid = lonlat_grid((100, 130), west=103.5, north=30.25)
    zones = label_zones(cities(polygons, crs=UTM_48N), grid)
    assert np.array_equal(zones.labels(grid.whole), slow_labels(polygons, grid, to_metres))


def test_geographic_crs_on_one_ellipsoid_count_as_one():
    polygons = wiggly_tessellation(CHENGDU, 5, seed=0)
    grid = lonlat_grid((60, 60), west=103.8)
    expected = label_zones(cities(polygons), grid).labels(grid.whole)
    assert np.array_equal(label_zones(cities(polygons, crs=4490), grid).labels(grid.whole), expected)
