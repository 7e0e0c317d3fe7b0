"""``gistools city form``: what goes in, what comes out, and every bad input as one sentence with an exit code."""

import json
import os
import shutil
import warnings

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
from affine import Affine
from click.testing import CliRunner
from raster_factory import ARC30, UTM_48N, cell_box, lonlat_grid, spoil_block, write_raster
from shapely import MultiPolygon, Point, Polygon, box

from gistools.cli.main import main
from gistools.grid import Grid
from gistools.io.tables import read_table

GRID = lonlat_grid((60, 60))
RNG = np.random.default_rng(0)
LIGHT = RNG.integers(0, 64, (61, 61)).astype("uint8")
COUNT = RNG.gamma(1, 1500, (60, 60)).astype("int32")
HALF = lonlat_grid((61, 61), west=104 - ARC30 / 2, north=30 + ARC30 / 2)
QUARTERS = [cell_box(GRID, r, r + 30, c, c + 30) for c in (0, 30) for r in (0, 30)]


def frame(shapes, codes=None, names=None, crs=4326):
    codes = [f"{k + 1:06d}" for k in range(len(shapes))] if codes is None else codes
    names = list("abcdefgh")[: len(shapes)] if names is None else names
    return gpd.GeoDataFrame({"code": codes, "name": names}, geometry=list(shapes), crs=crs)


class Country:
    """A folder of grids and boundaries, and the command on them."""

    def __init__(self, folder):
        self.folder = folder
        for year in (2011, 2012, 2013):
            write_raster(folder / f"F18{year}.tif", LIGHT, HALF)
            write_raster(folder / f"pop{year}.tif", COUNT, GRID, nodata=-2147483647)
        frame(QUARTERS).to_file(folder / "c.gpkg")
        self.out = folder / "new" / "panel.csv"

    def boundaries(self, table, name="b.gpkg", **options):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            table.to_file(self.folder / name, **options)
        return name

    def __call__(
        self,
        *extra,
        years="2011-2013",
        lights="F18{year}.tif",
        population="pop{year}.tif",
        boundaries="c.gpkg",
        out=None,
    ):
        arguments = [
            "city",
            "form",
            "--boundaries",
            str(self.folder / boundaries),
            "--code",
            "code",
            "--years",
            years,
        ]
        arguments += ["--out", str(out or self.out)]
        if lights:
            arguments += ["--lights", str(self.folder / lights)]
        if population:
            arguments += ["--population", str(self.folder / population)]
        with warnings.catch_warnings():
            warnings.simplefilter("default")  # as a user has them
            result = CliRunner().invoke(main, [*arguments, *map(str, extra)])
        assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
        assert "Traceback" not in result.stderr
        return result

    def refused(self, words, *extra, code=2, **options):
        """Refused in exactly one sentence, nothing written."""
        before = sorted(self.folder.rglob("*"))
        result = self(*extra, **options)
        assert result.exit_code == code, result.stderr
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert result.stderr.startswith("Error: ")
        assert words in result.stderr
        assert result.stdout == ""
        assert sorted(self.folder.rglob("*")) == before
        return result

    def set_aside(self, year, words, *extra, **options):
        """One year is named and left out, the others are written."""
        result = self(*extra, **options)
        assert result.exit_code == 3, result.stderr
        (line,) = [line for line in result.stderr.splitlines() if line.startswith("Set aside: ")]
        assert str(year) in line
        assert words in line
        assert sorted(read_table(self.out)["year"].unique()) == sorted({2011, 2012, 2013} - {year})
        assert "Warning" not in result.stderr
        return result

    def panel(self, *extra, **options):
        result = self(*extra, **options)
        assert result.exit_code == 0, result.stderr
        return read_table(self.out).set_index(["city_code", "year"])


@pytest.fixture
def country(tmp_path):
    return Country(tmp_path)


# ---------------------------------------------------------------- good input


