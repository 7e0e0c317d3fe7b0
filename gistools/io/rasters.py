"""Rasters: files found by pattern and year, opened, judged, and read by windows."""

from __future__ import annotations

import glob
import hashlib
import os
import re
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, cast

# One small block cache serves slab reads as well as a large one, and bounds memory.
os.environ.setdefault("GDAL_CACHEMAX", "64")

import numpy as np
import rasterio
from pyproj import CRS
from rasterio.windows import Window as RasterioWindow

from gistools.checks import listed
from gistools.errors import CrsError, FileMissingError, GistoolsError, GridError, InputError
from gistools.grid import Block, Grid, GridSource, Product, Window

if TYPE_CHECKING:
    import xarray as xr

UNKNOWN = Product("a raster of no known product", "other", "as stored in the file")

_HANDLES = threading.local()
_MOST_HANDLES = 32


def year_files(pattern: str, years: Iterable[int], *, folder: Path | None = None) -> dict[int, list[Path]]:
    """Find the files of each year.

    Parameters
    ----------
    pattern : str
        A path that may hold ``{year}``, ``{sat}`` (any satellite) and the wildcards ``*``, ``?`` and ``**``.
    years : iterable of int
    folder : Path, optional
        What a relative pattern starts from; by default the current folder.

    Returns
    -------
    dict of int to list of Path
        Sorted paths; a year without files has an empty list.

    Raises
    ------
    InputError
        If the pattern has no ``{year}`` but several years are asked for, or holds another placeholder.
    """
    years = list(years)
    unknown = set(re.findall(r"\{([^{}]*)\}", pattern)) - {"year", "sat"}
    if unknown:
        raise InputError(f"{pattern!r} holds {{{unknown.pop()}}}; a pattern may hold {{year}}, {{sat}}, * and ?")
    if len(years) > 1 and "{year}" not in pattern:
        raise InputError(f"{pattern!r} must hold {{year}}, for {len(years)} years are asked for")
    root = "" if Path(pattern).is_absolute() or folder is None else str(folder)
    found = {}
    for year in years:
        filled = str(Path(glob.escape(root)) / pattern.replace("{year}", str(year)).replace("{sat}", "*"))
        matches = map(Path, glob.glob(filled, recursive=True))  # noqa: PTH207  (the pattern may be absolute)
        found[year] = sorted(path for path in matches if not path.name.startswith("."))
    return found


def missing_years(pattern: str, found: dict[int, list[Path]], folder: Path | None = None) -> str | None:
    """Return a sentence that names the years without files and those that have some, or None.

    Parameters
    ----------
    pattern : str
    found : dict of int to list of Path
        As :func:`year_files` gives it.
    folder : Path, optional

    Returns
    -------
    str or None
    """
    lacking = [year for year, paths in found.items() if not paths]
    if not lacking:
        return None
    root = Path(pattern) if Path(pattern).is_absolute() or folder is None else folder / pattern
    beside: set[int] = set()
    parent = root.parent
    if parent.is_dir() and "{year}" in root.name:
        shape = re.escape(root.name).replace(r"\{year\}", r"((?:19|20)\d\d)").replace(r"\{sat\}", ".*")
        shape = shape.replace(r"\*", ".*").replace(r"\?", ".")
        beside = {int(m[1]) for p in parent.iterdir() if (m := re.fullmatch(shape, p.name))}
    have = f"; there are files for {listed(sorted(beside), 12)}" if beside else ""
    if not parent.is_dir() and "*" not in str(parent):
        have = f"; there is no folder {parent}"
    return f"no file matches {root} for the year {listed(lacking, 12)}{have}"


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
    block_rows : int
        Rows of a tile or strip.
    tags : dict
        Metadata of the file and its first band.
    masked : bool
        Whether the file has a mask of its own, besides no-data values.
    """

    path: Path
    grid: Grid
    product: Product
    dtype: str
    nodata: float | None
    block_rows: int = 1
    tags: tuple[tuple[str, str], ...] = ()
    masked: bool = False

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
        rows, cols = window.shape
        try:
            part = RasterioWindow(window.col0, window.row0, cols, rows)
            values = _handle(self.path).read(1, window=part)
            shown = _handle(self.path).read_masks(1, window=part) > 0 if self.masked else None
        except (rasterio.errors.RasterioError, OSError) as error:
            _close(self.path)
            raise GridError(
                f"{self.path} cannot be read at rows {window.row0} to {window.row1 - 1}: the file is cut short or "
                "damaged; fetch it again"
            ) from error
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


class _Handle(NamedTuple):
    """An open raster, the files it is read from, and what they were like when it was opened."""

    dataset: rasterio.DatasetReader
    files: list[Path]
    stamps: list[tuple[int, int]]


def _stamps(files: Iterable[Path]) -> list[tuple[int, int]]:
    return [(facts.st_mtime_ns, facts.st_ino) for facts in map(os.stat, files)]


def _handle(path: Path) -> rasterio.DatasetReader:
    """Return this thread's handle of a file, opening it when it is new or was replaced, or a source of it was."""
    handles: OrderedDict[Path, _Handle] | None = getattr(_HANDLES, "open", None)
    if handles is None:
        handles = _HANDLES.open = OrderedDict()
    known = handles.get(path)
    if known is not None and known.stamps != _stamps(known.files):  # another file stands there now
        _close(path)
        known = None
    if known is None:
        files = raster_files(path)
        known = handles[path] = _Handle(rasterio.open(path), files, _stamps(files))
        while len(handles) > _MOST_HANDLES:
            handles.popitem(last=False)[1].dataset.close()
    handles.move_to_end(path)
    return known.dataset


