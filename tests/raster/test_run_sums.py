"""Sums by city: exact beyond 32 bits, and untouched by what has no data."""

import numpy as np
from raster_factory import lonlat_grid, source, zones_of

from gistools.raster.zonal import scan_year


def test_totals_beyond_32_bits():
    count = np.full((40, 60), 2_000_000, "int32")
    count[:, 30:] = 3_000_000
    zones = zones_of(np.repeat([[0] * 30 + [1] * 30], 40, axis=0), lonlat_grid(count.shape))
    scan = scan_year(source(np.full(count.shape, 200, "uint8")), source(count), zones)
    assert scan.totals.population.tolist() == [2_400_000_000.0, 3_600_000_000.0]
    assert scan.totals.light_sum.tolist() == [240_000.0, 240_000.0]
    assert scan.population_in_window == 6_000_000_000.0
    assert scan.largest_count == 3_000_000.0


def test_no_data_outside_the_cities_does_not_touch_them():
    count = np.full((4, 5), np.nan)
    count[1:3, 1:4] = [[1, 2, 3], [4, 5, 6]]
    labels = np.full((4, 5), -1)
    labels[1:3, 1:4] = 0
    scan = scan_year(None, source(count), zones_of(labels, lonlat_grid((4, 5))))
    assert scan.totals.population.tolist() == [21.0]
    assert scan.totals.population_cells.tolist() == [6.0]
