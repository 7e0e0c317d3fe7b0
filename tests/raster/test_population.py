"""Population products: counts told from densities and from no-data values, by name, tag and size."""

import numpy as np
import pytest

from gistools.errors import GridError, InputError
from gistools.raster.population import (
    COUNTS,
    GHS_POP,
    GPW,
    LANDSCAN,
    PRODUCTS,
    WORLDPOP,
    judge_cell,
    judge_cities,
    judge_counts,
    judge_total,
    population_product,
    refuse_density_tags,
)


@pytest.mark.parametrize(
    ("name", "product"),
    [
        ("landscan-global-2012.tif", LANDSCAN),
        ("lspop2006.tif", LANDSCAN),
        ("gpw_v4_population_count_rev11_2015_30_sec.tif", GPW),
        ("GHS_POP_E2015_GLOBE_R2019A_54009_250_V1_0.tif", GHS_POP),
        ("GHS_POP_2015_250m_mollweide_lux.tif", GHS_POP),
        ("ghspop.tif", GHS_POP),
        ("US-CA_ppp_2017_1km.tif", WORLDPOP),
        ("ppp_2020_1km_Aggregated.tif", WORLDPOP),
        ("chn_ppp.tif", WORLDPOP),
        ("2013.tif", COUNTS),
    ],
)
def test_products_by_name(name, product):
    assert population_product(name) is product


def test_a_named_product_decides_and_an_unknown_one_is_refused():
    for key, product in PRODUCTS.items():
        assert population_product("2013.tif", product=key) is product
    with pytest.raises(InputError, match=r"'lanscan' is not known; did you mean 'landscan'\?"):
        population_product("2013.tif", product="lanscan")


@pytest.mark.parametrize(
    "name",
    [
        "gpw_v4_population_density_rev11_2015.tif",
        "pop_dens_2010.tif",
        "dens-2010.tif",
        "chn_pd_2010_1km.tif",
        "PopDensity.tif",
    ],
)
def test_densities_by_name(name):
    with pytest.raises(GridError, match=r"says it holds densities, but counts .*give --population-product counts"):
        refuse_density_tags(name, {})


@pytest.mark.parametrize(
    "tags",
    [
        {"units": "persons per square kilometre"},
        {"units": "people/km2"},
        {"units": "inhabitants / km²"},
        {"units": "persons km-2"},
        {"description": "Population density 2015"},
        {"TIFFTAG_IMAGEDESCRIPTION": "people per sq. km"},
    ],
)
def test_densities_by_tag(tags):
    with pytest.raises(GridError, match=r"pop\.tif says it holds densities \('.*'\)"):
        refuse_density_tags("pop.tif", tags)


@pytest.mark.parametrize(
    "name",
    [
        "landscan-global-2012.tif",
        "gpw_v4_population_count_rev11_2015_30_sec.tif",
        "US-CA_ppp_2017_1km.tif",
        "GHS_POP_E2015.tif",
        "pop_1km.tif",
    ],
)
@pytest.mark.parametrize(
    "tags", [{}, {"units": "persons"}, {"AREA_OR_POINT": "Area"}, {"description": "persons per cell"}]
)
def test_counts_are_taken(name, tags):
    refuse_density_tags(name, tags)


AREA = np.full(1000, 0.74)


def test_plausible_counts_are_taken():
    rng = np.random.default_rng(0)
    judge_counts(rng.gamma(0.3, 3000, 1000), AREA, "pop.tif")
    judge_counts(np.zeros(1000), AREA, "pop.tif")
    judge_counts(np.zeros(0), np.zeros(0), "pop.tif")
    # one cell of a refugee camp above the plausible is no density grid
    judge_counts(np.r_[np.full(999, 500.0), 300_000.0], AREA, "pop.tif")


def test_densities_of_fine_cells_are_told_by_their_size():
    # 100 m cells: a density of 5,000 would be 500,000 persons per km2
    with pytest.raises(GridError, match="in 100 % of its populated cells: these look like densities"):
        judge_counts(np.full(1000, 5000.0), np.full(1000, 0.01), "pop.tif")


@pytest.mark.parametrize("value", [2147483647, 4294967295, 1e20, 999_999_999])
def test_a_positive_no_data_value_is_no_population(value):
    counts = np.r_[np.full(999, 500.0), float(value)]
    with pytest.raises(GridError, match=rf"holds {value:.10g} persons in one cell, .* tag it".replace("+", r"\+")):
        judge_counts(counts, AREA, "pop.tif")
    with pytest.raises(GridError, match="no-data value that is not tagged"):
        judge_cell(float(value), 0.74, "pop.tif")


def test_an_unknown_area_judges_nothing():
    judge_cell(1e9, float("nan"), "pop.tif")


def test_a_city_too_crowded_for_the_earth_is_named():
    judge_cities(np.array([1e6, 2e7]), np.array([100.0, 16_000.0]), ["1", "2"], "pop.tif")
    judge_cities(np.array([200_000.0]), np.array([0.5]), ["1"], "pop.tif")  # a hamlet of half a km2 is not judged
    with pytest.raises(GridError, match=r"pop\.tif gives city 2 3e\+07 persons on 100 km2, which cannot be"):
        judge_cities(np.array([1e6, 3e7]), np.array([100.0, 100.0]), ["1", "2"], "pop.tif")


def test_more_people_than_the_earth_holds_are_refused():
    judge_total(8.2e9, "pop.tif")
    with pytest.raises(GridError, match="more than the earth"):
        judge_total(9.1e9, "pop.tif")


def test_counts_of_less_than_a_millionth_of_a_person_are_none():
    with pytest.raises(GridError, match=r"pop\.tif holds no more than 1e-40 persons in a cell: these are no counts"):
        judge_counts(np.full(1000, 1e-40), AREA, "pop.tif")
