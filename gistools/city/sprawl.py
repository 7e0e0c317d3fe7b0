"""The sprawl index of a city from its low-density and high-density urban cells."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray


def sprawl_index(
    low_area: ArrayLike, high_area: ArrayLike, low_population: ArrayLike, high_population: ArrayLike
) -> NDArray:
    """Geometric mean of the low-density shares of urban area and urban population.

    Parameters
    ----------
    low_area, high_area : array of float
        Urban area below, and at or above, the density threshold (km2).
    low_population, high_population : array of float
        Urban population there.

    Returns
    -------
    array of float
        Between 0 (all dense) and 1 (all sprawl); NaN without urban area or without urban population.

    Notes
    -----
    ``SP = 0.5 (L - H) + 0.5`` with L, H the shares of urban area in low and high cells, ``SA`` likewise for urban
    population, and ``sprawl = sqrt(SP * SA)``. With every urban cell in one of the two, SP = L and SA = LP.

    References
    ----------
    The index of the study of floor-area-ratio regulation and urban spatial structure in Chinese cities, after
    Fallah, Partridge and Olfert (2011), Urban sprawl and productivity: evidence from US metropolitan areas,
    Papers in Regional Science 90, 451-472.

    Examples
    --------
    Half of the area but a fifth of the people in low-density cells:

    >>> float(sprawl_index(10, 10, 20_000, 80_000).round(4))
    0.3162
    """
    la, ha, lp, hp = (np.asarray(v, np.float64) for v in (low_area, high_area, low_population, high_population))
    with np.errstate(invalid="ignore", divide="ignore"):
        by_area = 0.5 * (la - ha) / (la + ha) + 0.5
        by_people = 0.5 * (lp - hp) / (lp + hp) + 0.5
        return np.sqrt(by_area * by_people)
