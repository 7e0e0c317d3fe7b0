"""The report of a run: complete, readable, the same each time, and honest about what is missing."""

import html
import json
import re
import shutil

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from run_factory import HOSTILE, YEARS, make_cities, make_clip, make_run

from gistools.errors import FileMissingError, GridError, TableError
from gistools.io.atomic import PARTIAL
from gistools.io.tables import read_table, write_table
from gistools.study._gallery import map_columns, urban_cells
from gistools.study._report_brief import failed_parts
from gistools.study._report_evidence import sensitivity_labels
from gistools.study._report_excluded import note_counts
from gistools.study._report_methods import flat_options
from gistools.study._run_folder import read_run
from gistools.study.report import write_report


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("study") / "run")


@pytest.fixture(scope="module")
def page(run):
    path = write_report(run)
    assert path == run / "report.html"
    return path.read_text(encoding="utf-8")


@pytest.fixture
def bare(run, tmp_path):
    """A run that wrote its panel and its cities alone."""
    folder = tmp_path / "bare"
    folder.mkdir()
    for name in ("panel.parquet", "cities.parquet"):
        shutil.copy(run / name, folder)
    return folder


def section(page, title):
    """The text of one section, without its markup."""
    found = re.search(rf"<h2>{re.escape(title)}</h2>(.*?)</section>", page, re.S)
    assert found, f"no section {title}"
    return html.unescape(" ".join(re.sub(r"<img[^>]*>|<[^>]+>", " ", found[1]).split()))


def test_the_sections_come_in_the_order_of_reading(page):
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        "In brief",
        "Maps and series",
        "What to keep in mind",
        "What was excluded, and why",
        "Sensitivity to thresholds",
        "Are neighbours alike?",
        "Models",
        "Estimates and truth",
        "Methods",
        "What to cite",
        "Provenance",
    ]


def test_it_begins_with_what_failed_and_the_main_figures(run, page):
    brief = section(page, "In brief")
    assert brief.startswith("1 part of this study failed year 2008: F162008.tif is cut short")
    assert '<div class="box failure">' in page
    assert "Urban form of 12 cities in 2001, 2006–2007, measured from DMSP-OLS stable lights and LandScan." in brief
    panel = pd.read_parquet(run / "panel.parquet")
    last = panel[panel["year"] == 2007]
    assert f"{last['sprawl_index'].mean():.3f} 2001:" in brief
    assert "; 11 of 12 cities have one; 1 with fewer than 10 urban cells" in brief
    assert "Joined to the panel: yearbook. Moran's I of sprawl_index and ln_output tells" in brief
    assert "3 models of ln_output are fitted." in brief
    assert f"{last['urban_area_km2'].sum():,.0f} 2001:" in brief
    assert "450 of 500 records" in brief
    # the total effect of the last spatial model, not the coefficient of the first one
    assert "Treated: total effect 0.2026 on ln_output; standard error 0.0400; spatial DID (SDM)" in brief


def test_what_was_left_out_is_counted_with_its_reason(page):
    excluded = section(page, "What was excluded, and why")
    assert "no urban cell 3 1 171200" in excluded
    assert "few urban cells (…): shares and gradient rest on few cells 3 1 171100" in excluded
    assert "Cities with fewer than 10 urban cells in some year" in excluded
    assert "171100 柳湖市 3 4 6" in excluded
    assert "with coordinates 30 470 no coordinates: 28; impossible: 2" in excluded
    assert "yearbook 39 36 3 0 999999" in excluded


def test_the_non_spatial_model_stands_beside_the_spatial_ones(page):
    models = section(page, "Models")
    assert models.index("DID spatial DID (SAR) spatial DID (SDM)") < models.index("0.1012** 0.0853** 0.0795**")
    assert "not spatial SAR SDM" in models
    assert "rho is hardly told apart from year effects" in models
    assert "There is no non-spatial model" not in models
    assert "0.0491** 0.1165**" in models


def test_evidence_sensitivity_truth_and_provenance_are_there(page):
    assert "Dense weights: contiguity" in section(page, "Are neighbours alike?")
    assert "2006" in section(page, "Are neighbours alike?")
    assert "1500" in section(page, "Sensitivity to thresholds")
    assert "Every measure and estimate agrees" in section(page, "Estimates and truth")
    provenance = section(page, "Provenance")
    assert "ab" * 32 in provenance
    assert "taken over" in provenance
    assert "failed" in provenance
    assert "seed 7" in provenance


