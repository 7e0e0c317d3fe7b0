"""Parcels from files to files: their city and their distance to its CBD."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd

from gistools.checks import listed, require_columns
from gistools.errors import TableError
from gistools.io.tables import read_table, write_table
from gistools.parcels.distance import distance_to_cbd, funnel, locate_parcels
from gistools.parcels.records import HeaderMapping, standard_columns
from gistools.parcels.status import LOCATED
from gistools.parcels.values import contract_year

# Columns that are text whatever they look like.
_CODES = ("parcel_id", "city_code")
_TEXT = (*_CODES, "电子监管号", "城市代码")


@dataclass(frozen=True)
class ParcelResult:
    """Parcels with city and distance, and the account of what was set aside."""

    parcels: pd.DataFrame
    funnel: pd.DataFrame

    def to_dict(self) -> dict[str, Any]:
        """Counts for ``--json``."""
        distance = self.parcels["distance_km"]
        return {
            "records": len(self.parcels),
            "status": self.parcels["status"].value_counts().to_dict(),
            "mean_distance_km": distance.mean(),
            "funnel": self.funnel.to_dict("records"),
        }


def read_parcels(
    path: Path,
    *,
    encoding: str | None = None,
    columns: Mapping[str, str] | None = None,
    mapping: HeaderMapping | None = None,
) -> pd.DataFrame:
    """Read a parcel table and give its columns their standard names.

    Parameters
    ----------
    path : Path
    encoding : str, optional
        Of a CSV file; UTF-8 or GB18030 are found by themselves.
    columns : mapping of str to str, optional
        The table's own headers to standard names.
    mapping : HeaderMapping, optional
        The user's own mapping of headers.

    Returns
    -------
    DataFrame
        With ``year`` from the contract date where there is one.

    Raises
    ------
    TableError
        If there are no coordinates' columns.
    """
    own = [header for header, name in (columns or {}).items() if name in _CODES]
    own += [header for header, column in mapping.columns.items() if column.name in _CODES] if mapping else []
    table = standard_columns(read_table(path, text=[*_TEXT, *own], encoding=encoding), columns, mapping)
    lacking = [name for name in ("lon", "lat") if name not in table.columns]
    if lacking:
        raise TableError(
            f"{path.name} has no column {' or '.join(lacking)} (经度, 纬度); name the columns that hold them"
        )
    if "year" not in table.columns and "contract_date" in table.columns:
        table["year"] = contract_year(table["contract_date"])
    return table


def measure_distance(parcels: pd.DataFrame, cbds: pd.DataFrame, boundaries: gpd.GeoDataFrame | None) -> ParcelResult:
    """Find each parcel's city, unless the table names it, and its distance to the city's CBD.

    Parameters
    ----------
    parcels : DataFrame
        As :func:`read_parcels` gives it.
    cbds : DataFrame
        ``city_code``, ``cbd_lon``, ``cbd_lat``; a panel will do.
    boundaries : GeoDataFrame or None
        Needed where the parcels have no ``city_code``.

    Returns
    -------
    ParcelResult

    Raises
    ------
    TableError
        If columns lack, or no record gets a distance.
    """
    if "city_code" not in parcels.columns:
        if boundaries is None:
            raise TableError(
                "the parcel table has no column 'city_code'; give --boundaries to find each parcel's city"
            )
        parcels = locate_parcels(parcels, boundaries)
    require_columns(parcels, ["city_code"], "the parcel table")
    measured = distance_to_cbd(parcels, cbds)
    if not (measured["status"] == LOCATED).any():
        counts = measured["status"].value_counts()
        reasons = listed(f"{reason}: {number}" for reason, number in counts.items()) or "it has no rows"
        raise TableError(
            f"no record of the parcel table gets a distance ({reasons}); check its coordinates, and that codes and "
            "boundaries are of the same cities"
        )
    return ParcelResult(measured, funnel(measured))


def write_parcels(result: ParcelResult, out: Path) -> None:
    """Write parcels by the extension of the path, and the funnel beside them as CSV."""
    write_table(result.parcels, out)
    write_table(result.funnel, out.with_name(f"{out.stem}_funnel.csv"))
