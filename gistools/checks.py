"""What a public function asks at its door: columns, keys, ranges, choices.

Each check returns nothing and raises one sentence that names what was seen and what to do.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from gistools.errors import InputError, PanelError, TableError

if TYPE_CHECKING:
    import pandas as pd


def listed(items: Iterable[object], most: int = 5) -> str:
    """Name the first few of many: ``'a, b, c and 4 more'``.

    Parameters
    ----------
    items : iterable
        What is named, by ``str``.
    most : int
        How many are named at the most.

    Returns
    -------
    str

    Examples
    --------
    >>> listed(["Wuhan", "Beijing", "Lhasa"], most=2)
    'Wuhan, Beijing and 1 more'
    """
    names = [str(item) for item in items]
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def closest(name: str, known: Iterable[str]) -> str:
    """Suggest a known name for a misspelt one: ``"; did you mean 'years'?"``, or nothing.

    Examples
    --------
    >>> closest("yaers", ["years", "lights"])
    "; did you mean 'years'?"
    >>> closest("zzz", ["years"])
    ''
    """
    match = difflib.get_close_matches(name, list(known), n=1)
    return f"; did you mean '{match[0]}'?" if match else ""


def require_columns(table: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Refuse a table that lacks a column.

    Parameters
    ----------
    table : DataFrame
    columns : iterable of str
        Columns that must be there.
    what : str
        How the message names the table ("the panel", a file name).

    Raises
    ------
    TableError
        Naming the columns that lack, a near spelling, and the columns there are.
    """
    lacking = [column for column in columns if column not in table.columns]
    if lacking:
        hint = closest(lacking[0], map(str, table.columns))
        raise TableError(
            f"{what} has no column {listed(map(repr, lacking))}{hint or '; it has ' + listed(table.columns, 12)}"
        )


def require_unique(table: pd.DataFrame, keys: Sequence[str], what: str) -> None:
    """Refuse a table in which a key stands in two rows.

    Raises
    ------
    TableError
        Naming the first keys that are doubled.
    """
    doubled = table.duplicated(list(keys), keep=False)
    if doubled.any():
        rows = table.loc[doubled, list(keys)].drop_duplicates()
        names = ["/".join(map(str, row)) for row in rows.itertuples(index=False)]
        raise TableError(
            f"{what} has more than one row for {' and '.join(keys)} {listed(names)}; keep one row of each"
        )


def require_choice(value: str, choices: Collection[str], option: str) -> None:
    """Refuse an option outside its closed list of values.

    Raises
    ------
    InputError
        Naming the option, the value and the choices.
    """
    if value not in choices:
        raise InputError(
            f"{option} is {value!r}, but must be one of {', '.join(choices)}{closest(str(value), choices)}"
        )


def require_positive(value: float, option: str, *, zero: bool = False) -> None:
    """Refuse a number that is not finite and positive (or, with `zero`, not negative).

    Raises
    ------
    InputError
        Naming the option and the value.
    """
    if not np.isfinite(value) or value < 0 or (value == 0 and not zero):
        raise InputError(f"{option} is {value}, but must be {'zero or more' if zero else 'above zero'}")


def require_numeric(table: pd.DataFrame, columns: Iterable[str], what: str) -> None:
    """Refuse a column that holds anything but numbers and missing values.

    Raises
    ------
    TableError
        Naming the column and the first text found in it.
    """
    import pandas as pd

    for column in columns:
        values = table[column]
        if pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            continue
        unread = values[pd.to_numeric(values, errors="coerce").isna() & values.notna()]
        if len(unread):
            raise TableError(f"{what}, column '{column}', holds {unread.iloc[0]!r} where a number is needed")


def require_balanced(keys: pd.DataFrame, what: str) -> None:
    """Refuse a panel in which some city lacks some year.

    Parameters
    ----------
    keys : DataFrame
        Two columns: city and year, one row for each observation.
    what : str
        How the message names the panel.

    Raises
    ------
    PanelError
        Listing the gaps.
    """
    city, year = keys.columns
    if len(keys) == keys[city].nunique() * keys[year].nunique():
        return
    cities: list[Hashable] = list(keys[city].unique())
    years = sorted(keys[year].unique())
    have = set(map(tuple, keys.itertuples(index=False)))
    gaps = [f"{c}/{y}" for c in cities for y in years if (c, y) not in have]
    raise PanelError(
        f"{what} is unbalanced: {len(gaps)} of {len(cities) * len(years)} city-years are missing "
        f"({listed(gaps)}); drop those cities or years, or fill the gaps first"
    )