def test_methods_say_the_options_that_were_used(page):
    methods = section(page, "Methods")
    assert "urban = light > 10 and density > 1000" in methods
    assert "the mean of the light cells it overlaps" in methods
    assert "form.cbd_ties cluster-density" in methods
    assert "8-connected patches of urban cells" in methods


def test_the_standing_warnings_are_printed(page):
    reminders = section(page, "What to keep in mind")
    for words in ("LandScan's producer warns", "Sensors change", "one fixed vintage"):
        assert words in reminders


def test_the_regulation_index_has_its_maps_its_slopes_and_its_gaps(run, tmp_path):
    folder = tmp_path / "regulated"
    shutil.copytree(run, folder, ignore=shutil.ignore_patterns("clips", "weights", "maps"))
    panel = read_table(folder / "panel.parquet")
    rng = np.random.default_rng(0)
    panel["farr"] = rng.uniform(1, 4, len(panel))
    panel.loc[0, "farr"], panel.loc[1, "farr"] = np.nan, -0.5
    panel["few_parcels"] = 0
    panel.loc[:2, "few_parcels"] = 1
    write_table(panel, folder / "panel.parquet")
    fit = {
        "model": "hedonic", "outcome": "far_max", "n": 77, "effects": "city-year", "r2": 0.5,
        "terms": [{"term": "distance_km", "estimate": -0.03, "std_error": 0.01, "statistic": -3.0, "p_value": 0.01}],
    }  # fmt: skip
    (folder / "regulation.json").write_text(json.dumps(fit), encoding="utf-8")
    text = section(write_report(folder).read_text(encoding="utf-8"), "How tightly floor area is regulated")
    assert "distance_km -0.0300" in text
    assert f"3 of {len(panel)} city-years rest on fewer parcels than the minimum" in text
    assert f"1 of {len(panel)} city-years have no parcel that can be used, and no index" in text
    assert f"1 of {len(panel)} city-years have an index not above zero, and no logarithm" in text
    mean = panel[panel["year"] == panel["year"].max()]["farr"].mean()
    assert f"{mean:.3f}" in text
    assert {"regulation.png", "regulation_years.png"} <= {path.name for path in (folder / "maps").iterdir()}


