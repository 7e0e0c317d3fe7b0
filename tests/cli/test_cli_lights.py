"""``gistools lights``: what it prints and writes, exit codes, bad input as one sentence, and the worked check."""

import json
import re
import shlex
import warnings
from pathlib import Path

import geopandas as gpd
import numpy as np
import pytest
from click.testing import CliRunner
from raster_factory import ARC30, cell_box, lonlat_grid, write_raster

from gistools.cli.main import main
from gistools.io.tables import read_table

ROOT = Path(__file__).parents[2]
GRID = lonlat_grid((60, 60))
HALF = lonlat_grid((61, 61), west=104 - ARC30 / 2, north=30 + ARC30 / 2)
RNG = np.random.default_rng(0)
LIGHT = RNG.integers(0, 64, (61, 61)).astype("uint8")


def run(*arguments, code=0):
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # as a user has them
        result = CliRunner().invoke(main, [str(a) for a in arguments])
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    assert result.exit_code == code, result.stderr
    return result


def refused(words, *arguments):
    result = run(*arguments, code=2)
    assert len(result.stderr.splitlines()) == 1, result.stderr
    assert words in result.stderr
    assert result.stdout == ""


@pytest.fixture
def folder(tmp_path):
    for year in (2011, 2012, 2013):
        write_raster(tmp_path / f"F18{year}.v4c_web.stable_lights.avg_vis.tif", LIGHT, HALF)
    return tmp_path


def calibrate(folder, *extra, years="2011-2012", code=0):
    pattern = folder / "F18{year}.v4c_web.stable_lights.avg_vis.tif"
    return run(
        "lights", "calibrate", "--lights", pattern, "--years", years, "--out", folder / "out", *extra, code=code
    )


def test_calibrate_then_measure_urban_form(folder):
    result = calibrate(folder, "--json", folder / "c.json")
    assert "2 grids in" in result.stdout
    assert "F18  2012 elvidge2014 1.8750 0.6203 0.0052            12" in result.stdout
    assert "Note: lights are calibrated: those above 10 begin at a raw digital number of" in result.stderr
    doc = json.loads((folder / "c.json").read_text())
    assert [row["raw_above_10"] for row in doc["satellites"]] == [11, 12]
    assert doc["satellites"][0]["borrowed_from"] is None
    assert doc["failures"] == []
    assert set(doc["files"]) == {"calibration", "series", "figure", "calibrated_2011", "calibrated_2012"}

    counts = RNG.gamma(1, 1500, (60, 60)).astype("int32")
    write_raster(folder / "pop2012.tif", counts, GRID)
    shapes = [cell_box(GRID, 0, 60, c, c + 30) for c in (0, 30)]
    gpd.GeoDataFrame({"city_code": ["a", "b"]}, geometry=shapes, crs=4326).to_file(folder / "c.gpkg")
    given = ["--population", folder / "pop{year}.tif", "--boundaries", folder / "c.gpkg", "--years", "2012"]
    panels = {}
    for name, lights in (("raw", "F18{year}*.tif"), ("calibrated", "out/calibrated_{year}.tif")):
        said = run("city", "form", "--lights", folder / lights, *given, "--out", folder / f"{name}.csv")
        panels[name] = read_table(folder / f"{name}.csv")
    assert "those above 10 begin at a raw digital number of 12 (F18 2012)" in said.stderr
    # the sums are those of the calibrated cells, brought to the same lattice
    dn = LIGHT.astype(float)
    after = np.where(dn > 0, 1.875 + 0.6203 * dn + 0.0052 * dn**2, 0)
    near = (after[:-1, :-1] + after[1:, :-1] + after[:-1, 1:] + after[1:, 1:]) / 4
    np.testing.assert_allclose(panels["calibrated"]["light_sum"], [near[:, :30].sum(), near[:, 30:].sum()], rtol=1e-6)
    assert (panels["calibrated"]["urban_area_km2"] < panels["raw"]["urban_area_km2"]).all()


