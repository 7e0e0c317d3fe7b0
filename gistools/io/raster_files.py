"""Files of rasters: opened once a thread, packed ones through a plain copy; listed, hashed and stamped."""

from __future__ import annotations

import hashlib
import os
import threading
import warnings
from collections import OrderedDict
from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

# One small block cache serves slab reads as well as a large one, and bounds memory.
os.environ.setdefault("GDAL_CACHEMAX", "64")

import rasterio

from gistools.errors import GistoolsError, GridError
from gistools.io.raster_paths import is_packed, is_raster_folder
from gistools.io.unpack import packed_files, unpacked

_HANDLES = threading.local()
_MOST_HANDLES = 64


# Time and size of every file that a raster is read from
Stamps = tuple[tuple[int, int], ...]


class _Handle(NamedTuple):
    """An open raster, the files it is read from, and what they were like when it was opened."""

    dataset: rasterio.DatasetReader
    files: list[Path]
    stamps: Stamps
    nodes: list[int]


def stamps_of(files: Iterable[Path]) -> Stamps:
    """What changes when one of several files is written anew."""
    return tuple((facts.st_mtime_ns, facts.st_size) for facts in map(os.stat, files))


def _nodes(files: Iterable[Path]) -> list[int]:
    return [facts.st_ino for facts in map(os.stat, files)]


def open_handle(path: Path, stamps: Stamps | None = None) -> rasterio.DatasetReader:
    """Return this thread's handle of a file, opening it when it is new or was replaced, or a source of it was.

    Raises
    ------
    GridError
        If its files are not what they were when `stamps` were taken: its lattice and values were judged then.
    """
    handles: OrderedDict[Path, _Handle] | None = getattr(_HANDLES, "open", None)
    if handles is None:
        handles = _HANDLES.open = OrderedDict()
    known = handles.get(path)
    # another file stands there now, or one more beside it since the handle was opened
    if known is not None and (
        (known.stamps, known.nodes) != (stamps_of(known.files), _nodes(known.files))
        or (stamps is not None and stamps != known.stamps)
    ):
        close_handle(path)
        known = None
    if known is None:
        files = raster_files(path)
        known = handles[path] = _Handle(open_dataset(path), files, stamps_of(files), _nodes(files))
        while len(handles) > _MOST_HANDLES:
            handles.popitem(last=False)[1].dataset.close()
    handles.move_to_end(path)
    if stamps is not None and stamps != known.stamps:
        close_handle(path)
        raise GridError(f"{path} changed while it was read; run again when it is whole")
    return known.dataset


def open_dataset(path: Path) -> rasterio.DatasetReader:
    """Open a raster for reading; a packed one through its plain copy."""
    with warnings.catch_warnings():
        # a file without georeference is judged in our words
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        if not is_packed(path):
            return rasterio.open(path)
        copy = unpacked(path)
        try:
            return rasterio.open(copy)
        except rasterio.errors.RasterioError:
            if copy.exists():
                raise
            return rasterio.open(unpacked(path))  # another process deleted the copy just now


def not_a_raster(path: Path) -> str:
    """The sentence on a file that cannot be opened."""
    return f"{path} cannot be opened as a raster: it is not one, or it is cut short or damaged; fetch it again"


def close_handle(path: Path) -> None:
    """Close this thread's handle of a file, if it has one."""
    handles = getattr(_HANDLES, "open", None)
    if handles and path in handles:
        handles.pop(path).dataset.close()


def close_rasters() -> None:
    """Close every handle of this thread, so that its files may be replaced or deleted."""
    for path in list(getattr(_HANDLES, "open", None) or ()):
        close_handle(path)


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
    path = Path(path)
    if is_packed(path):
        return packed_files(path)
    if is_raster_folder(path):
        return [path]
    found: dict[Path, None] = {}
    waiting = [path]
    while waiting:
        one = waiting.pop(0)
        if one in found or not one.exists():
            continue
        found[one] = None
        if one == path or one.suffix.lower() == ".vrt":
            try:
                with open_dataset(one) as file:
                    waiting += map(Path, file.files)
            except (rasterio.errors.RasterioError, OSError) as error:
                raise GridError(not_a_raster(one)) from error
    return list(found)


def _files_of(path: Path) -> list[Path]:
    """Files of a folder that is a raster, at any depth; of any other path itself."""
    return sorted(part for part in path.rglob("*") if part.is_file()) if path.is_dir() else [path]


def file_hash(path: str | Path) -> str:
    """Return the SHA-256 of a file, or of all files of a folder (an ESRI grid, a Zarr store)."""
    path = Path(path)
    try:
        if path.is_dir():
            parts = [(part.relative_to(path).as_posix(), file_hash(part)) for part in _files_of(path)]
            return hashlib.sha256(repr(parts).encode()).hexdigest()
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise GistoolsError(f"{path} cannot be read: {error.strerror or error}") from error


def file_stamp(path: str | Path) -> tuple[int, int]:
    """Return what changes when a file, or one of a folder that is a raster, is written anew: time and size."""
    facts = [part.stat() for part in _files_of(Path(path))]
    return max((part.st_mtime_ns for part in facts), default=0), sum(part.st_size for part in facts)
