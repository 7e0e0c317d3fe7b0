"""Urban form from files: the reference cases and the real grids, each held against what is known of it."""

import json

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
import rasterio
import shapely
from raster_factory import cell_box, cities, lonlat_grid, write_raster

from gistools.city.form import COLUMNS, FormOptions
from gistools.city.series import city_form
from gistools.errors import InputError, OutputError
from gistools.grid import GEOD, Window
from gistools.io.rasters import open_raster
from gistools.io.tables import read_table
from gistools.io.vectors import read_boundaries
from gistools.raster.lights import DMSP, VIIRS
from gistools.raster.population import GHS_POP
from gistools.study.form import measure_form, open_form_grids, require_output, write_form
from gistools.study.inputs import GridFiles


def run(boundaries, lights, population, years, **options):
    options = FormOptions(**options)
    grids = open_form_grids(
        None if lights is None else GridFiles(str(lights)),
        None if population is None else GridFiles(str(population)),
        years,
        options,
    )
    return measure_form(boundaries, grids, years, options)


# ---------------------------------------------------------------- reference cases

RELATIVE = 1e-6  # areas, densities, shares; sums of float32 grids
EXACT = [
    "cbd_ties",
    "patches",
    "cells",
    "urban_cells",
    "population_missing_cells",
    "light_missing_cells",
    "saturated_cells",
]
ABSOLUTE = {"cbd_lon": 1e-9, "cbd_lat": 1e-9, "sprawl_index": 1e-9, "suburban_share": 1e-9, "gradient_r2": 1e-6}
TEXT = ["city_name", "province", "note", "city_code", "cbd_rule"]


def reference(cases_dir, data_dir, case, **options):
    folder = cases_dir / "raster" / case
    given = json.loads((folder / "params.json").read_text())
    boundaries = read_boundaries(
        data_dir / given["boundaries"], code=given["code"], name=given["name"], province=given["province"]
    )
    years = tuple(entry["year"] for entry in given["years"])

    def pattern(part):
        paths = {entry["year"]: str(data_dir / entry[part]) for entry in given["years"]}
        return paths[years[0]].replace(str(years[0]), "{year}") if len(years) > 1 else paths[years[0]]

    chosen = {
        "min_light": given["min_light"],
        "min_density": given["min_density"],
        "base_year": given["base_year"],
        "radius_km": given["radius_km"],
        "align": "nearest",
        "cbd_year": "each",
    }
    result = run(boundaries, pattern("lights"), pattern("population"), years, **(chosen | options))
    return folder, result


def compare(panel, expected, columns):
    panel = panel.set_index(["city_code", "year"])
    expected = expected.set_index(["city_code", "year"])
    assert sorted(panel.index) == sorted(expected.index)
    panel = panel.loc[expected.index]
    for name in columns:
        if name in TEXT or name == "year":
            continue
        got, want = panel[name].to_numpy(float), expected[name].to_numpy(float)
        relative = 0 if name in EXACT or name in ABSOLUTE else RELATIVE
        np.testing.assert_allclose(got, want, rtol=relative, atol=ABSOLUTE.get(name, 1e-9), err_msg=name)
    return panel, expected


@pytest.mark.real
@pytest.mark.parametrize("case", ["lux_communes_dmsp2013", "california_2017_2018"])
def test_reference_case_every_column(cases_dir, data_dir, case):
    folder, result = reference(cases_dir, data_dir, case)
    expected = read_table(folder / "expected.csv")
    shared = [c for c in expected.columns if c in result.panel.columns]
    assert set(COLUMNS) - set(shared) == {"dark_cells"}
    panel, expected = compare(result.panel, expected, shared)
    assert panel["city_name"].tolist() == expected["city_name"].tolist()
    np.testing.assert_array_equal(panel["dark_cells"], expected["light_zero_cells"])
    # a note wherever the reference has one, with its reason
    for note, want in zip(panel["note"], expected["note"].fillna(""), strict=True):
        assert want.replace("gradient needs 3 urban cells", "a gradient needs 3") in note
    assert panel["cbd_rule"].tolist() == expected["cbd_rule"].tolist()


