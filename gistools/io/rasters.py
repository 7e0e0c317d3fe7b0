"""Rasters: opened, judged, and read by windows."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
import rasterio
from affine import Affine
from pyproj import CRS

from gistools.checks import listed
from gistools.errors import CrsError, FileMissingError, GistoolsError, GridError
from gistools.grid import Block, Grid, GridSource, Product, Window
from gistools.io._blocks import to_rasterio
from gistools.io.raster_files import (
    Stamps,
    close_handle,
    close_rasters,
    file_hash,
    file_stamp,
    not_a_raster,
    open_dataset,
    open_handle,
    raster_files,
    stamps_of,
)
from gistools.io.raster_paths import is_packed, missing_years, year_files

if TYPE_CHECKING:
    import xarray as xr

# One door for who reads rasters: what finds, opens and hashes the files is found here too.
__all__ = [
    "UNKNOWN",
    "RasterSource",
    "TiledSource",
    "close_rasters",
    "file_hash",
    "file_stamp",
    "missing_years",
    "open_raster",
    "open_tiles",
    "probe",
    "raster_facts",
    "raster_files",
    "read_grid",
    "year_files",
]

UNKNOWN = Product("a raster of no known product", "other", "as stored in the file")

# Their lattice is stored as doubles; that of others is decimal text or a list of coordinates
_WHOLE_NUMBERS = {"GTiff", "COG", "VRT", "HFA"}
_DEGREES = rasterio.crs.CRS.from_epsg(4326)


@dataclass(frozen=True)
class RasterSource:
    """One raster file as a source of windows; every thread and process opens its own handle.

    Attributes
    ----------
    path : Path
    grid : Grid
    product : Product
        What its cells mean; decides which values are no data.
    dtype : str
        Number type in the file.
    nodata : float or None
        The value tagged as no data in the file.
    block_rows, block_cols : int
        Rows and columns of a tile or strip.
    tags : dict
        Metadata of the file and its first band.
    masked : bool
        Whether the file has a mask of its own, besides no-data values.
    stamps : tuple
        Time and size of its files when it was judged; another file in its place is not read as if it were this one.
    band : int
        The band that is read, from 1.
    """

    path: Path
    grid: Grid
    product: Product
    dtype: str
    nodata: float | None
    block_rows: int = 1
    block_cols: int = 2**31
    tags: tuple[tuple[str, str], ...] = ()
    masked: bool = False
    stamps: Stamps | None = None
    band: int = 1

    @property
    def name(self) -> str:
        """File name."""
        return self.path.name

    def read(self, window: Window) -> Block:
        """Read the cells of a window.

        Raises
        ------
        GridError
            If the file is damaged there, or its values cannot be what its product says.
        """
        return self.fetch(window)()

    def fetch(self, window: Window) -> Callable[[], Block]:
        """Decode the cells of a window; what is returned judges them (see :func:`gistools.grid.fetch`)."""
        part = to_rasterio(window)
        try:
            file = open_handle(self.path, self.stamps)
            values = file.read(self.band, window=part)
            shown = file.read_masks(self.band, window=part) > 0 if self.masked else None
        except GistoolsError:
            raise
        except (rasterio.errors.RasterioError, OSError) as error:
            close_handle(self.path)
            raise GridError(
                f"{self.path} cannot be read at rows {window.row0} to {window.row1 - 1}: the file is cut short or "
                "damaged; fetch it again"
            ) from error
        return partial(self._judged, values, shown)

    def _judged(self, values: np.ndarray, shown: np.ndarray | None) -> Block:
        valid = self._valid(values)
        if shown is not None:
            valid = shown if valid is None else valid & shown
        if self.product.valid_max is not None and values.size:
            self.product.refuse_above(
                float(values.max() if valid is None else values.max(where=valid, initial=0)), self.name
            )
        if self.product.quantity == "count" and values.dtype.kind in "iu" and values.dtype.itemsize == 2:
            # of four bytes and more it is no plausible count; of two it may pass for a crowded cell
            full = np.iinfo(values.dtype).max
            if ((values == full) if valid is None else (values == full) & valid).any():
                raise GridError(
                    f"{self.name} holds {full}, the largest number of its type ({values.dtype}), where persons are "
                    "counted: it is a no-data value that is not tagged; tag it (gdal_edit.py -a_nodata "
                    f"{full})"
                )
        return Block(values, valid)

    def _valid(self, values: np.ndarray) -> np.ndarray | None:
        valid: np.ndarray | None = None
        if values.dtype.kind == "f":
            finite = np.isfinite(values)
            if not finite.all():
                valid = finite
        low = self.product.valid_min
        # A negative no-data value of counts needs no comparison of its own
        untagged = self.product.nodata if values.dtype == np.uint8 else None
        for nodata in {self.nodata, untagged}:
            if nodata is None or np.isnan(nodata) or (low is not None and nodata < low):
                continue
            differs = values != _as_dtype(nodata, values.dtype)
            if not differs.all():
                valid = differs if valid is None else valid & differs
        if low is not None and values.dtype.kind != "u":
            with np.errstate(invalid="ignore"):
                enough = values >= low
            if not enough.all():
                valid = enough if valid is None else valid & enough
        return valid


def _as_dtype(value: float, dtype: np.dtype) -> Any:
    """Return the no-data value as the file's number type holds it (a float32 file tags a cut-off number)."""
    with np.errstate(over="ignore"):
        return np.asarray(value).astype(dtype) if dtype.kind == "f" else value


