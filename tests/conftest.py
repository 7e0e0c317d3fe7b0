"""Where the tests find the real data and the reference cases that lie beside a full checkout."""

import os
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

# helpers shared by several test files (raster_factory, slow_form) are plain modules of this folder
sys.path.insert(0, str(Path(__file__).parent))

SHARED = Path(os.environ.get("GISTOOLS_SHARED", Path(__file__).parents[2] / "shared"))


def _folder(name: str) -> Path:
    folder = SHARED / name
    if not folder.is_dir():
        pytest.skip(f"the folder of {name} is not beside this checkout (set GISTOOLS_SHARED to where it lies)")
    return folder


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Real rasters, boundaries and tables with their provenance."""
    return _folder("data")


@pytest.fixture(scope="session")
def cases_dir() -> Path:
    """Reference cases with known answers."""
    return _folder("cases")


@contextmanager
def _files_up_to(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def small_files():
    """A context in which the system refuses to write any file beyond a size, as a full disk would."""
    return _files_up_to
