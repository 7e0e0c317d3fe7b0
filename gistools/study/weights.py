"""Weights from files to files: built, described, drawn, brought to another form or format."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gistools.checks import listed, require_columns, require_numeric
from gistools.errors import InputError, WeightsError
from gistools.io.tables import read_table, require_table_extension, write_table
from gistools.io.vectors import read_boundaries, read_vector
from gistools.io.weights import read_adjacency, require_weights_extension, write_adjacency
from gistools.weights import (
    Kind,
    Symmetric,
    WeightsSummary,
    adjacency_table,
    build_weights,
    from_adjacency_table,
    graph_from_matrix,
    neighbour_counts,
    summarise_weights,
    transform_weights,
)
from gistools.weights.graph import matrix_and_codes

if TYPE_CHECKING:
    from libpysal.graph import Graph

TABLES = (".csv", ".xlsx", ".dta")


def read_weights(path: str | Path) -> Graph:
    """Read weights from a GAL, GWT, Parquet or matrix CSV file.

    Parameters
    ----------
    path : path
        See :func:`gistools.io.weights.read_adjacency`.

    Returns
    -------
    Graph
        Keyed by text.

    Raises
    ------
    WeightsError
        If the file does not hold weights.
    """
    return from_adjacency_table(read_adjacency(path))


def write_weights(w: Graph, path: str | Path) -> None:
    """Write weights as GAL, GWT, Parquet or matrix CSV, by extension, whole or not at all.

    Parameters
    ----------
    w : Graph
    path : path
        ``.parquet``, ``.gwt``, ``.csv``, or ``.gal``, which holds neighbours without weights.

    Returns
    -------
    None

    Raises
    ------
    InputError
        If the extension is another.
    WeightsError
        If the format cannot hold the weights.
    OutputError
        If the file cannot be written.
    """
    write_adjacency(adjacency_table(w), path)


def weights_build(
    cities: Path,
    out: Path,
    *,
    kind: Kind,
    code: str = "city_code",
    encoding: str | None = None,
    gdp: str | None = None,
    before: int | None = None,
    unit: str = "city_code",
    time: str = "year",
    **options: Any,
) -> WeightsSummary:
    """Build weights from a file of cities and write them.

    Parameters
    ----------
    cities : Path
        Polygons or points of any vector format, or a table with ``lon`` and ``lat`` (or ``cbd_lon``, ``cbd_lat``).
    out : Path
        ``.parquet``, ``.gal``, ``.gwt`` or ``.csv``.
    kind : {"contiguity", "knn", "distance-band", "inverse-distance", "kernel", "economic-nested"}
    code : str
        Column of the city codes in `cities`.
    encoding : str, optional
        Of a Shapefile without ``.cpg`` or a CSV table.
    gdp : str, optional
        ``PANEL:COLUMN``, the table and column of GDP for economic-nested weights.
    before : int, optional
        Only GDP of years before this one counts; needed where the table has years.
    unit, time : str
        Keys of the table of GDP.
    **options
        Those of :func:`gistools.weights.build_weights`.

    Returns
    -------
    WeightsSummary
    """
    require_weights_extension(out)
    shapes = read_cities(cities, kind=kind, code=code, encoding=encoding)
    graph = build_weights(
        shapes,
        kind,
        gdp=None if gdp is None else read_gdp(gdp, before=before, unit=unit, time=time),
        **options,
    )
    write_weights(graph, out)
    return summarise_weights(graph)


def read_cities(
    path: Path, *, kind: Kind = "contiguity", code: str = "city_code", encoding: str | None = None
) -> pd.DataFrame:
    """Read polygons, points or a table of cities; their codes become ``city_code``."""
    table = path.suffix.lower() in TABLES
    if table or path.suffix.lower() == ".parquet":
        cities = read_table(path, text=(code,), encoding=encoding)
        table = table or "geometry" not in cities.columns
    if not table and kind != "contiguity":
        cities = read_vector(path, encoding=encoding)
        table = bool((cities.geom_type == "Point").all())
    if not table:
        return read_boundaries(path, code=code, encoding=encoding)
    require_columns(cities, [code], path.name)
    return cities.rename(columns={code: "city_code"}) if code != "city_code" else cities


def read_gdp(source: str, *, before: int | None, unit: str = "city_code", time: str = "year") -> pd.Series:
    """Read ``PANEL:COLUMN``, the years before `before` alone.

    Returns
    -------
    Series
        Indexed by city code, one row a city and year.

    Raises
    ------
    InputError
        If the text has no column, or years are in the table and none is named, or none comes before, or GDP or
        years are not numbers.
    """
    name, _, column = source.rpartition(":")
    if not name or not column:
        raise InputError(f"GDP is named PANEL:COLUMN, for example panel.csv:gdp, not {source!r}")
    path = Path(name)
    table = read_table(path, text=(unit,))
    require_columns(table, [unit, column], path.name)
    require_numeric(table, [column, *([time] if time in table.columns else [])], path.name)
    if time in table.columns:
        if before is None:
            raise InputError(
                f"{path.name} has the years {table[time].min()} to {table[time].max()}; say before which year "
                "(the first of the treatment) GDP counts, so that the weights are not an outcome"
            )
        table = table[pd.to_numeric(table[time]) < before]
        if not len(table):
            raise InputError(f"{path.name} has no year before {before}")
    elif before is not None:
        raise InputError(f"{path.name} has no column {time!r}, so no years before {before} can be chosen")
    values = pd.to_numeric(table[column], errors="coerce")
    return pd.Series(values.to_numpy(float), index=pd.Index(table[unit])).dropna()


def weights_describe(
    path: Path,
    *,
    cities: Path | None = None,
    code: str = "city_code",
    encoding: str | None = None,
    map_out: Path | None = None,
    histogram: Path | None = None,
    out: Path | None = None,
) -> WeightsSummary:
    """Read weights and say, and show, what they look like.

    Parameters
    ----------
    path : Path
        ``.parquet``, ``.gal``, ``.gwt`` or ``.csv``.
    cities : Path, optional
        Polygons or points of the same cities, needed for the map.
    code : str
        Column of the city codes in `cities`.
    encoding : str, optional
        Of a Shapefile without ``.cpg`` or a CSV table.
    map_out : Path, optional
        Map of the links, ``.png`` or ``.svg``.
    histogram : Path, optional
        Numbers of neighbours, ``.png`` or ``.svg``.
    out : Path, optional
        Table of the cities with their numbers of neighbours and sums of weights.

    Returns
    -------
    WeightsSummary

    Raises
    ------
    InputError
        If a map is asked for and no cities are given.
    """
    from gistools.output.spatial_maps import require_figure_extension, save_figure
    from gistools.output.weights_map import plot_connectivity, plot_neighbours

    for figure in filter(None, (map_out, histogram)):
        require_figure_extension(figure)
    if out is not None:
        require_table_extension(out)
    if map_out is not None and cities is None:
        raise InputError("a map of the links needs the polygons or points of the cities; give them with --cities")
    graph = read_weights(path)
    if map_out is not None and cities is not None:
        shapes = read_cities(cities, kind="knn", code=code, encoding=encoding)
        save_figure(plot_connectivity(shapes, graph, title=f"Links of {path.name}"), map_out)
    if histogram is not None:
        save_figure(plot_neighbours(graph, title=f"Neighbours in {path.name}"), histogram)
    if out is not None:
        counts = neighbour_counts(graph)
        sums = matrix_and_codes(graph)[0].sum(axis=1)
        write_table(counts.reset_index().assign(row_sum=sums), out)
    return summarise_weights(graph)


def weights_convert(
    path: Path,
    out: Path,
    *,
    binary: bool = False,
    symmetric: Symmetric | None = None,
    row_standardise: bool = False,
    spectral: bool = False,
    codes: Path | None = None,
    code: str = "city_code",
) -> WeightsSummary:
    """Write weights in another format, and in another form.

    Parameters
    ----------
    path, out : Path
        ``.parquet``, ``.gal``, ``.gwt`` or ``.csv``.
    binary, symmetric, row_standardise, spectral
        Of :func:`gistools.weights.transform_weights`.
    codes : Path, optional
        Table whose cities are the units of weights that are keyed by row numbers or nothing: the first city of the
        table is the first row, and so on. Rows that repeat a city (a panel) count once.
    code : str
        Column of the city codes in `codes`.

    Returns
    -------
    WeightsSummary
        Of the weights written.

    Raises
    ------
    WeightsError
        If the table has not as many cities as the weights.
    """
    require_weights_extension(out)
    graph = read_weights(path)
    if codes is not None:
        graph = _named(graph, read_table(codes, text=(code,)), code, path, codes)
    graph = transform_weights(
        graph, binary=binary, symmetric=symmetric, row_standardise=row_standardise, spectral=spectral
    )
    write_weights(graph, out)
    return summarise_weights(graph)


def _named(graph: Graph, table: pd.DataFrame, code: str, path: Path, source: Path) -> Graph:
    """Return weights keyed by the codes of a table instead of by numbers, or by their order."""
    require_columns(table, [code], source.name)
    if table[code].isna().any():
        raise InputError(f"{source.name} has rows without {code!r}; fill or remove them")
    names = table[code].drop_duplicates().tolist()
    matrix, units = matrix_and_codes(graph)
    known = [unit for unit in units if unit in set(names)]
    if known:
        raise WeightsError(
            f"{path.name} names cities of {source.name} already ({listed(known)}), so no order is to be taken from it"
        )
    if len(names) != len(units):
        raise WeightsError(f"{path.name} has {len(units)} units, but {source.name} has {len(names)} cities")
    numbers = pd.to_numeric(pd.Series(units), errors="coerce").to_numpy()
    for first in (0, 1):  # row numbers say themselves which row they are, in whatever order a file lists them
        if np.array_equal(np.sort(numbers), np.arange(first, first + len(units))):
            order = np.argsort(numbers)
            matrix = matrix[order][:, order]
    return graph_from_matrix(matrix, names)
