"""Products by the short names that options and studies give them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from gistools.checks import closest
from gistools.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gistools.grid import Product


def named_product(product: str, products: Mapping[str, Product], what: str = "product") -> Product:
    """Return the product of a name.

    Parameters
    ----------
    product : str
    products : mapping of str to Product
    what : str
        How the message names it.

    Returns
    -------
    Product

    Raises
    ------
    InputError
        Naming those there are.

    Examples
    --------
    >>> from gistools.raster.lights import PRODUCTS
    >>> named_product("viirs", PRODUCTS).name
    'VIIRS-DNB nighttime lights'
    """
    if product not in products:
        raise InputError(
            f"{what} {product!r} is not known{closest(product, products)}; there are auto, {', '.join(products)}"
        )
    return products[product]