@pytest.mark.real
def test_reference_case_of_californias_cbd_of_the_base_year(cases_dir, data_dir):
    folder, result = reference(cases_dir, data_dir, "california_2017_2018", cbd_year="base")
    compare(
        result.panel,
        read_table(folder / "expected_alt_cbd_base_year.csv"),
        ["cbd_lon", "cbd_lat", "central_population", "central_density", "suburban_share", "gradient", "gradient_se"],
    )


@pytest.mark.real
@pytest.mark.parametrize("case", ["lux_communes_dmsp2013", "california_2017_2018"])
def test_reference_case_by_coverage(cases_dir, data_dir, case):
    folder, result = reference(cases_dir, data_dir, case, assign="coverage")
    expected = read_table(folder / "expected.csv").set_index(["city_code", "year"])
    panel = result.panel.set_index(["city_code", "year"]).loc[expected.index]
    np.testing.assert_allclose(panel["area_km2"], expected["area_cov"], rtol=1e-7)
    np.testing.assert_allclose(panel["population"], expected["population_cov"], rtol=1e-6)
    national = json.loads((folder / "national.json").read_text())["coverage"]
    for year, total in national["population_sum_of_polygons"].items():
        assert panel.xs(int(year), level="year")["population"].sum() == pytest.approx(total, rel=1e-8)


# ---------------------------------------------------------------- Luxembourg

LUX = "ntl_pop_luxembourg"


@pytest.fixture
def communes(data_dir):
    path = data_dir / LUX / "lux_communes.geojson"
    return read_boundaries(path, code="LAU2", name="COMMUNE", province="CANTON"), gpd.read_file(path)


@pytest.mark.real
def test_light_sums_of_the_communes_are_the_authors_own(data_dir, communes):
    boundaries, theirs = communes
    panel = run(
        boundaries,
        data_dir / LUX / "F182013_stable_lights_lux.tif",
        data_dir / LUX / "derived_GHS_POP_2015_on_dmsp_lattice_lux.tif",
        (2013,),
    ).panel
    assert panel["light_sum"].tolist() == theirs["light_level"].astype(float).tolist()
    assert panel["light_sum"].sum() == 109847


@pytest.mark.real
def test_population_of_the_mollweide_grid_is_the_authors_own(data_dir, communes):
    boundaries, theirs = communes
    lights = data_dir / LUX / "F182013_stable_lights_lux.tif"
    people = data_dir / LUX / "GHS_POP_2015_250m_mollweide_lux.tif"
    result = run(boundaries, lights, people, (2013,))
    assert any("brought to the population's ESRI:54009 by mean" in note for note in result.notes)
    # they sum cells by centre (rasterstats), as we do: all 102 agree to the last digits
    np.testing.assert_allclose(result.panel["population"], theirs["ghsl_pop"], rtol=1e-12)
    assert result.panel["population"].sum() == pytest.approx(565300.49, abs=0.01)
    # by coverage, border cells are shared: 0.03 % more in all, up to 7 % in the smallest commune
    coverage = run(boundaries, lights, people, (2013,), assign="coverage").panel
    assert coverage["population"].sum() == pytest.approx(565300.49, rel=5e-4)
    np.testing.assert_allclose(coverage["population"], theirs["ghsl_pop"], rtol=0.08)
    # the polygons' own geodesic areas: a cell's parts are planar, its area geodesic
    exact = [
        abs(GEOD.geometry_area_perimeter(p)[0]) / 1e6 for p in shapely.orient_polygons(boundaries.geometry.array)
    ]
    np.testing.assert_allclose(coverage["area_km2"], exact, rtol=1e-5)


