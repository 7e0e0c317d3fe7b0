"""Land-cover products: codes of water and wetland, the user's own, and files of another product."""

import numpy as np
import pytest

from gistools.errors import GridError, InputError
from gistools.raster.land_cover import LAND_COVERS, is_class, land_cover


@pytest.mark.parametrize(
    ("name", "wet", "dry"),
    [
        ("worldcover", {80, 90, 95}, {10, 50, 70}),
        ("igbp", {11, 17}, {13, 15}),
        ("globeland30", {50, 60}, {80, 100}),
        ("clcd", {5, 9}, {6, 8}),
        ("cnlucc", {41, 42, 43, 45, 46, 64, 99}, {44, 51, 65}),
        ("glc-fcs30", {*range(180, 188), 210}, {190, 220}),
    ],
)
def test_products(name, wet, dry):
    found = land_cover(name)
    assert set(found.wet) == wet
    assert found.codes is None or (wet | dry) <= found.codes
    assert not (wet | dry) & found.nodata
    assert len(found.citation) > 40


def test_own_codes():
    assert set(land_cover("80, 90,80").wet) == {80, 90}
    assert set(land_cover([4]).wet) == {4}
    land_cover("80").refuse_strange([1, 999], "a.tif")  # any code may occur beside one's own


@pytest.mark.parametrize(
    ("classes", "said"),
    [
        ("worldcovr", "did you mean 'worldcover'?"),
        ("80,water", "codes of water and wetland such as 80,90"),
        (" , ", "names no code"),
        ([], "names no code"),
    ],
)
def test_classes_that_are_none_are_refused(classes, said):
    with pytest.raises(InputError, match=said):
        land_cover(classes)


def test_codes_of_another_product_are_refused():
    LAND_COVERS["worldcover"].refuse_strange([0, 10, 80], "a.tif")
    with pytest.raises(GridError, match=r"a\.tif holds the class 17, which ESA WorldCover does not have"):
        LAND_COVERS["worldcover"].refuse_strange([10, 17], "a.tif")
    with pytest.raises(GridError, match="class 0, which MODIS"):  # collection 5 had water as 0
        LAND_COVERS["igbp"].refuse_strange([0, 5], "a.tif")


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_membership(dtype):
    values = np.array([[0, 80], [90, 255]], dtype)
    assert is_class(values, [80, 90, 300, -1]).tolist() == [[False, True], [True, False]]
