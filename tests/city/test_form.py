"""Urban form of cities: every column against a slow reference, rules worked by hand, years and base years."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raster_factory import (
    ARC30,
    MOLLWEIDE,
    cell_box,
    cities,
    lonlat_grid,
    source,
    wiggly_tessellation,
    zones_of,
)
from raster_strategies import countries
from slow_form import slow_form

from gistools.city.form import COLUMNS, FormOptions, measure_year
from gistools.city.series import city_form, needs_base_year
from gistools.errors import GridError, InputError
from gistools.grid import Grid, geodesic_km
from gistools.raster.tasks import Execution
from gistools.raster.zones import label_zones

GRID = lonlat_grid((5, 5))
AREA = np.broadcast_to(GRID.cell_area_km2(GRID.whole), (5, 5))

# column: absolute tolerance; relative 1e-11 everywhere
NEAR = dict.fromkeys([name for name in COLUMNS if name not in ("note", "cbd_rule")], 1e-9) | {
    "gradient": 1e-10,
    "gradient_se": 1e-9,
    "gradient_r2": 1e-8,
    "cbd_lon": 1e-12,
    "cbd_lat": 1e-12,
}


def compare(got, slow):
    for name, tolerance in NEAR.items():
        want = slow[name].to_numpy(float) if name in slow else np.full(len(slow), np.nan)
        np.testing.assert_allclose(
            got[name].to_numpy(float), want, rtol=1e-11, atol=tolerance, err_msg=name, equal_nan=True
        )


@given(
    countries(),
    st.sampled_from([0.0, 10.0]),
    st.sampled_from([500.0, 1000.0]),
    st.sampled_from([None, 1200.0]),
    st.sampled_from([0.5, 3.0]),
)
@settings(max_examples=80, deadline=None)
def test_every_column_against_the_slow_reference(case, min_light, min_density, threshold, radius_km):
    labels, light, count, grid, fractions = case
    zones = zones_of(labels, grid, fractions)
    options = FormOptions(
        min_light=min_light, min_density=min_density, threshold=threshold or "auto", radius_km=radius_km
    )
    slow = slow_form(
        labels,
        light,
        count,
        grid,
        fractions=fractions,
        number=len(zones.codes),
        min_light=min_light,
        min_density=min_density,
        threshold=threshold,
        radius_km=radius_km,
        saturated=63,
    )
    if np.isnan(slow["density_threshold"].iloc[0]):
        with pytest.raises(InputError, match="no cell of any city is urban"):
            measure_year(2001, source(light, grid), source(count, grid), zones, options, saturated=63)
        return
    form = measure_year(2001, source(light, grid), source(count, grid), zones, options, saturated=63)
    compare(form.table, slow)
    assert form.threshold == pytest.approx(slow["density_threshold"].iloc[0], rel=1e-12)
    found = [None if row < 0 else (row, col) for row, col in form.cbds[["row", "col"]].to_numpy().tolist()]
    assert found == slow["cbd"].where(slow["cbd"].notna(), None).tolist()


# ---------------------------------------------------------------- five by five, by hand

# two cities: columns 0-2 and 3-4; densities in persons per km2
LIGHT = np.array(
    [
        [63, 63, 11, 20, 0],
        [63, 10, 11, 20, 0],
        [12, 12, 0, 11, 9],
        [5, 0, 30, 0, 11],
        [0, 0, 30, 11, 0],
    ],
    "uint8",
)
DENSITY = np.array(
    [
        [9000, 5000, 1000, 2000, 4000],
        [8000, 6000, 1500, 900, 4000],
        [2500, 1200, 3000, 1200, 100],
        [900, 900, 1100, 100, 5000],
        [100, 100, 4000, 3000, 0],
    ],
    float,
)
LABELS = np.repeat([[0, 0, 0, 1, 1]], 5, axis=0)
# what 1000 becomes as a count over an area: the cell (0, 2) lies exactly at the threshold
THOUSAND = float((DENSITY * AREA)[0, 2] / AREA[0, 2])


def by_hand(light=LIGHT, density=DENSITY, labels=LABELS, **options):
    zones = zones_of(labels, GRID)
    options = FormOptions(**{"min_density": THOUSAND} | options)
    return measure_year(2013, source(light), source(density * AREA), zones, options).table


def test_two_cities_by_hand():
    table = by_hand(threshold=2500.0)
    # city 1: (0,0) (0,1) (1,0) (1,2) (2,0) (2,1) (3,2) (4,2); not (0,2): 1000 is not above 1000; not (1,1): light 10
    urban = [(0, 0), (0, 1), (1, 0), (1, 2), (2, 0), (2, 1), (3, 2), (4, 2)]
    density = np.array([DENSITY[c] for c in urban])
    area = np.array([AREA[c] for c in urban])
    low = density < 2500  # 1500, 1200, 1100; a cell at the threshold is high
    assert low.tolist() == [False, False, False, True, False, True, True, False]
    first = table.iloc[0]
    assert first["cells"] == 15
    assert first["urban_cells"] == 8
    assert first["area_km2"] == pytest.approx(AREA[:, :3].sum(), rel=1e-13)
    assert first["population"] == pytest.approx((DENSITY * AREA)[:, :3].sum(), rel=1e-13)
    assert first["urban_area_km2"] == pytest.approx(area.sum(), rel=1e-13)
    assert first["low_area_km2"] == pytest.approx(area[low].sum(), rel=1e-13)
    assert first["high_population"] == pytest.approx((density * area)[~low].sum(), rel=1e-13)
    sp = area[low].sum() / area.sum()
    sa = (density * area)[low].sum() / (density * area).sum()
    assert first["sprawl_index"] == pytest.approx(np.sqrt(sp * sa), rel=1e-12)
    # lights: 15 cells, sum 310, four dark
    assert first["light_sum"] == 310
    assert first["light_mean"] == pytest.approx(310 / 15)
    assert first["ln_light"] == pytest.approx(np.log(310 / 15))
    assert first["dark_cells"] == 4
    # three tie at 63 in one cluster; the densest of them is (0, 0)
    assert (first["cbd_ties"], first["cbd_rule"], first["cbd_light"]) == (3, "density", 63)
    assert first["cbd_lon"] == pytest.approx(float(GRID.x(0)), abs=1e-12)
    # one patch: (1,2) and (2,1) touch at a corner, (2,1) and (3,2) too
    assert first["patches"] == 1
    assert first["largest_patch_km2"] == pytest.approx(area.sum(), rel=1e-13)
    assert first["density_cv"] == pytest.approx(density.std() / density.mean(), rel=1e-12)
    # all 15 cells lie within 3 km of (0, 0) but for the last row (3.69 km) and cell (3, 2) (3.20 km)
    near = [(r, c) for r in range(4) for c in range(3) if (r, c) != (3, 2)]
    people = sum((DENSITY * AREA)[c] for c in near)
    assert first["central_population"] == pytest.approx(people, rel=1e-12)
    assert first["central_density"] == pytest.approx(people / sum(AREA[c] for c in near), rel=1e-12)
    assert first["suburban_share"] == pytest.approx(1 - people / first["population"], rel=1e-12)
    assert first["note"] == "few urban cells (8): shares and gradient rest on few"

    second = table.iloc[1]
    # (0,3) (2,3) (3,4) (4,3): (0,4) and (1,4) are dark, (1,3) too thin
    assert second["urban_cells"] == 4
    assert second["patches"] == 2
    assert second["cbd_ties"] == 2
    assert second["cbd_rule"] == "density"
    assert second["density_threshold"] == 2500


def test_automatic_threshold_is_taken_over_all_cities():
    table = by_hand()
    urban = (LIGHT > 10) & (DENSITY > 1000)  # in whole numbers
    assert urban.sum() == 12
    expected = (DENSITY * AREA)[urban].sum() / AREA[urban].sum()
    assert table["density_threshold"].tolist() == pytest.approx([expected] * 2, rel=1e-13)


def test_a_cell_exactly_at_the_threshold_is_high():
    exact = float((DENSITY * AREA)[2, 0] / AREA[2, 0])
    at, above = by_hand(threshold=exact), by_hand(threshold=float(np.nextafter(exact, 1e9)))
    assert above["low_area_km2"].iloc[0] - at["low_area_km2"].iloc[0] == pytest.approx(AREA[2, 0], rel=1e-9)


def test_no_data_in_either_grid_is_not_urban_but_has_its_area():
    light, density = LIGHT.astype(float), DENSITY.copy()
    light[0, 0], density[0, 1] = np.nan, np.nan
    first = by_hand(light, density, threshold=2500.0).iloc[0]
    assert first["urban_cells"] == 6
    assert first["area_km2"] == pytest.approx(AREA[:, :3].sum(), rel=1e-13)
    assert (first["light_missing_cells"], first["population_missing_cells"]) == (1, 1)
    assert first["light_mean"] == pytest.approx((310 - 63) / 14)
    # the brightest cell need not have population
    assert (first["cbd_ties"], first["cbd_lat"]) == (2, pytest.approx(float(GRID.y(1))))


def test_a_dark_city_has_no_cbd_and_no_central_measures():
    light = LIGHT.copy()
    light[:, 3:] = 0
    second = by_hand(light, threshold=2500.0).iloc[1]
    assert (
        second[["cbd_lon", "cbd_lat", "cbd_light", "cbd_ties", "central_population", "suburban_share"]].isna().all()
    )
    assert second["light_mean"] == 0
    assert np.isnan(second["ln_light"])
    assert second["dark_cells"] == 10
    assert "no light above zero: no CBD" in second["note"]
    assert "no urban cell" in second["note"]


def test_no_urban_cell_gives_zero_areas_and_a_missing_index():
    density = DENSITY.copy()
    density[:, 3:] = 500
    second = by_hand(density=density, threshold=2500.0).iloc[1]
    zero = [
        "urban_area_km2",
        "urban_population",
        "low_area_km2",
        "high_area_km2",
        "low_population",
        "high_population",
    ]
    assert (second[[*zero, "patches", "largest_patch_km2", "urban_cells"]] == 0).all()
    gone = [
        "urban_density",
        "sprawl_index",
        "density_cv",
        "density_cv_weighted",
        "gradient",
        "gradient_se",
        "gradient_r2",
    ]
    assert second[gone].isna().all()
    assert second["note"] == "no urban cell"
    assert second["population"] > 0
    assert second["cbd_ties"] == 2


def test_no_population_data_is_missing_not_zero():
    density = DENSITY.copy()
    density[:, 3:] = np.nan
    second = by_hand(density=density, threshold=2500.0).iloc[1]
    assert second[["population", "urban_area_km2", "urban_population", "patches", "sprawl_index"]].isna().all()
    assert second[["central_population", "central_density", "suburban_share"]].isna().all()
    assert second["note"] == "no population data"
    assert second["area_km2"] > 0


def test_no_light_data_is_missing_not_dark():
    light = LIGHT.astype(float)
    light[:, 3:] = np.nan
    second = by_hand(light, threshold=2500.0).iloc[1]
    assert second[["light_mean", "light_sum", "ln_light", "cbd_lon"]].isna().all()
    assert second["dark_cells"] == 0
    assert second["light_missing_cells"] == 10
    assert second["note"].startswith("no light data")


def test_fewer_than_three_urban_cells_have_no_gradient():
    light = np.zeros((5, 5), "uint8")
    light[0, 0], light[0, 1] = 50, 40
    two = by_hand(light, threshold=2500.0).iloc[0]
    assert two["urban_cells"] == 2
    assert np.isnan(two["gradient"])
    assert two["note"] == "few urban cells (2): shares rest on few cells, a gradient needs 3"
    assert two["density_cv"] > 0
    light[1, 0] = 30
    three = by_hand(light, threshold=2500.0).iloc[0]
    assert np.isfinite([three["gradient"], three["gradient_se"], three["gradient_r2"]]).all()


# ---------------------------------------------------------------- boundaries on the grid


def form(polygons, light, count, grid=None, **options):
    grid = grid or lonlat_grid(np.shape(count))
    return city_form(
        cities(polygons),
        lights={2013: source(light, grid)},
        population={2013: source(count, grid)},
        options=FormOptions(**{"threshold": 1500.0} | options),
    ).set_index("city_code")


def test_cities_outside_smaller_than_a_cell_and_past_the_grid_have_rows_with_reasons():
    grid = lonlat_grid((20, 20))
    polygons = [
        cell_box(grid, 2, 8, 2, 8),
        cell_box(grid, 10.6, 11.4, 3.6, 4.4),
        cell_box(grid, 2, 8, 30, 40),
        cell_box(grid, 10, 20, 15, 25),
    ]
    panel = form(polygons, np.full((20, 20), 30, "uint8"), np.full((20, 20), 1500))
    assert len(panel) == 4
    assert panel["note"].iloc[1] == "no cell centre inside the boundary (smaller than a cell)"
    assert panel["note"].iloc[2] == "outside the grid"
    assert panel["note"].iloc[3] == "reaches past the grid (50.0 % of its area)"
    # neither zero areas nor zero patches: all is missing but the counts of cells
    counts = [c for c in COLUMNS if c.endswith("cells")]
    measured = [c for c in COLUMNS if c not in ("note", "cbd_rule", "density_threshold", *counts)]
    for k in (1, 2):
        row = panel.iloc[k]
        assert row[measured].isna().all(), row[measured].dropna()
        assert row[counts].fillna(0).eq(0).all()
    assert panel["cells"].tolist() == [36, 0, 0, 50]


def test_by_coverage_a_city_smaller_than_a_cell_is_measured():
    grid = lonlat_grid((20, 20))
    polygons = [cell_box(grid, 2, 8, 2, 8), cell_box(grid, 10.6, 11.4, 3.6, 4.4)]
    panel = form(polygons, np.full((20, 20), 30, "uint8"), np.full((20, 20), 1500), assign="coverage")
    row = panel.iloc[1]
    area = grid.cell_area_km2(grid.whole)[10, 0]
    assert row["population"] == pytest.approx(0.64 * 1500, rel=1e-6)
    assert row["area_km2"] == pytest.approx(0.64 * area, rel=1e-4)
    assert row["urban_density"] == pytest.approx(1500 / area, rel=1e-3)
    assert row["population_missing_cells"] == 0
    assert "no urban cell" not in row["note"]


def test_only_a_city_smaller_than_a_cell_by_coverage():
    grid = lonlat_grid((20, 20))
    panel = form(
        [cell_box(grid, 10.6, 11.4, 3.6, 4.4)],
        np.full((20, 20), 30, "uint8"),
        np.full((20, 20), 1500),
        assign="coverage",
    )
    assert panel["population"].iloc[0] == pytest.approx(0.64 * 1500, rel=1e-6)


def test_missing_cells_by_coverage_are_sums_of_parts():
    grid = lonlat_grid((20, 20))
    count = np.full((20, 20), 1500.0)
    count[5, 5] = count[2, 2] = np.nan
    polygons = [cell_box(grid, 2.5, 9.3, 2.5, 9.3)]
    row = form(polygons, np.full((20, 20), 30, "uint8"), count, assign="coverage").iloc[0]
    assert row["population_missing_cells"] == pytest.approx(1.25, rel=1e-6)
    assert row["light_missing_cells"] == 0


@pytest.mark.parametrize("assign", ["centre", "coverage"])
def test_a_partition_adds_up_to_the_grid(assign):
    rng = np.random.default_rng(0)
    grid = lonlat_grid((60, 80), west=103.9, north=30.1)
    count = rng.gamma(0.5, 3000, grid.shape)
    polygons = wiggly_tessellation((103.5, 29, 105, 30.5), 15, seed=9, amplitude=0.01)
    panel = form(polygons, rng.integers(0, 64, grid.shape).astype("uint8"), count, grid, assign=assign)
    area = np.broadcast_to(grid.cell_area_km2(grid.whole), grid.shape)
    tolerance = 1e-12 if assign == "centre" else 1e-7
    assert panel["population"].sum() == pytest.approx(count.sum(), rel=tolerance)
    assert panel["area_km2"].sum() == pytest.approx(area.sum(), rel=tolerance)


def test_projected_population_with_lights_in_degrees():
    from affine import Affine

    grid = Grid(MOLLWEIDE, Affine(250, 0, 9_570_000, 0, -250, 3_620_000), (60, 60))
    lights = source(np.full((90, 90), 40, "uint8"), lonlat_grid((90, 90), west=104.0, north=30.1))
    count = np.full(grid.shape, 200.0)
    zones = label_zones(cities([cell_box(grid, 5, 50, 5, 50)], crs=MOLLWEIDE), grid)
    table = measure_year(2013, lights, source(count, grid), zones, FormOptions(threshold=3000.0)).table
    area = grid.cell_area_km2(grid.whole)[5:50, 5:50]
    row = table.iloc[0]
    assert row["area_km2"] == pytest.approx(area.sum(), rel=1e-12)
    assert row["urban_cells"] == 45 * 45
    assert row["low_area_km2"] == pytest.approx(area[200 / area < 3000].sum(), rel=1e-12)
    assert row["light_mean"] == 40


# ---------------------------------------------------------------- years

CITY = [cell_box(GRID, 0, 5, 0, 5)]


def series(years, *, moving=False, growth=1.0):
    lights, people = {}, {}
    for k, year in enumerate(years):
        light = LIGHT.copy()
        if moving:
            light[light == 63] = 40
            light[4, k % 5] = 60
        lights[year] = source(light)
        people[year] = source(DENSITY * AREA * growth**k)
    return {"lights": lights, "population": people}


def test_the_base_years_cbd_and_threshold_are_kept_by_default():
    panel = city_form(cities(CITY), **series([2001, 2002, 2003], moving=True, growth=1.5)).set_index("year")
    assert panel["cbd_lon"].nunique() == 1
    assert panel["density_threshold"].nunique() == 1
    # the light of the kept cell, year by year
    assert panel["cbd_light"].tolist() == [60, 0, 0]
    first = city_form(cities(CITY), **series([2001], moving=True)).iloc[0]
    assert panel.loc[2001].drop("note").astype(str).tolist() == first.drop(["year", "note"]).astype(str).tolist()


def test_a_cbd_each_year_follows_the_light():
    panel = city_form(cities(CITY), **series([2001, 2002, 2003], moving=True), options=FormOptions(cbd_year="each"))
    assert panel["cbd_lon"].tolist() == pytest.approx([float(GRID.x(k)) for k in range(3)])
    assert panel["cbd_light"].tolist() == [60, 60, 60]


def test_the_base_year_may_be_any_year_and_lie_outside_the_years():
    grids = series([2001, 2002, 2003], moving=True, growth=1.5)
    base = city_form(cities(CITY), **grids, years=[2002], options=FormOptions(base_year=2002)).iloc[0]
    for years in ([2001, 2003], [2003], [2001, 2002, 2003]):
        panel = city_form(cities(CITY), **grids, years=years, options=FormOptions(base_year=2002))
        assert panel["year"].tolist() == years
        assert set(panel["density_threshold"]) == {base["density_threshold"]}
        assert set(panel["cbd_lon"]) == {base["cbd_lon"]}


def test_with_a_number_and_yearly_cbds_no_year_waits_for_another():
    options = FormOptions(threshold=2000.0, cbd_year="each", base_year=1990)
    panel = city_form(cities(CITY), **series([2001, 2002]), options=options)
    assert set(panel["density_threshold"]) == {2000.0}
    assert not needs_base_year(options, lights=True, population=True)


@pytest.mark.parametrize(
    ("options", "given_grids", "known", "needed"),
    [
        (FormOptions(), (True, True), False, True),
        (FormOptions(), (True, True), True, True),
        (FormOptions(threshold=1.0), (True, True), True, False),
        (FormOptions(threshold=1.0), (True, False), False, True),
        (FormOptions(), (False, True), False, False),
        (FormOptions(cbd_year="each"), (True, False), False, False),
    ],
)
def test_what_is_needed_of_the_base_year(options, given_grids, known, needed):
    lights, population = given_grids
    assert needs_base_year(options, lights=lights, population=population, known_cbds=known) is needed


def test_a_base_year_without_grids_is_refused():
    with pytest.raises(InputError, match=r"the base year 1999 has no lights, .*there are 2001, 2002"):
        city_form(cities(CITY), **series([2001, 2002]), options=FormOptions(base_year=1999))
    grids = series([2001, 2002])
    del grids["lights"][2001]
    with pytest.raises(InputError, match="the base year 2001 has no lights, and all years need it; there are 2002"):
        city_form(cities(CITY), **grids)
    grids = series([2001, 2002])
    del grids["population"][2001]
    with pytest.raises(InputError, match="the base year 2001 has no population"):
        city_form(cities(CITY), **grids)
    # its CBD alone needs lights alone
    panel = city_form(cities(CITY), **grids, options=FormOptions(threshold=2000.0))
    assert panel["cbd_lon"].notna().all()
    assert panel["population"].isna().tolist() == [True, False]


def test_without_threshold_the_index_is_missing_not_zero():
    zones = zones_of(LABELS, GRID)
    table = measure_year(2013, source(LIGHT), source(DENSITY * AREA), zones, FormOptions(), threshold=np.nan).table
    assert table["sprawl_index"].isna().all()
    assert (table["urban_area_km2"] > 0).all()


def test_no_years_are_no_panel():
    with pytest.raises(InputError, match="no year is left to measure"):
        city_form(cities(CITY), **series([2001]), years=[])
    with pytest.raises(InputError, match="neither lights nor population"):
        city_form(cities(CITY))


def test_a_bad_year_is_reported_and_the_others_are_kept():
    grids = series([2001, 2002, 2003])
    grids["population"][2002] = source(DENSITY * 1e10)
    failures = {}
    panel = city_form(cities(CITY), **grids, on_failure=failures.__setitem__)
    assert panel["year"].tolist() == [2001, 2003]
    assert "no-data value that is not tagged" in str(failures[2002])
    with pytest.raises(GridError, match="not tagged"):
        city_form(cities(CITY), **grids)


def test_a_bad_base_year_stops_the_others_that_need_it():
    grids = series([2001, 2002])
    grids["population"][2001] = source(DENSITY * 1e10)
    with pytest.raises(InputError, match="the base year 2001 could not be measured, and the other years need it: "):
        city_form(cities(CITY), **grids, on_failure=lambda *_: None)


def test_a_cbd_outside_the_lattice_of_another_year_leaves_its_circle_empty():
    light = np.zeros((20, 20), "uint8")
    light[19, 0], light[2, 2] = 60, 30
    grid, north = lonlat_grid((20, 20)), lonlat_grid((8, 20))
    panel = city_form(
        cities([cell_box(grid, 0, 20, 0, 20)]),
        lights={2001: source(light, grid), 2002: source(light, grid)},
        population={2001: source(np.full((20, 20), 900), grid), 2002: source(np.full((8, 20), 900), north)},
        options=FormOptions(threshold=1000.0),
    )
    assert panel["cbd_lat"].nunique() == 1
    assert panel["central_population"].isna().tolist() == [False, True]
    assert "the CBD lies outside this year's grid" in panel["note"].iloc[1]
    assert "no CBD" not in panel["note"].iloc[1]


def test_years_on_two_lattices_keep_the_place_of_the_cbd():
    fine, coarse = lonlat_grid((40, 40), cell=ARC30 / 2), lonlat_grid((20, 20))
    light = np.zeros((40, 40), "uint8")
    light[21, 13] = 60
    panel = city_form(
        cities([cell_box(coarse, 0, 20, 0, 20)]),
        lights={2001: source(light, fine), 2002: source(light, fine)},
        population={2001: source(np.full((40, 40), 200), fine), 2002: source(np.full((20, 20), 800), coarse)},
        options=FormOptions(threshold=1000.0),
    )
    assert panel["cbd_lon"].nunique() == 1
    assert panel["cbd_light"].tolist() == [60, 15]  # a quarter of the coarse cell
    # the circle holds about 3 km2 times pi in either lattice
    assert panel["central_density"].tolist() == pytest.approx(
        [800 / coarse.cell_area_km2(coarse.whole)[10, 0]] * 2, rel=1e-2
    )


def test_either_grid_may_be_left_out():
    lights = city_form(cities(CITY), lights=series([2001, 2002])["lights"])
    assert lights["light_sum"].notna().all()
    assert lights["cbd_lon"].notna().all()
    assert (
        lights[["population", "urban_area_km2", "sprawl_index", "central_population", "density_threshold"]]
        .isna()
        .all(axis=None)
    )
    people = city_form(cities(CITY), population=series([2001, 2002])["population"])
    assert people["population"].notna().all()
    assert people[["light_sum", "cbd_lon", "urban_area_km2", "patches"]].isna().all(axis=None)
    assert set(people["note"]) == {""}


def test_known_cbds_replace_the_brightest_cells():
    known = pd.DataFrame({"city_code": ["000001"], "cbd_lon": [float(GRID.x(4))], "cbd_lat": [float(GRID.y(4))]})
    panel = city_form(cities(CITY), **series([2001, 2002], moving=True), cbds=known)
    assert panel["cbd_rule"].tolist() == ["table", "table"]
    assert panel["cbd_lon"].tolist() == [float(GRID.x(4))] * 2
    assert panel["cbd_light"].tolist() == [0, 0]
    lon, lat = GRID.lonlat(*np.indices((5, 5)))
    inside = geodesic_km(lon[4, 4], lat[4, 4], lon, lat) <= 3
    assert panel["central_population"].iloc[0] == pytest.approx((DENSITY * AREA)[inside].sum(), rel=1e-12)


def test_the_light_of_a_known_cbd_beyond_all_cities_is_read():
    grid = lonlat_grid((12, 12))
    light = np.zeros((12, 12), "uint8")
    light[2:4, 2:4], light[9, 10] = 20, 33
    known = pd.DataFrame({"city_code": ["000001"], "cbd_lon": [float(grid.x(10))], "cbd_lat": [float(grid.y(9))]})
    row = city_form(
        cities([cell_box(grid, 1, 5, 1, 5)]),
        lights={2001: source(light, grid)},
        population={2001: source(np.full((12, 12), 900), grid)},
        cbds=known,
    ).iloc[0]
    assert row["cbd_light"] == 33
    assert row["central_population"] == 0
    assert row["suburban_share"] == 1


def test_a_lit_city_without_a_cell_centre_is_not_called_dark():
    grid = lonlat_grid((20, 20))
    light, count = np.full((20, 20), 30, "uint8"), np.full((20, 20), 1500)
    row = form([cell_box(grid, 10.6, 11.4, 3.6, 4.4)], light, count, assign="coverage").iloc[0]
    assert row["light_mean"] == 30
    assert row["note"].startswith("no cell centre inside the boundary")
    assert "no light above zero" not in row["note"]


def test_columns_names_order_and_units():
    boundaries = cities([cell_box(GRID, 0, 5, 3, 5), cell_box(GRID, 0, 5, 0, 3)], codes=["510100", "420100"])
    boundaries["city_name"], boundaries["province"] = ["Chengdu", "武汉"], [None, "湖北"]
    panel = city_form(boundaries, **series([2002, 2001]))
    assert list(panel.columns) == ["city_code", "city_name", "province", "year", *COLUMNS]
    # cities in the order of the file, years rising
    assert panel["city_code"].tolist() == ["510100"] * 2 + ["420100"] * 2
    assert panel["year"].tolist() == [2001, 2002] * 2
    assert panel["city_name"].tolist() == ["Chengdu", "Chengdu", "武汉", "武汉"]
    assert panel.attrs["units"]["gradient"] == "ln per km"
    assert panel.attrs["labels"]["patches"] == "8-connected patches of urban cells"
    assert not boundaries.columns.isin(["_order"]).any()


def test_the_order_of_the_cities_does_not_matter():
    polygons = wiggly_tessellation((104.0, 29.6, 104.6, 30.0), 6, seed=4)
    rng = np.random.default_rng(0)
    grid = lonlat_grid((60, 80))
    grids = {
        "lights": {2001: source(rng.integers(0, 64, grid.shape).astype("uint8"), grid)},
        "population": {2001: source(rng.gamma(0.5, 3000, grid.shape), grid)},
    }
    codes = [f"{k:06d}" for k in range(len(polygons))]
    one = city_form(cities(polygons, codes), **grids).set_index("city_code")
    other = city_form(cities(polygons[::-1], codes[::-1]), **grids).set_index("city_code").loc[codes]
    pd.testing.assert_frame_equal(one, other, check_exact=False, rtol=1e-12)


@pytest.mark.parametrize(
    "options",
    [
        {"min_light": -1},
        {"min_density": np.nan},
        {"radius_km": 0},
        {"threshold": 0},
        {"threshold": np.inf},
        {"cbd_ties": "x"},
        {"cbd_year": "x"},
        {"assign": "x"},
        {"align": "x"},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(InputError, match=next(iter(options))):
        FormOptions(**options)


def test_measures_of_urban_cells_alone_are_those_of_all():
    grids = series([2001, 2002], moving=True)
    every = city_form(cities(CITY), **grids)
    urban = city_form(cities(CITY), **grids, options=FormOptions(measures="urban"))
    missing = {
        "population",
        "central_population",
        "central_density",
        "suburban_share",
        "population_missing_cells",
    }
    assert every[list(missing)].notna().all(axis=None)
    assert urban[list(missing)].isna().all(axis=None)
    same = [column for column in every if column not in missing]
    pd.testing.assert_frame_equal(every[same], urban[same])


def test_years_side_by_side_are_years_one_by_one():
    years = list(range(2001, 2009))
    grids = series(years, growth=1.03)
    one = city_form(cities(CITY), **grids, execution=Execution(1))
    for workers in (2, 3, 8):
        calls = []
        many = city_form(
            cities(CITY), **grids, execution=Execution(workers), progress=lambda *c, seen=calls: seen.append(c)
        )
        pd.testing.assert_frame_equal(one, many, check_exact=True)
        assert {year for year, done, of in calls if done == of} == set(years)


def test_a_bad_year_among_years_side_by_side_is_reported_in_order():
    grids = series(list(range(2001, 2007)))
    for year in (2003, 2005):
        grids["population"][year] = source(DENSITY * 1e10)
    bad = []
    panel = city_form(
        cities(CITY), **grids, execution=Execution(3), on_failure=lambda year, error: bad.append((year, str(error)))
    )
    assert [year for year, _ in bad] == [2003, 2005]
    assert sorted(panel["year"].unique()) == [2001, 2002, 2004, 2006]
