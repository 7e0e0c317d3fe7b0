"""Night-light products: what a file is, and two satellites of one year as one grid."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from gistools.errors import GridError
from gistools.grid import Block, Grid, GridSource, Product, Window
from gistools.raster.products import named_product

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DMSP = Product(
    "DMSP-OLS stable lights",
    "lights",
    "digital number, 0 to 63",
    valid_min=0,
    valid_max=63,
    nodata=255,
    saturated=63,
    citation="DMSP-OLS Nighttime Lights Time Series, Version 4. Image and data processing by NOAA's National "
    "Geophysical Data Center; DMSP data collected by the US Air Force Weather Agency",
)
CALIBRATED = Product(
    "calibrated DMSP-OLS lights",
    "lights",
    "digital number, 0 to 63",
    valid_min=0,
    valid_max=63,
    saturated=63,
    citation=f"{DMSP.citation}; calibrated by gistools as the tags of the file say",
)
HARMONISED = Product(
    "harmonised lights (Li and Zhou)",
    "lights",
    "digital number, 0 to 63",
    valid_min=0,
    valid_max=63,
    nodata=255,
    saturated=63,
    citation="Li, X., Zhou, Y., Zhao, M. and Zhao, X. (2020), A harmonized global nighttime light dataset "
    "1992-2018, Scientific Data 7, 168",
)
VIIRS = Product(
    "VIIRS-DNB nighttime lights",
    "lights",
    "nW/cm2/sr",
    citation="Elvidge, C. D., Zhizhin, M., Ghosh, T., Hsu, F.-C. and Taneja, J. (2021), Annual time series of "
    "global VIIRS nighttime lights derived from monthly averages: 2012 to 2019, Remote Sensing 13, 922",
)
BLACK_MARBLE = Product(
    "NASA Black Marble VNP46",
    "lights",
    "nW/cm2/sr",
    citation="Román, M. O. et al. (2018), NASA's Black Marble nighttime lights product suite, Remote Sensing of "
    "Environment 210, 113-143",
)
RADIANCE = Product("lights of no known product", "lights", "as stored in the file")

PRODUCTS: dict[str, Product] = {
    "dmsp": DMSP,
    "calibrated": CALIBRATED,
    "harmonised": HARMONISED,
    "viirs": VIIRS,
    "black-marble": BLACK_MARBLE,
    "radiance": RADIANCE,
}

_NAMES = (
    (re.compile(r"^calibrated_(f1[0-8])?(19|20)\d\d\.", re.IGNORECASE), CALIBRATED),
    (re.compile(r"harmonized_dn|simviirs|caldmsp", re.IGNORECASE), HARMONISED),
    (re.compile(r"stable_lights|avg_vis|dmsp|^f1[0-8](19|20)\d\d", re.IGNORECASE), DMSP),
    (re.compile(r"vnp46|blackmarble|black_marble", re.IGNORECASE), BLACK_MARBLE),
    (re.compile(r"vnl_|viirs|svdnb|vcmcfg|vcmslcfg|_dnb", re.IGNORECASE), VIIRS),
)
_SATELLITE = re.compile(r"F(1[0-8])(?=(?:19|20)\d\d)")


def lights_product(name: str, dtype: str, *, product: str = "auto", tags: Mapping[str, str] | None = None) -> Product:
    """Recognise a night-light product by the name, the tags and the number type of its file.

    Parameters
    ----------
    name : str
        File name.
    dtype : str
        Number type of the cells; lights of no known name in ``uint8`` are digital numbers of DMSP.
    product : str
        ``"auto"``, or a key of ``PRODUCTS`` that decides.
    tags : mapping of str to str, optional
        Metadata of the file; calibrated lights say so in ``product``, whatever the file is called.

    Returns
    -------
    Product

    Raises
    ------
    InputError
        If `product` is not known.

    Examples
    --------
    >>> lights_product("F182013.v4c_web.stable_lights.avg_vis.tif", "uint8").name
    'DMSP-OLS stable lights'
    >>> lights_product("Harmonized_DN_NTL_2015_simVIIRS.tif", "uint8").name
    'harmonised lights (Li and Zhou)'
    """
    if product != "auto":
        return named_product(product, PRODUCTS, "lights product")
    if tags and tags.get("product") == CALIBRATED.name:
        return CALIBRATED
    for pattern, known in _NAMES:
        if pattern.search(name):
            return known
    return DMSP if dtype == "uint8" else RADIANCE


def satellite(name: str) -> str | None:
    """Return the DMSP satellite that a file name states (``"F16"``), or None.

    Examples
    --------
    >>> satellite("F162009.v4b_web.stable_lights.avg_vis.tif")
    'F16'
    """
    match = _SATELLITE.search(name)
    return f"F{match[1]}" if match else None


@dataclass(frozen=True)
class CompositeSource:
    """Several satellites of one year as one grid: their mean where all are lit, 0 where any is dark.

    Parameters
    ----------
    sources : sequence of GridSource
        Grids of digital numbers on one lattice.

    Raises
    ------
    GridError
        If the lattices differ.

    References
    ----------
    Liu, Z., He, C., Zhang, Q., Huang, Q. and Yang, Y. (2012), Extracting the dynamics of urban expansion in
    China using DMSP-OLS nighttime light data from 1992 to 2008, Landscape and Urban Planning 106, 62-72.

    Examples
    --------
    >>> from affine import Affine
    >>> from gistools.grid import WGS84, ArraySource
    >>> grid = Grid(WGS84, Affine(1, 0, 0, 0, -1, 1), (1, 3))
    >>> f15 = ArraySource(grid, np.array([[10, 0, 7]], np.uint8))
    >>> f16 = ArraySource(grid, np.array([[13, 5, 0]], np.uint8))
    >>> CompositeSource((f15, f16)).read(grid.whole).values.tolist()
    [[11.5, 0.0, 0.0]]
    """

    sources: Sequence[GridSource]

    def __post_init__(self) -> None:
        first = self.sources[0]
        for other in self.sources[1:]:
            if not other.grid.same_as(first.grid):
                raise GridError(
                    f"{first.name} ({first.grid.describe()}) and {other.name} ({other.grid.describe()}) are of one "
                    "year but not on one lattice; clip both to one window, or narrow the file pattern to one of them"
                )

    @property
    def grid(self) -> Grid:
        """The lattice of all of them."""
        return self.sources[0].grid

    @property
    def name(self) -> str:
        """The names of all of them."""
        return " and ".join(source.name for source in self.sources)

    def read(self, window: Window) -> Block:
        """Read and combine the cells of a window; a cell without data in one has none."""
        blocks = [source.read(window) for source in self.sources]
        total = np.zeros(window.shape, np.float32)
        lit = np.ones(window.shape, bool)
        valid: np.ndarray | None = None
        for block in blocks:
            total += block.values
            lit &= block.values > 0
            if block.valid is not None:
                valid = block.valid if valid is None else valid & block.valid
        return Block(np.where(lit, total / np.float32(len(blocks)), np.float32(0)), valid)


def thresholds_note(product: Product, min_light: float) -> str | None:
    """Return a warning where a threshold of digital numbers meets a radiance, or None.

    Parameters
    ----------
    product : Product
    min_light : float

    Returns
    -------
    str or None
    """
    if product.quantity == "lights" and product.valid_max is None and min_light == 10:
        return (
            f"lights are {product.name} ({product.units}): the default threshold of 10 is a digital number of DMSP "
            "and means something else here; choose --min-light for this product"
        )
    return None


def series_notes(products: Mapping[int, Product]) -> list[str]:
    """Return what a reader of a light series must know about its sensors.

    Parameters
    ----------
    products : mapping of year to Product

    Returns
    -------
    list of str
    """
    notes = []
    names = {product.name for product in products.values()}
    if len(names) > 1:
        notes.append(
            f"the series mixes {', '.join(sorted(names))}: levels are not comparable between them "
            "(DMSP ends in 2013, VIIRS begins in 2012)"
        )
    if DMSP in products.values() and len(products) > 1:
        notes.append(
            "DMSP-OLS has no on-board calibration: satellites and years differ in level, and digital numbers "
            "saturate at 63; compare years with care or calibrate the series first (gistools lights calibrate)"
        )
    return notes