def raster_facts(path: str | Path, band: int = 1) -> dict[str, Any]:
    """Return what a raster file says of itself and of one band: driver, number type, no data, tags, size.

    Raises
    ------
    FileMissingError
        If there is no such file.
    GridError
        If it cannot be opened.
    """
    path = Path(path)
    if not path.exists():
        raise FileMissingError(f"there is no file {path}")
    try:
        with open_dataset(path) as file:
            if file.count == 0:
                raise GridError(_holds_several(path, file.subdatasets))
            k = band - 1
            if not 0 <= k < file.count:
                raise GridError(f"{path.name} has {file.count} bands, and there is no band {band} among them")
            tags = {**file.tags(), **file.tags(band)}
            if file.descriptions and file.descriptions[k]:
                tags["description"] = file.descriptions[k]
            if file.units and file.units[k]:
                tags["units"] = file.units[k]
            crs = file.crs
            if crs is None and tags.get("lon#units") == "degrees_east" and tags.get("lat#units") == "degrees_north":
                crs = _DEGREES  # what the conventions of netCDF mean by these units
            return {
                "driver": file.driver,
                "bands": file.count,
                "dtype": file.dtypes[k],
                "nodata": file.nodatavals[k],
                "crs": crs,
                "transform": file.transform,
                "shape": (file.height, file.width),
                "block": file.block_shapes[k],
                "scale": (file.scales[k], file.offsets[k]),
                "masked": rasterio.enums.MaskFlags.per_dataset in file.mask_flag_enums[k],
                "tags": tags,
            }
    except GistoolsError:
        raise
    except (rasterio.errors.RasterioError, OSError) as error:
        raise GridError(not_a_raster(path)) from error


def _holds_several(path: Path, parts: Sequence[str]) -> str:
    if not parts:
        return f"{path} holds no grid of rows and columns; it is another kind of file"
    names = [part.strip("/").rpartition(":")[2].rpartition("/")[2] for part in parts]
    return (
        f"{path} holds several grids ({listed(names)}), and it is not said which is meant; write that one alone "
        f"(gdal_translate '{parts[0]}' one.tif)"
    )


