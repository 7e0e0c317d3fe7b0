"""Night-light products: recognised by name and type, composited by the published rule, thresholds judged."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from raster_factory import lonlat_grid, source

from gistools.errors import GridError, InputError
from gistools.grid import Window
from gistools.raster.lights import (
    BLACK_MARBLE,
    DMSP,
    HARMONISED,
    PRODUCTS,
    RADIANCE,
    VIIRS,
    CompositeSource,
    lights_product,
    satellite,
    series_notes,
    thresholds_note,
)


@pytest.mark.parametrize(
    ("name", "dtype", "product"),
    [
        ("F182013.v4c_web.stable_lights.avg_vis.tif", "uint8", DMSP),
        ("F182013_stable_lights_lux.tif", "uint8", DMSP),
        ("sao_tome_DMSP_OLS_1992_stable_lights.tif", "float32", DMSP),
        ("txlights.tif", "uint8", DMSP),
        ("Harmonized_DN_NTL_2012_calDMSP.tif", "uint8", HARMONISED),
        ("Harmonized_DN_NTL_2015_simVIIRS.tif", "uint8", HARMONISED),
        ("touggourt_VNL_v2_npp_2020_average_masked.tif", "float32", VIIRS),
        ("sao_tome_VIIRS_201401_vcmcfg.tif", "float32", VIIRS),
        ("SVDNB_npp_20140101-20140131_75N060E_vcmslcfg_v10_c201.tif", "float32", VIIRS),
        ("VNP46A4_NearNadir_Composite_Snow_Free_t2017_CA.tif", "float32", BLACK_MARBLE),
        ("lights2013.tif", "float32", RADIANCE),
        ("lights2013.tif", "int16", RADIANCE),
    ],
)
def test_products_by_name_and_type(name, dtype, product):
    assert lights_product(name, dtype) is product


def test_a_named_product_decides_and_an_unknown_one_is_refused():
    for key, product in PRODUCTS.items():
        assert lights_product("F182013.v4c_web.stable_lights.avg_vis.tif", "uint8", product=key) is product
    with pytest.raises(InputError, match=r"'viris' is not known; did you mean 'viirs'\?; there are auto, dmsp"):
        lights_product("a.tif", "uint8", product="viris")


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("F101992.v4b_web.stable_lights.avg_vis.tif", "F10"),
        ("F182013_stable_lights_lux.tif", "F18"),
        ("clip_F162009.tif", "F16"),
        ("F192013.tif", None),
        ("2013.tif", None),
        ("F16.tif", None),
    ],
)
def test_satellite_of_a_file_name(name, found):
    assert satellite(name) == found


def test_composite_by_hand():
    grid = lonlat_grid((1, 6))
    a = source(np.array([[10, 0, 0, 63, 7, 5]], "uint8"), grid, [[1, 1, 1, 1, 0, 1]], name="F15")
    b = source(np.array([[13, 9, 0, 63, 7, 6]], "uint8"), grid, [[1, 1, 1, 1, 1, 1]], name="F16")
    both = CompositeSource((a, b))
    block = both.read(grid.whole)
    assert block.values[0, [0, 1, 2, 3, 5]].tolist() == [11.5, 0.0, 0.0, 63.0, 5.5]
    assert block.is_valid().tolist() == [[True, True, True, True, False, True]]
    assert both.name == "F15 and F16"
    assert both.grid is grid
    assert both.read(Window(0, 1, 3, 6)).values[0, 0] == 63.0


@given(st.integers(1, 4), st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_composite_lies_between_its_satellites_or_is_dark(number, seed):
    rng = np.random.default_rng(seed)
    values = [rng.integers(0, 64, (4, 5)).astype("uint8") * (rng.random((4, 5)) > 0.3) for _ in range(number)]
    block = CompositeSource([source(v) for v in values]).read(Window(0, 4, 0, 5))
    stack = np.stack(values).astype(float)
    lit = (stack > 0).all(axis=0)
    np.testing.assert_allclose(block.values, np.where(lit, stack.mean(axis=0), 0), rtol=1e-6)


def test_satellites_on_two_lattices_are_refused():
    a, b = source(np.zeros((2, 2))), source(np.zeros((2, 2)), lonlat_grid((2, 2), west=104.1), name="F16")
    with pytest.raises(GridError, match="are of one year but not on one lattice"):
        CompositeSource((a, b))


def test_the_default_threshold_is_questioned_for_radiance():
    assert thresholds_note(DMSP, 10) is None
    assert thresholds_note(HARMONISED, 10) is None
    assert thresholds_note(VIIRS, 1.5) is None
    for product in (VIIRS, BLACK_MARBLE, RADIANCE):
        assert "choose --min-light for this product" in str(thresholds_note(product, 10))


def test_what_a_reader_of_a_series_must_know():
    assert series_notes({2013: DMSP}) == []
    assert "saturate at 63" in series_notes({2012: DMSP, 2013: DMSP})[0]
    mixed = series_notes({2012: DMSP, 2013: VIIRS})
    assert "not comparable" in mixed[0]
    assert len(mixed) == 2
    assert series_notes({2013: VIIRS, 2014: VIIRS}) == []
