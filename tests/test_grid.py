"""Grids as values: lattices, geodesic areas and distances, sources over arrays."""

import pickle

import numpy as np
import pytest
import rioxarray  # noqa: F401  (registers the accessor)
import xarray as xr
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import CRS
from raster_factory import ARC30, MOLLWEIDE, UTM_48N, lonlat_grid, source

from gistools.errors import CrsError, GridError
from gistools.grid import GEOD, WGS84, ArraySource, Grid, GridSource, Product, Window, geodesic_km, grid_of, same_crs

# PROJ's geodesic polygon areas are good to a tenth of a square metre for cells of kilometres
PROJ_NOISE_KM2 = 1e-7


def geod_area_km2(lon, lat):
    return abs(GEOD.polygon_area_perimeter(lon, lat)[0]) / 1e6


@pytest.mark.parametrize("row", [0, 1000, 5000, 9000, 10800, 14000, 21599])
@pytest.mark.parametrize("cell", [ARC30, ARC30 / 2, 0.05])
def test_lonlat_cell_area_is_that_of_a_densely_drawn_geodesic_polygon(row, cell):
    height = round(180 / cell)
    grid = Grid(WGS84, Affine(cell, 0, -180, 0, -cell, 90), (height, 1))
    row = min(row, height - 1)
    north, south = 90 - row * cell, 90 - (row + 1) * cell
    # parallels are no geodesics: drawn with many points they are, to the square of the step
    lon = np.linspace(0, cell, 400)
    area = geod_area_km2(np.r_[lon, lon[::-1]], np.r_[np.full(400, south), np.full(400, north)])
    got = grid.cell_area_km2(Window(row, row + 1, 0, 1))[0, 0]
    assert got == pytest.approx(area, abs=2 * PROJ_NOISE_KM2, rel=1e-9)
    assert grid.cell_area_km2_at([row], [0])[0] == got


def test_lonlat_cells_fill_the_ellipsoid():
    grid = Grid(WGS84, Affine(0.25, 0, -180, 0, -0.25, 90), (720, 1440))
    # 4 pi times the square of the authalic radius, 6371007.180918 m (Snyder 1987, WGS 84)
    assert grid.cell_area_km2(grid.whole).sum() * 1440 == pytest.approx(4 * np.pi * 6371.007180918**2, rel=1e-11)


@given(st.floats(-89, 88), st.integers(1, 40))
@settings(max_examples=40, deadline=None)
def test_areas_of_fine_cells_add_up_to_the_coarse_cell(south, parts):
    coarse = Grid(WGS84, Affine(1.0, 0, 0, 0, -1.0, south + 1), (1, 1))
    fine = Grid(WGS84, Affine(1 / parts, 0, 0, 0, -1 / parts, south + 1), (parts, parts))
    assert fine.cell_area_km2(fine.whole).sum() * parts == pytest.approx(
        coarse.cell_area_km2(coarse.whole)[0, 0], rel=1e-10
    )


@pytest.mark.parametrize(
    ("crs", "transform"),
    [
        (MOLLWEIDE, Affine(250, 0, 436750, 0, -250, 5892750)),
        (MOLLWEIDE, Affine(1000, 0, 9_500_000, 0, -1000, 3_600_000)),
        (UTM_48N, Affine(1000, 0, 250_000, 0, -1000, 3_400_000)),
        (CRS.from_epsg(3035), Affine(1000, 0, 4_000_000, 0, -1000, 3_000_000)),
    ],
)
def test_projected_cell_area_is_that_of_the_geodesic_quadrilateral(crs, transform):
    grid = Grid(crs, transform, (7, 9))
    areas = grid.cell_area_km2(grid.whole)
    assert areas.shape == (7, 9)
    for r, c in [(0, 0), (3, 4), (6, 8)]:
        x = transform.c + transform.a * np.array([c, c, c + 1, c + 1])
        y = transform.f + transform.e * np.array([r, r + 1, r + 1, r])
        lon, lat = grid.to_wgs84(x, y)
        assert areas[r, c] == pytest.approx(geod_area_km2(lon, lat), abs=2e-10)
        assert grid.cell_area_km2_at([r], [c])[0] == pytest.approx(areas[r, c], rel=1e-13)