def open_raster(path: str | Path, product: Product = UNKNOWN, *, band: int | None = None) -> RasterSource:
    """Open a raster file as a source: CRS, lattice and number type are judged, nothing is read.

    Parameters
    ----------
    path : path
        Of a file GDAL can open.
    product : Product
        What its cells mean.
    band : int, optional
        Which band is meant, from 1; without it the file must have one band only.

    Returns
    -------
    RasterSource

    Raises
    ------
    CrsError
        If it has no CRS, or a CRS of degrees with coordinates that cannot be degrees.
    GridError
        If it cannot be opened, is rotated, has several bands, or holds complex numbers.
    """
    path = Path(path)
    stamps = stamps_of(raster_files(path)) if path.exists() else None
    facts = raster_facts(path, band or 1)
    if facts["bands"] != 1 and band is None:
        raise GridError(
            f"{path.name} has {facts['bands']} bands, and it is not said which holds the values; "
            f"write that band alone (gdal_translate -b 1 {path.name} one_band.tif)"
        )
    if facts["dtype"].startswith("complex"):
        raise GridError(
            f"{path.name} holds complex numbers, which are neither lights nor counts; it is another product"
        )
    if facts["scale"] != (1.0, 0.0):
        scale, offset = facts["scale"]
        raise GridError(
            f"{path.name} keeps its values scaled ({scale:g} x stored + {offset:g}); write them out first "
            f"(gdal_translate -unscale -ot Float32 {path.name} values.tif)"
        )
    if facts["crs"] is None:
        raise CrsError(
            f"{path.name} has no CRS; write it into the file ({_mend(facts, path, '-a_srs EPSG:4326')}, "
            "if its cells lie in degrees)"
        )
    if facts["transform"].is_identity:
        raise GridError(
            f"{path.name} does not say where its cells lie (it has no georeference); write it into the file "
            f"({_mend(facts, path, '-a_ullr WEST NORTH EAST SOUTH')})"
        )
    transform = facts["transform"]
    try:
        crs = CRS.from_user_input(facts["crs"])
        if crs.is_geographic and facts["driver"] not in _WHOLE_NUMBERS:
            transform = _settled(transform, facts["shape"])
        grid = Grid(crs, transform, facts["shape"])
    except GridError as error:
        raise GridError(f"{path.name}: {error}") from error
    west, south, east, north = grid.bounds
    smallest = min(grid.cell_size)
    if smallest < 1e-6 * (1 if grid.is_geographic else 1e3) or not np.isfinite(grid.bounds).all():
        raise GridError(
            f"{path.name} says its cells are {grid.cell_size[0]:.3g} x {grid.cell_size[1]:.3g} "
            f"{'degrees' if grid.is_geographic else 'metres'}, which no raster of cities has; write the true corners "
            f"into the file ({_mend(facts, path, '-a_ullr WEST NORTH EAST SOUTH')})"
        )
    if grid.is_geographic and (west < -361 or east > 361 or south < -91 or north > 91):
        raise CrsError(
            f"{path.name} says its cells lie in degrees, but they run to {max(map(abs, grid.bounds)):.0f}: "
            f"its CRS is wrong; write the true one into the file ({_mend(facts, path, '-a_srs ...')})"
        )
    if grid.crs.is_projected and max(abs(west), abs(east)) <= 361 and max(abs(south), abs(north)) <= 91:
        raise CrsError(
            f"{path.name} says its cells lie in metres ({grid.crs.name}), but they look like degrees: its CRS is "
            f"wrong; write the true one into the file ({_mend(facts, path, '-a_srs EPSG:4326')})"
        )
    tags = tuple(sorted((str(k), str(v)) for k, v in facts["tags"].items()))
    return RasterSource(
        path,
        grid,
        product,
        facts["dtype"],
        facts["nodata"],
        block_rows=facts["block"][0],
        block_cols=facts["block"][1],
        tags=tags,
        masked=facts["masked"],
        stamps=stamps,
        band=band or 1,
    )


def _mend(facts: dict[str, Any], path: Path, option: str) -> str:
    """The command that writes something into a raster: in place where GDAL can, into a GeoTIFF otherwise."""
    if facts["driver"] == "GTiff" and not is_packed(path):
        return f"gdal_edit.py {option} {path.name}"
    return f"gdal_translate {option} {path.name} mended.tif"


