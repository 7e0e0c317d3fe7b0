"""Arrays by name in one file, whole or not at all; never pickled."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from gistools.io.atomic import atomic_path

if TYPE_CHECKING:
    from numpy.typing import NDArray


def write_arrays(path: Path, arrays: Mapping[str, NDArray]) -> None:
    """Write arrays by name as ``.npz``.

    Parameters
    ----------
    path : Path
    arrays : mapping of str to array
        Of numbers or text.

    Raises
    ------
    OutputError
        If the file cannot be written.
    """
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)


def read_arrays(path: Path) -> dict[str, NDArray] | None:
    """Read arrays that :func:`write_arrays` wrote; None where there are none, or the file is damaged.

    Parameters
    ----------
    path : Path

    Returns
    -------
    dict of str to array, or None
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return dict(arrays)
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile):
        return None
