"""Spillovers of a treatment from files to files: a spatial model, what each city receives, and its map."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from gistools.checks import listed
from gistools.econometrics.fixed_effects import panel_column
from gistools.errors import InputError
from gistools.io.tables import read_table, require_table_extension, write_table
from gistools.spatial.models import Model, fit_spatial
from gistools.spatial.spillovers import spillovers_received
from gistools.study.weights import read_cities, read_weights

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gistools.spatial.models import SpatialFit


@dataclass(frozen=True, eq=False)
class SpilloversResult:
    """A spatial fit and what cities receive of its treatment.

    Attributes
    ----------
    fit : SpatialFit
    treatment : str
    table : DataFrame
        One row a city and year, of :func:`gistools.spatial.spillovers.spillovers_received`.
    years : DataFrame
        One row a year: ``treated`` cities, mean ``own`` effect of the treated, mean ``received`` by the treated and
        the untreated, ``largest`` received and by which city.
    """

    fit: SpatialFit
    treatment: str
    table: pd.DataFrame
    years: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Return the result as the JSON of the command line."""
        years = self.years.astype(object).where(self.years.notna(), None)
        return {"treatment": self.treatment, "years": years.to_dict("records"), "fit": self.fit.to_dict()}

    def summary(self) -> str:
        """Return the result as text."""
        shown = self.years.dropna(axis=1, how="all")
        shown = shown.assign(largest_in=shown["largest_in"].fillna("-")) if "largest_in" in shown else shown
        return "\n".join(
            [
                self.fit.summary(),
                f"effects of {self.treatment} by year, means over cities:",
                shown.to_string(index=False, na_rep="-", float_format=lambda value: f"{value:.6g}"),
            ]
        )


def spatial_spillovers(
    panel: Path,
    *,
    weights: Path,
    outcome: str,
    treatment: str,
    x: Sequence[str] = (),
    model: Model = "sdm",
    row_standardise: bool = False,
    unit: str = "city_code",
    time: str = "year",
    cluster: str | None = None,
    year: int | None = None,
    out: Path | None = None,
    map_out: Path | None = None,
    cities: Path | None = None,
    code: str = "city_code",
    encoding: str | None = None,
    **options: Any,
) -> SpilloversResult:
    """Fit a spatial difference-in-differences and say what each city receives from the treatment of others.

    Parameters
    ----------
    panel : Path
        Table; without the time column it is one cross-section.
    weights : Path
    outcome, treatment : str
    x : sequence of str
        Other regressors.
    model : {"sar", "slx", "sdm"}
    row_standardise : bool
        Divide each row of the weights by its sum first.
    unit, time : str
        Keys of the panel.
    cluster : str, optional
        ``city`` or the name of the unit column.
    year : int, optional
        Of the map; by default the last.
    out : Path, optional
        Table of cities and years.
    map_out : Path, optional
        Map of what is received, ``.png`` or ``.svg``.
    cities : Path, optional
        Polygons of the cities, needed for the map.
    code, encoding : str, optional
        Of `cities`.
    **options
        ``effects``, ``correction``, ``durbin``, ``random``, ``robust`` of
        :func:`gistools.spatial.models.fit_spatial`.

    Returns
    -------
    SpilloversResult

    Raises
    ------
    InputError
        If the model has no spillovers, or the panel no such year.
    """
    from gistools.output.spatial_maps import plot_spillovers, require_figure_extension, save_figure

    if out is not None:
        require_table_extension(out)
    if map_out is not None:
        require_figure_extension(map_out)
        if cities is None:
            raise InputError("a map of spillovers needs the polygons of the cities; give them with --cities")
    if model not in ("sar", "slx", "sdm"):
        raise InputError(f"model is {model!r}, but spillovers are those of sar, slx or sdm")
    if cluster not in (None, "city", unit):
        raise InputError(f"errors can be clustered by city (column '{unit}'), not by {cluster!r}")
    table = read_table(panel, text=(unit,))
    graph = read_weights(weights)
    treated = panel_column(table, treatment, unit=unit, time=time)
    years = sorted(treated.index.get_level_values(1).unique()) if treated.index.nlevels > 1 else []
    if year is not None and year not in years:
        raise InputError(f"the panel has no year {year}; it has {listed(years, 12) or 'no years'}")
    fit = fit_spatial(
        table, graph, outcome=outcome, x=[treatment, *(name for name in x if name != treatment)], model=model,
        row_standardise=row_standardise, unit=unit, time=time, cluster=None if cluster is None else "city", **options,
    )  # fmt: skip
    received = spillovers_received(fit, graph, treated, row_standardise=row_standardise)
    if map_out is not None and cities is not None:
        shown = years[-1] if years and year is None else year
        part = (received if shown is None else received[received[time] == shown]).set_index(unit)
        when = "" if shown is None else f", {shown}"
        figure = plot_spillovers(
            read_cities(cities, code=code, encoding=encoding), part["received"], part["treated"],
            title=f"Spillovers of {treatment} on {outcome}{when}", unit="effect received",
            note=f"{fit.model.upper()}, weights {weights.stem}",
        )  # fmt: skip
        save_figure(figure, map_out)
    if out is not None:
        write_table(received, out)
    return SpilloversResult(fit, treatment, received, _by_year(received, unit, time if years else None))


def _by_year(table: pd.DataFrame, unit: str, time: str | None) -> pd.DataFrame:
    rows = []
    for year, part in [(None, table)] if time is None else table.groupby(time, sort=True):
        given = part["treated"].to_numpy() != 0
        most = part["received"].abs().to_numpy().argmax()
        rows.append(
            {
                "year": year,
                "treated": int(given.sum()),
                "own": float(part["own"][given].mean()) if given.any() else np.nan,
                "received_treated": float(part["received"][given].mean()) if given.any() else np.nan,
                "received_untreated": float(part["received"][~given].mean()) if (~given).any() else np.nan,
                "largest": float(part["received"].iloc[most]),
                "largest_in": part[unit].iloc[most] if part["received"].iloc[most] else None,
            }
        )
    return pd.DataFrame(rows)