def test_a_study_without_landscan_is_not_warned_of_it(run, bare):
    manifest = json.loads((run / "manifest.json").read_text(encoding="utf-8"))
    years = manifest["products"]["population"]
    manifest["products"]["population"] = dict.fromkeys(years, "WorldPop")
    manifest["notes"] = ["LandScan's methods and inputs change from year to year: ...", "lights share the lattice"]
    (bare / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
    page = write_report(bare).read_text(encoding="utf-8")
    reminders = section(page, "What to keep in mind")
    assert "LandScan" not in reminders
    assert reminders.startswith("Before you use these numbers WorldPop: population grids are models.")
    # what the standing warnings say is not said twice
    assert section(page, "What was excluded, and why").endswith("Notes of the run Lights share the lattice")


def test_a_table_of_joins_without_rows_is_not_named(bare):
    (bare / "joins.csv").write_text("table,rows,matched,only_in_table,only_in_panel,examples\n")
    assert "Joined to the panel" not in write_report(bare).read_text(encoding="utf-8")


def test_classes_are_natural_breaks_where_many_cities_share_a_value(page, bare):
    panel = pd.read_parquet(bare / "panel.parquet")
    few = panel["city_code"] < "170700"
    panel["sprawl_index"] = panel["sprawl_index"].where(few, 1.0)
    panel.to_parquet(bare / "panel.parquet")
    assert "Classes are natural breaks, for many cities share one value" in section(
        write_report(bare).read_text(encoding="utf-8"), "Maps and series"
    )
    assert "Classes hold equal counts" in section(page, "Maps and series")


def test_names_are_text_and_nothing_is_asked_of_a_network(page):
    assert "<script" not in page
    assert "<b>three years" not in page
    assert page.count("&lt;script&gt;alert(1)&lt;/script&gt;") >= 2
    assert not re.search(r'(src|href)="(?!#|data:image/png|map\.html")', page)


def test_maps_are_written_beside_the_report(run, page):
    names = {path.name for path in (run / "maps").iterdir()}
    assert {"choropleth_sprawl_index.png", "series_sprawl_index.png", "city_170100_2007.png"} <= names
    assert {"city_171000_years.png", "gradients.png", "parcels_funnel.png", "effects.png"} <= names
    # a map of each city and year; the page shows the last year, and the years side by side
    assert {f"city_{code}_{year}.png" for code in ("170100", "171000") for year in YEARS} <= names
    assert page.count("data:image/png;base64,") == len(names) - 2 * (len(YEARS) - 1)
    assert "Other years, in the same colours, are in maps/city_170100_2001.png and so on." in page
    assert 1e6 < (run / "map.html").stat().st_size < 5e6
    assert not list(run.rglob(f"*{PARTIAL}*"))


def test_writing_it_again_gives_the_same_bytes(run, page):
    before = {path: path.read_bytes() for path in [run / "report.html", run / "map.html", *(run / "maps").iterdir()]}
    write_report(run)
    assert {path: path.read_bytes() for path in before} == before


def test_a_run_of_panel_and_cities_alone_has_a_report(bare):
    page = write_report(bare).read_text(encoding="utf-8")
    assert re.findall(r"<h2>(.*?)</h2>", page) == [
        "In brief",
        "Maps and series",
        "What to keep in mind",
        "What was excluded, and why",
        "Methods",
        "What to cite",
    ]
    assert "<h1>bare</h1>" in page
    assert "8-connected patches" in page  # columns are defined even without a codebook
    assert sorted(p.name for p in (bare / "maps").iterdir()) == [
        "choropleth_sprawl_index.png",
        "provinces_sprawl_index.png",
        "series_sprawl_index.png",
    ]


def test_a_study_of_lights_alone_shows_lights(bare):
    panel = pd.read_parquet(bare / "panel.parquet")
    without = ["sprawl_index", "urban_density", "urban_area_km2", "urban_population", "population", "urban_cells"]
    panel[without] = np.nan
    panel["density_threshold"] = np.nan
    panel[panel["year"] == 2007].to_parquet(bare / "panel.parquet")
    page = write_report(bare).read_text(encoding="utf-8")
    assert [p.name for p in (bare / "maps").iterdir()] == ["choropleth_light_mean.png"]
    assert "Mean light, 2007" in page or "light_mean" in page
    assert "sprawl index, " not in section(page, "In brief").lower()


def test_a_study_that_measured_nothing_still_has_a_report(bare):
    panel = pd.read_parquet(bare / "panel.parquet")
    panel[["city_code", "city_name", "year", "note"]].to_parquet(bare / "panel.parquet")
    page = write_report(bare).read_text(encoding="utf-8")
    assert "Maps and series" not in page
    assert not (bare / "map.html").exists()


def test_a_spatial_model_without_a_plain_one_is_noted(run, bare):
    fits = [fit for fit in json.loads((run / "models.json").read_text()) if fit["model"] != "pooled"]
    (bare / "models.json").write_text(json.dumps(fits))
    page = write_report(bare).read_text(encoding="utf-8")
    assert "There is no non-spatial model of ln_output" in section(page, "Models")


def test_an_estimate_that_misses_the_truth_is_not_hidden(run, bare):
    truth = pd.read_csv(run / "truth.csv")
    truth.loc[1, "within"] = "NOT within three standard errors (4.2)"
    truth.to_csv(bare / "truth.csv", index=False)
    page = write_report(bare).read_text(encoding="utf-8")
    assert "1 of 2 do not agree with it" in section(page, "Estimates and truth")


def test_a_folder_without_a_run_is_refused(tmp_path):
    with pytest.raises(FileMissingError, match="run the study first"):
        write_report(tmp_path)


def test_damaged_files_are_named(run, bare):
    (bare / "manifest.json").write_text("{")
    with pytest.raises(TableError, match=r"manifest\.json is not JSON"):
        write_report(bare)
    (bare / "manifest.json").unlink()
    (bare / "clips").mkdir()
    clip = bare / "clips" / "170100_2007.tif"
    clip.write_bytes((run / "clips" / "170100_2007.tif").read_bytes()[:500])
    with pytest.raises(GridError, match=r"170100_2007\.tif cannot be read"):
        write_report(bare)


def test_a_clip_of_one_band_is_refused(bare):
    from gistools.io.geotiff import write_geotiff

    bands, grid, _ = make_clip(make_cities().geometry.iloc[0], 1.0)
    write_geotiff(bare / "clips" / "170100_2007.tif", bands[0], grid)
    with pytest.raises(GridError, match="three bands"):
        write_report(bare)


# --- parts ------------------------------------------------------------------------------------------------------


def test_a_run_is_read_as_it_was_written(run):
    found = read_run(run)
    assert found.name == "合成国 & <b>three years</b>"
    assert found.years == list(YEARS)
    clips = found.clips()
    assert {code: sorted(years) for code, years in clips.items()} == {"170100": list(YEARS), "171000": list(YEARS)}
    bands, grid, _ = make_clip(make_cities().geometry.iloc[0], 0.5)
    clip = clips["170100"][2001]
    np.testing.assert_array_equal(clip["lights"], bands[0])
    np.testing.assert_array_equal(clip["density_class"], bands[2])
    from gistools.grid import grid_of

    assert grid_of(clip["density"]).same_as(grid)
    assert clip["lights"].attrs["units"] == "digital number, 0 to 63"


def test_the_gradient_of_the_cells_drawn_is_the_panels(run):
    found = read_run(run)
    row = found.of_year(2007).loc["171000"]
    cells = urban_cells(found.clips()["171000"][2007], found.boundary("171000"), (row["cbd_lon"], row["cbd_lat"]))
    assert len(cells) == row["urban_cells"] or row["urban_cells"] < 10
    slope = np.polyfit(cells["distance_km"], np.log(cells["density"]), 1)[0]
    assert slope == pytest.approx(row["gradient"], rel=1e-6)


def test_the_interactive_map_offers_measures_and_outcomes(run):
    columns = map_columns(read_run(run))
    assert columns[0] == "sprawl_index"
    assert "ln_output" in columns
    assert len(columns) == len(set(columns)) <= 12


def test_notes_are_counted_whatever_their_numbers():
    panel = pd.DataFrame(
        {
            "city_code": ["1", "1", "2", "3"],
            "year": [1, 2, 1, 1],
            "note": [
                "reaches past the grid (1.5 % of its area); no urban cell",
                "reaches past the grid (22.0 % of its area)",
                None,
                "",
            ],
        }
    )
    counts = note_counts(panel)
    assert counts.to_dict("records") == [
        {"note": "reaches past the grid (… % of its area)", "city_years": 2, "cities": 1, "examples": "1"},
        {"note": "no urban cell", "city_years": 1, "cities": 1, "examples": "1"},
    ]
    assert note_counts(panel.drop(columns="note")).empty


def test_a_failed_year_is_said_once(run):
    found = read_run(run)
    assert failed_parts(found) == ["year 2008: F162008.tif is cut short"]
    found.manifest["failures"].clear()
    assert failed_parts(found) == ["year 2008: F162008.tif is cut short"]


def test_rules_are_named_by_what_differs():
    table = pd.DataFrame({"min_light": [10, 12, 10], "min_density": [1000, 1000, 500], "cbd_ties": ["a", "a", "b"]})
    assert sensitivity_labels(table) == ["as chosen", "light > 12", "density > 500, CBD ties: b"]


def test_options_are_lines_and_files_are_left_to_the_provenance():
    config = {
        "name": "x",
        "weights": [{"name": "knn4", "kind": "knn", "k": 4}],
        "yearbook": {"file": "y.csv", "code": "id"},
        "form": {"threshold": None},
    }
    assert flat_options(config) == [("weights: knn4", "kind knn; k 4"), ("yearbook.code", "id")]


def test_cities_in_another_crs_are_reported_too(run, bare):
    gpd.read_parquet(bare / "cities.parquet").to_crs(32648).to_parquet(bare / "cities.parquet")
    west, south, east, north = read_run(bare).cities.total_bounds
    assert (round(west), round(east), round(south), round(north)) == (103, 105, 34, 35)
    assert HOSTILE not in write_report(bare).read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("name", "text"),
    [("manifest.json", "[1]"), ("models.json", '{"a": 1}'), ("models.json", '{"a":')],
)
def test_json_of_another_shape_is_named(bare, name, text):
    (bare / name).write_text(text)
    with pytest.raises(TableError, match=rf"{name} is not .*; delete it, or run the study again"):
        write_report(bare)


def test_years_that_are_no_numbers_are_named(bare):
    panel = pd.read_parquet(bare / "panel.parquet")
    panel.assign(year=panel["year"].astype(str) + "y").to_parquet(bare / "panel.parquet")
    with pytest.raises(TableError, match=r"panel\.parquet, column 'year', holds '2001y'"):
        write_report(bare)
