"""Join tables of city-years into one panel; every row that finds no partner is counted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from gistools.checks import listed, require_columns, require_unique
from gistools.errors import PanelError, TableError

KEYS = ("city_code", "year")
# Names of cities stand in most tables; the panel keeps its own.
_NAMES = ("city_name", "city_name_en", "province", "province_en")

# Units that the ends of column names state, longest first.
_UNITS = (
    ("_per_km2", "per km2"),
    ("_100m_yuan", "100 million yuan"),
    ("_10k_yuan", "10,000 yuan"),
    ("_100m_usd", "100 million US dollars"),
    ("_10k_usd", "10,000 US dollars"),
    ("_10k_m2", "10,000 m2"),
    ("_10k", "10,000"),
    ("_yuan", "yuan"),
    ("_usd", "US dollars"),
    ("_km2", "km2"),
    ("_km", "km"),
    ("_m2", "m2"),
    ("_ha", "ha"),
    ("_pct", "%"),
    ("_share", "0 to 1"),
    ("_persons", "persons"),
)


@dataclass(frozen=True)
class Panel:
    """A panel and the account of how it was joined.

    Attributes
    ----------
    table : DataFrame
        One row a city and year; ``attrs`` hold ``units``, ``labels`` and ``sources`` by column.
    joins : DataFrame
        One row a joined table: ``table, rows, matched, only_in_table, only_in_panel, examples``.
    notes : tuple of str
        What a reader should know.
    """

    table: pd.DataFrame
    joins: pd.DataFrame
    notes: tuple[str, ...] = ()

    def codebook(self) -> pd.DataFrame:
        """Describe every column; see :func:`codebook`."""
        return codebook(self.table)


def build_panel(
    base: pd.DataFrame,
    tables: Mapping[str, pd.DataFrame],
    *,
    source: str = "grids",
    descriptions: Mapping[str, pd.DataFrame] | None = None,
) -> Panel:
    """Join tables to a base panel on ``(city_code, year)``.

    Parameters
    ----------
    base : DataFrame
        ``city_code``, ``year`` and columns; its rows are the rows of the result. ``attrs`` are kept.
    tables : mapping of str to DataFrame
        Name of each table to its rows. A table without ``year`` is joined on ``city_code`` alone.
    source : str
        What the base came from, for the codebook.
    descriptions : mapping of str to DataFrame, optional
        By table: ``column``, ``unit``, ``meaning``, for the codebook.

    Returns
    -------
    Panel
        A column that the panel already has is taken in as ``<table>_<column>``, with a note; names of cities and
        provinces are not taken over.

    Raises
    ------
    TableError
        If a key column lacks or a key stands in two rows.

    Examples
    --------
    >>> base = pd.DataFrame({"city_code": ["1", "2"], "year": [2010, 2010], "sprawl_index": [0.4, 0.6]})
    >>> book = pd.DataFrame({"city_code": ["1", "9"], "year": [2010, 2010], "gdp_10k_yuan": [5.0, 7.0]})
    >>> panel = build_panel(base, {"yearbook": book})
    >>> panel.joins.drop(columns="examples").values.tolist()
    [['yearbook', 2, 1, 1, 1]]
    >>> panel.table["gdp_10k_yuan"].tolist()
    [5.0, nan]
    """
    require_columns(base, KEYS, "the panel")
    table = _with_keys(base, "the panel", KEYS)
    units, labels = dict(base.attrs.get("units", {})), dict(base.attrs.get("labels", {}))
    sources = dict.fromkeys(table.columns, source) | dict(base.attrs.get("sources", {}))
    joins, notes = [], []
    for name, other in tables.items():
        columns, renamed, join, said = _prepared(table, name, other)
        joins.append(join)
        notes += said
        keys = [key for key in KEYS if key in columns]
        table = table.merge(columns, on=keys, how="left", validate="many_to_one")
        sources |= {column: name for column in columns.columns if column not in keys}
        described = (descriptions or {}).get(name)
        own_units, own_labels = dict(other.attrs.get("units", {})), dict(other.attrs.get("labels", {}))
        if described is not None:
            require_columns(described, ["column", "unit", "meaning"], f"the description of {name}")
            own_units |= dict(zip(described["column"], described["unit"], strict=True))
            own_labels |= dict(zip(described["column"], described["meaning"], strict=True))
        for old, new in renamed.items():
            units[new] = str(own_units.get(old) or unit_of(old))
            labels[new] = str(own_labels.get(old) or "")
    table.attrs = {"units": units, "labels": labels, "sources": sources}
    columns_of_joins = ["table", "rows", "matched", "only_in_table", "only_in_panel", "examples"]
    return Panel(table, pd.DataFrame(joins, columns=columns_of_joins), tuple(notes))


def _prepared(
    panel: pd.DataFrame, name: str, other: pd.DataFrame
) -> tuple[pd.DataFrame, dict[str, str], dict[str, Any], list[str]]:
    """Check one table's keys, settle its column names, and count its partners."""
    require_columns(other, ["city_code"], name)
    keys = [key for key in KEYS if key in other.columns]
    other = _with_keys(other, name, keys)
    notes = []
    mine = pd.MultiIndex.from_frame(panel[keys]) if len(keys) > 1 else pd.Index(panel[keys[0]])
    theirs = pd.MultiIndex.from_frame(other[keys]) if len(keys) > 1 else pd.Index(other[keys[0]])
    matched = theirs.isin(mine)
    lost = theirs[~matched]
    unmatched = ~mine.isin(theirs)
    if not matched.any():
        raise PanelError(
            f"no row of {name} matches the panel on {' and '.join(keys)}: it has {_example(theirs)}, the panel has "
            f"{_example(mine)}; check codes (leading zeros, six digits) and years"
        )
    join = {
        "table": name,
        "rows": len(other),
        "matched": int(matched.sum()),
        "only_in_table": int((~matched).sum()),
        "only_in_panel": int(unmatched.sum()),
        "examples": listed([*map(_name_of, lost[:3]), *map(_name_of, mine[unmatched][:3])], 6),
    }
    notes += _name_conflicts(panel, name, other, keys)
    values = [column for column in other.columns if column not in keys and column not in _NAMES]
    renamed = {column: f"{name}_{column}" if column in panel.columns else column for column in values}
    clashes = [column for column, new in renamed.items() if new != column]
    if clashes:
        notes.append(f"{name} has columns the panel has too: {listed(clashes)}; they came in as {name}_...")
    return other[[*keys, *values]].rename(columns=renamed), renamed, join, notes


