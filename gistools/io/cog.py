"""Cloud-optimised GeoTIFFs from any source, block by block: written whole or not at all, read again to be sure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import numpy as np
import rasterio
import rasterio.shutil

from gistools.checks import require_choice
from gistools.errors import InputError, OutputError
from gistools.grid import Grid, GridSource, Window
from gistools.io._blocks import NOT_WHOLE, checksum, copy_cells, grid_profile
from gistools.io.atomic import atomic_path

if TYPE_CHECKING:
    from numpy.typing import DTypeLike

Overviews = Literal["mode", "nearest", "average"]
OVERVIEWS: tuple[Overviews, ...] = ("mode", "nearest", "average")

# Side of a tile, and how many tiles are read, written and checked at once: 4 million cells.
TILE = 512
_TILES_AT_ONCE = 16


def write_cog(
    path: str | Path,
    source: GridSource,
    *,
    dtype: DTypeLike,
    nodata: float | None = None,
    tags: Mapping[str, str] | None = None,
    overviews: Overviews = "mode",
) -> None:
    """Write a source as a Cloud-Optimised GeoTIFF, without ever holding more of it than a few tiles.

    Parameters
    ----------
    path : path
        ``.tif`` or ``.tiff``. Its folder is made if it is missing; a file that stands there is replaced.
    source : GridSource
        Read window by window.
    dtype : dtype
        Number type of the cells.
    nodata : float, optional
        Written, and tagged, where the source has no data; without it every cell must be valid.
    tags : mapping of str to str, optional
        Metadata of the file.
    overviews : {"mode", "nearest", "average"}
        How the smaller copies inside the file are made: ``mode`` or ``nearest`` for classes, which have no mean.

    Raises
    ------
    InputError
        If the extension is another, or cells lack data and `nodata` is not given.
    OutputError
        If the file cannot be written, or what stands on the disk is not what was written.

    Notes
    -----
    GDAL's COG driver copies from a file that is complete; that one, tiled and compressed too, stands beside `path`
    while the copy is made.

    Examples
    --------
    >>> import tempfile
    >>> from affine import Affine
    >>> from gistools.grid import WGS84, ArraySource
    >>> grid = Grid(WGS84, Affine(0.5, 0, 100, 0, -0.5, 40), (2, 3))
    >>> classes = ArraySource(grid, np.array([[0, 1, 2], [2, 1, 0]], "uint8"))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_cog(f"{folder}/classes.tif", classes, dtype="uint8", nodata=255)
    ...     with rasterio.open(f"{folder}/classes.tif") as file:
    ...         file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"], file.read(1).tolist()
    ('COG', [[0, 1, 2], [2, 1, 0]])
    """
    path = Path(path)
    require_choice(overviews, OVERVIEWS, "overviews")
    if path.suffix.lower() not in (".tif", ".tiff"):
        raise InputError(f"{path}: Cloud-Optimised GeoTIFFs are written as .tif")
    kind = np.dtype(dtype)
    with atomic_path(path) as temporary:
        work = temporary.with_name(f"{temporary.stem}-tiles{temporary.suffix}")
        try:
            written = _write_tiles(work, source, kind, nodata, tags or {})
            rasterio.shutil.copy(
                work,
                temporary,
                driver="COG",
                COMPRESS="DEFLATE",
                BLOCKSIZE=str(TILE),
                BIGTIFF="IF_SAFER",
                OVERVIEWS="IGNORE_EXISTING",
                OVERVIEW_RESAMPLING=overviews.upper(),
            )
            if checksum(temporary, _windows(source.grid)) != written:
                raise OutputError(f"{path} cannot be written: {NOT_WHOLE}")
        except rasterio.errors.RasterioError as error:
            if not isinstance(error, OSError) or error.errno is None:
                raise OutputError(f"{path} cannot be written: {NOT_WHOLE}") from error
            raise
        finally:
            work.unlink(missing_ok=True)


def _write_tiles(
    path: Path, source: GridSource, kind: np.dtype, nodata: float | None, tags: Mapping[str, str]
) -> int:
    """Write the tiled file that is copied from, and return the checksum of its cells."""
    profile = grid_profile(source.grid, kind.name, nodata) | {
        "driver": "GTiff",
        "tiled": True,
        "blockxsize": TILE,
        "blockysize": TILE,
        "compress": "DEFLATE",
        "zlevel": 1,
        "bigtiff": "IF_SAFER",
    }
    with rasterio.open(path, "w", **profile) as file:
        file.update_tags(**tags)
        return copy_cells(source, file, _windows(source.grid), kind, nodata)


def _windows(grid: Grid) -> Iterator[Window]:
    """Windows of whole tiles, row by row."""
    for row in range(0, grid.height, TILE):
        for col in range(0, grid.width, TILE * _TILES_AT_ONCE):
            yield Window(row, min(row + TILE, grid.height), col, min(col + TILE * _TILES_AT_ONCE, grid.width))
