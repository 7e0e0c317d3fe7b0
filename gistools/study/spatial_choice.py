"""The choice between spatial models from files to files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gistools.errors import InputError
from gistools.io.tables import read_table, require_table_extension, write_table
from gistools.spatial.choose import ModelChoice, choose_spatial_model
from gistools.study.evidence import read_weights


def spatial_choose(
    panel: Path,
    *,
    weights: Path,
    unit: str = "city_code",
    time: str = "year",
    cluster: str | None = None,
    out: Path | None = None,
    **options: Any,
) -> ModelChoice:
    """Choose a spatial model for a panel file.

    Parameters
    ----------
    panel : Path
        Table; without the time column it is one cross-section.
    weights : Path
    unit, time : str
        Keys of the panel.
    cluster : str, optional
        ``city`` or the name of the unit column.
    out : Path, optional
        Table of the tests.
    **options
        ``outcome``, ``x``, ``effects``, ``correction``, ``hausman``, ``alpha``, ``row_standardise`` of
        :func:`gistools.spatial.choose.choose_spatial_model`.

    Returns
    -------
    ModelChoice
    """
    if out is not None:
        require_table_extension(out)
    if cluster not in (None, "city", unit):
        raise InputError(f"errors can be clustered by city (column '{unit}'), not by {cluster!r}")
    result = choose_spatial_model(
        read_table(panel, text=(unit,)),
        read_weights(weights),
        unit=unit,
        time=time,
        cluster=None if cluster is None else "city",
        **options,
    )
    if out is not None:
        write_table(result.table(), out)
    return result
