"""Cells of circles against a geodesic of every cell, wherever the circle lies."""

import numpy as np
import pytest
from affine import Affine
from pyproj import CRS, Geod
from raster_factory import MOLLWEIDE, UTM_48N

from gistools.grid import WGS84, Grid
from gistools.raster import circles as module
from gistools.raster.circles import CellPlaces, Circles, earth_xyz, on_grid

GEOD = Geod(ellps="WGS84")
ARCTIC = CRS.from_epsg(3995)
RINGS = (5.0, 10.0, 20.0, 30.0, 50.0)


def slow(grid, lon0, lat0, rings, sectors):
    """Ring and sector of every cell by its own geodesic; -1 outside."""
    rows, cols = np.indices(grid.shape)
    lon, lat = grid.lonlat(rows, cols)
    start = np.full(lon.shape, lon0), np.full(lon.shape, lat0)
    azimuth, _, metres = GEOD.inv(*start, np.nan_to_num(lon), np.nan_to_num(lat))
    km = np.where(np.isfinite(lon), metres / 1000, np.inf)
    ring = np.full(grid.shape, -1)
    for k in reversed(range(len(rings))):
        ring[km <= rings[k]] = k
    sector = np.floor(((azimuth + 180 / sectors) % 360) / (360 / sectors)).astype(int) % sectors
    sector[km < 1e-6] = 0
    return ring, np.where(ring < 0, -1, sector)


def quick(grid, circles, rows=64, most=50_000):
    """Ring and sector of every cell of every circle, slab by slab; refuses a cell found twice."""
    ring = np.full((len(circles.lon), *grid.shape), -1)
    sector = ring.copy()
    for row in range(0, grid.height, rows):
        for piece in circles.pieces(grid, row, min(row + rows, grid.height), most):
            places = CellPlaces(grid, piece.window)
            w = piece.window
            for k, circle in enumerate(piece.circles):
                cell, r, s = circles.cells(places, piece, k)
                i, j = np.divmod(cell, w.col1 - w.col0)
                assert (ring[circle, i + w.row0, j + w.col0] == -1).all()
                ring[circle, i + w.row0, j + w.col0], sector[circle, i + w.row0, j + w.col0] = r, s
    return ring, sector


@pytest.mark.parametrize(
    ("grid", "lon", "lat"),
    [
        (
            Grid(WGS84, Affine(0.01, 0, 103, 0, -0.01, 31.5), (200, 250)),
            [104.06, 103.8, 103.001],
            [30.66, 30.7, 30.0],
        ),
        # both sides of the antimeridian, on a grid that spans the globe, and of which a column comes twice
        (Grid(WGS84, Affine(0.1, 0, -180, 0, -0.1, 68), (80, 3600)), [179.95, -179.8], [64.7, 66.0]),
        (Grid(WGS84, Affine(0.1, 0, -180.05, 0, -0.1, 68), (80, 3601)), [179.95, -179.8], [64.7, 66.0]),
        # around and beside the pole
        (Grid(WGS84, Affine(0.25, 0, -180, 0, -0.05, 90), (70, 1440)), [25.0, -120.0], [89.8, 88.9]),
        (Grid(ARCTIC, Affine(1500, 0, -9e4, 0, -1500, 9e4), (120, 120)), [25.0, -120.0], [89.9, 89.6]),
        (Grid(UTM_48N, Affine(700, 0, 3e5, 0, -700, 3.4e6), (200, 180)), [103.5, 104.1], [30.2, 30.4]),
        (Grid(MOLLWEIDE, Affine(1500, 0, 9.7e6, 0, -1500, 4.6e6), (130, 200)), [114.2, 112.0], [37.0, 36.7]),
        # beside the cut of the projection: a part of each circle lies at the other end of the map
        (Grid(MOLLWEIDE, Affine(9000, 0, -1.81e7, 0, -9000, 3e5), (70, 4023)), [179.9, -179.7], [0.2, -1.0]),
    ],
    ids=["degrees", "antimeridian", "doubled column", "pole", "polar map", "UTM", "Mollweide", "cut"],
)
def test_every_cell_is_in_the_ring_and_sector_of_its_geodesic(grid, lon, lat):
    for sectors in (8, 12):
        circles = Circles(np.array(lon, float), np.array(lat, float), RINGS, sectors)
        ring, sector = quick(grid, circles)
        for k in range(len(lon)):
            r, s = slow(grid, lon[k], lat[k], RINGS, sectors)
            if grid.is_geographic and grid.width * grid.cell_size[0] > 360.01:
                r[:, 3600:] = s[:, 3600:] = -1  # the doubled column counts once
            assert (r >= 0).any()
            assert (ring[k] == r).all()
            assert (sector[k] == s).all()


def test_edges_of_rings_and_sectors_are_decided_exactly():
    # a CBD on a cell's centre: cells due north, south, east and west lie on bounds of 4 sectors turned by half
    grid = Grid(WGS84, Affine(0.01, 0, 99.5 - 0.005, 0, -0.01, 0.5 + 0.005), (101, 101))
    lon, lat = grid.lonlat(*np.indices(grid.shape))
    _, _, metres = GEOD.inv(np.full(lon.shape, 100.0), np.zeros(lon.shape), lon, lat)
    km = metres / 1000
    # rings at the very distances of cells: a centre on the edge is inside
    rings = tuple(float(km[50, c]) for c in (52, 54, 56, 60))
    for sectors in (1, 2, 4, 8):
        circles = Circles(np.array([100.0]), np.array([0.0]), rings, sectors)
        ring, sector = quick(grid, circles)
        assert [ring[0, 50, c] for c in (52, 53, 54, 55, 56, 57, 60, 61)] == [0, 1, 1, 2, 2, 3, 3, -1]
        r, s = slow(grid, 100.0, 0.0, rings, sectors)
        assert (ring[0] == r).all()
        assert (sector[0] == s).all()
        assert sector[0, 50, 50] == 0  # the place itself counts as north
    # two sectors begin due west and due east: each holds its first azimuth
    circles = Circles(np.array([100.0]), np.array([0.0]), rings, 2)
    assert quick(grid, circles)[1][0, 50, [45, 55]].tolist() == [0, 1]


