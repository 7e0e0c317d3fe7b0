"""Headers of land-market tables: one mapping of Chinese and English variants to standard columns and units."""

from __future__ import annotations

import functools
import importlib.resources
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import yaml

from gistools.checks import closest, listed
from gistools.errors import ConfigError, TableError
from gistools.parcels.values import AREA_UNITS, PRICE_UNITS, plain_text

# Standard columns of a parcel table and what they hold, in the order of a cleaned table.
STANDARD: dict[str, str] = {
    "parcel_id": "电子监管号, text",
    "district": "行政区, text",
    "project": "name of the project",
    "address": "where it lies, text",
    "area_ha": "area, ha",
    "land_use": "土地用途, text",
    "transfer_mode": "供地方式, text",
    "land_grade": "土地级别, text",
    "price_10k_yuan": "price, 10,000 yuan",
    "far_min": "lower limit of the floor-area ratio",
    "far_max": "upper limit of the floor-area ratio",
    "far_realised": "floor-area ratio as built",
    "contract_date": "day the contract was signed",
    "lon": "longitude, degrees",
    "lat": "latitude, degrees",
    "city_code": "code of the city, text",
}

_UNITS = {"area_ha": AREA_UNITS, "price_10k_yuan": PRICE_UNITS}
_BRACKETS = re.compile(r"[(\[{【](.*?)(?:[)\]}】]|$)")


@dataclass(frozen=True)
class Column:
    """What a header becomes: a standard name and, for areas and prices, the unit of bare numbers."""

    name: str
    unit: str | None = None


@dataclass(frozen=True)
class HeaderMapping:
    """Headers, as :func:`bare_header` leaves them, to standard columns.

    Parameters
    ----------
    columns : mapping of str to Column
    other : frozenset of str
        Headers that keep their own names.
    """

    columns: Mapping[str, Column] = field(default_factory=dict)
    other: frozenset[str] = frozenset()


def bare_header(header: object, *, brackets: bool = False) -> str:
    """Leave what counts of a header: no blanks, units in brackets, capitals, underscores, full-width letters.

    Parameters
    ----------
    header : object
    brackets : bool
        Keep what stands in brackets, without the brackets.

    Returns
    -------
    str

    Examples
    --------
    >>> bare_header(" 面积（公顷）"), bare_header("Land_Use"), bare_header("约定容积率（上限）", brackets=True)
    ('面积', 'landuse', '约定容积率上限')
    """
    text = unicodedata.normalize("NFKC", str(header)).strip("\ufeff")
    text = re.sub(r"[()\[\]{}【】]", "", text) if brackets else _BRACKETS.sub("", text)
    return re.sub(r"[\s_\-:：]", "", text).lower()


def parse_header_mapping(text: str, source: str) -> HeaderMapping:
    """Read a mapping of headers written as YAML, of the form of the shipped one.

    Parameters
    ----------
    text : str
    source : str
        How messages name the file.

    Returns
    -------
    HeaderMapping

    Raises
    ------
    ConfigError
        Naming the line and the key that is wrong.

    Examples
    --------
    >>> parse_header_mapping("columns: {area_ha: [净用地, {header: net_m2, unit: m2}]}", "mine.yaml").columns["netm2"]
    Column(name='area_ha', unit='m2')
    """
    try:
        tree = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f" in line {mark.line + 1}" if mark is not None else ""
        raise ConfigError(f"{source} is not valid YAML{line}: {getattr(error, 'problem', None) or error}") from error

    def fault(node: yaml.Node, said: str) -> ConfigError:
        return ConfigError(f"{source}, line {node.start_mark.line + 1}: {said}")

    def word(node: yaml.Node, what: str) -> str:
        if not isinstance(node, yaml.ScalarNode) or not node.value.strip():
            raise fault(node, f"{what} must be a text")
        return str(node.value)

    columns: dict[str, Column] = {}
    other: set[str] = set()
    for key, value in _pairs(tree, source, fault):
        if key.value == "other":
            items = _items(value, fault, "other")
            other |= {bare_header(word(item, "a header under 'other'"), brackets=True) for item in items}
            continue
        if key.value != "columns":
            hint = closest(key.value, ["columns", "other"])
            raise fault(key, f"'{key.value}' is not a key; the keys are columns and other{hint}")
        for name, headers in _pairs(value, source, fault):
            if name.value not in STANDARD:
                hint = closest(name.value, STANDARD)
                raise fault(name, f"'{name.value}' is not a standard column{hint}; they are {', '.join(STANDARD)}")
            for item in _items(headers, fault, name.value):
                header, unit = _entry(item, name.value, fault, word)
                bare = bare_header(header, brackets=True)
                if bare in columns and columns[bare].name != name.value:
                    both = f"{columns[bare].name} and under {name.value}"
                    raise fault(item, f"the header '{header}' stands under {both}; keep one")
                columns[bare] = Column(name.value, unit)
    return HeaderMapping(columns, frozenset(other))


