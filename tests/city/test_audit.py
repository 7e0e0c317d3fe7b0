"""The audit against the panel: every column of random cities, real ones, and numbers that were tampered with."""

import numpy as np
import pandas as pd
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from raster_factory import MOLLWEIDE, cell_box, cities, lonlat_grid, source, zones_of
from raster_strategies import countries

from gistools.city.audit import Deciding, audit_city
from gistools.city.cells import CELL_COLUMNS, city_cells, decide_cbd
from gistools.city.form import COLUMNS, FormOptions, measure_year
from gistools.city.recount import fit_line
from gistools.errors import BoundaryError, InputError
from gistools.io.rasters import open_raster
from gistools.io.vectors import read_boundaries
from gistools.raster.lights import lights_product
from gistools.raster.population import population_product
from gistools.raster.zones import label_zones


def agreed(audit):
    assert [check.column for check in audit.checks] == list(COLUMNS)
    wrong = [(c.column, c.value, c.recomputed, c.ingredients) for c in audit.checks if not c.agrees]
    assert wrong == []


CHOICES = st.fixed_dictionaries(
    {
        "min_light": st.sampled_from([0.0, 10.0]),
        "min_density": st.sampled_from([500.0, 1000.0]),
        "threshold": st.sampled_from(["auto", 1200.0]),
        "radius_km": st.sampled_from([0.5, 3.0]),
        "cbd_ties": st.sampled_from(["cluster-density", "cluster-centroid", "population-weighted"]),
        "measures": st.sampled_from(["all", "urban"]),
    }
)


@given(countries(), CHOICES, st.sampled_from(["both", "lights", "population"]))
@settings(max_examples=60, deadline=None)
def test_every_column_of_random_cities(case, choices, given_grids):
    labels, light, count, grid, fractions = case
    zones = zones_of(labels, grid, fractions)
    options = FormOptions(**choices)
    lights = None if given_grids == "population" else source(light, grid)
    people = None if given_grids == "lights" else source(count, grid)
    try:
        form = measure_year(2001, lights, people, zones, options, saturated=13)
    except InputError:  # no cell of any city is urban: there is no threshold, and no panel
        assert options.threshold == "auto"
        return
    table = form.table.set_index("city_code")
    of = None
    if options.threshold == "auto" and given_grids == "both":
        of = (2001, table["urban_population"].sum(), table["urban_area_km2"].sum())
    for code in zones.codes:
        audit = audit_city(
            code,
            2001,
            lights,
            people,
            zones,
            options,
            table.loc[code].to_dict(),
            threshold=form.threshold,
            threshold_of=of,
            saturated=13,
        )
        agreed(audit)
        assert audit.mismatches == ()


@given(countries(), st.integers(0, 2**32 - 1))
@settings(max_examples=30, deadline=None)
def test_a_cbd_of_another_year(case, seed):
    labels, light, count, grid, fractions = case
    zones = zones_of(labels, grid, fractions)
    later = np.random.default_rng(seed).permutation(light.ravel()).reshape(light.shape)
    options = FormOptions(threshold=1200.0)
    base = measure_year(2001, source(light, grid), source(count, grid), zones, options)
    form = measure_year(2005, source(later, grid), source(count, grid), zones, options, cbds=base.cbds)
    table = form.table.set_index("city_code")
    for code in zones.codes:
        audit = audit_city(
            code,
            2005,
            source(later, grid),
            source(count, grid),
            zones,
            options,
            table.loc[code].to_dict(),
            threshold=1200.0,
            deciding=Deciding(2001, source(light, grid), source(count, grid), zones),
        )
        agreed(audit)
        assert audit.deciding_year == 2001
        assert audit.cells["tied"].sum() == audit.decision.tied


# ---------------------------------------------------------------- by hand

GRID = lonlat_grid((5, 6))
AREA = np.broadcast_to(GRID.cell_area_km2(GRID.whole), GRID.shape)
LIGHT = np.array(
    [
        [63, 63, 11, 20, 0, 5],
        [9, 10, 11, 20, 0, 5],
        [63, 12, 0, 11, 9, 5],
        [63, 0, 30, 0, 63, 5],
        [63, 0, 30, 11, 0, 5],
    ]
)
DENSITY = np.full(GRID.shape, 1500.0)
DENSITY[3, 0], DENSITY[3, 4], DENSITY[0, 1] = 7000.0, 9000.0, 8000.0
ONE = zones_of(np.zeros(GRID.shape, int), GRID)


