"""The label grid against brute force: every cell's centre, every cell's covered fraction."""

import numpy as np
import pytest
import shapely
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Transformer
from raster_factory import (
    ARC30,
    MOLLWEIDE,
    UTM_48N,
    cell_box,
    cities,
    lonlat_grid,
    slow_fractions,
    slow_labels,
    wiggly_tessellation,
    zones_of,
)
from shapely import MultiPolygon, Polygon, box

from gistools.errors import BoundaryError, CrsError
from gistools.grid import WGS84, Grid, Window
from gistools.raster.zones import label_zones

CHENGDU = (103.6, 29.4, 104.6, 30.2)


def labelled(polygons, grid, **options):
    zones = label_zones(cities(polygons), grid, **options)
    return zones, zones.labels(grid.whole)


# ---------------------------------------------------------------- by centre, in the CRS of the boundaries


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


def test_no_polygon_on_the_grid_is_refused_with_both_extents():
    with pytest.raises(BoundaryError, match=r"none of the 1 polygons touches the grid .*4 to 5 east, 49 to 50 north"):
        label_zones(cities([box(4, 49, 5, 50)]), lonlat_grid((10, 10)))
    with pytest.raises(CrsError, match="no CRS"):
        label_zones(cities([box(4, 49, 5, 50)], crs=None), lonlat_grid((10, 10)))


def test_a_polygon_between_centres_has_no_cell():
    grid = lonlat_grid((10, 10))
    zones, labels = labelled([cell_box(grid, 2.6, 3.4, 2.6, 3.4), cell_box(grid, 5, 8, 5, 8)], grid)
    assert zones.cells().tolist() == [0, 9]
    assert (labels != 0).all()


def test_only_polygons_between_centres_leave_no_window():
    grid = lonlat_grid((10, 10))
    zones = label_zones(cities([cell_box(grid, 2.6, 3.4, 2.6, 3.4)]), grid)
    assert zones.window is None
    assert zones.area_km2().tolist() == [0.0]


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


# ---------------------------------------------------------------- by coverage


def dense_fractions(zones, shape):
    """Weights of every cell and city: whole interior cells and edge parts."""
    out = np.zeros((len(zones.codes), *shape))
    inside = zones.interior().labels(Window(0, shape[0], 0, shape[1]))
    for k in range(len(zones.codes)):
        out[k][inside == k] = 1.0
    edges = zones.edges
    np.add.at(out, (edges.zone, edges.row, edges.col), edges.fraction)
    return out


@pytest.mark.parametrize("seed", range(3))
def test_fractions_against_every_cell_cut_with_every_polygon(seed):
    polygons = wiggly_tessellation(CHENGDU, 6, seed=seed)
    grid = lonlat_grid((50, 60), cell=0.02, west=103.5, north=30.3)
    zones = label_zones(cities(polygons), grid, assign="coverage")
    assert zones.assign == "coverage"
    # exactextract keeps fractions in 32 bits
    np.testing.assert_allclose(dense_fractions(zones, grid.shape), slow_fractions(polygons, grid), atol=3e-7)


def test_fractions_of_a_partition_add_up_to_the_dissolved_whole():
    polygons = wiggly_tessellation(CHENGDU, 10, seed=5)
    grid = lonlat_grid((90, 120), cell=0.01, west=103.5, north=30.3)
    parts = dense_fractions(label_zones(cities(polygons), grid, assign="coverage"), grid.shape).sum(axis=0)
    whole = dense_fractions(label_zones(cities([shapely.union_all(polygons)]), grid, assign="coverage"), grid.shape)[
        0
    ]
    np.testing.assert_allclose(parts, whole, atol=1e-6)
    by_part = label_zones(cities(polygons), grid, assign="coverage").area_km2().sum()
    as_one = label_zones(cities([shapely.union_all(polygons)]), grid, assign="coverage").area_km2().sum()
    assert by_part == pytest.approx(as_one, rel=1e-8)


def test_a_city_within_one_cell_has_its_fraction():
    grid = lonlat_grid((10, 10))
    zones = label_zones(cities([cell_box(grid, 2.6, 2.9, 2.6, 3.1)]), grid, assign="coverage")
    assert zones.cells().tolist() == [0]
    assert dense_fractions(zones, grid.shape)[0, 2, 2:4] == pytest.approx([0.3 * 0.4, 0.3 * 0.1], rel=1e-6)
    assert zones.area_km2()[0] == pytest.approx(0.15 * grid.cell_area_km2(grid.whole)[2, 0], rel=1e-6)
    assert zones.covered_cells()[0] == pytest.approx(0.15, rel=1e-6)


