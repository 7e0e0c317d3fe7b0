"""Urban mask, density classes, patches and the threshold that splits them."""

import numpy as np
import pytest
import rioxarray  # noqa: F401  (registers the accessor)
import shapely
import xarray as xr
from hypothesis import given, settings
from hypothesis import strategies as st
from raster_factory import lonlat_grid
from scipy import ndimage

from gistools.city.urban import (
    density_classes,
    mask_polygons,
    patch_labels,
    population_density,
    urban_density_threshold,
    urban_mask,
    urban_patches,
)
from gistools.errors import GridError, InputError
from gistools.raster.zonal import UrbanCells


def raster(values, west=104.0):
    values = np.asarray(values)
    grid = lonlat_grid(values.shape, west=west)
    array = xr.DataArray(values, dims=("y", "x"), attrs={"year": 2013})
    return array.rio.write_crs(4326).rio.write_transform(grid.transform)


def cells(row, col, zone=None, *, area=None, population=None, inside=None, weight=None):
    n = len(row)
    return UrbanCells(
        np.asarray(row),
        np.asarray(col),
        np.zeros(n, int) if zone is None else np.asarray(zone),
        np.ones(n) if weight is None else np.asarray(weight, float),
        np.ones(n, bool) if inside is None else np.asarray(inside),
        np.ones(n) if area is None else np.asarray(area, float),
        np.ones(n) if population is None else np.asarray(population, float),
        np.full(n, 60.0),
    )


AREA = lonlat_grid((5, 5)).cell_area_km2(lonlat_grid((5, 5)).whole)


def test_both_thresholds_are_strict():
    people = raster(np.full((1, 4), 900.0))
    density = float(population_density(people)[0, 0])
    lights = raster([[10.0, np.nextafter(10, 11), 11, 9]])
    assert urban_mask(lights, people).values.tolist() == [[False, True, True, False]]
    assert not urban_mask(lights, people, min_density=density).values.any()
    below = float(np.nextafter(density, 0))
    assert urban_mask(lights, people, min_density=below).values.tolist() == [[False, True, True, False]]


def test_no_data_in_either_grid_is_not_urban():
    lights = raster([[20.0, np.nan, 20.0]])
    people = raster([[5000.0, 5000.0, np.nan]])
    mask = urban_mask(lights, people)
    assert mask.dtype == bool
    assert mask.values.tolist() == [[True, False, False]]
    assert mask.attrs == {"min_light": 10.0, "min_density": 1000.0, "year": 2013}


def test_density_is_over_the_geodesic_area_of_each_row():
    density = population_density(raster(np.full((5, 5), 1000.0)))
    np.testing.assert_allclose(density.values, 1000 / np.broadcast_to(AREA, (5, 5)), rtol=1e-14)
    assert density.attrs["units"] == "persons per km2"


def test_classes_split_at_the_threshold_which_is_high():
    people = raster([[1000.0, 2000.0, 3000.0, 2000.0]])
    mask = raster([[True, True, True, False]])
    threshold = float(population_density(people)[0, 1])
    classes = density_classes(mask, people, threshold=threshold)
    assert classes.dtype == np.uint8
    assert classes.values.tolist() == [[1, 2, 2, 0]]
    with pytest.raises(InputError, match="threshold"):
        density_classes(mask, people, threshold=0)


def test_lazy_in_lazy_out():
    lights, people = raster(np.full((6, 6), 20.0)).chunk(3), raster(np.full((6, 6), 5000.0)).chunk(3)
    for out in (
        population_density(people),
        urban_mask(lights, people),
        density_classes(urban_mask(lights, people), people, threshold=9000),
    ):
        assert out.chunks is not None
    assert (density_classes(urban_mask(lights, people), people, threshold=9000).values == 1).all()


def test_two_lattices_are_refused():
    with pytest.raises(GridError, match=r"not on one lattice .*align_grid"):
        urban_mask(raster([[20.0]]), raster([[900.0]], west=104.004))