def test_f18_2013_is_refused_and_may_be_borrowed_or_left_raw(folder):
    pattern = folder / "F18{year}.v4c_web.stable_lights.avg_vis.tif"
    refused(
        "elvidge2014 has no coefficient for F18 2013",
        *("lights", "calibrate", "--lights", pattern, "--years", "2012-2013", "--out", folder / "out"),
    )
    assert not (folder / "out").exists()
    said = calibrate(folder, "--missing", "borrow", years="2012-2013")
    assert "Note: F18 2013 has no coefficient in elvidge2014: that of F18 2012 is borrowed" in said.stderr
    said = calibrate(folder, "--missing", "raw", years="2012-2013")
    assert "F18 2013 has no coefficient: its digital numbers are left raw" in said.stderr
    table = read_table(folder / "out" / "calibration.csv")
    assert table["model"].tolist() == ["elvidge2014", "raw"]
    assert table["sum_before"].tolist()[1] == table["sum_after"].tolist()[1] == LIGHT.sum()


def test_a_missing_year_is_named_and_the_others_are_written(folder):
    result = calibrate(folder, years="2010-2012", code=3)
    assert read_table(folder / "out" / "series.csv")["year"].tolist() == [2011, 2012]
    assert "2010" in result.stderr


def test_consistency_without_composite_and_own_coefficients(folder):
    (folder / "c.csv").write_text("satellite,year,c0,c1,c2\nF18,2011,0,0.5,0\nF18,2012,0,1,0\n")
    result = calibrate(folder, "--coefficients", folder / "c.csv", "--consistency", "--no-composite")
    assert "c.csv" in result.stdout
    assert (folder / "out" / "calibrated_F182012.tif").is_file()
    manifest = json.loads((folder / "out" / "manifest.json").read_text())
    assert [entry["role"] for entry in manifest["inputs"]] == ["lights 2011 F18", "lights 2012 F18", "coefficients"]


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--coefficients", "elvidge2013"], "did you mean 'elvidge2014'"),
        (["--coefficients", "nowhere.csv"], "there is no file nowhere.csv"),
        (["--coefficients", "fit"], "give --region FILE with --coefficients fit"),
        (["--reference", "1999"], "'1999' is not a satellite and its year"),
        (["--satellite", "16"], "--satellite holds '16'"),
        (["--lights-product", "viirs"], "holds VIIRS-DNB nighttime lights"),
    ],
)
def test_wrong_options_are_one_sentence(folder, extra, words):
    pattern = folder / "F18{year}.v4c_web.stable_lights.avg_vis.tif"
    refused(words, "lights", "calibrate", "--lights", pattern, "--years", "2012", "--out", folder / "out", *extra)
    assert not (folder / "out").exists()


def test_describe(folder):
    path = folder / "F182012.v4c_web.stable_lights.avg_vis.tif"
    result = run("lights", "describe", path, "--json", folder / "d.json")
    assert "product  DMSP-OLS stable lights, F18 2012" in result.stdout
    assert "lattice  cell centres on multiples of 1/120 degree" in result.stdout
    assert "ends in 2013" in result.stdout
    (grid,) = json.loads((folder / "d.json").read_text())["grids"]
    assert grid["sum"] == LIGHT.sum()
    (folder / "bad.tif").write_bytes(b"no")
    result = run("lights", "describe", path, folder / "bad.tif", code=3)
    assert "Set aside: " in result.stderr
    refused("cannot be opened as a raster", "lights", "describe", folder / "bad.tif")
    refused("product 'dsmp' is not known", "lights", "describe", path, "--product", "dsmp")


def test_documentation_prints_what_it_says(tmp_path, monkeypatch):
    text = (ROOT / "docs" / "methods" / "lights.md").read_text(encoding="utf-8")
    ((command, output),) = re.findall(r"```console\n\$ (.*?)\n(.*?)```", text, re.DOTALL)
    (tmp_path / "sample_rasters").symlink_to(ROOT / "sample_rasters")
    monkeypatch.chdir(tmp_path)
    assert run(*shlex.split(command)[1:]).stdout.rstrip() == output.rstrip()