@pytest.mark.real
def test_lights_across_crss_lie_near_those_on_their_own_lattice(data_dir, communes):
    boundaries, _ = communes
    lights = data_dir / LUX / "F182013_stable_lights_lux.tif"
    across = run(boundaries, lights, data_dir / LUX / "GHS_POP_2015_250m_mollweide_lux.tif", (2013,)).panel
    own = run(boundaries, lights, None, (2013,)).panel
    # 14 cells of 250 m to a light cell; communes of 20 light cells differ by where their border cells fall
    np.testing.assert_allclose(across["light_mean"], own["light_mean"], rtol=0.1)
    assert np.corrcoef(across["light_mean"], own["light_mean"])[0, 1] > 0.998
    assert 0 < across["light_missing_cells"].sum() < 15  # the window of the lights ends a little inside


@pytest.mark.real
def test_counts_are_conserved_on_the_real_grid(data_dir):
    source = open_raster(data_dir / LUX / "GHS_POP_2015_250m_mollweide_lux.tif", GHS_POP)
    block = source.read(source.grid.whole)
    total = block.values[block.is_valid()].sum(dtype=float)
    halves = cities(
        [cell_box(source.grid, 0, 309, 0, 111.3), cell_box(source.grid, 0, 309, 111.3, 246)], crs=source.grid.crs
    )
    for assign, tolerance in (("centre", 1e-12), ("coverage", 1e-7)):
        panel = city_form(halves, population={2015: source}, options=FormOptions(assign=assign))
        assert panel["population"].sum() == pytest.approx(total, rel=tolerance)


# ---------------------------------------------------------------- other real grids


@pytest.mark.real
def test_texas_has_lights_only(data_dir):
    boundaries = read_boundaries(data_dir / "ntl_texas" / "texas_counties.geojson", code="fips", name="name")
    path = data_dir / "ntl_texas" / "txlights.tif"
    result = run(boundaries, path, None, (2010,))
    panel = result.panel.set_index("city_name")
    saturated = {"Harris": 4002, "Dallas": 2057, "El Paso": 656, "Bexar": 648, "Travis": 357, "Lubbock": 258}
    for county, cells in saturated.items():
        assert panel.loc[county, "saturated_cells"] == cells
        assert panel.loc[county, "cbd_ties"] == cells
    assert len(panel) == 254
    gone = ["population", "urban_area_km2", "sprawl_index", "central_population", "gradient", "patches"]
    assert panel[gone].isna().all(axis=None)
    # 76 % of the window is dark; 171,074 lit cells lie outside the state
    with rasterio.open(path) as file:
        values = file.read(1)
    lit = (panel["cells"] - panel["dark_cells"] - panel["light_missing_cells"]).sum()
    assert (values > 0).sum() - lit == pytest.approx(171_074, abs=60)
    assert any("6 of 254 cities reach past the grid" in note for note in result.notes)


@pytest.mark.real
@pytest.mark.parametrize("align", ["mean", "nearest"])
def test_touggourt_in_mollweide_with_lights_without_a_no_data_tag(data_dir, align):
    folder = data_dir / "ntl_pop_fixtures"
    boundaries = read_boundaries(folder / "touggourt_boundary.geojson", code="name")
    people_file = folder / "touggourt_GHS_POP_E2015_R2019A_54009_1K.tif"
    lights_file = folder / "touggourt_VNL_v2_npp_2020_average_masked.tif"
    result = run(boundaries, lights_file, people_file, (2015,), min_light=1.0, min_density=300.0, align=align)
    row = result.panel.iloc[0]
    # by hand: every cell's centre carried to degrees and tested
    people = open_raster(people_file)
    block = people.read(people.grid.whole)
    lon, lat = people.grid.lonlat(*np.indices(people.grid.shape))
    inside = shapely.contains_xy(boundaries.geometry.iloc[0], lon, lat)
    assert row["cells"] == inside.sum() > 100
    known = inside & (block.values >= 0)
    assert row["population"] == pytest.approx(block.values[known].sum(), rel=1e-12)
    assert row["population_missing_cells"] == (inside & (block.values < 0)).sum()
    assert row["population"] == pytest.approx(54_744, abs=1)
    with rasterio.open(lights_file) as file:
        radiance = file.read(1)
        assert file.nodata is None
    assert 0 < row["cbd_light"] <= radiance.max()
    assert row["urban_cells"] > 10
    assert 0 < row["sprawl_index"] < 1


