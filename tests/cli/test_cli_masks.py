"""``gistools city mask``, ``cbd``, ``maps`` and ``audit``: what goes in, what comes out, and what is refused."""

import json
import re
import warnings

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from click.testing import CliRunner
from markupsafe import escape
from raster_factory import ARC30, cell_box, lonlat_grid, write_raster

from gistools.cli.main import main
from gistools.io.tables import read_table
from gistools.raster.zones import label_zones

GRID = lonlat_grid((60, 60))
HALF = lonlat_grid((61, 61), west=104 - ARC30 / 2, north=30 + ARC30 / 2)
HOSTILE = "<script>alert('x')</script>"
QUARTERS = [cell_box(GRID, r, r + 30, c, c + 30) for c in (0, 30) for r in (0, 30)]
YEARS = (2001, 2011, 2012)


class Country:
    def __init__(self, folder):
        self.folder = folder
        rng = np.random.default_rng(0)
        smooth = 60 - 2.5 * np.hypot(*np.meshgrid(np.arange(61) % 30 - 15, np.arange(61) % 30 - 15))
        for year in YEARS:
            light = np.clip(smooth + rng.integers(-3, 8, (61, 61)), 0, 63).astype("uint8")
            write_raster(folder / f"F18{year}.tif", light, HALF)
            count = rng.gamma(1, 40 * np.clip(smooth[:60, :60], 1, None)).astype("int32")
            write_raster(folder / f"pop{year}.tif", count, GRID, nodata=-2147483647)
        self.cities = gpd.GeoDataFrame(
            {"city_code": ["0101", "0102", "0103", "0104"], "name": ["a", HOSTILE, "丙", "d"], "p": list("xxyy")},
            geometry=QUARTERS,
            crs=4326,
        )
        self.cities.to_file(folder / "c.gpkg")

    def __call__(self, verb, *extra, years="2001,2011-2012", boundaries="c.gpkg", grids=True):
        arguments = ["city", verb, *map(str, extra)]
        if grids:
            arguments += ["--lights", str(self.folder / "F18{year}.tif")]
            arguments += ["--population", str(self.folder / "pop{year}.tif")]
        if years:
            arguments += ["--years", years]
        if boundaries:
            arguments += ["--boundaries", str(self.folder / boundaries), "--name", "name", "--province", "p"]
        with warnings.catch_warnings():
            warnings.simplefilter("default")
            result = CliRunner().invoke(main, arguments)
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.stderr
        return result

    def done(self, *arguments, **options):
        result = self(*arguments, **options)
        assert result.exit_code == 0, result.stderr
        return result

    def refused(self, words, *arguments, **options):
        before = sorted(self.folder.rglob("*"))
        result = self(*arguments, **options)
        assert result.exit_code == 2, result.stderr
        assert len(result.stderr.splitlines()) == 1
        assert words in result.stderr
        assert sorted(self.folder.rglob("*")) == before

    def panel(self, *extra):
        out = self.folder / "panel.csv"
        self.done("form", *extra, "--out", out)
        return read_table(out)


@pytest.fixture(scope="module")
def country(tmp_path_factory):
    return Country(tmp_path_factory.mktemp("country"))


def areas_of_masks(country, out, assign):
    """Areas by city and year, summed over the cells of the masks."""
    zones = label_zones(country.cities, GRID, assign=assign)
    area = np.broadcast_to(GRID.cell_area_km2(GRID.whole), GRID.shape)
    fraction = np.stack([zones.interior().labels(GRID.whole) == k for k in range(4)]).astype(float)
    if zones.edges is not None:
        fraction[zones.edges.zone, zones.edges.row, zones.edges.col] = zones.edges.fraction
    rows = []
    for year in YEARS:
        with rasterio.open(out / f"urban_{year}.tif") as file:
            row, col = (round(float(v)) for v in (GRID.row(file.transform.f), GRID.col(file.transform.c)))
            mask = np.full(GRID.shape, 255)
            mask[row : row + file.height, col : col + file.width] = file.read(1)
        for k, code in enumerate(zones.codes):
            parts = [float((fraction[k] * area)[mask == value].sum()) for value in (1, 2)]
            rows.append((code, year, *parts, sum(parts)))
    return pd.DataFrame(rows, columns=["city_code", "year", "low_area_km2", "high_area_km2", "urban_area_km2"])


