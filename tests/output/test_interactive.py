"""The interactive map: offline, small, honest about what is missing, harmless whatever the names are."""

import re

import geopandas as gpd
import numpy as np
import pandas as pd
import pytest
from run_factory import HOSTILE, make_cities, make_panel

from gistools.errors import InputError, TableError
from gistools.output.maps import interactive_map

CITIES = make_cities()
PANEL = make_panel(CITIES)
REMOTE = re.compile(
    r"""(?:src|href|action|data)\s*=\s*["']?\s*(?:https?:)?//|url\(\s*["']?\s*(?:https?:)?//|@import""", re.I
)


def without_scripts(page):
    """A page without what stands inside its scripts: markup and styles alone."""
    return re.sub(r"(<script\b[^>]*>).*?(</script>)", r"\1\2", page, flags=re.S | re.I)


@pytest.fixture(scope="module")
def page():
    return interactive_map(CITIES, PANEL, ["sprawl_index", "urban_area_km2", "central_population"], title="A & <b>B")


def test_markup_and_styles_ask_for_nothing(page):
    markup = without_scripts(page)
    assert not REMOTE.search(markup)
    assert "<script src" not in page.lower()
    assert "default-src 'none'" in markup
    assert "cdn.bokeh" not in markup


def test_texts_are_escaped(page):
    assert HOSTILE not in page
    assert "<b>B" not in page
    assert "A &amp; &lt;b&gt;B" in page
    assert page.lower().count("</script>") == page.lower().count("<script")


def test_a_column_without_values_is_left_out_and_named(page):
    assert "Left out, for no city has a value: central_population." in page


def test_the_same_map_has_the_same_bytes_and_keeps_its_names():
    cities = CITIES.assign(city_name=[f"p{1000 + k}" for k in range(12)])  # as Bokeh calls its models
    maps = [interactive_map(cities, PANEL, ["sprawl_index"], title="T") for _ in range(2)]
    assert maps[0] == maps[1]
    assert all(f'"p{1000 + k}"' in maps[0] for k in range(12))


def test_it_is_drawn_as_given_or_says_how_much_it_is_simplified():
    assert "drawn as given" in interactive_map(CITIES, PANEL, ["sprawl_index"], title="T")


def test_one_year_has_no_slider_and_cities_may_lack_names():
    one = PANEL[PANEL["year"] == 2001].drop(columns=["cbd_lon", "city_name", "province"])
    page = interactive_map(CITIES[["city_code", "geometry"]], one, ["treated"], title="T")
    assert '"name":"Slider"' not in page
    assert '"name":"Select"' in page


@pytest.mark.parametrize(
    ("panel", "columns", "error", "words"),
    [
        (PANEL, ["sprawl"], TableError, "did you mean 'sprawl_index'"),
        (PANEL, ["central_population"], InputError, "no column has a value"),
        (PANEL, [], InputError, "none was named"),
        (pd.concat([PANEL, PANEL]), ["sprawl_index"], TableError, "more than one row"),
    ],
)
def test_what_cannot_be_mapped_is_refused(panel, columns, error, words):
    with pytest.raises(error, match=words):
        interactive_map(CITIES, panel, columns, title="T")


@pytest.mark.real
def test_the_prefectures_of_china_over_ten_years_fit_in_five_megabytes(data_dir):
    path = data_dir / "china_boundaries" / "china_prefectures_osm_wgs84.geojson"
    cities = gpd.read_file(path).rename(columns={"adcode": "city_code", "name": "city_name"})
    cities["city_code"] = cities["city_code"].astype(str)
    years = range(2004, 2014)
    panel = pd.DataFrame({"city_code": np.repeat(cities["city_code"], 10), "year": np.tile(years, len(cities))})
    rng = np.random.default_rng(0)
    columns = [f"measure_{k}" for k in range(10)]
    panel[columns] = rng.lognormal(5, 3, (len(panel), 10))
    panel["cbd_lon"], panel["cbd_lat"] = rng.uniform(80, 120, len(panel)), rng.uniform(20, 50, len(panel))
    page = interactive_map(cities, panel, columns, title="China")
    assert len(page.encode()) < 5e6
    assert "simplified with a tolerance of" in page