def test_threshold_is_population_over_area_of_all_urban_cells():
    some = cells([0, 1, 2], [0, 0, 0], area=[0.5, 0.7, 0.9], population=[1000, 3000, 500])
    assert urban_density_threshold(some) == pytest.approx(4500 / 2.1)
    # parts of cells count by their part, a shared cell once in all
    shared = cells(
        [0, 0, 1], [0, 0, 0], [0, 1, 1], area=[0.5, 0.5, 0.7], population=[1000, 1000, 3000], weight=[0.3, 0.7, 1]
    )
    assert urban_density_threshold(shared) == pytest.approx(4000 / 1.2)
    with pytest.raises(InputError, match=r"no cell of any city is urban .*give --threshold as a number"):
        urban_density_threshold(cells([], []))


# ---------------------------------------------------------------- patches


def test_patches_touch_at_corners_but_not_across_a_shared_border():
    # two cities side by side; the cells of columns 2 and 3 touch across the border
    row = [0, 1, 2, 0, 0, 4]
    col = [0, 1, 2, 3, 4, 4]
    zone = [0, 0, 0, 1, 1, 1]
    patches = urban_patches(cells(row, col, zone, area=[1, 2, 3, 4, 5, 6]), 3)
    assert patches.patches.tolist() == [1, 2, 0]
    assert patches.largest_km2.tolist() == [6.0, 9.0, 0.0]


def test_border_cells_of_coverage_count_for_the_city_of_their_centre_only():
    some = cells([0, 0, 0], [0, 1, 1], [0, 0, 1], inside=[True, True, False], area=[1, 2, 2], weight=[1, 0.6, 0.4])
    patches = urban_patches(some, 2)
    assert patches.patches.tolist() == [1, 0]
    assert patches.largest_km2.tolist() == [3.0, 0.0]


@given(st.integers(0, 2**32 - 1), st.integers(1, 15), st.integers(1, 15), st.floats(0.1, 0.7), st.integers(1, 3))
@settings(max_examples=60, deadline=None)
def test_labels_against_an_image_labeller_city_by_city(seed, height, width, share, number):
    rng = np.random.default_rng(seed)
    zones = rng.integers(0, number, (height, width))
    urban = rng.random((height, width)) < share
    row, col = np.nonzero(urban)
    shuffled = rng.permutation(len(row))
    row, col = row[shuffled], col[shuffled]
    label = patch_labels(row, col, zones[row, col])
    pairs = set()
    for k in range(number):
        peer, _ = ndimage.label(urban & (zones == k), structure=np.ones((3, 3)))
        mine = zones[row, col] == k
        pairs |= set(zip(label[mine].tolist(), (peer[row, col][mine] + 1000 * k).tolist(), strict=True))
    # one to one
    assert len({a for a, _ in pairs}) == len({b for _, b in pairs}) == len(pairs)


def test_labels_at_the_far_end_of_a_row_do_not_join_the_next_row():
    assert len(set(patch_labels([0, 1], [99, 0], [0, 0]).tolist())) == 2
    assert len(set(patch_labels([5, 5], [7, 7], [0, 1]).tolist())) == 2
    assert patch_labels([], [], []).tolist() == []


def test_patches_as_polygons():
    values = np.zeros((5, 5), bool)
    values[0, 0] = values[1, 1] = values[4, 2:5] = True
    table = mask_polygons(raster(values))
    assert len(table) == 2
    assert sorted(table["area_km2"]) == pytest.approx(sorted([AREA[0, 0] + AREA[1, 0], 3 * AREA[4, 0]]), rel=1e-12)
    assert table.crs == 4326
    covered = shapely.union_all(table.geometry.array)
    assert shapely.contains_xy(covered, 104 + 4.5 / 120, 30 - 4.5 / 120)
    assert shapely.area(covered) == pytest.approx(5 / 120**2)


def test_classes_as_polygons_keep_their_value():
    classes = np.array([[1, 1, 2], [0, 0, 2]], "uint8")
    table = mask_polygons(raster(classes))
    assert dict(zip(table["value"], table["area_km2"], strict=True)) == pytest.approx(
        {1: 2 * AREA[0, 0], 2: AREA[0, 0] + AREA[1, 0]}, rel=1e-12
    )


def test_an_empty_mask_has_no_polygons():
    table = mask_polygons(raster(np.zeros((3, 3), bool)))
    assert len(table) == 0
    assert list(table.columns) == ["value", "geometry", "area_km2"]
