"""The audit of a city-year: every column of the panel counted again from the city's cells, with its ingredients."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import pandas as pd
from pyproj import Transformer

from gistools.city.cells import CELL_COLUMNS, CbdDecision, city_cells, decide_cbd, zone_of
from gistools.city.form import COLUMNS, FormOptions
from gistools.city.recount import Facts, Ingredients, Recount, Recounter
from gistools.grid import WGS84, Grid, GridSource, Window, geodesic_km
from gistools.raster.align import align

if TYPE_CHECKING:
    import geopandas as gpd

    from gistools.raster.zones import Zones

# Two sums of the same cells in another order differ by less than this, and no rule gives so small a difference.
RELATIVE, ABSOLUTE = 1e-9, 1e-9
# covered fractions below a millionth are rounding to the panel; R2 is one minus a quotient of small numbers
_ABSOLUTE = {"light_missing_cells": 1e-6, "population_missing_cells": 1e-6, "gradient_r2": 1e-8}

Value = float | str | None


@dataclass(frozen=True)
class Check:
    """A column of the panel beside the same number counted again from the cells.

    Attributes
    ----------
    column, unit, meaning : str
    value : float, str or None
        The panel's; None where the panel has no such column.
    recomputed : float or str
    formula : str
        In words.
    ingredients : tuple of (name, number or text)
    """

    column: str
    unit: str
    meaning: str
    value: Value
    recomputed: float | str
    formula: str
    ingredients: Ingredients

    @property
    def agrees(self) -> bool | None:
        """Whether both are equal, missing ones too; None where the panel has no such column."""
        if self.value is None:
            return None
        if isinstance(self.recomputed, str) or isinstance(self.value, str):
            return str(self.value) == str(self.recomputed)
        atol = _ABSOLUTE.get(self.column, ABSOLUTE)
        return bool(np.isclose(self.value, self.recomputed, rtol=RELATIVE, atol=atol, equal_nan=True))


@dataclass(frozen=True)
class CityAudit:
    """One city and year, counted again.

    Attributes
    ----------
    code : str
    year : int
    options : FormOptions
    threshold : float
        Density that splits urban cells.
    cells : DataFrame
        All cells of the city: the columns of ``CELL_COLUMNS``.
    decision : CbdDecision
        How the CBD was decided, in the year `deciding_year`.
    deciding_year : int
    checks : tuple of Check
        One a column of the panel, in its order.
    counts : tuple of (str, float)
        Cells: all, with light, with population, missing, dark, saturated, urban, low, high, ...
    """

    code: str
    year: int
    options: FormOptions
    threshold: float
    cells: pd.DataFrame
    decision: CbdDecision
    deciding_year: int
    checks: tuple[Check, ...]
    counts: tuple[tuple[str, float], ...]

    @property
    def mismatches(self) -> tuple[Check, ...]:
        """The columns that do not agree."""
        return tuple(check for check in self.checks if check.agrees is False)

    def to_frame(self) -> pd.DataFrame:
        """One row a column: value, recomputed, whether they agree, formula and ingredients as text."""
        return pd.DataFrame(
            {
                "column": check.column,
                "unit": check.unit,
                "value": check.value,
                "recomputed": check.recomputed,
                "agrees": check.agrees,
                "formula": check.formula,
                "ingredients": "; ".join(f"{name} = {part}" for name, part in check.ingredients),
            }
            for check in self.checks
        )

    def to_dict(self) -> dict[str, Any]:
        """The audit as plain values, without the cells."""
        return {
            "city_code": self.code,
            "year": self.year,
            "density_threshold": self.threshold,
            "cells": dict(self.counts),
            "cbd": {
                "year": self.deciding_year,
                "lon": self.decision.lon,
                "lat": self.decision.lat,
                "light": self.decision.light,
                "ties": self.decision.tied,
                "rule": self.decision.rule,
                "steps": list(self.decision.steps),
                "clusters": self.decision.clusters.to_dict("records"),
            },
            "columns": [
                {
                    "column": check.column,
                    "value": check.value,
                    "recomputed": check.recomputed,
                    "agrees": check.agrees,
                    "formula": check.formula,
                    "ingredients": dict(check.ingredients),
                }
                for check in self.checks
            ],
            "mismatches": [check.column for check in self.mismatches],
        }


class Deciding(NamedTuple):
    """The grids of the year that decides the CBD, where it is another than the audited one."""

    year: int
    lights: GridSource
    population: GridSource | None
    zones: Zones


def audit_city(
    code: str,
    year: int,
    lights: GridSource | None,
    population: GridSource | None,
    zones: Zones,
    options: FormOptions,
    row: Mapping[str, Any],
    *,
    threshold: float,
    threshold_of: tuple[int, float, float] | None = None,
    deciding: Deciding | None = None,
    known_cbd: tuple[float, float] | None = None,
    saturated: float | None = None,
    city: gpd.GeoDataFrame | None = None,
) -> CityAudit:
    """Count every column of a city-year again from the table of its cells, and hold it against the panel.

    Parameters
    ----------
    code : str
    year : int
    lights, population : GridSource or None
        Of the year; either may be left out.
    zones : Zones
        The label grid, on the population's lattice (or the lights', without population).
    options : FormOptions
        What the panel was measured with.
    row : mapping of column to value
        The panel's row of the city and year; columns it lacks are not compared.
    threshold : float
        Density that splits urban cells; NaN without one.
    threshold_of : (year, persons, km2), optional
        Urban population and area of all cities that the threshold was taken from.
    deciding : Deciding, optional
        The year that decides the CBD; by default the audited one.
    known_cbd : (lon, lat), optional
        A CBD from a table (degrees, WGS 84) instead.
    saturated : float, optional
        Light at which the sensor saturates.
    city : GeoDataFrame, optional
        The city's row of the boundaries, to mark the cells on its outline.

    Returns
    -------
    CityAudit

    Raises
    ------
    BoundaryError
        If no city has the code.

    Notes
    -----
    Sums, the clusters and the choice of the CBD, patches, shares and the line of the gradient are computed apart from
    the scan that made the panel: by sums over the table, by flooding an image, and by solving the least-squares
    problem.
    """
    zone = zone_of(code, zones)
    cells = city_cells(code, lights, population, zones, options, threshold=threshold, city=city)
    decision, deciding_year, ties = _decision(code, year, cells, options, zones, deciding, known_cbd)
    at = _cell_of(decision.lon, decision.lat, zones.grid)
    distance = np.full(len(cells), np.nan)
    if len(cells) and np.isfinite(decision.lon):
        distance = geodesic_km(decision.lon, decision.lat, cells["lon"].to_numpy(), cells["lat"].to_numpy())
    attrs = cells.attrs
    cells = cells.assign(
        distance_km=distance,
        in_circle=distance <= options.radius_km,
        tied=pd.MultiIndex.from_frame(cells[["row", "col"]]).isin(ties),
    )[list(CELL_COLUMNS)]
    cells.attrs = attrs
    facts = Facts(
        has_light=lights is not None,
        has_population=population is not None,
        light_at_cbd=_light_at(at, lights, zones.grid, options),
        cbd_on_grid=at is not None,
        deciding_year=deciding_year,
        outside=float(zones.outside_share[zone]),
        saturated=saturated,
        threshold_of=threshold_of,
    )
    made = Recounter(cells, decision, options, threshold, facts)
    found = made.all(str(_panel_value(row, "note") or "")) | _unknown_columns(made)
    checks = tuple(
        Check(name, unit, meaning, _panel_value(row, name), *found[name]) for name, (unit, meaning) in COLUMNS.items()
    )
    return CityAudit(code, year, options, threshold, cells, decision, deciding_year, checks, made.counts())


def _unknown_columns(made: Recounter) -> dict[str, Recount]:
    return {name: Recount(np.nan, made.why_missing) for name in COLUMNS if name not in made.found}


def _decision(
    code: str,
    year: int,
    cells: pd.DataFrame,
    options: FormOptions,
    zones: Zones,
    deciding: Deciding | None,
    known: tuple[float, float] | None,
) -> tuple[CbdDecision, int, pd.MultiIndex]:
    """How the CBD came about, in which year, and which cells of the audited grid tied."""
    if known is not None:
        none = decide_cbd(cells.iloc[:0], ties=options.cbd_ties)
        steps = (f"The CBD is given: longitude {known[0]:.6f}, latitude {known[1]:.6f}.",)
        decision = CbdDecision(none.ties, none.clusters, *known, np.nan, 1, "table", steps)
        return decision, year, pd.MultiIndex.from_frame(none.ties[["row", "col"]])
    if deciding is None:
        decision = decide_cbd(cells, ties=options.cbd_ties)
        return decision, year, pd.MultiIndex.from_frame(decision.ties[["row", "col"]])
    then = city_cells(code, deciding.lights, deciding.population, deciding.zones, options)
    decision = decide_cbd(then, ties=options.cbd_ties)
    # on another lattice the rows and columns of that year are other cells
    ties = decision.ties if deciding.zones.grid.same_as(zones.grid) else decision.ties.iloc[:0]
    return decision, deciding.year, pd.MultiIndex.from_frame(ties[["row", "col"]])


def _cell_of(lon: float, lat: float, grid: Grid) -> tuple[int, int] | None:
    """The cell that holds a point, None beyond the grid."""
    x, y = Transformer.from_crs(WGS84, grid.crs, always_xy=True).transform(lon, lat)
    if not (np.isfinite(x) and np.isfinite(y)):
        return None
    row, col = int(np.floor(grid.row(y))), int(np.floor(grid.col(x)))
    return (row, col) if 0 <= row < grid.height and 0 <= col < grid.width else None


def _light_at(at: tuple[int, int] | None, lights: GridSource | None, grid: Grid, options: FormOptions) -> float:
    """Light of one cell, NaN without valid light."""
    if at is None or lights is None:
        return np.nan
    block = align(lights, grid, how=options.align).read(Window(at[0], at[0] + 1, at[1], at[1] + 1))
    return float(block.values[0, 0]) if block.is_valid()[0, 0] else np.nan


def _panel_value(row: Mapping[str, Any], name: str) -> Value:
    if name not in row:
        return None
    value = row[name]
    if COLUMNS[name][0] == "text":
        return "" if value is None or pd.isna(value) else str(value)
    return float("nan") if value is None or pd.isna(value) else float(value)
