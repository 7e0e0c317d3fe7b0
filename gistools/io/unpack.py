"""Rasters as they are distributed: unpacked once into a temporary folder, for GDAL cannot seek in packed files.

The copies lie in a folder of the system's temporary folder (``TMPDIR`` says where), named by the hash of the packed
file, so that every process and a later run find them; the process that used them deletes them at its end.
"""

from __future__ import annotations

import atexit
import contextlib
import errno
import gzip
import hashlib
import os
import shutil
import tarfile
import tempfile
import threading
import uuid
import zipfile
import zlib
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, NamedTuple

from gistools.checks import listed
from gistools.errors import GistoolsError, GridError, OutputError
from gistools.io.atomic import PARTIAL, writing_error
from gistools.io.raster_paths import ARCHIVES, RASTERS

_LOCK = threading.Lock()
# What this process unpacked or found unpacked, by the file and what it was like
_KNOWN: dict[tuple[tuple[Path, int, int], ...], tuple[Path, Path]] = {}
_FAULTS = (EOFError, zlib.error, gzip.BadGzipFile, tarfile.TarError, zipfile.BadZipFile, NotImplementedError)
# What GDAL reads beside a raster
_BESIDE = (".prj", ".tfw", ".hdr")
# In NOAA's archives the counts of observations lie beside the lights
_COUNTS = ("cf_cvg", "cvg.tif", ".pct.tif")


class _Member(NamedTuple):
    """One file of an archive."""

    name: PurePosixPath
    size: int
    open: Callable[[], IO[bytes]]


def unpacked(path: str | Path) -> Path:
    """Return a plain copy of a packed raster, unpacking it unless that was done before.

    Parameters
    ----------
    path : path
        ``.tif.gz`` and the like, or a ``.tar``, ``.tgz``, ``.tar.gz`` or ``.zip`` that holds one raster (beside its
        side files and, in NOAA's archives, the counts of observations); members may be packed by gzip in turn.

    Returns
    -------
    Path
        In the temporary folder; it goes when this process ends.

    Raises
    ------
    GridError
        If it is cut short or damaged, or holds no raster or several.
    OutputError
        If the temporary folder has no room.
    """
    path = Path(path)
    files = packed_files(path)
    key = tuple((file, facts.st_mtime_ns, facts.st_size) for file in files for facts in [file.stat()])
    with _LOCK:
        known = _KNOWN.get(key)
        if known is not None and known[1].exists():
            return known[1]
        digest = hashlib.sha256()
        for one in files:
            with one.open("rb") as file:
                digest.update(one.name.encode() + hashlib.file_digest(file, "sha256").digest())
        place = _folder(path) / digest.hexdigest()[:32]
        if not place.is_dir():
            _unpack(files, place)
        copy = place / (place / "raster").read_text(encoding="utf-8")
        _KNOWN[key] = place, copy
        return copy


def packed_files(path: str | Path) -> list[Path]:
    """Return a packed file and, for one of a single raster (``.asc.gz``), the files that belong to it beside it."""
    path = Path(path)
    if path.name.lower().endswith(ARCHIVES):
        return [path]
    plain = path.with_suffix("")
    names = [plain.with_suffix(ending).name for ending in _BESIDE] + [f"{plain.name}.aux.xml"]
    beside = [plain.with_name(name + packed) for name in names for packed in ("", ".gz")]
    return [path, *(file for file in beside if file.is_file())]


def _place() -> Path:
    return Path(tempfile.gettempdir()) / f"gistools-unpacked-{getattr(os, 'getuid', lambda: 0)()}"


def _folder(path: Path) -> Path:
    """Make the folder of the copies; of one user alone, for what lies there is trusted."""
    folder = _place()
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        raise writing_error(folder, error) from error
    if hasattr(os, "getuid") and folder.stat().st_uid != os.getuid():
        raise OutputError(
            f"{path} cannot be unpacked: {folder} belongs to another user; set TMPDIR to a folder of yours"
        )
    return folder


@atexit.register
def remove_unpacked() -> None:
    """Delete the copies this process used; another that still needs one unpacks it again."""
    with _LOCK:
        for place, _ in _KNOWN.values():
            shutil.rmtree(place, ignore_errors=True)
        _KNOWN.clear()
        with contextlib.suppress(OSError):
            _place().rmdir()