@pytest.mark.parametrize(
    "options",
    [
        (),
        ("--assign", "coverage", "--align", "nearest", "--min-light", "20", "--base-year", "2011"),
        ("--threshold", "1500", "--min-density", "500"),
    ],
)
def test_areas_of_the_masks_are_those_of_the_panel(country, tmp_path, options):
    panel = country.panel(*options)
    country.done("mask", *options, "--out", tmp_path)
    found = areas_of_masks(country, tmp_path, "coverage" if "coverage" in options else "centre")
    both = panel.merge(found, on=["city_code", "year"], suffixes=("", "_mask"), validate="1:1")
    assert len(both) == 12
    assert (both["low_area_km2"] > 0).all()
    for name in ("low_area_km2", "high_area_km2", "urban_area_km2"):
        np.testing.assert_allclose(both[f"{name}_mask"], both[name], rtol=1e-12, err_msg=name)


def test_masks_say_what_they_are(country, tmp_path):
    result = country.done(
        "mask", "--out", tmp_path / "m", "--polygons", tmp_path / "p.parquet", "--json", tmp_path / "j"
    )
    assert "3 masks written" in result.stdout
    panel = country.panel().set_index(["city_code", "year"])
    said = json.loads((tmp_path / "j").read_text())
    assert said["density_threshold"] == pytest.approx(panel["density_threshold"].iloc[0], rel=1e-12)
    with rasterio.open(tmp_path / "m" / "urban_2011.tif") as file:
        tags, values = file.tags(), file.read(1)
        assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
        assert (file.dtypes, file.nodata) == (("uint8",), 255)
    assert float(tags["density_threshold"]) == said["density_threshold"]
    assert tags["threshold_rule"] == "auto: mean density over the urban cells of 4 cities in 2001"
    assert (tags["year"], tags["lights"], tags["population"]) == ("2011", "F182011.tif", "pop2011.tif")
    assert tags["min_light"] == "10.0"
    counts = said["cells"]["2011"]
    assert [counts[name] for name in ("not_urban", "low", "high")] == [int((values == v).sum()) for v in range(3)]
    patches = gpd.read_parquet(tmp_path / "p.parquet")
    assert said["patches"] == len(patches)
    by_city = patches.groupby(["city_code", "year"])["area_km2"]
    np.testing.assert_array_equal(by_city.size(), panel["patches"].loc[by_city.size().index])
    np.testing.assert_allclose(by_city.max(), panel["largest_patch_km2"].loc[by_city.max().index], rtol=1e-12)
    assert set(patches["class"]) == {"urban"}
    assert patches["city_name"].iloc[0] == "a"


def test_patches_of_the_classes(country, tmp_path):
    country.done("mask", "--out", tmp_path / "m", "--polygons", tmp_path / "p.gpkg", "--patches-of", "classes")
    panel = country.panel().set_index(["city_code", "year"])
    patches = gpd.read_file(tmp_path / "p.gpkg")
    for kind in ("low", "high"):
        total = patches[patches["class"] == kind].groupby(["city_code", "year"])["area_km2"].sum()
        np.testing.assert_allclose(total, panel[f"{kind}_area_km2"].loc[total.index], rtol=1e-12)


def test_a_mask_without_boundaries_covers_the_grid(country, tmp_path):
    country.done("mask", "--out", tmp_path / "m", "--polygons", tmp_path / "p.gpkg", boundaries=None, years="2001")
    with rasterio.open(tmp_path / "m" / "urban_2001.tif") as file:
        assert file.shape == GRID.shape
        assert file.tags()["threshold_rule"] == "auto: mean density over the urban cells of the whole grid in 2001"
        values = file.read(1)
    patches = gpd.read_file(tmp_path / "p.gpkg")
    assert "city_code" not in patches
    assert patches["cells"].sum() == ((values == 1) | (values == 2)).sum()


def test_a_bad_year_is_set_aside(country, tmp_path):
    result = country("mask", "--out", tmp_path, years="2001,2005,2011")
    assert result.exit_code == 3
    assert "Set aside: lights 2005" in result.stderr
    assert sorted(p.name for p in tmp_path.iterdir()) == ["urban_2001.tif", "urban_2011.tif"]