def test_a_panel_and_what_is_said_of_it(country):
    result = country("--name", "name", "--json", country.folder / "r.json")
    assert result.exit_code == 0
    assert result.stdout == f"12 rows written to {country.out}\n"
    panel = read_table(country.out)
    assert panel["city_code"].tolist() == [
        code for code in ("000001", "000002", "000003", "000004") for _ in range(3)
    ]
    assert panel["city_name"].iloc[0] == "a"
    assert country.out.read_bytes().startswith(b"\xef\xbb\xbf")
    said = json.loads((country.folder / "r.json").read_text())
    assert said["rows"] == 12
    assert said["years"] == [2011, 2012, 2013]
    assert said["failures"] == []
    assert set(said["density_threshold"]) == {"2011", "2012", "2013"}
    notes = [line for line in result.stderr.splitlines() if line.startswith("Note: ")]
    assert notes[0] == f"Note: {said['notes'][0]}"
    assert "shifted by 0.500 and 0.500 of a light cell" in notes[0]


def test_options_reach_the_measures(country):
    plain = country.panel()
    other = country.panel(
        *("--min-light", "20", "--min-density", "500", "--threshold", "2500", "--base-year", "2012"),
        *("--cbd-ties", "population-weighted", "--cbd-year", "each", "--radius-km", "2", "--assign", "coverage"),
        *("--align", "nearest", "--workers", "2"),
    )
    assert (other["density_threshold"] == 2500).all()
    for name in ("urban_area_km2", "central_population", "cbd_light", "light_mean"):
        assert (other[name] != plain[name]).any(), name


def test_known_cbds(country):
    known = pd.DataFrame({"city_code": [f"{k:06d}" for k in range(1, 5)], "cbd_lon": 104.25, "cbd_lat": 29.75})
    known.to_csv(country.folder / "cbd.csv", index=False)
    panel = country.panel("--cbd-table", country.folder / "cbd.csv")
    assert set(panel["cbd_rule"]) == {"table"}
    country.refused(
        "has no coordinates for city 000004", "--cbd-table", save(known.iloc[:3], country.folder / "cbd.csv")
    )


def save(table, path):
    table.to_csv(path, index=False)
    return path


def test_either_grid_may_be_left_out_but_not_both(country):
    assert country.panel(population=None)["population"].isna().all()
    assert country.panel(lights=None)["light_sum"].isna().all()
    country.refused("give --lights, --population or both", population=None, lights=None)


def test_finished_years_are_taken_over(country):
    kept = country.folder / "kept"
    country("--keep-years", kept, years="2011-2012")
    result = country("--keep-years", kept, "--json", country.folder / "r.json")
    assert json.loads((country.folder / "r.json").read_text())["taken_over"] == [2011, 2012]
    kept_bytes = country.out.read_bytes()
    country()
    assert country.out.read_bytes() == kept_bytes
    assert result.exit_code == 0


def test_a_composite_and_tiles(country):
    write_raster(country.folder / "F162012.tif", LIGHT[::-1], HALF)
    result = country(lights="F*{year}.tif", years="2012")
    assert "Note: 2012: lights are the composite of F16, F18" in result.stderr


@pytest.mark.parametrize(
    ("grid", "words"),
    [
        (lonlat_grid((60, 60), west=104 + 0.37 * ARC30, north=30 - 0.21 * ARC30), "shifted by 0.870 and 0.710"),
        (lonlat_grid((30, 30), cell=2 * ARC30), "2 x 2 light cells"),
        (Grid(UTM_48N, Affine(1000, 0, 403_000, 0, -1000, 3_320_000), (56, 49)), "EPSG:32648 by mean"),
    ],
    ids=["shifted", "coarser", "utm"],
)
def test_other_lattices_are_aligned_and_reported_not_refused(country, grid, words):
    count = np.full(grid.shape, 6000, "int32")
    write_raster(country.folder / "pop2012.tif", count, grid)
    result = country(years="2012")
    assert result.exit_code == 0
    assert words in result.stderr
    row = read_table(country.out).iloc[0]
    # a quarter of the country, whatever the lattice
    assert row["population"] == pytest.approx(count.sum() / 4, rel=0.12)


# ---------------------------------------------------------------- years and files


def test_a_missing_year_of_several(country):
    (country.folder / "pop2012.tif").unlink()
    country.set_aside(2012, "no file matches")


def test_all_years_missing(country):
    country.refused("for the year 1999; there are files for 2011, 2012, 2013", years="1999")
    country.refused("for the year 1998, 1999; there are files for 2011, 2012, 2013", years="1998-1999")
    country.refused("there is no folder", lights="gone/F18{year}.tif")


def test_a_base_year_that_is_missing_or_bad(country):
    country.refused("the base year 2001 cannot be used, and the other years need it: no file", "--base-year", "2001")
    country.refused("or choose another with --base-year", years="2010-2013")
    result = country("--base-year", "2011", years="2010-2013")
    assert result.exit_code == 3
    assert sorted(read_table(country.out)["year"].unique()) == [2011, 2012, 2013]


