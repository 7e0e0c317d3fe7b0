"""Names of rasters: the files of each year by pattern, and the tiles of a folder."""

from __future__ import annotations

import glob
import re
from collections.abc import Iterable, Sequence
from pathlib import Path

from gistools.checks import listed
from gistools.errors import InputError

# Names that hold a raster, and the endings they are distributed under.
RASTERS = (".tif", ".tiff", ".vrt", ".asc", ".flt", ".bil", ".bip", ".bsq", ".img", ".nc", ".nc4", ".zarr")
ARCHIVES = (".tar", ".tar.gz", ".tgz", ".zip")
# What lies beside a raster and is none itself.
_BESIDE = (
    ".xml",
    ".tfw",
    ".tifw",
    ".bpw",
    ".blw",
    ".prj",
    ".hdr",
    ".ovr",
    ".msk",
    ".stx",
    ".clr",
    ".lyr",
    ".txt",
    ".md5",
    ".sha256",
    ".pdf",
    ".html",
    ".json",
    ".csv",
    ".log",
    ".dbf",
    ".cpg",
)


def is_packed(path: str | Path) -> bool:
    """Whether a file must be unpacked before windows of it can be read: ``.gz``, ``.tgz``, ``.tar``, ``.zip``."""
    return Path(path).name.lower().endswith((".gz", *ARCHIVES))


def is_raster_folder(path: Path) -> bool:
    """Whether a folder is itself one raster: an ESRI binary grid or a Zarr store."""
    return path.is_dir() and (
        path.suffix.lower() == ".zarr"
        or any((path / name).is_file() for name in ("hdr.adf", ".zgroup", ".zarray", "zarr.json"))
    )


def is_raster_name(path: Path) -> bool:
    """Whether the name of a file is that of a raster, packed or not; of a folder, whether it is one."""
    name = path.name.lower()
    return is_raster_folder(path) or name.removesuffix(".gz").endswith(RASTERS) or name.endswith(ARCHIVES)


def tiles_of(folder: str | Path) -> list[Path]:
    """Return the rasters that lie in a folder, sorted; one that also stands there unpacked is taken once.

    Parameters
    ----------
    folder : path

    Returns
    -------
    list of Path
    """
    inside = sorted(path for path in Path(folder).iterdir() if not path.name.startswith("."))
    return _once([path for path in inside if is_raster_name(path)])


def _once(paths: Sequence[Path]) -> list[Path]:
    """Leave out what is none of the rasters meant: files beside them, and a packed copy of one that is there."""
    paths = list(dict.fromkeys(_whole(path) for path in paths))
    rasters = [path for path in paths if is_raster_name(path)]
    if rasters:
        paths = [path for path in paths if path in rasters or not path.name.lower().endswith(_BESIDE)]
    plain = {path for path in paths if not is_packed(path)}
    return [path for path in paths if path.with_suffix("") not in plain or path.suffix.lower() != ".gz"]


def _whole(path: Path) -> Path:
    """Return the raster that a file is part of: its ESRI grid or Zarr store, or itself."""
    if path.suffix.lower() == ".adf" and is_raster_folder(path.parent):
        return path.parent
    stores = [place for place in path.parents if place.suffix.lower() == ".zarr"]
    return stores[-1] if stores else path


def year_files(pattern: str, years: Iterable[int], *, folder: Path | None = None) -> dict[int, list[Path]]:
    """Find the files of each year.

    Parameters
    ----------
    pattern : str
        A path that may hold ``{year}``, ``{sat}`` (any satellite) and the wildcards ``*``, ``?`` and ``**``. A
        folder it matches stands for the rasters in it, unless it is a raster itself (an ESRI grid, a Zarr store).
    years : iterable of int
    folder : Path, optional
        What a relative pattern starts from; by default the current folder.

    Returns
    -------
    dict of int to list of Path
        Sorted paths; a year without files has an empty list. Files that lie beside a raster (``.tfw``,
        ``.aux.xml``) and a packed copy of a raster that is there unpacked are left out.

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
        try:
            matches = map(Path, glob.glob(filled, recursive=True))  # noqa: PTH207  (the pattern may be absolute)
            named = sorted(path for path in matches if not path.name.startswith("."))
        except (ValueError, OSError) as error:
            raise InputError(f"{pattern!r} is no path that a file can have ({error})") from error
        paths: list[Path] = []
        for path in _once(named):
            # with `**` the folders are only the way to the files
            folders = path.is_dir() and not is_raster_folder(path)
            paths += ([] if "**" in pattern else tiles_of(path)) if folders else [path]
        found[year] = paths
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
        beside = {int(m[1]) for p in parent.iterdir() if (m := re.fullmatch(shape, p.name))} - set(lacking)
    have = f"; there are files for {listed(sorted(beside), 12)}" if beside else ""
    if not parent.is_dir() and "*" not in str(parent):
        have = f"; there is no folder {parent}"
    bare = Path(str(root).replace("{year}", str(lacking[0])))
    if bare.is_dir():
        return (
            f"the folder {bare} holds no raster ({', '.join(RASTERS)}, or one of these packed as .gz, .tar or .zip)"
        )
    return f"no file matches {root} for the year {listed(lacking, 12)}{have}"