def by_hand(row=None, **options):
    options = FormOptions(threshold=2000.0, **options)
    lights, people = source(LIGHT, GRID), source(DENSITY * AREA, GRID)
    if row is None:
        row = measure_year(2013, lights, people, ONE, options, saturated=63).table.iloc[0].to_dict()
    return audit_city("000001", 2013, lights, people, ONE, options, row, threshold=2000.0, saturated=63)


def test_the_decision_is_told_step_by_step():
    decision = by_hand().decision
    assert decision.tied == 6
    assert decision.clusters["cells"].tolist() == [3, 2, 1]
    assert decision.rule == "density"
    chosen = decision.ties[decision.ties["chosen"]]
    assert chosen[["row", "col"]].to_numpy().tolist() == [[3, 0]]  # of the largest cluster, though others are denser
    said = " ".join(decision.steps)
    for words in ("largest light is 63; 6 cells", "3 clusters", "of 3, 2, 1 cells", "7,000.0", "row 3, column 0"):
        assert words in said


def test_equal_cells_go_north_then_west():
    cells = city_cells("000001", source(LIGHT, GRID), source(np.ones(GRID.shape), GRID), ONE, FormOptions())
    even = decide_cbd(cells)
    # densities of one person a cell grow to the north with smaller cells
    assert even.rule == "density"
    flat = decide_cbd(cells.assign(density=1.0))
    assert flat.rule == "row-column"
    assert flat.ties.loc[flat.ties["chosen"], ["row", "col"]].to_numpy().tolist() == [[2, 0]]
    assert decide_cbd(cells, ties="cluster-centroid").ties.query("chosen")[["row", "col"]].to_numpy().tolist() == [
        [3, 0]
    ]
    weighted = decide_cbd(
        cells.assign(population=np.where(cells["row"] == 4, 100.0, 1.0)), ties="population-weighted"
    )
    assert weighted.ties.query("chosen")[["row", "col"]].to_numpy().tolist() == [[4, 0]]


def test_ingredients_are_the_numbers():
    audit = by_hand()
    found = {check.column: check for check in audit.checks}
    parts = dict(found["sprawl_index"].ingredients)
    assert parts["L"] + parts["H"] == pytest.approx(1, rel=1e-14)
    assert np.sqrt(parts["SP"] * parts["SA"]) == pytest.approx(found["sprawl_index"].value, rel=1e-12)
    light = dict(found["light_mean"].ingredients)
    assert light["light sum"] == LIGHT.sum()
    assert light["cells"] == 30
    counts = dict(audit.counts)
    assert counts["cells of the city"] == 30
    assert counts["saturated"] == counts["tied for the brightest"] == 6
    assert counts["dark (light 0)"] == (LIGHT == 0).sum()
    assert counts["urban, low density"] + counts["urban, high density"] == counts["urban"]
    assert list(audit.cells) == list(CELL_COLUMNS)
    assert set(audit.to_frame()["agrees"]) == {True}
    assert audit.to_dict()["mismatches"] == []


@pytest.mark.parametrize("column", [name for name in COLUMNS if name not in ("cbd_rule", "note")])
def test_a_number_that_was_tampered_with_is_found(column):
    lights, people = source(LIGHT, GRID), source(DENSITY * AREA, GRID)
    row = measure_year(2013, lights, people, ONE, FormOptions(threshold=2000.0), saturated=63).table.iloc[0].to_dict()
    row[column] = row[column] * 1.0001 + 1e-4
    assert [check.column for check in by_hand(row).mismatches] == [column]


def test_texts_and_missing_values_are_compared_too():
    row = by_hand().to_frame().set_index("column")["value"].to_dict()
    wrong = row | {"cbd_rule": "centroid", "note": "no urban cell", "gradient": np.nan}
    assert [check.column for check in by_hand(wrong).mismatches] == ["gradient", "cbd_rule", "note"]
    fewer = {name: value for name, value in row.items() if name != "patches"}
    assert [check.column for check in by_hand(fewer).checks if check.agrees is None] == ["patches"]


