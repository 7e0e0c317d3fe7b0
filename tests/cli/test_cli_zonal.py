"""``gistools city zonal`` and ``city count``: files in, a panel out, and every bad input as one sentence."""

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pyproj
import pytest
import shapely
from click.testing import CliRunner
from raster_factory import cell_box, lonlat_grid, spoil_block, write_raster

from gistools.cli.main import main
from gistools.io.tables import read_table

GRID = lonlat_grid((64, 64))
RNG = np.random.default_rng(3)
RAIN = {year: RNG.normal(900, 200, (64, 64)).astype("float32") for year in (2011, 2012, 2013)}
COVER = RNG.integers(1, 5, (64, 64)).astype("uint8")
QUARTERS = [(slice(r, r + 32), slice(c, c + 32)) for c in (0, 32) for r in (0, 32)]


class Folder:
    """A folder of rasters, boundaries and features, and the commands on them."""

    def __init__(self, path):
        self.path = path
        for year, values in RAIN.items():
            write_raster(path / f"rain_{year}.tif", values, GRID, nodata=-1, tags={"units": "mm"})
        write_raster(path / "cover.tif", COVER, GRID, nodata=0)
        shapes = [cell_box(GRID, r.start, r.stop, c.start, c.stop) for r, c in QUARTERS]
        table = gpd.GeoDataFrame(
            {"code": ["01", "02", "03", "04"], "name": list("abcd"), "province": list("xxyy")},
            geometry=shapes,
            crs=4326,
        )
        table.to_file(path / "c.gpkg")
        centres = shapely.centroid(table.geometry.array)
        self.sites = gpd.GeoDataFrame(
            {"kind": ["temple", "tomb", "tomb", None], "since": [2011, 2012, 2013, 2011]},
            geometry=[centres[0], centres[0], centres[2], shapely.Point(0, 0)],
            crs=4326,
        )
        self.sites.to_file(path / "sites.gpkg")
        self.out = path / "new" / "panel.csv"

    def __call__(self, command, *options, out=None):
        arguments = ["city", command, "--boundaries", self.path / "c.gpkg", "--code", "code"]
        arguments += ["--out", out or self.out, *options]
        result = CliRunner().invoke(main, [str(a) for a in arguments])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        return result

    def zonal(self, *options, raster="rain_{year}.tif", years="2011-2013", **more):
        chosen = ["--raster", self.path / raster, *(["--years", years] if years else [])]
        return self("zonal", *chosen, *options, **more)

    def panel(self, result, code=0):
        assert result.exit_code == code, result.stderr
        return read_table(self.out)

    def refused(self, words, result):
        assert result.exit_code == 2, result.stderr
        assert result.stderr.startswith("Error: ")
        assert len(result.stderr.splitlines()) == 1
        assert words in result.stderr
        assert not self.out.exists()


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def test_a_panel_of_any_raster(folder):
    result = folder.zonal(
        *("--stats", "sum,mean,max,std,q50,count,majority", "--prefix", "rain", "--name", "name"),
        *("--province", "province", "--json", folder.path / "r.json", "--workers", "2"),
    )
    panel = folder.panel(result)
    assert result.stdout == f"12 rows written to {folder.out}\n"
    names = ["sum", "mean", "max", "std", "q50", "count", "majority", "note"]
    assert [*panel] == ["city_code", "city_name", "province", "year", *(f"rain_{name}" for name in names)]
    assert panel["city_code"].tolist() == [code for code in ("01", "02", "03", "04") for _ in range(3)]
    assert panel["city_name"].tolist()[::3] == list("abcd")
    assert panel["year"].tolist() == 4 * [2011, 2012, 2013]
    for k, part in enumerate(QUARTERS):
        for j, year in enumerate(RAIN):
            cells = RAIN[year][part].astype(float)
            row = panel.iloc[3 * k + j]
            assert row["rain_sum"] == pytest.approx(cells.sum(), rel=1e-12)
            assert row["rain_mean"] == pytest.approx(cells.mean(), rel=1e-12)
            assert row["rain_std"] == pytest.approx(cells.std(), rel=1e-12)
            assert row["rain_q50"] == pytest.approx(np.median(cells), rel=1e-12)
            assert row["rain_max"] == cells.max()
            assert row["rain_count"] == 1024
    said = json.loads((folder.path / "r.json").read_text())
    assert said["rows"] == 12
    assert said["years"] == [2011, 2012, 2013]
    assert said["columns"]["rain_mean"] == {"unit": "mm", "label": "mean over cells with data"}
    assert said["columns"]["rain_count"]["unit"] == "cells"
    assert said["cells"]["2012"] == {"cells": 4096, "missing": 0, "weightless": 0, "passes": 1}
    assert said["failures"] == []


