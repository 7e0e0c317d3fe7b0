"""Maps of a run's folder and of a panel: which columns and cities are drawn, and what is said of the others."""

import pandas as pd
import pytest
from run_factory import HOSTILE, YEARS, make_cities, make_run

from gistools.errors import InputError, TableError
from gistools.io.tables import write_table
from gistools.study.maps import choose_cities, choose_columns, open_panel, write_maps


@pytest.fixture(scope="module")
def run_folder(tmp_path_factory):
    return make_run(tmp_path_factory.mktemp("run") / "run")


def test_maps_of_a_run_use_the_cells_it_kept(run_folder, tmp_path):
    run = open_panel(run_folder, None)
    kept = sorted(run.clips())
    result = write_maps(run, tmp_path, columns=["population"], cities=kept[:1])
    names = {path.name for path in result.files}
    assert names == {path.name for path in tmp_path.iterdir()}
    assert names == {
        *("choropleth_population.png", "series_population.png", "provinces_population.png", "map.html"),
        *(f"city_{kept[0]}_{year}.png" for year in (*sorted(run.clips()[kept[0]]), "years")),
        "gradients.png",
    }
    assert HOSTILE not in (tmp_path / "map.html").read_text(encoding="utf-8")
    strange = next(code for code in run.cities["city_code"] if code not in kept)
    with pytest.raises(InputError, match=f"maps of city {strange} need its cells; give --lights"):
        write_maps(run, tmp_path / "none", cities=[strange])
    assert not (tmp_path / "none").exists()


def test_columns_and_cities(run_folder):
    run = open_panel(run_folder, None)
    assert choose_columns(run, ())[0] == "sprawl_index"
    with pytest.raises(TableError, match="did you mean 'population'"):
        choose_columns(run, ["populatoin"])
    with pytest.raises(TableError, match="holds"):
        choose_columns(run, ["note"])
    last = run.of_year(YEARS[-1])["urban_population"]
    assert set(choose_cities(run, ())) == set(last.nlargest(4).index)
    code = run.cities["city_code"].iloc[2]
    assert choose_cities(run, [code, code]) == [code]
    with pytest.raises(InputError, match=f"did you mean '{code}'"):
        choose_cities(run, [f"{code}0"])


def test_a_panel_needs_its_cities(run_folder, tmp_path):
    panel = open_panel(run_folder, None).panel
    write_table(panel, tmp_path / "p.csv")
    cities = make_cities()
    with pytest.raises(InputError, match="give --boundaries"):
        open_panel(tmp_path / "p.csv", None)
    with pytest.raises(TableError, match=r"p\.csv has 1 cities that the boundaries lack"):
        open_panel(tmp_path / "p.csv", cities.iloc[1:])
    opened = open_panel(tmp_path / "p.csv", cities.to_crs(32648))
    assert opened.cities.crs.is_geographic
    assert opened.units["urban_area_km2"] == "km2"  # which a CSV does not carry
    assert opened.name == "p"
    pd.testing.assert_series_equal(opened.panel["city_code"], panel["city_code"], check_index=False)