@pytest.mark.real
def test_sao_tome_keeps_its_huge_no_data_and_its_negative_radiance(data_dir):
    folder = data_dir / "ntl_pop_fixtures"
    island = cities([shapely.box(6.45, 0.0, 6.8, 0.43), shapely.box(7.3, 1.5, 7.46, 1.7)])
    dmsp = open_raster(folder / "sao_tome_DMSP_OLS_1992_stable_lights.tif", DMSP)
    viirs = open_raster(folder / "sao_tome_VIIRS_201401_vcmcfg.tif", VIIRS)
    for source, lowest, highest in ((dmsp, 0, 16), (viirs, -0.2, 100)):
        block = source.read(source.grid.whole)
        values = block.values[block.is_valid()]
        assert lowest <= values.min() <= 0
        assert 5 < values.max() <= highest
        assert 0 < (~block.is_valid()).sum() < block.values.size
        row = city_form(island, lights={1992: source}).iloc[0]
        # by hand
        lon, lat = np.meshgrid(
            source.grid.x(np.arange(source.grid.width)), source.grid.y(np.arange(source.grid.height))
        )
        inside = shapely.intersects_xy(island.geometry.iloc[0], lon, lat) & block.is_valid()
        assert row["light_sum"] == pytest.approx(block.values[inside].sum(dtype=float), rel=1e-6)
        assert row["light_mean"] == pytest.approx(block.values[inside].mean(dtype=float), rel=1e-6)
    values = viirs.read(viirs.grid.whole)
    assert (values.values[values.is_valid()] < 0).any()


@pytest.mark.real
def test_california_four_years(data_dir):
    folder = data_dir / "ntl_pop_california"
    counties = read_boundaries(folder / "california_counties.geojson", code="fips", name="name")
    result = run(
        counties,
        folder / "VNP46A4_NearNadir_Composite_Snow_Free_t{year}_CA.tif",
        folder / "US-CA_ppp_{year}_1km.tif",
        (2017, 2018, 2019, 2020),
        min_light=1.0,
        min_density=300.0,
    )
    panel = result.panel
    assert len(panel) == 58 * 4
    totals = {2017: 39982102.2860848, 2018: 40403813.168803364, 2019: 40833463, 2020: 41271255}
    for year, total in totals.items():
        # the counties' outlines are generalised: a quarter of a percent lies outside them
        assert result.counts[year]["population_in_window"] == pytest.approx(total, rel=2e-3)
        assert panel.loc[panel["year"] == year, "population"].sum() == pytest.approx(total, rel=4e-3)
    assert panel["density_threshold"].nunique() == 1
    assert panel.groupby("city_code")["cbd_lon"].nunique().max() == 1
    # Los Angeles, and not Las Vegas, which is brighter but outside
    angeles = panel.set_index("city_name").loc["Los Angeles"].iloc[0]
    assert angeles["cbd_lon"] == pytest.approx(-118.2, abs=0.3)
    assert angeles["cbd_lat"] == pytest.approx(34.0, abs=0.3)
    assert any("its cells are 2 x 2 light cells, shifted by 0." in note for note in result.notes)


# ---------------------------------------------------------------- made files


@pytest.fixture
def country(tmp_path):
    """Three years of lights and population, two cities."""
    rng = np.random.default_rng(0)
    grid = lonlat_grid((40, 40))
    for year in (2011, 2012, 2013):
        write_raster(tmp_path / f"F18{year}.tif", rng.integers(0, 64, (40, 40)).astype("uint8"))
        write_raster(tmp_path / f"pop{year}.tif", rng.gamma(1, 2000, (40, 40)).astype("int32"), nodata=-9999)
    boundaries = cities([cell_box(grid, 0, 40, 0, 20), cell_box(grid, 0, 40, 20, 40)])
    return boundaries, tmp_path / "F18{year}.tif", tmp_path / "pop{year}.tif"


