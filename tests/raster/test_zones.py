"""The label grid as a value: its runs, its interior, its areas; and what is refused."""

import numpy as np
import pytest
from affine import Affine
from hypothesis import given, settings
from hypothesis import strategies as st
from raster_factory import (
    CHENGDU,
    MOLLWEIDE,
    UTM_48N,
    cell_box,
    cities,
    dense_fractions,
    labelled,
    lonlat_grid,
    wiggly_tessellation,
    zones_of,
)
from shapely import box

from gistools.errors import BoundaryError, CrsError
from gistools.grid import Grid, Window
from gistools.raster.zones import label_zones

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
    np.testing.assert_allclose(dense_fractions(zones)[:, edge], fractions[:, edge], rtol=1e-15)
    np.testing.assert_allclose(
        zones.covered_cells(), np.where(edge, fractions, labels == np.arange(4)[:, None, None]).sum((1, 2))
    )
    area = grid.cell_area_km2(grid.whole)
    np.testing.assert_allclose(zones.area_km2(), (dense_fractions(zones) * area).sum(axis=(1, 2)), rtol=1e-12)


def test_area_of_a_projected_label_grid_is_the_sum_of_its_cells():
    grid = Grid(MOLLWEIDE, Affine(1000, 0, 9_430_000, 0, -1000, 3_680_000), (300, 20))
    labels = np.random.default_rng(0).integers(-1, 3, grid.shape)
    area = grid.cell_area_km2(grid.whole)
    np.testing.assert_allclose(
        zones_of(labels, grid).area_km2(), [area[labels == k].sum() for k in range(3)], rtol=1e-12
    )


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


def test_boundaries_are_not_changed():
    table = cities(wiggly_tessellation(CHENGDU, 5, seed=0))
    before = table.copy(deep=True)
    label_zones(table, Grid(UTM_48N, Affine(1000, 0, 355_000, 0, -1000, 3_350_000), (100, 110)), assign="coverage")
    assert table.geom_equals_exact(before, 0).all()
