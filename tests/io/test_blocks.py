"""What readers and writers of rasters share: cells are copied as the file holds them, and a change is seen."""

import numpy as np
import pytest
import rasterio
from raster_factory import lonlat_grid, source

from gistools.errors import InputError
from gistools.grid import Window
from gistools.io._blocks import checksum, copy_cells, grid_profile, to_rasterio

GRID = lonlat_grid((5, 7))
VALUES = np.arange(35, dtype="int32").reshape(GRID.shape)
WINDOWS = [Window(row, min(row + 2, 5), col, min(col + 3, 7)) for row in range(0, 5, 2) for col in range(0, 7, 3)]


def copy(path, cells, kind, nodata=None):
    profile = grid_profile(GRID, kind, nodata) | {"driver": "GTiff"}
    with rasterio.open(path, "w", **profile) as file:
        return copy_cells(cells, file, WINDOWS, np.dtype(kind), nodata)


@pytest.mark.parametrize(("kind", "nodata"), [("int32", -1), ("uint8", 255), ("float64", np.nan)])
def test_cells_are_stored_as_the_file_holds_them(tmp_path, kind, nodata):
    valid = VALUES % 4 > 0
    written = copy(tmp_path / "a.tif", source(VALUES, GRID, valid), kind, nodata)
    with rasterio.open(tmp_path / "a.tif") as file:
        assert file.dtypes == (kind,)
        np.testing.assert_equal(file.nodata, nodata)
        np.testing.assert_array_equal(file.read(1), np.where(valid, VALUES, nodata).astype(kind))
        assert file.transform.almost_equals(GRID.transform)
    assert checksum(tmp_path / "a.tif", WINDOWS) == written


@pytest.mark.parametrize("window", [WINDOWS[0], WINDOWS[-1]])
def test_a_cell_that_differs_is_seen(tmp_path, window):
    written = copy(tmp_path / "a.tif", source(VALUES, GRID), "int32")
    with rasterio.open(tmp_path / "a.tif", "r+") as file:
        part = VALUES[window.row0 : window.row1, window.col0 : window.col1].copy()
        part[-1, -1] += 1
        file.write(part, 1, window=to_rasterio(window))
    assert checksum(tmp_path / "a.tif", WINDOWS) != written


def test_cells_without_data_need_a_value(tmp_path):
    with pytest.raises(InputError, match="array has cells without data; say which value"):
        copy(tmp_path / "a.tif", source(VALUES, GRID, VALUES > 3), "int32")
