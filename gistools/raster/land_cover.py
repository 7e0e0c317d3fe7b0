"""Land-cover products: their codes, which of them are water or wetland, and what they are cited as."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from gistools.checks import closest
from gistools.errors import GridError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

LandCoverName = Literal["worldcover", "igbp", "globeland30", "clcd", "cnlucc", "glc-fcs30"]


@dataclass(frozen=True)
class LandCover:
    """A classification of the land, and its classes of water and wetland.

    Parameters
    ----------
    name : str
    wet : mapping of int to str
        Codes and names of the classes that are water or wetland.
    codes : frozenset of int or None
        Every code of the legend; None where any may occur.
    nodata : frozenset of int
        Codes that mean no data even in files that do not tag them.
    citation : str
    """

    name: str
    wet: dict[int, str]
    codes: frozenset[int] | None = None
    nodata: frozenset[int] = frozenset()
    citation: str = ""

    def refuse_strange(self, found: Iterable[int], name: str) -> None:
        """Refuse codes that the legend does not have: the file is another product.

        Parameters
        ----------
        found : iterable of int
        name : str
            The file, for the message.

        Raises
        ------
        GridError
        """
        if self.codes is None:
            return
        strange = sorted(set(found) - self.codes - self.nodata)
        if strange:
            raise GridError(
                f"{name} holds the class {strange[0]}, which {self.name} does not have: it is another product or "
                "version; name it with --classes, or give its codes of water and wetland (--classes 80,90)"
            )


# The legends as published: ESA WorldCover product user manual; MCD12Q1 user guide, table of IGBP classes; legend of
# globallandcover.com (255 is the sea, 0 no data); Yang and Huang (2021) and their files, doi:10.5281/zenodo.4417810;
# classification of the Resource and Environmental Science Data Center, second level (99 is the sea); Zhang et al.
# (2021) for 180, and the user guide of GLC_FCS30D, doi:10.5281/zenodo.8239305, for 181 to 187.
LAND_COVERS: dict[LandCoverName, LandCover] = {
    "worldcover": LandCover(
        "ESA WorldCover",
        {80: "permanent water bodies", 90: "herbaceous wetland", 95: "mangroves"},
        frozenset({10, 20, 30, 40, 50, 60, 70, 80, 90, 95, 100}),
        frozenset({0}),
        "Zanaga, D. et al. (2022), ESA WorldCover 10 m 2021 v200, doi:10.5281/zenodo.7254221",
    ),
    "igbp": LandCover(
        "MODIS MCD12Q1 (IGBP, collections 6 and 6.1)",
        {11: "permanent wetlands", 17: "water bodies"},
        frozenset(range(1, 18)),
        frozenset({255}),
        "Friedl, M. and Sulla-Menashe, D. (2022), MODIS/Terra+Aqua Land Cover Type Yearly L3 Global 500m SIN Grid "
        "V061, NASA LP DAAC, doi:10.5067/MODIS/MCD12Q1.061",
    ),
    "globeland30": LandCover(
        "GlobeLand30",
        {50: "wetland", 60: "water bodies", 255: "sea"},
        frozenset({*range(10, 101, 10), 255}),
        frozenset({0}),
        "Chen, J. et al. (2015), Global land cover mapping at 30 m resolution: a POK-based operational approach, "
        "ISPRS Journal of Photogrammetry and Remote Sensing 103, 7-27",
    ),
    "clcd": LandCover(
        "CLCD (annual China land cover)",
        {5: "water", 9: "wetland"},
        frozenset(range(1, 10)),
        frozenset({0}),
        "Yang, J. and Huang, X. (2021), The 30 m annual land cover dataset and its dynamics in China from 1990 to "
        "2019, Earth System Science Data 13, 3907-3925",
    ),
    "cnlucc": LandCover(
        "CNLUCC (land use of China, two-digit codes)",
        {
            41: "rivers and canals",
            42: "lakes",
            43: "reservoirs and ponds",
            45: "tidal flats",
            46: "bottomland",
            64: "swamp",
            99: "sea",
        },
        frozenset(
            [11, 12, 21, 22, 23, 24, 31, 32, 33, 41, 42, 43, 44, 45, 46, 51, 52, 53, *range(61, 68), 99],
        ),
        frozenset({0}),
        "Xu, X. et al. (2018), China's multi-period land use and land cover remote sensing monitoring data set "
        "(CNLUCC), Resource and Environmental Science Data Center, doi:10.12078/2018070201",
    ),
    "glc-fcs30": LandCover(
        "GLC_FCS30 and GLC_FCS30D",
        {
            180: "wetlands",
            181: "swamp",
            182: "marsh",
            183: "flooded flat",
            184: "saline",
            185: "mangrove",
            186: "salt marsh",
            187: "tidal flat",
            210: "water body",
        },
        None,  # the legend grew from version to version
        frozenset({0, 250, 255}),
        "Zhang, X., Liu, L., Chen, X., Gao, Y., Xie, S. and Mi, J. (2021), GLC_FCS30: global land-cover product with "
        "fine classification system at 30 m, Earth System Science Data 13, 2753-2776",
    ),
}


def land_cover(classes: str | Iterable[int]) -> LandCover:
    """Return the classes of water and wetland of a product, or of the user's own list.

    Parameters
    ----------
    classes : str or iterable of int
        A key of ``LAND_COVERS`` (``worldcover``, ``igbp``, ``globeland30``, ``clcd``, ``cnlucc``, ``glc-fcs30``),
        or codes: ``"80,90"`` or ``[80, 90]``.

    Returns
    -------
    LandCover

    Raises
    ------
    InputError
        If it is neither.

    Examples
    --------
    >>> sorted(land_cover("igbp").wet)
    [11, 17]
    >>> sorted(land_cover("80, 90").wet)
    [80, 90]
    """
    if not isinstance(classes, str):
        codes = [int(code) for code in classes]
    elif classes in LAND_COVERS:
        return LAND_COVERS[classes]
    else:
        try:
            codes = [int(part) for part in classes.split(",") if part.strip()]
        except ValueError as error:
            raise InputError(
                f"--classes is {classes!r}, but must be one of {', '.join(LAND_COVERS)}, or codes of water and "
                f"wetland such as 80,90{closest(classes, LAND_COVERS)}"
            ) from error
    if not codes:
        raise InputError("--classes names no code of water or wetland; give a product or codes such as 80,90")
    return LandCover(
        f"land cover with water and wetland as {', '.join(map(str, sorted(set(codes))))}",
        dict.fromkeys(codes, "water or wetland"),
    )


def is_class(values: NDArray, codes: Iterable[int]) -> NDArray[np.bool_]:
    """Whether each value is one of the codes.

    Parameters
    ----------
    values : array
        Of any number type; fractions are no class.
    codes : iterable of int

    Returns
    -------
    array of bool
    """
    wanted = sorted(set(codes))
    if values.dtype == np.uint8:
        table = np.zeros(256, bool)
        table[[code for code in wanted if 0 <= code < 256]] = True
        return table[values]
    return np.isin(values, wanted)