def test_mollweide_planar_area_would_be_wrong_on_the_ellipsoid():
    grid = Grid(MOLLWEIDE, Affine(1000, 0, 436_000, 0, -1000, 5_890_000), (1, 1))
    assert 0.001 < abs(grid.cell_area_km2(grid.whole)[0, 0] - 1.0) < 0.007


def test_cells_beyond_the_domain_of_a_projection_have_no_area():
    grid = Grid(MOLLWEIDE, Affine(100_000, 0, -18_041_000, 0, -100_000, 9_020_000), (3, 4))
    assert np.isnan(grid.cell_area_km2(grid.whole)).all()


def test_cell_across_the_antimeridian_goes_the_short_way():
    crs = CRS.from_proj4("+proj=merc +lon_0=180 +datum=WGS84")
    grid = Grid(crs, Affine(2000, 0, -1000, 0, -2000, 1000), (1, 1))
    lon, _ = grid.to_wgs84([-1000, 1000], [0, 0])
    assert lon[0] > 179 > -179 > lon[1]
    assert grid.cell_area_km2(grid.whole)[0, 0] == pytest.approx(4.0, rel=0.01)


def test_geodesic_distance_of_a_published_pair():
    # Flinders Peak to Buninyong, Geodetic Datum of Australia technical manual: 54,972.271 m on GRS 80, whose
    # semi-minor axis differs from that of WGS 84 by 0.1 mm
    lon = 144 + 25 / 60 + 29.52440 / 3600, 143 + 55 / 60 + 35.38390 / 3600
    lat = -(37 + 57 / 60 + 3.72030 / 3600), -(37 + 39 / 60 + 10.15610 / 3600)
    assert float(geodesic_km(lon[0], lat[0], lon[1], lat[1])) == pytest.approx(54.972271, abs=1e-6)
    assert np.isnan(geodesic_km(np.nan, 0, 1, 1))


def test_centres_and_fractional_positions_are_inverse():
    grid = lonlat_grid((5, 7))
    assert grid.x(0) == pytest.approx(104 + ARC30 / 2)
    assert grid.y(4) == pytest.approx(30 - 4.5 * ARC30)
    np.testing.assert_allclose(grid.col(grid.x(np.arange(7))), np.arange(7) + 0.5, atol=1e-9)
    np.testing.assert_allclose(grid.row(grid.y(np.arange(5))), np.arange(5) + 0.5, atol=1e-9)
    assert grid.bounds == pytest.approx((104, 30 - 5 * ARC30, 104 + 7 * ARC30, 30))


def test_lonlat_of_projected_centres_is_what_proj_gives():
    grid = Grid(UTM_48N, Affine(1000, 0, 500_000, 0, -1000, 3_320_000), (3, 3))
    lon, lat = grid.lonlat([1], [1])
    # x = 501,500 lies 1.5 km east of the central meridian, 105 degrees east
    assert float(geodesic_km(105.0, lat[0], lon[0], lat[0])) == pytest.approx(1.5 / 0.9996, rel=1e-6)


def test_crop_and_windows():
    grid = lonlat_grid((10, 20))
    part = grid.crop(Window(2, 5, 3, 9))
    assert part.shape == (3, 6)
    assert part.x(0) == pytest.approx(grid.x(3))
    assert part.y(0) == pytest.approx(grid.y(2))
    west, south, east, north = part.bounds
    inner = (west + 1e-6, south + 1e-6, east - 1e-6, north - 1e-6)
    assert grid.window_of(inner) == Window(2, 5, 3, 9)
    assert grid.window_of((0, 0, 360, 80)) == grid.whole
    assert grid.window_of((0, 0, 1, 1)) is None


@pytest.mark.parametrize(
    ("transform", "shape"),
    [
        (Affine(1, 0.1, 0, 0, -1, 0), (2, 2)),
        (Affine(1, 0, 0, 0.1, -1, 0), (2, 2)),
        (Affine(1, 0, 0, 0, 1, 0), (2, 2)),
        (Affine(-1, 0, 0, 0, -1, 0), (2, 2)),
        (Affine(1, 0, 0, 0, -1, 0), (0, 2)),
    ],
)
def test_rotated_south_up_and_empty_grids_are_refused(transform, shape):
    with pytest.raises(GridError, match=r"rotated|no cells"):
        Grid(WGS84, transform, shape)