@pytest.mark.parametrize("part", [0, 0.005, 0.5, 0.9])
@pytest.mark.parametrize("name", ["pop2012.tif", "F182012.tif"])
def test_a_truncated_file(country, name, part):
    path = country.folder / name
    path.write_bytes(path.read_bytes()[: int(part * path.stat().st_size)])
    country.set_aside(2012, f"{name} cannot be")


def test_a_file_that_is_no_raster(country):
    (country.folder / "pop2012.tif").write_text("<html>sign in</html>")
    country.set_aside(2012, "pop2012.tif cannot be opened as a raster")


@pytest.mark.parametrize("compress", ["deflate", "lzw"])
def test_a_corrupt_block_between_the_probes(country, compress):
    """The damage shows only while the year is measured."""
    wide = lonlat_grid((640, 60))
    count = RNG.gamma(1, 1500, (640, 60)).astype("int32")
    for year in (2011, 2012, 2013):
        write_raster(
            country.folder / f"pop{year}.tif",
            count,
            wide,
            compress=compress,
            tiled=True,
            blockxsize=16,
            blockysize=16,
        )
    # rows 128-143: the probes read rows 0-63, 288-351 and 576-639
    spoil_block(country.folder / "pop2012.tif", 1, 8)
    country.boundaries(frame([cell_box(wide, 0, 320, 0, 60), cell_box(wide, 320, 640, 0, 60)]))
    write_raster(country.folder / "wide.tif", np.full((640, 60), 40, "uint8"), wide)
    for year in (2011, 2012, 2013):
        shutil.copy(country.folder / "wide.tif", country.folder / f"F18{year}.tif")
    country.set_aside(2012, "pop2012.tif cannot be read at rows", boundaries="b.gpkg")
    country.out.unlink()
    country.out.parent.rmdir()
    country.refused("the base year 2012 could not be measured", "--base-year", "2012", boundaries="b.gpkg")


# ---------------------------------------------------------------- CRS and lattices


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"crs": None}, "has no CRS"),
        ({"transform": Affine(900, 0, 3e5, 0, -900, 3.4e6)}, "its CRS is wrong"),
        ({"crs": "EPSG:32648"}, "look like degrees: its CRS is wrong"),
        ({"transform": Affine(ARC30, 0, -70, 0, -ARC30, 30)}, "do not overlap"),
        ({"transform": Affine(ARC30, 1e-3, 104, 1e-3, -ARC30, 30)}, "rotated"),
        ({"transform": Affine(ARC30, 0, 104, 0, ARC30, 29.5)}, "rows do not run from north to south"),
        ({"transform": Affine.identity()}, "does not say where its cells lie"),
        ({"crs": None, "transform": Affine.identity()}, "has no CRS"),
    ],
)
def test_wrong_lattices_of_one_year_or_of_all(country, options, words):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
        write_raster(country.folder / "pop2012.tif", COUNT, GRID, **options)
    country.set_aside(2012, words)
    country.out.unlink()
    country.out.parent.rmdir()
    country.refused(words, years="2012")


def test_several_bands(country):
    write_raster(country.folder / "pop2012.tif", np.stack([COUNT, COUNT]), GRID)
    country.set_aside(2012, "has 2 bands")


# ---------------------------------------------------------------- values


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (np.where(LIGHT == 7, 64, LIGHT).astype("uint8"), "holds a value of 64"),
        (np.where(LIGHT == 7, 63.5, LIGHT).astype("float32"), "holds a value of 63.5"),
        (np.where(LIGHT == 7, 254, LIGHT).astype("uint8"), "end at 63"),
    ],
)
def test_lights_above_63(country, values, words):
    write_raster(country.folder / "F182012.tif", values, HALF)
    country.set_aside(2012, words)


def test_one_light_above_63_that_the_probe_does_not_see(country):
    wide = lonlat_grid((640, 60))
    values = np.full((640, 60), 40, "uint8")
    values[200, 30] = 64
    for year in (2011, 2012, 2013):
        write_raster(country.folder / f"F18{year}.tif", np.full((640, 60), 40, "uint8"), wide)
        write_raster(country.folder / f"pop{year}.tif", np.full((640, 60), 1500, "int32"), wide)
    write_raster(country.folder / "F182012.tif", values, wide)
    country.boundaries(frame([cell_box(wide, 0, 640, 0, 60)]))
    country.set_aside(2012, "holds a value of 64", boundaries="b.gpkg")