def test_cbds_are_the_panels(country, tmp_path):
    panel = country.panel("--cbd-year", "each")
    names = ["cbd_lon", "cbd_lat", "cbd_light", "cbd_ties", "cbd_rule"]
    country.done("cbd", "--out", tmp_path / "each.gpkg", "--cbd-year", "each")
    each = gpd.read_file(tmp_path / "each.gpkg")
    pd.testing.assert_frame_equal(
        pd.DataFrame(each[names]), panel[names], check_dtype=False, rtol=1e-14, check_column_type=False
    )
    np.testing.assert_array_equal(each.geometry.x, each["cbd_lon"])
    for name in ("b.geojson", "b.parquet", "b.csv"):
        result = country.done("cbd", "--out", tmp_path / name, "--base-year", "2011")
        assert "4 CBDs written" in result.stdout
    base = read_table(tmp_path / "b.csv")
    assert base["year"].tolist() == [2011] * 4
    assert len(gpd.read_parquet(tmp_path / "b.parquet")) == 4
    # what comes out can be given as known CBDs
    known = country.panel("--cbd-table", tmp_path / "b.csv")
    assert (known["cbd_rule"] == "table").all()
    np.testing.assert_allclose(known["cbd_lon"].iloc[::3], base["cbd_lon"], rtol=1e-14)


def test_a_city_without_light_has_a_row_without_a_point(country, tmp_path):
    light = np.full((61, 61), 20, "uint8")
    light[:, :31] = 0
    write_raster(tmp_path / "F182001.tif", light, HALF)
    country.done("cbd", "--out", tmp_path / "c.gpkg", "--lights", tmp_path / "F18{year}.tif", years="2001")
    # the later --lights counts
    arguments = ["city", "cbd", "--lights", str(tmp_path / "F18{year}.tif"), "--years", "2001", "--boundaries"]
    arguments += [str(country.folder / "c.gpkg"), "--out", str(tmp_path / "d.gpkg")]
    result = CliRunner().invoke(main, arguments)
    assert "2 CBDs written" in result.stdout
    assert "2 have none" in result.stdout
    table = gpd.read_file(tmp_path / "d.gpkg")
    assert table.geometry.isna().tolist() == [True, True, False, False]
    assert table["note"].tolist() == ["no light above zero: no CBD"] * 2 + [""] * 2
    assert table["cbd_rule"].tolist()[:2] == ["none"] * 2


# ---------------------------------------------------------------- maps


def test_maps_of_a_panel(country, tmp_path):
    country.panel()
    out = tmp_path / "maps"
    result = country.done(
        *("maps", country.folder / "panel.csv", "--out", out, "--cities", "0102", "--columns", "sprawl_index"),
        *("--json", tmp_path / "j.json"),
        years="2001,2012",
    )
    names = {path.name for path in out.iterdir()}
    assert names == {
        *(f"{kind}_sprawl_index.png" for kind in ("choropleth", "series", "provinces")),
        *(f"city_0102_{year}.png" for year in (2001, 2012, "years")),
        "gradients.png",
        "map.html",
    }
    assert f"{len(names)} files written" in result.stdout
    assert len(json.loads((tmp_path / "j.json").read_text())["files"]) == len(names)
    page = (out / "map.html").read_text(encoding="utf-8")
    assert HOSTILE not in page
    assert "http-equiv" in page


def test_maps_without_grids_and_what_is_refused(country, tmp_path):
    country.panel()
    panel = country.folder / "panel.csv"
    given = {"years": None, "grids": False}
    country.done("maps", panel, "--out", tmp_path / "m", "--columns", "light_mean", **given)
    assert not list((tmp_path / "m").glob("city_*"))
    refused = country.refused
    refused("give --boundaries", "maps", panel, "--out", tmp_path / "n", boundaries=None, **given)
    refused("did you mean 'sprawl_index'?", "maps", panel, "--out", tmp_path, "--columns", "sprawl_indx", **given)
    refused("did you mean '0102'?", "maps", panel, "--out", tmp_path, "--cities", "102", **given)
    refused("give --lights and --population", "maps", panel, "--out", tmp_path, "--cities", "0102", **given)
    refused("both grids", "maps", panel, "--out", tmp_path, "--lights", "x", **given)


# ---------------------------------------------------------------- audit


