"""Chebyshev interpolation of functions of rho that are smooth between the poles at the ends of its interval."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np
from numpy.polynomial import chebyshev

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

PRECISION = 1e-14
NODES = (6, 40)


class Interpolant:
    """Polynomials through the values of one or more functions.

    Parameters
    ----------
    function : callable
        From rho to an array of shape (K,).
    low, high : float
        Range to interpolate over.
    nodes : int
    """

    def __init__(self, function: Callable[[float], FloatArray], low: float, high: float, nodes: int) -> None:
        self.low, self.high = low, high
        at = chebyshev.chebpts1(nodes)
        values = np.array([function(float(r)) for r in low + (at + 1) * (high - low) / 2])
        self._series = [
            np.polynomial.Chebyshev(chebyshev.chebfit(at, column, nodes - 1), domain=[low, high])
            for column in values.T
        ]

    def __call__(self, rho: FloatArray, derivative: int = 0) -> list[FloatArray]:
        """Return the functions, or a derivative of them, at many rho."""
        return [np.asarray((one.deriv(derivative) if derivative else one)(rho)) for one in self._series]


class SmoothFunction:
    """A costly function of rho that is analytic between bounds, interpolated to full precision where it is asked.

    The error of n Chebyshev nodes shrinks as ``z^-n``, z the sum of the half axes of the largest ellipse about the
    range, in units of its half width, that holds no bound (Trefethen 2013, Approximation Theory, chapter 8); n
    follows from it.

    Parameters
    ----------
    function : callable
        From rho to an array of shape (K,).
    bounds : (float, float)
        Where the function has poles or logarithms.

    Examples
    --------
    >>> smooth = SmoothFunction(lambda r: np.array([np.log(1 - r)]), (-1.0, 1.0))
    >>> at = smooth.over(0.5, 0.5, 0.2)
    >>> at.low, at.high, round(float(at(np.array([0.5]), 1)[0][0]), 10)
    (0.4, 0.6, -2.0)
    """

    def __init__(self, function: Callable[[float], FloatArray], bounds: tuple[float, float]) -> None:
        self._function, self._bounds = function, bounds
        self._last: Interpolant | None = None

    def over(self, low: float, high: float, reach: float = 0.0) -> Interpolant:
        """Return an interpolant over a range.

        Parameters
        ----------
        low, high : float
        reach : float
            Least half width, as a share of the distance of its middle to the nearest bound.

        Returns
        -------
        Interpolant
            The last one, where it covers the range.
        """
        if self._last is not None and self._last.low <= low and high <= self._last.high:
            return self._last
        middle = (low + high) / 2
        room = min(middle - self._bounds[0], self._bounds[1] - middle)
        half = max((high - low) / 2, reach * room)
        z = max(room / half, 1.0 + 1e-3)
        nodes = int(np.clip(np.ceil(-np.log(PRECISION) / np.log(z + np.sqrt(z**2 - 1))), *NODES))
        self._last = Interpolant(self._function, middle - half, middle + half, nodes)
        return self._last
