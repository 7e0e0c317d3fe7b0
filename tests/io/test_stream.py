"""GeoTIFFs written window by window: what was written is read back; whole or not at all."""

import numpy as np
import pytest
import rasterio
from raster_factory import lonlat_grid

from gistools.errors import GridError, OutputError
from gistools.grid import Window
from gistools.io.stream import TILE_ROWS, stream_geotiff

GRID = lonlat_grid((150, 700))
VALUES = np.random.default_rng(0).random(GRID.shape).astype("float32")


def write(path, rows=TILE_ROWS, **options):
    with stream_geotiff(path, GRID, "float32", **options) as stream:
        for row in range(0, GRID.height, rows):
            window = Window(row, min(row + rows, GRID.height), 0, GRID.width)
            stream.write(VALUES[window.row0 : window.row1], window)
        stream.tag({"product": "test"})


@pytest.mark.parametrize("rows", [TILE_ROWS, 2 * TILE_ROWS, 50, 150])
def test_what_is_written_is_read_back(tmp_path, rows):
    path = tmp_path / "new" / "a.tif"
    write(path, rows, nodata=float("nan"))
    with rasterio.open(path) as file:
        np.testing.assert_array_equal(file.read(1), VALUES)
        assert file.block_shapes == [(TILE_ROWS, 256)]
        assert file.compression.name == "deflate"
        assert np.isnan(file.nodata)
        assert file.tags()["product"] == "test"
        assert file.crs.to_epsg() == 4326
        assert file.transform.almost_equals(GRID.transform)
    assert [p.name for p in path.parent.iterdir()] == ["a.tif"]


def test_an_interrupted_file_leaves_the_old_one(tmp_path):
    path = tmp_path / "a.tif"
    path.write_bytes(b"old")
    with pytest.raises(GridError), stream_geotiff(path, GRID, "float32") as stream:
        stream.write(VALUES[:3], Window(0, 64, 0, GRID.width))
    assert path.read_bytes() == b"old"
    assert len(list(tmp_path.iterdir())) == 1


def test_a_wrong_shape_is_refused(tmp_path):
    wrong = pytest.raises(GridError, match=r"shape \(3, 3\), its window \(64, 700\)")
    with wrong, stream_geotiff(tmp_path / "a.tif", GRID, "float32") as stream:
        stream.write(VALUES[:3, :3], Window(0, 64, 0, 700))


@pytest.mark.parametrize("size", [2_000, 200_000])
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path, small_files, size, capfd):
    with small_files(size), pytest.raises(OutputError, match=r"a.tif cannot be written: it is larger than"):
        write(tmp_path / "a.tif")
    assert list(tmp_path.iterdir()) == []
    capfd.readouterr()