def test_an_audit_of_a_later_year(country, tmp_path):
    result = country.done(
        *("audit", "0102", "--year", "2012", "--out", tmp_path / "a.html", "--cells", tmp_path / "cells.csv"),
        *("--json", tmp_path / "a.json"),
    )
    assert "36 of 36 columns agree" in result.stdout
    said = json.loads((tmp_path / "a.json").read_text())
    assert said["mismatches"] == []
    assert said["cbd"]["year"] == 2001
    row = country.panel().set_index(["city_code", "year"]).loc[("0102", 2012)]
    for column in said["columns"]:
        if column["column"] not in ("cbd_rule", "note"):
            assert column["value"] == pytest.approx(row[column["column"]], rel=1e-12), column["column"]
    cells = read_table(tmp_path / "cells.csv")
    assert cells["population"].sum() == pytest.approx(row["population"], rel=1e-12)
    assert cells.loc[cells["urban"], "area_km2"].sum() == pytest.approx(row["urban_area_km2"], rel=1e-12)
    assert cells["tied"].sum() == row["cbd_ties"]
    page = (tmp_path / "a.html").read_text(encoding="utf-8")
    assert "<script" not in page
    assert str(escape(HOSTILE)) in page
    assert not re.search(r"(src|href)=\"(?!data:|#|cells\.csv)", page)
    assert page.count("data:image/png;base64,") == 3
    assert page.count("✓") == 36
    assert "MISMATCH" not in page


def test_a_panel_that_was_tampered_with(country, tmp_path):
    panel = country.panel()
    panel.loc[(panel["city_code"] == "0103") & (panel["year"] == 2011), "gradient"] += 0.01
    panel.to_csv(tmp_path / "p.csv", index=False)
    result = country("audit", "0103", "--year", "2011", "--panel", tmp_path / "p.csv", "--out", tmp_path / "a.html")
    assert result.exit_code == 3
    assert "Mismatch: gradient: the panel says" in result.stderr
    assert (tmp_path / "a.html").read_text(encoding="utf-8").count("MISMATCH") == 1


@pytest.mark.parametrize("grids", ["lights", "population"])
def test_an_audit_with_one_grid(country, tmp_path, grids):
    name = {"lights": "F18{year}.tif", "population": "pop{year}.tif"}[grids]
    result = country.done(
        *("audit", "0101", f"--{grids}", country.folder / name, "--out", tmp_path / "a.html", "--cells"),
        tmp_path / "c.gpkg",
        grids=False,
    )
    assert "36 of 36 columns agree" in result.stdout
    cells = gpd.read_file(tmp_path / "c.gpkg")
    cell = GRID.cell_size[0] * GRID.cell_size[1]
    assert len(cells) == {"lights": 961, "population": 900}[grids]  # each on its own lattice
    assert shapely.area(cells.geometry.array).sum() == pytest.approx(len(cells) * cell, rel=1e-9)


def test_an_audit_with_known_cbds_and_other_options(country, tmp_path):
    known = pd.DataFrame({"city_code": country.cities["city_code"], "cbd_lon": 104.25, "cbd_lat": 29.75})
    known.to_csv(tmp_path / "cbd.csv", index=False)
    options = ("--cbd-table", tmp_path / "cbd.csv", "--assign", "coverage", "--radius-km", "5", "--threshold", "1500")
    result = country.done("audit", "0104", *options, "--out", tmp_path / "a.html")
    assert "36 of 36 columns agree" in result.stdout


def test_what_an_audit_refuses(country, tmp_path):
    out = ("--out", tmp_path / "a.html")
    country.refused("no city has the code '102'; did you mean '0102'?", "audit", "102", *out)
    country.refused("written as .html", "audit", "0102", "--out", tmp_path / "a.pdf")
    country.refused("cells are written as", "audit", "0102", *out, "--cells", tmp_path / "c.tif")
    country.refused("2005", "audit", "0102", *out, "--year", "2005")
    (tmp_path / "p.csv").write_text("city_code,year,population\n0102,2001,5\n")
    country.refused(
        "has no row of city 0102 in 2012; it has 2001", "audit", "0102", *out, "--panel", tmp_path / "p.csv"
    )
    country.refused("a mask needs both grids", "mask", "--out", tmp_path / "m", grids=False)
    country.refused("vectors are written as", "mask", "--out", tmp_path / "m", "--polygons", tmp_path / "p.xlsx")
    country.refused("give --lights", "cbd", "--out", tmp_path / "c.gpkg", grids=False)
