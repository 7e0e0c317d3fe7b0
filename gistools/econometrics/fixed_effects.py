"""Balanced panels as arrays: laying out, taking out city and year effects, finding what they absorb."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pandas as pd

from gistools.checks import listed, require_balanced, require_choice, require_columns, require_numeric, require_unique
from gistools.errors import PanelError, TableError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    FloatArray = NDArray[np.float64]

Effects = Literal["none", "city", "year", "city,year"]
EFFECTS: tuple[Effects, ...] = get_args(Effects)

# What demeaning leaves of a column that effects absorb is rounding: a few 1e-16 of the column.
ABSORBED = 1e-10
COLLINEAR = 1e-8


@dataclass(frozen=True)
class BalancedPanel:
    """Columns of a balanced panel as arrays.

    Attributes
    ----------
    codes : Index
        The N units, as they are keyed in the table.
    years : Index
        The T periods, ascending; one, named None, for a cross-section.
    values : dict of str to array of float64, shape (N, T)
    """

    codes: pd.Index
    years: pd.Index
    values: dict[str, FloatArray]

    @property
    def shape(self) -> tuple[int, int]:
        """N and T."""
        return len(self.codes), len(self.years)


def balanced_panel(
    table: pd.DataFrame,
    columns: Sequence[str],
    *,
    unit: str = "city_code",
    time: str = "year",
) -> BalancedPanel:
    """Lay columns of a table out as cities by years.

    Parameters
    ----------
    table : DataFrame
        One row for each city and year, in any order; the keys are columns or levels of the index.
    columns : sequence of str
        Numbers without a missing value.
    unit, time : str
        Keys. A table that has no `time` is one cross-section.

    Returns
    -------
    BalancedPanel
        Cities in the order in which they first come, years ascending.

    Raises
    ------
    PanelError
        If a city lacks a year or a value; the gaps are counted and named.
    TableError
        If a column lacks, holds text, or a key stands twice.

    Examples
    --------
    >>> table = pd.DataFrame({"city_code": ["b", "a", "b", "a"], "year": [2001, 2000, 2000, 2001], "y": range(4)})
    >>> panel = balanced_panel(table, ["y"])
    >>> panel.codes.tolist(), panel.years.tolist(), panel.values["y"].tolist()
    (['b', 'a'], [2000, 2001], [[2.0, 0.0], [1.0, 3.0]])
    """
    columns = list(dict.fromkeys(columns))
    table, keys = _keyed(table, unit, time, columns)
    require_numeric(table, columns, "the panel")
    if len(keys) == 2:
        require_balanced(table[keys], "the panel")
    _refuse_missing(table, keys, columns)
    codes = pd.Index(table[unit].unique(), name=unit)
    years = pd.Index(table[time].unique() if len(keys) == 2 else [None], name=time).sort_values()
    i = codes.get_indexer(pd.Index(table[unit]))
    t = years.get_indexer(pd.Index(table[time])) if len(keys) == 2 else np.zeros(len(table), int)
    values = {}
    for column in columns:
        laid = np.empty((len(codes), len(years)))
        laid[i, t] = pd.to_numeric(table[column]).to_numpy(float)
        values[column] = laid
    return BalancedPanel(codes, years, values)


def panel_column(table: pd.DataFrame, column: str, *, unit: str = "city_code", time: str = "year") -> pd.Series:
    """Return one column of a panel, indexed by its keys; by city alone where there is no time column.

    Parameters
    ----------
    table : DataFrame
        Keys are columns or levels of the index.
    column : str
    unit, time : str
        Names of the keys.

    Returns
    -------
    Series

    Raises
    ------
    TableError
        If a column or a key lacks, or the column is a key.

    Examples
    --------
    >>> panel_column(pd.DataFrame({"city_code": ["a", "b"], "y": [1, 2]}), "y").to_dict()
    {'a': 1, 'b': 2}
    """
    if column in (unit, time):
        raise TableError(f"'{column}' is a key of the panel; name a column that it measures")
    table, keys = _keyed(table, unit, time, [column])
    return table.set_index(keys)[column]


def _keyed(table: pd.DataFrame, unit: str, time: str, columns: Sequence[str]) -> tuple[pd.DataFrame, list[str]]:
    """Return the table with its keys as columns, each key in one row; and the names of the keys."""
    levels = [name for name in table.index.names if name in (unit, time) and name not in table.columns]
    table = table.reset_index(level=levels) if levels else table
    keys = [unit, time] if time in table.columns else [unit]
    require_columns(table, [*keys, *columns], "the panel")
    missing = table[keys].isna().any(axis=1)
    if missing.any():
        raise TableError(f"the panel has {int(missing.sum())} rows without {' or '.join(keys)}")
    if len(keys) == 1 and table[unit].duplicated().any():
        doubled = table.loc[table[unit].duplicated(), unit].unique()
        raise TableError(
            f"the panel has no column {time!r} and so is read as one cross-section, but it has several rows for "
            f"{unit} {listed(doubled)}; name its time column"
        )
    require_unique(table, keys, "the panel")
    return table, keys


def _refuse_missing(table: pd.DataFrame, keys: Sequence[str], columns: Iterable[str]) -> None:
    for column in columns:
        holes = ~np.isfinite(pd.to_numeric(table[column]).to_numpy(float, na_value=np.nan))
        if holes.any():
            names = ["/".join(map(str, row)) for row in table.loc[holes, list(keys)].itertuples(index=False)]
            raise PanelError(
                f"column '{column}' has no number in {len(names)} of {len(table)} rows ({listed(names)}), so the "
                "panel is unbalanced; fill the gaps, or drop those cities or years from panel and weights"
            )


def within(values: FloatArray, effects: Effects) -> FloatArray:
    """Take effects out of a balanced panel by subtracting means.

    Parameters
    ----------
    values : array of float64, shape (N, T) or (N, T, K)
        Cities by years (by columns).
    effects : {"none", "city", "year", "city,year"}

    Returns
    -------
    array of float64, as `values`
        What is left: ``x - x_i.``, ``x - x_.t`` or ``x - x_i. - x_.t + x_..``.

    Examples
    --------
    >>> within(np.array([[1.0, 2.0], [3.0, 8.0]]), "city,year").tolist()
    [[1.0, -1.0], [-1.0, 1.0]]
    """
    require_choice(effects, EFFECTS, "effects")
    if "city" in effects:
        values = values - values.mean(axis=1, keepdims=True)
    if "year" in effects:
        values = values - values.mean(axis=0, keepdims=True)
    return values


def effect_count(effects: Effects, cities: int, years: int) -> int:
    """Return how many parameters the effects (or, without any, the constant) take.

    Examples
    --------
    >>> effect_count("city,year", 10, 4)
    13
    """
    return {"none": 1, "city": cities, "year": years, "city,year": cities + years - 1}[effects]


def as_effects(effects: str | Iterable[str] | None) -> Effects:
    """Return the name of a set of effects: ``("year", "city")`` and ``"year,city"`` are ``"city,year"``.

    Raises
    ------
    InputError
        If an effect is neither city nor year.

    Examples
    --------
    >>> as_effects(["year", "city"]), as_effects("none"), as_effects(())
    ('city,year', 'none', 'none')
    """
    parts = effects.split(",") if isinstance(effects, str) else list(effects or ())
    parts = [part.strip() for part in parts if part.strip() not in ("", "none")]
    for part in parts:
        require_choice(part, ("city", "year", "none"), "effects")
    found: dict[tuple[bool, bool], Effects] = {
        (False, False): "none",
        (True, False): "city",
        (False, True): "year",
        (True, True): "city,year",
    }
    return found["city" in parts, "year" in parts]


def independent_columns(
    demeaned: FloatArray, raw: FloatArray, names: Sequence[str]
) -> tuple[list[int], dict[str, str]]:
    """Find the columns that can be told apart, taking them in order.

    Parameters
    ----------
    demeaned, raw : array of float64, shape (n, K)
        Columns without and with the effects.
    names : sequence of str
        K names.

    Returns
    -------
    kept : list of int
        Positions of the columns to estimate.
    dropped : dict of str to str
        Names of the others, and why each is dropped.

    Examples
    --------
    >>> x = np.array([[1.0, 2.0, 0.0], [2.0, 4.0, 0.0], [4.0, 8.0, 1.0]])
    >>> independent_columns(x, x, ["a", "b", "c"])
    ([0, 2], {'b': 'collinear with a'})
    """
    kept: list[int] = []
    dropped: dict[str, str] = {}
    basis = np.empty((len(demeaned), 0))
    for k, name in enumerate(names):
        column = demeaned[:, k]
        size = float(np.linalg.norm(column))
        if size <= ABSORBED * float(np.linalg.norm(raw[:, k])):
            dropped[name] = "absorbed by the effects" if np.any(raw[:, k]) else "zero throughout"
            continue
        column = column / size
        loads = basis.T @ column
        rest = column - basis @ loads
        rest -= basis @ (basis.T @ rest)  # twice is enough
        left = float(np.linalg.norm(rest))
        if left <= COLLINEAR:
            with_ = [names[j] for j, load in zip(kept, loads, strict=True) if abs(load) > 1e-6]
            dropped[name] = f"collinear with {listed(with_ or [names[j] for j in kept])}"
            continue
        kept.append(k)
        basis = np.column_stack([basis, rest / left])
    return kept, dropped
