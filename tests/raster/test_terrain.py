"""Slope against analytic surfaces, an independent Horn formula, and geodesics on maps that are not true to scale."""

import doctest
import pickle
from pathlib import Path

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS, Geod
from raster_factory import MOLLWEIDE, UTM_48N, lonlat_grid, source

from gistools.errors import InputError
from gistools.grid import WGS84, Grid, Window
from gistools.raster import terrain
from gistools.raster.tasks import Execution
from gistools.raster.terrain import meridian_arc_m, read_with_halo, slope, slope_blocks, step_metric, turn_cells

GEOD = Geod(ellps="WGS84")
# a map that is true to scale along its equator, to a millionth within a few km
NEAR_TRUE = CRS.from_proj4("+proj=tmerc +lon_0=0 +k=1 +ellps=WGS84 +datum=WGS84")


def true_grid(shape, cell=(30.0, 30.0)):
    """Cells around the origin of a transverse Mercator map, where its scale is 1 to 1e-9."""
    return Grid(NEAR_TRUE, Affine(cell[0], 0, -cell[0] * shape[1] / 2, 0, -cell[1], cell[1] * shape[0] / 2), shape)


def horn(z, dx, dy):
    """Horn (1981) on a plane, cell by cell, for the inner cells: percent."""
    out = np.full(z.shape, np.nan)
    for i in range(1, z.shape[0] - 1):
        for j in range(1, z.shape[1] - 1):
            a, b, c, d, _, f, g, h, k = z[i - 1 : i + 2, j - 1 : j + 2].ravel()
            p = ((c + 2 * f + k) - (a + 2 * d + g)) / (8 * dx)
            q = ((g + 2 * h + k) - (a + 2 * b + c)) / (8 * dy)
            out[i, j] = 100 * np.hypot(p, q)
    return out


def all_of(dem, **options):
    return slope(dem, **options).read(dem.grid.whole)


@pytest.mark.parametrize("cell", [(30.0, 30.0), (10.0, 40.0)])
@pytest.mark.parametrize(("east", "north"), [(0.3, 0.0), (0.0, -0.15), (0.3, 0.4)])
def test_planes_are_exact_edges_and_corners_too(cell, east, north):
    grid = true_grid((9, 12), cell)
    x, y = np.meshgrid(grid.x(np.arange(12)), grid.y(np.arange(9)))
    block = all_of(source(100 + east * x + north * y, grid))
    assert block.valid is None
    np.testing.assert_allclose(block.values, 100 * np.hypot(east, north), rtol=1e-7)
    degrees = all_of(source(100 + east * x + north * y, grid), units="degrees").values
    np.testing.assert_allclose(degrees, np.rad2deg(np.arctan(np.hypot(east, north))), rtol=1e-7)


def test_a_rough_surface_agrees_with_horn_cell_by_cell():
    grid = true_grid((40, 50), (20.0, 30.0))
    z = np.random.default_rng(1).normal(0, 10, grid.shape)
    mine, plain = all_of(source(z, grid)).values, horn(z, 20.0, 30.0)
    np.testing.assert_allclose(mine[1:-1, 1:-1], plain[1:-1, 1:-1], rtol=1e-7)


def test_cone_and_paraboloid():
    grid = true_grid((101, 101), (10.0, 10.0))
    x, y = np.meshgrid(grid.x(np.arange(101)), grid.y(np.arange(101)))
    radius = np.hypot(x, y)
    cone = all_of(source(500 - 0.25 * radius, grid)).values
    far = (radius > 200) & (np.maximum(np.abs(x), np.abs(y)) < 495)  # differences at the edge are one-sided
    # straight along its slope and curved across it: the differences err by the square of step over radius
    np.testing.assert_allclose(cone[far], 25.0, rtol=2e-3)
    assert cone[50, 50] == 0.0
    bowl = all_of(source(radius**2 / 2000, grid)).values
    # Horn's differences are exact for a quadratic, but at the edge of the grid
    np.testing.assert_allclose(bowl[1:-1, 1:-1], 100 * radius[1:-1, 1:-1] / 1000, rtol=1e-7, atol=1e-6)


@pytest.mark.parametrize("latitude", [0.0, 30.0, 60.0, -75.0])
def test_degrees_are_measured_on_the_ground(latitude):
    cell = 1 / 3600
    grid = lonlat_grid((21, 21), cell=cell, west=104.0, north=latitude + 10.5 * cell)
    lon, lat = np.meshgrid(grid.x(np.arange(21)), grid.y(np.arange(21)))
    _, _, east = GEOD.inv(104.0 + 0 * lon, lat, lon, lat)
    _, _, north = GEOD.inv(lon, latitude - 0.01 + 0 * lat, lon, lat)
    middle = 10, 10
    for z, expected in ((0.2 * east, 20.0), (0.2 * north, 20.0)):
        assert all_of(source(z, grid)).values[middle] == pytest.approx(expected, rel=2e-6)
    if abs(latitude) > 20:  # what a formula with square cells would give, wrong by the cosine of the latitude
        square = horn(0.2 * east, 111_320 * cell, 111_320 * cell)[middle]
        assert square == pytest.approx(20.0 * np.cos(np.deg2rad(latitude)), rel=0.01)