def test_one_raster_without_years(folder):
    panel = folder.panel(folder.zonal("--stats", "fractions,majority,variety", raster="cover.tif", years=None))
    assert "year" not in panel
    assert [*panel][3:] == ["majority", "variety", "share_1", "share_2", "share_3", "share_4", "note"]
    for k, part in enumerate(QUARTERS):
        number = np.bincount(COVER[part].ravel(), minlength=5)[1:]
        assert panel.iloc[k, 5:9].tolist() == pytest.approx((number / 1024).tolist(), rel=1e-12)
    panel = folder.panel(folder.zonal(raster="cover.tif", years="2012"))
    assert panel["year"].tolist() == 4 * [2012]
    np.testing.assert_allclose(panel["mean"], [COVER[part].mean() for part in QUARTERS], rtol=1e-12)


def test_classes_that_come_and_go(folder):
    write_raster(folder.path / "cover_2011.tif", np.full((64, 64), 2, "uint8"), GRID)
    write_raster(folder.path / "cover_2012.tif", np.full((64, 64), 10, "uint8"), GRID)
    panel = folder.panel(folder.zonal("--stats", "fractions", raster="cover_{year}.tif", years="2011-2012"))
    assert [*panel][4:] == ["share_2", "share_10", "note"]
    assert panel[["share_2", "share_10"]].to_numpy().tolist() == 4 * [[1, 0], [0, 1]]


def test_weights(folder):
    mean = folder.panel(folder.zonal("--weight", "area"))["mean"]
    area = np.broadcast_to(GRID.cell_area_km2(GRID.whole), GRID.shape)
    true = [np.average(RAIN[year][part].astype(float), weights=area[part]) for part in QUARTERS for year in RAIN]
    np.testing.assert_allclose(mean, true, rtol=1e-12)
    # one grid of people for all years, at twice the cell size
    people = RNG.gamma(1, 100, (32, 32)).astype("float32")
    write_raster(folder.path / "people.tif", people, lonlat_grid((32, 32), cell=1 / 60))
    result = folder.zonal("--weight", folder.path / "people.tif", "--stats", "mean,sum", "--json", folder.path / "r")
    heavy = np.kron(people, np.ones((2, 2))).astype(float)
    true = [np.average(RAIN[year][part].astype(float), weights=heavy[part]) for part in QUARTERS for year in RAIN]
    np.testing.assert_allclose(folder.panel(result)["mean"], true, rtol=1e-9)
    assert result.stderr.count("Note: weights of people.tif") == 1
    label = json.loads((folder.path / "r").read_text())["columns"]["sum"]
    assert label == {
        "unit": "mm x values of people.tif",
        "label": "sum over cells with data, weighted by people.tif",
    }


def test_options_reach_the_statistics(folder):
    moved = gpd.read_file(folder.path / "c.gpkg")
    moved.geometry = shapely.transform(moved.geometry.array, lambda xy: np.add(xy, [0.3 / 120, -0.3 / 120]))
    moved.to_file(folder.path / "c.gpkg")
    by_centre = folder.panel(folder.zonal())
    covered = folder.panel(folder.zonal("--assign", "coverage", "--stats", "mean,count,missing"))
    assert (by_centre["mean"] != covered["mean"]).all()
    assert covered["count"].iloc[0] == pytest.approx(1024, rel=1e-6)
    assert covered["note"].iloc[-1].startswith("reaches past the grid")
    values = folder.zonal("--stats", "q50", "--memory", 8 * 1100 / 1e9)
    assert "done in 4 passes, to keep within 8.8e-06 GB" in values.stderr
    np.testing.assert_array_equal(folder.panel(values)["q50"], folder.panel(folder.zonal("--stats", "q50"))["q50"])


