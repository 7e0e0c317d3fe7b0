"""Cloud-optimised GeoTIFFs: valid, equal to the source, bounded, whole or not at all."""

import numpy as np
import pytest
import rasterio
from raster_factory import MOLLWEIDE, lonlat_grid, source

from gistools.errors import InputError, OutputError
from gistools.grid import Block, Grid
from gistools.io.cog import TILE, write_cog

SHAPE = (1300, 1100)
VALUES = np.random.default_rng(0).integers(0, 3, SHAPE).astype("uint8")
VALID = np.random.default_rng(1).random(SHAPE) < 0.9


def test_the_file_is_a_cog_and_holds_the_source(tmp_path):
    path = tmp_path / "new" / "classes.tif"
    write_cog(path, source(VALUES, valid=VALID), dtype="uint8", nodata=255, tags={"year": "2013", "units": "class"})
    with rasterio.open(path) as file:
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert file.profile["tiled"]
        assert file.block_shapes == [(TILE, TILE)]
        assert file.compression.name == "deflate"
        assert file.overviews(1) == [2, 4]  # down to a single tile
        assert file.nodata == 255
        assert file.tags()["year"] == "2013"
        np.testing.assert_array_equal(file.read(1), np.where(VALID, VALUES, 255))
        assert file.transform.almost_equals(lonlat_grid(SHAPE).transform)
    # the file begins with what a reader needs: directories stand before any tile, overviews before the full grid
    head = path.read_bytes()[:2000]
    assert b"LAYOUT=IFDS_BEFORE_DATA" in head
    assert [p.name for p in path.parent.iterdir()] == ["classes.tif"]


def test_overviews_are_the_mode_of_four_cells(tmp_path):
    values = np.zeros((1024, 1024), "uint8")
    values[::2] = 2  # two of four cells in each 2 x 2 are 2 ...
    values[1::2, ::2] = 2  # ... and one more
    write_cog(tmp_path / "a.tif", source(values), dtype="uint8", nodata=255)
    with rasterio.open(tmp_path / "a.tif", overview_level=0) as file:
        assert file.shape == (512, 512)
        assert (file.read(1) == 2).all()  # their mean would be 1.5
    write_cog(tmp_path / "n.tif", source(values), dtype="uint8", nodata=255, overviews="nearest")
    with rasterio.open(tmp_path / "n.tif", overview_level=0) as file:
        assert set(np.unique(file.read(1))) <= {0, 2}


def test_no_more_than_a_few_tiles_are_read_at_once(tmp_path):
    seen = []

    class Wide:
        grid = lonlat_grid((600, 20_000), cell=0.001)
        name = "wide"

        def read(self, window):
            seen.append(window.shape)
            return Block(np.ones(window.shape, "uint8"), None)

    write_cog(tmp_path / "w.tif", Wide(), dtype="uint8")
    assert max(rows * cols for rows, cols in seen) <= 16 * TILE * TILE
    assert sum(rows * cols for rows, cols in seen) == 600 * 20_000  # each cell once


@pytest.mark.parametrize("kind", ["int16", "float32", "float64"])
def test_other_number_types_and_a_projected_grid(tmp_path, kind):
    grid = Grid(MOLLWEIDE, lonlat_grid((3, 4)).transform @ lonlat_grid((3, 4)).transform.scale(120_000), (3, 4))
    values = np.arange(12).reshape(3, 4).astype(kind)
    write_cog(tmp_path / "p.tif", source(values, grid), dtype=kind, nodata=-1, overviews="average")
    with rasterio.open(tmp_path / "p.tif") as file:
        assert file.dtypes == (kind,)
        assert file.crs.is_projected
        np.testing.assert_array_equal(file.read(1), values)


def test_a_full_disk_leaves_nothing(tmp_path, small_files):
    noise = np.random.default_rng(2).integers(0, 256, (700, 700)).astype("uint8")
    write_cog(tmp_path / "a.tif", source(noise[:4, :4]), dtype="uint8")
    before = (tmp_path / "a.tif").read_bytes()
    with small_files(100_000), pytest.raises(OutputError, match=r"a\.tif cannot be written"):
        write_cog(tmp_path / "a.tif", source(noise), dtype="uint8")
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]
    assert (tmp_path / "a.tif").read_bytes() == before


def test_what_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"a\.png: Cloud-Optimised GeoTIFFs are written as \.tif"):
        write_cog(tmp_path / "a.png", source(VALUES), dtype="uint8")
    with pytest.raises(InputError, match="array has cells without data; say which value"):
        write_cog(tmp_path / "a.tif", source(VALUES, valid=VALID), dtype="uint8")
    with pytest.raises(InputError, match="overviews is 'mean'"):
        write_cog(tmp_path / "a.tif", source(VALUES), dtype="uint8", overviews="mean")
    assert list(tmp_path.iterdir()) == []
