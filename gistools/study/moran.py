"""Moran's I from files to files: the statistics, their table, scatter plot and cluster map."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gistools.checks import listed
from gistools.econometrics.fixed_effects import panel_column
from gistools.errors import InputError
from gistools.io.tables import read_table, require_table_extension, write_table
from gistools.spatial.moran import MoranResult, moran_of_columns
from gistools.study.weights import read_cities, read_weights
from gistools.weights import adjacency_table, graph_from_matrix
from gistools.weights.graph import is_row_standardised, weights_matrix

if TYPE_CHECKING:
    from libpysal.graph import Graph

# More panels than these are too small to read.
_PANELS = 9


def moran(
    panel: Path,
    *,
    weights: Path | Sequence[Path],
    column: str | Sequence[str],
    lagged: str | None = None,
    unit: str = "city_code",
    time: str = "year",
    out: Path | None = None,
    table: Path | None = None,
    scatter: Path | None = None,
    map_out: Path | None = None,
    cities: Path | None = None,
    code: str = "city_code",
    encoding: str | None = None,
    year: int | None = None,
    local: bool = False,
    **options: Any,
) -> MoranResult:
    """Compute Moran's I of columns of a panel file, by year, under several weights.

    Parameters
    ----------
    panel : Path
        Table; without the time column it is one cross-section.
    weights : Path or sequence of Path
        They are named by their files.
    column : str or sequence of str
    lagged : str, optional
        The column among the neighbours, of bivariate statistics.
    unit, time : str
        Keys of the panel.
    out : Path, optional
        Table of the global statistics; of the local ones where they are asked for.
    table : Path, optional
        Years by weights as papers print them: ``.html``, ``.tex``, ``.md`` or ``.csv``.
    scatter : Path, optional
        Moran's scatter plot of one year, ``.png`` or ``.svg``.
    map_out : Path, optional
        Map of local clusters, which are computed for it.
    cities : Path, optional
        Polygons of the cities, needed for the map.
    code, encoding : str, optional
        Of `cities`.
    year : int, optional
        Of the figures; by default the last, of a map every year where there are at most nine.
    local : bool
        Local statistics too.
    **options
        ``residuals``, ``row_standardise``, ``permutations``, ``seed``, ``alternative``, ``alpha`` of
        :func:`gistools.spatial.moran.moran_of_columns`.

    Returns
    -------
    MoranResult

    Raises
    ------
    InputError
        If a figure is asked for of several columns or weights, or of a year that is not there.
    """
    from gistools.output.tables import EXTENSIONS as TABLE_EXTENSIONS

    paths = [weights] if isinstance(weights, Path) else list(weights)
    columns = [column] if isinstance(column, str) else list(column)
    if out is not None:
        require_table_extension(out)
    if table is not None and table.suffix not in TABLE_EXTENSIONS:
        raise InputError(f"{table}: tables of Moran's I are written as {listed(TABLE_EXTENSIONS)}, by extension")
    _require_figures(scatter, map_out, cities, len(paths) * len(columns), lagged)
    read = read_table(panel, text=(unit,))
    wanted = dict.fromkeys([*columns, *([lagged] if lagged else [])])
    values = pd.DataFrame({name: panel_column(read, name, unit=unit, time=time) for name in wanted})
    graphs = dict(zip(_names(paths), map(read_weights, paths), strict=True))
    result = moran_of_columns(
        values, graphs, columns=columns, lagged=lagged, local=local or map_out is not None, **options
    )
    if scatter is not None or map_out is not None:
        _draw(result, values[columns[0]], next(iter(graphs.items())), scatter, map_out,
              cities=cities, code=code, encoding=encoding, year=year, unit=unit, time=time)  # fmt: skip
    if table is not None:
        _write_table(result, columns, list(graphs), table)
    if out is not None:
        write_table(result.local if local and result.local is not None else result.rows, out)
    return result


def _names(paths: Sequence[Path]) -> list[str]:
    """Name weights by their files, with as much of the path as tells them apart."""
    for names in ([path.stem for path in paths], [path.name for path in paths], [str(path) for path in paths]):
        if len(set(names)) == len(names):
            return names
    raise InputError(f"weights are named twice: {listed(paths)}")


def _require_figures(
    scatter: Path | None, map_out: Path | None, cities: Path | None, several: int, lagged: str | None
) -> None:
    from gistools.output.spatial_maps import require_figure_extension

    for figure in filter(None, (scatter, map_out)):
        require_figure_extension(figure)
        if several > 1:
            raise InputError("a figure shows one column under one weights; name one of each with it")
    if map_out is not None and cities is None:
        raise InputError("a map of clusters needs the polygons of the cities; give them with --cities")
    if scatter is not None and lagged is not None:
        raise InputError("Moran's scatter plot shows a column against its own lag; leave out --lagged or the plot")


def _draw(
    result: MoranResult,
    values: pd.Series,
    weights: tuple[str, Graph],
    scatter: Path | None,
    map_out: Path | None,
    *,
    cities: Path | None,
    code: str,
    encoding: str | None,
    year: int | None,
    unit: str,
    time: str,
) -> None:
    from gistools.output.figures import plot_moran
    from gistools.output.spatial_maps import plot_clusters, save_figure

    years = sorted(values.index.get_level_values(1).unique()) if values.index.nlevels > 1 else []
    if year is not None and year not in years:
        raise InputError(f"the panel has no year {year}; it has {listed(years, 12) or 'no years'}")
    shown = years[-1] if years and year is None else year
    name, graph = weights
    if scatter is not None:
        part = values if shown is None else values.xs(shown, level=1)
        present = part.astype(np.float64).replace([np.inf, -np.inf], np.nan)
        there = present.notna().to_numpy()
        matrix = weights_matrix(graph, part.index)[there][:, there]
        links = adjacency_table(graph_from_matrix(matrix, part.index[there]))
        about = ("" if shown is None else f", {shown}") + f", weights {name}"
        about += "" if is_row_standardised(matrix, islands=True) else ", rows standardised"
        figure = plot_moran(present[there], links, title=f"Moran scatter plot{about}", label=str(values.name))
        save_figure(figure, scatter)
    if map_out is not None and cities is not None and result.local is not None:
        local = result.local
        if years and (year is not None or len(years) > _PANELS):
            local = local[local[time] == shown]
        shapes = read_cities(cities, code=code, encoding=encoding)
        rate, tail = result.options["alpha"], result.options["alternative"]
        p = "permutation" if result.options["permutations"] else "normal approximation"
        save_figure(
            plot_clusters(
                shapes,
                local,
                title=f"Local Moran's I of {values.name}, weights {name}",
                note=f"False-discovery rate {rate:g} (Benjamini and Hochberg); {tail}, {p}",
                unit=unit,
                time=time,
            ),
            map_out,
        )


def _write_table(result: MoranResult, columns: Sequence[str], names: Sequence[str], path: Path) -> None:
    from gistools.output.tables import moran_table, write_regression_table

    rows = result.rows.copy()
    if "weights" not in rows:
        rows.insert(0, "weights", names[0])
    if "column" in rows:
        if len(columns) > 1:
            rows["weights"] = rows["column"] + ", " + rows["weights"]
        rows = rows.drop(columns="column")
    if rows["year"].isna().all():
        rows["year"] = "all years" if "years" in result.options else "cross-section"
    write_regression_table(moran_table(rows), path)
