"""Products by name: what is meant is found, what is misspelt is told."""

import pytest

from gistools.errors import InputError
from gistools.raster import lights, population
from gistools.raster.products import named_product


@pytest.mark.parametrize("products", [lights.PRODUCTS, population.PRODUCTS])
def test_every_name_gives_its_product(products):
    assert [named_product(name, products) for name in products] == list(products.values())


def test_a_misspelt_name_is_told_with_the_nearest():
    with pytest.raises(InputError, match=r"lights product 'virs' is not known.*viirs.*; there are auto, dmsp, "):
        named_product("virs", lights.PRODUCTS, "lights product")