def _settled(transform: Affine, shape: tuple[int, int]) -> Affine:
    """Round a lattice of degrees whose numbers were cut after some digits to the one that was meant.

    ``cellsize 0.00833333333`` is 1/120. Only what moves no corner by more than a hundred-thousandth of a cell is
    rounded: the cell to a whole part of a degree, the corner to half cells.
    """
    parts = [round(1 / abs(size)) if abs(size) > 1e-9 else 0 for size in (transform.a, transform.e)]
    drift = [
        abs(abs(size) * n - 1) * cells
        for size, n, cells in zip((transform.a, transform.e), parts, reversed(shape), strict=True)
    ]
    if min(parts) < 1 or max(drift) > 1e-5 or transform.b or transform.d:
        return transform
    corner = [
        round(at * 2 * n) / (2 * n) if abs(at * 2 * n - round(at * 2 * n)) < 2e-5 else at
        for at, n in zip((transform.c, transform.f), parts, strict=True)
    ]
    signs = [1 if size > 0 else -1 for size in (transform.a, transform.e)]
    return Affine(signs[0] / parts[0], 0.0, corner[0], 0.0, signs[1] / parts[1], corner[1])


def probe(source: GridSource, most: int = 9) -> Block:
    """Read a few windows spread over a source, its corners included: damage shows, and values can be judged.

    Parameters
    ----------
    source : GridSource
    most : int
        How many windows; each is 64 x 64 cells at the most.

    Returns
    -------
    Block
        The values read, in one row.

    Raises
    ------
    GridError
        If the file is cut short or damaged at one of them.
    """
    height, width = source.grid.shape
    side = round(most**0.5)
    rows = np.unique(np.linspace(0, max(height - 64, 0), side).astype(int))
    cols = np.unique(np.linspace(0, max(width - 64, 0), side).astype(int))
    windows = [(r, c) for r in rows.tolist() for c in cols.tolist()]
    blocks = [source.read(Window(r, min(r + 64, height), c, min(c + 64, width))) for r, c in windows]
    return Block(
        np.concatenate([block.values.ravel() for block in blocks])[None],
        np.concatenate([block.is_valid().ravel() for block in blocks])[None],
    )


@dataclass(frozen=True)
class TiledSource:
    """A set of tiles as one grid; cells of no tile have no data, where tiles overlap the first one counts."""

    tiles: Sequence[RasterSource]
    grid: Grid
    offsets: tuple[tuple[int, int], ...]

    @property
    def name(self) -> str:
        """First tile and how many more."""
        return f"{self.tiles[0].name} and {len(self.tiles) - 1} more tiles"

    @property
    def product(self) -> Product:
        """What the cells mean."""
        return self.tiles[0].product

    @property
    def dtype(self) -> str:
        """Number type of the tiles."""
        return self.tiles[0].dtype

    def read(self, window: Window) -> Block:
        """Read the cells of a window from the tiles that hold them."""
        values = np.zeros(window.shape, self.dtype)
        valid = np.zeros(window.shape, bool)
        filled = np.zeros(window.shape, bool)
        for tile, (row, col) in zip(self.tiles, self.offsets, strict=True):
            r0, r1 = max(window.row0, row), min(window.row1, row + tile.grid.height)
            c0, c1 = max(window.col0, col), min(window.col1, col + tile.grid.width)
            if r0 >= r1 or c0 >= c1:
                continue
            part = (slice(r0 - window.row0, r1 - window.row0), slice(c0 - window.col0, c1 - window.col0))
            block = tile.read(Window(r0 - row, r1 - row, c0 - col, c1 - col))
            new = ~filled[part]
            values[part] = np.where(new, block.values, values[part])
            valid[part] |= new & block.is_valid()
            filled[part] = True
        return Block(values, None if valid.all() else valid)