def test_lights_of_another_product_need_a_word(country):
    for year in (2011, 2012, 2013):
        write_raster(country.folder / f"F18{year}.tif", LIGHT.astype("float32") * 3, HALF)
    country.refused("say which with --lights-product")
    panel = country.panel("--lights-product", "radiance")
    assert panel["cbd_light"].max() > 63


def test_densities_given_as_counts(country):
    write_raster(country.folder / "pop2012.tif", COUNT, GRID, tags={"units": "persons per km2"})
    country.set_aside(2012, "says it holds densities")
    write_raster(country.folder / "pop2012.tif", COUNT.astype("float32") * 200, GRID)
    country.set_aside(2012, "these look like densities")
    for year in (2011, 2012, 2013):
        shutil.copy(country.folder / "pop2011.tif", country.folder / f"popdensity{year}.tif")
    country.out.unlink()
    country.out.parent.rmdir()
    country.refused("says it holds densities", population="popdensity{year}.tif")
    assert len(country.panel("--population-product", "counts", population="popdensity{year}.tif")) == 12


@pytest.mark.parametrize("tag", [None, -9999, 0])
def test_negative_no_data_is_never_read_as_people(country, tag):
    holes = COUNT.copy()
    holes[:10, :10] = -2147483647
    write_raster(country.folder / "pop2012.tif", holes, GRID, nodata=tag)
    panel = country.panel()
    valid = (holes >= 0) & (holes != (0 if tag == 0 else -1))
    assert panel.loc[("000001", 2012), "population"] == holes[:30, :30][valid[:30, :30]].sum()
    assert panel.loc[("000001", 2012), "population_missing_cells"] == (~valid[:30, :30]).sum()


@pytest.mark.parametrize("value", [2147483647, 999_999_999])
@pytest.mark.parametrize("where", [(3, 3), (200, 30)], ids=["probed", "not probed"])
def test_a_positive_no_data_value_is_never_read_as_people(country, value, where):
    wide = lonlat_grid((640, 60))
    for year in (2011, 2012, 2013):
        count = np.full((640, 60), 1500, "int32")
        if year == 2012:
            count[where] = value
        write_raster(country.folder / f"F18{year}.tif", np.full((640, 60), 40, "uint8"), wide)
        write_raster(country.folder / f"pop{year}.tif", count, wide)
    country.boundaries(frame([cell_box(wide, 0, 640, 0, 60)]))
    country.set_aside(2012, "no-data value that is not tagged", boundaries="b.gpkg")
    write_raster(country.folder / "pop2012.tif", count_with(value, where), wide, nodata=value)
    panel = country.panel(boundaries="b.gpkg")
    assert panel.loc[("000001", 2012), "population"] == 1500 * (640 * 60 - 1)


def count_with(value, where):
    count = np.full((640, 60), 1500, "int32")
    count[where] = value
    return count


# ---------------------------------------------------------------- boundaries


BOW = Polygon([(104, 29.5), (104.4, 30), (104.4, 29.5), (104, 30)])
LEFT, RIGHT = cell_box(GRID, 0, 60, 0, 30), cell_box(GRID, 0, 60, 30, 60)


