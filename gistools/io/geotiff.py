"""GeoTIFF files, written whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rasterio.io import MemoryFile

from gistools.errors import GridError
from gistools.grid import Grid
from gistools.io._blocks import grid_profile
from gistools.io.atomic import atomic_path

if TYPE_CHECKING:
    from numpy.typing import NDArray


def write_geotiff(
    path: str | Path,
    values: NDArray,
    grid: Grid,
    *,
    nodata: float | None = None,
    tags: Mapping[str, str] | None = None,
    **profile: Any,
) -> None:
    """Write an array as a GeoTIFF.

    Parameters
    ----------
    path : path
        Its folder is made if it is missing; a file that stands there is replaced.
    values : array, shape (rows, cols) of the grid, or (bands, rows, cols)
        Any type GDAL stores: 8 to 64-bit integers or floats.
    grid : Grid
        CRS, transform and shape.
    nodata : float, optional
        The value tagged as no data; without it, no tag is written.
    tags : mapping of str to str, optional
        Metadata of the file (units, year, product).
    **profile
        Creation options as rasterio names them (``tiled``, ``blockxsize``, ``blockysize``, ``compress``,
        ``predictor`` ...), or ``driver="COG"`` with that driver's options for a cloud-optimised file. By default
        tiles of 256 x 256 cells with DEFLATE.

    Raises
    ------
    GridError
        If the array has not the shape of the grid.
    OutputError
        If the file cannot be written.

    Examples
    --------
    >>> import tempfile
    >>> import numpy as np, rasterio
    >>> from affine import Affine
    >>> from gistools.grid import WGS84
    >>> grid = Grid(WGS84, Affine(0.5, 0, 100, 0, -0.5, 40), (2, 3))
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     write_geotiff(f"{folder}/counts.tif", np.arange(6, dtype="int32").reshape(2, 3), grid, nodata=-1)
    ...     with rasterio.open(f"{folder}/counts.tif") as file:
    ...         file.nodata, file.read(1).tolist()
    (-1.0, [[0, 1, 2], [3, 4, 5]])
    """
    path = Path(path)
    bands = values if values.ndim == 3 else values[None]
    if bands.shape[1:] != grid.shape:
        raise GridError(f"{path.name} cannot be written: the array has shape {values.shape}, its grid {grid.shape}")
    options: dict[str, Any] = {"driver": "GTiff", "compress": "DEFLATE", **profile}
    if options["driver"] == "GTiff" and "tiled" not in options:
        options |= {"tiled": True, "blockxsize": 256, "blockysize": 256} | profile
    options |= grid_profile(grid, values.dtype.name, nodata, bands=len(bands))
    # Encoded in memory first: GDAL reports a full disk without its reason, and at times not at all.
    with MemoryFile() as memory:
        with memory.open(**options) as file:
            file.write(bands)
            if tags:
                file.update_tags(**tags)
        with atomic_path(path) as temporary:
            temporary.write_bytes(memory.getbuffer())
