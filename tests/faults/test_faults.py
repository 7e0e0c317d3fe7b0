"""Faults during a run, at the command line: the year is named and set aside, the others are whole."""

import geopandas as gpd
import numpy as np
import pytest
import yaml
from click.testing import CliRunner
from raster_factory import cell_box, lonlat_grid, spoil_block, write_raster

from gistools.city import series as form_module
from gistools.cli.main import main
from gistools.io.rasters import close_rasters
from gistools.io.tables import read_table

GRID = lonlat_grid((256, 64))
RNG = np.random.default_rng(3)
LIGHT = RNG.integers(0, 64, GRID.shape).astype("uint8")
COUNT = RNG.gamma(1, 1500, GRID.shape).astype("int32")
YEARS = (2011, 2012, 2013)


@pytest.fixture
def folder(tmp_path):
    profile = {"compress": "deflate", "tiled": True, "blockxsize": 64, "blockysize": 16}
    for year in YEARS:
        write_raster(tmp_path / f"F18{year}.tif", LIGHT, GRID, **profile)
        write_raster(tmp_path / f"pop{year}.tif", COUNT, GRID, nodata=-9999, **profile)
    shapes = [cell_box(GRID, r, r + 120, 2, 60) for r in (3, 130)]
    gpd.GeoDataFrame({"city_code": ["01", "02"]}, geometry=shapes, crs=4326).to_file(tmp_path / "c.gpkg")
    study = {"name": "faults", "years": "2011-2013", "boundaries": {"file": "c.gpkg"}}
    study |= {"lights": {"files": "F18{year}.tif"}, "population": {"files": "pop{year}.tif"}}
    study["report"] = {"sensitivity": False, "most_cities": 0}
    (tmp_path / "study.yaml").write_text(yaml.safe_dump(study), encoding="utf-8")
    yield tmp_path
    close_rasters()


def run(folder, command):
    if command == "run":
        arguments = ["run", str(folder / "study.yaml"), "--out", str(folder / "out"), "--overwrite"]
    else:
        arguments = [
            "city",
            "form",
            "--lights",
            str(folder / "F18{year}.tif"),
            "--boundaries",
            str(folder / "c.gpkg"),
        ]
        arguments += ["--population", str(folder / "pop{year}.tif"), "--years", "2011-2013"]
        arguments += ["--out", str(folder / "out" / "panel.parquet")]
    result = CliRunner().invoke(main, arguments)
    assert "Traceback" not in result.stderr
    return result, read_table(folder / "out" / "panel.parquet")


def aside(result, year, words):
    assert result.exit_code == 3, result.stderr
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Set aside: ")]
    assert str(year) in line
    assert words in line


@pytest.mark.parametrize("command", ["form", "run"])
def test_a_file_replaced_during_the_run(folder, monkeypatch, command):
    _, whole = run(folder, command)
    measure = form_module.measure_year

    def meddling(year, *arguments, **options):
        if year == 2012:  # judged already, not yet read
            other = np.minimum(COUNT * 2, 4000).astype("int32")
            write_raster(folder / "pop2012.tif", other, GRID, nodata=-9999)
        return measure(year, *arguments, **options)

    monkeypatch.setattr(form_module, "measure_year", meddling)
    result, panel = run(folder, command)
    aside(result, 2012, "pop2012.tif changed while it was read; run again when it is whole")
    kept = whole[whole["year"] != 2012].reset_index(drop=True)
    assert panel[kept.columns].equals(kept)


@pytest.mark.parametrize("command", ["form", "run"])
@pytest.mark.parametrize("name", ["F182012.tif", "pop2012.tif"])
def test_a_block_that_fails_to_decode(folder, command, name):
    _, whole = run(folder, command)
    spoil_block(folder / name, 0, 5)  # between the windows that are probed
    result, panel = run(folder, command)
    aside(result, 2012, f"{name} cannot be read at rows")
    kept = whole[whole["year"] != 2012].reset_index(drop=True)
    assert panel[kept.columns].equals(kept)
