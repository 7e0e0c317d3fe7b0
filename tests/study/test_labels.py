"""Label grids are made once for a boundary set, a lattice and a rule, and found again, also by another run."""

import numpy as np
import pytest
from raster_factory import cell_box, cities, lonlat_grid, wiggly_tessellation

from gistools.study import labels as labels_module
from gistools.study.labels import LabelFiles

GRID = lonlat_grid((60, 80))
BOUNDARIES = cities(wiggly_tessellation((104, 29.5, 104.6, 30), 7, seed=1, amplitude=0.01))


@pytest.fixture
def made(monkeypatch):
    """How often a label grid was made."""
    calls, make = [], labels_module.label_zones
    monkeypatch.setattr(labels_module, "label_zones", lambda *a, **o: calls.append(1) or make(*a, **o))
    return calls


@pytest.mark.parametrize("assign", ["centre", "coverage"])
def test_what_was_kept_is_what_would_be_made(tmp_path, made, assign):
    first = LabelFiles(tmp_path)(BOUNDARIES, GRID, assign=assign)
    files = LabelFiles(tmp_path)
    again = files(BOUNDARIES, GRID, assign=assign)
    assert files(BOUNDARIES, GRID, assign=assign) is again
    assert len(made) == 1
    assert again.codes == first.codes
    assert again.assign == assign
    assert again.shared_cells == first.shared_cells
    for name in ("row", "start", "stop", "zone", "outside_share"):
        one, other = getattr(first, name), getattr(again, name)
        assert one.dtype == other.dtype
        assert np.array_equal(one, other)
    if assign == "coverage":
        assert all(np.array_equal(a, b) for a, b in zip(first.edges, again.edges, strict=True))
    assert again.area_km2().tolist() == first.area_km2().tolist()


def test_anything_that_matters_makes_another(tmp_path, made, monkeypatch):
    def count(boundaries=BOUNDARIES, grid=GRID, **rule):
        before = len(made)
        LabelFiles(tmp_path)(boundaries, grid, **rule)
        return len(made) - before

    assert count() == 1
    assert count() == 0
    assert count(assign="coverage") == 1
    assert count(grid=lonlat_grid((60, 80), west=104.0 + 1 / 240)) == 1
    assert count(BOUNDARIES.assign(city_code=BOUNDARIES["city_code"].str.replace("0", "9"))) == 1
    moved = BOUNDARIES.copy()
    moved.loc[0, "geometry"] = cell_box(GRID, 0, 5, 0, 5)
    assert count(moved.iloc[[0]]) == 1
    monkeypatch.setattr(labels_module, "LABELS_VERSION", 0)
    assert count() == 1


def test_a_damaged_file_is_made_anew(tmp_path, made):
    LabelFiles(tmp_path)(BOUNDARIES, GRID)
    (path,) = tmp_path.iterdir()
    whole = path.read_bytes()
    for damage in (b"", whole[: len(whole) // 2], whole[:100] + b"\xff" * 50 + whole[150:]):
        path.write_bytes(damage)
        assert LabelFiles(tmp_path)(BOUNDARIES, GRID).codes == tuple(BOUNDARIES["city_code"])
    assert len(made) == 4
    assert path.read_bytes() == whole


def test_without_a_folder_they_are_kept_in_memory(made):
    files = LabelFiles()
    assert files(BOUNDARIES, GRID) is files(BOUNDARIES, GRID)
    assert len(made) == 1


def test_a_folder_looked_in_gives_what_it_holds_and_gets_nothing_before_it_is_kept_in(tmp_path, made):
    files = LabelFiles()
    files.look_in(tmp_path)
    zones = files(BOUNDARIES, GRID)
    assert list(tmp_path.iterdir()) == []
    files.keep_in(tmp_path)
    assert len(list(tmp_path.iterdir())) == 1
    other = LabelFiles()
    other.look_in(tmp_path)
    assert other(BOUNDARIES, GRID).codes == zones.codes
    assert len(made) == 1
