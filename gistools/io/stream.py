"""GeoTIFF files written window by window, whole or not at all: for grids too large to hold."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import rasterio

from gistools.errors import GridError
from gistools.grid import Grid, Window
from gistools.io._blocks import grid_profile, to_rasterio
from gistools.io.atomic import atomic_path, writing_error

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Low tiles: a slab of one row of tiles is small even over the whole globe, and can be written at once.
TILE_ROWS = 64
_TILE_COLS = 256


class GeotiffStream:
    """An open GeoTIFF that takes windows; made by :func:`stream_geotiff`."""

    def __init__(self, file: rasterio.io.DatasetWriter, path: Path) -> None:
        self.file, self.path = file, path

    def write(self, values: NDArray, window: Window) -> None:
        """Write the cells of a window.

        Parameters
        ----------
        values : array, shape of the window
        window : Window
            Whole rows of tiles (`TILE_ROWS`) are written once; parts of one are read back and written again.

        Raises
        ------
        GridError
            If the array has not the shape of the window.
        """
        if values.shape != window.shape:
            raise GridError(
                f"{self.path.name} cannot be written: the array has shape {values.shape}, its window {window.shape}"
            )
        self.file.write(values, 1, window=to_rasterio(window))

    def tag(self, tags: Mapping[str, str]) -> None:
        """Add metadata; may be called until the file is closed."""
        self.file.update_tags(**tags)


@contextmanager
def stream_geotiff(
    path: str | Path, grid: Grid, dtype: str, *, nodata: float | None = None
) -> Iterator[GeotiffStream]:
    """Open a GeoTIFF to be written window by window; it appears in its place when the block ends well.

    Parameters
    ----------
    path : path
        Its folder is made if it is missing; a file that stands there is replaced.
    grid : Grid
        CRS, transform and shape.
    dtype : str
        Number type of the cells.
    nodata : float, optional
        The value tagged as no data.

    Yields
    ------
    GeotiffStream
        Tiles of 64 x 256 cells with DEFLATE.

    Raises
    ------
    OutputError
        If the file cannot be written, or was not written whole.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np
    >>> from affine import Affine
    >>> from gistools.grid import WGS84
    >>> grid = Grid(WGS84, Affine(0.5, 0, 100, 0, -0.5, 40), (2, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     with stream_geotiff(f"{folder}/lights.tif", grid, "float32", nodata=float("nan")) as stream:
    ...         stream.write(np.ones((1, 3), np.float32), Window(0, 1, 0, 3))
    ...         stream.write(np.full((1, 3), np.nan, np.float32), Window(1, 2, 0, 3))
    ...     with rasterio.open(f"{folder}/lights.tif") as file:
    ...         file.read(1).tolist()
    [[1.0, 1.0, 1.0], [nan, nan, nan]]
    """
    path = Path(path)
    profile = grid_profile(grid, dtype, nodata) | {
        "driver": "GTiff",
        "compress": "DEFLATE",
        "tiled": True,
        "blockysize": TILE_ROWS,
        "blockxsize": _TILE_COLS,
        "bigtiff": "IF_SAFER",
    }
    with atomic_path(path) as temporary:
        try:
            with rasterio.open(temporary, "w", **profile) as file:
                yield GeotiffStream(file, path)
        except rasterio.errors.RasterioError as error:
            _refuse_full_disk(path, temporary)
            raise writing_error(path, OSError(str(error))) from error
        _require_whole(path, temporary)


def _refuse_full_disk(path: Path, temporary: Path) -> None:
    """Ask the system itself why no more can be written: GDAL does not say."""
    try:
        with temporary.open("ab") as file:
            file.write(bytes(1 << 16))
    except OSError as error:
        raise writing_error(path, error) from error


def _require_whole(path: Path, temporary: Path) -> None:
    """Refuse a file of which a tile lies beyond its end: GDAL may close it without a word when the disk is full."""
    size = temporary.stat().st_size
    try:
        with rasterio.open(temporary) as file:
            rows, cols = -(-file.height // TILE_ROWS), -(-file.width // _TILE_COLS)
            for row in range(rows):
                for col in range(cols):
                    place = file.get_tag_item(f"BLOCK_OFFSET_{col}_{row}", "TIFF", bidx=1)
                    length = file.get_tag_item(f"BLOCK_SIZE_{col}_{row}", "TIFF", bidx=1)
                    if place is None or length is None or int(place) + int(length) > size:
                        raise rasterio.errors.RasterioError("a tile is missing")
    except rasterio.errors.RasterioError as error:
        _refuse_full_disk(path, temporary)
        raise writing_error(path, OSError("it was not written whole; run again")) from error
