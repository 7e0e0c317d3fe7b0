"""`gistools city form` on one pair of grids in every format: the very same panel."""

import tempfile

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from affine import Affine
from click.testing import CliRunner
from raster_factory import cell_box, write_raster
from raster_formats import FORMATS, packed, write_as

from gistools.cli.main import main
from gistools.grid import WGS84, Grid
from gistools.io.unpack import remove_unpacked

PEOPLE = Grid(WGS84, Affine(1 / 120, 0, 104, 0, -1 / 120, 30), (45, 37))
LIGHTS = Grid(WGS84, Affine(1 / 120, 0, 24959 / 240, 0, -1 / 120, 7201 / 240), (46, 38))
RNG = np.random.default_rng(5)
COUNT = RNG.gamma(1, 1500, PEOPLE.shape).astype("int32")
COUNT[RNG.random(PEOPLE.shape) < 0.1] = -9999
COUNT[16:32, :16] = -9999  # a tile without data
LIGHT = RNG.integers(0, 64, LIGHTS.shape).astype("uint8")
LIGHT[RNG.random(LIGHTS.shape) < 0.1] = 255
CITIES = [cell_box(PEOPLE, r, r + 20, c, c + 15) for c in (1, 18) for r in (2, 23)]


def form(folder, lights, population, *extra):
    arguments = ["city", "form", "--lights", str(folder / lights), "--population", str(folder / population)]
    arguments += ["--lights-product", "dmsp", "--boundaries", str(folder / "c.gpkg"), "--years", "2012-2013"]
    return CliRunner().invoke(main, [*arguments, "--out", str(folder / "panel.csv"), *map(str, extra)])


def country(folder):
    codes = [f"{k:04d}" for k in range(len(CITIES))]
    gpd.GeoDataFrame({"city_code": codes}, geometry=CITIES, crs=4326).to_file(folder / "c.gpkg")


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    folder = tmp_path_factory.mktemp("plain")
    country(folder)
    for year in (2012, 2013):
        write_raster(
            folder / f"F18{year}.tif", LIGHT - (year == 2012) * (LIGHT < 255) * (LIGHT > 0), LIGHTS, nodata=255
        )
        write_raster(folder / f"pop{year}.tif", COUNT, PEOPLE, nodata=-9999)
    result = form(folder, "F18{year}.tif", "pop{year}.tif")
    assert result.exit_code == 0, result.stderr
    panel = pd.read_csv(folder / "panel.csv")
    assert panel["sprawl_index"].notna().all()
    assert panel["gradient"].notna().all()
    assert (panel["population_missing_cells"] > 0).all()
    return (folder / "panel.csv").read_bytes()


@pytest.fixture
def temporary(tmp_path, monkeypatch):
    place = tmp_path / "tmp"
    place.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(place))
    yield place
    remove_unpacked()


@pytest.mark.parametrize("kind", FORMATS)
def test_every_format_gives_the_very_same_panel(tmp_path, plain, temporary, kind):
    country(tmp_path)
    for year in (2012, 2013):
        light = LIGHT - (year == 2012) * (LIGHT < 255) * (LIGHT > 0)
        lights = write_as(kind, tmp_path, f"F18{year}", light, LIGHTS, 255)
        people = write_as(kind, tmp_path, f"pop{year}", COUNT, PEOPLE, -9999)
    lights, people = lights.replace("2013", "{year}"), people.replace("2013", "{year}")
    keep = ("--keep-years", tmp_path / "kept")
    result = form(tmp_path, lights, people, *keep)
    assert result.exit_code == 0, result.stderr
    assert (tmp_path / "panel.csv").read_bytes() == plain
    # ... and a second run takes the years over: files of every format are hashed
    kept = {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()}
    again = form(tmp_path, lights, people, *keep)
    assert again.exit_code == 0
    assert (tmp_path / "panel.csv").read_bytes() == plain
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "kept").iterdir()} == kept
    remove_unpacked()
    assert list(temporary.iterdir()) == []


# ---------------------------------------------------------------- what is found by a pattern


@pytest.fixture
def pair(tmp_path, temporary):
    country(tmp_path)
    for year in (2012, 2013):
        write_raster(tmp_path / f"F18{year}.tif", LIGHT, LIGHTS, nodata=255)
        write_raster(tmp_path / f"pop{year}.tif", COUNT, PEOPLE, nodata=-9999)
    return tmp_path


def test_what_lies_beside_a_raster_is_no_raster(pair):
    for name in ("F182012.tif.aux.xml", "F182012.tfw", "F182012.txt"):
        (pair / name).write_text("beside")
    packed(pair / "F182012.tif.gz", pair / "F182012.tif")  # fetched, unpacked, and not deleted
    assert form(pair, "F18{year}*", "pop{year}.tif").exit_code == 0