def test_truncated_pixel_size_is_still_the_same_lattice():
    # the size that DMSP files carry drifts by 1.7e-4 of a cell over their 43,201 columns
    exact = Grid(WGS84, Affine(1 / 120, 0, -180, 0, -1 / 120, 75), (16801, 43201))
    cut = Grid(WGS84, Affine(0.0083333333, 0, -180, 0, -0.0083333333, 75), (16801, 43201))
    assert exact.same_as(cut)
    assert cut.same_as(exact)


@pytest.mark.parametrize(
    "other",
    [
        Grid(WGS84, Affine(1 / 120, 0, -180 + 1 / 240, 0, -1 / 120, 75), (100, 100)),
        Grid(WGS84, Affine(1 / 120, 0, -180, 0, -1 / 120, 75 + 2e-3 / 120), (100, 100)),
        Grid(WGS84, Affine(1 / 120, 0, -180, 0, -1 / 120, 75), (100, 101)),
        Grid(WGS84, Affine(1.001 / 120, 0, -180, 0, -1 / 120, 75), (100, 100)),
        Grid(UTM_48N, Affine(1 / 120, 0, -180, 0, -1 / 120, 75), (100, 100)),
    ],
)
def test_other_lattices_are_not_the_same(other):
    grid = Grid(WGS84, Affine(1 / 120, 0, -180, 0, -1 / 120, 75), (100, 100))
    assert not grid.same_as(other)


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        (4326, "OGC:CRS84", True),
        (4326, 4490, True),  # CGCS2000
        (4326, 4269, True),  # NAD83
        (4326, 4258, True),  # ETRS89
        (4326, 4214, False),  # Beijing 1954, another ellipsoid
        (4326, 4807, False),  # NTF (Paris): another prime meridian
        (4326, 32648, False),
        (32648, 32649, False),
        (32648, 32648, True),
    ],
)
def test_same_crs(a, b, same):
    a, b = CRS.from_user_input(a), CRS.from_user_input(b)
    assert same_crs(a, b) is same
    assert same_crs(b, a) is same


def test_grids_are_values_that_travel():
    grid = Grid(UTM_48N, Affine(1000, 0, 500_000, 0, -1000, 3_320_000), (3, 3))
    grid.lonlat([0], [0])  # makes the transformer, which cannot be pickled
    back = pickle.loads(pickle.dumps(grid))
    assert back == grid
    assert back.same_as(grid)
    assert np.array_equal(back.lonlat([0], [0]), grid.lonlat([0], [0]))


def test_describe_names_size_cell_crs_and_extent():
    assert lonlat_grid((60, 120)).describe() == (
        "60 x 120 cells of 30 x 30 arc-seconds, EPSG:4326, 104 to 105 east, 29.5 to 30 north"
    )
    assert "1000 x 1000 m, EPSG:32648" in Grid(UTM_48N, Affine(1000, 0, 5e5, 0, -1000, 3e6), (2, 2)).describe()


def test_array_source_reads_windows_and_masks_what_is_not_finite():
    values = np.array([[1.0, np.nan, 3.0], [np.inf, 5.0, 6.0]])
    array = source(values)
    assert isinstance(array, GridSource)
    block = array.read(Window(0, 2, 0, 2))
    assert block.is_valid().tolist() == [[True, False], [False, True]]
    given_mask = source(values, valid=[[False, True, True], [True, True, True]])
    assert given_mask.read(given_mask.grid.whole).is_valid().tolist() == [[False, False, True], [False, True, True]]
    assert source(np.arange(4).reshape(2, 2)).read(Window(0, 2, 0, 2)).valid is None


def test_array_source_of_another_shape_is_refused():
    with pytest.raises(GridError, match="shape"):
        ArraySource(lonlat_grid((2, 2)), np.zeros((2, 3)))


def test_product_refuses_values_above_its_range():
    product = Product("DMSP", "lights", "digital number, 0 to 63", valid_max=63)
    product.refuse_above(63.0, "a.tif")
    with pytest.raises(GridError, match=r"a\.tif holds a value of 64, but the digital numbers of DMSP end at 63"):
        product.refuse_above(64.0, "a.tif")


def test_grid_of_a_labelled_raster():
    grid = lonlat_grid((2, 3))
    array = xr.DataArray(np.zeros((2, 3)), dims=("y", "x"))
    with pytest.raises(CrsError, match="no CRS"):
        grid_of(array)
    assert grid_of(array.rio.write_crs(4326).rio.write_transform(grid.transform)).same_as(grid)