@pytest.mark.parametrize(
    ("table", "words"),
    [
        (frame([cell_box(GRID, 0, 60, 0, 40), RIGHT]), "city polygons overlap: 000001 and 000002 (600 cells)"),
        (frame([LEFT, LEFT]), "city polygons overlap: 000001 and 000002 (1800 cells)"),
        (frame([BOW, RIGHT]), "the polygon of 000001 is invalid (Self-intersection"),
        (frame([LEFT, RIGHT], codes=["1", "1"]), "has more than one polygon for code 1"),
        (frame([LEFT, RIGHT], codes=["1", None]), "column 'code', is empty in feature 2"),
        (frame([LEFT, Polygon()]), "the polygon of 000002 is empty"),
        (frame([LEFT, None]), "the polygon of 000002 is empty"),
        (frame([LEFT]).iloc[:0], "holds no polygons"),
        (frame([Point(104.1, 29.9), Point(104.2, 29.9)]), "000001, 000002 is a point or a line"),
        (frame([LEFT, RIGHT], crs=None), "has no CRS"),
        (frame([LEFT, RIGHT], crs=32648), "look like degrees: its CRS is wrong"),
        (frame([LEFT, RIGHT]).to_crs(32648).set_crs(4326, allow_override=True), "its CRS is wrong"),
        (frame([box(4, 49.5, 4.2, 50)]), "none of the 1 polygons touches the grid"),
        (frame([box(29.5, 4, 30, 4.2)]), "check that both cover the same place and that neither CRS is wrong"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_boundaries_that_cannot_be_used(country, table, words):
    name = country.boundaries(table)
    country.refused(words, boundaries=name)


def test_invalid_polygons_are_mended_on_request(country):
    spike = Polygon(
        [*LEFT.exterior.coords[:2], (104.1, 30.0), (104.1, 30.4), (104.1, 30.0), *LEFT.exterior.coords[2:]]
    )
    name = country.boundaries(frame([spike, MultiPolygon([RIGHT, cell_box(GRID, 10, 20, 40, 70)])]))
    country.refused("run with --repair", boundaries=name)
    result = country("--repair", boundaries=name)
    assert result.exit_code == 0
    assert "mended 2 invalid polygons (000001, 000002); their area changed by" in result.stderr


def test_slivers_are_given_to_the_first_with_a_warning(country):
    tooth = cell_box(GRID, 20, 22, 29, 31)
    name = country.boundaries(frame([LEFT.union(tooth), RIGHT]))
    result = country(boundaries=name)
    assert result.exit_code == 0
    assert "Warning: 2 cell centres lie in two city polygons" in result.stderr
    cells = read_table(country.out).set_index("city_code")["cells"]
    assert cells["000001"].iloc[0] == 1802
    assert cells["000002"].iloc[0] == 1798


def test_cities_outside_too_small_or_without_urban_cells_have_rows_with_notes(country):
    name = country.boundaries(
        frame(
            [
                LEFT,
                cell_box(GRID, 0, 10, 100, 110),
                cell_box(GRID, 3.6, 4.4, 40.6, 41.4),
                cell_box(GRID, 30, 40, 40, 70),
            ]
        )
    )
    light = LIGHT.copy()
    light[29:42, 39:] = 3
    for year in (2011, 2012, 2013):
        write_raster(country.folder / f"F18{year}.tif", light, HALF)
    result = country(boundaries=name)
    assert result.exit_code == 0
    panel = read_table(country.out).set_index(["city_code", "year"])
    assert len(panel) == 12
    assert panel.loc[("000002", 2012), "note"] == "outside the grid"
    assert panel.loc[("000003", 2012), "note"] == "no cell centre inside the boundary (smaller than a cell)"
    assert panel.loc[("000004", 2012), "note"].endswith("no urban cell")
    assert panel.loc[("000004", 2012), "note"].startswith("reaches past the grid (33.3 % of its area)")
    assert panel.loc["000004", "sprawl_index"].isna().all()
    assert (panel.loc["000004", "urban_area_km2"] == 0).all()
    for said in (
        "1 of 4 cities lie outside the grid",
        "1 of 4 cities are smaller than a cell",
        "1 of 4 cities reach past",
    ):
        assert said in result.stderr


@pytest.mark.parametrize("assign", ["centre", "coverage"])
def test_only_a_city_smaller_than_a_cell(country, assign):
    name = country.boundaries(frame([cell_box(GRID, 3.6, 4.4, 40.6, 41.4)]))
    panel = country.panel("--threshold", "1500", "--assign", assign, boundaries=name)
    assert panel["area_km2"].notna().all() == (assign == "coverage")
    assert panel["note"].str.contains("smaller than a cell").all()


def test_a_gbk_shapefile_without_cpg(country):
    name = country.boundaries(frame([LEFT, RIGHT], names=["武汉市", "重庆市"]), "c.shp", encoding="gbk")
    (country.folder / "c.cpg").unlink()
    country.refused("which is '武汉市' in GB18030", "--name", "name", boundaries=name)
    panel = country.panel("--name", "name", "--encoding", "gb18030", boundaries=name)
    assert set(panel["city_name"]) == {"武汉市", "重庆市"}
    country.refused("is not text in encoding 'utf-8'", "--encoding", "utf-8", boundaries=name)


def test_lacking_columns_and_files(country):
    country.refused("c.gpkg has no column 'naem'; did you mean 'name'?", "--name", "naem")
    country.refused("has no column 'cod'; did you mean 'code'?", "--code", "cod")
    country.refused("c.gpkk; did you mean 'c.gpkg'?", boundaries="c.gpkk")
    country.refused("cannot be read as a vector file", boundaries="pop2011.tif")


# ---------------------------------------------------------------- options


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--threshold", "atuo"], "--threshold is 'atuo', but must be auto or a number"),
        (["--threshold", "nan"], "threshold is nan"),
        (["--threshold", "0"], "threshold is 0.0, but must be above zero"),
        (["--min-light", "-1"], "min_light is -1.0, but must be zero or more"),
        (["--min-density", "nan"], "min_density is nan"),
        (["--radius-km", "0"], "radius_km is 0.0, but must be above zero"),
        (["--lights-product", "dsmp"], "lights product 'dsmp' is not known; did you mean 'dmsp'?"),
        (["--population-product", "lanscan"], "population product 'lanscan' is not known; did you mean 'landscan'?"),
        (["--years", "2013-2011"], "'2013-2011' is not a year or a range of years"),
        (["--years", "soon"], "'soon' is not a year"),
        (["--population", "pop{yaer}.tif"], "holds {yaer}; a pattern may hold {year}"),
        (["--population", "pop2011.tif"], "must hold {year}, for 3 years are asked for"),
    ],
)
def test_values_of_options(country, extra, words):
    country.refused(words, *extra)


@pytest.mark.parametrize(
    ("extra", "words"),
    [
        (["--align", "bilinear"], "'bilinear' is not one of 'mean', 'nearest'"),
        (["--cbd-ties", "x"], "'x' is not one of 'cluster-density'"),
        (["--aling", "mean"], "--align"),
        (["--workers", "0"], "--workers"),
        (["--base-year", "soon"], "'soon' is not a valid integer"),
    ],
)
def test_options_that_click_judges(country, extra, words):
    result = country(*extra)
    assert result.exit_code == 2
    last = result.stderr.strip().splitlines()[-1]
    assert last.startswith("Error: ")
    assert words in last
    assert not country.out.parent.exists()


# ---------------------------------------------------------------- output


def test_outputs_that_cannot_be_written(country):
    country.refused("tables are written as .parquet, .csv, .xlsx, .dta", out=country.folder / "panel.txt")
    (country.folder / "taken").write_text("")
    country.refused("part of its path is a file, not a folder", out=country.folder / "taken" / "panel.csv", code=1)
    country.refused("part of its path is a file", "--keep-years", country.folder / "taken" / "kept", code=1)


@pytest.mark.skipif(os.geteuid() == 0, reason="the superuser may write anywhere")
def test_a_folder_without_the_right_to_write(country):
    locked = country.folder / "locked"
    locked.mkdir(mode=0o500)
    country.refused("no right to write in that folder", out=locked / "panel.csv", code=1)


@pytest.mark.parametrize("extension", ["csv", "parquet", "xlsx", "dta"])
def test_a_disk_that_fills_keeps_the_earlier_panel(country, monkeypatch, extension):
    out = country.folder / f"panel.{extension}"
    assert country(out=out).exit_code == 0
    before = out.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("gistools.io.atomic._flush", full)
    result = country("--min-light", "20", out=out)
    assert result.exit_code == 1
    assert result.stderr.splitlines()[-1].endswith(
        "cannot be written: the disk is full; free some space and run again"
    )
    assert out.read_bytes() == before
    assert not list(country.folder.glob("*.partial-*"))


def test_a_process_that_may_not_write_more(country, small_files):
    """A real refusal by the system, in the middle of a write."""
    out = country.folder / "panel.csv"
    assert country(out=out).exit_code == 0
    before = out.read_bytes()
    with small_files(2000):
        result = country("--min-light", "20", out=out)
    assert result.exit_code == 1
    assert "cannot be written: it is larger than" in result.stderr.splitlines()[-1]
    assert out.read_bytes() == before
    assert not list(country.folder.glob("*.partial-*"))


def test_cities_in_the_order_of_the_file(country):
    name = country.boundaries(frame([RIGHT, LEFT], codes=["9", "1"]))
    panel = country.panel(boundaries=name)
    assert panel.index.get_level_values("city_code").unique().tolist() == ["9", "1"]