def open_tiles(
    paths: Sequence[Path], product: Product = UNKNOWN, *, band: int | None = None
) -> RasterSource | TiledSource:
    """Open one file, or several tiles of one lattice as one grid.

    Parameters
    ----------
    paths : sequence of Path
    product : Product
    band : int, optional
        As in :func:`open_raster`.

    Returns
    -------
    RasterSource or TiledSource

    Raises
    ------
    GridError
        If the tiles differ in cell size, CRS or number type, do not lie on one lattice, or cover the same place.
    """
    sources = [open_raster(path, product, band=band) for path in paths]
    if len(sources) == 1:
        return sources[0]
    first = sources[0]
    width, height = first.grid.cell_size
    rows, cols = [], []
    for tile in sources:
        w, h = tile.grid.cell_size
        alike = (
            abs(w - width) <= 1e-6 * width
            and abs(h - height) <= 1e-6 * height
            and tile.grid.crs.equals(first.grid.crs, ignore_axis_order=True)
            and tile.dtype == first.dtype
        )
        west, _, _, north = tile.grid.bounds
        col, row = float(first.grid.col(west)), float(first.grid.row(north))
        if not alike or abs(col - round(col)) > 1e-3 or abs(row - round(row)) > 1e-3:
            raise GridError(
                f"{first.name} and {tile.name} match one year but are not tiles of one lattice "
                f"({first.grid.describe()}; {tile.grid.describe()}); narrow the file pattern to one of them"
            )
        rows.append(round(row))
        cols.append(round(col))
    _refuse_doubles(sources, rows, cols)
    top, left = min(rows), min(cols)
    bottom = max(r + s.grid.height for r, s in zip(rows, sources, strict=True))
    right = max(c + s.grid.width for c, s in zip(cols, sources, strict=True))
    grid = first.grid.crop(Window(top, bottom, left, right))
    return TiledSource(tuple(sources), grid, tuple((r - top, c - left) for r, c in zip(rows, cols, strict=True)))


def _refuse_doubles(sources: Sequence[RasterSource], rows: Sequence[int], cols: Sequence[int]) -> None:
    """Refuse two files that cover mostly the same place: which of them is meant is not said."""
    for i, a in enumerate(sources):
        for j in range(i + 1, len(sources)):
            b = sources[j]
            high = min(rows[i] + a.grid.height, rows[j] + b.grid.height) - max(rows[i], rows[j])
            wide = min(cols[i] + a.grid.width, cols[j] + b.grid.width) - max(cols[i], cols[j])
            smaller = min(a.grid.height * a.grid.width, b.grid.height * b.grid.width)
            if high > 0 and wide > 0 and high * wide > 0.5 * smaller:
                raise GridError(
                    f"{a.name} and {b.name} match one year and cover the same place; "
                    "narrow the file pattern to one of them"
                )


def read_grid(
    path: str | Path, product: Product = UNKNOWN, *, year: int | None = None, window: Window | None = None
) -> xr.DataArray:
    """Read a raster as a labelled array, lazily: blocks are read by Dask when they are needed.

    Parameters
    ----------
    path : path
    product : Product
        What its cells mean: decides no data, and goes into the attributes.
    year : int, optional
        Goes into the attributes.
    window : Window, optional
        Only these cells.

    Returns
    -------
    DataArray, dims (y, x)
        float64 where the file holds floats of 64 bits, float32 otherwise (int32 counts become float64); no data
        is NaN. Attributes ``units``, ``product``, ``year``; CRS and transform through rioxarray.
    """
    import dask.array
    import rioxarray  # noqa: F401  (registers the accessor)
    import xarray as xr

    source = open_raster(path, product)
    window = window or source.grid.whole
    grid = source.grid.crop(window)
    dtype = np.dtype(np.float32 if np.dtype(source.dtype).itemsize <= 2 or source.dtype == "float32" else np.float64)
    rows = max(source.block_rows, 512 // source.block_rows * source.block_rows)

    def block(block_info: Any = None) -> np.ndarray:
        (r0, r1), (c0, c1) = block_info[None]["array-location"]
        part = source.read(Window(window.row0 + r0, window.row0 + r1, window.col0 + c0, window.col0 + c1))
        values = part.values.astype(dtype)
        return values if part.valid is None else np.where(part.valid, values, dtype.type(np.nan))

    chunks = dask.array.core.normalize_chunks((rows, -1), grid.shape, dtype=dtype)
    values = dask.array.map_blocks(block, dtype=dtype, chunks=chunks, meta=np.empty((0, 0), dtype))
    attrs: dict[str, Any] = {"units": product.units, "product": product.name, "source": source.name}
    if year is not None:
        attrs["year"] = year
    coords = {"y": grid.y(np.arange(grid.height)), "x": grid.x(np.arange(grid.width))}
    array = xr.DataArray(values, dims=("y", "x"), coords=coords, attrs=attrs, name=product.quantity)
    array = array.rio.write_crs(grid.crs).rio.write_transform(grid.transform)
    return cast("xr.DataArray", array)