def _with_keys(table: pd.DataFrame, name: str, keys: Sequence[str]) -> pd.DataFrame:
    """Return a copy whose codes are text and whose years are whole numbers, each key in one row."""
    if not len(table):
        raise TableError(f"{name} has no rows")
    table = table.copy()
    missing = table["city_code"].isna() | (table["city_code"].astype("str").str.strip() == "")
    if missing.any():
        raise TableError(f"{name} has {int(missing.sum())} rows without city_code; fill or remove them")
    table["city_code"] = table["city_code"].astype("str")
    if "year" in keys:
        years = _years(table["year"])
        if years.isna().any():
            bad = table.loc[years.isna(), "year"].iloc[0]
            raise TableError(f"{name}, column 'year', holds '{bad}' where a year is needed")
        table["year"] = years.astype("int64")
    require_unique(table, keys, name)
    return table


def _years(values: pd.Series) -> pd.Series:
    """Years as numbers, missing where there is none: text of digits and 2006.0 are years, a date is not."""
    dates = pd.api.types.is_datetime64_any_dtype(values)  # pandas would count their nanoseconds
    years = pd.to_numeric(values.astype("str") if dates else values, errors="coerce")
    return years.where((years % 1 == 0) & years.between(1000, 9999))


def _name_of(key: Any) -> str:
    return "/".join(map(str, key)) if isinstance(key, tuple) else str(key)


def _example(index: pd.Index) -> str:
    return listed(map(_name_of, index[:2]), 2)


