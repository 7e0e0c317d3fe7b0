"""Whole files or none: every output is written beside its place and moved there when it is complete."""

from __future__ import annotations

import errno
import json
import math
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from gistools.errors import OutputError

# Leftovers of a killed process carry this mark and may be deleted at any time.
PARTIAL = ".partial-"


@contextmanager
def atomic_path(path: Path) -> Iterator[Path]:
    """Give a temporary path beside `path`; move it there when the block ends well, delete it otherwise.

    Parameters
    ----------
    path : Path
        Where the file shall stand. Its folder is made if it is missing.

    Yields
    ------
    Path
        A file name of the same extension in the same folder (so that the move is one rename).

    Raises
    ------
    OutputError
        If the folder cannot be written or the disk is full; the message names the file.
    """
    path = Path(path)
    temporary = path.with_name(f"{path.stem}{PARTIAL}{uuid.uuid4().hex[:8]}{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        temporary.replace(path)
    except OSError as error:
        raise writing_error(path, error) from error
    finally:
        with suppress(OSError):  # the reason why it could not be written is the better message
            temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    """Force the data to the disk, so that a power cut cannot leave a renamed but empty file."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def writing_error(path: Path, error: OSError) -> OutputError:
    """Say in one sentence why a file could not be written."""
    if isinstance(error, OutputError):
        return error
    why = {
        errno.ENOSPC: "the disk is full; free some space and run again",
        errno.EDQUOT: "the disk quota is used up; free some space and run again",
        errno.EFBIG: "it is larger than the file system or the limit of this process allows",
        errno.EACCES: "there is no right to write in that folder; choose another with --out",
        errno.EPERM: "there is no right to write in that folder; choose another with --out",
        # /proc and its like answer so: the folder is there, but holds no files of ours
        errno.ENOENT: "no file can be made in that folder; choose another with --out",
        errno.EROFS: "the file system is read-only; choose another folder with --out",
        errno.ENOTDIR: "part of its path is a file, not a folder; choose another with --out",
        errno.EEXIST: "part of its path is a file, not a folder; choose another with --out",
    }.get(error.errno or 0, str(error))
    return OutputError(f"{path} cannot be written: {why}")


def require_writable(folder: Path) -> None:
    """Try to write in a folder, before any work is done; a folder that is not there yet is made and removed again.

    Raises
    ------
    OutputError
        If a file cannot be made there.
    """
    test = folder / f".write{PARTIAL}test"  # a leftover too, if the process is killed just now
    new = [place for place in (folder, *folder.parents) if not os.access(place, os.F_OK)]
    try:
        with atomic_path(test) as probe:
            probe.write_bytes(b"gistools")
    except OutputError as error:
        raise writing_error(folder, error.__cause__) from error.__cause__  # type: ignore[arg-type]
    test.unlink(missing_ok=True)
    with suppress(OSError):  # another run may have begun to fill it
        for place in new:
            place.rmdir()


def write_text(path: str | Path, text: str) -> None:
    """Write a text file (UTF-8), whole or not at all.

    Parameters
    ----------
    path : path
    text : str

    Returns
    -------
    None

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with atomic_path(Path(path)) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write JSON (UTF-8, indented), whole or not at all; missing numbers become null."""
    write_text(path, json.dumps(plain(value), ensure_ascii=False, indent=1, allow_nan=False) + "\n")


def plain(value: Any) -> Any:
    """Turn a result into what JSON can hold: NumPy scalars and arrays, paths, NaN (null).

    Examples
    --------
    >>> import numpy as np
    >>> plain({"a": np.float64("nan"), "b": np.arange(2), 3: (1.5, None)})
    {'a': None, 'b': [0, 1], '3': [1.5, None]}
    """
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # NumPy arrays and scalars
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, (str, int, bool)) or value is None:
        return value
    return str(value)