def test_packed_grids_are_said(pair):
    for year in (2012, 2013):
        packed(pair / f"L{year}.tif.gz", pair / f"F18{year}.tif")
    result = form(pair, "L{year}.tif.gz", "pop{year}.tif")
    assert result.exit_code == 0
    assert "Note: 2012: L2012.tif.gz was unpacked into a temporary folder" in result.stderr


def test_one_packed_grid_cut_short_is_set_aside(pair):
    for year in (2012, 2013):
        packed(pair / f"L{year}.tif.gz", pair / f"F18{year}.tif")
    short = pair / "L2013.tif.gz"
    short.write_bytes(short.read_bytes()[:-100])
    result = form(pair, "L{year}.tif.gz", "pop{year}.tif")
    assert result.exit_code == 3
    (line,) = [line for line in result.stderr.splitlines() if line.startswith("Set aside")]
    assert line.endswith("L2013.tif.gz cannot be unpacked: it is cut short or damaged; fetch it again")
    assert set(pd.read_csv(pair / "panel.csv")["year"]) == {2012}


def test_two_satellites_as_folders_of_tiles(pair):
    for satellite in ("F15", "F16"):
        for year in (2012, 2013):
            write_as("tiles", pair, f"{satellite}{year}", LIGHT, LIGHTS, 255)
            for tile in (pair / f"{satellite}{year}").iterdir():
                tile.rename(tile.with_name(tile.name.removeprefix(f"{satellite}{year}")))
    result = form(pair, "{sat}{year}", "pop{year}.tif")
    assert result.exit_code == 0, result.stderr
    assert "lights are the composite of F15, F16" in result.stderr


def test_an_empty_folder(pair):
    for year in (2012, 2013):
        (pair / f"tiles{year}").mkdir()
        (pair / f"tiles{year}" / "readme.txt").touch()
    result = form(pair, "tiles{year}", "pop{year}.tif")
    assert result.exit_code == 2
    assert "tiles2012 holds no raster (.tif, " in result.stderr
    assert len(result.stderr.splitlines()) == 1


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (
            ("lights", "cvg"),
            "holds several grids (lights, cvg), and it is not said which is meant; write that one alone",
        ),
        (("lights",), None),
    ],
)
def test_netcdf_as_xarray_writes_it(pair, names, words):
    # rows from south to north, no CRS, coordinates in degrees
    import xarray as xr

    for year in (2012, 2013):
        coords = {
            "lat": ("lat", LIGHTS.y(np.arange(LIGHTS.height))[::-1], {"units": "degrees_north"}),
            "lon": ("lon", LIGHTS.x(np.arange(LIGHTS.width)), {"units": "degrees_east"}),
        }
        values = LIGHT[::-1].astype("int16")
        data = {name: (("lat", "lon"), values, {"_FillValue": np.int16(255)}) for name in names}
        xr.Dataset(data, coords).to_netcdf(pair / f"L{year}.nc", engine="scipy")
    result = form(pair, "L{year}.nc", "pop{year}.tif")
    if words:
        assert result.exit_code == 2
        assert words in result.stderr
        return
    assert result.exit_code == 0, result.stderr
    netcdf = (pair / "panel.csv").read_bytes()
    assert form(pair, "F18{year}.tif", "pop{year}.tif").exit_code == 0
    assert (pair / "panel.csv").read_bytes() == netcdf


def test_float_radiance_with_predictor_3(pair):
    radiance = np.where(LIGHT < 255, LIGHT * 1.37, np.nan).astype("float32")
    for year in (2012, 2013):
        write_raster(pair / f"V{year}.tif", radiance, LIGHTS)
        write_raster(pair / f"P{year}.tif", radiance, LIGHTS, compress="deflate", predictor=3, tiled=True)
    panels = []
    for name in ("V", "P"):
        result = form(pair, f"{name}{{year}}.tif", "pop{year}.tif", "--lights-product", "viirs")
        assert result.exit_code == 0, result.stderr
        panels.append((pair / "panel.csv").read_bytes())
    assert panels[0] == panels[1]


def test_a_grid_without_crs_in_a_format_gdal_cannot_edit(pair):
    for year in (2012, 2013):
        write_as("ascii", pair, f"A{year}", LIGHT, LIGHTS, 255)
        (pair / f"A{year}.prj").unlink()
    result = form(pair, "A{year}.asc", "pop{year}.tif")
    assert result.exit_code == 2
    assert (
        "A2012.asc has no CRS; write it into the file (gdal_translate -a_srs EPSG:4326 A2012.asc mended.tif"
        in result.stderr
    )
