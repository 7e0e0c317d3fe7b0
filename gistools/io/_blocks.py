"""What readers and writers of rasters share: windows as rasterio has them, profiles, and cells copied and checked."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import rasterio
from rasterio.windows import Window as RasterioWindow

from gistools.errors import InputError
from gistools.grid import Block, Grid, GridSource, Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

# GDAL does not always say that a disk is full: what was written is read again.
NOT_WHOLE = "it is not whole on the disk, which is full or failing; free some space and run again"


def to_rasterio(window: Window) -> RasterioWindow:
    """Return a window as rasterio has it.

    Examples
    --------
    >>> to_rasterio(Window(2, 5, 10, 14))
    Window(col_off=10, row_off=2, width=4, height=3)
    """
    rows, cols = window.shape
    return RasterioWindow(window.col0, window.row0, cols, rows)


def grid_profile(grid: Grid, dtype: str, nodata: float | None, *, bands: int = 1) -> dict[str, Any]:
    """Return what every driver is told: lattice, number type, no data; how the cells are laid out is left open."""
    return {
        "height": grid.height,
        "width": grid.width,
        "count": bands,
        "dtype": dtype,
        "crs": grid.crs.to_wkt(),
        "transform": grid.transform,
        "nodata": nodata,
    }


def copy_cells(
    source: GridSource,
    file: rasterio.io.DatasetWriter,
    windows: Iterable[Window],
    kind: np.dtype,
    nodata: float | None,
) -> int:
    """Copy a source into an open file, window by window, and return the checksum of what was written.

    Raises
    ------
    InputError
        If cells lack data and `nodata` is not given.
    """
    total = 0
    for window in windows:
        values = _stored(source.read(window), kind, nodata, source.name)
        file.write(values, 1, window=to_rasterio(window))
        total = zlib.crc32(values.tobytes(), total)
    return total


def checksum(path: Path, windows: Iterable[Window]) -> int:
    """Return the checksum of the cells of a file, read in the windows they were written in."""
    total = 0
    with rasterio.open(path) as file:
        for window in windows:
            total = zlib.crc32(file.read(1, window=to_rasterio(window)).tobytes(), total)
    return total


def _stored(block: Block, kind: np.dtype, nodata: float | None, name: str) -> NDArray:
    """Cells as the file holds them."""
    if block.valid is None or block.valid.all():
        return np.ascontiguousarray(block.values, kind)
    if nodata is None:
        raise InputError(f"{name} has cells without data; say which value stands for them (nodata)")
    return np.where(block.valid, block.values, kind.type(nodata)).astype(kind, copy=False)
