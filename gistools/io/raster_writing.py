"""Rasters out, by extension: Cloud-Optimised GeoTIFF and Zarr, block by block, whole or not at all."""

from __future__ import annotations

import contextlib
import shutil
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import rasterio

from gistools.errors import InputError, OutputError
from gistools.grid import Block, Grid, GridSource, Window, grid_of
from gistools.io._blocks import NOT_WHOLE, checksum, copy_cells, grid_profile
from gistools.io.atomic import PARTIAL, writing_error
from gistools.io.cog import write_cog

if TYPE_CHECKING:
    import xarray as xr

# Side of a chunk of a Zarr store
CHUNK = 512


@dataclass(frozen=True)
class _Labelled:
    """A labelled array as a source; lazy blocks are computed when they are read."""

    array: xr.DataArray
    grid: Grid

    @property
    def name(self) -> str:
        return str(self.array.name or "the array")

    def read(self, window: Window) -> Block:
        part = self.array[window.row0 : window.row1, window.col0 : window.col1].to_numpy()
        valid = np.isfinite(part) if part.dtype.kind == "f" else None
        return Block(part, None if valid is None or valid.all() else valid)


def write_raster(
    path: str | Path,
    raster: xr.DataArray | GridSource,
    *,
    nodata: float | None = None,
    tags: Mapping[str, str] | None = None,
) -> None:
    """Write a raster by the extension of its path: ``.tif`` as Cloud-Optimised GeoTIFF, ``.zarr`` as a Zarr store.

    Parameters
    ----------
    path : path
        Its folder is made if it is missing; a raster that stands there is replaced.
    raster : DataArray, dims (y, x), or GridSource
        A labelled array with CRS and transform (lazy ones are computed block by block), or anything that is read
        by windows.
    nodata : float, optional
        Written, and tagged, where cells have no data; NaN by default for floats.
    tags : mapping of str to str, optional
        Metadata; of a labelled array its plain attributes (units, product, year) by default.

    Raises
    ------
    InputError
        If the extension is another, or cells of whole numbers lack data and `nodata` is not given.
    OutputError
        If it cannot be written, or what stands on the disk is not what was written.

    Notes
    -----
    Zarr is written by GDAL (version 2 of the format, chunks of 512 x 512 cells, zlib) in the layout xarray reads.

    Examples
    --------
    >>> import tempfile
    >>> from affine import Affine
    >>> from gistools.grid import WGS84, ArraySource
    >>> grid = Grid(WGS84, Affine(0.5, 0, 100, 0, -0.5, 40), (2, 3))
    >>> counts = ArraySource(grid, np.arange(6, dtype="int32").reshape(2, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_raster(f"{folder}/counts.zarr", counts, nodata=-1)
    ...     with rasterio.open(f"{folder}/counts.zarr") as file:
    ...         file.nodata, file.read(1).tolist()
    (-1.0, [[0, 1, 2], [3, 4, 5]])
    """
    path = Path(path)
    source: GridSource
    if isinstance(raster, GridSource):
        source = raster
        kind = source.read(Window(0, 1, 0, 1)).values.dtype
        tags = dict(tags or {})
    else:
        source, kind = _Labelled(raster, grid_of(raster)), raster.dtype
        plain = {str(k): str(v) for k, v in raster.attrs.items() if isinstance(v, (str, int, float))}
        tags = plain if tags is None else dict(tags)
    if nodata is None and kind.kind == "f":
        nodata = float("nan")
    if path.suffix.lower() in {".tif", ".tiff"}:
        write_cog(path, source, dtype=kind, nodata=nodata, tags=tags, overviews="nearest")
    elif path.suffix.lower() == ".zarr":
        _write_zarr(path, source, kind, nodata, tags)
    else:
        raise InputError(f"{path} has no extension of a raster that is written; use .tif or .zarr")


def _write_zarr(
    path: Path, source: GridSource, kind: np.dtype, nodata: float | None, tags: Mapping[str, str]
) -> None:
    if path.exists() and not any((path / name).is_file() for name in (".zgroup", ".zarray", "zarr.json")):
        raise InputError(f"{path} stands there and is no Zarr store; choose another name")
    grid, mark = source.grid, uuid.uuid4().hex[:8]
    temporary = path.with_name(f"{path.stem}{PARTIAL}{mark}")
    inside, old = temporary / path.name, path.with_name(f"{path.stem}{PARTIAL}{mark}-old")
    profile = grid_profile(grid, kind.name, nodata) | {
        "driver": "Zarr",
        "COMPRESS": "ZLIB",
        "BLOCKSIZE": f"{CHUNK},{CHUNK}",
    }
    rows = [Window(row, min(row + CHUNK, grid.height), 0, grid.width) for row in range(0, grid.height, CHUNK)]
    try:
        temporary.mkdir(parents=True)
        with rasterio.open(inside, "w", **profile) as file:
            file.update_tags(**tags)
            written = copy_cells(source, file, rows, kind, nodata)
        if checksum(inside, rows) != written:
            raise OutputError(f"{path} cannot be written: {NOT_WHOLE}")
        if path.exists():  # a folder cannot be replaced in one step
            path.rename(old)
        inside.rename(path)
    except rasterio.errors.RasterioError as error:
        raise OutputError(
            f"{path} cannot be written: the disk is full or failing, or there is no right to write; free some space "
            "or choose another folder"
        ) from error
    except OSError as error:
        raise writing_error(path, error) from error
    finally:
        if old.exists() and not path.exists():
            with contextlib.suppress(OSError):
                old.rename(path)
        shutil.rmtree(temporary, ignore_errors=True)
        shutil.rmtree(old, ignore_errors=True)
