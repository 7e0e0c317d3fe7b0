"""Packed rasters: unpacked once, found again by what is in them, deleted at the end, every fault one sentence."""

import errno
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections import namedtuple

import numpy as np
import pytest
import rasterio
from raster_factory import lonlat_grid, write_raster
from raster_formats import ascii_grid, packed, tar_of

from gistools.errors import GridError, OutputError
from gistools.grid import Window
from gistools.io import unpack
from gistools.io.rasters import file_hash, open_raster, raster_files
from gistools.io.unpack import remove_unpacked, unpacked

VALUES = np.arange(60, dtype="int32").reshape(6, 10)


@pytest.fixture(autouse=True)
def place(tmp_path, monkeypatch):
    folder = tmp_path / "tmp"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    yield folder
    remove_unpacked()
    assert list(folder.iterdir()) == []


@pytest.fixture
def plain(tmp_path):
    return write_raster(tmp_path / "a.tif", VALUES)


def test_a_file_is_unpacked_once_for_the_same_content(tmp_path, plain, place):
    one = packed(tmp_path / "one.tif.gz", plain)
    first = unpacked(one)
    assert first.read_bytes() == plain.read_bytes()
    assert first.is_relative_to(place)
    made = first.stat().st_mtime_ns
    os.utime(one)  # touched, not changed
    assert unpacked(one) == first
    assert first.stat().st_mtime_ns == made
    other = write_raster(tmp_path / "b.tif", VALUES + 1)
    packed(one, other)
    assert unpacked(one).read_bytes() == other.read_bytes()


def test_a_copy_that_went_is_made_again(tmp_path, plain):
    source = open_raster(packed(tmp_path / "a.tif.gz", plain))
    shutil.rmtree(unpacked(source.path).parents[1])
    assert np.array_equal(source.read(source.grid.whole).values, VALUES)
    assert raster_files(source.path) == [source.path]
    assert source.name == "a.tif.gz"


def test_a_process_deletes_what_it_unpacked(tmp_path, plain, place):
    path = packed(tmp_path / "a.tif.gz", plain)
    program = f"from gistools.io.unpack import unpacked; assert unpacked({str(path)!r}).is_file()"
    subprocess.run([sys.executable, "-c", program], check=True, env={**os.environ, "TMPDIR": str(place)})
    assert list(place.iterdir()) == []


def test_files_beside_a_packed_one_belong_to_it(tmp_path):
    ascii_grid(tmp_path / "a.asc", VALUES, lonlat_grid((6, 10)), None)
    path = packed(tmp_path / "a.asc.gz", tmp_path / "a.asc")
    (tmp_path / "a.asc").unlink()
    source = open_raster(path)  # the CRS stands in the .prj
    assert np.array_equal(source.read(source.grid.whole).values, VALUES)
    assert raster_files(path) == [path, tmp_path / "a.prj"]
    packed(tmp_path / "a.prj.gz", tmp_path / "a.prj")
    (tmp_path / "a.prj").unlink()
    assert open_raster(path).grid.crs.is_geographic


@pytest.mark.parametrize("cut", [0, 5, 40, -9, -2])
def test_a_packed_file_cut_short(tmp_path, plain, cut):
    path = packed(tmp_path / "a.tif.gz", plain)
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(GridError, match=r"a\.tif\.gz cannot be .*(cut short or damaged); fetch it again"):
        open_raster(path)


def test_a_byte_that_changed_in_a_packed_file(tmp_path, plain):
    path = packed(tmp_path / "a.tif.gz", plain)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0x55
    path.write_bytes(bytes(content))
    with pytest.raises(GridError, match="cut short or damaged"):
        open_raster(path)


