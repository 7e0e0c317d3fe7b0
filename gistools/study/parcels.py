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
from gistools.io.tables import write_table
from gistools.parcels.distance import REASONS, UNKNOWN_CITY, distance_to_cbd, far_parcels, funnel, locate_parcels
from gistools.parcels.records import HeaderMapping
from gistools.parcels.status import LOCATED
from gistools.parcels.values import code_text
from gistools.study.parcel_tables import read_parcel_table


@dataclass(frozen=True)
class ParcelResult:
    """Parcels with city and distance, and the account of what was set aside."""

    parcels: pd.DataFrame
    funnel: pd.DataFrame
    notes: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Counts for ``--json``."""
        distance = self.parcels["distance_km"]
        return {
            "records": len(self.parcels),
            "status": self.parcels["status"].value_counts().to_dict(),
            "mean_distance_km": distance.mean(),
            "funnel": self.funnel.to_dict("records"),
            "notes": list(self.notes),
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
        As :func:`gistools.study.parcel_tables.read_parcel_table` gives it.

    Raises
    ------
    TableError
        If there are no coordinates' columns.
    """
    table, _ = read_parcel_table(path, encoding=encoding, columns=columns, mapping=mapping)
    lacking = [name for name in ("lon", "lat") if name not in table.columns]
    if lacking:
        raise TableError(
            f"{path.name} has no column {' or '.join(lacking)} (经度, 纬度); name the columns that hold them"
        )
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
        If columns lack, no record gets a distance, or most distances are longer than any city is wide.
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
        codes = ""
        if UNKNOWN_CITY in counts:
            mine, theirs = (
                listed(sorted(code_text(table["city_code"]).dropna().unique()), 2) for table in (measured, cbds)
            )
            codes = f"; its codes are {mine}, those of the CBDs {theirs}"
        if measured["status"].isin(REASONS).any():
            mend = "check its coordinates, and that codes and boundaries are of the same cities"
        else:
            mend = "earlier steps set all of them aside: look at its column 'status'"
        raise TableError(f"no record of the parcel table gets a distance ({reasons}){codes}; {mend}")
    return ParcelResult(measured, funnel(measured), far_parcels(measured))


def funnel_path(out: Path) -> Path:
    """Where the funnel of a table stands: beside it.

    Examples
    --------
    >>> funnel_path(Path("located.parquet")).name
    'located_funnel.csv'
    """
    return out.with_name(f"{out.stem}_funnel.csv")


def write_parcels(result: ParcelResult, out: Path) -> None:
    """Write parcels by the extension of the path, and the funnel beside them as CSV."""
    write_table(result.parcels, out)
    write_table(result.funnel, funnel_path(out))
