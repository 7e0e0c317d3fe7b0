"""GeoTIFFs: what is written is read back, whole or not at all."""

import resource

import numpy as np
import pytest
import rasterio
from affine import Affine

from gistools.errors import GridError, OutputError
from gistools.grid import WGS84, Grid
from gistools.io.geotiff import write_geotiff

GRID = Grid(WGS84, Affine(1 / 120, 0, 100, 0, -1 / 120, 40), (700, 600))


@pytest.mark.parametrize("dtype", ["uint8", "int16", "int32", "float32", "float64"])
def test_values_grid_and_tags_come_back(tmp_path, dtype):
    values = np.random.default_rng(0).integers(0, 250, GRID.shape).astype(dtype)
    write_geotiff(tmp_path / "new" / "a.tif", values, GRID, nodata=7, tags={"units": "DN"})
    with rasterio.open(tmp_path / "new" / "a.tif") as file:
        assert np.array_equal(file.read(1), values)
        assert (file.dtypes[0], file.nodata, file.crs.to_epsg()) == (dtype, 7, 4326)
        assert file.transform == GRID.transform
        assert file.tags()["units"] == "DN"
        assert (file.compression.value, file.block_shapes) == ("DEFLATE", [(256, 256)])


def test_strips_and_cloud_optimised_files(tmp_path):
    values = np.arange(420_000, dtype=np.int32).reshape(GRID.shape)
    write_geotiff(tmp_path / "strips.tif", values, GRID, compress="LZW", tiled=False, blockysize=1)
    write_geotiff(tmp_path / "cog.tif", values, GRID, driver="COG", blocksize=256)
    with rasterio.open(tmp_path / "strips.tif") as file:
        assert (file.nodata, file.block_shapes, file.compression.value) == (None, [(1, 600)], "LZW")
        assert np.array_equal(file.read(1), values)
    with rasterio.open(tmp_path / "cog.tif") as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.overviews(1) == [2, 4]
        assert np.array_equal(file.read(1), values)


def test_an_array_of_another_shape_is_refused(tmp_path):
    with pytest.raises(GridError, match=r"a\.tif cannot be written: the array has shape \(2, 2\)"):
        write_geotiff(tmp_path / "a.tif", np.zeros((2, 2)), GRID)


@pytest.mark.parametrize("options", [{}, {"driver": "COG"}, {"tiled": False, "blockysize": 1}])
def test_a_file_that_does_not_fit_leaves_the_old_one(tmp_path, options):
    values = np.random.default_rng(0).integers(0, 1 << 30, GRID.shape).astype(np.int32)
    path = tmp_path / "a.tif"
    path.write_bytes(b"the old file")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))  # as a disk that fills
    try:
        with pytest.raises(OutputError, match=r"a\.tif cannot be written"):
            write_geotiff(path, values, GRID, **options)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == b"the old file"
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]