def test_what_is_no_archive(tmp_path):
    for name in ("a.tif.gz", "a.tar", "a.tgz", "a.zip"):
        (tmp_path / name).write_bytes(b"<html>sign in</html>" * 99)
        with pytest.raises(
            GridError, match=rf"{name} cannot be unpacked: it is cut short or damaged; fetch it again"
        ):
            open_raster(tmp_path / name)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["2001.txt"], r"holds no raster \(\.tif"),
        (["a.tif", "b.tif"], r"holds 2 rasters \(a\.tif, b\.tif\); unpack it and give the one that is meant"),
        (["../a.tif"], "leads out of its folder; it is not to be trusted"),
        (["/etc/a.tif"], "leads out of its folder"),
    ],
)
def test_archives_that_cannot_be_used(tmp_path, plain, names, words):
    path = tar_of(tmp_path / "a.tar", dict.fromkeys(names, plain.read_bytes()))
    with pytest.raises(GridError, match=words):
        open_raster(path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.tar", "a.tif", "tmp"]


def test_side_files_of_an_archive_come_along(tmp_path):
    grid = lonlat_grid((6, 10))
    ascii_grid(tmp_path / "pop.asc", VALUES, grid, None)
    with zipfile.ZipFile(tmp_path / "pop.zip", "w") as archive:
        for name in ("pop.asc", "pop.prj"):
            archive.write(tmp_path / name, f"data/{name}")
        archive.writestr("data/readme.txt", "read")
    source = open_raster(tmp_path / "pop.zip")
    assert source.grid.same_as(grid)
    assert np.array_equal(source.read(Window(1, 3, 2, 9)).values, VALUES[1:3, 2:9])


def test_a_member_behind_a_password(tmp_path, monkeypatch, plain):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(plain, "a.tif")
    content = bytearray((tmp_path / "a.zip").read_bytes())
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        content[content.index(signature) + offset] |= 1  # the flag of an encrypted member
    (tmp_path / "a.zip").write_bytes(bytes(content))
    with pytest.raises(GridError, match=r"cannot be unpacked: .*password.*; unpack it yourself"):
        open_raster(tmp_path / "a.zip")


def test_no_room_for_the_copy(tmp_path, plain, monkeypatch):
    path = packed(tmp_path / "a.tif.gz", plain)
    usage = namedtuple("usage", "total used free")
    with monkeypatch.context() as patch:
        patch.setattr(shutil, "disk_usage", lambda _: usage(100, 99, 1))
        with pytest.raises(OutputError, match=r"there is no room in .*; set TMPDIR to a folder with.* GB are needed"):
            open_raster(path)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
def test_a_disk_that_fills_while_unpacking_leaves_nothing(tmp_path, plain, monkeypatch, code):
    path = packed(tmp_path / "a.tif.gz", plain)

    def full(*_):
        raise OSError(code, os.strerror(code))

    with monkeypatch.context() as patch:
        patch.setattr(unpack.shutil, "copyfileobj", full)
        with pytest.raises(OutputError, match="there is no room"):
            open_raster(path)
    assert [p for p in (tmp_path / "tmp").rglob("*") if p.is_file()] == []
    assert np.array_equal(open_raster(path).read(Window(0, 6, 0, 10)).values, VALUES)


def test_a_folder_of_another_user_is_not_trusted(tmp_path, plain, monkeypatch):
    path = packed(tmp_path / "a.tif.gz", plain)
    unpacked(path)
    remove_unpacked()
    mine = os.getuid()
    with monkeypatch.context() as patch:
        (tmp_path / "tmp" / f"gistools-unpacked-{mine + 1}").mkdir()
        patch.setattr(os, "getuid", lambda: mine + 1)
        with pytest.raises(OutputError, match="belongs to another user; set TMPDIR"):
            unpacked(path)
        remove_unpacked()


def test_hash_of_a_folder_holds_files_at_any_depth(tmp_path):
    store = tmp_path / "a.zarr"
    with rasterio.open(
        store,
        "w",
        driver="Zarr",
        height=6,
        width=10,
        count=1,
        dtype="int32",
        crs="EPSG:4326",
        transform=lonlat_grid((6, 10)).transform,
    ) as file:
        file.write(VALUES, 1)
    before = file_hash(store)
    chunk = next(path for path in store.rglob("0.0"))
    content = bytearray(chunk.read_bytes())
    content[-1] ^= 1
    chunk.write_bytes(bytes(content))
    assert file_hash(store) != before
