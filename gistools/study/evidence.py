"""Spatial evidence from files to files: weights, Moran's I, spatial models."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from gistools.checks import require_columns, require_numeric
from gistools.econometrics.fixed_effects import panel_column
from gistools.errors import InputError
from gistools.io.tables import read_table, require_table_extension, write_table
from gistools.io.vectors import read_boundaries, read_vector
from gistools.io.weights import read_adjacency, require_weights_extension, write_adjacency
from gistools.spatial.models import SpatialFit, fit_spatial
from gistools.spatial.moran import MoranResult, moran_by_year
from gistools.weights import (
    Kind,
    WeightsSummary,
    adjacency_table,
    build_weights,
    from_adjacency_table,
    summarise_weights,
)

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
    kind : {"contiguity", "knn", "inverse-distance", "economic-nested"}
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
        ``k``, ``cutoff_km``, ``exponent``, ``rook``, ``tolerance_m``, ``islands``, ``row_standardise`` of
        :func:`gistools.weights.build_weights`.

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


def weights_describe(path: Path) -> WeightsSummary:
    """Read weights and say what they look like."""
    return summarise_weights(read_weights(path))


def moran(
    panel: Path,
    *,
    weights: Path,
    column: str,
    unit: str = "city_code",
    time: str = "year",
    out: Path | None = None,
    **options: Any,
) -> MoranResult:
    """Compute Moran's I of a column of a panel file, by year.

    Parameters
    ----------
    panel : Path
        Table; without the time column it is one cross-section.
    weights : Path
    column : str
    unit, time : str
        Keys of the panel.
    out : Path, optional
        Table of the global statistics; of the local ones where they are asked for.
    **options
        ``row_standardise``, ``local``, ``permutations``, ``seed``, ``alternative``, ``alpha`` of
        :func:`gistools.spatial.moran.moran_by_year`.

    Returns
    -------
    MoranResult
    """
    if out is not None:
        require_table_extension(out)
    values = panel_column(read_table(panel, text=(unit,)), column, unit=unit, time=time)
    result = moran_by_year(values, read_weights(weights), **options)
    if out is not None:
        write_table(result.rows if result.local is None else result.local, out)
    return result


def spatial_fit(
    panel: Path,
    *,
    weights: Path | None = None,
    unit: str = "city_code",
    time: str = "year",
    cluster: str | None = None,
    out: Path | None = None,
    **options: Any,
) -> SpatialFit:
    """Fit a spatial model to a panel file.

    Parameters
    ----------
    panel : Path
        Table; without the time column it is one cross-section.
    weights : Path, optional
        Only ``pooled`` does without.
    unit, time : str
        Keys of the panel.
    cluster : str, optional
        ``city`` or the name of the unit column.
    out : Path, optional
        Table of coefficients and effects.
    **options
        ``outcome``, ``x``, ``model``, ``effects``, ``correction``, ``durbin``, ``row_standardise``, ``draws``,
        ``seed`` of :func:`gistools.spatial.models.fit_spatial`.

    Returns
    -------
    SpatialFit
    """
    if out is not None:
        require_table_extension(out)
    if cluster not in (None, "city", unit):
        raise InputError(f"errors can be clustered by city (column '{unit}'), not by {cluster!r}")
    fit = fit_spatial(
        read_table(panel, text=(unit,)),
        None if weights is None else read_weights(weights),
        unit=unit,
        time=time,
        cluster=None if cluster is None else "city",
        **options,
    )
    if out is not None:
        write_table(fit.table(), out)
    return fit
