"""The same small raster in every format, written by GDAL or byte by byte where GDAL only reads."""

from __future__ import annotations

import gzip
import io
import shutil
import struct
import tarfile
import zipfile
from pathlib import Path

import numpy as np
import rasterio
import rasterio.shutil
from numpy.typing import NDArray
from raster_factory import write_raster
from rasterio.windows import Window

from gistools.grid import WGS84, Grid


def through_gdal(path: Path, values: NDArray, grid: Grid, nodata: float | None, driver: str, **options: str) -> None:
    source = write_raster(path.with_name(f"_{path.name}.tif"), values, grid, nodata=nodata)
    rasterio.shutil.copy(source, path, driver=driver, **options)
    source.unlink()


def ascii_grid(path: Path, values: NDArray, grid: Grid, nodata: float | None) -> None:
    """As ESRI's tools write it: a cell size of twelve digits and, at the most, a .prj beside it."""
    west, south, _, _ = grid.bounds
    head = {"ncols": grid.width, "nrows": grid.height, "xllcorner": f"{west:.12g}", "yllcorner": f"{south:.12g}"}
    head["cellsize"] = f"{grid.cell_size[0]:.12g}"
    if nodata is not None:
        head["NODATA_value"] = f"{nodata:g}"
    lines = [f"{key} {value}" for key, value in head.items()]
    path.write_text("\n".join([*lines, *(" ".join(map(str, row)) for row in values.tolist())]) + "\n")
    path.with_suffix(".prj").write_text(WGS84.to_wkt("WKT1_ESRI"))


def grid_float(path: Path, values: NDArray, grid: Grid, nodata: float | None) -> None:
    """ESRI's .flt with its .hdr: float32 rows, little-endian."""
    ascii_grid(path.with_suffix(".asc"), values, grid, nodata)
    head = path.with_suffix(".asc").read_text().splitlines()[: 5 + (nodata is not None)]
    path.with_suffix(".hdr").write_text("\n".join([*head, "byteorder LSBFIRST"]) + "\n")
    path.with_suffix(".asc").unlink()
    path.write_bytes(values.astype("<f4").tobytes())