def test_products_decide_what_is_no_data(folder):
    lights = np.full((64, 64), 255, "uint8")
    lights[:, :32] = 10
    write_raster(folder.path / "F182013.stable_lights.tif", lights, GRID)
    chosen = {"raster": "F182013.stable_lights.tif", "years": None}
    panel = folder.panel(result := folder.zonal("--stats", "mean,count", **chosen))
    assert panel["mean"].tolist()[:2] == [10, 10]
    assert panel["mean"].isna().tolist() == [False, False, True, True]
    assert panel["count"].tolist() == [1024, 1024, 0, 0]
    assert panel["note"].fillna("").tolist() == ["", "", "no data", "no data"]
    assert "cells of cities without data do not count: F182013.stable_lights.tif: 2,048 (50 %)" in result.stderr
    raw = folder.panel(folder.zonal("--product", "raw", **chosen))
    assert raw["mean"].tolist() == [10, 10, 255, 255]


def test_one_band_of_several(folder):
    months = np.stack([RAIN[2011], RAIN[2012], RAIN[2013]])
    write_raster(folder.path / "months.tif", months, GRID, nodata=-1)
    chosen = {"raster": "months.tif", "years": None}
    panel = folder.panel(folder.zonal("--band", "2", **chosen))
    np.testing.assert_allclose(
        panel["mean"], [RAIN[2012][part].astype(float).mean() for part in QUARTERS], rtol=1e-12
    )
    folder.out.unlink()
    folder.refused("has 3 bands, and it is not said which", folder.zonal(**chosen))
    folder.refused("has 3 bands, and there is no band 4 among them", folder.zonal("--band", "4", **chosen))


def test_a_bad_year_is_set_aside(folder):
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder.path)
        write_raster(
            folder.path / "rain_2012.tif",
            RAIN[2012],
            GRID,
            tiled=True,
            blockxsize=32,
            blockysize=32,
            compress="DEFLATE",
        )
        spoil_block(folder.path / "rain_2012.tif", 0, 0)
    result = folder.zonal("--json", folder.path / "r.json")
    assert sorted(set(folder.panel(result, code=3)["year"])) == [2011, 2013]
    assert "Set aside: raster 2012: " in result.stderr
    assert json.loads((folder.path / "r.json").read_text())["failures"][0].startswith("raster 2012: ")
    (folder.path / "rain_2012.tif").unlink()
    result = folder.zonal()
    assert "no file matches" in result.stderr
    assert len(folder.panel(result, code=3)) == 8


def test_bad_input_is_one_sentence(folder):
    folder.refused("'maen' is not known; did you mean 'mean'?", folder.zonal("--stats", "maen"))
    folder.refused("holds {year}; say which with --years", folder.zonal(years=None))
    folder.refused("no file matches", folder.zonal(raster="snow_{year}.tif"))
    folder.refused("no file matches", folder.zonal(raster="snow.tif", years=None))
    folder.refused("product 'dsmp' is not known; did you mean 'dmsp'?", folder.zonal("--product", "dsmp"))
    folder.refused("tables are written as", folder.zonal(out=folder.path / "new" / "panel.txt"))
    folder.refused(
        "so it is no map of classes", folder.zonal("--stats", "fractions", raster="rain_2011.tif", years=None)
    )
    folder.refused("no file matches", folder.zonal("--weight", folder.path / "w_{year}.tif"))
    folder.refused("memory", folder.zonal("--stats", "q50", "--memory", "1e-9"))
    folder.refused(
        "--year-from and --years go together",
        folder("count", "--features", folder.path / "sites.gpkg", "--years", "2011"),
    )
    folder.refused(
        "sites.gpkg: the feature table has no column 'knd'",
        folder("count", "--features", folder.path / "sites.gpkg", "--by", "knd"),
    )