def test_a_given_cbd_may_lie_in_another_city():
    zones = zones_of(np.repeat([[0, 0, 0, 1, 1, 1]], 5, axis=0), GRID)
    lights, people = source(LIGHT, GRID), source(DENSITY * AREA, GRID)
    lon, lat = (float(v) for v in GRID.lonlat(2, 4))
    cbds = pd.DataFrame(
        {"row": 2, "col": 4, "cbd_lon": lon, "cbd_lat": lat, "cbd_light": np.nan, "cbd_ties": 1, "cbd_rule": "table"},
        index=list(zones.codes),
    )
    options = FormOptions(threshold=2000.0)
    table = measure_year(2013, lights, people, zones, options, cbds=cbds).table.set_index("city_code")
    audit = audit_city(
        *("000001", 2013, lights, people, zones, options, table.loc["000001"].to_dict()),
        threshold=2000.0,
        known_cbd=(lon, lat),
    )
    agreed(audit)
    assert {c.column: c.value for c in audit.checks}["cbd_light"] == 9


def test_cells_on_the_outline_are_marked():
    square = cell_box(GRID, 0.5, 4.5, 0.5, 4.5)
    city = cities([square])
    zones = label_zones(city, GRID)
    cells = city_cells("000001", source(LIGHT, GRID), None, zones, FormOptions(), city=city)
    assert len(cells) in (16, 25)  # its edges run through centres
    touched = {(r, c) for r, c in zip(cells["row"], cells["col"], strict=True) if r in (0, 4) or c in (0, 4)}
    assert set(map(tuple, cells.loc[cells["border"], ["row", "col"]].to_numpy().tolist())) == touched
    on_plane = cities([shapely.box(*square.bounds)]).to_crs(MOLLWEIDE)
    again = city_cells("000001", source(LIGHT, GRID), None, zones, FormOptions(), city=on_plane)
    assert again["border"].tolist() == cells["border"].tolist()


def test_an_unknown_code_names_the_nearest():
    with pytest.raises(BoundaryError, match="no city has the code '00001'; did you mean '000001'"):
        city_cells("00001", source(LIGHT, GRID), None, ONE, FormOptions())


def test_a_line_by_hand():
    x = np.array([0.0, 1.0, 2.0, 4.0])
    y = np.array([9.0, 8.0, 8.5, 6.0])
    line = fit_line(x, np.exp(y))
    slope, intercept = np.polyfit(x, y, 1)
    assert (line.slope, line.intercept) == pytest.approx((slope, intercept), rel=1e-12)
    assert line.r2 == pytest.approx(np.corrcoef(x, y)[0, 1] ** 2, rel=1e-12)
    assert fit_line(x[:2], np.exp(y[:2])) is None
    assert fit_line(np.ones(4), np.exp(y)) is None


# ---------------------------------------------------------------- real cities


def _real(lights, population, year, boundaries, code, name, wanted, **options):
    cities_ = read_boundaries(boundaries, code=code, name=name)
    light = open_raster(lights, lights_product(lights.name, "uint8" if "stable" in lights.name else "float32"))
    people = open_raster(population, population_product(population.name))
    zones = label_zones(cities_, people.grid, assign=options.get("assign", "centre"))
    options = FormOptions(**options)
    form = measure_year(year, light, people, zones, options, saturated=63)
    table = form.table.set_index("city_code")
    of = (year, table["urban_population"].sum(), table["urban_area_km2"].sum())
    audit = audit_city(
        *(wanted, year, light, people, zones, options, table.loc[wanted].to_dict()),
        threshold=form.threshold,
        threshold_of=of,
        saturated=63,
        city=cities_[cities_["city_code"] == wanted],
    )
    agreed(audit)
    return audit


@pytest.mark.real
@pytest.mark.parametrize("assign", ["centre", "coverage"])
def test_luxembourg_city(data_dir, assign):
    folder = data_dir / "ntl_pop_luxembourg"
    audit = _real(
        folder / "F182013_stable_lights_lux.tif",
        folder / "GHS_POP_2015_250m_mollweide_lux.tif",
        2013,
        folder / "lux_communes.geojson",
        *("LAU2", "LAU2", "0304"),
        assign=assign,
    )
    assert audit.decision.tied > 25  # the brightest value is shared, see the data's README
    assert dict(audit.counts)["urban"] > 100


@pytest.mark.real
def test_a_county_of_california_in_a_later_year(data_dir):
    folder = data_dir / "ntl_pop_california"
    audit = _real(
        folder / "VNP46A4_NearNadir_Composite_Snow_Free_t2018_CA.tif",
        folder / "US-CA_ppp_2018_1km.tif",
        2018,
        folder / "california_counties.geojson",
        *("fips", "name", "06037"),
    )
    assert audit.decision.rule == "brightest"
    assert len(audit.cells) > 10_000
