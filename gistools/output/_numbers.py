"""Numbers as people read them, and classes of numbers for maps."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import numpy as np

from gistools.checks import require_choice
from gistools.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    FloatArray = NDArray[np.float64]

Scheme = Literal["quantiles", "equal-interval", "natural-breaks"]
SCHEMES: tuple[Scheme, ...] = ("quantiles", "equal-interval", "natural-breaks")

NO_VALUE = "–"


def number(value: object, *, digits: int = 3, group_from: float = 1e4) -> str:
    """Write a number for reading: enough digits, thousands apart, a dash for a missing one.

    Parameters
    ----------
    value : number or None
    digits : int
        Significant digits of a number that is not whole, at least; digits before the point all stay.
    group_from : float
        Thousands are set apart from this size on; by default years stay as they are.

    Returns
    -------
    str

    Examples
    --------
    >>> [number(v) for v in (0.31249, 12.3456, 1234.5, 1234567, 2013, 0, 1.2e-6, float("nan"))]
    ['0.312', '12.3', '1234', '1,234,567', '2013', '0', '1.2e-06', '–']
    """
    if value is None or isinstance(value, str) or value != value:  # noqa: PLR0124  (NaN)
        return value if isinstance(value, str) and value else NO_VALUE
    if isinstance(value, (bool, np.bool_)):
        return "yes" if value else "no"
    x = float(value)  # type: ignore[arg-type]
    if not math.isfinite(x):
        return "∞" if x > 0 else "-∞"
    size = abs(x)
    if x == round(x) and size < 1e15:
        return f"{x:,.0f}" if size >= group_from else f"{x:.0f}"
    if size < 1e-4:
        return f"{x:.{digits}g}"
    decimals = max(digits - 1 - math.floor(math.log10(size)), 0)
    return f"{x:,.{decimals}f}" if size >= group_from else f"{x:.{decimals}f}"


def fixed(value: object, decimals: int) -> str:
    """Write a number with so many decimals, a dash for a missing one.

    Examples
    --------
    >>> fixed(0.0624, 3), fixed(None, 3)
    ('0.062', '–')
    """
    if value is None or value != value:  # noqa: PLR0124  (NaN)
        return NO_VALUE
    return f"{float(value):,.{decimals}f}"  # type: ignore[arg-type]


@dataclass(frozen=True)
class Classes:
    """Classes of values: each holds the values above its lower and up to its upper edge.

    Attributes
    ----------
    edges : array, shape (k + 1,)
        Ascending; the first class holds its lower edge too.
    distinct : bool
        Whether each class is one value (there are no more values than classes were asked for).
    """

    edges: FloatArray
    distinct: bool = False

    def __len__(self) -> int:
        return len(self.edges) - 1

    def of(self, values: ArrayLike) -> NDArray[np.intp]:
        """Return the class of each value, -1 where it is missing."""
        values = np.asarray(values, np.float64)
        place = np.clip(np.searchsorted(self.edges[1:-1], values, side="left"), 0, len(self) - 1)
        return np.where(np.isfinite(values), place, -1)

    def labels(self) -> list[str]:
        """Name each class by its edges, with as many decimals as tell them apart."""
        if self.distinct:
            return _apart(self.edges[1:])
        texts = _apart(self.edges)
        return [f"{low} – {high}" for low, high in pairwise(texts)]


def _apart(values: FloatArray) -> list[str]:
    """Write numbers with the fewest decimals that still differ, and at least three digits of the largest."""
    different = len(set(values.tolist()))
    for digits in range(3, 12):
        size = float(np.abs(values).max(initial=0.0))
        decimals = max(digits - 1 - (math.floor(math.log10(size)) if size > 0 else 0), 0)
        if (values == np.round(values)).all():
            decimals = 0
        texts = [f"{v:,.{decimals}f}" if size >= 1e4 else f"{v:.{decimals}f}" for v in values + 0.0]
        if len(set(texts)) >= different:
            break
    return texts


def classify(
    values: ArrayLike, *, scheme: Scheme = "quantiles", k: int = 5, breaks: Sequence[float] | None = None
) -> Classes:
    """Sort values into classes for a map.

    Parameters
    ----------
    values : array of float
        Missing ones do not count.
    scheme : {"quantiles", "equal-interval", "natural-breaks"}
        Equal counts, equal widths, or Fisher and Jenks' least variance within classes.
    k : int
        Classes at the most; ties may leave fewer.
    breaks : sequence of float, optional
        Edges between classes instead of a scheme.

    Returns
    -------
    Classes

    Raises
    ------
    InputError
        If no value is there, or an option is out of range.

    Examples
    --------
    >>> classify([0.1, 0.2, 0.3, 0.4], k=2).labels()
    ['0.100 – 0.250', '0.250 – 0.400']
    >>> classify([0, 1, 1], k=5).labels()
    ['0', '1']
    """
    require_choice(scheme, SCHEMES, "scheme")
    given = np.asarray(values, np.float64).ravel()
    given = given[np.isfinite(given)]
    if not len(given):
        raise InputError("there is no value to draw: every one is missing")
    low, high = float(given.min()), float(given.max())
    if breaks is not None:
        inner = np.asarray(breaks, np.float64)
        if not len(inner) or not np.isfinite(inner).all() or (np.diff(inner) <= 0).any():
            raise InputError(f"breaks are {list(breaks)}, but must be ascending numbers")
        return Classes(np.concatenate([[min(low, inner[0])], inner, [max(high, inner[-1])]]))
    if not 2 <= k <= 9:
        raise InputError(f"k is {k}, but a map can show 2 to 9 classes")
    single = np.unique(given)
    if len(single) <= k:
        return Classes(np.concatenate([single[:1], single]), distinct=True)
    import mapclassify

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fewer classes than asked for: doubled edges go below
        makers = {
            "quantiles": mapclassify.Quantiles,
            "equal-interval": mapclassify.EqualInterval,
            "natural-breaks": mapclassify.FisherJenks,
        }
        bins = np.asarray(makers[scheme](given, k=k).bins, np.float64)
    return Classes(np.unique(np.concatenate([[low], bins[:-1], [high]])))