def _pairs(node: yaml.Node | None, source: str, fault: Any) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    if node is None:
        raise ConfigError(f"{source} is empty; write headers under 'columns', as in the shipped mapping")
    if not isinstance(node, yaml.MappingNode):
        raise fault(node, "names and values are needed here (name: value)")
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise fault(key, "a name must be a text")
        if key.value in seen:
            raise fault(key, f"the key '{key.value}' stands twice")
        seen.add(key.value)
    return list(node.value)


def _items(node: yaml.Node, fault: Any, name: str) -> list[yaml.Node]:
    if isinstance(node, yaml.SequenceNode):
        return list(node.value)
    if isinstance(node, yaml.MappingNode) or (isinstance(node, yaml.ScalarNode) and node.value.strip()):
        return [node]
    raise fault(node, f"'{name}' must hold a header or a list of headers")


def _entry(item: yaml.Node, name: str, fault: Any, word: Any) -> tuple[str, str | None]:
    """A header, or a header with its unit."""
    if not isinstance(item, yaml.MappingNode):
        return word(item, f"a header under '{name}'"), None
    entry = {key.value: (key, value) for key, value in item.value}
    for key in entry:
        if key not in ("header", "unit"):
            raise fault(entry[key][0], f"'{key}' is not a key of a header; the keys are header and unit")
    if "header" not in entry:
        raise fault(item, f"an entry under '{name}' lacks its header")
    unit = None
    if "unit" in entry:
        unit = plain_text(word(entry["unit"][1], "a unit"))
        units = _UNITS.get(name)
        if units is None:
            raise fault(entry["unit"][0], f"'{name}' has no units")
        if unit not in units:
            raise fault(
                entry["unit"][1],
                f"'{unit}' is not a unit of {name}{closest(unit, units)}; they are {', '.join(units)}",
            )
    return word(entry["header"][1], "a header"), unit


def shipped_mapping_text() -> str:
    """The shipped mapping of headers as it is written, to be edited.

    Returns
    -------
    str
        YAML.

    Examples
    --------
    >>> "电子监管号" in shipped_mapping_text()
    True
    """
    return (importlib.resources.files("gistools.parcels") / "data" / "headers.yaml").read_text(encoding="utf-8")


@functools.cache
def shipped_mapping() -> HeaderMapping:
    """The shipped mapping of headers.

    Examples
    --------
    >>> shipped_mapping().columns["电子监管号"].name
    'parcel_id'
    """
    mapping = parse_header_mapping(shipped_mapping_text(), "headers.yaml")
    own = {bare_header(name): Column(name) for name in STANDARD}
    return HeaderMapping({**own, **mapping.columns}, mapping.other)