def _unpack(files: list[Path], place: Path) -> None:
    """Unpack the raster of a file into a folder: whole or not at all."""
    path = files[0]
    unfinished = place.with_name(f"{place.name}{PARTIAL}{uuid.uuid4().hex[:8]}")
    try:
        unfinished.mkdir()
        with _members(files) as members:
            chosen = _choose(path, members) if path.name.lower().endswith(ARCHIVES) else members
            raster = _plain(chosen[0].name)
            _require_room(path, unfinished, sum(member.size for member in chosen))
            for member in chosen:
                target = unfinished / "files" / _plain(member.name)
                target.parent.mkdir(parents=True, exist_ok=True)
                with member.open() as content, target.open("wb") as out:
                    packed = member.name.suffix.lower() == ".gz"
                    with gzip.GzipFile(fileobj=content) if packed else contextlib.nullcontext(content) as plain:
                        shutil.copyfileobj(plain, out, 1 << 20)
        # an ESRI grid is its folder
        opened = raster.parent if raster.name.lower() == "hdr.adf" else raster
        (unfinished / "raster").write_text(str(PurePosixPath("files") / opened), encoding="utf-8")
        try:
            unfinished.rename(place)
        except OSError:
            if not place.is_dir():  # else another process was faster
                raise
    except _FAULTS as error:
        raise GridError(f"{path} cannot be unpacked: it is cut short or damaged; fetch it again") from error
    except RuntimeError as error:  # zipfile's word for a password
        raise GridError(
            f"{path} cannot be unpacked: {error}; unpack it yourself and give the raster in it"
        ) from error
    except OSError as error:
        if isinstance(error, GistoolsError):
            raise
        if error.errno in {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}:
            raise OutputError(_no_room(path, unfinished.parent)) from error
        raise OutputError(f"{path} cannot be unpacked into {unfinished.parent}: {error.strerror or error}") from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _no_room(path: Path, folder: Path) -> str:
    return (
        f"{path} cannot be unpacked: there is no room in {folder}; set TMPDIR to a folder with more, or unpack the "
        "file yourself"
    )


def _require_room(path: Path, folder: Path, size: int) -> None:
    if shutil.disk_usage(folder).free < size + (64 << 20):
        raise OutputError(f"{_no_room(path, folder.parent)} ({size / 1e9:.1f} GB are needed)")


def _plain(name: PurePosixPath) -> PurePosixPath:
    return name.with_suffix("") if name.suffix.lower() == ".gz" else name


def _choose(path: Path, members: list[_Member]) -> list[_Member]:
    """Return the raster of an archive, and the files that belong to it."""
    rasters = [m for m in members if m.name.name.lower().removesuffix(".gz").endswith(RASTERS)]
    rasters += [m for m in members if m.name.name.lower() == "hdr.adf"]
    if len(rasters) > 1:
        rasters = [m for m in rasters if not any(count in m.name.name.lower() for count in _COUNTS)] or rasters
    if len(rasters) > 1:
        rasters = [m for m in rasters if "stable_lights" in m.name.name.lower()] or rasters
    if len(rasters) != 1:
        holds = (
            f"holds {len(rasters)} rasters ({listed([m.name.name for m in rasters])})"
            if rasters
            else (f"holds no raster ({', '.join(RASTERS)}, or an ESRI grid)")
        )
        raise GridError(f"{path} {holds}; unpack it and give the one that is meant")
    (raster,) = rasters
    if raster.name.name.lower() == "hdr.adf":
        return [raster, *(m for m in members if m.name.parent == raster.name.parent and m is not raster)]
    name = _plain(raster.name)
    stem = {name.stem.lower(), name.name.lower()}
    beside = [
        m
        for m in members
        if m is not raster
        and m.name.parent == name.parent
        and not _plain(m.name).suffix.lower().endswith(RASTERS)
        and any(m.name.name.lower().startswith(f"{s}.") for s in stem)
    ]
    return [raster, *beside]


@contextlib.contextmanager
def _members(files: list[Path]) -> Iterator[list[_Member]]:
    """Give the files of an archive; a gzip file is an archive of one, and of what lies beside it."""
    path = files[0]
    name = path.name.lower()
    if name.endswith((".tar", ".tgz", ".tar.gz")):
        with tarfile.open(path) as tar:
            yield [_Member(_safe(path, m.name), m.size, _opener(tar, m)) for m in tar if m.isfile()]
    elif name.endswith(".zip"):
        with zipfile.ZipFile(path) as archive:
            yield [
                _Member(_safe(path, m.filename), m.file_size, _zip_opener(archive, m))
                for m in archive.infolist()
                if not m.is_dir()
            ]
    else:
        yield [_Member(PurePosixPath(file.name), _size(file), partial(_open, file)) for file in files]


def _opener(tar: tarfile.TarFile, member: tarfile.TarInfo) -> Callable[[], IO[bytes]]:
    def opened() -> IO[bytes]:
        file = tar.extractfile(member)
        if file is None:
            raise tarfile.ReadError(member.name)
        return file

    return opened


def _zip_opener(archive: zipfile.ZipFile, member: zipfile.ZipInfo) -> Callable[[], IO[bytes]]:
    return partial(archive.open, member)


def _safe(path: Path, name: str) -> PurePosixPath:
    """Refuse names that lead out of the folder."""
    member = PurePosixPath(name.replace("\\", "/"))
    if member.is_absolute() or ".." in member.parts:
        raise GridError(f"{path} holds a file named {name!r}, which leads out of its folder; it is not to be trusted")
    return member


def _size(path: Path) -> int:
    """Size of the content: what the last four bytes of a gzip file state (modulo 4 GB), at least the file's own."""
    size = path.stat().st_size
    if path.suffix.lower() != ".gz" or size < 18:
        return size
    with path.open("rb") as file:
        file.seek(-4, os.SEEK_END)
        return max(int.from_bytes(file.read(4), "little"), size)


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")