@pytest.mark.parametrize(
    ("crs", "west", "north", "cell"),
    [
        (UTM_48N, 250_000, 4_000_000, 30.0),
        (CRS.from_epsg(3857), 11_500_000, 8_000_000, 100.0),  # scale 1.8
        (MOLLWEIDE, 8_000_000, 6_000_000, 500.0),  # sheared and stretched
        (CRS.from_user_input("ESRI:54008"), 9_000_000, 5_000_000, 500.0),  # sinusoidal, as MODIS is
        (CRS.from_epsg(3995), 1_000_000, -500_000, 250.0),  # polar stereographic
        (CRS.from_epsg(2263), 950_000, 250_000, 100.0),  # feet
    ],
)
def test_maps_that_are_not_true_to_scale_give_the_slope_of_the_ground(crs, west, north, cell):
    grid = Grid(crs, Affine(cell, 0, west, 0, -cell, north), (9, 9))
    rows, cols = np.indices(grid.shape)
    lon, lat = grid.lonlat(rows, cols)
    # heights that rise by 12 % in one true direction, from geodesics of the middle cell
    azimuth, _, metres = GEOD.inv(np.full(lon.shape, lon[4, 4]), np.full(lon.shape, lat[4, 4]), lon, lat)
    for direction in (0.0, 57.0, 90.0, 200.0):
        z = 1000 + 0.12 * metres * np.cos(np.deg2rad(azimuth - direction))
        assert all_of(source(z, grid)).values[4, 4] == pytest.approx(12.0, rel=1e-6)


def test_the_metric_between_nodes_is_that_of_the_cells():
    for crs, west, north, cell in ((UTM_48N, 100_000, 4e6, 30.0), (MOLLWEIDE, 9e6, 6e6, 1000.0)):
        grid = Grid(crs, Affine(cell, 0, west, 0, -cell, north), (300, 300))
        window = Window(37, 141, 150, 290)
        rows, cols = np.meshgrid(np.arange(37, 141), np.arange(150, 290), indexing="ij")
        mine = step_metric(grid, window, np.ones(window.shape, bool))
        for ours, measured in zip(mine, terrain._measured(grid, rows, cols), strict=True):
            np.testing.assert_allclose(ours, measured, rtol=1e-6, atol=1e-6 * cell**2)


def test_meridian_arc_against_geodesics():
    latitude = np.array([-90.0, -33.3, 0.0, 45.0, 89.9])
    _, _, metres = GEOD.inv(np.zeros(5), np.zeros(5), np.zeros(5), latitude)
    np.testing.assert_allclose(meridian_arc_m(latitude), np.sign(latitude) * metres, rtol=1e-13, atol=1e-8)


def test_missing_neighbours_by_both_rules():
    grid = true_grid((5, 6))
    x, _ = np.meshgrid(grid.x(np.arange(6)), grid.y(np.arange(5)))
    z = 0.2 * x
    z[2, 3] = np.nan
    dem = source(z, grid)
    kept = all_of(dem)
    assert kept.valid is not None
    assert (~kept.valid).sum() == 1
    np.testing.assert_allclose(kept.values[kept.valid], 20.0, rtol=1e-7)  # a plane stays one across the gap
    whole = slope(dem).of(read_with_halo(dem, grid.whole), grid.whole)
    inner = np.zeros(grid.shape, bool)
    inner[1:-1, 1:-1] = True
    inner[1:4, 2:5] = False
    assert (whole.incomplete == ~inner & ~np.isnan(z)).all()
    strict = all_of(dem, edges="missing")
    assert strict.valid is not None
    assert (strict.valid == inner).all()


def test_what_stands_for_neighbours_on_no_side():
    grid = true_grid((3, 3), (10.0, 10.0))
    z = np.full((3, 3), np.nan)
    z[1, 1], z[1, 2] = 5.0, 7.0  # level north and south, and 2 m in 10 east; the corners follow
    assert all_of(source(z, grid)).values[1, 1] == pytest.approx(20.0, rel=1e-7)
    z[0, 1] = 8.0
    assert all_of(source(z, grid)).values[1, 1] == pytest.approx(100 * np.hypot(0.2, 0.3), rel=1e-7)
    z[1, 2] = z[0, 1] = np.nan
    z[0, 2] = 6.0  # a corner alone, and its opposite on the line through it
    assert all_of(source(z, grid)).values[1, 1] == pytest.approx(100 * np.hypot(2, 2) / 80, rel=1e-7)
    z[0, 2] = np.nan
    assert all_of(source(z, grid)).values[1, 1] == 0.0


def test_no_data_of_any_size_spoils_nothing():
    grid = true_grid((6, 6))
    z = np.full((6, 6), 3, np.int16)
    valid = np.ones((6, 6), bool)
    z[0, 0], valid[0, 0] = -32768, False
    assert (all_of(source(z, grid, valid)).values[valid] == 0).all()