def test_an_all_but_whole_cell_beside_a_sliver_is_counted_once():
    # the sliver of the second city makes the cell an edge cell: the first city's share of nearly 1 must stay
    grid = lonlat_grid((10, 10))
    border = 5 + 1e-9
    zones = label_zones(
        cities([cell_box(grid, 0, 10, 0, border), cell_box(grid, 0, 10, border, 10)]), grid, assign="coverage"
    )
    weights = dense_fractions(zones, grid.shape)
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


# ---------------------------------------------------------------- runs as a value

LABELS = st.integers(1, 9).flatmap(
    lambda h: st.integers(1, 12).flatmap(
        lambda w: st.lists(st.lists(st.integers(-1, 3), min_size=w, max_size=w), min_size=h, max_size=h)
    )
)


@st.composite
def partitions(draw):
    """Labels and fractions that agree: edge cells are shared between cities, the others are whole."""
    labels = np.array(draw(LABELS))
    seed = draw(st.integers(0, 2**31))
    rng = np.random.default_rng(seed)
    fractions = np.stack([(labels == k).astype(float) for k in range(4)])
    edge = rng.random(labels.shape) < draw(st.floats(0, 1))
    shares = rng.dirichlet(np.ones(5), labels.shape)[..., :4]
    shares *= rng.random(shares.shape) < 0.6
    for k in range(4):
        fractions[k][edge] = shares[..., k][edge]
    return labels, fractions


@given(LABELS, st.data())
@settings(max_examples=60, deadline=None)
def test_runs_expand_to_the_labels_they_were_made_of(labels, data):
    labels = np.array(labels)
    grid = lonlat_grid(labels.shape)
    zones = zones_of(labels, grid)
    row0 = data.draw(st.integers(0, labels.shape[0] - 1))
    row1 = data.draw(st.integers(row0 + 1, labels.shape[0]))
    col0 = data.draw(st.integers(0, labels.shape[1] - 1))
    col1 = data.draw(st.integers(col0 + 1, labels.shape[1]))
    assert np.array_equal(zones.labels(Window(row0, row1, col0, col1)), labels[row0:row1, col0:col1])
    if (labels >= 0).any():
        rows, cols = np.nonzero(labels >= 0)
        assert zones.window == Window(rows.min(), rows.max() + 1, cols.min(), cols.max() + 1)
    else:
        assert zones.window is None
    slab = zones.slab(row0, row1)
    assert np.array_equal(slab.row, zones.row[(zones.row >= row0) & (zones.row < row1)])


@given(partitions())
@settings(max_examples=80, deadline=None)
def test_interior_and_edge_cells_part_the_grid(case):
    labels, fractions = case
    grid = lonlat_grid(labels.shape)
    zones = zones_of(labels, grid, fractions)
    inner = zones.interior()
    edge = np.zeros(labels.shape, bool)
    edge[zones.edges.row, zones.edges.col] = True
    # interior runs hold exactly the labelled cells that are no edge cells, in order and apart
    assert np.array_equal(inner.labels(grid.whole), np.where(edge, -1, labels))
    flat = inner.row.astype(int) * grid.width
    assert (np.diff(flat + inner.start) > 0).all()
    assert (inner.start < inner.stop).all()
    np.testing.assert_allclose(dense_fractions(zones, grid.shape)[:, edge], fractions[:, edge], rtol=1e-15)
    np.testing.assert_allclose(
        zones.covered_cells(), np.where(edge, fractions, labels == np.arange(4)[:, None, None]).sum((1, 2))
    )
    area = grid.cell_area_km2(grid.whole)
    np.testing.assert_allclose(
        zones.area_km2(), (dense_fractions(zones, grid.shape) * area).sum(axis=(1, 2)), rtol=1e-12
    )


def test_area_of_a_projected_label_grid_is_the_sum_of_its_cells():
    grid = Grid(MOLLWEIDE, Affine(1000, 0, 9_430_000, 0, -1000, 3_680_000), (300, 20))
    labels = np.random.default_rng(0).integers(-1, 3, grid.shape)
    area = grid.cell_area_km2(grid.whole)
    np.testing.assert_allclose(
        zones_of(labels, grid).area_km2(), [area[labels == k].sum() for k in range(3)], rtol=1e-12
    )


def test_boundaries_are_not_changed():
    table = cities(wiggly_tessellation(CHENGDU, 5, seed=0))
    before = table.copy(deep=True)
    label_zones(table, Grid(UTM_48N, Affine(1000, 0, 355_000, 0, -1000, 3_350_000), (100, 110)), assign="coverage")
    assert table.geom_equals_exact(before, 0).all()