def _name_conflicts(panel: pd.DataFrame, name: str, other: pd.DataFrame, keys: list[str]) -> list[str]:
    """Say where a table calls a city by another name under the same code: codes may be of another vintage."""
    if "city_name" not in other.columns or "city_name" not in panel.columns:
        return []
    both = panel[[*keys, "city_name"]].merge(other[[*keys, "city_name"]], on=keys, suffixes=("", "_other"))
    bare = [both[c].astype("str").str.replace(r"\s|市$", "", regex=True) for c in ("city_name", "city_name_other")]
    differ = both[(bare[0] != bare[1]) & both["city_name"].notna() & both["city_name_other"].notna()]
    pairs = differ[["city_code", "city_name", "city_name_other"]].drop_duplicates("city_code")
    if not len(pairs):
        return []
    said = [f"{row.city_code} is {row.city_name} here, {row.city_name_other} there" for row in pairs.itertuples()]
    return [f"{name} calls {len(pairs)} cities by other names ({listed(said, 3)}); were codes renumbered?"]


def unit_of(column: str) -> str:
    """Return the unit that a column's name states, or an empty text.

    Examples
    --------
    >>> unit_of("gdp_10k_yuan"), unit_of("ln_output"), unit_of("treated")
    ('10,000 yuan', 'ln', '')
    """
    if column.startswith("ln_"):
        return "ln"
    return next((unit for end, unit in _UNITS if column.endswith(end)), "")


def treatment_from_starts(
    panel: pd.DataFrame, starts: pd.DataFrame, *, start: str = "start_year", column: str = "treated"
) -> pd.Series:
    """Treatment of each city-year: 1 from the year its policy starts, 0 before and where it never does.

    Parameters
    ----------
    panel : DataFrame
        ``city_code``, ``year``.
    starts : DataFrame
        ``city_code`` and the first treated year; empty means never. A city that is not in it is never treated.
    start : str
        The column of first years.
    column : str
        Name of the result.

    Returns
    -------
    Series of int
        On the panel's index.

    Raises
    ------
    TableError
        If a city stands twice, or a start is not a year.

    Examples
    --------
    >>> panel = pd.DataFrame({"city_code": ["1", "1", "2"], "year": [2009, 2010, 2010]})
    >>> treatment_from_starts(panel, pd.DataFrame({"city_code": ["1"], "start_year": [2010]})).tolist()
    [0, 1, 0]
    """
    require_columns(panel, KEYS, "the panel")
    require_columns(starts, ["city_code", start], "the policy table")
    require_unique(starts, ["city_code"], "the policy table")
    first = _years(starts[start])
    wrong = starts[start].notna() & (starts[start].astype("str").str.strip() != "") & first.isna()
    if wrong.any():
        bad = starts.loc[wrong].iloc[0]
        raise TableError(f"the policy table, city {bad['city_code']}, starts in '{bad[start]}', which is not a year")
    known = pd.Series(first.to_numpy(np.float64), index=starts["city_code"].astype("str"))
    begins = panel["city_code"].astype("str").map(known).to_numpy(np.float64)
    return pd.Series((panel["year"].to_numpy() >= begins).astype("int64"), index=panel.index, name=column)


def codebook(panel: pd.DataFrame) -> pd.DataFrame:
    """Describe every column of a panel.

    Parameters
    ----------
    panel : DataFrame
        With ``attrs["units"]``, ``["labels"]`` and ``["sources"]`` where they are known.

    Returns
    -------
    DataFrame
        ``column``, ``unit``, ``meaning``, ``source``, ``type``, ``rows``, ``missing``, ``min``, ``max``.
    """
    units, labels = panel.attrs.get("units", {}), panel.attrs.get("labels", {})
    sources = panel.attrs.get("sources", {})
    known = {
        "city_code": ("text", "code of the city"),
        "city_name": ("text", "name of the city"),
        "province": ("text", "province of the city"),
        "year": ("year", "calendar year"),
    }
    rows = []
    for column in panel.columns:
        unit, meaning = known.get(column, ("", ""))
        values = panel[column]
        numeric = pd.api.types.is_numeric_dtype(values)
        empty = values.isna() | (values.astype("str") == "") if not numeric else values.isna()
        rows.append(
            {
                "column": column,
                "unit": units.get(column) or unit or unit_of(column),
                "meaning": labels.get(column) or meaning,
                "source": sources.get(column, ""),
                "type": "number" if numeric else "text",
                "rows": len(panel),
                "missing": int(empty.sum()),
                "min": float(values.min()) if numeric and values.notna().any() else np.nan,
                "max": float(values.max()) if numeric and values.notna().any() else np.nan,
            }
        )
    return pd.DataFrame(rows)
