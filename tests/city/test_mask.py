"""Masks against the panel's scan, and patches as polygons against a slow count."""

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from raster_factory import MOLLWEIDE, cell_box, cities, lonlat_grid, source, zones_of
from slow_form import clusters

from gistools.city.mask import ClassSource, patch_polygons, whole_grid
from gistools.errors import GridError, InputError
from gistools.grid import Grid, Window
from gistools.raster.zonal import scan_year
from gistools.raster.zones import label_zones

GRID = lonlat_grid((12, 15))


def random_grids(seed, gaps=True):
    rng = np.random.default_rng(seed)
    light = rng.integers(0, 30, GRID.shape).astype(float)
    count = rng.choice([0, 900, 1100, 1500, 4000], GRID.shape) * GRID.cell_area_km2(GRID.whole)
    if gaps:
        light[rng.random(GRID.shape) < 0.1] = np.nan
        count[rng.random(GRID.shape) < 0.1] = np.nan
    labels = np.sort(rng.integers(-1, 3, GRID.shape), axis=1)
    return light, count, labels


@given(st.integers(0, 2**32 - 1), st.sampled_from([1200.0, 2000.0]))
@settings(max_examples=30, deadline=None)
def test_every_cell_is_that_of_the_scan(seed, threshold):
    light, count, labels = random_grids(seed)
    zones = zones_of(labels, GRID)
    mask = ClassSource(source(light), source(count), 10.0, 1000.0, threshold, zones)
    block = mask.read(mask.grid.whole)
    w = mask.window
    part = (slice(w.row0, w.row1), slice(w.col0, w.col1))
    known = np.isfinite(light) & np.isfinite(count)
    np.testing.assert_array_equal(block.valid, (known & (labels >= 0))[part])
    scan = scan_year(source(light), source(count), zones)
    want = np.zeros(GRID.shape, int)
    want[scan.urban.row, scan.urban.col] = np.where(scan.urban.density < threshold, 1, 2)
    np.testing.assert_array_equal(block.values, want[part])
    # a window in the middle is the middle of the whole
    height, width = mask.grid.shape
    window = Window(height // 3, height, width // 4, max(width // 2, width // 4 + 1))
    np.testing.assert_array_equal(
        mask.read(window).values, block.values[window.row0 : window.row1, window.col0 : window.col1]
    )


def test_cells_at_the_thresholds():
    area = GRID.cell_area_km2(GRID.whole)
    density = np.broadcast_to([1000.0, 1000.1, 1999.9, 2000.0, 2000.1] * 3, GRID.shape)
    # counts whose quotient by the area is the density to the last digit
    count = density * area
    at = count / area
    light = np.full(GRID.shape, 10.0)
    light[1:] = 10.5
    found = ClassSource(source(light), source(count), 10.0, at[1, 0], at[1, 3]).read(GRID.whole).values
    assert (found[0] == 0).all()  # light at the threshold is not urban
    row = 1
    np.testing.assert_array_equal(found[row], np.where(at[row] > at[1, 0], np.where(at[row] < at[1, 3], 1, 2), 0))
    assert found[row, 0] == 0
    assert found[row, 3] == 2


def test_border_cells_of_coverage_are_kept():
    polygons = [cell_box(GRID, 2, 6, 2.3, 6.6)]
    zones = label_zones(cities(polygons), GRID, assign="coverage")
    mask = ClassSource(source(np.ones(GRID.shape)), source(np.ones(GRID.shape)), 0.0, 0.0, 1.0, zones)
    assert mask.window == Window(2, 6, 2, 7)
    assert mask.read(mask.grid.whole).valid.all()


def test_without_boundaries_the_whole_grid_counts():
    light, count, _ = random_grids(3)
    zones = whole_grid(GRID)
    scan = scan_year(source(light), source(count), zones)
    mask = ClassSource(source(light), source(count), 10.0, 1000.0, 1200.0).read(GRID.whole)
    assert (mask.values > 0).sum() == len(scan.urban.row)
    assert zones.area_km2()[0] == pytest.approx(GRID.cell_area_km2(GRID.whole).sum() * GRID.width, rel=1e-12)


def test_what_is_refused():
    values = np.ones(GRID.shape)
    with pytest.raises(GridError, match="not on one lattice"):
        ClassSource(source(values), source(values, lonlat_grid(GRID.shape, west=90.0)), 10, 1000, 2000)
    nowhere = zones_of(np.full(GRID.shape, -1), GRID)
    with pytest.raises(GridError, match="no cell of array belongs to a city"):
        ClassSource(source(values), source(values), 10, 1000, 2000, nowhere)


# ---------------------------------------------------------------- patches


@given(st.integers(0, 2**32 - 1), st.sampled_from(["urban", "classes"]))
@settings(max_examples=25, deadline=None)
def test_patches_against_flooding(seed, patches_of):
    light, count, labels = random_grids(seed, gaps=False)
    zones = zones_of(labels, GRID)
    cells = scan_year(source(light), source(count), zones).urban
    found = patch_polygons(cells, GRID, zones.codes, threshold=1200.0, patches_of=patches_of)
    area = np.broadcast_to(GRID.cell_area_km2(GRID.whole), GRID.shape)
    want = []
    for zone, code in enumerate(zones.codes):
        for kind in ["urban"] if patches_of == "urban" else ["low", "high"]:
            mine = cells.zone == zone
            if kind != "urban":
                mine &= (cells.density < 1200.0) == (kind == "low")
            own = list(zip(cells.row[mine].tolist(), cells.col[mine].tolist(), strict=True))
            sizes = [(len(group), sum(area[cell] for cell in group)) for group in clusters(own)]
            want += [(code, kind, n, round(float(a), 9)) for n, a in sizes]
    got = [
        (r.city_code, getattr(r, "_1", None), r.cells, round(r.area_km2, 9)) for r in found.itertuples(index=False)
    ]
    got = [(c, k, n, a) for (c, _, n, a), k in zip(got, found["class"], strict=True)]
    assert sorted(got) == sorted(want)
    assert found.is_valid.all()
    cell = GRID.cell_size[0] * GRID.cell_size[1]
    np.testing.assert_allclose(shapely.area(found.geometry.array) / cell, found["cells"], rtol=1e-6)
    for _, group in found.groupby(["city_code", "class"]):
        assert group["patch"].tolist() == list(range(1, len(group) + 1))
        assert group["area_km2"].is_monotonic_decreasing


def test_cells_that_touch_at_a_corner_are_one_patch():
    light = np.zeros(GRID.shape)
    light[2, 2] = light[3, 3] = light[6, 6] = 20
    cells = scan_year(source(light), source(np.full(GRID.shape, 2000.0)), whole_grid(GRID)).urban
    found = patch_polygons(cells, GRID, ("",), threshold=1.0)
    assert found["cells"].tolist() == [2, 1]
    assert [len(shapely.get_parts(shape)) for shape in found.geometry] == [2, 1]
    assert found.crs == GRID.crs


def test_no_urban_cell_gives_an_empty_table():
    cells = scan_year(source(np.zeros(GRID.shape)), source(np.ones(GRID.shape)), whole_grid(GRID)).urban
    found = patch_polygons(cells, GRID, ("",), threshold=1.0)
    assert len(found) == 0
    assert list(found) == ["city_code", "class", "patch", "cells", "area_km2", "population", "geometry"]
    with pytest.raises(InputError, match="patches_of is 'all'"):
        patch_polygons(cells, GRID, ("",), threshold=1.0, patches_of="all")


def test_a_projected_grid():
    grid = Grid(MOLLWEIDE, GRID.transform @ GRID.transform.scale(30_000), (4, 5))
    light = np.full(grid.shape, 20.0)
    cells = scan_year(source(light, grid), source(np.full(grid.shape, 1e6), grid), whole_grid(grid)).urban
    found = patch_polygons(cells, grid, ("",), threshold=1.0)
    assert found["area_km2"].tolist() == pytest.approx([float(np.sum(grid.cell_area_km2(grid.whole)))], rel=1e-12)
