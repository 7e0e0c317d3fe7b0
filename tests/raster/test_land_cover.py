"""Land-cover products: codes of water and wetland, the user's own, and files of another product."""

import numpy as np
import pytest

from gistools.errors import GridError, InputError
from gistools.raster.land_cover import LAND_COVERS, is_class, land_cover

# The legends as their producers publish them; those of water and wetland are marked.
LEGENDS = {
    "worldcover": "10 tree cover, 20 shrubland, 30 grassland, 40 cropland, 50 built-up, 60 bare or sparse, "
    "70 snow and ice, 80* permanent water bodies, 90* herbaceous wetland, 95* mangroves, 100 moss and lichen",
    "igbp": "1 evergreen needleleaf, 2 evergreen broadleaf, 3 deciduous needleleaf, 4 deciduous broadleaf, 5 mixed "
    "forests, 6 closed shrublands, 7 open shrublands, 8 woody savannas, 9 savannas, 10 grasslands, 11* permanent "
    "wetlands, 12 croplands, 13 urban, 14 cropland and natural vegetation, 15 snow and ice, 16 barren, "
    "17* water bodies",
    "globeland30": "10 cultivated land, 20 forest, 30 grassland, 40 shrubland, 50* wetland, 60* water bodies, "
    "70 tundra, 80 artificial surfaces, 90 bare land, 100 permanent snow and ice, 255* sea",
    "clcd": "1 cropland, 2 forest, 3 shrub, 4 grassland, 5* water, 6 snow and ice, 7 barren, 8 built-up, 9* wetland",
    "cnlucc": "11 paddy, 12 dry cropland, 21 forest, 22 shrubs, 23 sparse woods, 24 other woods, 31 dense grass, "
    "32 middling grass, 33 sparse grass, 41* rivers and canals, 42* lakes, 43* reservoirs and ponds, 44 permanent "
    "ice and snow, 45* tidal flats, 46* bottomland, 51 towns, 52 villages, 53 other built-up land, 61 sand, 62 gobi, "
    "63 saline land, 64* swamp, 65 bare soil, 66 bare rock, 67 other, 99* sea",
    "glc-fcs30": "10 rainfed cropland, 11 herbaceous cropland, 12 orchards, 20 irrigated cropland, 51 open evergreen "
    "broadleaved, 52 closed evergreen broadleaved, 61 open deciduous broadleaved, 62 closed deciduous broadleaved, "
    "71 open evergreen needleleaved, 72 closed evergreen needleleaved, 81 open deciduous needleleaved, 82 closed "
    "deciduous needleleaved, 91 open mixed, 92 closed mixed, 120 shrubland, 121 evergreen shrubland, 122 deciduous "
    "shrubland, 130 grassland, 140 lichens and mosses, 150 sparse vegetation, 152 sparse shrubland, 153 sparse "
    "herbaceous, 180* wetlands, 181* swamp, 182* marsh, 183* flooded flat, 184* saline, 185* mangrove, 186* salt "
    "marsh, 187* tidal flat, 190 impervious, 200 bare areas, 201 consolidated bare, 202 unconsolidated bare, "
    "210* water body, 220 permanent ice and snow",
}


@pytest.mark.parametrize("name", LAND_COVERS)
def test_products_have_the_published_legends(name):
    found = land_cover(name)
    codes = [part.split()[0] for part in LEGENDS[name].split(", ") if part[0].isdigit()]
    wet = {int(code[:-1]) for code in codes if code.endswith("*")}
    legend = {int(code.rstrip("*")) for code in codes}
    assert set(found.wet) == wet
    assert found.codes is None or found.codes == legend
    assert not legend & found.nodata
    found.refuse_strange([*legend, *found.nodata], "a.tif")
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