def test_bounds_hold_for_wide_circles():
    grid = Grid(WGS84, Affine(0.2, 0, 20, 0, -0.2, 60), (90, 120))
    circles = Circles(np.array([31.7]), np.array([50.3]), (100.0, 333.0, 800.0), 16)
    ring, sector = quick(grid, circles)
    r, s = slow(grid, 31.7, 50.3, (100.0, 333.0, 800.0), 16)
    assert (ring[0] == r).all()
    assert (sector[0] == s).all()


def test_only_windows_that_circles_touch_are_asked_for():
    grid = Grid(WGS84, Affine(1 / 120, 0, 70, 0, -1 / 120, 55), (4200, 7800))
    circles = Circles(np.array([104.06, 121.47]), np.array([30.66, 31.23]), (50.0,), 8)
    slabs = [(row, min(row + 256, grid.height)) for row in range(0, grid.height, 256)]
    windows = [piece.window for slab in slabs for piece in circles.pieces(grid, *slab, 500_000)]
    cells = sum((w.row1 - w.row0) * (w.col1 - w.col0) for w in windows)
    assert cells <= 2 * 3 * 4 * 64 * 64  # a circle of 100 km reaches a dozen blocks of some 50 km
    assert circles.pieces(grid, 0, 256, 500_000) == []


def test_areas_of_rings_are_those_of_geodesic_polygons():
    lat = np.array([0.0, 31.0, -60.0, 85.0])
    circles = Circles(np.full(4, 10.0), lat, (5.0, 50.0, 500.0), 8)
    area = circles.ring_area_km2().cumsum(axis=1)
    turn = np.arange(0, 360, 0.1)
    for k, y in enumerate(lat):
        for j, radius in enumerate(circles.rings):
            lon, at, _ = GEOD.fwd(np.full(3600, 10.0), np.full(3600, y), turn, np.full(3600, 1000 * radius))
            polygon = abs(GEOD.polygon_area_perimeter(lon, at)[0]) / 1e6
            angle = 2 * np.pi / 3600
            assert area[k, j] == pytest.approx(polygon * angle / np.sin(angle), rel=1e-8)


def test_part_beyond_the_grid():
    grid = Grid(WGS84, Affine(0.01, 0, 100, 0, -0.01, 1), (200, 200))
    lon, lat = np.array([101.0, 100.0, 100.0, 90.0]), np.array([0.0, 0.0, 1.0, 0.0])
    circles = Circles(lon, lat, (10.0, 20.0), 4)
    share = circles.share_beyond(grid)
    assert (share[0] == 0).all()
    # on the west edge: the western sector is out, the eastern in, the others by half
    np.testing.assert_allclose(share[1], [[0.5, 0.0, 0.5, 1.0]] * 2, atol=0.01)
    assert share[2].mean() == pytest.approx(0.75, abs=2e-3)
    assert (share[3] == 1).all()
    globe = Grid(WGS84, Affine(1, 0, -180, 0, -1, 80), (160, 360))
    assert (Circles(np.array([179.9]), np.array([10.0]), (50.0,), 4).share_beyond(globe) == 0).all()
    # around the pole, of which the grid lacks ten degrees
    assert (Circles(np.array([0.0]), np.array([89.9]), (50.0,), 4).share_beyond(globe) == 1).all()


def test_places_on_a_grid_of_any_turn():
    grid = Grid(WGS84, Affine(1, 0, 170, 0, -1, 10), (20, 20))
    assert on_grid(grid, np.array([175.0, -175.0, 169.0, -169.0]), np.zeros(4)).tolist() == [True, True, False, False]
    assert not on_grid(grid, np.array([175.0]), np.array([11.0]))[0]


def test_points_in_space():
    x, y, z = earth_xyz([0.0, 90.0, 0.0], [0.0, 0.0, 90.0])
    np.testing.assert_allclose([x, y, z], [[6378.137, 0, 0], [0, 6378.137, 0], [0, 0, 6356.752314245]], atol=1e-9)


def test_blocks_do_not_change_what_is_found(monkeypatch):
    grid = Grid(UTM_48N, Affine(900, 0, 3e5, 0, -900, 3.4e6), (150, 130))
    circles = Circles(np.array([103.5, 103.7]), np.array([30.2, 30.3]), RINGS, 8)
    before = quick(grid, circles)
    monkeypatch.setattr(module, "_BLOCK", 16)
    after = quick(grid, circles, rows=48, most=2_000)
    assert (before[0] == after[0]).all()
    assert (before[1] == after[1]).all()


def test_the_bound_of_a_sector_is_a_geodesic_and_not_a_normal_section():
    # around a point 900 km away on the first azimuth of sector 2 both pass metres apart through cells of one metre
    lon, lat, _ = GEOD.fwd(20.0, 30.0, 22.5, 900_000)
    cell = 1 / 111_000
    grid = Grid(WGS84, Affine(cell, 0, lon - 50 * cell, 0, -cell, lat + 50 * cell), (100, 100))
    _, sector = quick(grid, Circles(np.array([20.0]), np.array([30.0]), (1000.0,), 8))
    expected = slow(grid, 20.0, 30.0, (1000.0,), 8)[1]
    assert {0, 1} == set(np.unique(expected).tolist())
    assert (sector[0] == expected).all()