def test_a_globe_is_joined_at_the_antimeridian():
    for extra in (0, 1):  # the second has its first and last column on one meridian
        grid = Grid(WGS84, Affine(2.0, 0, -180.0 - extra, 0, -2.0, 10.0), (10, 180 + extra))
        assert turn_cells(grid) == 180
        lon, lat = np.meshgrid(grid.x(np.arange(180 + extra)), grid.y(np.arange(10)))
        z = 5e4 * np.sin(np.deg2rad(lon)) * np.cos(np.deg2rad(lat))
        shifted = Grid(WGS84, Affine(2.0, 0, 0.0 - extra, 0, -2.0, 10.0), (10, 180 + extra))
        lon, lat = np.meshgrid(shifted.x(np.arange(180 + extra)), shifted.y(np.arange(10)))
        other = all_of(source(5e4 * np.sin(np.deg2rad(lon)) * np.cos(np.deg2rad(lat)), shifted)).values
        mine = all_of(source(z, grid)).values
        np.testing.assert_allclose(mine[:, 0], other[:, 90], rtol=1e-9)
        np.testing.assert_allclose(mine[:, 179], other[:, 89], rtol=1e-9)
    assert turn_cells(lonlat_grid((4, 100))) is None
    assert turn_cells(true_grid((3, 3))) is None


def test_no_slope_at_a_pole():
    grid = Grid(WGS84, Affine(10.0, 0, -180.0, 0, -10.0, 95.0), (3, 36))
    block = all_of(source(np.zeros((3, 36)), grid))
    assert block.valid is not None
    assert block.valid.tolist() == [[False] * 36, [True] * 36, [True] * 36]


def test_cells_beyond_the_rim_of_a_projection_have_no_slope():
    grid = Grid(MOLLWEIDE, Affine(50_000, 0, 17_000_000, 0, -50_000, 1_500_000), (40, 40))
    lon, _ = grid.lonlat(*np.indices(grid.shape))
    block = all_of(source(np.zeros(grid.shape), grid))
    assert block.valid is not None
    assert not block.valid[np.isnan(lon)].any()
    assert block.valid[:, :10].all()
    # within one cell of the rim a neighbour cannot be measured; everywhere else it is
    lost = ~block.valid & np.isfinite(lon)
    assert 0 < lost.sum() <= 80


def test_feet_become_metres():
    grid = true_grid((5, 5), (30.0, 30.0))
    x, _ = np.meshgrid(grid.x(np.arange(5)), grid.y(np.arange(5)))
    block = all_of(source(0.1 * x / 0.3048, grid), z_factor=0.3048)
    np.testing.assert_allclose(block.values, 10.0, rtol=1e-7)


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 60), st.integers(1, 60), st.integers(0, 60), st.integers(1, 60), st.booleans())
def test_any_window_has_the_bits_of_the_whole(row0, rows, col0, cols, projected):
    grid = Grid(UTM_48N, Affine(250.0, 0, 2e5, 0, -250.0, 4e6), (64, 64)) if projected else lonlat_grid((64, 64))
    rng = np.random.default_rng(7)
    dem = source(rng.normal(100, 30, (64, 64)), grid, rng.random((64, 64)) > 0.05)
    window = Window(row0, min(row0 + rows, 64), col0, min(col0 + cols, 64))
    whole, part = all_of(dem), slope(dem).read(window)
    here = (slice(window.row0, window.row1), slice(window.col0, window.col1))
    assert (part.is_valid() == whole.is_valid()[here]).all()
    assert (part.values[part.is_valid()] == whole.values[here][part.is_valid()]).all()


def test_blocks_put_together_are_the_whole(monkeypatch):
    dem = source(np.random.default_rng(3).normal(0, 50, (200, 40)), lonlat_grid((200, 40)))
    monkeypatch.setattr(terrain, "_BLOCK_ROWS", 64)
    said = []
    blocks = list(slope_blocks(slope(dem), execution=Execution(workers=2), progress=lambda *of: said.append(of)))
    assert [window.row0 for window, _ in blocks] == [0, 64, 128, 192]
    assert (np.vstack([block.values for _, block in blocks]) == all_of(dem).values).all()
    assert said == [(1, 4), (2, 4), (3, 4), (4, 4)]


def test_the_source_travels_to_workers_and_names_itself():
    dem = source(np.zeros((3, 3)), name="dem.tif")
    assert slope(dem).name == "the slope of dem.tif"
    assert pickle.loads(pickle.dumps(slope(dem))).read(Window(0, 3, 0, 3)).values.sum() == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"units": "radians"}, "units is 'radians'"),
        ({"edges": "copy"}, "edges is 'copy'"),
        ({"z_factor": 0}, "z_factor"),
    ],
)
def test_wrong_options_are_refused(options, said):
    with pytest.raises(InputError, match=said):
        slope(source(np.zeros((3, 3))), **options)


def test_the_worked_check_of_the_docs():
    page = Path(__file__).parents[2] / "docs" / "methods" / "terrain.md"
    failed, tried = doctest.testfile(str(page), module_relative=False)
    assert (failed, tried) == (0, 10)
