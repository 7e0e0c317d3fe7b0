"""The manifest of a run: what went in, how it was measured, with which versions, and what failed."""

from __future__ import annotations

import datetime
import importlib.metadata
import platform
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pyproj
import rasterio

from gistools.io.rasters import file_hash, file_stamp
from gistools.version import __version__

# Versions that numbers may depend on.
_PACKAGES = ("numpy", "scipy", "pandas", "rasterio", "geopandas", "shapely", "pyproj", "libpysal", "exactextract")


def now() -> str:
    """The present moment in UTC, to the second."""
    return datetime.datetime.now(datetime.UTC).replace(microsecond=0).isoformat()


def versions() -> dict[str, str]:
    """Versions of Python, of the packages numbers may depend on, and of this one."""
    found = {"python": platform.python_version(), "gistools": __version__}
    found |= {name: importlib.metadata.version(name) for name in _PACKAGES}
    return found | {"GDAL": rasterio.__gdal_version__, "PROJ": pyproj.proj_version_str}


def input_entry(role: str, path: Path, sha256: str | None = None) -> dict[str, Any]:
    """One input: its role, file name, folder, hash and size."""
    return {
        "role": role,
        "path": str(path),
        "sha256": sha256 or file_hash(path),
        "bytes": file_stamp(path)[1],
    }


def output_entries(folder: Path, skip: Iterable[str] = ()) -> list[dict[str, Any]]:
    """Every file of a run but the manifest itself: path, hash and size."""
    left_out = set(skip)
    files = sorted(path for path in folder.rglob("*") if path.is_file() and path.name not in left_out)
    return [
        {"path": path.relative_to(folder).as_posix(), "sha256": file_hash(path), "bytes": path.stat().st_size}
        for path in files
    ]
