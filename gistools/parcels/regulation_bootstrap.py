"""Draws of the regulation index: what a second stage needs to allow for a regressor that is itself an estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd
from scipy import sparse

from gistools.checks import require_choice
from gistools.errors import InputError
from gistools.parcels.hedonic import GroupEffects
from gistools.parcels.regulation import RegulationResult

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]
    IntArray = NDArray[np.int64]

Resample = Literal["cities", "parcels"]
RESAMPLES: tuple[Resample, ...] = get_args(Resample)

# A cross product of unit columns with a smaller eigenvalue cannot tell its columns apart.
_SINGULAR = 1e-9


@dataclass(frozen=True, eq=False)
class RegulationDraws:
    """Draws of the index of city-years.

    Attributes
    ----------
    keys : DataFrame
        ``city_code``, ``year`` of the G city-years with parcels.
    farr : array, shape (G, draws)
        Missing in a draw whose cities cannot tell the slopes apart.
    slopes : array, shape (K, draws)
    times : array of int, shape (G, draws)
        How often the city of each row was drawn: the same cities, as often, make the sample of the second stage.
        Always 1 where parcels are drawn.
    resample : {"cities", "parcels"}
    seed : int
    """

    keys: pd.DataFrame
    farr: FloatArray
    slopes: FloatArray
    times: IntArray
    resample: Resample
    seed: int

    @property
    def failed(self) -> int:
        """Draws without an index."""
        return int(np.isnan(self.farr).all(axis=0).sum())

    def std_error(self) -> FloatArray:
        """Return the standard deviation of each city-year's draws, shape (G,)."""
        drawn = self.farr[:, ~np.isnan(self.farr).all(axis=0)]
        return np.asarray(drawn.std(axis=1, ddof=1))

    def to_frame(self) -> pd.DataFrame:
        """Return one row a draw and city-year: ``draw, city_code, year, farr, times``."""
        many = self.farr.shape[1]
        table = pd.concat([self.keys] * many, ignore_index=True)
        table.insert(0, "draw", np.repeat(np.arange(1, many + 1), len(self.keys)))
        return table.assign(farr=self.farr.T.ravel(), times=self.times.T.ravel())


def regulation_draws(
    result: RegulationResult,
    draws: int = 499,
    *,
    resample: Resample = "cities",
    seed: int = 0,
    progress: Callable[[int], None] | None = None,
) -> RegulationDraws:
    """Bootstrap the regulation index.

    Parameters
    ----------
    result : RegulationResult
    draws : int
        At least 2.
    resample : {"cities", "parcels"}
        Where the slopes of a draw come from: whole cities drawn with replacement, or parcels drawn with replacement
        within each city-year.
    seed : int
    progress : callable, optional
        Called with the number of draws done.

    Returns
    -------
    RegulationDraws
        The same for the same seed.

    Raises
    ------
    InputError
        If an option is not allowed, there is one city to draw from, or no draw can tell the slopes apart.

    Notes
    -----
    In each draw the parcels of every city-year are drawn with replacement, which gives its own error, scaled by
    ``sqrt(n / (n - 1))`` because a mean of n drawn values varies too little [1]_; a city-year with one parcel borrows
    a residual from the others, scaled to the variance ``s2``. With ``"parcels"`` the slopes are fitted to the same
    draw; with ``"cities"`` to cities drawn whole, so that parcels of a city may depend on each other. The point at
    which the index is taken is that of the sample. No draw is fitted from its rows: sums over city-years, or cities,
    of products are all it takes.

    References
    ----------
    .. [1] Rao, J. N. K. and Wu, C. F. J. (1988), Resampling inference with complex survey data, Journal of the
       American Statistical Association 83, 231-241.

    Examples
    --------
    >>> from gistools.parcels.regulation import far_regulation
    >>> rng = np.random.default_rng(1)
    >>> parcels = pd.DataFrame({
    ...     "city_code": np.repeat(list("abcd"), 50), "year": 2010, "area_ha": rng.uniform(1, 5, 200),
    ...     "distance_km": rng.uniform(0, 20, 200), "far_max": rng.normal(2.5, 0.2, 200),
    ... })
    >>> result = far_regulation(parcels, transfer="none", grade=None, cov="classical")
    >>> drawn = regulation_draws(result, 400, resample="parcels")
    >>> bool(np.allclose(drawn.std_error(), result.table["farr_se"], rtol=0.2))
    True
    """
    require_choice(resample, RESAMPLES, "resample")
    if draws < 2:
        raise InputError(f"draws is {draws}, but a standard error needs 2 or more")
    if seed < 0:
        raise InputError(f"the seed is {seed}, but must be zero or more")
    fit, city = result.effects, result.city
    cities = int(city.max()) + 1
    if resample == "cities" and cities < 2:
        raise InputError("the records are of one city, so cities cannot be drawn; draw parcels (--resample parcels)")
    rng = np.random.default_rng(seed)
    rows = np.column_stack([fit.within(), fit.y - fit.y_mean[fit.group]])
    owner = city[np.cumsum(fit.size) - fit.size]  # of each city-year
    count = np.ones((cities, draws), np.int64)
    blocks = np.zeros((0, rows.shape[1], rows.shape[1]))
    if resample == "cities":
        count = rng.multinomial(cities, np.full(cities, 1 / cities), draws).T
        blocks = _products_by_city(rows, city)
    noise = _OwnErrors(fit, rows, rng)
    whole = np.square(rows).sum(axis=0)
    base = fit.predicted(result.point)
    reach = result.point - fit.X_mean
    farr, slopes = np.full((len(fit.size), draws), np.nan), np.full((len(fit.slopes), draws), np.nan)
    for b in range(draws):
        weight, sums = noise.draw()
        if resample == "cities":
            product = np.tensordot(count[:, b].astype(np.float64), blocks, 1)
        else:
            product = (rows * weight[:, None]).T @ rows - (sums / fit.size[:, None]).T @ sums
        found = _solved(product, whole)
        if found is not None:
            slopes[:, b] = found
            farr[:, b] = base + reach @ (found - fit.slopes) + noise.errors(sums, found)
        if progress is not None:
            progress(b + 1)
    if np.isnan(farr).all():
        raise InputError(
            f"none of {draws} draws of {resample} can tell the slopes apart; leave out the land grade, or draw "
            "parcels"
        )
    keys = result.table.loc[result.table["parcels"] > 0, ["city_code", "year"]].reset_index(drop=True)
    return RegulationDraws(keys, farr, slopes, count[owner], resample, seed)