def column_meanings(
    headers: Iterable[object],
    *,
    mapping: HeaderMapping | None = None,
    extra: Mapping[str, str] | None = None,
    what: str = "the parcel table",
) -> dict[object, Column]:
    """Find what the headers of a table mean.

    Parameters
    ----------
    headers : iterable
    mapping : HeaderMapping, optional
        The user's own; it goes before the shipped one, and what it names is not sought in the shipped one.
    extra : mapping of str to str, optional
        Headers, exactly as the table has them, to names; they go before both.
    what : str
        How messages name the table.

    Returns
    -------
    dict of header to Column
        In the order of the table; unknown headers keep their text as name.

    Raises
    ------
    TableError
        If two columns would have one name, or `extra` names a column that is not there.

    Examples
    --------
    >>> column_meanings(["电子监管号", "面积(平方米)", "备注"])["面积(平方米)"]
    Column(name='area_ha', unit='平方米')
    """
    headers = list(headers)
    extra = dict(extra or {})
    lacking = [header for header in extra if header not in headers]
    if lacking:
        raise TableError(f"{what} has no column {listed(map(repr, lacking))}; it has {listed(headers, 12)}")
    mapping = mapping or HeaderMapping()
    found: dict[object, Column] = {header: Column(name) for header, name in extra.items()}
    for level in (mapping, shipped_mapping()):
        claimed = {column.name for column in found.values()}
        for header in headers:
            column = None if header in found else _meaning(header, level, mapping.other)
            if column is not None and column.name not in claimed:
                found[header] = column
    meanings = {header: found.get(header) or Column(str(header).strip().strip("\ufeff")) for header in headers}
    by_name: dict[str, list[str]] = {}
    for header, column in meanings.items():
        by_name.setdefault(column.name, []).append(str(header))
    doubled = {name: where for name, where in by_name.items() if len(where) > 1}
    if doubled:
        name, where = next(iter(doubled.items()))
        raise TableError(
            f"{what}'s columns {listed(where)} would all be '{name}'; say which is meant in a mapping "
            f"(columns: {name}: {where[0]})"
        )
    if len(meanings) < len(headers):
        twice = next(header for header in headers if headers.count(header) > 1)
        raise TableError(f"{what} has two columns '{twice}'; rename or remove one of them")
    return meanings


def _meaning(header: object, mapping: HeaderMapping, other: frozenset[str]) -> Column | None:
    """Meaning of one header by one mapping: with its brackets read, then without them."""
    whole, bare = bare_header(header, brackets=True), bare_header(header)
    if whole in other or bare in other:
        return None
    if whole in mapping.columns:
        return mapping.columns[whole]
    column = mapping.columns.get(bare)
    if column is None:
        return None
    match = _BRACKETS.search(unicodedata.normalize("NFKC", str(header)))
    said = plain_text(match[1]).removeprefix("单位").strip(":：") if match else ""
    units = _UNITS.get(column.name)
    if units is not None and said in units:
        return Column(column.name, said)
    # a price by area (元/平方米) is no price
    return None if units is not None and re.search(r"[/每]", said) else column


def standard_columns(
    table: pd.DataFrame, extra: Mapping[str, str] | None = None, mapping: HeaderMapping | None = None
) -> pd.DataFrame:
    """Give the columns of a parcel table their standard names.

    Parameters
    ----------
    table : DataFrame
        With Chinese or English headers; units in brackets and blanks do not count.
    extra : mapping of str to str, optional
        The table's own headers to standard names; they go first.
    mapping : HeaderMapping, optional
        The user's own mapping; it goes before the shipped one.

    Returns
    -------
    DataFrame
        A copy with known headers renamed and other columns kept. The values stay as they are, whatever their units.

    Raises
    ------
    TableError
        If two columns would have one name, or `extra` names a column that is not there.

    Examples
    --------
    >>> standard_columns(pd.DataFrame(columns=["电子监管号", "面积（公顷）", "lon"])).columns.tolist()
    ['parcel_id', 'area_ha', 'lon']
    """
    meanings = column_meanings(table.columns, mapping=mapping, extra=extra)
    return table.rename(columns={header: column.name for header, column in meanings.items()})
