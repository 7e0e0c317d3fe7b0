"""Rasters by extension: what is written comes back, whole or not at all."""

import numpy as np
import pytest
from affine import Affine
from raster_factory import MOLLWEIDE, lonlat_grid, source, write_raster

from gistools.errors import InputError, OutputError
from gistools.grid import ArraySource, Grid
from gistools.io.raster_writing import write_raster as write
from gistools.io.rasters import open_raster, read_grid
from gistools.raster.population import LANDSCAN

RNG = np.random.default_rng(0)
GRIDS = [lonlat_grid((700, 600)), Grid(MOLLWEIDE, Affine(250, 0, 436_750, 0, -250, 5_892_750), (700, 600))]


@pytest.mark.parametrize("extension", [".tif", ".zarr"])
@pytest.mark.parametrize("grid", GRIDS, ids=["lonlat", "mollweide"])
@pytest.mark.parametrize(("kind", "nodata"), [("uint8", 255), ("int32", -1), ("float32", None), ("float64", None)])
def test_values_lattice_and_missing_cells_come_back(tmp_path, extension, grid, kind, nodata):
    values = RNG.integers(0, 200, grid.shape).astype(kind)
    valid = RNG.random(grid.shape) > 0.1
    write(tmp_path / "new" / f"a{extension}", ArraySource(grid, values, valid), nodata=nodata, tags={"units": "dn"})
    back = open_raster(tmp_path / "new" / f"a{extension}")
    block = back.read(grid.whole)
    assert back.dtype == kind
    assert back.grid.same_as(grid)
    assert np.array_equal(block.valid, valid)
    assert np.array_equal(block.values[valid], values[valid])
    assert dict(back.tags)["units"] == "dn"
    assert [p.name for p in (tmp_path / "new").iterdir()] == [f"a{extension}"]


@pytest.mark.parametrize("extension", [".tif", ".zarr"])
def test_a_lazy_labelled_array_comes_back_with_its_meaning(tmp_path, extension):
    values = RNG.integers(-2, 9, (30, 40)).astype("int32")
    array = read_grid(write_raster(tmp_path / "pop.tif", values), LANDSCAN, year=2001)
    write(tmp_path / f"out{extension}", array)
    again = read_grid(tmp_path / f"out{extension}")
    assert np.array_equal(again.to_numpy(), np.where(values < 0, np.nan, values), equal_nan=True)
    assert dict(open_raster(tmp_path / f"out{extension}").tags)["product"] == "LandScan"


def test_zarr_is_laid_out_as_xarray_reads_it(tmp_path):
    import json

    write(tmp_path / "a.zarr", source(np.ones((4, 5), "float32")))
    metadata = json.loads((tmp_path / "a.zarr" / ".zmetadata").read_text())["metadata"]
    assert metadata["a/.zattrs"]["_ARRAY_DIMENSIONS"] == ["Y", "X"]
    assert metadata["a/.zarray"]["compressor"]["id"] == "zlib"
    assert metadata["a/.zattrs"]["_CRS"]["url"].endswith("/4326")


@pytest.mark.parametrize("extension", [".tif", ".zarr"])
def test_the_old_raster_stays_until_the_new_one_is_whole(tmp_path, extension):
    path = tmp_path / f"a{extension}"
    write(path, source(np.ones((4, 5), "int32")))

    class Broken(ArraySource):
        def read(self, window):
            if window.row1 - window.row0 > 1:
                raise InputError("a block that cannot be decoded")
            return super().read(window)

    with pytest.raises(InputError, match="cannot be decoded"):
        write(path, Broken(lonlat_grid((4, 5)), np.zeros((4, 5), "int32")))
    assert [p.name for p in tmp_path.iterdir()] == [path.name]
    assert (open_raster(path).read(lonlat_grid((4, 5)).whole).values == 1).all()
    write(path, source(np.full((4, 5), 2, "int32")))
    assert (open_raster(path).read(lonlat_grid((4, 5)).whole).values == 2).all()
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("extension", [".tif", ".zarr"])
def test_a_disk_that_fills_leaves_nothing(tmp_path, small_files, extension):
    values = RNG.integers(0, 2**31, (600, 600)).astype("int32")
    with small_files(100_000), pytest.raises(OutputError, match=rf"a\{extension} cannot be written"):
        write(tmp_path / f"a{extension}", source(values))
    assert list(tmp_path.iterdir()) == []


def test_what_cannot_be_written_is_refused(tmp_path):
    cells = source(np.ones((2, 2), "int32"), valid=np.array([[True, False], [True, True]]))
    with pytest.raises(InputError, match=r"has no extension of a raster that is written; use \.tif or \.zarr"):
        write(tmp_path / "a.nc", cells)
    for extension in (".tif", ".zarr"):
        with pytest.raises(InputError, match=r"has cells without data; say which value stands for them"):
            write(tmp_path / f"a{extension}", cells)
    (tmp_path / "file.zarr").write_text("a note")
    (tmp_path / "mine.zarr").mkdir()
    (tmp_path / "mine.zarr" / "notes.txt").write_text("a note")
    for name in ("file.zarr", "mine.zarr"):
        with pytest.raises(InputError, match=rf"{name} stands there and is no Zarr store; choose another name"):
            write(tmp_path / name, source(np.ones((2, 2), "int32")))
    assert (tmp_path / "file.zarr").read_text() == (tmp_path / "mine.zarr" / "notes.txt").read_text() == "a note"