def _close(path: Path) -> None:
    handles = getattr(_HANDLES, "open", None)
    if handles and path in handles:
        handles.pop(path).dataset.close()


def close_rasters() -> None:
    """Close every handle of this thread, so that its files may be replaced or deleted."""
    for path in list(getattr(_HANDLES, "open", None) or ()):
        _close(path)


def raster_facts(path: str | Path) -> dict[str, Any]:
    """Return what a raster file says of itself: driver, number type, no data, tags, size.

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
        with warnings.catch_warnings():
            # a file without georeference is judged below, in our words
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            file = rasterio.open(path)
        with file:
            tags = {**file.tags(), **file.tags(1)}
            if file.descriptions and file.descriptions[0]:
                tags["description"] = file.descriptions[0]
            if file.units and file.units[0]:
                tags["units"] = file.units[0]
            return {
                "driver": file.driver,
                "bands": file.count,
                "dtype": file.dtypes[0],
                "nodata": file.nodata,
                "crs": file.crs,
                "transform": file.transform,
                "shape": (file.height, file.width),
                "block": file.block_shapes[0],
                "scale": (file.scales[0], file.offsets[0]),
                "masked": rasterio.enums.MaskFlags.per_dataset in file.mask_flag_enums[0],
                "tags": tags,
            }
    except (rasterio.errors.RasterioError, OSError) as error:
        raise GridError(
            f"{path} cannot be opened as a raster: it is not one, or it is cut short or damaged; fetch it again"
        ) from error


def open_raster(path: str | Path, product: Product = UNKNOWN) -> RasterSource:
    """Open a raster file as a source: CRS, lattice and number type are judged, nothing is read.

    Parameters
    ----------
    path : path
        Of a file GDAL can open; its first band is used.
    product : Product
        What its cells mean.

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
    facts = raster_facts(path)
    if facts["bands"] != 1:
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
            f"{path.name} has no CRS; write it into the file (gdal_edit.py -a_srs EPSG:4326 {path.name}, "
            "if its cells lie in degrees)"
        )
    if facts["transform"].is_identity:
        raise GridError(
            f"{path.name} does not say where its cells lie (it has no georeference); write it into the file "
            "(gdal_edit.py -a_ullr WEST NORTH EAST SOUTH)"
        )
    try:
        grid = Grid(CRS.from_user_input(facts["crs"]), facts["transform"], facts["shape"])
    except GridError as error:
        raise GridError(f"{path.name}: {error}") from error
    west, south, east, north = grid.bounds
    if grid.is_geographic and (west < -361 or east > 361 or south < -91 or north > 91):
        raise CrsError(
            f"{path.name} says its cells lie in degrees, but they run to {max(map(abs, grid.bounds)):.0f}: "
            f"its CRS is wrong; write the true one into the file (gdal_edit.py -a_srs ... {path.name})"
        )
    if grid.crs.is_projected and max(abs(west), abs(east)) <= 361 and max(abs(south), abs(north)) <= 91:
        raise CrsError(
            f"{path.name} says its cells lie in metres ({grid.crs.name}), but they look like degrees: its CRS is "
            f"wrong; write the true one into the file (gdal_edit.py -a_srs EPSG:4326 {path.name})"
        )
    tags = tuple(sorted((str(k), str(v)) for k, v in facts["tags"].items()))
    return RasterSource(
        path, grid, product, facts["dtype"], facts["nodata"], facts["block"][0], tags, masked=facts["masked"]
    )


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


def open_tiles(paths: Sequence[Path], product: Product = UNKNOWN) -> RasterSource | TiledSource:
    """Open one file, or several tiles of one lattice as one grid.

    Parameters
    ----------
    paths : sequence of Path
    product : Product

    Returns
    -------
    RasterSource or TiledSource

    Raises
    ------
    GridError
        If the tiles differ in cell size, CRS or number type, do not lie on one lattice, or cover the same place.
    """
    sources = [open_raster(path, product) for path in paths]
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


def raster_files(path: str | Path) -> list[Path]:
    """Return every file that a raster is read from: itself, its side files, and the sources of a mosaic.

    Parameters
    ----------
    path : path

    Returns
    -------
    list of Path
        The raster itself first; then those that hold its values (a VRT's sources, theirs in turn), its
        georeference (``.tfw``) or what GDAL keeps beside it (``.aux.xml``).

    Raises
    ------
    GridError
        If it cannot be opened.
    """
    found: dict[Path, None] = {}
    waiting = [Path(path)]
    while waiting:
        one = waiting.pop(0)
        if one in found or not one.exists():
            continue
        found[one] = None
        if one == Path(path) or one.suffix.lower() == ".vrt":
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
                    with rasterio.open(one) as file:
                        waiting += map(Path, file.files)
            except (rasterio.errors.RasterioError, OSError) as error:
                raise GridError(f"{one} cannot be opened as a raster; fetch it again") from error
    return list(found)


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file, or of the files of a folder (an ESRI grid), as the resume keys hold it."""
    path = Path(path)
    try:
        if path.is_dir():
            parts = [(part.name, file_hash(part)) for part in sorted(path.iterdir()) if part.is_file()]
            return hashlib.sha256(repr(parts).encode()).hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise GistoolsError(f"{path} cannot be read: {error.strerror or error}") from error
