"""Administrative divisions, dated: their names and codes, and what became of those merged, renamed or moved."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache, cached_property
from importlib import resources
from typing import NamedTuple

import numpy as np
import pandas as pd

from gistools.checks import listed, require_columns, require_unique
from gistools.errors import TableError

LEVELS = ("province", "city", "district")
LATEST_YEAR = 2024  # the shipped table gives the state at the end of this year
UNIT_COLUMNS = ("code", "name", "level", "parent", "first_year", "last_year", "lon", "lat", "short")
CHANGE_COLUMNS = ("year", "old_code", "old_name", "new_codes", "new_names", "kind")
_ALWAYS, _STILL = -9999, 9999


class Path(NamedTuple):
    """Codes of a place from the province down; empty where a level is not known."""

    province: str
    city: str
    district: str


class Unit(NamedTuple):
    """One unit under one name: `first` and `last` are the years it was there."""

    code: str
    name: str
    level: int
    parent: str
    first: int
    last: int
    lon: float
    lat: float
    short: tuple[str, ...]


class Divisions:
    """A table of units and of their changes, answered as of one year.

    Parameters
    ----------
    units : DataFrame
        `code`, `name`, `level` ("province", "city" or "district") and `parent` (code of the unit above, empty for a
        province); where known `first_year` and `last_year` (empty: before the table, still there), `lon`, `lat`
        (degrees, WGS 84) and `short` (other names, separated by "|"). A unit that was renamed has a row a name.
    changes : DataFrame, optional
        `year`, `old_code`, `old_name`, `new_codes`, `new_names` (several, separated by "|", after a split).
    as_of : int
        Codes are those at the end of this year.

    Notes
    -----
    A province without prefecture-level units (a municipality such as Beijing) is its own city, with the province's
    code; a county directly under a province that has such units (Xiantao) is its own city, with its own code.

    Examples
    --------
    >>> units = pd.DataFrame(
    ...     {"code": ["1", "11"], "name": ["甲省", "乙市"], "level": ["province", "city"], "parent": ["", "1"]}
    ... )
    >>> Divisions(units).successor("11")
    ('11',)
    """

    def __init__(self, units: pd.DataFrame, changes: pd.DataFrame | None = None, as_of: int = LATEST_YEAR) -> None:
        self.table = _checked_units(units)
        self.changes = pd.DataFrame(columns=CHANGE_COLUMNS) if changes is None else changes
        require_columns(self.changes, CHANGE_COLUMNS[:5], "the table of changed divisions")
        self.as_of = int(as_of)
        self.units = [_unit(row) for row in self.table.itertuples(index=False, name=None)]
        self._of_code: dict[str, list[int]] = defaultdict(list)
        self._of_pair: dict[tuple[str, str], list[int]] = defaultdict(list)
        for i, unit in enumerate(self.units):
            self._of_code[unit.code].append(i)
            self._of_pair[unit.code, unit.name].append(i)
        self._provinces_with_cities = {unit.parent for unit in self.units if unit.level == 1}

    def extended(self, units: pd.DataFrame, *, replace: bool = False) -> Divisions:
        """Add units of one's own, or put them in place of the table.

        Parameters
        ----------
        units : DataFrame
            As for the class. A code that is in the table takes the new row's name (and point, if given); the
            old name stays another name of it.
        replace : bool
            Leave the table's own units out altogether.

        Returns
        -------
        Divisions
        """
        if replace:
            return Divisions(units, None, self.as_of)
        require_columns(units, UNIT_COLUMNS[:4], "the table of divisions")
        own = as_text(units, UNIT_COLUMNS)
        standing = np.array([self._stands(i) for i in range(len(self.units))], bool)
        replaced = standing & self.table["code"].isin(own["code"]).to_numpy()
        known = self.table[replaced].set_index("code").reindex(own["code"]).fillna("").reset_index()
        for column in ("lon", "lat"):
            own[column] = own[column].where(own[column] != "", known[column])
        own["short"] = [
            "|".join(
                dict.fromkeys(
                    other for other in (*mine.split("|"), old, *theirs.split("|")) if other not in ("", name)
                )
            )
            for name, mine, old, theirs in zip(own["name"], own["short"], known["name"], known["short"], strict=True)
        ]
        return Divisions(pd.concat([self.table[~replaced], own], ignore_index=True), self.changes, self.as_of)

    def units_named(self, name: str, year: int | None = None) -> pd.DataFrame:
        """Units that go by a name, in full or short.

        Parameters
        ----------
        name : str
        year : int, optional
            Only units that were there in this year.

        Returns
        -------
        DataFrame
            Rows of the table of units.

        Examples
        --------
        >>> china_divisions().units_named("鼓楼区", 2012)["code"].tolist()
        ['320106', '320302', '350102', '410204']
        """
        rows = sorted(i for i, _ in self.named.get(name, ()) if year is None or self.existed(i, year))
        return self.table.iloc[rows]

    def successor(self, code: str, year: int | None = None) -> tuple[str, ...]:
        """Code, as of the year this table answers for, of a unit that may have been merged, renamed or moved.

        Parameters
        ----------
        code : str
            Six digits.
        year : int, optional
            When the code was in use; some were given to another unit later. Without it the latest use counts.

        Returns
        -------
        tuple of str
            Several after a split.

        Raises
        ------
        TableError
            If no unit had the code (in that year).

        Examples
        --------
        >>> china = china_divisions()
        >>> china.successor("110103"), china.successor("341400"), china.successor("371200")
        (('110101',), ('340100', '340200', '340500'), ('370116', '370117'))
        """
        rows = [i for i in self._of_code.get(str(code), []) if year is None or self.existed(i, year)]
        if not rows:
            when = "" if year is None else f" in {year}"
            raise TableError(
                f"no division has the code {code}{when}; check the code, or add the unit to the divisions"
            )
        latest = max(rows, key=lambda i: self.units[i].last)
        return tuple(dict.fromkeys(path.district or path.city or path.province for path in self.paths[latest]))

    def existed(self, row: int, year: int) -> bool:
        """Whether the unit of a row was there at some time of a year."""
        return self.units[row].first <= year <= self.units[row].last

    def unit_of(self, code: str) -> Unit | None:
        """The unit that has a code at the end of the year this table answers for."""
        return self._standing.get(code)

    def label(self, path: Path) -> str:
        """Code and full name of a place: ``'110105 北京市朝阳区'``."""
        names = [unit.name for code in dict.fromkeys(path) if (unit := self.unit_of(code))]
        return f"{path.district or path.city or path.province} {''.join(names)}"

    @cached_property
    def _standing(self) -> dict[str, Unit]:
        """Code to the unit that has it at the end of the year of the answer."""
        return {unit.code: unit for i, unit in reversed(list(enumerate(self.units))) if self._stands(i)}

    @cached_property
    def named(self) -> dict[str, list[tuple[int, bool]]]:
        """Name to the rows of its units, each with whether it is the full name."""
        names: dict[str, list[tuple[int, bool]]] = defaultdict(list)
        for i, unit in enumerate(self.units):
            names[unit.name].append((i, True))
            for short in unit.short:  # 恩施州 says its kind as the full name does, 苏州 does not
                names[short].append((i, short[-1] == unit.name[-1] or "自治" in short or short.endswith("兵团")))
        full = {unit.name for unit in self.units}
        for i, unit in enumerate(self.units):  # nearly every county-level city was a county of the same name before
            county = f"{unit.name[:-1]}县"
            if unit.level == 2 and unit.name[-1] == "市" and len(county) > 2 and county not in full:
                names[county].append((i, True))
        return dict(names)

    @cached_property
    def paths(self) -> list[tuple[Path, ...]]:
        """For each row, the places it stands for as of the year: one, or several after a split."""
        return [tuple(dict.fromkeys(self._path(i) for i in self._heirs(row))) for row in range(len(self.units))]

    @cached_property
    def provinces_with_districts(self) -> frozenset[str]:
        """Codes of provinces whose districts the table lists."""
        return frozenset(self._path(i).province for i, unit in enumerate(self.units) if unit.level == 2)

    def _stands(self, row: int) -> bool:
        """Whether the unit of a row is there at the end of the year of the answer."""
        return self.units[row].first <= self.as_of < self.units[row].last

    def _heirs(self, row: int) -> list[int]:
        """Rows that take the place of a unit at the end of the year of the answer."""
        found: dict[int, None] = {}
        waiting, seen = [row], {row}
        while waiting:
            i = waiting.pop(0)
            if self._stands(i):
                found[i] = None
                continue
            unit = self.units[i]
            gone = unit.last <= self.as_of
            pairs = (self._after if gone else self._before).get((unit.code, unit.name), ())
            # a unit that gave up some land and kept its name is its own heir
            same = [pair for pair in pairs if pair[1] == unit.name]
            pairs = same or (gone and self._continued(unit, pairs)) or pairs
            nearest = [j for pair in pairs for j in self._rows_of(*pair)]
            if not nearest and unit.parent:  # a unit cut out of others later on: the city that holds it
                nearest = self._of_code.get(unit.parent, [])
            waiting += [j for j in dict.fromkeys(nearest) if j not in seen]
            seen.update(nearest)
        return list(found) or [row]

    def _continued(self, unit: Unit, pairs: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
        """The heir that took a divided unit's name but for the kind (南康市: 南康区), if others only received land.

        Others that were made of the unit as well (潮阳市: 潮阳区 and 潮南区) leave the division open.
        """
        own = [pair for pair in pairs if pair[1][:-1] == unit.name[:-1] and len(unit.name) > 2]
        others = [pair for pair in pairs if pair not in own]
        before = all(any(self.units[i].first < unit.last for i in self._of_pair.get(pair, ())) for pair in others)
        return own if len(own) == 1 and unit.level == 2 and before else []

    def _rows_of(self, code: str, name: str) -> list[int]:
        """Rows of a unit; where a user gave it another name, those of its code."""
        return self._of_pair.get((code, name)) or [i for i in self._of_code.get(code, ()) if self._stands(i)]

    @cached_property
    def _after(self) -> dict[tuple[str, str], list[tuple[str, str]]]:
        """Each changed unit (code, name) to its heirs."""
        return {
            (str(old_code), str(old_name)): list(zip(str(codes).split("|"), str(names).split("|"), strict=True))
            for old_code, old_name, codes, names in self.changes[list(CHANGE_COLUMNS[1:5])].itertuples(index=False)
        }

    @cached_property
    def _before(self) -> dict[tuple[str, str], list[tuple[str, str]]]:
        """Each heir to the units it comes from."""
        links: dict[tuple[str, str], list[tuple[str, str]]] = defaultdict(list)
        for old, heirs in self._after.items():
            for heir in heirs:
                links[heir].append(old)
        return dict(links)

    def _path(self, row: int) -> Path:
        unit = self.units[row]
        if unit.level == 0:
            return Path(unit.code, "" if unit.code in self._provinces_with_cities else unit.code, "")
        above = self._of_code.get(unit.parent, [])
        level = self.units[above[0]].level if above else 0
        if unit.level == 1:
            return Path(unit.parent, unit.code, "")
        if level == 1:
            return Path(self.units[above[0]].parent, unit.parent, unit.code)
        own = unit.code if unit.parent in self._provinces_with_cities else unit.parent
        return Path(unit.parent, own, unit.code)


@cache
def china_divisions(as_of: int = LATEST_YEAR) -> Divisions:
    """The shipped table of Chinese provinces, prefecture-level and county-level units from 2000 on.

    Parameters
    ----------
    as_of : int
        Codes are answered as of the end of this year, 2000 to 2024.

    Returns
    -------
    Divisions

    Raises
    ------
    TableError
        If the year is outside the table.

    References
    ----------
    GB/T 2260 revisions (package GB2260), names of today (JioNLP), centres (cpca, Amap), changes (yescallop/areacodes
    after the notices of the State Council and the Ministry of Civil Affairs); see ``parcels/data/README.md``.

    Examples
    --------
    >>> china_divisions().successor("420600", 2009), china_divisions(2009).successor("420600")
    (('420600',), ('420600',))
    >>> china_divisions(2015).successor("110103"), china_divisions(2009).successor("110103")
    (('110101',), ('110103',))
    """
    if not 2000 <= as_of <= LATEST_YEAR:
        raise TableError(f"the table of divisions covers 2000 to {LATEST_YEAR}; the year {as_of} is outside it")
    folder = resources.files("gistools.parcels") / "data"
    tables = []
    for name in ("divisions.csv", "division_changes.csv"):
        with (folder / name).open(encoding="utf-8") as file:
            tables.append(pd.read_csv(file, dtype=str, keep_default_na=False))
    return Divisions(tables[0], tables[1], as_of)


def divisions_of_boundaries(boundaries: pd.DataFrame) -> pd.DataFrame:
    """Units named by a boundaries file: its provinces and cities.

    Parameters
    ----------
    boundaries : DataFrame or GeoDataFrame
        `city_code`, `city_name`, `province` (names). With polygons, a city's point is one inside its polygon.

    Returns
    -------
    DataFrame
        As :class:`Divisions` takes it. A province's code is the first two digits its cities share, else its name.

    Examples
    --------
    >>> cities = pd.DataFrame({"city_code": ["160100"], "city_name": ["苇浦市"], "province": ["岭南省"]})
    >>> divisions_of_boundaries(cities)[["code", "name", "level", "parent"]].values.tolist()
    [['160000', '岭南省', 'province', ''], ['160100', '苇浦市', 'city', '160000']]
    """
    require_columns(boundaries, ["city_code", "city_name", "province"], "the boundaries")
    cities = boundaries[["city_code", "city_name", "province"]].drop_duplicates().astype("str")
    require_unique(cities, ["city_code"], "the boundaries")
    rows: list[dict[str, str]] = []
    for province, group in cities.groupby("province", sort=False):
        starts = {code[:2] for code in group["city_code"] if len(code) == 6}
        code = f"{starts.pop()}0000" if len(starts) == 1 else str(province)
        rows.append({"code": code, "name": str(province), "level": "province", "parent": ""})
        rows += [
            {"code": city, "name": name, "level": "city", "parent": code}
            for city, name, _ in group.itertuples(index=False)
            if city != code
        ]
    table = pd.DataFrame(rows, columns=["code", "name", "level", "parent"])
    table["short"] = [_short(name) for name in table["name"]]
    if "geometry" in boundaries:
        inside = boundaries.geometry.representative_point().to_crs(4326)
        codes = boundaries["city_code"].astype("str")
        table["lon"] = table["code"].map(dict(zip(codes, inside.x, strict=True)))
        table["lat"] = table["code"].map(dict(zip(codes, inside.y, strict=True)))
    return table


def _short(name: str) -> str:
    """A name without its last character where that says what kind of unit it is."""
    return name[:-1] if len(name) > 2 and name[-1] in "省市区县旗" else ""


def _checked_units(units: pd.DataFrame) -> pd.DataFrame:
    """All columns as text, levels known, parents there."""
    what = "the table of divisions"
    require_columns(units, UNIT_COLUMNS[:4], what)
    table = as_text(units, UNIT_COLUMNS)
    wrong = sorted(set(table["level"]) - set(LEVELS))
    if wrong:
        raise TableError(f"{what} has the level {listed(wrong)}; levels are {listed(LEVELS)}")
    lost = sorted(set(table["parent"]) - set(table["code"]) - {""})
    if lost:
        raise TableError(f"{what} names {listed(lost)} as parent, but has no unit of that code; add it")
    return table.reset_index(drop=True)


def as_text(table: pd.DataFrame, columns: Sequence[str]) -> pd.DataFrame:
    """Columns of a table as text, empty where they lack or hold nothing."""
    empty = pd.Series("", index=table.index, dtype="str")
    found = {name: table.get(name, empty) for name in columns}
    return pd.DataFrame(
        {name: values.astype("object").where(values.notna(), "").astype("str") for name, values in found.items()}
    )


def _unit(row: tuple[str, ...]) -> Unit:
    code, name, level, parent, first, last, lon, lat, short = row
    return Unit(
        code,
        name,
        LEVELS.index(level),
        parent,
        int(float(first)) if first else _ALWAYS,
        int(float(last)) if last else _STILL,
        float(lon) if lon else np.nan,
        float(lat) if lat else np.nan,
        tuple(other for other in short.split("|") if other),
    )