def test_counts_of_features(folder):
    chosen = ("--features", folder.path / "sites.gpkg")
    result = folder(
        "count", *chosen, "--by", "kind", "--prefix", "sites", "--name", "name", "--json", folder.path / "r.json"
    )
    panel = folder.panel(result)
    assert [*panel] == [
        *("city_code", "city_name", "province", "sites_count", "sites_count_per_km2"),
        *("sites_count_temple", "sites_count_tomb", "sites_count_unknown"),
    ]
    assert panel["sites_count"].tolist() == [2, 0, 1, 0]
    assert panel["sites_count_tomb"].tolist() == [1, 0, 1, 0]
    assert "Note: sites.gpkg: 1 of 4 points lie outside every city (row 4)" in result.stderr
    said = json.loads((folder.path / "r.json").read_text())
    assert said["features"]["outside"] == 1
    assert said["columns"]["sites_count"] == {"unit": "points", "label": "points in the city"}
    panel = folder.panel(folder("count", *chosen, "--year-from", "since", "--years", "2011-2013"))
    assert panel["city_code"].tolist() == [code for code in ("01", "02", "03", "04") for _ in range(3)]
    assert panel["year"].tolist() == 4 * [2011, 2012, 2013]
    assert panel["count"].tolist() == [1, 2, 2, 0, 0, 0, 0, 0, 1, 0, 0, 0]


def test_a_table_of_points(folder):
    points = pd.DataFrame(
        {"x": folder.sites.geometry.x, "y": folder.sites.geometry.y, "name": ["寺", "墓", "墓", None]}
    )
    points.loc[3, "x"] = np.nan
    points.to_csv(folder.path / "sites.csv", index=False, encoding="gb18030")
    result = folder("count", "--features", folder.path / "sites.csv", "--lon", "x", "--lat", "y", "--by", "name")
    panel = folder.panel(result)
    assert panel["count_墓"].tolist() == [1, 0, 1, 0]
    assert "1 features have no geometry and do not count" in result.stderr
    folder.out.unlink()
    swapped = folder("count", "--features", folder.path / "sites.csv", "--lon", "y", "--lat", "x")
    folder.refused("row 1, lies at y 29.8", swapped)
    folder.refused("has no column 'lon'", folder("count", "--features", folder.path / "sites.csv"))


def test_dated_heritage_sites_are_cumulated(folder):
    sites = pd.DataFrame({"lon": folder.sites.geometry.x, "lat": folder.sites.geometry.y})
    sites["listed"] = ["1961年3月4日", "2006-05-25", "2013/3/5", None]
    sites.to_csv(folder.path / "heritage.csv", index=False)
    sites.assign(listed=pd.to_datetime(["1961-03-04", "2006-05-25", "2013-03-05", None])).to_parquet(
        folder.path / "h.parquet"
    )
    for name in ("heritage.csv", "h.parquet"):
        chosen = ("--features", folder.path / name, "--year-from", "listed", "--years", "2005-2013")
        result = folder("count", *chosen, "--prefix", "heritage")
        panel = folder.panel(result).set_index(["city_code", "year"])["heritage_count"]
        assert panel.loc["01"].tolist() == [1] + 8 * [2]
        assert panel.loc["03"].tolist() == 8 * [0] + [1]
        assert "1 features have no year and do not count" in result.stderr
        folder.out.unlink()
    pd.DataFrame({"place": ["here"]}).to_parquet(folder.path / "h.parquet")
    folder.refused("h.parquet has no column 'lon', 'lat'", folder("count", "--features", folder.path / "h.parquet"))


@pytest.mark.real
def test_rivers_with_faults(tmp_path, data_dir):
    rivers = data_dir / "reserve_swellendam" / "rivers.shp"
    place = gpd.GeoDataFrame({"city_code": ["a"]}, geometry=[shapely.box(19.1, -34.3, 20.6, -33.4)], crs=4326)
    place.to_file(tmp_path / "b.gpkg")
    options = [
        "city",
        "count",
        "--features",
        rivers,
        "--boundaries",
        tmp_path / "b.gpkg",
        "--out",
        tmp_path / "c.csv",
    ]
    result = CliRunner().invoke(main, [*map(str, options)])
    assert result.exit_code == 2
    assert "give --features-encoding utf-8" in result.stderr
    result = CliRunner().invoke(main, [*map(str, options), "--features-encoding", "utf-8"])
    assert result.exit_code == 0, result.stderr
    assert "Note: rivers.shp: 7 features have no geometry and do not count" in result.stderr
    true = gpd.read_file(rivers, encoding="utf-8").geometry
    length = sum(pyproj.Geod(ellps="WGS84").geometry_length(line) for line in true if line is not None) / 1000
    assert read_table(tmp_path / "c.csv")["length_km"].iloc[0] == pytest.approx(length, rel=1e-9)


