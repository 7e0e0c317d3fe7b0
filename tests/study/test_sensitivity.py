"""The sensitivity of files: the first row of every year is the panel, and the others are new measurements."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from gistools.city.form import FormOptions
from gistools.city.sensitivity import sensitivity
from gistools.errors import InputError, OutputError
from gistools.io.vectors import read_boundaries
from gistools.raster.zones import label_zones
from gistools.study.form import measure_form, open_form_grids
from gistools.study.inputs import GridFiles
from gistools.study.sensitivity import measure_sensitivity, require_figure, write_sensitivity

COUNTRY = Path(__file__).parents[2] / "sample_rasters" / "country"
YEARS = (2006, 2007)


@pytest.fixture(scope="module")
def cities():
    return read_boundaries(COUNTRY / "cities.gpkg", code="city_code", name="city_name")


def opened(options, years=YEARS, **pattern):
    lights = GridFiles(str(pattern.get("lights", COUNTRY / "lights" / "F*{year}*.tif")))
    people = GridFiles(str(pattern.get("population", COUNTRY / "population" / "landscan-global-{year}.tif")))
    return open_form_grids(lights, people, years, options)


@pytest.mark.parametrize(
    "options",
    [
        FormOptions(base_year=2001),
        FormOptions(),
        FormOptions(threshold=2500.0, assign="coverage", align="nearest", base_year=2007),
    ],
    ids=["base outside", "base first", "number"],
)
def test_every_row_is_what_a_panel_under_those_options_holds(cities, options):
    table = measure_sensitivity(cities, opened(options), YEARS, options).table
    assert table.columns[0] == "year"
    assert table.groupby("year").size().tolist() == [9 + (options.threshold != "auto")] * 2
    kinds = table.loc[table["year"] == 2007, "varied"]
    assert kinds.iloc[0] == "chosen"
    for row in table.to_dict("records"):
        rule = row["density_threshold"] if " x " in row["threshold_rule"] else options.threshold
        changed = replace(
            options,
            min_light=row["min_light"],
            min_density=row["min_density"],
            threshold="auto" if row["threshold_rule"] == "auto" else rule,
            cbd_ties=row["cbd_ties"],
        )
        panel = measure_form(cities, opened(changed), YEARS, changed).panel
        panel = panel[panel["year"] == row["year"]]
        assert row["density_threshold"] == pytest.approx(panel["density_threshold"].iloc[0], rel=1e-12)
        assert row["mean_sprawl_index"] == pytest.approx(panel["sprawl_index"].mean(), rel=1e-12)
        assert row["urban_cells"] == panel["urban_cells"].sum()


def test_the_base_year_is_what_the_calculation_gives(cities):
    options = FormOptions()
    grids = opened(options)
    table = measure_sensitivity(cities, grids, YEARS, options).table
    zones = label_zones(cities, grids.population[2006].grid)
    alone = {year: sensitivity(grids.lights[year], grids.population[year], zones, options) for year in YEARS}
    found = table[table["year"] == 2006].drop(columns="year")
    pd.testing.assert_frame_equal(found.reset_index(drop=True), alone[2006], check_exact=True)
    other = table[table["year"] == 2007].reset_index(drop=True)
    assert (other["density_threshold"] == alone[2006]["density_threshold"]).all()
    assert (other["density_threshold"] != alone[2007]["density_threshold"]).any()  # its own are others
    for name in ("cbds_moved", "median_move_km", "urban_cells"):
        pd.testing.assert_series_equal(other[name], alone[2007][name])
    with pytest.raises(InputError, match="made under other options"):
        sensitivity(grids.lights[2007], grids.population[2007], zones, FormOptions(threshold=9.0), base=alone[2006])


def test_a_year_that_fails_is_named_and_the_others_are_whole(cities, tmp_path):
    options = FormOptions()
    years = (2006, 2007, 2008)
    whole = measure_sensitivity(cities, opened(options, years), years, options).table
    for year in years:
        name = f"landscan-global-{year}.tif"
        content = (COUNTRY / "population" / name).read_bytes()
        (tmp_path / name).write_bytes(content[: len(content) // 2] if year == 2007 else content)
    grids = opened(options, years, population=tmp_path / "landscan-global-{year}.tif")
    result = measure_sensitivity(cities, grids, years, options)
    assert [(problem.year, "landscan-global-2007.tif" in problem.message) for problem in result.failures] == [
        (2007, True)
    ]
    assert result.years == [2006, 2008]
    pd.testing.assert_frame_equal(result.table, whole[whole["year"] != 2007].reset_index(drop=True))


def test_persons_that_cannot_be_are_refused_as_in_a_panel(cities, monkeypatch):
    options = FormOptions()
    grids = opened(options)
    people = grids.population[2007]

    class Crowded:
        grid, name = people.grid, "crowded.tif"

        def read(self, window):
            block = people.read(window)
            return block._replace(values=np.where(block.values > 0, 10_000_000, block.values))

    grids.population[2007] = Crowded()
    result = measure_sensitivity(cities, grids, YEARS, options)
    assert result.years == [2006]
    assert "crowded.tif" in str(result.failures[0])
    grids.population[2006] = Crowded()
    with pytest.raises(InputError, match="the base year 2006 could not be measured, and the other years need it"):
        measure_sensitivity(cities, grids, YEARS, options)


def test_figures_are_judged_and_written_by_year(cities, tmp_path):
    options = FormOptions()
    with pytest.raises(InputError, match=r"f\.pdf: figures are written as \.png, \.svg, by extension"):
        require_figure(tmp_path / "f.pdf", (2006,))
    with pytest.raises(InputError, match=r"f\.png would hold 2 years; put \{year\} into its name"):
        require_figure(tmp_path / "f.png", YEARS)
    with pytest.raises(OutputError, match="cannot be written"):
        require_figure(Path("/proc/f.png"), (2006,))
    require_figure(tmp_path / "f_{year}.svg", YEARS)
    result = measure_sensitivity(cities, opened(options), YEARS, options)
    result.table.loc[result.table["year"] == 2007, "mean_sprawl_index"] = np.nan
    write_sensitivity(result, tmp_path / "s.parquet", figure=tmp_path / "f_{year}.svg")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["f_2006.svg", "s.parquet"]
    assert result.notes[-1] == "2007 has no figure: no city has a sprawl index"
