"""Spatial weights as files: GAL, GWT, Parquet adjacency, square matrix as CSV. Codes stay text, islands survive.

Files are read into, and written from, tables of links (``focal``, ``neighbor``, ``weight``), in which a city without
neighbours has one link of weight 0 to itself, as in libpysal. `gistools.weights` makes weights of such a table.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd

from gistools.checks import listed, require_columns
from gistools.errors import InputError, WeightsError
from gistools.io.atomic import atomic_path
from gistools.io.tables import require_file

EXTENSIONS = (".parquet", ".gal", ".gwt", ".csv")
COLUMNS = ["focal", "neighbor", "weight"]


def require_weights_extension(path: Path) -> None:
    """Refuse a file whose extension is none of weights, before the work that would fill it.

    Raises
    ------
    InputError
    """
    if Path(path).suffix.lower() not in EXTENSIONS:
        raise InputError(f"{path}: weights are read and written as {listed(EXTENSIONS)}, by extension")


def read_adjacency(path: str | Path) -> pd.DataFrame:
    """Read spatial weights as a table of links; the extension says how.

    Parameters
    ----------
    path : path
        ``.gal`` (neighbours, weight 1), ``.gwt`` (links with weights), ``.parquet`` (columns or index levels
        ``focal`` and ``neighbor``, column ``weight``, as libpysal writes them) or ``.csv`` (a square matrix with the
        codes in the header, and, if wished, in a first column; or links, with the columns of Parquet).

    Returns
    -------
    DataFrame
        ``focal``, ``neighbor`` (text), ``weight`` (float).

    Raises
    ------
    FileMissingError
        If there is no such file.
    WeightsError
        If its content is not what its extension says; the message names the line or the city.
    """
    path = Path(path)
    require_weights_extension(path)
    require_file(path)
    readers: dict[str, Callable[[Path], pd.DataFrame]] = {
        ".gal": _read_gal,
        ".gwt": _read_gwt,
        ".csv": _read_csv,
        ".parquet": _read_parquet,
    }
    table = readers[path.suffix.lower()](path)
    if not len(table):
        raise WeightsError(f"{path.name} holds no cities")
    return table


def write_adjacency(table: pd.DataFrame, path: str | Path) -> None:
    """Write a table of links, whole or not at all; the extension says how.

    Parameters
    ----------
    table : DataFrame
        ``focal``, ``neighbor``, ``weight``; an island links to itself with weight 0.
    path : path
        ``.parquet`` (exact), ``.gwt`` and ``.csv`` (exact, as text; a square matrix with the codes in the header and
        in the first column), or ``.gal``, which holds neighbours without weights: refused where the weights of a
        city differ.

    Raises
    ------
    InputError
        If the extension is none of these.
    WeightsError
        If the format cannot hold the weights or the codes.
    OutputError
        If the file cannot be written.
    """
    path = Path(path)
    require_weights_extension(path)
    require_columns(table, COLUMNS, "the table of weights")
    writers: dict[str, Callable[[pd.DataFrame, Path], None]] = {
        ".gal": _write_gal,
        ".gwt": _write_gwt,
        ".csv": _write_matrix,
        ".parquet": lambda links, target: links[COLUMNS].set_index(COLUMNS[:2]).to_parquet(target),
    }
    with atomic_path(path) as temporary:
        writers[path.suffix.lower()](table, temporary)


def _text(path: Path) -> str:
    for encoding in ("utf-8-sig", "gb18030"):
        try:
            return path.read_text(encoding=encoding)
        except UnicodeDecodeError:
            continue
    raise WeightsError(f"{path.name} is not text in UTF-8 or GB18030")


def _table(focal: list[str], neighbor: list[str], weight: list[float] | np.ndarray) -> pd.DataFrame:
    return pd.DataFrame({"focal": focal, "neighbor": neighbor, "weight": np.asarray(weight, float)})


def _header_count(path: Path, line: str) -> int:
    """Return the number of cities of a header ``n`` or ``0 n file key``."""
    words = line.split()
    try:
        return int(words[0] if len(words) == 1 else words[1])
    except (IndexError, ValueError):
        raise WeightsError(
            f"{path.name}: the first line must be the number of cities, or '0 n name key', not {line.strip()!r}"
        ) from None


def _read_gal(path: Path) -> pd.DataFrame:
    lines = _text(path).splitlines() or [""]
    count = _header_count(path, lines[0])
    words = iter(" ".join(lines[1:]).split())
    focal: list[str] = []
    neighbor: list[str] = []
    weight: list[float] = []
    for city, neighbours in _gal_records(path, words):
        focal += [city] * max(len(neighbours), 1)
        neighbor += neighbours or [city]
        weight += [1.0] * len(neighbours) or [0.0]
    found = len(set(focal))
    if found != count:
        raise WeightsError(f"{path.name} says {count} cities in its first line, but lists {found}")
    return _table(focal, neighbor, weight)


def _gal_records(path: Path, words: Iterator[str]) -> Iterator[tuple[str, list[str]]]:
    for city in words:
        number = next(words, "nothing")
        if not number.isdigit():
            raise WeightsError(f"{path.name}: after city {city} its number of neighbours must stand, not {number}")
        neighbours = list(islice(words, int(number)))
        if len(neighbours) < int(number):
            raise WeightsError(
                f"{path.name} ends in the middle of city {city}: {len(neighbours)} of {number} neighbours"
            )
        yield city, neighbours


def _read_gwt(path: Path) -> pd.DataFrame:
    lines = _text(path).splitlines() or [""]
    count = _header_count(path, lines[0])
    focal: list[str] = []
    neighbor: list[str] = []
    weight: list[float] = []
    for number, line in enumerate(lines[1:], 2):
        words = line.split()
        if not words:
            continue
        try:
            city, other, value = words
            weight.append(float(value))
        except ValueError:
            raise WeightsError(
                f"{path.name}, line {number}: city, neighbour and weight must stand there, not {line.strip()!r}"
            ) from None
        focal.append(city)
        neighbor.append(other)
    found = len({*focal, *neighbor})
    if found > count:
        raise WeightsError(f"{path.name} says {count} cities in its first line, but names {found}")
    if found < count:
        warnings.warn(
            f"{path.name} says {count} cities, but links only {found}: those without neighbours are not named in it "
            "(a line 'code code 0' would name one)",
            stacklevel=4,
        )
    return _table(focal, neighbor, weight)


def _read_csv(path: Path) -> pd.DataFrame:
    lines = [(number, line) for number, line in enumerate(_text(path).splitlines(), 1) if line.strip(', \t;"')]
    if not lines:
        raise WeightsError(f"{path.name} is empty")
    header = [cell.strip() for cell in next(csv.reader([lines[0][1]]))]
    read = _read_links if sorted(header) == sorted(COLUMNS) else _read_matrix
    return read(path, header, lines[1:])


def _read_links(path: Path, header: list[str], lines: list[tuple[int, str]]) -> pd.DataFrame:
    place = [header.index(name) for name in COLUMNS]
    focal: list[str] = []
    neighbor: list[str] = []
    weight: list[float] = []
    for number, line in lines:
        row = next(csv.reader([line]))
        try:
            city, other, value = (row[k].strip() for k in place)
            weight.append(float(value))
        except (IndexError, ValueError):
            raise WeightsError(
                f"{path.name}, line {number}: {', '.join(header)} must stand there, not {line!r}"
            ) from None
        focal.append(city)
        neighbor.append(other)
    return _table(focal, neighbor, weight)


def _read_matrix(path: Path, header: list[str], lines: list[tuple[int, str]]) -> pd.DataFrame:
    """Read a square matrix line by line; of a large one only what is not zero is ever held."""
    n = len(lines)
    named = len(header) == n + 1
    codes = header[1:] if named else header
    if len(codes) != n:
        raise WeightsError(
            f"{path.name} has {len(header)} names in its header and {n} rows below; a square matrix with the codes "
            "of the cities in the header is needed"
        )
    if "" in codes:
        raise WeightsError(f"{path.name}: column {codes.index('') + 1 + named} has no code in the header")
    names: list[str] = []
    columns, values = [], []
    for number, line in lines:
        row = next(csv.reader([line]))
        if len(row) != len(header):
            raise WeightsError(f"{path.name}: line {number} has not {len(header)} cells, as the header has")
        try:
            numbers = np.array(row[named:], float)
        except ValueError:
            raise WeightsError(_first_text(path, number, codes, row[named:])) from None
        names.append(row[0].strip())
        columns.append(np.flatnonzero(numbers))
        values.append(numbers[columns[-1]])
    order = _places(path, names, codes) if named else range(n)
    text = np.array(codes, dtype=object)
    focal: list[str] = []
    neighbor: list[str] = []
    for k, place in enumerate(order):
        focal += [codes[k]] * max(len(columns[place]), 1)
        neighbor += text[columns[place]].tolist() or [codes[k]]
    weight = [values[place] if len(values[place]) else np.zeros(1) for place in order]
    return _table(focal, neighbor, np.concatenate(weight))


def _first_text(path: Path, number: int, codes: list[str], cells: list[str]) -> str:
    for code, cell in zip(codes, cells, strict=True):
        try:
            float(cell)
        except ValueError:
            return f"{path.name}, line {number}, column {code}: a number is needed, not {cell!r}"
    return f"{path.name} holds something other than numbers"


def _places(path: Path, rows: list[str], codes: list[str]) -> list[int]:
    """Return where the row of each code of the header stands."""
    if len(set(rows)) < len(rows) or set(rows) != set(codes):
        strange = [name for name in rows if name not in set(codes)] or rows
        raise WeightsError(
            f"{path.name} has {len(codes) + 1} names in its header and {len(rows)} rows below, and the first column "
            f"does not name the cities of the header ({listed(strange)}); a square matrix is needed"
        )
    place = {name: position for position, name in enumerate(rows)}
    return [place[code] for code in codes]


def _read_parquet(path: Path) -> pd.DataFrame:
    try:
        table = pd.read_parquet(path)
    except Exception as error:
        raise WeightsError(f"{path} cannot be read as parquet: {str(error).splitlines()[0]}") from error
    if not set(COLUMNS) <= set(table.columns):
        table = table.reset_index()
    require_columns(table, COLUMNS, path.name)
    if not pd.api.types.is_numeric_dtype(table["weight"]):
        raise WeightsError(f"{path.name}, column 'weight', does not hold numbers")
    return table[COLUMNS]


def _spaceless(codes: pd.Series, path: Path) -> None:
    blank = codes[codes.astype(str).str.contains(r"\s", regex=True)].unique()
    if len(blank):
        raise WeightsError(
            f"{path.suffix[1:].upper()} parts codes by blanks, but {listed(map(repr, blank))} holds one; "
            "write .parquet or .csv"
        )


def _write_gal(table: pd.DataFrame, path: Path) -> None:
    _spaceless(table["focal"], path)
    real = table[table["weight"] != 0]
    spread = real.groupby("focal", sort=False)["weight"].agg(["min", "max"])
    uneven = spread.index[spread["max"] > spread["min"] * (1 + 1e-9)]
    if len(uneven):
        raise WeightsError(
            f"GAL holds neighbours without weights, but the weights of {len(uneven)} cities differ "
            f"({listed(uneven)}); write .parquet, .gwt or .csv"
        )
    if len(real) and not np.allclose(real["weight"], 1.0):
        warnings.warn(
            "GAL holds neighbours only: the weights are 1 when it is read again; row-standardise then", stacklevel=4
        )
    neighbours = real.groupby("focal", sort=False)["neighbor"].agg(list).to_dict()
    cities = list(dict.fromkeys([*table["focal"], *table["neighbor"]]))
    lines = [f"0 {len(cities)} weights city_code"]
    for city in cities:
        mine = neighbours.get(city, [])
        lines += [f"{city} {len(mine)}", " ".join(map(str, mine))]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


def _write_gwt(table: pd.DataFrame, path: Path) -> None:
    _spaceless(table["focal"], path)
    cities = dict.fromkeys([*table["focal"], *table["neighbor"]])
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.write(f"0 {len(cities)} weights city_code\n")
        for city, other, weight in zip(table["focal"], table["neighbor"], table["weight"].tolist(), strict=True):
            file.write(f"{city} {other} {weight!r}\n")


def _write_matrix(table: pd.DataFrame, path: Path) -> None:
    """Write a square matrix row by row: a large one never stands in memory."""
    codes = pd.Index(list(dict.fromkeys([*table["focal"], *table["neighbor"]])))
    focal, neighbor = codes.get_indexer(pd.Index(table["focal"])), codes.get_indexer(pd.Index(table["neighbor"]))
    order = np.argsort(focal, kind="stable")
    begin = np.searchsorted(focal[order], np.arange(len(codes) + 1))
    weight = table["weight"].to_numpy(float)
    with path.open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["city_code", *codes])
        for k, code in enumerate(codes):
            row = ["0"] * len(codes)
            for link in order[begin[k] : begin[k + 1]]:
                if weight[link]:
                    row[neighbor[link]] = repr(float(weight[link]))
            writer.writerow([code, *row])