def test_two_satellites_of_a_year_are_composited(country, tmp_path):
    boundaries, lights, population = country
    first = rasterio.open(tmp_path / "F182012.tif").read(1)
    second = np.roll(first, 1, axis=0)
    write_raster(tmp_path / "F162012.tif", second)
    result = run(boundaries, str(lights).replace("F18", "F{sat}"), population, (2012, 2013), threshold=3000.0)
    assert "2012: lights are the composite of F16, F18" in result.notes
    both = np.where((first > 0) & (second > 0), (first.astype(float) + second) / 2, 0)
    panel = result.panel.set_index(["year", "city_code"])
    assert panel.loc[(2012, "000001"), "light_sum"] == both[:, :20].sum()


def test_tiles_of_a_year_are_one_grid(country, tmp_path):
    boundaries, lights, population = country
    whole = run(boundaries, lights, population, (2012,)).panel
    grid = lonlat_grid((40, 40))
    values = rasterio.open(tmp_path / "pop2012.tif").read(1)
    for k, (a, b) in enumerate([(0, 13), (13, 29), (29, 40)]):
        write_raster(tmp_path / f"tile{k}_2012.tif", values[:, a:b], grid.crop(Window(0, 40, a, b)), nodata=-9999)
    tiled = run(boundaries, lights, tmp_path / "tile*_{year}.tif", (2012,)).panel
    pd.testing.assert_frame_equal(tiled, whole)


def test_a_missing_year_is_a_failure_that_is_named(country):
    boundaries, lights, population = country
    result = run(boundaries, lights, population, (2011, 2012, 2014))
    assert sorted(result.panel["year"].unique()) == [2011, 2012]
    assert {problem.year for problem in result.failures} == {2014}
    assert {problem.part for problem in result.failures} == {"lights", "population"}
    said = result.to_dict()
    assert said["years"] == [2011, 2012]
    assert all("2014" in text for text in said["failures"])


def test_a_base_year_that_cannot_be_used_is_refused_where_it_is_needed(country):
    boundaries, lights, population = country
    with pytest.raises(InputError, match="the base year 2001 cannot be used, and the other years need it: no file"):
        run(boundaries, lights, population, (2011, 2012), base_year=2001)
    fine = run(boundaries, lights, population, (2011, 2012), base_year=2001, threshold=2000.0, cbd_year="each")
    assert fine.failures == []
    # population alone needs nothing of a base year
    alone = run(boundaries, None, population, (2010, 2011))
    assert alone.panel["year"].unique().tolist() == [2011]
    assert [problem.year for problem in alone.failures] == [2010]


def test_a_base_year_outside_the_years_makes_no_rows(country, tmp_path):
    boundaries, lights, population = country
    panel = run(boundaries, lights, population, (2012, 2013), base_year=2011).panel
    assert panel["year"].unique().tolist() == [2012, 2013]
    (tmp_path / "pop2013.tif").unlink()
    # the only year asked for is bad: the good base year is no panel
    with pytest.raises(InputError, match=r"population 2013: no file matches .*pop"):
        run(boundaries, lights, population, (2013,), base_year=2011)


@pytest.mark.parametrize("extension", ["csv", "parquet", "xlsx", "dta"])
def test_panels_of_every_format_are_the_same_table(country, tmp_path, extension):
    result = run(*country, (2012,))
    write_form(result, tmp_path / f"panel.{extension}")
    back = read_table(tmp_path / f"panel.{extension}")
    assert back["city_code"].tolist() == ["000001", "000002"]
    assert list(back.columns) == list(result.panel.columns)
    np.testing.assert_allclose(back["sprawl_index"], result.panel["sprawl_index"], rtol=1e-15)


def test_outputs_are_judged_before_the_work(tmp_path):
    with pytest.raises(InputError, match="tables are written as"):
        require_output(tmp_path / "panel.txt")
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="is a file, not a folder"):
        require_output(tmp_path / "file" / "panel.csv")
    require_output(tmp_path / "new" / "panel.csv")
    assert not (tmp_path / "new").exists()