@pytest.mark.real
def test_luxembourg_population_of_its_own_authors(tmp_path, data_dir):
    home = data_dir / "ntl_pop_luxembourg"
    options = [
        "--raster",
        home / "GHS_POP_2015_250m_mollweide_lux.tif",
        "--boundaries",
        home / "lux_communes.geojson",
    ]
    options += ["--code", "LAU2", "--stats", "sum", "--prefix", "pop", "--out", tmp_path / "p.parquet"]
    result = CliRunner().invoke(main, ["city", "zonal", *map(str, options)])
    assert result.exit_code == 0, result.stderr
    panel = pd.read_parquet(tmp_path / "p.parquet")
    communes = gpd.read_file(home / "lux_communes.geojson")
    np.testing.assert_allclose(panel["pop_sum"], communes["ghsl_pop"], rtol=1e-9)
    assert panel.attrs["units"]["pop_sum"] == "persons"


@pytest.mark.real
def test_california_people_are_those_of_city_form(tmp_path, data_dir):
    home = data_dir / "ntl_pop_california"
    places = ["--boundaries", home / "california_counties.geojson", "--code", "fips", "--years", "2017,2018"]
    pattern = home / "US-CA_ppp_{year}_1km.tif"
    for assign in ("centre", "coverage"):
        more = ["--assign", assign, "--out", tmp_path / "t.parquet"]
        commands = (["form", "--population", pattern], ["zonal", "--raster", pattern, "--stats", "sum,missing"])
        form, zonal = (
            pd.read_parquet(tmp_path / "t.parquet")
            for command in commands
            if CliRunner().invoke(main, ["city", *map(str, [*command, *places, *more])]).exit_code == 0
        )
        # of the same cells, added up in another order
        np.testing.assert_allclose(zonal["sum"], form["population"], rtol=2e-15 if assign == "centre" else 1e-13)
        np.testing.assert_allclose(zonal["missing"], form["population_missing_cells"], atol=1e-6)


@pytest.mark.real
def test_a_town_in_a_projected_grid(tmp_path, data_dir):
    home = data_dir / "ntl_pop_fixtures"
    raster = home / "touggourt_GHS_POP_E2015_R2019A_54009_1K.tif"
    gpd.read_file(home / "touggourt_boundary.geojson").assign(code="0").to_file(tmp_path / "b.gpkg")
    options = ["--raster", raster, "--boundaries", tmp_path / "b.gpkg", "--code", "code", "--assign", "coverage"]
    options += ["--stats", "sum,max,count", "--out", tmp_path / "p.csv"]
    assert CliRunner().invoke(main, ["city", "zonal", *map(str, options)]).exit_code == 0
    row = read_table(tmp_path / "p.csv").iloc[0]
    from exactextract import exact_extract

    town = gpd.read_file(tmp_path / "b.gpkg").to_crs("ESRI:54009")
    known = exact_extract(str(raster), town, ["sum", "max", "count"], output="pandas").iloc[0]
    assert row["sum"] == pytest.approx(known["sum"], rel=1e-6)
    assert row["count"] == pytest.approx(known["count"], rel=1e-6)
    assert row["max"] == known["max"]


@pytest.mark.real
def test_land_cover_of_lausanne(tmp_path, data_dir):
    home = data_dir / "reserve_lausanne"
    options = ["--boundaries", home / "city.gpkg", "--code", "GMDNR", "--stats", "fractions,count,weight"]
    options += ["--raster", home / "clc_12.tif", "--weight", "area", "--out", tmp_path / "p.parquet"]
    assert CliRunner().invoke(main, ["city", "zonal", *map(str, options)]).exit_code == 0
    row = pd.read_parquet(tmp_path / "p.parquet").iloc[0]
    shares = row[[name for name in row.index if name.startswith("share_")]].astype(float)
    assert shares.sum() == pytest.approx(1, rel=1e-12)
    assert row["weight"] == pytest.approx(41.47, rel=5e-3)  # AREA_HA of the municipality
    assert shares.idxmax() == "share_2"  # discontinuous urban fabric
