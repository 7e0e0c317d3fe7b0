"""What a synthetic country is made from, and which satellites flew when."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from gistools.checks import listed, require_positive
from gistools.errors import InputError

# First and last year of each satellite in the stable-lights series, version 4 (NOAA).
FLIGHTS = {
    "F10": (1992, 1994),
    "F12": (1994, 1999),
    "F14": (1997, 2003),
    "F15": (2000, 2007),
    "F16": (2004, 2009),
    "F18": (2010, 2013),
}
FIRST_YEAR, LAST_YEAR = 1992, 2013
# The letter of the release differs in the last years only.
RELEASE = {("F18", 2010): "v4d", ("F18", 2011): "v4c", ("F18", 2012): "v4c", ("F18", 2013): "v4c"}
# How bright each synthetic sensor sees the same lights. The sensors have no calibration on board.
GAIN = {"F10": 0.93, "F12": 1.05, "F14": 0.95, "F15": 0.97, "F16": 1.04, "F18": 1.08}

FEWEST, MOST = 8, 400
NARROWEST, WIDEST = 40.0, 320.0
NOISIEST = 0.3
# The mean distance between cities, in cells, up to 40 cities; beyond, the country widens so that 281 cities
# fill about as many cells as China does.
PITCH, PITCH_CITIES, PITCH_EXPONENT = 75.0, 40, 0.685


def satellites(year: int) -> list[str]:
    """Name the satellites that flew in a year.

    Examples
    --------
    >>> satellites(2007), satellites(2013)
    (['F15', 'F16'], ['F18'])
    """
    return [name for name, (first, last) in FLIGHTS.items() if first <= year <= last]


def format_years(years: tuple[int, ...]) -> str:
    """Write a set of years with its unbroken runs as ranges.

    Examples
    --------
    >>> format_years((2001, 2006, 2007, 2008))
    '2001,2006-2008'
    """
    return ",".join(f"{run[0]}" if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs(years))


def runs(years: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Split a set of years into its unbroken runs, in order."""
    values = np.asarray(years)
    breaks = np.flatnonzero(np.diff(values) > 1) + 1
    return [tuple(run.tolist()) for run in np.split(values, breaks)]


@dataclass(frozen=True)
class Parameters:
    """Everything a synthetic country follows from.

    Parameters
    ----------
    cities : int
        How many, 8 to 400.
    years : tuple of int
        Years of the grids and the yearbook, 1992 to 2013.
    seed : int
        Of every random draw.
    noise : float
        Standard deviation of ln density from cell to cell, 0 to 0.3; half of it is put on the lights. With 0 the
        grids follow the design exactly, but for whole persons and whole digital numbers.
    effect : float
        Effect of the policy on the outcome of the treated city, before it spreads (beta).
    spillover : float
        Effect of the share of treated neighbours (theta).
    rho : float
        Weight of the neighbours' mean outcome, between -1 and 1.
    spacing : float or None
        Mean distance between neighbouring cities in cells of 30 arc-seconds, 40 to 320; None follows the number
        of cities.

    Raises
    ------
    InputError
        If a value is out of its range.
    """

    cities: int
    years: tuple[int, ...]
    seed: int
    noise: float
    effect: float
    spillover: float
    rho: float
    spacing: float | None

    def __post_init__(self) -> None:
        if not FEWEST <= self.cities <= MOST:
            raise InputError(f"cities is {self.cities}, but a synthetic country has {FEWEST} to {MOST}")
        if not self.years or list(self.years) != sorted(set(self.years)):
            raise InputError(f"years is {listed(self.years)}; give years in order, each once, and at least one")
        outside = [year for year in self.years if not satellites(year)]
        if outside:
            raise InputError(
                f"years holds {listed(outside)}, but the satellites of the stable-lights series flew from "
                f"{FIRST_YEAR} to {LAST_YEAR}; choose years within"
            )
        if self.seed < 0:
            raise InputError(f"seed is {self.seed}, but must be zero or a positive whole number")
        require_positive(self.noise, "noise", zero=True)
        if self.noise > NOISIEST:
            raise InputError(f"noise is {self.noise}, but must be at most {NOISIEST}: beyond, towns drown in it")
        for name, value in (("effect", self.effect), ("spillover", self.spillover)):
            if not np.isfinite(value):
                raise InputError(f"{name} is {value}, but must be a number")
        if not -1 < self.rho < 1:
            raise InputError(f"rho is {self.rho}, but must lie between -1 and 1, or the outcome has no equilibrium")
        if self.spacing is not None and not NARROWEST <= self.spacing <= WIDEST:
            raise InputError(
                f"spacing is {self.spacing}, but must be {NARROWEST:.0f} to {WIDEST:.0f} cells of 30 arc-seconds"
            )

    @property
    def base_year(self) -> int:
        """The first year: of the density threshold and of the CBDs."""
        return self.years[0]

    @cached_property
    def panel_years(self) -> tuple[int, ...]:
        """The last unbroken run of years: the panel of the models, the policy and the parcels."""
        return runs(self.years)[-1]

    @cached_property
    def pitch(self) -> float:
        """Mean distance between neighbouring cities, in cells."""
        if self.spacing is not None:
            return float(self.spacing)
        return float(min(WIDEST, PITCH * max(1.0, self.cities / PITCH_CITIES) ** PITCH_EXPONENT))

    def generator(self, *stream: int) -> np.random.Generator:
        """Return the random numbers of one purpose, the same whatever else is drawn."""
        return np.random.default_rng([self.seed, *stream])
