"""Spatial models from files to files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from gistools.errors import InputError
from gistools.io.tables import read_table, require_table_extension, write_table
from gistools.spatial.models import SpatialFit, fit_by_weights, fit_spatial
from gistools.study.weights import read_weights, write_weights

__all__ = ["read_weights", "spatial_fit", "spatial_fit_by_weights", "write_weights"]


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
        ``outcome``, ``x``, ``model``, ``effects``, ``random``, ``correction``, ``durbin``, ``robust``,
        ``row_standardise``, ``draws``, ``seed`` of :func:`gistools.spatial.models.fit_spatial`.

    Returns
    -------
    SpatialFit
    """
    _check(out, cluster, unit)
    table = read_table(panel, text=(unit,))
    graph = None if weights is None else read_weights(weights)
    fit = fit_spatial(table, graph, **_keys(unit, time, cluster), **options)
    if out is not None:
        write_table(fit.table(), out)
    return fit


def spatial_fit_by_weights(
    panel: Path,
    *,
    weights: Sequence[Path] | Mapping[str, Path],
    unit: str = "city_code",
    time: str = "year",
    cluster: str | None = None,
    out: Path | None = None,
    **options: Any,
) -> list[SpatialFit]:
    """Fit one spatial model to a panel file with each of several weights.

    Parameters
    ----------
    panel : Path
        Table; without the time column it is one cross-section.
    weights : sequence of Path, or mapping of str to Path
        Files, called by their names without extension, or as the mapping says.
    unit, time : str
        Keys of the panel.
    cluster : str, optional
        ``city`` or the name of the unit column.
    out : Path, optional
        Table of coefficients and effects, with a column ``weights``.
    **options
        As in :func:`spatial_fit`.

    Returns
    -------
    list of SpatialFit
        One for each of the weights, which it names.
    """
    _check(out, cluster, unit)
    named = dict(weights) if isinstance(weights, Mapping) else _named(weights)
    table = read_table(panel, text=(unit,))
    graphs = {name: read_weights(path) for name, path in named.items()}
    fits = fit_by_weights(table, graphs, **_keys(unit, time, cluster), **options)
    if out is not None:
        parts = [fit.table().assign(weights=fit.weights) for fit in fits]
        whole = pd.concat(parts, ignore_index=True)
        write_table(whole[["weights", *whole.columns.drop("weights")]], out)
    return fits


def _named(paths: Sequence[Path]) -> dict[str, Path]:
    """Name files without their extension; in whole where two would be called alike."""
    short = [path.stem for path in paths]
    names = short if len(set(short)) == len(short) else [str(path) for path in paths]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"the weights {twice} are named twice; name each file once")
    return dict(zip(names, paths, strict=True))


def _check(out: Path | None, cluster: str | None, unit: str) -> None:
    if out is not None:
        require_table_extension(out)
    if cluster not in (None, "city", unit):
        raise InputError(f"errors can be clustered by city (column '{unit}'), not by {cluster!r}")


def _keys(unit: str, time: str, cluster: str | None) -> dict[str, Any]:
    return {"unit": unit, "time": time, "cluster": None if cluster is None else "city"}