class _OwnErrors:
    """Parcels drawn within city-years, and what that does to the means of city-years."""

    def __init__(self, fit: GroupEffects, rows: FloatArray, rng: np.random.Generator) -> None:
        self.rows, self.rng, self.size = rows, rng, fit.size
        self.ends = np.append(0, np.cumsum(fit.size))
        self.first, self.many = self.ends[fit.group], fit.size[fit.group]
        self.single = fit.size == 1
        self.scale = np.sqrt(fit.size / np.maximum(fit.size - 1, 1))
        pool = fit.residuals[self.many > 1]
        self.pool = pool * np.sqrt((fit.residuals @ fit.residuals) / fit.df / max((pool**2).mean(), 1e-300))

    def draw(self) -> tuple[FloatArray, FloatArray]:
        """Return how often each row is drawn, and the sums of the drawn rows of each city-year."""
        n = len(self.rows)
        drawn = self.first + (self.rng.random(n) * self.many).astype(np.int64)
        weight = np.bincount(drawn, minlength=n).astype(np.float64)
        return weight, sparse.csr_array((weight, np.arange(n), self.ends), shape=(len(self.size), n)) @ self.rows

    def errors(self, sums: FloatArray, slopes: FloatArray) -> FloatArray:
        """Return the errors of city-years' own means in a draw with these slopes."""
        own = self.scale * (sums[:, -1] - sums[:, :-1] @ slopes) / self.size
        own[self.single] = self.rng.choice(self.pool, int(self.single.sum()))
        return own


def _products_by_city(rows: FloatArray, city: IntArray) -> FloatArray:
    """Sum the cross products of the rows of each city, shape (C, K + 1, K + 1)."""
    order = np.argsort(city, kind="stable")
    parts = np.split(rows[order], np.cumsum(np.bincount(city))[:-1])
    return np.stack([part.T @ part for part in parts])


def _solved(product: FloatArray, whole: FloatArray) -> FloatArray | None:
    """Slopes from the cross product of regressors and outcome; None where the regressors cannot be told apart.

    A regressor that does not vary in the draw is seen against the diagonal `whole` of the sample's product.
    """
    gram, load = product[:-1, :-1], product[:-1, -1]
    square = np.diag(gram)
    if not (square > _SINGULAR * whole[:-1]).all():
        return None
    size = np.sqrt(square)
    gram = gram / np.outer(size, size)
    if np.linalg.eigvalsh(gram)[0] < _SINGULAR:
        return None
    return np.asarray(np.linalg.solve(gram, load / size) / size)