def esri_grid(path: Path, values: NDArray, grid: Grid, nodata: float | None) -> None:
    """An ArcInfo binary grid of integers: a folder with a header, bounds and raw blocks of 4 rows."""
    rows = 4
    path.mkdir()
    blocks = -(-grid.height // rows)
    head = bytearray(308)
    head[:8] = b"GRID1.2\0"
    struct.pack_into(">ii", head, 16, 1, 1)
    struct.pack_into(">dd", head, 256, *grid.cell_size)
    struct.pack_into(">iiiii", head, 288, 1, blocks, grid.width, 1, rows)
    (path / "hdr.adf").write_bytes(bytes(head))
    (path / "dblbnd.adf").write_bytes(struct.pack(">dddd", *grid.bounds))
    known = values if nodata is None else values[values != nodata]
    (path / "sta.adf").write_bytes(struct.pack(">dddd", known.min(), known.max(), known.mean(), known.std()))
    (path / "prj.adf").write_text("Projection    GEOGRAPHIC\nDatum         WGS84\nUnits         DD\nParameters\n")
    missing = -2147483647
    cells = np.full((blocks * rows, grid.width), missing, ">i4")
    cells[: grid.height] = np.where(values == nodata, missing, values.astype("i8"))
    data, index = bytearray(100), bytearray(100)
    for block in range(blocks):
        raw = cells[block * rows : (block + 1) * rows].tobytes()
        index += struct.pack(">ii", len(data) // 2, len(raw) // 2)
        data += struct.pack(">H", len(raw) // 2) + raw
    for content, name in ((data, "w001001.adf"), (index, "w001001x.adf")):
        content[:8] = b"\x00\x00\x27\x0a\xff\xff\xfc\x14"
        struct.pack_into(">i", content, 24, len(content) // 2)
        (path / name).write_bytes(bytes(content))


def tiles(folder: Path, stem: str, values: NDArray, grid: Grid, nodata: float | None) -> list[Path]:
    """Four tiles in a folder."""
    folder.mkdir()
    made = []
    for k, (r, c) in enumerate([(0, 0), (0, 20), (24, 0), (24, 20)]):
        part = values[r : r + 24 if r == 0 else None, c : c + 20 if c == 0 else None]
        where = grid.crop(_window(r, c, part.shape))
        made.append(write_raster(folder / f"{stem}_{k}.tif", part, where, nodata=nodata))
    return made


def _window(row: int, col: int, shape: tuple[int, ...]):
    from gistools.grid import Window as GridWindow

    return GridWindow(row, row + shape[0], col, col + shape[1])


def mosaic(path: Path, parts: list[Path], grid: Grid, dtype: str, nodata: float | None) -> None:
    """A VRT of tiles, as gdalbuildvrt writes it."""
    names = {"uint8": "Byte", "int32": "Int32"}
    t = grid.transform
    lines = [
        f'<VRTDataset rasterXSize="{grid.width}" rasterYSize="{grid.height}">',
        f"<SRS>{WGS84.to_wkt('WKT1_GDAL').replace('&', '&amp;')}</SRS>",
        f"<GeoTransform>{t.c!r}, {t.a!r}, 0, {t.f!r}, 0, {t.e!r}</GeoTransform>",
        f'<VRTRasterBand dataType="{names[dtype]}" band="1">',
    ]
    if nodata is not None:
        lines.append(f"<NoDataValue>{nodata:g}</NoDataValue>")
    for part in parts:
        with rasterio.open(part) as file:
            col, row = round((file.transform.c - t.c) / t.a), round((file.transform.f - t.f) / t.e)
            size = f'xSize="{file.width}" ySize="{file.height}"'
        lines += [
            f'<SimpleSource><SourceFilename relativeToVRT="1">{part.relative_to(path.parent)}</SourceFilename>',
            f'<SourceBand>1</SourceBand><SrcRect xOff="0" yOff="0" {size}/>',
            f'<DstRect xOff="{col}" yOff="{row}" {size}/></SimpleSource>',
        ]
    path.write_text("\n".join([*lines, "</VRTRasterBand></VRTDataset>"]))


def sparse(path: Path, values: NDArray, grid: Grid, nodata: float | None) -> None:
    """Tiles that hold nothing are not written; they read as no data, or as 0 where none is tagged."""
    profile = {"driver": "GTiff", "count": 1, "dtype": values.dtype, "crs": grid.crs.to_wkt()}
    profile |= {"height": grid.height, "width": grid.width, "transform": grid.transform, "nodata": nodata}
    empty = 0 if nodata is None else nodata
    with rasterio.open(path, "w", tiled=True, blockxsize=16, blockysize=16, sparse_ok=True, **profile) as file:
        for row in range(0, grid.height, 16):
            for col in range(0, grid.width, 16):
                part = values[row : row + 16, col : col + 16]
                if (part != empty).any():
                    file.write(part, 1, window=Window(col, row, part.shape[1], part.shape[0]))


def packed(path: Path, plain: Path) -> Path:
    path.write_bytes(gzip.compress(plain.read_bytes(), mtime=0))
    return path


def tar_of(path: Path, members: dict[str, bytes], mode: str = "w") -> Path:
    with tarfile.open(path, mode) as tar:
        for name, content in members.items():
            facts = tarfile.TarInfo(name)
            facts.size = len(content)
            tar.addfile(facts, io.BytesIO(content))
    return path


def zip_of(path: Path, folder: Path, under: str = "") -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, f"{under}{file.relative_to(folder.parent)}")
    shutil.rmtree(folder)
    return path


GEOTIFF = {
    "striped": {},
    "lzw": {"compress": "lzw"},
    "deflate-predictor2": {"compress": "deflate", "predictor": 2},
    "tiled": {"tiled": True, "blockxsize": 16, "blockysize": 32, "compress": "lzw", "predictor": 2},
    "packbits": {"compress": "packbits"},
    "zstd": {"compress": "zstd"},
    "bigtiff": {"bigtiff": "yes", "compress": "deflate"},
    "big-endian": {"endianness": "big"},
    "planar": {"interleave": "band"},
}
GDAL = {
    "cog": (".tif", "COG", {"COMPRESS": "LZW", "BLOCKSIZE": "128"}),
    "bil": (".bil", "EHdr", {}),
    "netcdf3": (".nc", "netCDF", {}),
    "netcdf4": (".nc", "netCDF", {"FORMAT": "NC4", "COMPRESS": "DEFLATE"}),
    "zarr2": (".zarr", "Zarr", {"COMPRESS": "ZLIB", "BLOCKSIZE": "16,16"}),
    "zarr3": (".zarr", "Zarr", {"FORMAT": "ZARR_V3"}),
    "erdas": (".img", "HFA", {}),
}
FORMATS = (
    *GEOTIFF,
    *GDAL,
    *("ascii", "flt", "esri-grid", "sparse", "overviews", "vrt", "tiles", "tif.gz", "asc.gz", "tar", "tgz", "zip"),
)


def write_as(kind: str, folder: Path, stem: str, values: NDArray, grid: Grid, nodata: float | None) -> str:
    """Write a raster in a format; return what matches it in the folder (a name, or a folder of tiles)."""
    path = folder / f"{stem}.tif"
    if kind in GEOTIFF:
        write_raster(path, values, grid, nodata=nodata, **GEOTIFF[kind])
    elif kind in GDAL:
        ending, driver, options = GDAL[kind]
        path = folder / f"{stem}{ending}"
        through_gdal(path, values, grid, nodata, driver, **options)
    elif kind in {"ascii", "flt"}:
        path = folder / f"{stem}{'.asc' if kind == 'ascii' else '.flt'}"
        (ascii_grid if kind == "ascii" else grid_float)(path, values, grid, nodata)
    elif kind == "esri-grid":
        path = folder / stem
        esri_grid(path, values, grid, nodata)
    elif kind == "sparse":
        sparse(path, values, grid, nodata)
    elif kind == "overviews":
        write_raster(path, values, grid, nodata=nodata, tiled=True, blockxsize=16, blockysize=16)
        with rasterio.open(path, "r+") as file:
            file.build_overviews([2, 4], rasterio.enums.Resampling.average)
    elif kind in {"vrt", "tiles"}:
        path = folder / stem
        parts = tiles(path, stem, values, grid, nodata)
        if kind == "vrt":
            path = folder / f"{stem}.vrt"
            mosaic(path, parts, grid, values.dtype.name, nodata)
    else:
        path = _packed(kind, folder, stem, values, grid, nodata)
    return path.name


def _packed(kind: str, folder: Path, stem: str, values: NDArray, grid: Grid, nodata: float | None) -> Path:
    if kind == "asc.gz":
        plain = folder / f"{stem}.asc"
        ascii_grid(plain, values, grid, nodata)
        path = packed(folder / f"{stem}.asc.gz", plain)
        plain.unlink()
    elif kind == "zip":  # a folder with an ESRI grid, as LandScan came
        esri_grid(folder / "lspop", values, grid, nodata)
        path = zip_of(folder / f"{stem}.zip", folder / "lspop", "data/")
    else:
        plain = write_raster(folder / f"{stem}.tif", values, grid, nodata=nodata, compress="lzw")
        content = plain.read_bytes()
        if kind == "tif.gz":
            path = packed(folder / f"{stem}.tif.gz", plain)
        elif kind == "tar":  # as NOAA's archives: each member packed, the counts of observations beside the lights
            members = {f"{stem}_web.stable_lights.avg_vis.tif.gz": gzip.compress(content)}
            members |= {f"{stem}_web.cf_cvg.tif.gz": b"counts", f"{stem}.avg_vis.tif.gz": b"unfiltered"}
            path = tar_of(folder / f"{stem}.tar", {"README.txt": b"read", **members})
        else:
            path = tar_of(folder / f"{stem}.tgz", {f"{stem}.avg.tif": content, f"{stem}.cf_cvg.tif": b""}, "w:gz")
        plain.unlink()
    return path
