"""One slab: only what is needed is read, and cells have their areas."""

from dataclasses import dataclass

import numpy as np
import pytest
from raster_factory import MOLLWEIDE, cell_box, cities, lonlat_grid, source, zones_of

from gistools.grid import ArraySource, Grid
from gistools.raster import zonal
from gistools.raster.zonal import scan_year
from gistools.raster.zones import label_zones


@dataclass(frozen=True)
class Tiled:
    """A source in tiles of 64 x 64 that keeps account of the windows read."""

    inner: ArraySource
    windows: list
    block_rows = block_cols = 64
    name = "tiled"

    @property
    def grid(self):
        return self.inner.grid

    def read(self, window):
        self.windows.append(window)
        return self.inner.read(window)


@pytest.mark.parametrize("assign", ["centre", "coverage"])
def test_without_totals_only_the_tiles_with_light_are_read(assign, monkeypatch):
    monkeypatch.setattr(zonal, "_SLAB_ROWS", 128)
    rng = np.random.default_rng(8)
    grid = lonlat_grid((400, 500))
    halves = [cell_box(grid, 20.3, 390, 30.4, 250.6), cell_box(grid, 20.3, 390, 250.6, 470)]
    zones = label_zones(cities(halves), grid, assign=assign)
    light = np.zeros(grid.shape, "uint8")
    light[100:130, 80:100] = rng.integers(5, 63, (30, 20))  # rows 64-191, columns 64-127
    light[300, 400] = 7  # the brightest of the second city, though not bright
    light[5, 5] = 60  # of no city
    count = rng.gamma(1, 3000, grid.shape).astype("int32")
    whole = scan_year(source(light, grid), source(count, grid), zones)
    tiled = Tiled(source(count, grid), [])
    part = scan_year(source(light, grid), tiled, zones, totals=False)
    assert whole.has_totals
    assert not part.has_totals
    assert len(whole.urban.row) > 100
    for kept in ("urban", "brightest"):
        for one, other in zip(getattr(whole, kept), getattr(part, kept), strict=True):
            assert np.array_equal(one, other)
    read = np.zeros(grid.shape, bool)
    for window in tiled.windows:
        assert not read[window.row0 : window.row1, window.col0 : window.col1].any()  # nothing twice
        read[window.row0 : window.row1, window.col0 : window.col1] = True
    # three tiles, cut where the slabs and the cities end
    assert read[64:192, 64:128].sum() + read[256:320, 384:448].sum() == read.sum() <= 3 * 64 * 64


def test_projected_cells_have_their_geodesic_areas():
    from affine import Affine

    grid = Grid(MOLLWEIDE, Affine(250, 0, 436_750, 0, -250, 5_892_750), (6, 7))
    labels = np.zeros((6, 7), int)
    scan = scan_year(
        source(np.full((6, 7), 60, "uint8"), grid), source(np.full((6, 7), 500), grid), zones_of(labels, grid)
    )
    assert len(scan.urban.row) == 42
    np.testing.assert_allclose(scan.urban.area_km2, grid.cell_area_km2(grid.whole).ravel(), rtol=1e-13)
