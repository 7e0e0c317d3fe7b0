"""``gistools terrain`` on a synthetic island: files in, tables and a slope out, errors in one sentence."""

import json

import numpy as np
import pandas as pd
import pytest
import rasterio
from click.testing import CliRunner
from raster_factory import lonlat_grid, write_raster

from gistools.cli.main import main

GRID = lonlat_grid((200, 200), cell=0.006, west=103.4, north=31.2)


@pytest.fixture
def island(tmp_path):
    """A cone of 20 % on a plain in the sea, with a square lake on the plain; the CBD at its top."""
    lon, lat = GRID.lonlat(*np.indices(GRID.shape))
    km = np.hypot((lon - 104) * 95.85, (lat - 30.6) * 110.86)
    z = np.where(km < 8, 20 + 200 * (8 - km), np.where(km < 40, 20.0, 0.0))
    write_raster(tmp_path / "dem.tif", z.astype(np.float32), GRID)
    lake = (lon > 104.1) & (lon < 104.25) & (np.abs(lat - 30.6) < 0.1)
    write_raster(tmp_path / "cover.tif", np.where(lake, 80, 40).astype(np.uint8), GRID)
    pd.DataFrame({"city_code": ["010100"], "cbd_lon": [104.0], "cbd_lat": [30.6]}).to_csv(
        tmp_path / "cbds.csv", index=False
    )
    return tmp_path


def run(folder, *arguments):
    paths = [str(folder / a) if "." in a and not a.startswith("-") else a for a in arguments]
    return CliRunner().invoke(main, ["terrain", *paths])


USUAL = ("--dem", "dem.tif", "--cbds", "cbds.csv", "--out", "out.csv")


def test_an_island(island):
    result = run(
        island,
        "undevelopable",
        *USUAL,
        "--land-cover",
        "cover.tif",
        "--classes",
        "worldcover",
        "--sea",
        "below-zero",
        "--rings-out",
        "rings.parquet",
        "--json",
        "result.json",
    )
    assert result.exit_code == 0, result.output
    row = pd.read_csv(island / "out.csv", dtype={"city_code": str}).iloc[0]
    assert row["city_code"] == "010100"
    # cells whose centre lies beside the foot rise on one side only: half a cell of 0.6 km is not steep
    assert row["steep_km2"] == pytest.approx(np.pi * 7.7**2, rel=0.03)
    lake = 0.15 * 95.85 * 0.2 * 110.86  # rectangle of 0.15 by 0.2 degrees
    assert row["water_km2"] == pytest.approx(lake, rel=0.03)
    assert row["sea_km2"] == pytest.approx(np.pi * (50**2 - 40**2), rel=0.01)
    assert row["undevelopable_share"] == pytest.approx(
        (row["steep_km2"] + row["water_km2"] + row["sea_km2"]) / row["area_km2"], abs=0.002
    )
    parts = pd.read_parquet(island / "rings.parquet")
    rings = parts[parts["part"] == "ring"].set_index("to_km")
    assert rings.loc[5, "undevelopable_share"] == pytest.approx(1.0, abs=0.03)  # the summit itself is flat
    assert rings.loc[30, "undevelopable_share"] == pytest.approx(0.05, abs=0.05)
    assert len(parts) == 5 + 8
    told = json.loads((island / "result.json").read_text())
    assert told["rings"] == [5, 10, 20, 30, 50]
    assert told["classes_found"] == [40, 80]
    assert told["citation"].startswith("Zanaga")
    assert "1 rows written" in result.output
    assert "Note: cells at or below zero are taken for sea" in result.output


def test_rings_end_at_a_smaller_radius(island):
    result = run(island, "undevelopable", *USUAL, "--radius-km", "25", "--rings-out", "rings.csv", "--sectors", "12")
    assert result.exit_code == 0, result.output
    parts = pd.read_csv(island / "rings.csv")
    assert parts.loc[parts["part"] == "ring", "to_km"].tolist() == [5, 10, 20, 25]
    assert (parts["part"] == "sector").sum() == 12
    assert "Note: no land cover is given: water and wetland are not counted" in result.output


def test_workers_give_the_same_table(island):
    for workers in ("1", "3"):
        assert (
            run(island, "undevelopable", *USUAL[:4], "--out", f"out{workers}.csv", "--workers", workers).exit_code
            == 0
        )
    assert (island / "out1.csv").read_bytes() == (island / "out3.csv").read_bytes()


def test_slope(island):
    result = run(island, "slope", "--dem", "dem.tif", "--out", "slope.tif", "--units", "degrees", "--json", "s.json")
    assert result.exit_code == 0, result.output
    with rasterio.open(island / "slope.tif") as file:
        values = file.read(1)
    lon, lat = GRID.lonlat(*np.indices(GRID.shape))
    km = np.hypot((lon - 104) * 95.85, (lat - 30.6) * 110.86)
    np.testing.assert_allclose(values[(km > 3) & (km < 6.5)], np.rad2deg(np.arctan(0.2)), rtol=0.02)
    assert json.loads((island / "s.json").read_text())["cells"] == 40_000


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--land-cover", "cover.tif"], "--land-cover is given without --classes"),
        (["--land-cover", "cover.tif", "--classes", "igbp"], "cover.tif holds the class 40, which MODIS MCD12Q1"),
        (["--land-cover", "cover.tif", "--classes", "wet"], "--classes is 'wet'"),
        (["--rings", "5,ten"], "--rings is '5,ten'"),
        (["--rings", "5,80"], "the ring of 80 km reaches past the radius"),
        (["--sea", "land"], "--sea land needs the polygons"),
        (["--sea", "none", "--land", "land.gpkg"], "say two things"),
        (["--dem", "none.tif"], "no file matches --dem"),
        (["--cbds", "none.csv"], "there is no file"),
        (["--out", "out.txt"], "tables are written as"),
        (["--max-slope", "-1"], "max_slope is -1"),
    ],
)
def test_wrong_input_is_one_sentence_with_exit_code_2(island, arguments, said):
    result = run(island, "undevelopable", *USUAL, *arguments)
    assert result.exit_code == 2, result.output
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1
    assert said in lines[0]
    assert not (island / "out.csv").exists()


def test_cbds_elsewhere(island):
    pd.DataFrame({"city_code": ["a"], "cbd_lon": [10.0], "cbd_lat": [50.0]}).to_csv(island / "cbds.csv", index=False)
    result = run(island, "undevelopable", *USUAL)
    assert result.exit_code == 2
    assert "no circle of 50 km around a CBD holds a cell of dem.tif" in result.stderr


def test_a_slope_has_a_name_of_its_kind(island):
    result = run(island, "slope", "--dem", "dem.tif", "--out", "slope.png")
    assert result.exit_code == 2
    assert "a slope is written as .tif" in result.stderr
